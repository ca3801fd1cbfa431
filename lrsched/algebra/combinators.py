"""Schedules at another time, repeated, or chosen.

Each node states its meaning in its docstring, and its code is that meaning.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.driven import Bending
from lrsched.algebra.node import child, leaf, node
from lrsched.algebra.numerics import (
    Number,
    ceil,
    clip,
    maximum,
    minimum,
    ratio,
    rounded,
    snapped,
    where,
)
from lrsched.algebra.schedule import Schedule, Spans
from lrsched.algebra.written import shown, unexpected


def running_value(spans: Iterable[tuple[Schedule, Any, Any]]) -> Any:
    """The value of the last part that has begun; what is known not to have begun is not evaluated."""
    value = None
    for part, own, begun in spans:
        if isinstance(begun, (bool, np.bool_)) and not begun:
            continue
        value = part.at(own) if value is None else where(begun, part.at(own), value)
    return value


@node
class Moved(Schedule):
    """The base of nodes that are a schedule at another time."""

    schedule: Schedule = child()

    def moved(self, t: Any) -> Any:
        """The time at which the schedule is asked."""
        raise NotImplementedError(f"{type(self).__name__} must define moved(t)")

    def at(self, t: Any) -> Any:
        return self.schedule.at(self.moved(t))


@node
class Take(Moved):
    """`t ↦ schedule(min(t, steps))`, of length `steps`."""

    _call = "take"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return minimum(t, self.steps)

    @property
    def length(self) -> Any:
        return self.steps

    def spans(self, t: Any) -> Spans:
        yield self.schedule, self.moved(t), (t >= 0.0) & (t < self.steps)


@node
class Drop(Bending, Moved):
    """`t ↦ schedule(t + steps)`, shorter by `steps`."""

    _call = "drop"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return t + self.steps

    @property
    def length(self) -> Any:
        return maximum(self.schedule.length - self.steps, 0.0)


@node
class Delay(Moved):
    """`t ↦ schedule(max(t - steps, 0))`, longer by `steps`."""

    _call = "delay"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return maximum(t - self.steps, 0.0)

    @property
    def length(self) -> Any:
        return self.schedule.length + self.steps

    def spans(self, t: Any) -> Spans:
        yield self.schedule, self.moved(t), t >= self.steps


def _times(steps: Any, factor: Any) -> Any:
    """So many times as long; what never settles stays so."""
    endless = numerics.is_concrete(steps) and np.any(np.isinf(numerics.to_float64(steps)))
    return steps if endless else snapped(steps * factor)


@node
class Stretch(Bending, Moved):
    """`t ↦ schedule(t / factor)`, `factor` times as long."""

    _call = "stretch"

    factor: Number = leaf(gt=0, unit="times", hint="2 makes it twice as long, 0.5 half as long")

    def moved(self, t: Any) -> Any:
        return ratio(t, self.factor)

    @property
    def length(self) -> Any:
        return _times(self.schedule.length, self.factor)


@node
class Staircase(Bending, Moved):
    """`t ↦ schedule(every · ⌊t / every⌋)`, of the length of the schedule rounded up to whole stairs."""

    _call = "staircase"

    every: Number = leaf(gt=0, unit="steps", hint="the number of updates between two moves")

    def moved(self, t: Any) -> Any:
        return snapped(self.every * numerics.floor_ratio(maximum(t, 0.0), self.every))

    @property
    def length(self) -> Any:
        return _times(ceil(ratio(self.schedule.length, self.every)), self.every)


@node
class Reverse(Bending, Moved):
    """`t ↦ schedule(length - t)`, and `schedule(0)` from its length on."""

    _call = "reverse"

    def _check(self) -> None:
        super()._check()
        if numerics.is_concrete(self.schedule.length) and np.any(np.isinf(self.schedule.length)):
            raise ValueError(f"{shown(self.schedule)} goes on for ever, so it has no reverse: give it a length with .take(n)")

    def moved(self, t: Any) -> Any:
        return clip(self.schedule.length - t, 0.0, self.schedule.length)

    @property
    def length(self) -> Any:
        return self.schedule.length


@node
class Warp(Bending, Moved):
    """`t ↦ schedule(time(t))`, of the length of `time`; a time below 0 counts as 0."""

    _call = "warp"

    time: Schedule = child()

    def moved(self, t: Any) -> Any:
        return numerics.time_given(self.time.at(t))

    @property
    def length(self) -> Any:
        return self.time.length


_ALWAYS = 2.0**62  # cycles


@node
class Repeat(Bending):
    """Cycle c = 0, 1, …, n - 1 lasts `stretch^c · L` steps and is `t ↦ scale^c · schedule(t / stretch^c)` on its own time.

    After the last one its end is held. n is rounded to a whole number; None: for ever.
    """

    _call = "repeat"

    schedule: Schedule = child()
    n: Number | None = leaf(ge=1, unit="times", optional=True, default=None, hint="the number of cycles; None repeats for ever")
    stretch_: Number | None = leaf(
        gt=0, optional=True, default=None, exact=True, hint="2 doubles every cycle's length, 1 keeps it"
    )
    scale: Number | None = leaf(optional=True, default=None, exact=True)

    # The argument is `stretch`, but a field of that name would hide the method. `dataclasses.replace` gives `stretch_`, too.
    def __init__(
        self,
        schedule: Schedule,
        n: Number | None = None,
        stretch: Any = dataclasses.MISSING,
        scale: Number | None = None,
        stretch_: Number | None = None,
    ) -> None:
        stretch = stretch_ if stretch is dataclasses.MISSING else stretch
        self.__dict__.update(schedule=schedule, n=n, stretch_=stretch, scale=scale)
        self.__post_init__()

    def _check(self) -> None:
        super()._check()
        steps = self.schedule.length
        if not numerics.is_concrete(steps):
            return
        if not np.all(np.isfinite(steps)):
            raise ValueError(f"{shown(self.schedule)} goes on for ever, so it cannot repeat: give it a length with .take(n)")
        if self.n is None and np.any(np.equal(steps, 0)):
            raise ValueError(f"{shown(self.schedule)} has length 0, so it cannot repeat for ever: give it a length, or an n")
        shrinks = self.stretch_ is not None and numerics.is_concrete(self.stretch_) and np.any(np.less(self.stretch_, 1))
        if self.n is None and shrinks:
            hint = "shrinking cycles come to an end; say how many with n"
            raise ValueError(unexpected("repeat", "stretch", self.stretch_, "stretch >= 1", hint))

    def _cycle(self, t: Any) -> tuple[Any, Any]:
        """The number of the cycle, and the time in it as the schedule counts it."""
        t, steps = maximum(t, 0.0), self.schedule.length
        # Cycles of no length that go on for ever stand at the first.
        last = where(steps > 0.0, _ALWAYS, 0.0) if self.n is None else maximum(rounded(self.n) - 1.0, 0.0)
        if self.stretch_ is None:
            cycle = where(steps > 0.0, minimum(numerics.floor_ratio(t, steps), last), last)
            return cycle, clip(t - cycle * steps, 0.0, steps)
        cycle, start, growth = numerics.growing_cycle(t, steps, self.stretch_, last)
        return cycle, clip(ratio(t - start, growth), 0.0, steps)

    def at(self, t: Any) -> Any:
        cycle, inside = self._cycle(t)
        value = self.schedule.at(inside)
        return value if self.scale is None else numerics.grown(value, self.scale, cycle)

    @property
    def length(self) -> Any:
        if self.n is None:
            return math.inf
        if self.stretch_ is None:
            return self.schedule.length * rounded(self.n)
        steps = self.schedule.length
        total = numerics.growing_cycle(math.inf, steps, self.stretch_, rounded(self.n))[1]
        return total if isinstance(steps, numerics.Extended) else numerics.as_value(total)


@node
class Choice(Schedule):
    """One of several schedules, by an index that is a number: what a `stack` of different structures is made of.

    The branches that are not chosen stand at time 0, and their clocks do not tick.

    Args:
        branches: a tuple of schedules.
        index: which one, from 0; rounded where it is traced.

    Raises:
        ValueError: if there is no such branch.

    >>> import lrsched as ls
    >>> print(ls.Choice((ls.Constant(1.0), ls.Linear(0.0, 1.0, 10)), 1)(5))
    0.5
    """

    branches: tuple[Schedule, ...] = child()
    index: Number = leaf(ge=0, unit="branches", hint="counted from 0")

    def _check(self) -> None:
        if not isinstance(self.branches, tuple) or not self.branches:
            raise TypeError(f"Choice(branches=...) must be a tuple of schedules, got {shown(self.branches)}")
        if numerics.is_concrete(self.index) and np.any(np.asarray(self.index) >= len(self.branches)):
            raise ValueError(f"Choice(index=...) must be below {len(self.branches)}, got {self.index!r}")

    def _chosen(self) -> Any:
        return minimum(rounded(self.index), len(self.branches) - 1.0)

    def at(self, t: Any) -> Any:
        return running_value(self.spans(t))

    @property
    def length(self) -> Any:
        chosen = self._chosen()
        value = self.branches[0].length
        for i, branch in enumerate(self.branches):
            length = numerics.extended(branch.length) if isinstance(chosen, numerics.Extended) else branch.length
            value = where(chosen == float(i), length, value)
        return value

    def spans(self, t: Any) -> Spans:
        chosen = self._chosen()
        for i, branch in enumerate(self.branches):
            running = chosen == float(i)
            yield branch, (t if isinstance(running, (bool, np.bool_)) else where(running, t, minimum(t, 0.0))), running
