"""Checkpoints: what to write beside the arrays, and what to check when they are read again."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, overload

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import Schedule
from lrsched.expression import parse
from lrsched.live import packed, unpacked
from lrsched.node import Node, shown
from lrsched.numerics import Span
from lrsched.running import clocks_of

T = TypeVar("T")
_WIDTH = 110  # characters of a schedule that an error shows
_MOST = 10  # differences that an error lists


@overload
def describe(schedules: Schedule) -> str: ...
@overload
def describe(schedules: Mapping[str, Schedule]) -> dict[str, str]: ...
def describe(schedules: Any) -> Any:
    """What a checkpoint says of its schedule, as JSON can hold it: the expression that `repr` gives.

    It belongs beside the arrays of every checkpoint, which do not say what they are the numbers of; `resume` compares it
    with the schedule of the run that goes on.

    A function of your own is in it by its name, and no more: that it computes something else by now cannot be seen.

    Args:
        schedules: a schedule, or several by name, such as those of `scheduled`. Of a live one, `schedule(state)`.

    Returns:
        A string, or a dict of strings by name.

    Raises:
        TypeError: if it is neither.

    >>> import json
    >>> import lrsched as ls
    >>> print(json.dumps(ls.describe(ls.Linear(0.1, 0.0, 100))))
    "Linear(0.1, 0.0, 100)"
    """
    if isinstance(schedules, Schedule):
        return _described(schedules)
    if not isinstance(schedules, Mapping) or not all(isinstance(s, Schedule) for s in schedules.values()):
        raise TypeError(f"describe(schedules=...) must be a schedule, or a dict of schedules by name, got {shown(schedules)}")
    return {name: _described(schedule) for name, schedule in schedules.items()}


def _described(schedule: Schedule) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(schedule))  # of an object without a name, which is elsewhere in every process


@overload
def resume(saved: Any, schedules: Schedule, on_change: Literal["raise", "keep", "replace"] = "raise") -> Schedule: ...
@overload
def resume(
    saved: Any, schedules: Mapping[str, Schedule], on_change: Literal["raise", "keep", "replace"] = "raise"
) -> dict[str, Schedule]: ...
def resume(saved: Any, schedules: Any, on_change: Literal["raise", "keep", "replace"] = "raise") -> Any:
    """The schedule to go on with after a checkpoint, once it is sure that it is the one of the checkpoint.

    Call it before the optimizer is made, and make the optimizer of what it returns. A live schedule is also part of the
    arrays, so give `restore` the same word:

        s = ls.resume(saved["schedule"], s, on_change="replace")
        state = ls.restore(optimizer.init(params), saved["state"], on_change="replace")

    Args:
        saved: what `describe` gave, read again.
        schedules: the schedule of the program that goes on, or several by name.
        on_change: what to do if it is another one: "raise", "keep" the one of the checkpoint, or "replace" it by this one. A
            number that is as close as a float32 can be counts as equal if it was live, and a function if it has the same
            name.

    Returns:
        A schedule, or a dict of schedules by name.

    Raises:
        TypeError: if it is not what `describe` gave, or not of what it is.
        ValueError: if it is another schedule, shown beside the one that was saved; or if the one that was saved is to be kept
            but cannot be read, because it holds a function or a class of your own.

    >>> import lrsched as ls
    >>> saved = ls.describe(ls.Linear(0.1, 0.0, 100))
    >>> print(ls.resume(saved, ls.Linear(0.1, 0.0, 200), on_change="keep"))
    Linear(0.1, 0.0, 100)
    >>> ls.resume(saved, ls.Linear(0.1, 0.0, 200))
    Traceback (most recent call last):
    ValueError: resume(...) got another schedule than that of the checkpoint:
        checkpoint  Linear(0.1, 0.0, 100)
        now         Linear(0.1, 0.0, 200)
                                     ^^^
    say on_change="keep" to go on with that of the checkpoint, or on_change="replace" to go on with the new one
    """
    if on_change not in ("raise", "keep", "replace"):
        raise ValueError(f'resume(on_change=...) must be "raise", "keep" or "replace", got {on_change!r}')
    now = describe(schedules)
    if isinstance(now, str):
        if not isinstance(saved, str):
            raise TypeError(f"resume(saved=...) must be what describe(schedule) gave, a string, got {shown(saved)}")
        return _resumed({"": saved}, {"": schedules}, on_change)[""]
    if not isinstance(saved, Mapping) or not all(isinstance(text, str) for text in saved.values()):
        raise TypeError(f"resume(saved=...) must be what describe(schedules) gave, a dict of strings, got {shown(saved)}")
    return _resumed(saved, schedules, on_change)


def _resumed(saved: Mapping[str, str], now: Mapping[str, Schedule], on_change: str) -> dict[str, Schedule]:
    changed = [name for name in {**saved, **now} if not (name in saved and name in now and _is_same(saved[name], now[name]))]
    if on_change == "keep":
        return {name: _read(name, text) if name in changed else now[name] for name, text in saved.items()}
    if changed and on_change == "raise":
        lines = []
        for name in changed:
            described = _described(now[name]) if name in now else "no schedule"
            lines += _side_by_side(saved.get(name, "no schedule"), described, name)
        raise ValueError(
            "\n".join(["resume(...) got another schedule than that of the checkpoint:", *lines])
            + '\nsay on_change="keep" to go on with that of the checkpoint, or on_change="replace" to go on with the new one'
        )
    return dict(now)


def _is_same(saved: str, now: Schedule) -> bool:
    live = unpacked(packed(now))  # what a live state would hold of it
    if saved in (_described(now), _described(live)):
        return True
    try:
        read = parse(saved)
    except ValueError:  # a function, a class of somebody's own: the text is all there is to compare
        return False
    return read in (now, live)


def _read(name: str, text: str) -> Schedule:
    try:
        return parse(text)
    except ValueError as error:
        what = f"the schedule of {name}" if name else "the schedule of the checkpoint"
        raise ValueError(
            f'resume(on_change="keep") cannot read {what}: {error}\nmake that schedule in the program, as it was'
        ) from None


def _side_by_side(saved: str, now: str, name: str) -> list[str]:
    """Two texts one above the other, and marks under the words of the second from where they part to where they meet."""
    shorter = min(len(saved), len(now))
    first = next((i for i in range(shorter) if saved[i] != now[i]), shorter)
    after = next((i for i in range(shorter - first) if saved[-1 - i] != now[-1 - i]), shorter - first)
    last = len(now) - after
    while first > 0 and _in_a_word(now[first - 1]):
        first -= 1
    while last < len(now) and _in_a_word(now[last]):
        last += 1
    begin = max(0, first - _WIDTH // 2) if max(len(saved), len(now)) > _WIDTH else 0
    before = "..." if begin else ""

    def window(text: str) -> str:
        return before + text[begin : begin + _WIDTH] + ("..." if len(text) > begin + _WIDTH else "")

    heads = ("    checkpoint  ", "    now         ")
    marks = " " * (len(heads[1]) + len(before) + first - begin) + "^" * max(1, min(last, begin + _WIDTH) - first)
    return [*([f"  {name}"] if name else []), heads[0] + window(saved), heads[1] + window(now), marks]


def _in_a_word(character: str) -> bool:
    return character.isalnum() or character in "._-"


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

    Parts of a state that are new, or that are left behind, are named. A name is a path as the errors print it, or whole
    components of one: "1/clocks/0", "clocks/0", "clocks". A name that is a path from the top means that path alone; any other
    means every part that it fits. Where the part is an element of a list or a tuple, the elements after it move up: with
    `added="clocks/0"` the first clock of the checkpoint becomes the second, and with `added="0"` a chain has a new first link.

    Args:
        template: a tree of the wanted structure, shapes and types: `optimizer.init(params)`, or without computing anything
            `jax.eval_shape(optimizer.init, params)`.
        loaded: what was read.
        on_change: what to do if a live schedule of the checkpoint has other numbers than the template's: "warn" and go on
            with those of the checkpoint, "raise", "keep" those of the checkpoint, or "replace" them by those of the template.
            Numbers that are as close as a float32 can be count as equal. A template of `jax.eval_shape` has no numbers: then
            "warn" and "keep" go on with the checkpoint's, and "raise" and "replace" raise.
        added: the name, or names, of the parts of the template that are not in the checkpoint. They keep the template's values.
        removed: the name, or names, of the parts of the checkpoint that are not in the template. They are dropped.

    Returns:
        The template's structure with the arrays that were read; where the template's are sharded over several devices, so
        are they.

    Raises:
        TypeError: if a name is no string.
        ValueError: if any other part is missing, too many, or of another shape or type: it lists them, and which names would
            accept them. Or if a name fits nothing, or a live schedule differs and that is to raise. A live schedule of
            another structure also raises, unless "replace" is said and its clocks fit. It is noticed where nodes were read, as
            from pickle; dicts do not say whose numbers they hold, but `resume` does.

    Warns:
        UserWarning: if a live schedule differs, with both schedules side by side; see `on_change`.

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
    Hint: restore(..., added="clocks") accepts it. What is added keeps the template's value, what is removed is dropped.
    >>> state = ls.restore(new.init(params), saved, added="clocks")
    >>> print(state.step, state.clocks[0].plateaus)
    1 0
    """
    if on_change not in ("warn", "raise", "keep", "replace"):
        raise ValueError(f'restore(on_change=...) must be "warn", "raise", "keep" or "replace", got {on_change!r}')
    names = _Names(_listed("added", added), _listed("removed", removed), on_change == "replace")
    match = _Match(template, loaded, names)
    match.check()
    restored = jax.tree.unflatten(jax.tree.structure(template), [match.value(path, like) for path, like in _leaves(template)])
    if on_change in ("warn", "raise"):
        _compare_live(_schedules(template), _schedules(restored), on_change)
    return restored


