"""The picture of a range test."""

from typing import TYPE_CHECKING

import numpy as np

from lrsched.lab.ranging.result import BAND, SHARE, RangeTest
from lrsched.views.plotting import COLOURS, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREEN, _PINK, _YELLOW = COLOURS[:5]
_MARKS = {"minimum": (_GREEN, ":"), "steep": (_PINK, "-."), "valley": (_ORANGE, "-"), "slide": (_YELLOW, "--")}
_AT_THE_END = 5  # points that the rules leave out too: the explosion


def draw(result: RangeTest, ax: "Axes | None") -> "Axes":
    """Draws it into the Axes, or into new ones."""
    ax = _new_axes() if ax is None else ax
    losses, smoothed = np.atleast_2d(result.losses), np.atleast_2d(result.smoothed)
    going = np.isfinite(smoothed)
    if result.seeds is None:
        ax.plot(result.rates, losses[0], color=_BLUE, alpha=0.35, linewidth=1, label="loss")
        ax.plot(result.rates, smoothed[0], color=_BLUE, label="smoothed")
    else:
        shown = going.mean(axis=0) >= 0.5  # what is left after most have stopped is no median of all
        rates = result.rates[shown]
        values = np.where(going, smoothed, np.nan)[:, shown]
        low, middle, high = np.nanquantile(values, [BAND[0], 0.5, BAND[1]], axis=0)
        ax.plot(rates, np.nanmedian(losses[:, shown], axis=0), color=_BLUE, alpha=0.35, linewidth=1, label="median loss")
        ax.fill_between(rates, low, high, color=_BLUE, alpha=0.2, linewidth=0, label=f"{SHARE} of seeds")
        ax.plot(rates, middle, color=_BLUE, label="median, smoothed")
    for name, rate in result.suggestions.items():
        if not np.isfinite(rate):
            continue
        colour, style = _MARKS[name]
        low, high = result.spread[name]
        label = f"{name} {rate:.2g}"
        if result.seeds is not None:
            label += f" ({low:.2g} to {high:.2g})"
            ax.axvspan(low, high, color=colour, alpha=0.12, linewidth=0)
        ax.axvline(rate, color=colour, linestyle=style, linewidth=1.4, label=label)
    _limit(ax, losses, smoothed)
    ax.set_xscale("log")
    if len(result.rates) > 1:
        ax.set_xlim(result.rates[0], result.rates[-1])
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small")
    return ax


def _new_axes() -> "Axes":
    return pyplot("RangeTest.plot").subplots()[1]


def _limit(ax: "Axes", losses: np.ndarray, smoothed: np.ndarray) -> None:
    """Leaves the explosion out of the picture: it goes up to what was reached a few points before it."""
    ends = [max(int(np.isfinite(run).sum()) - _AT_THE_END, 1) for run in smoothed]
    tops = [np.nanmax(run[:end]) for run, end in zip(smoothed, ends, strict=True)]
    bottoms = [np.nanmin(run[:end]) for run, end in zip(losses, ends, strict=True)]
    top, bottom = float(np.max(tops)), float(np.min(bottoms))
    room = 0.1 * ((top - bottom) or abs(top) or 1.0)
    ax.set_ylim(bottom - room, top + 2 * room)
