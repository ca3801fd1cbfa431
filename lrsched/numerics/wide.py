"""Numbers of 64 bits in a trace, and with them where cycles that grow or shrink begin.

A cycle begins after a sum of powers of lengths: as a float32 that is off by whole steps. These numbers are made of two uint32
and an exponent. What does not fit is cut off: so a sum or a product that fits into 64 bits is exact, and any other is low by up
to 2**-63 of itself. Integers carry no derivative: beside them goes a float, which does.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.numerics import powers
from lrsched.numerics.amounts import carried, choose, signed, times
from lrsched.numerics.kinds import Number, Span, host, is_concrete, real


class Digits(NamedTuple):
    """The number `(high · 2**32 + low) · 2**(exponent - 63)`: high is from 2**31 on, or 0, and then all of it is."""

    high: Any
    low: Any
    exponent: Any


@dataclasses.dataclass(frozen=True)
class Wide:
    """A number >= 0 in digits, which are constants to derivatives, and the float next to it, which has its derivative."""

    digits: Digits
    rough: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as of an array."""
        return np.shape(self.rough)

    @property
    def ndim(self) -> int:
        """The rank, as of an array."""
        return np.ndim(self.rough)

    def times(self, number: "Number | Span | Wide") -> "Wide":
        """The product with another number."""
        other = wide(number)
        return Wide(_times(self.digits, other.digits), self.rough * other.rough)

    def parts(self) -> tuple[Any, Any]:
        """The whole and the fraction in units of 2**-32, rounded, of a number below 2**31."""
        high, low = _shifted(self.digits.high, self.digits.low, 30 - self.digits.exponent)
        half = low & 1
        high, low = _shifted(high, low, np.int32(1))
        return _sum(high, low, np.uint32(0), half)[1:]

    def span(self) -> Span:
        """The number as ticks, within 2**-33 or the rounding of a float32 fraction."""
        whole, fraction = self.parts()
        small, fits = self.digits.exponent < 0, (self.digits.exponent < 31) & (whole < np.uint32(2**31))  # rounded up to it
        part = jnp.where(small, _float(self.digits), real(fraction) * np.float32(2.0**-32))
        exact = carried(jnp.where(small, np.uint32(0), whole).astype(np.int32), part, jnp)
        ticks = choose(fits, exact, signed(self.rough))
        return Span(ticks.whole, _with_derivative(ticks.part, self.rough))

    def two(self) -> powers.Two:
        """The number in two floats."""
        high, low, exponent = self.digits
        exponent = real(exponent - 31)
        head = powers.scaled(real(high & np.uint32(0xFFF00000)), exponent)
        rest = powers.scaled(real(high & np.uint32(0xFFFFF)) + real(low) * np.float32(2.0**-32), exponent)
        return powers.Two(head, _with_derivative(rest, self.rough))


jax.tree_util.register_dataclass(Wide, data_fields=["digits", "rough"], meta_fields=[])


def wide(number: "Number | Span | Wide") -> Wide:
    """A number >= 0 with all of its digits: of a span, those down to 2**-64 of it."""
    if isinstance(number, Wide):
        return number
    if is_concrete(number):
        return Wide(_of_host(host(number)), real(number))
    if isinstance(number, Span):
        return Wide(_plus(_of_whole(number.whole), _of_float(number.part)), real(number))
    return Wide(_of_float(number), real(number))


@jax.custom_jvp
def _derived(value: Any, number: Any) -> Any:
    del number
    return value


@_derived.defjvp
def _derived_jvp(numbers: Any, tangents: Any) -> Any:
    return _derived(*numbers), tangents[1]


def _with_derivative(value: Any, number: Any) -> Any:
    """A float with the derivative of another."""
    return _derived(*jnp.broadcast_arrays(real(value), real(number)))


# Digits

_NOTHING, _MOST = np.int32(-4096), np.int32(4096)  # exponents: of 0, and of what is more than any time
ZERO = Digits(np.uint32(0), np.uint32(0), _NOTHING)
ONE = Digits(np.uint32(2**31), np.uint32(0), np.int32(0))


