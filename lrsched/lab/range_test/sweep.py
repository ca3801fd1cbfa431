"""The compiled program of a range test: training at rates that rise, until it diverges.

All runs make a step at the same time, at the same rate: a loop over a `vmap` of a step. A `vmap` of a loop would select among
all parameters at every step. A run that has diverged goes on, unrecorded, until all have.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import unexpected
from lrsched.lab import progress

Factory: TypeAlias = Callable[[Any], optax.GradientTransformation | optax.MultiSteps]


class Run(NamedTuple):
    """A run so far. Its smoothed loss is `total / weight`, a mean without bias."""

    trained: Any
    state: Any  # of the model
    memory: Any  # of the optimizer
    seen: jax.Array  # batches
    total: jax.Array  # Σ (1 - smoothing) · smoothing^(i - k) · loss k
    weight: jax.Array  # the same sum with losses of 1
    best: jax.Array  # the lowest smoothed loss
    made: jax.Array  # recorded steps
    going: jax.Array


@functools.partial(jax.jit, static_argnames=("loss_fn", "factory", "init", "has_state", "steps", "seeds"))
def sweep(
    ramp: Schedule,
    smoothing: jax.Array,
    divergence: jax.Array,
    model: tuple[Any, Any, Any] | None,
    batches: Any,
    seed: jax.Array,
    *,
    loss_fn: Callable[..., Any],
    factory: Factory,
    init: Callable[[jax.Array], Any] | None,
    has_state: bool,
    steps: int,
    seeds: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The losses and smoothed losses, of shape (2, steps) or (seeds, 2, steps); the steps of each run, and whether it went on.

    Other numbers compile nothing, because all of them are arguments.
    """
    each = jax.vmap if seeds is not None else lambda f: f
    keys = jax.random.key(seed) if seeds is None else jax.random.split(jax.random.key(seed), seeds)
    count = len(jax.tree.leaves(batches)[0])
    optimizer = _optimizer(factory, ramp)

    def begin(key: jax.Array) -> tuple[Any, Run]:
        of_params, of_order, of_batches = jax.random.split(key, 3)
        trained, rest, state = split(init(of_params), has_state) if init else model  # pyright: ignore[reportGeneralTypeIssues]
        order = jnp.arange(count) if seeds is None else jax.random.permutation(of_order, count)
        zero, none = jnp.zeros((), smoothing.dtype), jnp.zeros((), jnp.int32)
        run = Run(trained, state, optimizer.init(trained), none, zero, zero, zero + jnp.inf, none, jnp.ones((), bool))
        return (rest, order, of_batches), run

    def train(own: Any, run: Run) -> tuple[Run, jax.Array]:
        """Trains on one batch: a whole update, or a part of one where the optimizer accumulates gradients."""
        rest, order, key = own
        batch = jax.tree.map(lambda x: x[order[run.seen % count]], batches)

        def loss_of(trained: Any) -> tuple[jax.Array, Any]:
            given = _combine(trained, rest), run.state, batch, jax.random.fold_in(key, run.seen)
            return _checked_loss(loss_fn, has_state, *given)

        (loss, state), grads = jax.value_and_grad(loss_of, has_aux=True)(run.trained)
        extra = {"value": loss, "grad": grads, "value_fn": lambda trained: loss_of(trained)[0]}
        updates, memory = optimizer.update(grads, run.memory, run.trained, **extra)
        trained = optax.apply_updates(run.trained, updates)
        return run._replace(trained=trained, state=state, memory=memory, seen=run.seen + 1), loss.astype(smoothing.dtype)

    def step(own: Any, run: Run) -> tuple[Run, jax.Array]:
        after, loss = _updated(functools.partial(train, own), run)
        return _recorded(after, loss, smoothing, divergence)

    def body(carry: Any) -> Any:
        i, runs, curves = carry
        runs, points = each(step)(owns, runs)
        progress.report(i + 1, steps)
        return i + 1, runs, curves.at[..., i].set(points)

    owns, runs = each(begin)(keys)
    curves = jnp.full((*runs.going.shape, 2, steps), jnp.nan, smoothing.dtype)
    begun = jnp.zeros((), jnp.int32), runs, curves
    _, runs, curves = jax.lax.while_loop(lambda carry: (carry[0] < steps) & jnp.any(carry[1].going), body, begun)
    return curves, runs.made, runs.going


def _updated(train: Callable[[Run], tuple[Run, jax.Array]], run: Run) -> tuple[Run, jax.Array]:
    """The run after one update of the optimizer, and the mean loss of its batches, several where it accumulates gradients."""

    def accumulate(carry: Any) -> Any:
        before, total, n, _ = carry
        after, loss = train(before)
        counts = zip(_accumulated(after.memory), _accumulated(before.memory), strict=True)
        return after, total + loss, n + 1, jnp.any(jnp.asarray([x > y for x, y in counts]))

    carry = accumulate((run, jnp.zeros_like(run.total), jnp.zeros_like(run.total), None))
    if _accumulated(run.memory):
        carry = jax.lax.while_loop(lambda carry: carry[-1], accumulate, carry)
    after, total, n, _ = carry
    return after, total / n


