"""Clocks: reducers of observations, and all the state there is. `running.py` runs those of a whole schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from lrsched.algebra import numerics
from lrsched.algebra.driven import checked_clock
from lrsched.algebra.node import Node, child, choice, leaf, node
from lrsched.algebra.numerics import Number
from lrsched.clocks.counts import Count, advanced, as_number, count_of, counted, no_count, zero

Observed: TypeAlias = Mapping[str, Any]  # numbers by name, and no None


class Clock(Node):
    """The base of clocks: reducers `(state, observations) -> state` with a reading, the time.

    A subclass is decorated with `lrsched.node`. Its numbers are fields made with `lrsched.leaf`. It names the metric that it
    observes in `monitor` (or several in `monitors`), and defines

        init()                            the first state, a pytree of arrays, each a buffer of its own
        tick(state, steps, observations)  the next state, of the same structure, shapes and types
        read(state)                       the time, a scalar; it may go down, and below 0

    and, where they differ from the defaults, in `combine` how several observations within one update become one (see
    `accumulate`): "mean", "sum" or "max"; in `unit` what its reading counts; in `report(state)` what `readings` shows of it.

    This one counts up while the KL divergence of a policy update is too small and down while it is too large, between two
    bounds, so that the learning rate adapts as in RL libraries (after Schulman et al., *Proximal policy optimization*, 2017):

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
    >>> state = ls.init(s)
    >>> for kl in [0.1, 0.1, 0.001]:
    ...     state = ls.tick(s, state, kl=kl)
    >>> print(ls.evaluate(s, state))
    0.0002
    """

    combine: ClassVar[str] = "mean"

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,) if hasattr(self, "monitor") else ()  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def unit(self) -> str:
        """What its reading counts, as plots and summaries say it; by default the name of its class."""
        return type(self).__name__

    def init(self) -> Any:
        """The first state."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method init().")

    def tick(self, state: Any, steps: Number, observations: Observed) -> Any:
        """The next state, `steps` (0 or 1) updates later; `observations` holds numbers by name, and no None."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method tick(state, steps, observations).")

    def read(self, state: Any) -> Any:
        """The time."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method read(state).")

    def report(self, state: Any) -> dict[str, Any]:
        """What `readings` shows of it, by name; by default its reading, under the name of what it observes."""
        return {"/".join(self.monitors) or type(self).__name__: self.read(state)}


@node
class Steps(Clock):
    """Counts updates, from 0 where its part of the schedule begins.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 10).on(ls.Steps())
    >>> state = ls.init(s)
    >>> for _ in range(4):
    ...     state = ls.tick(s, state)
    >>> print(ls.evaluate(s, state))
    0.4
    """

    @property
    def unit(self) -> str:
        """Updates."""
        return "updates"

    def init(self) -> jax.Array:
        return zero()

    def tick(self, state: jax.Array, steps: Number, observations: Observed) -> jax.Array:
        del observations
        return advanced(state, steps)

    def read(self, state: jax.Array) -> jax.Array:
        return state


class PlateauState(NamedTuple):
    best: jax.Array  # the best observation so far
    bad: jax.Array  # observations since then, or since the last plateau
    cooldown: jax.Array  # observations left during which none counts as bad
    plateaus: jax.Array  # the reading
    total: jax.Array  # the sum of the observations in this window
    seen: jax.Array  # their number


