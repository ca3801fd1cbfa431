"""Numbers: computed on the host in float64 where they are concrete, in JAX where they are traced."""

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import amounts
from lrsched.algebra.numerics.kinds import HOST_MAX, Number, Span, float_type, host, is_concrete, largest, real, x64


def where(condition: Number, a: Number, b: Number) -> Any:
    """`a` where the condition holds, else `b`."""
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b
    if is_concrete(condition, a, b):
        return np.where(condition, host(a), host(b))
    if isinstance(a, Span) or isinstance(b, Span):
        return amounts.choose(condition, amounts.signed(a), amounts.signed(b))
    return jnp.where(condition, real(a), real(b))


def equal(a: Any, b: Any) -> Any:
    """Whether two numbers are equal."""
    return np.equal(a, b) if is_concrete(a, b) else jnp.equal(real(a), real(b))


def both(a: Any, b: Any) -> Any:
    """Whether two conditions hold."""
    return np.logical_and(a, b) if is_concrete(a, b) else jnp.logical_and(a, b)


def opposite(a: Any) -> Any:
    """Whether a condition does not hold."""
    return np.logical_not(a) if is_concrete(a) else jnp.logical_not(a)


def all_floats(*numbers: Any) -> bool:
    """Whether all are Python floats, which Python itself is the fastest to compute with."""
    for x in numbers:  # noqa: SIM110 - a loop is faster than all()
        if type(x) is not float:
            return False
    return True


def _operation(on_host: Any, in_trace: Any, on_spans: Any = None, on_floats: Any = None) -> Any:
    def apply(*numbers: Number) -> Any:
        if on_floats is not None and all_floats(*numbers):  # most of an eager call
            return on_floats(*numbers)
        if is_concrete(*numbers):
            value = on_host(*map(host, numbers))
            return value.item() if type(value) is np.float64 else value
        if on_spans is not None and any(isinstance(x, Span) for x in numbers):
            return on_spans(*map(amounts.signed, numbers))
        return in_trace(*map(real, numbers))

    return apply


@jax.custom_jvp
def quotient(a: Any, b: Any) -> Any:
    """`a / b` of traced numbers, for a b that is not 0; exact where 21 bits hold it, as of 41 / 41 and of 495 / 990.

    A GPU does not round a float32 division correctly: it may be off by two units in the last place.
    """
    value = a / b
    if x64():
        return value
    near = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(value, np.int32) + 4 & ~7, np.float32)
    return jnp.where(near * b == a, near, value)


@quotient.defjvp
def _quotient_jvp(numbers: Any, tangents: Any) -> Any:
    # Not by way of 1 / b², which is too large for a float where b is small. What is too large itself has no derivative.
    (a, b), (da, db) = numbers, tangents
    value = quotient(a, b)
    return value, (da - jnp.where(jnp.isfinite(value), value, jnp.zeros_like(value)) * db) / b


def _traced_divide(a: Any, b: Any) -> Any:
    # Where b is 0 the quotient has no derivative, and 0 by definition: so one that is not used does no harm to gradients.
    zero, one = b == 0, np.ones((), float_type())
    at_zero = jnp.where(a > 0, float_type()(np.inf), jnp.where(a < 0, float_type()(-np.inf), float_type()(np.nan)))
    return jnp.where(zero, at_zero, quotient(*jnp.broadcast_arrays(a, jnp.where(zero, one, b))))


def _divide_by_known(a: Any, b: Any) -> Any:
    """`a / b` for a traced a and a b that is known, and not 0."""
    a, least = real(a), np.finfo(float_type()).tiny
    if np.any(np.abs(b) < least):  # next to nothing in the result type: so both are taken 2**126 times
        a, b = a * float_type()(2.0**126), b * 2.0**126
        b = np.where(np.abs(b) < least, np.copysign(least, b), b)
    elif np.all(np.abs(np.frexp(b)[0]) == 0.5):
        return a / real(b)
    # A compiler that knew the divisor would multiply with 1 / b instead, exact for powers of two only.
    return quotient(a, jnp.where(jnp.isnan(a), a, real(b)))


