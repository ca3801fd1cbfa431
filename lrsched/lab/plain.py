"""Plain numbers: whole ones that are given, and those that go into JSON."""

from typing import Any

import numpy as np

from lrsched.algebra.written import shown


def whole(call: str, name: str, value: Any, least: int) -> int:
    """A whole number that was given as an argument.

    Raises:
        ValueError: if it is none, or below the least, or does not fit into a key.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**32:
        raise ValueError(f"{call}({name}=...) must be a whole number, at least {least} and below 2**32, got {shown(value)}")
    return int(value)


def plain(value: Any) -> Any:
    """Numbers and arrays as plain Python, floats as the shortest decimals that give them back. What is not finite is None."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, (list, tuple)) or np.ndim(value):
        return [plain(x) for x in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(str(value)) if np.isfinite(value) else None
