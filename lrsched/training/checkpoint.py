"""Checkpoints: the text of a schedule beside the arrays, and the arrays in the structure of the running program."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked_choice
from lrsched.algebra.pointwise import as_schedule, is_stateful
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.observations import users_level
from lrsched.training.live import packed, unpacked
from lrsched.training.parts import Path, Tree, by_path, placed_as, text_of, without_variables
from lrsched.views.expression import parse

T = TypeVar("T")
_MOST = 10  # the most differences that an error lists
_NAMES = (
    'Hint: added="..." names parts that only the template has, removed="..." those that only the checkpoint has;'
    ' on_change="replace" takes the live schedules of the template.'
)
_CHOICES = 'Hint: on_change="keep" continues with that of the checkpoint, on_change="replace" with the new one.'
_WIDTH = 110  # the most characters of a schedule that an error shows
_WORD = re.compile(r"[\d.]+e-\d+|[\w.]+|.", re.DOTALL)


def describe(schedule: ScheduleLike) -> str:
    """The text of a schedule for a checkpoint: the expression that `repr` gives of its nodes, without names of recipes.

    Save it beside the arrays; `resume` compares it with the schedule of the next run. It holds your own functions only by
    name, so a change in their code goes unnoticed.

    Args:
        schedule: a schedule, such as `get_schedule(state)` for a live one.

    Raises:
        TypeError: if it is not a schedule.

    >>> import lrsched as ls
    >>> print(ls.describe(ls.Linear(0.1, 0.0, 100)))
    Linear(0.1, 0.0, 100)
    """
    made = as_schedule("describe", "schedule", schedule)
    text = repr(jax.tree.map(lambda x: x, made))  # without recipes, since a later version may change them
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # removes the address of a function without a name


@explained
def resume(saved: str, schedule: ScheduleLike, on_change: Literal["raise", "keep", "replace"] = "raise") -> Schedule:
    """The schedule for a run that continues from a checkpoint, checked against the one in the checkpoint.

    Call it first, and make the optimizer with its result. A live schedule is also part of the arrays, so pass `restore` the
    same `on_change`:

        s = ls.resume(saved["schedule"], s, on_change="replace")
        state = ls.restore(optimizer.init(params), saved["state"], on_change="replace")

    Args:
        saved: the text that `describe` gave.
        schedule: the schedule of the program that continues.
        on_change: what to do if they differ: "raise", "keep" the one in the checkpoint, or "replace" it with this one. Their
            texts are compared: numbers may be rounded as in a live state, and functions are equal if they have the same name.

    Raises:
        TypeError: if `saved` is not a text, or `schedule` is not a schedule.
        ValueError: if they differ, with both texts; or if the saved one should be kept but cannot be read, because it holds a
            function, or a class that is not defined.

    >>> import lrsched as ls
    >>> saved = ls.describe(ls.Linear(0.1, 0.0, 100))
    >>> print(ls.resume(saved, ls.Linear(0.1, 0.0, 200), on_change="keep"))
    Linear(0.1, 0.0, 100)
    >>> ls.resume(saved, ls.Linear(0.1, 0.0, 200))
    Traceback (most recent call last):
    ValueError: resume(...): expected the schedule of the checkpoint, got another:
        checkpoint  Linear(0.1, 0.0, 100)
        now         Linear(0.1, 0.0, 200)
                                     ^^^
    Hint: on_change="keep" continues with that of the checkpoint, on_change="replace" with the new one.
    """
    checked_choice("resume", "on_change", on_change, ("raise", "keep", "replace"))
    if not isinstance(saved, str):
        raise TypeError(unexpected("resume", "saved", saved, "the text that describe gave", "resume(saved, schedule)"))
    made = as_schedule("resume", "schedule", schedule)
    now = describe(made)
    try:
        written = describe(parse(saved))  # of a text in another form, such as one written by hand
    except ValueError:
        written = saved
    if on_change == "replace" or written in (now, describe(unpacked(packed(made)))):
        return made
    if on_change == "raise":
        head = "resume(...): expected the schedule of the checkpoint, got another:"
        raise ValueError("\n".join([head, *side_by_side(saved, now), _CHOICES]))
    try:
        return parse(saved)
    except ValueError as error:
        hint = "Hint: write that schedule in the program."
        raise ValueError(f"resume(on_change='keep'): expected an expression for parse, got an error: {error}\n{hint}") from None


def side_by_side(saved: str, now: str, heads: tuple[str, str] = ("checkpoint", "now")) -> list[str]:
    """Two texts one above the other, with marks under each word of the second that differs."""
    pairs = zip(_WORD.findall(saved), _WORD.findall(now), strict=False)
    same = sum(len(a) for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    begin = max(0, same - _WIDTH // 2) if max(len(saved), len(now)) > _WIDTH else 0
    end, before, width = begin + _WIDTH, "..." * (begin > 0), max(map(len, heads))
    rows = [
        f"    {head:{width}}  {before}{text[begin:end]}{'...' * (len(text) > end)}"
        for head, text in zip(heads, (saved, now), strict=True)
    ]
    old, new = (_WORD.findall(text[begin : end + _WIDTH]) for text in (saved, now))
    marks = " " * (4 + width + 2 + len(before))
    for what, _, _, start, stop in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        marks += (" " if what == "equal" else "^") * len("".join(new[start:stop]))
        marks = marks[:-1] + "^" if what == "delete" else marks  # under the text before it
    return [*rows, marks[: len(rows[1])].rstrip() + " and more" * (not saved.endswith(now[end:]))]


@explained
def restore(
    template: T,
    loaded: Any,
    on_change: Literal["warn", "raise", "keep", "replace"] = "warn",
    *,
    added: str | Sequence[str] = (),
    removed: str | Sequence[str] = (),
) -> T:
    """The contents of a checkpoint in the structure of a template, after a check that they fit.

    Leaves are matched by their paths. A live schedule is in both the template and the checkpoint: `on_change` chooses between
    them, as in `resume`. The step and the clocks are always those of the checkpoint.

    Name parts that only one side has in `added` or `removed`, by the path that an error shows, or by the end of paths, such as
    "clocks/0" or "clocks", for all parts whose path ends in that. The elements after a named element of a list or a tuple (or
    of a dict with numbers as keys) move up: with `added="clocks/0"` the first clock of the checkpoint becomes the second.

    Args:
        template: a tree with the wanted structure, shapes and types: `optimizer.init(params)`, or, to compute nothing,
            `jax.eval_shape(optimizer.init, params)`.
        loaded: the contents of the checkpoint, from pickle, or the nested dicts of orbax and flax's `msgpack_restore`.
        on_change: what to do if the numbers of a live schedule differ from the template's by more than float32 rounding: "warn"
            or "keep" the one in the checkpoint, "raise", or "replace" it with the one in the template.
        added: the name, or names, of parts that only the template has. They keep its values: a new schedule begins at step
            0, or at its `start`.
        removed: the name, or names, of parts that only the checkpoint has. They are dropped.

    Returns:
        A tree with the template's structure and the checkpoint's values, sharded over several devices like the template.

    Raises:
        TypeError: if a name is not a string, or the template is an optimizer instead of its state.
        ValueError: if any other part is missing, surplus, or of another shape or type (the error lists them); if a name matches
            nothing, or a part that both sides have; if a live schedule differs and `on_change` is "raise", or has another
            structure and is not replaced. (Dicts do not keep the structure of a schedule; `resume` checks it.)

    Warns:
        UserWarning: if a live schedule differs and `on_change` is "warn".

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> old, new = (ls.scale_by_learning_rate(s) for s in (0.1, ls.Linear(0.1, 0.0, 9).on(ls.Counter("tokens"))))
    >>> _, saved = old.update(jnp.ones(3), old.init(jnp.ones(3)))
    >>> print(ls.restore(new.init(jnp.ones(3)), saved, added="clocks").step)
    1
    """
    checked_choice("restore", "on_change", on_change, ("warn", "raise", "keep", "replace"))
    if is_stateful(template):  # an optimizer
        raise TypeError(
            unexpected("restore", "template", template, "the state of an optimizer", "optimizer.init(params) makes one")
        )
    mine, other = _Side("added", "template", template, added), _Side("removed", "checkpoint", loaded, removed)
    found = _found(mine, other, on_change == "replace")
    needed = [path for path in mine.leaves if path not in found or (on_change == "raise" and _is_in(path, mine.live))]
    if without := [path for path in needed if isinstance(mine.leaves[path], jax.ShapeDtypeStruct)]:
        raise ValueError(
            f"restore(template=...): expected a value at {text_of(without[0])}, got none."
            " Hint: make the template with optimizer.init(params), not with jax.eval_shape."
        )
    values = mine.leaves | found
    restored = jax.tree.unflatten(jax.tree.structure(template), list(values.values()))
    if on_change in ("warn", "raise"):
        _compare_live(mine, values, restored, on_change)
    return restored


def _is_in(path: Path, parts: Iterable[Path]) -> bool:
    return any(path[: len(part)] == part for part in parts)


def _schedules(tree: Tree) -> dict[Path, Schedule]:
    nodes = by_path(tree, lambda x: isinstance(x, Schedule))
    return {path: without_variables(x) for path, x in nodes.items() if isinstance(x, Schedule)}


class _Side:
    """The template or the checkpoint: its leaves by path, and by the place at which the two sides are compared."""

    def __init__(self, argument: str, whose: str, tree: Tree, names: str | Collection[str]) -> None:
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(unexpected("restore", argument, names, "names of parts, such as 'clocks/0'"))
        nodes = by_path(tree, lambda x: not jax.tree.leaves(x))  # an empty node is an element of a tuple, too
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

    @functools.cached_property
    def live(self) -> list[Path]:
        """The paths of our transforms' live schedules, found next to a `step` and a `used`, except in named parts."""
        parts = dict.fromkeys(path[: i + 1] for path in self.leaves for i in range(len(path)))
        found = [path for path in parts if path[-1] == "live" and not _is_in(path, self.named)]
        return [path for path in found if {(*path[:-1], field) for field in ("step", "used")} <= parts.keys()]

    def place(self, path: Path) -> Path:
        """The path with its elements counted without the named ones: leaves at the same place belong together."""
        place = list(path)
        for *above, key in self.named:
            i = len(above)
            is_beside = [*path[:i]] == above and all(x.isdecimal() for x in (key, *path[i : i + 1]))
            if is_beside and i < len(path) and int(key) < int(path[i]):
                place[i] = str(int(place[i]) - 1)
        return tuple(place)


