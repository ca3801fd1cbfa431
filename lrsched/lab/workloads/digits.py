"""Scikit-learn's 1,797 handwritten digits, and networks that tell them apart."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads import bundled, convolutional, dense
from lrsched.lab.workloads.training import Splits, Task


class Split(NamedTuple):
    """Images of shape (n, 64) with values in [0, 1], and their digits of shape (n,)."""

    images: np.ndarray
    digits: np.ndarray


@functools.cache
def load() -> Splits:
    """The digits, shuffled with a fixed seed, in splits of 1,000 for training, 397 for validation and 400 for the test."""
    images, digits = bundled.arrays("digits")
    images, digits = (images / 16).astype(np.float32), digits.astype(np.int32)
    parts = (slice(0, 1000), slice(1000, 1397), slice(1397, None))
    return Splits(*(Split(images[part], digits[part]) for part in parts))


def dense_task(batch_size: int = 16, hidden: int = 32, momentum: float = 0.9) -> Task:
    """A network with one hidden layer that momentum SGD trains: the main job's. The score is the accuracy."""
    return _task(lambda key: dense.init(key, (64, hidden, 10)), dense.apply, batch_size, momentum)


def convolutional_task(batch_size: int = 16, channels: tuple[int, int] = (8, 16), momentum: float = 0.9) -> Task:
    """A network with two convolutions that momentum SGD trains. The score is the accuracy."""
    return _task(lambda key: convolutional.init(key, channels, 10), convolutional.apply, batch_size, momentum)


def _task(init: Callable[[jax.Array], Any], network: Callable[[Any, Any], jax.Array], batch_size: int, momentum: float) -> Task:
    def loss(params: Any, split: Split) -> jax.Array:
        return _cross_entropy(network(params, split.images), split)

    def score(params: Any, split: Split) -> tuple[jax.Array, jax.Array]:
        logits = network(params, split.images)
        right = jnp.argmax(logits, axis=-1).astype(jnp.int32) == split.digits
        return _cross_entropy(logits, split), jnp.mean(right, dtype=logits.dtype)

    return Task(load(), init, loss, score, optax.trace(momentum), batch_size)


def _cross_entropy(logits: jax.Array, split: Split) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, split.digits).mean()
