"""Schedules from text: the expression that `repr` gives, read without running any code."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from lrsched.algebra import recipes
from lrsched.algebra.batch import stack
from lrsched.algebra.pointwise import maximum, minimum
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import join
from lrsched.clocks import recipes as clock_recipes
from lrsched.views.names import nodes

LONGEST = 1_000_000  # characters: more than any schedule that a person wrote, and parsed in seconds
DEEPEST = 100  # brackets inside brackets, and operators in a row but for >>, which makes nothing deeper
MOST = 2000  # calls and operators
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.RShift: operator.rshift,
    ast.MatMult: operator.matmul,
}
_METHODS = [  # those that make schedules
    name
    for name, method in inspect.getmembers(Schedule, inspect.isfunction)
    if name[0] != "_" and inspect.signature(method).return_annotation in (Schedule, "Schedule")
]


_NOT_CALLED = {"Pointwise", "Sequence", "Function", "LambdaLR", "MultiplicativeLR"}  # operators make it, or it holds a function


@functools.cache
def _names() -> dict[str, Callable[..., Any]]:
    """What an expression may call: the nodes, the recipes, and the functions that make schedules of schedules."""
    found: dict[str, Callable[..., Any]] = {cls.__name__: cls for cls in nodes().values() if not cls._call}
    for module in (recipes, clock_recipes, sys.modules["lrsched.dialects.torch.plateau"]):
        functions = inspect.getmembers(module, inspect.isfunction)
        found |= {name: made for name, made in functions if made.__module__ == module.__name__ and name[0] != "_"}
    found |= {"join": join, "maximum": maximum, "minimum": minimum, "stack": stack}
    return {name: made for name, made in found.items() if name not in _NOT_CALLED}


def parse(text: str) -> Schedule:
    """The schedule that an expression writes, such as `repr` gives: `parse(repr(s)) == s`.

    It is read, not run: numbers, strings and lists, the operators, the public names that make schedules, and the methods of
    schedules are all there is in it.

    Args:
        text: the expression, of at most a million characters and 2,000 calls and operators, nested at most 100 deep.

    Raises:
        TypeError: if it is no string.
        ValueError: if it is no such expression, with the place that is wrong. A schedule with a function of your own, or of
            a class of your own, is none.

    >>> import lrsched as ls
    >>> ls.parse("Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)")
    Linear(0.0, 0.001, 100) >> Cosine(0.001, 0.0, 900)
    """
    if not isinstance(text, str):
        raise TypeError(f"parse(text=...) must be a string, got {type(text).__name__}")
    if len(text) > LONGEST:
        raise ValueError(f"parse(text=...) takes at most {LONGEST:,} characters, got {len(text):,}")
    text = re.sub(r"\r\n?", "\n", text).strip()  # as Python's own parser reads it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of "1if", which is refused below
            tree = ast.parse(text, mode="eval").body
        value = _Reader(text).read(tree, 0)
    except SyntaxError as error:
        raise _mistake(text, error.msg, error.lineno or 1, (error.offset or 1) - 1) from None
    except UnicodeError as error:
        raise ValueError(f"parse(text=...) must be text: {error}") from None
    except (RecursionError, MemoryError):
        raise ValueError("parse(text=...) is nested too deeply for Python to read it") from None
    if not isinstance(value, Schedule):
        raise ValueError(f"parse(text=...) must write a schedule, got one of type {type(value).__name__}")
    return value


class _Reader:
    """Evaluates a syntax tree of which every node is known to be harmless."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = _names()
        self.operations = 0

    def read(self, tree: ast.expr, depth: int) -> Any:
        if depth > DEEPEST:
            raise self.mistake(tree, f"nested more than {DEEPEST} deep")
        match tree:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                if isinstance(value, int) and value.bit_length() > sys.float_info.max_exp:
                    raise self.mistake(tree, "larger than any float")
                return value
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                values = [self.read(entry, depth + 1) for entry in entries]
                return values if isinstance(tree, ast.List) else tuple(values)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                value = self.operand(operand, depth)
                return -value if isinstance(op, ast.USub) else value
            case ast.BinOp():
                return self.chain(tree, depth)
            case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf" | "nan" as value)], keywords=[]):
                return float(value)
            case ast.Call(func=ast.Name(id=name)) if name in self.names:
                return self.call(tree, self.names[name], depth)
            case ast.Call(func=ast.Name(id=name) as function):
                raise self.unknown(function, name, "makes no schedule", self.names)
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                schedule = self.read(owner, depth + 1)
                if not isinstance(schedule, Schedule):
                    raise self.mistake(owner, f"{name} is a method of schedules, and this is none")
                if name not in _METHODS:
                    raise self.unknown(tree.func, name, "is no method of a schedule", _METHODS)
                return self.call(tree, getattr(schedule, name), depth)
            case ast.Name(id=name):
                raise self.unknown(tree, name, "is no number and no call", self.names)
        raise self.mistake(tree, "this is no part of a schedule: there are numbers, lists, operators and calls")

    def chain(self, tree: ast.expr, depth: int) -> Any:
        """Operators from left to right, in a loop: there may be hundreds of parts."""
        links = []
        while isinstance(tree, ast.BinOp):
            links.append(tree)
            tree = tree.left
        value = self.operand(tree, depth)
        if sum(not isinstance(link.op, ast.RShift) for link in links) > DEEPEST:
            raise self.mistake(tree, f"more than {DEEPEST} operators in a row: the schedule would be nested too deeply")
        for link in reversed(links):
            other = self.operand(link.right, depth)
            operate = _OPERATORS.get(type(link.op))
            if operate is None:
                raise self.mistake(link, "there are the operators + - * / >> @")
            value = self.tried(link, operate, value, other)
        return value

    def operand(self, tree: ast.expr, depth: int) -> Any:
        value = self.read(tree, depth + 1)
        if not isinstance(value, (Schedule, float, int)) or isinstance(value, bool):
            raise self.mistake(tree, f"an operator takes schedules and numbers, not a {type(value).__name__}")
        return float(value) if isinstance(value, int) else value

    def call(self, tree: ast.Call, function: Callable[..., Any], depth: int) -> Any:
        names = [keyword.arg for keyword in tree.keywords]
        odd = [argument for argument in tree.args if isinstance(argument, ast.Starred)]
        odd += [keyword.value for keyword in tree.keywords if keyword.arg is None or names.count(keyword.arg) > 1]
        if odd:
            raise self.mistake(odd[0], "write the arguments one by one, each once")
        args = [self.read(argument, depth + 1) for argument in tree.args]
        kwargs = {str(keyword.arg): self.read(keyword.value, depth + 1) for keyword in tree.keywords}
        return self.tried(tree, function, *args, **kwargs)

    def tried(self, tree: ast.expr, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.operations += 1
        if self.operations > MOST:
            raise self.mistake(tree, f"more than {MOST:,} calls and operators")
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self.mistake(tree, str(error)) from None

    def unknown(self, tree: ast.expr, name: str, problem: str, names: Iterable[str]) -> ValueError:
        close = difflib.get_close_matches(name, names, n=1)
        return self.mistake(tree, f"{name} {problem}" + (f"; did you mean {close[0]}?" if close else ""))

    def mistake(self, tree: ast.expr, problem: str) -> ValueError:
        line = self.text.split("\n")[tree.lineno - 1].encode()[: tree.col_offset]  # whose offsets count bytes
        segment = ast.get_source_segment(self.text, tree) or ""
        return _mistake(self.text, problem, tree.lineno, len(line.decode()), len(segment.split("\n")[0]))


def _mistake(text: str, problem: str, lineno: int, begin: int, width: int = 1) -> ValueError:
    """An error that shows the line, and under it where the mistake is."""
    problem = problem if len(problem) <= 200 else f"{problem[:197]}..."
    line = text.split("\n")[min(lineno - 1, text.count("\n"))]
    first = max(0, min(begin, len(line)) - 60)
    more = "..." if first else ""
    place = " " * (len(more) + min(begin, len(line)) - first) + "^" * max(1, min(width, 60))
    return ValueError(f"{problem}\n    {more}{line[first : first + 120]}\n    {place}")
