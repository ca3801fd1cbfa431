"""What was read from a checkpoint, in the structure of the program that goes on."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, side_by_side
from lrsched.training.checkpoint import described
from lrsched.training.holders import Path, path_of, without_variables
from lrsched.training.live import unpacked

T = TypeVar("T")
_MOST = 10  # differences that an error lists
_MOST_NAMES = 5  # names that a hint gives


def restore(
    template: T,
    loaded: Any,
    on_change: Literal["warn", "raise", "keep", "replace"] = "warn",
    *,
    added: str | Sequence[str] = (),
    removed: str | Sequence[str] = (),
) -> T:
    """What was read from a checkpoint, in the structure of a template, once it is sure that it is of that structure.

    Entries belong together by their names, so that it takes what pickle gives as well as the nested dicts and lists that
    orbax and `flax.serialization.msgpack_restore` give without a template.

    A live schedule (`live=True`) is part of the state: its numbers are in the template, from the schedule of the program, and
    in the checkpoint. `on_change` says which to go on with, as `resume` does for the description:

        state = ls.restore(optimizer.init(params), saved, on_change="replace")  # the new schedule, and the old step and clocks

    Parts that are new, or that are left behind, are named: by the path that an error shows, which means that part alone, or by
    whole components at its end ("clocks/0", "clocks"), which mean every part that they fit. Where it is an element of a list or
    a tuple (or of a dict that has numbers for keys), those after it move up: with `added="clocks/0"` the first clock of the
    checkpoint becomes the second, and with `added="0"` a chain has a new first link.

    Args:
        template: a tree of the wanted structure, shapes and types: `optimizer.init(params)`, or without computing anything
            `jax.eval_shape(optimizer.init, params)`.
        loaded: what was read.
        on_change: what to do if a live schedule of the checkpoint has other numbers than the template's, beyond what a float32
            rounds: "warn" and go on with those of the checkpoint, "raise", "keep" those of the checkpoint, or "replace" them by
            those of the template. With a template of `jax.eval_shape`, which has none, "raise" and "replace" raise.
        added: the name, or names, of parts of the template that are not in the checkpoint. They keep the template's values.
        removed: the name, or names, of parts of the checkpoint that are not in the template. They are dropped.

    Returns:
        The template's structure with the arrays that were read; where the template's are sharded over several devices, so
        are they.

    Raises:
        TypeError: if a name is no string.
        ValueError: if any other part is missing, too many, or of another shape or type, which it lists; if a name fits nothing,
            or a part that is on both sides; or if a live schedule differs and that is to raise. One of another structure takes
            "replace". It is noticed where nodes were read, as from pickle; dicts do not say whose numbers they hold, but
            `resume` does.

    Warns:
        UserWarning: if a live schedule differs, with both side by side where their structure is known; see `on_change`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> old, new = (ls.scale_by_learning_rate(0.1), ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(patience=5)))
    >>> params = jnp.ones(3)
    >>> _, saved = old.update(params, old.init(params))
    >>> ls.restore(new.init(params), saved)
    Traceback (most recent call last):
    ValueError: restore(...) found a state of another structure:
        clocks/0/bad: not in the checkpoint
        clocks/0/best: not in the checkpoint
        clocks/0/cooldown: not in the checkpoint
        clocks/0/plateaus: not in the checkpoint
        clocks/0/seen: not in the checkpoint
        clocks/0/total: not in the checkpoint
    Hint: restore(..., added="clocks") keeps the template's values for what is added or replaced, and drops what is removed
    >>> state = ls.restore(new.init(params), saved, added="clocks")
    >>> print(state.step, state.clocks[0].plateaus)
    1 0
    """
    if on_change not in ("warn", "raise", "keep", "replace"):
        raise ValueError(f'restore(on_change=...) must be "warn", "raise", "keep" or "replace", got {on_change!r}')
    mine = _Side("added", "template", "not in the checkpoint", template, added)
    other = _Side("removed", "checkpoint", "only in the checkpoint", loaded, removed)
    live = mine.live()
    new = [*mine.named, *(live if on_change == "replace" else [])]
    _check(mine, other, live, on_change == "replace")
    for path, like in mine.leaves.items():
        if isinstance(like, jax.ShapeDtypeStruct) and _is_in(path, [*new, *(live if on_change == "raise" else [])]):
            hint = "Hint: make it with optimizer.init(params), not with jax.eval_shape"
            raise ValueError(f"restore(...) needs the value at {_text(path)} in the template, which has none. {hint}")
    read = {path: other.by_key[mine.key(path)][1] for path in mine.leaves if not _is_in(path, new)}
    values = {path: _placed(read[path], like) if path in read else like for path, like in mine.leaves.items()}
    restored = jax.tree.unflatten(jax.tree.structure(template), list(values.values()))
    if on_change in ("warn", "raise"):
        numbers = {path: [(x, values[leaf]) for leaf, x in mine.leaves.items() if _is_in(leaf, [path])] for path in live}
        _compare_live(numbers, mine.schedules, _schedules(restored), on_change)
    return restored


def _text(path: Path) -> str:
    return "/".join(path) or "the top"


def _is_in(path: Path, parts: Iterable[Path]) -> bool:
    return any(path[: len(part)] == part for part in parts)


def _schedules(tree: Any) -> dict[Path, Schedule]:
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, Schedule))
    return {path_of(keys): without_variables(x) for keys, x in nodes if isinstance(x, Schedule)}


class _Side:
    """The template or what was read, and the parts that it alone has, as `restore` was told."""

    def __init__(self, argument: str, whose: str, alone: str, tree: Any, names: Any) -> None:
        self.argument, self.whose, self.alone, self.schedules = argument, whose, alone, _schedules(tree)
        is_empty = lambda x: not jax.tree.leaves(x)  # noqa: E731 - it counts among the elements of a tuple, and has a name
        nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_empty)
        self.leaves = {path_of(keys): x for keys, x in nodes if not is_empty(x)}
        self.parts = {path_of(keys[:i]): None for keys, _ in nodes for i in range(1, len(keys) + 1)}
        self.full = {path[:i] for path in self.leaves for i in range(len(path) + 1)}  # parts with leaves
        self._sizes = Counter(path[:-1] for path in self.parts)
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(f"restore({argument}=...) must be the name of a part, such as 'clocks/0', or a list, got {names!r}")
        self.names = {name: self._called(name) for name in names}
        self.named = [path for paths in self.names.values() for path in paths]
        self.by_key = {self.key(path): (path, x) for path, x in self.leaves.items() if not _is_in(path, self.named)}
        self.single: list[Path] = []  # what the other side was found not to have, though it was not named
        self.misnamed = False  # whether the other side was found to have what was named

    def _called(self, name: str) -> list[Path]:
        """The paths that a name means: the one that it is, or else all that end in it."""
        exact = [path for path in self.parts if "/".join(path) == name]
        return exact or [path for path in self.parts if "/".join(path).endswith(f"/{name}")]

    def key(self, path: Path) -> Path:
        """What a path is on both sides: elements are counted without those that were named."""
        if path[-1:] == ("value",) and self._sizes[path[:-1]] == 1:
            path = path[:-1]  # in a variable of flax.nnx, which some formats leave out
        return tuple(self._moved(path[:i], part) for i, part in enumerate(path))

    def _moved(self, around: Path, part: str) -> str:
        before = [path[-1] for path in self.named if path[:-1] == around and path[-1].isdecimal() and part.isdecimal()]
        return str(int(part) - sum(int(one) < int(part) for one in set(before))) if before else part

    def live(self) -> list[Path]:
        """The live schedules: what is called `live`, beside `step` and `used`, also where only names are left."""
        called = (path for path in self.parts if path[-1] == "live" and not _is_in(path, self.named))
        return [path for path in called if {path, (*path[:-1], "step"), (*path[:-1], "used")} <= self.full]

    def largest(self, other: _Side) -> list[Path]:
        """The largest parts of which the other side has nothing, but no element of a list that is there and empty."""
        shared = {path[:i] for path in {*self.leaves} - {*self.single} for i in range(len(path) + 1)}
        shared |= {path for path in other.parts if path[-1].isdecimal() and path not in other.full}
        starts = (next(path[:i] for i in range(len(path) + 1) if path[:i] not in shared) for path in self.single)
        return list(dict.fromkeys(starts))


def _check(mine: _Side, other: _Side, live: list[Path], replace: bool) -> None:
    """Raises a ValueError that lists what does not fit, and says what to name."""
    changed = {} if replace else _changed(mine, other, live)
    settled = [mine.key(path) for path in (live if replace else changed)]
    keys = [key for key in sorted({**mine.by_key, **other.by_key}) if not _is_in(key, settled)]
    problems = [*changed.items(), *filter(None, (_problem(mine, other, key) for key in keys))]
    unknown = [(name, side) for side in (mine, other) for name, paths in side.names.items() if not paths]
    lines = [f"    {side.argument}={name!r}: the {side.whose} has no such part" for name, side in unknown]
    lines += [f"    {_text(path)}: {problem}" for path, problem in problems]
    if lines:
        head = "found a state of another structure" if problems else "got a name that fits nothing"
        more = [f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        has_hint = mine.single or other.single or changed
        hint = _hint(mine, other, [mine.key(path) for path in live], replace or bool(changed)) if has_hint else []
        raise ValueError("\n".join([f"restore(...) {head}:", *lines[:_MOST], *more, *hint]))


def _changed(mine: _Side, other: _Side, live: list[Path]) -> dict[Path, str]:
    """The live schedules that are of another structure."""
    theirs = {other.key(path): schedule for path, schedule in other.schedules.items()}
    pairs = [(path, mine.schedules[path], theirs.get(mine.key(path))) for path in live if path in mine.schedules]
    return {
        path: f"{shown(unpacked(before))} in the checkpoint, {shown(unpacked(now))} in the template"
        for path, now, before in pairs
        if before is not None and jax.tree.structure(now) != jax.tree.structure(before)
    }


def _problem(mine: _Side, other: _Side, key: Path) -> tuple[Path, str] | None:
    """What does not fit at a leaf, and where it is."""
    if key in mine.by_key and key in other.by_key:
        (path, like), (there, found) = mine.by_key[key], other.by_key[key]
        at = "" if path == there else f" at {_text(there)}"
        return None if _fits(found, like) else (path, f"{_kind(found)}{at} in the checkpoint, {_kind(like)} in the template")
    side, opposite = (mine, other) if key in mine.by_key else (other, mine)
    path, _ = side.by_key[key]
    if path in opposite.leaves:
        opposite.misnamed = True
        moved = "on both sides, but not in the same place when elements are counted without what was named"
        return path, f"on both sides, so not to name in {opposite.argument}=..." if _is_in(path, opposite.named) else moved
    side.single.append(path)
    return path, side.alone


def _hint(mine: _Side, other: _Side, live: list[Path], replace: bool) -> list[str]:
    """What to name so that it may fit. There may be less to name."""
    said = []
    for side, opposite in ((mine, other), (other, mine)):
        parts = side.largest(opposite)
        of_live = [path for path in parts if _is_in(side.key(path), live)]
        names = [*(x for x, paths in side.names.items() if paths), *("/".join(x) for x in parts if x not in of_live)]
        if () in parts or side.misnamed or len(names) > _MOST_NAMES:
            return []
        replace = replace or bool(of_live)
        said += [f"{side.argument}={json.dumps(names if len(names) > 1 else names[0])}"] if names else []
    said += ['on_change="replace"'] if replace else []
    does = "keeps the template's values for what is added or replaced, and drops what is removed"
    begins = any(path[-1:] == ("step",) for path in mine.single) and any(path[-1:] == ("count",) for path in other.single)
    start = ". Give the new schedule start=<updates made>, or it begins at step 0" if begins else ""
    return [f"Hint: restore(..., {', '.join(said)}) {does}{start}"]


def _compare_live(
    pairs: dict[Path, list[Any]], ours: dict[Path, Schedule], restored: dict[Path, Schedule], on_change: str
) -> None:
    """Warns of the live schedules that were restored with other numbers than the template has, or raises."""
    lines = []
    for path, numbers in pairs.items():
        known = not any(isinstance(x, (jax.ShapeDtypeStruct, jax.core.Tracer)) for pair in numbers for x in pair)
        if (known or on_change == "raise") and not all(_are_close(*pair) for pair in numbers):
            lines += [f"  {_text(path)}: other numbers in the checkpoint than in the template"] if path not in ours else []
            lines += (
                side_by_side(*(described(unpacked(x[path])) for x in (restored, ours)), _text(path)) if path in ours else []
            )
    keep, replace = (f'restore(..., on_change="{word}")' for word in ("keep", "replace"))
    lines += [f"{keep} goes on with that of the checkpoint, {replace} with the new one"] if lines else []
    if lines and on_change == "raise":
        raise ValueError("\n".join(["restore(...) got another live schedule than that of the checkpoint:", *lines]))
    if lines:
        head = "restore(...) goes on with the live schedule of the checkpoint, and the template has another one:"
        warnings.warn("\n".join([head, *lines]), stacklevel=3)


def _are_close(a: Any, b: Any) -> bool:
    """Whether numbers are as close as a float32 can be, and whole ones equal."""
    a, b = np.asarray(a), np.asarray(b)
    eps = 2 * float(np.finfo(np.float32).eps) if np.issubdtype(a.dtype, np.floating) else 0.0
    return np.allclose(a, b, rtol=eps, atol=0.0, equal_nan=True)


def _kind(leaf: Any) -> str:
    """The type and the shape of an array, as an error shows them, or the type of something else."""
    if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
        return type(leaf).__name__
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _fits(found: Any, wanted: Any) -> bool:
    """Whether they are of one kind; a Python number may have become an array of its kind."""
    if isinstance(wanted, (bool, int, float, complex)) and np.shape(found) == () and not isinstance(found, str):
        return np.asarray(found).dtype.kind == np.asarray(wanted).dtype.kind
    return _kind(found) == _kind(wanted)


def _placed(found: Any, like: Any) -> Any:
    """What was read, as the kind of thing that the template has: a Python number, a NumPy array, or JAX's, sharded as it is."""
    if isinstance(like, (bool, int, float, complex)):
        return type(like)(np.asarray(found).item())
    if not hasattr(like, "dtype"):
        return found
    if isinstance(like, (np.ndarray, np.generic)):
        return np.asarray(found)
    sharding = getattr(like, "sharding", None)
    if sharding is not None and len(sharding.device_set) > 1:
        return jax.device_put(found, sharding)
    return found if isinstance(found, jax.Array) else jnp.asarray(found)
