"""Runs the clocks of a whole schedule.

    state = init(s)                       # the step, and the state of every clock
    rate = evaluate(s, state)             # the value to use for this update
    state = tick(s, state, value=loss)    # after the update, with its observation
    pure = bind(s, state)                 # the schedule as it is now, a function of the step alone
    rates = replay(s, losses)             # the same, on recorded metrics

A clock ticks while its part of the schedule is running, from the first step of that part to its last.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.combinators import Driven, driven_parts
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked, each_number, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant, as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike, ready, value_at
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.clock import Clock, advanced
from lrsched.clocks.observations import Gathered, Observations, check_monitored, merged, monitored_by

S = TypeVar("S")


class ScheduleState(NamedTuple):
    """The state of a schedule: the step of the next update, and the states of its clocks in tree order."""

    step: jax.Array
    clocks: tuple[Any, ...]


@explained
def init(schedule: ScheduleLike, step: Number = 0) -> ScheduleState:
    """The state before update number `step`, as if there had been no observations.

    Args:
        schedule: one schedule, driven or not.
        step: the number of updates made so far, >= 0. It may be traced.

    Raises:
        TypeError: if the step is not a whole number.
        ValueError: if the schedule is a batch (map it with `jax.vmap`), or if the step is below 0 or above 2³¹ - 1.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 10)
    >>> print(ls.clocks.evaluate(s, ls.clocks.init(s, step=4)))
    0.4
    """
    schedule = one_schedule("init", schedule)
    clocks = clocks_of(schedule)
    first = ScheduleState(jnp.zeros((), jnp.int32), tuple(clock.init() for clock in clocks))
    if isinstance(step, int) and step == 0:
        return first
    step = count_of_updates("init(step=...)", step)
    if all(clock.tick(state, 1, {}) is state for clock, state in zip(clocks, first.clocks, strict=True)):
        return ScheduleState(step, first.clocks)  # without observations nothing moves
    return jax.lax.fori_loop(0, step, lambda _, state: tick_with(schedule, state, 1, {}), first)


def count_of_updates(call: str, given: Number) -> jax.Array:
    """A number of updates as an int32, in its own buffer."""
    step = numerics.array_of(given)
    known = not isinstance(step, jax.core.Tracer)
    number = np.asarray(step) if known else step
    if np.ndim(number) or not jnp.issubdtype(number.dtype, jnp.integer):
        raise TypeError(f"{call}: expected a whole number of updates, got {shown(step)} ({type(step).__name__}).")
    if known and not 0 <= int(number) < 2**31:
        raise ValueError(f"{call}: expected 0 to 2**31 - 1 updates, got {shown(step)}.")
    return jnp.array(number, jnp.int32)


@explained
def evaluate(schedule: ScheduleLike, state: ScheduleState) -> jax.Array:
    """The value for the next update: `bind(schedule, state)(state.step)`, a scalar.

    Args:
        schedule, state: as in `bind`.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 10)
    >>> print(ls.clocks.evaluate(s, ls.clocks.tick(s, ls.clocks.init(s))))
    0.1
    """
    return _bind("evaluate", schedule, state)(state.step)


@explained
def tick(
    schedule: ScheduleLike,
    state: ScheduleState,
    observations: Observations | None = None,
    /,
    *,
    steps: Number | None = None,
    **named: Any,
) -> ScheduleState:
    """The state after an update and its observations.

    Args:
        schedule, state: the schedule, and its state before.
        observations, named: scalars by name, in a mapping, which allows any name (`{"steps": 64}`), or by keyword. None
            means not observed.
        steps: 1 for an update, the default, or 0 for observations between two updates, such as a validation metric.

    Raises:
        TypeError: if the schedule has clocks but none monitors any of the observations, if a monitored name seems misspelt,
            or if the observations are not a mapping.
        ValueError: if the state is that of another schedule, or `steps` is neither 0 nor 1.

    >>> import lrsched as ls
    >>> s = ls.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = ls.clocks.init(s)
    >>> state = ls.clocks.tick(s, state, value=1.0)           # an update and its loss
    >>> state = ls.clocks.tick(s, state, steps=0, value=1.0)  # a loss between two updates, no better
    >>> print(state.step, ls.clocks.evaluate(s, state))
    1 0.5
    """
    schedule = _fitting("tick", schedule, state)
    monitored = monitored_by(clocks_of(schedule))
    given = merged("tick", observations, named)
    steps = numerics.array_of(steps)
    if steps is not None and "steps" in monitored and "steps" not in given:
        expected, hint = "{'steps': ...} as a mapping, since a clock monitors 'steps'", "steps= is a number of updates"
        raise TypeError(unexpected("tick", "steps", steps, expected, hint))
    if steps is not None and not isinstance(steps, jax.core.Tracer) and steps not in (0, 1):
        expected, hint = "1 for an update, or 0 between two", "to start at a later step, init(schedule, step=...)"
        raise ValueError(unexpected("tick", "steps", steps, expected, hint))
    check_monitored("tick", monitored, given)
    return tick_with(schedule, state, 1 if steps is None else steps, given)


def tick_with(schedule: Schedule, state: ScheduleState, steps: Number, observations: Observations) -> ScheduleState:
    """`tick` without its checks."""
    given = {name: value for name, value in observations.items() if value is not None}
    running = _running(ready(schedule), numerics.time_of(state.step)[0])
    clocks = tuple(
        _where(runs, _ticked(clock, clock_state, steps, given), clock_state)
        for clock, clock_state, runs in zip(clocks_of(schedule), state.clocks, running, strict=True)
    )
    return ScheduleState(advanced(state.step, steps), clocks)


def _ticked(clock: Clock, state: S, steps: Number, observations: Observations) -> S:
    """The next state of a clock. It observes gathered numbers combined into one, or nothing if there were none."""
    for name in clock.monitors:
        if isinstance(value := observations.get(name), Gathered):
            others = {key: x for key, x in observations.items() if key != name}
            after = _ticked(clock, state, steps, {**others, name: value.combined(clock.combine)})
            return _where(value.seen > 0, after, _ticked(clock, state, steps, others))
    return clock.tick(state, steps, {name: x for name, x in observations.items() if not isinstance(x, Gathered)})


def during(schedule: Schedule, before: ScheduleState, after: ScheduleState) -> ScheduleState:
    """The state that an update uses: the one before it, but for `immediate` clocks the one after it."""
    clocks = zip(clocks_of(schedule), before.clocks, after.clocks, strict=True)
    return before._replace(clocks=tuple(clock._during(x, y) for clock, x, y in clocks))


@explained
def bind(schedule: ScheduleLike, state: ScheduleState) -> Schedule:
    """The schedule with every driven part fixed at its current value: a function of the step alone.

    Args:
        schedule, state: the schedule, and its state from `init` or `tick`.

    Raises:
        ValueError: if the state is that of another schedule.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 1.0, 4) >> ls.Exponential(1.0, 0.5).on(ls.Plateau())
    >>> print(ls.clocks.bind(s, ls.clocks.init(s))([2, 4, 1000]))
    [0.5 1.  1. ]
    """
    return _bind("bind", schedule, state)


_CONSTANT = Constant(0.0)


def _bind(call: str, schedule: ScheduleLike, state: ScheduleState) -> Schedule:
    schedule = _fitting(call, schedule, state)
    readings = iter([clock.read(x) for clock, x in zip(clocks_of(schedule), state.clocks, strict=True)])

    def value(part: object) -> object:
        if not isinstance(part, Driven):
            return part
        reading = next(readings)
        value = value_at(part.schedule, *numerics.time_of(reading, signed=True))
        if surely(lambda x: ~np.isfinite(x), value):
            hint = "a function on a clock must be finite at every reading, also below 0"
            raise ValueError(f"{call}(...): expected a finite value of {shown(part)}, got {value} at {reading}. Hint: {hint}.")
        return jax.tree.unflatten(jax.tree.structure(_CONSTANT), (value, math.inf))  # unchecked: it may be the largest float

    return jax.tree.map(value, schedule, is_leaf=lambda x: isinstance(x, Driven))


@explained
def replay(schedule: ScheduleLike, observations: Any, every: int = 1) -> jax.Array:
    """The values that a schedule would have used on recorded metrics.

    Each observation comes with the last of its `every` updates, and takes effect at the next update, unless the clock is
    `immediate`.

    Args:
        schedule: the schedule; inside `jax.vmap` one of a batch.
        observations: an array of shape (n,), or a dict of such arrays by name.
        every: the number of updates per observation: 1 for a training loss, those of an epoch for a validation loss.

    Returns:
        The values of the n · `every` updates.

    Raises:
        TypeError: if the clocks monitor none of the names, or if they monitor several and no names are given.
        ValueError: if the arrays do not all have one shape (n,), or `every` < 1.

    >>> import lrsched as ls
    >>> s = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=1)
    >>> print(ls.clocks.replay(s, [3.0, 2.0, 2.0, 2.0, 2.0]))
    [0.1  0.1  0.1  0.1  0.05]
    """
    return replayed(schedule, observations, every)[0]


def replayed(
    schedule: ScheduleLike, observations: Any, every: int, call: str = "replay"
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The values of a replay, and the readings of each clock, in tree order."""
    schedule = one_schedule(call, schedule)
    every = int(checked(call, "every", every, ge=1, integer=True, unit="updates"))
    clocks = clocks_of(schedule)
    names = monitored_by(clocks)
    if not isinstance(observations, dict):
        if len(names) > 1:
            raise TypeError(unexpected(call, "observations", observations, f"a dict, since clocks monitor {', '.join(names)}"))
        observations = {(names or ["value"])[0]: observations}
    check_monitored(call, names, observations)
    tables = {name: values if isinstance(values, jax.Array) else np.asarray(values) for name, values in observations.items()}
    if wrong := [name for name, table in tables.items() if table.dtype.kind in "OSU"]:
        raise TypeError(unexpected(call, f"observations[{wrong[0]!r}]", observations[wrong[0]], "numbers"))
    shapes = {name: np.shape(table) for name, table in tables.items()}
    if [len(shape) for shape in set(shapes.values())] != [1]:
        raise ValueError(f"{call}(observations=...): expected arrays of one shape (n,), got {shapes or 'none'}.")

    def update(state: ScheduleState, observed: Observations) -> Any:
        after = tick_with(schedule, state, 1, observed)
        used = during(schedule, state, after)
        times = [clock.read(x) for clock, x in zip(clocks, used.clocks, strict=True)]
        readings = tuple(jnp.asarray(numerics.to_float(numerics.time_of(time, signed=True)[0])) for time in times)
        return after, (evaluate(schedule, used), readings)

    def updates(state: ScheduleState, observed: Observations) -> Any:
        state, before = jax.lax.scan(lambda state, _: update(state, {}), state, length=every - 1)
        state, last = update(state, observed)
        return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), before, last)

    first = numerics.on_axes_of((schedule, tables), init(schedule))
    values = jax.jit(lambda state, tables: jax.lax.scan(updates, state, tables)[1])(first, tables)
    return jax.tree.map(jnp.ravel, values)


