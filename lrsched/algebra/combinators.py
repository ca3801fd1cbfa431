"""Schedules at another time, repeated, chosen or driven; and the module from which `Schedule` gets all nodes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import jax
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count
from lrsched.algebra.cycles import growing_cycle
from lrsched.algebra.node import Node, child, choice, leaf, node, surely
from lrsched.algebra.numerics import Number, ceil, clip, maximum, minimum, ratio, rounded, snapped, where
from lrsched.algebra.pointwise import Pointwise, as_schedule, clipped, operated  # noqa: F401 - for the methods of schedules
from lrsched.algebra.powers import Progress, grown
from lrsched.algebra.schedule import Real, Schedule, Spans, running_value
from lrsched.algebra.sequence import sequence, unless_endless  # noqa: F401 - for the methods of schedules
from lrsched.algebra.shapes import WAYS
from lrsched.algebra.written import shown, unexpected


@node
class Moved(Schedule):
    """The base of nodes that evaluate a schedule at another time; the method that makes one has its name in lower case."""

    schedule: Schedule = child()

    def __init_subclass__(cls) -> None:
        cls._call = cls.__name__.lower()

    def moved(self, t: Real) -> Real:
        raise NotImplementedError(f"{type(self).__name__}: expected a method moved(t).")

    def at(self, t: Real) -> Real:
        return self.schedule.at(self.moved(t))


@node
class Take(Moved):
    """`t ↦ schedule(min(t, steps))`, of length `steps`."""

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Real) -> Real:
        return minimum(t, self.steps)

    @property
    def length(self) -> Real:
        return self.steps

    def spans(self, t: Real) -> Spans:
        yield self.schedule, self.moved(t), (t >= 0.0) & (t < self.steps)


@node
class Drop(Moved):
    """`t ↦ schedule(t + steps)`, shorter by `steps`."""

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Real) -> Real:
        return t + self.steps

    @property
    def length(self) -> Real:
        return unless_endless(self.schedule.length, lambda steps: maximum(steps - self.steps, 0.0))


@node
class Delay(Moved):
    """`t ↦ schedule(max(t - steps, 0))`, longer by `steps`."""

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Real) -> Real:
        return maximum(t - self.steps, 0.0)

    @property
    def length(self) -> Real:
        return unless_endless(self.schedule.length, lambda steps: steps + self.steps)

    def spans(self, t: Real) -> Spans:
        yield self.schedule, self.moved(t), t >= self.steps


@node
class Stretch(Moved):
    """`t ↦ schedule(t / factor)`, `factor` times as long."""

    factor: Number = leaf(gt=0, unit="times", hint="2 makes it twice as long, 0.5 half as long")

    def moved(self, t: Real) -> Real:
        return ratio(t, self.factor)

    @property
    def length(self) -> Real:
        return unless_endless(self.schedule.length, lambda steps: snapped(steps * self.factor))


@node
class Staircase(Moved):
    """`t ↦ schedule(every · ⌊t / every⌋)`, with the length of the schedule rounded up to whole stairs."""

    every: Number = leaf(gt=0, unit="steps", hint="the number of updates between two moves")

    def moved(self, t: Real) -> Real:
        return snapped(self.every * numerics.floor_ratio(maximum(t, 0.0), self.every))

    @property
    def length(self) -> Real:
        return unless_endless(self.schedule.length, lambda steps: snapped(self.every * ceil(ratio(steps, self.every))))


@node
class Reverse(Moved):
    """`t ↦ schedule(length - t)`, and `schedule(0)` after its length."""

    def _check(self) -> None:
        _check_end(self)

    def moved(self, t: Real) -> Real:
        return clip(self.schedule.length - t, 0.0, self.schedule.length)

    @property
    def length(self) -> Real:
        return self.schedule.length


def _check_end(node: Reverse | Repeat | Cooldown) -> None:
    if surely(np.isinf, node.schedule.length):
        hint = "give it a length with .take(n)"
        raise ValueError(unexpected(node._maker, "schedule", node.schedule, "a schedule with an end", hint))


@node
class Warp(Moved):
    """`t ↦ schedule(time(t))`, as long as `time`; a time below 0 counts as 0."""

    time: Schedule = child()

    def moved(self, t: Real) -> Real:
        return numerics.time_given(self.time.at(t))

    @property
    def length(self) -> Real:
        return self.time.length


@node
class Repeat(Schedule):
    """Cycle c = 0, 1, …, n - 1 lasts `stretch^c · L` steps, and is `t ↦ scale^c · schedule(t / stretch^c)` on its own time."""

    _call = "repeat"

    schedule: Schedule = child()
    n: Number | None = leaf(
        ge=1, integer=True, unit="times", optional=True, default=None, hint="the number of cycles; None repeats for ever"
    )
    stretch_: Number | None = leaf(
        gt=0, optional=True, default=None, exact=True, hint="2 doubles every cycle's length, 1 keeps it"
    )
    scale: Number | None = leaf(optional=True, default=None, exact=True)

    # The argument is `stretch`, but a field of that name would hide the method. `dataclasses.replace` passes `stretch_`.
    def __init__(
        self,
        schedule: Schedule,
        n: Number | None = None,
        stretch: Number | dataclasses._MISSING_TYPE | None = dataclasses.MISSING,
        scale: Number | None = None,
        stretch_: Number | None = None,
    ) -> None:
        stretch = stretch_ if stretch is dataclasses.MISSING else stretch
        self.__dict__.update(schedule=schedule, n=n, stretch_=stretch, scale=scale)
        self.__post_init__()

    def _check(self) -> None:
        _check_end(self)
        if self.n is None and surely(np.equal, self.schedule.length, 0.0):
            expected, hint = "a length above 0, to repeat for ever", "give it a length, or an n"
            raise ValueError(unexpected("repeat", "schedule", self.schedule, expected, hint))
        if self.n is None and self.stretch_ is not None and surely(np.less, self.stretch_, 1.0):
            hint = "shrinking cycles come to an end; say how many with n"
            raise ValueError(unexpected("repeat", "stretch", self.stretch_, "stretch >= 1", hint))

    def _cycle(self, t: Real) -> tuple[Real, Real]:
        """The number of the cycle, and the time within it on the schedule's own scale."""
        t, steps = maximum(t, 0.0), self.schedule.length
        # Endless cycles of length 0 stay at the first one.
        last = where(steps > 0.0, numerics.LATEST, 0.0) if self.n is None else maximum(rounded(self.n) - 1.0, 0.0)
        if self.stretch_ is None:
            cycle = where(steps > 0.0, minimum(numerics.floor_ratio(t, steps), last), last)
            return cycle, clip(t - cycle * steps, 0.0, steps)
        cycle, start, growth = growing_cycle(t, steps, self.stretch_, last)
        return cycle, clip(ratio(t - start, growth), 0.0, steps)

    def at(self, t: Real) -> Real:
        cycle, inside = self._cycle(t)
        value = self.schedule.at(inside)
        return value if self.scale is None else grown(value, self.scale, cycle)

    @property
    def length(self) -> Real:
        if self.n is None:
            return math.inf
        if self.stretch_ is None:
            return self.schedule.length * rounded(self.n)
        steps = self.schedule.length
        total = growing_cycle(math.inf, steps, self.stretch_, rounded(self.n))[1]
        return total if isinstance(steps, numerics.Extended) else numerics.as_value(total)


