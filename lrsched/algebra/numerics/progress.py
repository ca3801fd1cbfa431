"""How far through a ramp it is, and the functions of that which need more than a rounded fraction."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import powers
from lrsched.algebra.numerics.arithmetic import LEAST, divide, maximum, minimum, quotient, where
from lrsched.algebra.numerics.kinds import Number, as_value, extended, is_concrete, to_float, x64


class Progress:
    """How much of a length is done and how much is left; all and nothing if there is no length.

    Args:
        now: an amount of time; before 0 it counts as 0.
        length: an amount of time.
    """

    def __init__(self, now: Any, length: Any) -> None:
        self._known = is_concrete(now, length)
        self._now, self._length = maximum(extended(now), 0.0), extended(length)
        self._rest = self._length - self._now

    @functools.cached_property
    def _ended(self) -> Any:
        return self._rest <= 0.0

    @functools.cached_property
    def done(self) -> Any:
        """The fraction that is done, accurate by itself; exactly 0 at the start and 1 from the end on."""
        return where(self._ended, 1.0, self._fraction(self._now))

    @functools.cached_property
    def left(self) -> Any:
        """The fraction that is left, accurate by itself; exactly 1 at the start and 0 from the end on."""
        return where(self._ended, 0.0, self._fraction(self._rest))

    def _fraction(self, part: Any) -> Any:
        length = maximum(as_value(self._length), LEAST)
        return part / length if self._known else quotient(*jnp.broadcast_arrays(to_float(part), to_float(length)))

    @functools.cached_property
    def _smaller(self) -> tuple[Any, powers.Split]:
        """Whether less is done than left, and the fraction that is less, in two floats."""
        rest = where(self._ended, 0.0, self._rest)
        is_done = to_float(self._now) < to_float(rest)
        return is_done, powers.fraction(where(is_done, self._now, rest), self._length)

    def sine_squared(self) -> tuple[Any, Any]:
        """`sin²(πq/2)` and `sin²(πp/2)` of the fractions q left and p done, which add up to 1."""
        if self._known or x64():
            sine = np.sin if self._known else jnp.sin
            return sine(_QUARTER * self.left) ** 2, sine(_QUARTER * self.done) ** 2
        # u · Q(u) with u = x² of the smaller fraction x = head + rest, whose first square is exact; the other weight is what
        # this one leaves of 1. Q is within 9e-10, and each weight within 3 ulp.
        is_done, (head, rest) = self._smaller
        square = jnp.square(head) + rest * (2 * head + rest)
        small = square * powers.series(square, _SINE_SQUARED)
        large = np.float32(1) - small
        return jnp.where(is_done, large, small), jnp.where(is_done, small, large)

    def power(self, exponent: Number) -> tuple[Any, Any]:
        """`q ** exponent` of the fraction q left, for an exponent > 0, and what that leaves of 1."""
        if not (self._known and is_concrete(exponent)) and not x64():
            is_done, fraction = self._smaller
            exponent = minimum(exponent, 1e30)  # that of no fraction below 1 makes a difference by then
            first, second = powers.weights_of_power(powers.log2_of_rest(fraction, is_done), powers.split_number(exponent))
            return where(self._ended, 0.0, first), where(self._ended, 1.0, second)
        left, done = self.left, self.done
        # Where a logarithm is not used it is taken of 1, so that no gradient is infinite.
        xp, early = (np if is_concrete(left, done, exponent) else jnp), done < 0.25  # beyond, XLA's log1p was inexact
        log = xp.where(early, xp.log1p(-xp.where(early, done, 0.0)), xp.log(xp.where(early | (left == 0), 1.0, left)))
        return where(left == 0, 0.0, powers.power(left, exponent)), where(left == 0, 1.0, -xp.expm1(exponent * log))

    def logarithm(self) -> tuple[Any, Any]:
        """The fractions left and done of `log(1 + length)`, where `log(1 + now)` is done."""
        whole, now = 1.0 + self._length, 1.0 + minimum(self._now, self._length)
        total, left, done = map(powers.log2, (where(whole > 1.0, whole, 2.0), whole / now, now))
        return where(self._ended, 0.0, divide(left, total)), where(self._ended, 1.0, divide(done, total))

    def geometric(self, start: Any, stop: Any) -> Any:
        """`start ** q · stop ** p` of the fractions q left and p done, for numbers of one sign; each end exactly as given."""
        sizes = [where(size > 0.0, size, 1.0) for size in (abs(start), abs(stop))]  # of 0 there is no logarithm
        if x64() or (self._known and is_concrete(*sizes)):
            value = powers.power(sizes[0], self.left) * powers.power(sizes[1], self.done)
        else:
            slope = powers.split_number(powers.log2(sizes[1]) - powers.log2(sizes[0]))
            done = powers.fraction(minimum(self._now, self._length), self._length)
            value = powers.times_exp2(to_float(sizes[0]), slope, done)
        sign = where(stop < 0.0, -1.0, where((start == 0.0) | (stop == 0.0), 0.0, 1.0))
        return where(self._ended, as_value(stop), sign * value)


_QUARTER = math.pi / 2  # of a turn
_SINE_SQUARED = (
    2.4674010984934927,
    -2.0293557073417188,
    0.6676199803504476,
    -0.11753718416119796,
    0.012313555797614228,
)  # of sin²(πx/2) / x² in powers of x², for x up to ½
