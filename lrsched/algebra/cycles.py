"""Cycles that grow or shrink by a factor: each begins after a sum of powers.

The search doubles: if 2**j cycles have the sum S and the growth K, twice as many have S + K · S and K · K. Then it builds the
number of the cycle from the longest run down: n cycles after m have the sum S_n + K_n · S_m. All terms are positive, so nothing
cancels, and no logarithm and no division by `stretch - 1` is needed.

Squaring a power doubles its relative error, so near 1 the growth is `1 + (stretch - 1) · sum`. Traces use loops, since some
versions of XLA need minutes to compile an unrolled search.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import Real, as_double, is_concrete, minimum, pick_time, row_of, snapped, to_float64, where

_LEVELS = 31  # cycles are counted in 31 bits in a trace
_BEYOND = 1e15  # above any time, and its square is still a float32


def growing_cycle(t: Real, length: Real, stretch: Real, last: Real) -> tuple[Real, Real, Real]:
    """The cycle of a time (0, 1, …, last), its start, and how many times longer than the first it is."""
    if is_concrete(length, stretch, last) and not any(map(np.ndim, (length, stretch, last))):
        starts, growths = _known_cycles(*map(to_float64, (length, stretch, last)))
        if len(starts) < _FEW:
            row = row_of(starts, t)
            return row, *(pick_time(table, row) for table in (starts, growths))
    if is_concrete(t, length, stretch, last):
        found, runs = (0.0, 0.0, 1.0), [(1.0, minimum(stretch, _BEYOND))]
        while len(runs) < 53 and np.any(t >= length * runs[-1][0]):
            runs.append(_twice(stretch, *runs[-1]))
        for j, run in reversed([*enumerate(runs)]):
            found = _extended(t, length, last, found, 2.0**j, run)
        index, total, growth = found
        return index, snapped(length * total), growth
    t, length, stretch, last = (as_double(x) for x in (t, length, minimum(stretch, _BEYOND), last))
    # Loops inside shard_map begin with numbers on the mesh axes of those that they compute.
    first = where(stretch < 0.0, stretch, as_double(1.0)), stretch
    zero, one = (where((t < 0.0) & (length < 0.0) & (last < 0.0) & (stretch < 0.0), t, as_double(x)) for x in (0.0, 1.0))

    def double(run: Real, _: Real) -> Real:
        return tuple(map(as_double, _twice(stretch, *run))), run

    def extend(found: Real, run: Real) -> Real:
        return tuple(map(as_double, _extended(t, length, last, found, *run))), None

    _, runs = jax.lax.scan(double, first, length=_LEVELS)
    counts = jax.tree.map(jnp.asarray, as_double(2.0 ** np.arange(_LEVELS)))
    (index, total, growth), _ = jax.lax.scan(extend, (zero, zero, one), (counts, runs), reverse=True)
    return index, snapped(length * total), growth


_FEW = 1024  # up to so many cycles are looked up in a table


@functools.lru_cache(maxsize=256)
def _known_cycles(length: float, stretch: float, last: float) -> tuple[np.ndarray, np.ndarray]:
    """The start and the growth of each cycle, up to the first that begins after 2**53."""
    starts, growths = [0.0], [1.0]
    while starts[-1] <= 2.0**53 and len(starts) <= last and len(starts) < _FEW:
        starts.append(snapped(starts[-1] + length * growths[-1]))
        growths.append(min(growths[-1] * stretch, 1e300))
    return np.asarray(starts), np.asarray(growths)


def _twice(stretch: Real, total: Real, growth: Real) -> tuple[Real, Real]:
    doubled = total + growth * total
    near = (growth >= 0.5) & (growth < 2.0)
    return minimum(doubled, _BEYOND), minimum(where(near, 1.0 + (stretch - 1.0) * doubled, growth * growth), _BEYOND)


def _extended(t: Real, length: Real, last: Real, found: Real, count: Real, run: Real) -> tuple[Real, Real, Real]:
    """The cycle found, the sum before it and its growth, moved on by a run of cycles if the time reaches the end of the run."""
    (index, total, growth), (sums, factor) = found, run
    candidate = sums + factor * total
    taken = (t >= snapped(length * candidate)) & (last - index >= count)
    further = index + count, candidate, minimum(growth * factor, _BEYOND)
    return tuple(where(taken, x, y) for x, y in zip(further, found, strict=True))
