"""Functions of numbers: on the host in float64 where all are concrete, in JAX where one is traced.

The operators of Python need no function. What they do not do is here: choices, whole numbers, quotients that come out whole,
and results that stay finite, as do their derivatives.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.double import BoundedInt, Double, Extended, bounded_int, chosen, floor_double, snapped_double
from lrsched.algebra.numerics.kinds import as_value, extended, float_type, is_concrete, largest, to_float, to_float64, x64

LATEST = 2.0**62  # of all times; in a trace infinity becomes this, for it has no place in a cycle
LEAST = 1e-18  # lower bound of a traced length: its square is still a float32, as derivatives need
SHORTEST = 1e-12  # lower bound of a traced divisor of time, since the quotient may be divided once more


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`."""
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b
    if is_concrete(condition, a, b):
        return np.where(condition, to_float64(a), to_float64(b))[()]
    if isinstance(a, Extended) or isinstance(b, Extended):
        return chosen(condition, a, b)
    return jnp.where(condition, to_float(a), to_float(b))


def minimum(a: Any, b: Any) -> Any:
    """The lower of two numbers."""
    return where(a < b, a, b)


def maximum(a: Any, b: Any) -> Any:
    """The higher of two numbers."""
    return where(a < b, b, a)


def clip(x: Any, low: Any, high: Any) -> Any:
    """The number, at least `low` and at most `high`; `high` counts where it is below `low`."""
    return minimum(maximum(x, low), high)


def floor(x: Any) -> Any:
    """The whole number at or below it."""
    if is_concrete(x):
        return np.floor(to_float64(x))
    if isinstance(x, BoundedInt):
        return x
    return floor_double(x) if isinstance(x, Double) else jnp.floor(to_float(x))


def ceil(x: Any) -> Any:
    """The whole number at or above it."""
    return -floor(-x)


def rounded(x: Any) -> Any:
    """The nearest whole number; the higher of two that are equally near."""
    return floor(x + 0.5)


def ratio(a: Any, b: Any) -> Any:
    """`a / b` of amounts of time; next to a multiple of 2⁻¹⁰ it is that: however a third is rounded, three thirds are 1."""
    if math.isinf(a) if type(a) is float else is_concrete(a) and np.all(np.isinf(to_float64(a))):
        return a
    if is_concrete(a) and not is_concrete(b):
        a = np.minimum(to_float64(a), LATEST)[()]
    quotient = extended(a) / maximum(extended(b), SHORTEST)
    return snapped(quotient if isinstance(a, Extended) or isinstance(b, Extended) else as_value(quotient))


def floor_ratio(a: Any, b: Any) -> Any:
    """`⌊a / b⌋` of amounts of time."""
    divisor = bounded_int(b)
    if isinstance(a, BoundedInt) and isinstance(divisor, BoundedInt) and divisor.least > 0:
        return a // divisor
    return floor(ratio(a, b))


def snapped(x: Any) -> Any:
    """A number that may have been rounded; next to a multiple of 2⁻¹⁰ it is that."""
    if type(x) is float and abs(x) < 2.0**53:  # most calls outside a trace; NumPy would be slower
        near = round(x * 2.0**10) * 2.0**-10
        return near if abs(near - x) <= 2.0**-50 * abs(x) else x
    if isinstance(x, Extended):
        return snapped_double(x) if isinstance(x, Double) else x
    if not is_concrete(x):
        return _snapped_in_trace(x)
    with np.errstate(invalid="ignore", over="ignore"):  # of infinity, and of numbers next to it
        near = _snapped(np, x)
    return near if near.ndim else near.item()


def _snapped(xp: Any, x: Any) -> Any:
    near = xp.round(x * 2.0**10) * 2.0**-10
    return xp.where(xp.abs(near - x) <= 2.0**-50 * xp.abs(x), near, x)


