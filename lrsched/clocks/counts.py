"""Counts up to 2**53, exact with and without JAX's 64 bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.written import shown

_LAST = np.int32(2**31 - 1)
LOW_BITS = 22  # of a count; the others fit into an int32, and these into the fraction of a float32


class Counted(NamedTuple):
    """A number from 0 to 2**53: `high · 2**22 + low`, two int32, and a fraction in two floats, `part + rest`."""

    high: Any
    low: Any
    part: Any
    rest: Any


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


def no_count() -> Counted:
    """The count of nothing, each part a buffer of its own."""
    return Counted(zero(), zero(), jnp.zeros((), numerics.float_type()), jnp.zeros((), numerics.float_type()))


def count_of(call: str, value: Any) -> Counted:
    """A number from 0 to 2**53 as a count."""
    if isinstance(value, Counted):
        return value
    value, base, real = as_number(call, value), 2**LOW_BITS, numerics.real
    if numerics.is_concrete(value):
        number = float(value)
        if not 0 <= number <= 2.0**53:
            raise ValueError(f"{call}: expected a number from 0 to 2**53, got {shown(value)}. Hint: a count only grows")
        whole = int(number)
        part = real(number - whole)
        return Counted(np.int32(whole // base), np.int32(whole % base), part, real(number - whole - float(part)))
    if jnp.issubdtype(value.dtype, jnp.integer):
        value = value.astype(jnp.int32) if value.dtype.itemsize < 4 else value
        value = jnp.minimum(value, 2**52) if value.dtype.itemsize > 4 else value
        value = jnp.maximum(value, jnp.zeros_like(value))
        high, low = value >> LOW_BITS, value & jnp.asarray(base - 1, value.dtype)
        return Counted(high.astype(jnp.int32), low.astype(jnp.int32), real(0.0), real(0.0))
    value = real(value)
    value = jnp.where(value > 0, jnp.minimum(value, 2.0**52), 0.0)  # a NaN counts as nothing
    whole = jnp.floor(value)
    high = jnp.floor(whole / base)
    return Counted(high.astype(jnp.int32), (whole - high * base).astype(jnp.int32), value - whole, real(0.0))


def counted(count: Counted, more: Counted) -> Counted:
    """The sum of two counts. The fraction is a sum of two floats, with what each addition rounds off (Knuth's two-sum)."""
    total = count.part + more.part
    added = total - count.part
    rest = (count.part - (total - added)) + (more.part - added) + (count.rest + more.rest)
    part = total + rest
    rest = rest - (part - total)
    whole = jnp.floor(part)
    low = count.low + more.low + whole.astype(jnp.int32)
    high = advanced(advanced(count.high, more.high), low >> LOW_BITS)
    return Counted(high, low & (2**LOW_BITS - 1), part - whole, rest)
