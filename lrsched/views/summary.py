"""What a schedule does, as a table of its phases, and what in it looks like a mistake."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Geometric, Ramp
from lrsched.algebra.written import shown, unexpected
from lrsched.views.phases import check_single, horizon, known, number, phases, seen

_MOST_STEPS = 200_000  # of a longer run, evenly spaced steps are looked at
_JUMP = 2.0
_FAR = 100.0


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
    planned = count if steps is not None else min(count, math.ceil(found.reach) or count)
    return dataclasses.replace(made, warnings=tuple(_warnings(made, steps is not None, planned, grid, values)))


def _warnings(found: Summary, told: bool, planned: int, grid: np.ndarray, values: np.ndarray) -> Iterator[str]:
    """Each says what is odd, why it matters, and what to write; of the updates that were planned, and their values."""
    yield from phases(found.schedule).lost
    waits = found.axis != "step"  # "held * ... on Plateau" is what is left for the clock to move
    plan = [phase for phase in found.phases if phase.shape != "held" and not (waits and "held" in phase.shape)]
    unreached = [phase for phase in plan if told and phase.start >= found.steps]
    for phase in unreached:
        yield (
            f"{phase.shape} begins at step {number(phase.start)} and is never reached in {found.steps} steps: the run"
            " ends before its plan does; shorten the parts before it, or train longer"
        )
    moving = [phase for phase in found.phases if phase.shape != "held" and phase.start < found.steps]
    if not moving:
        yield from _without_length(found.schedule)
    short = [phase for phase in moving if phase.stop - phase.start < 1]
    for phase in short:
        length = number(phase.stop - phase.start)
        yield f"{phase.shape} lasts {length} of a step: write a number of updates, for a ratio round({length} * total_steps)"
    if len(moving) > 1 and _goes_down(moving[0], found) and moving[1].last <= moving[1].first:
        first, last = number(moving[0].first), number(moving[0].last)
        yield f"the warm-up goes down, from {first} to {last}, so that the run starts at its highest rate: swap the two"
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
    if 1 < found.final > _FAR * values[0] > 0:
        size = number(found.final / values[0])
        yield f"the end, {number(found.final)}, is ×{size} of the start: is the order of the arguments start, stop, steps?"
    waves = [wave for phase in moving for wave in _waves(phase, grid, values)]
    yield from waves
    zeros = planned - 1 - int(grid[np.flatnonzero(values[grid < planned])].max(initial=-1))
    if planned / 100 < zeros < planned and found.axis.startswith("step"):
        yield f"the last {zeros} of {planned} updates use 0, and change nothing: shorten the run, or make the schedule longer"
    if told and not unreached and not waves:
        yield from _missed(found, float(values[found.peak_step <= grid].min()))
    ends = [(phase.last, phase.stop) for phase in found.phases if phase.stop < found.steps]
    ends += [(phase.first, phase.start) for phase in found.phases if phase.start < found.steps]
    high, when = max(ends, default=(-math.inf, 0.0))
    if high > found.peak + 1e-6 * abs(found.peak) and when != round(when) and not short:
        yield (
            f"the peak of {number(high)} is at step {number(when)}, between two updates, and the highest value used is"
            f" {number(found.peak)}: make the length before it a whole number of steps"
        )


def _without_length(schedule: Schedule) -> Iterator[str]:
    """Ramps of no steps, where nothing else ever moves; but a warm-up from 0 may be left out so."""
    if isinstance(schedule, (Ramp, Geometric)) and schedule.steps == 0.0 and schedule.start not in (0.0, schedule.stop):
        yield (
            f"{shown(schedule)} lasts 0 steps and is {number(known(schedule.stop))} from the first update on, for ever: its"
            " arguments are start, stop, steps"
        )
    for part in schedule._nodes():
        if isinstance(part, Schedule):
            yield from _without_length(part)


def _goes_down(phase: Phase, found: Summary) -> bool:
    """Whether a phase is a short line down, as no warm-up should be."""
    return phase.shape == "Linear" and phase.last < phase.first and phase.stop <= found.steps / 5


def _waves(phase: Phase, grid: np.ndarray, values: np.ndarray) -> Iterator[str]:
    """Whether a phase begins at its top, falls to its floor, and then rises again, without a jump as at a restart."""
    inside = (phase.start <= grid) & (grid < phase.stop)
    steps, wave = grid[inside], values[inside]
    if wave.size < 3:
        return
    floor, top = float(wave.min()), phase.first
    low = int(np.argmax(wave <= floor + 1e-6 * abs(top - floor)))
    rest = wave[low:]
    rise = float(rest.max()) - floor
    falls = low > 0 and wave[:low].max() <= 1.001 * top and floor < top / 2
    if falls and rise > (top - floor) / 100 and np.diff(rest).max() < 0.6 * rise:
        when = number(steps[low])
        yield (
            f"the value rises again, after it has fallen to {number(floor)} at step {when}, to {number(rest.max())}: end the"
            f" run there, or hold the end with .take({when})"
        )


def _missed(found: Summary, lowest: float) -> Iterator[str]:
    """Whether the last update is far from where the schedule ends, or an endless one had been since its peak."""
    end = found.phases[-1]
    is_held = end.shape == "held"
    target = end.first if is_held else lowest
    # Where the run is as long as the schedule, its last update is one step before the end; of a line that is 1 / steps of it.
    margin = 0.01 if is_held and found.steps < end.start else 0.1
    if found.final - target > margin * (found.peak - target):
        where = f"the {number(target)} of step {number(end.start)}" if is_held else f"{number(target)}, where it has been"
        end_there = "let the run end where the schedule does" if is_held else "let the run end with a whole cycle"
        yield f"the last update uses {number(found.final)} and misses {where}: {end_there}"
