"""The finished runs of comparisons in a folder, so that they are not made again.

Each `round-ID.npz` holds the metrics of one round by the identities of its runs, ID being the first. Runs of another `train`
have other identities, so that a folder may hold several comparisons.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal  # pyright: ignore[reportPrivateImportUsage]

from lrsched.algebra.schedule import Schedule
from lrsched.lab.compare.contract import Train, traced

Runs = dict[str, dict[str, np.ndarray]]  # the metrics of each run

_RUNS, _METRIC = "runs", "metric "  # names in a file; the prefix keeps metrics apart from the arguments of `np.savez`


def finished(folder: Path, names: Sequence[str]) -> Runs:
    """The metrics of those named runs that are finished."""
    folder.mkdir(parents=True, exist_ok=True)
    found: Runs = {}
    for path in folder.glob("round-*.npz"):
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                metrics = {name.removeprefix(_METRIC): arrays[name] for name in arrays}
            found.update(by_run(metrics.pop(_RUNS).tolist(), metrics))
        except Exception:  # a damaged file, for which decoders raise a dozen kinds of errors: its runs are made again
            continue
    return {name: found[name] for name in names if name in found}


def add(folder: Path, names: Sequence[str], metrics: dict[str, np.ndarray]) -> None:
    """Keeps the metrics of the named runs: in a file that is whole or not there at all, renamed when it is on the disk."""
    named: dict[str, Any] = {_METRIC + name: values for name, values in metrics.items()}
    np.savez_compressed(content := io.BytesIO(), **{_RUNS: np.asarray(names), **named})
    path = folder / f"round-{names[0]}.npz"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content.getvalue())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def by_run(names: Sequence[str], metrics: dict[str, np.ndarray]) -> Runs:
    """The metrics of each run, from those of all."""
    return {run: {name: values[i] for name, values in metrics.items()} for i, run in enumerate(names)}


def identities(train: Train, schedules: Sequence[Schedule], keys: np.ndarray) -> list[str]:
    """A name for the run with each schedule and each key, in this order: a hash of all that its numbers depend on.

    That is the version of JAX, the kind of device, the program of `train` with the schedule, its data, and all numbers.
    """
    about = f"{jax.__version__} {jax.default_backend()}"
    programs: dict[Any, str] = {}  # of each structure, of which there are few
    found = []
    for schedule in schedules:
        numbers, structure = jax.tree.flatten(schedule)
        kind = structure, *map(np.shape, numbers)
        if kind not in programs:
            given = [*map(jnp.asarray, numbers)]
            program, metrics = traced(train, structure.unflatten, given, jax.random.wrap_key_data(keys[0]))
            programs[kind] = f"{about} {metrics} {_fingerprint(program)}"
        known = b"".join(np.asarray(x).tobytes() for x in numbers)
        found += [hashlib.sha256(programs[kind].encode() + known + key.tobytes()).hexdigest()[:32] for key in keys]
    return found


def _fingerprint(jaxpr: ClosedJaxpr) -> str:
    """A hash of a program and of the data that it closes over, without addresses in memory."""
    found = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "0x", str(jaxpr)).encode())
    for constant in _constants(jaxpr):
        is_key = jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)
        values = np.asarray(jax.random.key_data(constant) if is_key else constant)
        found.update(f"{values.dtype}{values.shape}".encode() + values.tobytes())
    return found.hexdigest()


def _constants(part: Any) -> Iterator[Any]:
    """The arrays that a program, and the jitted functions and loops in it, close over."""
    if isinstance(part, ClosedJaxpr):
        yield from part.consts
        part = part.jaxpr
    if isinstance(part, Literal) and np.ndim(part.val):  # with `jax_use_simplified_jaxpr_constants`
        yield part.val
    if isinstance(part, Jaxpr):
        if calls := [x.primitive.name for x in part.eqns if x.outvars and "callback" in x.primitive.name]:
            raise ValueError(
                f"compare(folder=...): expected train(schedule, key) in JAX alone, got a {calls[0]}: whether its function has"
                " changed since the runs in the folder is unknown. Hint: use jax.numpy, or leave folder out."
            )
        part = [*part.outvars, *(x for equation in part.eqns for x in (*equation.invars, *equation.params.values()))]
    if isinstance(part, (list, tuple)):
        for inner in part:
            yield from _constants(inner)
