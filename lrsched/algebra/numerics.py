"""Numbers and time. Only this module, `double`, `powers` and `cycles` know about rounding.

`+ - * / < <= > >=` and the functions here mean the same for every kind of number. Arithmetic on *concrete* numbers (Python or
NumPy numbers, or JAX arrays outside a trace) runs on the host, in float64. A traced *value* is a float32. A traced amount of
*time*, or a rate, is `Extended`: a `Double` of 48 bits, or an int32. With x64 on, all traced numbers are float64. Results and
their derivatives stay finite.
"""

import functools
import reprlib
from typing import Any, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import jax.typing
import numpy as np

from lrsched.algebra.double import BoundedInt, Condition, Double, Extended, Real, bounded_int, chosen, double

Number: TypeAlias = jax.typing.ArrayLike  # a Python number, a NumPy number or array, a JAX array or a tracer

LATEST = 2.0**62  # the largest time; in a trace it replaces infinity, which has no place in a cycle
LEAST = 1e-18  # the shortest traced length: its square is still a float32, as derivatives need
SHORTEST = 1e-12  # the smallest traced divisor of time, since the quotient may be divided once more
_FEW = 32  # with fewer points, comparing with each is faster than a search
_FEWER = 8  # with so few numbers, selecting one is faster than a lookup


# Kinds of numbers.


def is_concrete(*numbers: object) -> bool:
    """Whether all numbers are known, so that the host can compute with them."""
    for x in numbers:
        if isinstance(x, (float, int, np.ndarray, np.generic)):
            continue
        if isinstance(x, Extended):
            if not is_concrete(*jax.tree.leaves(x)):
                return False
        elif not isinstance(x, jax.Array) or isinstance(x, jax.core.Tracer) or not x.is_fully_addressable:
            return False
    return True


def array_of(x: Any) -> Any:
    """The array of a variable with `__jax_array__`, as in flax and Keras; anything else unchanged."""
    is_array = isinstance(x, (float, int, np.ndarray, np.generic, jax.Array))  # which may have `__jax_array__`, too
    return x.__jax_array__() if not is_array and hasattr(x, "__jax_array__") else x


def is_real(dtype: jax.typing.DTypeLike) -> bool:
    """Whether a dtype is an integer or a float, including those of ml_dtypes."""
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def is_number(x: object) -> bool:
    """Whether it is a real number or an array of them, from Python, NumPy, ml_dtypes or JAX, or with `__jax_array__`."""
    if isinstance(x, (int, float)):
        return not isinstance(x, bool)
    x = array_of(x)
    return isinstance(x, (np.generic, np.ndarray, jax.Array)) and is_real(x.dtype)


def x64() -> bool:
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]


def float_type() -> Any:
    """The type of every result: float32, or float64 when x64 is on."""
    return np.float64 if x64() else np.float32


def largest() -> float:
    return float(np.finfo(float_type()).max)


def to_float64(x: Real) -> Any:
    """A concrete number as a float64, or as a Python float, which is fastest."""
    if isinstance(x, float):
        return x
    if isinstance(x, BoundedInt):
        x = x.value
    if isinstance(x, Double):
        x = np.asarray(x.high, np.float64) + np.asarray(x.low, np.float64)
    return float(x) if isinstance(x, int) else np.asarray(x, np.float64)[()]


def to_float(x: Real) -> Any:
    """The number as an array of the result type, never weakly typed."""
    if is_concrete(x):
        return np.asarray(to_float64(x), float_type())
    if isinstance(x, Double):
        return to_float(x.high) + to_float(x.low)
    return jax.lax.convert_element_type(x.value if isinstance(x, BoundedInt) else x, float_type())


def as_value(x: Real) -> Real:
    """The number; an extended one rounded to a float."""
    return to_float(x) if isinstance(x, Extended) else x


def extended(x: Real) -> Real:
    """The number with all of its digits: if traced, an `Extended`, or a float64 when x64 is on."""
    return x if isinstance(x, BoundedInt) or is_concrete(x) else as_double(x)


def as_double(x: Real) -> Real:
    """The number as a `Double`, or a float64 when x64 is on: always the same structure, as loops need."""
    return to_float(x) if x64() else double(x)


def given(x: Any) -> Real | None:
    """A number or a list of numbers as a float, a float64 array, a traced array or an `Extended`; None for anything else."""
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
    except (ValueError, TypeError, OverflowError):  # such as an integer too large for a float
        return None
    array.setflags(write=False)
    return array if array.ndim else float(array)


def time_of(step: Any, signed: bool = False) -> tuple[Real, tuple[int, ...]]:
    """A step, or an array of steps, as a time and its shape; one below 0 counts as 0, unless `signed`."""
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


def time_given(value: Real, low: float = 0.0) -> Real:
    """A value as a time; one below the lowest, or a NaN, counts as the lowest."""
    if is_concrete(value):
        return np.clip(np.nan_to_num(np.asarray(to_float64(value)), nan=low, posinf=LATEST), low, LATEST)[()]
    if isinstance(value, Extended):
        return clip(extended(value), low, LATEST)
    value = to_float(value)
    return extended(jnp.where(value >= low, jnp.minimum(value, LATEST), jnp.full_like(value, low)))


