"""Extended numbers: numbers in a trace with more digits than a float32, since JAX has no float64 by default.

A `Double` is the sum of two float32, 48 bits. A `BoundedInt` is an int32 that cannot overflow, so that whole steps and known
whole lengths cost no more than integers. Both have the operators of floats.

Factors are split into halves of 12 bits, whose products are exact whether or not a compiler fuses a product with a sum. Sums
choose the larger operand first, since a compiler may simplify `(x + 1) - 1` to x, but cannot see through that choice. (Dekker,
*A floating-point technique for extending the available precision*, 1971.)
"""

import dataclasses
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

Real: TypeAlias = Any  # a number to compute with: on the host, in JAX, or extended
Condition: TypeAlias = Any  # a bool, or an array of bools of NumPy or JAX
MOST = 1e30  # the largest extended number: products of two, and their derivatives, are finite once capped


class Extended:
    """The base of extended numbers, with the operators of a `Double`."""

    __array_ufunc__ = None  # otherwise NumPy would make object arrays
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    @property
    def shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(*map(np.shape, jax.tree.leaves(self)))  # which may be symbolic

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, key: Any) -> Real:
        return jax.tree.map(lambda x: x[key], self)

    def __neg__(self) -> Real:
        return jax.tree.map(operator.neg, self)

    def __add__(self, other: Real) -> Real:
        a, b = double(self), double(other)
        total, rest = two_sum(a.high, b.high)
        return _normal(total, rest + (a.low + b.low))

    def __radd__(self, other: Real) -> Real:
        return self + other

    def __sub__(self, other: Real) -> Real:
        return self + (-other)

    def __rsub__(self, other: Real) -> Real:
        return -self + other

    def __mul__(self, other: Real) -> Real:
        a, b = double(self), double(other)
        high, (x, x_rest), (y, y_rest) = _rounded(a.high * b.high, 1), split(a.high), split(b.high)
        low = ((x * y - high) + x * y_rest + x_rest * y) + x_rest * y_rest
        product = _normal(high, low + (a.high * b.low + a.low * b.high))
        return _capped(high, product)  # high may be infinite where the product is NaN

    def __rmul__(self, other: Real) -> Real:
        return self * other

    def __truediv__(self, other: Real) -> Real:
        # Within 2**-44; exact where the divisor is a power of 2, as the end of a long cycle needs.
        a, b = double(self), double(other)
        inverse = 1 / b.high
        first = a.high * inverse
        rest = a - b * Double(first, np.zeros((), np.float32))
        return _capped(first, _normal(first, rest.high * inverse)).snapped()

    def __rtruediv__(self, other: Real) -> Real:
        return double(other) / self

    def __lt__(self, other: Real) -> Condition:
        x, y = double(self), double(other)
        return (x.high < y.high) | ((x.high == y.high) & (x.low < y.low))

    def __gt__(self, other: Real) -> Condition:
        return -self < -other

    def __le__(self, other: Real) -> Condition:
        return (self > other) ^ True

    def __ge__(self, other: Real) -> Condition:
        return (self < other) ^ True

    def __eq__(self, other: Real) -> Condition:
        return (self <= other) & (self >= other)

    def floor(self) -> "Extended":
        x = double(self)
        high = jnp.floor(x.high)
        return _normal(high, jnp.where(high == x.high, jnp.floor(x.low), np.float32(0)))

    def snapped(self) -> "Extended":
        """The multiple of 2**-10 that is within 2**-43 of it, if there is one; else itself."""
        return _snapped(double(self))


@dataclasses.dataclass(frozen=True, eq=False)
class Double(Extended):
    """`high + low`, with low at most half a unit in the last place of high."""

    high: Real
    low: Real


@dataclasses.dataclass(frozen=True, eq=False)
class BoundedInt(Extended):
    """An int32 array with known bounds. A result that is not whole, or may be too large, is a `Double`."""

    value: Real
    least: int
    most: int

    def __neg__(self) -> "BoundedInt":
        return BoundedInt(-self.value, -self.most, -self.least)

    def __add__(self, other: Real) -> Real:
        return self._combined(operator.add, other) or super().__add__(other)

    def __mul__(self, other: Real) -> Real:
        return self._combined(operator.mul, other) or super().__mul__(other)

    def __floordiv__(self, other: "BoundedInt") -> Real:
        return self._combined(operator.floordiv, other)

    def __lt__(self, other: Real) -> Condition:
        if isinstance(other, float):  # no whole number lies between it and the one above
            other = np.ceil(np.clip(other, self.least, self.most + 1.0))
        other = bounded_int(other)
        if not isinstance(other, BoundedInt):
            return super().__lt__(other)
        if self.most < other.least or self.least >= other.most:
            return self.most < other.least
        return self.value < other.value

    def floor(self) -> "BoundedInt":
        return self

    snapped = floor

    def _combined(self, operation: Callable[[Any, Any], Any], other: Real) -> "BoundedInt | None":
        """The result of an operation that is extreme at the bounds, if it is an integer that fits."""
        if isinstance(other := bounded_int(other), BoundedInt):
            ends = [operation(x, y) for x in (self.least, self.most) for y in (other.least, other.most)]
            if min(ends) > -(2**31) and max(ends) < 2**31:
                return BoundedInt(operation(self.value, other.value), min(ends), max(ends))
        return None


