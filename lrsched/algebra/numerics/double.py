"""A number of 48 bits in a trace: the sum of two float32, since JAX has no float64 by default.

Factors are split by a bit mask into pieces whose products are exact, so it makes no difference whether a compiler fuses a
product with a sum. Sums choose the larger operand first: a compiler that knew one would take `(x + 1) - 1` for x, but it does
not look through a choice. (Dekker, *A floating-point technique for extending the available precision*, 1971.)
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

MOST = 1e30  # no amount of time is larger, so that products of two, and their derivatives, stay finite after a cap


@dataclasses.dataclass(frozen=True, eq=False)
class Double:
    """`high + low`, with low at most half a unit in the last place of high."""

    high: Any
    low: Any

    __array_ufunc__ = None  # or NumPy would make arrays of objects

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as of an array."""
        return np.broadcast_shapes(np.shape(self.high), np.shape(self.low))

    @property
    def ndim(self) -> int:
        """The rank, as of an array."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> "Double":
        return jax.tree.map(lambda x: x[key], self)

    def __neg__(self) -> "Double":
        return Double(-self.high, -self.low)

    def __add__(self, other: Any) -> "Double":
        if _is(other, 0.0):
            return self
        other = double(other)
        high, more = _sum(self.high, other.high)
        low, rest = _sum(self.low, other.low)
        high, more = _normal(high, more + low)
        return Double(*_normal(high, more + rest))

    def __sub__(self, other: Any) -> "Double":
        return self + (-other)

    def __rsub__(self, other: Any) -> "Double":
        return -self + other

    def __mul__(self, other: Any) -> "Double":
        if _is(other, 1.0):
            return self
        other = double(other)
        (a, a_rest), (b, b_rest) = split(self.high), split(other.high)
        high, more = _sum(a * b, a * b_rest)
        high, rest = _sum(high, a_rest * b)
        high, low = _normal(high, (more + rest) + a_rest * b_rest)
        high, low = _normal(high, low + (self.high * other.low + self.low * other.high))
        fits = jnp.abs(high) < np.float32(MOST)
        return Double(jnp.where(fits, high, jnp.sign(high) * np.float32(MOST)), jnp.where(fits, low, np.float32(0)))

    def __truediv__(self, other: Any) -> "Double":
        return self if _is(other, 1.0) else _quotient(self, double(other))

    def __rtruediv__(self, other: Any) -> "Double":
        return _quotient(double(other), self)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: Any) -> Any:
        other = double(other)
        return (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))

    def __gt__(self, other: Any) -> Any:
        return double(other) < self

    def __le__(self, other: Any) -> Any:
        return ~(self > other)

    def __ge__(self, other: Any) -> Any:
        return ~(self < other)

    def each(self, function: Any) -> "Double":
        """A function to whole numbers, such as floor, of all of it."""
        high = function(self.high)
        more = jnp.where(high == self.high, function(self.low), np.float32(0))
        return Double(*_normal(high, more))


jax.tree_util.register_dataclass(Double, data_fields=["high", "low"], meta_fields=[])


def double(x: Any) -> Double:
    """A number as a `Double`: a float64 of the host within 2**-49, an integer up to 2**47 and a float32 exactly."""
    if isinstance(x, Double):
        return x
    if not isinstance(x, jax.Array):
        x = np.clip(np.asarray(x, np.float64), -MOST, MOST)
        high = x.astype(np.float32)
        return Double(high, (x - high).astype(np.float32))
    if jnp.issubdtype(x.dtype, jnp.integer):
        low = x & np.asarray(0xFFF, x.dtype)
        return Double(*_normal((x - low).astype(np.float32), low.astype(np.float32)))
    x = jax.lax.convert_element_type(x, np.float32)
    return Double(x, jnp.zeros_like(x))


def chosen(condition: Any, a: Any, b: Any) -> Double:
    """`a` where the condition holds, else `b`."""
    a, b = double(a), double(b)
    return Double(jnp.where(condition, a.high, b.high), jnp.where(condition, a.low, b.low))


def split(x: Any) -> tuple[Any, Any]:
    """A float32 as a head of 12 bits, a constant to derivatives, and the rest."""
    head = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(x, np.int32) & np.int32(~0xFFF), np.float32)
    return head, x - head


def _is(x: Any, number: float) -> bool:
    return type(x) is float and x == number


def _sum(a: Any, b: Any) -> tuple[Any, Any]:
    """`a + b`, and by how much that is rounded."""
    total, swapped = a + b, jnp.abs(a) < jnp.abs(b)
    return total, jnp.where(swapped, a, b) - (total - jnp.where(swapped, b, a))


def _normal(high: Any, low: Any) -> tuple[Any, Any]:
    """The two parts of a sum whose first is the larger, and is no constant."""
    total = high + low
    return total, low - (total - high)


@jax.custom_jvp
def snapped(x: Double) -> Double:
    """A number that may have been rounded, with its derivative; within 2**-42 of a multiple of 2**-10 it is that."""
    near = (x * np.float32(2.0**10)).each(jnp.round) * np.float32(2.0**-10)
    off = (x.high - near.high) + (x.low - near.low)
    return chosen(jnp.abs(off) <= jnp.abs(x.high) * np.float32(2.0**-42), near, x)


@snapped.defjvp
def _snapped_jvp(numbers: Any, tangents: Any) -> Any:
    return snapped(*numbers), tangents[0]


@jax.custom_jvp
def _quotient(a: Double, b: Double) -> Double:
    """`a / b` within 2**-42, snapped: however a third is rounded, three thirds are 1."""
    quotient, rest = a.high / b.high, a
    total = Double(quotient, np.float32(0))
    for _ in range(2):
        rest = rest - b * Double(quotient, np.float32(0))
        quotient = rest.high / b.high
        total = total + Double(quotient, np.float32(0))
    return snapped(total)


@_quotient.defjvp
def _quotient_jvp(numbers: Any, tangents: Any) -> Any:
    # Not by way of 1 / b², which is too large for a float where b is small.
    (_, b), (da, db) = numbers, tangents
    value = _quotient(*numbers)
    slope = ((da.high + da.low) - value.high * (db.high + db.low)) / b.high
    return value, Double(jnp.broadcast_to(slope, value.high.shape), jnp.zeros_like(value.low))
