"""Pictures of schedules. matplotlib is imported only when one is asked for."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra.batch import unstack
from lrsched.algebra.driven import driven_parts
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown
from lrsched.clocks.running import replay, replayed
from lrsched.views.phases import horizon, known, phases

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people can tell apart, and a line style each for those who see none.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#000000")
# Eight colours and seven styles: the pairs repeat after 56 lines.
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (7, 2, 1, 2)))

_POINTS = 20_000  # evenly spaced, where there are more steps than that
_MOST_ENDS = 20  # phases that are marked: where there are more, it is the shape that shows them
_LOG = 1000.0  # a range of values that a linear scale cannot show


def plot(
    *schedules: Schedule,
    steps: int | None = None,
    labels: Any = None,
    ax: "Axes | None" = None,
    points: Any = None,
    observations: Any = None,
) -> "Axes":
    """Draws schedules over their steps, each in a colour and a line style of its own.

    Every corner and every jump is drawn where it is, however short the phase beside it, and dotted lines mark the phases of
    a single schedule. The scale is logarithmic where all values are positive, and most of them would be lost on a linear one.

    Args:
        schedules: one or more schedules; a batch is drawn as one line a member.
        steps: how many steps to draw; if None, all observations, or a little more than the longest schedule lasts; if
            none of them settles, enough to see how they go on.
        labels: a list of names, one a schedule; by default, if there are several, the expression that makes it.
        ax: the matplotlib Axes to draw into, a new one if None.
        points: for a single batch, the points that `grid` gave with it: the first of them that varies colours the lines, along
            a scale if they are many numbers, and the others show in the styles.
        observations: for driven schedules, the metric that they hear, one for each step, as in `replay`; `plot_replay` draws it
            as well.

    Returns:
        The Axes.

    Raises:
        ImportError: if matplotlib is missing.
        TypeError: if a schedule is driven, and there are no observations.
        ValueError: if `steps` is no number of steps, or the points are not those of the batch.

    >>> import lrsched as ls
    >>> axes = ls.plot(ls.warmup_cosine(0.1, 10, 100), ls.Constant(0.05), labels=["cosine", "constant"])
    """
    if not schedules:
        raise ValueError("plot(...) needs at least one schedule")
    for schedule in schedules:
        if not isinstance(schedule, Schedule):
            raise TypeError(f"plot(...) draws schedules, got {shown(schedule)}")
    if labels is not None and len(labels) != len(schedules):
        raise ValueError(f"plot(labels=...) takes one label a schedule, got {len(labels)} for {len(schedules)}")
    if steps is not None and not (isinstance(steps, (int, float, np.number)) and 1 <= steps < 2**31):
        raise ValueError(f"plot(steps=...) must be a number of steps, at least 1 and below 2**31, got {steps!r}")
    driven = [bool(driven_parts(schedule)) for schedule in schedules]
    if any(driven) and observations is None:
        raise TypeError(
            f"plot(...) of {shown(schedules[driven.index(True)])}, which is driven, needs the metric that it observes:"
            " plot(s, observations=[...]), or plot_replay(s, [...]), which draws both; bind(s, state) is it as it stands"
        )
    replays = [
        [np.asarray(replay(member, observations), np.float64) for member in members(schedule)] if listens else None
        for schedule, listens in zip(schedules, driven, strict=True)
    ]
    told = max((len(rows[0]) for rows in replays if rows), default=None) if steps is None else int(steps)
    count = _range(schedules) if told is None else told
    drawn = [
        [_line(member, count) for member in members(schedule)] if rows is None else [_stairs(row, count) for row in rows]
        for schedule, rows in zip(schedules, replays, strict=True)
    ]
    styles, bar = (None, None) if points is None else _styles(schedules, points)
    several = len(schedules) > 1
    axes: Axes = pyplot("plot").subplots()[1] if ax is None else ax
    for i, (schedule, lines) in enumerate(zip(schedules, drawn, strict=True)):
        label = labels[i] if labels is not None else _short(repr(schedule)) if several else None
        for k, (times, values) in enumerate(lines):
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}
            style = {**style, "label": label if k == 0 else None} if styles is None else styles[k]
            axes.plot(times, values, alpha=1.0 if len(lines) == 1 else 0.8, **style)
    if len(drawn) == len(drawn[0]) == 1 and not any(driven):
        _mark_phases(axes, schedules[0], count)
    if _asks_for_log(np.concatenate([values for lines in drawn for _, values in lines])):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("value")
    axes.grid(alpha=0.3)
    if bar is not None:
        axes.figure.colorbar(**bar, ax=axes)
    elif several or labels is not None or styles is not None:
        axes.legend(fontsize="small")
    return axes


def _stairs(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The values as steps: each holds until the next update."""
    values = values[:count]
    return np.repeat(np.arange(len(values) + 1), 2)[1:-1].astype(float), np.repeat(values, 2)


