"""Extended numbers: those of a trace with more digits than a float32, since JAX has no float64 by default.

A `Double` is the sum of two float32, 48 bits. A `BoundedInt` is an int32 that cannot overflow: whole steps and known whole
lengths, as they mostly are, cost no more than integers. The operators of both mean what they do for floats.

Factors are split into halves of 12 bits whose products are exact, so it makes no difference whether a compiler fuses a product
with a sum. Sums choose the larger operand first: a compiler that knew one would take `(x + 1) - 1` for x, but it does not look
through a choice. (Dekker, *A floating-point technique for extending the available precision*, 1971.)
"""

import abc
import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

MOST = 1e30  # no amount of time is larger, so that products of two, and their derivatives, stay finite after a cap


class Extended(abc.ABC):
    """The base of extended numbers: operators that are made of others."""

    __array_ufunc__ = None  # or NumPy would make arrays of objects

    @abc.abstractmethod
    def __neg__(self) -> Any: ...

    @abc.abstractmethod
    def __add__(self, other: Any) -> Any: ...

    @abc.abstractmethod
    def __mul__(self, other: Any) -> Any: ...

    @abc.abstractmethod
    def __lt__(self, other: Any) -> Any: ...

    @abc.abstractmethod
    def to_whole(self, function: Callable[[Any], Any]) -> "Extended":
        """A function to whole numbers, such as floor, of all of it."""

    @abc.abstractmethod
    def snapped(self) -> "Extended":
        """The multiple of 2**-10 that is next to it, if there is one; else itself."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as of an array."""
        return np.broadcast_shapes(*map(np.shape, jax.tree.leaves(self)))

    @property
    def ndim(self) -> int:
        """The rank, as of an array."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Any:
        return jax.tree.map(lambda x: x[key], self)

    def __abs__(self) -> Any:
        return chosen(self < 0.0, -self, self)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __truediv__(self, other: Any) -> Any:
        return quotient(double(self), double(other)).snapped()

    def __rtruediv__(self, other: Any) -> Any:
        return double(other) / self

    def __gt__(self, other: Any) -> Any:
        return -self < -other

    def __le__(self, other: Any) -> Any:
        return (self > other) ^ True

    def __ge__(self, other: Any) -> Any:
        return (self < other) ^ True

    def __eq__(self, other: Any) -> Any:
        return (self <= other) & (self >= other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]


@dataclasses.dataclass(frozen=True, eq=False)
class Double(Extended):
    """`high + low`, with low at most half a unit in the last place of high."""

    high: Any
    low: Any

    def __float__(self) -> float:
        return float(self.high) + float(self.low)

    def __neg__(self) -> "Double":
        return Double(-self.high, -self.low)

    def __add__(self, other: Any) -> "Double":
        return _sum(self, double(other))

    def __mul__(self, other: Any) -> "Double":
        return _product(self, double(other))

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, float) and other == 0:
            return self.high < 0
        other = double(other)
        return (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))

    def to_whole(self, function: Callable[[Any], Any]) -> "Double":
        """A function to whole numbers, such as floor, of all of it."""
        high = function(self.high)
        return Double(*_normal(high, jnp.where(high == self.high, function(self.low), np.float32(0))))

    def snapped(self) -> "Double":
        """The multiple of 2**-10 that is within 2**-43 of it, if there is one."""
        return _snapped(self)


jax.tree_util.register_dataclass(Double, data_fields=["high", "low"], meta_fields=[])


@dataclasses.dataclass(frozen=True, eq=False)
class BoundedInt(Extended):
    """An int32 array, and bounds known while tracing. Where a result is not whole, or may be too large, it is a `Double`."""

    value: Any
    least: int
    most: int

    def __neg__(self) -> "BoundedInt":
        return BoundedInt(-self.value, -self.most, -self.least)

    def __add__(self, other: Any) -> Any:
        return self.combined(operator.add, other)

    def __mul__(self, other: Any) -> Any:
        return self.combined(operator.mul, other)

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, float):  # no whole number lies between it and the one above
            other = np.ceil(np.clip(other, self.least, self.most + 1.0))
        other = bounded_int(other)
        if not isinstance(other, BoundedInt):
            return double(self) < other
        if self.most < other.least or self.least >= other.most:
            return self.most < other.least
        return self.value < other.value

    def combined(self, operation: Callable[[Any, Any], Any], other: Any) -> Any:
        """The result of an operation that is largest and smallest at bounds, as integers if it fits."""
        other = bounded_int(other)
        if isinstance(other, BoundedInt):
            ends = [operation(x, y) for x in (self.least, self.most) for y in (other.least, other.most)]
            if min(ends) > -(2**31) and max(ends) < 2**31:
                return BoundedInt(operation(self.value, other.value), min(ends), max(ends))
        return operation(double(self), other)

    def snapped(self) -> "BoundedInt":
        """Itself, as it is exact."""
        return self

    def to_whole(self, function: Callable[[Any], Any]) -> "BoundedInt":
        """Itself, as it is whole."""
        del function
        return self


jax.tree_util.register_dataclass(BoundedInt, data_fields=["value"], meta_fields=["least", "most"])


def bounded_int(x: Any) -> Any:
    """A number as a `BoundedInt`, if it is known to be whole; else as it is."""
    if isinstance(x, (float, np.floating, np.ndarray)) and np.size(x) and np.all((np.abs(x) < 2**31) & (x == np.floor(x))):
        return BoundedInt(np.asarray(x, np.int32), int(np.min(x)), int(np.max(x)))
    return x


def double(x: Any) -> Double:
    """A number as a `Double`: a float64 of the host within 2**-49, an integer up to 2**47 and a float32 exactly."""
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
        return Double(*_normal((x - low).astype(np.float32), low.astype(np.float32)))
    high = jax.lax.convert_element_type(x, np.float32)
    if x.dtype == np.float64:
        return Double(high, jax.lax.convert_element_type(x - jax.lax.convert_element_type(high, np.float64), np.float32))
    return Double(high, jnp.zeros_like(high))


def chosen(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`; at least one of them is extended."""
    first, second = bounded_int(a), bounded_int(b)
    if isinstance(first, BoundedInt) and isinstance(second, BoundedInt):
        value = jnp.where(condition, first.value, second.value)
        return BoundedInt(value, min(first.least, second.least), max(first.most, second.most))
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), double(a), double(b))


