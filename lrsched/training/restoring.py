"""What was read from a checkpoint, in the structure of the program that goes on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, side_by_side
from lrsched.training.checkpoint import described
from lrsched.training.holders import Path, Tree, by_path, placed_as, without_variables
from lrsched.training.live import unpacked

T = TypeVar("T")
Pair: TypeAlias = tuple[Path | None, Path | None]  # of a part of the template, and the part of the checkpoint
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
    ValueError: restore(...) found a state of another structure:
        clocks/0/high: not in the checkpoint
        clocks/0/low: not in the checkpoint
        clocks/0/lower: not in the checkpoint
    Hint: restore(..., added="clocks") keeps the template's values for what is added or replaced, and drops what is removed
    >>> print(ls.restore(new.init(jnp.ones(3)), saved, added="clocks").step)
    1
    """
    if on_change not in ("warn", "raise", "keep", "replace"):
        raise ValueError(f'restore(on_change=...) must be "warn", "raise", "keep" or "replace", got {on_change!r}')
    mine = _Side("added", "template", "not in the checkpoint", template, added)
    other = _Side("removed", "checkpoint", "only in the checkpoint", loaded, removed)
    pairs = _checked_pairs(mine, other, replace=on_change == "replace")
    needed = {*mine.leaves} - {*pairs} | {leaf for path in mine.live for leaf in mine.under(path) if on_change == "raise"}
    if without := [path for path, x in mine.leaves.items() if path in needed and isinstance(x, jax.ShapeDtypeStruct)]:
        raise ValueError(
            f"restore(...) needs the value at {_text(without[0])} in the template, which has none."
            " Hint: make it with optimizer.init(params), not with jax.eval_shape"
        )
    values = mine.leaves | {path: _placed(other.leaves[there], mine.leaves[path]) for path, there in pairs.items()}
    restored = jax.tree.unflatten(jax.tree.structure(template), list(values.values()))
    if on_change in ("warn", "raise"):
        _compare_live(mine, values, _schedules(restored), on_change)
    return restored


def _text(path: Path) -> str:
    return "/".join(path) or "the top"


def _begins(path: Path, part: Path) -> bool:
    return path[: len(part)] == part


def _schedules(tree: Tree) -> dict[Path, Schedule]:
    nodes = by_path(tree, lambda x: isinstance(x, Schedule))
    return {path: without_variables(x) for path, x in nodes.items() if isinstance(x, Schedule)}


class _Side:
    """The template or what was read: its parts by their paths, and those that it alone has, as `restore` was told."""

    def __init__(self, argument: str, whose: str, alone: str, tree: Tree, names: str | Sequence[str]) -> None:
        self.argument, self.whose, self.alone, self.schedules = argument, whose, alone, _schedules(tree)
        nodes = by_path(tree, lambda x: not jax.tree.leaves(x))  # an empty one counts among the elements of a tuple
        self.leaves = {path: x for path, x in nodes.items() if jax.tree.leaves(x)}
        self.full = {path[:i] for path in self.leaves for i in range(len(path) + 1)}  # parts with leaves
        texts = {path[:i]: "/".join(path[:i]) for path in nodes for i in range(1, len(path) + 1)}
        self.inside: dict[Path, list[Path]] = {}
        for part in texts:
            self.inside.setdefault(part[:-1], []).append(part)
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(f"restore({argument}=...) must be the name of a part, such as 'clocks/0', or a list, got {names!r}")
        self.names = {  # by name, the part that it is, or else all that end in it
            name: [part for part, x in texts.items() if x == name] or [y for y, x in texts.items() if x.endswith(f"/{name}")]
            for name in names
        }
        self.named = {part for parts in self.names.values() for part in parts}
        self.unnamed = {path: None for path in self.leaves if not any(_begins(path, part) for part in self.named)}
        beside = {part: {(*part[:-1], name) for name in ("live", "step", "used")} for part in texts if part[-1] == "live"}
        self.live = [part for part, three in beside.items() if three <= self.full and self.under(part)]

    def under(self, part: Path) -> list[Path]:
        """The leaves of a part, but for those that were named."""
        return [path for path in self.unnamed if _begins(path, part)]

    def children(self, part: Path) -> dict[str, Path]:
        """The parts of a part by their keys, but for those that were named: elements are counted without them."""
        inside = self.inside.get(part, [])
        left = {path[-1]: path for path in inside if path not in self.named}
        if len(left) < len(inside) and all(key.isdecimal() for key in left):
            return {str(i): left[key] for i, key in enumerate(sorted(left, key=int))}
        return left

    def largest(self, part: Path) -> list[Path]:
        """The part, or where something in it was named, the largest parts of it without that; none without leaves."""
        if any(_begins(path, part) for path in self.named):
            return [x for child in self.children(part).values() for x in self.largest(child)]
        return [part] if part in self.full else []


