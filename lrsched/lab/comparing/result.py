"""What a comparison of schedules found: every run's numbers, and the figures drawn from them."""

import dataclasses
import functools
import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.lab.comparing import archive, columns, picture, statistics, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Row:
    """One schedule at the peak rate that did best on the validation split.

    Means are over the seeds that did not diverge, and not a number if none is left; intervals are 95 %, by bootstrap over
    seeds.
    """

    name: str
    peak: float
    test: float  # the mean test score
    test_interval: tuple[float, float]
    gain: float  # the mean difference of the test score from the baseline's, seed by seed
    gain_interval: tuple[float, float]
    loss: float  # the mean of the last training loss
    steps_saved: float  # how much earlier its mean curve is where the baseline's ends; minus infinity: never
    steps_saved_interval: tuple[float, float]
    diverged: int  # seeds whose last numbers are not finite


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Every run of a comparison. `print(comparison)` shows the table.

    A run has diverged if its last training loss, its last smoothed validation score or its test score is not finite. It is
    counted, left out of all means, and ranks last: of two peaks, or two schedules, the one with fewer such runs is better.

    Args:
        schedules: the S schedules by name, written for a peak of 1.
        peaks: the P peak rates.
        seeds: the number N of seeds.
        baseline: the name of the schedule that the others are compared with.
        metrics: name → array of shape (S, P, N, ...), what `train` returned.
        window: over how many evaluations the validation curves are smoothed.
        seconds: what compiling and running took.
    """

    schedules: Mapping[str, Schedule]
    peaks: tuple[float, ...]
    seeds: int
    baseline: str
    metrics: dict[str, np.ndarray]
    window: int
    seconds: dict[str, float]

    @functools.cached_property
    def rows(self) -> list[Row]:
        """One row a schedule, in the order given."""
        return [self._row(name) for name in self.schedules]

    @functools.cached_property
    def ranking(self) -> list[str]:
        """The schedules from best to worst: first those with fewer diverged runs, then those with the better test score."""
        return [row.name for row in sorted(self.rows, key=lambda row: (row.diverged, -np.nan_to_num(row.test, nan=-np.inf)))]

    @functools.cached_property
    def best(self) -> dict[str, int]:
        """The index of each schedule's best peak: the fewest diverged runs, then the best last smoothed validation score."""
        last = statistics.mean_where(~self.diverged, self._curves[..., -1])
        lost = self.diverged.sum(axis=-1)
        return {
            name: min(range(len(self.peaks)), key=lambda j: (lost[i, j], -last[i, j])) for i, name in enumerate(self.schedules)
        }

    @functools.cached_property
    def diverged(self) -> np.ndarray:
        """Which runs diverged, of shape (S, P, N)."""
        last = [self.metrics["loss"][..., -1], self._curves[..., -1], self.metrics["test"]]
        return ~np.logical_and.reduce([np.isfinite(np.asarray(values, np.float64)) for values in last])

    @functools.cached_property
    def _curves(self) -> np.ndarray:
        return statistics.smooth(self.metrics["validation"], self.window)

    @property
    def steps(self) -> np.ndarray:
        """The number of updates before each evaluation, or the evaluations themselves if `train` does not say."""
        curves = self.metrics["validation"]
        return self.metrics["step"][0, 0, 0] if "step" in self.metrics else np.arange(1, curves.shape[-1] + 1)

    def at_best(self, metric: str, name: str) -> np.ndarray:
        """A metric of a schedule at its best peak, of shape (N, ...)."""
        for kind, one, known in (("metric", metric, self.metrics), ("schedule", name, self.schedules)):
            if one not in known:
                raise KeyError(f"Comparison.at_best(...) knows no {kind} {one!r}, but {', '.join(known)}")
        return self._at_best(self.metrics[metric], name)

    def _at_best(self, values: np.ndarray, name: str) -> np.ndarray:
        return values[list(self.schedules).index(name), self.best[name]]

    def _row(self, name: str) -> Row:
        whole, base_whole = (~self._at_best(self.diverged, n) for n in (name, self.baseline))
        test, base_test = (self.at_best("test", n).astype(np.float64) for n in (name, self.baseline))
        both = whole & base_whole
        gains = (test - base_test)[both]
        own, base = (self._at_best(self._curves, n)[both] for n in (name, self.baseline))
        saved, saved_interval = statistics.steps_saved(own, base, self.steps)
        return Row(
            name=name,
            peak=self.peaks[self.best[name]],
            test=statistics.mean(test[whole]),
            test_interval=statistics.bootstrap_interval(test[whole]),
            gain=statistics.mean(gains),
            gain_interval=statistics.bootstrap_interval(gains),
            loss=statistics.mean(self.at_best("loss", name)[whole, -1]),
            steps_saved=saved,
            steps_saved_interval=saved_interval,
            diverged=int((~whole).sum()),
        )

    def __str__(self) -> str:
        return table.text(self)

    def __repr__(self) -> str:
        counts = f"{len(self.schedules)} schedules, {len(self.peaks)} peaks, {self.seeds} seeds"
        return f"<Comparison of {counts}; best: {self.ranking[0]}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def columns(self, curves: bool = False) -> dict[str, np.ndarray]:
        """Tidy columns: name → array with a value a run, or, with `curves`, a value an evaluation.

        The first columns say which run it is: "schedule", "peak", "seed", and "best", whether that is the schedule's best peak,
        and "diverged"; with `curves`, "evaluation" as well. The others are the metrics; of a metric with a value an evaluation,
        the last if not `curves`. Metrics of other shapes are in `metrics` only.
        """
        return columns.of_evaluations(self) if curves else columns.of_runs(self)

    def to_pandas(self, curves: bool = False) -> Any:
        """`columns(curves)` as a DataFrame of pandas.

        Raises:
            ImportError: if pandas is not installed.
        """
        try:
            import pandas as pd  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                "Comparison.to_pandas() needs pandas: python -m pip install pandas; columns() does not"
            ) from error
        return pd.DataFrame(self.columns(curves))

    def plot(self, metric: str = "loss", figure: "Figure | None" = None) -> "list[Axes]":
        """Draws each schedule at its best peak: the rate, a metric on its way, and the test scores with their intervals.

        Args:
            metric: the metric in the middle, with a value an evaluation: the mean over the seeds that did not diverge.
            figure: the matplotlib Figure to draw into, a new one if None.

        Returns:
            The three Axes.

        Raises:
            ImportError: if matplotlib is missing.
            ValueError: if there is no such metric with a value an evaluation.
        """
        return picture.draw(self, metric, figure)

    def save(self, folder: str | Path) -> list[Path]:
        """Writes everything into a folder, and says which files they are.

        `comparison.json` has the schedules, the settings and the table, `metrics.npz` every number of every run, `runs.csv` the
        columns of `columns()`, and `comparison.png`, if matplotlib is installed, the picture of `plot()`.
        """
        return archive.save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path, schedules: Mapping[str, Schedule] | None = None) -> "Comparison":
        """A comparison that was saved.

        Args:
            folder: what was given to `save`.
            schedules: those, by name, that could not be written, for they hold functions.

        Raises:
            FileNotFoundError: if nothing was saved there.
            ValueError: if a schedule is missing.
        """
        return Comparison(**archive.load(Path(folder), schedules or {}))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python: the table, and every run's numbers. What is not finite becomes None."""
        return archive.to_dict(self)
