"""What a schedule does, as a table of its phases, and what in it looks like a mistake."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, unexpected
from lrsched.views.phases import check_single, horizon, number, phases, seen

_MOST_STEPS = 200_000  # of a longer run, evenly spaced steps are looked at
_JUMP = 2.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of time in which a schedule has one shape: steps `start` <= t < `stop`."""

    start: float
    stop: float
    shape: str
    first: float
    last: float  # the value that it comes to at `stop`, or of an endless one at the end of the run


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `summary` found; `print` shows it as a table.

    Attributes:
        schedule: the schedule.
        phases: its phases, from step 0 on, the last of them endless.
        steps: the number of updates that were looked at.
        peak: the largest value that an update uses.
        peak_step: the first step that uses it.
        lowest: the smallest value that an update uses.
        final: the value of the last update.
        mean: the mean over all updates.
        warnings: what looks like a mistake, why it matters, and what to write.
        axis: what the steps are: of a driven schedule that moves only with its clock, the reading of the clock.

    >>> import lrsched as ls
    >>> found = ls.summary(ls.one_cycle(0.1, 100))
    >>> print(found.peak_step, [phase.shape for phase in found.phases])
    30 ['Cosine', 'Cosine', 'held']
    """

    schedule: Schedule
    phases: tuple[Phase, ...]
    steps: int
    peak: float
    peak_step: int
    lowest: float
    final: float
    mean: float
    warnings: tuple[str, ...]
    axis: str = "step"

    def __str__(self) -> str:
        rows = [("from", "to", "shape", "values")]
        for phase in self.phases:
            stop = "" if math.isinf(phase.stop) else number(phase.stop)
            same = number(phase.first) == number(phase.last)
            values = number(phase.first) if same else f"{number(phase.first)} → {number(phase.last)}"
            rows.append((number(phase.start), stop, phase.shape, values))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        at, over = ("step ", self.axis.replace("step", "steps")) if self.axis.startswith("step") else ("", self.axis)
        numbers = f"peak {number(self.peak)} at {at}{self.peak_step}, final {number(self.final)}, mean {number(self.mean)}"
        lines = [shown(self.schedule), *table, f"{numbers} over {self.steps} {over}"]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def summary(schedule: Schedule, steps: int | None = None) -> Summary:
    """The phases of a schedule, its peak, end and mean, and warnings of what looks like a mistake.

    A driven schedule that moves only with its clock is looked at over the reading of the clock, any other while nothing is
    observed.

    Args:
        schedule: one schedule, pure or driven.
        steps: how many updates the run has; if None, as many as the schedule lasts, a fourth more if it then goes on at
            its highest value; enough to see how it goes on, if it never settles.

    Returns:
        A `Summary`; `print` shows its table.

    Raises:
        TypeError: if it is no schedule.
        ValueError: if it is a batch, or `steps` is no whole number above 0.

    >>> import lrsched as ls
    >>> print(ls.summary(ls.Linear(1e-4, 1e-3, 100) >> ls.Cosine(1e-3, 0.0, 900)))
    Linear(0.0001, 0.001, 100) >> Cosine(0.001, 0.0, 900)
    from  to    shape   values
    0     100   Linear  0.0001 → 0.001
    100   1000  Cosine  0.001 → 0
    1000        held    0
    peak 0.001 at step 100, final 3.046e-09, mean 0.000505 over 1000 steps
    """
    check_single("summary", schedule)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps < 2**31):
        raise ValueError(unexpected("summary", "steps", steps, "a whole number of updates, at least 1 and below 2**31"))
    pure, found, axis = seen(schedule)
    count = steps or horizon(pure)
    grid = np.unique(np.linspace(0, count - 1, min(count, _MOST_STEPS)).round())
    mean = float(np.asarray(pure(grid), np.float64).mean())
    corners = np.ravel(np.ceil(found.corners)[:, None] + [-1, 0, 1])  # a peak is at one of those, if it is at a corner
    grid = np.unique(np.concatenate([grid, np.clip(corners, 0, count - 1)])).astype(np.int64)
    values = np.asarray(pure(grid), np.float64)
    top = int(np.argmax(values))
    spans = found.until(math.inf).spans
    starts = [start for start, *_ in spans]
    ends = [np.nextafter(stop, 0.0) if math.isfinite(stop) else max(count - 1, start) for start, stop, *_ in spans]
    reached = np.asarray(pure([starts, ends]), np.float64)
    sizes = np.abs(values[np.abs(values) < 1e37])  # not those that saturate
    reached[np.abs(reached) < 1e-15 * np.max(sizes, initial=0.0)] = 0.0  # a 0 that rounding missed
    made = Summary(
        schedule,
        tuple(Phase(*span[:3], *map(float, at)) for span, at in zip(spans, reached.T, strict=True)),
        count,
        peak=float(values[top]),
        peak_step=int(grid[top]),
        lowest=float(values.min()),
        final=float(values[-1]),
        mean=mean,
        warnings=(),
        axis=axis,
    )
    return dataclasses.replace(made, warnings=tuple(_warnings(made, steps is not None)))


def _warnings(found: Summary, told: bool) -> Iterator[str]:
    """Each says what is odd, why it matters, and how to mend it."""
    yield from phases(found.schedule).lost
    for phase in found.phases:
        if told and phase.start >= found.steps and phase.shape != "held":
            yield (
                f"{phase.shape} begins at step {number(phase.start)} and is never reached in {found.steps} steps: the run"
                " ends before its plan does; shorten the parts before it, or train longer"
            )
    for before, after in zip(found.phases, found.phases[1:], strict=False):
        low, high = sorted((abs(before.last), abs(after.first)))
        if high > _JUMP * low and after.start < found.steps and after.shape != "held":
            size = f"×{number(after.first / before.last)}" if before.last else "from 0"
            yield (
                f"a jump at step {number(after.start)}, from {number(before.last)} to {number(after.first)} ({size}): the"
                f" optimizer's averages are of another rate; let {after.shape} start where {before.shape} ends"
            )
    if found.lowest < 0:
        yield f"the value falls to {number(found.lowest)}, below 0, where updates go uphill: clip it, or mend its end"
    ends = [(phase.last, phase.stop) for phase in found.phases if phase.stop < found.steps]
    ends += [(phase.first, phase.start) for phase in found.phases if phase.start < found.steps]
    high, when = max(ends, default=(-math.inf, 0.0))
    if high > found.peak + 1e-6 * abs(found.peak) and when != round(when):
        yield (
            f"the peak of {number(high)} is at step {number(when)}, between two updates, and the highest value used is"
            f" {number(found.peak)}: make the length before it a whole number of steps"
        )
