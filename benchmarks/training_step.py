"""What a schedule costs in a training step: adamw on a small network, many steps in one compiled scan.

Against a constant rate, the two chains differ only in the last link: `lrsched.scale_by_learning_rate` with a captured or live
schedule against `optax.scale_by_learning_rate` with a number. Against `optax.inject_hyperparams`, which is how optax
keeps a rate that can be read, both have the same schedule, and the same weight decay.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import lrsched as ls
from benchmarks.timing import Row, compare

SIZES = (64, 256, 256, 10)
BATCH = 128
STEPS = 200  # steps in a scan: so many that passing the state to it, array by array, does not matter
DECAY = 1e-4  # of the weights

Optimizer = optax.GradientTransformation


class Side(NamedTuple):
    """An optimizer of ours, or the one that the others are measured against."""

    name: str
    ours: Optimizer
    goal: float | None
    gpu_goal: float | None = None


def rows(repeats: int) -> list[Row]:
    """Pure and driven schedules, captured and live: against a constant rate, and against `inject_hyperparams`."""
    cosine = ls.warmup_cosine(peak=1e-3, warmup_steps=100, steps=10_000)
    driven = cosine * ls.reduce_on_plateau(factor=0.5, patience=10)
    constant = _chain(optax.scale_by_learning_rate(1e-3))
    captured = _chain(ls.scale_by_learning_rate(cosine))
    driven_chain = _chain(ls.scale_by_learning_rate(driven))
    live = _chain(ls.scale_by_learning_rate(cosine, live=True))
    driven_live = _chain(ls.scale_by_learning_rate(driven, live=True))
    theirs = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 10_000)
    injected = optax.inject_hyperparams(optax.adamw)(theirs, weight_decay=DECAY)
    injected_plateau = optax.chain(injected, optax.contrib.reduce_on_plateau(factor=0.5, patience=10))

    def scheduled(schedule: ls.Schedule, live: bool = False) -> Optimizer:
        return ls.scheduled(optax.adamw, live=live)(schedule, weight_decay=DECAY)

    pure = "warmup_cosine"
    both = "warmup_cosine * reduce_on_plateau"
    return [
        *_against(
            "a constant rate",
            constant,
            [
                Side(pure, captured, 1.01, 1.02),
                Side(both, driven_chain, 1.03, 1.1),
                Side(f"{pure}, live", live, 1.03, 1.02),
                Side(f"{both}, live", driven_live, 1.03, 1.1),
                Side("a constant rate (how exact the others are)", constant, None),
            ],
            repeats,
        ),
        *_against(
            "optax.inject_hyperparams",
            injected,
            [
                Side(pure, captured, 1.01),
                Side(f"{pure}, live", live, 1.01),
                Side(f"scheduled(optax.adamw) of {pure}", scheduled(cosine), 1.01),
                Side(f"scheduled(optax.adamw) of {pure}, live", scheduled(cosine, live=True), 1.01),
            ],
            repeats,
        ),
        *_against(
            "optax.inject_hyperparams and its plateau",
            injected_plateau,
            [
                Side(both, driven_chain, 1.01),
                Side(f"{both}, live", driven_live, 1.01),
                Side(f"scheduled(optax.adamw) of {both}", scheduled(driven), 1.01),
                Side(f"scheduled(optax.adamw) of {both}, live", scheduled(driven, live=True), 1.01),
            ],
            repeats,
        ),
    ]


def _against(name: str, theirs: Optimizer, sides: list[Side], repeats: int) -> list[Row]:
    baseline = _training(theirs)
    table = []
    for side in sides:
        found = compare(_training(side.ours), baseline, repeats)
        us = [f"{1e6 * seconds / STEPS:.0f}" for seconds in (found.ours, found.theirs)]
        details = f"± {found.error:.3f}; {us[0]} µs against {us[1]} µs a step, {repeats} × {STEPS} steps"
        table.append(
            Row(f"a training step with {side.name}, against {name}", found.ratio, side.goal, details, gpu_goal=side.gpu_goal)
        )
    return table


def _chain(link: Optimizer) -> Optimizer:
    return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(DECAY), link)


def _training(optimizer: Optimizer) -> Callable[[], Any]:
    """A call that trains for STEPS steps from the same start."""
    optimizer = optax.with_extra_args_support(optimizer)
    keys = jax.random.split(jax.random.key(0), len(SIZES) + 1)
    layers = zip(keys, SIZES[:-1], SIZES[1:], strict=False)
    params = [(jax.random.normal(key, (m, n)) * (2 / m) ** 0.5, jnp.zeros(n)) for key, m, n in layers]
    x = jax.random.normal(keys[-2], (BATCH, SIZES[0]))
    y = jax.random.randint(keys[-1], (BATCH,), 0, SIZES[-1])

    def loss_of(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        for weights, bias in params[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ weights + bias, y).mean()

    @jax.jit
    def train(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(loss_of)(params, x, y)
            updates, state = optimizer.update(grads, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, state), length=STEPS)

    state = optimizer.init(params)
    return lambda: train(params, state, x, y)
