"""Live schedules: each number is stored as two float32, so that a replacement has the same types."""

import dataclasses
import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import Node, each_number
from lrsched.algebra.numerics import Double
from lrsched.algebra.schedule import Schedule


def packed(schedule: Schedule) -> Schedule:
    """The schedule with a `Double` for each number, 48 bits in two float32, or with a float64 when x64 is on."""
    if flax := sys.modules.get("flax.serialization"):
        for kind in (Double, *_classes(schedule)):
            _register_with_flax(kind, flax)
    return each_number(schedule, lambda x, _: _packed_number(x))


def unpacked(schedule: Schedule) -> Schedule:
    """The schedule with Python numbers: the shortest decimals that round to the packed ones. Traced numbers stay."""
    return each_number(schedule, lambda x, _: _unpacked_number(x))


def _packed_number(x: Any) -> Any:
    # Copies, each in its own buffer. (`jax.vmap` returns a NumPy array unchanged, in float64.)
    if numerics.float_type() == np.float64:
        return jnp.copy(numerics.to_float(x))
    if isinstance(x, Double):
        return jax.tree.map(jnp.copy, x)
    high = numerics.to_float(x)
    low = jnp.zeros_like(high)
    if numerics.is_concrete(x) and np.all(np.isfinite(high)):
        low = np.float32(numerics.to_float64(x) - np.asarray(high, np.float64))
    return Double(jnp.copy(high), jnp.copy(low))


def _unpacked_number(x: Any) -> Any:
    if not numerics.is_concrete(x):
        return x
    if not isinstance(x, Double):
        return numerics.to_float64(np.asarray(x))
    exact = np.asarray(numerics.to_float64(x))
    decimals = [_shortest(number) for number in exact.ravel().tolist()]
    return np.asarray(decimals).reshape(exact.shape) if exact.ndim else decimals[0]


def _shortest(number: float) -> float:
    """The shortest decimal that gives the same two float32."""
    for digits in range(1, 17):
        found = float(f"{number:.{digits}g}")
        if found == number or _in_two(found) == _in_two(number):
            return found
    return number


def _in_two(number: float) -> tuple[float, float]:
    high = float(np.float32(number))
    return high, float(np.float32(number - high))


def _classes(node: Node) -> set[type]:
    return {type(node)}.union(*map(_classes, node._nodes()))


@functools.cache
def _register_with_flax(kind: type, flax: Any) -> None:
    """Lets `flax.serialization`, which does not use JAX's registry, see the fields of a node."""
    names = [field.name for field in dataclasses.fields(kind) if "options" not in field.metadata]

    def fields(x: Any) -> dict[str, Any]:
        return {name: getattr(x, name) for name in names}

    def restored(x: Any, state: Any) -> Any:
        new = jax.tree.map(lambda leaf: leaf, x)  # without cached properties of the old numbers
        new.__dict__.update(flax.from_state_dict(fields(x), state))
        return new

    flax.register_serialization_state(kind, lambda x: flax.to_state_dict(fields(x)), restored, override=True)