def _traced_power(base: Any, exponent: Any) -> Any:
    # At base 0, where lax.pow has NaN derivatives: 1 for exponent 0, else 0, with derivative 1 for exponent 1. Below 0 as at 0.
    zero, one = np.zeros((), float_type()), np.ones((), float_type())
    base = jnp.where(base < 0, zero, base)
    at_zero = jnp.where(exponent == 0, one, zero) + base * jnp.where(exponent == 1, one, zero)
    return jnp.where(base == 0, at_zero, jax.lax.pow(*jnp.broadcast_arrays(jnp.where(base == 0, one, base), exponent)))


def _traced_bounded_power(base: Any, exponent: Any) -> Any:
    # Where it overflows the exponent is 0 instead, so that the gradient is.
    positive = jnp.where(base > 0, base, jnp.ones_like(base))
    overflows = exponent * jnp.log2(positive) >= float_type()(1023.99 if x64() else 127.99)
    size = _traced_power(base, jnp.where(overflows, jnp.zeros_like(exponent), exponent))
    return jnp.where(overflows, float_type()(largest()), size)


add = _operation(operator.add, jnp.add, amounts.plus, operator.add)
subtract = _operation(operator.sub, jnp.subtract, amounts.difference, operator.sub)
multiply = _operation(operator.mul, jnp.multiply, amounts.product, operator.mul)


def _quiet(on_host: Any) -> Any:
    """An operation of NumPy that does not warn where its result is infinite."""

    def apply(*numbers: Any) -> Any:
        with np.errstate(all="ignore"):
            return on_host(*numbers)

    return apply


_divide = _operation(
    _quiet(lambda a, b: np.divide(a, b + 0.0)), _traced_divide
)  # not Python's operator: x / 0.0 is a value here, not an exception


def divide(a: Number, b: Number) -> Any:
    """`a / b`, infinite or not a number where b is 0."""
    if is_concrete(b) and not is_concrete(a) and np.all(np.not_equal(b, 0)):
        return _divide_by_known(a, host(b))
    return _divide(a, b)


negative = _operation(lambda a: -a, jnp.negative)
minimum = _operation(
    np.minimum,
    jnp.minimum,
    lambda a, b: amounts.choose(amounts.less(a, b), a, b),
    lambda a, b: a if a <= b or a != a else b,
)
maximum = _operation(
    np.maximum,
    jnp.maximum,
    lambda a, b: amounts.choose(amounts.less(a, b), b, a),
    lambda a, b: a if a >= b or a != a else b,
)
power = _operation(np.power, _traced_power)
bounded_power = _operation(lambda a, b: np.minimum(np.power(a, b), largest()), _traced_bounded_power)
floor = _operation(np.floor, jnp.floor)


def _ceil_ratio(xp: Any, a: Any, b: Any, tolerance: Any) -> Any:
    quotient = a / b
    near = xp.round(quotient)
    return xp.where(xp.abs(quotient - near) <= tolerance * near, near, xp.ceil(quotient))


# The quotient rounded up; next to a whole number by a rounding error it is that number.
ceil_ratio = _operation(
    _quiet(lambda a, b: _ceil_ratio(np, np.float64(a), b, 2.0**-50)),
    lambda a, b: _ceil_ratio(jnp, a, b, float_type()(2.0**-50 if x64() else 2.0**-22)),
)
rounded = _operation(np.round, jnp.round)


def _traced_root(x: Any) -> Any:
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))


root = _operation(np.sqrt, _traced_root)  # with derivative 0 at 0


def inverse_root(time: Number, timescale: Number) -> Any:
    """`1 / √(1 + time / timescale)`; in a trace a timescale of next to nothing counts as a little more."""
    if is_concrete(time, timescale):
        return 1 / np.sqrt(1 + np.divide(time, timescale))
    least = 1e-28 if is_concrete(timescale) else 1e-12
    return divide(1.0, jnp.sqrt(1 + divide(time, maximum(timescale, least))))


def table(entries: list[Any]) -> Any:
    """A table of rank 1 of its entries, each a number or a batch of numbers."""
    if is_concrete(*entries):
        return np.stack(np.broadcast_arrays(*map(host, entries)), axis=-1)
    if any(isinstance(x, Span) for x in entries):
        return jax.tree.map(lambda *xs: jnp.stack(jnp.broadcast_arrays(*xs), axis=-1), *map(amounts.signed, entries))
    return jnp.stack(jnp.broadcast_arrays(*map(real, entries)), axis=-1)


