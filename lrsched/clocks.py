"""Clocks: where all the state is.

A clock is a reducer. Its hyperparameters are its fields; its state is passed in and out. `init()` gives the first state,
`tick` takes it past an update and whatever was observed, `read` says what time it is. A schedule whose time is a clock's
reading is *driven*: `schedule.on(clock)`. Four functions run the clocks of a whole schedule:

    state = init(s)                       # the step, and the state of every clock
    rate = evaluate(s, state)             # the value to use for this update
    state = tick(s, state, value=loss)    # the update has passed, and this was observed
    pure = bind(s, state)                 # the schedule as it is now, a function of the step alone

A clock ticks while its part of the schedule is running, from its first step to its last.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched import numerics
from lrsched.node import COUNT, NON_NEGATIVE, Node, choice, leaf, node, shown
from lrsched.numerics import Moment, Number
from lrsched.schedule import Constant, Driven, Schedule, driven_parts

S = TypeVar("S")

_LAST_STEP = np.int32(2**31 - 1)


class Clock(Node):
    """The base of clocks. A subclass is decorated with `lrsched.node.node` and defines `init`, `tick` and `read`.

    Its numbers are fields made with `lrsched.node.leaf`. What `init` gives, `tick` must give back with the same structure,
    shapes and types: it becomes part of the state of an optimizer. One that observes something says its name in `monitors`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> from lrsched.node import leaf, node
    >>> @node
    ... class Alarms(ls.Clock):  # counts how often a metric was above a limit
    ...     limit: float = leaf(default=1.0)
    ...     monitors = ("value",)
    ...
    ...     def init(self):
    ...         return jnp.zeros((), jnp.int32)
    ...
    ...     def tick(self, state, steps, value=None, **observations):
    ...         return state if value is None else jnp.where(value > self.limit, state + 1, state)
    ...
    ...     def read(self, state):
    ...         return state
    >>> s = ls.Exponential(0.1, 0.5).on(Alarms(limit=5.0))
    >>> print(ls.evaluate(s, ls.tick(s, ls.init(s), value=7.0)))
    0.05
    """

    @property
    def monitors(self) -> tuple[str, ...]:
        """The names of what it observes; by default its `monitor`, if it has one."""
        return (self.monitor,) if hasattr(self, "monitor") else ()  # pyright: ignore[reportAttributeAccessIssue]

    def init(self) -> Any:
        """The first state, a pytree of arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define init()")

    def tick(self, state: Any, steps: Number, **observations: Any) -> Any:
        """The next state, `steps` (0 or 1) updates later; `observations` holds what was observed, by name."""
        raise NotImplementedError(f"{type(self).__name__} must define tick(state, steps, **observations)")

    def read(self, state: Any) -> Any:
        """The time, at least 0."""
        raise NotImplementedError(f"{type(self).__name__} must define read(state)")


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

    def init(self) -> Any:
        return jnp.zeros((), jnp.int32)

    def tick(self, state: Any, steps: Number, **observations: Any) -> Any:
        del observations
        return _advance(state, steps)

    def read(self, state: Any) -> Any:
        return state


class PlateauState(NamedTuple):
    """What a `Plateau` remembers; every entry is a scalar."""

    best: Any  # the best observation so far
    bad: Any  # observations since then, or since the last plateau
    cooldown: Any  # observations left during which none counts as bad
    plateaus: Any  # the reading


