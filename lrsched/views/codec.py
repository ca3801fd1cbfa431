"""Schedules as JSON: a versioned tree of names and numbers, exact for every float. Reading it runs no code.

    {"lrsched": 1, "schedule": {"node": "Linear", "start": 0.0, "end": 0.1, "steps": 100.0}}

A node has its class under "node", and its fields under their names: numbers, "inf" or "-inf"; lists of numbers for tables and
batches; nodes, and lists of nodes; strings, booleans and null. A missing field gets its default.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import Node, argument
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import NAMES, function_source, shown, unexpected
from lrsched.views.names import named

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"
VERSION = 1


def to_dict(schedule: ScheduleLike) -> dict[str, Any]:
    """A schedule as a tree of dicts, lists, strings and numbers, for JSON, YAML or TOML.

    Args:
        schedule: a schedule of known numbers, pure or driven, single or a batch; or a number.

    Raises:
        TypeError: if it is not a schedule.
        ValueError: if it holds a function or a traced number.

    >>> import lrsched as ls
    >>> ls.to_dict(ls.Exponential(0.1, 0.5))
    {'lrsched': 1, 'schedule': {'node': 'Exponential', 'start': 0.1, 'factor': 0.5}}
    """
    return _tree("to_dict", schedule)


@explained
def to_json(schedule: ScheduleLike, indent: int | None = None) -> str:
    """A schedule as JSON: `from_json(to_json(s)) == s`, exactly.

    Args:
        schedule: as in `to_dict`.
        indent: the number of spaces per level; None for one line.

    Raises:
        TypeError, ValueError: as `to_dict`.

    >>> import lrsched as ls
    >>> print(ls.to_json(ls.Linear(0.0, 0.1, 100)))
    {"lrsched": 1, "schedule": {"node": "Linear", "start": 0.0, "end": 0.1, "steps": 100.0}}
    """
    return json.dumps(_tree("to_json", schedule), indent=indent, allow_nan=False)


def from_dict(tree: Mapping[str, Any]) -> Schedule:
    """The schedule that `to_dict` wrote.

    Args:
        tree: the result of `to_dict`; its mappings and lists may be of any class, such as omegaconf's.

    Raises:
        ValueError: if it is not such a tree; the error gives the place, such as `schedule.parts[1].steps`.

    >>> import lrsched as ls
    >>> ls.from_dict({"lrsched": 1, "schedule": {"node": "Linear", "start": 0, "end": 0.1, "steps": 100}})
    Linear(0.0, 0.1, 100)
    """
    with _errors_of("from_dict(tree=...)"):
        return _schedule(_plain(tree))


def _plain(tree: Any) -> Json:
    """The tree with mappings and sequences of any class turned into dicts and lists."""
    if isinstance(tree, Mapping):
        return {name: _plain(value) for name, value in tree.items()}
    return [*map(_plain, tree)] if isinstance(tree, Sequence) and not isinstance(tree, str) else tree


def from_json(text: str) -> Schedule:
    """The schedule that `to_json` wrote.

    Args:
        text: the JSON.

    Raises:
        TypeError: if it is not a string.
        ValueError: if `to_json` does not write such a text; the error gives the place of the mistake.

    >>> import lrsched as ls
    >>> s = ls.warmup_cosine(1 / 3, 10, 100)
    >>> ls.from_json(ls.to_json(s)) == s
    True
    """
    if not isinstance(text, str):
        raise TypeError(unexpected("from_json", "text", text, "a string"))
    with _errors_of("from_json(text=...)"):
        try:
            tree = json.loads(text, object_pairs_hook=_object, parse_int=float)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected JSON, got {_briefly(text)}. Hint: {error}.") from None
        return _schedule(tree)


@contextlib.contextmanager
def _errors_of(call: str) -> Iterator[None]:
    """Errors name the call."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{call}: {error}") from None
    except RecursionError:
        raise ValueError(f"{call}: expected nodes in a few hundred levels at most, got more.") from None