Path = tuple[str, ...]


class _Names(NamedTuple):
    """What a call of `restore` accepts."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replace: bool  # whether live schedules are the template's

    def __str__(self) -> str:
        said = [f"{what}={_quoted(names)}" for what, names in (("added", self.added), ("removed", self.removed)) if names]
        return ", ".join([*said, *(['on_change="replace"'] if self.replace else [])])


def _quoted(names: tuple[str, ...]) -> str:
    texts = [f'"{name}"' for name in names]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _listed(argument: str, names: Any) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else names
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"restore({argument}=...) must be the name of a part, such as 'clocks/0', or a list, got {names!r}")
    return tuple(names)


_EMPTY = object()  # in the place of a node without leaves: it can be named, and counts among the elements of a tuple


class _Entry(NamedTuple):
    """A leaf of a tree, or `_EMPTY`, where it is in its own tree."""

    path: Path
    leaf: Any


class _Side:
    """The template or what was read, without the parts that are named, each leaf under the path that both have in common.

    An element of a list or a tuple is numbered in it as if the named ones before it were not there. Only the template knows
    what is a tuple, as some formats make dicts of them: `sequences` has the common paths of its lists and tuples.
    """

    def __init__(self, tree: Any, names: tuple[str, ...], template: _Side | None = None) -> None:
        found = list(_nodes(tree))
        known = {path[:i] for path, _, _ in found for i in range(1, len(path) + 1)}
        by_name = {name: _called(name, known) for name in names}
        self.nowhere = [name for name, paths in by_name.items() if not paths]
        self.dropped = {path for paths in by_name.values() for path in paths}
        self.sequences: dict[Path, bool] = {} if template is None else template.sequences
        self.entries: dict[Path, _Entry] = {}
        self._before: dict[Path, list[int]] = {}  # which elements of a container are dropped
        for path in self.dropped:
            if path[-1].isdigit():
                self._before.setdefault(path[:-1], []).append(int(path[-1]))
        for path, in_sequence, leaf in found:
            if template is None:
                for i, one in enumerate(in_sequence):
                    if (common := self.common(path[:i])) is not None:
                        self.sequences[common] = one
            if (common := self.common(path)) is not None:
                self.entries[common] = _Entry(path, leaf)
        self.leaves = {common: entry for common, entry in self.entries.items() if entry.leaf is not _EMPTY}
        schedules = {self.common(path): schedule for path, schedule in _schedules(tree).items()}
        self.schedules = {path: schedule for path, schedule in schedules.items() if path is not None}

    def common(self, path: Path) -> Path | None:
        """Its path in common with the other side, None if it was named."""
        if not self.dropped:
            return path
        common: Path = ()
        for i, part in enumerate(path):
            if path[: i + 1] in self.dropped:
                return None
            if (before := self._before.get(path[:i])) and self.sequences.get(common, False) and part.isdigit():
                part = str(int(part) - sum(one < int(part) for one in before))
            common = (*common, part)
        return common


_NAMED = ("named in removed=..., and in the template too", "named in added=..., and in the checkpoint too")


def _called(name: str, paths: set[Path]) -> set[Path]:
    """The paths that a name means: the one that it is, or else all that end in it."""
    exact = {path for path in paths if "/".join(path) == name}
    return exact or {path for path in paths if any("/".join(path[i:]) == name for i in range(1, len(path)))}


class _Match:
    """A template and what was read, side by side."""

    def __init__(self, template: Any, loaded: Any, names: _Names) -> None:
        self.trees, self.names = (template, loaded), names
        self.wanted = _Side(template, names.added)
        self.found = _Side(loaded, names.removed, self.wanted)
        mine, others = self.wanted.schedules, self.found.schedules
        self.different = [
            path for path in mine if path in others and jax.tree.structure(mine[path]) != jax.tree.structure(others[path])
        ]
        self.unfit = dict(itertools.chain.from_iterable(map(self._unfit_clocks, self.different)))
        self.problems = list(self._problems())

    def _problems(self) -> Iterator[tuple[Path, str]]:
        if self.names.replace:
            yield from self.unfit.items()
        for path in [] if self.names.replace else self.different:
            ours, theirs = (shown(unpacked(side.schedules[path])) for side in (self.wanted, self.found))
            yield path, f"{theirs} in the checkpoint, {ours} in the template"
        settled = self.wanted.schedules if self.names.replace else self.different
        for path in sorted({**self.wanted.leaves, **self.found.leaves}):
            if any(path[:i] in settled for i in range(len(path) + 1)):
                continue
            ours, theirs = self.wanted.leaves.get(path), self.found.leaves.get(path)
            if theirs is None and ours is not None:
                named = _is_inside(ours.path, self.found.dropped)
                yield ours.path, _NAMED[0] if named else "not in the checkpoint"
            elif ours is None and theirs is not None:
                named = _is_inside(theirs.path, self.wanted.dropped)
                yield theirs.path, _NAMED[1] if named else "only in the checkpoint"
            elif ours is not None and theirs is not None and not _fits(theirs.leaf, ours.leaf):
                where = "" if ours.path == theirs.path else f" at {'/'.join(theirs.path)}"
                yield ours.path, f"{_kind(theirs.leaf)}{where} in the checkpoint, {_kind(ours.leaf)} in the template"

    def _unfit_clocks(self, path: Path) -> Iterator[tuple[Path, str]]:
        """Clocks whose state is of one structure with another meaning: the best loss is not the best score."""
        at = (*path[:-1], "clocks")
        sides = []
        for side in (self.wanted, self.found):
            numbered = enumerate(clocks_of(side.schedules[path]))
            own = next((x.path[: len(at)] for common, x in side.entries.items() if common[: len(at)] == at), at)
            sides.append([((*own, str(i)), clock) for i, clock in numbered if not _is_inside((*own, str(i)), side.dropped)])
        for (here, mine), (_, other) in zip(*sides, strict=False):
            if not _clocks_fit(mine, other):
                theirs, ours = shown(unpacked(other)), shown(unpacked(mine))
                yield here, f"the state of {theirs} in the checkpoint, of {ours} in the template"

    def check(self) -> None:
        """Raises a ValueError that lists what does not fit."""
        names = [("added", self.wanted.nowhere, "template"), ("removed", self.found.nowhere, "checkpoint")]
        lines = [f"    {'/'.join(path)}: {problem}" for path, problem in self.problems]
        lines = [*lines[:_MOST], *([f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []), *self._hint()]
        for argument, nowhere, side in names:
            if nowhere:
                rest = "; what does not fit is:" if self.problems else ", and all parts fit without it"
                raise ValueError("\n".join([f"restore({argument}={nowhere[0]!r}) names no part of the {side}{rest}", *lines]))
        if self.problems:
            raise ValueError("\n".join(["restore(...) found a state of another structure:", *lines]))

    def _hint(self) -> list[str]:
        """What would accept it, once it is sure that it does."""
        if not self.problems:
            return []
        if any(problem in _NAMED for _, problem in self.problems):  # more was named than there is to name: begin anew
            return _Match(*self.trees, _Names((), (), self.names.replace))._hint()
        different = _Comparison(self).difference((), _nested(self.wanted), _nested(self.found))
        added, removed = (
            tuple(dict.fromkeys([*(name for name in names if name not in side.nowhere), *map("/".join, paths)]))
            for names, side, paths in (
                (self.names.added, self.wanted, different.added),
                (self.names.removed, self.found, different.removed),
            )
        )
        if not all(added) or not all(removed) or max(len(added), len(removed)) > _MOST:
            return []
        for replace in dict.fromkeys((self.names.replace, True)):
            names = _Names(added, removed, replace)
            if not _Match(*self.trees, names).problems:
                what = "What is added keeps the template's value, what is removed is dropped."
                return [f"Hint: restore(..., {names}) accepts it.{f' {what}' if added or removed else ''}", *different.notes]
        return []

    def value(self, path: Path, like: Any) -> Any:
        """What comes in the place of a leaf of the template."""
        common = self.wanted.common(path)
        live = common is not None and any(common[:i] in self.wanted.schedules for i in range(len(common) + 1))
        if common is not None and not (live and self.names.replace):
            return _placed(self.found.leaves[common].leaf, like)
        if isinstance(like, jax.ShapeDtypeStruct):
            said = 'on_change="replace"' if live else f"added={_quoted(self.names.added)}"
            raise ValueError(
                f"restore({said}) takes {'/'.join(path)} from the template, which has no value there. Hint: make the"
                " template with optimizer.init(params), not with jax.eval_shape"
            )
        return like


def _is_inside(path: Path, paths: set[Path]) -> bool:
    return any(path[:i] in paths for i in range(len(path) + 1))


def _clocks_fit(mine: Any, other: Any) -> bool:
    """Whether one clock can go on with the state of another: they observe the same, and begin equal."""
    if jax.tree.structure(mine) == jax.tree.structure(other):
        return True
    if type(mine) is not type(other) or tuple(mine.monitors) != tuple(other.monitors):
        return False
    with jax.ensure_compile_time_eval():
        first = mine.init(), other.init()
    if jax.tree.structure(first[0]) != jax.tree.structure(first[1]):
        return False
    return all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, first), strict=True))


class _Difference(NamedTuple):
    """Which parts differ between two trees, and how many leaves do not."""

    same: int = 0
    added: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Any) -> _Difference:
        return _Difference(*(a + b for a, b in zip(self, other, strict=True)))


def _nested(side: _Side) -> Any:
    """The entries of a side as nested dicts."""
    top: dict[str, Any] = {}
    for path, entry in side.entries.items():
        inside = top
        for part in path[:-1]:
            inside = inside.setdefault(part, {})
        if not path:
            return entry
        inside[path[-1]] = entry
    return top


class _Comparison:
    """Finds what to name so that two trees fit: the largest parts that are on one side only."""

    def __init__(self, match: _Match) -> None:
        self.sequences, self.live = match.wanted.sequences, {*_schedules(match.trees[0])}
        self.unfit = match.unfit
        self._leaves: dict[int, frozenset[Any]] = {}

    def leaves(self, tree: Any) -> frozenset[Any]:
        """The leaves of a part, by their paths in it and their kinds."""
        if tree is None or (isinstance(tree, _Entry) and tree.leaf is _EMPTY):
            return frozenset()
        if isinstance(tree, _Entry):
            return frozenset([((), _kind(tree.leaf))])
        if id(tree) not in self._leaves:
            self._leaves[id(tree)] = frozenset(
                ((name, *path), kind) for name, inside in tree.items() for path, kind in self.leaves(inside)
            )
        return self._leaves[id(tree)]

    def difference(self, at: Path, mine: Any, other: Any) -> _Difference:
        """The difference of two parts at a common path."""
        if mine is not None and _path_of(mine, len(at)) in self.live:
            return _Difference()  # a matter of on_change
        if mine is None or other is None or not self.leaves(mine) or not self.leaves(other):
            return _Difference(
                added=(_path_of(mine, len(at)),) if self.leaves(mine) else (),
                removed=(_path_of(other, len(at)),) if self.leaves(other) else (),
            )
        whole = _Difference(added=(_path_of(mine, len(at)),), removed=(_path_of(other, len(at)),))
        if whole.added[0] in self.unfit:
            return whole
        if isinstance(mine, _Entry) or isinstance(other, _Entry):
            fits = isinstance(mine, _Entry) and isinstance(other, _Entry) and _fits(other.leaf, mine.leaf)
            return _Difference(same=1) if fits else whole
        if self.sequences.get(at, False):
            inside = self._of_sequences(at, mine, other)
        else:
            pairs = {name: (mine.get(name), other.get(name)) for name in {**mine, **other}}
            parts = (self.difference((*at, name), *pair) for name, pair in pairs.items())
            inside = sum(parts, start=_Difference())
        return inside if inside.same else whole

    def _of_sequences(self, at: Path, mine: dict[str, Any], other: dict[str, Any]) -> _Difference:
        total, pairs = _Difference(), self._aligned(_elements(mine), _elements(other))
        kept: set[int] = set()
        for i, (here, there) in enumerate(pairs):
            if here is not None and there is not None:
                inside = self.difference((*at, str(i)), here, there)
                kept |= {i} if inside.same else set()
                total += inside
            elif here is not None:
                total += _Difference(added=(_path_of(here, len(at) + 1),))
            else:
                total += _Difference(removed=(_path_of(there, len(at) + 1),))
        for side, what in ((0, "new"), (1, "gone")):
            elements = {i: pair[side] for i, pair in enumerate(pairs) if self.leaves(pair[side])}
            for leaves in dict.fromkeys(self.leaves(x) for i, x in elements.items() if i not in kept):
                alike = [i for i, x in elements.items() if self.leaves(x) == leaves]
                single = sum(i not in kept for i in alike)
                if single < len(alike):
                    paths = ", ".join("/".join(_path_of(elements[i], len(at) + 1)) for i in alike)
                    which = "the one that is" if single == 1 else f"the {single} that are"
                    total += _Difference(notes=(f"      {paths} look alike: name {which} {what}.",))
        return total

    def _aligned(self, mine: list[Any], other: list[Any]) -> list[tuple[Any, Any]]:
        """Pairs of elements, and single ones, so that as few leaves as possible differ."""
        if len(mine) * len(other) > _PAIRS:
            return list(itertools.zip_longest(mine, other))
        ours, theirs = ([self.leaves(x) for x in side] for side in (mine, other))
        costs = {(0, 0): (0, "")}
        for i, j in itertools.product(range(len(mine) + 1), range(len(other) + 1)):
            ways = [costs[i, j]] if (i, j) == (0, 0) else []
            if i and j:
                ways.append((costs[i - 1, j - 1][0] + len(ours[i - 1] ^ theirs[j - 1]), "shared"))
            if i:
                ways.append((costs[i - 1, j][0] + len(ours[i - 1]) + 1, "added"))
            if j:
                ways.append((costs[i, j - 1][0] + len(theirs[j - 1]) + 1, "removed"))
            costs[i, j] = min(ways)  # where elements are alike, the last are single
        pairs, (i, j) = [], (len(mine), len(other))
        while i or j:
            way = costs[i, j][1]
            i, j = i - (way != "removed"), j - (way != "added")
            pairs.append((mine[i] if way != "removed" else None, other[j] if way != "added" else None))
        return pairs[::-1]


_PAIRS = 10_000  # of elements of two lists, before it is not worth while to find which belong together


def _path_of(tree: Any, depth: int) -> Path:
    """The path of a part in its own tree, of its common path's length."""
    while not isinstance(tree, _Entry):
        if not tree:
            return ()
        tree = next(iter(tree.values()))
    return tree.path[:depth]


