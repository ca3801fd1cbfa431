"""The result of a comparison: every run's numbers, the figures that follow from them, and how they are shown and kept."""

import csv
import dataclasses
import functools
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.lab.compare import picture, statistics, table
from lrsched.lab.plain import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # pyright: ignore[reportMissingImports]


@dataclasses.dataclass(frozen=True)
class Trial:
    """A schedule that is trained with from every seed."""

    name: str
    setting: str  # of a member of a batch, such as "warmup_steps=20"; "" for a single schedule
    peak: float  # its highest value
    schedule: Schedule  # with that peak


@dataclasses.dataclass(frozen=True)
class Row:
    """A schedule with its best setting and peak rate on the validation split.

    Means are over the seeds that did not diverge, NaN without any; intervals are 95 %, by bootstrap over seeds.
    """

    name: str
    setting: str
    peak: float
    test: float  # the mean test score
    test_interval: tuple[float, float]
    gain: float  # the mean difference of the test score from the baseline's, seed by seed
    gain_interval: tuple[float, float]
    loss: float  # the mean of the last training loss
    steps_saved: float  # see `statistics.steps_saved`
    steps_saved_interval: tuple[float, float]
    diverged: int  # seeds


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Every run of a comparison. `print(comparison)` shows the table, and so does a notebook.

    A run has diverged if its last training loss, its last smoothed validation score or its test score is not finite. It counts
    in no mean. Of two trials, or two schedules, the one with fewer diverged runs is better.

    Args:
        trials: the T schedules, each with a setting and a peak.
        seeds: the number N of seeds.
        baseline: the name of the schedule that the others are compared with.
        metrics: name → array of shape (T, N, ...), as `train` returned them: "validation" and "test" may be missing.
        window: the number of evaluations over which the validation curves are smoothed.
        seconds: the time that compiling and running took.
        stopped: the trials that each rung before the last stopped.
    """

    trials: tuple[Trial, ...]
    seeds: int
    baseline: str
    metrics: dict[str, np.ndarray]
    window: int
    seconds: dict[str, float]
    stopped: tuple[tuple[Trial, ...], ...] = ()

    @functools.cached_property
    def names(self) -> list[str]:
        """The names of the schedules, in the order given."""
        return list(dict.fromkeys(trial.name for trial in self.trials))

    @functools.cached_property
    def curves(self) -> np.ndarray:
        """The smoothed validation scores, of shape (T, N, E); without a validation split, minus the smoothed losses."""
        scores = self.metrics["validation"] if "validation" in self.metrics else -1.0 * self.metrics["loss"]
        return statistics.smooth(scores, self.window)

    @functools.cached_property
    def tests(self) -> np.ndarray:
        """The test scores, of shape (T, N); without a test split, the last smoothed validation scores."""
        return np.asarray(self.metrics["test"] if "test" in self.metrics else self.curves[..., -1], np.float64)

    @functools.cached_property
    def diverged(self) -> np.ndarray:
        """Which runs diverged, of shape (T, N)."""
        return ~np.isfinite([self.metrics["loss"][..., -1], self.curves[..., -1], self.tests]).all(axis=0)

    @property
    def steps(self) -> np.ndarray:
        """The number of updates before each evaluation, or of evaluations if `train` does not say."""
        return self.metrics["step"][0, 0] if "step" in self.metrics else np.arange(1, self.curves.shape[-1] + 1)

    def order(self, name: str) -> list[int]:
        """The trials of a schedule, best first: the fewest diverged runs, then the best last smoothed validation score."""
        last, lost = self.curves[..., -1], self.diverged.sum(axis=-1)
        mine = [i for i, trial in enumerate(self.trials) if trial.name == name]
        return sorted(mine, key=lambda i: (lost[i], -statistics.mean(last[i, ~self.diverged[i]], empty=-np.inf)))

    @functools.cached_property
    def best(self) -> dict[str, int]:
        """The index of each schedule's best trial."""
        return {name: self.order(name)[0] for name in self.names}

    @property
    def chosen(self) -> dict[str, Trial]:
        """Each schedule's best trial: its `schedule` is ready to train with."""
        return {name: self.trials[i] for name, i in self.best.items()}

    def at_best(self, metric: str, name: str) -> np.ndarray:
        """A metric of a schedule at its best setting and peak, of shape (N, ...)."""
        return self.metrics[metric][self.best[name]]

    @property
    def tried(self) -> tuple[Trial, ...]:
        """All trials, with those that rungs stopped."""
        return sum(self.stopped, self.trials)

    def end(self, name: str) -> str:
        """The side on which a better peak may be: "<" or ">" if the best is the lowest or the highest of several, or ""."""
        peaks = {trial.peak for trial in self.tried if trial.name == name}
        peak = self.chosen[name].peak
        return "" if len(peaks) == 1 else "<" if peak == min(peaks) else ">" if peak == max(peaks) else ""

    @functools.cached_property
    def rows(self) -> list[Row]:
        """One row a schedule, in the order given."""
        return [self._row(name) for name in self.names]

    def _row(self, name: str) -> Row:
        own, base = self.best[name], self.best[self.baseline]
        whole = ~self.diverged[own]
        both = whole & ~self.diverged[base]
        gains = (self.tests[own] - self.tests[base])[both]
        saved, saved_interval = statistics.steps_saved(self.curves[own, both], self.curves[base, both], self.steps)
        return Row(
            name=name,
            setting=self.trials[own].setting,
            peak=self.trials[own].peak,
            test=statistics.mean(self.tests[own, whole]),
            test_interval=statistics.bootstrap_interval(self.tests[own, whole]),
            gain=statistics.mean(gains),
            gain_interval=statistics.bootstrap_interval(gains),
            loss=statistics.mean(self.metrics["loss"][own, whole, -1]),
            steps_saved=saved,
            steps_saved_interval=saved_interval,
            diverged=int((~whole).sum()),
        )

    @property
    def ranking(self) -> list[str]:
        """The schedules from best to worst: fewer diverged runs first, then better test scores."""
        return [row.name for row in sorted(self.rows, key=lambda row: (row.diverged, -np.nan_to_num(row.test, nan=-np.inf)))]

    def __str__(self) -> str:
        return table.text(self)

    def __repr__(self) -> str:
        counts = f"{len(self.names)} schedules, {len(self.trials)} trials, {self.seeds} seeds"
        return f"<Comparison of {counts}; best: {self.ranking[0]}>"

    def _repr_html_(self) -> str:
        return table.page(self)

    def columns(self, curves: bool = False) -> dict[str, np.ndarray]:
        """Tidy columns: name → array with a value for each run, or, with `curves`, for each evaluation.

        The columns that identify the run come first: "schedule", "setting", "peak", "seed", "best" (whether it is the best
        trial of the schedule), "diverged" and, with `curves`, "evaluation". Then come the metrics: without `curves`, the last
        value of each curve. Metrics of other shapes are only in `metrics`.
        """
        whole = self.metrics["loss"].shape
        shape = whole if curves else whole[:2]
        trial, seed, *evaluation = np.indices(shape).reshape(len(shape), -1)
        found = {
            "schedule": np.asarray([one.name for one in self.trials])[trial],
            "setting": np.asarray([one.setting for one in self.trials])[trial],
            "peak": np.asarray([one.peak for one in self.trials])[trial],
            "seed": seed,
            "best": np.isin(trial, list(self.best.values())),
            "diverged": self.diverged[trial, seed],
        }
        if curves:
            found["evaluation"] = evaluation[0] + 1
        for name, values in self.metrics.items():
            last = values if curves or values.shape != whole else values[..., -1]
            if last.shape == shape:
                found[name] = last.reshape(-1)
        return found

    def to_pandas(self, curves: bool = False) -> "DataFrame":
        """`columns(curves)` as a DataFrame of pandas, which must be installed."""
        import pandas as pd  # pyright: ignore[reportMissingImports]

        return pd.DataFrame(self.columns(curves))

    def plot(self, metric: str = "loss", figure: "Figure | None" = None) -> np.ndarray:
        """Draws each schedule at its best: its rate, the curve of a metric, and the test score with its interval.

        Args:
            metric: a metric with a value for each evaluation; the curve is its mean over the seeds that did not diverge.
            figure: the matplotlib Figure to draw into, a new one if None.

        Returns:
            The three Axes, as an array.

        Raises:
            ImportError: if matplotlib is missing.
            ValueError: if there is no such metric.
        """
        return picture.draw(self, metric, figure)

    def save(self, folder: str | Path) -> list[Path]:
        """Writes everything into a folder, and returns the paths of the files.

        `comparison.json` has the table and every number of every run, `runs.csv` the columns of `columns()`, and
        `comparison.png`, if matplotlib is installed, the picture of `plot()`.
        """
        numbers, runs, drawn = (Path(folder, name) for name in ("comparison.json", "runs.csv", "comparison.png"))
        numbers.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps(self.to_dict(), allow_nan=False) + "\n", encoding="utf-8")
        columns = self.columns()
        with runs.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *zip(*(values.tolist() for values in columns.values()), strict=True)])
        if not importlib.util.find_spec("matplotlib"):
            return [numbers, runs]
        picture.write(self, drawn)
        return [numbers, runs, drawn]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python: the table, and every run's numbers. Numbers that are not finite become None."""
        runs = [
            {"schedule": trial.name, "setting": trial.setting, "peak": trial.peak, "seed": seed}
            | {name: plain(values[i, seed]) for name, values in self.metrics.items()}
            for i, trial in enumerate(self.trials)
            for seed in range(self.seeds)
        ]
        return {
            "baseline": self.baseline,
            "schedules": {name: repr(trial.schedule) for name, trial in self.chosen.items()},
            "seconds": self.seconds,
            "table": plain([dataclasses.asdict(row) for row in self.rows]),
            "runs": runs,
        }
