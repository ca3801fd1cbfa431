"""Dividing amounts of time in a trace, and what is made of them: progress, and powers that need more bits than a float32."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.numerics.amounts import ZERO, carried, choose, less, minus, no_part, plus_units, times, units, value
from lrsched.numerics.folding import raised, saturated
from lrsched.numerics.kinds import HOST_MAX, Span, float_type, host, is_concrete, last_tick, real, x64


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
    return Period(length.whole, 0 if no_part(length) else units(length.part))


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
    exact = jnp.asarray(now.whole).astype(np.uint32) + beyond.astype(np.uint32), units(now.part - beyond)
    late = exact if no_part(now) else plus_units(*exact, (np.uint32(0), length.slack))
    # A low estimate, and then what is left over it, which is short enough for a float to divide within one.
    low = jnp.minimum(jnp.floor(value(now) / safe * np.float32(1 - 2**-20)), np.float32(2**31 - 128)).astype(np.int32)
    rest = _take(late, times(low, early.whole, early.fraction))
    more = jnp.minimum(jnp.floor(_float(rest) / safe), np.float32(2**20)).astype(np.int32)
    more = jnp.where(_below(rest, times(more, early.whole, early.fraction)), more - 1, more)
    more = jnp.where(_below(rest, times(more + 1, early.whole, early.fraction)), more, more + 1)
    count = jnp.where(total > 0, low + jnp.minimum(more, last_tick() - low), 0)
    passed = times(count, length.whole, fraction)
    whole, fraction = _take(exact, passed)
    gone = _below(exact, passed)  # by what it was reached early
    left = carried(whole.astype(np.int32), real(fraction) * np.float32(2.0**-32), jnp)
    return count, choose(gone, ZERO, left)


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


def last_reached(starts: np.ndarray, now: Any) -> Any:
    """The row of the last of known, rising whole numbers, the first of them 0, that a traced one has reached.

    Neither the program nor the time to compile it grows with the table: each number first finds its bucket, one of four a
    row, and then searches the rows of that bucket, which in a table without crowds are few.
    """
    last = len(starts) - 1
    shift = max(int(starts[-1]).bit_length() - (4 * last).bit_length(), 0)
    edges = np.arange((int(starts[-1]) >> shift) + 2) << shift
    first = starts.searchsorted(edges, side="right").astype(np.int32) - 1
    most = int(np.max(np.minimum(np.diff(first), last)))  # rows in a bucket, beside the first
    low = _looked_up(first, jnp.minimum(now >> shift, len(edges) - 2))

    def halve(_: Any, rows: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = rows
        middle = (low + high + 1) >> 1
        reached = _looked_up(starts, middle) <= now
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle - 1)

    depth = most.bit_length()
    return jax.lax.fori_loop(0, depth, halve, (low, jnp.minimum(low + most, last)), unroll=depth <= 2 or 1)[0]


def _looked_up(table: np.ndarray, row: Any) -> Any:
    return jnp.asarray(table).at[row].get(mode="promise_in_bounds")


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
    ratio = rest / (base * np.float32(length))  # below 2**-11, so that three terms of its logarithm are exact enough
    correction = np.float32(exponent) * (ratio * (1 - ratio * (np.float32(1 / 2) - ratio * np.float32(1 / 3))))
    if exponent <= _MODERATE:  # and below 2**-8 three terms of its exponential are
        factor = 1 + correction * (1 + correction * (np.float32(1 / 2) + correction * np.float32(1 / 6)))
        value = _moderate_power(base, exponent) * factor
    else:
        correction = correction + np.float32(exponent - float(np.float32(exponent))) * jnp.log(base)
        value = jax.lax.pow(base, jnp.broadcast_to(np.float32(exponent), jnp.shape(base))) * jnp.exp(correction)
    return jnp.where(positive, value, np.float32(0))


_MODERATE = 8


def _moderate_power(base: Any, exponent: float) -> Any:
    """`base ** exponent` for a float32 base > 0, of which it has no derivative, and an exponent up to 8; half a `lax.pow`.

    Within 3 ulp: the base is 2**e · m with m next to 1, so that exponent · log m is small, and e times 12 bits of the exponent
    is exact, of which the whole part becomes the exponent of the result.
    """
    bits = jax.lax.bitcast_convert_type(base, np.int32)
    e = ((bits + np.int32(0x3F800000 - 0x3F3504F3)) >> 23) - 127  # so that m lies between √½ and √2
    m = jax.lax.bitcast_convert_type(bits - (e << 23), np.float32)
    head, tail = _head_and_tail(exponent)
    product = e.astype(np.float32) * head
    near = jnp.round(product)
    rest = ((product - near) + e.astype(np.float32) * tail) * np.float32(np.log(2)) + np.float32(exponent) * jnp.log(m)
    whole = jnp.clip(near, -254, 254).astype(np.int32)
    half = whole >> 1
    return jnp.exp(rest) * _exp2(half) * _exp2(whole - half)


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


def _exp2(exponent: Any) -> Any:
    """2 to a whole power up to 127, exactly, and 0 below -126: written into the exponent bits."""
    return jax.lax.bitcast_convert_type(jnp.maximum(exponent + 127, 0) << 23, np.float32)