def _of_host(x: Any) -> Digits:
    mantissa, exponent = np.frexp(np.clip(np.asarray(x, np.float64), 0.0, 1e30))
    high = np.floor(np.ldexp(mantissa, 32))
    low = np.ldexp(np.ldexp(mantissa, 32) - high, 32)
    exponent = np.where(mantissa > 0, exponent - 1, _NOTHING)
    return Digits(high.astype(np.uint32), low.astype(np.uint32), exponent.astype(np.int32))


def _of_float(x: Any) -> Digits:
    x = jnp.clip(real(x), np.float32(0), np.float32(1e30))
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    exponent = (bits >> 23) - 127
    something = exponent > -127
    high = jnp.where(something, (bits & 0x7FFFFF) | 0x800000, 0).astype(np.uint32) << 8
    return Digits(high, jnp.zeros_like(high), jnp.where(something, exponent, _NOTHING))


def _of_whole(x: Any) -> Digits:
    x = jnp.maximum(jnp.asarray(x, np.int32), 0).astype(np.uint32)
    return _normal(x, jnp.zeros_like(x), np.int32(31))


def _normal(high: Any, low: Any, exponent: Any) -> Digits:
    """Digits of which the first may be 0."""
    empty = high == 0
    high, low = jnp.where(empty, low, high), jnp.where(empty, jnp.zeros_like(low), low)
    zeros = jax.lax.clz(high)
    high, low = (high << zeros) | (low >> (32 - zeros)), low << zeros
    exponent = exponent - jnp.where(empty, 32, 0) - zeros.astype(np.int32)
    return Digits(high, low, jnp.where(high == 0, _NOTHING, exponent))


def _float(a: Digits) -> Any:
    """The float next to the number, and not much above 1e36."""
    mantissa = real(a.high) * np.float32(2.0**-31) + real(a.low) * np.float32(2.0**-63)
    return powers.scaled(mantissa, real(jnp.minimum(a.exponent, 120)))


def _shifted(high: Any, low: Any, by: Any) -> tuple[Any, Any]:
    """Two words shifted to the right; a shift by 32 or more, or by less than 0, leaves nothing of a word."""
    by = jnp.asarray(by).astype(np.uint32)
    return high >> by, (low >> by) | (high << (32 - by)) | (high >> (by - 32))


def _sum(high: Any, low: Any, more_high: Any, more_low: Any) -> tuple[Any, Any, Any]:
    """The sum of two numbers of two words: the bit beyond them, and the two words."""
    total = low + more_low
    first = high + more_high
    second = first + (total < low).astype(np.uint32)
    return (first < high) | (second < first), second, total


def _plus(a: Digits, b: Digits) -> Digits:
    swapped = _less(a, b)
    a, b = _where(swapped, b, a), _where(swapped, a, b)
    beyond, high, low = _sum(a.high, a.low, *_shifted(b.high, b.low, a.exponent - b.exponent))
    half = _shifted(high, low, np.int32(1))
    high, low = jnp.where(beyond, half[0] | np.uint32(2**31), high), jnp.where(beyond, half[1], low)
    return Digits(high, low, a.exponent + beyond.astype(np.int32))


def _times(a: Digits, b: Digits) -> Digits:
    zero = np.uint32(0)
    first, last = times(a.high, zero, b.high), times(a.low, zero, b.low)
    middle, other = times(a.high, zero, b.low), times(a.low, zero, b.high)
    beyond, *middle = _sum(*middle, *other)
    more, upper, lower = _sum(middle[0], middle[1], zero, last[0])
    carry = beyond.astype(np.uint32) + more.astype(np.uint32)
    _, high, low = _sum(*first, carry, upper)
    full = high >> 31 == 1
    high, low = jnp.where(full, high, (high << 1) | (low >> 31)), jnp.where(full, low, (low << 1) | (lower >> 31))
    exponent = jnp.clip(a.exponent + b.exponent + full.astype(np.int32), _NOTHING, _MOST)
    return Digits(high, low, jnp.where(high == 0, _NOTHING, exponent))


