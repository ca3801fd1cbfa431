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


class Wide:
    """A number in a trace with more digits than a float32; its operators mean what they do for floats."""

    shape: Any
    __array_ufunc__ = None  # or NumPy would make arrays of objects


@dataclasses.dataclass(frozen=True)
class Double(Wide):
    """`high + low`, with low at most half a unit in the last place of high."""

    high: Any
    low: Any

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

    def __float__(self) -> float:
        return float(self.high) + float(self.low)

    def __neg__(self) -> "Double":
        return Double(-self.high, -self.low)

    def __add__(self, other: Any) -> "Double":
        if _is(other, 0.0):
            return self
        other = double(other)
        high, more = _sum(self.high, other.high)
        if isinstance(other.low, np.ndarray) and not other.low.any():  # as of most numbers that are known
            return Double(*_normal(high, more + self.low))
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

    def shifted(self, power: int) -> "Double":
        """The number times a power of 2, exactly."""
        return Double(self.high * np.float32(2.0**power), self.low * np.float32(2.0**power))

    def each(self, function: Any) -> "Double":
        """A function to whole numbers, such as floor, of all of it."""
        high = function(self.high)
        more = jnp.where(high == self.high, function(self.low), np.float32(0))
        return Double(*_normal(high, more))


jax.tree_util.register_dataclass(Double, data_fields=["high", "low"], meta_fields=[])


@dataclasses.dataclass(frozen=True, eq=False)
class Whole(Wide):
    """An int32 array, and bounds known while tracing. It becomes a `Double` where a result is not whole, or may be too large.

    So whole steps and known whole lengths, as they mostly are, cost no more than integers.
    """

    value: Any
    least: int
    most: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as of an array."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """The rank, as of an array."""
        return np.ndim(self.value)

    def __getitem__(self, key: Any) -> "Whole":
        return Whole(self.value[key], self.least, self.most)

    def __neg__(self) -> "Whole":
        return Whole(-self.value, -self.most, -self.least)

    def __add__(self, other: Any) -> Any:
        other = whole(other)
        if isinstance(other, Whole) and _fits(self.least + other.least, self.most + other.most):
            return Whole(self.value + other.value, self.least + other.least, self.most + other.most)
        return double(self) + other

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        other = whole(other)
        if isinstance(other, Whole):
            ends = [x * y for x in (self.least, self.most) for y in (other.least, other.most)]
            if _fits(min(ends), max(ends)):
                return Whole(self.value * other.value, min(ends), max(ends))
        return double(self) * other

    def __truediv__(self, other: Any) -> Any:
        return self if _is(other, 1.0) else double(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / double(self)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, float):  # no whole number lies between it and the one above
            other = float(np.ceil(np.clip(other, self.least, self.most + 1.0)))
        other = whole(other)
        if not isinstance(other, Whole):
            return double(self) < other
        if self.most < other.least or self.least >= other.most:
            return self.most < other.least
        return self.value < other.value

    def __gt__(self, other: Any) -> Any:
        return -self < -other

    def __le__(self, other: Any) -> Any:
        return _opposite(self > other)

    def __ge__(self, other: Any) -> Any:
        return _opposite(self < other)


jax.tree_util.register_dataclass(Whole, data_fields=["value"], meta_fields=["least", "most"])


def whole(x: Any) -> Any:
    """A number as a `Whole`, if it is known to be one; else as it is."""
    if isinstance(x, (float, np.floating, np.ndarray)) and np.size(x) and np.all((np.abs(x) < 2**31) & (x == np.floor(x))):
        return Whole(np.asarray(x, np.int32), int(np.min(x)), int(np.max(x)))
    return x


def _fits(least: int, most: int) -> bool:
    return least > -(2**31) and most < 2**31


def _opposite(x: Any) -> Any:
    return not x if isinstance(x, bool) else ~x


def double(x: Any) -> Double:
    """A number as a `Double`: a float64 of the host within 2**-49, an integer up to 2**47 and a float32 exactly."""
    if isinstance(x, Double):
        return x
    if isinstance(x, Whole):
        if x.least >= -(2**24) and x.most <= 2**24:
            return Double(x.value.astype(np.float32), np.zeros((), np.float32))
        x = x.value
    if not isinstance(x, jax.Array):
        x = np.clip(np.asarray(x, np.float64), -MOST, MOST)
        high = x.astype(np.float32)
        return Double(high, (x - high).astype(np.float32))
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(np.int32) if x.dtype.itemsize < 4 else x
        low = x & np.asarray(0xFFF, x.dtype)
        return Double(*_normal((x - low).astype(np.float32), low.astype(np.float32)))
    high = jax.lax.convert_element_type(x, np.float32)
    if x.dtype == np.float64:
        return Double(high, jax.lax.convert_element_type(x - jax.lax.convert_element_type(high, np.float64), np.float32))
    x = high
    return Double(x, jnp.zeros_like(x))


def chosen(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`; at least one of them is wide."""
    first, second = whole(a), whole(b)
    if isinstance(first, Whole) and isinstance(second, Whole):
        value = jnp.where(condition, first.value, second.value)
        return Whole(value, min(first.least, second.least), max(first.most, second.most))
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
def snapped_double(x: Double) -> Double:
    """A number that may have been rounded, with its derivative; within 2**-42 of a multiple of 2**-10 it is that."""
    near = x.shifted(10).each(jnp.round).shifted(-10)
    off = (x.high - near.high) + (x.low - near.low)
    return chosen(jnp.abs(off) <= jnp.abs(x.high) * np.float32(2.0**-42), near, x)


@snapped_double.defjvp
def _snapped_jvp(numbers: Any, tangents: Any) -> Any:
    return snapped_double(*numbers), tangents[0]


@jax.custom_jvp
def _quotient(a: Double, b: Double) -> Double:
    """`a / b` within 2**-42, snapped: however a third is rounded, three thirds are 1."""
    nothing = np.zeros((), np.float32)
    first = a.high / b.high
    rest = a - b * Double(first, nothing)
    second = rest.high / b.high
    rest = rest - b * Double(second, nothing)
    return snapped_double(Double(*_normal(first, second)) + Double(rest.high / b.high, nothing))


@_quotient.defjvp
def _quotient_jvp(numbers: Any, tangents: Any) -> Any:
    # Not by way of 1 / b², which is too large for a float where b is small.
    (_, b), (da, db) = numbers, tangents
    value = _quotient(*numbers)
    slope = ((da.high + da.low) - value.high * (db.high + db.low)) / b.high
    return value, Double(jnp.broadcast_to(slope, value.high.shape), jnp.zeros_like(value.low))
