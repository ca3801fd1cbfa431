"""Counts: exact up to 2**47, as sums of two float32, for JAX has no 64 bits by default."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.written import shown

_LAST = np.int32(2**31 - 1)
_MOST = 2.0**47


def zero() -> jax.Array:
    """The int32 0, a buffer of its own."""
    return jnp.zeros((), jnp.int32)


def advanced(count: Any, more: Any) -> Any:
    """A count of int32 after so many more, stopping at the last int32."""
    count = jnp.asarray(count)
    return count + jnp.minimum(jnp.asarray(more, count.dtype), _LAST - count)


def as_number(call: str, value: Any) -> Any:
    """What was observed, once it is sure that it is one number."""
    value = numerics.array_of(value)
    if not isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)):
        raise TypeError(f"{call}: expected a number, got {shown(value)} ({type(value).__name__})")
    if np.shape(value) != ():
        raise TypeError(f"{call}: expected a scalar, got shape {np.shape(value)}. Hint: reduce it first, as with jnp.mean")
    return value


def no_count() -> Any:
    """The count of nothing, each part a buffer of its own."""
    return numerics.Double(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32))


def count_of(call: str, value: Any) -> Any:
    """A number from 0 to 2**47 as a count; a traced one that is below 0, or none at all, as nothing."""
    if isinstance(value, numerics.Extended):
        return value
    value = as_number(call, value)
    if numerics.is_concrete(value):
        if not 0 <= float(value) <= _MOST:
            raise ValueError(f"{call}: expected a number from 0 to 2**47, got {shown(value)}. Hint: a count only grows")
        return numerics.double(numerics.to_float64(value))
    if jnp.issubdtype(value.dtype, jnp.floating):
        value = numerics.to_float(value)
        value = jnp.where(value > 0, value, jnp.zeros_like(value))
    return numerics.clip(numerics.double(value), 0.0, _MOST)


def counted(count: Any, more: Any) -> Any:
    """The sum of two counts, at most 2**47."""
    total = count + more
    return jax.tree.map(lambda a, b: jnp.where(total < _MOST, a, b), total, numerics.double(_MOST))
