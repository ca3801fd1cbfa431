"""Pictures of schedules. matplotlib is imported only when one is asked for."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lrsched.algebra.batch import unstack
from lrsched.algebra.foreign import explained
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.running import replayed
from lrsched.views.phases import checked_steps, horizon, known, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's colours, for colour-blind readers, and a line style each, for print without colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#000000")
# Eight colours and seven styles: no pair twice among the lines that have labels.
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (7, 2, 1, 2)))

Styles: TypeAlias = list[dict[str, Any]]  # how each line is drawn
Looks: TypeAlias = (
    "tuple[Styles, dict[str, Any], list[Line2D]]"  # these, the bar that explains colours, other lines of the legend
)

_POINTS = 20_000  # evenly spaced, where there are more steps than that
_MOST_LABELS = 20  # lines: more have colours along a scale
_MOST_TICKS = 30  # labels along a scale
_MOST_ENDS = 20  # phases that are marked: where there are more, it is the shape that shows them
_LOG = 1000.0  # a range of values that a linear scale cannot show


@explained
def plot(
    *schedules: ScheduleLike | Mapping[str, ScheduleLike] | Sequence[ScheduleLike],
    steps: int | None = None,
    labels: Sequence[str] | None = None,
    ax: "Axes | None" = None,
    points: Mapping[str, Any] | None = None,
    log: bool | None = None,
) -> "Axes":
    """Draws schedules over their steps, each in a colour and a line style of its own; more than 20 along a scale of colours.

    Every corner and every jump is drawn where it is, however short the phase beside it, and dotted lines mark the phases of
    a single schedule. Driven schedules that stand still until a clock moves are drawn over its reading if `steps` is None and
    it is the only one, or the only one with an end, others as they are while nothing is observed; the axis says so.
    `plot_replay` draws them on metrics.

    Args:
        schedules: schedules, numbers or functions of the step, a list of them, or a dict of them by name; a batch is drawn as
            one line a member.
        steps: how many steps to draw, by name; if None, a little more than the longest schedule lasts; if none of them
            settles, enough to see how they go on.
        labels: a list of names, one a schedule, or one a member of batches; by default those of a dict, or the expressions of
            several schedules, or the numbers of the members of a single batch.
        ax: the matplotlib Axes to draw into, a new one if None.
        points: for a single batch, the points that `grid` gave with it: the first of them that varies colours the lines, along
            a scale if they are many numbers, and the others show in the styles, if there are enough of them.
        log: whether the scale of the values is logarithmic, if any is positive; if None, where all are positive, and most would
            be lost otherwise.

    Returns:
        The Axes.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `steps` is no number of steps, or the points are not those of the batch.

    >>> import lrsched as ls
    >>> axes = ls.plot({"cosine": ls.warmup_cosine(0.1, 10, 100), "constant": ls.Constant(0.05)})
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
    looks = [[seen(member, by_step=steps is not None) for member in members(schedule)] for schedule in given]
    if len({axis for look in looks for *_, axis in look}) > 1:  # no single clock
        looks = [[seen(member, by_step=True) for member in members(schedule)] for schedule in given]
    every = [each for look in looks for each in look]
    if isinstance(labels, str):
        raise TypeError(unexpected("plot", "labels", labels, "a list of names", f"labels=[{labels!r}]"))
    if labels is not None and len(labels) not in (len(given), len(every)):
        each = f"{len(given)} schedules" + f", or of {len(every)} members" * (len(every) > len(given))
        raise ValueError(f"plot(labels=...): expected one label for each of {each}, got {len(labels)}.")
    pures = [pure for pure, *_ in every]
    ending = [pure for pure in pures if 0 < known(pure.length) < math.inf]
    count = math.ceil(1.05 * max(map(horizon, ending or pures))) if steps is None else int(steps)
    lines = [_line(pure, found.corners, count, axis) for pure, found, axis in every]
    if points is not None:
        styles, bar, legend = _by_points(given, points)
    elif len(every) > len(given) and (len(given) == 1 if labels is None else len(labels) == len(every)):
        styles, bar, legend = _by_order([1] * len(every), "member", labels, [f"member {k}" for k in range(len(every))])
    else:
        texts = [shown(schedule, 60) if len(given) > 1 else "" for schedule in given]
        styles, bar, legend = _by_order([*map(len, looks)], "schedule", labels, texts)
    axes: Axes = pyplot("plot").subplots(layout="constrained")[1] if ax is None else ax
    xlabel = max((axis for *_, axis in every), key=len)
    for (times, values), style in zip(lines, styles, strict=True):
        axes.plot(times, values, **style, drawstyle="default" if xlabel.startswith("step") else "steps-post")
    ends = [span.stop for span in every[0][1].spans if span.stop <= count]
    if len(every) == 1 and 0 < len(ends) <= _MOST_ENDS:
        whole = axes.get_xaxis_transform()  # from the bottom of the axes to their top
        axes.vlines(ends, 0, 1, transform=whole, colors="0.6", linestyles=":", linewidth=0.8, zorder=0)
    _scale(axes, np.concatenate([values for _, values in lines]), log)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("value")
    axes.grid(alpha=0.3)
    if bar:
        axes.figure.colorbar(**bar, ax=axes)
    legend = [*axes.get_legend_handles_labels()[0], *legend]
    if legend:
        axes.legend(handles=legend, fontsize="small")
    return axes


