"""How far through a ramp it is, and the functions of that which need more than a rounded fraction."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import powers
from lrsched.algebra.numerics.arithmetic import LEAST, all_floats, maximum, minimum, power, quotient, where
from lrsched.algebra.numerics.double import double
from lrsched.algebra.numerics.kinds import Number, host, is_concrete, real, wide, x64


class Progress:
    """How much of a length is done and how much is left; all and nothing if there is no length.

    Args:
        now: an amount of time; before 0 it counts as 0.
        length: an amount of time.
    """

    def __init__(self, now: Any, length: Any) -> None:
        self._known = is_concrete(now, length)
        self._in_two_floats = not (self._known or x64())
        self._now, self._length = (maximum(x if self._known else wide(x), 0.0) for x in (now, length))

    @functools.cached_property
    def _fractions(self) -> tuple[Any, Any]:
        now, length = self._now, self._length
        safe = where(length > 0, length, 1.0) if self._known else maximum(length, LEAST)
        if self._known:
            return where(now >= length, 1.0, now / safe), maximum(length - now, 0.0) / safe
        # A compiler may turn x / n into x · (1/n), whose value at x = n need not be 1: both ends are set, not computed.
        done = where(self._ended, 1.0, quotient(*jnp.broadcast_arrays(real(now), real(safe))))
        # Before it begins nothing is done: 1 - done is 1 exactly, and has the slope that done has.
        left = where(now > 0.0, quotient(*jnp.broadcast_arrays(real(self._rest), real(safe))), 1.0 - done)
        return done, where(self._ended, 0.0, left)

    @property
    def done(self) -> Any:
        """The fraction that is done, accurate by itself; exactly 0 at the start and 1 from the end on."""
        return self._fractions[0]

    @property
    def left(self) -> Any:
        """The fraction that is left, accurate by itself; exactly 1 at the start and 0 from the end on."""
        return self._fractions[1]

    @functools.cached_property
    def _ended(self) -> Any:
        return self._now >= self._length

    @functools.cached_property
    def _rest(self) -> Any:
        return self._length - self._now

    def _in_two(self, part: Any) -> powers.Two:
        """A part of the length as a fraction in two floats."""
        length = maximum(self._length, LEAST)
        return powers.ratio_in_two(double(part), powers.two(length), 1 / real(length))

    @functools.cached_property
    def _nearer(self) -> tuple[Any, powers.Two]:
        """Whether less is done than left, and the fraction that is less, in two floats."""
        rest = where(self._ended, 0.0, self._rest)
        is_done = real(self._now) < real(rest)
        return is_done, self._in_two(where(is_done, self._now, rest))

    def sine_squared(self) -> tuple[Any, Any]:
        """`sin²(πq/2)` and `sin²(πp/2)` of the fractions q left and p done, which add up to 1."""
        if not self._in_two_floats:
            if all_floats(self.left, self.done):
                return math.sin(_QUARTER * self.left) ** 2, math.sin(_QUARTER * self.done) ** 2
            sine = np.sin if self._known else jnp.sin
            return sine(_QUARTER * self.left) ** 2, sine(_QUARTER * self.done) ** 2
        # u · Q(u) with u = x² of the nearer end, x = head + rest, whose first square is exact; the other weight is what this
        # one leaves of 1. Q is within 9e-10, and each weight within 3 ulp.
        is_done, (head, rest) = self._nearer
        square = jnp.square(head) + rest * (2 * head + rest)
        small = square * powers.series(square, _SINE_SQUARED)
        large = np.float32(1) - small
        return jnp.where(is_done, large, small), jnp.where(is_done, small, large)

    def power(self, exponent: Number) -> tuple[Any, Any]:
        """`q ** exponent` of the fraction q left, for an exponent > 0, and what that leaves of 1."""
        if not (self._known and is_concrete(exponent)) and not x64():
            if self._known:  # but not the exponent
                return Progress(double(self._now) + jnp.float32(0), self._length).power(exponent)
            is_done, near = self._nearer
            exponent = minimum(exponent, 1e30)  # that of no fraction below 1 makes a difference by then
            first, second = powers.weights_of_power(powers.log2_of_rest(near, is_done), powers.two(exponent))
            ended = jnp.logical_not(is_done) & (near.head <= 0)
            return jnp.where(ended, np.float32(0), first), jnp.where(ended, np.float32(1), second)
        left, done = self.left, self.done
        first = where(left == 0, 0.0, power(left, exponent))
        # Where a logarithm is not used it is taken of 1, so that no gradient is infinite.
        xp, early = (np if is_concrete(left, done, exponent) else jnp), done < 0.25  # beyond, XLA's log1p was inexact
        log = xp.where(early, xp.log1p(-xp.where(early, done, 0.0)), xp.log(xp.where(early | (left == 0), 1.0, left)))
        return first, where(left == 0, 1.0, -xp.expm1(exponent * log))

    def geometric(self, start: Number, stop: Number) -> Any:
        """`start ** q · stop ** p` of the fractions q left and p done, for numbers of one sign; each end exactly as given."""
        left, done = self.left, self.done
        if is_concrete(done, start, stop):
            sign = where(host(stop) < 0, -1.0, 1.0)
            return sign * np.power(np.abs(host(start)), left) * np.power(np.abs(host(stop)), done)
        ends = [real(x) for x in (start, stop)]
        sizes = [jnp.where(x == 0, jnp.ones_like(x), jnp.abs(x)) for x in ends]
        value = self._in_a_power_of_2(start, stop) if not (self._known or x64()) else self._of_fractions(*sizes)
        value = jnp.where((ends[0] == 0) | (ends[1] == 0), jnp.zeros_like(value), jnp.where(ends[1] < 0, -value, value))
        begun = ends[0] * (1.0 + (jnp.log(sizes[1]) - jnp.log(sizes[0])) * done)  # the start itself, with its slope
        return where(left == 0, stop, where(done == 0, begun, value))

    def _of_fractions(self, start: Any, stop: Any) -> Any:
        return power(start, self.left) * power(stop, self.done)

    def _in_a_power_of_2(self, start: Any, stop: Any) -> Any:
        """The geometric mean of the sizes as a power of 2 that falls from the higher end: nothing overflows on the way."""
        if is_concrete(start, stop):
            ends = np.abs(host(start)), np.abs(host(stop))
            falls, high = ends[0] >= ends[1], real(np.maximum(*ends))
            slope = powers.two(-np.abs(np.log2(ends[0]) - np.log2(ends[1])))
        else:
            ends = [where(x < 0, -x, x) for x in (wide(start), wide(stop))]
            falls = ends[0] >= ends[1]
            low, high = (where(falls, *order) for order in (ends[::-1], ends))
            slope, high = powers.difference(powers.log2(low), powers.log2(high)), real(high)
        part = where(falls, where(self._ended, self._length, self._now), where(self._ended, 0.0, self._rest))
        whole, rise = powers.exp2_of_product(slope, self._in_two(part))
        return powers.scaled(high, 1 + rise, whole)


_QUARTER = math.pi / 2  # of a turn
_SINE_SQUARED = (
    2.4674010984934927,
    -2.0293557073417188,
    0.6676199803504476,
    -0.11753718416119796,
    0.012313555797614228,
)  # of sin²(πx/2) / x² in powers of x², for x up to ½
