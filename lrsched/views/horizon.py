"""How many steps of a schedule there are to look at, where nobody says: also of one that never settles."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from lrsched.algebra import numerics, shapes
from lrsched.algebra import schedule as algebra
from lrsched.clocks.running import bind, init

_STILL = 1000  # where nothing ever moves, or nobody knows how
_CYCLES = 4  # of those that repeat for ever
_FALL = 1000.0  # what never ends is followed until it is so many times smaller or larger
_TIMESCALES = 9
_LAST_STEP = 2**31 - 1


def horizon(schedule: Any) -> int:
    """As many steps as it lasts, a fourth more where it ends in a jump or on its highest value, and thus goes on from there.

    Of one that never settles, enough steps to see how it goes on; of one that never moves, a thousand.

    Args:
        schedule: one schedule, which may be driven.
    """
    steps = reach(schedule)
    if steps == _known(schedule.length) > 0:
        pure = bind(schedule, init(schedule))
        end = float(np.asarray(pure(steps)))
        before = np.asarray(pure(np.append(np.linspace(0, steps, 64)[:-1], np.nextafter(steps, 0.0))), np.float64)
        jumps = abs(end - before[-1]) > 1e-3 * np.abs(before).max()
        steps *= 1.25 if jumps or end > before[:-1].max() else 1.0
    return min(math.ceil(steps), _LAST_STEP) or _STILL


@functools.singledispatch
def reach(schedule: Any) -> float:
    """The time by which a schedule has shown its shape: its length, if it has one; 0 if it never moves."""
    length = _known(schedule.length)
    return length if math.isfinite(length) else _STILL


def _known(number: Any) -> float:
    return float(numerics.host(number))


@reach.register
def _(schedule: algebra.Constant) -> float:
    length = _known(schedule.steps)
    return length if math.isfinite(length) else 0.0


@reach.register
def _(schedule: shapes.Exponential) -> float:
    rate = _known(schedule.rate)
    return math.log(_FALL) / abs(math.log(rate)) if rate not in (0.0, 1.0) else 0.0


@reach.register
def _(schedule: shapes.InverseSqrt) -> float:
    return _TIMESCALES * _known(schedule.timescale)


@reach.register
def _(schedule: algebra.Sequence) -> float:
    *first, last = schedule.parts
    begun = sum(_known(part.length) for part in first)
    end = reach(last)
    return begun + end if end or math.isfinite(_known(last.length)) else 1.25 * begun


@reach.register
def _(schedule: algebra.Pointwise) -> float:
    return max(map(reach, schedule.parts))


@reach.register
def _(schedule: algebra.Choice) -> float:
    return reach(schedule.branches[round(_known(schedule.index))])


@reach.register
def _(schedule: algebra.Drop) -> float:
    return max(reach(schedule.schedule) - _known(schedule.steps), 0.0)


@reach.register
def _(schedule: algebra.Delay) -> float:
    return reach(schedule.schedule) + _known(schedule.steps)


@reach.register
def _(schedule: algebra.Stretch) -> float:
    return reach(schedule.schedule) * _known(schedule.factor)


@reach.register
def _(schedule: algebra.Staircase) -> float:
    length = _known(schedule.length)
    return length if math.isfinite(length) else reach(schedule.schedule)


@reach.register
def _(schedule: algebra.Repeat) -> float:
    if schedule.n is not None:
        return _known(schedule.length)
    longer = 1.0 if schedule.stretch_ is None else _known(schedule.stretch_)
    return _known(schedule.schedule.length) * sum(longer**cycle for cycle in range(_CYCLES))


@reach.register
def _(schedule: algebra.Warp) -> float:
    length = _known(schedule.length)
    if math.isfinite(length):
        return length
    times = np.geomspace(1.0, _LAST_STEP, 500)
    arrived = times[np.asarray(schedule.time(times)) >= reach(schedule.schedule)]
    return float(arrived[0]) if arrived.size else reach(schedule.time)


@reach.register
def _(schedule: algebra.Driven) -> float:
    del schedule
    return 0.0  # it stands still until something is observed
