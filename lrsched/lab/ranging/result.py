"""What a range test found: the curve, the rates that the rules suggest, and how they vary between seeds."""

import dataclasses
import functools
import html
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.lab.plain import plain
from lrsched.lab.ranging.suggestions import RULES, suggestions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 10.0  # times: where the rules do not mean the same part of the curve
BAND, SHARE = (0.1, 0.9), "80 %"  # the quantiles over seeds that bound a spread, and how many seeds are between


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
    def stopped(self) -> int | None:
        """The step at which the sweep stopped because the last run had diverged, or None if one went on to the end."""
        stops = [stop for stop in self.stops if stop is not None]
        return max(stops) if len(stops) == len(self.stops) else None

    @property
    def seeds(self) -> int | None:
        """The number of seeds, or None without."""
        return len(self.losses) if self.losses.ndim == 2 else None

    @functools.cached_property
    def by_seed(self) -> dict[str, np.ndarray]:
        """The rates that each rule suggests, of shape (seeds,); (1,) without seeds. NaN where a rule has none to suggest."""
        runs = np.atleast_2d(self.smoothed)
        ends = [len(self.rates) if stop is None else stop + 1 for stop in self.stops]
        found = [suggestions(self.rates[:end], run[:end], self.steps) for run, end in zip(runs, ends, strict=True)]
        return {name: np.asarray([one[name] for one in found]) for name in RULES}

    @functools.cached_property
    def suggestions(self) -> dict[str, float]:
        """The rate that each rule suggests: with seeds, the median over those for which it has one. NaN if there is none."""
        return {name: _quantiles(values, 0.5)[0] for name, values in self.by_seed.items()}

    @functools.cached_property
    def spread(self) -> dict[str, tuple[float, float]]:
        """Between which rates the middle 80 % of the seeds lie, for each rule; twice the same without seeds."""
        return {name: _quantiles(values, *BAND) for name, values in self.by_seed.items()}

    def __str__(self) -> str:
        lines = [self._headline(), *(" ".join(row).rstrip() for row in self._cells())]
        return "\n".join([*lines, self._advice()])

    def _advice(self) -> str:
        """What to make of the suggestions."""
        known = [rate for rate in self.suggestions.values() if np.isfinite(rate)]
        if not known:
            return "There are too few rates before it diverged: lower `start`, or `stop`, or more `steps`."
        if max(known) > _FAR * min(known):
            return "The rules disagree by more than ten times: look at the plot, and trust valley, fastai's default, most."
        return "valley is the rule that fastai uses by default."

    def _headline(self) -> str:
        runs = "" if self.seeds is None else f", {self.seeds} seeds"
        swept = f"range test: {len(self.rates)} of {self.steps} rates, from {self.rates[0]:.3g} to {self.rates[-1]:.3g}{runs}"
        if self.seeds is not None:
            return f"{swept}; {sum(stop is not None for stop in self.stops)} diverged"
        return f"{swept}; {'it did not diverge' if self.stopped is None else 'there it diverged'}"

    def _cells(self) -> list[tuple[str, str, str]]:
        """The rows of the table, padded."""
        with_seeds = self.seeds is not None
        rows = [("rule", "rate", f"{SHARE} of seeds" if with_seeds else "")]
        for name, rate in self.suggestions.items():
            known = np.isfinite(rate)
            spread = "{:.3g} to {:.3g}".format(*self.spread[name]) if with_seeds and known else ""
            rows.append((name, f"{rate:.3g}" if known else "none", spread))
        return [(f"{name:8}", f"{rate:>10}", f"  {spread}") for name, rate, spread in rows]

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={rate:.3g}" for name, rate in self.suggestions.items())
        return f"<RangeTest of {len(self.rates)} rates{'' if self.seeds is None else f', {self.seeds} seeds'}: {found}>"

    def _repr_html_(self) -> str:
        head, *rows = self._cells()

        def line(tag: str, cells: tuple[str, ...]) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell.strip())}</{tag}>" for cell in cells if cell.strip()) + "</tr>"

        table = "".join([line("th", head), *(line("td", row) for row in rows)])
        return f"<div>{html.escape(self._headline())}</div><table>{table}</table><div>{html.escape(self._advice())}</div>"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python, for JSON. What is not finite becomes None."""
        names = ("steps", "stops", "suggestions", "spread", "by_seed", "rates", "losses", "smoothed")
        return plain({name: getattr(self, name) for name in names})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draws the losses over the rates, smoothed and as they were, and marks what the rules suggest.

        With seeds the lines are medians, as far as at least half of the seeds got, and the bands hold the middle 80 % of the
        smoothed losses and of the suggestions. The explosion at the end is above the picture.

        Args:
            ax: the matplotlib Axes to draw into, a new one if None.

        Returns:
            The Axes.

        Raises:
            ImportError: if matplotlib is missing.
        """
        from lrsched.lab.ranging.picture import draw

        return draw(self, ax)


def _quantiles(values: np.ndarray, *at: float) -> Any:
    known = values[np.isfinite(values)]
    return tuple(np.quantile(known, at).tolist()) if known.size else (np.nan,) * len(at)
