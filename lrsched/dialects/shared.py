"""What the dialects have in common: numbers that may be traced, and errors."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.arguments import check_count
from lrsched.algebra.foreign import explained
from lrsched.algebra.written import unexpected

P = ParamSpec("P")
R = TypeVar("R")
Number: TypeAlias = float | np.ndarray | jax.Array

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
    """A function of another framework: an error says which count is a ratio, or a list, and what ours are called."""
    parameters, plain = inspect.signature(function).parameters, explained(function)
    numbers = [name for name, parameter in parameters.items() if parameter.annotation in ("Number", "Number | None")]

    @functools.wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in [*zip(parameters, args, strict=False), *kwargs.items()]:
            if name in numbers and isinstance(value, (list, tuple)):
                raise ValueError(unexpected(function.__name__, name, value, "one number", GROUPS))
            if _COUNT.fullmatch(name):
                check_count(function.__name__, name, value)
        return plain(*args, **kwargs)

    return with_checks


_COUNT = re.compile(r"\w*(_steps|_t)|t_initial|transition_begin")  # of the names of arguments


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
