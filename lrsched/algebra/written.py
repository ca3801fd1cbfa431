"""The text of nodes, numbers and errors."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from lrsched.algebra import numerics

# The calls in text and JSON, by name: classes of nodes, recipes and functions of dialects.
NAMES: dict[str, Callable[..., Any]] = {}


@functools.singledispatch
def source(x: Any) -> str:
    """The expression that makes a node: by default its constructor call, without default arguments."""
    return f"{type(x).__name__}({arguments_source(x, dataclasses.fields(x))})"


def arguments_source(x: Any, fields: Iterable[dataclasses.Field[Any]], by_name: bool = False) -> str:
    """The arguments of a call, from fields; with `by_name`, those after one with a default are keywords."""
    arguments, positional = [], True
    for field in fields:
        value = getattr(x, field.name)
        if isinstance(value, (str, float, bool, type(None))) and value == field.default:
            positional = False
            continue
        if isinstance(value, tuple):
            text = f"({', '.join(map(repr, value))}{',' if len(value) == 1 else ''})"
        elif "options" in field.metadata and callable(value):
            text = function_source(value)
        else:
            text = number_source(value, "spec" in field.metadata and bool(field.metadata["spec"].unit))
        arguments.append(text if positional else f"{field.name.rstrip('_')}={text}")
        positional = positional and not (by_name and field.default is not dataclasses.MISSING)
    return ", ".join(arguments)


@functools.singledispatch
def mimebundle(x: Any) -> dict[str, str]:
    """The forms in which a notebook can show a node: by default its text."""
    return {"text/plain": repr(x)}


def function_source(fn: Any) -> str:
    return getattr(fn, "__name__", None) or repr(fn)


def number_source(value: Any, amount: bool = False) -> str:
    """The text of a number, which evaluates to it exactly; without ".0" for a whole amount."""
    if isinstance(value, str):
        return repr(str.__str__(value))  # not an enumeration member or a NumPy string
    if isinstance(value, (np.ndarray, np.generic, jax.Array, numerics.Extended)):
        for x in jax.tree.leaves(value):
            if isinstance(x, jax.Array) and (not numerics.is_concrete(x) or x.is_deleted()):
                return str(x.aval)
        value = np.asarray(numerics.to_float64(value)).tolist()
    if isinstance(value, (list, tuple, range)):
        return f"[{', '.join(number_source(x, amount) for x in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{number_source(key, True)}: {number_source(x)}' for key, x in value.items())}}}"
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, float) and amount and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def shown(value: object, most: int = 100) -> str:
    """A value in an error, cut to a limited length."""
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split("\n"))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def unexpected(call: str, name: str, value: object, expected: str, hint: str = "") -> str:
    """The text of an error about an argument."""
    return f"{call}({name}={shown(value)}): expected {expected}.{hint and f' Hint: {hint}.'}"
