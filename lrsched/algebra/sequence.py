"""Schedules one after the other."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import is_empty
from lrsched.algebra.node import checked, child, each_number, node, surely
from lrsched.algebra.numerics import maximum, minimum, snapped, where
from lrsched.algebra.pointwise import Constant, as_schedule
from lrsched.algebra.schedule import Real, Schedule, ScheduleLike, Spans, running_value
from lrsched.algebra.written import number_source, shown, unexpected


def join(schedules: Iterable[ScheduleLike], boundaries: Any) -> Schedule:
    """Schedules one after the other, each on its own time from 0, cut or held at explicit boundaries.

    `schedules[k]` runs from `boundaries[k - 1]` on, and so the first from 0 and the last for ever.

    Args:
        schedules: at least one schedule, number or function of the step.
        boundaries: the steps at which the second, third, … schedule begins: one fewer than schedules, rising.

    Raises:
        TypeError: if they are no schedules, or the boundaries no list of numbers.
        ValueError: if the counts do not match or the boundaries do not rise.

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
        bounds = [table[..., i][()] for i in range(table.shape[-1])]
    if len(bounds) != len(parts) - 1:
        found = f"{len(parts)} schedules and {len(bounds)} boundaries"
        raise ValueError(f"join(...): expected one boundary fewer than schedules, got {found}.")
    lengths = [stop - start for start, stop in itertools.pairwise([0.0, *bounds])]
    cuts = (part.take(steps) for part, steps in zip(parts, lengths, strict=False))
    return functools.reduce(Schedule.then, [*cuts, parts[-1]])


def sequence(*schedules: Schedule) -> Schedule:
    """Schedules one after the other; the parts of sequences are parts of it."""
    return Sequence(tuple(part for s in schedules for part in (s.parts if isinstance(s, Sequence) else (s,))))


def unless_endless(length: Real, function: Callable[[Real], Real]) -> Real:
    """A function of a length; but an endless length stays as it is, for in a trace infinity minus infinity is no number."""
    endless = np.isinf(numerics.to_float64(length)) if numerics.is_concrete(length) else length >= numerics.LATEST
    if isinstance(endless, (bool, np.bool_)):
        return length if endless else function(length)
    return where(endless, length, function(length))


_MANY = 32  # parts: to evaluate fewer, and choose, is faster than to look up the numbers of the one that is running


@node
class Sequence(Schedule):
    """Its parts one after the other, each for its length and on its own time from 0; at a boundary the later part counts.

    A part is asked only about its own span, so one that is singular elsewhere does no harm, to gradients either.
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
        """When each part begins."""
        lengths = (part.length for part in self.parts[:-1])
        return list(itertools.accumulate(lengths, lambda start, length: snapped(start + length), initial=0.0))

    @functools.cached_property
    def _known_starts(self) -> np.ndarray | None:
        known = numerics.is_concrete(*self._starts) and not any(map(np.ndim, self._starts))
        return np.asarray(self._starts, np.float64) if known else None

    @functools.cached_property
    def _groups(self) -> list[list[int]]:
        """The parts, by number, that one evaluation can serve, as they are of one structure; the last by itself."""
        groups: dict[Hashable, list[int]] = {}
        for k, part in enumerate(self.parts):
            leaves, structure = jax.tree.flatten(part)
            alike = k + 1 < len(self.parts) and not any(map(np.ndim, leaves))  # tables are not looked up in tables
            groups.setdefault(structure if alike else k, []).append(k)
        return list(groups.values())

    def _own(self, k: int, t: Real) -> Real:
        """The own time of a part: 0 until it begins, and standing still once it has ended. The first may be below 0."""
        t = t if k == 0 else maximum(t - self._starts[k], 0.0)
        return t if k + 1 == len(self.parts) else minimum(t, self.parts[k].length)

    def at(self, t: Real) -> Real:
        if self._known_starts is not None and numerics.is_concrete(t):
            return self._at_host(t, self._known_starts)
        if len(self.parts) >= _MANY and len(self._groups) < len(self.parts):
            return self._looked_up(t)
        begun = (k == 0 or t >= start for k, start in enumerate(self._starts))
        return running_value((part, self._own(k, t), now) for k, (part, now) in enumerate(zip(self.parts, begun, strict=True)))

    def _at_host(self, t: Real, starts: np.ndarray) -> Real:
        """The value of the part that is running; the others are not evaluated."""
        row = np.maximum(starts.searchsorted(t, side="right") - 1, 0)
        if np.ndim(row) == 0:
            return self.parts[row].at(self._own(int(row), t))
        if not numerics.is_concrete(*jax.tree.leaves(self)):
            return running_value((part, self._own(k, t), row >= k) for k, part in enumerate(self.parts))
        found = np.empty(np.shape(row))
        for k in np.unique(row):
            found[row == k] = self.parts[k].at(self._own(int(k), t[row == k]))
        return found

    def _looked_up(self, t: Real) -> Real:
        """The value by one evaluation for each group, with the numbers of the part that is running, if it is one of them."""
        row = numerics.row_of(numerics.table(self._starts), t)
        rows, group_of = np.arange(len(self.parts)), np.zeros(len(self.parts), np.int32)
        for i, members in enumerate(self._groups):
            group_of[members] = i
        group, value = _in_row(group_of, row), None
        for i, members in enumerate(self._groups):
            if len(members) == 1:
                found = self.parts[members[0]].at(self._own(members[0], t))
            else:  # in the rows of other groups, the member before, whose time is over
                place = _in_row(np.maximum(np.searchsorted(members, rows, side="right") - 1, 0).astype(np.int32), row)
                parts = [self.parts[k] for k in members]
                own = t - numerics.pick_time(numerics.table([self._starts[k] for k in members]), place)
                own = own if members[0] == 0 else maximum(own, 0.0)
                own = minimum(own, numerics.pick_time(numerics.table([part.length for part in parts]), place))
                found = _part_in_row(parts, place).at(own)
            value = found if value is None else where(group == i, found, value)
        return value

    @property
    def length(self) -> Real:
        return unless_endless(self.parts[-1].length, lambda steps: self._starts[-1] + steps)

    def spans(self, t: Real) -> Spans:
        begun = True
        for k, part in enumerate(self.parts):
            running = begun & (t < self._starts[k + 1]) if k + 1 < len(self.parts) else begun
            yield part, self._own(k, t), running
            begun = t >= self._starts[k + 1] if k + 1 < len(self.parts) else False


def _in_row(entries: np.ndarray, row: jax.Array) -> jax.Array:
    return jnp.asarray(entries).at[row].get(mode="promise_in_bounds")


def _part_in_row(parts: list[Schedule], row: jax.Array) -> Schedule:
    """Several schedules of one structure as one: each of its numbers is looked up in the row of the one that is running."""
    tables = jax.tree.map(lambda *xs: numerics.table(list(xs)), *parts, is_leaf=lambda x: isinstance(x, numerics.Extended))
    return each_number(tables, lambda table, spec: (numerics.pick_time if spec.exact else numerics.pick)(table, row))