def _tree(call: str, schedule: ScheduleLike) -> dict[str, Any]:
    made = as_schedule(call, "schedule", schedule)
    with _errors_of(f"{call}(schedule=...)"):
        return {"lrsched": VERSION, "schedule": _written(made)}


def _schedule(tree: Json) -> Schedule:
    if not isinstance(tree, dict) or set(tree) != {"lrsched", "schedule"}:
        raise ValueError(f'expected {{"lrsched": {VERSION}, "schedule": {{...}}}}, got {_briefly(tree)}.')
    if isinstance(tree["lrsched"], bool) or tree["lrsched"] != VERSION:
        raise ValueError(f"expected version {VERSION} of the form, got version {_briefly(tree['lrsched'])}.")
    schedule = _read(tree["schedule"], "schedule")
    if not isinstance(schedule, Schedule):
        raise _wrong("schedule", "a schedule", f"a {type(schedule).__name__}")
    return schedule


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError(f"expected each name once in an object, got {_briefly(tree)}, and one of them twice.")
    return tree


def _written(value: Any, owner: str = "") -> Json:
    """A node as a JSON object, several values as a list, and a number, a string or a bool as in JSON."""
    if isinstance(value, Node):
        name, fields = type(value).__name__, dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
        if NAMES.get(name) is not type(value):
            raise ValueError(f"expected one class of nodes called {name}, got two. Hint: rename yours.")
        return {"node": name, **{argument(f): _written(getattr(value, f.name), name) for f in fields}}
    if isinstance(value, (tuple, list)):
        return [_written(entry, owner) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if callable(value):
        raise ValueError(f"expected no functions, which JSON cannot hold, got {function_source(value)} in a {owner}.")
    if not numerics.is_concrete(value):
        raise ValueError(f"expected known numbers, got {shown(value)}, which is traced, in a {owner}.")
    return _written(np.asarray(numerics.to_float64(value), np.float64).tolist(), owner)


def _read(tree: Json, place: str) -> Node:
    """The node that an object describes. Its constructor checks the values."""
    name = tree.get("node") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(name, str):
        raise _wrong(place, 'a node, {"node": "Linear", ...},', _briefly(tree))
    cls, given = named(name), {field: value for field, value in tree.items() if field != "node"}
    if not isinstance(cls, type):
        raise _wrong(f"{place}.node", "the name of a class of nodes", _briefly(name))
    fields = {argument(field): field for field in dataclasses.fields(cls)}
    needed = {field for field in fields if fields[field].default is dataclasses.MISSING}
    if not needed <= set(given) <= set(fields):
        raise _wrong(place, f"a {name} with {', '.join(fields) or 'no fields'}", _briefly(given))
    arguments = {field: _read_value(value, fields[field], f"{place}.{field}") for field, value in given.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise _wrong(place, f"a valid {name}", f"an error: {str(error).removesuffix('.')}") from None


def _read_value(value: Json, field: dataclasses.Field[Any], place: str) -> Any:
    if "spec" in field.metadata:  # numbers; entries of a table may be infinite
        return jax.tree.map(lambda x: float(x) if x in ("inf", "-inf") else x, value)
    if "child" in field.metadata:
        if "tuple" not in str(field.type):
            return _read(value, place)
        if isinstance(value, list):
            return tuple(_read(one, f"{place}[{i}]") for i, one in enumerate(value))
        raise _wrong(place, "a list of nodes", _briefly(value))
    if isinstance(value, float) and field.type == "int":
        return value  # the constructor checks that it is whole
    if not isinstance(value, bool if isinstance(field.default, bool) else (str, bool, type(None))):
        raise _wrong(place, "a string or a boolean", _briefly(value))
    return value


def _wrong(place: str, expected: str, got: str) -> ValueError:
    place = place if len(place) <= 80 else f"...{place[-77:]}"
    return ValueError(f"expected {expected} at {place}, got {got}.")


def _briefly(value: Json) -> str:
    return reprlib.repr(value)[:100]
