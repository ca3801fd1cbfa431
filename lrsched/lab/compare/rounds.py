"""Makes the runs of a comparison in rounds: one compiled program makes some runs at a time, on one device or on a mesh."""

import dataclasses
import math
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lrsched.algebra.batch import stack
from lrsched.algebra.schedule import Schedule
from lrsched.lab import progress
from lrsched.lab.compare import store
from lrsched.lab.compare.contract import Train, traced

T = TypeVar("T")

_ROUNDS = 16  # by default, with a folder


@dataclasses.dataclass
class Rounds:
    """The options of `compare` for its rounds, and the time that compiling and running took in all of them."""

    size: int | None
    mesh: Mesh | None
    folder: Path | None
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"compiling": 0.0, "running": 0.0})

    def metrics(
        self, train: Train, schedules: Sequence[Schedule], keys: np.ndarray, phase: progress.Phase
    ) -> dict[str, np.ndarray]:
        """The metrics of each schedule with each key, of shape (T, N, ...)."""
        start = time.perf_counter()
        phase("compiling", 0.0, 0.0)
        folder, seeds, count = self.folder, len(keys), len(schedules) * len(keys)
        differing, schedule_of = _split(stack(schedules))

        def arguments(runs: Any) -> tuple[dict[int, np.ndarray], np.ndarray]:
            return {i: x[runs // seeds] for i, x in differing.items()}, keys[runs % seeds]

        def one(numbers: dict[int, Any], key_data: Any) -> dict[str, jax.Array]:
            made = jaxpr_as_fun(program)(*numbers.values(), jax.random.wrap_key_data(key_data))
            return dict(zip(metrics, made, strict=True))

        program, metrics = traced(train, schedule_of, arguments(0)[0], jax.random.wrap_key_data(keys[0]))
        names, results = [*map(str, range(count))], {}
        if folder is not None:
            names = store.identities(train, schedules, keys)
            results = _from_first(lambda: store.finished(folder, names))
        todo = np.asarray([run for run in range(count) if names[run] not in results], np.int32)
        if len(todo):
            size = min(self.size or (math.ceil(count / _ROUNDS) if folder else count), count)
            mesh = self.mesh or Mesh([jnp.zeros(()).device], "runs")
            mesh = Mesh(mesh.devices, mesh.axis_names)  # without axes of type "explicit"
            size = math.ceil(size / mesh.size) * mesh.size
            try:
                make = _compiled(one, arguments, size, mesh)
                begun = time.perf_counter()
                self.seconds["compiling"] += begun - start
                for first in range(0, len(todo), size):
                    runs = todo[first : first + size]
                    phase(f"training {count} runs", len(results) / count, (len(results) + len(runs)) / count)
                    made, of_round = make(runs), [names[run] for run in runs]
                    if folder is not None and jax.process_index() == 0:
                        store.add(folder, of_round, made)
                    results |= store.by_run(of_round, made)
            except jax.errors.JaxRuntimeError as error:
                # The texts of GPUs, and of CPUs in JAX 0.6.
                if not any(text in str(error) for text in ("RESOURCE_EXHAUSTED", "Out of memory")):
                    raise
                hint = f"batch_size={size // 2}, the same in more rounds" if size > 1 else "a smaller model, or smaller batches"
                raise MemoryError(
                    f"compare(batch_size=...): expected {size} runs at a time to fit in memory, got an error. Hint: {hint}."
                ) from error
            self.seconds["running"] += time.perf_counter() - begun
        phase(f"trained {count} runs", 1.0, 1.0)
        found = {name: np.stack([results[run][name] for run in names]) for name in metrics}
        return {name: values.reshape(len(schedules), seeds, *values.shape[1:]) for name, values in found.items()}


def _split(batch: Schedule) -> tuple[dict[int, np.ndarray], Callable[[dict[int, Any]], Schedule]]:
    """The numbers that differ between schedules, by their place in one, and a function that makes a schedule of its own.

    The others stay known while tracing: the main job's program is half as long as with all numbers traced.
    """
    every = dict(enumerate(map(np.asarray, jax.tree.leaves(batch))))
    # If none differs, all are passed: else nothing would show that `train` uses its schedule.
    differing = {i: x for i, x in every.items() if not np.all(x == x[0])} or every

    def schedule_of(numbers: dict[int, Any]) -> Schedule:
        known = {i: x[0] if x.ndim > 1 else float(x[0]) for i, x in every.items()}
        return jax.tree.structure(batch).unflatten((known | numbers).values())

    return {i: np.asarray(jnp.asarray(x)) for i, x in differing.items()}, schedule_of


def _compiled(
    one: Callable[..., Any], arguments: Callable[[np.ndarray], Any], size: int, mesh: Mesh
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function of the numbers of up to `size` runs, which makes them, equally many on each device of a mesh.

    `one` is a function of the arguments of one run; `arguments` gives those of several, by their numbers. The result is the
    metrics of those runs, in every process of the mesh.
    """
    each = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    # Values that begin equal on all devices, such as zeros, may differ later, so JAX must not check which are equal.
    many = jax.shard_map(jax.vmap(one), mesh=mesh, in_specs=each.spec, out_specs=each.spec, check_vma=False)

    def placed(runs: np.ndarray) -> Any:
        given = arguments(runs)
        return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, each, lambda index: x[index]), given)

    def make(runs: np.ndarray) -> dict[str, np.ndarray]:
        made = program(*placed(np.resize(runs, size)))
        made = multihost_utils.process_allgather(made, tiled=True) if mesh.is_multi_process else jax.device_get(made)
        # NumPy has no bfloat16 and similar types; all of their values are float32.
        made = {name: x.astype(np.float32) if x.dtype.kind == "V" else x for name, x in made.items()}
        return {name: values[: len(runs)] for name, values in made.items()}

    program = jax.jit(many).lower(*placed(np.zeros(size, np.int32))).compile()
    return make


def _from_first(make: Callable[[], T]) -> T:
    """The result, or the exception, of a function that runs in the first process only, in every process."""
    if jax.process_count() == 1:
        return make()
    result: Any = None
    if jax.process_index() == 0:
        try:
            result = make()
        except Exception as error:  # it is raised in every process: otherwise the others would wait for ever
            result = error
    data = np.frombuffer(pickle.dumps(result), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    result = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(np.resize(data, size)), np.uint8).tobytes())
    if isinstance(result, Exception):
        raise result
    return result
