"""The classes and functions that text and JSON call by name."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Callable, Collection
from typing import Any

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
        for name, thing in vars(module).items():
            if not name.startswith("_") and getattr(thing, "__module__", "").startswith(module.__name__):
                path = f"{module.__name__}.{name}"
                theirs[name] = f"{theirs[name]} or {path}" if name in theirs else path
    return theirs | foreign.NAMES


def missing_name(name: str, public: Collection[str]) -> str:
    """The text of an error about a name that the module does not have."""
    hint = ""
    if not name.startswith("_"):
        hint = foreign.meant(name, public, foreign.NAMES if name in foreign.NAMES else foreign_names())
        hint = f"lrsched.{hint}" if hint in public else hint
    return f"module 'lrsched' has no attribute {name!r}{hint and f'. Hint: {hint}.'}"
