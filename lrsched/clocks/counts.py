"""Counts: sums of three float32, 72 bits, since JAX has no 64-bit numbers by default."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.double import double, two_sum
from lrsched.algebra.written import shown

_LAST = np.int32(2**31 - 1)
_MOST = 2.0**53


def zero() -> jax.Array:
    """0 as an int32, in its own buffer."""
    return jnp.zeros((), jnp.int32)


def advanced(count: jax.Array, more: numerics.Number) -> jax.Array:
    """An int32 count plus some more, at most the largest int32."""
    count = jnp.asarray(count)
    return count + jnp.minimum(jnp.asarray(more, count.dtype), _LAST - count)


def as_number(call: str, value: Any) -> Any:
    """An observation; an error if it is not a single number."""
    value = numerics.array_of(value)
    if not isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)):
        raise TypeError(f"{call}: expected a number, got {shown(value)} ({type(value).__name__}).")
    if np.shape(value) != ():
        raise TypeError(f"{call}: expected a scalar, got shape {np.shape(value)}. Hint: reduce it first, as with jnp.mean.")
    return value


class Count(NamedTuple):
    """The sum `high + low + lower`; the first two form a `Double`."""

    high: Any
    low: Any
    lower: Any

    def read(self) -> Any:
        """The sum: a float64 if it is known, and its first 48 bits in a trace."""
        if numerics.is_concrete(*self):
            high, low, lower = (np.asarray(x, np.float64) for x in self)
            return numerics.to_float64(high + (low + lower))
        return numerics.Double(self.high, self.low)


def no_count() -> Count:
    """A count of 0, each part in its own buffer."""
    return Count(*(jnp.zeros((), jnp.float32) for _ in range(3)))


def count_of(call: str, value: Any) -> Count:
    """A number from 0 to 2**53 as a count; traced numbers below 0, and NaN, count as 0."""
    if isinstance(value, Count):
        return value
    value = as_number(call, value)
    if known := numerics.is_concrete(value):
        if not 0 <= float(value) <= _MOST:
            raise ValueError(f"{call}: expected a number from 0 to 2**53, got {shown(value)}. Hint: a count only grows.")
        value = np.asarray(value, np.float64)
    else:
        if numerics.float_type() == np.float64 or not jnp.issubdtype(value.dtype, jnp.integer):
            value = jnp.minimum(numerics.to_float(value), _MOST)
        value = jnp.where(value > 0, value, jnp.zeros_like(value))
    two = double(value)
    if value.dtype != np.float64:
        return Count(two.high, two.low, jnp.zeros_like(two.high))
    rest = value - (numerics.to_float64(two) if known else numerics.to_float(two))
    return Count(two.high, two.low, rest.astype(np.float32))


def counted(count: Count, more: Count) -> Count:
    """The sum of two counts, within a relative 2**-70: exact for whole numbers up to 2**53, and far beyond."""
    high, rest_of_high = two_sum(count.high, more.high)
    low, rest_of_low = two_sum(count.low, more.low)
    low, rest = two_sum(low, rest_of_high)
    low, lower = two_sum(low, count.lower + more.lower + rest_of_low + rest)
    return Count(*two_sum(high, low), lower)
