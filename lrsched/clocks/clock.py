"""Clocks: reducers of observations, which hold all the state. `running.py` runs the clocks of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.combinators import checked_clock
from lrsched.algebra.double import double, two_sum
from lrsched.algebra.node import Node, child, choice, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.written import shown

Observed: TypeAlias = Mapping[str, Any]  # numbers by name, without None


class Clock(Node):
    """The base of clocks: reducers `(state, observations) -> state` with a reading, the time.

    Decorate a subclass with `lrsched.node`, and make the fields for its numbers with `lrsched.leaf`. It names its metric in
    `monitor` (or several in `monitors`), and defines

        init()                            the first state, a pytree of arrays, each in its own buffer
        tick(state, steps, observations)  the next state, of the same structure, shapes and types; steps is 1 for an update,
                                          and 0 between two
        read(state)                       the time, a scalar; it may fall, even below 0

    It may also define `combine`: how several observations within one update become one, "mean", "sum" or "max" (see
    `accumulate`); `immediate`: whether an observation affects the update that it comes with (see `Plateau`); `unit`: the
    name of the quantity that it counts; and `report(state)`: the output of `readings`.

    This example adapts a learning rate as RL libraries do: it counts up while the KL divergence of a policy update is too
    small, and down while it is too large (after Schulman et al., *Proximal policy optimization*, 2017):

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> @ls.node
    ... class KLAdaptive(ls.Clock):
    ...     target: float = ls.leaf(default=0.01)
    ...     low: float = ls.leaf(default=-14)
    ...     high: float = ls.leaf(default=8)
    ...     monitor = "kl"
    ...
    ...     def init(self):
    ...         return jnp.zeros((), jnp.int32)
    ...
    ...     def tick(self, state, steps, observations):
    ...         kl = observations.get("kl")
    ...         if kl is None:
    ...             return state
    ...         change = jnp.where(kl > 2 * self.target, -1, jnp.where(kl < self.target / 2, 1, 0))
    ...         return jnp.clip(state + change, self.low, self.high).astype(jnp.int32)
    ...
    ...     def read(self, state):
    ...         return state
    >>> s = ls.Exponential(3e-4, 1.5).on(KLAdaptive(target=0.02))
    >>> state = ls.clocks.init(s)
    >>> for kl in [0.1, 0.1, 0.001]:
    ...     state = ls.clocks.tick(s, state, kl=kl)
    >>> print(ls.clocks.evaluate(s, state))
    0.0002
    """

    combine: ClassVar[str] = "mean"
    immediate: bool = False
    _unit: ClassVar[str] = "{self.__class__.__name__}"

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,) if hasattr(self, "monitor") else ()  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def unit(self) -> str:
        """The name of the quantity that it counts, for plots and summaries."""
        return self._unit.format(self=self)

    def init(self) -> Any:
        """The first state."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method init().")

    def tick(self, state: Any, steps: Number, observations: Observed) -> Any:
        """The next state, `steps` (0 or 1) updates later; `observations` holds numbers by name, without None."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method tick(state, steps, observations).")

    def read(self, state: Any) -> Any:
        """The time."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method read(state).")

    def _during(self, before: Any, after: Any) -> Any:
        """The state that an update reads: the one before the update or the one after it."""
        return after if self.immediate else before

    def report(self, state: Any) -> dict[str, Any]:
        """The numbers that `readings` returns, by name: by default the reading, under the name of the metric."""
        return {"/".join(self.monitors) or type(self).__name__: self.read(state)}


@node
class Steps(Clock):
    """Counts updates, starting at 0 where its part of the schedule begins.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 10).on(ls.Steps())
    >>> state = ls.clocks.init(s)
    >>> for _ in range(4):
    ...     state = ls.clocks.tick(s, state)
    >>> print(ls.clocks.evaluate(s, state))
    0.4
    """

    _unit: ClassVar[str] = "updates"

    def init(self) -> jax.Array:
        return zero()

    def tick(self, state: jax.Array, steps: Number, observations: Observed) -> jax.Array:
        del observations
        return advanced(state, steps)

    def read(self, state: jax.Array) -> jax.Array:
        return state


