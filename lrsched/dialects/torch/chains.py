"""Schedulers made of schedulers: one after the other, and all in one step."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import is_empty
from lrsched.algebra.node import child, leaf, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Schedule, Spans, ready
from lrsched.algebra.sequence import join
from lrsched.algebra.written import shown, unexpected
from lrsched.dialects.torch.cyclic import CyclicLR, OneCycleLR
from lrsched.dialects.torch.scheduler import Change, Recurrence, Scheduler, setting


def _checked_children(call: str, schedules: Any) -> tuple[Schedule, ...]:
    if isinstance(schedules, Schedule) or not isinstance(schedules, (list, tuple)):
        raise TypeError(unexpected(call, "schedules", schedules, "a list of schedules"))
    if not schedules:
        raise ValueError(unexpected(call, "schedules", schedules, "at least one schedule"))
    return tuple(schedules)


@node
class SequentialLR(Scheduler):
    """Schedulers one after the other: `schedules[k]` from `milestones[k - 1]` on, on its own time from 0.

    Each starts again from its own base rate, not from where the last one ended, but for `MultiplicativeLR` and `SWALR`, which
    go on from the rate before them, as in PyTorch. A sequence as a child is the same as its children in its place, and a
    plateau may be a child, where PyTorch raises: its clock ticks while it runs. In PyTorch a `OneCycleLR` or a `CyclicLR` also
    overwrites the base rate of the children beside it (`initial_lr`); here each child has the one that it is given.

    Args:
        schedules: a list of schedules of this dialect, or any others.
        milestones: the steps at which the second, third, … begins: one fewer, rising.

    Raises:
        TypeError: if they are no schedules.
        ValueError: if there are none, the milestones do not rise, or the counts do not match.

    >>> from lrsched.dialects.torch import ExponentialLR, LinearLR, SequentialLR
    >>> warmup, decay = LinearLR(0.4, start_factor=0.25, total_iters=3), ExponentialLR(0.4, gamma=0.5)
    >>> print(SequentialLR([warmup, decay], milestones=[3])([0, 1, 2, 3, 4]))
    [0.1 0.2 0.3 0.4 0.2]

    References:
        PyTorch's `SequentialLR`. In the algebra: `join(schedules, milestones)`, or `a >> b`.
    """

    schedules: tuple[Schedule, ...] = child()
    milestones: Any = leaf(rank=1, rising=True, unit="steps", optional=True)

    def __init__(self, schedules: Any, milestones: Any) -> None:
        parts = _checked_children("SequentialLR", schedules)
        self.__dict__.update(schedules=parts, milestones=None if len(parts) == 1 and is_empty(milestones) else milestones)
        self.__post_init__()

    def _check(self) -> None:
        count = 0 if self.milestones is None else np.shape(self.milestones)[-1]
        if count != len(self.schedules) - 1:
            raise ValueError(
                f"SequentialLR(...): expected one milestone fewer than schedules, got {len(self.schedules)} schedules and"
                f" {count} milestones."
            )

    def _steps(self) -> list[Any]:
        table: Any = self.milestones
        return [] if table is None else [table[..., i][()] for i in range(np.shape(table)[-1])]

    @property
    def base(self) -> Number:
        first = self.schedules[0]
        return first.base if isinstance(first, Scheduler) else ready(first).at(0.0)

    @functools.cached_property
    def _plain(self) -> Schedule:
        """Its children one after the other, each from its own base rate: which of them runs when."""
        return join(self.schedules, [] if self.milestones is None else self.milestones)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._from(self.schedules[0])

    def _from(self, first: Schedule) -> Schedule:
        parts = [first]
        for k, milestone in enumerate(self._steps()):
            later = self.schedules[k + 1]
            if isinstance(later, Scheduler) and not _is_known_to_be_0(milestone):
                before = join(parts, self._steps()[:k]) @ Constant(milestone - 1.0, 0.0)
                later = later.continued(before)
            parts.append(later)
        return join(parts, self._steps())

    def continued(self, rate: Schedule) -> Schedule:
        first = self.schedules[0]
        return self._from(first.continued(rate) if isinstance(first, Scheduler) else first)

    @property
    def change(self) -> Change:
        begin = self.schedules[0]
        changes = [_change(begin).first(0.0, begin)]
        changes += [s.started_change if isinstance(s, Scheduler) else setting(s) for s in self.schedules[1:]]
        steps = self._steps()
        return Change(join([c.scale for c in changes], steps), join([c.offset for c in changes], steps))

    def spans(self, t: Any) -> Spans:
        first, *later = self.schedules
        yield from self._plain.spans(t) if later else ((first, t, True),)

    @property
    def length(self) -> Any:
        return self._plain.length


@node
class ChainedScheduler(Scheduler):
    """Schedulers that change one rate in turn, all of them at every step.

    Children that only multiply (Step, MultiStep, Constant, Linear, Exponential, Polynomial and MultiplicativeLR) give the
    product of what they multiply with. Any other changes the rate as it finds it, with the results that PyTorch has: one that
    replaces the rate makes those before it pointless, and a cosine multiplies its distance from `eta_min`, wherever that is.
    Such a chain walks through all steps up to t. A plateau as a child, where PyTorch raises, and any schedule of another
    kind, multiplies the result with what it is by itself over the base rate. What `OneCycleLR` and `CyclicLR` do to the base
    rate of the others in PyTorch (see `SequentialLR`) is for the others' `base_lr` to say.

    To multiply whole schedules is to write `a * b`.

    Args:
        schedules: a list of schedules of this dialect, of the same base rate.

    Raises:
        TypeError: if they are no schedules.
        ValueError: if there are none, or their base rates differ.

    >>> from lrsched.dialects.torch import ChainedScheduler, ConstantLR, ExponentialLR
    >>> chain = ChainedScheduler([ConstantLR(1.0, factor=0.5, total_iters=2), ExponentialLR(1.0, gamma=0.5)])
    >>> print(chain([0, 1, 2, 3]))
    [0.5   0.25  0.25  0.125]

    References:
        PyTorch's `ChainedScheduler`. In the algebra: `a * b / base_lr`.
    """

    schedules: tuple[Schedule, ...] = child()

    def __init__(self, schedules: Any) -> None:
        self.__dict__.update(schedules=_checked_children("ChainedScheduler", schedules))
        self.__post_init__()

    def _check(self) -> None:
        schedulers = [s for s in self.schedules if isinstance(s, Scheduler)]
        if not schedulers:
            expected, hint = "a scheduler of this dialect that has a base rate", "multiply the schedules"
            raise ValueError(unexpected("ChainedScheduler", "schedules", self.schedules, expected, hint))
        rates = [s.base for s in schedulers if not isinstance(s, (CyclicLR, OneCycleLR))]
        if numerics.is_concrete(*rates) and any(np.any(np.not_equal(rate, rates[0])) for rate in rates):
            raise ValueError(
                f"ChainedScheduler(schedules=...): expected one base_lr, as they change one rate, got"
                f" {', '.join(map(shown, rates))}."
            )

    @property
    def base(self) -> Number:
        return next(s.base for s in self.schedules if isinstance(s, Scheduler))

    @functools.cached_property
    def composed(self) -> Schedule:
        multipliers = [x for s in self.schedules if (x := self._multiplier(s)) is not None]
        if len(multipliers) == len(self.schedules):
            return functools.reduce(operator.mul, multipliers, Constant(self.base, 0.0))
        change = self._change_of([s for s in self.schedules if isinstance(s, Scheduler)])
        rate = change.offset if change.replaces else Recurrence(self.base, *change)
        return functools.reduce(operator.mul, self._others(), rate)

    def _multiplier(self, schedule: Schedule) -> Schedule | None:
        return schedule.multiplier if isinstance(schedule, Scheduler) else self._relative(schedule)

    def _relative(self, schedule: Schedule) -> Schedule:
        return schedule / Constant(self.base, 0.0)

    def _others(self) -> list[Schedule]:
        return [self._relative(s) for s in self.schedules if not isinstance(s, Scheduler)]

    def _change_of(self, schedulers: list[Scheduler]) -> Change:
        changes = [s.change for s in schedulers]
        for i, s in enumerate(schedulers):
            if i and isinstance(s, CyclicLR):  # PyTorch sets its base rate only after its constructor
                changes[i] = changes[i].first(0.0, self.base)
        return functools.reduce(Change.then, changes)

    @property
    def change(self) -> Change:
        if self._others():  # of which only the value is known
            return setting(self.composed)
        return self._change_of([s for s in self.schedules if isinstance(s, Scheduler)])

    def spans(self, t: Any) -> Spans:
        for schedule in self.schedules:
            yield schedule, t, True

    @property
    def length(self) -> Any:
        return functools.reduce(numerics.maximum, (s.length for s in self.schedules))


def _change(schedule: Schedule) -> Change:
    return schedule.change if isinstance(schedule, Scheduler) else setting(schedule)


def _is_known_to_be_0(milestone: Any) -> bool:
    return numerics.is_concrete(milestone) and bool(np.all(np.equal(milestone, 0)))
