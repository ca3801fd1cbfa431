"""What recipes do with their arguments: check them, and divide steps among phases."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import Node, Spec, checked_choice, surely
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
    """A recipe with a name: annotations, a `Spec`, a `Literal` or bool, check arguments; errors and `repr` show its call."""
    call, signature = function.__name__, inspect.signature(function)
    hints = typing.get_type_hints(function, include_extras=True)
    specs = {name: _spec(hint) for name, hint in hints.items()}

    def checked(name: str, value: Any) -> Any:
        hint, spec = hints[name], specs[name]
        if value is None and type(None) in typing.get_args(hint):
            return None
        if typing.get_origin(hint) is Literal:
            checked_choice(call, name, value, typing.get_args(hint))
        if hint is bool and not isinstance(value, (bool, np.bool_)):
            raise TypeError(unexpected(call, name, value, "True or False"))
        if hint is str:
            checked_choice(call, name, value, ())
        if spec is None:
            return value
        kept = spec.checked(call, name, value)
        check_count(call, name, kept, spec.unit)
        return kept

    def written(name: str, value: Any, by_name: bool) -> str:
        spec = specs[name]
        text = number_source(list(value) if isinstance(value, tuple) else value, spec is not None and bool(spec.unit))
        return f"{name}={text}" if by_name else text

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # said with the name of the function
            return explained(function)(*args, **kwargs)
        given = {name: checked(name, value) for name, value in given.items()}
        try:
            made = function(**given)  # pyright: ignore[reportCallIssue]
        except ValueError as error:  # of a node that it makes, such as a value that is too large
            raise error if str(error).startswith(f"{call}(") else ValueError(f"{call}(...): {error}") from None
        if isinstance(made, Node) and all(map(_is_written, given.values())):
            made.__dict__["_recipe"] = f"{call}({', '.join(written(name, given[name], name in kwargs) for name in given)})"
        return made

    NAMES[call] = with_checks
    function.__globals__.setdefault("__test__", {})[call] = with_checks  # where doctest looks for what is wrapped
    return with_checks


def _spec(hint: Any) -> Spec | None:
    """The `Spec` in an annotation, also of `Value | None`."""
    return next((x for kind in (hint, *typing.get_args(hint)) for x in getattr(kind, "__metadata__", ())), None)


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


def divided(call: str, steps: Number, **taken: Number) -> tuple[Real, ...]:
    """What some arguments take of the steps of a whole, and what they leave."""
    rest: Real = steps
    parts = list(taken.values())
    for part in parts:
        rest = numerics.as_value(numerics.extended(rest) - numerics.extended(part))
    if numerics.is_concrete(rest):  # 0.8 and 0.2 of a number need not add up to it
        rest = numerics.where(np.abs(rest) <= 2.0**-48 * np.asarray(steps), 0.0, rest)
    if surely(np.less, rest, 0.0):
        given = ", ".join(f"{name}={shown(number)}" for name, number in {**taken, "steps": steps}.items())
        raise ValueError(f"{call}({given}): expected {' + '.join(taken)} <= steps. Hint: steps is the length of the whole.")
    return *parts, rest
