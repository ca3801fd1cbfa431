"""What holds an optimizer state: pytrees, and objects that JAX does not look into; read and rebuilt by the paths of leaves."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import jax

from lrsched.algebra.written import shown

Path: TypeAlias = tuple[str, ...]  # ("opt_state", "1", "step"): attributes, keys and indices, as checkpoints name them


def path_of(keys: Any) -> Path:
    """The path of a leaf, without what kind of container each part of it is in."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in keys)


def leaves_of(state: Any, is_leaf: Callable[[Any], bool] = lambda _: False) -> list[tuple[Path, Any]]:
    """The leaves of a state with their paths; of an object that is no pytree, those of its attributes."""
    return [leaf for prefix, tree in _trees(state).items() for leaf in _leaves(tree, prefix, is_leaf)]


def _leaves(tree: Any, prefix: Path, is_leaf: Callable[[Any], bool]) -> Iterator[tuple[Path, Any]]:
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: is_leaf(x) or is_variable(x)):
        yield (*prefix, *path_of(keys)), leaf


def with_leaves(state: Any, changes: Mapping[Path, Any]) -> Any:
    """The state with other leaves at some paths, of the same kind.

    The variables of flax.nnx are changed in place, and what holds them is returned. Any other container is rebuilt: a pytree by
    JAX, any other object as a shallow copy with its attribute set.

    Raises a TypeError if that is not possible.
    """
    rebuilt, left = state, set(changes)
    for prefix, tree in _trees(state).items():
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_variable)
        new = []
        for keys, leaf in leaves:
            path = (*prefix, *path_of(keys))
            if path not in left:
                new.append(leaf)
            elif is_variable(leaf):
                _assign(leaf, changes[path])
                new.append(leaf)
            else:
                new.append(changes[path])
            left.discard(path)
        if all(a is b for a, (_, b) in zip(new, leaves, strict=True)):
            continue
        changed = jax.tree.unflatten(structure, new)
        rebuilt = _with_attribute(rebuilt, prefix[0], changed) if prefix else changed
    if left:
        raise TypeError(
            f"expected a container whose leaves have paths of their own, got none at {', '.join(map('/'.join, left))}"
        )
    return rebuilt


def _trees(state: Any) -> dict[Path, Any]:
    """The pytrees of a state: itself, or the attributes of an object that JAX takes for a leaf."""
    if not jax.tree_util.all_leaves([state]) or is_variable(state):
        return {(): state}
    attributes = {name: getattr(state, name) for name in _names(state)}
    computed = getattr(state, "opt_state", None)
    if computed is not None and not any(value is computed for value in attributes.values()):
        attributes = {"opt_state": computed}  # a property
    return {(name,): value for name, value in attributes.items() if value is not state}


def _names(state: Any) -> list[str]:
    """The attributes that an object stores."""
    slots = [name for kind in type(state).__mro__ for name in _slots(kind)]
    return [name for name in (*getattr(state, "__dict__", {}), *slots) if hasattr(state, name)]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _with_attribute(holder: Any, name: str, value: Any) -> Any:
    """A shallow copy of an object with another attribute."""
    made = None
    try:
        made = copy.copy(holder)
        try:
            object.__setattr__(made, name, value)  # a frozen dataclass refuses its own
        except AttributeError:
            setattr(made, name, value)
        kept = made is not holder and getattr(made, name, None) is value
    except (TypeError, AttributeError, ValueError, RuntimeError, copy.Error):
        kept = False
    if not kept:
        raise TypeError(
            f"expected a container that can be rebuilt (a pytree, a dataclass, an object that can be copied), got"
            f" {shown(holder)} ({type(holder).__name__}). Hint: pass its {name}, and put back what is returned"
        )
    return made


def has_only_names(state: Any) -> bool:
    """Whether all containers are dicts and lists, as of `nnx.state` and of formats of checkpoints."""
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_variable)
    kinds = (jax.tree_util.DictKey, jax.tree_util.SequenceKey)
    return all(isinstance(key, kinds) for keys, _ in leaves for key in keys)


def is_variable(x: Any) -> bool:
    """Whether something is a variable of flax.nnx, which holds an array."""
    return _is_variable(type(x))


@functools.cache
def _is_variable(kind: type) -> bool:
    return any(c.__name__ in ("Variable", "VariableState") and c.__module__.startswith("flax.nnx") for c in kind.__mro__)


def array_of(x: Any) -> Any:
    """The array in a variable of flax.nnx; anything else as it is."""
    if not is_variable(x):
        return x
    return x.get_value() if hasattr(x, "get_value") else x.value


def without_variables(tree: Any) -> Any:
    """The tree with arrays in the place of variables."""
    return jax.tree.map(array_of, tree, is_leaf=is_variable)


def _assign(variable: Any, new: Any) -> None:
    if hasattr(variable, "set_value"):
        variable.set_value(new)
    else:
        variable.value = new
