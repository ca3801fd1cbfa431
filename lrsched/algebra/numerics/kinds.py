"""What numbers there are: concrete ones, which the host computes with in float64, and traced ones."""

from typing import Any, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import jax.typing
import numpy as np

from lrsched.algebra.numerics.double import Double, Whole, Wide, double

Number: TypeAlias = jax.typing.ArrayLike  # a Python number, a NumPy number or array, a JAX array or a tracer


def is_concrete(*numbers: Any) -> bool:
    """Whether all the numbers are known now, so that the host can compute with them."""
    for x in numbers:  # noqa: SIM110 - eager calls spend most of their time here, and a loop is faster than all()
        if type(x) is not float and not _is_concrete(x):
            return False
    return True


def _is_concrete(x: Any) -> bool:
    if isinstance(x, (float, int, np.ndarray, np.generic)):
        return True
    if isinstance(x, Double):
        return is_concrete(x.high, x.low)
    if isinstance(x, Whole):
        return is_concrete(x.value)
    if isinstance(x, jax.core.Tracer):
        return False
    return isinstance(x, jax.Array) and x.is_fully_addressable


def array_of(x: Any) -> Any:
    """The array that something with `__jax_array__` stands for, like a variable of flax or Keras; anything else as it is."""
    return x.__jax_array__() if stands_for_array(x) else x


def stands_for_array(x: Any) -> bool:
    """Whether it is no array itself, but says with `__jax_array__` which one it is."""
    return not isinstance(x, (float, int, np.ndarray, np.generic, jax.Array)) and hasattr(x, "__jax_array__")


def is_real(dtype: Any) -> bool:
    """Whether a type is one of integers or of floats, those of ml_dtypes included."""
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def is_number(x: Any) -> bool:
    """Whether it is a real number, or an array of them: of Python, NumPy, ml_dtypes or JAX, or what stands for one."""
    if isinstance(x, (int, float)):
        return not isinstance(x, bool)
    x = array_of(x)
    return isinstance(x, (np.generic, np.ndarray, jax.Array)) and is_real(x.dtype)


def x64() -> bool:
    """Whether JAX computes in 64 bits."""
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]


def float_type() -> Any:
    """The type of every result: float32, or float64 when x64 is on."""
    return np.float64 if x64() else np.float32


def host(x: Any) -> Any:
    """A concrete number as float64; Python floats stay as they are, being the fastest."""
    if isinstance(x, float):
        return x
    if isinstance(x, Whole):
        return host(x.value)
    if isinstance(x, Double):
        return host(np.asarray(x.high, np.float64) + np.asarray(x.low, np.float64))
    return float(x) if isinstance(x, int) else np.asarray(x, np.float64)[()]


def real(x: Any) -> Any:
    """The number in the result type, never weakly typed, ready for JAX operations."""
    if is_concrete(x):
        return np.asarray(host(x) if isinstance(x, Wide) else x, float_type())
    if isinstance(x, Double):
        high, low = (jax.lax.convert_element_type(part, float_type()) for part in (x.high, x.low))
        return high + low
    return jax.lax.convert_element_type(x.value if isinstance(x, Whole) else x, float_type())


def as_float(x: Any) -> Any:
    """The number, but one with more digits than a float as a float."""
    return real(x) if isinstance(x, Wide) else x


def wide(x: Any) -> Any:
    """The number in a trace with all of its digits: a `Whole` or a `Double`, or a float64 when x64 is on."""
    return real(x) if x64() else x if isinstance(x, Whole) else double(x)


def in_floats(x: Any) -> Any:
    """The number in a trace as a `Double`, or as a float64 when x64 is on: of one structure, as loops need it."""
    return real(x) if x64() else double(x)


def largest() -> float:
    """The largest float of the result type."""
    return HOST_MAX if x64() else _LARGEST_FLOAT32


_LARGEST_FLOAT32, HOST_MAX = float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)
