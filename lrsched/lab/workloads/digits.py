"""Scikit-learn's 1,797 handwritten digits, and networks that tell them apart."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads import dense
from lrsched.lab.workloads.training import Splits, Task


class Split(NamedTuple):
    """Images of shape (n, 64) with values in [0, 1], and their digits of shape (n,)."""

    images: np.ndarray
    digits: np.ndarray


@functools.cache
def load() -> Splits:
    """The digits, shuffled with a fixed seed, in splits of 1,000 for training, 397 for validation and 400 for the test."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    images, digits = (np.asarray(images)[order] / 16).astype(np.float32), np.asarray(digits)[order].astype(np.int32)
    parts = (slice(0, 1000), slice(1000, 1397), slice(1397, None))
    return Splits(*(Split(images[part], digits[part]) for part in parts))


def dense_task(hidden: int = 32, batch_size: int = 16, momentum: float = 0.9) -> Task:
    """A network with one hidden layer of that many units, which momentum SGD trains: the main job's."""
    return _task(lambda key: dense.init(key, (64, hidden, 10)), dense.apply, batch_size, momentum)


def _task(init: Callable[[jax.Array], Any], network: Callable[[Any, Any], jax.Array], batch_size: int, momentum: float) -> Task:
    def loss(params: Any, split: Split) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(network(params, split.images), split.digits).mean()

    def score(params: Any, split: Split) -> tuple[jax.Array, jax.Array]:
        """The mean loss, and the accuracy."""
        logits = network(params, split.images)
        mean = optax.softmax_cross_entropy_with_integer_labels(logits, split.digits).mean()
        return mean, jnp.mean(jnp.argmax(logits, axis=-1) == split.digits)

    return Task(load(), init, loss, score, optax.trace(momentum), batch_size)
