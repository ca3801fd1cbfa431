"""Scikit-learn's 1,797 handwritten digits, and networks that classify them."""

import functools
from collections.abc import Callable
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


def dense_task() -> Task:
    """A network with one hidden layer, for the main job. The score is the accuracy."""
    return _task(lambda key: dense(key, (64, 32, 10)), through_dense)


def convolutional_task() -> Task:
    """A network with two convolutions. The score is the accuracy."""
    return _task(lambda key: convolutional(key, (8, 16)), through_convolutional)


def _task(init: Callable[[jax.Array], Params], network: Callable[[Params, Any], jax.Array]) -> Task:
    def score(params: Params, split: Split) -> tuple[jax.Array, jax.Array]:
        logits = network(params, split.images)
        right = jnp.argmax(logits, axis=-1).astype(jnp.int32) == split.digits
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, split.digits).mean()
        return loss, jnp.mean(right, dtype=logits.dtype)

    return Task(load(), init, lambda params, split: score(params, split)[0], score, optax.trace(0.9), batch_size=16)


def convolutional(key: jax.Array, channels: tuple[int, int]) -> Params:
    """Weights and biases of two convolutions with these channels, and of a dense layer."""
    first, second = channels
    shapes = {"w1": (3, 3, 1, first), "w2": (3, 3, first, second), "w3": (4 * second, 10)}
    return draw(key, shapes | {"b1": (first,), "b2": (second,), "b3": (10,)}, {"w1": 2.0, "w2": 2.0, "w3": 1.0})


def through_convolutional(params: Params, images: Any) -> jax.Array:
    """The logits of images of shape (n, 64). After each convolution, the height and the width are halved."""
    x = jnp.asarray(images, params["w1"].dtype).reshape(-1, 8, 8, 1)
    for k in (1, 2):
        x = jax.nn.relu(_halved(_convolved(x, params[f"w{k}"])) + params[f"b{k}"][None, None, None])
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]


def _convolved(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution, padded with zeros: images (n, height, width, inputs), an odd kernel (rows, columns, inputs, outputs)."""
    # XLA's own takes 350 µs an update on a CPU where each run has its own kernel; patches times weights take 65 µs.
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
    description="a network with two convolutions classifies handwritten digits; momentum SGD",
    score="accuracy",
    task=convolutional_task,
    steps=1000,
    peaks=tuple(0.0025 * 2.0**k for k in range(7)),
    batch_size=16,
)
