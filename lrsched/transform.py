"""Where schedules meet optax: gradient transformations that apply them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched import numerics
from lrsched.algebra import Constant, Schedule
from lrsched.live import packed
from lrsched.node import NUMBER, POSITIVE, checked, shown
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
    schedule = _one("scale_by_learning_rate", "schedule", schedule)
    return _scaled(schedule, flip_sign, live, lambda rate, updates: jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates))


def layerwise(
    schedule: Schedule | Number, decay: Number, depth_of: Callable[[str], Any], *, flip_sign: bool = True, live: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by a learning rate that is lower for deeper layers: `-schedule(t) · decay ** depth`.

    It takes the place of `scale_by_learning_rate` in a chain, and `learning_rate` finds the rate at depth 0.

    Args:
        schedule: the rate at depth 0, as in `scale_by_learning_rate`.
        decay: what each layer multiplies with, above 0: 0.65 to 0.9 are usual.
        depth_of: gives the depth of a parameter by its path, such as `"blocks/3/attention/kernel"`: 0 for the head, and one
            more with each layer below it.
        flip_sign, live: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if it is neither a schedule nor a number, or, when it is used, if a depth is no number.
        ValueError: if it is a batch, or the decay is not above 0.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> params = {"head": jnp.ones(1), "blocks": [jnp.ones(1), jnp.ones(1)]}
    >>> def depth_of(path):
    ...     return 0 if path == "head" else 2 - int(path.split("/")[1])
    >>> optimizer = ls.layerwise(0.1, 0.5, depth_of)
    >>> updates, state = optimizer.update(params, optimizer.init(params))
    >>> print(updates)
    {'blocks': [Array([-0.025], dtype=float32), Array([-0.05], dtype=float32)], 'head': Array([-0.1], dtype=float32)}

    References:
        Clark and others, *ELECTRA*, 2020, and Bao and others, *BEiT*, 2021, who fine-tune so.
    """
    schedule = _one("layerwise", "schedule", schedule)
    decay = checked("layerwise", "decay", decay, POSITIVE)

    def scale(rate: jax.Array, updates: optax.Updates) -> optax.Updates:
        def scaled(path: Any, update: Any) -> Any:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            depth = depth_of(name)
            if not numerics.is_number(depth) or np.ndim(depth):
                raise TypeError(f"layerwise(depth_of=...) must give the depth of {name!r} as a number, got {shown(depth)}")
            factor = numerics.real(numerics.power(decay, depth))
            return (rate * factor).astype(update.dtype) * update

        return jax.tree_util.tree_map_with_path(scaled, updates)

    return _scaled(schedule, flip_sign, live, scale)


def _scaled(schedule: Schedule, flip_sign: bool, live: bool, scale: Any) -> optax.GradientTransformationExtraArgs:
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
    return StatefulSchedule(_one("as_stateful", "schedule", schedule), live)


def scheduled(
    factory: Callable[..., optax.GradientTransformation], *, live: bool = False
) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """An optimizer factory of optax, of which every numeric argument takes a schedule.

    All follow one count of updates, and hear the same observations. Hyperparameters are float32 whatever the type of the
    parameters; so is what is computed with them, and then updates and states are given their own types again.

    Args:
        factory: makes an optax transformation of arguments, such as `optax.adamw`.
        live: whether the schedules are part of the state: see `scale_by_learning_rate`.

    Returns:
        The factory, for the same arguments, or schedules, pure or driven, in the place of numbers. `hyperparameters` finds
        the values that were given as schedules or numbers. An int stays an int where the factory's annotation or default
        does not say that it is a float, as with a size or a seed; what is no number, or left out, goes there as it is.

    Raises:
        TypeError: if the factory cannot be called, and for arguments that it does not take.
        ValueError: if a schedule is a batch.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> rate = ls.one_cycle(peak=0.1, steps=100)
    >>> optimizer = ls.scheduled(optax.adamw)(rate, b1=ls.one_cycle_momentum(steps=100), weight_decay=0.1 * rate)
    >>> params = jnp.ones(3)
    >>> updates, state = optimizer.update(params, optimizer.init(params), params)
    >>> for name, value in ls.hyperparameters(state).items():
    ...     print(name, value)
    b1 0.95
    learning_rate 0.004
    weight_decay 0.0004
    """
    if not callable(factory):
        raise TypeError(f"scheduled(factory=...) must make an optimizer, such as optax.adamw does, got {shown(factory)}")
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
        call = f"scheduled({getattr(factory, '__name__', factory)})"
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{call}(...): {error}") from None
        schedules = {name: _one(call, name, x) for name, x in given.items() if _is_scheduled(x, signature.parameters[name])}
        others = {name: x for name, x in given.items() if name not in schedules}
        clocks = [clock for schedule in schedules.values() for clock in clocks_of(schedule)]
        inner = optax.inject_hyperparams(
            factory,
            static_args=[name for name in signature.parameters if name not in schedules],
            hyperparam_dtype=numerics.float_type(),
        )(**others, **{name: StatefulSchedule(schedule, live) for name, schedule in schedules.items()})

        def update_fn(updates: Any, state: Any, params: Any = None, **observations: Any) -> Any:
            check_observed(clocks, observations)
            # Narrower types meet float32 numbers in there, so all is float32 until it is done.
            wide = jax.tree.map(_at_least_float32, (updates, state.inner_state, params))
            result: Any = inner.update(wide[0], state._replace(inner_state=wide[1]), wide[2], **observations)
            new, after = result
            return _of_types(new, updates), after._replace(inner_state=_of_types(after.inner_state, state.inner_state))

        return optax.GradientTransformationExtraArgs(inner.init, update_fn)

    return make


def _is_scheduled(value: Any, parameter: inspect.Parameter) -> bool:
    if isinstance(value, Schedule):
        return True
    if not numerics.is_number(value):
        return False
    value = numerics.array_of(value)
    counts = parameter.annotation in (int, "int") or parameter.default is None or type(parameter.default) is int
    return np.shape(value) == () and not (counts and isinstance(value, (int, np.integer)))


def _at_least_float32(x: Any) -> Any:
    narrow = hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32
    return x.astype(jnp.float32) if narrow else x


def _of_types(new: Any, like: Any) -> Any:
    return jax.tree.map(lambda a, b: a.astype(b.dtype) if hasattr(a, "astype") and hasattr(b, "dtype") else a, new, like)


_NUMBER = dataclasses.replace(NUMBER, what="a schedule, a number, or Function(fn) of a function of the step")


def _one(call: str, name: str, schedule: Schedule | Number) -> Schedule:
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
