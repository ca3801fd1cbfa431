"""What was read from a checkpoint, in the structure of the program that goes on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.node import checked_choice
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, unexpected
from lrsched.training.checkpoint import described
from lrsched.training.differences import side_by_side
from lrsched.training.holders import Path, Tree, by_path, placed_as, without_variables
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
        added: the name, or names, of parts of the template that are not in the checkpoint. They keep the template's values.
        removed: the name, or names, of parts of the checkpoint that are not in the template. They are dropped.

    Returns:
        The template's structure with the arrays that were read, sharded over several devices where the template's are.

    Raises:
        TypeError: if a name is no string.
        ValueError: if any other part is missing, too many, or of another shape or type, which it lists; if a name fits nothing,
            or a part that is on both sides; if a live schedule differs and that is to raise; or if it has another structure, as
            far as that was read (dicts do not say whose numbers they hold, but `resume` does), and is not to be replaced.

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
    Hint: restore(..., added="clocks") keeps the template's values for what is added or replaced, and drops what is removed.
    >>> print(ls.restore(new.init(jnp.ones(3)), saved, added="clocks").step)
    1
    """
    checked_choice("restore", "on_change", on_change, ("warn", "raise", "keep", "replace"))
    mine, other = _Side("added", template, added), _Side("removed", loaded, removed)
    pairs = _checked_pairs(mine, other, on_change == "replace")
    needed = {*mine.leaves} - {*pairs} | {path for part in mine.live for path in mine.inside(part) if on_change == "raise"}
    if without := [path for path, x in mine.leaves.items() if path in needed and isinstance(x, jax.ShapeDtypeStruct)]:
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


def _starts(paths: Iterable[Path]) -> dict[Path, None]:
    """The paths and all that they start with, in order: every part of a tree that these leaves are in."""
    return {path[:i]: None for path in paths for i in range(len(path) + 1)}


def _is_in(path: Path, parts: Iterable[Path]) -> bool:
    return any(path[: len(part)] == part for part in parts)


def _schedules(tree: Tree) -> dict[Path, Schedule]:
    nodes = by_path(tree, lambda x: isinstance(x, Schedule))
    return {path: without_variables(x) for path, x in nodes.items() if isinstance(x, Schedule)}


class _Side:
    """The template or the checkpoint: its leaves by their paths, and the parts that it alone has, by their names."""

    def __init__(self, argument: str, tree: Tree, names: str | Sequence[str]) -> None:
        self.argument, self.schedules = argument, _schedules(tree)
        nodes = by_path(tree, lambda x: not jax.tree.leaves(x))  # an empty one counts among the elements of a tuple
        self.leaves = {path: x for path, x in nodes.items() if jax.tree.leaves(x)}
        texts = {part: "/".join(part) for part in _starts(nodes) if part}
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(unexpected("restore", argument, names, "names of parts, such as 'clocks/0'"))
        self.names = {  # by name, the part that it is, or else all that end in it
            name: [part for part, x in texts.items() if x == name] or [y for y, x in texts.items() if x.endswith(f"/{name}")]
            for name in names
        }
        self.named = {part for parts in self.names.values() for part in parts}
        self.unnamed = {self.place(path): path for path in self.leaves if not _is_in(path, self.named)}
        self.empty = {self.place(path) for path in nodes if path not in self.leaves}
        full, parts = _starts(self.leaves), _starts(self.unnamed.values())
        self.live = [x for x in parts if x[-1:] == ("live",) and (*x[:-1], "step") in full and (*x[:-1], "used") in full]

    def inside(self, part: Path) -> list[Path]:
        """The leaves of a part, but for those that were named."""
        return [path for path in self.unnamed.values() if _is_in(path, [part])]

    def place(self, path: Path) -> Path:
        """The path where elements are counted without those that were named: what belongs together is at one place."""
        place = list(path)
        for *above, key in self.named:
            i = len(above)
            is_beside = [*path[:i]] == above and all(x.isdecimal() for x in (key, *path[i : i + 1]))
            if is_beside and i < len(path) and int(key) < int(path[i]):
                place[i] = str(int(place[i]) - 1)
        return tuple(place)

    def largest(self, leaves: list[Path], other: _Side) -> list[Path]:
        """The largest parts in which only these leaves are, but no elements that the other side has without leaves."""
        mixed = _starts([*({*self.unnamed.values()} - {*leaves}), *self.named])

        def is_one(part: Path) -> bool:
            is_element = part[-1:] != () and part[-1].isdecimal()
            return part not in mixed and not (is_element and self.place(part) in other.empty)

        return list(dict.fromkeys(next(filter(is_one, _starts([path]))) for path in leaves))


