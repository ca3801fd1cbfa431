"""What recipes do with their arguments: check them, and divide steps among phases."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import checked, is_finite
from lrsched.algebra.numerics import Number
from lrsched.algebra.written import shown, unexpected


def numbers(call: str, **arguments: Any) -> list[Any]:
    """Arguments as numbers."""
    return [checked(call, name, value) for name, value in arguments.items()]


def counts(call: str, **arguments: Any) -> list[Any]:
    """Arguments as numbers of steps."""
    return [checked(call, name, value, ge=0, unit="steps") for name, value in arguments.items()]


def total_of(call: str, steps: Number) -> Any:
    """The length of a whole, in steps."""
    (total,) = counts(call, steps=steps)
    if numerics.is_concrete(total) and np.any(np.less(0, total) & np.less(total, 1)):
        hint = "the number of updates of the whole; check the order of the arguments"
        raise ValueError(unexpected(call, "steps", steps, "steps >= 1, or 0", hint))
    return total


def bounded(call: str, name: str, number: Number, value: Any) -> Any:
    """A value made with a number, unless that made it too large."""
    if numerics.is_concrete(value) and not is_finite(value):
        raise ValueError(f"{call}({name}=...) makes values too large for a float, got {number!r}")
    return numerics.saturated(value)


def parted(call: str, steps: Number, **taken: Number) -> tuple[Any, Any]:
    """What one argument takes of the steps, and how many are left."""
    (part,) = taken.values()
    rest = rest_of(call, steps, **taken)
    return (part, rest) if numerics.is_concrete(part) else numerics.parted(part, steps)


def rest_of(call: str, steps: Number, **taken: Number) -> Any:
    """How many of the steps are left by what some arguments take."""
    rest: Any = steps
    for number in taken.values():
        rest = rest - number
    if numerics.is_concrete(rest):  # 0.8 and 0.2 of a number need not add up to it
        rest = numerics.where(np.abs(rest) <= 2.0**-48 * np.asarray(steps), 0.0, rest)
    if numerics.is_concrete(rest) and np.any(np.less(rest, 0)):
        names, numbers = ", ".join(f"{name}=..." for name in taken), " + ".join(map(shown, taken.values()))
        raise ValueError(f"{call}({names}) takes {numbers} of {shown(steps)} steps: give it less, or more steps")
    return rest
