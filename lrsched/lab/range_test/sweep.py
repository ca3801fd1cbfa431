"""The compiled program of a range test: training at rates that rise, and the loss before each update."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import unexpected
from lrsched.lab import progress

Factory: TypeAlias = Callable[[Any], optax.GradientTransformation | optax.MultiSteps]


@functools.partial(jax.jit, static_argnames=("loss_fn", "factory", "init", "has_state", "steps", "seeds"))
def sweep(
    ramp: Schedule,
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
) -> jax.Array:
    """The loss before each update, of shape (steps,) or (seeds, steps). Numbers are arguments, so others compile nothing."""
    count = len(jax.tree.leaves(batches)[0])
    optimizer = _optimizer(factory, ramp)

    def run(key: jax.Array) -> jax.Array:
        of_params, of_order, of_batches = jax.random.split(key, 3)
        trained, rest, state = split(init(of_params), has_state) if init else model  # pyright: ignore[reportGeneralTypeIssues]
        order = jnp.arange(count) if seeds is None else jax.random.permutation(of_order, count)

        def train(carry: Any) -> tuple[Any, jax.Array]:
            """Trains on one batch: a whole update, or a part of one where the optimizer accumulates gradients."""
            trained, state, memory, seen = carry
            batch = jax.tree.map(lambda x: x[order[seen % count]], batches)

            def loss_of(trained: Any) -> tuple[jax.Array, Any]:
                given = _combine(trained, rest), state, batch, jax.random.fold_in(of_batches, seen)
                return _checked_loss(loss_fn, has_state, *given)

            (loss, state), grads = jax.value_and_grad(loss_of, has_aux=True)(trained)
            extra = {"value": loss, "grad": grads, "value_fn": lambda trained: loss_of(trained)[0]}
            updates, memory = optimizer.update(grads, memory, trained, **extra)
            return (optax.apply_updates(trained, updates), state, memory, seen + 1), loss.astype(float)

        def step(carry: Any, i: jax.Array) -> tuple[Any, jax.Array]:
            progress.report(i + 1, steps)
            return _updated(train, carry)

        begin = trained, state, optimizer.init(trained), jnp.zeros((), jnp.int32)
        return jax.lax.scan(step, begin, jnp.arange(steps))[1]

    return run(jax.random.key(seed)) if seeds is None else jax.vmap(run)(jax.random.split(jax.random.key(seed), seeds))


def _updated(train: Callable[[Any], tuple[Any, jax.Array]], carry: Any) -> tuple[Any, jax.Array]:
    """The training after one update, and the mean loss of its batches, several where the optimizer accumulates gradients."""

    def accumulate(so_far: Any) -> Any:
        before, total, n, _ = so_far
        after, loss = train(before)
        counts = zip(_accumulated(after), _accumulated(before), strict=True)
        return after, total + loss, n + 1, jnp.any(jnp.asarray([x > y for x, y in counts]))

    zero = jnp.zeros(())
    so_far = accumulate((carry, zero, zero, None))
    if _accumulated(carry):
        so_far = jax.lax.while_loop(lambda so_far: so_far[-1], accumulate, so_far)
    after, total, n, _ = so_far
    return after, total / n


def _accumulated(carry: Any) -> list[Any]:
    """The number of batches that each `optax.MultiSteps` in the state of an optimizer has for its next update."""
    leaves = jax.tree.leaves(carry, is_leaf=lambda x: isinstance(x, optax.MultiStepsState))
    return [x.mini_step for x in leaves if isinstance(x, optax.MultiStepsState)]


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
