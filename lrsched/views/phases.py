"""The phases and corners of a schedule, and how many of its steps to show, for plots, summaries and notebooks."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.algebra import combinators, numerics, pointwise, shapes
from lrsched.algebra.combinators import Driven, driven_parts
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.sequence import Sequence
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.running import bind, init

_MOST = 1000  # corners: an endlessly repeated schedule has infinitely many
_STILL = 1000  # steps to show of a constant, or of an arbitrary function
_CYCLES = 4  # cycles to show of an endlessly repeated schedule
_FALL = 1000.0  # the factor by which an exponential changes until it is cut off
_TIMESCALES = 9
_LAST_STEP = 2**53  # float64 is exact up to here


class Span(NamedTuple):
    """A stretch of time, and the name of the part that runs in it."""

    start: float
    stop: float
    name: str


@dataclasses.dataclass
class Phases:
    """The phases from 0 to the length, without gaps, and the times at which the schedule begins, jumps, bends or ends."""

    spans: list[Span]
    corners: Any  # rising, the first thousand of them
    reach: float  # the time after which the shape is clear: the length, if there is one; 0 if it never moves

    def __post_init__(self) -> None:
        self.spans = [span for span in self.spans if span.start < span.stop]
        corners = np.unique(np.asarray(self.corners, np.float64))
        self.corners = corners[np.isfinite(corners) & (corners >= 0)][:_MOST]

    def moved(self, by: float, factor: float = 1.0) -> Phases:
        """The same phases at the times `factor · t + by`, from 0 on."""
        spans = [Span(max(start * factor + by, 0.0), stop * factor + by, name) for start, stop, name in self.spans]
        return Phases(spans, self.corners * factor + by, max(self.reach * factor + by, 0.0))

    def until(self, end: float) -> Phases:
        """The same phases up to an end, until which the schedule holds its last value."""
        spans = [span._replace(stop=min(span.stop, end)) for span in self.spans]
        held = Span(max((span.stop for span in spans), default=0.0), end, "held")
        corners, reach = [*self.corners[self.corners <= end], end], end if math.isfinite(end) else self.reach
        return Phases([*spans, held], corners, reach)


@functools.singledispatch
def phases(schedule: Any) -> Phases:
    """The phases of one schedule, on its own time. A new class of nodes inherits from a shape, or registers here.

    >>> import lrsched as ls
    >>> print(*phases(ls.Linear(0.0, 1.0, 10).delay(5)).spans)
    Span(start=0.0, stop=5.0, name='held') Span(start=5.0, stop=15.0, name='Linear')
    """
    name = type(schedule).__name__
    raise TypeError(
        f"phases(...): expected a node with known phases, got {shown(schedule)}. Hint: {name} may inherit from Ramp, or"
        " register its phases with @lrsched.views.phases.phases.register."
    )


def known(number: numerics.Number) -> float:
    """A number as a float; a TypeError if it is traced."""
    return float(numerics.to_float64(number))


def name_of(schedule: Schedule) -> str:
    """The name of a phase: the class of a shape, the expression of a node with parts."""
    text = repr(schedule) if any(isinstance(part, Schedule) for part in schedule._nodes()) else ""
    return text if 0 < len(text) <= 40 else type(schedule).__name__


def one_phase(schedule: Schedule, reach: float = _STILL, corners: Iterable[float] = (), name: str = "") -> Phases:
    """One phase, from 0 to the length, which is also the reach if it is finite."""
    length = known(schedule.length)
    span = Span(0.0, length, name or name_of(schedule))
    return Phases([span], [*corners, length], length if math.isfinite(length) else reach)


# Subclasses inherit this: new ramps and new subclasses of `Moved` have phases.
for _shape in (shapes.Ramp, shapes.Geometric, shapes.Time, shapes.Noise, shapes.Function):
    phases.register(_shape, one_phase)
phases.register(pointwise.Constant, lambda s: one_phase(s, 0.0))
phases.register(shapes.Piecewise, lambda s: one_phase(s, corners=numerics.to_float64(s.steps)))
phases.register(shapes.InverseSqrt, lambda s: one_phase(s, _TIMESCALES * known(s.timescale)))
phases.register(combinators.Take, lambda s: phases(s.schedule).until(known(s.steps)))
phases.register(combinators.Drop, lambda s: phases(s.schedule).moved(-known(s.steps)))
phases.register(combinators.Stretch, lambda s: phases(s.schedule).moved(0.0, known(s.factor)))
phases.register(shapes.CosineWave, lambda s: one_phase(s, 2 * _CYCLES * known(s.steps), known(s.steps) * np.arange(_MOST)))
phases.register(combinators.Choice, lambda s: phases(s.branches[round(known(s.index))]))
phases.register(combinators.Cooldown, lambda s: phases(in_sequence(s)))


@phases.register
def _(schedule: Driven) -> Phases:
    recipe, *_ = schedule._recipe.partition("(")
    return one_phase(schedule, 0.0, name=recipe or f"{name_of(schedule.schedule)} on {type(schedule.clock).__name__}")


@phases.register
def _(schedule: combinators.Moved) -> Phases:
    """One phase, since it is unknown when another time reaches the corners of the schedule."""
    inside, *times = map(phases, schedule._nodes())
    reach, tried = max((time.reach for time in times), default=_STILL), np.geomspace(1.0, _LAST_STEP, 1000)
    if math.isinf(known(schedule.length)):
        time = dataclasses.replace(schedule, schedule=shapes.Time())
        reach = next(iter(tried[np.asarray(time(tried)) >= inside.reach]), reach)
    return one_phase(schedule, reach, np.concatenate([[], *(time.corners for time in times)]))


@phases.register
def _(schedule: shapes.Exponential) -> Phases:
    rate = known(schedule.factor)
    return one_phase(schedule, math.log(_FALL) / abs(math.log(rate)) if rate not in (0.0, 1.0) else 0.0)


@phases.register
def _(schedule: combinators.Staircase) -> Phases:
    stairs = np.arange(_MOST) * known(schedule.every)
    return one_phase(schedule, phases(schedule.schedule).reach, stairs[stairs <= known(schedule.length)])


@phases.register
def _(schedule: Sequence) -> Phases:
    *others, last = schedule.parts
    found = [*(phases(part).until(known(part.length)) for part in others), phases(last)]
    found = [one.moved(known(start)) for one, start in zip(found, schedule._starts, strict=True)]
    corners = np.concatenate([[0.0], *(one.corners for one in found)])
    return Phases([span for one in found for span in one.spans], corners, found[-1].reach)


@phases.register
def _(schedule: pointwise.Pointwise) -> Phases:
    parts, found = schedule.parts, [phases(part).until(known(schedule.length)) for part in schedule.parts]
    moving = [k for k, part in enumerate(parts) if not isinstance(part, pointwise.Constant)] or [0]
    named = range(2) if schedule.operator == "**" else moving  # the numbers of a power are part of its name
    spans, begin = [], 0.0
    for end in sorted({span.stop for k in moving for span in found[k].spans}):
        here = [next(span for span in one.spans if span.stop >= end) for one in found]
        names = [here[k].name if k in moving else f"{known(parts[k].value):.4g}" for k in named]  # pyright: ignore
        spans.append(Span(begin, end, f" {schedule.operator} ".join(names)))
        begin = end
    return Phases(spans, np.concatenate([one.corners for one in found]), max(one.reach for one in found))


@phases.register
def _(schedule: combinators.Delay) -> Phases:
    steps, found = known(schedule.steps), phases(schedule.schedule).moved(known(schedule.steps))
    return Phases([Span(0.0, steps, "held"), *found.spans], [steps, *found.corners], found.reach)


@phases.register
def _(schedule: combinators.Reverse) -> Phases:
    length = known(schedule.length)
    found = phases(schedule.schedule).until(length)
    spans = [Span(length - stop, length - start, name) for start, stop, name in reversed(found.spans)]
    return Phases(spans, length - found.corners, found.reach)


def in_sequence(schedule: combinators.Cooldown) -> Sequence:
    """The schedule of a cool-down, and the ramp after it."""
    start, ramp = schedule.schedule(schedule.schedule.length), shapes.WAYS[schedule.shape]
    tail = dataclasses.replace(ramp, start=start, end=schedule.end, steps=schedule.steps)
    return Sequence((schedule.schedule, tail))


@phases.register
def _(schedule: combinators.Repeat) -> Phases:
    inside, length = phases(schedule.schedule), known(schedule.schedule.length)
    growth = 1.0 if schedule.stretch_ is None else known(schedule.stretch_)
    cycles = _MOST if schedule.n is None else min(round(known(schedule.n)), _MOST)
    with np.errstate(all="ignore"):  # late cycles may be too long for a float
        factors = growth ** np.arange(cycles)
        begins = np.cumsum([0.0, *factors * length])
        corners = begins[:-1, None] + factors[:, None] * inside.corners
    return one_phase(schedule, length * sum(growth**cycle for cycle in range(_CYCLES)), np.append(begins, corners))


def seen(schedule: Schedule, by_step: bool = False) -> tuple[Schedule, Phases, str]:
    """A pure schedule to show, its phases, and the name of its time.

    The time is the step, with clocks in their first state. If nothing moves then, it is the reading of the only clock, or of
    the only one with an end. `by_step` allows no reading, except that of a clock that counts updates.
    """
    parts, found = driven_parts(schedule), phases(schedule)
    ended = [part for part in parts if math.isfinite(known(part.schedule.length))] or parts
    moved = [part for part in parts if part.clock == ended[0].clock and (part.clock.unit == "updates" or not by_step)]
    if found.reach or any(part not in moved for part in ended):
        moved = []
    axis = " and ".join(dict.fromkeys(part.clock.unit for part in moved)) or "step"
    still = [part.clock for part in parts if part not in moved]
    if before := dict.fromkeys(f"observation of {name!r}" for clock in still for name in clock.monitors):
        axis += f" (before any {' and '.join(before)})"
    elif still:
        axis += f" (before any change of {' and '.join(dict.fromkeys(clock.unit for clock in still))})"
    made = jax.tree.map(
        lambda x: x.schedule if any(x is part for part in moved) else x, schedule, is_leaf=lambda x: isinstance(x, Driven)
    )
    return bind(made, init(made)), phases(made) if moved else found, axis


def single(call: str, schedule: ScheduleLike) -> Schedule:
    """An argument as a schedule, or an error if it is a batch."""
    made = pointwise.as_schedule(call, "schedule", schedule)
    if batch := made.batch_shape:
        raise ValueError(
            f"{call}(...): expected one schedule, got a batch of shape {batch}. Hint: list(schedule) gives its members."
        )
    return made


def checked_steps(call: str, steps: float | None) -> None:
    """Raises a ValueError if it is not a number of updates."""
    is_number = isinstance(steps, (int, float, np.number)) and not isinstance(steps, bool)
    if steps is not None and not (is_number and 1 <= steps <= _LAST_STEP and steps == int(steps)):
        raise ValueError(unexpected(call, "steps", steps, "a whole number of updates, from 1 to 2**53"))


def horizon(schedule: Schedule) -> int:
    """How many steps of a pure schedule to show: its length, or a quarter more if it ends in a jump or at its highest value.

    If it never settles, enough steps to show how it goes on; if it never moves, a thousand.
    """
    steps = phases(schedule).reach
    later = np.asarray(schedule(steps * np.array([1.0, 1.4, 2.2])), np.float64)
    if steps > 0 and np.all(later == later[0]):
        before = np.asarray(schedule(np.append(np.linspace(0, steps, 64)[:-1], np.nextafter(steps, 0.0))), np.float64)
        jumps = abs(later[0] - before[-1]) > 1e-3 * np.abs(before).max()
        steps *= 1.25 if jumps or later[0] > before[:-1].max() else 1.0
    return math.ceil(min(steps, _LAST_STEP)) or _STILL
