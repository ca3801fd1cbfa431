"""Networks of dense layers, with relu in between."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lrsched.lab.workloads import weights


def init(key: jax.Array, sizes: Sequence[int]) -> dict[str, jax.Array]:
    """Weights and biases of layers between so many units: inputs first, outputs last."""
    layers = range(1, len(sizes))
    shapes = {f"w{k}": (sizes[k - 1], sizes[k]) for k in layers}
    gains = {f"w{k}": 2.0 for k in layers[:-1]}
    return weights.draw(key, shapes, gains) | {f"b{k}": jnp.zeros(sizes[k]) for k in layers}


def apply(params: dict[str, jax.Array], inputs: Any) -> jax.Array:
    """The outputs, one row a row of inputs."""
    last = len(params) // 2
    values = jnp.asarray(inputs, params["w1"].dtype)
    for k in range(1, last + 1):
        values = values @ params[f"w{k}"] + params[f"b{k}"][None]
        values = jax.nn.relu(values) if k < last else values
    return values
