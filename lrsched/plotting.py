"""Pictures of schedules. matplotlib is imported only when one is asked for."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra import Schedule
from lrsched.node import shown
from lrsched.running import replayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people can tell apart, and a line style each for those who see none.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#000000")
# Eight colours and seven styles: the pairs repeat after 56 lines.
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (7, 2, 1, 2)))

_MOST_POINTS = 200_000  # a longer picture leaves steps out


def plot(*schedules: Schedule, steps: int | None = None, labels: Any = None, ax: "Axes | None" = None) -> "Axes":
    """Draws schedules over their steps, each in a colour and a line style of its own.

    Args:
        schedules: one or more pure schedules; a batch is drawn as one line a member.
        steps: how many steps to draw; if None, a little more than the longest finite length. Up to 200,000 every step is
            drawn, of more as many, evenly spaced.
        labels: a list of names, one a schedule; by default, if there are several, the expression that makes it.
        ax: the matplotlib Axes to draw into, a new one if None.

    Returns:
        The Axes.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `steps` is None and no schedule has a finite length above 0.

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
    count = _range(schedules) if steps is None else int(steps)
    grid = np.unique(np.linspace(0, count, min(count, _MOST_POINTS) + 1).round()).astype(np.int64)
    values = [np.asarray(schedule(grid)).reshape(-1, len(grid)) for schedule in schedules]
    several = len(schedules) > 1
    if ax is None:
        ax = _new_axes()
    for i, (schedule, rows) in enumerate(zip(schedules, values, strict=True)):
        label = labels[i] if labels is not None else _short(repr(schedule)) if several else None
        for k, row in enumerate(rows):
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}
            ax.plot(grid, row, label=label if k == 0 else None, alpha=1.0 if len(rows) == 1 else 0.6, **style)
    ax.set_xlabel("step")
    ax.set_ylabel("value")
    ax.grid(alpha=0.3)
    if several or labels is not None:
        ax.legend(fontsize="small")
    return ax


def plot_replay(schedule: Schedule, observations: Any, every: int = 1) -> "tuple[Axes, Axes]":
    """Draws what a driven schedule would have done on metrics that were recorded: metrics above, values below.

    A dotted line marks each observation that moved a clock, but for clocks that move at nearly every one, such as a `Counter`.

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
    figure, (above, below) = _pyplot("plot_replay").subplots(2, sharex=True)
    for i, (name, table) in enumerate(tables.items()):
        metric = np.asarray(table)
        at = np.arange(1, len(metric) + 1) * every - 1
        above.plot(at, metric, label=name, color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    below.plot(np.asarray(values), color=COLOURS[0], drawstyle="steps-post")
    moves = [np.flatnonzero(np.diff(np.asarray(reading))) for reading in readings]
    for step in np.unique(np.concatenate([moved for moved in moves if 2 * len(moved) * every < len(values)] or [[]])):
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


def _new_axes() -> "Axes":
    return _pyplot("plot").subplots()[1]


def _pyplot(call: str) -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise ImportError(f"{call}(...) needs matplotlib: python -m pip install 'lrsched-jax[plot]'") from None
    return plt


def _range(schedules: tuple[Schedule, ...]) -> int:
    lengths = np.concatenate([np.ravel(np.asarray(schedule.length, np.float64)) for schedule in schedules])
    finite = lengths[np.isfinite(lengths) & (lengths > 0)]
    if not finite.size:
        raise ValueError("plot(...) of schedules that never settle needs to be told how far: plot(s, steps=1000)")
    return int(np.ceil(finite.max() * 1.05))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