@node
class Counter(Clock):
    """Adds up its observations: tokens, samples, frames or epochs. So a schedule can be written in tokens.

    Sums of whole numbers are exact up to 2**53, and sums of fractions at least as exact as in float64; the schedule uses 48
    bits. Like every clock, it counts only while its part of the schedule runs. To count from the first update, put the
    whole schedule on it: `(warmup >> decay).on(Counter("tokens"))`.

    Args:
        monitor: the name of its observations, numbers from 0 to 2**53: for `jax.jit` an int32, or a float32 if they are larger.
            A traced number below 0, or a NaN, adds nothing.

    Raises:
        TypeError: on a tick, if the observation is not a scalar.
        ValueError: on a tick, if the observation is known to be out of bounds.

    >>> import lrsched as ls
    >>> s = ls.Cosine(1e-3, 0.0, 15e12).on(ls.Counter("tokens"))
    >>> state = ls.clocks.init(s)
    >>> for _ in range(5):
    ...     state = ls.clocks.tick(s, state, tokens=1.5e12)
    >>> print(ls.clocks.evaluate(s, state))
    0.0005
    """

    combine: ClassVar[str] = "count"  # an exact sum
    _unit: ClassVar[str] = "{self.monitor}"

    monitor: str = choice()

    def init(self) -> Count:
        return no_count()

    def tick(self, state: Count, steps: Number, observations: Observed) -> Count:
        del steps
        value = observations.get(self.monitor)
        return state if value is None else counted(state, count_of(f"Counter(monitor={self.monitor!r})", value))

    def read(self, state: Count) -> Any:
        return state.read()


@node
class Around(Clock):
    """The base of clocks that run another clock."""

    clock: Any = child()

    def _check(self) -> None:
        checked_clock(type(self).__name__, self.clock)

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.clock.monitors

    @property
    def combine(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - follows the other clock
        return self.clock.combine


class SinceState(NamedTuple):
    clock: Any  # the state of the other clock
    moved: jax.Array  # whether it has moved
    steps: jax.Array  # the reading


@node
class Since(Around):
    """Counts updates since another clock first moved; 0 until then.

    Use it to hold a rate until a plateau, or until a signal from outside, and then start a cool-down:

    >>> import lrsched as ls
    >>> s = ls.OneMinusSqrt(0.1, 0.0, 4).on(ls.Since(ls.Counter("signal")))
    >>> state = ls.clocks.init(s)
    >>> for _ in range(1000):
    ...     state = ls.clocks.tick(s, state)
    >>> print(ls.clocks.evaluate(s, state))
    0.1
    >>> state = ls.clocks.tick(s, state, steps=0, signal=1)  # somebody wants to end the run
    >>> state = ls.clocks.tick(s, state)
    >>> print(ls.clocks.evaluate(s, state))
    0.05

    In `warmup >> cooldown.on(Since(...))` a signal during the warm-up is lost. Multiply instead.

    Args:
        clock: the other clock. Time 0 is the update after the one at which that clock moved.

    Raises:
        TypeError: if it is not a clock.
    """

    _unit: ClassVar[str] = "updates since the first change of {self.clock.unit}"

    def init(self) -> SinceState:
        return SinceState(self.clock.init(), jnp.zeros((), bool), zero())

    def tick(self, state: SinceState, steps: Number, observations: Observed) -> SinceState:
        clock = self.clock.tick(state.clock, steps, observations)
        times = (numerics.time_of(self.clock.read(x), signed=True)[0] for x in (clock, self.clock.init()))
        now, first = map(numerics.to_float, times)
        moved = state.moved | jnp.asarray(now != first)
        return SinceState(clock, moved, jnp.where(state.moved, advanced(state.steps, steps), state.steps))

    def read(self, state: SinceState) -> jax.Array:
        return state.steps

    def report(self, state: SinceState) -> dict[str, Any]:
        return {**self.clock.report(state.clock), f"{'/'.join(self.monitors) or 'clock'}/since": state.steps}


# Counts: an int32, and sums of three float32, 72 bits, since JAX has no 64-bit numbers by default.

_LAST = np.int32(2**31 - 1)
_MOST = 2.0**53


def zero() -> jax.Array:
    """0 as an int32, in its own buffer."""
    return jnp.zeros((), jnp.int32)


def advanced(count: jax.Array, more: Number) -> jax.Array:
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
