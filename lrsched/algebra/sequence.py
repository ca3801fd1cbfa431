"""Schedules one after the other."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.combinators import running_value
from lrsched.algebra.node import checked, child, each_number, is_empty, node
from lrsched.algebra.numerics import maximum, minimum, snapped, where
from lrsched.algebra.pointwise import Constant, as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike, Spans
from lrsched.algebra.written import shown


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
    if isinstance(schedules, Schedule):
        raise TypeError(f"join(schedules=...) must be a list of schedules, got {shown(schedules)}")
    parts = [as_schedule("join", "schedules", part) for part in schedules]
    bounds = []
    if not is_empty(boundaries):
        hint = "sort them, and the schedules with them"
        table = checked("join", "boundaries", boundaries, rank=1, rising=True, unit="steps", hint=hint)
        bounds = [table[..., i][()] for i in range(table.shape[-1])]
    if len(bounds) != len(parts) - 1:
        raise ValueError(
            f"join(...) takes one boundary fewer than schedules, got {len(parts)} schedules and {len(bounds)} boundaries"
        )
    lengths = [stop - start for start, stop in itertools.pairwise([0.0, *bounds])]
    cuts = (part.take(steps) for part, steps in zip(parts, lengths, strict=False))
    return functools.reduce(Schedule.then, [*cuts, parts[-1]])


def sequence(*schedules: Schedule) -> Schedule:
    """Schedules one after the other; the parts of sequences are parts of it."""
    return Sequence(tuple(part for s in schedules for part in (s.parts if isinstance(s, Sequence) else (s,))))


_MANY = 32  # parts: to evaluate fewer, and choose, is faster than to look up the numbers of the one that is running


@node
class Sequence(Schedule):
    """Its parts one after the other, each for its length and on its own time from 0; at a boundary the later part counts.

    A part is asked only about its own span, so one that is singular elsewhere does no harm, to gradients either.
    """

    parts: tuple[Schedule, ...] = child()

    def _check(self) -> None:
        if not self.parts:
            raise ValueError("a sequence needs at least one part; Constant(value, 0) is the one that changes nothing")
        for part in self.parts[:-1]:
            if numerics.is_concrete(part.length) and np.any(np.isinf(part.length)):
                text = shown(part)
                text = f"{text[:-1]}, steps)" if isinstance(part, Constant) else f"({text}).take(steps)"
                raise ValueError(f"only the last part of a sequence may be unbounded; write {text}")

    @functools.cached_property
    def _starts(self) -> list[Any]:
        """When each part begins."""
        lengths = (part.length for part in self.parts[:-1])
        return list(itertools.accumulate(lengths, lambda start, length: snapped(start + length), initial=0.0))

    @functools.cached_property
    def _groups(self) -> list[list[int]]:
        """The parts, by number, that one evaluation can serve, as they are of one structure; the last by itself."""
        groups: dict[Any, list[int]] = {}
        for k, part in enumerate(self.parts):
            leaves, structure = jax.tree.flatten(part)
            alike = k + 1 < len(self.parts) and not any(map(np.ndim, leaves))  # tables are not looked up in tables
            groups.setdefault(structure if alike else k, []).append(k)
        return list(groups.values())

    def _own(self, k: int, t: Any) -> Any:
        """The own time of a part: 0 until it begins, and standing still once it has ended. The first may be below 0."""
        t = t if k == 0 else maximum(t - self._starts[k], 0.0)
        return t if k + 1 == len(self.parts) else minimum(t, self.parts[k].length)

    def at(self, t: Any) -> Any:
        if self._known_starts is not None and numerics.is_concrete(t):
            return self._at_host(t, self._known_starts)
        if len(self.parts) < _MANY or len(self._groups) == len(self.parts):
            begun = (k == 0 or t >= start for k, start in enumerate(self._starts))
            return running_value(
                (part, self._own(k, t), now) for k, (part, now) in enumerate(zip(self.parts, begun, strict=True))
            )
        row, starts = numerics.row_of(numerics.table(self._starts), t), self._starts
        value = None
        for members in self._groups:
            if len(members) == 1:
                for k in members:
                    found = self.parts[k].at(self._own(k, t))
                    value = found if value is None else where(row == k, found, value)
                continue
            place, parts = _stacked_row(members, row, len(starts)), [self.parts[k] for k in members]
            own = t - numerics.pick_time(numerics.table([starts[k] for k in members]), place)
            own = own if members[0] == 0 else maximum(own, 0.0)
            own = minimum(own, numerics.pick_time(numerics.table([part.length for part in parts]), place))
            found = _in_row(parts, place).at(own)
            value = found if value is None else where(jnp.asarray(np.isin(np.arange(len(starts)), members))[row], found, value)
        return value

    def _at_host(self, t: Any, starts: np.ndarray) -> Any:
        row = np.maximum(starts.searchsorted(t, side="right") - 1, 0)
        if np.ndim(row) == 0:
            return self.parts[row].at(self._own(int(row), t))
        if not numerics.is_concrete(*jax.tree.leaves(self)):
            return running_value((part, self._own(k, t), row >= k) for k, part in enumerate(self.parts))
        found = np.empty(np.shape(row))
        for k in np.unique(row):
            found[row == k] = self.parts[k].at(self._own(int(k), t[row == k]))
        return found

    @functools.cached_property
    def _known_starts(self) -> np.ndarray | None:
        known = numerics.is_concrete(*self._starts) and not any(map(np.ndim, self._starts))
        return np.asarray(self._starts, np.float64) if known else None

    @property
    def length(self) -> Any:
        return functools.reduce(operator.add, (part.length for part in self.parts))

    def spans(self, t: Any) -> Spans:
        begun: Any = True
        for k, part in enumerate(self.parts):
            running = begun & (t < self._starts[k + 1]) if k + 1 < len(self.parts) else begun
            yield part, self._own(k, t), running
            begun = t >= self._starts[k + 1] if k + 1 < len(self.parts) else False


def _stacked_row(members: list[int], row: Any, rows: int) -> Any:
    """Which of some parts is running, by number; in the rows of others the last one before, whose time is over."""
    local = np.maximum(np.searchsorted(members, np.arange(rows), side="right") - 1, 0)
    return jnp.asarray(local.astype(np.int32)).at[row].get(mode="promise_in_bounds")


def _in_row(parts: list[Any], row: Any) -> Any:
    """Several schedules of one structure as one: each of its numbers is looked up in the row of the one that is running."""
    tables = jax.tree.map(lambda *xs: numerics.table(list(xs)), *parts, is_leaf=lambda x: isinstance(x, numerics.Extended))
    return each_number(
        tables, lambda table, spec: (numerics.pick_time if spec.unit or spec.exact else numerics.pick)(table, row)
    )
