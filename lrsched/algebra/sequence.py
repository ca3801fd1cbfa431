"""Schedules one after the other."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import jax
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count, is_empty
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked, child, each_number, node, surely
from lrsched.algebra.numerics import maximum, minimum, snapped, where
from lrsched.algebra.pointwise import Constant, as_schedule
from lrsched.algebra.schedule import Real, Schedule, ScheduleLike, Spans, running_value
from lrsched.algebra.written import number_source, shown, unexpected


@explained
def join(schedules: Iterable[ScheduleLike], boundaries: Any) -> Schedule:
    """Schedules one after the other, each on its own time from 0, cut or held at explicit boundaries.

    `schedules[k]` runs from `boundaries[k - 1]` on; the first starts at 0, and the last never ends.

    Args:
        schedules: at least one schedule, number or function of the step.
        boundaries: the steps at which the second, third, … schedule begins: one fewer than schedules, rising.

    >>> import lrsched as ls
    >>> print(ls.join([1.0, 2.0, 3.0], [10, 20])([9, 10, 20]))
    [1. 2. 3.]
    """
    if not isinstance(schedules, Iterable):
        raise TypeError(unexpected("join", "schedules", schedules, "a list of schedules"))
    parts = [as_schedule("join", "schedules", part) for part in schedules]
    bounds = []
    if not is_empty(boundaries):
        hint = "sort them, and the schedules with them"
        table = checked("join", "boundaries", boundaries, rank=1, rising=True, unit="steps", hint=hint)
        check_count("join", "boundaries", table)
        bounds = [table[..., i][()] for i in range(table.shape[-1])]
    if len(bounds) != len(parts) - 1:
        found = f"{len(parts)} schedules and {len(bounds)} boundaries"
        raise ValueError(f"join(...): expected one boundary fewer than schedules, got {found}.")
    lengths = [stop - start for start, stop in itertools.pairwise([0.0, *bounds])]
    cuts = (part.take(steps) for part, steps in zip(parts, lengths, strict=False))
    return sequence(*cuts, parts[-1])


def sequence(*schedules: Schedule) -> Schedule:
    """Schedules one after the other, without nested sequences."""
    if len(schedules) == 1:
        return schedules[0]
    made = Sequence(tuple(part for s in schedules for part in (s.parts if isinstance(s, Sequence) else (s,))))
    made.__dict__["_operands"] = tuple(one for s in schedules for one in operands(s))
    return made


def operands(schedule: Schedule) -> tuple[Schedule, ...]:
    """The operands of the `>>` that made a schedule; a recipe is one operand."""
    if schedule._recipe or not isinstance(schedule, Sequence):
        return (schedule,)
    return schedule.__dict__.get("_operands", schedule.parts)


def unless_endless(length: Real, function: Callable[[Real], Real]) -> Real:
    """A function of a length; an endless one stays endless, since infinity minus infinity is NaN."""
    latest = math.inf if numerics.is_concrete(length) else numerics.LATEST
    return where(length >= latest, length, function(length))


_MANY = 32  # with fewer parts, evaluating all of them is faster than looking up the numbers of the running one


@node
class Sequence(Schedule):
    """Its parts one after the other, each for its length and on its own time from 0; at a boundary the later part counts.

    A part is evaluated only within its own span, so a singularity elsewhere affects neither values nor gradients.
    """

    parts: tuple[Schedule, ...] = child()

    def _check(self) -> None:
        if not self.parts:
            hint = "Constant(value, 0) is the one that changes nothing"
            raise ValueError(unexpected("Sequence", "parts", self.parts, "at least one part", hint))
        for part in self.parts[:-1]:
            if surely(np.isinf, part.length):
                text = shown(part)
                is_constant = isinstance(part, Constant)
                bounded = f"Constant({number_source(part.value)}, steps)" if is_constant else f"({text}).take(steps)"
                hint = f"only the last part of a sequence may be unbounded; write {bounded}"
                raise ValueError(f"{text} >> ...: expected a part with an end. Hint: {hint}.")

    @functools.cached_property
    def _starts(self) -> list[Real]:
        lengths = (part.length for part in self.parts[:-1])
        return list(itertools.accumulate(lengths, lambda start, length: snapped(start + length), initial=0.0))

    @functools.cached_property
    def _groups(self) -> list[list[int]]:
        """The indices of the parts that share one evaluation: those of one structure; the last part is alone."""
        groups: dict[Hashable, list[int]] = {}
        for k, part in enumerate(self.parts):
            leaves, structure = jax.tree.flatten(part)
            alike = len(self.parts) >= _MANY and k + 1 < len(self.parts) and not any(map(np.ndim, leaves))
            groups.setdefault(structure if alike else k, []).append(k)  # tables are not looked up in tables
        return list(groups.values())

    def at(self, t: Real) -> Real:
        if isinstance(t, float) and self._is_ready:
            k = max(bisect.bisect_right(self._starts, t) - 1, 0)
            return self.parts[k].at(self._own(k, t))
        return running_value(self.spans(t) if len(self._groups) == len(self.parts) else self._spans_of_groups(t))

    def _own(self, k: int, t: Real) -> Real:
        """A part's own time: 0 until it begins, its length once it has ended. For the first part it may be below 0."""
        t = t if k == 0 else maximum(t - self._starts[k], 0.0)
        return t if k + 1 == len(self.parts) else minimum(t, self.parts[k].length)

    def spans(self, t: Real) -> Spans:
        begun = [True, *(t >= start for start in self._starts[1:]), False]
        for k, part in enumerate(self.parts):
            yield part, self._own(k, t), begun[k] & (begun[k + 1] ^ True)

    def _spans_of_groups(self, t: Real) -> Spans:
        """Like `spans`, with each group as one part that has the numbers of the last member to begin."""
        row, rows = numerics.row_of(numerics.table(self._starts), t), range(len(self.parts))
        for group in self._groups:
            if len(group) == 1:
                yield self.parts[group[0]], self._own(group[0], t), row == group[0]
                continue
            members = [group[max(bisect.bisect_right(group, k) - 1, 0)] for k in rows]
            parts, starts = [self.parts[k] for k in members], numerics.table([self._starts[k] for k in members])
            own = t - numerics.pick_time(starts, row)
            own = own if group[0] == 0 else maximum(own, 0.0)
            own = minimum(own, numerics.pick_time(numerics.table([part.length for part in parts]), row))
            yield _part_in_row(parts, row), own, numerics.pick(np.isin(rows, group), row) > 0.0

    @property
    def length(self) -> Real:
        return unless_endless(self.parts[-1].length, lambda steps: self._starts[-1] + steps)


def _part_in_row(parts: list[Schedule], row: Real) -> Schedule:
    """One of several schedules of the same structure, with its numbers looked up in a row."""
    tables = jax.tree.map(lambda *xs: numerics.table(list(xs)), *parts, is_leaf=lambda x: isinstance(x, numerics.Extended))
    return each_number(tables, lambda table, spec: (numerics.pick_time if spec.exact else numerics.pick)(table, row))