def clocks_of(schedule: Schedule) -> list[Clock]:
    """The clocks of a schedule, in tree order. Live numbers are rounded to floats, as authors of clocks expect."""
    return [each_number(part.clock, lambda x, _: numerics.as_value(x)) for part in driven_parts(schedule)]


def _running(schedule: Schedule, t: Any) -> list[bool | jax.Array]:
    """For each driven part, in tree order, whether its clock ticks now."""
    if isinstance(schedule, Driven):
        return [True]
    return [runs & inside for part, own, runs in schedule.spans(t) for inside in _running(part, own)]


def _where(condition: bool | jax.Array, new: S, old: S) -> S:
    if numerics.is_concrete(condition):
        return new if condition else old
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def one_schedule(call: str, given: ScheduleLike, name: str = "schedule") -> Schedule:
    schedule = as_schedule(call, name, given)
    if batch := schedule.batch_shape:
        hint = "map over it with jax.vmap, and make an optimizer inside; for groups, optax.partition with one schedule each"
        raise ValueError(f"{call}({name}=...): expected one schedule, got a batch of shape {batch}. Hint: {hint}.")
    return schedule


def _fitting(call: str, given: ScheduleLike, state: Any) -> Schedule:
    """The schedule, if the state may be its own."""
    schedule = one_schedule(call, given)
    if not hasattr(state, "step") or not hasattr(state, "clocks"):
        raise TypeError(unexpected(call, "state", state, "the state that init(schedule) makes"))
    if (parts := len(driven_parts(schedule))) != (clocks := len(state.clocks)):
        expected = f"a state of {parts} clock{'s' * (parts != 1)}, as {shown(schedule)} has"
        raise ValueError(f"{call}(...): expected {expected}, got {clocks} of another schedule. Hint: init(schedule).")
    return schedule
