"""What a comparison of schedules found: every run's numbers, and the table drawn from them."""

import dataclasses
import functools
import io
from typing import Any

import numpy as np

from lrsched.algebra import Schedule
from lrsched.lab import statistics


@dataclasses.dataclass(frozen=True)
class Row:
    """One schedule at the peak rate that did best on the validation split."""

    name: str
    peak: float
    test: float  # the mean over seeds
    test_interval: tuple[float, float]  # 95 %, of the mean
    loss: float  # the last training loss, the mean over seeds
    steps_saved: float  # the median over seeds; minus infinity if half of them or more never got there
    reached: int  # seeds that got to the level of the best constant rate, and stayed
    diverged: int  # seeds whose loss is not a number


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Every run of a comparison. `print(comparison)` shows the table.

    Args:
        schedules: the schedules by name, written for a peak of 1.
        peaks: the P peak rates.
        seeds: the number S of seeds.
        baseline: the name of the constant rate, which the others' steps are compared with.
        metrics: name → array of shape (schedules, P, S, ...), what `train` returned.
        window: over how many evaluations the validation curves are smoothed.
        seconds: what compiling and running took.
    """

    schedules: dict[str, Schedule]
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
    def best(self) -> dict[str, int]:
        """The index of each schedule's best peak: the highest last smoothed validation score, as the mean over seeds."""
        last = self._curves[..., -1].mean(axis=-1)
        ranked = np.where(np.isfinite(last), last, -np.inf)
        return dict(zip(self.schedules, np.argmax(ranked, axis=-1).tolist(), strict=True))

    @functools.cached_property
    def _curves(self) -> np.ndarray:
        return statistics.smooth(self.metrics["validation"], self.window)

    @property
    def steps(self) -> np.ndarray:
        """The number of updates before each evaluation, or the evaluations themselves if `train` does not say."""
        curves = self.metrics["validation"]
        return self.metrics["step"][0, 0, 0] if "step" in self.metrics else np.arange(1, curves.shape[-1] + 1)

    def at_best(self, metric: str, name: str) -> np.ndarray:
        """A metric of a schedule at its best peak, of shape (S, ...)."""
        return self.metrics[metric][list(self.schedules).index(name), self.best[name]]

    def _times(self, name: str) -> np.ndarray:
        """For each seed, when the schedule got to where the best constant rate ended on that seed, and stayed."""
        own, base = (self._curves[list(self.schedules).index(n), self.best[n]] for n in (name, self.baseline))
        return np.asarray([statistics.first_to_stay(a, b[-1], self.steps) for a, b in zip(own, base, strict=True)])

    def _row(self, name: str) -> Row:
        times, loss, test = self._times(name), self.at_best("loss", name)[:, -1], self.at_best("test", name)
        # The baseline saves nothing by construction, even where its own runs diverged.
        saved = np.zeros(self.seeds) if name == self.baseline else statistics.saved_fraction(times, self._times(self.baseline))
        middle = np.sort(saved)[[(self.seeds - 1) // 2, self.seeds // 2]]
        return Row(
            name=name,
            peak=self.peaks[self.best[name]],
            test=float(test.mean()),
            test_interval=statistics.mean_interval(test),
            loss=float(loss.mean()),
            steps_saved=float(middle.mean()),
            reached=int(np.isfinite(times).sum()),
            diverged=int((~np.isfinite(loss)).sum()),
        )

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table

        table = Table(title=f"{len(self.schedules)} schedules × {len(self.peaks)} peak rates × {self.seeds} seeds")
        for heading, justify in (
            ("schedule", "left"),
            ("best peak", "right"),
            ("test score [95 % interval]", "right"),
            ("final loss", "right"),
            ("steps saved", "right"),
            ("got there", "right"),
        ):
            table.add_column(heading, justify=justify)  # pyright: ignore[reportArgumentType]
        for row in self.rows:
            low, high = row.test_interval
            table.add_row(
                row.name,
                f"{row.peak:.3g}",
                f"{row.test:.4f} [{low:.4f}, {high:.4f}]",
                f"{row.loss:.4f}" + (f" ({row.diverged} diverged)" if row.diverged else ""),
                f"{row.steps_saved:+.0%}" if np.isfinite(row.steps_saved) else "never",
                f"{row.reached} of {self.seeds}",
            )
        text = io.StringIO()
        Console(file=text, width=110).print(table)
        return text.getvalue() + (
            "The best peak is chosen on the validation split. Steps saved: how much earlier than the best constant rate\n"
            f"({self.baseline}) the smoothed validation score gets to where that rate ends, and stays; the median over seeds.\n"
            "A seed that never gets there counts as never, and `got there` says how many did.\n"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python: the table, and every run's numbers. What is not finite becomes None."""
        runs = [
            {"schedule": name, "peak": peak, "seed": seed, **{k: _plain(v[i, j, seed]) for k, v in self.metrics.items()}}
            for i, name in enumerate(self.schedules)
            for j, peak in enumerate(self.peaks)
            for seed in range(self.seeds)
        ]
        table = [{k: _plain(v) for k, v in dataclasses.asdict(row).items()} for row in self.rows]
        schedules = {name: repr(schedule) for name, schedule in self.schedules.items()}
        return {"baseline": self.baseline, "schedules": schedules, "seconds": self.seconds, "table": table, "runs": runs}


def _plain(value: Any) -> Any:
    """Numbers as the shortest decimals that give them back."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) or np.ndim(value):
        return [_plain(x) for x in value]
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(str(value)) if np.isfinite(value) else None