def _asks_for_log(values: np.ndarray) -> bool:
    """Whether most of the values, not only the end of some ramp, would be lost on a linear scale."""
    low, high = np.quantile(values, [0.1, 0.9])
    return values.min() > 0 and high >= _LOG * low


def members(schedule: Schedule) -> list[Schedule]:
    """The schedules of a batch, or the one."""
    return [one for member in unstack(schedule) for one in members(member)] if schedule.batch_shape else [schedule]


def _line(schedule: Schedule, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and values: every step, or many of them, and every edge with the moment just before it."""
    corners = phases(schedule).corners
    beside = 1e-12 * count  # a jump has two values at one place
    near = corners[:, None] + np.array([-1.0, 0.0, 1.0])  # a step around each, where not every step is drawn
    grid = np.linspace(0, count, min(count, _POINTS) + 1).round()
    times = np.unique(np.concatenate([grid, np.round(near.ravel()), corners, corners - beside, corners + beside]))
    times = times[(times >= 0) & (times <= count)]
    return times, np.asarray(schedule(times), np.float64)


def _mark_phases(ax: "Axes", schedule: Schedule, count: int) -> None:
    ends = [span.stop for span in phases(schedule).spans if span.stop <= count]
    if 0 < len(ends) <= _MOST_ENDS:
        whole = ax.get_xaxis_transform()  # from the bottom of the axes to their top
        ax.vlines(ends, 0, 1, transform=whole, colors="0.6", linestyles=":", linewidth=0.8, zorder=0)


def _styles(schedules: tuple[Schedule, ...], points: Any) -> tuple[list[dict[str, Any]], Any]:
    """How each line of a batch is drawn: the first value that varies gives its colour and the others its style.

    And the bar that explains the colours, if the values are many numbers; else the first line of each has a label.
    """
    if len(schedules) != 1 or not schedules[0].batch_shape:
        raise ValueError("plot(points=...) goes with a single batch, such as grid(...) makes")
    n = int(np.prod(schedules[0].batch_shape))
    if not isinstance(points, dict) or not points or any(len(values) != n for values in points.values()):
        raise ValueError(f"plot(points=...) must be the points that grid gave, with {n} values each, got {shown(points)}")
    name, *others = [name for name, values in points.items() if len(set(map(str, values))) > 1] or list(points)
    numbers = all(isinstance(x, (int, float, np.number)) for x in points[name])
    values = list(points[name] if numbers else map(str, points[name]))
    rest = [tuple(str(points[other][k]) for other in others) for k in range(n)]
    lines = [{"linestyle": STYLES[sorted(set(rest)).index(one) % len(STYLES)]} for one in rest]
    distinct = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    if not numbers or len(distinct) <= len(COLOURS):
        colours = [COLOURS[distinct.index(x) % len(COLOURS)] for x in values]
        labels = [None if x in values[:k] else f"{name} = {x}" for k, x in enumerate(values)]
        return [{**line, "color": c, "label": label} for line, c, label in zip(lines, colours, labels, strict=True)], None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(distinct[0]), float(distinct[-1])
    scale = ScalarMappable((LogNorm if 0 < 10 * low <= high else Normalize)(low, high), "viridis")
    colours = scale.to_rgba(np.asarray(values, np.float64))
    return [{**line, "color": c} for line, c in zip(lines, colours, strict=True)], {"mappable": scale, "label": name}


def plot_replay(schedule: Schedule, observations: Any, every: int = 1) -> "tuple[Axes, Axes]":
    """Draws what a driven schedule would have done on metrics that were recorded: metrics above, values below.

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
    values, readings = replayed(schedule, observations, every)
    tables = observations if isinstance(observations, dict) else {"metric": observations}
    figure, (above, below) = pyplot("plot_replay").subplots(2, sharex=True)
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
        raise ImportError(f"{call}(...) needs matplotlib: python -m pip install 'lrsched-jax[plot]'") from None
    return plt


def _range(schedules: tuple[Schedule, ...]) -> int:
    every = [member for schedule in schedules for member in members(schedule)]
    ending = [member for member in every if 0 < known(member.length) < math.inf]
    return math.ceil(1.05 * max(map(horizon, ending or every)))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
