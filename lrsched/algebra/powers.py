"""The progress of a ramp, with its sines and powers; and exponentials.

A power multiplies the relative error of its base, and an exponential turns an absolute error into a relative one. So a trace
computes 2 to an exponent with more bits than a float32; the whole part of the exponent goes into the bits of the result.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.double import MOST, double, split
from lrsched.algebra.numerics import (
    Condition,
    Real,
    extended,
    is_concrete,
    minimum,
    saturated,
    to_float,
    to_float64,
    where,
    x64,
)

_LN2 = math.log(2)
_SINE_SQUARED = (2.46740110, -2.02935571, 0.667619980, -0.117537184, 0.0123135558)  # sin²(πx/2) / x² by x², for x up to ½
_RISE = (0.693147188, 0.240226509, 0.0555035710, 0.00961805667, 0.00133908674, 0.000154614475)  # (2**f - 1) / f, for f up to ½
_ARTANH = (0.96179669, 0.57707978, 0.41190070, 0.33660048)  # 2/ln 2 · (1/3 + w/5 + w²/7 + …), for w up to 0.0295


class Progress:
    """How much of a length is done, and how much is left. A length of 0 is done.

    Args:
        now: an amount of time; before 0 it counts as 0.
        length: an amount of time.
    """

    def __init__(self, now: Real, length: Real) -> None:
        self._known = is_concrete(now, length)
        self._now, self._length = numerics.maximum(extended(now), 0.0), extended(length)
        self._rest = self._length - self._now

    @functools.cached_property
    def _ended(self) -> Condition:
        return self._rest <= 0.0

    @functools.cached_property
    def done(self) -> Real:
        """The fraction done, accurate on its own; exactly 0 at the start and 1 from the end on."""
        return where(self._ended, 1.0, self._fraction(self._now))

    @functools.cached_property
    def left(self) -> Real:
        """The fraction left, accurate on its own; exactly 1 at the start and 0 from the end on."""
        return where(self._ended, 0.0, self._fraction(self._rest))

    def _fraction(self, part: Real) -> Real:
        length = numerics.maximum(numerics.as_value(self._length), numerics.LEAST)
        return part / length if self._known else numerics.quotient(*jnp.broadcast_arrays(to_float(part), to_float(length)))

    def sine_squared(self) -> tuple[Real, Real]:
        """`sin²(πq/2)` and `sin²(πp/2)` of the fractions q left and p done, which add up to 1."""
        if self._known or x64():
            sine = np.sin if self._known else jnp.sin
            return sine(math.pi / 2 * self.left) ** 2, sine(math.pi / 2 * self.done) ** 2
        rest = where(self._ended, 0.0, self._rest)
        is_done = to_float(self._now) < to_float(rest)
        part = where(is_done, self._now, rest)
        fraction = self._fraction(part)
        square = jnp.square(fraction)
        if is_concrete(self._length):  # the square doubles the rounding error of the fraction, so here it is corrected
            part, length, (head, tail) = double(part), double(self._length), split(fraction)
            (long, short), least = split(length.high), numerics.maximum(length.high, numerics.LEAST)
            error = ((part.high - head * long) - head * short - tail * length.high) + (part.low - fraction * length.low)
            square = head * head + (tail * (head + fraction) + fraction * error * (2 / least))
        small = square * _series(square, _SINE_SQUARED)
        large = 1 - small
        return jnp.where(is_done, large, small), jnp.where(is_done, small, large)

    def power(self, exponent: Real) -> tuple[Real, Real]:
        """`q ** exponent` and `1 - q ** exponent` of the fraction q left, each accurate on its own; the exponent is > 0."""
        left, done = where(self._ended, 1.0, self.left), where(self._ended, 0.0, self.done)  # so that log has a derivative
        if (known := is_concrete(left, exponent)) or x64():
            xp = np if known else jnp
            log = where(done < 0.25, xp.log1p(-where(done < 0.25, done, 0.0)), xp.log(left))
            first, second = (np.power if known else _power64)(left, exponent), -xp.expm1(exponent * log)
        else:
            exponent, left, done = double(minimum(exponent, MOST)), to_float(left), to_float(done)
            twos, scale = _exponent(left)
            log = jnp.log1p(where(twos == 0.0, -done, left * scale - 1)) * np.float32(1 / _LN2)
            head, tail = split(exponent.high)
            exact, more = head * twos, (tail + exponent.low) * twos + exponent.high * log
            whole = jnp.round(exact + more)
            rest = (exact - whole) + more
            rise = rest * _series(rest, _RISE)
            first = (1 + rise) * _exp2(jnp.maximum(whole, np.float32(-127)))
            second = jnp.where(whole == 0, -rise, 1 - first)
        return where(self._ended, 0.0, first), where(self._ended, 1.0, second)

    def logarithm(self) -> tuple[Real, Real]:
        """`1 - p` and `p`, for `p = log(1 + now) / log(1 + length)`."""
        xp, convert = (np, to_float64) if self._known else (jnp, to_float)
        now, rest = minimum(self._now, self._length), where(self._ended, 0.0, self._rest)
        total, done = xp.log1p(convert(self._length)), xp.log1p(convert(now))
        left = xp.log1p(numerics.divide(convert(rest), 1.0 + convert(now)))
        return where(self._ended, 0.0, numerics.divide(left, total)), where(self._ended, 1.0, numerics.divide(done, total))

    def geometric(self, start: Real, end: Real) -> Real:
        """`start ** q · end ** p` of the fractions q left and p done, for numbers of the same sign; the ends are exact."""
        first, last = (where(x < 0.0, -x, x) for x in (start, end))
        if self._known and is_concrete(first, last):
            value = power(first, self.left) * power(last, self.done)
        elif x64():
            value = _power64(first, self.left) * _power64(last, self.done)
        else:
            value = _times_exp2(first, self._now * numerics.ratio(_log2(last) - _log2(first), self._length))
        return where(self._ended, numerics.as_value(end), where(end < 0.0, -1.0, 1.0) * value)


def exponential(start: Real, rate: Real, t: Real) -> Real:
    """`start · rate ** t`, for a rate >= 0, saturated."""
    if is_concrete(start, rate, t):
        half = saturated(np.power(to_float64(rate), to_float64(t) / 2))  # the full power may overflow before the product does
        return saturated(to_float64(start) * half * half)
    t = extended(t)
    if x64():
        half = _power64(rate, to_float(t) / 2)
        value = saturated(saturated(to_float(start) * half) * half)
    else:
        value = _times_exp2(start, t * _log2(rate))
    start, rate, t = to_float(start), to_float(numerics.maximum(rate, 0.0)), to_float(t)
    power_of_0 = where(t == 1.0, rate, where(t == 0.0, 1.0, 0.0))  # including the derivative
    return where(rate > 0.0, value, where(t < 0.0, jnp.sign(start) * numerics.largest(), start * power_of_0))


def grown(value: Real, base: Real, count: Real) -> Real:
    """`value · base ** count` for a whole count and a base of any sign, saturated."""
    half = extended(count) * 0.5
    is_odd = numerics.floor(half) < half
    return where((base < 0.0) & is_odd, -1.0, 1.0) * exponential(value, where(base < 0.0, -base, base), count)


def power(base: Real, exponent: Real) -> Real:
    """`base ** exponent`, saturated; a base below 0 counts as 0, unless the exponent is whole."""
    base = where(numerics.floor(exponent) == exponent, base, numerics.maximum(base, 0.0))
    if is_concrete(base, exponent):
        with np.errstate(all="ignore"):
            return saturated(np.power(to_float64(base) + 0.0, to_float64(exponent)))
    return grown(1.0, base, numerics.clip(exponent, -numerics.LATEST, numerics.LATEST))


def _times_exp2(start: Real, y: Real) -> jax.Array:
    """`start · 2 ** y` in a trace, saturated; beyond the largest float its derivative is 0."""
    start = to_float(start)
    y = double(numerics.clip(double(y), -252.0, where(start == 0.0, 126.0, 252.0)))  # for start 0 the derivative is 2 ** y
    whole = jnp.round(y.high)
    rest = (y.high - whole) + y.low
    half = jnp.floor(whole * np.float32(0.5))  # since the exponent of a float only spans -126 to 127
    return saturated(saturated(start * _exp2(half)) * (1 + rest * _series(rest, _RISE)) * _exp2(whole - half))


def _power64(base: Real, exponent: Real) -> jax.Array:
    """`base ** exponent` in a float64 trace, for a base >= 0; at most 1e304, where its derivative is 0."""
    base, exponent = jnp.broadcast_arrays(to_float(base), to_float(exponent))
    positive, one = jnp.where(base > 0, base, jnp.ones_like(base)), jnp.ones_like(base)
    fits = exponent * jnp.log(positive) < 700.0
    value = jnp.where(fits, jax.lax.pow(positive, jnp.where(fits, exponent, 0 * one)), 1e304 * one)
    return jnp.where(base > 0, value, jnp.where(exponent < 0, 1e304 * one, jnp.where(exponent == 0, one, 0 * one)))


def _log2(x: Real) -> Real:
    """The logarithm to base 2; -1e30 of 0 or below."""
    positive = where(x > 0.0, x, 1.0)
    if is_concrete(x) or x64():
        value = np.log2(positive) if is_concrete(x) else jnp.log2(positive)
    else:  # for a number 1 + y between √½ and √2 it is 2/ln 2 · (z + z³/3 + z⁵/5 + …) with z = y / (2 + y)
        large = double(positive).high > np.float32(2.0**100)  # for a number above 2**126 the scale is not a normal float
        shrunk = jax.tree.map(lambda part: jnp.where(large, part * np.float32(2.0**-30), part), double(positive))
        exponent, scale = _exponent(shrunk.high)
        y = jax.tree.map(lambda part: part * scale, shrunk) - 1.0
        z = y / (y + 2.0)
        w = jnp.square(z.high)
        value = z * (2 / _LN2) + z.high * w * _series(w, _ARTANH) + jnp.where(large, exponent + 30, exponent)
    return where(x > 0.0, value, -MOST)


def _series(x: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    return functools.reduce(lambda total, c: total * x + np.float32(c), reversed(coefficients), jnp.zeros_like(x))


def _exponent(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The e for which x · 2**-e lies between √½ and √2, and 2**-e."""
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    e = ((bits + np.int32(0x3F800000 - 0x3F3504F3)) >> 23) - 127  # the bits of 1 and of √½
    return e.astype(np.float32), jax.lax.bitcast_convert_type((127 - e) << 23, np.float32)


def _exp2(whole: jax.Array) -> jax.Array:
    """2 to a whole power from -126 to 127, and 0 for -127: the power becomes the exponent bits."""
    return jax.lax.bitcast_convert_type((whole.astype(np.int32) + 127) << 23, np.float32)
