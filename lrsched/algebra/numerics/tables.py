"""Tables of rank 1: which row a time has reached, and the entries in rows."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics.double import BoundedInt, Double, Extended, bounded_int
from lrsched.algebra.numerics.kinds import array_of, as_double, extended, is_concrete, is_real, to_float, to_float64, x64

_FEW = 32  # to compare with each of fewer points is faster than to search among them
_FEWER = 8  # to choose among so many numbers is faster than to look one up


def table(entries: list[Any]) -> Any:
    """A table of its entries, each a number or a batch of numbers."""
    if is_concrete(*entries):
        return np.stack(np.broadcast_arrays(*map(to_float64, entries)), axis=-1)
    kept = to_float if all(map(_is_float, entries)) else as_double
    return jax.tree.map(lambda *xs: jnp.stack(jnp.broadcast_arrays(*xs), axis=-1), *map(kept, entries))


def given(x: Any) -> Any:
    """Numbers of any types, also in lists, as a float, a float64 array, a JAX array or an `Extended`; None for all else."""
    x = array_of(x)
    if isinstance(x, Extended) or (isinstance(x, jax.Array) and is_real(x.dtype) and not is_concrete(x)):
        return x
    if isinstance(x, (list, tuple)):
        entries = [given(entry) for entry in x]
        if any(entry is None for entry in entries) or len(set(map(np.shape, entries))) > 1:
            return None
        if not is_concrete(*entries):
            return jax.tree.map(lambda column: jnp.moveaxis(column, -1, 0), table(entries))
        x = [to_float64(entry) for entry in entries]
    try:
        array = np.array(x)
        if not is_real(array.dtype) and not (array.dtype == object and all(isinstance(entry, int) for entry in array.flat)):
            return None
        array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):  # such as an integer beyond any float
        return None
    array.setflags(write=False)
    return array if array.ndim else float(array)


def _is_float(x: Any) -> bool:
    """Whether a float of the result type holds all of its digits."""
    if is_concrete(x):
        return np.array_equal(to_float64(to_float(x)), to_float64(x))
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)


def ascending(table: Any) -> Any:
    """A table with its entries sorted."""
    if is_concrete(table):
        return np.sort(to_float64(table), axis=-1)
    if isinstance(table, Double):
        return Double(*jax.lax.sort(tuple(jnp.broadcast_arrays(table.high, table.low)), num_keys=2))
    return jnp.sort(to_float(table), axis=-1)


def pick_time(table: Any, row: Any) -> Any:
    """The entries of a table of times in rows, with all of their digits."""
    if is_concrete(table, row):
        return pick(table, row)
    times = bounded_int(to_float64(table)) if is_concrete(table) and not x64() else table
    return jax.tree.map(lambda x: _picked(x, row), times if isinstance(times, BoundedInt) else as_double(times))


def pick(table: Any, row: Any) -> Any:
    """The entries of a table in rows."""
    if is_concrete(table, row):
        return np.asarray(to_float64(table), np.float64)[row]
    return _picked(to_float(table), row)


def _picked(table: Any, row: Any) -> Any:
    if is_concrete(table) and np.size(table) <= _FEWER:
        return functools.reduce(lambda found, k: jnp.where(row >= k, table[k], found), range(1, np.size(table)), table[0])
    return jnp.asarray(table).at[row].get(mode="promise_in_bounds")


def row_of(points: Any, t: Any) -> Any:
    """The row of the last of rising points that a time has reached, 0 before all of them."""
    if is_concrete(points, t):
        return np.maximum(np.searchsorted(to_float64(points), t, side="right") - 1, 0)
    t, last = extended(t), points.shape[-1] - 1
    if points.shape[-1] < _FEW:
        reached = [jnp.asarray(t >= points[i], np.int32) for i in range(1, last + 1)]
        return sum(reached, start=jnp.zeros(np.shape(t), np.int32))
    low, most = jnp.zeros(np.shape(t), np.int32), last
    if is_concrete(points) and isinstance(t, BoundedInt):
        low, most = _bucket(to_float64(points), t)

    def halve(_: Any, rows: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = rows
        middle = (low + high + 1) >> 1
        reached = t >= pick_time(points, middle)
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle - 1)

    depth = most.bit_length()
    return jax.lax.fori_loop(0, depth, halve, (low, jnp.minimum(low + most, last)), unroll=depth <= 2 or 1)[0]


def _bucket(points: np.ndarray, t: BoundedInt) -> tuple[jax.Array, int]:
    """A row that a whole time has reached, by buckets of equal length, four a row; and how many rows further it may be."""
    starts, last = np.minimum(np.ceil(points), 2.0**31).astype(np.int64), len(points) - 1
    shift = max(int(starts[-1]).bit_length() - (4 * last).bit_length(), 0)
    edges = np.arange((starts[-1] >> shift) + 2) << shift
    first = np.maximum(starts.searchsorted(edges, side="right").astype(np.int32) - 1, 0)
    bucket = jnp.minimum(jnp.maximum(t.value, 0) >> np.int32(shift), len(edges) - 2)
    return _picked(first, bucket), int(np.max(np.minimum(np.diff(first), last)))