def _matched(mine: _Side, other: _Side, is_whole: Callable[[Path, Path], bool], here: Path, there: Path) -> list[Pair]:
    """The leaves that belong together, and parts that are one whole; and the largest parts that one side alone has."""
    if (here in mine.leaves and there in other.leaves) or is_whole(here, there):
        return [(here, there)]
    a, b = mine.children(here), other.children(there)
    if (here in mine.leaves or there in other.leaves) and {*a, *b} == {"value"}:  # a variable of flax.nnx, and what was in it
        return _matched(mine, other, is_whole, a.get("value", here), b.get("value", there))
    found: list[Pair] = []
    for key in {**a, **b}:
        if key in a and key in b and (key.isdecimal() or (a[key] in mine.full and b[key] in other.full)):
            found += _matched(mine, other, is_whole, a[key], b[key])
        else:
            found += [(a.get(key), None), (None, b.get(key))]
    has_pair = any(None not in pair for pair in found)
    is_apart = not here or (here in mine.full and there in other.full)  # not an element that one side has empty
    return [(here, None), (None, there)] if is_apart and not has_pair and here not in mine.live else found


def _checked_pairs(mine: _Side, other: _Side, replace: bool) -> dict[Path, Path]:
    """The leaves that belong together; a ValueError lists what does not fit, and says what to name."""

    def is_whole(here: Path, there: Path) -> bool:
        """Whether these are live schedules that are replaced, or of two structures."""
        kinds = {jax.tree.structure(x) for x in (mine.schedules.get(here), other.schedules.get(there)) if x is not None}
        return here in mine.live and (replace or len(kinds) > 1)

    pairs: dict[Path, Path] = {}
    problems: list[tuple[Path, str]] = []
    alone: dict[_Side, list[Path]] = {mine: [], other: []}
    changed = misnamed = False
    for here, there in _matched(mine, other, is_whole, (), ()):
        if here is None or there is None:
            side, opposite, part = (other, mine, there) if here is None else (mine, other, here)
            if part is None or (replace and side is mine and part in mine.live):
                continue
            alone[side] += side.largest(part)
            for path in side.under(part):
                named = f"so not to name in {opposite.argument}=..."
                moved = "but not in the same place when elements are counted without what was named"
                both = f"on both sides, {moved if path in opposite.unnamed else named}"
                misnamed = misnamed or path in opposite.leaves
                problems.append((path, both if path in opposite.leaves else side.alone))
        elif here not in mine.leaves:  # live schedules
            if not replace:
                changed, (then, now) = True, (shown(unpacked(x)) for x in (other.schedules[there], mine.schedules[here]))
                problems.append((here, f"{then} in the checkpoint, {now} in the template"))
        elif _fits(other.leaves[there], mine.leaves[here]):
            pairs[here] = there
        else:
            found, at = _kind(other.leaves[there]), "" if here == there else f" at {_text(there)}"
            problems.append((here, f"{found}{at} in the checkpoint, {_kind(mine.leaves[here])} in the template"))
    lines = [
        f"    {side.argument}={name!r}: the {side.whose} has no such part"
        for side in (mine, other)
        for name, parts in side.names.items()
        if not parts
    ]
    lines += [f"    {_text(path)}: {problem}" for path, problem in sorted(problems)]
    if lines:
        head = "found a state of another structure" if problems else "got a name that fits nothing"
        more = [f"    and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        hint = [] if misnamed else _hint(alone, replace or changed)
        raise ValueError("\n".join([f"restore(...) {head}:", *lines[:_MOST], *more, *hint]))
    return pairs


def _hint(alone: dict[_Side, list[Path]], replace: bool) -> list[str]:
    """What to name so that it may fit. There may be less to name."""
    if not any(alone.values()) and not replace:
        return []
    said: list[str] = []
    for side, parts in alone.items():
        ends = 1 if side.argument == "added" else 0  # of the template, a live schedule as a whole is to be replaced as well
        of_live = [part for part in parts if any(part[:i] in side.live for i in range(len(part) + ends))]
        names = [*(name for name, found in side.names.items() if found), *("/".join(x) for x in parts if x not in of_live)]
        if () in parts or len(names) > _MOST_NAMES:
            return []
        replace = replace or bool(of_live)
        said += [f"{side.argument}={json.dumps(names if len(names) > 1 else names[0])}"] if names else []
    said += ['on_change="replace"'] if replace else []
    does = "keeps the template's values for what is added or replaced, and drops what is removed"
    ours, theirs = ({path[-1] for part in parts for path in side.under(part)} for side, parts in alone.items())
    start = ". Give the new schedule start=<updates made>, or it begins at step 0" * ("step" in ours and "count" in theirs)
    return [f"Hint: restore(..., {', '.join(said)}) {does}{start}"]


def _compare_live(mine: _Side, values: dict[Path, Any], restored: dict[Path, Schedule], on_change: str) -> None:
    """Warns of the live schedules that were restored with other numbers than the template has, or raises."""
    lines: list[str] = []
    for path in mine.live:
        pairs = [(mine.leaves[leaf], values[leaf]) for leaf in mine.under(path)]
        known = not any(isinstance(x, (jax.ShapeDtypeStruct, jax.core.Tracer)) for pair in pairs for x in pair)
        if (not known and on_change == "warn") or all(np.array_equal(*pair) for pair in pairs):
            continue
        if path in restored:
            lines += side_by_side(*(described(unpacked(x[path])) for x in (restored, mine.schedules)), _text(path))
        else:
            lines.append(f"  {_text(path)}: other numbers in the checkpoint than in the template")
    keep, replace = (f'restore(..., on_change="{word}")' for word in ("keep", "replace"))
    advice = f"{keep} goes on with that of the checkpoint, {replace} with the new one"
    if lines and on_change == "raise":
        raise ValueError("\n".join(["restore(...) got another live schedule than that of the checkpoint:", *lines, advice]))
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
