"""Schedules as state: every number an array, of a type that no other value of it changes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import Spec
from lrsched.algebra.schedule import Schedule
from lrsched.training.interop import tell_flax


def packed(schedule: Schedule) -> Schedule:
    """The schedule with a float array for each number, and for a number of steps an int32 and a float32 fraction.

    So whatever replaces it has the same types, and lengths stay exact up to 2**31.
    """
    tell_flax(numerics.Span, ("whole", "part"))
    return _each_number(_packed_number, schedule)


def unpacked(schedule: Schedule) -> Schedule:
    """The schedule with Python numbers again: the shortest decimals that round to what was kept. What is traced stays."""
    return _each_number(_unpacked_number, schedule)


def _each_number(function: Callable[[Any, Spec], Any], node: Any) -> Any:
    """A node with a function of each number, and its spec, in the place of the number."""
    tell_flax(type(node), tuple(field.name for field in dataclasses.fields(node) if "options" not in field.metadata))
    changed = object.__new__(type(node))
    for field in dataclasses.fields(node):
        value, spec = getattr(node, field.name), field.metadata.get("spec")
        if spec is not None:
            if spec.several:
                value = tuple(function(x, spec) for x in value)
            elif value is not None:
                value = function(value, spec)
        elif "child" in field.metadata:
            several = isinstance(value, tuple)
            value = tuple(_each_number(function, x) for x in value) if several else _each_number(function, value)
        changed.__dict__[field.name] = value
    return changed


def _packed_number(x: Any, spec: Spec) -> Any:
    # A copy: what nothing touches goes through jax.vmap as it is, as NumPy's float64.
    return numerics.kept_exactly(x) if spec.unit else jnp.copy(numerics.real(x))


def _unpacked_number(x: Any, spec: Spec) -> Any:
    del spec
    if not numerics.is_concrete(x):
        return x
    if isinstance(x, numerics.Span):
        exact = np.asarray(x.whole, np.float64) + _decimal(x.part)
        beyond = np.asarray(x.whole) == numerics.last_tick()  # where a float is all there is
        return _plain(np.where(beyond, _decimal(exact.astype(x.part.dtype)), exact))
    return _plain(_decimal(x))


def _plain(x: np.ndarray) -> Any:
    return float(x) if x.ndim == 0 else x


def _decimal(x: Any) -> np.ndarray:
    """The float64 numbers with the shortest decimals that round to the given ones."""
    x = np.asarray(jax.device_get(x))
    return np.asarray([float(str(entry)) for entry in x.ravel()], np.float64).reshape(x.shape)
