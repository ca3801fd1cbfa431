"""Random numbers as a function of a seed and a step: the same on the host, in a trace, and with any version of JAX."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.double import BoundedInt, Real
from lrsched.algebra.numerics import floor, is_concrete, maximum, to_float, to_float64

_ROOT_HALF = math.sqrt(0.5)


def uniform(seed: Real, t: Real) -> Real:
    """A uniform number, one of 2**24 between -1 and 1, for the whole part of a time."""
    bits = _mixed(_mixed(_word(t)) + _mixed(_word(seed) + np.uint32(0x9E3779B9)))
    odd = (bits >> np.uint32(8)).astype(np.int32) * np.int32(2) + np.int32(1 - 2**24)
    return (to_float64(odd) if is_concrete(seed, t) else to_float(odd)) * 2.0**-24


def truncated_normal(limit: Real, unit: Real) -> Real:
    """Turns a uniform number between -1 and 1 into one of a standard normal distribution, truncated at a limit."""
    if is_concrete(limit, unit):
        from scipy import special  # comes with JAX; half a second to import

        return special.erfinv(unit * special.erf(to_float64(limit) * _ROOT_HALF)) / _ROOT_HALF
    limit, unit = jnp.broadcast_arrays(to_float(limit), to_float(unit))
    return jax.lax.erf_inv(unit * jax.lax.erf(limit * _ROOT_HALF)) / _ROOT_HALF


def _word(x: Real) -> Real:
    """The last 32 bits of the whole part of a number."""
    if isinstance(x, BoundedInt):
        return jnp.maximum(x.value, 0).astype(np.uint32)
    whole = floor(maximum(x, 0.0))
    upper = floor(whole * 2.0**-16)
    middle, last = upper - floor(upper * 2.0**-16) * 2.0**16, whole - upper * 2.0**16
    convert = to_float64 if is_concrete(x) else to_float
    middle, last = (np.asarray(y) if is_concrete(y) else y for y in map(convert, (middle, last)))
    return middle.astype(np.uint32) * np.uint32(2**16) + last.astype(np.uint32)


def _mixed(x: Real) -> Real:
    """A bijection of 32 bits, in which each bit affects half of all (C. Wellons, *Prospecting for hash functions*, 2018)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
