"""Runs in rounds, of which a folder keeps each as soon as it is finished."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh

from lrsched.algebra.batch import stack
from lrsched.algebra.schedule import Schedule
from lrsched.lab.compare.contract import Train, traced
from lrsched.lab.compare.program import Program, from_first
from lrsched.lab.compare.store import Store, by_run, identities
from lrsched.lab.compare.trials import Trial
from lrsched.lab.progress import Bar

_ROUNDS = 16  # where a folder keeps them, so that something is kept before the end


def trained(
    train: Train,
    trials: Sequence[Trial],
    keys: np.ndarray,
    size: int | None,
    mesh: Mesh | None,
    folder: str | Path | None,
    seconds: dict[str, float],
    bar: Bar,
) -> dict[str, np.ndarray]:
    """The metrics of each trial with each key, of shape (T, N, ...). What it takes is added to the seconds."""
    start = time.perf_counter()
    bar.phase("compiling", 0.0, 0.0)
    schedules, seeds, count = [trial.schedule for trial in trials], len(keys), len(trials) * len(keys)
    batch = jax.tree.map(lambda x: np.asarray(jnp.asarray(x)), stack(schedules))

    def arguments(runs: Any) -> tuple[Schedule, np.ndarray]:
        return jax.tree.map(lambda x: x[runs // seeds], batch), keys[runs % seeds]

    def key(number: Any) -> jax.Array:
        return jax.random.wrap_key_data(number)

    program, metrics = traced(train, arguments(0)[0], key(keys[0]))

    def one(schedule: Schedule, number: Any) -> dict[str, jax.Array]:
        flat = jaxpr_as_fun(program)(*jax.tree.leaves((schedule, key(number))))
        return dict(zip(metrics, flat, strict=True))

    names, results, store = list(map(str, range(count))), {}, None
    if folder is not None:
        names = identities(schedules, keys)

        def kept() -> dict[str, dict[str, np.ndarray]]:
            nonlocal store
            store = Store(folder, train, key(keys[0]))
            return store.finished(names)

        results = from_first(kept)
    todo = np.asarray([run for run in range(count) if names[run] not in results], np.int32)
    if len(todo):
        size = min(size or (count if folder is None else math.ceil(count / _ROUNDS)), count)
        several = Program(one, arguments, size, mesh)
        compiled = time.perf_counter()
        seconds["compiling"] += compiled - start
        for first in range(0, len(todo), several.size):
            chosen = todo[first : first + several.size]
            bar.phase(f"training {count} runs", len(results) / count, (len(results) + len(chosen)) / count)
            made = several(chosen)
            if store:
                store.add([names[run] for run in chosen], made)
            results |= by_run([names[run] for run in chosen], made)
        seconds["running"] += time.perf_counter() - compiled
    bar.phase(f"trained {count} runs", 1.0, 1.0)
    found = {name: np.stack([results[run][name] for run in names]) for name in metrics}
    return {name: values.reshape(len(trials), seeds, *values.shape[1:]) for name, values in found.items()}
