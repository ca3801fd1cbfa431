"""Powers in a trace, in float32: numbers in two floats, their logarithms, and exponentials of products.

A power multiplies the relative error of its base, and an exponential makes a relative error of an absolute one: both need more
bits than a float32 has. A compiler may fuse a product and a sum or not, so that exactness rests on short numbers only: the
product of two numbers of 12 bits has 24 and is a float32. Logarithms and exponentials are polynomials, for those of XLA are
loops of their own next to a division. All of it is within 3 ulp for any base and exponent, and a whole time and length below
2**31; fractions of a step have the 24 bits of a float32, which tells where a length is of few steps and the exponent large.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.amounts import value
from lrsched.algebra.numerics.folding import raised, saturated
from lrsched.algebra.numerics.kinds import HOST_MAX, Span, host, is_concrete, real, x64


class Two(NamedTuple):
    """A number as the sum of two float32: a head of 12 bits, a constant to derivatives, and the rest, up to 2**-11 of it."""

    head: Any
    rest: Any

    def only_where(self, condition: Any, otherwise: float) -> "Two":
        """Another number where the condition does not hold, without a derivative."""
        return Two(jnp.where(condition, self.head, np.float32(otherwise)), jnp.where(condition, self.rest, np.float32(0)))


def known(x: Any) -> Two:
    """A float64, or an array of them, within 2**-36."""
    mantissa, exponent = np.frexp(x)
    head = np.ldexp(np.trunc(mantissa * 2**12), exponent - 12)
    return Two(np.float32(head), np.float32(x - head))


def received(x: Any) -> Two:
    """A traced float32, exactly."""
    head = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(x, np.int32) & np.int32(~0xFFF), np.float32)
    return Two(head, x - head)


def amount(a: Span) -> Two:
    """A number of ticks, below 2**31 exactly but for the rounding of a fraction."""
    if is_concrete(a):
        return known(host(a))
    head = received(value(a)).head
    whole = jnp.minimum(head, np.float32(2**31 - 128)).astype(np.int32)
    return Two(head, real(a.whole - whole) + (real(whole) - head) + a.part)


def ratio(a: Span, b: Two, inverse: Any = None) -> Two:
    """`a / b` within 2**-34, for a traced b >= LEAST: the quotient is cut to 12 bits, and what that leaves of a is exact."""
    whole, total = jnp.asarray(a.whole), b.head + b.rest
    high, low = real(whole & ~0xFF), real(whole & 0xFF)
    if inverse is None and not np.ndim(total):
        inverse = 1 / total  # once, where it is not another one for each step

    def over_total(x: Any) -> Any:
        return x / total if inverse is None else x * inverse

    head = received(over_total(value(a))).head
    return Two(head, over_total((((high - head * b.head) + low) - head * b.rest) + a.part))


LEAST = 1e-18  # whose square is a float, as derivatives need


def log2(x: Any) -> Two:
    """The logarithm of a traced float32; of one that is not above 0, that of 1."""
    x = jnp.where(x > 0, x, np.float32(1))
    large = x > np.float32(2.0**100)  # of one above 2**126 the scale is no normal float
    x = jnp.where(large, x * np.float32(2.0**-30), x)
    exponent, scale = _exponent(x)
    return _log2(jnp.where(large, exponent + 30, exponent), received(x * scale - 1))


def log2_of_rest(near: Two, is_done: Any) -> Two:
    """The logarithm of what is left of 1: of `1 - near` if `near` is what is done of it, else of `near`, both up to ½."""
    empty = jnp.logical_not(is_done) & (near.head <= 0)
    near = near.only_where(~empty, 0.5)
    exponent, scale = _exponent(jnp.where(is_done, 1 - near.head, near.head))
    # Next to 1 the logarithm is as small as what is done, and is made of that itself.
    small = is_done & (scale == 1)
    head = jnp.where(small, -near.head, jnp.where(is_done, 1 - near.head, near.head) * scale - 1)
    return _log2(exponent, Two(head, jnp.where(is_done, -near.rest, near.rest) * scale))


def difference(a: Two, b: Two) -> Two:
    """`a - b`."""
    heads = a.head - b.head
    rest = ((a.head - heads) - b.head) + (a.rest - b.rest)
    head = received(heads + rest).head
    return Two(head, (heads - head) + rest)


def _exponent(x: Any) -> tuple[Any, Any]:
    """The e and the 2**-e with which x · 2**-e lies between √½ and √2, both as floats."""
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    e = ((bits + np.int32(0x3F800000 - 0x3F3504F3)) >> 23) - 127  # the bits of 1 and of √½
    return e.astype(np.float32), jax.lax.bitcast_convert_type((127 - e) << 23, np.float32)


def _log2(exponent: Any, y: Two) -> Two:
    """`exponent + log2(1 + y)` within 2**-30 of the logarithm, for y from √½ - 1 to √2 - 1.

    With z = y / (2 + y) it is 2/ln 2 · (z + z³/3 + z⁵/5 + …), of which the first term is taken in two floats. The reciprocal
    of 2 + y is a parabola and one step of Newton's: a division would be a loop of its own.
    """
    total = y.head + y.rest
    inverse = series(2 + total, _RECIPROCAL)
    inverse = inverse * (2 - (2 + total) * inverse)
    head = received(total * inverse).head
    rest = ((((y.head - 2 * head) - head * y.head) + y.rest) - head * y.rest) * inverse
    z = head + rest
    first = head * _DOUBLE.head
    more = (head * _DOUBLE.rest + rest * np.float32(2 / _LN2)) + z * (jnp.square(z) * series(jnp.square(z), _ARTANH))
    cut = received(exponent + (first + more)).head
    return Two(cut, ((exponent - cut) + first) + more)


_LN2 = math.log(2)
_DOUBLE = known(2 / _LN2)
_RECIPROCAL = (1.48146408, -0.72608254, 0.11774244)  # of 1 / x from 1 + √½ to 1 + √2, within 7e-4
_ARTANH = (0.96179669, 0.57707978, 0.41190070, 0.33660048)  # of 2/ln 2 · (1/3 + w/5 + w²/7 + …) up to 0.0295, within 2e-9
_RISE = (0.693147188, 0.240226509, 0.0555035710, 0.00961805667, 0.00133908674, 0.000154614475)  # of (2**f - 1) / f, within 8e-9


def series(x: Any, coefficients: Any) -> Any:
    """The sum of coefficients times rising powers of x."""
    return functools.reduce(lambda total, c: total * x + np.float32(c), reversed(coefficients), np.float32(0))


def exp2_of_product(a: Two, b: Two) -> tuple[Any, Any]:
    """`2 ** (a · b)`, for a product below 1e38, as `2**n · (1 + r)` with a whole n and an r accurate where it is small, too."""
    exact = a.head * b.head
    near = jnp.round(exact)
    fraction = (exact - near) + (a.head * b.rest + a.rest * (b.head + b.rest))
    more = jnp.round(fraction)
    fraction = fraction - more
    return near + more, fraction * series(fraction, _RISE)


def scaled(number: Any, whole: Any) -> Any:
    """`number · 2**whole`, in two factors, since the exponent of one reaches only from -126 to 127."""
    # Of 0 the derivative is the scale itself, which is to be a float.
    whole = jnp.clip(whole, np.float32(-254), jnp.where(number == 0, np.float32(127), np.float32(254)))
    half = jnp.floor(whole * np.float32(0.5))
    return number * _exp2(half) * _exp2(whole - half)


def _exp2(whole: Any) -> Any:
    """2 to a whole power from -126 to 127, exactly, and 0 for -127: written into the exponent bits."""
    bits = jax.lax.bitcast_convert_type(whole + np.float32(1.5 * 2**23), np.int32)  # whose last bits are those of the whole
    return jax.lax.bitcast_convert_type((bits << 23) + np.int32(127 << 23), np.float32)


def weights_of_power(logarithm: Two, exponent: Two) -> tuple[Any, Any]:
    """`x ** exponent` and `1 - x ** exponent` by the logarithm of an x up to 1, each accurate by itself."""
    whole, rise = exp2_of_product(logarithm, exponent)
    power = (1 + rise) * _exp2(jnp.maximum(whole, np.float32(-127)))
    return power, jnp.where(whole == 0, -rise, 1 - power)


def exponential(start: Any, base: Any, time: Two) -> Any:
    """`start · base ** time` for a base > 0 that is known in float64, or a traced one >= 0; too large is the largest float."""
    slope = known(np.log2(host(base))) if is_concrete(base) else log2(real(base))
    # Far below the smallest float there is no derivative, rather than one that is infinite on the way.
    vanished = slope.head * time.head < -300
    whole, rise = exp2_of_product(slope.only_where(~vanished, 0.0), time)
    value = saturated(scaled(real(start) * (1 + rise), jnp.where(vanished, np.float32(-254), whole)))
    if is_concrete(base):
        return value
    # At a base of 0: 1 at time 0, and 0 later, where it has the derivative of the base itself at time 1.
    now, base = time.head + time.rest, jnp.maximum(real(base), np.float32(0))
    at_zero = jnp.where(now == 0, real(start), real(start) * base * (now == 1).astype(np.float32))
    return jnp.where(base > 0, value, at_zero)


def grown(value: Any, base: Any, count: Any) -> Any:
    """`value · base ** count` for a whole count >= 0 and a base of any sign; what is too large is the largest float."""
    if is_concrete(value, base, count):
        half = np.floor(host(count) / 2)
        first, second = (np.clip(np.power(host(base), n), -HOST_MAX, HOST_MAX) for n in (half, host(count) - half))
        return saturated(host(value) * first * second)
    known_sign = is_concrete(base) and not np.ndim(base)
    if x64() or not jnp.issubdtype(jnp.result_type(count), jnp.integer) or (known_sign and host(base) == 0):
        sign, size = real(base) < 0, jnp.abs(real(base))
        grown = raised(real(value), size, count)
    else:
        sign = host(base) < 0 if known_sign else real(base) < 0
        size = abs(host(base)) if known_sign else jnp.where(sign, -real(base), real(base))
        grown = exponential(value, size, amount(Span(count, 0.0)))
    return jnp.where(sign & (count % 2 == 1), -grown, grown)
