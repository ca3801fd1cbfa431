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
from lrsched.lab import progress
from lrsched.lab.range_test.inputs import Factory, checked_loss, checked_optimizer, combine, split, takes_key


class Run(NamedTuple):
    """A run so far. Its smoothed loss is `total / weight`."""

    trained: Any
    state: Any  # of the model
    memory: Any  # of the optimizer
    seen: jax.Array  # batches
    total: jax.Array  # of the losses, the last by 1 - smoothing and each one before by `smoothing` times less
    weight: jax.Array  # the same sum with a loss of 1, so that their ratio is a mean without bias
    best: jax.Array  # the least smoothed loss
    made: jax.Array  # steps that were recorded
    going: jax.Array


@functools.partial(jax.jit, static_argnames=("loss_fn", "factory", "init", "has_state", "steps", "seeds", "reports"))
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
    reports: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The losses and smoothed losses, of shape (2, steps) or (seeds, 2, steps); the steps of each run, and whether it went on.

    All numbers are arguments, so another sweep compiles nothing.
    """
    each = jax.vmap if seeds is not None else lambda f, _=0: f
    keys = jax.random.key(seed) if seeds is None else jax.random.split(jax.random.key(seed), seeds)
    count = len(jax.tree.leaves(batches)[0])

    def made(key: jax.Array) -> tuple[Any, Any, Any]:
        return model if init is None else split(init(key), has_state)  # pyright: ignore[reportReturnType]

    optimizer = checked_optimizer(factory, ramp, jax.eval_shape(made, jax.random.key(0))[0])

    def begin(key: jax.Array) -> tuple[Any, Run]:
        of_params, of_order, of_batches = jax.random.split(key, 3)
        trained, rest, state = made(of_params)
        order = jnp.arange(count) if seeds is None else jax.random.permutation(of_order, count)
        zero, none = jnp.zeros((), smoothing.dtype), jnp.zeros((), jnp.int32)
        run = Run(trained, state, optimizer.init(trained), none, zero, zero, zero + jnp.inf, none, jnp.ones((), bool))
        return (rest, order, of_batches), run

    def train(own: Any, run: Run) -> tuple[Run, jax.Array]:
        """On one batch: a whole update, or a part of one where the optimizer accumulates gradients."""
        rest, order, key = own
        batch = jax.tree.map(lambda x: x[order[run.seen % count]], batches)
        options = {"key": jax.random.fold_in(key, run.seen)} if takes_key(loss_fn) else {}

        def loss_of(trained: Any) -> tuple[jax.Array, Any]:
            params = combine(trained, rest)
            before = [*map(id, jax.tree.leaves(params))]
            state = [jax.tree.map(lambda x: x, run.state)] if has_state else []  # anew: variables of flax know their trace
            found = loss_fn(params, *state, batch, **options)
            if [*map(id, jax.tree.leaves(params))] != before:
                hint = "has_state=True with params=nnx.split(model, nnx.Param, ...)[1:]"
                expected = "a pure function, got one that changes params"
                raise TypeError(f"range_test(loss_fn=...): expected {expected}. Hint: {hint}.")
            if not has_state:
                return checked_loss(found), None
            structure = jax.tree.structure((0.0, run.state))
            if jax.tree.structure(found) != structure:
                expected = f"(loss, state) as has_state=True: {structure}, got {jax.tree.structure(found)}"
                raise TypeError(f"range_test(loss_fn=...): expected it to return {expected}.")
            return checked_loss(found[0]), found[1]

        (loss, state), grads = jax.value_and_grad(loss_of, has_aux=True)(run.trained)
        extra = {"value": loss, "grad": grads, "value_fn": lambda trained: loss_of(trained)[0]}
        updates, memory = optimizer.update(grads, run.memory, run.trained, **extra)
        trained = optax.apply_updates(run.trained, updates)
        return run._replace(trained=trained, state=state, memory=memory, seen=run.seen + 1), loss.astype(smoothing.dtype)

    def step(own: Any, run: Run) -> tuple[Run, jax.Array]:
        def again(carry: Any) -> Any:
            before, loss, n, _ = carry
            after, more = train(own, before)
            goes_on = [x > y for x, y in zip(_accumulated(after.memory), _accumulated(before.memory), strict=True)]
            return after, loss + more, n + 1, jnp.any(jnp.asarray(goes_on))

        zero = jnp.zeros((), smoothing.dtype)
        carry = again((run, zero, zero, None))
        if _accumulated(run.memory):
            carry = jax.lax.while_loop(lambda carry: carry[-1], again, carry)
        after, loss, n, _ = carry
        loss = loss / n
        total = smoothing * run.total + (1 - smoothing) * loss
        weight = smoothing * run.weight + (1 - smoothing)
        smoothed = total / weight
        best = jnp.minimum(run.best, smoothed)
        # Four times a negative loss is a lower one, and four times none is none.
        diverged = (best > 0) & (smoothed > divergence * best)
        going = run.going & jnp.isfinite(smoothed) & ~diverged
        made = run.made + run.going.astype(jnp.int32)
        point = jnp.where(run.going, jnp.stack([loss, smoothed]), jnp.nan)
        return after._replace(total=total, weight=weight, best=best, made=made, going=going), point

    def body(carry: Any) -> Any:
        i, runs, curves = carry
        runs, points = each(step)(owns, runs)
        if reports:
            progress.report(i + 1, steps)
        return i + 1, runs, curves.at[..., i].set(points)

    owns, runs = each(begin)(keys)
    curves = jnp.full((*runs.going.shape, 2, steps), jnp.nan, smoothing.dtype)
    begun = jnp.zeros((), jnp.int32), runs, curves
    _, runs, curves = jax.lax.while_loop(lambda carry: (carry[0] < steps) & jnp.any(carry[1].going), body, begun)
    return curves, runs.made, runs.going


def _accumulated(memory: Any) -> list[Any]:
    """How many batches the next update of `optax.MultiSteps` has so far, wherever one is in the state of an optimizer."""
    leaves = jax.tree.leaves(memory, is_leaf=lambda x: isinstance(x, optax.MultiStepsState))
    return [x.mini_step for x in leaves if isinstance(x, optax.MultiStepsState)]
