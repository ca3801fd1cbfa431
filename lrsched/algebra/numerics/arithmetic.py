"""Functions of numbers: on the host in float64 where all are concrete, in JAX where one is traced.

The operators of Python need no function. What they do not do is here: choices, whole numbers, quotients that come out whole,
and results that stay finite, as do their derivatives.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.double import MOST, Double, Whole, Wide, chosen, snapped_double, whole
from lrsched.algebra.numerics.kinds import HOST_MAX, float_type, host, in_floats, is_concrete, largest, real, wide, x64

LEAST = 1e-18  # a length in a trace counts as this at least; its square is a float32, as derivatives need
SHORTEST = 1e-12  # and one that time is divided by as this, for what that makes of time may be divided once more


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`."""
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b
    if is_concrete(condition, a, b):
        return np.where(condition, host(a), host(b))[()]
    if _is_wide(a, b):
        return chosen(condition, a, b)
    return jnp.where(condition, real(a), real(b))


def _is_wide(*numbers: Any) -> bool:
    return any(isinstance(x, Wide) for x in numbers)


def all_floats(*numbers: Any) -> bool:
    """Whether all are Python floats, which Python itself is the fastest to compute with."""
    for x in numbers:  # noqa: SIM110 - a loop is faster than all()
        if type(x) is not float:
            return False
    return True


def minimum(a: Any, b: Any) -> Any:
    """The lower of two numbers."""
    if all_floats(a, b):
        return a if a <= b or a != a else b
    if is_concrete(a, b):
        return np.minimum(host(a), host(b))[()]
    return where(_below(a, b), a, b)


def maximum(a: Any, b: Any) -> Any:
    """The higher of two numbers."""
    if all_floats(a, b):
        return a if a >= b or a != a else b
    if is_concrete(a, b):
        return np.maximum(host(a), host(b))[()]
    return where(_below(a, b), b, a)


