"""Where schedules meet optax: gradient transformations that apply them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched import numerics
from lrsched.algebra import Constant, Schedule
from lrsched.live import packed
from lrsched.node import NUMBER, checked, shown
from lrsched.numerics import Number
from lrsched.running import ScheduleState, check_observed, clocks_of, evaluate, init, tick_with


class ScaleByLearningRateState(NamedTuple):
    """The state of `scale_by_learning_rate`: the step, the clocks, and the rate that the last update used.

    Before the first update, `learning_rate` is the one it will use. `schedule` is () unless it is live.
    """

    step: Any
    clocks: tuple[Any, ...]
    learning_rate: Any
    schedule: Any


class HyperparameterState(NamedTuple):
    """The state of one hyperparameter of `scheduled`: the step, the clocks, and the schedule if it is live, or else ()."""

    step: Any
    clocks: tuple[Any, ...]
    schedule: Any


def scale_by_learning_rate(
    schedule: Schedule | Number, *, flip_sign: bool = True, live: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by the learning rate of a schedule, pure or driven; the last link of an optax chain.

    Update number t is multiplied by `-schedule(t)`, cast to the update's own type, as `optax.scale_by_learning_rate` does.

    Args:
        schedule: the schedule, or a number for a constant rate. Its clocks observe what `update` is given by name:
            `optimizer.update(grads, state, params, value=loss)`; inside `optax.MultiSteps` that is what came with the last
            of the small batches, unless `mean_over_steps` is around it. Without it they stand still. It may be traced.
        flip_sign: whether to go downhill, that is, to multiply by minus the rate.
        live: whether the schedule's numbers are part of the state, so that `schedule` reads them, `replace_schedule` changes
            them in a running job without compiling anything, and `observe` can tick the clocks between updates. They are
            float32 there, but for numbers of steps, which stay exact up to 2³¹.

    Raises:
        TypeError: if it is neither a schedule nor a number.
        ValueError: if it is a batch: map over it with `jax.vmap`.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(ls.warmup_cosine(0.1, 10, 100)))
    >>> params = jnp.ones(3)
    >>> state = optimizer.init(params)
    >>> for _ in range(6):
    ...     updates, state = optimizer.update(params, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> print(ls.learning_rate(state))
    0.05
    """
    schedule = one("scale_by_learning_rate", "schedule", schedule)
    return scaled(schedule, flip_sign, live, lambda rate, updates: jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates))


def scaled(schedule: Schedule, flip_sign: bool, live: bool, scale: Any) -> optax.GradientTransformationExtraArgs:
    """A transform that applies `scale(rate, updates)`, with the rate of a schedule."""

    def init_fn(params: optax.Params) -> ScaleByLearningRateState:
        del params
        state = init(schedule)
        return ScaleByLearningRateState(*state, evaluate(schedule, state), packed(schedule) if live else ())

    def update_fn(
        updates: optax.Updates, state: ScaleByLearningRateState, params: optax.Params | None = None, **observations: Any
    ) -> tuple[optax.Updates, ScaleByLearningRateState]:
        del params
        present: Any = state.schedule if live else schedule
        check_observed(clocks_of(present), observations)
        now = ScheduleState(state.step, state.clocks)
        rate = evaluate(present, now)
        ticked = tick_with(present, now, 1, observations)
        return scale(-rate if flip_sign else rate, updates), ScaleByLearningRateState(*ticked, rate, state.schedule)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]


@dataclasses.dataclass(frozen=True)
class StatefulSchedule:
    """What `as_stateful` makes: optax's protocol of a schedule with a state."""

    schedule: Schedule
    live: bool = False

    def init(self) -> HyperparameterState:
        """The first state."""
        return HyperparameterState(*init(self.schedule), packed(self.schedule) if self.live else ())

    def __call__(self, state: HyperparameterState, **observations: Any) -> jax.Array:
        """The value for the update to come."""
        del observations
        return evaluate(self._present(state), ScheduleState(state.step, state.clocks))

    def update(self, state: HyperparameterState, **observations: Any) -> HyperparameterState:
        """The state after an update."""
        ticked = tick_with(self._present(state), ScheduleState(state.step, state.clocks), 1, observations)
        return HyperparameterState(*ticked, state.schedule)

    def _present(self, state: HyperparameterState) -> Any:
        return state.schedule if self.live else self.schedule