def _ways(place: Path) -> tuple[Path, ...]:
    """A place, with and without the `value` of a flax.nnx variable."""
    return (place, (*place, "value"), *([place[:-1]] if place[-1:] == ("value",) else []))


def _found(mine: _Side, other: _Side, replace: bool) -> dict[Path, Any]:
    """The values of the checkpoint by their paths in the template, or a ValueError that lists what does not fit."""
    problems: list[tuple[Path, str]] = []
    apart = [mine.place(path) for path in mine.live if replace]
    for path in mine.live:
        place = mine.place(path)
        old, new = other.schedules.get(place), mine.schedules.get(place)
        if not (replace or old is None or new is None) and jax.tree.structure(old) != jax.tree.structure(new):
            apart.append(place)
            problems.append((path, f"{shown(unpacked(old))} in the checkpoint, {shown(unpacked(new))} in the template"))
    wanted, found = ({x: path for x, path in side.paths.items() if not _is_in(x, apart)} for side in (mine, other))
    matched = "on both sides, but not in one place when the named parts are left out"
    pairs = {path: found[way] for place, path in wanted.items() for way in reversed(_ways(place)) if way in found}
    missing = [path for path in wanted.values() if path not in pairs]
    surplus = sorted({*found.values()} - {*pairs.values()})
    sides = ((mine, other, missing, "not", "without"), (other, mine, surplus, "only", "with"))
    for own, side, paths, where, how in sides:
        known = {place[:i] for place in side.paths for i in range(len(place) + 1)}
        for path in paths:  # of a part that is missing as a whole, only the path of the part
            part = next((path[:i] for i in range(1, len(path)) if own.place(path)[:i] not in known), path)
            problem = f"{where} in the checkpoint" + f", which was made {how} live=True" * (part in own.live)
            problems.append((path, matched) if path in side.leaves else (part, problem))
    hint, values = [_NAMES] if problems else [], dict[Path, Any]()
    for path, there in pairs.items():
        values[path] = _read(other.leaves[there], mine.leaves[path])
        if values[path] is None:
            kind, at = _kind(other.leaves[there]), "" if path == there else f" at {text_of(there)}"
            problems.append((path, f"{kind}{at} in the checkpoint, {_kind(mine.leaves[path])} in the template"))
    if problems:
        head = "restore(...): expected a checkpoint of the structure of the template, got another:"
        lines = [f"    {text_of(path)}: {problem}" for path, problem in sorted({*problems})]
        more = [f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        raise ValueError("\n".join([head, *lines[:_MOST], *more, *hint]))
    return values


def _compare_live(mine: _Side, values: dict[Path, Any], restored: Tree, on_change: str) -> None:
    """Warns about live schedules restored with numbers that differ from the template's, or raises."""
    lines, schedules = list[str](), _schedules(restored)
    for live in mine.live:
        pairs = [(mine.leaves[path], values[path]) for path in mine.paths.values() if _is_in(path, [live])]
        known = not any(isinstance(x, (jax.ShapeDtypeStruct, jax.core.Tracer)) for pair in pairs for x in pair)
        if (not known and on_change == "warn") or all(np.array_equal(*pair) for pair in pairs):
            continue
        if live in schedules:
            then, now = (describe(unpacked(x)) for x in (schedules[live], mine.schedules[mine.place(live)]))
            lines += [f"  {text_of(live)}", *side_by_side(then, now)]
        else:
            lines.append(f"  {text_of(live)}: other numbers in the checkpoint than in the template")
    text = "\n".join(["restore(...): expected the live schedule of the checkpoint, got another:", *lines, _CHOICES])
    if lines and on_change == "raise":
        raise ValueError(text)
    if lines:
        warnings.warn(f"{text} Without on_change, it continues with that of the checkpoint.", stacklevel=users_level())


def _kind(leaf: object) -> str:
    """The dtype and the shape of an array, or the type of another object."""
    dtype, shape = getattr(leaf, "dtype", None), getattr(leaf, "shape", None)
    return type(leaf).__name__ if dtype is None or shape is None else f"{dtype}[{','.join(map(str, shape))}]"


def _read(found: Any, like: Any) -> Any:
    """A value as a Python number, a NumPy array or a JAX array, like the template's; None if shape or type differ."""
    if isinstance(like, (bool, int, float, complex)) and np.shape(found) == () and not isinstance(found, str):
        number = np.asarray(found)  # a Python number may have become an array
        return type(like)(number.item()) if number.dtype.kind == np.asarray(like).dtype.kind else None
    if _kind(found) != _kind(like):
        return None
    if not hasattr(like, "dtype"):
        return found
    if isinstance(like, (np.ndarray, np.generic)):
        return np.asarray(found)
    return placed_as(like, found if isinstance(found, jax.Array) else jnp.asarray(found))
