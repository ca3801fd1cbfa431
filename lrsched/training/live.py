"""Schedules as state: each number two float32, so that what replaces it has the same types."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import Spec, each_number
from lrsched.algebra.numerics import Double
from lrsched.algebra.schedule import Schedule
from lrsched.training.interop import tell_flax


def packed(schedule: Schedule) -> Schedule:
    """The schedule with a `Double` for each number, 48 bits in two float32, or with a float64 when x64 is on."""
    tell_flax(Double, ("high", "low"))
    _tell_flax_of(schedule)
    return each_number(schedule, _packed_number)


def unpacked(schedule: Schedule) -> Schedule:
    """The schedule with Python numbers again: the shortest decimals that round to what was kept. What is traced stays."""
    return each_number(schedule, _unpacked_number)


def _tell_flax_of(node: Any) -> None:
    tell_flax(type(node), tuple(field.name for field in dataclasses.fields(node) if "options" not in field.metadata))
    for child in node._nodes():
        _tell_flax_of(child)


def _packed_number(x: Any, spec: Spec) -> Any:
    del spec
    # Copies: each is a buffer of its own, and what nothing touches goes through jax.vmap as it is, as NumPy's float64.
    if numerics.float_type() == np.float64:
        return jnp.copy(numerics.to_float(x))
    if isinstance(x, Double):
        return jax.tree.map(jnp.copy, x)
    high = numerics.to_float(x)
    low = jnp.zeros_like(high)
    if numerics.is_concrete(x) and np.all(np.isfinite(high)):
        low = np.float32(numerics.to_float64(x) - np.asarray(high, np.float64))
    return Double(jnp.copy(high), jnp.copy(low))


def _unpacked_number(x: Any, spec: Spec) -> Any:
    del spec
    if not numerics.is_concrete(x):
        return x
    if not isinstance(x, Double):
        return numerics.to_float64(np.asarray(x))
    exact = np.asarray(numerics.to_float64(x))
    decimals = [_shortest(number) for number in exact.ravel().tolist()]
    return np.asarray(decimals).reshape(exact.shape) if exact.ndim else decimals[0]


def _shortest(number: float) -> float:
    """The number of fewest decimals that is the same in two float32."""
    for digits in range(1, 17):
        found = float(f"{number:.{digits}g}")
        if found == number or _in_two(found) == _in_two(number):
            return found
    return number


def _in_two(number: float) -> tuple[float, float]:
    high = float(np.float32(number))
    return high, float(np.float32(number - high))
