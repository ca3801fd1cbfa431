"""Steps as times: numbers of the host, or traced ones with all of their digits."""

import reprlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.arithmetic import LATEST, clip
from lrsched.algebra.numerics.double import BoundedInt, Extended
from lrsched.algebra.numerics.kinds import extended, is_concrete, to_float, to_float64, x64
from lrsched.algebra.numerics.tables import given


def time_of(step: Any, signed: bool = False) -> tuple[Any, tuple[int, ...]]:
    """A step, or an array of steps, as a time and its shape; below 0 it counts as 0, unless it is `signed`."""
    if type(step) is int and not signed:
        return float(min(max(step, 0), 2**62)), ()
    steps = given(step)
    if steps is None or (is_concrete(steps) and np.isnan(to_float64(steps)).any()):
        kind = TypeError if steps is None else ValueError
        raise kind(f"schedule(step=...): expected a number or an array of numbers, got {reprlib.repr(step)}.")
    if isinstance(steps, jax.Array) and jnp.issubdtype(steps.dtype, jnp.integer):
        steps, most = steps if signed else jnp.maximum(steps, jnp.zeros_like(steps)), int(jnp.iinfo(steps.dtype).max)
        if signed or x64() or most >= 2**31:
            return extended(steps), steps.shape
        return BoundedInt(steps.astype(np.int32), 0, most), steps.shape
    return time_given(steps, -LATEST if signed else 0.0), np.shape(steps)


def time_given(value: Any, low: float = 0.0) -> Any:
    """A value as a time; one below the lowest, or none at all, counts as the lowest."""
    if is_concrete(value):
        return np.clip(np.nan_to_num(np.asarray(to_float64(value)), nan=low, posinf=LATEST), low, LATEST)[()]
    if isinstance(value, Extended):
        return clip(extended(value), low, LATEST)
    value = to_float(value)
    return extended(jnp.where(value >= low, jnp.minimum(value, LATEST), jnp.full_like(value, low)))