@node
class Cooldown(Schedule):
    """The schedule up to its length, then a ramp of `steps` from its last value to `end`."""

    _call = "cooldown"

    schedule: Schedule = child()
    steps: Number = leaf(ge=0, unit="steps")
    end: Number = leaf(default=0.0)
    shape: Literal["linear", "cosine", "1-sqrt"] = choice(*WAYS, default="linear")

    def _check(self) -> None:
        _check_end(self)
        check_count("cooldown", "steps", self.steps)

    def at(self, t: Real) -> Real:
        first, second = WAYS[self.shape].weights(Progress(t - self.schedule.length, self.steps))
        value = self.schedule.at(t)  # its last value from its length on
        return where(t < self.schedule.length, value, value * first + self.end * second)

    @property
    def length(self) -> Real:
        return self.schedule.length + self.steps


@node
class Choice(Schedule):
    """One of several schedules: `t ↦ branches[index](t)`. `stack` makes one from schedules of different structures.

    Clocks tick only in the branch that is chosen.

    Args:
        branches: a list of schedules.
        index: the number of a branch, from 0, rounded.

    >>> import lrsched as ls
    >>> print(ls.Choice((ls.Constant(1.0), ls.Linear(0.0, 1.0, 10)), 1)(5))
    0.5
    """

    branches: tuple[Schedule, ...] = child()
    index: Number = leaf(ge=0, unit="branches", hint="counted from 0")

    def _check(self) -> None:
        if not isinstance(self.branches, tuple) or not self.branches:
            raise TypeError(unexpected("Choice", "branches", self.branches, "a list of at least one schedule"))
        if surely(np.greater_equal, self.index, len(self.branches)):
            raise ValueError(unexpected("Choice", "index", self.index, f"index < {len(self.branches)}", "counted from 0"))

    def _chosen(self) -> Real:
        return minimum(rounded(self.index), len(self.branches) - 1.0)

    def at(self, t: Real) -> Real:
        return running_value(self.spans(t))

    @property
    def length(self) -> Real:
        chosen, length = self._chosen(), self.branches[0].length
        for i, branch in enumerate(self.branches[1:], 1):
            length = where(chosen == float(i), branch.length, length)
        return length

    def spans(self, t: Real) -> Spans:
        chosen = self._chosen()
        for i, branch in enumerate(self.branches):
            running = chosen == float(i)
            yield branch, where(running, t, minimum(t, 0.0)), running


