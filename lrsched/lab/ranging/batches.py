"""Batches as a compiled program takes them: one pytree, each leaf with the batches along its first axis."""

import itertools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.written import shown
from lrsched.lab.ranging.model import is_array


def stacked(call: str, batches: Any, most: int) -> tuple[Any, int]:
    """The batches stacked, and how many there are.

    Args:
        call: the function that an error names.
        batches: a pytree of arrays that are stacked already; or a list, an iterator or any other iterable of batches.
        most: how many are taken of an iterable.
    """
    if isinstance(batches, list) or _is_stream(batches):
        batches = _collected(call, batches, most)
    leaves = jax.tree_util.tree_leaves_with_path(batches)
    shapes = {_place(path): np.shape(leaf) for path, leaf in leaves}
    if not shapes or not all(is_array(leaf) and np.ndim(leaf) for _, leaf in leaves):
        raise TypeError(
            f"{call}(batches=...) must be arrays of shape (batches, ...), or a list or an iterator of batches, got"
            f" {shown(batches)}; a single batch goes into a list"
        )
    if len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(
            f"{call}(batches=...) must have as many batches in each array, got shapes {_listed(shapes)}: stack the batches"
            " along the first axis, x.reshape(batches, size, ...), or pass a list of batches"
        )
    count = next(iter(shapes.values()))[0]
    if not count:
        raise ValueError(f"{call}(batches=...) has no batch: its arrays have shapes {_listed(shapes)}")
    return batches, count


def _is_stream(batches: Any) -> bool:
    """Whether it is something to iterate over that JAX does not know as a pytree: a generator, a data loader."""
    if not isinstance(batches, Iterable) or isinstance(batches, (str, bytes)) or is_array(batches):
        return False
    return jax.tree_util.default_registry.flatten_one_level(batches) is None  # jax.tree warns of iterators


def _collected(call: str, batches: Iterable[Any], most: int) -> Any:
    # Copied as they come: a loader may fill the same buffer again.
    taken = [jax.tree.map(_kept, batch) for batch in itertools.islice(batches, most)]
    if not taken:
        raise ValueError(f"{call}(batches=...) has no batch: an iterator that was used up before gives none, so make it anew")
    first = _shapes(taken[0])
    for i, batch in enumerate(taken):
        if (own := _shapes(batch)) != first:
            raise ValueError(
                f"{call}(batches=...) must all be of one shape, got {_listed(own)} in batch {i} and {_listed(first)} in batch"
                " 0: drop the last one, if it is what was left over"
            )
    return jax.tree.map(lambda *leaves: _stack(leaves), *taken)


def _kept(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _stack(leaves: tuple[Any, ...]) -> Any:
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])


def _shapes(batch: Any) -> dict[str, tuple[int, ...]]:
    return {_place(path): tuple(np.shape(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(batch)}


def _place(path: Any) -> str:
    return jax.tree_util.keystr(path)


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{place}{':' if place else ''} {shape}".strip() for place, shape in shapes.items()) or "nothing"