jax.tree_util.register_dataclass(Double, data_fields=["high", "low"], meta_fields=[])
jax.tree_util.register_dataclass(BoundedInt, data_fields=["value"], meta_fields=["least", "most"])


def bounded_int(x: Real) -> Real:
    """A known whole number as a `BoundedInt`; any other unchanged."""
    if isinstance(x, (float, np.floating, np.ndarray)) and np.size(x) and np.all((np.abs(x) < 2**31) & (x == np.floor(x))):
        return BoundedInt(np.asarray(x, np.int32), int(np.min(x)), int(np.max(x)))
    return x


def double(x: Real) -> Double:
    """A number as a `Double`: exact for a float32 and an integer up to 2**47, within 2**-49 for a float64."""
    if isinstance(x, Double):
        return x
    x = x.value if isinstance(x, BoundedInt) else x
    if not isinstance(x, jax.Array):
        x = np.clip(np.asarray(x, np.float64), -MOST, MOST)
        high = x.astype(np.float32)
        return Double(high, (x - high).astype(np.float32))
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(np.int32) if x.dtype.itemsize < 4 else x
        low = x & np.asarray(0xFFF, x.dtype)
        return _normal((x - low).astype(np.float32), low.astype(np.float32))
    if x.dtype == np.float64:
        # Not a cast to float32 and back, which the compiler removes on a GPU.
        rounded = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=23)
        return Double(*(jax.lax.convert_element_type(part, np.float32) for part in (rounded, x - rounded)))
    high = jax.lax.convert_element_type(x, np.float32)
    return Double(high, jnp.zeros_like(high))


def chosen(condition: Condition, a: Real, b: Real) -> Real:
    """`where`, if one of two numbers is extended."""
    first, second = bounded_int(a), bounded_int(b)
    if isinstance(first, BoundedInt) and isinstance(second, BoundedInt):
        value = jnp.where(condition, first.value, second.value)
        return BoundedInt(value, min(first.least, second.least), max(first.most, second.most))
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), double(a), double(b))


@jax.custom_jvp
def _snapped(x: Double) -> Double:
    whole = jnp.round(x.high * np.float32(2.0**10)) * np.float32(2.0**-10)
    rest = (x.high - whole) + x.low
    more = jnp.round(rest * np.float32(2.0**10)) * np.float32(2.0**-10)
    near = jnp.abs(rest - more) <= jnp.abs(x.high) * np.float32(2.0**-43)
    return chosen(near, _normal(whole, more), x)


_snapped.defjvps(lambda change, _value, _x: change)


def two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """The sum of two float32, and its rounding error."""
    total, swapped = a + b, jnp.abs(a) < jnp.abs(b)
    return total, jnp.where(swapped, a, b) - (total - jnp.where(swapped, b, a))


def split(x: Real) -> tuple[Real, Real]:
    """A float32 as a head of 12 bits, without derivative, and a rest of 12 bits."""
    head = _rounded(x, 12)
    return head, x - head


def _rounded(x: Real, bits: int) -> jax.Array:
    """A float32 without its last bits, computed so that no compiler simplifies it away."""
    whole = jax.lax.bitcast_convert_type(x, np.int32) + np.int32(1 << (bits - 1))
    return jax.lax.bitcast_convert_type(whole & np.int32(-1 << bits), np.float32)


def _normal(high: Real, low: Real) -> Double:
    """`high + low`, where high is the larger and not a constant."""
    total = high + low
    return Double(total, low - (total - high))


def _capped(size: Real, x: Double) -> Extended:
    """x, or `MOST` with the sign of `size` where |size| is at least `MOST`."""
    return chosen(jnp.abs(size) < np.float32(MOST), x, Double(jnp.sign(size) * np.float32(MOST), jnp.zeros_like(size)))
