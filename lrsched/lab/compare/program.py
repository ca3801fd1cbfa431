"""One compiled program that makes several runs at a time, on one device or on the devices of a mesh, of many processes."""

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

_FREE = 0.9  # of the memory, for the program; the rest is for everything else

T = TypeVar("T")


class Program:
    """Makes up to `size` runs at a time, as many on each device of a mesh; a MemoryError says which size to try.

    `one` is a function of the arguments of one run; `arguments` gives those of several, by their numbers.
    """

    def __init__(self, one: Callable[..., Any], arguments: Callable[[np.ndarray], Any], size: int, mesh: Mesh | None) -> None:
        many = jax.vmap(one)
        if mesh is not None:
            mesh = Mesh(mesh.devices, mesh.axis_names)  # whose axes are not "explicit"
            runs = PartitionSpec(mesh.axis_names)
            # What begins the same on all devices, such as zeros, may differ later: JAX need not follow which is which.
            many = jax.shard_map(many, mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False)
        self._arguments, self._mesh, self._devices = arguments, mesh, 1 if mesh is None else mesh.size
        self.size = math.ceil(size / self._devices) * self._devices
        with self._explained():
            self._program = jax.jit(many).lower(*self._placed(np.zeros(self.size, np.int32))).compile()
        here = jax.local_devices()[:1] if mesh is None else list(mesh.local_devices)
        found, free = self._program.memory_analysis(), _free(here[0])
        needs = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes if found else 0
        if here[0].platform == "cpu":  # whose devices share the memory of the host
            needs *= len(here)
        if free is not None and needs > _FREE * free:
            self._too_many(_FREE * free / needs, f"need {needs / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free")

    def __call__(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics of the runs of those numbers, in every process of the mesh."""
        with self._explained():
            made = self._program(*self._placed(np.resize(runs, self.size)))
            several = self._mesh is not None and self._mesh.is_multi_process
            made = multihost_utils.process_allgather(made, tiled=True) if several else jax.device_get(made)
        # NumPy has no bfloat16 and the like, all of whose values are float32.
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
            self._too_many(0.5, "need more memory than there is")

    def _too_many(self, share: float, why: str) -> None:
        """Says what to do about it: to try a share of the runs, as many on each device."""
        fewer = max(int(self.size * share) // self._devices, 1) * self._devices
        if fewer >= self.size:
            each = "one run" if self._devices == 1 else "one run on each device"
            raise MemoryError(f"{each} of train(schedule, key) is too large: it would {why}")
        more = f"try batch_size={fewer}, which does the same in more rounds"
        raise MemoryError(f"compare(batch_size=...): {self.size} runs at a time {why}; {more}")


def from_first(make: Callable[[], T]) -> T:
    """What a function makes, or raises, in the first process, for all of them: only that one has files."""
    if jax.process_count() == 1:
        return make()
    result: Any = None
    if jax.process_index() == 0:
        try:
            result = make()
        except Exception as error:
            result = error
    data = np.frombuffer(pickle.dumps(result), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    result = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(np.resize(data, size)), np.uint8).tobytes())
    if isinstance(result, Exception):
        raise result
    return result


def _free(device: Any) -> int | None:
    """The bytes that a device, or Linux and the limit of a container, could still give; None where nobody says."""
    known = device.memory_stats() or {}
    if "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    found = []
    with contextlib.suppress(OSError, ValueError):  # another system, or no limit, which reads "max"
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return min(found, default=None)
