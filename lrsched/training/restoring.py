"""What was read from a checkpoint, in the structure of the program that goes on."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.node import checked_choice
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, unexpected
from lrsched.training.checkpoint import describe
from lrsched.training.differences import side_by_side
from lrsched.training.holders import Path, Tree, by_path, placed_as, without_variables
from lrsched.training.live import unpacked

T = TypeVar("T")
_MOST = 10  # differences that an error lists
_NAMES = (
    'Hint: added="..." names parts that only the template has, removed="..." those that only the checkpoint has;'
    ' on_change="replace" takes the live schedules of the template.'
)


def restore(
    template: T,
    loaded: Any,
    on_change: Literal["warn", "raise", "keep", "replace"] = "warn",
    *,
    added: str | Sequence[str] = (),
    removed: str | Sequence[str] = (),
) -> T:
    """What was read from a checkpoint, in the structure of a template, after a check that it has that structure.

    Entries belong together by their names, so it takes what pickle gives as well as the nested dicts and lists that orbax and
    `flax.serialization.msgpack_restore` give without a template.

    A live schedule (`live=True`) is in the template, from the program, and in the checkpoint. `on_change` says which to go on
    with, as `resume` does for the description:

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
            rounds: "warn" or "keep" to go on with those of the checkpoint, "raise", or "replace" them by those of the template.
        added: the name, or names, of parts of the template that are not in the checkpoint. They keep the template's values: a
            new schedule begins at step 0, or at its `start`.
        removed: the name, or names, of parts of the checkpoint that are not in the template. They are dropped.

    Returns:
        The template's structure with the arrays that were read, sharded over several devices where the template's are.

    Raises:
        TypeError: if a name is no string.
        ValueError: if any other part is missing, too many, or of another shape or type, which it lists; if a name fits nothing,
            or a part that is on both sides; if a live schedule differs and that is to raise; or if it has another structure and
            is not to be replaced. (Dicts do not say whose numbers they hold, but `resume` does.)

    Warns:
        UserWarning: if a live schedule differs, with both side by side where their structure is known; see `on_change`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> old, new = (ls.scale_by_learning_rate(s) for s in (0.1, ls.Linear(0.1, 0.0, 9).on(ls.Counter("tokens"))))
    >>> _, saved = old.update(jnp.ones(3), old.init(jnp.ones(3)))
    >>> ls.restore(new.init(jnp.ones(3)), saved)
    Traceback (most recent call last):
    ValueError: restore(...): expected a checkpoint of the structure of the template, got another:
        clocks/0/high: not in the checkpoint
        clocks/0/low: not in the checkpoint
        clocks/0/lower: not in the checkpoint
    Hint: added="..." names parts that only the template has, removed="..." ...
    >>> print(ls.restore(new.init(jnp.ones(3)), saved, added="clocks").step)
    1
    """
    checked_choice("restore", "on_change", on_change, ("warn", "raise", "keep", "replace"))
    mine, other = _Side("added", "template", template, added), _Side("removed", "checkpoint", loaded, removed)
    pairs = _checked_pairs(mine, other, on_change == "replace")
    needed = [path for path in mine.leaves if path not in pairs or (on_change == "raise" and _is_in(path, mine.live.values()))]
    if without := [path for path in needed if isinstance(mine.leaves[path], jax.ShapeDtypeStruct)]:
        raise ValueError(
            f"restore(template=...): expected a value at {_text(without[0])}, got none."
            " Hint: make the template with optimizer.init(params), not with jax.eval_shape."
        )
    values = mine.leaves | {path: _placed(other.leaves[there], mine.leaves[path]) for path, there in pairs.items()}
    restored = jax.tree.unflatten(jax.tree.structure(template), list(values.values()))
    if on_change in ("warn", "raise"):
        _compare_live(mine, values, _schedules(restored), on_change)
    return restored


def _text(path: Path) -> str:
    return "/".join(path) or "the top"


def _is_in(path: Path, parts: Iterable[Path]) -> bool:
    return any(path[: len(part)] == part for part in parts)


def _schedules(tree: Tree) -> dict[Path, Schedule]:
    nodes = by_path(tree, lambda x: isinstance(x, Schedule))
    return {path: without_variables(x) for path, x in nodes.items() if isinstance(x, Schedule)}


class _Side:
    """The template or the checkpoint: its leaves by their paths, and where they are matched with those of the other."""

    def __init__(self, argument: str, whose: str, tree: Tree, names: str | Collection[str]) -> None:
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(unexpected("restore", argument, names, "names of parts, such as 'clocks/0'"))
        nodes = by_path(tree, lambda x: not jax.tree.leaves(x))  # an empty one counts among the elements of a tuple
        self.leaves = {path: x for path, x in nodes.items() if jax.tree.leaves(x)}
        texts = {path[:i]: "/".join(path[:i]) for path in nodes for i in range(1, len(path) + 1)}
        self.named = set[Path]()
        for name in names:
            parts = [x for x, text in texts.items() if text == name] or [x for x in texts if texts[x].endswith(f"/{name}")]
            if not parts:
                raise ValueError(unexpected("restore", argument, name, f"the name of a part of the {whose}", "as 'clocks/0'"))
            self.named.update(parts)
        self.paths = {self.place(path): path for path in self.leaves if not _is_in(path, self.named)}
        self.schedules = {self.place(path): schedule for path, schedule in _schedules(tree).items()}
        scalars = {way for path in self.leaves for way in _ways(self.place(path))}
        self.live = {  # the live schedules of our transforms: where they are matched, and their paths
            place[: i + 1]: path[: i + 1]
            for place, path in self.paths.items()
            for i, key in enumerate(place)
            if key == "live" and {(*place[:i], "step"), (*place[:i], "used")} <= scalars
        }

    def place(self, path: Path) -> Path:
        """The path where elements are counted without those that were named: what belongs together is at one place."""
        place = list(path)
        for *above, key in self.named:
            i = len(above)
            is_beside = [*path[:i]] == above and all(x.isdecimal() for x in (key, *path[i : i + 1]))
            if is_beside and i < len(path) and int(key) < int(path[i]):
                place[i] = str(int(place[i]) - 1)
        return tuple(place)


def _ways(place: Path) -> tuple[Path, ...]:
    """A place, and the same with or without the `value` that a variable of flax.nnx has."""
    return (place, (*place, "value"), *([place[:-1]] if place[-1:] == ("value",) else []))


def _checked_pairs(mine: _Side, other: _Side, replace: bool) -> dict[Path, Path]:
    """The leaves that belong together; a ValueError lists what does not fit."""
    problems: list[tuple[Path, str]] = []
    apart = [*mine.live] if replace else list[Path]()
    for place, part in mine.live.items():
        old, new = other.schedules.get(place), mine.schedules.get(place)
        if not (replace or old is None or new is None) and jax.tree.structure(old) != jax.tree.structure(new):
            apart.append(place)
            problems.append((part, f"{shown(unpacked(old))} in the checkpoint, {shown(unpacked(new))} in the template"))
    wanted, found = ({x: path for x, path in side.paths.items() if not _is_in(x, apart)} for side in (mine, other))
    matched = "on both sides, but not in one place when the named parts are left out"
    pairs = {path: found[way] for place, path in wanted.items() for way in reversed(_ways(place)) if way in found}
    missing = [path for path in wanted.values() if path not in pairs]
    surplus = [path for path in found.values() if path not in {*pairs.values()}]
    problems += [(path, matched if path in other.leaves else "not in the checkpoint") for path in missing]
    problems += [(path, matched if path in mine.leaves else "only in the checkpoint") for path in surplus]
    hint = [_NAMES] if problems else []
    for path, there in pairs.items():
        if not _fits(other.leaves[there], mine.leaves[path]):
            kind, at = _kind(other.leaves[there]), "" if path == there else f" at {_text(there)}"
            problems.append((path, f"{kind}{at} in the checkpoint, {_kind(mine.leaves[path])} in the template"))
    if problems:
        head = "restore(...): expected a checkpoint of the structure of the template, got another:"
        lines = [f"    {_text(path)}: {problem}" for path, problem in sorted(problems)]
        more = [f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        raise ValueError("\n".join([head, *lines[:_MOST], *more, *hint]))
    return pairs


def _compare_live(mine: _Side, values: dict[Path, Any], restored: dict[Path, Schedule], on_change: str) -> None:
    """Warns of the live schedules that were restored with other numbers than the template has, or raises."""
    lines: list[str] = []
    for place, part in mine.live.items():
        pairs = [(mine.leaves[path], values[path]) for path in mine.paths.values() if _is_in(path, [part])]
        known = not any(isinstance(x, (jax.ShapeDtypeStruct, jax.core.Tracer)) for pair in pairs for x in pair)
        if (not known and on_change == "warn") or all(np.array_equal(*pair) for pair in pairs):
            continue
        if part in restored:
            then, now = describe(unpacked(restored[part])), describe(unpacked(mine.schedules[place]))
            lines += [f"  {_text(part)}", *side_by_side(then, now)]
        else:
            lines.append(f"  {_text(part)}: other numbers in the checkpoint than in the template")
    keep, replace = (f'restore(..., on_change="{word}")' for word in ("keep", "replace"))
    advice = f"Hint: {keep} goes on with that of the checkpoint, {replace} with the new one."
    if lines and on_change == "raise":
        raise ValueError(
            "\n".join(["restore(...): expected the live schedule of the checkpoint, got another:", *lines, advice])
        )
    if lines:
        head = "restore(...) goes on with the live schedule of the checkpoint, and the template has another one:"
        warnings.warn("\n".join([head, *lines, advice]), stacklevel=3)


def _kind(leaf: object) -> str:
    """The type and the shape of an array, as an error shows them, or the type of something else."""
    dtype, shape = getattr(leaf, "dtype", None), getattr(leaf, "shape", None)
    return type(leaf).__name__ if dtype is None or shape is None else f"{dtype}[{','.join(map(str, shape))}]"


def _fits(found: Any, wanted: object) -> bool:
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
    return placed_as(like, found if isinstance(found, jax.Array) else jnp.asarray(found))
