"""Pictures of schedules. matplotlib is imported only when it is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked_flag
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.running import replayed
from lrsched.views.phases import checked_steps, horizon, known, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's colours, for colour-blind readers, each with a line style, for print in black and white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#000000")
# Eight colours and seven styles: no two labelled lines share both.
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (7, 2, 1, 2)))

# The style of each line, the colour bar, and further lines of the legend.
Looks: TypeAlias = "tuple[list[dict[str, Any]], dict[str, Any], list[Line2D]]"

Line: TypeAlias = tuple[np.ndarray, np.ndarray]  # times and values
_POINTS = 20_000  # the most steps to draw; evenly spaced in a longer run
_MOST_LABELS = 20  # lines: with more there is a colour scale
_MOST_TICKS = 30  # labels on a colour scale
_MOST_ENDS = 20  # the most phases to mark
_LOG = 1000.0  # the ratio of values from which a linear scale is unreadable


@explained
def plot(
    *schedules: ScheduleLike | Mapping[str, ScheduleLike] | Sequence[ScheduleLike],
    steps: int | None = None,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    points: Mapping[str, Any] | None = None,
    log: bool | None = None,
    observations: Any = None,
    every: int = 1,
) -> Axes:
    """Draws schedules over their steps, each with its own colour and line style, or on a colour scale if there are over 20.

    Corners and jumps are drawn exactly, and dotted lines mark the phases of a single schedule. If only clocks move a driven
    schedule and `steps` is None, it is drawn over the reading of its one clock, or of the one with an end. Other driven
    schedules are drawn in their state before any observation, or on recorded `observations`. The axis label says which.

    Args:
        schedules: schedules, numbers or functions of the step; or a list, or a dict of them by name. A batch has one line for
            each member.
        steps: the number of steps, by keyword; if None, a little more than the longest length, or, if no schedule settles,
            enough to show how they go on.
        labels: a list of names, one for each schedule or member; by default the names of a dict, the expressions of several
            schedules, or the numbers of the members of a batch.
        ax: the matplotlib Axes to draw into; new ones if None.
        points: the points that `grid` returned with a batch. The first one that varies sets the colours, on a scale if there
            are many numbers; the others set the line styles, if there are few.
        log: whether the value axis is logarithmic (if any value is positive). None: only if all values are positive and a
            linear axis would hide most of them.
        observations: recorded metrics, an array of shape (n,) or a dict of such arrays by name, as in `lrsched.clocks.replay`.
            They are drawn as well, above the values, unless `ax` is given. A dotted line marks each observation that moved a
            clock of a single schedule, or the first of several in a row.
        every: the number of updates per observation.

    Returns:
        The Axes of the values; with observations, `.figure.axes[0]` are those of the metrics.

    Raises:
        ImportError: if matplotlib is missing.
        TypeError: if an argument has the wrong type; if both `steps` and `observations` are given, or `every` without them.
        ValueError: if `steps` is not a number of steps, if `points` are not those of the batch, or as `lrsched.clocks.replay`.

    >>> import lrsched as ls
    >>> axes = ls.plot({"cosine": ls.warmup_cosine(0.1, 10, 100), "constant": ls.Constant(0.05)})
    >>> axes = ls.plot(ls.reduce_on_plateau(patience=1), observations=[3.0, 2.0, 2.0, 2.0, 2.0])
    """
    is_several = len(schedules) == 1 and (isinstance(schedules[0], Mapping) or type(schedules[0]) in (list, tuple))
    given: Any = schedules[0] if is_several else schedules
    if isinstance(given, Mapping):
        labels, given = labels or list(map(str, given)), list(given.values())
    if not given:
        raise ValueError("plot(...): expected at least one schedule, got none.")
    for one in schedules[1:]:
        if isinstance(one, int) and one > 1:
            hint = f"plot(s, steps={one}) for so many steps, Constant({one}) for a line"
            raise TypeError(unexpected("plot", "schedules", one, "a schedule", hint))
    given = [as_schedule("plot", "schedules", schedule) for schedule in given]
    checked_steps("plot", steps)
    log = log if log is None else checked_flag("plot", "log", log)
    if observations is not None and steps is not None:
        raise TypeError(unexpected("plot", "steps", steps, "None, since the observations give the number of steps"))
    if observations is None and every != 1:
        raise TypeError(unexpected("plot", "every", every, "observations=..., since it is the number of updates for each"))
    if ax is not None and not isinstance(ax, pyplot("plot").Axes):
        raise TypeError(unexpected("plot", "ax", ax, "the Axes of matplotlib", "figure, ax = plt.subplots()"))
    groups = [members(schedule) for schedule in given]
    single = list(itertools.chain(*groups))
    if isinstance(labels, str) or not isinstance(labels, Sequence | None):
        raise TypeError(unexpected("plot", "labels", labels, "a list of names", "labels=['a', 'b']"))
    if labels is not None and len(labels) not in (len(given), len(single)):
        each = f"{len(given)} schedules" + f", or of {len(single)} members" * (len(single) > len(given))
        raise ValueError(f"plot(labels=...): expected one label for each of {each}, got {len(labels)}.")
    if observations is None:
        lines, marks, axis = _over_time(single, steps)
    else:
        lines, marks, axis = *_replayed(single, observations, every), "step"
    if points is not None:
        styles, bar, legend = _by_points(given, points)
    else:
        is_batch = len(single) > len(given) and (len(given) == 1 if labels is None else len(labels) == len(single))
        counts, name = ([1] * len(single), "member") if is_batch else ([*map(len, groups)], "schedule")
        texts = [f"member {k}" if is_batch else shown(given[k], 60) if len(given) > 1 else "" for k in range(len(counts))]
        styles, bar, legend = _by_order(counts, name, labels, texts)
    if ax is not None:
        above, axes = [], ax
    else:
        rows = 1 if observations is None else 2
        _, every_axes = pyplot("plot").subplots(rows, sharex=True, squeeze=False, layout="constrained")
        *above, axes = every_axes.flat
    drawstyle = "default" if observations is None and axis.startswith("step") else "steps-post"
    for (times, values), style in zip(lines, styles, strict=True):
        axes.plot(times, values, **style, drawstyle=drawstyle)
    for part in above:
        _draw_metrics(part, observations, every)
    for part in (*above, axes):
        whole = part.get_xaxis_transform()  # spans the axes from bottom to top
        part.vlines(marks, 0, 1, transform=whole, colors="0.6", linestyles=":", linewidth=0.8, zorder=0)
        part.grid(alpha=0.3)
    _scale(axes, np.concatenate([values for _, values in lines]), log)
    axes.set_xlabel(axis)
    axes.set_ylabel("value")
    if bar:
        axes.figure.colorbar(**bar, ax=[*above, axes])
    legend = [*axes.get_legend_handles_labels()[0], *legend]
    if legend:
        axes.legend(handles=legend, fontsize="small")
    return axes


def _over_time(schedules: list[Schedule], steps: int | None) -> tuple[list[Line], list[float], str]:
    """The lines of schedules over their own time, the ends of the phases of a single one, and the name of the time."""
    looks = [seen(one, by_step=steps is not None) for one in schedules]
    if len({axis for *_, axis in looks}) > 1:  # not a single clock
        looks = [seen(one, by_step=True) for one in schedules]
    pures = [pure for pure, *_ in looks]
    ending = [pure for pure in pures if 0 < known(pure.length) < math.inf]
    count = math.ceil(1.05 * max(map(horizon, ending or pures))) if steps is None else int(steps)
    lines = [_line(pure, found.corners, count, axis) for pure, found, axis in looks]
    ends = [span.stop for span in looks[0][1].spans if span.stop <= count]
    return lines, ends if len(looks) == 1 and len(ends) <= _MOST_ENDS else [], max((axis for *_, axis in looks), key=len)


def _replayed(schedules: list[Schedule], observations: Any, every: int) -> tuple[list[Line], list[float]]:
    """The lines of schedules on recorded metrics, and the steps at which a clock of a single one moved."""
    found = [replayed(one, observations, every, "plot") for one in schedules]
    if not found[0][0].size:
        raise ValueError("plot(observations=...): expected at least one observation, got none.")
    marks: set[float] = set()
    for reading in found[0][1] if len(found) == 1 else []:
        moves = np.flatnonzero(np.diff(np.asarray(reading)))
        if moves.size and moves[0] > 0:
            marks |= {*moves[np.diff(moves, prepend=-2) > 1].tolist()}  # the first of several in a row
    return [(np.arange(values.size), np.asarray(values)) for values, _ in found], sorted(marks)


def _draw_metrics(axes: Axes, observations: Any, every: int) -> None:
    tables = observations if isinstance(observations, dict) else {"metric": observations}
    for i, (name, table) in enumerate(tables.items()):
        at = np.arange(1, len(table) + 1) * every - 1
        axes.plot(at, np.asarray(table), label=name, color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    axes.set_ylabel(next(iter(tables)) if len(tables) == 1 else "metrics")
    if len(tables) > 1:
        axes.legend(fontsize="small")


def _scale(ax: Axes, values: np.ndarray, log: bool | None) -> None:
    """Chooses the scale of the value axis, and its limits for constants and for ramps to 0 on a logarithmic scale."""
    low, high = np.quantile(values, [0.1, 0.9])
    positive = values[values > 0]
    # If a linear scale would hide only the end of a ramp, it stays linear.
    if positive.size and (log or (log is None and values.min() > 0 and high >= _LOG * low)):
        ax.set_yscale("log")
        if positive.min() < (least := np.quantile(positive, 0.01) / 2):
            top = max(np.asarray(line.get_ydata()).max() for line in ax.get_lines())
            ax.set_ylim(least, top * (top / least) ** 0.05)
    elif np.ptp(values) == 0:
        ax.set_ylim(*sorted((0.0, 1.25 * high or 1.0)))


def members(schedule: Schedule) -> list[Schedule]:
    """The members of a batch, or the single schedule."""
    return [one for member in schedule for one in members(member)] if schedule.batch_shape else [schedule]


def _line(schedule: Schedule, corners: np.ndarray, count: int, axis: str) -> Line:
    """Times and values: every step, or many of them, every corner, and the time just before a jump.

    A reading of a clock has only whole numbers.
    """
    grid = np.linspace(0, count, min(count, _POINTS) + 1).round()
    corners = corners[corners <= count]
    # Some nodes round times that are closer to a corner than this.
    beside = corners[:, None] + 1e-12 * count * np.array([0.0, -1.0, 1.0])
    values, largest = np.asarray(schedule(beside), np.float64), np.abs(np.asarray(schedule(grid), np.float64)).max()
    jumps = np.abs(values - values[:, :1]) > 1e-5 * largest
    near = np.round(corners[:, None] + np.array([-1.0, 0.0, 1.0])).ravel()  # if not every step is drawn
    between = np.concatenate([corners, beside[jumps]]) if axis.startswith("step") else []
    times = np.unique(np.concatenate([grid, near, between]))
    times = times[(times >= 0) & (times <= count)]
    values = np.asarray(schedule(times), np.float64)
    is_zero = (times != np.round(times)) & (np.abs(values) < 1e-12 * largest)  # just before the end of a ramp to 0
    return times, np.where(is_zero, 0.0, values)


def _by_order(counts: list[int], name: str, labels: Sequence[str] | None, texts: Sequence[str]) -> Looks:
    """A colour and a style for each schedule, with its label or text; a colour scale shows only labels."""
    order = [i for i, count in enumerate(counts) for _ in range(count)]
    looks, bar, legend = _coloured(order, [(labels or texts)[i] for i in order], name, _MOST_LABELS)
    for i, look in zip(order, looks, strict=True):
        look["alpha"] = 1.0 if counts[i] == 1 else 0.8
        look["linestyle"] = "-" if bar else STYLES[i % len(STYLES)]
    if bar and labels is not None:
        from matplotlib.ticker import FixedFormatter, FixedLocator

        each = range(0, len(counts), math.ceil(len(counts) / _MOST_TICKS))
        bar |= {"ticks": FixedLocator(each), "format": FixedFormatter([labels[k] for k in each])}
    return looks, bar, legend


def _by_points(schedules: Sequence[Schedule], points: Mapping[str, Any]) -> Looks:
    """The colour of each line of a batch, by the first point that varies; the style by the others, if few, with a legend."""
    from matplotlib.lines import Line2D

    if len(schedules) != 1 or not schedules[0].batch_shape:
        raise ValueError("plot(points=...): expected a single batch of schedules. Hint: batch, points = grid(...) makes both.")
    n = int(np.prod(schedules[0].batch_shape))
    if not isinstance(points, Mapping) or not points or any(len(values) != n for values in points.values()):
        raise ValueError(unexpected("plot", "points", points, f"the points that grid gave, with {n} values each"))
    name, *others = [name for name, values in points.items() if len(set(map(str, values))) > 1] or list(points)
    rest = [", ".join(f"{other} = {points[other][k]}" for other in others) for k in range(n)]
    kinds = dict(zip(dict.fromkeys(rest), STYLES, strict=False)) if 1 < len(set(rest)) <= len(STYLES) else {}
    numbers = all(isinstance(x, (int, float, np.number)) for x in points[name])
    keys = list(points[name] if numbers else map(str, points[name]))
    looks, bar, _ = _coloured(keys, [f"{name} = {x}" for x in keys], name, len(COLOURS) if numbers else n)
    for look, one in zip(looks, rest, strict=True):
        look |= {"linestyle": kinds.get(one, "-"), "alpha": 0.8}
    return looks, bar, [Line2D([], [], color="0.3", linestyle=style, label=kind) for kind, style in kinds.items()]


def _coloured(keys: list[Any], texts: list[str], name: str, most: int) -> Looks:
    """A colour for each key, and a text for its first line; with more keys than `most`, colours on a scale."""
    places = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    if len(places) <= most:
        firsts = [key not in keys[:k] for k, key in enumerate(keys)]
        colours = [COLOURS[places[key] % len(COLOURS)] for key in keys]
        labels = [text if first and text else None for text, first in zip(texts, firsts, strict=True)]
        return [{"color": colour, "label": label} for colour, label in zip(colours, labels, strict=True)], {}, []
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(min(keys)), float(max(keys))
    scale = ScalarMappable((LogNorm if 0 < 10 * low <= high else Normalize)(low, high), "viridis")
    colours = scale.to_rgba(np.asarray(keys, np.float64))
    return [{"color": colour} for colour in colours], {"mappable": scale, "label": name}, []


def pyplot(call: str) -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise ImportError(
            f"{call}(...): expected matplotlib, got none. Hint: python -m pip install 'lrsched-jax[plot]'."
        ) from None
    return plt
