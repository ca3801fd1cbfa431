"""The finished runs of a comparison in a folder, so that one that was interrupted can go on.

`rounds.json` says of which comparison they are; each `round-N.npz`, N being its first run, holds the metrics of one round.
A file is written under another name first and then renamed.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lrsched.lab import arrays

_DESCRIPTION = "rounds.json"
_RUNS = "the numbers of the runs"  # in each file, beside the metrics


class Store:
    """A folder of finished runs.

    Args:
        folder: made if it is not there.
        description: what makes the comparison this one, as plain values; the runs of another are not taken for its own.

    Raises:
        ValueError: if the folder holds the runs of another comparison.
    """

    def __init__(self, folder: Any, description: dict[str, Any]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _DESCRIPTION
        described = json.dumps(description, indent=1)
        if path.exists():
            _check_same(self._folder, json.loads(path.read_text(encoding="utf-8")), json.loads(described))
        else:
            partial = path.with_suffix(".partial")
            partial.write_text(described, encoding="utf-8")
            partial.replace(path)

    def finished(self) -> dict[int, dict[str, np.ndarray]]:
        """The metrics of every finished run, by its number."""
        found: dict[int, dict[str, np.ndarray]] = {}
        for path in sorted(self._folder.glob("round-*.npz")):
            try:
                metrics = arrays.read(path)
            except (OSError, ValueError, zipfile.BadZipFile):  # a disk that lost it: those runs are made again
                continue
            found.update(by_run(metrics.pop(_RUNS), metrics))
        return found

    def add(self, runs: np.ndarray, metrics: dict[str, np.ndarray]) -> None:
        """Keeps the metrics of the runs of those numbers."""
        arrays.write(self._folder / f"round-{runs[0]}.npz", {_RUNS: runs, **metrics})


def by_run(runs: np.ndarray, metrics: dict[str, np.ndarray]) -> dict[int, dict[str, np.ndarray]]:
    """The metrics of each run, from those of all."""
    return {int(run): {name: values[i] for name, values in metrics.items()} for i, run in enumerate(runs)}


def _check_same(folder: Path, there: Any, here: dict[str, Any]) -> None:
    names = [name for name in here if not isinstance(there, dict) or there.get(name) != here[name]]
    if names:
        was = {name: there.get(name) if isinstance(there, dict) else None for name in names}
        now = {name: here[name] for name in names}
        raise ValueError(
            f"compare(folder={str(folder)!r}) holds the runs of another comparison: {_shown(was)} there, {_shown(now)} here."
            " Use another folder, or delete this one to start anew"
        )


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value if len(str(value)) < 200 else str(value)[:200] + '…'}" for name, value in values.items())
