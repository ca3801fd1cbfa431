"""Steps that are sharded over a mesh with explicit axes, on which JAX refuses to look numbers up in a table."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lrsched.algebra.numerics import array_of, is_concrete

if hasattr(jax.sharding, "auto_axes"):
    auto_axes = jax.sharding.auto_axes
else:  # JAX 0.6, where it fails inside vmap
    from jax.experimental.shard import auto_axes  # pyright: ignore[reportMissingImports]

T = TypeVar("T")


def sharded_like(step: Any, function: Callable[[T, Any], jax.Array], numbers: T) -> jax.Array:
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
    placed = {i: x for i, x in enumerate(leaves) if isinstance(x, jax.Array) and not is_concrete(x)}
    meshes = (jax.typeof(x).sharding.mesh for x in placed.values())
    mesh = next((mesh for mesh in meshes if _explicit_axes(mesh)), None)
    if mesh is None:
        return function(numbers, step)

    def call(placed):
        numbers, step = jax.tree.unflatten(structure, [placed.get(i, x) for i, x in enumerate(leaves)])
        value = function(numbers, step)
        return jnp.where(step == 0, value, value)  # a constant depends on the step now, and gets its sharding

    sharding = NamedSharding(mesh, PartitionSpec(*jax.typeof(step).sharding.spec))
    on_auto_axes: Any = auto_axes(call, axes=_explicit_axes(mesh), out_sharding=sharding)
    return on_auto_axes(placed)


def put_like(step: Any, value: jax.Array) -> jax.Array:
    """A value, which may have more axes in front, on the devices where the step is."""
    if not isinstance(step, jax.Array) or not is_concrete(step, value) or len(step.sharding.device_set) == 1:
        return value
    sharding = step.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*[None] * (value.ndim - step.ndim), *sharding.spec))
    return jax.device_put(value, sharding)


def _explicit_axes(mesh: Any) -> tuple[str, ...]:
    return tuple(name for name, kind in zip(mesh.axis_names, mesh.axis_types or (), strict=False) if kind == AxisType.Explicit)
