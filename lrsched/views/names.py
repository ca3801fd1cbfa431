"""Names: the classes and functions that text and JSON may name, and hints for the names of other libraries."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable
from typing import Any, NoReturn

from lrsched import clocks
from lrsched.algebra import foreign
from lrsched.algebra.combinators import Moved
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Ramp
from lrsched.algebra.written import NAMES

for _base in (Moved, Ramp):  # bases of nodes, not nodes
    del NAMES[_base.__name__]


def _dialects() -> list[types.ModuleType]:
    """The dialects, imported only when needed: they take a third of the import time."""
    package = importlib.import_module("lrsched.dialects")
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(name) for name in names if not name.endswith(".shared")]


def named(name: str) -> Callable[..., Any] | None:
    """The node class or recipe of that name; dialects are imported if it is not known yet."""
    if name not in NAMES:
        _dialects()
    return NAMES.get(name)


METHODS = {  # of schedules, that make schedules
    name: f"schedule.{name}(...)"
    for name, method in inspect.getmembers(Schedule, inspect.isfunction)
    if name[0] != "_" and inspect.signature(method).return_annotation == "Schedule"
}


def foreign_names() -> dict[str, str]:
    """Names of other libraries, and what to write here instead."""
    theirs: dict[str, str] = {}
    for module in _dialects():
        for name in own_names(vars(module)):
            path = f"{module.__name__}.{name}"
            theirs[name] = f"{theirs[name]} or {path}" if name in theirs else path
    return theirs | foreign.NAMES


def own_names(module: dict[str, Any]) -> list[str]:
    """The public names that a module defines."""
    inside = module["__name__"]
    return [name for name, x in module.items() if name[0] != "_" and getattr(x, "__module__", "").startswith(inside)]


def missing_name(module: dict[str, Any], name: str) -> str:
    """The error text for a name that a module does not have, with the name probably meant."""
    owner, own, hint = module["__name__"], own_names(module), ""
    if owner in ("lrsched.clocks", "lrsched.lab") and name in importlib.import_module("lrsched").__all__:
        hint = f". Hint: lrsched.{name}."
    elif not name.startswith("_"):
        texts = foreign.NAMES if name in foreign.NAMES else foreign_names() | METHODS
        texts = texts | {"step": texts["Step"]}  # in a module not the counter that a schedule does not have
        hint = foreign.meant(name, own, texts if owner == "lrsched" else {}) or foreign.meant(name, (), texts)
        hint = f". Hint: {owner}.{hint}." if hint in own else hint and f". Hint: {hint}."
    return f"module {owner!r} has no attribute {name!r}{hint}"


def explain_names(module: dict[str, Any]) -> None:
    """Gives a module a `__getattr__` with hints that type checkers do not see."""

    def missing(name: str) -> NoReturn:
        raise AttributeError(missing_name(module, name), name=name)  # without obj, for which Python adds a hint of its own

    module["__getattr__"] = missing


explain_names(clocks.__dict__)  # here, since clocks are imported before views
