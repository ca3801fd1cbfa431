"""Where cycles begin that grow or shrink by a factor: after a sum of powers.

It is found by doubling: the sum S of 2**j cycles and the growth K over them make those of twice as many, S + K · S and K · K.
Then the number of the cycle is built from the longest such run down: after m cycles and then n more the sum is S_n + K_n · S_m,
a sum of what is not below 0, so that nothing cancels. This needs no logarithm, and no division by `stretch - 1`.

A square doubles the relative error of a power. So near 1 the growth is made of the sum, as `1 + (stretch - 1) · sum`, which
does not; from ½ or 2 on it is squared, and has few doublings left until it is next to nothing, or beyond any time.

In a trace these are loops. Unrolled they are a program that some versions of XLA need minutes to compile, since a fusion
computes again what its parts share. Derivatives do not pass through the loops: they are set by their formulas.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import powers
from lrsched.algebra.numerics.folding import minimum, multiply
from lrsched.algebra.numerics.kinds import HOST_MAX, Span, float_type, host, is_concrete, real
from lrsched.algebra.numerics.wide import Wide, of_two_floats, wide

_LEVELS = 31  # cycles are counted in 31 bits


class Pair(NamedTuple):
    """A number as the sum of two float32, of which the second is at most half a unit in the last place of the first."""

    high: Any
    low: Any


def in_two_floats(now: Span, length: Wide, stretch: Any, last: Any) -> tuple[Any, Span, Wide]:
    """In which cycle it is (0, 1, …, last), when that began, and how long it lasts in terms of the first, of that length.

    Where all sums and products fit into 46 bits, as of whole numbers, a start is exact. Any other below 2**31 is off by less
    than 2**-8 ticks.
    """
    time = Pair(*wide(now).floats())
    index, total, growth = _search(length, stretch, last, lambda start: ~_below(time, start), np.shape(now.whole))
    start, growth = _as_numbers(length, stretch, index, total, growth)
    return index, start.span(), growth


def sum_in_two_floats(length: Wide, stretch: Any, count: Any) -> Wide:
    """How long so many cycles last together."""
    return _as_numbers(length, stretch, *_search(length, stretch, count, lambda start: start.high >= 0, ()))[0]


def _search(length: Wide, stretch: Any, last: Any, reached: Any, shape: tuple[int, ...]) -> tuple[Any, Pair, Pair]:
    """The last cycle whose start is reached: its number, the sum of the cycles before it and itself, in first lengths.

    The runs of 2**j cycles are made as far as any is reached.
    """
    first = Pair(*length.floats())
    last = np.int32(2**31 - 1) if last is None else last
    table, levels = _doubled(stretch, lambda j, total: jnp.any(reached(_product(first, total)) & (last >= np.int32(1) << j)))

    def row(level: Any) -> Any:
        return jax.tree.map(lambda x: x[level], table)

    def extend(state: Any) -> Any:
        level, index, total = state
        level = level - 1
        more, (sums, factor) = np.int32(1) << level, row(level)
        candidate = _sum(sums, _product(factor, total))
        taken = reached(_product(first, candidate)) & (last - index >= more)
        return level, jnp.where(taken, index + more, index), _chosen(taken, candidate, total)

    def grow(level: Any, growth: Pair) -> Pair:
        return _chosen((index >> level) & 1 == 1, _product(growth, row(level)[1]), growth)

    shape = jnp.broadcast_shapes(shape, np.shape(length.rough), np.shape(stretch), np.shape(last))
    nothing, zero, one = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), (np.int32(0), _ZERO, _ONE))
    _, index, total = jax.lax.while_loop(lambda state: state[0] > 0, extend, (levels, nothing, zero))
    # In a loop of its own: a compiler calculates what a loop hands on once for each number of it.
    return index, total, jax.lax.fori_loop(0, levels, grow, one)


def _doubled(stretch: Any, goes_on: Any) -> tuple[Any, Any]:
    """Of 1, 2, 4, … cycles the sum of their lengths and the growth over them, in terms of the first; and how many are known.

    The difference `stretch - 1` is exact for the only stretches that it is used for, from ½ to 2.
    """
    if is_concrete(stretch):
        ratio, slope = (_of_host(np.minimum(host(stretch), _LARGE) - x) for x in (0.0, 1.0))
    else:
        number, nothing = wide(stretch).floats()  # of digits, which have no derivative
        ratio, slope = Pair(jnp.minimum(number, _LARGE), nothing), Pair(number - np.float32(1), nothing)

    def double(state: Any) -> Any:
        level, (total, growth), table = state
        table = jax.tree.map(lambda rows, x: rows.at[level].set(x), table, (total, growth))
        doubled = _sum(total, _product(growth, total))
        near = (growth.high >= np.float32(0.5)) & (growth.high < np.float32(2))
        change = _product(_chosen(near, slope, growth), _chosen(near, doubled, growth))
        # A compiler that knew the 1 would take (1 + x) - 1 for x; but it does not look through a choice.
        one = Pair(jnp.where(growth.high >= 0, np.float32(1), growth.high), np.float32(0))
        return level + 1, (doubled, _chosen(near, _sum(one, change), change)), table

    shape = np.shape(stretch)
    one, ratio = (jax.tree.map(lambda x: jnp.broadcast_to(x, shape), pair) for pair in (_ONE, ratio))
    empty = jax.tree.map(lambda x: jnp.zeros((_LEVELS, *shape), x.dtype), (one, ratio))
    levels, _, table = jax.lax.while_loop(
        lambda state: (state[0] < _LEVELS) & goes_on(state[0], state[1][0]), double, (np.int32(0), (one, ratio), empty)
    )
    return table, levels


def _as_numbers(length: Wide, stretch: Any, index: Any, total: Pair, growth: Pair) -> tuple[Wide, Wide]:
    """The start of a cycle and the growth until then, with the derivatives that they have in the length and the stretch."""
    start = _product(Pair(*length.floats()), total)
    numbers = jnp.broadcast_arrays(start.high, growth.high, length.rough, real(stretch), index)
    rough = _with_slopes(*numbers)
    return Wide(of_two_floats(*start), rough[0]), Wide(of_two_floats(*growth), rough[1])


# Numbers in two floats. Factors are split into short ones, whose products are exact: so it makes no difference whether a
# compiler fuses a product with a sum.

_ZERO, _ONE = Pair(np.float32(0), np.float32(0)), Pair(np.float32(1), np.float32(0))
_LARGE = np.float32(1e19)  # more than any time; its square is a float32


def _of_host(x: Any) -> Pair:
    high = np.float32(x)
    return Pair(high, np.float32(x - np.float64(high)))


def _two_sum(a: Any, b: Any) -> Pair:
    """`a + b`, and what that is off by, exactly."""
    total = a + b
    rest = total - a
    return Pair(total, (a - (total - rest)) + (b - rest))


def _normal(high: Any, low: Any) -> Pair:
    """The pair of a number and of one that is less."""
    total = high + low
    return Pair(total, low - (total - high))


def _sum(a: Pair, b: Pair) -> Pair:
    high, more = _two_sum(a.high, b.high)
    low, rest = _two_sum(a.low, b.low)
    high, more = _normal(high, more + low)
    return _normal(high, more + rest)


def _product(a: Pair, b: Pair) -> Pair:
    """`a · b`, and no more than what is large."""
    first, second = powers.received(a.high), powers.received(b.high)
    high, more = _two_sum(first.head * second.head, first.head * second.rest)
    high, rest = _two_sum(high, first.rest * second.head)
    high, low = _normal(high, (more + rest) + first.rest * second.rest)
    high, low = _normal(high, low + (a.high * b.low + a.low * b.high))
    return _chosen(high < _LARGE, Pair(high, low), Pair(_LARGE, np.float32(0)))


def _below(a: Pair, b: Pair) -> Any:
    return (a.high < b.high) | ((a.high == b.high) & (a.low < b.low))


def _chosen(condition: Any, a: Pair, b: Pair) -> Pair:
    return Pair(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))


# Numbers as floats, where those are of 64 bits


def on_host(now: Any, length: Any, stretch: Any, last: Any) -> tuple[Any, Any, Any]:
    """`in_two_floats` of concrete numbers, in float64; at an infinite time it is the last cycle."""
    runs, count, total, growth = [], 1.0, 1.0, np.minimum(stretch, _MOST)
    with np.errstate(over="ignore"):  # a start that is too large for a float is not reached
        while count < 2.0**62 and np.any((now >= length * total) & (last >= count)):
            runs.append((count, total, growth))
            count, (total, growth) = 2 * count, _twice(np, stretch, total, growth)
        found = 0.0, 0.0, 1.0
        for run in reversed(runs):
            found = _extended(np, now, length, last, found, run)
        index, total, growth = found
        return index, minimum(multiply(length, total), HOST_MAX), growth


def in_float64(now: Any, length: Any, stretch: Any, last: Any) -> tuple[Any, Any, Any]:
    """`in_two_floats` of traced numbers, in float64."""
    last = 2.0**62 if last is None else last
    index, start, growth = _found_in_float64(*jnp.broadcast_arrays(*map(real, (now, length, stretch, last))))
    return index.astype(np.int64), start, growth


@jax.custom_jvp
def _found_in_float64(now: Any, length: Any, stretch: Any, last: Any) -> tuple[Any, Any, Any]:
    one, zero = jnp.ones_like(now), jnp.zeros_like(now)

    def double(run: Any, _: Any) -> Any:
        count, total, growth = run
        return (2 * count, *_twice(jnp, stretch, total, growth)), run

    def extend(found: Any, run: Any) -> Any:
        return _extended(jnp, now, length, last, found, run), None

    _, runs = jax.lax.scan(double, (one, one, jnp.minimum(stretch, _MOST)), length=_LEVELS)
    (index, total, growth), _ = jax.lax.scan(extend, (zero, zero, one), runs, reverse=True)
    return index, length * total, growth


@_found_in_float64.defjvp
def _found_in_float64_jvp(numbers: Any, tangents: Any) -> Any:
    index, start, growth = _found_in_float64(*numbers)
    (_, length, stretch, _), (_, of_length, of_stretch, _) = numbers, tangents
    slopes = _slopes(growth, length, stretch, index.astype(np.int64), of_length, of_stretch)
    return (index, start, growth), (jnp.zeros_like(index), *slopes)


def _twice(xp: Any, stretch: Any, total: Any, growth: Any) -> tuple[Any, Any]:
    """The sum and the growth of twice as many cycles, as floats."""
    doubled = total + growth * total
    near = (growth >= 0.5) & (growth < 2)
    return xp.minimum(doubled, _MOST), xp.minimum(xp.where(near, 1 + (stretch - 1) * doubled, growth * growth), _MOST)


def _extended(xp: Any, now: Any, length: Any, last: Any, found: Any, run: Any) -> tuple[Any, Any, Any]:
    """The number of a cycle, the sum of those before it and its growth, with a run of them before it if that is reached."""
    (index, total, growth), (count, sums, factor) = found, run
    candidate = sums + factor * total
    taken = (now >= length * candidate) & (last - index >= count)
    further = index + count, candidate, xp.minimum(growth * factor, _MOST)
    return tuple(xp.where(taken, x, y) for x, y in zip(further, (index, total, growth), strict=True))


_MOST = 1e100  # more than any time; a product of three of them is a float64


# Derivatives


@jax.custom_jvp
def _with_slopes(start: Any, growth: Any, length: Any, stretch: Any, index: Any) -> tuple[Any, Any]:
    del length, stretch, index
    return start, growth


@_with_slopes.defjvp
def _with_slopes_jvp(numbers: Any, tangents: Any) -> Any:
    start, growth = _with_slopes(*numbers)
    return (start, growth), _slopes(growth, *numbers[2:], *tangents[2:4])


def _slopes(growth: Any, length: Any, stretch: Any, index: Any, of_length: Any, of_stretch: Any) -> tuple[Any, Any]:
    """The derivatives of a start and of the growth until then."""
    total, slope = _sum_and_slope(stretch, index)
    growing = real(index) * growth / jnp.maximum(stretch, float_type()(powers.LEAST))
    return total * of_length + length * slope * of_stretch, growing * of_stretch


def _sum_and_slope(ratio: Any, count: Any) -> tuple[Any, Any]:
    """`1 + ratio + … + ratio^(count-1)` and its derivative in the ratio, in floats, by doubling: nothing cancels."""

    def join(a: Any, b: Any) -> Any:
        """The sum, the growth and the derivatives of both, of cycles of which some come after others."""
        (s, ds, k, dk), (t, dt, m, dm) = a, b
        joined = s + k * t, ds + dk * t + k * dt, k * m, dk * m + k * dm
        return tuple(jnp.minimum(x, float_type()(1e18)) for x in joined)  # so that a product of two of them is a float

    def add(j: Any, state: Any) -> Any:
        found, double = state
        taken = (count >> j) & 1 == 1
        return tuple(jnp.where(taken, x, y) for x, y in zip(join(found, double), found, strict=True)), join(double, double)

    zero, one = jnp.zeros_like(ratio), jnp.ones_like(ratio)
    state = (zero, zero, one, zero), (one, zero, jnp.minimum(ratio, float_type()(1e18)), one)
    (total, slope, _, _), _ = jax.lax.fori_loop(0, _LEVELS, add, state)
    return total, slope
