"""Runs in rounds of one compiled program. With a folder, each round is kept as soon as it is finished."""

import math
import time
from collections.abc import Callable, Sequence
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
    differing, schedule_of = _split(stack(schedules))

    def arguments(runs: Any) -> tuple[list[np.ndarray], np.ndarray]:
        return [x[runs // seeds] for x in differing], keys[runs % seeds]

    def one(numbers: list[Any], key_data: Any) -> dict[str, jax.Array]:
        found = jaxpr_as_fun(program)(*numbers, jax.random.wrap_key_data(key_data))
        return dict(zip(metrics, found, strict=True))

    key = jax.random.wrap_key_data(keys[0])
    program, metrics = traced(train, schedule_of, arguments(0)[0], key)
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


def _split(batch: Schedule) -> tuple[list[np.ndarray], Callable[[list[Any]], Schedule]]:
    """The numbers that differ between schedules, and a function that makes a schedule of its own.

    The others stay known while tracing: the main job's program is half as long as with all numbers traced.
    """
    leaves, structure = [*map(np.asarray, jax.tree.leaves(batch))], jax.tree.structure(batch)
    is_shared = [bool(np.all(x == x[0])) for x in leaves]
    if all(is_shared):  # then nothing would show that `train` uses its schedule
        is_shared = [False] * len(leaves)

    def schedule_of(numbers: list[Any]) -> Schedule:
        own = iter(numbers)
        known = [x[0] if x.ndim > 1 else float(x[0]) for x in leaves]
        return structure.unflatten([x if shared else next(own) for x, shared in zip(known, is_shared, strict=True)])

    differing = [np.asarray(jnp.asarray(x)) for x, shared in zip(leaves, is_shared, strict=True) if not shared]
    return differing, schedule_of