def _elements(container: dict[str, Any]) -> list[Any]:
    return [container[name] for name in sorted(container, key=lambda name: (len(name), name))]


def _compare_live(mine: dict[Path, Schedule], restored: dict[Path, Schedule], on_change: str) -> None:
    """Warns of the live schedules that were restored with other numbers than the template has, or raises."""
    lines = []
    for path, schedule in mine.items():
        now, saved = _known(schedule), _known(restored[path])
        if now is None or saved is None:
            if on_change == "raise":
                raise ValueError(
                    f'restore(on_change="raise") cannot compare the schedule at {"/".join(path) or "the top"}: a template of'
                    " jax.eval_shape, or a traced one, has no numbers. Hint: make the template with optimizer.init(params), or"
                    ' say on_change="keep"'
                )
        elif not _are_close(saved, now):
            lines += _side_by_side(_described(unpacked(saved)), _described(unpacked(now)), "/".join(path))
    if not lines:
        return
    keep, replace = (f'restore(..., on_change="{word}")' for word in ("keep", "replace"))
    last = f"say {keep} to go on with that of the checkpoint, or {replace} to go on with the new one"
    if on_change == "raise":
        raise ValueError("\n".join(["restore(...) got another live schedule than that of the checkpoint:", *lines, last]))
    head = "restore(...) goes on with the live schedule of the checkpoint, and the template has another one:"
    warnings.warn("\n".join([head, *lines, last]), stacklevel=3)