def _rest_of_one(a: Digits) -> Digits:
    """`1 - a`, within 2**-64, or 0 where a is 1 or more."""
    high, low = _shifted(a.high, a.low, -1 - a.exponent)
    rest = _normal(jnp.where(low == 0, np.uint32(0) - high, ~high), np.uint32(0) - low, np.int32(-1))
    return _where((high | low) == 0, _where(a.exponent < 0, ONE, ZERO), rest)


def _less(a: Digits, b: Digits) -> Any:
    low = (a.high < b.high) | ((a.high == b.high) & (a.low < b.low))
    return (a.exponent < b.exponent) | ((a.exponent == b.exponent) & low)


def _where(condition: Any, a: Digits, b: Digits) -> Digits:
    return Digits(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))


# Cycles

_LEVELS = 31  # cycles are counted in 31 bits


def cycle(now: Span, length: Wide, stretch: Any, last: Any) -> tuple[Any, Span, Wide]:
    """In which cycle it is (0, 1, …, last), when that began, and how long it lasts in terms of the first, of that length.

    A start that is a whole number of ticks, below 2**31 of them, fits into 64 bits with all that it is made of, and is exact.
    Any other is off by what was cut off, 2**-63 of it, some hundred times: by less than 2**-20 ticks, of the length given. A
    length that is a sum or a product with a fraction was rounded to a float32 fraction before, and each cycle adds that.
    """
    ticks = wide(now).digits
    index, total, growth = _search(length.digits, stretch, last, lambda start: ~_less(ticks, start), np.shape(now.whole))
    start, growth = _as_numbers(length, stretch, index, total, growth)
    return index, start.span(), growth


def sum_of_cycles(length: Wide, stretch: Any, count: Any) -> Wide:
    """How long so many cycles last together."""
    index, total, growth = _search(length.digits, stretch, count, lambda start: start.exponent <= 2 * _MOST, ())
    return _as_numbers(length, stretch, index, total, growth)[0]


def _search(length: Digits, stretch: Any, last: Any, reached: Any, shape: tuple[int, ...]) -> tuple[Any, Digits, Digits]:
    """The last cycle whose start is reached: its number, the sum of the cycles before it and itself, in first lengths.

    The sums S of 2**j cycles and the growth K over them are made by doubling, as far as any is reached. The index is built from
    the longest down: after m cycles and then n more the sum is S_n + K_n · S_m, a sum of what is not below 0, so that nothing
    cancels.
    """
    last = np.int32(2**31 - 1) if last is None else last
    table, levels = _doubled(stretch, lambda j, total: jnp.any(reached(_times(length, total)) & (last >= np.int32(1) << j)))

    def row(level: Any) -> Any:
        return jax.tree.map(lambda x: x[level], table)

    def extend(state: Any) -> Any:
        level, index, total = state
        level = level - 1
        more, (sums, factor) = np.int32(1) << level, row(level)
        candidate = _plus(sums, _times(factor, total))
        taken = reached(_times(length, candidate)) & (last - index >= more)
        return level, jnp.where(taken, index + more, index), _where(taken, candidate, total)

    def grow(level: Any, growth: Digits) -> Digits:
        return _where((index >> level) & 1 == 1, _times(growth, row(level)[1]), growth)

    shape = jnp.broadcast_shapes(shape, np.shape(length.high), np.shape(stretch), np.shape(last))
    nothing, zero, one = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), (np.int32(0), ZERO, ONE))
    _, index, total = jax.lax.while_loop(lambda state: state[0] > 0, extend, (levels, nothing, zero))
    # In a loop of its own: a compiler calculates what a loop hands on once for each number of it.
    return index, total, jax.lax.fori_loop(0, levels, grow, one)


