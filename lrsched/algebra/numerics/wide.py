"""Numbers of 64 bits in a trace, without x64.

They are made of two uint32 and an exponent. What does not fit is cut off: so a sum or a product that fits into 64 bits is
exact, and any other is low by up to 2**-63 of itself. Integers carry no derivative: beside them goes a float, which does.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import powers
from lrsched.algebra.numerics.amounts import carried, choose, no_part, signed, times, units
from lrsched.algebra.numerics.kinds import Number, Span, host, is_concrete, real


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
        return Wide(_product(self.digits, other.digits), self.rough * other.rough)

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

    def floats(self) -> tuple[Any, Any]:
        """The number, below 2**64 or so, in two float32 without derivatives: its first 47 bits at least."""
        high, low, exponent = self.digits
        exponent = real(jnp.minimum(exponent - 31, 32))
        head = powers.scaled(real(high & np.uint32(0xFFFFFF00)), exponent)
        rest = powers.scaled(real(high & np.uint32(0xFF)) + real(low) * np.float32(2.0**-32), exponent)
        total = head + rest
        return total, rest - (total - head)

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
        whole = _of_whole(number.whole)
        return Wide(whole if no_part(number) else _total(whole, _of_float(number.part)), real(number))
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


def _of_host(x: Any) -> Digits:
    """The digits of a float64, or of an array of them."""
    mantissa, exponent = np.frexp(np.clip(np.asarray(x, np.float64), 0.0, 1e30))
    high = np.floor(np.ldexp(mantissa, 32))
    low = np.ldexp(np.ldexp(mantissa, 32) - high, 32)
    exponent = np.where(mantissa > 0, exponent - 1, _NOTHING)
    return Digits(high.astype(np.uint32), low.astype(np.uint32), exponent.astype(np.int32))


def _of_float(x: Any) -> Digits:
    """The digits of a traced float32."""
    x = jnp.clip(real(x), np.float32(0), np.float32(1e30))
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    exponent = (bits >> 23) - 127
    something = exponent > -127
    high = jnp.where(something, (bits & 0x7FFFFF) | 0x800000, 0).astype(np.uint32) << 8
    return Digits(high, jnp.zeros_like(high), jnp.where(something, exponent, _NOTHING))


def of_two_floats(high: Any, low: Any) -> Digits:
    """The digits of a sum of two float32, of which the second is at most half a unit in the last place of the first."""
    digits = _of_float(high)
    rest = powers.scaled(low, real(31 - digits.exponent))
    whole = jnp.floor(rest)
    first = digits.high + whole.astype(np.int32).astype(np.uint32)
    return _normal(first, units(rest - whole), digits.exponent)


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


def _total(a: Digits, b: Digits) -> Digits:
    """`a + b`."""
    swapped = _below(a, b)
    a, b = _chosen(swapped, b, a), _chosen(swapped, a, b)
    beyond, high, low = _sum(a.high, a.low, *_shifted(b.high, b.low, a.exponent - b.exponent))
    half = _shifted(high, low, np.int32(1))
    high, low = jnp.where(beyond, half[0] | np.uint32(2**31), high), jnp.where(beyond, half[1], low)
    return Digits(high, low, a.exponent + beyond.astype(np.int32))


def _product(a: Digits, b: Digits) -> Digits:
    """`a · b`."""
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


def _below(a: Digits, b: Digits) -> Any:
    low = (a.high < b.high) | ((a.high == b.high) & (a.low < b.low))
    return (a.exponent < b.exponent) | ((a.exponent == b.exponent) & low)


def _chosen(condition: Any, a: Digits, b: Digits) -> Digits:
    return Digits(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))
