"""Under which name text and JSON find each class of nodes: those of the library, and no others."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator

from lrsched.algebra.node import Node


def _below(cls: type) -> Iterator[type]:
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)


@functools.cache
def nodes() -> dict[str, type[Node]]:
    """Every class of nodes that is no base of others, by its name, such as "Linear" or, of a dialect, "torch.StepLR"."""
    importlib.import_module("lrsched.dialects.torch")  # not before anyone asks: a third of the time of all imports
    found = [cls for cls in _below(Node) if "__dataclass_fields__" in vars(cls) and cls.__module__.startswith("lrsched.")]
    found = [cls for cls in found if getattr(sys.modules[cls.__module__], cls.__name__, None) is cls]  # no docstring's
    bases = {base for cls in found for base in cls.__mro__[1:]}
    return {_name(cls): cls for cls in found if cls not in bases}


def _name(cls: type) -> str:
    package, folder, *_ = cls.__module__.removeprefix("lrsched.").split(".")
    return f"{folder}.{cls.__name__}" if package == "dialects" else cls.__name__
