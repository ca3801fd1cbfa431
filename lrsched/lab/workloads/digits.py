"""Scikit-learn's 1,797 handwritten digits, and networks that tell them apart."""

import functools
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads.training import Splits, Task, Workload, bundled, dense, draw, through_dense

Params = dict[str, jax.Array]


class Split(NamedTuple):
    """Images of shape (n, 64) with values in [0, 1], and their digits of shape (n,)."""

    images: np.ndarray
    digits: np.ndarray


@functools.cache
def load() -> Splits:
    """The digits, shuffled with a fixed seed, in splits of 1,000 for training, 397 for validation and 400 for the test."""
    images, digits = bundled("digits")
    images, digits = (images / 16).astype(np.float32), digits.astype(np.int32)
    parts = (slice(0, 1000), slice(1000, 1397), slice(1397, None))
    return Splits(*(Split(images[part], digits[part]) for part in parts))


def dense_task(batch_size: int = 16, hidden: int = 32, momentum: float = 0.9) -> Task:
    """A network with one hidden layer that momentum SGD trains: the main job's. The score is the accuracy."""
    return _task(lambda key: dense(key, (64, hidden, 10)), through_dense, batch_size, momentum)


def convolutional_task(batch_size: int = 16, channels: tuple[int, int] = (8, 16), momentum: float = 0.9) -> Task:
    """A network with two convolutions that momentum SGD trains. The score is the accuracy."""
    return _task(lambda key: convolutional(key, channels), through_convolutional, batch_size, momentum)


def _task(init: Callable[[jax.Array], Any], network: Callable[[Any, Any], jax.Array], batch_size: int, momentum: float) -> Task:
    def score(params: Any, split: Split) -> tuple[jax.Array, jax.Array]:
        logits = network(params, split.images)
        right = jnp.argmax(logits, axis=-1).astype(jnp.int32) == split.digits
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, split.digits).mean()
        return loss, jnp.mean(right, dtype=logits.dtype)

    return Task(load(), init, lambda params, split: score(params, split)[0], score, optax.trace(momentum), batch_size)


def convolutional(key: jax.Array, channels: tuple[int, int]) -> Params:
    """Weights and biases: two convolutions with so many channels, and a dense layer to the digits."""
    first, second = channels
    shapes = {"w1": (3, 3, 1, first), "w2": (3, 3, first, second), "w3": (4 * second, 10)}
    return draw(key, shapes | {"b1": (first,), "b2": (second,), "b3": (10,)}, {"w1": 2.0, "w2": 2.0, "w3": 1.0})


def through_convolutional(params: Params, images: Any) -> jax.Array:
    """The outputs, one row an image of shape (64,): each convolution halves the height and the width."""
    x = jnp.asarray(images, params["w1"].dtype).reshape(-1, 8, 8, 1)
    for k in (1, 2):
        x = jax.nn.relu(_halved(_convolved(x, params[f"w{k}"])) + params[f"b{k}"][None, None, None])
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]


def _convolved(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with zeros around: images (n, height, width, inputs), an odd kernel (rows, columns, inputs, outputs)."""
    # As patches times weights: XLA's own is five times slower on a CPU if each run has its kernel, 350 against 65 µs an update.
    (height, width), (rows, columns) = images.shape[1:3], kernel.shape[:2]
    padded = jnp.pad(images, ((0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _halved(images: jax.Array) -> jax.Array:
    """The largest of every 2 × 2 values."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


WORKLOAD = Workload(
    name="digits",
    description="a network with two convolutions tells handwritten digits apart; momentum SGD",
    score="accuracy",
    source=lambda: f"scikit-learn {metadata.version('scikit-learn')}",
    task=convolutional_task,
    steps=1000,
    peaks=tuple(0.0025 * 2.0**k for k in range(7)),
    batch_size=16,
)