@node
class Plateau(Clock):
    """Counts plateaus: how often a metric has gone without improving for more than `patience` observations.

    An observation a is better than the best b so far, and becomes the best, if

        mode "min":  a < b - margin        mode "max":  a > b + margin

    where margin = threshold · |b| ("rel"; 0 while nothing was observed), threshold ("abs"), or threshold · b in mode "min"
    and threshold · b in mode "max" with the sign of b ("rel_signed", PyTorch's rule, under which a flat metric below 0
    counts as better every time). Any other, NaN included, is bad. When the count of bad ones exceeds `patience`, that is a
    plateau: the reading goes up by one, the count starts again, and the next `cooldown` observations do not count as bad.

    Args:
        mode: "min" for a loss, "max" for a score.
        patience: the number of bad observations in a row that it tolerates, >= 0.
        threshold: how much better is better, >= 0.
        threshold_mode: "rel", "abs" or "rel_signed".
        cooldown: the number of observations after a plateau that do not count, >= 0.
        monitor: the name of what it observes. Without it, a tick leaves the clock where it is.

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
        PyTorch's `ReduceLROnPlateau`, whose counting it is; the margins of "rel" are not.
    """

    mode: Literal["min", "max"] = choice("min", "max", default="min")
    patience: Number = leaf(COUNT, mend="it is the number of bad observations to tolerate", default=10.0)
    threshold: Number = leaf(NON_NEGATIVE, mend="it is how much better counts as better", default=1e-4)
    threshold_mode: Literal["rel", "abs", "rel_signed"] = choice("rel", "abs", "rel_signed", default="rel")
    cooldown: Number = leaf(COUNT, mend="it is the number of observations to ignore after a plateau", default=0.0)
    monitor: str = choice(default="value")

    def init(self) -> PlateauState:
        worst = jnp.inf if self.mode == "min" else -jnp.inf
        zero = jnp.zeros((), jnp.int32)
        return PlateauState(jnp.full((), worst, numerics.float_type()), zero, zero, zero)

    def tick(self, state: PlateauState, steps: Number, **observations: Any) -> PlateauState:
        del steps
        value = observations.get(self.monitor)
        if value is None:
            return state
        if not isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)):
            raise TypeError(f"Plateau(monitor={self.monitor!r}) observes a number, got {shown(value)} ({type(value).__name__})")
        if np.shape(value) != ():
            raise TypeError(
                f"Plateau(monitor={self.monitor!r}) observes a scalar, got shape {np.shape(value)}: reduce it first"
            )
        value = numerics.real(value).astype(state.best.dtype)
        better = self._is_better(value, state.best)
        cooling = state.cooldown > 0
        bad = jnp.where(better | cooling, 0, state.bad + 1)
        fired = numerics.real(bad) > numerics.real(self.patience)
        cooldown = jnp.minimum(jnp.ceil(numerics.real(self.cooldown)), 2.0**30).astype(jnp.int32)
        return PlateauState(
            best=jnp.where(better, value, state.best),
            bad=jnp.where(fired, 0, bad),
            cooldown=jnp.where(fired, cooldown, jnp.where(cooling, state.cooldown - 1, 0)),
            plateaus=jnp.where(fired, state.plateaus + 1, state.plateaus),
        )

    def _is_better(self, value: jax.Array, best: jax.Array) -> jax.Array:
        threshold, sign = numerics.real(self.threshold), 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            margin = threshold
        else:
            finite = jnp.where(jnp.isinf(best), jnp.zeros_like(best), best)  # before the product: 0 · inf is no number
            margin = threshold * (jnp.abs(finite) if self.threshold_mode == "rel" else finite)
        return value < best - margin if sign == 1 else value > best + margin

    def read(self, state: PlateauState) -> Any:
        return state.plateaus


class ScheduleState(NamedTuple):
    """The state of a schedule: the step of the update to come, and the states of its clocks in the order of the tree."""

    step: Any
    clocks: tuple[Any, ...]


def init(schedule: Schedule) -> ScheduleState:
    """The state before the first update: step 0, and the first state of every clock.

    Args:
        schedule: one schedule, driven or not.

    Raises:
        ValueError: if it is a batch: map it with `jax.vmap`.

    >>> import lrsched as ls
    >>> print(ls.init(ls.Constant(0.1)))
    ScheduleState(step=Array(0, dtype=int32), clocks=())
    """
    _single("init", schedule)
    return ScheduleState(jnp.zeros((), jnp.int32), tuple(part.clock.init() for part in driven_parts(schedule)))


def evaluate(schedule: Schedule, state: ScheduleState) -> jax.Array:
    """The value for the update to come: `bind(schedule, state)(state.step)`, a scalar.

    Args:
        schedule: the schedule.
        state: its state, from `init` or `tick`.

    Raises:
        ValueError: if the state is that of another schedule.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 10)
    >>> print(ls.evaluate(s, ls.tick(s, ls.init(s))))
    0.1
    """
    return _bind("evaluate", schedule, state)(state.step)


def tick(schedule: Schedule, state: ScheduleState, steps: Number = 1, **observations: Any) -> ScheduleState:
    """The state after an update, and after what was observed with it.

    Args:
        schedule: the schedule.
        state: its state before.
        steps: 1 for an update, 0 for something observed between two updates, like a validation metric.
        observations: scalars by name, such as `value=loss`. A clock takes what it monitors; None counts as not observed.

    Raises:
        TypeError: if nothing that is observed is monitored by any of its clocks. (A schedule without clocks takes anything.)
        ValueError: if the state is that of another schedule, or `steps` is neither 0 nor 1.

    >>> import lrsched as ls
    >>> s = ls.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = ls.init(s)
    >>> state = ls.tick(s, state, value=1.0)           # an update and its loss
    >>> state = ls.tick(s, state, steps=0, value=1.0)  # a loss between two updates, and no better
    >>> print(state.step, ls.evaluate(s, state))
    1 0.5
    """
    if not isinstance(steps, jax.core.Tracer) and steps not in (0, 1):
        raise ValueError(f"tick(steps=...) must be 1 for an update or 0 for an observation between two, got {steps!r}")
    return tick_with(schedule, state, steps, observations)


