"""The trials of a comparison: every setting of every schedule, at every peak rate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lrsched.algebra.node import checked
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.running import bind, init
from lrsched.views.phases import horizon, phases

# By name: a schedule, a batch of them, or a batch with its points, as `grid` returns them.
Schedules: TypeAlias = Mapping[str, ScheduleLike | tuple[Schedule, Mapping[str, np.ndarray]]]

_MOST = 100_000  # steps of which the peak is the highest
_CLOSE = 0.01  # to 1


@dataclasses.dataclass(frozen=True)
class Trial:
    """A schedule that is trained with from every seed."""

    name: str
    setting: str  # of a member of a batch, such as "warmup_steps=20"; "" for a single schedule
    peak: float  # its highest value
    schedule: Schedule  # with that peak


def all_trials(schedules: Schedules, peaks: Sequence[float] | None, baseline: str) -> tuple[Trial, ...]:
    """Every setting of every schedule, in the order given, times every peak; without peaks as it is."""
    if not isinstance(schedules, Mapping):
        hint = "such as {'constant': Constant(1.0)}"
        raise TypeError(unexpected("compare", "schedules", schedules, "a dict of schedules by name", hint))
    if baseline not in schedules:
        hint = "add a constant rate of that name, or name another baseline"
        raise ValueError(unexpected("compare", "baseline", baseline, f"one of the schedules {list(schedules)}", hint))
    rates = None if peaks is None else np.asarray(checked("compare", "peaks", peaks, rank=1, gt=0), np.float64).tolist()
    if rates and len(set(rates)) < len(rates):
        raise ValueError(unexpected("compare", "peaks", peaks, "different rates"))
    found: list[Trial] = []
    for name, candidate in schedules.items():
        for setting, schedule in _settings(name, candidate):
            peak = highest(schedule)
            if rates is None:
                found.append(Trial(name, setting, peak, schedule))
            elif abs(peak - 1) <= _CLOSE:
                found += [Trial(name, setting, rate, schedule * rate) for rate in rates]
            else:
                raise ValueError(
                    f"compare(peaks=...): expected schedules with a peak of 1, got {name!r} with one of {peak:.4g}:"
                    f" {shown(schedule)}. Hint: divide it by its peak, or leave peaks out."
                )
    return tuple(found)


def _settings(name: str, candidate: Any) -> list[tuple[str, Schedule]]:
    """The members of a batch, each with a description."""
    batch: Any
    batch, points = candidate if isinstance(candidate, tuple) and len(candidate) == 2 else (candidate, None)
    argument = f"schedules[{name!r}]"
    schedule = as_schedule("compare", argument, batch)
    if not schedule.batch_shape:
        return [("", schedule)]
    if len(schedule.batch_shape) > 1:
        raise ValueError(unexpected("compare", argument, schedule, "a batch with one axis", "give each row a name"))
    members = list(schedule)
    if points is None:
        return [(repr(member), member) for member in members]
    return [(", ".join(f"{key}={shown(values[i])}" for key, values in points.items()), s) for i, s in enumerate(members)]


def highest(schedule: Schedule) -> float:
    """The highest value of a schedule before any observation, at whole steps and at its corners."""
    pure = bind(schedule, init(schedule))
    try:
        steps, corners = horizon(pure), phases(pure).corners
    except TypeError:  # a user's node, without phases
        steps, corners = 1000, []
    values = np.asarray(pure(np.append(np.arange(min(steps, _MOST) + 1), corners)))  # JAX would compile a maximum
    return float(values.max())