@node
class Plateau(Clock):
    """Counts plateaus: how often a metric has gone without improving for more than `patience` observations.

    An observation a is better than the best b so far, and becomes the best, if

        mode "min":  a < b - margin        mode "max":  a > b + margin

    where margin is threshold · |b| ("rel"; 0 while nothing was observed), threshold ("abs"), or threshold · b ("rel_signed",
    PyTorch's rule, under which a flat metric below 0 counts as better every time). Any other, NaN included, is bad. When the
    count of bad ones exceeds `patience`, that is a plateau: the reading goes up by one, the count starts again, and the next
    `cooldown` observations do not count as bad.

    Args:
        mode: "min" for a loss, "max" for a score.
        patience: the number of bad observations in a row that it tolerates, >= 0.
        threshold: how much better is better, >= 0.
        threshold_mode: "rel", "abs" or "rel_signed".
        cooldown: the number of observations after a plateau that do not count, >= 0.
        monitor: the name of what it observes. Without it, a tick leaves the clock where it is.
        window: the mean of so many observations counts as one, >= 1: for a loss that is observed at every update.

    Raises:
        TypeError: on a tick, if the observation is not a scalar.

    >>> import lrsched as ls
    >>> s = ls.Exponential(1.0, 0.5).on(ls.Plateau(patience=1))
    >>> state = ls.init(s)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     state = ls.tick(s, state, value=loss)
    >>> print(ls.evaluate(s, state))
    0.5

    References:
        PyTorch's `ReduceLROnPlateau`, whose counting it is; the margins of "rel" are not, nor is the window.
    """

    mode: Literal["min", "max"] = choice("min", "max", default="min")
    patience: Number = leaf(ge=0, unit="observations", default=10.0)
    threshold: Number = leaf(ge=0, default=1e-4, hint="how much better counts as better")
    threshold_mode: Literal["rel", "abs", "rel_signed"] = choice("rel", "abs", "rel_signed", default="rel")
    cooldown: Number = leaf(ge=0, unit="observations", default=0.0)
    monitor: str = choice(default="value")
    window: Number = leaf(ge=1, unit="observations", default=1.0)

    @property
    def unit(self) -> str:
        """Plateaus of the metric."""
        return f"plateaus of {self.monitor}"

    def init(self) -> PlateauState:
        # Each a buffer of its own, or the state could not be donated.
        bad, cooldown, plateaus, seen = (zero() for _ in range(4))
        return PlateauState(_worst(self.mode), bad, cooldown, plateaus, jnp.zeros((), numerics.float_type()), seen)

    def tick(self, state: PlateauState, steps: Number, observations: Observed) -> PlateauState:
        del steps
        value = _observed(self, observations)
        if value is None:
            return state
        total, seen = state.total + value, state.seen + 1
        mean = total / numerics.to_float(seen)
        counts = numerics.to_float(seen) >= numerics.to_float(self.window)  # the window is full: its mean is an observation
        better, cooling = _is_better(self, mean, state.best), state.cooldown > 0
        bad = jnp.where(better | cooling, 0, state.bad + 1)
        fired = numerics.to_float(bad) > numerics.to_float(self.patience)
        cooldown = jnp.minimum(jnp.ceil(numerics.to_float(self.cooldown)), 2.0**30).astype(jnp.int32)
        after = PlateauState(
            best=jnp.where(better, mean, state.best),
            bad=jnp.where(fired, 0, bad),
            cooldown=jnp.where(fired, cooldown, jnp.where(cooling, state.cooldown - 1, 0)),
            plateaus=jnp.where(fired, state.plateaus + 1, state.plateaus),
            total=jnp.zeros_like(total),
            seen=jnp.zeros_like(seen),
        )
        return jax.tree.map(lambda a, b: jnp.where(counts, a, b), after, state._replace(total=total, seen=seen))

    def read(self, state: PlateauState) -> jax.Array:
        return state.plateaus

    def report(self, state: PlateauState) -> dict[str, Any]:
        name = self.monitor
        return {f"{name}/plateaus": state.plateaus, f"{name}/bad": state.bad, f"{name}/best": state.best}


class SinceBestState(NamedTuple):
    best: jax.Array  # the best observation so far
    bad: jax.Array  # the reading


@node
class SinceBest(Clock):
    """Counts the observations since the best one: what early stopping goes by.

    A training loop can read it by itself, and stop:

    >>> import lrsched as ls
    >>> clock = ls.SinceBest(monitor="loss")
    >>> state = clock.init()
    >>> for epoch, loss in enumerate([3.0, 2.0, 1.0, 1.5, 1.2, 1.4, 0.9]):
    ...     state = clock.tick(state, 0, {"loss": loss})
    ...     if clock.read(state) >= 3:
    ...         break
    >>> print(epoch, state.best)
    5 1.0

    Args:
        mode, threshold, threshold_mode, monitor: as in `Plateau`.

    Raises:
        TypeError: on a tick, if the observation is not a scalar.
    """

    mode: Literal["min", "max"] = choice("min", "max", default="min")
    threshold: Number = leaf(ge=0, default=1e-4, hint="how much better counts as better")
    threshold_mode: Literal["rel", "abs", "rel_signed"] = choice("rel", "abs", "rel_signed", default="rel")
    monitor: str = choice(default="value")

    @property
    def unit(self) -> str:
        """Observations since the best one."""
        return f"observations since the best {self.monitor}"

    def init(self) -> SinceBestState:
        return SinceBestState(_worst(self.mode), zero())

    def tick(self, state: SinceBestState, steps: Number, observations: Observed) -> SinceBestState:
        del steps
        value = _observed(self, observations)
        if value is None:
            return state
        better = _is_better(self, value, state.best)
        return SinceBestState(jnp.where(better, value, state.best), jnp.where(better, 0, advanced(state.bad, 1)))

    def read(self, state: SinceBestState) -> jax.Array:
        return state.bad

    def report(self, state: SinceBestState) -> dict[str, Any]:
        return {f"{self.monitor}/since_best": state.bad, f"{self.monitor}/best": state.best}


