"""Steps that are sharded over a mesh with explicit axes, on which JAX does not look up numbers in tables."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from lrsched.algebra.numerics import array_of, is_concrete

if hasattr(jax.sharding, "auto_axes"):
    auto_axes = jax.sharding.auto_axes
else:  # in JAX 0.6, where it fails inside vmap
    from jax.experimental.shard import auto_axes  # pyright: ignore[reportMissingImports]

T = TypeVar("T")


def sharded_like(step: Any, function: Callable[[T, Any], jax.Array], numbers: T) -> jax.Array:
    """`function(numbers, step)`, sharded like the step. Inside the function, explicit axes are automatic."""
    step = array_of(step)
    if not isinstance(step, jax.Array) or is_concrete(step):
        return put_like(step, function(numbers, step))
    sharding = jax.typeof(step).sharding
    axes, known = sharding.mesh.explicit_axes, (numbers, step)
    if not axes:
        return function(numbers, step)

    def call(traced: tuple[T, Any]) -> jax.Array:
        value = function(*jax.tree.map(lambda x, y: x if y is None else y, known, traced))
        return jnp.where(traced[1] == 0, value, value)  # so that a constant depends on the step, and gets its sharding

    on_auto_axes: Any = auto_axes(call, axes=axes, out_sharding=NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec)))
    return on_auto_axes(jax.tree.map(lambda x: None if is_concrete(x) else x, known))


def put_like(step: Any, value: jax.Array) -> jax.Array:
    """A value, perhaps with more leading axes, on the devices of the step."""
    if not isinstance(step, jax.Array) or not is_concrete(step, value) or len(step.sharding.device_set) == 1:
        return value
    sharding = step.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*[None] * (value.ndim - step.ndim), *sharding.spec))
    return jax.device_put(value, sharding)
