"""The classes and functions that text and JSON call by name."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Callable
from typing import Any, NoReturn

from lrsched.algebra import foreign
from lrsched.algebra.combinators import Moved
from lrsched.algebra.shapes import Ramp
from lrsched.algebra.written import NAMES

for _base in (Moved, Ramp):  # of nodes, and none itself
    del NAMES[_base.__name__]


def _dialects() -> list[types.ModuleType]:
    """The dialects, imported not before anyone asks: a third of the time of all imports."""
    package = importlib.import_module("lrsched.dialects")
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(name) for name in names if not name.endswith(".shared")]


def named(name: str) -> Callable[..., Any] | None:
    """The class of nodes, or the recipe, of that name. One that is not known yet may be a dialect's."""
    if name not in NAMES:
        _dialects()
    return NAMES.get(name)


def foreign_names() -> dict[str, str]:
    """The names that people bring, and how the same is written here."""
    theirs: dict[str, str] = {}
    for module in _dialects():
        for name in own_names(vars(module)):
            path = f"{module.__name__}.{name}"
            theirs[name] = f"{theirs[name]} or {path}" if name in theirs else path
    return theirs | foreign.NAMES


def own_names(module: dict[str, Any]) -> list[str]:
    """The public names of what a module defines."""
    inside = module["__name__"]
    return [name for name, x in module.items() if name[0] != "_" and getattr(x, "__module__", "").startswith(inside)]


def missing_name(module: dict[str, Any], name: str) -> str:
    """The text of an error about a name that a module does not have, with what is likely to be meant."""
    owner, own, hint = module["__name__"], own_names(module), ""
    if not name.startswith("_"):
        texts = foreign.NAMES if name in foreign.NAMES else foreign_names()
        hint = foreign.meant(name, own, texts if owner == "lrsched" else {}) or foreign.meant(name, (), texts)
        hint = f". Hint: {owner}.{hint}." if hint in own else hint and f". Hint: {hint}."
    return f"module {owner!r} has no attribute {name!r}{hint}"


def explain_names(module: dict[str, Any]) -> None:
    """Gives a module a `__getattr__` whose error says what is likely to be meant; type checkers do not see it."""

    def missing(name: str) -> NoReturn:
        raise AttributeError(missing_name(module, name))

    module["__getattr__"] = missing