def split(x: Any) -> tuple[Any, Any]:
    """A float32 as a head of 12 bits, a constant to derivatives, and the rest, of 12 bits with its sign."""
    bits = jax.lax.bitcast_convert_type(x, np.int32)
    head = jax.lax.bitcast_convert_type((bits + np.int32(0x800)) & np.int32(~0xFFF), np.float32)
    return head, x - head


def _trimmed(x: Any) -> Any:
    """A float32 rounded to 23 bits. A compiler does not look through it, and so uses the same in every place."""
    return jax.lax.bitcast_convert_type((jax.lax.bitcast_convert_type(x, np.int32) + 1) & np.int32(~1), np.float32)


def _normal(high: Any, low: Any) -> tuple[Any, Any]:
    """The two parts of a sum whose first is the larger, and is no constant."""
    total = high + low
    return total, low - (total - high)


def _capped(high: Any, low: Any) -> Double:
    high, low = _normal(high, low)
    fits = jnp.abs(high) < np.float32(MOST)
    return Double(jnp.where(fits, high, jnp.sign(high) * np.float32(MOST)), jnp.where(fits, low, np.float32(0)))


def _exact_product(a: Any, b: Any) -> tuple[Any, Any]:
    """The product of two float32, and by how much that is rounded."""
    product, (a, a_rest), (b, b_rest) = _trimmed(a * b), split(a), split(b)
    return product, ((a * b - product) + a * b_rest + a_rest * b) + a_rest * b_rest


def _differentiable(slope: Callable[..., Any]) -> Callable[[Callable[..., Double]], Callable[..., Double]]:
    """Gives a function of Doubles its derivative: a function of the numbers, of their changes and of its value, as floats."""

    def with_derivative(function: Callable[..., Double]) -> Callable[..., Double]:
        function = jax.custom_jvp(function)

        def rule(numbers: tuple[Double, ...], changes: tuple[Double, ...]) -> tuple[Double, Double]:
            value = function(*numbers)
            change = slope([x.high for x in numbers], [x.high + x.low for x in changes], value.high)
            return value, Double(jnp.broadcast_to(change, value.high.shape), jnp.zeros_like(value.low))

        function.defjvp(rule)
        return function

    return with_derivative


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The sum of two float32, and what rounding left out of it."""
    total, swapped = a + b, jnp.abs(a) < jnp.abs(b)
    return total, jnp.where(swapped, a, b) - (total - jnp.where(swapped, b, a))


@_differentiable(lambda _, changes, __: sum(changes))
def _sum(a: Double, b: Double) -> Double:
    total, rest = two_sum(a.high, b.high)
    return Double(*_normal(total, rest + (a.low + b.low)))


@_differentiable(lambda x, dx, value: jnp.where(jnp.abs(value) < np.float32(MOST), x[0] * dx[1] + x[1] * dx[0], np.float32(0)))
def _product(a: Double, b: Double) -> Double:
    high, low = _exact_product(a.high, b.high)
    return _capped(high, low + (a.high * b.low + a.low * b.high))


@_differentiable(lambda x, dx, value: (dx[0] - value * dx[1]) / x[1])  # 1 / b² is too large for a float where b is small
def quotient(a: Double, b: Double) -> Double:
    """`a / b` within 2**-46; exact where b is a power of 2, as the end of a long cycle needs."""
    inverse, nothing = 1 / b.high, np.zeros((), np.float32)
    first = a.high * inverse
    rest = a - b * Double(first, nothing)
    second = rest.high * inverse
    rest = rest - b * Double(second, nothing)
    value = Double(*_normal(first, second)) + Double(rest.high * inverse, nothing)
    return chosen(jnp.abs(first) < np.float32(MOST), value, Double(jnp.sign(first) * np.float32(MOST), nothing))


@_differentiable(lambda _, changes, __: changes[0])
def _snapped(x: Double) -> Double:
    whole = jnp.round(x.high * np.float32(2.0**10)) * np.float32(2.0**-10)
    rest = (x.high - whole) + x.low
    more = jnp.round(rest * np.float32(2.0**10)) * np.float32(2.0**-10)
    near = jnp.abs(rest - more) <= jnp.abs(x.high) * np.float32(2.0**-43)
    return chosen(near, Double(*_normal(whole, more)), x)