def _scale(ax: "Axes", values: np.ndarray, log: bool | None) -> None:
    """Chooses the scale of the values, and limits where they are constant, or a ramp to 0 would fill a logarithmic one."""
    low, high = np.quantile(values, [0.1, 0.9])
    positive = values[values > 0]
    # Not where only the end of some ramp would be lost on a linear scale.
    if positive.size and (log or (log is None and values.min() > 0 and high >= _LOG * low)):
        ax.set_yscale("log")
        if positive.min() < (least := np.quantile(positive, 0.01) / 2):
            top = max(np.asarray(line.get_ydata()).max() for line in ax.get_lines())
            ax.set_ylim(least, top * (top / least) ** 0.05)
    elif np.ptp(values) == 0:
        ax.set_ylim(*sorted((0.0, 1.25 * high or 1.0)))


def members(schedule: Schedule) -> list[Schedule]:
    """The schedules of a batch, or the one."""
    return [one for member in unstack(schedule) for one in members(member)] if schedule.batch_shape else [schedule]


def _line(schedule: Schedule, corners: np.ndarray, count: int, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and values: every step, or many of them, and every corner, at a jump with the moment just before it.

    The reading of a clock stays on one whole number until the next, so there are no others.
    """
    grid = np.linspace(0, count, min(count, _POINTS) + 1).round()
    corners = corners[corners <= count]
    # Nearer to a corner, some nodes take a time for the corner.
    beside = corners[:, None] + 1e-12 * count * np.array([0.0, -1.0, 1.0])
    values, largest = np.asarray(schedule(beside), np.float64), np.abs(np.asarray(schedule(grid), np.float64)).max()
    jumps = np.abs(values - values[:, :1]) > 1e-5 * largest
    near = np.round(corners[:, None] + np.array([-1.0, 0.0, 1.0])).ravel()  # where not every step is drawn
    between = np.concatenate([corners, beside[jumps]]) if axis.startswith("step") else []
    times = np.unique(np.concatenate([grid, near, between]))
    times = times[(times >= 0) & (times <= count)]
    values = np.asarray(schedule(times), np.float64)
    is_zero = (times != np.round(times)) & (np.abs(values) < 1e-12 * largest)  # just before the end of a ramp to 0
    return times, np.where(is_zero, 0.0, values)


def _by_order(counts: list[int], name: str, labels: Sequence[str] | None, texts: Sequence[str]) -> Looks:
    """How the lines of each schedule are drawn, with a label, or a text in its place; of many, by a scale with labels alone."""
    colours, bar = _along(range(len(counts)), name) if len(counts) > _MOST_LABELS else (COLOURS, {})
    if bar and labels is not None:
        from matplotlib.ticker import FixedFormatter, FixedLocator

        each = range(0, len(counts), math.ceil(len(counts) / _MOST_TICKS))
        bar |= {"ticks": FixedLocator(each), "format": FixedFormatter([labels[k] for k in each])}
    styles: Styles = []
    for i, (count, label) in enumerate(zip(counts, labels or texts, strict=True)):
        style = {"color": colours[i % len(colours)], "alpha": 1.0 if count == 1 else 0.8}
        style |= {} if bar else {"linestyle": STYLES[i % len(STYLES)]}
        styles += [style | {"label": None if bar or k else label or None} for k in range(count)]
    return styles, bar, []


def _by_points(schedules: Sequence[Schedule], points: Mapping[str, Any]) -> Looks:
    """How each line of a batch is drawn: the first value that varies gives its colour, and others, if few, its style."""
    from matplotlib.lines import Line2D

    if len(schedules) != 1 or not schedules[0].batch_shape:
        raise ValueError("plot(points=...): expected a single batch of schedules. Hint: batch, points = grid(...) makes both.")
    n = int(np.prod(schedules[0].batch_shape))
    if not isinstance(points, Mapping) or not points or any(len(values) != n for values in points.values()):
        raise ValueError(unexpected("plot", "points", points, f"the points that grid gave, with {n} values each"))
    name, *others = [name for name, values in points.items() if len(set(map(str, values))) > 1] or list(points)
    rest = [", ".join(f"{other} = {points[other][k]}" for other in others) for k in range(n)]
    kinds = dict(zip(dict.fromkeys(rest), STYLES, strict=False)) if 1 < len(set(rest)) <= len(STYLES) else {}
    lines: Styles = [{"linestyle": kinds.get(one, "-"), "alpha": 0.8} for one in rest]
    legend = [Line2D([], [], color="0.3", linestyle=style, label=kind) for kind, style in kinds.items()]
    numbers = all(isinstance(x, (int, float, np.number)) for x in points[name])
    values: list[Any] = list(points[name] if numbers else map(str, points[name]))
    distinct = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    colours, bar = _along(values, name) if numbers and len(distinct) > len(COLOURS) else (COLOURS, {})
    for k, (line, x) in enumerate(zip(lines, values, strict=True)):
        line["color"] = colours[k if bar else distinct.index(x) % len(colours)]
        line["label"] = None if bar or x in values[:k] else f"{name} = {x}"
    return lines, bar, legend


def _along(values: Sequence[float], name: str) -> tuple[Any, dict[str, Any]]:
    """A colour for each value, along a scale, and the bar that explains them."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(min(values)), float(max(values))
    scale = ScalarMappable((LogNorm if 0 < 10 * low <= high else Normalize)(low, high), "viridis")
    return scale.to_rgba(np.asarray(values, np.float64)), {"mappable": scale, "label": name}


@explained
def plot_replay(schedule: Schedule, observations: Any, every: int = 1) -> "tuple[Axes, Axes]":
    """Draws a driven schedule on metrics that were recorded: metrics above, values below.

    A dotted line marks each observation that moved a clock, the first of several in a row.

    Args:
        schedule: the schedule.
        observations: an array of shape (n,), or a dict of such arrays by name, as in `replay`.
        every: how many updates there were for each observation.

    Returns:
        The Axes of the metrics, and those of the values.

    Raises:
        ImportError: if matplotlib is missing.
        TypeError, ValueError: as `replay`.

    >>> import lrsched as ls
    >>> metric, value = ls.plot_replay(ls.reduce_on_plateau(patience=1), [3.0, 2.0, 2.0, 2.0, 2.0])
    """
    values, readings = replayed(schedule, observations, every, "plot_replay")
    tables = observations if isinstance(observations, dict) else {"metric": observations}
    figure, (above, below) = pyplot("plot_replay").subplots(2, sharex=True, layout="constrained")
    for i, (name, table) in enumerate(tables.items()):
        metric = np.asarray(table)
        at = np.arange(1, len(metric) + 1) * every - 1
        above.plot(at, metric, label=name, color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    below.plot(np.asarray(values), color=COLOURS[0], drawstyle="steps-post")
    moves = [np.flatnonzero(np.diff(np.asarray(reading))) for reading in readings]
    moves = [moved[np.diff(moved, prepend=-2) > 1] for moved in moves]  # of several in a row the first
    for step in np.unique(np.concatenate([moved for moved in moves if moved.size and moved[0] > 0] or [[]])):
        for axes in (above, below):
            axes.axvline(step, color="0.4", linestyle=":", linewidth=1)
    above.set_ylabel(next(iter(tables)) if len(tables) == 1 else "metrics")
    if len(tables) > 1:
        above.legend(fontsize="small")
    _scale(below, np.asarray(values), log=False)
    below.set_ylabel("value")
    below.set_xlabel("step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.align_ylabels()
    return above, below


def pyplot(call: str) -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise ImportError(
            f"{call}(...): expected matplotlib, got none. Hint: python -m pip install 'lrsched-jax[plot]'."
        ) from None
    return plt
