"""A small causal transformer: blocks of attention with linear biases and of two dense layers, each behind a norm."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.lab.workloads import weights

Params = dict[str, jax.Array]


class Size(NamedTuple):
    """How large it is."""

    symbols: int  # that a place may hold
    width: int = 32
    blocks: int = 1
    heads: int = 2
    hidden: int = 64  # units between the two dense layers of a block
    recent: int = 3  # places that one begins with: its own, and those just before


def init(key: jax.Array, size: Size) -> Params:
    """Random weights with which every symbol is about as likely as any other."""
    shapes: dict[str, tuple[int, ...]] = {f"embed{lag}": (size.symbols, size.width) for lag in range(size.recent)}
    gains = dict.fromkeys(shapes, size.symbols / size.recent)
    for k in range(size.blocks):
        shapes |= {f"attend{k}": (size.width, 3 * size.width), f"mix{k}": (size.width, size.width)}
        shapes |= {f"up{k}": (size.width, size.hidden), f"down{k}": (size.hidden, size.width)}
        gains[f"up{k}"] = 2.0
    return weights.draw(key, shapes | {"out": (size.width, size.symbols)}, gains | {"out": 1e-4})


def apply(params: Params, symbols: jax.Array, size: Size) -> jax.Array:
    """The logits of the symbol that comes next: (n, length) → (n, length, symbols)."""
    # Attention over so few updates would hardly learn which symbol came just before which: each place has its own embedding.
    stream = sum((_later(params[f"embed{lag}"][symbols], lag) for lag in range(size.recent)), start=jnp.zeros(()))
    for k in range(size.blocks):
        stream = stream + attention(_norm(stream) @ params[f"attend{k}"], size.heads) @ params[f"mix{k}"]
        stream = stream + jax.nn.relu(_norm(stream) @ params[f"up{k}"]) @ params[f"down{k}"]
    return _norm(stream) @ params["out"]


def _later(x: jax.Array, places: int) -> jax.Array:
    """Each row of places moved on, with zeros in front."""
    return jnp.pad(x, ((0, 0), (places, 0), (0, 0)))[:, : x.shape[1]]


def _norm(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def attention(x: jax.Array, heads: int) -> jax.Array:
    """What each place takes from those up to it: `x` holds the queries, keys and values of all heads."""
    n, length, _ = x.shape
    queries, keys, values = (part.reshape(n, length, heads, -1) for part in jnp.split(x, 3, axis=-1))
    scores = jnp.einsum("nqhw,nkhw->nhqk", queries, keys) / math.sqrt(queries.shape[-1])
    shares = jax.nn.softmax(scores + jnp.asarray(_biases(length, heads), scores.dtype)[None], axis=-1)
    return jnp.einsum("nhqk,nkhw->nqhw", shares, values).reshape(n, length, -1)


def _biases(length: int, heads: int) -> np.ndarray:
    """Minus a slope of each head times the distance (Press et al., 2022, arXiv:2108.12409); minus infinity to later places."""
    distance = np.arange(length)[:, None] - np.arange(length)
    slopes = 4.0 ** -np.arange(heads)
    return np.where(distance >= 0, -slopes[:, None, None] * distance, -np.inf)
