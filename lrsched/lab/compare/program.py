"""One compiled program that makes several runs at a time, on one device or on a mesh, also of several processes."""

import contextlib
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_SHARE = 0.9  # of the free memory, for the program

T = TypeVar("T")


class Program:
    """Makes up to `size` runs at a time, equally many on each device of a mesh.

    `one` is a function of the arguments of one run; `arguments` gives those of several, by their numbers. If that many runs do
    not fit in memory, a MemoryError names a size to try.
    """

    def __init__(self, one: Callable[..., Any], arguments: Callable[[np.ndarray], Any], size: int, mesh: Mesh | None) -> None:
        many = jax.vmap(one)
        if mesh is not None:
            mesh = Mesh(mesh.devices, mesh.axis_names)  # without axes of type "explicit"
            runs = PartitionSpec(mesh.axis_names)
            # Values that begin equal on all devices, such as zeros, may differ later, so JAX must not check which are equal.
            many = jax.shard_map(many, mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False)
        self._arguments, self._mesh, self._devices = arguments, mesh, 1 if mesh is None else mesh.size
        self.size = math.ceil(size / self._devices) * self._devices
        with self._explained():
            self._program = jax.jit(many).lower(*self._placed(np.zeros(self.size, np.int32))).compile()
        here = jax.local_devices()[:1] if mesh is None else list(mesh.local_devices)
        found, free = self._program.memory_analysis(), _free(here[0])
        needs = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes if found else 0
        if here[0].platform == "cpu":  # these devices share the memory of the host
            needs *= len(here)
        if free is not None and needs > _SHARE * free:
            why = f"need {needs / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free"
            raise self._too_many(_SHARE * free / needs, why)

    def __call__(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics of the runs of those numbers, in every process of the mesh."""
        with self._explained():
            made = self._program(*self._placed(np.resize(runs, self.size)))
            several = self._mesh is not None and self._mesh.is_multi_process
            made = multihost_utils.process_allgather(made, tiled=True) if several else jax.device_get(made)
        # NumPy has no bfloat16 and similar types; all of their values are float32.
        made = {name: x.astype(np.float32) if x.dtype.kind == "V" else x for name, x in made.items()}
        return {name: values[: len(runs)] for name, values in made.items()}

    def _placed(self, runs: np.ndarray) -> Any:
        """The arguments of those runs, each device having its own."""
        arguments = self._arguments(runs)
        if self._mesh is None:
            return arguments
        each = NamedSharding(self._mesh, PartitionSpec(self._mesh.axis_names))
        return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, each, lambda index: x[index]), arguments)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise self._too_many(0.5, "need more memory than there is") from error

    def _too_many(self, share: float, why: str) -> MemoryError:
        """The error for too many runs at a time, with a share of them to try, equally many on each device."""
        fewer = max(int(self.size * share) // self._devices, 1) * self._devices
        if fewer >= self.size:
            return MemoryError(f"compare(): one run of train(schedule, key) is too large: on each device its arrays {why}.")
        return MemoryError(
            f"compare(batch_size=...): {self.size} runs at a time {why}; try batch_size={fewer}, the same in more rounds"
        )


def from_first(make: Callable[[], T]) -> T:
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


def _free(device: Any) -> int | None:
    """The free bytes of a device, or of the host: of Linux, and within the limit of a container. None if unknown."""
    known = device.memory_stats() or {}
    if "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    found = []
    with contextlib.suppress(OSError, ValueError):  # another system; no limit, which reads "max"
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return min(found, default=None)