def _matched(mine: _Side, other: _Side, apart: list[Path]) -> tuple[dict[Path, Path], dict[_Side, list[Path]]]:
    """The leaves that belong together, and those that one side alone has, but for places that are kept apart."""
    wanted, found = ({x: path for x, path in side.unnamed.items() if not _is_in(x, apart)} for side in (mine, other))
    pairs: dict[Path, Path] = {}
    for place, path in wanted.items():
        places = (place, (*place, "value"), place[:-1] if place[-1:] == ("value",) else place)  # of a variable of flax.nnx
        there = next((found.pop(x) for x in places if x in found), None)
        if there is not None:
            pairs[path] = there
    return pairs, {mine: [path for path in wanted.values() if path not in pairs], other: [*found.values()]}


def _checked_pairs(mine: _Side, other: _Side, replace: bool) -> dict[Path, Path]:
    """The leaves that belong together; a ValueError lists what does not fit, and says what to name."""
    live = {mine.place(part): part for part in mine.live}
    then = {other.place(path): x for path, x in other.schedules.items()}
    lines = [
        f"    {side.argument}={name!r}: the {whose} has no such part"
        for side, whose in ((mine, "template"), (other, "checkpoint"))
        for name, parts in side.names.items()
        if not parts
    ]
    problems: list[tuple[Path, str]] = []
    apart = [*live] if replace else list[Path]()
    for place, part in live.items():
        old, new = then.get(place), mine.schedules.get(part)
        if not (replace or old is None or new is None) and jax.tree.structure(old) != jax.tree.structure(new):
            apart.append(place)
            problems.append((part, f"{shown(unpacked(old))} in the checkpoint, {shown(unpacked(new))} in the template"))
    pairs, alone = _matched(mine, other, apart)
    for path, there in pairs.items():
        if not _fits(other.leaves[there], mine.leaves[path]):
            kind, at = _kind(other.leaves[there]), "" if path == there else f" at {_text(there)}"
            problems.append((path, f"{kind}{at} in the checkpoint, {_kind(mine.leaves[path])} in the template"))
    misnamed = False
    for side, opposite, where in ((mine, other, "not in the checkpoint"), (other, mine, "only in the checkpoint")):
        moved = "but not in the same place when elements are counted without what was named"
        both = [path for path in alone[side] if path in opposite.leaves]
        misnamed = misnamed or bool(both)
        unnamed = set(opposite.unnamed.values())
        for path in both:
            named = moved if path in unnamed else f"so not to name in {opposite.argument}=..."
            problems.append((path, f"on both sides, {named}"))
        problems += [(path, where) for path in alone[side] if path not in opposite.leaves]
    lines += [f"    {_text(path)}: {problem}" for path, problem in sorted(problems)]
    if lines:
        got = "a checkpoint of the structure of the template, got another" if problems else "names of parts, got others"
        more = [f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        parts = {side: side.largest(alone[side], opposite) for side, opposite in ((mine, other), (other, mine))}
        hint = [] if misnamed else _hint(parts, [*live], bool(apart))
        raise ValueError("\n".join([f"restore(...): expected {got}:", *lines[:_MOST], *more, *hint]))
    return pairs


def _hint(alone: dict[_Side, list[Path]], live: list[Path], replace: bool) -> list[str]:
    """What to name so that it may fit. There may be less to name."""
    if not any(alone.values()) and not replace:
        return []
    said: list[str] = []
    for side, parts in alone.items():
        others = [part for part in parts if not _is_in(side.place(part), live)]
        names = [*(name for name, found in side.names.items() if found), *map("/".join, others)]
        if () in parts or len(names) > _MOST_NAMES:
            return []
        replace = replace or len(others) < len(parts)
        said += [f"{side.argument}={json.dumps(names if len(names) > 1 else names[0])}"] if names else []
    said += ['on_change="replace"'] if replace else []
    does = "keeps the template's values for what is added or replaced, and drops what is removed"
    ours, theirs = ({path[-1] for part in parts for path in side.inside(part)} for side, parts in alone.items())
    start = ". Give the new schedule start=<updates made>, or it begins at step 0" * ("step" in ours and "count" in theirs)
    return [f"Hint: restore(..., {', '.join(said)}) {does}{start}."]


def _compare_live(mine: _Side, values: dict[Path, Any], restored: dict[Path, Schedule], on_change: str) -> None:
    """Warns of the live schedules that were restored with other numbers than the template has, or raises."""
    lines: list[str] = []
    for part in mine.live:
        pairs = [(mine.leaves[path], values[path]) for path in mine.inside(part)]
        known = not any(isinstance(x, (jax.ShapeDtypeStruct, jax.core.Tracer)) for pair in pairs for x in pair)
        if (not known and on_change == "warn") or all(np.array_equal(*pair) for pair in pairs):
            continue
        if part in restored:
            lines += side_by_side(*(described(unpacked(x[part])) for x in (restored, mine.schedules)), _text(part))
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
