"""Steps as times: numbers of the host, or traced ones with all of their digits."""

import reprlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.arithmetic import clip
from lrsched.algebra.numerics.double import BoundedInt, Extended
from lrsched.algebra.numerics.kinds import (
    array_of,
    as_double,
    extended,
    is_concrete,
    is_real,
    stands_for_array,
    to_float,
    to_float64,
    x64,
)

LATEST = 2.0**62  # of all times; in a trace infinity becomes this, for it has no place in a cycle


def time_of(step: Any, signed: bool = False) -> tuple[Any, tuple[int, ...]]:
    """A step, or an array of steps, as a time and its shape; below 0 it counts as 0, unless it is `signed`."""
    if type(step) is int and not signed:
        return float(min(max(step, 0), 2**62)), ()
    low = -LATEST if signed else 0.0
    step = array_of(step)
    if isinstance(step, (list, tuple)):
        step = jax.tree.map(array_of, step, is_leaf=stands_for_array)
        if not is_concrete(*jax.tree.leaves(step)):
            return _times_of(step, signed)
    if is_concrete(step) or not isinstance(step, (Extended, jax.Array)):
        steps = _host_steps(step)
        if np.isnan(steps).any():
            raise ValueError(_no_step(step))
        return np.clip(steps, low, LATEST)[()], steps.shape
    if isinstance(step, Extended) or jnp.issubdtype(step.dtype, jnp.floating):
        return time_given(step, low), step.shape
    if not is_real(step.dtype):
        raise TypeError(_no_step(step))
    steps, most = step if signed else jnp.maximum(step, jnp.zeros_like(step)), int(jnp.iinfo(step.dtype).max)
    if signed or x64() or most >= 2**31:
        return extended(steps), step.shape
    return BoundedInt(steps.astype(np.int32), 0, most), step.shape


def _no_step(given: object) -> str:
    return f"schedule(step=...): expected a number or an array of numbers, got {reprlib.repr(given)}."


def _times_of(steps: list[Any] | tuple[Any, ...], signed: bool) -> tuple[Any, tuple[int, ...]]:
    """A list of steps, some of them traced, as times."""
    times, shapes = zip(*(time_of(x, signed) for x in steps), strict=True)
    if len(set(shapes)) > 1:
        raise ValueError(_no_step(steps))
    return jax.tree.map(lambda *xs: jnp.stack(xs), *map(as_double, times)), (len(times), *shapes[0])


def _host_steps(step: Any) -> np.ndarray:
    """Steps in float64, of any types of numbers."""
    if isinstance(step, (list, tuple)):
        steps = [_host_steps(x) for x in step]
        if len({x.shape for x in steps}) > 1:
            raise ValueError(_no_step(step))
        return np.asarray(steps, np.float64)
    if isinstance(step, Extended):
        return np.asarray(to_float64(step))
    steps = np.asarray(step)
    if not is_real(steps.dtype) and not (steps.dtype == object and all(isinstance(x, int) for x in steps.flat)):
        raise TypeError(_no_step(step))
    return steps.astype(np.float64)  # of objects: integers beyond 64 bits


def time_given(value: Any, low: float = 0.0) -> Any:
    """A value as a time; one below the lowest, or none at all, counts as the lowest."""
    if is_concrete(value):
        return np.clip(np.nan_to_num(np.asarray(to_float64(value)), nan=low, posinf=LATEST), low, LATEST)[()]
    if isinstance(value, Extended):
        return clip(extended(value), low, LATEST)
    value = to_float(value)
    return extended(jnp.where(value >= low, jnp.minimum(value, LATEST), jnp.full_like(value, low)))
