"""The result of a comparison, as it is shown and kept."""

import csv
import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.lab.compare import picture, table
from lrsched.lab.compare.runs import Runs
from lrsched.lab.plain import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # pyright: ignore[reportMissingImports]


class Comparison(Runs):
    """Every run of a comparison. `print(comparison)` shows the table, and so does a notebook."""

    def __str__(self) -> str:
        return table.text(self)

    def __repr__(self) -> str:
        counts = f"{len(self.names)} schedules, {len(self.trials)} trials, {self.seeds} seeds"
        return f"<Comparison of {counts}; best: {self.ranking[0]}>"

    def _repr_html_(self) -> str:
        return table.html(self)

    def columns(self, curves: bool = False) -> dict[str, np.ndarray]:
        """Tidy columns: name → array with a value for each run, or, with `curves`, for each evaluation.

        The columns that identify the run come first: "schedule", "setting", "peak", "seed", "best" (whether it is the best
        trial of the schedule), "diverged" and, with `curves`, "evaluation". Then come the metrics: without `curves`, the last
        value of each curve. Metrics of other shapes are only in `metrics`.
        """
        whole = self.metrics["loss"].shape
        shape = whole if curves else whole[:2]
        of_trials = {"schedule": [t.name for t in self.trials], "setting": [t.setting for t in self.trials]}
        found = {name: np.asarray(x)[:, None] for name, x in (of_trials | {"peak": [t.peak for t in self.trials]}).items()}
        best = np.isin(np.arange(len(self.trials)), list(self.best.values()))
        found |= {"seed": np.arange(self.seeds)[None], "best": best[:, None], "diverged": self.diverged}
        if curves:
            found = {name: values[..., None] for name, values in found.items()} | {"evaluation": np.arange(1, shape[-1] + 1)}
        for name, values in self.metrics.items():
            if values.shape == shape:
                found[name] = values
            elif values.shape == whole:
                found[name] = values[..., -1]
        return {name: np.broadcast_to(values, shape).reshape(-1) for name, values in found.items()}

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
