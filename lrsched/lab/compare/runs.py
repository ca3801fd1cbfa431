"""The runs of a comparison, and the figures that follow from their numbers."""

import dataclasses
import functools

import numpy as np

from lrsched.lab.compare import statistics
from lrsched.lab.compare.trials import Trial


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
class Runs:
    """The numbers of all runs.

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
        scores = self.metrics["validation"] if "validation" in self.metrics else -self.metrics["loss"]
        return statistics.smooth(scores, self.window)

    @functools.cached_property
    def tests(self) -> np.ndarray:
        """The test scores, of shape (T, N); without a test split, the last smoothed validation scores."""
        return np.asarray(self.metrics["test"] if "test" in self.metrics else self.curves[..., -1], np.float64)

    @functools.cached_property
    def diverged(self) -> np.ndarray:
        """Which runs diverged, of shape (T, N)."""
        return ~np.isfinite([self.metrics["loss"][..., -1], self.curves[..., -1], self.tests]).all(axis=0)

    def order(self, name: str) -> list[int]:
        """The trials of a schedule, best first: the fewest diverged runs, then the best last smoothed validation score."""
        last, lost = self.curves[..., -1], self.diverged.sum(axis=-1)
        mine = [i for i, trial in enumerate(self.trials) if trial.name == name]
        return sorted(mine, key=lambda i: (lost[i], -statistics.mean(last[i, ~self.diverged[i]], empty=-np.inf)))

    @functools.cached_property
    def best(self) -> dict[str, int]:
        """The index of each schedule's best trial."""
        return {name: self.order(name)[0] for name in self.names}

    @functools.cached_property
    def chosen(self) -> dict[str, Trial]:
        """Each schedule's best trial: its `schedule` is ready to train with."""
        return {name: self.trials[i] for name, i in self.best.items()}

    def end(self, name: str) -> str:
        """The side on which a better peak may be: "<" or ">" if the best is the lowest or the highest of several, or ""."""
        tried = {trial.peak for trial in sum(self.stopped, self.trials) if trial.name == name}
        peak = self.chosen[name].peak
        return "" if len(tried) == 1 else "<" if peak == min(tried) else ">" if peak == max(tried) else ""

    @functools.cached_property
    def rows(self) -> list[Row]:
        """One row a schedule, in the order given."""
        return [self._row(name) for name in self.names]

    @functools.cached_property
    def ranking(self) -> list[str]:
        """The schedules from best to worst: fewer diverged runs first, then better test scores."""
        return [row.name for row in sorted(self.rows, key=lambda row: (row.diverged, -np.nan_to_num(row.test, nan=-np.inf)))]

    @property
    def steps(self) -> np.ndarray:
        """The number of updates before each evaluation, or of evaluations if `train` does not say."""
        return self.metrics["step"][0, 0] if "step" in self.metrics else np.arange(1, self.curves.shape[-1] + 1)

    def at_best(self, metric: str, name: str) -> np.ndarray:
        """A metric of a schedule at its best setting and peak, of shape (N, ...)."""
        return self.metrics[metric][self.best[name]]

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
