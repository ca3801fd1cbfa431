"""What a range test found: the curve, the rates that the rules suggest, and how they vary between seeds."""

import collections
import dataclasses
import functools
import html
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.lab.range_test.rules import LAST, RULES, read
from lrsched.views.plotting import COLOURS, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 10.0  # times: where the rules do not mean the same part of the curve
_BAND, _SHARE = (0.1, 0.9), "80 %"  # the quantiles over seeds that bound a spread, and how many seeds are between
_BLUE = COLOURS[0]
_MARKS = dict(zip(RULES, ((COLOURS[2], ":"), (COLOURS[3], "-."), (COLOURS[1], "-"), (COLOURS[4], "--")), strict=True))


@dataclasses.dataclass(frozen=True, repr=False)
class RangeTest:
    """The losses of a sweep over n learning rates. `print(result)` shows what the rules suggest, `result.plot()` the curve.

    Args:
        rates: the rates, of shape (n,), up to the last one that any run reached.
        losses: the loss at each, of shape (n,), or (seeds, n) with seeds: before the update that used the rate. After its own
            stop a seed has NaN.
        smoothed: their exponential means without bias, of the same shape.
        steps: how many rates the sweep was meant to have.
        stops: for each run the step at which it stopped because its loss diverged, or None if it went on to the end.
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
        """How many rates each run had."""
        return [len(self.rates) if stop is None else stop + 1 for stop in self.stops]

    @functools.cached_property
    def _read(self) -> list[tuple[dict[str, float], str]]:
        runs = zip(np.atleast_2d(self.losses), np.atleast_2d(self.smoothed), self._ends, self.stops, strict=True)
        return [read(self.rates[:n], loss[:n], smooth[:n], self.steps, stop is not None) for loss, smooth, n, stop in runs]

    @property
    def reasons(self) -> tuple[str, ...]:
        """For each run, why it suggests no rate, or an empty string if it does."""
        return tuple(reason for _, reason in self._read)

    @property
    def by_seed(self) -> dict[str, np.ndarray]:
        """The rates that each rule suggests, of shape (seeds,); (1,) without seeds. NaN where a rule has none to suggest."""
        return {name: np.asarray([rates[name] for rates, _ in self._read]) for name in RULES}

    @property
    def suggestions(self) -> dict[str, float]:
        """The rate that each rule suggests: with seeds, the median over those for which it has one. NaN if there is none."""
        return {name: _quantiles(values, 0.5)[0] for name, values in self.by_seed.items()}

    @property
    def spread(self) -> dict[str, tuple[float, float]]:
        """Between which rates the middle 80 % of the seeds lie, for each rule; twice the same without seeds."""
        return {name: _quantiles(values, *_BAND) for name, values in self.by_seed.items()}

    def __repr__(self) -> str:
        rows = (f"{rule:8} {rate:>10}   {spread}".rstrip() for rule, rate, spread in self._cells())
        return "\n".join([self._headline(), *rows, textwrap.fill(self._advice(), 80)])

    def _advice(self) -> str:
        reasons = collections.Counter(filter(None, self.reasons))
        if reasons:
            which = "" if self.seeds is None else f" for {reasons.total()} of {self.seeds} seeds, mostly"
            return f"No suggestion{which}: {reasons.most_common(1)[0][0]}"
        known = [rate for rate in self.suggestions.values() if np.isfinite(rate)]
        differ = f"The rules differ by more than {_FAR:g} times: look at the plot. " if max(known) > _FAR * min(known) else ""
        return differ + ("" if np.isnan(self.suggestions["valley"]) else "fastai's default is valley.")

    def _headline(self) -> str:
        swept = f"{len(self.rates)} of {self.steps} rates, from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"range test: {swept}; {len(self.stops) - self.stops.count(None)} of {len(self.stops)} runs diverged"

    def _cells(self) -> list[tuple[str, str, str]]:
        rows = [("rule", "rate", "" if self.seeds is None else f"{_SHARE} of seeds")]
        for name, rate in self.suggestions.items():
            spread = "" if self.seeds is None or np.isnan(rate) else "{:.3g} to {:.3g}".format(*self.spread[name])
            rows.append((name, "none" if np.isnan(rate) else f"{rate:.3g}", spread))
        return rows

    def _repr_html_(self) -> str:
        table = "".join(f"<tr>{''.join(f'<td>{html.escape(x)}</td>' for x in row)}</tr>" for row in self._cells())
        return f"<div>{html.escape(self._headline())}</div><table>{table}</table><div>{html.escape(self._advice())}</div>"

    def columns(self) -> dict[str, np.ndarray]:
        """Tidy columns, "seed", "step", "rate", "loss" and "smoothed": name → array with a value for each step of each run."""
        step = np.concatenate([np.arange(end) for end in self._ends])
        seed = np.repeat(np.arange(len(self.stops)), self._ends)
        curves = {"loss": np.atleast_2d(self.losses)[seed, step], "smoothed": np.atleast_2d(self.smoothed)[seed, step]}
        return {"seed": seed, "step": step, "rate": self.rates[step], **curves}

    def to_pandas(self) -> Any:
        """`columns()` as a DataFrame of pandas.

        Raises:
            ImportError: if pandas is not installed.
        """
        try:
            import pandas as pd  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ImportError("RangeTest.to_pandas(): expected pandas, got none. Hint: python -m pip install pandas.") from None
        return pd.DataFrame(self.columns())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draws the losses over the rates, smoothed and as they were, and marks what the rules suggest.

        With seeds the lines are medians, as far as at least half of the seeds got, and the bands hold the middle 80 % of the
        smoothed losses and of the suggestions. The explosion at the end is above the picture.

        Args:
            ax: the matplotlib Axes to draw into, a new one if None; they are returned.

        Raises:
            ImportError: if matplotlib is missing.
        """
        axes: Axes = pyplot("RangeTest.plot").subplots()[1] if ax is None else ax
        losses, smoothed = np.atleast_2d(self.losses), np.atleast_2d(self.smoothed)
        shown = np.isfinite(smoothed).mean(axis=0) >= 0.5  # what is left after most have stopped is no median of all
        rates, median, what = self.rates[shown], np.nanmedian(losses[:, shown], axis=0), "" if self.seeds is None else "median "
        low, middle, high = np.nanquantile(smoothed[:, shown], [_BAND[0], 0.5, _BAND[1]], axis=0)
        axes.plot(rates, median, color=_BLUE, alpha=0.35, linewidth=1, label=f"{what}loss")
        axes.plot(rates, middle, color=_BLUE, label=f"{what}smoothed")
        if self.seeds is not None:
            axes.fill_between(rates, low, high, color=_BLUE, alpha=0.2, linewidth=0, label=f"{_SHARE} of seeds")
        for name, rate in self.suggestions.items():
            if np.isfinite(rate):
                (colour, style), label = _MARKS[name], f"{name} {rate:.2g}"
                if self.seeds is not None:
                    label += " ({:.2g} to {:.2g})".format(*self.spread[name])
                    axes.axvspan(*self.spread[name], color=colour, alpha=0.12, linewidth=0)
                axes.axvline(rate, color=colour, linestyle=style, linewidth=1.4, label=label)
        before_the_end = slice(max(len(rates) - LAST, 1))
        top, bottom = float(np.max(middle[before_the_end])), float(np.min(median[before_the_end]))
        room = 0.1 * ((top - bottom) or abs(top) or 1.0)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(bottom - room, top + 2 * room))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        return axes


def _quantiles(values: np.ndarray, *at: float) -> Any:
    known = values[np.isfinite(values)]
    return tuple(np.quantile(known, at).tolist()) if known.size else (np.nan,) * len(at)
