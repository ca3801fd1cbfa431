"""Amounts of time in a trace, as a whole int32 and a float32 fraction.

A float32 alone loses single steps beyond 2**24. With a span, differences of steps are taken exactly and only then rounded to
a float. (When x64 is on, int64 and float64.) Gradients pass through the fraction, of which the whole is a constant.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.kinds import Number, Span, float_type, host, int_type, is_concrete, largest, last_tick, real, x64

ZERO = Span(0, 0.0)


def span(ticks: Any) -> Span:
    """A number of ticks, at least 0, in whole and fraction."""
    if isinstance(ticks, Span) and not is_concrete(ticks):
        return choose(less(ticks, ZERO), ZERO, ticks)
    most = largest() / 4  # no more, so that sums of spans are finite
    if is_concrete(ticks):
        ticks = np.clip(np.asarray(host(ticks), np.float64), 0.0, most)
        whole = np.minimum(np.floor(ticks), last_tick())
        part = ticks - whole
        part = np.where(part > 0, np.maximum(part, np.finfo(float_type()).tiny), 0.0)  # what is something stays something
        return carried(whole.astype(int_type()), part.astype(float_type()), np)
    ticks = real(ticks)
    ticks = jnp.where(ticks >= 0, jnp.minimum(ticks, float_type()(most)), jnp.zeros_like(ticks))
    beyond = ticks > last_tick()
    floor = jnp.where(beyond, jnp.zeros_like(ticks), jnp.floor(ticks))
    whole = jnp.where(beyond, last_tick(), floor.astype(int_type()))
    return Span(whole, jnp.where(beyond, ticks - last_tick(), ticks - floor))


def as_span(ticks: Any) -> Any:
    """A number of ticks >= 0 in a trace, as what can be calculated with exactly."""
    return Span(*_parts(span(ticks)))


def carried(whole: Any, part: Any, xp: Any) -> Span:
    """A span of a whole and a part that was rounded, perhaps up to 1."""
    carry = (part == 1) & (whole < last_tick())
    whole, part = xp.where(carry, xp.minimum(whole, last_tick() - 1) + 1, whole), xp.where(carry, xp.zeros_like(part), part)
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
    return choose(less(a, b), ZERO, difference(a, b))


def difference(a: Span, b: Span) -> Span:
    """`a - b`, of either sign."""
    if no_part(a, b):
        return Span(a.whole - b.whole, 0.0)
    whole, part = a.whole - b.whole, real(a.part) - real(b.part)
    borrow = part < 0
    if no_part(a):  # then no part is 1 or more, but by rounding
        whole, part = jnp.where(borrow, whole - 1, whole), jnp.where(borrow, part + 1, part)
        carry = part >= 1
        return Span(jnp.where(carry, whole + 1, whole), jnp.where(carry, part - 1, part))
    return _normal(jnp.where(borrow, whole - 1, whole), jnp.where(borrow, part + 1, part))


def apart(a: Span, b: Span) -> Span:
    """`a - b` for a >= b, with a part that may be below 0: cheap, and good for values but not for comparisons."""
    return Span(a.whole - b.whole, 0.0 if no_part(a, b) else jnp.subtract(real(a.part), real(b.part)))


def _normal(whole: Any, part: Any) -> Span:
    """A span of a whole and a part that may be 1 or more, as it is of times beyond the last whole."""
    most = float_type()(2.0**52 if x64() else 2.0**31 - 128)
    carried = jnp.minimum(jnp.minimum(jnp.floor(part), most).astype(int_type()), last_tick() - whole)
    return Span(whole + carried, part - real(carried))


def signed(number: Any) -> Span:
    """A number of any sign as a span, whose whole may be below 0."""
    if isinstance(number, Span) and not is_concrete(number):
        return number
    if is_concrete(number):
        number = host(number)
        size, below = span(np.abs(number)), np.less(number, 0)
        return Span(*(jnp.where(below, a, b) for a, b in zip(_parts(difference(ZERO, size)), _parts(size), strict=True)))
    number = real(number)
    below = number < 0
    size = span(jnp.abs(number))
    return choose(below, difference(ZERO, size), size)


def kept_exactly(number: Any) -> Span:
    """A number >= 0 as two arrays, of types that no number changes; infinity stays infinity."""
    whole, part = _parts(span(number))
    infinite = np.isinf(host(number)) if is_concrete(number) else jnp.isinf(real(number))
    return Span(jnp.asarray(whole, int_type()), jnp.where(infinite, float_type()(np.inf), part))


def _parts(a: Span) -> tuple[Any, Any]:
    return jnp.asarray(a.whole), real(a.part)


def product(a: Number | Span, b: Number | Span) -> Span:
    """The product of two numbers, exact to 2**-32 ticks where neither is below 0 nor much below 1, and it fits."""
    rough = real(a) * real(b)
    if x64():
        return signed(rough)
    (m, p), (n, q) = (_parts(span(x)) for x in (a, b))
    exact = times(m, n, units(q))  # (m + p) · (n + q) = m · (n + q) + n · p + p · q
    exact = plus_units(*exact, times(n, np.uint32(0), units(p)))
    whole, fraction = plus_units(*exact, (np.uint32(0), units(p * q)))
    exact = carried(whole.astype(np.int32), real(fraction) * np.float32(2.0**-32), jnp)
    fits = (rough < 2.0**31 + 256) & (whole < np.uint32(2**31)) & (jnp.minimum(real(a), real(b)) >= 2.0**-8)
    chosen = choose(fits, exact, signed(rough))
    return Span(chosen.whole, chosen.part + derivative(span(rough)))


def units(part: Any) -> Any:
    """A fraction in units of 2**-32."""
    return (jnp.minimum(real(part), np.float32(1 - 2**-24)) * np.float32(2**32)).astype(np.uint32)


def derivative(a: Span) -> Any:
    """The part less what integers keep of it: next to nothing, but with the derivative that integers do not carry."""
    if no_part(a):
        return 0.0
    fraction = a.part - jnp.floor(a.part)
    return fraction - real(units(fraction)) * np.float32(2.0**-32)


def times(count: Any, whole: Any, fraction: Any) -> tuple[Any, Any]:
    """`count · (whole + fraction)` in whole and units, for a product below 2**32, in four products of 16 bits."""
    c, f = count.astype(np.uint32), fraction
    mask = np.uint32(0xFFFF)
    low, high = (c & mask) * (f & mask), (c >> 16) * (f >> 16)
    first, second = (c >> 16) * (f & mask), (c & mask) * (f >> 16)
    middle = (low >> 16) + (first & mask) + (second & mask)
    carried = high + (first >> 16) + (second >> 16) + (middle >> 16)
    return c * jnp.asarray(whole).astype(np.uint32) + carried, (middle << 16) | (low & mask)


def plus_units(whole: Any, fraction: Any, more: tuple[Any, Any]) -> tuple[Any, Any]:
    """The sum of two amounts in whole and units."""
    total = fraction + more[1]
    return whole + more[0] + (total < fraction).astype(np.uint32), total
