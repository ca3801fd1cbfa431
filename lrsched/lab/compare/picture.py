"""The picture of a comparison. matplotlib is imported only when one is drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra.combinators import driven_parts
from lrsched.views.plotting import COLOURS, STYLES, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lrsched.lab.compare.result import Comparison

_LAYOUT: dict[str, Any] = {"figsize": (15, 5.2), "layout": "constrained"}
_COLOURS = COLOURS[:-1]  # without black, for the baseline
_TITLES = {"loss": "training loss", "validation": "validation score"}


def draw(found: "Comparison", metric: str, figure: "Figure | None") -> np.ndarray:
    """See `Comparison.plot`."""
    curves = [name for name, values in found.metrics.items() if values.shape == found.curves.shape]
    if metric not in curves:
        raise ValueError(
            f"Comparison.plot(metric={metric!r}): expected a metric with a value for each evaluation: {', '.join(curves)}."
        )
    drawn: Figure = figure or pyplot("Comparison.plot").figure(**_LAYOUT)
    panels = rates, means, scores = drawn.subplots(1, 3)
    lowest = np.inf
    for name in found.names:
        style = _style(found, name)
        _draw_rate(rates, found, name, style)
        whole = ~found.diverged[found.best[name]]
        if whole.any():
            mean = found.at_best(metric, name)[whole].mean(axis=0)
            means.plot(found.steps, mean, markevery=0.1, **style)
            lowest = min(lowest, float(mean.min()))
    _draw_scores(scores, found)
    rates.set(title="learning rate, each at its best peak", xlabel="step", ylabel="learning rate")
    means.set(title=f"{_TITLES.get(metric, metric)}, mean over seeds", xlabel="step")
    means.set_yscale("log" if 0 < lowest < np.inf else "linear")
    for axes in (rates, means):
        axes.grid(alpha=0.3)
    drawn.legend(*rates.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return panels


def write(found: "Comparison", path: Path, metric: str = "loss", dpi: int = 130) -> None:
    """Draws it into a file. The figure is not pyplot's, which would open a window in some backends."""
    from matplotlib.figure import Figure

    figure = Figure(**_LAYOUT)
    draw(found, metric, figure)
    figure.savefig(path, dpi=dpi)


def _style(found: "Comparison", name: str) -> dict[str, Any]:
    """The baseline is black; each schedule has its own line style and marker, too."""
    i = found.names.index(name)
    colour = "black" if name == found.baseline else _COLOURS[i % len(_COLOURS)]
    return {"color": colour, "linestyle": STYLES[i % len(STYLES)], "marker": "os^vDPX*<>d"[i % 11]}


def _draw_rate(axes: "Axes", found: "Comparison", name: str, style: dict[str, Any]) -> None:
    trial, rates = found.chosen[name], found.metrics.get("learning_rate")
    label = f"{_plain(name)}, peak {trial.peak:.3g}"
    if not driven_parts(trial.schedule):
        grid = np.arange(max(int(found.steps[-1]), 1))
        axes.plot(grid, np.asarray(trial.schedule(grid)), label=label, markevery=0.1, **style)
    elif rates is not None and rates.shape == found.curves.shape:  # only the runs know the rates of a plateau
        values, times = rates[found.best[name], 0], np.concatenate([[0], found.steps])
        axes.step(times, [values[0], *values], where="pre", label=f"{label} (first seed)", markevery=0.1, **style)
    else:
        axes.plot([], [], label=label, **style)


def _plain(name: str) -> str:
    """A name that matplotlib does not take for a formula."""
    return name.replace("$", r"\$")


def _draw_scores(axes: "Axes", found: "Comparison") -> None:
    """Each mean test score with its interval, the best at the top, and a line at the baseline's."""
    from matplotlib.ticker import MaxNLocator

    rows = {row.name: row for row in found.rows}
    names = [name for name in found.ranking if np.isfinite(rows[name].test)]
    for i, name in enumerate(names):
        row, style = rows[name], _style(found, name)
        reach = np.abs(np.subtract(row.test_interval, row.test))[:, None]
        axes.errorbar(row.test, i, xerr=reach, color=style["color"], marker=style["marker"], capsize=3, linestyle="none")
    axes.axvline(rows[found.baseline].test, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), map(_plain, names))
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set(title=f"{'test score' if 'test' in found.metrics else 'score'}, mean and 95 % interval")
    axes.grid(alpha=0.3, axis="x")
