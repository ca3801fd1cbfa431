"""Scikit-learn's 1,797 handwritten digits, and networks that classify them. The score is the accuracy."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads.training import Params, Splits, Workload, bundled, dense, draw, through_dense


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


def _measure(network: Any, params: Params, split: Split) -> tuple[jax.Array, jax.Array]:
    logits = network(params, split.images)
    right = jnp.argmax(logits, axis=-1).astype(jnp.int32) == split.digits
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, split.digits).mean()
    return loss, jnp.mean(right, dtype=logits.dtype)


def _convolutional(key: jax.Array) -> Params:
    """Weights and biases of two convolutions, with 8 and 16 channels, and of a dense layer."""
    shapes = {"w1": (3, 3, 1, 8), "w2": (3, 3, 8, 16), "w3": (64, 10), "b1": (8,), "b2": (16,), "b3": (10,)}
    return draw(key, shapes, {"w1": 2.0, "w2": 2.0, "w3": 1.0})


def _through_convolutional(params: Params, images: Any) -> jax.Array:
    """The logits of images of shape (n, 64). After each convolution, the height and the width are halved."""
    x = jnp.asarray(images, params["w1"].dtype).reshape(-1, 8, 8, 1)
    for k in (1, 2):
        x = _convolved(x, params[f"w{k}"])
        n, height, width, channels = x.shape
        x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
        x = jax.nn.relu(x + params[f"b{k}"][None, None, None])
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]


def _convolved(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution, padded with zeros: images (n, height, width, inputs), a kernel (3, 3, inputs, outputs)."""
    # XLA's own takes 350 µs an update on a CPU where each run has its own kernel; patches times weights take 65 µs.
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


WORKLOAD = Workload(
    name="digits",
    description="a network with two convolutions classifies handwritten digits; momentum SGD",
    score="accuracy",
    load=load,
    init=_convolutional,
    measure=functools.partial(_measure, _through_convolutional),
    optimizer=optax.trace(0.9),
    rows=16,
    steps=1000,
    peaks=tuple(0.0025 * 2.0**k for k in range(7)),
    batch_size=16,
)

DENSE = dataclasses.replace(  # of the main job
    WORKLOAD,
    name="dense",
    description="a network with one hidden layer classifies handwritten digits; momentum SGD",
    init=functools.partial(dense, (64, 32, 10)),
    measure=functools.partial(_measure, through_dense),
    peaks=tuple(0.01 * 2.0**k for k in range(8)),
    batch_size=4096,  # all of them
)
