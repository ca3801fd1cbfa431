"""What the dialects have in common: numbers that may be traced, and errors."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.arguments import checked_argument, keep_call, spec_of
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import Spec
from lrsched.algebra.written import NAMES, unexpected

P = ParamSpec("P")
R = TypeVar("R")
Plain: TypeAlias = float | np.ndarray | jax.Array
Number: TypeAlias = Annotated[Plain, Spec()]
Numbers: TypeAlias = Annotated[Sequence[Plain], Spec(rank=1)]
Positive: TypeAlias = Annotated[Plain, Spec(gt=0)]
Factor: TypeAlias = Annotated[Plain, Spec(ge=0)]
BaseRate: TypeAlias = Annotated[Plain, Spec(ge=0, hint="the rate of the optimizer, in its place")]
Rate: TypeAlias = Annotated[Plain, Spec(ge=0, hint="a learning rate")]
Steps: TypeAlias = Annotated[Plain, Spec(unit="steps")]  # may be below 0, where the framework has a meaning for that
Length: TypeAlias = Annotated[Plain, Spec(ge=0, unit="steps")]
PositiveLength: TypeAlias = Annotated[Plain, Spec(gt=0, unit="steps")]

GROUPS = "a schedule for each group of parameters, optax.partition({...}, labels); for a batch, stack([...])"


def traced(*numbers: Any) -> bool:
    """Whether a number is known to JAX only, so that no structure and no check can depend on it."""
    return any(isinstance(x, jax.core.Tracer) for x in numbers)


def expect(holds: Any, call: str, expected: str, hint: str, **got: Any) -> None:
    """Raises an error unless a condition on the arguments of a call holds; traced values are not validated."""
    if not traced(holds) and not np.all(holds):
        arguments = ", ".join(f"{name}={value!r}" for name, value in got.items())
        raise ValueError(f"{call}({arguments}): expected {expected}. Hint: {hint}.")


def peer(function: Callable[P, R]) -> Callable[P, R]:
    """A function of another framework: its annotations check its arguments, and errors show its call."""
    call, plain, parameters = function.__name__, explained(function), inspect.signature(function).parameters
    hints = typing.get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in [*zip(parameters, args, strict=False), *kwargs.items()]:
            hint = hints.get(name)
            is_list, spec = isinstance(value, (list, tuple)), spec_of(hint)
            if is_list and spec is not None and not spec.rank:
                raise ValueError(unexpected(call, name, value, "one number", GROUPS))
            if not is_list or value:  # an empty list is for the function to judge
                checked_argument(call, name, value, hint)
        try:
            return plain(*args, **kwargs)
        except (TypeError, ValueError) as error:  # of a node that it makes
            if type(error) not in (TypeError, ValueError) or str(error).startswith(f"{call}("):
                raise
            raise type(error)(f"{call}(...): {error}") from None

    return printed(with_checks)


def printed(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose schedules print as its call, with the name of its module; `parse` reads that."""
    call, signature = f"{function.__module__.rpartition('.')[2]}.{function.__name__}", inspect.signature(function)
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
    rest = [name for name, parameter in signature.parameters.items() if parameter.kind is parameter.VAR_KEYWORD]
    specs = {name: spec_of(hint) for name, hint in typing.get_type_hints(function, include_extras=True).items()}
    amounts = [name for name, spec in specs.items() if spec is not None and spec.unit]

    def is_default(name: str, x: Any) -> bool:
        return isinstance(x, (str, int, float, type(None))) and name in defaults and x == defaults[name]

    @functools.wraps(function)
    def kept(*args: P.args, **kwargs: P.kwargs) -> R:
        made = function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        for name in rest:
            given |= given.pop(name, {})
        given = {name: x for name, x in given.items() if name not in kwargs or not is_default(name, x)}
        keep_call(made, call, given, kwargs, amounts)
        return made

    NAMES[call] = kept
    return kept


def is_plain(x: Any) -> bool:
    """Whether it is a Python or NumPy scalar, neither a batch nor traced, so that the structure may depend on it."""
    return not isinstance(x, (np.ndarray, jax.Array))


def is_known(number: Any, value: float) -> bool:
    """Whether it is a scalar with this value."""
    return is_plain(number) and bool(number == value)


def numpy_of(*numbers: Any) -> Any:
    """NumPy for numbers of the host, which stay float64, and `jax.numpy` for others."""
    return jnp if any(isinstance(x, jax.Array) for x in numbers) else np


def at_least(low: float, x: Number) -> Any:
    return numpy_of(x).maximum(x, low)


def where(condition: Any, a: Number, b: Number) -> Any:
    if is_plain(condition):
        return a if condition else b
    return numpy_of(condition, a, b).where(condition, a, b)