def _doubled(stretch: Any, goes_on: Any) -> tuple[Any, Any]:
    """Of 1, 2, 4, … cycles the sum of their lengths and the growth over them, in terms of the first; and how many are known.

    A square doubles the relative error of a power. So near 1 the growth is made of the sum, as `1 + (stretch - 1) · sum`, which
    does not; from ½ or 2 on it is squared, and has few doublings left until it is next to nothing, or beyond any time. That
    difference is exact for the only ones it is used for, from ½ to 2.
    """
    number = real(stretch)
    ratio, slope = _of_float(number), _of_float(jnp.abs(number - np.float32(1)))
    shrinks = _less(ratio, ONE)

    def double(state: Any) -> Any:
        level, (total, growth), table = state
        table = jax.tree.map(lambda rows, x: rows.at[level].set(x), table, (total, growth))
        doubled = _plus(total, _times(growth, total))
        near = (growth.exponent == 0) | (growth.exponent == -1)
        change = _times(_where(near, slope, growth), _where(near, doubled, growth))
        grown = _where(near, _where(shrinks, _rest_of_one(change), _plus(ONE, change)), change)
        return level + 1, (doubled, grown), table

    one = Digits(*(jnp.broadcast_to(x, np.shape(number)) for x in ONE))
    empty = jax.tree.map(lambda x: jnp.zeros((_LEVELS, *x.shape), x.dtype), (one, ratio))
    levels, _, table = jax.lax.while_loop(
        lambda state: (state[0] < _LEVELS) & goes_on(state[0], state[1][0]), double, (np.int32(0), (one, ratio), empty)
    )
    return table, levels


def _as_numbers(length: Wide, stretch: Any, index: Any, total: Digits, growth: Digits) -> tuple[Wide, Wide]:
    """The start of a cycle and the growth until then, with the derivatives that they have in the length and the stretch."""
    start = _times(length.digits, total)
    numbers = jnp.broadcast_arrays(_float(start), _float(growth), length.rough, real(stretch), index)
    rough = _with_slopes(*numbers)
    return Wide(start, rough[0]), Wide(growth, rough[1])


@jax.custom_jvp
def _with_slopes(start: Any, growth: Any, length: Any, stretch: Any, index: Any) -> tuple[Any, Any]:
    del length, stretch, index
    return start, growth


@_with_slopes.defjvp
def _with_slopes_jvp(numbers: Any, tangents: Any) -> Any:
    *_, length, stretch, index = numbers
    start, growth = _with_slopes(*numbers)
    total, slope = _sum_and_slope(stretch, index)
    growing = real(index) * growth / jnp.maximum(stretch, np.float32(powers.LEAST))
    return (start, growth), (total * tangents[2] + length * slope * tangents[3], growing * tangents[3])


def _sum_and_slope(ratio: Any, count: Any) -> tuple[Any, Any]:
    """`1 + ratio + … + ratio^(count-1)` and its derivative in the ratio, in floats, by doubling: nothing cancels."""

    def join(a: Any, b: Any) -> Any:
        """The sum, the growth and the derivatives of both, of cycles of which some come after others."""
        (s, ds, k, dk), (t, dt, m, dm) = a, b
        joined = s + k * t, ds + dk * t + k * dt, k * m, dk * m + k * dm
        return tuple(jnp.minimum(x, np.float32(1e18)) for x in joined)  # so that a product of two of them is a float

    def add(j: Any, state: Any) -> Any:
        found, double = state
        taken = (count >> j) & 1 == 1
        return tuple(jnp.where(taken, x, y) for x, y in zip(join(found, double), found, strict=True)), join(double, double)

    zero, one = jnp.zeros_like(ratio), jnp.ones_like(ratio)
    state = (zero, zero, one, zero), (one, zero, jnp.minimum(ratio, np.float32(1e18)), one)
    (total, slope, _, _), _ = jax.lax.fori_loop(0, _LEVELS, add, state)
    return total, slope
