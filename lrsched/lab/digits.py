"""A workload on real data: scikit-learn's 1,797 handwritten digits and a network with one hidden layer."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import Schedule
from lrsched.lab import progress
from lrsched.running import evaluate, init, tick

EVALUATIONS = 50  # of the validation split in a run, evenly spaced


class Split(NamedTuple):
    """Images of shape (n, 64) with values in [0, 1], and their digits of shape (n,)."""

    images: np.ndarray
    digits: np.ndarray


class Digits(NamedTuple):
    """The three splits, the same in every run."""

    train: Split
    validation: Split
    test: Split


@functools.cache
def load() -> Digits:
    """The digits, shuffled with a fixed seed, in splits of 1,000 for training, 397 for validation and 400 for the test."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    images, digits = (np.asarray(images)[order] / 16).astype(np.float32), np.asarray(digits)[order].astype(np.int32)
    parts = (slice(0, 1000), slice(1000, 1397), slice(1397, None))
    return Digits(*(Split(images[part], digits[part]) for part in parts))


def make_train(
    steps: int, batch_size: int = 16, hidden: int = 32, momentum: float = 0.9
) -> Callable[[Schedule, jax.Array], dict[str, jax.Array]]:
    """A pure function `train(schedule, key)` that trains the network for `steps` updates of momentum SGD.

    A clock of the schedule observes the validation loss, as `value`, after each evaluation.

    Args:
        steps: the number of updates, at least 1.
        batch_size: the number of images an update sees, drawn with replacement.
        hidden: the number of hidden units.
        momentum: of the SGD.
    """
    data = load()
    optimizer = optax.trace(momentum)
    ends = np.unique(np.linspace(0, steps, min(EVALUATIONS, steps) + 1).round().astype(np.int32))

    def update(schedule: Schedule, key: jax.Array, step: jax.Array, carry: Any) -> Any:
        params, momenta, state, total, _ = carry
        batch = jax.random.randint(jax.random.fold_in(key, step), (batch_size,), 0, len(data.train.digits))
        images, digits = jnp.asarray(data.train.images)[batch], jnp.asarray(data.train.digits)[batch]
        loss, grads = jax.value_and_grad(_loss)(params, images, digits)
        direction, momenta = optimizer.update(grads, momenta)
        rate = evaluate(schedule, state)
        params = jax.tree.map(lambda p, d: p - rate * d, params, direction)
        return params, momenta, tick(schedule, state), total + loss, rate

    def train(schedule: Schedule, key: jax.Array) -> dict[str, jax.Array]:
        key_params, key_batches = jax.random.split(key)
        params = _network(key_params, hidden)
        begin = params, optimizer.init(params), init(schedule)

        def until_evaluation(carry: Any, span: Any) -> Any:
            start, end = span
            body = functools.partial(update, schedule, key_batches)
            begin = (*carry, jnp.zeros(()), jnp.zeros(()))
            params, momenta, state, total, rate = jax.lax.fori_loop(start, end, body, begin)
            loss, accuracy = _evaluate(params, data.validation)
            state = tick(schedule, state, steps=0, value=loss)
            progress.report(end, steps)
            row = {
                "step": end,
                "loss": total / (end - start).astype(total.dtype),
                "validation": accuracy,
                "validation_loss": loss,
                "learning_rate": rate,  # of the last update
            }
            return (params, momenta, state), row

        (params, *_), rows = jax.lax.scan(until_evaluation, begin, (ends[:-1], ends[1:]))
        return {**rows, "test": _evaluate(params, data.test)[1]}

    return train


def _network(key: jax.Array, hidden: int) -> dict[str, jax.Array]:
    # One draw for both layers: a key for each takes XLA twenty times as long to compile on a CPU.
    draw = jax.random.normal(key, ((64 + 10) * hidden,))
    return {
        "w_in": draw[: 64 * hidden].reshape(64, hidden) * math.sqrt(2 / 64),
        "b_in": jnp.zeros(hidden),
        "w_out": draw[64 * hidden :].reshape(hidden, 10) * math.sqrt(1 / hidden),
        "b_out": jnp.zeros(10),
    }


def _scores(params: dict[str, jax.Array], images: Any) -> jax.Array:
    hidden = jax.nn.relu(images @ params["w_in"] + params["b_in"][None])
    return hidden @ params["w_out"] + params["b_out"][None]


def _loss(params: dict[str, jax.Array], images: Any, digits: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(_scores(params, images), digits).mean()


def _evaluate(params: dict[str, jax.Array], split: Split) -> tuple[jax.Array, jax.Array]:
    """The mean loss and the accuracy."""
    scores = _scores(params, split.images)
    loss = optax.softmax_cross_entropy_with_integer_labels(scores, split.digits).mean()
    return loss, jnp.mean(jnp.argmax(scores, axis=-1) == split.digits)
