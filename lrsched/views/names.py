"""Under which name text and JSON find each class of nodes: those of the library, and no others."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys

from lrsched.algebra.node import Node


@functools.cache
def nodes() -> dict[str, type[Node]]:
    """Every class of nodes that is no base of others, by its name, such as "Linear" or, of a dialect, "torch.StepLR"."""
    importlib.import_module("lrsched.dialects.torch")  # not before anyone asks: a third of the time of all imports
    modules = [module for name, module in sys.modules.items() if name.startswith("lrsched.")]
    members = {cls for module in modules for cls in vars(module).values() if inspect.isclass(cls) and issubclass(cls, Node)}
    found = [cls for cls in members if cls.__module__.startswith("lrsched.") and "_numbers" in vars(cls) and cls is not Node]
    bases = {base for cls in found for base in cls.__mro__[1:]}
    return {_name(cls): cls for cls in found if cls not in bases}


def _name(cls: type) -> str:
    package, folder, *_ = cls.__module__.removeprefix("lrsched.").split(".")
    return f"{folder}.{cls.__name__}" if package == "dialects" else cls.__name__
