"""The result of a range test: the curve, and the rates that the rules suggest, with their spread over seeds."""

import collections
import dataclasses
import functools
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.lab.plain import page
from lrsched.lab.range_test.rules import LAST, RULES, read
from lrsched.views.plotting import COLOURS, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame  # pyright: ignore[reportMissingImports]

_FAR = 10.0  # times: the rules do not read the same part of the curve
_BAND, _SHARE = (0.1, 0.9), "80 %"  # the quantiles over seeds that bound a spread, and the seeds between them
_BLUE = COLOURS[0]
_MARKS = dict(zip(RULES, ((COLOURS[2], ":"), (COLOURS[3], "-."), (COLOURS[1], "-"), (COLOURS[4], "--")), strict=True))


@dataclasses.dataclass(frozen=True, repr=False)
class RangeTest:
    """The losses of a sweep over n learning rates. `print(result)` shows the suggestions, `result.plot()` the curve.

    Args:
        rates: the rates, of shape (n,), up to the last one that any run reached.
        losses: the loss before each update, of shape (n,), or (seeds, n) with seeds. NaN after the stop of a seed.
        smoothed: their exponential means without bias, of the same shape.
        steps: the number of rates that were asked for.
        stops: for each run the step at which its loss diverged, or None if it went on to the end.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steps: int
    stops: tuple[int | None, ...]

    @property
    def seeds(self) -> int | None:
        """The number of seeds, or None without."""
        return len(self.losses) if self.losses.ndim == 2 else None

    @property
    def _ends(self) -> list[int]:
        """The number of rates of each run."""
        return [len(self.rates) if stop is None else stop + 1 for stop in self.stops]

    @functools.cached_property
    def _read(self) -> list[tuple[dict[str, float], str]]:
        runs = zip(np.atleast_2d(self.losses), np.atleast_2d(self.smoothed), self._ends, self.stops, strict=True)
        return [read(self.rates[:n], loss[:n], smooth[:n], self.steps, stop is not None) for loss, smooth, n, stop in runs]

    @property
    def reasons(self) -> tuple[str, ...]:
        """For each run the reason why it suggests no rate, or an empty string if it does."""
        return tuple(reason for _, reason in self._read)

    @property
    def by_seed(self) -> dict[str, np.ndarray]:
        """The rates that each rule suggests, of shape (seeds,); (1,) without seeds. NaN where a rule has no suggestion."""
        return {name: np.asarray([rates[name] for rates, _ in self._read]) for name in RULES}

    @property
    def suggestions(self) -> dict[str, float]:
        """The rate that each rule suggests: with seeds, the median over those for which it has one. NaN if there is none."""
        return {name: _quantiles(values, 0.5)[0] for name, values in self.by_seed.items()}

    @property
    def spread(self) -> dict[str, tuple[float, float]]:
        """For each rule the two rates that bound the middle 80 % of the seeds; without seeds, its rate twice."""
        return {name: _quantiles(values, *_BAND) for name, values in self.by_seed.items()}

    def __repr__(self) -> str:
        table = (f"{rule:8} {rate:>10}   {spread}".rstrip() for rule, rate, spread in self._rows())
        return "\n".join([self._title(), *table, textwrap.fill(self._advice(), 80)])

    def _repr_html_(self) -> str:
        return page(self._title(), self._rows(), [self._advice()])

    def _title(self) -> str:
        swept = f"{len(self.rates)} of {self.steps} rates, from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"range test: {swept}; {len(self.stops) - self.stops.count(None)} of {len(self.stops)} runs diverged"

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [("rule", "rate", "" if self.seeds is None else f"{_SHARE} of seeds")]
        for name, rate in self.suggestions.items():
            spread = "" if self.seeds is None or np.isnan(rate) else "{:.3g} to {:.3g}".format(*self.spread[name])
            rows.append((name, "none" if np.isnan(rate) else f"{rate:.3g}", spread))
        return rows

    def _advice(self) -> str:
        reasons = collections.Counter(filter(None, self.reasons))
        if reasons:
            which = "" if self.seeds is None else f" for {reasons.total()} of {self.seeds} seeds, mostly"
            return f"No suggestion{which}: {reasons.most_common(1)[0][0]}"
        known = [rate for rate in self.suggestions.values() if np.isfinite(rate)]
        differ = f"The rules differ by more than {_FAR:g} times: look at the plot. " if max(known) > _FAR * min(known) else ""
        return differ + ("" if np.isnan(self.suggestions["valley"]) else "fastai's default is valley.")

    def columns(self) -> dict[str, np.ndarray]:
        """Tidy columns, "seed", "step", "rate", "loss" and "smoothed": name → array with a value for each step of each run."""
        step = np.concatenate([np.arange(end) for end in self._ends])
        seed = np.repeat(np.arange(len(self.stops)), self._ends)
        curves = {"loss": np.atleast_2d(self.losses)[seed, step], "smoothed": np.atleast_2d(self.smoothed)[seed, step]}
        return {"seed": seed, "step": step, "rate": self.rates[step], **curves}

    def to_pandas(self) -> "DataFrame":
        """`columns()` as a DataFrame of pandas, which must be installed."""
        import pandas as pd  # pyright: ignore[reportMissingImports]

        return pd.DataFrame(self.columns())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draws the losses over the rates, raw and smoothed, and marks the suggestions.

        With seeds the lines are medians, as far as at least half of the seeds got, and the bands hold the middle 80 % of the
        smoothed losses and of the suggestions. The explosion at the end is outside the picture.

        Args:
            ax: the matplotlib Axes to draw into, a new one if None; they are returned.

        Raises:
            ImportError: if matplotlib is missing.
        """
        axes: Axes = pyplot("RangeTest.plot").subplots()[1] if ax is None else ax
        kind = "" if self.seeds is None else "median "
        losses, smoothed = np.atleast_2d(self.losses), np.atleast_2d(self.smoothed)
        shown = np.isfinite(smoothed).mean(axis=0) >= 0.5  # a median of a few seeds is no median of all
        rates, median = self.rates[shown], np.nanmedian(losses[:, shown], axis=0)
        low, middle, high = np.nanquantile(smoothed[:, shown], [_BAND[0], 0.5, _BAND[1]], axis=0)
        axes.plot(rates, median, color=_BLUE, alpha=0.35, linewidth=1, label=f"{kind}loss")
        axes.plot(rates, middle, color=_BLUE, label=f"{kind}smoothed")
        if self.seeds is not None:
            axes.fill_between(rates, low, high, color=_BLUE, alpha=0.2, linewidth=0, label=f"{_SHARE} of seeds")
        for name, rate in self.suggestions.items():
            if np.isfinite(rate):
                (colour, style), label = _MARKS[name], f"{name} {rate:.2g}"
                if self.seeds is not None:
                    label += " ({:.2g} to {:.2g})".format(*self.spread[name])
                    axes.axvspan(*self.spread[name], color=colour, alpha=0.12, linewidth=0)
                axes.axvline(rate, color=colour, linestyle=style, linewidth=1.4, label=label)
        kept = slice(max(len(rates) - LAST, 1))  # without the explosion
        top, bottom = float(middle[kept].max()), float(median[kept].min())
        room = 0.1 * ((top - bottom) or abs(top) or 1.0)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(bottom - room, top + 2 * room))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        return axes


def _quantiles(values: np.ndarray, *at: float) -> Any:
    known = values[np.isfinite(values)]
    return tuple(np.quantile(known, at).tolist()) if known.size else (np.nan,) * len(at)