_snapped_in_trace = jax.custom_jvp(functools.partial(_snapped, jnp))
_snapped_in_trace.defjvps(lambda change, near, x: change)  # noqa: ARG005 (JAX gives the value and x as well)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def quotient(a: Any, b: Any, exact: bool = False) -> Any:
    """`a / b` of traced floats, for a b that is not 0: 1 of equal ones; `exact` where 21 bits hold it, as of 495 / 990.

    A compiler may multiply by a reciprocal, and a GPU divides with an error of two units in the last place.
    """
    value = jnp.where(a == b, jnp.ones_like(a), a / b)
    if not exact or x64():
        return value
    near = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(value, np.int32) + 4 & ~7, np.float32)
    return jnp.where(near * b == a, near, value)


@quotient.defjvp
def _quotient_jvp(exact: bool, numbers: Any, tangents: Any) -> Any:
    # Not by way of 1 / b², which is too large for a float where b is small. What is too large itself has no derivative.
    (a, b), (da, db) = numbers, tangents
    value = quotient(a, b, exact)
    return value, (da - jnp.where(jnp.isfinite(value), value, jnp.zeros_like(value)) * db) / b


def divide(a: Any, b: Any) -> Any:
    """`a / b` of values; where b is 0 it is infinite, and 0 / 0 is not a number."""
    if is_concrete(a, b):
        with np.errstate(all="ignore"):
            return np.divide(to_float64(a), to_float64(b) + 0.0)
    if is_concrete(b):  # what is no normal float, and not 0, is the smallest that is
        least = np.finfo(float_type()).tiny
        b = np.where((np.abs(b) < least) & np.not_equal(b, 0), np.copysign(least, b), b)
        if isinstance(a, Extended) and np.all(b):
            return a / b
    # Where b is 0 the quotient has no derivative, and 0 by definition: so one that is not used does no harm to gradients.
    a, b = jnp.broadcast_arrays(to_float(a), to_float(b))
    return jnp.where(b == 0, jnp.sign(a) * float_type()(np.inf), quotient(a, jnp.where(b == 0, jnp.ones_like(b), b), True))


def root(x: Any) -> Any:
    """The square root, 0 below 0, with derivative 0 at 0."""
    if is_concrete(x):
        return np.sqrt(to_float64(x))
    x = to_float(x)
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, jnp.ones_like(x))), jnp.zeros_like(x))


def parted(part: Any, whole: Any) -> tuple[Any, Any]:
    """A traced part of a whole, rounded as the rest is, and the rest: both add up to the whole exactly, as floats.

    Of a part below half of the whole the rest is above it, and so is what that leaves exact; any other has an exact rest.
    """
    # A compiler may fuse the product that a part is made of with a difference, and so not round it; but not through a choice.
    part, whole = to_float(part), to_float(whole)
    rest = whole - jnp.where(jnp.isnan(part), jnp.zeros_like(part), part)
    return whole - rest, rest


def saturated(x: Any) -> Any:
    """The number, or the largest float of its sign if it is larger than that."""
    most = largest()
    if isinstance(x, float):
        return min(max(x, -most), most)
    if is_concrete(x):
        return np.clip(to_float64(x), -most, most)
    # Not by a minimum, through which 0 · inf gets into derivatives.
    return x if isinstance(x, Extended) else jnp.where(jnp.abs(x) > most, jnp.sign(x) * float_type()(most), x)


def result(value: Any, shape: tuple[int, ...]) -> jax.Array:
    """What a schedule returns: a strongly typed JAX array of the shape of the steps, without a negative zero."""
    if is_concrete(value):
        array = np.asarray(saturated(to_float64(value)), float_type()) + float_type()(0)
        return jnp.asarray(array if array.shape == shape else np.broadcast_to(array, shape))
    zero = np.zeros((), float_type())  # a compiler takes x + 0 for x, but not 0 - (0 - x)
    return jnp.broadcast_to(zero - (zero - to_float(value)), shape)
