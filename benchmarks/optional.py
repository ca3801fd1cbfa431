"""Peers that need not be installed: torch, timm, transformers."""

import importlib
from typing import Any


def module(name: str) -> Any:
    """A module by its dotted name, without a type, so that no checker has to find it."""
    importlib.import_module(name.partition(".")[0])  # first, so that an error names the package
    return importlib.import_module(name)


def absent(*names: str) -> str:
    """What a row says in the place of a measurement, such as "torch is not installed"; "" where all can be imported."""
    for name in names:
        try:
            module(name)
        except ModuleNotFoundError as error:
            return f"{error.name or name} is not installed"
        except (ImportError, RuntimeError) as error:  # two packages that do not fit each other, such as torch and torchvision
            return f"{name} cannot be imported: {error}"
    return ""