def tick_with(schedule: Schedule, state: ScheduleState, steps: Number, observations: dict[str, Any]) -> ScheduleState:
    """`tick` with the observations in a dict, where their names are not ours to choose."""
    parts = _parts("tick", schedule, state)
    _check_observed([part.clock for part in parts], observations)
    running = _running(schedule, numerics.moment(state.step)[0], True)
    clocks = tuple(
        _where(runs, part.clock.tick(clock, steps, **observations), clock)
        for part, clock, runs in zip(parts, state.clocks, running, strict=True)
    )
    return ScheduleState(_advance(state.step, steps), clocks)


def bind(schedule: Schedule, state: ScheduleState) -> Schedule:
    """The schedule with every driven part replaced by its present value: a function of the step alone.

    Args:
        schedule: the schedule.
        state: its state, from `init` or `tick`.

    Raises:
        ValueError: if the state is that of another schedule.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 4) >> ls.Exponential(1.0, 0.5).on(ls.Plateau())
    >>> print(ls.bind(s, ls.init(s))([2, 4, 1000]))
    [0.5 1.  1. ]
    """
    return _bind("bind", schedule, state)


def _bind(call: str, schedule: Schedule, state: ScheduleState) -> Schedule:
    _parts(call, schedule, state)
    clocks = iter(state.clocks)

    def read(part: Any) -> Any:
        if not isinstance(part, Driven):
            return part
        return Constant(part.schedule(part.clock.read(next(clocks))), np.inf)

    return jax.tree.map(read, schedule, is_leaf=lambda x: isinstance(x, Driven))


def _parts(call: str, schedule: Schedule, state: Any) -> list[Driven]:
    """The driven parts of a schedule, once it is sure that the state is one of that schedule."""
    _single(call, schedule)
    if not hasattr(state, "step") or not hasattr(state, "clocks"):
        raise TypeError(f"{call}(...) expects the state that init(schedule) makes, got {shown(state)} ({type(state).__name__})")
    parts = driven_parts(schedule)
    if len(parts) != len(state.clocks):
        raise ValueError(
            f"{call}(...) got a state of {len(state.clocks)} clocks for a schedule of {len(parts)}, {shown(schedule)}: it is"
            " the state of another schedule; init(schedule) makes one that fits"
        )
    return parts


def _check_observed(clocks: list[Any], observations: dict[str, Any]) -> None:
    monitored = sorted({name for clock in clocks for name in clock.monitors})
    if monitored and observations and not any(name in observations for name in monitored):
        raise TypeError(
            f"the clocks of this schedule monitor {', '.join(monitored)}, and what was observed is"
            f" {', '.join(sorted(observations))}: give it as"
            f" {monitored[0]}=..., None where there is none yet, or set the clock's monitor"
        )


def _running(schedule: Schedule, moment: Moment, active: Any) -> list[Any]:
    """For each driven part, in the order of the tree, whether its clock ticks now."""
    if isinstance(schedule, Driven):
        return [active]
    flags = []
    for part, own, runs in schedule.spans(moment):
        flags += _running(part, own, _both(active, runs))
    return flags


def _both(a: Any, b: Any) -> Any:
    return jnp.logical_and(a, b) if not numerics.is_concrete(a, b) else bool(a) and bool(b)


def _where(condition: Any, new: S, old: S) -> S:
    if isinstance(condition, bool):
        return new if condition else old
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _advance(step: Any, steps: Number) -> Any:
    """The step after `steps` more, stopping at the last int32."""
    step = jnp.asarray(step)
    return step + jnp.minimum(jnp.asarray(steps, step.dtype), _LAST_STEP - step)


def _single(call: str, schedule: Any) -> None:
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{call}(...) expects a schedule, got {shown(schedule)}")
    if batch := schedule.batch_shape:
        raise ValueError(f"{call}(...) takes one schedule, got a batch of shape {batch}: map it with jax.vmap")
