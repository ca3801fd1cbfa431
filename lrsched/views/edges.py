"""Where a schedule has corners and jumps: what a picture must not miss."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lrsched.algebra import numerics, shapes
from lrsched.algebra import schedule as algebra

MOST = 1000  # of the many that a schedule that repeats for ever has


@functools.singledispatch
def edges(schedule: Any, until: float) -> np.ndarray:
    """The times from 0 to `until` at which parts of a schedule begin or end, rising; by default its length.

    Args:
        schedule: one schedule.
        until: up to where, finite.
    """
    return _within(np.ravel(_known(schedule.length)), until)


def _known(number: Any) -> np.ndarray:
    return np.asarray(numerics.host(number), np.float64)


def _within(times: Any, until: float) -> np.ndarray:
    times = np.unique(np.asarray(times, np.float64))
    return times[(times >= 0) & (times <= until)][:MOST]


def _joined(found: list[np.ndarray], until: float) -> np.ndarray:
    return _within(np.concatenate([np.zeros(0), *found]), until)


@edges.register
def _(schedule: algebra.Sequence, until: float) -> np.ndarray:
    found, begin = [], 0.0
    for part in schedule.parts:
        length = float(_known(part.length))
        end = min(length, until - begin)
        if end >= 0:
            found += [begin + edges(part, end), np.array([begin])]
        begin += length
    return _joined(found, until)


@edges.register
def _(schedule: algebra.Pointwise, until: float) -> np.ndarray:
    return _joined([edges(part, until) for part in schedule.parts], until)


@edges.register
def _(schedule: algebra.Choice, until: float) -> np.ndarray:
    return edges(schedule.branches[round(float(_known(schedule.index)))], until)


@edges.register
def _(schedule: shapes.Piecewise, until: float) -> np.ndarray:
    return _within(_known(schedule.steps), until)


@edges.register
def _(schedule: algebra.Take, until: float) -> np.ndarray:
    end = float(_known(schedule.length))
    return _joined([edges(schedule.schedule, min(end, until)), np.array([end])], until)


@edges.register
def _(schedule: algebra.Drop, until: float) -> np.ndarray:
    steps = float(_known(schedule.steps))
    return _within(edges(schedule.schedule, until + steps) - steps, until)


@edges.register
def _(schedule: algebra.Delay, until: float) -> np.ndarray:
    steps = float(_known(schedule.steps))
    return _joined([np.array([steps]), edges(schedule.schedule, max(until - steps, 0.0)) + steps], until)


@edges.register
def _(schedule: algebra.Stretch, until: float) -> np.ndarray:
    factor = float(_known(schedule.factor))
    return _within(edges(schedule.schedule, until / factor) * factor, until)


@edges.register
def _(schedule: algebra.Staircase, until: float) -> np.ndarray:
    every = float(_known(schedule.every))
    end = min(float(_known(schedule.length)), until)
    return _within(np.arange(min(end // every + 1, MOST)) * every, until)


@edges.register
def _(schedule: algebra.Reverse, until: float) -> np.ndarray:
    length = float(_known(schedule.length))
    return _within(length - edges(schedule.schedule, length), until) if np.isfinite(length) else np.zeros(0)


@edges.register
def _(schedule: algebra.Repeat, until: float) -> np.ndarray:
    length = float(_known(schedule.schedule.length))
    longer = 1.0 if schedule.stretch_ is None else float(_known(schedule.stretch_))
    cycles = MOST if schedule.n is None else min(round(float(_known(schedule.n))), MOST)
    inside = edges(schedule.schedule, length)
    found, begin, factor = [], 0.0, 1.0
    for _ in range(cycles):
        if begin > until or length * factor == 0:
            break
        found += [begin + inside * factor, np.array([begin, begin + length * factor])]
        begin, factor = begin + length * factor, factor * longer
    return _joined(found, until)


@edges.register
def _(schedule: algebra.Warp, until: float) -> np.ndarray:
    return edges(schedule.time, until)  # those of what it bends can be anywhere
