"""What numbers there are: concrete ones, which the host computes with in float64, and traced ones."""

from typing import Any, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import jax.typing
import numpy as np

from lrsched.algebra.numerics.double import BoundedInt, Double, Extended, double

Number: TypeAlias = jax.typing.ArrayLike  # a Python number, a NumPy number or array, a JAX array or a tracer


def is_concrete(*numbers: Any) -> bool:
    """Whether all the numbers are known now, so that the host can compute with them."""
    for x in numbers:
        if isinstance(x, (float, int, np.ndarray, np.generic)):
            continue
        if isinstance(x, Extended):
            if not is_concrete(*jax.tree.leaves(x)):
                return False
        elif not isinstance(x, jax.Array) or isinstance(x, jax.core.Tracer) or not x.is_fully_addressable:
            return False
    return True


def array_of(x: Any) -> Any:
    """The array that something with `__jax_array__` stands for, like a variable of flax or Keras; anything else as it is."""
    is_array = isinstance(x, (float, int, np.ndarray, np.generic, jax.Array))  # which may have `__jax_array__`, too
    return x.__jax_array__() if not is_array and hasattr(x, "__jax_array__") else x


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


def to_float64(x: Any) -> Any:
    """A concrete number as float64; Python floats stay as they are, being the fastest."""
    if isinstance(x, float):
        return x
    if isinstance(x, BoundedInt):
        x = x.value
    if isinstance(x, Double):
        x = np.asarray(x.high, np.float64) + np.asarray(x.low, np.float64)
    return float(x) if isinstance(x, int) else np.asarray(x, np.float64)[()]


def to_float(x: Any) -> Any:
    """The number as an array of the result type, never weakly typed, ready for JAX operations."""
    if is_concrete(x):
        return np.asarray(to_float64(x), float_type())
    if isinstance(x, Double):
        return to_float(x.high) + to_float(x.low)
    return jax.lax.convert_element_type(x.value if isinstance(x, BoundedInt) else x, float_type())


def as_value(x: Any) -> Any:
    """The number as a schedule gives it: an extended one is rounded to a float."""
    return to_float(x) if isinstance(x, Extended) else x


def extended(x: Any) -> Any:
    """The number with all of its digits: if it is traced, an `Extended`, or a float64 when x64 is on."""
    return x if isinstance(x, BoundedInt) or is_concrete(x) else as_double(x)


def as_double(x: Any) -> Any:
    """The number in a trace as a `Double`, or a float64 when x64 is on: of one structure, as loops need it."""
    return to_float(x) if x64() else double(x)


def largest() -> float:
    """The largest float of the result type."""
    return float(np.finfo(float_type()).max)
