"""The compiled program of a range test: training at rates that rise, until it diverges.

All runs go in lockstep, with the same rate in each. So it is not a `vmap` of a loop, which would have to select among all
parameters at every step, but a loop over a `vmap` of a step. A run that has stopped goes on, unrecorded, until all have.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown
from lrsched.lab import progress
from lrsched.lab.ranging.factory import Factory, optimizer_at
from lrsched.lab.ranging.model import Model, is_array

Loss = Callable[[Any, Any], jax.Array]


class Curves(NamedTuple):
    """What was recorded, of shape (steps,) or (seeds, steps); NaN after a stop."""

    losses: jax.Array
    smoothed: jax.Array


class Watch(NamedTuple):
    """What is known of a run so far."""

    total: jax.Array  # of the losses, the last by 1 - smoothing and each one before by `smoothing` times less
    weight: jax.Array  # of all of them: the same sum with a loss of 1, so that their ratio is a mean without bias
    best: jax.Array  # the least smoothed loss
    steps: jax.Array  # how many were recorded
    going: jax.Array

    @classmethod
    def begin(cls, dtype: Any) -> "Watch":
        zero = jnp.zeros((), dtype)
        return cls(zero, zero, jnp.full((), jnp.inf, dtype), jnp.zeros((), jnp.int32), jnp.ones((), bool))

    def observe(self, loss: jax.Array, smoothing: jax.Array, divergence: jax.Array) -> tuple["Watch", Curves]:
        """After one more loss: what is known, and the point to record."""
        total = smoothing * self.total + (1 - smoothing) * loss
        weight = smoothing * self.weight + (1 - smoothing)
        smoothed = total / weight
        best = jnp.minimum(self.best, smoothed)
        # Four times a negative loss is a lower one, and four times none is none.
        diverged = (best > 0) & (smoothed > divergence * best)
        point = Curves(*(jnp.where(self.going, x, jnp.nan) for x in (loss, smoothed)))
        going = self.going & jnp.isfinite(smoothed) & ~diverged
        return Watch(total, weight, best, self.steps + self.going.astype(jnp.int32), going), point


@functools.partial(jax.jit, static_argnames=("loss_fn", "optimizer", "init", "steps", "seeds", "reports"))
def sweep(
    ramp: Schedule,
    smoothing: jax.Array,
    divergence: jax.Array,
    model: Model | None,
    batches: Any,
    keys: jax.Array,
    orders: jax.Array,
    *,
    loss_fn: Loss,
    optimizer: Factory,
    init: Callable[[jax.Array], Any] | None,
    steps: int,
    seeds: int | None,
    reports: bool,
) -> tuple[Curves, jax.Array, jax.Array]:
    """The curves, how many steps each run made, and whether it was still going at its end.

    All numbers are arguments, so another sweep compiles nothing.

    Args:
        ramp: the rates.
        smoothing: how much of a mean is kept at each step.
        divergence: how many times the least smoothed loss ends a run.
        model: what the runs start from, if not from `init(key)`.
        batches: stacked.
        keys: for `init`, of shape () or (seeds,).
        orders: the batches in the order of the run, of shape (n,) or (seeds, n).
        loss_fn: of parameters and a batch.
        optimizer: makes one at a rate.
        init: makes the parameters from a key; None if `model` is not.
        steps: the most that a run makes.
        seeds: how many runs, or None for one without the axis.
        reports: whether to move a progress bar.
    """

    def made(key: jax.Array) -> Model:
        if model is not None:
            return model
        assert init is not None
        return checked_model(init(key))

    at_step = optimizer_at("range_test", optimizer, ramp, jax.eval_shape(made, keys if seeds is None else keys[0]).trained)

    def begin(key: jax.Array) -> Any:
        own = made(key)
        return own, (own.trained, at_step(jnp.zeros((), jnp.int32)).init(own.trained), Watch.begin(smoothing.dtype))

    def step(own: Model, order: jax.Array, run: Any, i: jax.Array) -> Any:
        trained, state, watch = run
        batch = jax.tree.map(lambda x: x[order[i % len(order)]], batches)

        def loss_of(trained: Any) -> jax.Array:
            return _checked_loss(loss_fn(own.params(trained), batch))

        loss, grads = jax.value_and_grad(loss_of)(trained)
        updates, state = at_step(i).update(grads, state, trained, value=loss, grad=grads, value_fn=loss_of)
        watch, point = watch.observe(loss.astype(smoothing.dtype), smoothing, divergence)
        return (optax.apply_updates(trained, updates), state, watch), point

    def body(carry: Any) -> Any:
        i, runs, curves = carry
        runs, point = every_step(models, orders, runs, i)
        if reports:
            progress.report(i + 1, steps)
        return i + 1, runs, jax.tree.map(lambda curve, x: curve.at[..., i].set(x), curves, point)

    def goes_on(carry: Any) -> jax.Array:
        i, (_, _, watch), _ = carry
        return (i < steps) & jnp.any(watch.going)

    if seeds is None:
        every_step, (models, runs) = step, begin(keys)
    else:
        every_step, (models, runs) = jax.vmap(step, (0, 0, 0, None)), jax.vmap(begin)(keys)
    empty = jnp.full((*runs[2].going.shape, steps), jnp.nan, smoothing.dtype)
    _, (_, _, watch), curves = jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), runs, Curves(empty, empty)))
    return curves, watch.steps, watch.going


@functools.partial(jax.jit, static_argnames=("seeds", "count"))
def draw(seed: Any, seeds: int | None, count: int) -> tuple[jax.Array, jax.Array]:
    """The keys for parameters and the orders of the batches: apart, because it need not be compiled for each model."""
    key = jax.random.key(seed)
    if seeds is None:
        return jax.random.split(key)[0], jnp.arange(count)
    of_params, of_order = jax.vmap(jax.random.split, out_axes=1)(jax.random.split(key, seeds))
    return of_params, jax.vmap(lambda key: jax.random.permutation(key, count))(of_order)


def checked_model(params: Any) -> Model:
    """The model of the parameters, which must have something to train."""
    model = Model.of(params)
    if not jax.tree.leaves(model.trained):
        raise TypeError(
            "range_test(params=...) must be a pytree with arrays of floats to train, or a function of a key that makes one, got"
            f" {shown(params)}"
        )
    return model


def _checked_loss(loss: Any) -> jax.Array:
    if not is_array(loss) and not isinstance(loss, (int, float)):
        raise TypeError(f"range_test(loss_fn=...) must return one number, got {type(loss).__name__}: without auxiliary outputs")
    if jnp.shape(loss):
        raise TypeError(f"range_test(loss_fn=...) must return one number, got shape {jnp.shape(loss)}: take its mean")
    if not jnp.issubdtype(jnp.result_type(loss), jnp.floating):
        raise TypeError(f"range_test(loss_fn=...) must return a float, got {jnp.result_type(loss)}: only that has a gradient")
    return jnp.asarray(loss)
