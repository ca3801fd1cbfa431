"""A small network of two convolutions for images of 8 × 8 pixels."""

from typing import Any

import jax
import jax.numpy as jnp

from lrsched.lab.workloads import weights

Params = dict[str, jax.Array]


def init(key: jax.Array, channels: tuple[int, int], outputs: int) -> Params:
    """Weights and biases: two convolutions with so many channels, and a dense layer to the outputs."""
    first, second = channels
    shapes = {"w1": (3, 3, 1, first), "w2": (3, 3, first, second), "w3": (4 * second, outputs)}
    biases = {"b1": jnp.zeros(first), "b2": jnp.zeros(second), "b3": jnp.zeros(outputs)}
    return weights.draw(key, shapes, {"w1": 2.0, "w2": 2.0}) | biases


def apply(params: Params, images: Any) -> jax.Array:
    """The outputs, one row an image of shape (64,): each convolution halves the height and the width."""
    x = jnp.asarray(images, params["w1"].dtype).reshape(-1, 8, 8, 1)
    for k in (1, 2):
        x = jax.nn.relu(halved(convolved(x, params[f"w{k}"])) + params[f"b{k}"][None, None, None])
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]


def convolved(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with zeros around: images (n, height, width, inputs), an odd kernel (rows, columns, inputs, outputs)."""
    # As patches times weights: XLA's own is five times slower on a CPU if each run has its kernel, 350 against 65 µs an update.
    (height, width), (rows, columns) = images.shape[1:3], kernel.shape[:2]
    padded = jnp.pad(images, ((0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def halved(images: jax.Array) -> jax.Array:
    """The largest of every 2 × 2 values."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
