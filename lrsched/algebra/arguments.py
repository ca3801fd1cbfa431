"""Arguments of recipes: bounds, and steps divided among phases."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import bound, unwrapped
from lrsched.algebra.node import Node, Spec, checked_choice, checked_flag, surely
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
Milestones: TypeAlias = Annotated[Sequence[Number] | np.ndarray, Spec(rank=1, rising=True, unit="steps")]
_STEPS = Spec(unit="steps")


def recipe(function: Callable[P, R], module: str = "", check: Callable[..., Any] | None = None) -> Callable[P, R]:
    """The function with its arguments validated against their annotations, and with its call in errors and `repr`.

    A dialect passes its `module`, the prefix in `repr`, and a `check` in place of `checked_argument`.
    """
    call, signature, check = function.__name__, inspect.signature(function), check or checked_argument
    hints = typing.get_type_hints(function, include_extras=True)
    text = f"{module}.{call}" if module else call
    defaults = {name: one.default for name, one in signature.parameters.items()}
    rest = [name for name, one in signature.parameters.items() if one.kind is one.VAR_KEYWORD]

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        given = bound(call, signature, args, kwargs).arguments
        for name in rest:
            given |= given.pop(name, {})
        given = {name: check(call, name, unwrapped(value), hints.get(name)) for name, value in given.items()}
        try:
            made = function(**given)  # pyright: ignore[reportCallIssue]
        except (TypeError, ValueError) as error:  # from a node inside, such as a value that is too large
            if type(error) not in (TypeError, ValueError) or str(error).startswith(f"{call}("):
                raise
            raise type(error)(f"{call}(...): {error}") from None
        if isinstance(made, Node) and all(_is_written(x, spec_of(hints.get(name))) for name, x in given.items()):
            plain = [name for name in kwargs if isinstance(given[name], (str, int, float, type(None)))]
            shown = {name: x for name, x in given.items() if name not in plain or x != defaults.get(name, ...)}
            made.__dict__["_recipe"] = f"{text}({', '.join(_written(hints, kwargs, shown))})"
        return made

    NAMES[text] = with_checks
    return with_checks


def _written(hints: dict[str, Any], named: Collection[str], given: dict[str, Any]) -> list[str]:
    """Arguments as text; those in `named` as keywords."""
    specs = {name: spec_of(hints.get(name)) for name in given}
    amounts = [name for name, spec in specs.items() if spec is not None and spec.exact]
    return [f"{name}=" * (name in named) + number_source(value, name in amounts) for name, value in given.items()]


def checked_argument(call: str, name: str, value: Any, hint: Any) -> Any:
    """An argument, validated against its annotation: a number with a `Spec`, a `Literal`, a bool or a str."""
    if value is None and type(None) in typing.get_args(hint):
        return None
    if typing.get_origin(hint) is Literal or hint is str:
        checked_choice(call, name, value, typing.get_args(hint))
        return str.__str__(typing.cast("str", value))  # not an enumeration member or a NumPy string
    if hint is bool:
        return checked_flag(call, name, value)
    if (spec := spec_of(hint)) is None:
        return value
    if spec.rank and is_empty(value):
        return value  # the function itself checks it
    kept = spec.checked(call, name, value)
    check_count(call, name, kept, spec)
    return kept


def spec_of(hint: Any) -> Spec | None:
    """The `Spec` in an annotation, even in `Value | None`."""
    return next((x for kind in (hint, *typing.get_args(hint)) for x in getattr(kind, "__metadata__", ())), None)


def _is_written(x: Any, spec: Spec | None = None) -> bool:
    """Whether the text of a value evaluates to an equal value."""
    if isinstance(x, np.ndarray):
        return spec is not None and x.ndim == spec.rank == 1 and (x.dtype == np.float64 or x.dtype.kind in "iu")
    if isinstance(x, (list, tuple, range, dict)):
        return all(map(_is_written, [*x, *x.values()] if isinstance(x, dict) else x))
    return isinstance(x, (str, int, float, np.integer, type(None)))


def check_count(call: str, name: str, count: Any, spec: Spec = _STEPS) -> None:
    """Raises an error for a known count between 0 and 1: a ratio, or a misplaced argument."""
    counts = np.asarray(count, np.float64) if spec.unit and numerics.is_concrete(count) else np.zeros(0)
    if (between := counts[(counts > 0) & (counts < 1)]).size:
        ratio = f"{name}=" * (counts.ndim == 0) + f"round({between[0]:g} * total_{spec.unit})"
        is_steps, hint = spec.unit == "steps", f"write {ratio} for a ratio, or check the order of the arguments"
        expected = f"{name} >= 1" + ", or 0" * (spec.gt is None and not spec.ge)
        raise ValueError(unexpected(call, name, counts.tolist(), expected, hint if is_steps else f"a number of {spec.unit}"))


def is_empty(values: Any) -> bool:
    return not values if isinstance(values, (list, tuple)) else np.size(values) == 0


def divided(call: str, steps: Number, **taken: Number) -> tuple[Real, ...]:
    """The steps that some arguments take, and the rest of the whole."""
    rest: Real = steps
    parts = list(taken.values())
    if len(parts) == 1 and not numerics.is_concrete(parts[0]):
        return numerics.parted(parts[0], steps)
    for part in parts:
        rest = rest - part
    if numerics.is_concrete(rest):  # 0.8 and 0.2 of a number may not add up to it
        rest = numerics.where(np.abs(rest) <= 2.0**-48 * np.asarray(steps), 0.0, rest)
    if surely(np.less, rest, 0.0):
        given = ", ".join(f"{name}={shown(number)}" for name, number in {**taken, "steps": steps}.items())
        raise ValueError(f"{call}({given}): expected {' + '.join(taken)} <= steps. Hint: steps is the length of the whole.")
    return *parts, rest
