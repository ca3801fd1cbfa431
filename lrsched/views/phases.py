"""What a schedule does when: its phases, its corners, and how far there is to look.

One query over the tree, which plots, summaries and notebooks share. It raises for a node that it does not know.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from lrsched.algebra import combinators, numerics, pointwise, shapes
from lrsched.algebra.driven import Driven
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import Sequence
from lrsched.algebra.written import shown
from lrsched.clocks.running import bind, init

_MOST = 1000  # corners: a schedule that repeats for ever has no end of them
_STILL = 1000  # steps, where nothing ever moves, or nobody knows how
_CYCLES = 4  # of those that repeat for ever
_FALL = 1000.0  # an exponential is followed until it is so many times smaller or larger
_TIMESCALES = 9
_LAST_STEP = 2**31 - 1


class Span(NamedTuple):
    """A stretch of time, from `start` to `stop`, and the name of what runs in it."""

    start: float
    stop: float
    name: str


@dataclasses.dataclass
class Phases:
    """What `phases` finds.

    Attributes:
        spans: what runs when, without a gap from 0 to the length.
        corners: the times at which something begins, jumps, bends or ends, rising: the first thousand of them.
        reach: the time by which a schedule has shown its shape: its length, if it has one; 0 if it never moves.
    """

    spans: list[Span]
    corners: Any
    reach: float

    def __post_init__(self) -> None:
        self.spans = [span for span in self.spans if span.start < span.stop]
        corners = np.unique(np.asarray(self.corners, np.float64))
        self.corners = corners[np.isfinite(corners) & (corners >= 0)][:_MOST]

    def moved(self, by: float, factor: float = 1.0) -> Phases:
        """The same on another time, `factor · t + by`, from 0 on."""
        spans = [Span(max(start * factor + by, 0.0), stop * factor + by, name) for start, stop, name in self.spans]
        return Phases(spans, self.corners * factor + by, max(self.reach * factor + by, 0.0))

    def until(self, end: float) -> Phases:
        """The same up to an end, until which the last of it is held."""
        spans = [span._replace(stop=min(span.stop, end)) for span in self.spans]
        held = Span(max((span.stop for span in spans), default=0.0), end, "held")
        corners = [*self.corners[self.corners <= end], end]
        return Phases([*spans, held], corners, end if math.isfinite(end) else self.reach)


@functools.singledispatch
def phases(schedule: Any) -> Phases:
    """What a schedule does when, on its own time. A class of nodes of your own inherits from a shape, or registers here.

    Args:
        schedule: one schedule of known numbers, pure or driven.

    Raises:
        TypeError: for a node of a class that is not registered.

    >>> import lrsched as ls
    >>> phases(ls.Linear(0.0, 1.0, 10).delay(5)).spans
    [Span(start=0.0, stop=5.0, name='held'), Span(start=5.0, stop=15.0, name='Linear')]
    """
    name = type(schedule).__name__
    raise TypeError(
        f"phases(...): expected a node with known phases, got {shown(schedule)}. Hint: {name} may inherit from Ramp, or"
        " say what it does with @lrsched.views.phases.phases.register"
    )


def known(number: Any) -> float:
    """A number of a schedule as a float; a TypeError if it is traced."""
    return float(numerics.to_float64(number))


def name_of(schedule: Schedule) -> str:
    """What a phase is called: the class of a shape, the expression of a node with parts."""
    text = repr(schedule) if any(isinstance(part, Schedule) for part in schedule._nodes()) else ""
    return text if 0 < len(text) <= 40 else type(schedule).__name__


def one_phase(schedule: Schedule, reach: float | None = None, corners: Any = ()) -> Phases:
    """One phase, from 0 to the length, which is also its reach if it has an end."""
    length = known(schedule.length)
    reach = length if math.isfinite(length) else _STILL if reach is None else reach
    return Phases([Span(0.0, length, name_of(schedule))], np.append(corners, length), reach)


# A class stands for those that inherit from it: a new ramp has its phases, and so has a schedule at any other time.
for _shape in (shapes.Ramp, shapes.Geometric, shapes.Time, shapes.Function):
    phases.register(_shape, one_phase)
phases.register(shapes.InverseSqrt, lambda s: one_phase(s, _TIMESCALES * known(s.timescale)))
phases.register(combinators.Take, lambda s: phases(s.schedule).until(known(s.length)))
phases.register(combinators.Drop, lambda s: phases(s.schedule).moved(-known(s.steps)))
phases.register(combinators.Stretch, lambda s: phases(s.schedule).moved(0.0, known(s.factor)))
phases.register(combinators.Choice, lambda s: phases(s.branches[round(known(s.index))]))


@phases.register
def _(schedule: combinators.Moved) -> Phases:
    """One phase, for where any other time meets the corners of the schedule is not known."""
    inside, *times = map(phases, schedule._nodes())
    reach, tried = max((time.reach for time in times), default=_STILL), np.geomspace(1.0, _LAST_STEP, 500)
    if math.isinf(known(schedule.length)):
        time = dataclasses.replace(schedule, schedule=shapes.Time())
        reach = next(iter(tried[np.asarray(time(tried)) >= inside.reach]), reach)
    return one_phase(schedule, reach, np.concatenate([[], *(time.corners for time in times)]))


@phases.register
def _(schedule: pointwise.Constant) -> Phases:
    return one_phase(schedule, 0.0)


@phases.register
def _(schedule: shapes.Exponential) -> Phases:
    rate = known(schedule.rate)
    return one_phase(schedule, math.log(_FALL) / abs(math.log(rate)) if rate not in (0.0, 1.0) else 0.0)


def _stairs(schedule: Schedule, reach: float, corners: np.ndarray) -> Phases:
    """What moves in jumps is not held after the last of them: that is one more stair."""
    return Phases([Span(0.0, math.inf, name_of(schedule))], corners, reach)


@phases.register
def _(schedule: shapes.Piecewise) -> Phases:
    steps = np.asarray(numerics.to_float64(schedule.steps))
    return _stairs(schedule, steps[-1], steps) if schedule.kind == "constant" else one_phase(schedule, corners=steps)


@phases.register
def _(schedule: combinators.Staircase) -> Phases:
    length, stairs = known(schedule.length), np.arange(_MOST) * known(schedule.every)
    return _stairs(schedule, length if math.isfinite(length) else phases(schedule.schedule).reach, stairs[stairs <= length])


@phases.register
def _(schedule: Sequence) -> Phases:
    spans, corners, begin = [], [], 0.0
    for part in schedule.parts[:-1]:
        length = known(part.length)
        found = phases(part).until(length).moved(begin)
        spans += found.spans
        corners += [begin, *found.corners]
        begin += length
    last = phases(schedule.parts[-1])
    reach = begin + last.reach if last.reach or math.isfinite(known(schedule.length)) else 1.25 * begin
    last = last.moved(begin)
    return Phases([*spans, *last.spans], [*corners, begin, *last.corners], reach)


@phases.register
def _(schedule: pointwise.Pointwise) -> Phases:
    found = [phases(part).until(known(schedule.length)) for part in schedule.parts]
    constant = [isinstance(part, pointwise.Constant) for part in schedule.parts]
    moving = [one for one, still in zip(found, constant, strict=True) if not still] or found[:1]
    spans, begin = [], 0.0
    for end in sorted({span.stop for one in moving for span in one.spans}):
        names = [next(span.name for span in one.spans if span.stop >= end) for one in moving]
        spans.append(Span(begin, end, f" {schedule.operator} ".join(names)))
        begin = end
    return Phases(spans, np.concatenate([one.corners for one in found]), max(one.reach for one in found))


@phases.register
def _(schedule: combinators.Delay) -> Phases:
    steps = known(schedule.steps)
    found = phases(schedule.schedule).moved(steps)
    return Phases([Span(0.0, steps, "held"), *found.spans], [steps, *found.corners], found.reach)


@phases.register
def _(schedule: combinators.Reverse) -> Phases:
    length = known(schedule.length)
    found = phases(schedule.schedule).until(length)
    spans = [Span(length - stop, length - start, name) for start, stop, name in reversed(found.spans)]
    return Phases(spans, length - found.corners, length)


@phases.register
def _(schedule: combinators.Repeat) -> Phases:
    inside, length = phases(schedule.schedule), known(schedule.schedule.length)
    growth = 1.0 if schedule.stretch_ is None else known(schedule.stretch_)
    cycles = _MOST if schedule.n is None else min(round(known(schedule.n)), _MOST)
    with np.errstate(all="ignore"):  # late cycles may be longer than any float
        factors = growth ** np.arange(cycles)
        begins = np.cumsum([0.0, *factors * length])
        corners = begins[:-1, None] + factors[:, None] * inside.corners
    return one_phase(schedule, length * sum(growth**cycle for cycle in range(_CYCLES)), np.append(begins, corners))


@phases.register
def _(schedule: Driven) -> Phases:
    name = f"{name_of(schedule.schedule)} on {type(schedule.clock).__name__}"
    return Phases([Span(0.0, math.inf, name)], [], 0.0)  # it stands still until something is observed


def horizon(schedule: Schedule) -> int:
    """How many steps to look at: as many as it lasts, a fourth more where it ends in a jump or on its highest value.

    Of one that never settles, enough steps to see how it goes on; of one that never moves, a thousand.

    Args:
        schedule: one schedule, which may be driven.
    """
    steps = phases(schedule).reach
    if steps == known(schedule.length) > 0:
        pure = bind(schedule, init(schedule))
        end = known(pure(steps))
        before = np.asarray(pure(np.append(np.linspace(0, steps, 64)[:-1], np.nextafter(steps, 0.0))), np.float64)
        jumps = abs(end - before[-1]) > 1e-3 * np.abs(before).max()
        steps *= 1.25 if jumps or end > before[:-1].max() else 1.0
    return min(math.ceil(steps), _LAST_STEP) or _STILL
