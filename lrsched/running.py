"""How the clocks of a whole schedule run.

    state = init(s)                       # the step, and the state of every clock
    rate = evaluate(s, state)             # the value to use for this update
    state = tick(s, state, value=loss)    # the update has passed, and this was observed
    pure = bind(s, state)                 # the schedule as it is now, a function of the step alone
    rates = replay(s, losses)             # all of it, on metrics that were recorded

A clock ticks while its part of the schedule is running, from its first step to its last.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched import numerics
from lrsched.algebra import Constant, Driven, Schedule, driven_parts
from lrsched.clocks import advanced
from lrsched.node import shown
from lrsched.numerics import Moment, Number

S = TypeVar("S")


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
    check_observed(clocks_of(schedule), observations)
    return tick_with(schedule, state, steps, observations)


def tick_with(schedule: Schedule, state: ScheduleState, steps: Number, observations: dict[str, Any]) -> ScheduleState:
    """`tick` with the observations in a dict, where their names are not ours to choose, and unchecked."""
    parts = _parts("tick", schedule, state)
    running = _running(schedule, numerics.moment(state.step)[0], True)
    clocks = tuple(
        _where(runs, part.clock.tick(clock, steps, **observations), clock)
        for part, clock, runs in zip(parts, state.clocks, running, strict=True)
    )
    return ScheduleState(advanced(state.step, steps), clocks)


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


def replay(schedule: Schedule, observations: Any, every: int = 1) -> jax.Array:
    """The values that a schedule would have used on metrics that were recorded: one scan over them.

    Observation number i comes with the last of its `every` updates, and counts from the next update on.

    Args:
        schedule: the schedule; inside `jax.vmap` one of a batch.
        observations: what its clocks monitor, an array of shape (n,), or a dict of such arrays by name.
        every: how many updates there were for each observation: 1 for a training loss, those of an epoch for a validation
            loss.

    Returns:
        The values of the n · `every` updates.

    Raises:
        TypeError: if the schedule's clocks monitor none of the names, or several and no names are given.
        ValueError: if the arrays are not of one shape (n,), or `every` is below 1.

    >>> import lrsched as ls
    >>> s = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=1)
    >>> print(ls.replay(s, [3.0, 2.0, 2.0, 2.0, 2.0]))
    [0.1  0.1  0.1  0.1  0.05]
    """
    return replayed(schedule, observations, every)[0]


def replayed(schedule: Schedule, observations: Any, every: int) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The values of a replay, and what each clock read for them, in the order of the tree."""
    _single("replay", schedule)
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueError(f"replay(every=...) must be a whole number of updates, at least 1, got {every!r}")
    clocks = clocks_of(schedule)
    if not isinstance(observations, dict):
        names = sorted({name for clock in clocks for name in clock.monitors})
        if len(names) > 1:
            raise TypeError(f"replay(...) needs a dict: the clocks of this schedule monitor {', '.join(names)}")
        observations = {(names or ["value"])[0]: observations}
    check_observed(clocks, observations)
    tables = {name: values if isinstance(values, jax.Array) else np.asarray(values) for name, values in observations.items()}
    shapes = {np.shape(table) for table in tables.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name}: {np.shape(table)}" for name, table in tables.items()) or "none"
        raise ValueError(f"replay(observations=...) must be arrays of one shape (n,), got {found}")

    def update(state: ScheduleState, observed: dict[str, Any]) -> Any:
        readings = tuple(
            jnp.asarray(numerics.moment(clock.read(x), signed=True)[0].value())
            for clock, x in zip(clocks, state.clocks, strict=True)
        )
        return tick_with(schedule, state, 1, observed), (evaluate(schedule, state), readings)

    def updates(state: ScheduleState, observed: dict[str, Any]) -> Any:
        state, before = jax.lax.scan(lambda state, _: update(state, {}), state, length=every - 1)
        state, last = update(state, observed)
        return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), before, last)

    values = jax.jit(lambda state, tables: jax.lax.scan(updates, state, tables)[1])(init(schedule), tables)
    return jax.tree.map(jnp.ravel, values)


def _bind(call: str, schedule: Schedule, state: ScheduleState) -> Schedule:
    _parts(call, schedule, state)
    clocks = iter(state.clocks)

    def read(part: Any) -> Any:
        if not isinstance(part, Driven):
            return part
        return Constant(part.schedule(numerics.moment(part.clock.read(next(clocks)), signed=True)[0]), np.inf)

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


def clocks_of(schedule: Schedule) -> list[Any]:
    """The clocks of a schedule, in the order of the tree."""
    return [part.clock for part in driven_parts(schedule)]


def check_observed(clocks: list[Any], observations: dict[str, Any]) -> None:
    """Raises a TypeError if something was observed, and nothing of it is what the clocks monitor."""
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


def _single(call: str, schedule: Any) -> None:
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{call}(...) expects a schedule, got {shown(schedule)}")
    if batch := schedule.batch_shape:
        raise ValueError(f"{call}(...) takes one schedule, got a batch of shape {batch}: map it with jax.vmap")