@node
class Counter(Clock):
    """Adds up what it observes: tokens, samples, frames, epochs. So a schedule can be written in tokens.

    Whole numbers are added exactly up to 2**53 and beyond, and fractions with smaller errors than a float64 has; the schedule
    uses the first 48 bits of the sum. Like every clock it counts while its part of the schedule runs: to count from the first
    update on, put the whole schedule on it, `(warmup >> decay).on(Counter("tokens"))`.

    Args:
        monitor: the name of what it observes, a number >= 0. In a trace a number below 0, or a NaN, adds nothing.

    Raises:
        TypeError: on a tick, if the observation is not a scalar.
        ValueError: on a tick, if the observation is known not to be a number from 0 to 2**53.

    >>> import lrsched as ls
    >>> s = ls.Cosine(1e-3, 0.0, 15e12).on(ls.Counter("tokens"))
    >>> state = ls.init(s)
    >>> for _ in range(5):
    ...     state = ls.tick(s, state, tokens=1.5e12)
    >>> print(ls.evaluate(s, state))
    0.0005
    """

    combine: ClassVar[str] = "count"  # the sum, without rounding

    monitor: str = choice()

    @property
    def unit(self) -> str:
        """What it adds up."""
        return self.monitor

    def init(self) -> Count:
        return no_count()

    def tick(self, state: Count, steps: Number, observations: Observed) -> Count:
        del steps
        value = observations.get(self.monitor)
        return state if value is None else counted(state, count_of(_call(self), value))

    def read(self, state: Count) -> Any:
        return state.read()


class SinceState(NamedTuple):
    clock: Any  # the state of the other clock
    moved: jax.Array  # whether it has moved
    steps: jax.Array  # the reading


@node
class Since(Clock):
    """Counts updates since another clock first moved, and stands at 0 until then.

    So one line holds a rate until a plateau, or until a signal from outside, and then cools down over n steps:

    >>> import lrsched as ls
    >>> s = ls.OneMinusSqrt(0.1, 0.0, 4).on(ls.Since(ls.Counter("signal")))
    >>> state = ls.init(s)
    >>> for _ in range(1000):
    ...     state = ls.tick(s, state)
    >>> print(ls.evaluate(s, state))
    0.1
    >>> state = ls.tick(s, state, steps=0, signal=1)  # somebody wants to see it end
    >>> state = ls.tick(s, state)
    >>> print(ls.evaluate(s, state))
    0.05

    A signal during a warm-up before `>>` is lost: there, multiply, `warmup * cooldown.on(Since(...))`.

    Args:
        clock: the other clock. The update after the one with which it moved is at time 0.

    Raises:
        TypeError: if it is no clock.
    """

    clock: Any = child()

    def _check(self) -> None:
        checked_clock("Since", self.clock)

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.clock.monitors

    @property
    def combine(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - as the other clock does
        return self.clock.combine

    @property
    def unit(self) -> str:
        """Updates since the other clock moved."""
        return f"updates since the first change of {self.clock.unit}"

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


def _call(clock: Plateau | SinceBest | Counter) -> str:
    return f"{type(clock).__name__}(monitor={clock.monitor!r})"


def _observed(clock: Plateau | SinceBest, observations: Observed) -> jax.Array | None:
    """The metric of a clock, as a float; None if it was not observed."""
    value = observations.get(clock.monitor)
    return None if value is None else jnp.asarray(numerics.to_float(as_number(_call(clock), value)))


def _worst(mode: str) -> jax.Array:
    return jnp.full((), jnp.inf if mode == "min" else -jnp.inf, numerics.float_type())


def _is_better(clock: Plateau | SinceBest, value: jax.Array, best: jax.Array) -> jax.Array:
    threshold = numerics.to_float(clock.threshold)
    if clock.threshold_mode == "abs":
        margin = threshold
    else:
        finite = jnp.where(jnp.isinf(best), 0, best)  # before the product: 0 · inf is no number
        margin = threshold * (jnp.abs(finite) if clock.threshold_mode == "rel" else finite)
    return value < best - margin if clock.mode == "min" else value > best + margin
