"""Schedulers made of schedulers: in sequence, and all in one step."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.node import child, leaf, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Real, Schedule, Spans, ready
from lrsched.algebra.written import shown, unexpected
from lrsched.dialects.torch.cyclic import CyclicLR, OneCycleLR
from lrsched.dialects.torch.scheduler import Change, InPlace, Scheduler, entries, setting


@node
class SequentialLR(Scheduler):
    """Schedulers one after the other: `schedulers[k]` from `milestones[k - 1]` on, on its own time from 0.

    Each starts from its own base rate, not from where the last one ended, except that `MultiplicativeLR` and `SWALR` continue
    from the rate before them, as in PyTorch. A sequence as a child equals its children in its place. A plateau may be a
    child, where PyTorch raises: its clock ticks while it runs. In PyTorch a `OneCycleLR` or a `CyclicLR` also overwrites the
    base rate of the other children (`initial_lr`); here each child keeps its own.

    Raises:
        TypeError: if they are not schedules.
        ValueError: if there are none, the milestones do not rise, or the counts do not match.

    >>> from lrsched.dialects.torch import ExponentialLR, LinearLR, SequentialLR
    >>> warmup, decay = LinearLR(0.4, start_factor=0.25, total_iters=3), ExponentialLR(0.4, gamma=0.5)
    >>> print(SequentialLR(schedulers=[warmup, decay], milestones=[3])([0, 1, 2, 3, 4]))
    [0.1 0.2 0.3 0.4 0.2]
    """

    schedulers: Sequence[Schedule] | tuple[Schedule, ...] = child()  # kept as a tuple
    milestones: Any = leaf(rank=1, rising=True, unit="steps", optional=True)

    def _check(self) -> None:
        count = len(entries(self.milestones))
        if count != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR(...): expected one milestone fewer than schedules, got {len(self.schedulers)} schedules and"
                f" {count} milestones."
            )

    @property
    def base(self) -> Number:
        first = self.schedulers[0]
        return first.base if isinstance(first, Scheduler) else ready(first).at(0.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._from(self.schedulers[0])

    def _from(self, first: Schedule) -> Schedule:
        parts, steps = [first], entries(self.milestones)
        for k, milestone in enumerate(steps):
            later = self.schedulers[k + 1]
            begins_at_0 = numerics.is_concrete(milestone) and np.all(np.equal(milestone, 0))
            if isinstance(later, Scheduler) and not begins_at_0:
                before = ls.join(parts, steps[:k]) @ ls.Constant(milestone - 1.0, 0.0)
                later = later.continued(before)
            parts.append(later)
        return ls.join(parts, steps)

    def continued(self, rate: Schedule) -> Schedule:
        first = self.schedulers[0]
        return self._from(first.continued(rate) if isinstance(first, Scheduler) else first)

    @property
    def sets(self) -> bool:
        return all(s.sets for s in self.schedulers if isinstance(s, Scheduler))

    def change(self, t: Real) -> Change:
        first, *later = map(ready, self.schedulers)
        found = _change(first, t).unless(t < 1, setting(first.at(0.0)))
        for one, milestone in zip(later, entries(self.milestones), strict=True):
            own = numerics.maximum(t - milestone, 0.0)
            started = _change(one, own)
            if isinstance(one, Scheduler):  # its first step is linear in the rate before it
                at_0, at_1 = (ready(one.continued(ls.Constant(rate, 0.0))).at(0.0) for rate in (0.0, 1.0))
                started = started.unless(own < 1, Change(at_1 - at_0, at_0))
            found = found.unless(t >= milestone, started)
        return found

    def spans(self, t: Any) -> Spans:
        first, *later = self.schedulers
        yield from ls.join(self.schedulers, entries(self.milestones)).spans(t) if later else ((first, t, True),)


@node
class ChainedScheduler(Scheduler):
    """Schedulers that all change one rate at every step, in turn.

    Children that only multiply (Step, MultiStep, Constant, Linear, Exponential, Polynomial and MultiplicativeLR) give the
    product of their factors. Any other child modifies the current rate, as in PyTorch: one that replaces the rate cancels
    the children before it, and a cosine scales the distance of the rate from `eta_min`. Such a chain has no closed form: past
    1,048,576 steps, and where numbers are traced, the time of a call grows with the step. In PyTorch a `OneCycleLR` or a
    `CyclicLR` also overwrites the base rate of the others; here they keep their own `base_lr`.

    A plateau (where PyTorch raises), and any other child from outside this dialect, multiplies the result by its own value
    over the base rate. The product of whole schedules is `a * b`.

    Raises:
        TypeError: if they are not schedules.
        ValueError: if none is of this dialect, or their base rates differ.

    >>> from lrsched.dialects.torch import ChainedScheduler, ConstantLR, ExponentialLR
    >>> chain = ChainedScheduler([ConstantLR(1.0, factor=0.5, total_iters=2), ExponentialLR(1.0, gamma=0.5)])
    >>> print(chain([0, 1, 2, 3]))
    [0.5   0.25  0.25  0.125]
    """

    schedulers: Sequence[Schedule] | tuple[Schedule, ...] = child()  # kept as a tuple

    def _check(self) -> None:
        if not self._in_turn:
            expected, hint = "a scheduler of this dialect that has a base rate", "multiply the schedules"
            raise ValueError(unexpected("ChainedScheduler", "schedulers", self.schedulers, expected, hint))
        rates = [s.base for s in self._in_turn if not isinstance(s, (CyclicLR, OneCycleLR))]
        if numerics.is_concrete(*rates) and any(np.any(np.not_equal(rate, rates[0])) for rate in rates):
            raise ValueError(
                f"ChainedScheduler(schedulers=...): expected one base_lr, as they change one rate, got"
                f" {', '.join(map(shown, rates))}."
            )

    @property
    def _in_turn(self) -> list[Scheduler]:
        """The children that change one rate in turn."""
        return [s for s in self.schedulers if isinstance(s, Scheduler)]

    @property
    def base(self) -> Number:
        return self._in_turn[0].base

    @property
    def _others(self) -> list[Schedule]:
        """The other children, as factors of the result."""
        return [s / ls.Constant(self.base, 0.0) for s in self.schedulers if not isinstance(s, Scheduler)]

    @functools.cached_property
    def composed(self) -> Schedule:
        if (multiplier := self.multiplier) is not None:
            return ls.Constant(self.base, 0.0) * multiplier
        alone = ChainedScheduler(self._in_turn) if self._others else self
        return functools.reduce(operator.mul, self._others, InPlace(alone))

    @property
    def multiplier(self) -> Schedule | None:
        known = [x for s in self._in_turn if (x := s.multiplier) is not None]
        return functools.reduce(operator.mul, [*known, *self._others]) if len(known) == len(self._in_turn) else None

    @property
    def sets(self) -> bool:
        return any(s.sets for s in self._in_turn) or bool(self._others)

    def change(self, t: Real) -> Change:
        if self._others:
            return setting(self.at(t))
        changes = []
        for s in self._in_turn:
            is_late = isinstance(s, CyclicLR) and changes  # PyTorch sets this base rate after construction
            changes.append(s.change(t).unless(t < 1, setting(self.base)) if is_late else s.change(t))
        return functools.reduce(Change.then, changes)

    def spans(self, t: Any) -> Spans:
        for schedule in self.schedulers:
            yield schedule, t, True


def _change(schedule: Schedule, t: Real) -> Change:
    return schedule.change(t) if isinstance(schedule, Scheduler) else setting(schedule.at(t))
