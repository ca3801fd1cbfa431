"""Amounts of time in a trace, as a whole int32 and a float32 fraction.

A float32 alone loses single steps beyond 2**24. With a span, differences of steps are taken exactly and only then rounded to
a float. (When x64 is on, int64 and float64.) Gradients pass through the fraction, of which the whole is a constant.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.numerics.folding import float_type, host, is_concrete, largest, raised, real, saturated, x64


class Span(NamedTuple):
    """`whole + part` ticks with 0 <= part < 1; the Python number 0.0 says "no part" while tracing.

    What lies beyond the last whole number stays in the part, so that comparisons still hold.
    """

    whole: Any
    part: Any


ZERO = Span(0, 0.0)


def int_type() -> Any:
    """The type of the whole of a span."""
    return np.int64 if x64() else np.int32


def last_tick() -> int:
    """The largest whole."""
    return 2**53 if x64() else 2**31 - 1


def span(ticks: Any) -> Span:
    """A number of ticks, at least 0, in whole and fraction."""
    most = largest() / 4  # no more, so that sums of spans are finite
    if is_concrete(ticks):
        ticks = np.clip(np.asarray(ticks, np.float64), 0.0, most)
        whole = np.minimum(np.floor(ticks), last_tick())
        part = ticks - whole
        part = np.where(part > 0, np.maximum(part, np.finfo(float_type()).tiny), 0.0)  # what is something stays something
        return _carried(whole.astype(int_type()), part.astype(float_type()), np)
    ticks = real(ticks)
    ticks = jnp.where(ticks >= 0, jnp.minimum(ticks, float_type()(most)), jnp.zeros_like(ticks))
    beyond = ticks > last_tick()
    floor = jnp.where(beyond, jnp.zeros_like(ticks), jnp.floor(ticks))
    whole = jnp.where(beyond, last_tick(), floor.astype(int_type()))
    return Span(whole, jnp.where(beyond, ticks - last_tick(), ticks - floor))


def _carried(whole: Any, part: Any, xp: Any) -> Span:
    """A span of a whole and a part that was rounded, perhaps up to 1."""
    carry = (part == 1) & (whole < last_tick())
    whole, part = xp.where(carry, whole + 1, whole), xp.where(carry, xp.zeros_like(part), part)
    return Span(whole, 0.0 if xp is np and not part.any() else part)


def no_part(*spans: Span) -> bool:
    """Whether it is known while tracing that the spans are whole."""
    return all(isinstance(span.part, float) for span in spans)


def each(function: Callable[[Any], Any], a: Span) -> Span:
    """A span of the whole and the part as a function makes them."""
    return Span(function(a.whole), a.part if no_part(a) else function(a.part))


def value(a: Span) -> Any:
    """The span as a float, rounded once."""
    whole = real(a.whole)
    return whole if no_part(a) else whole + a.part


def less(a: Span, b: Span) -> Any:
    """Whether a < b."""
    if no_part(a, b):
        return a.whole < b.whole
    return (a.whole < b.whole) | ((a.whole == b.whole) & (a.part < b.part))


def choose(condition: Any, a: Span, b: Span) -> Span:
    """`a` where the condition holds, else `b`."""
    whole = jnp.where(condition, a.whole, b.whole)
    return Span(whole, 0.0 if no_part(a, b) else jnp.where(condition, real(a.part), real(b.part)))


def plus(a: Span, b: Span) -> Span:
    """`a + b`."""
    added = jnp.minimum(b.whole, last_tick() - a.whole)
    whole, beyond = a.whole + added, real(b.whole - added)
    return _normal(whole, real(a.part) + real(b.part) + beyond)


def minus(a: Span, b: Span) -> Span:
    """`a - b`, 0 where a < b."""
    return choose(less(a, b), ZERO, _difference(a, b))


def _difference(a: Span, b: Span) -> Span:
    if no_part(a, b):
        return Span(a.whole - b.whole, 0.0)
    whole, part = a.whole - b.whole, real(a.part) - real(b.part)
    borrow = part < 0
    return _normal(jnp.where(borrow, whole - 1, whole), jnp.where(borrow, part + 1, part))


def _normal(whole: Any, part: Any) -> Span:
    """A span of a whole and a part that may be 1 or more, as it is of times beyond the last whole."""
    most = float_type()(2.0**52 if x64() else 2.0**31 - 128)
    carried = jnp.minimum(jnp.minimum(jnp.floor(part), most).astype(int_type()), last_tick() - whole)
    return Span(whole + carried, part - real(carried))


class Period(NamedTuple):
    """A length to divide by: whole ticks and a fraction in units of 2**-32, more exact than a float32 one."""

    whole: Any
    fraction: Any  # uint32; the Python number 0 says "none" while tracing
    early: Any = 0  # by how much, in those units, a multiple counts as reached early: more than 0 if the fraction was rounded
    slack: Any = 0  # the same for the time that is divided, where that was rounded


def period(ticks: Any) -> Period:
    """A concrete length."""
    ticks = np.maximum(np.asarray(ticks, np.float64), 0.0)
    whole = np.minimum(np.floor(ticks), last_tick())
    exact = (ticks - whole) * 2.0**32
    units = np.minimum(np.round(exact), 2.0**32 - 1)
    rounded = ticks * 2.0**20 != np.floor(ticks * 2.0**20)  # as on the host, where a float64 may have been rounded too
    early = np.where(rounded, np.minimum(np.maximum(np.ceil(ticks * 2.0**-19), 1), units), 0)
    return Period(whole.astype(np.int32), units.astype(np.uint32) if units.any() else 0, early.astype(np.uint32), _SLACK)


_SLACK = np.uint32(2**10 - 1)  # just below 2**-22: a few ulps of the float32 part of a span, less than one of a large count


def period_of(length: Span) -> Period:
    """A traced length, of which the fraction is a float32 and so exact in these units."""
    return Period(length.whole, 0 if no_part(length) else _units(length.part))


def _units(part: Any) -> Any:
    return (jnp.minimum(real(part), np.float32(1 - 2**-24)) * np.float32(2**32)).astype(np.uint32)


def derivative(a: Span) -> Any:
    """The part less what integers keep of it: next to nothing, but with the derivative that integers do not carry."""
    if no_part(a):
        return 0.0
    fraction = a.part - jnp.floor(a.part)
    return fraction - real(_units(fraction)) * np.float32(2.0**-32)


def divided(now: Span, length: Period) -> tuple[Any, Span]:
    """How many lengths have passed, and the time since the last of them, exactly; (0, now) for a length of 0.

    A multiple of a length whose fraction was rounded counts as reached 2**-32 per multiple early, so that three thirds are a
    whole however the third was rounded; of a known length also up to 2**-22 early, because time has a float32 fraction.
    """
    if no_part(now) and isinstance(length.fraction, int):
        count = jnp.where(length.whole > 0, now.whole // jnp.maximum(length.whole, 1), 0)
        return count, Span(now.whole - count * length.whole, 0.0)
    fraction = jnp.asarray(length.fraction, np.uint32)
    early = Period(length.whole, fraction - jnp.asarray(length.early, np.uint32))
    total = real(length.whole) + real(fraction) * np.float32(2.0**-32)
    safe = jnp.where(total > 0, total, np.ones((), np.float32))
    beyond = jnp.minimum(jnp.floor(real(now.part)), np.float32(2**31 - 128))  # of a time below 2**32: the whole is unsigned
    exact = jnp.asarray(now.whole).astype(np.uint32) + beyond.astype(np.uint32), _units(now.part - beyond)
    late = exact if no_part(now) else _plus(exact, length.slack)
    # A low estimate, and then what is left over it, which is short enough for a float to divide within one.
    low = jnp.minimum(jnp.floor(value(now) / safe * np.float32(1 - 2**-20)), np.float32(2**31 - 128)).astype(np.int32)
    rest = _take(late, _times(low, early))
    more = jnp.minimum(jnp.floor(_float(rest) / safe), np.float32(2**20)).astype(np.int32)
    more = jnp.where(_below(rest, _times(more, early)), more - 1, more)
    more = jnp.where(_below(rest, _times(more + 1, early)), more, more + 1)
    count = jnp.where(total > 0, low + jnp.minimum(more, last_tick() - low), 0)
    passed = _times(count, Period(length.whole, fraction))
    whole, units = _take(exact, passed)
    gone = _below(exact, passed)  # by what it was reached early
    left = _carried(whole.astype(np.int32), real(units) * np.float32(2.0**-32), jnp)
    return count, choose(gone, ZERO, left)


def _times(count: Any, length: Period) -> tuple[Any, Any]:
    """`count · length` in whole and units, for a product below 2**32, in four products of 16 bits."""
    c, f = count.astype(np.uint32), length.fraction
    mask = np.uint32(0xFFFF)
    low, high = (c & mask) * (f & mask), (c >> 16) * (f >> 16)
    first, second = (c >> 16) * (f & mask), (c & mask) * (f >> 16)
    middle = (low >> 16) + (first & mask) + (second & mask)
    carried = high + (first >> 16) + (second >> 16) + (middle >> 16)
    return c * jnp.asarray(length.whole).astype(np.uint32) + carried, (middle << 16) | (low & mask)


def _plus(a: tuple[Any, Any], units: Any) -> tuple[Any, Any]:
    total = a[1] + units
    return jnp.where(total < a[1], a[0] + 1, a[0]), total


def _take(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    whole = a[0] - b[0]
    return jnp.where(a[1] < b[1], whole - 1, whole), a[1] - b[1]


def _below(a: tuple[Any, Any], b: tuple[Any, Any]) -> Any:
    return (a[0] < b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))


def _float(a: tuple[Any, Any]) -> Any:
    return real(a[0]) + real(a[1]) * np.float32(2.0**-32)


def progress(now: Span, length: Span) -> tuple[Any, Any]:
    """The fractions (done, left) of a length, each accurate by itself; 1 and 0 for a length of 0."""
    # A compiler may turn x / n into x · (1/n), whose value at x = n need not be 1: both ends are set, not computed.
    total = value(length)
    ended, begun = jnp.logical_not(less(now, length)), less(ZERO, now)
    safe = jnp.maximum(total, float_type()(1e-18))  # whose square is still a float, as a derivative needs
    one, zero = np.ones((), float_type()), np.zeros((), float_type())
    done = jnp.where(ended, one, value(choose(ended, length, now)) / safe)
    # Before it begins nothing is done: 1 - done is 1 exactly, and has the slope that done has.
    left = jnp.where(ended, zero, jnp.where(begun, value(minus(length, now)) / safe, one - done))
    return done, left


def exp2_of_product(start: Any, slope: Any, time: Span, row: Any = None) -> Any:
    """`start · 2 ** (slope · time)` in float32, within 4 ulp, for any int32 time and a float64 slope or a row of them.

    The exponent needs more bits than a float32 has. Its slope is cut to a head of 12 bits and a small tail, the time into
    chunks of 11 bits, so that chunk · head is exact and its whole part can be split off exactly before anything is summed.
    """
    head, tail = (x if row is None else jnp.asarray(x)[row] for x in _head_and_tail(slope))
    whole, fraction = jnp.zeros((), np.float32), value(time) * tail
    for shift in (22, 11, 0):
        chunk = ((time.whole >> shift) & 0x7FF).astype(np.float32)
        product = chunk * (head * np.float32(2**shift))
        near = jnp.round(product)
        whole, fraction = whole + near, fraction + (product - near)
    if not no_part(time):
        fraction = fraction + time.part * head
    near = jnp.round(fraction)
    power_of_two = jnp.clip(whole + near, -254, 254).astype(np.int32)
    half = power_of_two >> 1  # in two factors, since the bits of one reach only from 2**-126 to 2**127
    return real(start) * jnp.exp((fraction - near) * np.float32(np.log(2))) * _exp2(half) * _exp2(power_of_two - half)


def _head_and_tail(x: Any) -> tuple[Any, Any]:
    """A float64 as the sum of a float32 of 12 bits, whose product with another of 12 bits is exact, and a small float32."""
    mantissa, exponent = np.frexp(x)
    head = np.ldexp(np.trunc(mantissa * 2**12), exponent - 12)
    return np.float32(head), np.float32(x - head)


def power_of_ratio(time: Span, length: float, exponent: float) -> Any:
    """`(time / length) ** exponent` in float32, within 3 ulp, for a time up to a length and an exponent known in float64.

    A power multiplies the rounding error of its base. So the base is cut to 12 bits, which makes its product with the 12 bits
    of a head of the length exact, and what the cut left over, computed from that product, is raised to the power by itself.
    """
    head, tail = _head_and_tail(length)
    high, low = real(time.whole & ~0xFF), real(time.whole & 0xFF) + time.part
    bits = jax.lax.bitcast_convert_type((high + low) / np.float32(length), np.int32)
    base = jax.lax.bitcast_convert_type(bits & ~0xFFF, np.float32)
    positive = base > 0
    base = jnp.where(positive, base, np.float32(1))
    rest = jnp.where(positive, ((high - base * head) + low) - base * tail, np.float32(0))
    rounded = np.float32(exponent)
    correction = rounded * jnp.log1p(rest / (base * np.float32(length))) + np.float32(exponent - float(rounded)) * jnp.log(base)
    value = jax.lax.pow(base, jnp.broadcast_to(rounded, jnp.shape(base))) * jnp.exp(correction)
    return jnp.where(positive, value, np.float32(0))


def grown(value: Any, base: Any, count: Any) -> Any:
    """`value · base ** count` for a whole count >= 0 and a base of any sign; what is too large is the largest float."""
    if is_concrete(value, base, count):
        half = np.floor(host(count) / 2)
        first, second = (np.clip(np.power(host(base), n), -HOST_MAX, HOST_MAX) for n in (half, host(count) - half))
        return saturated(host(value) * first * second)
    whole = jnp.issubdtype(jnp.result_type(count), jnp.integer)
    odd = count % 2 == 1
    if is_concrete(base) and np.ndim(base) == 0 and host(base) != 0 and whole and not x64():
        value = exp2_of_product(value, np.log2(abs(host(base))), Span(count, 0.0))
        value = jnp.where(odd, -value, value) if host(base) < 0 else value
    else:
        base, value = real(base), real(value)
        value = raised(jnp.where(odd & (base < 0), -value, value), jnp.where(base < 0, -base, base), count)
    return saturated(value)


HOST_MAX = float(np.finfo(np.float64).max)


def _exp2(exponent: Any) -> Any:
    """2 to a whole power up to 127, exactly, and 0 below -126: written into the exponent bits."""
    return jax.lax.bitcast_convert_type(jnp.maximum(exponent + 127, 0) << 23, np.float32)
