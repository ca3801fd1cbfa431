"""Runs in rounds: one compiled program that makes several of them at a time, on one device or on the devices of a mesh."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from lrsched.lab.comparing import memory


class Program:
    """Makes up to `size` runs at a time, always by the same compiled program.

    Args:
        one: a function of the arguments of one run, that returns a dict of arrays.
        arguments: a function that gives the arguments of the runs of an array of numbers, with an axis of that length in front.
        size: how many runs at a time; rounded up to as many on each device.
        mesh: the devices that share the runs, if not only one: each makes its own, and they never talk.
    """

    def __init__(self, one: Callable[..., Any], arguments: Callable[[Any], Any], size: int, mesh: Mesh | None) -> None:
        self._many = jax.vmap(one) if mesh is None else _on_each(jax.vmap(one), mesh)
        self._arguments = arguments
        self._devices = jax.devices()[:1] if mesh is None else list(mesh.devices.flat)
        self.size = -(-size // len(self._devices)) * len(self._devices)
        self._program: Callable[..., Any] | None = None

    def compile(self) -> None:
        """Does now what the first round would have to do.

        Raises:
            MemoryError: if it needs more memory than there is, with the number of runs to try.
        """
        with self._explained():
            program = jax.jit(self._many).lower(*self._arguments(np.zeros(self.size, np.int32))).compile()
        if why := memory.too_many(self.size, program, self._devices):
            raise MemoryError(why)
        self._program = program

    def __call__(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics of the runs of those numbers."""
        if self._program is None:
            self.compile()
        assert self._program is not None
        with self._explained():
            made = jax.device_get(self._program(*self._arguments(np.resize(runs, self.size))))
        return {name: _plain(values)[: len(runs)] for name, values in made.items()}

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            why = "need more memory than there is"
            raise MemoryError(memory.message(self.size, self.size // 2, len(self._devices), why)) from error


def _plain(values: np.ndarray) -> np.ndarray:
    """An array of a type that NumPy has by itself: bfloat16 and the like are float32 here, which holds all their values."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def _on_each(many: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Each device does its part of the leading axis."""
    mesh = Mesh(
        mesh.devices, mesh.axis_names
    )  # whose axes are not "explicit": then the arguments would have to be placed before
    runs = PartitionSpec(mesh.axis_names)
    # What begins the same on all devices, such as zeros, may differ later: JAX need not follow which is which.
    if hasattr(jax, "shard_map"):
        return jax.shard_map(many, mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False)
    from jax.experimental.shard_map import shard_map

    return shard_map(many, mesh=mesh, in_specs=runs, out_specs=runs, check_rep=False)  # pyright: ignore[reportCallIssue]
