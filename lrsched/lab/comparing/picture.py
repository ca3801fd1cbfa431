"""The picture of a comparison. matplotlib is imported only when one is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra.driven import driven_parts
from lrsched.views.plotting import COLOURS, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lrsched.lab.comparing.result import Comparison

Style = dict[str, Any]

_SIZE = (15, 5.2)  # inches
_COLOURS = COLOURS[:-1]  # without black
_TITLES = {"loss": "training loss", "validation": "validation score"}


def draw(comparison: "Comparison", metric: str, figure: "Figure | None") -> "list[Axes]":
    """See `Comparison.plot`."""
    shape = comparison.metrics["loss"].shape
    curves = [name for name, values in comparison.metrics.items() if values.shape == shape]
    if metric not in curves:
        raise ValueError(f"Comparison.plot(metric={metric!r}) must be a metric with a value an evaluation: {', '.join(curves)}")
    if figure is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=_SIZE, layout="constrained")
    rates, way, scores = figure.subplots(1, 3)
    styles = {name: _style(i, name == comparison.baseline) for i, name in enumerate(comparison.schedules)}
    for row in comparison.rows:
        style = styles[row.name]
        _draw_rate(rates, comparison, row.name, row.peak, f"{_plain(row.name)}, peak {row.peak:.3g}", style)
        whole = ~comparison.diverged[list(comparison.schedules).index(row.name), comparison.best[row.name]]
        if whole.any():
            mean = comparison.at_best(metric, row.name)[whole].mean(axis=0)
            way.plot(comparison.steps, mean, markevery=0.1, **style)
    _draw_scores(scores, comparison, styles)
    rates.set(title="learning rate, each at its best peak", xlabel="step", ylabel="learning rate")
    way.set(title=f"{_TITLES.get(metric, metric)}, mean over seeds", xlabel="step")
    drawn = [line.get_ydata() for line in way.lines]
    if drawn and min(np.min(np.asarray(y, float)) for y in drawn) > 0:
        way.set_yscale("log")
    for axes in (rates, way):
        axes.grid(alpha=0.3)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return [rates, way, scores]


def write(comparison: "Comparison", path: Path, metric: str = "loss", dpi: int = 130) -> None:
    """Draws it into a file, in a figure of its own, not pyplot's: nothing to close, and no window whatever the backend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    draw(comparison, metric, figure)
    figure.savefig(path, dpi=dpi)


def _style(i: int, is_baseline: bool) -> Style:
    """The constant rate in black; each with a line style and a marker of its own, too."""
    return {
        "color": "black" if is_baseline else _COLOURS[i % len(_COLOURS)],
        "linestyle": STYLES[i % len(STYLES)],
        "marker": "os^vDPX*<>d"[i % 11],
    }


def _draw_rate(axes: "Axes", comparison: "Comparison", name: str, peak: float, label: str, style: Style) -> None:
    schedule = comparison.schedules[name]
    rates = comparison.metrics.get("learning_rate")
    if not driven_parts(schedule):
        grid = np.arange(max(int(comparison.steps[-1]), 1))
        axes.plot(grid, np.asarray((schedule * peak)(grid)), label=label, markevery=0.1, **style)
    elif rates is not None and rates.shape == comparison.metrics["loss"].shape:  # what a plateau did, only the runs know
        values = comparison.at_best("learning_rate", name)[0]
        times = np.concatenate([[0], comparison.steps])
        axes.step(times, [values[0], *values], where="pre", label=f"{label} (first seed)", markevery=0.1, **style)
    else:
        axes.plot([], [], label=label, **style)


def _plain(name: str) -> str:
    """A name of which matplotlib makes no formula."""
    return name.replace("$", r"\$")


def _draw_scores(axes: "Axes", comparison: "Comparison", styles: dict[str, Style]) -> None:
    """Each mean test score with its interval, from the best at the top to the worst, beside the constant rate's."""
    from matplotlib.ticker import MaxNLocator

    rows = {row.name: row for row in comparison.rows}
    names = [name for name in comparison.ranking if np.isfinite(rows[name].test)]
    for i, name in enumerate(names):
        row, style = rows[name], styles[name]
        reach = np.abs(np.subtract(row.test_interval, row.test))[:, None]
        axes.errorbar(row.test, i, xerr=reach, color=style["color"], marker=style["marker"], capsize=3, linestyle="none")
    if np.isfinite(rows[comparison.baseline].test):
        axes.axvline(rows[comparison.baseline].test, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), map(_plain, names))
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set(title="test score, mean and 95 % interval")
    axes.grid(alpha=0.3, axis="x")
