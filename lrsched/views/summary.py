"""A schedule as a table of its phases, with warnings about likely mistakes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from lrsched.algebra.combinators import Cooldown, Delay, Driven, Drop, Repeat, Stretch, Warp, driven_parts
from lrsched.algebra.foreign import explained
from lrsched.algebra.pointwise import Pointwise
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.sequence import Sequence, operands
from lrsched.algebra.shapes import CosineWave, Geometric, InverseSqrt, Linear, Noise, Polynomial, Ramp
from lrsched.algebra.written import shown
from lrsched.clocks.observations import monitored_by
from lrsched.clocks.running import bind, clocks_of, init
from lrsched.views.phases import Phases, Span, checked_steps, horizon, known, seen, single

_MOST_STEPS = 200_000  # the most steps to evaluate; evenly spaced in a longer run
_JUMP = 2.0
_FAR = 100.0
_RISE = 30.0  # of the value above that of a warm-up
_GROWTH = 1000.0  # of the value in an endless phase
_FLOOR = 5e-6  # times the peak: a lower rate changes nothing
_WARMUPS = ("warmup_", "wsd(", "infinite(")  # the recipes that begin with a warm-up of any shape
_NEAR = 1e-13  # relative: some nodes round times that are closer to a corner


def number(x: float) -> str:
    """A number as a table shows it."""
    return f"{x:.0f}" if abs(x) < 1e15 and (abs(x) >= 1e4 or x == round(x)) else f"{x:.4g}"


@dataclasses.dataclass(frozen=True)
class Phase:
    """The steps `start` <= t < `stop` in which a schedule has one shape."""

    start: float
    stop: float
    shape: str
    first: float
    last: float  # the value approached at `stop`, or at the end of the run if the phase is endless
    values: str  # the table's text: from first to last, or the range of a phase that turns often


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of `summary`; `print` shows it as a table.

    Attributes:
        schedule: the schedule.
        phases: its phases, from step 0 on; the last one is endless.
        steps: the number of updates in the run.
        peak, peak_step: the largest value that an update uses, and the first step that uses it.
        lowest, final, mean: the smallest value, the value of the last update, and the mean over all updates.
        grid, values: the steps of the run (a selection if there are many) and their values.
        warnings: likely mistakes, each with a reason and a correction.
        axis: the name of the time axis: "step", or the reading of a clock.

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
    axis: str
    grid: np.ndarray = dataclasses.field(repr=False, compare=False)
    values: np.ndarray = dataclasses.field(repr=False, compare=False)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [("from", "to", "shape", "values")]
        for phase in self.phases:
            stop = "" if math.isinf(phase.stop) else number(phase.stop)
            rows.append((number(phase.start), stop, phase.shape, phase.values))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        at, over = "step " * self.axis.startswith("step"), _over(self.axis, self.steps)
        numbers = f"peak {number(self.peak)} at {at}{self.peak_step}, final {number(self.final)}, mean {number(self.mean)}"
        lines = [shown(self.schedule), *table, f"{numbers} over {self.steps} {over}"]
        still = [part for part in driven_parts(self.schedule) if at and math.isfinite(known(part.schedule.length))]
        lines += [f"{shown(part)} does not move here: a summary of it alone shows how it does" for part in still]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


@explained
def summary(schedule: ScheduleLike, steps: float | None = None) -> Summary:
    """The phases of a schedule, its peak, end and mean, and warnings about likely mistakes.

    If only clocks move a driven schedule, the time is the reading of its one clock, or of the one that has an end. Any other
    driven schedule is shown in its state before any observation.

    Args:
        schedule: one schedule, pure or driven, a number or a function of the step.
        steps: the number of updates in the run; if None, the length of the schedule (a quarter more if it ends at its highest
            value), or, if it never settles, enough to show how it goes on.

    Returns:
        A `Summary`; `print` shows its table.

    Raises:
        TypeError: if it is not a schedule.
        ValueError: if it is a batch, or `steps` is not a whole number from 1 to 2**53.

    >>> import lrsched as ls
    >>> print(ls.summary(ls.Linear(1e-4, 1e-3, 100) >> ls.Cosine(1e-3, 0.0, 900)))
    Linear(0.0001, 0.001, 100) >> Cosine(0.001, 0.0, 900)
    from  to    shape   values
    0     100   Linear  0.0001 → 0.001
    100   1000  Cosine  0.001 → 0
    1000        held    0
    peak 0.001 at step 100, final 3.046e-09, mean 0.000505 over 1000 steps
    """
    schedule = single("summary", schedule)
    checked_steps("summary", steps)
    pure, inside, axis = seen(schedule, by_step=steps is not None)
    count = horizon(pure) if steps is None else int(steps)
    grid = np.unique(np.linspace(0, count - 1, min(count, _MOST_STEPS)).round())
    mean = float(np.asarray(pure(grid), np.float64).mean())
    corners = np.ravel(np.ceil(inside.corners)[:, None] + [-1, 0, 1])  # a peak at a corner is at one of these steps
    grid = np.unique(np.concatenate([grid, np.clip(corners, 0, count - 1)]))
    values = np.asarray(pure(grid), np.float64)
    top = int(np.argmax(values))
    spans = inside.until(math.inf).spans
    ends = [stop if math.isfinite(stop) else max(count - 1, start) for start, stop, *_ in spans]
    before = [end * (1 - _NEAR) if end == stop else end for end, (_, stop, *_) in zip(ends, spans, strict=True)]
    reached = np.asarray(pure([[start for start, *_ in spans], before, ends]), np.float64)
    found = Summary(
        schedule,
        tuple(_phase(span, at, grid, values) for span, at in zip(spans, reached.T, strict=True)),
        count,
        peak=float(values[top]),
        peak_step=int(grid[top]),
        lowest=float(values.min()),
        final=float(values[-1]),
        mean=mean,
        axis=axis,
        grid=grid,
        values=values,
    )
    return dataclasses.replace(found, warnings=tuple(_warnings(found, pure, inside, steps is not None)))


def _phase(span: Span, reached: np.ndarray, grid: np.ndarray, values: np.ndarray) -> Phase:
    """A phase, from its values at its start, just before its stop, at its stop, and at all updates."""
    start, stop, shape = span
    first, before, at_stop = map(float, reached)
    inside = values[(start <= grid) & (grid < stop)]
    sizes = np.abs([first, before, *inside])
    size = sizes[sizes < 1e37].max(initial=0.0)  # without saturated values
    if abs(before - at_stop) <= 1e-6 * size:
        last = at_stop
    else:  # another part begins there, so an end at 0 is only approached
        last = 0.0 if abs(before) <= 10 * _NEAR * stop / (stop - start) * size else before
    passed = np.array([first, *inside, last])
    low, high = passed.min(), passed.max()
    between = sorted({int(passed.argmin()), int(passed.argmax())} - {0, len(passed) - 1})
    points = [first, *(x for x in passed[between] if not min(first, last) <= x <= max(first, last)), last]
    if np.abs(np.diff(passed)).sum() > 1.01 * np.abs(np.diff(points)).sum() and number(low) != number(high):
        return Phase(start, stop, shape, first, last, f"{number(low)} … {number(high)}")
    return Phase(start, stop, shape, first, last, " → ".join(text for text, _ in itertools.groupby(map(number, points))))


def waits_for(schedule: Schedule, axes: Iterable[str]) -> str:
    """The metrics that a driven schedule depends on, and the axis of its summary; empty for a pure one."""
    if not (monitored := monitored_by(clocks_of(schedule))):
        return ""
    metrics = f"metric{'s' * (len(monitored) > 1)} {', '.join(map(repr, monitored))}"
    return f"depends on the {metrics}; drawn over {' and '.join(dict.fromkeys(map(_over, axes)))}"


def _over(axis: str, steps: int = 2) -> str:
    """The axis as a unit: steps, but 1 step."""
    return axis.replace("step", "steps", 1) if axis.startswith("step") and steps != 1 else axis


def _warnings(found: Summary, pure: Schedule, inside: Phases, given: bool) -> Iterator[str]:
    """Each warning says what is odd, why it matters, and what to write; `given`: whether the user gave the number of steps."""
    tree = list(_tree(found.schedule))
    moving = [phase for phase in found.phases if phase.shape != "held" and phase.start < found.steps]
    later = np.asarray(pure(found.phases[-1].start + inside.reach * np.array([0.0, 1.0, 1.4, 2.2])), np.float64)
    settles = bool(np.ptp(later) == 0)
    # A wave that the user wrote is meant to rise again; one from a dialect is usually meant to end at its lowest value.
    is_cyclic = CosineWave in map(type, _written(found.schedule)) or Repeat in map(type, tree)
    waves = [] if is_cyclic or not (given or settles) else [wave for phase in moving for wave in _waves(phase, found)]
    unreached = list(_unreached(found, settles)) if given else []
    pointless = [*_skipped(tree), *_without_length(found.schedule)]
    yield from pointless
    yield from unreached
    yield from _short(found.schedule)
    yield from itertools.islice(_swapped_warmups(moving, found.steps, tree), 1)
    yield from [] if pointless or any(isinstance(part, Noise) for part in tree) else _jumps(found, tree)
    if found.lowest < 0:
        yield f"the value falls to {number(found.lowest)}, below 0, where updates go uphill: clip it, or correct its end"
    yield from _swapped_arguments(found, tree)
    yield from [] if pointless or is_cyclic else _high_end(found, moving)
    yield from waves
    if found.axis.startswith("step"):
        planned = found.steps if given else min(found.steps, math.ceil(inside.reach) or found.steps) if settles else 0
        yield from _tail(found, planned)
    if given and not unreached and not waves:
        yield from _missed(found, pure, None if settles else inside.corners)


def _unreached(found: Summary, settles: bool) -> Iterator[str]:
    """Warns about phases that begin after the last update, except holds and phases that change nothing."""
    for before, phase in itertools.pairwise(found.phases):
        moves = not settles if phase is found.phases[-1] else phase.first != phase.last
        is_new = moves or ("held" not in phase.shape and before.last != phase.first)
        if is_new and phase.start > found.steps - moves:  # no update falls into it
            yield (
                f"{phase.shape} begins at step {number(phase.start)} and is never reached in {found.steps} steps: the run"
                " ends before its plan does; shorten the parts before it, or train longer"
            )


def _short(schedule: Schedule) -> Iterator[str]:
    """Warns about lengths below one step, which are ratios in other libraries."""
    for part in _written(schedule, Stretch, Warp, Driven):
        for field, spec in [] if isinstance(part, (Drop, InverseSqrt)) else part._numbers:
            lengths = getattr(part, field.name) if spec.unit == "steps" else None
            length = 0.0 if lengths is None else float(np.ravel(lengths)[-1])  # of a table, the last one
            if 0 < length < 1:
                hint = f"write a number of updates, for a ratio round({number(length)} * total_steps)"
                yield f"{shown(part)}: {field.name}={number(length)} is less than one step: {hint}"


def _jumps(found: Summary, tree: list[Schedule]) -> Iterator[str]:
    """Warns about jumps between phases, except restarts, steps of a decay, and the last drop of a table."""
    for before, after in itertools.pairwise(found.phases):
        low, high = sorted((abs(before.last), abs(after.first)))
        falls = after.first <= before.first and before.shape == after.shape
        wanted = falls and (before.last < after.first or before.shape == "Constant")
        if high > max(_JUMP * low, found.peak / _FAR) and after.start < found.steps and after.shape != "held" and not wanted:
            factor = after.first / before.last if before.last else math.inf
            if any(math.isclose(factor, drop, rel_tol=1e-5) for drop in _last_drops(tree)):
                continue
            size = f"×{number(factor)}" if before.last else "from 0"
            yield (
                f"a jump at step {number(after.start)}, from {number(before.last)} to {number(after.first)} ({size}): the"
                f" optimizer's averages are of another rate; let {after.shape} start where {before.shape} ends"
            )


def _last_drops(tree: list[Schedule]) -> Iterator[float]:
    """The factors by which parts that others follow change at their end, where it is a jump and not the end of a ramp to 0."""
    owners = [owner for owner in tree if isinstance(owner, (Sequence, Pointwise, Cooldown))]
    parts = [part for one in owners for part in [*one._nodes()][: -1 if isinstance(one, Sequence) else None]]
    for part in (part for part in parts if isinstance(part, Schedule) and 0 < known(part.length) < math.inf):
        times = known(part.length) * np.array([0.5, 1 - _NEAR, 1.0])
        inside, before, end = np.asarray(bind(part, init(part))(times), np.float64)
        if abs(before) > 1e-6 * abs(inside) and end != before:
            yield end / before


def _swapped_arguments(found: Summary, tree: list[Schedule]) -> Iterator[str]:
    for part in (part for part in tree if isinstance(part, Ramp) and known(part.steps) > 0):
        first, end = known(part.start), known(part.end)
        if 0 < first < 1 and 10 <= end == round(end) > _FAR * first and found.peak == end:
            size = number(end / first)
            yield f"{shown(part)} rises to ×{size} of its start: is {number(end)} a number of steps, in the wrong place?"
        if isinstance(part, Polynomial) and known(part.power) > max(10.0, known(part.steps)):
            yield f"{shown(part)} has a power above its steps: its arguments are start, end, steps, power"


def _high_end(found: Summary, moving: list[Phase]) -> Iterator[str]:
    """Warns if the last phase rises far above the warm-up before it, far in stairs, or without end."""
    if not moving or moving[-1].shape == "Geometric" or found.final != found.peak:  # a Geometric end is a deliberate sweep
        return
    phase, has_warmup = moving[-1], any(one.first < one.last for one in moving[:-1])
    before = float(found.values[found.grid < phase.start].max(initial=phase.first)) if has_warmup else phase.first
    with np.errstate(all="ignore"):
        moves = np.diff(np.log(found.values[phase.start <= found.grid]))
    has_stairs = np.abs(moves[moves != 0]).min(initial=math.inf) > math.log(1.5) and before < 1  # a rate, not a batch size
    most = _RISE if has_warmup else 0.999 * _FAR if has_stairs else _GROWTH if math.isinf(phase.stop) else math.inf
    if 0 < before < found.final / most:
        yield (
            f"the value rises from {number(before)} to {number(found.final)} after step {number(phase.start)}"
            f" (×{number(found.final / before)}): let {phase.shape} end lower, or bound it with .clip(high=...)"
        )


def _tail(found: Summary, planned: int) -> Iterator[str]:
    """Warns if the last updates of a run use almost 0."""
    tail = planned - 1 - int(found.grid[(found.values != found.final) & (found.grid < planned)].max(initial=-1))
    if max(1, planned / 100) < tail < planned and abs(found.final) <= _FLOOR * found.peak:
        used = f"the last {tail} of {planned} updates use {number(found.final)}, and change nothing"
        yield f"{used}: shorten the run, or make the schedule longer"


def _tree(schedule: Schedule) -> Iterator[Schedule]:
    yield schedule
    for part in schedule._nodes():
        if isinstance(part, Schedule):
            yield from _tree(part)


def _written(schedule: Schedule, *closed: type[Schedule]) -> Iterator[Schedule]:
    """The parts as a user wrote them: recipes and schedules of the `closed` classes stay in one piece."""
    yield schedule
    if not schedule._recipe and not isinstance(schedule, closed):
        for part in operands(schedule) if isinstance(schedule, Sequence) else schedule._nodes():
            if isinstance(part, Schedule):
                yield from _written(part, *closed)


def _skipped(tree: list[Schedule]) -> Iterator[str]:
    """Warns about parts of 0 steps before `>>`, unless the next part begins at their end, as after an omitted warm-up."""
    for part, after in itertools.chain(*(itertools.pairwise(one.parts) for one in tree if isinstance(one, Sequence))):
        if known(part.length) == 0 and len({float(bind(one, init(one))(0)) for one in (part, after)}) == 2:
            yield f"{shown(part)} before >> lasts 0 steps and is never reached: give it a length, or leave it out"


def _without_length(schedule: Schedule) -> Iterator[str]:
    """Warns about ramps of 0 steps as the last part or a factor, except an omitted warm-up from 0."""
    parts = [*_written(schedule, Delay)]
    early = {id(one) for part in parts if isinstance(part, Sequence) for one in operands(part)[:-1]}
    for part in parts:
        is_left_out = part._recipe or id(part) in early
        if isinstance(part, (Ramp, Geometric)) and not is_left_out and part.steps == 0.0 and part.start not in (0.0, part.end):
            yield (
                f"{shown(part)} lasts 0 steps and is {number(known(part.end))} from its start on, for ever: its arguments are"
                " start, end, steps"
            )


def _swapped_warmups(moving: list[Phase], steps: int, tree: list[Schedule]) -> Iterator[str]:
    """Warns about warm-ups of recipes that go down, and about a short line down before a phase that starts higher."""
    falls = []
    for part in itertools.chain(*map(operands, tree)):
        ramp = part.parts[0] if isinstance(part, Sequence) else part
        is_ours = part._recipe.startswith(_WARMUPS)
        if (is_ours or "warmup" in part._recipe) and isinstance(ramp, Ramp if is_ours else Linear) and known(ramp.steps) > 0:
            falls.append((known(ramp.start), known(ramp.end)))
    for first, second in itertools.pairwise(moving[:2]):
        is_warmup = first.shape == "Linear" and first.stop <= steps / 5 and second.last <= second.first
        if is_warmup and second.first > 1.001 * first.last:
            falls.append((first.first, first.last))
    for high, low in falls:
        if abs(high) > abs(low):
            where = f"from {number(high)} to {number(low)}"
            yield f"the warm-up goes down, {where}, so that the run starts at its highest rate: swap the two"


def _waves(phase: Phase, found: Summary) -> Iterator[str]:
    """Warns if a phase falls from its top to its floor and then rises again without the jump of a restart."""
    inside = (phase.start <= found.grid) & (found.grid < phase.stop)
    steps, wave = found.grid[inside], found.values[inside]
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


def _missed(found: Summary, pure: Schedule, corners: np.ndarray | None) -> Iterator[str]:
    """Warns if the run ends far above the schedule's end or, if that is endless, above its lowest value or next corner."""
    held, after = found.phases[-1], float(pure(found.steps))
    advice = "where a cycle is lowest"
    if corners is None:
        target, where, advice = held.first, f"the {number(held.first)} at step {number(held.start)}", "where the schedule does"
        size = found.peak - target if found.final > target else target - found.lowest
        distance = min(abs(found.final - target), abs(after - target))
        # In a run as long as the schedule, the last update is one step before the end, which for a line is 1 / steps of it.
        margin = 0.011 if found.steps < held.start else 0.1
    else:
        target = float(found.values[found.peak_step <= found.grid].min())  # the lowest value since the peak
        where, margin = f"{number(target)}, its lowest since the peak", 0.1
        ahead = corners[corners >= found.steps][:1]
        coming = float(np.asarray(pure(ahead * (1 - _NEAR))).min(initial=math.inf))
        coming = 0.0 if abs(coming) < 1e-12 * found.peak else coming
        if coming < target:
            target, where, margin = coming, f"the {number(coming)} at step {number(ahead[0])}", 0.011
        is_whole = after == held.first  # a whole number of cycles
        size, distance = found.peak - target, 0.0 if is_whole else min(found.final, after) - target
    if distance > margin * size:
        yield f"the last update uses {number(found.final)} and misses {where}: let the run end {advice}"
