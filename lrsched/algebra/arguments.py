"""What recipes do with their arguments: check them, and divide steps among phases."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import Spec, checked_choice, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Real
from lrsched.algebra.written import shown, unexpected

P = ParamSpec("P")
R = TypeVar("R")

Value: TypeAlias = Annotated[Number, Spec()]
Factor: TypeAlias = Annotated[Number, Spec(ge=0)]
Positive: TypeAlias = Annotated[Number, Spec(gt=0)]
Length: TypeAlias = Annotated[Number, Spec(ge=0, unit="steps")]
PositiveLength: TypeAlias = Annotated[Number, Spec(gt=0, unit="steps")]


def recipe(function: Callable[P, R]) -> Callable[P, R]:
    """Checks the arguments of a recipe by its annotations, a `Spec`, a `Literal` or bool, so that errors name the recipe."""
    call, signature = function.__name__, inspect.signature(function)
    hints = typing.get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # Python says so with the name of the function
            return function(*args, **kwargs)
        return function(**{name: _checked(call, name, x, hints[name]) for name, x in given.items()})  # pyright: ignore[reportCallIssue]

    function.__globals__.setdefault("__test__", {})[call] = with_checks  # where doctest looks for what is wrapped
    return with_checks


def _checked(call: str, name: str, value: Any, hint: Any) -> Any:
    kinds = typing.get_args(hint)
    if value is None and type(None) in kinds:
        return None
    for spec in (x for kind in (hint, *kinds) for x in getattr(kind, "__metadata__", ())):  # also of `Value | None`
        return spec.checked(call, name, value)
    if typing.get_origin(hint) is Literal:
        checked_choice(call, name, value, kinds)
    if hint is bool and not isinstance(value, (bool, np.bool_)):
        raise TypeError(unexpected(call, name, value, "True or False"))
    return value


def is_empty(values: Any) -> bool:
    """Whether a list or an array has no entries."""
    return not values if isinstance(values, (list, tuple)) else np.size(values) == 0


def divided(call: str, steps: Number, **taken: Number) -> tuple[Real, ...]:
    """What some arguments take of the steps of a whole, and what they leave."""
    if surely(lambda total: (total > 0) & (total < 1), steps):
        hint = "the number of updates of the whole; check the order of the arguments"
        raise ValueError(unexpected(call, "steps", steps, "steps >= 1, or 0", hint))
    rest: Real = steps
    parts = list(taken.values())
    if len(parts) == 1 and not numerics.is_concrete(parts[0]):
        return numerics.parted(parts[0], steps)
    for part in parts:
        rest = rest - part
    if numerics.is_concrete(rest):  # 0.8 and 0.2 of a number need not add up to it
        rest = numerics.where(np.abs(rest) <= 2.0**-48 * np.asarray(steps), 0.0, rest)
    if surely(np.less, rest, 0.0):
        given = ", ".join(f"{name}={shown(number)}" for name, number in {**taken, "steps": steps}.items())
        raise ValueError(f"{call}({given}): expected {' + '.join(taken)} <= steps. Hint: steps is the length of the whole.")
    return *parts, rest
