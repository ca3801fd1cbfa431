"""Powers in a trace, in float32: logarithms, and exponentials of products, of numbers in two floats.

A power multiplies the relative error of its base, and an exponential makes a relative error of an absolute one: both need more
bits than a float32 has. The product of two heads of 12 bits is exact, whether or not a compiler fuses it with a sum. Logarithms
and exponentials are polynomials, for those of XLA are loops of their own next to a division. All of it is within 3 ulp.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.arithmetic import LATEST, LEAST, clip, floor, maximum, saturated, where
from lrsched.algebra.numerics.double import Double, double, split
from lrsched.algebra.numerics.kinds import extended, float_type, is_concrete, largest, to_float, to_float64, x64


class Split(NamedTuple):
    """A number as a head of 12 bits, a constant to derivatives, and the rest, up to 2**-12 of it."""

    head: Any
    rest: Any

    def only_where(self, condition: Any, otherwise: float) -> "Split":
        """Another number where the condition does not hold, without a derivative."""
        return Split(jnp.where(condition, self.head, np.float32(otherwise)), jnp.where(condition, self.rest, np.float32(0)))


def split_number(x: Any) -> Split:
    """A number as a head and the rest, all but what is beyond 2**-36 of it."""
    if is_concrete(x):  # split by the host: the oldest XLA rounds away the rest of a constant
        x = np.asarray(to_float64(x))
        mantissa, exponent = np.frexp(x)
        head = np.ldexp(np.trunc(mantissa * 2**12), exponent - 12)
        return Split(np.float32(head), np.float32(x - head))
    x = double(x)
    head, rest = split(x.high)
    return Split(head, rest + x.low)


def fraction(part: Any, whole: Any) -> Split:
    """`part / whole` within 2**-34: the quotient is cut to 12 bits, and what that leaves of the part is exact."""
    part, whole = double(part), maximum(whole, LEAST)
    inverse, divisor = 1 / to_float(whole), split_number(whole)
    head = split(part.high * inverse)[0]
    return Split(head, (((part.high - head * divisor.head) - head * divisor.rest) + part.low) * inverse)


def log2(x: Any) -> Any:
    """The logarithm of a number above 0."""
    if is_concrete(x):
        return np.log2(to_float64(x))
    if x64():
        return jnp.log2(x)
    x = double(x)
    large = x.high > np.float32(2.0**100)  # of one above 2**126 the scale is no normal float
    shrink = jnp.where(large, np.float32(2.0**-30), np.float32(1))
    high = jnp.where(x.high > 0, x.high, np.float32(1)) * shrink
    exponent, scale = _exponent(high)
    head, rest = split(high * scale - 1)
    return Double(*_log2(jnp.where(large, exponent + 30, exponent), Split(head, rest + x.low * shrink * scale)))


def log2_of_rest(near: Split, is_done: Any) -> Split:
    """The logarithm of what is left of 1: of `1 - near` if `near` is what is done of it, else of `near`, both up to ½."""
    near = near.only_where(is_done | (near.head > 0), 0.5)
    exponent, scale = _exponent(jnp.where(is_done, 1 - near.head, near.head))
    # Next to 1 the logarithm is as small as what is done, and is made of that itself.
    small = is_done & (scale == 1)
    head = jnp.where(small, -near.head, jnp.where(is_done, 1 - near.head, near.head) * scale - 1)
    return _log2(exponent, Split(head, jnp.where(is_done, -near.rest, near.rest) * scale))


def _exponent(x: Any) -> tuple[Any, Any]:
    """The e and the 2**-e with which x · 2**-e lies between √½ and √2, both as floats."""
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    e = ((bits + np.int32(0x3F800000 - 0x3F3504F3)) >> 23) - 127  # the bits of 1 and of √½
    return e.astype(np.float32), jax.lax.bitcast_convert_type((127 - e) << 23, np.float32)


def _log2(exponent: Any, y: Split) -> Split:
    """`exponent + log2(1 + y)` within 2**-30 of the logarithm, for y from √½ - 1 to √2 - 1.

    With z = y / (2 + y) it is 2/ln 2 · (z + z³/3 + z⁵/5 + …), of which the first term is taken in two floats. The reciprocal
    of 2 + y is a parabola and one step of Newton's: a division would be a loop of its own.
    """
    total = y.head + y.rest
    inverse = series(2 + total, _RECIPROCAL)
    inverse = inverse * (2 - (2 + total) * inverse)
    head = split(total * inverse)[0]
    rest = ((((y.head - 2 * head) - head * y.head) + y.rest) - head * y.rest) * inverse
    z = head + rest
    first = head * _FACTOR.head
    more = (head * _FACTOR.rest + rest * np.float32(2 / _LN2)) + z * (jnp.square(z) * series(jnp.square(z), _ARTANH))
    cut = split(exponent + (first + more))[0]
    return Split(cut, ((exponent - cut) + first) + more)


_LN2 = math.log(2)
_FACTOR = Split(np.float32(2955 / 1024), np.float32(2 / _LN2 - 2955 / 1024))
_RECIPROCAL = (1.48146408, -0.72608254, 0.11774244)  # of 1 / x from 1 + √½ to 1 + √2, within 7e-4
_ARTANH = (0.96179669, 0.57707978, 0.41190070, 0.33660048)  # of 2/ln 2 · (1/3 + w/5 + w²/7 + …) up to 0.0295, within 2e-9
_RISE = (0.693147188, 0.240226509, 0.0555035710, 0.00961805667, 0.00133908674, 0.000154614475)  # of (2**f - 1) / f, within 8e-9


def series(x: Any, coefficients: Any) -> Any:
    """The sum of coefficients times rising powers of x."""
    return functools.reduce(lambda total, c: total * x + np.float32(c), reversed(coefficients), np.float32(0))


def exp2_of_product(a: Split, b: Split) -> tuple[Any, Any]:
    """`2 ** (a · b)`, for a product below 1e38, as `2**n · (1 + r)` with a whole n and an r accurate where it is small, too."""
    exact = a.head * b.head
    near = jnp.round(exact)
    fraction = (exact - near) + (a.head * b.rest + a.rest * (b.head + b.rest))
    more = jnp.round(fraction)
    fraction = fraction - more
    return near + more, fraction * series(fraction, _RISE)


def _exp2(whole: Any) -> Any:
    """2 to a whole power from -126 to 127, exactly, and 0 for -127: written into the exponent bits."""
    bits = jax.lax.bitcast_convert_type(whole + np.float32(1.5 * 2**23), np.int32)  # whose last bits are those of the whole
    return jax.lax.bitcast_convert_type((bits << 23) + np.int32(127 << 23), np.float32)


def weights_of_power(logarithm: Split, exponent: Split) -> tuple[Any, Any]:
    """`x ** exponent` and `1 - x ** exponent` by the logarithm of an x up to 1, each accurate by itself."""
    whole, rise = exp2_of_product(logarithm, exponent)
    power = (1 + rise) * _exp2(jnp.maximum(whole, np.float32(-127)))
    return power, jnp.where(whole == 0, -rise, 1 - power)


def exponential(start: Any, rate: Any, t: Any) -> Any:
    """`start · rate ** t`, for a rate >= 0; what is too large is the largest float."""
    if is_concrete(start, rate, t):
        half = saturated(np.power(to_float64(rate), to_float64(t) / 2))  # the whole may overflow before the product does
        return saturated(to_float64(start) * half * half)
    start, positive = to_float(start), where(rate > 0.0, rate, 1.0)
    if x64():
        base, half = jnp.broadcast_arrays(to_float(positive), to_float(t) / 2)
        overflows = half * jnp.log(base) > 700.0
        half = jnp.where(overflows, 1e304, jax.lax.pow(base, jnp.where(overflows, 0.0, half)))
        value = saturated(saturated(start * half) * half)
    else:
        value = times_exp2(start, split_number(log2(positive)), split_number(t))
    if is_concrete(rate) and np.all(np.greater(rate, 0)):
        return value
    # At a rate of 0: 1 at time 0, and 0 later, where it has the derivative of the rate itself at time 1.
    now, rate = to_float(t), maximum(to_float(rate), 0.0)
    later = jnp.where(now == 0, start, start * rate * (now == 1).astype(float_type()))
    return jnp.where(rate > 0, value, jnp.where(now < 0, jnp.sign(start) * float_type()(largest()), later))


def times_exp2(start: Any, slope: Split, time: Split) -> Any:
    """`start · 2 ** (slope · time)`; what is too large is the largest float."""
    # Far below the smallest float there is no derivative, rather than one that is infinite on the way.
    vanished = slope.head * time.head < -300
    whole, rise = exp2_of_product(slope.only_where(~vanished, 0.0), time)
    overflows = _exponent(jnp.abs(start))[0] + whole > 129  # by so much that 0 · inf would get into derivatives
    whole = jnp.where(vanished, np.float32(-254), jnp.where(overflows, np.float32(0), whole))
    # Of 0 the derivative is the scale itself, which is to be a float.
    whole = jnp.clip(whole, np.float32(-254), jnp.where(start == 0, np.float32(127), np.float32(254)))
    half = jnp.floor(whole * np.float32(0.5))  # since the exponent of one float reaches only from -126 to 127
    value = saturated(start * _exp2(half) * (1 + rise) * _exp2(whole - half))
    return jnp.where(overflows, jnp.sign(start) * float_type()(largest()), value)


def grown(value: Any, base: Any, count: Any) -> Any:
    """`value · base ** count` for a whole count and a base of any sign; what is too large is the largest float."""
    half = extended(count) * 0.5
    is_odd = floor(half) < half
    return where((base < 0.0) & is_odd, -1.0, 1.0) * exponential(value, maximum(base, -base), count)


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`; a base below 0 counts as 0, unless the exponent is whole; what is too large is the largest float."""
    base = where(floor(exponent) == exponent, base, maximum(base, 0.0))
    if is_concrete(base, exponent):
        with np.errstate(all="ignore"):
            return saturated(np.power(to_float64(base) + 0.0, to_float64(exponent)))
    return grown(1.0, base, clip(exponent, -LATEST, LATEST))
