"""Runs in rounds of one compiled program. With a folder, each round is kept as soon as it is finished."""

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
from lrsched.lab.compare import store
from lrsched.lab.compare.contract import Train, traced
from lrsched.lab.compare.program import Program, from_first
from lrsched.lab.progress import Bar

_ROUNDS = 16  # with a folder, by default


def trained(
    train: Train,
    schedules: Sequence[Schedule],
    keys: np.ndarray,
    size: int | None,
    mesh: Mesh | None,
    folder: Path | None,
    seconds: dict[str, float],
    bar: Bar,
) -> dict[str, np.ndarray]:
    """The metrics of each schedule with each key, of shape (T, N, ...). Adds the time that it takes to `seconds`."""
    start = time.perf_counter()
    bar.phase("compiling", 0.0, 0.0)
    seeds, count = len(keys), len(schedules) * len(keys)
    batch = jax.tree.map(lambda x: np.asarray(jnp.asarray(x)), stack(schedules))

    def arguments(runs: Any) -> tuple[Schedule, np.ndarray]:
        return jax.tree.map(lambda x: x[runs // seeds], batch), keys[runs % seeds]

    def one(schedule: Schedule, number: Any) -> dict[str, jax.Array]:
        leaves = jax.tree.leaves((schedule, jax.random.wrap_key_data(number)))
        return dict(zip(metrics, jaxpr_as_fun(program)(*leaves), strict=True))

    key = jax.random.wrap_key_data(keys[0])
    program, metrics = traced(train, arguments(0)[0], key)
    names, results = [*map(str, range(count))], {}
    if folder is not None:
        names = store.identities(schedules, keys)
        from_first(lambda: store.check(folder, train, key))
        results = from_first(lambda: store.finished(folder, names))
    todo = np.asarray([run for run in range(count) if names[run] not in results], np.int32)
    if len(todo):
        several = Program(one, arguments, min(size or (math.ceil(count / _ROUNDS) if folder else count), count), mesh)
        compiled = time.perf_counter()
        seconds["compiling"] += compiled - start
        for first in range(0, len(todo), several.size):
            chosen = todo[first : first + several.size]
            bar.phase(f"training {count} runs", len(results) / count, (len(results) + len(chosen)) / count)
            made = several(chosen)
            if folder is not None and jax.process_index() == 0:
                store.add(folder, [names[run] for run in chosen], made)
            results |= store.by_run([names[run] for run in chosen], made)
        seconds["running"] += time.perf_counter() - compiled
    bar.phase(f"trained {count} runs", 1.0, 1.0)
    found = {name: np.stack([results[run][name] for run in names]) for name in metrics}
    return {name: values.reshape(len(schedules), seeds, *values.shape[1:]) for name, values in found.items()}
