"""How far through a ramp it is, and the functions of that which need more than a rounded fraction."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import amounts, powers
from lrsched.algebra.numerics.folding import all_floats, minimum, multiply, negative, power, quotient, subtract, where
from lrsched.algebra.numerics.kinds import Number, Span, float_type, host, is_concrete, real, x64


class Progress:
    """How much of a length is done and how much is left; all and nothing if there is no length.

    Args:
        now: an amount of time >= 0: a float64 on the host, a span in a trace.
        length: an amount of the same kind.
        inverse: 1 over the length, in float32, if it is known.
    """

    def __init__(self, now: Any, length: Any, inverse: Any = None) -> None:
        self._now, self._length, self._inverse = now, length, inverse

    @property
    def done(self) -> Any:
        """The fraction that is done, accurate by itself; exactly 0 at the start and 1 from the end on."""
        return self._fractions[0]

    @property
    def left(self) -> Any:
        """The fraction that is left, accurate by itself; exactly 1 at the start and 0 from the end on."""
        return self._fractions[1]

    @functools.cached_property
    def _fractions(self) -> tuple[Any, Any]:
        if not isinstance(self._now, Span):
            done = minimum(self._now, self._length)
            safe = where(self._length > 0, self._length, 1.0)
            return where(done >= self._length, 1.0, done / safe), (self._length - done) / safe
        # A compiler may turn x / n into x · (1/n), whose value at x = n need not be 1: both ends are set, not computed.
        safe = jnp.maximum(amounts.value(self._length), float_type()(powers.LEAST))
        one, zero = np.ones((), float_type()), np.zeros((), float_type())
        done = jnp.where(self._ended, one, quotient(amounts.value(self._now), safe))
        # Before it begins nothing is done: 1 - done is 1 exactly, and has the slope that done has.
        begun = amounts.less(amounts.ZERO, self._now)
        left = jnp.where(self._ended, zero, jnp.where(begun, quotient(amounts.value(self._rest), safe), one - done))
        return done, left

    @functools.cached_property
    def _ended(self) -> Any:
        return jnp.logical_not(amounts.less(self._now, self._length))

    @functools.cached_property
    def _rest(self) -> Span:
        return amounts.choose(self._ended, amounts.ZERO, amounts.apart(self._length, self._now))

    def _ratio(self, part: Span) -> powers.Two:
        """A part of the length as a fraction in two floats."""
        length = powers.amount(self._length)
        return powers.ratio(part, length.only_where(length.head > powers.LEAST, powers.LEAST), self._inverse)

    @functools.cached_property
    def _nearer(self) -> tuple[Any, powers.Two]:
        """Whether less is done than left, and the fraction that is less, in two floats."""
        is_done = amounts.value(self._now) < amounts.value(self._rest)
        return is_done, self._ratio(amounts.choose(is_done, self._now, self._rest))

    def sine_squared(self) -> tuple[Any, Any]:
        """`sin²(πq/2)` and `sin²(πp/2)` of the fractions q left and p done, which add up to 1."""
        if not isinstance(self._now, Span) or x64():
            left, done = self.left, self.done
            if all_floats(left, done):
                return math.sin(_QUARTER * left) ** 2, math.sin(_QUARTER * done) ** 2
            sine = np.sin if is_concrete(left, done) else jnp.sin
            return sine(_QUARTER * left) ** 2, sine(_QUARTER * done) ** 2
        # u · Q(u) with u = x² of the nearer end, x = head + rest, whose first square is exact; the other weight is what this
        # one leaves of 1. Q is within 9e-10, and each weight within 3 ulp.
        is_done, (head, rest) = self._nearer
        square = jnp.square(head) + rest * (2 * head + rest)
        small = square * powers.series(square, _SINE_SQUARED)
        large = np.float32(1) - small
        return jnp.where(is_done, large, small), jnp.where(is_done, small, large)

    def power(self, exponent: Number) -> tuple[Any, Any]:
        """`q ** exponent` of the fraction q left, for an exponent > 0, and what that leaves of 1."""
        if not (isinstance(self._now, Span) or is_concrete(exponent) or x64()):
            return Progress(amounts.span(self._now), amounts.span(self._length)).power(exponent)
        if isinstance(self._now, Span) and not x64():
            is_done, near = self._nearer
            exponent = minimum(exponent, 1e30)  # that of no fraction below 1 makes a difference by then
            exponents = powers.known(host(exponent)) if is_concrete(exponent) else powers.received(real(exponent))
            first, second = powers.weights_of_power(powers.log2_of_rest(near, is_done), exponents)
            ended = jnp.logical_not(is_done) & (near.head <= 0)
            return jnp.where(ended, np.float32(0), first), jnp.where(ended, np.float32(1), second)
        left, done = self.left, self.done
        first = where(left == 0, 0.0, power(left, exponent))
        # Where a logarithm is not used it is taken of 1, so that no gradient is infinite.
        xp, early = (np if is_concrete(left, done, exponent) else jnp), done < 0.5
        log = xp.where(early, xp.log1p(-xp.where(early, done, 0.0)), xp.log(xp.where(early | (left == 0), 1.0, left)))
        return first, where(left == 0, 1.0, negative(xp.expm1(multiply(exponent, log))))

    def geometric(self, start: Number, stop: Number) -> Any:
        """`start ** q · stop ** p` of the fractions q left and p done, for numbers of one sign; each end exactly as given."""
        left, done = self.left, self.done
        if is_concrete(done, left, start, stop):
            sign = where(host(stop) < 0, -1.0, 1.0)
            return sign * np.power(np.abs(host(start)), left) * np.power(np.abs(host(stop)), done)
        if is_concrete(start, stop):
            slope = float(np.log(abs(host(stop))) - np.log(abs(host(start))))
        else:
            slope = subtract(*(jnp.log(jnp.where(x != 0, jnp.abs(x), jnp.ones_like(x))) for x in (real(stop), real(start))))
        value = self._powers(start, stop) if isinstance(self._now, Span) and not x64() else self._product(start, stop)
        begun = multiply(start, 1.0 + multiply(slope, done))  # the start itself, with its slope
        return where(left == 0, stop, where(done == 0, begun, value))

    def _product(self, start: Number, stop: Number) -> Any:
        sizes = [where(x < 0, negative(x), x) for x in (real(start), real(stop))]
        value = multiply(power(sizes[0], self.left), power(sizes[1], self.done))
        return where(real(stop) < 0, negative(value), value)

    def _powers(self, start: Number, stop: Number) -> Any:
        """The geometric mean as a power of 2 that falls from the higher end, so that nothing overflows on the way."""
        if is_concrete(start, stop):
            ends = host(start), host(stop)
            falls = np.abs(ends[0]) >= np.abs(ends[1])
            slope = powers.known(-np.abs(np.log2(np.abs(ends[0])) - np.log2(np.abs(ends[1]))))
            sign = np.sign(ends[1])
            high = sign * np.maximum(*np.abs(ends))
        else:
            sizes = [jnp.where(x < 0, -x, x) for x in (real(start), real(stop))]
            falls, sign = sizes[0] >= sizes[1], jnp.where(real(stop) < 0, np.float32(-1), np.float32(1))
            low, high = (jnp.where(falls, *ends) for ends in (sizes[::-1], sizes))
            slope = powers.difference(powers.log2(low), powers.log2(high))
            high = sign * high
        part = amounts.choose(falls, amounts.choose(self._ended, self._length, self._now), self._rest)
        whole, rise = powers.exp2_of_product(slope, self._ratio(part))
        value = powers.scaled(real(high) * (1 + rise), whole)
        if is_concrete(start, stop):
            return value
        nothing = (real(start) == 0) | (real(stop) == 0)  # or next to it, where that is taken for 0
        return jnp.where(nothing, np.zeros((), np.float32), value)


_QUARTER = math.pi / 2  # of a turn
_SINE_SQUARED = (
    2.4674010984934927,
    -2.0293557073417188,
    0.6676199803504476,
    -0.11753718416119796,
    0.012313555797614228,
)  # of sin²(πx/2) / x² in powers of x², for x up to ½
