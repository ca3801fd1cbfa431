"""Steps as times: numbers of the host, or traced ones with all of their digits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import kinds
from lrsched.algebra.numerics.arithmetic import clip, maximum
from lrsched.algebra.numerics.double import Whole, Wide
from lrsched.algebra.numerics.kinds import host, in_floats, is_concrete, real, wide, x64

_LATEST = 2.0**62  # infinity has no place in a cycle


def time_of(step: Any, signed: bool = False) -> tuple[Any, tuple[int, ...]]:
    """A step, or an array of steps, as a time and its shape; below 0 it counts as 0, unless it is `signed`."""
    if type(step) is int and not signed:
        return (min(max(float(step), 0.0), _LATEST) if step < 2**62 else _LATEST), ()
    step = kinds.array_of(step)
    if isinstance(step, (list, tuple)):
        step = jax.tree.map(kinds.array_of, step, is_leaf=kinds.stands_for_array)
        if not is_concrete(*jax.tree.leaves(step)):
            times, shapes = zip(*(time_of(x, signed) for x in step), strict=True)
            if len(set(shapes)) > 1:
                raise ValueError(
                    f"a schedule is called with a step, or an array of them; got a list of the shapes {sorted(set(shapes))}"
                )
            broadcast = [
                jax.tree.map(lambda x, s=shape: jnp.broadcast_to(x, s), in_floats(t))
                for t, shape in zip(times, shapes, strict=True)
            ]
            return jax.tree.map(lambda *xs: jnp.stack(xs), *broadcast), (len(times), *shapes[0])
    low = -_LATEST if signed else 0.0
    if isinstance(step, Wide) and not is_concrete(step):
        return clip(wide(step), low, _LATEST), step.shape
    if not isinstance(step, jax.Array) or is_concrete(step):
        steps = _host_steps(step)
        if np.isnan(steps).any():
            raise ValueError(f"a schedule is called with a step, and NaN is none; got {step!r}")
        return np.clip(steps, low, _LATEST)[()], steps.shape
    if not kinds.is_real(step.dtype):
        raise TypeError(f"a schedule is called with a step, a number or an array of numbers; got an array of {step.dtype}")
    if jnp.issubdtype(step.dtype, jnp.floating):
        steps = jax.lax.convert_element_type(step, kinds.float_type())
        return wide(jnp.where(steps >= low, jnp.minimum(steps, _LATEST), jnp.full_like(steps, low))), step.shape
    if not signed and not jnp.issubdtype(step.dtype, jnp.unsignedinteger):
        step = jnp.maximum(step, jnp.zeros_like(step))
    info = jnp.iinfo(step.dtype)
    if x64() or info.max >= 2**31:
        return wide(step), step.shape
    return Whole(step.astype(np.int32), max(int(info.min), 1 - 2**31) if signed else 0, int(info.max)), step.shape


def _host_steps(step: Any) -> np.ndarray:
    """Steps in float64, of any types of numbers."""
    if isinstance(step, (list, tuple)):
        return np.asarray([_host_steps(x) for x in step], np.float64)
    if isinstance(step, Wide):
        return np.asarray(host(step))
    steps = np.asarray(step)
    if not kinds.is_real(steps.dtype) and not (steps.dtype == object and all(isinstance(x, int) for x in steps.flat)):
        raise TypeError(f"a schedule is called with a step, a number or an array of numbers; got {step!r}")
    return steps.astype(np.float64)  # of objects: integers beyond 64 bits


def time_given(value: Any) -> Any:
    """A value as a time; one below 0, or none at all, counts as 0."""
    if is_concrete(value):
        return np.clip(np.nan_to_num(np.asarray(host(value)), nan=0.0, posinf=_LATEST), 0.0, _LATEST)[()]
    if not isinstance(value, Wide):
        value = real(value)
        value = jnp.where(value > 0, jnp.minimum(value, _LATEST), jnp.zeros_like(value))
    return maximum(wide(value), 0.0)
