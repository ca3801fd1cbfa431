"""What holds an optimizer state: pytrees, and objects that JAX does not look into; read and rebuilt by the paths of leaves."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax

from lrsched.algebra import numerics
from lrsched.algebra.written import shown

Path: TypeAlias = tuple[str, ...]  # ("opt_state", "1", "step"): attributes, keys and indices, as checkpoints name them
Tree: TypeAlias = Any  # a pytree, or an object that holds one


def path_of(keys: jax.tree_util.KeyPath) -> Path:
    """The path of a leaf, without what kind of container each part of it is in."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in keys)


def by_path(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> dict[Path, Any]:
    """The leaves of a pytree by their paths."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf)}


def leaves_of(state: Tree, is_leaf: Callable[[Any], bool] = lambda _: False) -> dict[Path, Any]:
    """The leaves of a state by their paths; of an object that is no pytree, those of its attributes."""
    trees = {prefix: by_path(tree, lambda x: is_leaf(x) or is_variable(x)) for prefix, tree in _trees(state).items()}
    return {(*prefix, *path): leaf for prefix, leaves in trees.items() for path, leaf in leaves.items()}


def with_leaves(state: Tree, changes: Mapping[Path, jax.Array]) -> Tree:
    """The state with other leaves at some paths, of the same kind.

    The variables of flax.nnx are changed in place, and what holds them is returned. Any other container is rebuilt: a pytree by
    JAX, any other object as a shallow copy with its attribute set.

    Raises a TypeError if that is not possible.
    """
    leaves, others = leaves_of(state), dict(changes)
    for path in changes:
        if is_variable(leaves[path]):
            leaves[path][...] = others.pop(path)
    for prefix, tree in _trees(state).items():
        if any(path[: len(prefix)] == prefix for path in others):
            new = jax.tree_util.tree_map_with_path(
                lambda keys, leaf, prefix=prefix: others.get((*prefix, *path_of(keys)), leaf), tree, is_leaf=is_variable
            )
            state = _with_attribute(state, prefix[0], new) if prefix else new
    return state


def _trees(state: Tree) -> dict[Path, Tree]:
    """The pytrees of a state: itself, or the attributes of an object that JAX takes for a leaf."""
    if is_variable(state) or not jax.tree_util.all_leaves([state]):
        return {(): state}
    kept: Any = object.__getstate__(state)
    in_dict, in_slots = kept if isinstance(kept, tuple) else (kept, None)
    attributes = {**(in_dict or {}), **(in_slots or {})}
    computed = getattr(state, "opt_state", None)
    if computed is not None and not any(value is computed for value in attributes.values()):
        attributes = {"opt_state": computed}  # a property
    return {(name,): value for name, value in attributes.items()}


def _with_attribute(holder: Any, name: str, value: Tree) -> Any:
    """A shallow copy of an object with another attribute."""
    with contextlib.suppress(Exception):  # whatever somebody else's __copy__ raises
        made = copy.copy(holder)
        if made is not holder:
            object.__setattr__(made, name, value)  # a frozen dataclass refuses its own
            return made
    raise TypeError(
        f"expected a container that can be rebuilt (a pytree, a dataclass, an object that can be copied), got"
        f" {shown(holder)} ({type(holder).__name__}). Hint: pass its {name}, and put back what is returned."
    )


def has_only_names(state: Tree) -> bool:
    """Whether all containers are dicts and lists, as of `nnx.state` and of formats of checkpoints."""
    kinds = (jax.tree_util.DictKey, jax.tree_util.SequenceKey)
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_variable)
    return all(isinstance(key, kinds) for keys, _ in leaves for key in keys)


def is_variable(x: object) -> bool:
    """Whether something holds an array, as a variable of flax.nnx does."""
    return hasattr(type(x), "__jax_array__") and not isinstance(x, jax.Array)  # as tracers are


def without_variables(tree: Tree) -> Tree:
    """The tree with arrays in the place of variables."""
    return jax.tree.map(numerics.array_of, tree, is_leaf=is_variable)


def placed_as(like: Any, x: Any) -> Any:
    """An array where another one is, if that is on several devices: what runs on a mesh is not compiled again."""
    sharding = getattr(like, "sharding", None)
    return x if sharding is None or len(sharding.device_set) == 1 else jax.device_put(x, sharding)