# Arithmetic beyond Python's operators.


def where(condition: Condition, a: Real, b: Real) -> Real:
    """`a` where the condition holds, else `b`."""
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b
    if is_concrete(condition, a, b):
        return np.where(condition, to_float64(a), to_float64(b))[()]
    if isinstance(a, Extended) or isinstance(b, Extended):
        return chosen(condition, a, b)
    return jnp.where(condition, to_float(a), to_float(b))


def minimum(a: Real, b: Real) -> Real:
    return where(a < b, a, b)


def maximum(a: Real, b: Real) -> Real:
    return where(a < b, b, a)


def clip(x: Real, low: Real, high: Real) -> Real:
    """The number between two bounds; where low is above high, high counts."""
    return minimum(maximum(x, low), high)


def floor(x: Real) -> Real:
    if is_concrete(x):
        return np.floor(to_float64(x))
    return x.floor() if isinstance(x, Extended) else jnp.floor(to_float(x))


def ceil(x: Real) -> Real:
    return -floor(-x)


def rounded(x: Real) -> Real:
    """The nearest whole number; halves round up."""
    return floor(x + 0.5)


def ratio(a: Real, b: Real) -> Real:
    """`a / b` of amounts of time, `snapped`: three thirds are 1, however a third is rounded."""
    found = extended(a) / maximum(extended(b), SHORTEST)
    if isinstance(found, Extended):  # already snapped
        return found if isinstance(a, Extended) or isinstance(b, Extended) else as_value(found)
    return snapped(found)


def floor_ratio(a: Real, b: Real) -> Real:
    """`⌊a / b⌋` of amounts of time."""
    divisor = bounded_int(b)
    if isinstance(a, BoundedInt) and isinstance(divisor, BoundedInt) and divisor.least > 0:
        return a // divisor
    return floor(ratio(a, b))


def snapped(x: Real) -> Real:
    """A number without its rounding error: next to a multiple of 2⁻¹⁰, that multiple."""
    if isinstance(x, Extended):
        return x.snapped()
    xp, still = (np, lambda x: x) if is_concrete(x) else (jnp, jax.lax.stop_gradient)
    with np.errstate(invalid="ignore", over="ignore"):  # at and near infinity
        change = xp.round(x * 2.0**10) * 2.0**-10 - x
        return x + still(xp.where(xp.abs(change) <= 2.0**-50 * xp.abs(x), change, 0.0))


@jax.custom_jvp
def quotient(a: jax.Array, b: jax.Array) -> jax.Array:
    """`a / b` of traced floats, b not 0. It is exactly 1 if they are equal, which a compiler's `a * (1 / b)` may not be."""
    return jnp.where(a == b, jnp.ones_like(a), a / b)


quotient.defjvps(  # without 1 / b², which overflows for a small b; the derivative of an infinite quotient is 0
    lambda change, _value, _a, b: change / b,
    lambda change, value, _a, b: -jnp.where(jnp.isfinite(value), value, jnp.zeros_like(value)) * change / b,
)


def divide(a: Real, b: Real) -> Real:
    """`a / b` of values; infinite where b is 0, and NaN for 0 / 0."""
    if is_concrete(a, b):
        with np.errstate(all="ignore"):
            return np.divide(to_float64(a), to_float64(b) + 0.0)
    if isinstance(a, Extended) and is_concrete(b) and np.all(np.abs(b) > LEAST):
        return a / b
    # Where b is 0 the derivative is 0, so that an unused quotient does not spoil gradients.
    a, b = jnp.broadcast_arrays(to_float(a), to_float(b))
    return jnp.where(b == 0, jnp.sign(a) * float_type()(np.inf), quotient(a, jnp.where(b == 0, jnp.ones_like(b), b)))


def root(x: Real) -> Real:
    """The square root, 0 below 0, with derivative 0 at 0."""
    if is_concrete(x):
        return np.sqrt(to_float64(x))
    x = to_float(x)
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, jnp.ones_like(x))), jnp.zeros_like(x))


def on_axes_of(others: Any, tree: Any) -> Any:
    """A tree on the mesh axes of others as well: inside shard_map a loop must begin with numbers on the axes of its results."""
    for x in jax.tree.leaves(others):
        if not is_concrete(x):
            below = jnp.any(x < 0)
            tree = jax.tree.map(functools.partial(jnp.where, below), tree, tree)
    return tree


def parted(part: Real, whole: Real) -> tuple[jax.Array, jax.Array]:
    """A traced part of a whole, and the rest, rounded so that both add up to the whole exactly."""
    # The difference below half of the whole is exact. A compiler may fuse the product behind `part` with the subtraction, and
    # so not round it, but it cannot do that through the `where`.
    part, whole = to_float(part), to_float(whole)
    rest = whole - jnp.where(jnp.isnan(part), jnp.zeros_like(part), part)
    return whole - rest, rest


