"""The classes and functions that text and JSON call by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from lrsched.algebra.combinators import Moved
from lrsched.algebra.shapes import Ramp
from lrsched.algebra.written import NAMES

for _base in (Moved, Ramp):  # of nodes, and none itself
    del NAMES[_base.__name__]


def named(name: str) -> Callable[..., Any] | None:
    """The class of nodes, or the recipe, of that name. One that is not known yet may be a dialect's."""
    if name not in NAMES:
        package = importlib.import_module("lrsched.dialects")  # not before anyone asks: a third of the time of all imports
        for module in pkgutil.iter_modules(package.__path__, "lrsched.dialects."):
            importlib.import_module(module.name)
    return NAMES.get(name)
