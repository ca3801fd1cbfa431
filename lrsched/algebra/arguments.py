"""What recipes do with their arguments: check them, and divide steps among phases."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import Node, Spec, checked_choice, is_finite, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Real
from lrsched.algebra.written import NAMES, number_source, shown, unexpected

P = ParamSpec("P")
R = TypeVar("R")

Value: TypeAlias = Annotated[Number, Spec()]
Factor: TypeAlias = Annotated[Number, Spec(ge=0)]
Positive: TypeAlias = Annotated[Number, Spec(gt=0)]
Length: TypeAlias = Annotated[Number, Spec(ge=0, unit="steps")]
PositiveLength: TypeAlias = Annotated[Number, Spec(gt=0, unit="steps")]


def recipe(function: Callable[P, R]) -> Callable[P, R]:
    """A recipe with a name: errors and `repr` show its call.

    Its arguments are checked by its annotations, the `Spec` of a number or a `Literal`.
    """
    plain = explained(function)
    call, specs, choices, plainly = function.__name__, {}, {}, {}
    for name, hint in typing.get_type_hints(function, include_extras=True).items():
        kinds = typing.get_args(hint)
        for spec in (x for kind in (hint, *kinds) for x in getattr(kind, "__metadata__", ())):  # also of `Value | None`
            specs[name] = dataclasses.replace(spec, optional=type(None) in kinds)
        if typing.get_origin(hint) is Literal:
            choices[name] = kinds
        if hint in (bool, str):
            plainly[name] = "True or False" if hint is bool else "a string", (hint, np.bool_)

    def checked(name: str, value: Any) -> Any:
        if name in plainly and not isinstance(value, plainly[name][1]):
            raise TypeError(unexpected(call, name, value, plainly[name][0]))
        if name in choices:
            checked_choice(call, name, value, choices[name])
        if name not in specs:
            return value
        kept = specs[name].checked(call, name, value)
        check_count(call, name, kept, specs[name].unit)
        return kept

    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
        if len(given) < len(args) + len(kwargs):  # too many, or one twice: Python says which
            return function(*args, **kwargs)
        given = {name: checked(name, value) for name, value in given.items()}
        made = plain(**given)  # pyright: ignore[reportCallIssue]
        if isinstance(made, Node) and all(map(_is_written, given.values())):
            made.__dict__["_recipe"] = f"{call}({', '.join(written(name, given[name], name in kwargs) for name in given)})"
        return made

    def written(name: str, value: Any, by_name: bool) -> str:
        value = list(value) if isinstance(value, tuple) else value
        text = number_source(value, name in specs and bool(specs[name].unit))
        return f"{name}={text}" if by_name else text

    NAMES[call] = with_checks
    function.__globals__.setdefault("__test__", {})[call] = with_checks  # where doctest looks for what is wrapped
    return with_checks


def _is_written(x: Any) -> bool:
    """Whether it is text that evaluates back to the same; arrays, for one, may have fewer digits."""
    return x is None or isinstance(x, (str, int, float)) or (isinstance(x, (list, tuple)) and all(map(_is_written, x)))


def check_count(call: str, name: str, count: Any, unit: str = "steps") -> None:
    """Raises an error for a known count between 0 and 1, which is a ratio, or an argument in the wrong place."""
    counts = np.asarray(count, np.float64) if unit and numerics.is_concrete(count) else np.zeros(0)
    if (between := counts[(counts > 0) & (counts < 1)]).size:
        ratio = f"{name}=" * (counts.ndim == 0) + f"round({between[0]:g} * total_{unit})"
        hint = f"write {ratio} for a ratio, or check the order of the arguments" if unit == "steps" else f"a number of {unit}"
        raise ValueError(unexpected(call, name, count, f"{name} >= 1, or 0", hint))


def is_empty(values: Any) -> bool:
    """Whether a list or an array has no entries."""
    return not values if isinstance(values, (list, tuple)) else np.size(values) == 0


def bounded(call: str, name: str, number: Number, value: Number) -> Real:
    """A value made with a number, unless that made it too large."""
    if numerics.is_concrete(value) and not is_finite(value):
        raise ValueError(unexpected(call, name, number, "a number that makes no value too large for a float"))
    return numerics.saturated(value)


def parted(call: str, steps: Number, **taken: Number) -> tuple[Real, Real]:
    """What one argument takes of the steps, and how many are left."""
    (part,) = taken.values()
    rest = rest_of(call, steps, **taken)
    return (part, rest) if numerics.is_concrete(part) else numerics.parted(part, steps)


def rest_of(call: str, steps: Number, **taken: Number) -> Real:
    """How many of the steps of a whole are left by what some arguments take."""
    rest: Real = steps
    for number in taken.values():
        rest = rest - number
    if numerics.is_concrete(rest):  # 0.8 and 0.2 of a number need not add up to it
        rest = numerics.where(np.abs(rest) <= 2.0**-48 * np.asarray(steps), 0.0, rest)
    if surely(np.less, rest, 0.0):
        given = ", ".join(f"{name}={shown(number)}" for name, number in {**taken, "steps": steps}.items())
        raise ValueError(f"{call}({given}): expected {' + '.join(taken)} <= steps. Hint: steps is the length of the whole.")
    return rest
