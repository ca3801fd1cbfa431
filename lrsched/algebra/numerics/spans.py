"""Dividing amounts of time in a trace, and finding one in a table."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.amounts import ZERO, carried, choose, no_part, plus_units, times, units, value
from lrsched.algebra.numerics.kinds import Span, last_tick, real


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


def period_of_parts(whole: Any, fraction: Any) -> Period:
    """A traced length of a whole and a fraction in these units."""
    return Period(jnp.minimum(whole, np.uint32(last_tick())).astype(np.int32), fraction)


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
    step = times(more, early.whole, early.fraction)
    short, rest = _below(rest, step), _take(rest, step)
    long = ~short & ~_below(rest, (jnp.asarray(early.whole).astype(np.uint32), early.fraction))
    more = jnp.where(short, more - 1, jnp.where(long, more + 1, more))
    count = jnp.where(total > 0, low + jnp.minimum(more, last_tick() - low), 0)
    passed = times(count, length.whole, fraction)
    whole, fraction = _take(exact, passed)
    left = carried(whole.astype(np.int32), real(fraction) * np.float32(2.0**-32), jnp)
    if isinstance(length.early, int) and isinstance(length.slack, int):
        return count, left
    return count, choose(_below(exact, passed), ZERO, left)  # of what was reached early nothing has passed


def _take(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    whole = a[0] - b[0]
    return jnp.where(a[1] < b[1], whole - 1, whole), a[1] - b[1]


def _below(a: tuple[Any, Any], b: tuple[Any, Any]) -> Any:
    return (a[0] < b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))


def _float(a: tuple[Any, Any]) -> Any:
    return real(a[0]) + real(a[1]) * np.float32(2.0**-32)


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
