"""Schedules as a tree for JSON: versioned, of names and numbers, exact for every float. Reading it runs no code.

    {"lrsched": 1, "schedule": {"node": "Linear", "start": 0.0, "end": 0.1, "steps": 100.0}}

A node has its class under "node", and its fields under their names: numbers, "inf" or "-inf"; lists of numbers for tables and
batches; nodes, and lists of nodes; strings, booleans and null. A missing field gets its default.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import Node, argument
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import NAMES, function_source, shown
from lrsched.views.names import named

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"
VERSION = 1


def to_dict(schedule: ScheduleLike) -> dict[str, Any]:
    """A schedule as a tree of dicts, lists, strings and finite numbers, for JSON, YAML or TOML; `from_dict` reads it.

    Args:
        schedule: a schedule of known numbers, pure or driven, single or a batch; or a number.

    Raises:
        TypeError: if it is not a schedule.
        ValueError: if it holds a function or a traced number.

    >>> import json
    >>> import lrsched as ls
    >>> s = ls.Exponential(0.1, 0.5)
    >>> print(json.dumps(ls.to_dict(s)))
    {"lrsched": 1, "schedule": {"node": "Exponential", "start": 0.1, "factor": 0.5}}
    >>> ls.from_dict(json.loads(json.dumps(ls.to_dict(s)))) == s
    True
    """
    made = as_schedule("to_dict", "schedule", schedule)
    try:
        return {"lrsched": VERSION, "schedule": _written(made)}
    except RecursionError:
        raise ValueError("to_dict(schedule=...): expected nodes in a few hundred levels at most, got more.") from None


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
    try:
        found = _plain(tree)
        if not isinstance(found, dict) or set(found) != {"lrsched", "schedule"}:
            hint = "for a name and its arguments, getattr(lrsched, name)(**arguments)"
            hint = (
                "from_dict(json.loads(text)) reads JSON, parse(text) an expression" if isinstance(tree, (str, bytes)) else hint
            )
            expected = f'{{"lrsched": {VERSION}, "schedule": {{...}}}}'
            raise ValueError(f"from_dict(tree=...): expected {expected}, got {_briefly(tree)}. Hint: {hint}.")
        if isinstance(found["lrsched"], bool) or found["lrsched"] != VERSION:
            raise _wrong("lrsched", f"version {VERSION} of the form", f"version {_briefly(found['lrsched'])}")
        schedule = _read(found["schedule"], "schedule")
    except RecursionError:
        raise ValueError("from_dict(tree=...): expected nodes in a few hundred levels at most, got more.") from None
    if not isinstance(schedule, Schedule):
        raise _wrong("schedule", "a schedule", f"a {type(schedule).__name__}")
    return schedule


def _plain(tree: Any) -> Any:
    """The tree with mappings and sequences of any class turned into dicts and lists."""
    if isinstance(tree, Mapping):
        return {name: _plain(value) for name, value in tree.items()}
    return [*map(_plain, tree)] if isinstance(tree, Sequence) and not isinstance(tree, str) else tree


def _written(value: Any, owner: str = "") -> Json:
    """A node as a JSON object, several values as a list, and a number, a string or a bool as in JSON."""
    problem = ""
    if isinstance(value, Node):
        name, fields = type(value).__name__, dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
        if NAMES.get(name) is type(value):
            return {"node": name, **{argument(f): _written(getattr(value, f.name), name) for f in fields}}
        problem = f"one class of nodes called {name}, got two. Hint: rename yours"
    elif isinstance(value, (tuple, list)):
        return [_written(entry, owner) for entry in value]
    elif isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    elif value is None or isinstance(value, (str, bool)):
        return value
    elif callable(value):
        problem = f"no functions, which JSON cannot hold, got {function_source(value)} in a {owner}"
    elif not numerics.is_concrete(value):
        problem = f"known numbers, got {shown(value)}, which is traced, in a {owner}"
    if problem:
        raise ValueError(f"to_dict(schedule=...): expected {problem}.")
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
    if "child" not in field.metadata:
        return value
    if "tuple" not in str(field.type):
        return _read(value, place)
    if not isinstance(value, list):
        raise _wrong(place, "a list of nodes", _briefly(value))
    return tuple(_read(one, f"{place}[{i}]") for i, one in enumerate(value))


def _wrong(place: str, expected: str, got: str) -> ValueError:
    place = place if len(place) <= 80 else f"...{place[-77:]}"
    return ValueError(f"from_dict(tree=...): expected {expected} at {place}, got {got}.")


def _briefly(value: Any) -> str:
    return reprlib.repr(value)[:100]
