"""Compare schedules on anything that can be trained: all runs in one compiled, vmapped program."""

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lrsched.algebra.batch import stack
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown
from lrsched.lab import progress
from lrsched.lab.comparing import contract, rounds
from lrsched.lab.comparing.result import Comparison
from lrsched.lab.comparing.store import Store, by_run
from lrsched.lab.plain import whole
from lrsched.views.text import expanded

_ROUNDS = 16  # where a folder keeps them, so that something is kept before the end


@explained
def compare(
    train: contract.Train,
    schedules: Mapping[str, Schedule],
    *,
    peaks: Sequence[float],
    seeds: int,
    seed: int = 0,
    baseline: str = "constant",
    window: int = 5,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
    folder: str | Path | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Trains with every schedule, at every peak rate, from every seed, and compares what comes out.

    The runs are one `jax.vmap` of `train` over a batch of schedules and keys, compiled once; with `batch_size`, rounds of
    the same program. Run number s of every schedule and peak has the same key, so that differences can be paired.

    Args:
        train: a pure function of (schedule, key) that returns a dict of E evaluations: "loss" of shape (E,), the training
            loss; "validation" (E,), a score of the validation split, higher being better, such as an accuracy or minus a loss;
            "test" (), the score of the test split at the end; and, if it likes, "step" (E,), the updates made by then,
            "learning_rate" (E,), from which the picture shows what a plateau did, and more. It may call
            `lrsched.lab.report(done, total)` to move the progress bar. The model may be of flax, equinox or anything else
            that JAX can trace.
        schedules: schedules by name, of any structure. Each is multiplied by each peak, so they are to have a peak of 1.
        peaks: the peak rates, each above 0.
        seeds: how many seeds, at least 2.
        seed: what all keys are derived from, below 2**32.
        baseline: the name of the schedule that the others are compared with, at its best peak as they are at theirs: a constant
            rate, or what you use today.
        window: over how many evaluations the validation scores are smoothed.
        batch_size: how many runs at a time, a round; fewer need less memory. None for all at once, and with a `folder` for a
            sixteenth of them.
        mesh: a mesh of JAX whose devices share the runs; None for the default device. Each device makes its own runs, with the
            numbers that one device gives that makes as many of them at a time.
        folder: where each round is kept as soon as it is finished. The same call with the same folder goes on where it was
            interrupted, and ends with the same numbers.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `Comparison`: print it for the table, `.plot()` it, take `.to_pandas()`, or `.save(folder)` it.

    Raises:
        TypeError: if `schedules` is no dict of schedules, `mesh` no mesh, or `train` cannot be called with a schedule and a key
            or asks for values while it is traced.
        ValueError: if there is no such baseline, a peak is not above 0, the folder holds another comparison, or `train` is not
            pure, does not use its schedule or its key, or does not return those metrics.
        MemoryError: if that many runs do not fit in memory at a time, with the `batch_size` to try.

    >>> import jax, jax.numpy as jnp, lrsched as ls
    >>> from lrsched import lab
    >>> def train(schedule, key):  # gradient descent on x²
    ...     def step(x, i):
    ...         x = x - schedule(i) * 2 * x
    ...         return x, x**2
    ...     _, losses = jax.lax.scan(step, jax.random.normal(key), jnp.arange(20))
    ...     return {"loss": losses, "validation": -losses, "test": -losses[-1]}
    >>> schedules = {"constant": ls.Constant(1.0), "linear": ls.Linear(1.0, 0.0, 20)}
    >>> lab.compare(train, schedules, peaks=[0.1, 0.4], seeds=3, show_progress=False).rows[0].peak
    0.4
    """
    peaks = _checked_peaks(peaks)
    _check_schedules(schedules, baseline)
    seeds, seed, window = (
        whole("compare", "seeds", seeds, 2),
        whole("compare", "seed", seed, 0),
        whole("compare", "window", window, 1),
    )
    size = None if batch_size is None else whole("compare", "batch_size", batch_size, 1)
    _check_mesh(mesh)
    batch = jax.tree.map(jnp.asarray, stack([schedule * peak for schedule in schedules.values() for peak in peaks]))
    keys = jax.random.split(jax.random.key(seed), seeds)
    shape = (len(schedules), len(peaks), seeds)
    runs = math.prod(shape)
    size = size or (runs if folder is None else math.ceil(runs / _ROUNDS))

    def arguments(run: Any) -> tuple[Schedule, jax.Array]:
        return jax.tree.map(lambda x: x[run // seeds], batch), keys[run % seeds]

    start = time.perf_counter()
    with progress.bar(show_progress) as bar:
        bar.phase("compiling", 0.0, 0.0)
        one = contract.traced(train, *arguments(0))
        store = None if folder is None else Store(folder, _described(schedules, batch, peaks, seeds, seed, one))
        results = store.finished() if store else {}
        todo = np.asarray([run for run in range(runs) if run not in results], np.int32)
        program = rounds.Program(one, arguments, min(size, runs), mesh)
        if len(todo):
            program.compile()
        compiling = time.perf_counter() - start
        for first in range(0, len(todo), program.size):
            chosen = todo[first : first + program.size]
            bar.phase(f"training {runs} runs", len(results) / runs, (len(results) + len(chosen)) / runs)
            made = program(chosen)
            if store:
                store.add(chosen, made)
            results.update(by_run(chosen, made))
        bar.phase(f"trained {runs} runs", 1.0, 1.0)
    metrics = {name: np.stack([results[run][name] for run in range(runs)]) for name in one.metrics}
    metrics = {name: values.reshape(*shape, *values.shape[1:]) for name, values in metrics.items()}
    seconds = {"compiling": compiling, "running": time.perf_counter() - start - compiling}
    return Comparison(dict(schedules), peaks, seeds, baseline, metrics, window, seconds)


def _described(
    schedules: Mapping[str, Schedule], batch: Schedule, peaks: Any, seeds: int, seed: int, one: Any
) -> dict[str, Any]:
    """What tells a comparison from another: the same description, the same numbers."""
    numbers = hashlib.sha256()
    for leaf in jax.tree.leaves(batch):
        numbers.update(f"{leaf.dtype}{leaf.shape}".encode() + np.asarray(leaf).tobytes())
    return {
        "schedules": {name: shown(expanded(schedule)) for name, schedule in schedules.items()},
        "peaks": list(peaks),
        "seeds": seeds,
        "seed": seed,
        "numbers": numbers.hexdigest(),
        "train": one.fingerprint(),
        "jax": jax.__version__,
        "backend": jax.default_backend(),
    }


def _check_mesh(mesh: Any) -> None:
    if mesh is None:
        return
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"compare(mesh=...) must be a mesh, such as jax.make_mesh((jax.device_count(),), ('runs',)), got {mesh!r}"
        )
    if mesh.is_multi_process:
        raise ValueError(
            "compare(mesh=...) must be a mesh of this process's own devices, such as"
            " jax.make_mesh((n,), ('runs',), devices=jax.local_devices())"
        )


def _checked_peaks(peaks: Any) -> tuple[float, ...]:
    values = checked("compare", "peaks", peaks, rank=1)
    if np.any(np.less_equal(values, 0)) or len(np.unique(values)) != len(values):
        raise ValueError(f"compare(peaks=...) must be different rates above 0, got {peaks!r}")
    return tuple(np.asarray(values, np.float64).tolist())


def _check_schedules(schedules: Any, baseline: str) -> None:
    if not isinstance(schedules, Mapping):
        raise TypeError(
            f"compare(schedules=...) must be a dict of schedules by name, such as {{'constant': Constant(1.0)}}, got"
            f" {shown(schedules)}"
        )
    for name, schedule in schedules.items():
        if not isinstance(schedule, Schedule):
            hint = "Constant(1.0)" if isinstance(schedule, (int, float)) else "Function(f), if it is a function of the step"
            raise TypeError(f"compare(schedules=...) must be schedules by name, got {name!r}: {shown(schedule)}; write {hint}")
        if schedule.batch_shape:
            raise TypeError(
                f"compare(schedules=...) must be single schedules by name, got the batch {name!r}: {shown(schedule)}; give each"
                " of unstack(batch) a name"
            )
    if baseline not in schedules:
        raise ValueError(
            f"compare(baseline={baseline!r}) names none of the schedules {list(schedules)}: add a constant rate of that name,"
            " Constant(1.0), or name another baseline"
        )
