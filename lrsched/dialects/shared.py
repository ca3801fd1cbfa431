"""Shared by all dialects: annotations of arguments, numbers that may be traced, and errors."""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import checked_argument, recipe, spec_of
from lrsched.algebra.node import Spec
from lrsched.algebra.written import shown, unexpected

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Callable[..., Any])
Plain: TypeAlias = float | np.ndarray | jax.Array
Number: TypeAlias = Annotated[Plain, Spec()]
Numbers: TypeAlias = Annotated[Sequence[Plain], Spec(rank=1)]
Positive: TypeAlias = Annotated[Plain, Spec(gt=0)]
Factor: TypeAlias = Annotated[Plain, Spec(ge=0)]
BaseRate: TypeAlias = Annotated[Plain, Spec(ge=0, hint="the rate of the optimizer, in its place")]
Reduction: TypeAlias = Annotated[Plain, Spec(ge=0, lt=1, hint="each plateau multiplies the rate with it")]
Stretch: TypeAlias = Annotated[Plain, Spec(ge=1, hint="how many times longer each cycle is than the one before")]
Rate: TypeAlias = Annotated[Plain, Spec(ge=0, hint="a learning rate")]
InitialRate: TypeAlias = Annotated[Plain, Spec(hint="a learning rate, and no optimizer")]
Steps: TypeAlias = Annotated[Plain, Spec(unit="steps")]  # may be below 0, where that has a meaning in the framework
Length: TypeAlias = Annotated[Plain, Spec(ge=0, unit="steps")]
PositiveLength: TypeAlias = Annotated[Plain, Spec(gt=0, unit="steps")]
Milestones: TypeAlias = Annotated[Sequence[Plain], Spec(rank=1, rising=True, unit="steps")]
Count: TypeAlias = Annotated[Plain, Spec(ge=0, integer=True, unit="observations")]
PositiveCount: TypeAlias = Annotated[Plain, Spec(ge=1, integer=True, unit="observations")]

GROUPS = "a schedule for each group of parameters, optax.partition({...}, labels); for a batch, stack([...])"


def expect(holds: Any, call: str, expected: str, hint: str, **got: Any) -> None:
    """Raises an error unless a condition on the arguments of a call holds; traced values are not validated."""
    if numerics.is_concrete(holds) and not np.all(holds):
        arguments = ", ".join(f"{name}={shown(value)}" for name, value in got.items())
        raise ValueError(f"{call}({arguments}): expected {expected}. Hint: {hint}.")


def one_number(call: str, name: str, value: Any, hint: Any) -> Any:
    """An argument as a node keeps it. A list in place of a number, such as PyTorch's rates by group, raises."""
    is_list, spec = type(value) in (list, tuple), spec_of(hint)  # an optimizer is a named tuple
    if is_list and spec is not None and not spec.rank:
        raise ValueError(unexpected(call, name, value, "one number", (spec.hint or f"in {spec.unit}") if spec.unit else GROUPS))
    return checked_argument(call, name, value, hint)


_SOURCE = """

Args:
{arguments}

References:
    `{name}` of {module}. Its row in notebooks/coming_from_{page}.md is an example.
"""


def documented(thing: T) -> T:
    """A function or class of another framework: its docstring gets its arguments from that of its dialect, and its source."""
    module = thing.__module__.split(".")[2]
    listed = re.findall(
        r"^    ([\w, ]+)(: .+(?:\n {8}.+)*)", str(sys.modules[f"lrsched.dialects.{module}"].__doc__), re.MULTILINE
    )
    own = [([x for x in names.split(", ") if x in thing.__annotations__], meaning) for names, meaning in listed]
    arguments = "\n".join(f"    {', '.join(names)}{meaning}" for names, meaning in own if names)
    page = {"transformers": "hugging_face", "torch": "pytorch"}.get(module, module)
    source = _SOURCE.format(arguments=arguments, name=thing.__name__, module=module, page=page)
    thing.__doc__ = inspect.cleandoc(str(thing.__doc__)) + source
    return thing


def peer(function: Callable[P, R]) -> Callable[P, R]:
    """A function of another framework: it gets its numbers unchanged, and `repr` names its module."""

    def checked(call: str, name: str, value: Any, hint: Any) -> Any:
        kept = one_number(call, name, value, hint)
        return kept if isinstance(kept, str) else value

    return recipe(documented(function), function.__module__.split(".")[2], checked)


def is_plain(x: Any) -> bool:
    """Whether it is a Python or NumPy scalar, not a batch and not traced, so that the structure may depend on it."""
    return not isinstance(x, (np.ndarray, jax.Array))


def is_known(number: Any, value: float) -> bool:
    """Whether it is a scalar with this value."""
    return is_plain(number) and bool(number == value)


def numpy_of(*numbers: Any) -> Any:
    """NumPy for numbers on the host, which stay float64, and `jax.numpy` for others."""
    return jnp if any(isinstance(x, jax.Array) for x in numbers) else np


def reductions(base: Number, rate: Number, factor: Number) -> Any:
    """How many times a base rate must be multiplied by a factor to give another rate; not rounded."""
    xp = numpy_of(rate, base, factor)
    least = 1e-300 if xp is np else 1e-37
    return xp.log(numerics.maximum(rate, least) / numerics.maximum(base, least)) / xp.log(factor)


def tidy(value: float) -> float:
    """A computed number without its rounding error, if that leaves few digits."""
    short = float(f"{value:.12g}")
    return short if math.isclose(value, short, rel_tol=1e-14) else value