def as_stateful(schedule: Schedule | Number, *, live: bool = False) -> StatefulSchedule:
    """A schedule, driven ones included, as `optax.inject_hyperparams` takes it.

    `scheduled` does this for every hyperparameter; a pure schedule needs it nowhere.

    Args:
        schedule: the schedule, or a number.
        live: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if it is neither a schedule nor a number.
        ValueError: if it is a batch.

    >>> import optax
    >>> import lrsched as ls
    >>> s = ls.as_stateful(0.1 * ls.reduce_on_plateau(patience=5))
    >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=s)
    """
    return StatefulSchedule(one("as_stateful", "schedule", schedule), live)


_NUMBER = dataclasses.replace(NUMBER, what="a schedule, a number, or Function(fn) of a function of the step")


def one(call: str, name: str, schedule: Schedule | Number) -> Schedule:
    """One schedule, of a schedule or a number."""
    if not isinstance(schedule, Schedule):
        schedule = Constant(checked(call, name, schedule, _NUMBER))
    if batch := schedule.batch_shape:
        raise ValueError(
            f"{call}({name}=...) takes one schedule, got a batch of shape {batch}: make the optimizer inside the"
            " function that jax.vmap maps over the batch"
        )
    return schedule


class MeanOverStepsState(NamedTuple):
    """The state of `mean_over_steps`: sums of what was observed since the last update, how often, and what is inside."""

    totals: dict[str, Any]
    seen: dict[str, Any]
    inner_state: Any


def mean_over_steps(multi_steps: optax.MultiSteps, *monitors: str) -> optax.GradientTransformationExtraArgs:
    """Lets the clocks inside `optax.MultiSteps` observe the mean over the small batches of an update, not the last of them.

    Args:
        multi_steps: the accumulation, with the optimizer inside.
        monitors: the names of what is observed.

    Raises:
        TypeError: if it is no `optax.MultiSteps`, or no names are given.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0))
    >>> optimizer = ls.mean_over_steps(optax.MultiSteps(optimizer, 2), "value")
    >>> state = optimizer.init(jnp.ones(3))
    >>> for loss in [1.0, 3.0, 0.0, 4.0, 2.0, 2.0]:  # 2 on average, every time
    ...     _, state = optimizer.update(jnp.ones(3), state, value=loss)
    >>> print(ls.learning_rate(state))
    0.05
    """
    if not isinstance(multi_steps, optax.MultiSteps):
        raise TypeError(f"mean_over_steps(multi_steps=...) must be an optax.MultiSteps, got {shown(multi_steps)}")
    if not monitors or not all(isinstance(name, str) for name in monitors):
        raise TypeError(f"mean_over_steps(...) takes the names of what is observed, such as 'value', got {shown(monitors)}")

    def init_fn(params: optax.Params) -> MeanOverStepsState:
        nothing, none = jnp.zeros((), numerics.float_type()), jnp.zeros((), jnp.int32)
        return MeanOverStepsState(dict.fromkeys(monitors, nothing), dict.fromkeys(monitors, none), multi_steps.init(params))

    def update_fn(updates: Any, state: MeanOverStepsState, params: Any = None, **observations: Any) -> Any:
        totals, seen = dict(state.totals), dict(state.seen)
        for name in monitors:
            if observations.get(name) is not None:
                totals[name] += numerics.real(observations[name])
                seen[name] += 1
                observations[name] = totals[name] / numerics.real(seen[name])
        updates, inner = multi_steps.update(updates, state.inner_state, params, **observations)
        done = inner.mini_step == 0
        totals, seen = jax.tree.map(lambda x: jnp.where(done, jnp.zeros_like(x), x), (totals, seen))
        return updates, MeanOverStepsState(totals, seen, inner)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]
