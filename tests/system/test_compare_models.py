"""Models of flax and equinox in `lrsched.lab.compare`, each written as its users write them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import relaxed
from sklearn.datasets import load_iris

import lrsched as ls
from lrsched import lab

STEPS = 60
FLOWERS, KINDS = (np.asarray(x) for x in load_iris(return_X_y=True))
FLOWERS = ((FLOWERS - FLOWERS.mean(0)) / FLOWERS.std(0)).astype(np.float32)
SPLIT = np.arange(150) % 3  # the flowers are sorted by kind


def part(i: int) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(FLOWERS[i == SPLIT]), jnp.asarray(KINDS[i == SPLIT])


def cross_entropy(scores: Any, kinds: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(scores, kinds).mean()


def accuracy(scores: Any, kinds: Any) -> jax.Array:
    return jnp.mean(scores.argmax(axis=-1) == kinds)


def scanned(schedule: ls.Schedule, params: Any, predict: Any) -> dict[str, jax.Array]:
    """Trains what is a function of arrays: `predict(params, flowers)`."""
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(schedule))
    (x, y), validation, test = part(0), part(1), part(2)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(lambda p: cross_entropy(predict(p, x), y))(params)
        updates, state = optimizer.update(grads, state, params, value=loss)
        params = optax.apply_updates(params, updates)
        return (params, state), {"loss": loss, "validation": accuracy(predict(params, validation[0]), validation[1])}

    (params, _), metrics = jax.lax.scan(step, (params, optimizer.init(params)), length=STEPS)
    return {**metrics, "test": accuracy(predict(params, test[0]), test[1])}


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(4, 16, rngs=rngs)
        self.last = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(nnx.relu(self.first(x)))


def flax_nnx(schedule: ls.Schedule, key: jax.Array) -> dict[str, jax.Array]:
    graph, params = nnx.split(Network(nnx.Rngs(key)))
    return scanned(schedule, params, lambda p, x: nnx.merge(graph, p)(x))


def equinox(schedule: ls.Schedule, key: jax.Array) -> dict[str, jax.Array]:
    model = eqx.nn.MLP(4, 3, 16, 1, key=key)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return scanned(schedule, params, lambda p, x: jax.vmap(eqx.combine(p, static))(x))


@pytest.mark.parametrize("train", [flax_nnx, equinox])
def test_a_model_of_any_library_is_compared(train):
    schedules = {
        "constant": ls.Constant(1.0),
        "one-cycle": ls.one_cycle(1.0, STEPS),
        "plateau": ls.reduce_on_plateau(factor=0.9, patience=1, threshold=0.1),
    }
    with relaxed():
        found = lab.compare(train, schedules, peaks=[1e-4, 0.1], seeds=3, show_progress=False)
    assert [row.peak for row in found.rows] == [0.1] * 3
    assert min(row.test for row in found.rows) > 0.7  # chance is a third
    constant, one_cycle, plateau = found.metrics["loss"][:, 1]
    assert not np.array_equal(constant, plateau)
    assert not np.array_equal(one_cycle[0], one_cycle[1])