@node
class Driven(Schedule):
    """A schedule whose time is the reading of a clock, not the step: `schedule.on(clock)`.

    It cannot be called, since its value depends on observations: `lrsched.clocks.evaluate(s, state)` is its value, and
    `lrsched.clocks.bind(s, state)` an ordinary schedule.

    A reading may be negative. At such a time `Time()` is t, `Function(f)` is f(t) and `Exponential(a, r)` is a · r^t. All other
    shapes, `repeat`, `staircase`, `reverse`, `delay` and warps have their value at 0. Operators, `take`, `stretch` and `drop`
    pass the time on, and a sequence passes it to its first part.

    Args:
        schedule: the schedule, which must not be driven itself.
        clock: a `lrsched.Clock`, such as `Plateau()`.

    >>> import lrsched as ls
    >>> s = ls.Driven(ls.Linear(0.0, 1.0, 10), ls.Steps())
    >>> print(ls.clocks.evaluate(s, ls.clocks.tick(s, ls.clocks.init(s))))
    0.1
    """

    _call = "on"

    schedule: Schedule = child()
    clock: Any = child()

    def _check(self) -> None:
        checked_clock("on", self.clock)

    def at(self, t: Real) -> Real:
        del t
        raise TypeError(
            f"schedule(step): expected a schedule of the step alone, got {shown(self)}, which depends on what its clock has"
            " observed. Hint: in an optax chain, scale_by_learning_rate(s) runs the clocks; by hand, lrsched.clocks.init,"
            " tick and evaluate(s, state) do."
        )


def checked_clock(call: str, clock: object) -> None:
    """Raises a TypeError for anything but a clock whose class is a node."""
    if not isinstance(clock, Node) or not all(hasattr(clock, name) for name in ("init", "tick", "read")):
        raise TypeError(unexpected(call, "clock", clock, "a clock, such as Plateau(patience=5)"))
    if "_numbers" not in vars(type(clock)):
        name = type(clock).__name__
        raise TypeError(f"{call}(clock={name}(...)): expected a node. Hint: decorate the class with lrsched.node.")


def driven_parts(schedule: Schedule) -> list[Driven]:
    """The driven parts of a schedule, in the order of the tree."""
    leaves = jax.tree.leaves(schedule, is_leaf=lambda x: isinstance(x, Driven))
    return [leaf for leaf in leaves if isinstance(leaf, Driven)]
