"""Where schedules meet optax: a gradient transformation that applies one, and a look at the rate it used."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched.node import NUMBER, checked
from lrsched.numerics import Number
from lrsched.running import ScheduleState, evaluate, init, tick_with
from lrsched.schedule import Constant, Schedule

_RATE = dataclasses.replace(NUMBER, what="a schedule, a number, or Function(fn) of a function of the step")


class ScaleByLearningRateState(NamedTuple):
    """The state of `scale_by_learning_rate`: the step, the clocks, and the rate that the last update used.

    Before the first update, `learning_rate` is the one it will use.
    """

    step: Any
    clocks: tuple[Any, ...]
    learning_rate: Any


def scale_by_learning_rate(schedule: Schedule | Number, *, flip_sign: bool = True) -> optax.GradientTransformationExtraArgs:
    """Scales updates by the learning rate of a schedule, pure or driven; the last link of an optax chain.

    Update number t is multiplied by `-schedule(t)`, cast to the update's own type, as `optax.scale_by_learning_rate` does.

    Args:
        schedule: the schedule, or a number for a constant rate. Its clocks observe what `update` is given by name:
            `optimizer.update(grads, state, params, value=loss)`; inside `optax.MultiSteps` that is what came with the last
            of the small batches. Without it they stand still. It may be traced: an argument of the jitted step.
        flip_sign: whether to go downhill, that is, to multiply by minus the rate.

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
    if not isinstance(schedule, Schedule):
        schedule = Constant(checked("scale_by_learning_rate", "schedule", schedule, _RATE))
    if batch := schedule.batch_shape:
        raise ValueError(
            f"scale_by_learning_rate(...) takes one schedule, got a batch of shape {batch}: make the optimizer inside the"
            " function that jax.vmap maps over the batch"
        )

    def init_fn(params: optax.Params) -> ScaleByLearningRateState:
        del params
        state = init(schedule)
        return ScaleByLearningRateState(*state, evaluate(schedule, state))

    def update_fn(
        updates: optax.Updates, state: ScaleByLearningRateState, params: optax.Params | None = None, **observations: Any
    ) -> tuple[optax.Updates, ScaleByLearningRateState]:
        del params
        now = ScheduleState(state.step, state.clocks)
        rate = evaluate(schedule, now)
        scale = -rate if flip_sign else rate
        updates = jax.tree.map(lambda u: scale.astype(u.dtype) * u, updates)
        return updates, ScaleByLearningRateState(*tick_with(schedule, now, 1, observations), rate)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]


def learning_rate(state: Any, schedule: Schedule | None = None) -> jax.Array:
    """The learning rate that the last update used, wherever in an optimizer state it is.

    It is found in the states of `scale_by_learning_rate` and of `optax.inject_hyperparams`. After a plain
    `optax.adamw(schedule)` the state holds only a count of updates: give the schedule as well.

    Args:
        state: an optimizer state, however nested.
        schedule: the schedule, for a state that holds only a count.

    Raises:
        ValueError: if there is none, or more than one, in which case it lists where they are.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> schedule = ls.Linear(0.1, 0.0, 10)
    >>> optimizer = optax.sgd(schedule)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> _, state = optimizer.update(jnp.ones(3), state)
    >>> print(ls.learning_rate(state, schedule))
    0.09
    """
    found = _search(state, _rate_of)
    if len(found) == 1:
        return found[0][1]
    if found:
        paths = ", ".join(path for path, _ in found)
        raise ValueError(f"learning_rate(...) found {len(found)} rates, at {paths}: pass the part of the state you mean")
    counts = _search(state, lambda x: x.count if isinstance(x, optax.ScaleByScheduleState) else None)
    if len(counts) == 1 and schedule is not None:
        return schedule(jnp.maximum(counts[0][1] - 1, 0))
    if counts:
        raise ValueError(
            "learning_rate(...) found no rate in this state, only a count of updates: write"
            " learning_rate(state, schedule), or use lrsched.scale_by_learning_rate, which keeps it"
        )
    raise ValueError(
        "learning_rate(...) found no rate in this state: chain lrsched.scale_by_learning_rate(schedule) as the last link"
    )


def _rate_of(x: Any) -> Any:
    if isinstance(x, ScaleByLearningRateState):
        return x.learning_rate
    hyperparams = getattr(x, "hyperparams", None)
    return hyperparams.get("learning_rate") if isinstance(hyperparams, dict) else None


def _search(state: Any, get: Any) -> list[tuple[str, Any]]:
    """What `get` finds in the nodes of a tree, outermost first, with their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=lambda x: get(x) is not None)
    return [(jax.tree_util.keystr(path) or "the top", get(x)) for path, x in leaves if get(x) is not None]
