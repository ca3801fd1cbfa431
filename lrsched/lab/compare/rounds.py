"""Makes the runs of a comparison in rounds: one compiled program makes some runs at a time, on one device or on a mesh.

With a folder, each `round-ID.npz` in it keeps the metrics of one round by the identities of its runs, ID being the first. Runs
of another `train` have other identities, so that a folder may hold several comparisons.
"""

import dataclasses
import hashlib
import math
import os
import pickle
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun  # pyright: ignore[reportPrivateImportUsage]
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lrsched.algebra.batch import stack
from lrsched.algebra.schedule import Schedule
from lrsched.lab import progress
from lrsched.lab.compare.contract import Train, traced

Runs = dict[str, dict[str, np.ndarray]]  # the metrics of each run

_ROUNDS = 16  # by default, with a folder
_RUNS, _METRIC = "runs", "metric "  # names in a file; the prefix keeps metrics apart from the arguments of `np.savez`


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
            names = _identities(train, schedules, keys)
            results = _from_first(lambda: _finished(folder, names))
        todo = np.asarray([run for run in range(count) if names[run] not in results], np.int32)
        if len(todo):
            size = min(self.size or (math.ceil(count / _ROUNDS) if folder else count), count)
            devices = 1 if self.mesh is None else self.mesh.size
            size = math.ceil(size / devices) * devices
            try:
                make = _compiled(one, arguments, size, self.mesh)
                begun = time.perf_counter()
                self.seconds["compiling"] += begun - start
                for first in range(0, len(todo), size):
                    runs = todo[first : first + size]
                    phase(f"training {count} runs", len(results) / count, (len(results) + len(runs)) / count)
                    made, of_round = make(runs), [names[run] for run in runs]
                    if folder is not None and jax.process_index() == 0:
                        _add(folder, of_round, made)
                    results |= _by_run(of_round, made)
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
    one: Callable[..., Any], arguments: Callable[[np.ndarray], Any], size: int, mesh: Mesh | None
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function of the numbers of up to `size` runs, which makes them, equally many on each device, and returns their metrics.

    `one` is a function of the arguments of one run; `arguments` gives those of several, by their numbers.
    """
    many = jax.vmap(one)
    if mesh is not None:
        mesh = Mesh(mesh.devices, mesh.axis_names)  # without axes of type "explicit"
        shares = PartitionSpec(mesh.axis_names)
        # Values that begin equal on all devices, such as zeros, may differ later, so JAX must not check which are equal.
        many = jax.shard_map(many, mesh=mesh, in_specs=shares, out_specs=shares, check_vma=False)

    def placed(runs: np.ndarray) -> Any:
        if mesh is None:
            return arguments(runs)
        each = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        given = arguments(runs)
        return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, each, lambda index: x[index]), given)

    def make(runs: np.ndarray) -> dict[str, np.ndarray]:
        made = program(*placed(np.resize(runs, size)))
        several = mesh is not None and mesh.is_multi_process
        made = multihost_utils.process_allgather(made, tiled=True) if several else jax.device_get(made)
        # NumPy has no bfloat16 and similar types; all of their values are float32.
        made = {name: x.astype(np.float32) if x.dtype.kind == "V" else x for name, x in made.items()}
        return {name: values[: len(runs)] for name, values in made.items()}

    program = jax.jit(many).lower(*placed(np.zeros(size, np.int32))).compile()
    return make


def _from_first(make: Callable[[], Runs]) -> Runs:
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


def _finished(folder: Path, names: Sequence[str]) -> Runs:
    """The metrics of those named runs that are finished."""
    folder.mkdir(parents=True, exist_ok=True)
    found: Runs = {}
    for path in folder.glob("round-*.npz"):
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                metrics = {name.removeprefix(_METRIC): arrays[name] for name in arrays}
            found.update(_by_run(metrics.pop(_RUNS).tolist(), metrics))
        except Exception:  # a damaged file, for which decoders raise a dozen kinds of errors: its runs are made again
            continue
    return {name: found[name] for name in names if name in found}


def _add(folder: Path, names: Sequence[str], metrics: dict[str, np.ndarray]) -> None:
    """Keeps the metrics of the named runs: in a file that is whole or not there at all, renamed when it is on the disk."""
    named: dict[str, Any] = {_METRIC + name: values for name, values in metrics.items()}
    path = folder / f"round-{names[0]}.npz"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **{_RUNS: np.asarray(names), **named})
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _by_run(names: Sequence[str], metrics: dict[str, np.ndarray]) -> Runs:
    """The metrics of each run, from those of all."""
    return {run: {name: values[i] for name, values in metrics.items()} for i, run in enumerate(names)}


def _identities(train: Train, schedules: Sequence[Schedule], keys: np.ndarray) -> list[str]:
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
