"""One run of the main job as optax is used: the same network, data and schedules, built and compiled anew for each run."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched.lab.workloads import digits, training


def schedule_of(name: str, peak: float, steps: int) -> optax.Schedule:
    """The optax schedule for a name in `bakeoff.guide`. A plateau is not a schedule there: its rate is the constant one."""
    match name:
        case "constant" | "reduce on plateau":
            return optax.constant_schedule(peak)
        case "step":
            return optax.exponential_decay(peak, steps // 4, 0.5, staircase=True)
        case "multi-step":
            return optax.piecewise_constant_schedule(peak, {steps // 2: 0.1, 3 * steps // 4: 0.1})
        case "exponential":
            return optax.exponential_decay(peak, steps, 0.01)
        case "cosine annealing":
            return optax.cosine_decay_schedule(peak, steps)
        case "cyclic":
            up = steps // 10
            ramps = [optax.linear_schedule(0.1 * peak, peak, up), optax.linear_schedule(peak, 0.1 * peak, up)]
            return optax.join_schedules(5 * ramps, [up * k for k in range(1, 10)])
        case "one-cycle":
            return optax.cosine_onecycle_schedule(steps, peak)
    raise ValueError(name)


class Run(NamedTuple):
    """The start of a run, and its step, not compiled yet."""

    params: Any
    state: Any
    scale: Any  # the state of the plateau; None without one
    step: Callable[..., Any]  # (params, state, scale, total, number) -> (params, state, total)
    observe: Callable[[Any, jax.Array], Any]  # the plateau's reaction to a validation loss


def train(name: str, peak: float, seed: int, steps: int) -> float:
    """Trains in a Python loop around a jitted step, and returns the last validation accuracy."""
    params, state, scale, step, observe = _build(name, peak, seed, steps)
    step, observe = jax.jit(step), jax.jit(observe)
    every = max(1, steps // training.EVALUATIONS)
    history, total = [], jnp.zeros(())
    for number in range(steps):
        params, state, total = step(params, state, scale, total, number)
        if (number + 1) % every == 0:
            loss, accuracy = _evaluate(params)
            scale = observe(scale, loss)
            history.append((number + 1, float(total) / every, float(loss), float(accuracy)))
            total = jnp.zeros(())
    return history[-1][-1]


def train_scanned(name: str, peak: float, seed: int, steps: int) -> float:
    """The same as one jitted scan over all evaluations of the run, with a loop over the steps in between."""
    params, state, scale, step, observe = _build(name, peak, seed, steps)
    every = max(1, steps // training.EVALUATIONS)

    @jax.jit
    def run(params: Any, state: Any, scale: Any) -> Any:
        def until_evaluation(carry: Any, first: jax.Array) -> Any:
            params, state, scale = carry

            def body(number: jax.Array, carry: Any) -> Any:
                params, state, total = carry
                return step(params, state, scale, total, number)

            params, state, total = jax.lax.fori_loop(first, first + every, body, (params, state, jnp.zeros(())))
            loss, accuracy = _evaluate(params)
            return (params, state, observe(scale, loss)), (total / every, loss, accuracy)

        return jax.lax.scan(until_evaluation, (params, state, scale), every * jnp.arange(steps // every))[1]

    return float(jax.device_get(run(params, state, scale))[-1][-1])


def _build(name: str, peak: float, seed: int, steps: int) -> Run:
    data = digits.load().train
    images, labels = jnp.asarray(data.images), jnp.asarray(data.digits)
    key, key_in, key_out = jax.random.split(jax.random.key(seed), 3)
    params = {
        "w_in": jax.random.normal(key_in, (64, 32)) * math.sqrt(2 / 64),
        "b_in": jnp.zeros(32),
        "w_out": jax.random.normal(key_out, (32, 10)) * math.sqrt(1 / 32),
        "b_out": jnp.zeros(10),
    }
    optimizer = optax.sgd(schedule_of(name, peak, steps), momentum=0.9)
    # Its patience is one higher than elsewhere, since it fires one observation earlier.
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=4, rtol=0.01) if name == "reduce on plateau" else None

    def step(params: Any, state: Any, scale: Any, total: Any, number: Any) -> Any:
        batch = jax.random.randint(jax.random.fold_in(key, number), (16,), 0, len(labels))
        loss, grads = jax.value_and_grad(_loss)(params, images[batch], labels[batch])
        updates, state = optimizer.update(grads, state, params)
        if plateau is not None:
            updates = jax.tree.map(lambda u: scale.scale * u, updates)
        return optax.apply_updates(params, updates), state, total + loss

    def observe(scale: Any, loss: jax.Array) -> Any:
        return scale if plateau is None else plateau.update(params, scale, value=loss)[1]

    return Run(params, optimizer.init(params), None if plateau is None else plateau.init(params), step, observe)


def _scores(params: Any, images: Any) -> jax.Array:
    return jax.nn.relu(images @ params["w_in"] + params["b_in"]) @ params["w_out"] + params["b_out"]


def _loss(params: Any, images: Any, labels: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(_scores(params, images), labels).mean()


@jax.jit
def _evaluate(params: Any) -> tuple[jax.Array, jax.Array]:
    images, labels = digits.load().validation
    return _loss(params, images, labels), jnp.mean(jnp.argmax(_scores(params, images), axis=-1) == labels)
