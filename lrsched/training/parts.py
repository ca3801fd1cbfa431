"""Where the hyperparameters are in the state of an optimizer.

They are found by the names of fields, and so also where a container kept only those, as `nnx.state` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import optax

from lrsched.training.holders import Path, array_of, has_only_names, leaves_of, path_of, without_variables
from lrsched.training.transform import AppliedState

UNKNOWN = object()  # a schedule with a state that is neither optax's nor ours
_FIELDS = frozenset(  # names on a path that are no labels
    (
        *("opt_state", "optimizer_state", "inner_states", "inner_state", "inner_opt_state", "base_optimizer_state"),
        *("fast_state", "multi_steps", "hyperparams", "hyperparams_states"),
    )
)


class Part(NamedTuple):
    """A hyperparameter in the state of an optimizer: where, what it is called, what it was, and what it follows."""

    path: Path
    name: str
    used: Any  # the value that the last update used; None where optax keeps only a count
    source: Any  # an `AppliedState`, the same as a dict of leaves by path, or a count of updates; None for a plain number
    home: Path  # the path of the source

    @property
    def label(self) -> str:
        """The labels of the groups that it is in, outermost first: those of `optax.partition`, and keys of dicts."""
        path = self.path[:-2] if self.path[-2:-1] == ("hyperparams",) else self.path
        labels = [
            key
            for before, key in zip(("", *path), path, strict=False)
            if before == "inner_states" or not (key in _FIELDS or key.isdigit())
        ]
        return "/".join(labels)

    @property
    def where(self) -> str:
        """The path, as an error shows it and `at` takes it."""
        return "/".join(self.path) or "the top"

    @property
    def live(self) -> bool:
        """Whether its schedule is in the state."""
        if isinstance(self.source, dict):
            return any(path[0] == "live" for path in self.source)
        return isinstance(self.source, AppliedState) and self.source.live != ()

    @property
    def has_clocks(self) -> bool:
        """Whether its schedule is driven."""
        if isinstance(self.source, dict):
            return any(path[0] == "clocks" for path in self.source)
        return isinstance(self.source, AppliedState) and bool(self.source.clocks)


def parts_of(state: Any) -> list[Part]:
    """All hyperparameters in a state, in the order of the tree."""
    leaves = dict(leaves_of(state, lambda x: isinstance(x, (AppliedState, optax.ScaleByScheduleState))))
    only_names = has_only_names(state)
    sources: dict[Path, Any] = {}
    for path, leaf in leaves.items():
        if isinstance(leaf, AppliedState):
            sources[path] = without_variables(leaf)
        elif isinstance(leaf, optax.ScaleByScheduleState):
            sources[path] = array_of(leaf.count)
        elif only_names and path[-1:] == ("used",) and (*path[:-1], "step") in leaves:
            inside = {other[len(path) - 1 :]: x for other, x in leaves.items() if other[: len(path) - 1] == path[:-1]}
            sources[path[:-1]] = without_variables(inside)
        elif only_names and path[-1:] == ("count",) and _is_alone(path, leaves) and "clocks" not in path:
            sources[path[:-1]] = array_of(leaf)  # of a schedule of optax
    parts = []
    for path, value in leaves.items():
        if path[-2:-1] == ("hyperparams",) and (*path[:-2], "count") in leaves:  # injected, by optax or by us
            home = (*path[:-2], "hyperparams_states", path[-1])
            inside = [other for other in leaves if other[: len(home)] == home]
            source = sources.pop(home, None)
            if source is None and inside:
                source = array_of(leaves[inside[0]]) if inside == [(*home, "count")] else UNKNOWN
            parts.append(Part(path, path[-1], array_of(value), source, home))
    for path, source in sources.items():
        used = source[("used",)] if isinstance(source, dict) else getattr(source, "used", None)
        parts.append(Part(path, "learning_rate", used, source, path))
    # Where a chain has a rate and beside it a schedule of optax, which keeps only a count, the rate is the rate.
    known = {part.path[:-1] for part in parts if part.name == "learning_rate" and part.used is not None}
    return [part for part in parts if part.used is not None or part.path[:-1] not in known]


def _is_alone(path: Path, leaves: Iterable[Path]) -> bool:
    """Whether a leaf is all that there is in a container that kept only names."""
    return sum(other[: len(path) - 1] == path[:-1] for other in leaves) == 1 < len(path)


def meant(call: str, parts: list[Part], at: str | None) -> list[Part]:
    """The parts that `at` names: by their whole path, their label, or a run of whole keys, whichever fits first."""
    if at is None:
        return parts
    at = str(at)
    keys = "/".join(re.findall(r"[^][.'\"]+", at))  # of a path as JAX writes it, "[1].inner_states['a']"
    ways = (
        lambda part: at == part.where,
        lambda part: at == part.label,
        lambda part: f"/{at}/" in f"/{part.where}/",
        lambda part: f"/{keys}/" in f"/{part.where}/",
    )
    for fits in ways:
        if found := [part for part in parts if fits(part)]:
            return found
    there = ", ".join(dict.fromkeys(part.label or part.where for part in parts))
    raise ValueError(f"{call}(at={at!r}): expected a label, or whole keys of a path, of what is there to answer: {there}")


def only(call: str, what: str, parts: list[Part]) -> Part:
    """The one part that there is; a ValueError lists several."""
    if len(parts) == 1:
        return parts[0]
    paths = ", ".join(part.where for part in parts)
    raise ValueError(
        f"{call}(...) found {len(parts)} {what}, at {paths}. Hint: say which with at=..., its label or whole keys of its"
        " path, or pass the part of the state you mean"
    )


def by_path(tree: Any) -> dict[Path, Any]:
    """The leaves of a tree by their paths."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}
