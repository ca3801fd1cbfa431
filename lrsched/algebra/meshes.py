"""Steps that are sharded over a mesh with explicit axes, on which JAX refuses to look numbers up in a table."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lrsched.algebra.numerics import array_of, is_concrete


def sharded_like(step: Any, function: Callable[[Any, Any], Any], numbers: Any) -> Any:
    """`function(numbers, step)` of the shape of the step, and sharded as it is.

    On a mesh with explicit axes these are left to the compiler meanwhile, as on any other mesh. What the host computes is put
    where the step is.
    """
    step = array_of(step)
    if not isinstance(step, jax.Array):
        return function(numbers, step)
    if is_concrete(step):
        return put_like(step, function(numbers, step))
    leaves, structure = jax.tree.flatten((numbers, step))
    placed = {i: x for i, x in enumerate(leaves) if _is_placed(x)}
    mesh = next((mesh for x in placed.values() if (mesh := _explicit_mesh(x)) is not None), None)
    if mesh is None:
        return function(numbers, step)

    def call(placed: dict[int, Any]) -> Any:
        numbers, step = jax.tree.unflatten(structure, [placed.get(i, x) for i, x in enumerate(leaves)])
        value = function(numbers, step)
        return jnp.where(step == 0, value, value)  # so that it hangs on the step, and JAX knows the devices, if it is constant

    return _on_auto_axes(call, NamedSharding(mesh, PartitionSpec(*jax.typeof(step).sharding.spec)), placed)


def put_like(step: Any, value: Any) -> Any:
    """A value, which may have more axes in front, on the devices where the step is."""
    if not isinstance(step, jax.Array) or not is_concrete(step, value) or len(step.sharding.device_set) == 1:
        return value
    sharding = step.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*[None] * (value.ndim - step.ndim), *sharding.spec))
    return jax.device_put(value, sharding)


def _is_placed(x: Any) -> bool:
    return isinstance(x, jax.Array) and not is_concrete(x)


def _explicit_mesh(x: Any) -> Any:
    """The mesh of an array that has explicit axes, or None."""
    mesh = jax.typeof(x).sharding.mesh
    return mesh if _explicit_axes(mesh) else None


def _explicit_axes(mesh: Any) -> tuple[str, ...]:
    return tuple(name for name, kind in zip(mesh.axis_names, mesh.axis_types or (), strict=False) if kind == AxisType.Explicit)


if hasattr(jax.sharding, "auto_axes"):

    def _on_auto_axes(call: Callable[[Any], Any], sharding: NamedSharding, placed: Any) -> Any:
        return jax.sharding.auto_axes(call, axes=_explicit_axes(sharding.mesh), out_sharding=sharding)(placed)

else:  # JAX 0.6, whose vmap has to be outside of its auto_axes, or it names explicit axes inside
    from jax.custom_batching import custom_vmap
    from jax.experimental.shard import auto_axes  # pyright: ignore[reportMissingImports]
    from jax.interpreters.batching import BatchTracer  # pyright: ignore[reportAttributeAccessIssue]

    def _on_auto_axes(call: Callable[[Any], Any], sharding: NamedSharding, placed: Any) -> Any:
        def on_auto_axes(placed: Any) -> Any:
            return auto_axes(call, axes=_explicit_axes(sharding.mesh), out_sharding=sharding)(placed)

        if not any(isinstance(x, BatchTracer) for x in placed.values()):
            return on_auto_axes(placed)
        mapped = custom_vmap(on_auto_axes)

        @mapped.def_vmap
        def _(size: int, in_batched: Any, placed: Any) -> Any:
            (batched,) = in_batched
            axes = {i: 0 if batched[i] else None for i in placed}
            specs = [jax.typeof(x).sharding.spec[0] for i, x in placed.items() if batched[i]]
            first = next((axis for axis in specs if axis is not None), None)
            outer = NamedSharding(sharding.mesh, PartitionSpec(first, *sharding.spec))
            every = jax.vmap(call, in_axes=(axes,), axis_size=size)
            return _on_auto_axes(every, outer, placed), True

        return mapped(placed)
