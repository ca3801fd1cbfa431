"""The finished runs of comparisons in a folder, so that they are not made again.

`rounds.json` says by what they were trained; each `round-ID.npz` holds the metrics of one round, ID being its first run.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Schedule
from lrsched.clocks.running import bind, init
from lrsched.lab.compare.contract import Train, fingerprint, traced

_RUNS, _METRIC = "runs", "metric "  # names in a file; the prefix keeps metrics apart from the arguments of `np.savez`


def check(folder: Path, train: Train, key: jax.Array) -> None:
    """Makes the folder, for the runs of this `train`, device and JAX; a ValueError if it has those of another."""
    folder.mkdir(parents=True, exist_ok=True)
    program, _ = traced(train, lambda numbers: Constant(*numbers), [jnp.ones(())], key)  # the same one for all schedules
    about = {"train": fingerprint(program), "jax": jax.__version__, "backend": jax.default_backend()}
    path = folder / "rounds.json"
    if not path.exists():
        _write(path, json.dumps(about, indent=1).encode())
    there = json.loads(path.read_text(encoding="utf-8"))
    if others := [name for name in about if there.get(name) != about[name]]:
        differing = ["train, or the data that it closes over," if name == "train" else name for name in others]
        raise ValueError(
            f"compare(folder={str(folder)!r}): expected the runs of this comparison, got those of another:"
            f" {' and '.join(differing)} differ.\nHint: give this one another folder, or delete that one to start anew."
        )


def finished(folder: Path, names: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """The metrics of those named runs that are finished."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for path in folder.glob("round-*.npz"):
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                metrics = {name.removeprefix(_METRIC): arrays[name] for name in arrays}
        except Exception:  # a damaged file, for which decoders raise a dozen kinds of errors: its runs are made again
            continue
        found.update(by_run(metrics.pop(_RUNS).tolist(), metrics))
    return {name: found[name] for name in names if name in found}


def add(folder: Path, names: Sequence[str], metrics: dict[str, np.ndarray]) -> None:
    """Keeps the metrics of the named runs."""
    named: dict[str, Any] = {_METRIC + name: values for name, values in metrics.items()}
    np.savez_compressed(content := io.BytesIO(), **{_RUNS: np.asarray(names), **named})
    _write(folder / f"round-{names[0]}.npz", content.getvalue())


def by_run(names: Sequence[str], metrics: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The metrics of each run, from those of all."""
    return {run: {name: values[i] for name, values in metrics.items()} for i, run in enumerate(names)}


def identities(schedules: Sequence[Schedule], keys: np.ndarray) -> list[str]:
    """A unique name for each schedule with each key, in this order: a hash of the schedule's program and of all numbers."""
    programs: dict[Any, str] = {}  # of each structure, of which there are few
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


def _write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all: under another name, renamed when it is on the disk."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
