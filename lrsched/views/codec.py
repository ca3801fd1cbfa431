"""Schedules as JSON: a plain, versioned tree of names and numbers, exact for every float, that runs nothing when it is read.

    {"lrsched": 1, "schedule": {"node": "Linear", "start": 0.0, "stop": 0.1, "steps": 100.0}}

A node has its class under "node", and its fields under their names:

- a number is a JSON number, with as many digits as give the same float64 back; what is infinite is the string "inf" or "-inf";
- a table, or a number of a batch, is a list of them, and nested lists where it has more axes;
- a child is such an object, and several children are a list of them;
- a mode, a monitor and a switch are as in Python; an option that was left out is null.

The fields of a node that are not there have their defaults. The nodes of `lrsched.dialects.torch` are called "torch.StepLR"
and so on.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import math
from typing import Any

import numpy as np

from lrsched.algebra import numerics, shapes
from lrsched.algebra import schedule as algebra
from lrsched.algebra.node import Node, Spec, argument
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import function_source, shown
from lrsched.clocks import clock as clocks

VERSION = 1
DEEPEST = 100  # levels of nodes inside nodes
LONGEST = 10_000_000  # characters


def to_dict(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a tree of dicts, lists, strings and numbers, ready for JSON, YAML or TOML.

    Args:
        schedule: a schedule of numbers that are known, pure or driven, single or a batch.

    Returns:
        `{"lrsched": 1, "schedule": {"node": …, …}}`; the docstring of this module describes the form.

    Raises:
        TypeError: if it is no schedule.
        ValueError: if it holds a function, or a node of a class that is not of this library: names cannot bring them back. Or
            if a number is traced, or it is nested more than 100 deep.

    >>> import lrsched as ls
    >>> ls.to_dict(ls.Exponential(0.1, 0.5))
    {'lrsched': 1, 'schedule': {'node': 'Exponential', 'start': 0.1, 'rate': 0.5}}
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"to_dict(schedule=...) must be a schedule, got {shown(schedule)} ({type(schedule).__name__})")
    return {"lrsched": VERSION, "schedule": _written(schedule, 0)}


def to_json(schedule: Schedule, indent: int | None = None) -> str:
    """A schedule as JSON: `from_json(to_json(s)) == s`, exactly.

    Args:
        schedule: as in `to_dict`.
        indent: how many spaces each level is indented by; None for one line.

    Raises:
        TypeError, ValueError: as `to_dict`.

    >>> import lrsched as ls
    >>> print(ls.to_json(ls.Linear(0.0, 0.1, 100)))
    {"lrsched": 1, "schedule": {"node": "Linear", "start": 0.0, "stop": 0.1, "steps": 100.0}}
    """
    return json.dumps(to_dict(schedule), indent=indent, allow_nan=False)


def from_dict(tree: Any) -> Schedule:
    """The schedule that `to_dict` wrote.

    Args:
        tree: what `to_dict` gave, perhaps read from a file again.

    Raises:
        ValueError: if it is not that, naming the place, such as `schedule.parts[1].steps`.

    >>> import lrsched as ls
    >>> ls.from_dict({"lrsched": 1, "schedule": {"node": "Linear", "start": 0, "stop": 0.1, "steps": 100}})
    Linear(0.0, 0.1, 100)
    """
    if not isinstance(tree, dict) or set(tree) != {"lrsched", "schedule"}:
        raise ValueError(f'from_dict(tree=...) must be {{"lrsched": {VERSION}, "schedule": {{...}}}}, got {_briefly(tree)}')
    if type(tree["lrsched"]) is not int or tree["lrsched"] != VERSION:
        raise ValueError(f"from_dict(...) reads version {VERSION} of the form, got version {_briefly(tree['lrsched'])}")
    schedule = _read(tree["schedule"], "schedule", 0)
    if not isinstance(schedule, Schedule):
        raise ValueError(f"from_dict(...) found a {type(schedule).__name__} at schedule, which is no schedule by itself")
    return schedule


def from_json(text: str) -> Schedule:
    """The schedule that `to_json` wrote. Nothing of the text is run.

    Args:
        text: the JSON, of at most ten million characters.

    Raises:
        TypeError: if it is no string.
        ValueError: if it is not what `to_json` writes, with the place that is wrong.

    >>> import lrsched as ls
    >>> s = ls.warmup_cosine(1 / 3, 10, 100)
    >>> ls.from_json(ls.to_json(s)) == s
    True
    """
    if not isinstance(text, str):
        raise TypeError(f"from_json(text=...) must be a string, got {type(text).__name__}")
    if len(text) > LONGEST:
        raise ValueError(f"from_json(text=...) takes at most {LONGEST:,} characters, got {len(text):,}")
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"from_json(text=...) is no JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"from_json(text=...) is nested more than {DEEPEST} deep") from None
    return from_dict(tree)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"from_json(text=...) has {_briefly(twice)} twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f'from_json(text=...) holds {name}, which is no JSON; what is infinite is the string "inf"')


def _whole(digits: str) -> Any:
    return int(digits) if len(digits) <= 300 else float(digits)


@functools.cache
def _classes() -> dict[str, type[Node]]:
    """The classes of nodes by the name that they are written under."""
    torch: Any = importlib.import_module("lrsched.dialects.torch")  # not before anyone asks: a third of the time of all imports

    found: dict[str, type[Node]] = {}
    for prefix, modules in (("", (algebra, shapes, clocks)), ("torch.", (torch,))):
        for name, thing in ((name, thing) for module in modules for name, thing in vars(module).items()):
            is_node = isinstance(thing, type) and issubclass(thing, Node) and "_numbers" in vars(thing)
            if is_node and thing not in (algebra.Moved, Node, shapes.Ramp):
                found[prefix + name] = thing
    return found


@functools.cache
def _names() -> dict[type[Node], str]:
    return {cls: name for name, cls in _classes().items()}


def _written(node: Node, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise ValueError(f"to_dict(...) cannot write a schedule that is nested more than {DEEPEST} deep")
    name = _names().get(type(node))
    if name is None:
        raise ValueError(f"to_dict(...) cannot write a {type(node).__name__}: only the nodes of lrsched have names in JSON")
    tree: dict[str, Any] = {"node": name}
    for field in dataclasses.fields(node):  # pyright: ignore[reportArgumentType]
        tree[argument(field)] = _written_value(getattr(node, field.name), name, depth)
    return tree


def _written_value(value: Any, name: str, depth: int) -> Any:
    if isinstance(value, Node):
        return _written(value, depth + 1)
    if isinstance(value, tuple):
        return [_written_value(entry, name, depth) for entry in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numerics.Span) and numerics.is_concrete(value):
        value = numerics.host(value)
    if isinstance(value, (float, np.ndarray)) or numerics.is_concrete(value):
        return _written_number(np.asarray(value, np.float64).tolist())
    if callable(value):
        raise ValueError(
            f"to_dict(...) cannot write the function {function_source(value)} of a {name}: JSON holds no functions"
        )
    raise ValueError(f"to_dict(...) cannot write a {name} of a number that is traced, {shown(value)}")


def _written_number(value: Any) -> Any:
    if isinstance(value, list):
        return [_written_number(entry) for entry in value]
    return value if math.isfinite(value) else str(value)


def _read(tree: Any, place: str, depth: int) -> Node:
    if depth > DEEPEST:
        raise ValueError(f"from_dict(...) found nodes nested more than {DEEPEST} deep, at {_shortened(place)}")
    if not isinstance(tree, dict) or not isinstance(tree.get("node"), str):
        raise ValueError(
            f'from_dict(...) expected a node, {{"node": "Linear", ...}}, at {_shortened(place)}, got {_briefly(tree)}'
        )
    cls = _classes().get(tree["node"])
    if cls is None:
        raise ValueError(f"from_dict(...) knows no node called {_briefly(tree['node'])}, at {_shortened(place)}")
    fields = {argument(field): field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    given = {name: value for name, value in tree.items() if name != "node"}
    known = f"a {tree['node']} has {', '.join(fields) or 'no fields'}"
    for name in given:
        if name not in fields:
            raise ValueError(f"from_dict(...) found {_briefly(name)} at {_shortened(place)}: {known}")
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING:
            raise ValueError(f"from_dict(...) misses {name} at {_shortened(place)}: {known}")
    arguments = {name: _read_value(value, fields[name], f"{place}.{name}", depth) for name, value in given.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"from_dict(...) cannot make the {tree['node']} at {_shortened(place)}: {error}") from None


def _read_value(value: Any, field: dataclasses.Field[Any], place: str, depth: int) -> Any:
    if "child" in field.metadata:
        return _read_children(value, field, place, depth)
    if "options" in field.metadata:
        if not isinstance(value, bool if isinstance(field.default, bool) else (str, bool, type(None))):
            raise ValueError(f"from_dict(...) expected a string or a boolean at {_shortened(place)}, got {_briefly(value)}")
        return value
    spec: Spec = field.metadata["spec"]
    if value is None:
        return None
    if spec.several:
        if not isinstance(value, list):
            raise ValueError(f"from_dict(...) expected a list at {_shortened(place)}, got {_briefly(value)}")
        return tuple(_read_number(entry, f"{place}[{i}]", 0) for i, entry in enumerate(value))
    return _read_number(value, place, 0)


def _read_children(value: Any, field: dataclasses.Field[Any], place: str, depth: int) -> Any:
    """What is checked by the operators that make nodes, and so by no node itself."""
    kind = clocks.Clock if field.name == "clock" else Schedule
    several = "tuple" in str(field.type)
    if several and not (isinstance(value, list) and value):
        raise ValueError(f"from_dict(...) expected a list of nodes at {_shortened(place)}, got {_briefly(value)}")
    places = [f"{place}[{i}]" for i in range(len(value))] if several else [place]
    children = [_read(one, at, depth + 1) for one, at in zip(value if several else [value], places, strict=True)]
    for one, at in zip(children, places, strict=True):
        if not isinstance(one, kind):
            raise ValueError(f"from_dict(...) expected a {kind.__name__.lower()} at {at}, got a {type(one).__name__}")
    return tuple(children) if several else children[0]


def _read_number(value: Any, place: str, depth: int) -> Any:
    if isinstance(value, list) and depth < 32:  # as many axes as an array can have
        return [_read_number(entry, f"{place}[{i}]", depth + 1) for i, entry in enumerate(value)]
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"from_dict(...) expected a number at {_shortened(place)}, got {_briefly(value)}")
    return value


def _shortened(place: str) -> str:
    return place if len(place) <= 80 else f"...{place[-77:]}"


def _briefly(value: Any) -> str:
    """A value as an error shows it, however large."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(repr(str(name)[:20]) for name in list(value)[:5]) or "nothing in it")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return shown(value[:100] if isinstance(value, str) else value)
