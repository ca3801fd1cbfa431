"""The finished runs of a comparison in a folder, so that one that was interrupted can go on.

`rounds.json` says of which comparison they are; each `round-N.npz`, N being its first run, holds the metrics of one round.
A file is written under another name first and then renamed.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from lrsched.lab.comparing import arrays

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
        # Without the addresses in memory of what has no better name, which another process has elsewhere.
        described = re.sub(r"0x[0-9a-f]+", "0x", json.dumps(description, indent=1))
        if path.exists():
            _check_same(self._folder, path.read_text(encoding="utf-8"), json.loads(described))
        else:
            arrays.write_whole(path, lambda file: file.write(described.encode()))

    def finished(self) -> dict[int, dict[str, np.ndarray]]:
        """The metrics of every finished run, by its number."""
        found: dict[int, dict[str, np.ndarray]] = {}
        for path in sorted(self._folder.glob("round-*.npz")):
            try:
                metrics = arrays.read(path)
                runs = metrics.pop(_RUNS)
            except Exception:
                # A disk lost part of it, of which the decoders say so by a dozen kinds of errors: those runs are made again.
                continue
            found.update(by_run(runs, metrics))
        return found

    def add(self, runs: np.ndarray, metrics: dict[str, np.ndarray]) -> None:
        """Keeps the metrics of the runs of those numbers."""
        arrays.write(self._folder / f"round-{runs[0]}.npz", {_RUNS: runs, **metrics})


def by_run(runs: np.ndarray, metrics: dict[str, np.ndarray]) -> dict[int, dict[str, np.ndarray]]:
    """The metrics of each run, from those of all."""
    return {int(run): {name: values[i] for name, values in metrics.items()} for i, run in enumerate(runs)}


def _check_same(folder: Path, text: str, here: dict[str, Any]) -> None:
    try:
        there = dict(json.loads(text))
    except ValueError as error:
        raise ValueError(
            f"compare(folder={str(folder)!r}) has a {_DESCRIPTION} that cannot be read: {error}. Delete the folder"
        ) from None
    if differences := [_difference(name, there.get(name), here[name]) for name in here if there.get(name) != here[name]]:
        # The numbers are those of schedules and peaks, which say it better.
        said = [text for text in differences if text != _NUMBERS] or differences
        raise ValueError(
            f"compare(folder={str(folder)!r}): expected the runs of this comparison, got those of another: {'; '.join(said)}."
            "\nHint: give this one another folder, or delete that one to start anew."
        )


_NUMBERS = "the numbers of the schedules are others"


def _difference(name: str, was: Any, now: Any) -> str:
    if name == "train":
        return "train, or the data that it closes over, is another"
    if name == "numbers":
        return _NUMBERS
    if isinstance(was, dict) and isinstance(now, dict) and list(was) != list(now):
        return f"{name} {list(was)} there, {list(now)} here"
    if isinstance(was, dict) and isinstance(now, dict):
        names = [key for key in now if was.get(key) != now[key]]
        return f"{name} " + ", ".join(f"{key!r}: {was[key]} there, {now[key]} here" for key in names)
    return f"{name} = {was} there, {now} here"
