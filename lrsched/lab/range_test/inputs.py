"""Parameters and batches as the compiled program takes them."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.written import unexpected


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A leaf that is no array, such as the activation function of an equinox module."""

    value: Any


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def split(params: Any, has_state: bool) -> tuple[Any, Any, Any]:
    """The float arrays, which are trained; everything else (both with None for the other); and the state of the model."""
    state = None
    if has_state:
        if not isinstance(params, tuple) or len(params) != 2:
            raise TypeError(unexpected("range_test", "params", params, "a pair (params, state), as has_state=True"))
        params, state = params

    def is_trained(x: Any) -> bool:
        return type(x) is float or (is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact))

    trained = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)) if is_trained(x) else None, params)
    rest = jax.tree.map(lambda x: None if is_trained(x) else x if is_array(x) else Static(x), params)
    if not jax.tree.leaves(trained):
        expected = "a pytree with arrays of floats to train, or a function of a key that makes one"
        raise TypeError(unexpected("range_test", "params", params, expected))
    return trained, rest, state


def combine(trained: Any, rest: Any) -> Any:
    """The parameters that `split` divided."""

    def either(trained: Any, rest: Any) -> Any:
        return rest.value if isinstance(rest, Static) else rest if trained is None else trained

    return jax.tree.map(either, trained, rest, is_leaf=lambda x: x is None)


def stacked(batches: Any, most: int) -> tuple[Any, int]:
    """The batches along the first axis of their arrays, and their number; the first `most` of an iterable."""
    if isinstance(batches, Iterable) and not isinstance(batches, (tuple, Mapping)) and not is_array(batches):
        # Copied one by one: a loader may reuse its buffer.
        taken = [jax.tree.map(jnp.array, batch) for batch in itertools.islice(batches, most)]
        if not taken:
            hint = "an iterator gives its batches only once, so make it anew"
            raise ValueError(unexpected("range_test", "batches", batches, "at least one batch", hint))
        shapes = dict.fromkeys(str(jax.tree.map(np.shape, batch)) for batch in taken)
        if len(shapes) > 1:
            hint = "drop the last batch, if it is smaller"
            raise ValueError(f"range_test(batches=...): expected batches of one shape, got {', '.join(shapes)}. Hint: {hint}.")
        batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), *taken)
    leaves = jax.tree.leaves(batches)
    if not leaves or not all(is_array(x) and np.ndim(x) for x in leaves):
        expected = "arrays of shape (batches, ...), or an iterable of batches"
        raise TypeError(unexpected("range_test", "batches", batches, expected, "put a single batch into a list"))
    counts = {len(x) for x in leaves}
    if len(counts) > 1 or 0 in counts:
        shapes = ", ".join(str(np.shape(x)) for x in leaves)
        raise ValueError(
            f"range_test(batches=...): expected the same number of batches in each array, at least one, got shapes {shapes}."
            " Hint: x.reshape(batches, size, ...), or a list of batches."
        )
    return batches, counts.pop()
