"""The finished runs of comparisons in a folder: what is there is not trained again.

`rounds.json` says by what they were trained; each `round-ID.npz`, ID being its first run, holds the metrics of one round.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Schedule
from lrsched.clocks.running import bind, init
from lrsched.lab.compare.contract import Train, fingerprint, traced

_ABOUT = "rounds.json"
_RUNS = "the names of the runs"  # in each file, beside the metrics


class Store:
    """A folder of finished runs, made if it is not there.

    Raises:
        ValueError: if the folder holds the runs of another `train`, of another JAX or another kind of device.
    """

    def __init__(self, folder: str | Path, train: Train, key: jax.Array) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        program = traced(train, jax.tree.map(jnp.asarray, Constant(1.0)), key)  # the same, whatever is compared
        about = {"train": fingerprint(program.jaxpr), "jax": jax.__version__, "backend": jax.default_backend()}
        path = self._folder / _ABOUT
        if not path.exists():
            write(path, lambda file: file.write(json.dumps(about, indent=1).encode()))
            return
        call = f"compare(folder={str(folder)!r})"
        try:
            there = dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{call}: expected a {_ABOUT} that can be read, got {error}. Hint: delete the folder.") from None
        if others := [name for name in about if there.get(name) != about[name]]:
            said = ["train, or the data that it closes over," if name == "train" else name for name in others]
            raise ValueError(
                f"{call}: expected the runs of this comparison, got those of another: {' and '.join(said)} differ."
                "\nHint: give this one another folder, or delete that one to start anew."
            )

    def finished(self) -> dict[str, dict[str, np.ndarray]]:
        """The metrics of every finished run."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for path in sorted(self._folder.glob("round-*.npz")):
            try:
                arrays = read_arrays(path)
                runs = arrays.pop(_RUNS)
            except Exception:
                # A disk lost part of it, of which the decoders say so by a dozen kinds of errors: those runs are made again.
                continue
            found.update(by_run(runs.tolist(), arrays))
        return found

    def add(self, runs: Sequence[str], metrics: dict[str, np.ndarray]) -> None:
        """Keeps the metrics of those runs."""
        write_arrays(self._folder / f"round-{runs[0]}.npz", {_RUNS: np.asarray(runs), **metrics})


def by_run(runs: Sequence[str], metrics: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The metrics of each run, from those of all."""
    return {run: {name: values[i] for name, values in metrics.items()} for i, run in enumerate(runs)}


def identities(schedules: Sequence[Schedule], keys: np.ndarray) -> list[str]:
    """A name for each schedule with each key, in this order, that tells it from all other schedules and keys."""
    programs: dict[Any, str] = {}  # of each structure, which are few
    found = []
    for schedule in schedules:
        leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, schedule))
        kind = structure, *(leaf.shape for leaf in leaves)
        if kind not in programs:
            rate = jax.make_jaxpr(lambda schedule, step: bind(schedule, init(schedule))(step))(schedule, 0)
            programs[kind] = re.sub(r"0x[0-9a-f]+", "0x", str(kind)) + fingerprint(rate)
        numbers = b"".join(np.asarray(leaf).tobytes() for leaf in leaves)
        found += [hashlib.sha256(programs[kind].encode() + numbers + key.tobytes()).hexdigest()[:32] for key in keys]
    return found


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays, whatever their names, in NumPy's `.npz` form."""
    named: dict[str, Any] = {f"array {name}": values for name, values in arrays.items()}  # no argument of savez has a space
    write(path, lambda file: np.savez_compressed(file, **named))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that were written; any error of a decoder, if they are not all there."""
    with path.open("rb") as file, np.load(file) as arrays:
        return {name.removeprefix("array "): arrays[name] for name in arrays}


def write(path: Path, content: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file, whole or not at all: under another name, renamed when it is on the disk."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        content(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