def _below(a: Any, b: Any) -> Any:
    return a < b if _is_wide(a, b) else real(a) < real(b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """The number, at least `low` and at most `high`; `high` counts where it is below `low`."""
    return minimum(maximum(x, low), high)


def equal(a: Any, b: Any) -> Any:
    """Whether two numbers are equal."""
    if is_concrete(a, b):
        return np.equal(host(a), host(b))
    return both(at_least(a, b), at_least(b, a)) if _is_wide(a, b) else real(a) == real(b)


def both(a: Any, b: Any) -> Any:
    """Whether two conditions hold."""
    if isinstance(a, bool) or isinstance(b, bool):
        return (a and b) if isinstance(a, bool) else (a if b else False)
    return np.logical_and(a, b) if is_concrete(a, b) else jnp.logical_and(a, b)


def opposite(a: Any) -> Any:
    """Whether a condition does not hold."""
    if isinstance(a, bool):
        return not a
    return np.logical_not(a) if is_concrete(a) else jnp.logical_not(a)


def _to_whole(on_host: Callable[[Any], Any], in_trace: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        if is_concrete(x):
            return on_host(host(x))
        if isinstance(x, Whole):
            return x
        return x.each(in_trace) if isinstance(x, Double) else in_trace(real(x))

    return apply


floor, ceil, rounded = _to_whole(np.floor, jnp.floor), _to_whole(np.ceil, jnp.ceil), _to_whole(np.round, jnp.round)


def ratio(a: Any, b: Any) -> Any:
    """`a / b` of amounts of time; next to a multiple of 2⁻¹⁰ it is that: however a third is rounded, three thirds are 1."""
    if is_concrete(a) and np.any(np.isinf(host(a))):
        return a
    if is_concrete(a, b):
        return snapped(minimum(host(a) / where(np.greater(b, 0), b, LEAST), 1e300))
    divided = wide(a) / maximum(wide(b), SHORTEST)
    return snapped(divided) if x64() else divided if _is_wide(a, b) else real(divided)


def snapped(x: Any) -> Any:
    """A number that may have been rounded; next to a multiple of 2⁻¹⁰ it is that."""
    if isinstance(x, Wide):
        return x if isinstance(x, Whole) else snapped_double(x)
    if type(x) is float:
        near = round(x * 2.0**10) * 2.0**-10 if abs(x) < MOST else x
        return near if abs(near - x) <= 2.0**-50 * abs(x) else x
    with np.errstate(invalid="ignore"):  # of infinity
        return _snapped(np, x)[()] if is_concrete(x) else _snapped_in_trace(x)


def _snapped(xp: Any, x: Any) -> Any:
    near = xp.round(x * 2.0**10) * 2.0**-10
    return xp.where(xp.abs(near - x) <= 2.0**-50 * xp.abs(x), near, x)


@jax.custom_jvp
def _snapped_in_trace(x: Any) -> Any:
    return _snapped(jnp, x)


@_snapped_in_trace.defjvp
def _snapped_in_trace_jvp(numbers: Any, tangents: Any) -> Any:
    return _snapped_in_trace(*numbers), tangents[0]


def floor_ratio(a: Any, b: Any) -> Any:
    """`⌊a / b⌋` of amounts of time."""
    divisor = whole(b)
    if isinstance(a, Whole) and isinstance(divisor, Whole) and divisor.least > 0 <= a.least:
        return Whole(a.value // divisor.value, 0, a.most // divisor.least)
    return floor(ratio(a, b))


@jax.custom_jvp
def quotient(a: Any, b: Any) -> Any:
    """`a / b` of traced floats, for a b that is not 0; exact where 21 bits hold it, as of 41 / 41 and of 495 / 990.

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


def divide(a: Any, b: Any) -> Any:
    """`a / b` of values, infinite or not a number where b is 0."""
    if is_concrete(a, b):
        with np.errstate(all="ignore"):
            return np.divide(host(a), host(b) + 0.0)
    if _is_wide(a, b) and is_concrete(b) and np.all(np.not_equal(host(b), 0)):
        return a / b
    if is_concrete(b) and np.all(np.not_equal(b, 0)):
        return _divided_by_known(real(a), host(b))
    # Where b is 0 the quotient has no derivative, and 0 by definition: so one that is not used does no harm to gradients.
    a, b = jnp.broadcast_arrays(real(a), real(b))
    at_zero = jnp.where(a > 0, float_type()(np.inf), jnp.where(a < 0, float_type()(-np.inf), float_type()(np.nan)))
    return jnp.where(b == 0, at_zero, quotient(a, jnp.where(b == 0, jnp.ones_like(b), b)))


def _divided_by_known(a: Any, b: Any) -> Any:
    least = np.finfo(float_type()).tiny
    if np.any(np.abs(b) < least):  # below the smallest normal float: scale both by 2**126
        a, b = a * float_type()(2.0**126), b * 2.0**126
        b = np.where(np.abs(b) < least, np.copysign(least, b), b)
    # A compiler that knew the divisor would multiply with 1 / b instead, exact for powers of two only.
    return quotient(*jnp.broadcast_arrays(a, jnp.where(jnp.isnan(a), a, real(b))))


def root(x: Any) -> Any:
    """The square root, 0 below 0, with derivative 0 at 0."""
    if is_concrete(x):
        return np.sqrt(host(x))
    x = real(x)
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, jnp.ones_like(x))), jnp.zeros_like(x))


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`; in a trace a base below 0 counts as 0, and derivatives are finite at 0."""
    if is_concrete(base, exponent):
        return np.power(host(base), host(exponent))
    base, exponent = jnp.broadcast_arrays(jnp.maximum(real(base), 0), real(exponent))
    one, zero = jnp.ones_like(base), jnp.zeros_like(base)
    at_zero = jnp.where(exponent == 0, one, zero) + base * jnp.where(exponent == 1, one, zero)
    return jnp.where(base == 0, at_zero, jax.lax.pow(jnp.where(base == 0, one, base), exponent))


def parted(part: Any, whole: Any) -> tuple[Any, Any]:
    """A traced part of a whole, rounded as the rest is, and the rest: both add up to the whole exactly, as floats.

    Of a part below half of the whole the rest is above it, and so is what that leaves exact; any other has an exact rest.
    """
    # A compiler may fuse the product that a part is made of with a difference, and so not round it; but not through a choice.
    part, whole = real(part), real(whole)
    rest = whole - jnp.where(jnp.isnan(part), jnp.zeros_like(part), part)
    return whole - rest, rest


def saturated(x: Any) -> Any:
    """The number, or the largest float of its sign if it is larger than that."""
    if is_concrete(x):
        return np.maximum(np.minimum(host(x), largest()), -largest())[()]
    # Not by a minimum, through which 0 · inf gets into derivatives.
    return jnp.where(jnp.abs(x) > float_type()(largest()), _limit(x), x)


def _limit(x: Any) -> Any:
    limit = float_type()(largest())
    return jnp.where(x > 0, limit, -limit)


def kept_finite(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operation on values, where its result is too large for a float that float of its sign; x / 0 stays what it is."""

    def apply(a: Any, b: Any) -> Any:
        value = operation(a, b)
        if type(value) is float and math.isfinite(value):
            return value
        if isinstance(value, Wide):
            return value
        finite = [jnp.isfinite(x) if not is_concrete(x) else np.isfinite(host(x)) for x in map(real_if_traced, (a, b))]
        if operation is divide:
            finite.append(np.not_equal(host(b), 0) if is_concrete(b) else real(b) != 0)
        if is_concrete(value):
            overflows = np.isinf(value) & np.logical_and.reduce(np.broadcast_arrays(*finite))
            return where(overflows, np.copysign(HOST_MAX, value), value)
        overflows = jnp.isinf(value)
        for condition in finite:
            overflows = overflows & condition
        return jnp.where(overflows, _limit(value), value)

    return apply


def real_if_traced(x: Any) -> Any:
    """The number as a float where it is traced."""
    return x if is_concrete(x) else real(x)


def table(entries: list[Any]) -> Any:
    """A table of rank 1 of its entries, each a number or a batch of numbers."""
    if is_concrete(*entries):
        return np.stack(np.broadcast_arrays(*map(host, entries)), axis=-1)
    if any(isinstance(x, Wide) for x in entries):
        highs, lows = ([getattr(in_floats(x), name) for x in entries] for name in ("high", "low"))
        return Double(*(jnp.stack(jnp.broadcast_arrays(*xs), axis=-1) for xs in (highs, lows)))
    return jnp.stack(jnp.broadcast_arrays(*map(real, entries)), axis=-1)


def ascending(table: Any) -> Any:
    """A table of rank 1 with its entries sorted."""
    if is_concrete(table):
        return np.sort(host(table), axis=-1)
    if isinstance(table, Double):
        return Double(*jax.lax.sort(tuple(jnp.broadcast_arrays(table.high, table.low)), num_keys=2))
    return jnp.sort(real(table), axis=-1)


def pick_time(table: Any, row: Any) -> Any:
    """The entries of a table of times in rows, with all of their digits."""
    if is_concrete(table, row) or x64():
        return pick(table, row)
    table = whole(host(table)) if is_concrete(table) else table
    if isinstance(table, Whole):
        return Whole(_picked(table.value, row), table.least, table.most)
    table = in_floats(table)
    return Double(
        *(_picked(jnp.broadcast_to(x, table.shape) if not is_concrete(x) else x, row) for x in (table.high, table.low))
    )


def pick(table: Any, row: Any) -> Any:
    """The entries of a table of rank 1 in rows."""
    if is_concrete(table, row):
        return np.asarray(host(table), np.float64)[row]
    return _picked(real(table), row)


def _picked(table: Any, row: Any) -> Any:
    if is_concrete(table) and np.size(table) <= _FEWER:
        return functools.reduce(lambda found, k: jnp.where(row >= k, table[k], found), range(1, np.size(table)), table[0])
    return jnp.asarray(table).at[row].get(mode="promise_in_bounds")


def row_of(points: Any, t: Any) -> Any:
    """The row of the last of rising points that a time has reached, 0 before all of them."""
    if is_concrete(points, t):
        return np.maximum(np.searchsorted(host(points), t, side="right") - 1, 0)
    if points.shape[-1] < _FEW:
        reached = [jnp.asarray(at_least(t, points[i]), np.int32) for i in range(1, points.shape[-1])]
        return sum(reached, start=jnp.zeros(np.shape(t), np.int32))
    if x64():
        return jnp.maximum(jnp.searchsorted(real(points), real(t), side="right") - 1, 0)
    if isinstance(t, Whole) and is_concrete(points):  # which has reached a point once it has reached the point rounded up
        starts = np.minimum(np.ceil(host(points)), 2.0**32 - 1).astype(np.uint32)
        return _row_of_known(starts, jnp.maximum(t.value, 0).astype(np.uint32))
    last = points.shape[-1] - 1

    def halve(_: Any, rows: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = rows
        middle = (low + high + 1) >> 1
        reached = at_least(in_floats(t), pick_time(points, middle))
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle - 1)

    first = jnp.zeros(np.shape(t), np.int32), jnp.full(np.shape(t), last, np.int32)
    return jax.lax.fori_loop(0, last.bit_length(), halve, first)[0]


def _row_of_known(starts: np.ndarray, now: Any) -> Any:
    """Each number first finds its bucket, one of four a row, and then searches the rows of that bucket, mostly few."""
    last = len(starts) - 1
    shift = max(int(starts[-1]).bit_length() - (4 * last).bit_length(), 0)
    edges = np.arange((int(starts[-1]) >> shift) + 2) << shift
    first = np.maximum(starts.searchsorted(edges, side="right").astype(np.int32) - 1, 0)
    most = int(np.max(np.minimum(np.diff(first), last)))  # rows in a bucket, beside the first
    low = _picked(first, jnp.minimum(now >> now.dtype.type(shift), len(edges) - 2).astype(np.int32))

    def halve(_: Any, rows: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = rows
        middle = (low + high + 1) >> 1
        reached = _picked(starts, middle) <= now
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle - 1)

    depth = most.bit_length()
    return jax.lax.fori_loop(0, depth, halve, (low, jnp.minimum(low + most, last)), unroll=depth <= 2 or 1)[0]


def next_entries(table: Any) -> Any:
    """For each entry of a table of rank 1 the one after; the last one for itself."""
    if is_concrete(table):
        return np.append(host(table)[1:], host(table)[-1:])
    return jax.tree.map(lambda x: jnp.append(x[1:], x[-1:]), table)


_FEW = 32  # to compare with each of fewer points is faster than to search among them
_FEWER = 8  # to choose among so many numbers is faster than to look one up


def at_least(t: Any, steps: Any) -> Any:
    """Whether a time is `steps` or later."""
    if is_concrete(t, steps):
        return np.greater_equal(host(t), host(steps))[()]
    return wide(t) >= steps


def result(value: Any, shape: tuple[int, ...]) -> jax.Array:
    """What a schedule returns: a strongly typed JAX array of the shape of the steps, without a negative zero."""
    if type(value) is float and math.isfinite(value):  # most calls outside a trace
        array = np.asarray(min(max(value + 0.0, -largest()), largest()), float_type())
        return jnp.asarray(array if shape == () else np.broadcast_to(array, shape))
    if is_concrete(value):
        number = host(value)
        with np.errstate(over="ignore"):
            array = np.array(number, float_type()) + float_type()(0)
        if not np.all(np.isfinite(array)):  # what is finite, and too large for the type, is its largest number
            array = np.where(np.isinf(array) & np.isfinite(number), np.copysign(float_type()(largest()), array), array)
        return jnp.asarray(array if array.shape == shape else np.broadcast_to(array, shape))
    zero = np.zeros((), float_type())  # a compiler takes x + 0 for x, but not 0 - (0 - x)
    return jnp.broadcast_to(zero - (zero - real(value)), shape)
