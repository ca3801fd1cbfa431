"""The parts of an optimizer state: hyperparameters, the schedules that they follow, and counts of updates.

They are found by field names, even in containers that keep only names, such as `nnx.state`. A state may be a pytree, or an
object that JAX does not look into. Paths are those that checkpoints use.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, unexpected

Path: TypeAlias = tuple[str, ...]  # ("opt_state", "1", "step"): attributes, keys and indices, as checkpoints name them
Tree: TypeAlias = Any  # a pytree, or an object that holds one

_FIELDS = frozenset(  # fields on a path, which are not labels
    (
        *("opt_state", "optimizer_state", "inner_states", "inner_state", "inner_opt_state", "base_optimizer_state"),
        *("fast_state", "multi_steps", "hyperparams", "hyperparams_states"),
    )
)
_CYCLIC = ("plateau_count", "grad_acc")  # found next to a count that restarts, in reduce_on_plateau and apply_every


class AppliedState(NamedTuple):
    """The state of a schedule that a transform applies.

    `used` is the value of the last update, or, before the first update, the value it will use. (If the field were called
    `learning_rate`, `optax.tree_utils.tree_set(state, learning_rate=...)` would silently do nothing; now it raises.)
    """

    step: jax.Array  # the number of the next update
    clocks: tuple[Tree, ...]  # the states of the clocks, in tree order
    used: jax.Array
    live: Any  # the schedule, if it is live, else ()


class Part(NamedTuple):
    """A hyperparameter in an optimizer state."""

    path: Path
    name: str
    used: jax.Array | None  # the value that the last update used; None where optax keeps only a count
    home: Path  # the path of its schedule's state
    leaves: dict[Path, jax.Array]  # the leaves of that state, by path from its home; none for a plain number
    state: AppliedState | None  # that state itself, unless the container kept only names

    @property
    def label(self) -> str:
        """The labels of its groups, outermost first: those of `optax.partition`, and keys of dicts."""
        path = self.path[:-2] if self.path[-2:-1] == ("hyperparams",) else self.path
        pairs = zip(("", *path), path, strict=False)
        return "/".join(x for before, x in pairs if before == "inner_states" or not (x in _FIELDS or x.isdigit()))

    @property
    def where(self) -> str:
        return text_of(self.path)

    @property
    def applied(self) -> bool:
        """Whether one of our transforms applies its schedule."""
        return ("used",) in self.leaves

    @property
    def live(self) -> bool:
        """Whether its schedule is in the state."""
        return self.has("live") or (self.state is not None and self.state.live != ())

    def has(self, field: str) -> bool:
        """Whether a field of the state of its schedule has leaves."""
        return any(path[:1] == (field,) for path in self.leaves)


def parts_of(state: Tree, call: str = "") -> list[Part]:
    """All hyperparameters in a state, in tree order. With a call, anything else in place of the state raises an error."""
    wrong = (Schedule, optax.GradientTransformation, str, type(None))
    if call and (isinstance(state, wrong) or numerics.is_number(state)):
        hint = "optimizer.init(params) makes one" + ", which comes before the schedule" * isinstance(state, Schedule)
        raise TypeError(unexpected(call, "state", state, "the state of an optimizer", hint))
    kinds = (AppliedState, optax.ScaleByScheduleState)
    found = {path: without_variables(x) for path, x in leaves_of(state, lambda x: isinstance(x, kinds)).items()}
    leaves = {(*path, *inner): leaf for path, x in found.items() for inner, leaf in by_path(x).items()}
    states = {path: x for path, x in found.items() if isinstance(x, AppliedState)}

    def inside(home: Path) -> dict[Path, jax.Array]:
        return {path[len(home) :]: x for path, x in leaves.items() if path[: len(home)] == home}

    homes = {path: inside(path) for path, x in found.items() if isinstance(x, kinds)}
    if not homes and has_only_names(state):
        for *above, field in filter(None, leaves):
            home = tuple(above)
            is_of_optax = field == "count" and above and "clocks" not in above and len(inside(home)) == 1
            if is_of_optax or (field == "used" and (*home, "step") in leaves):
                homes[home] = inside(home)
    parts = []
    for path, value in leaves.items():
        if path[-2:-1] == ("hyperparams",) and (*path[:-2], "count") in leaves:  # injected by optax or by us
            home = (*path[:-2], "hyperparams_states", path[-1])
            parts.append(Part(path, path[-1], value, home, inside(home), states.get(home)))
            homes.pop(home, None)
    parts += [Part(home, "learning_rate", x.get(("used",)), home, x, states.get(home)) for home, x in homes.items()]
    # In a chain with both a rate and an optax schedule, which keeps only a count, the user means the rate.
    known = {part.path[:-1] for part in parts if part.name == "learning_rate" and part.used is not None}
    return [part for part in parts if part.used is not None or part.path[:-1] not in known]


def counts_of(state: Tree) -> list[jax.Array]:
    """The counts of updates in a state: those of our schedules, or else all others."""
    leaves = without_variables(leaves_of(state))
    found = [part.leaves["step",] for part in parts_of(state) if part.applied] or [
        x
        for path, x in leaves.items()
        if path[-1:] in (("count",), ("gradient_step",)) and not any((*path[:-1], other) in leaves for other in _CYCLIC)
    ]
    return [x for x in found if np.shape(x) == () and jnp.issubdtype(jnp.result_type(x), jnp.integer)]


def meant(call: str, parts: list[Part], at: str | None, missing: str) -> list[Part]:
    """The parts that `at` names: by the whole path, else the label, else consecutive keys of the path."""
    if not parts:
        raise ValueError(f"{call}(...): expected {missing}")
    if at is None:
        return parts
    at = str(at)
    for fits in (lambda x: at == x.where, lambda x: at == x.label, lambda x: f"/{at}/" in f"/{x.where}/"):
        if found := [part for part in parts if fits(part)]:
            return found
    there = ", ".join(dict.fromkeys(part.label or part.where for part in parts))
    raise ValueError(f"{call}(at={at!r}): expected a label or the keys of a path (there: {there}).")


def only(call: str, what: str, parts: list[Part]) -> Part:
    """The only part, or a ValueError that lists several."""
    if len(parts) == 1:
        return parts[0]
    paths = ", ".join(part.where for part in parts)
    raise ValueError(
        f"{call}(...): expected one {what}, got {len(parts)}, at {paths}. Hint: say which with at=..., its label or whole"
        " keys of its path, or pass the part of the state you mean."
    )


# Reads and rebuilds pytrees, and objects that hold one, by the paths of their leaves.


def path_of(keys: jax.tree_util.KeyPath) -> Path:
    """The path of a leaf: its keys, without the kinds of their containers."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in keys)


