"""Draws pictures/algebra.png, the picture of the README: `python notebooks/pictures.py`."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import lrsched as ls

FOLDER = Path(__file__).resolve().parent / "pictures"
SCHEDULES = {
    "Linear(0, 1, 20) >> Cosine(1, 0, 100)": ls.Linear(0, 1, 20) >> ls.Cosine(1, 0, 100),
    "Cosine(1, 0, 18).repeat(stretch=2, scale=0.7)": ls.Cosine(1, 0, 18).repeat(stretch=2, scale=0.7),
    "Exponential(1, 0.98) * CosineWave(1, 0.6, 5)": ls.Exponential(1, 0.98) * ls.CosineWave(1, 0.6, 5),
    "Linear(0, 1, 20).take(60).cooldown(60, shape='1-sqrt')": ls.Linear(0, 1, 20).take(60).cooldown(60, shape="1-sqrt"),
    "Cosine(1, 0, 120).staircase(15).clip(low=0.1)": ls.Cosine(1, 0, 120).staircase(15).clip(low=0.1),
}
STUCK = "Linear(0, 1, 20) >> reduce_on_plateau(0.5)"


def algebra() -> Figure:
    """Five pure schedules, and one that observes a loss."""
    figure, panels = plt.subplots(2, 3, figsize=(12, 5), layout="constrained", sharex=True, sharey=True)
    for axes, (title, schedule) in zip(panels.flat, SCHEDULES.items(), strict=False):
        ls.plot(schedule, steps=120, ax=axes)
        axes.set_title(title, family="monospace", fontsize=8.5)
    axes, steps = panels[1, 2], np.arange(120)
    loss = np.maximum(np.exp(-steps / 30), 0.3) + 0.02 * np.sin(steps)
    axes.plot(steps, loss, color="0.6", linewidth=1, label="loss")
    axes.plot(steps, ls.clocks.replay(ls.parse(STUCK), loss), color="#0072B2", label="value", drawstyle="steps-post")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    axes.set_title(STUCK, family="monospace", fontsize=8.5)
    for axes in panels.flat:
        axes.label_outer()
    return figure


if __name__ == "__main__":
    algebra().savefig(FOLDER / "algebra.png", dpi=110)