def _known(schedule: Schedule) -> Schedule | None:
    """The schedule with its numbers on the host, None where there are none yet."""
    plain = jax.tree.map(_number, schedule, is_leaf=lambda x: not isinstance(x, (Node, Span, tuple, type(None))))
    return plain if all(isinstance(x, (float, np.ndarray)) for x in jax.tree.leaves(plain)) else None


def _number(x: Any) -> Any:
    """A number on the host, out of a variable of `flax.nnx` as well; what has no value stays."""
    (x,) = jax.tree.leaves(x)
    if isinstance(x, (float, jax.ShapeDtypeStruct, jax.core.Tracer)):
        return x
    there = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
    return np.asarray(x) if there else x


def _are_close(a: Schedule, b: Schedule) -> bool:
    """Whether all numbers are as close as a float32 can be, and whole numbers of steps equal."""
    numbers = (jax.tree.leaves(x, is_leaf=lambda x: isinstance(x, Span)) for x in (a, b))
    return all(itertools.starmap(_is_close, zip(*numbers, strict=True)))


def _is_close(a: Any, b: Any) -> bool:
    x, y = (np.asarray(s.whole, np.float64) + s.part if isinstance(s, Span) else np.asarray(s, np.float64) for s in (a, b))
    whole = isinstance(a, Span) and (np.asarray(a.part) == 0) & (np.asarray(b.part) == 0)
    eps = np.where(whole, 0.0, 2 * float(np.finfo(np.float32).eps))
    return bool(np.all(np.isclose(x, y, rtol=eps, atol=0.0, equal_nan=True)))  # pyright: ignore[reportArgumentType]


def _nodes(tree: Any) -> Iterator[tuple[Path, list[bool], Any]]:
    """All leaves, and nodes without leaves: their paths, which parts of those are places in a list or a tuple, and the leaf."""
    is_empty = lambda x: not jax.tree.leaves(x)  # noqa: E731 - also None
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_empty):
        yield _path(keys), [isinstance(key, jax.tree_util.SequenceKey) for key in keys], _EMPTY if is_empty(leaf) else leaf


def _leaves(tree: Any) -> Iterator[tuple[Path, Any]]:
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield _path(keys), leaf


def _schedules(tree: Any) -> dict[Path, Schedule]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, Schedule))
    return {_path(path): leaf for path, leaf in leaves if isinstance(leaf, Schedule)}


def _path(path: Any) -> Path:
    """A path as the formats of checkpoints have it, which know no attributes and no indices."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


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
