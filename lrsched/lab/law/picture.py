"""The picture of a fitted law: losses, residuals and schedules, one below the other."""

from typing import Any

import numpy as np

from lrsched.lab.law.curves import as_rates
from lrsched.lab.law.result import FittedLaw
from lrsched.views.plotting import COLOURS, pyplot


def draw(law: FittedLaw, curves: tuple[tuple[Any, Any, Any], ...]) -> np.ndarray:
    """Draws the curves of the fit, and any further ones."""
    _, axes = pyplot("FittedLaw.plot").subplots(
        3, 1, sharex=True, figsize=(7, 7), height_ratios=[3, 1, 1], layout="constrained"
    )
    top, middle, bottom = axes
    fitted = [(one.rates, one.steps, one.losses, one.name) for one in law.curves]
    more = [(s, np.asarray(steps), losses, str(s) if np.ndim(s) == 0 else "") for s, steps, losses in curves]
    for i, (schedule, steps, losses, name) in enumerate([*fitted, *more]):
        colour, style = COLOURS[i % len(COLOURS)], "-" if i < len(fitted) else "--"
        predicted = np.asarray(law.predict(schedule, steps))
        label = f"{name:.40}{'' if i < len(fitted) else ', predicted'}"
        if losses is not None:
            top.plot(steps, losses, ".", color=colour, alpha=0.35, markersize=4)
            middle.plot(steps, np.asarray(losses) - predicted, style, color=colour, linewidth=1)
        top.plot(steps, predicted, style, color=colour, linewidth=1.4, label=label)
        every = np.unique(np.linspace(0, steps[-1], 1000).astype(int))
        bottom.plot(every, np.asarray(as_rates("plot", schedule, int(steps[-1]))(every)), style, color=colour, linewidth=1.4)
    middle.axhline(0.0, color="grey", linewidth=0.8)
    for ax, label in ((top, "loss"), (middle, "residual"), (bottom, "rate")):
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    bottom.set_xlabel("step")
    top.legend(fontsize="small")
    return axes
