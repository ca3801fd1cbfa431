"""Where a network starts: random weights of a size that keeps its signals of size 1."""

import math
from collections.abc import Mapping

import jax


def draw(key: jax.Array, shapes: Mapping[str, tuple[int, ...]], gains: Mapping[str, float]) -> dict[str, jax.Array]:
    """Normal weights with the variance `gain / inputs`, where the inputs are all axes of a shape but the last.

    Args:
        key: what they are drawn from.
        shapes: by name.
        gains: by name, 1 where none is given; 2 suits what a relu comes after.
    """
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    # One draw for all layers: a key for each takes XLA twenty times as long to compile on a CPU.
    numbers = jax.random.normal(key, (sum(counts.values()),))
    weights, start = {}, 0
    for name, shape in shapes.items():
        part = numbers[start : start + counts[name]].reshape(shape)
        weights[name] = part * math.sqrt(gains.get(name, 1.0) / math.prod(shape[:-1]))
        start += counts[name]
    return weights