def _accumulated(memory: Any) -> list[Any]:
    """The number of batches that each `optax.MultiSteps` in the state of an optimizer has for its next update."""
    leaves = jax.tree.leaves(memory, is_leaf=lambda x: isinstance(x, optax.MultiStepsState))
    return [x.mini_step for x in leaves if isinstance(x, optax.MultiStepsState)]


def _recorded(run: Run, loss: jax.Array, smoothing: jax.Array, divergence: jax.Array) -> tuple[Run, jax.Array]:
    """The run with one more loss, and the loss and smoothed loss, NaN if it has diverged before."""
    total = smoothing * run.total + (1 - smoothing) * loss
    weight = smoothing * run.weight + (1 - smoothing)
    smoothed = total / weight
    best = jnp.minimum(run.best, smoothed)
    diverged = (best > 0) & (smoothed > divergence * best)  # four times a negative loss is a lower one
    point = jnp.where(run.going, jnp.stack([loss, smoothed]), jnp.nan)
    made, going = run.made + run.going.astype(jnp.int32), run.going & jnp.isfinite(smoothed) & ~diverged
    return run._replace(total=total, weight=weight, best=best, made=made, going=going), point


def _optimizer(factory: Factory, ramp: Schedule) -> optax.GradientTransformationExtraArgs:
    """The optimizer at the rates of a ramp; its update raises an error if it does not use them."""
    used = []

    def rate(t: Any) -> Any:
        used.append(t)
        return ramp(t)

    def update(grads: Any, memory: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        updates, memory = made.update(grads, memory, params, **extra)
        if not used or jax.tree.structure(updates) != jax.tree.structure(params):
            hint = "the rate is a schedule: lambda rate: optax.adamw(rate), or optax.scale_by_learning_rate(rate)"
            raise ValueError(unexpected("range_test", "optimizer", factory, "an optimizer that uses its rate", hint))
        return updates, memory

    made: Any = factory(Function(rate))
    # `MultiSteps.update` takes `value`, unlike the update of its `gradient_transformation()`.
    made = made if isinstance(made, optax.MultiSteps) else optax.with_extra_args_support(made)
    return optax.GradientTransformationExtraArgs(made.init, update)  # pyright: ignore[reportArgumentType]


def takes_key(loss_fn: Callable[..., Any]) -> bool:
    return "key" in inspect.signature(loss_fn).parameters


def _checked_loss(
    loss_fn: Callable[..., Any], has_state: bool, params: Any, state: Any, batch: Any, key: jax.Array
) -> tuple[jax.Array, Any]:
    """The loss and the next state of the model."""
    before = [*map(id, jax.tree.leaves(params))]
    states = [jax.tree.map(lambda x: x, state)] if has_state else []  # rebuilt, because variables of flax know their trace
    try:
        found = loss_fn(params, *states, batch, **({"key": key} if takes_key(loss_fn) else {}))
    except Exception as error:  # whatever a function of the user raises goes on, with a note
        shapes = jax.tree.map(jnp.shape, batch)
        error.add_note(f"This happened in loss_fn of range_test(loss_fn, params, batches), with a batch of shape {shapes}.")
        raise
    call = "range_test(loss_fn=...): expected"
    if [*map(id, jax.tree.leaves(params))] != before:
        hint = "has_state=True with params=nnx.split(model, nnx.Param, ...)[1:]"
        raise TypeError(f"{call} a pure function, got one that changes params. Hint: {hint}.")
    if has_state and jax.tree.structure(found) != (structure := jax.tree.structure((0.0, state))):
        raise TypeError(f"{call} it to return (loss, state) as has_state=True: {structure}, got {jax.tree.structure(found)}.")
    loss, state = found if has_state else (found, None)
    if not isinstance(loss, float) and not (is_array(loss) and loss.shape == () and jnp.issubdtype(loss.dtype, jnp.floating)):
        got = f"{loss.dtype} of shape {loss.shape}" if is_array(loss) else type(loss).__name__
        raise TypeError(f"{call} it to return one float, got {got}. Hint: take the mean; with a state use has_state=True.")
    return jnp.asarray(loss), state


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Static:
    """A leaf that is no array, such as the activation function of an equinox module."""

    value: Any


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def split(params: Any, has_state: bool) -> tuple[Any, Any, Any]:
    """The float arrays, which are trained; everything else (both with None for the other); and the state of the model."""
    state = None
    if has_state:
        if not isinstance(params, tuple) or len(params) != 2:
            raise TypeError(unexpected("range_test", "params", params, "a pair (params, state), as has_state=True"))
        params, state = params

    def is_trained(x: Any) -> bool:
        return type(x) is float or (is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact))

    trained = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)) if is_trained(x) else None, params)
    rest = jax.tree.map(lambda x: None if is_trained(x) else x if is_array(x) else _Static(x), params)
    if not jax.tree.leaves(trained):
        expected = "a pytree with arrays of floats to train, or a function of a key that makes one"
        raise TypeError(unexpected("range_test", "params", params, expected))
    return trained, rest, state


def _combine(trained: Any, rest: Any) -> Any:
    """The parameters that `split` divided."""

    def either(trained: Any, rest: Any) -> Any:
        return rest.value if isinstance(rest, _Static) else rest if trained is None else trained

    return jax.tree.map(either, trained, rest, is_leaf=lambda x: x is None)
