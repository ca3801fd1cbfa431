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
    return by_path(_tree(state), lambda x: is_leaf(x) or is_variable(x))


def with_leaves(state: Tree, changes: Mapping[Path, jax.Array]) -> Tree:
    """The state with other leaves at some paths, of the same kind.

    The variables of flax.nnx are changed in place, and what holds them is returned. Any other container is rebuilt: a pytree by
    JAX, any other object as a shallow copy with its attributes set.
    """
    tree, leaves, others = _tree(state), leaves_of(state), dict(changes)
    for path in changes:
        if is_variable(leaves[path]):
            leaves[path][...] = others.pop(path)
    if not others:
        return state
    new = jax.tree_util.tree_map_with_path(lambda keys, x: others.get(path_of(keys), x), tree, is_leaf=is_variable)
    if tree is state:
        return new
    names = sorted({path[0] for path in others})
    with contextlib.suppress(Exception):  # whatever somebody else's __copy__ raises
        if (made := copy.copy(state)) is not state:
            for name in names:
                object.__setattr__(made, name, new[name])  # a frozen dataclass refuses its own
            return made
    raise TypeError(
        f"expected a container that can be rebuilt (a pytree, a dataclass, an object that can be copied), got"
        f" {shown(state)} ({type(state).__name__}). Hint: pass its {names[0]}, and put back what is returned."
    )


def _tree(state: Tree) -> Tree:
    """The state itself, or the attributes of an object that JAX takes for a leaf."""
    if is_variable(state) or not jax.tree_util.all_leaves([state]):
        return state
    kept: Any = object.__getstate__(state)
    in_dict, in_slots = kept if isinstance(kept, tuple) else (kept, None)
    return {**(in_dict or {}), **(in_slots or {})}


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