def text_of(path: Path) -> str:
    """A path, as errors show it and `at` accepts it."""
    return "/".join(path) or "the top"


def by_path(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> dict[Path, Any]:
    """The leaves of a pytree by their paths."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf)}


def leaves_of(state: Tree, is_leaf: Callable[[Any], bool] = lambda _: False) -> dict[Path, Any]:
    """The leaves of a state by their paths; for an object that is not a pytree, those of its attributes."""
    return by_path(_tree(state), lambda x: is_leaf(x) or is_variable(x))


def with_leaves(state: Tree, changes: Mapping[Path, jax.Array]) -> Tree:
    """The state with other leaves at some paths.

    Variables of flax.nnx are changed in place. Other containers are rebuilt: a pytree by JAX, an object as a shallow copy.
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
    with contextlib.suppress(Exception):  # a foreign __copy__ may raise anything
        if (made := copy.copy(state)) is not state:
            for name in names:
                object.__setattr__(made, name, new[name])  # since a frozen dataclass refuses setattr
            return made
    raise TypeError(
        f"expected a container that can be rebuilt (a pytree, a dataclass, an object that can be copied), got"
        f" {shown(state)} ({type(state).__name__}). Hint: pass its {names[0]}, and put back what is returned."
    )


def _tree(state: Tree) -> Tree:
    """The state itself, or the attributes of an object that is a leaf for JAX."""
    if is_variable(state) or not jax.tree_util.all_leaves([state]):
        return state
    kept: Any = object.__getstate__(state)
    in_dict, in_slots = kept if isinstance(kept, tuple) else (kept, None)
    return {**(in_dict or {}), **(in_slots or {})}


def has_only_names(state: Tree) -> bool:
    """Whether all containers are dicts and lists, as in `nnx.state` and checkpoint formats."""
    kinds = (jax.tree_util.DictKey, jax.tree_util.SequenceKey)
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_variable)
    return all(isinstance(key, kinds) for keys, _ in leaves for key in keys)


def is_variable(x: object) -> bool:
    """Whether it holds an array, like a flax.nnx variable."""
    return hasattr(type(x), "__jax_array__") and not isinstance(x, jax.Array)  # a tracer is a jax.Array


def without_variables(tree: Tree) -> Tree:
    """The tree with arrays in place of variables."""
    return jax.tree.map(numerics.array_of, tree, is_leaf=is_variable)


def placed_as(like: Any, x: Any) -> Any:
    """An array with the sharding of another one on several devices; otherwise the update would compile again."""
    sharding = getattr(like, "sharding", None)
    return x if sharding is None or len(sharding.device_set) == 1 else jax.device_put(x, sharding)