def saturated(x: Real) -> Real:
    """The number, limited to the largest float of its sign."""
    most = largest()
    if isinstance(x, float):
        return min(max(x, -most), most)
    if is_concrete(x):
        return np.clip(to_float64(x), -most, most)
    # Not a minimum, whose derivative may be 0 · inf.
    return x if isinstance(x, Extended) else jnp.where(jnp.abs(x) > most, jnp.sign(x) * float_type()(most), x)


def result(value: Real, shape: tuple[int, ...]) -> jax.Array:
    """A value as a strongly typed JAX array with the shape of the steps, and no negative zero."""
    if is_concrete(value):
        array = np.asarray(saturated(to_float64(value)), float_type()) + float_type()(0)
        xp = np if all(isinstance(n, int) for n in shape) else jnp  # a symbolic shape, of jax.export
        return jnp.asarray(array if array.shape == shape else xp.broadcast_to(array, shape))
    zero = np.zeros((), float_type())  # a compiler simplifies x + 0 to x, but not 0 - (0 - x)
    return jnp.broadcast_to(zero - (zero - to_float(value)), shape)


# Tables: arrays of rank 1.


def table(entries: list[Real]) -> Real:
    """A table from its entries, each a number or a batch of numbers."""
    if is_concrete(*entries):
        return np.stack(np.broadcast_arrays(*map(to_float64, entries)), axis=-1)
    kept = to_float if all(map(_is_float, entries)) else as_double
    return jax.tree.map(lambda *xs: jnp.stack(jnp.broadcast_arrays(*xs), axis=-1), *map(kept, entries))


def _is_float(x: Real) -> bool:
    """Whether a float of the result type holds all of its digits."""
    if is_concrete(x):
        return np.array_equal(to_float64(to_float(x)), to_float64(x))
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)


def ascending(table: Real) -> Real:
    if is_concrete(table):
        return np.sort(to_float64(table), axis=-1)
    if isinstance(table, Double):
        return Double(*jax.lax.sort(tuple(jnp.broadcast_arrays(table.high, table.low)), num_keys=2))
    return jnp.sort(to_float(table), axis=-1)


def pick_time(table: Real, row: Any) -> Real:
    """The entries of a table of times in rows, with all of their digits."""
    if is_concrete(table, row):
        return pick(table, row)
    times = bounded_int(to_float64(table)) if is_concrete(table) and not x64() else table
    return jax.tree.map(lambda x: _picked(x, row), times if isinstance(times, BoundedInt) else as_double(times))


def pick(table: Real, row: Any) -> Real:
    """The entries of a table in rows."""
    if is_concrete(table, row):
        return to_float64(table)[row]
    return _picked(to_float(table), row)


def _picked(table: Any, row: Any) -> Any:
    if is_concrete(table) and np.size(table) <= _FEWER:
        return functools.reduce(lambda found, k: jnp.where(row >= k, table[k], found), range(1, np.size(table)), table[0])
    return jnp.asarray(table).at[row].get(mode="promise_in_bounds")


def row_of(points: Real, t: Real) -> Any:
    """The row of the last point that a time has reached, in a table of rising points; 0 before the first."""
    if is_concrete(points, t):
        return np.maximum(np.searchsorted(to_float64(points), t, side="right") - 1, 0)
    t, last = extended(t), points.shape[-1] - 1
    if points.shape[-1] < _FEW:
        reached = [jnp.asarray(t >= points[i], np.int32) for i in range(1, last + 1)]
        return sum(reached, start=jnp.zeros(np.shape(t), np.int32))
    low, most = jnp.where(t >= points[0], np.int32(0), np.int32(0)), last  # on the mesh axes of both, as in shard_map loops are
    if is_concrete(points) and isinstance(t, BoundedInt):
        low, most = _bucket(to_float64(points), t)

    def halve(_: object, rows: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = rows
        middle = (low + high + 1) >> 1
        reached = t >= pick_time(points, middle)
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle - 1)

    depth = most.bit_length()
    return jax.lax.fori_loop(0, depth, halve, (low, jnp.minimum(low + most, last)), unroll=depth <= 2 or 1)[0]


def _bucket(points: np.ndarray, t: BoundedInt) -> tuple[jax.Array, int]:
    """The first row of the bucket of a whole time, and the most rows in a bucket; there are four equal buckets per row."""
    starts, last = np.minimum(np.ceil(points), 2.0**31).astype(np.int64), len(points) - 1
    shift = max(int(starts[-1]).bit_length() - (4 * last).bit_length(), 0)
    edges = np.arange((starts[-1] >> shift) + 2) << shift
    first = np.maximum(starts.searchsorted(edges, side="right").astype(np.int32) - 1, 0)
    bucket = jnp.minimum(jnp.maximum(t.value, 0) >> np.int32(shift), len(edges) - 2)
    return _picked(first, bucket), int(np.max(np.minimum(np.diff(first), last)))
