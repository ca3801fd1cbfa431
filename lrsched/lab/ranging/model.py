"""The parameters of a model in two: what an optimizer trains, and the rest."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp


@functools.partial(jax.tree_util.register_dataclass, data_fields=["trained", "held"], meta_fields=["fixed", "structure"])
@dataclasses.dataclass(frozen=True)
class Model:
    """Any pytree of parameters, in a form that goes into and out of `jax.jit` and `jax.vmap`.

    Args:
        trained: the tree of the parameters with None for every leaf that is no array of floats; so its paths, which masks and
            labels of optimizers go by, are those of the parameters.
        held: the other arrays, such as counters; None for what is none of them.
        fixed: the leaves that are no arrays, such as the activation function of an equinox module; None for arrays.
        structure: that of the parameters.
    """

    trained: Any
    held: list[Any]
    fixed: tuple[Any, ...]
    structure: Any

    @classmethod
    def of(cls, params: Any) -> "Model":
        """A Python float is an array of floats; an integer, or any other object, is fixed."""
        leaves, structure = jax.tree.flatten(params)
        leaves = [jnp.asarray(x, jnp.result_type(float)) if type(x) is float else x for x in leaves]
        trained = [x if is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact) else None for x in leaves]
        held = [x if is_array(x) and own is None else None for x, own in zip(leaves, trained, strict=True)]
        fixed = tuple(None if is_array(x) else x for x in leaves)
        return cls(structure.unflatten(trained), held, fixed, structure)

    def params(self, trained: Any) -> Any:
        """The parameters, with these for what is trained."""
        parts = zip(self.structure.flatten_up_to(trained), self.held, self.fixed, strict=True)
        return self.structure.unflatten([next((x for x in part if x is not None), None) for part in parts])


def is_array(x: Any) -> bool:
    """Whether it is an array of JAX or NumPy, or another that NumPy can take."""
    return hasattr(x, "shape") and hasattr(x, "dtype")