def parted(part: Number, whole: Number) -> tuple[Any, Any]:
    """A part of a whole, and the rest; a traced part is rounded as the rest is, so that both add up to the whole exactly.

    Of a part below half of the whole the rest is above it, and so is what that leaves exact; any other has an exact rest.
    """
    if is_concrete(part) or isinstance(part, Span) or isinstance(whole, Span):
        return part, subtract(whole, part)
    # A compiler may fuse the product that a part is made of with a difference, and so not round it; but not through a choice.
    part = jnp.where(jnp.isnan(part), np.zeros((), float_type()), real(part))
    rest = subtract(whole, part)
    return subtract(whole, rest), rest


def ascending(table: Any) -> Any:
    """A table of rank 1 with its entries sorted."""
    if is_concrete(table):
        return np.sort(host(table), axis=-1)
    if isinstance(table, Span):
        return Span(*jax.lax.sort((table.whole, real(table.part)), num_keys=2))
    return jnp.sort(real(table), axis=-1)


def pick(table: Any, row: Any) -> Any:
    """The entry of a table of rank 1 in a row, or in an array of rows."""
    if is_concrete(table, row):
        return np.asarray(host(table), np.float64)[row]
    return jnp.asarray(real(table)).at[row].get(mode="promise_in_bounds")


def result(value: Number, shape: tuple[int, ...]) -> jax.Array:
    """What a schedule returns: a strongly typed JAX array of the shape of the steps."""
    # There is no negative zero in mathematics. (A compiler takes x + 0 for x, but not 0 - (0 - x).)
    if is_concrete(value):
        array = _rounded(value) if type(value) is not float else _rounded_float(value)
        return jnp.asarray(array if array.shape == shape else np.broadcast_to(array, shape))
    zero = np.zeros((), float_type())
    return jnp.broadcast_to(zero - (zero - real(value)), shape)


def _rounded_float(value: float) -> np.ndarray:
    return np.asarray(min(max(value + 0.0, -largest()), largest()) if math.isfinite(value) else value, float_type())


def _rounded(value: Any) -> np.ndarray:
    """A new array in the result type; what is too large for it is its largest number."""
    array = np.array(value, float_type())
    overflows = np.isinf(array) & np.isfinite(value)
    array = np.where(overflows, np.copysign(float_type()(largest()), array), array) if overflows.any() else array
    array += 0
    return array


def kept_finite(operation: Any) -> Any:
    """The operation, where its result is too large for a float that float of its sign; x / 0 stays what it is."""

    def apply(a: Any, b: Any) -> Any:
        value = operation(a, b)
        if type(value) is float and math.isfinite(value):
            return value
        if is_concrete(value):
            overflows = np.isinf(value) & np.isfinite(a) & np.isfinite(b) & ((operation is not divide) | np.not_equal(b, 0))
            return where(overflows, np.copysign(HOST_MAX, value), value)
        overflows = jnp.isinf(value)
        for x in (a, b):
            if not is_concrete(x):
                overflows = overflows & jnp.isfinite(x)
        if operation is divide and not is_concrete(b):
            overflows = overflows & (b != 0)
        return jnp.where(overflows, _limit(value), value)

    return apply


def _limit(x: Any) -> Any:
    limit = float_type()(largest())
    return jnp.where(x > 0, limit, -limit)


# The number, or the largest float of its sign if it is larger than that; not by a minimum, through which 0 · inf gets into
# derivatives.
saturated = _operation(
    lambda x: np.maximum(np.minimum(x, largest()), -largest()),
    lambda x: jnp.where(jnp.abs(x) > float_type()(largest()), _limit(x), x),
)


def raised(value: Number, base: Number, exponent: Number) -> Any:
    """`value · base ** exponent` for a base and an exponent >= 0; what is too large is the largest float."""
    # In two halves, of which neither may be too large before the product is. Where the exponent is small in one, so that the
    # derivative at a base of 0 is that of the power; but not of a base so large that a square of it is not a float.
    whole = (real(exponent) < 2) & (real(base) < float_type()(1e18))
    size = bounded_power(base, where(whole, exponent, divide(exponent, 2.0)))
    return saturated(multiply(saturated(multiply(value, size)), where(whole, 1.0, size)))
