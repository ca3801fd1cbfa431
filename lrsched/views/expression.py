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
from collections.abc import Callable, Collection
from typing import Any

from lrsched.algebra import recipes
from lrsched.algebra.batch import stack
from lrsched.algebra.pointwise import as_schedule, maximum, minimum
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import join
from lrsched.algebra.written import unexpected
from lrsched.clocks import recipes as clock_recipes
from lrsched.views.names import nodes

LONGEST = 1_000_000  # characters: more than any schedule that a person wrote, and parsed in seconds
DEEPEST = 100  # brackets inside brackets, and operators in a row but for >>, which makes nothing deeper
MOST = 2000  # calls and operators
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.RShift: operator.rshift,
    ast.MatMult: operator.matmul,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_NOT_CALLED = {"Pointwise", "Sequence", "Function", "LambdaLR", "MultiplicativeLR"}  # operators make it, or it holds a function


@functools.cache
def _makers(owner: Any) -> set[str]:
    """The public functions of a module, or methods of a class, that make schedules."""
    functions = inspect.getmembers(owner, inspect.isfunction)
    return {
        name for name, f in functions if name[0] != "_" and inspect.signature(f).return_annotation in (Schedule, "Schedule")
    }


@functools.cache
def _names() -> dict[str, Callable[..., Any]]:
    """What an expression may call: the nodes, the recipes, and the functions that make schedules of schedules."""
    found: dict[str, Callable[..., Any]] = {cls.__name__: cls for cls in nodes().values() if not cls._call}
    for module in (recipes, clock_recipes, sys.modules["lrsched.dialects.torch.plateau"]):
        made = {name: getattr(module, name) for name in _makers(module)}
        found |= {name: function for name, function in made.items() if function.__module__ == module.__name__}
    found |= {"join": join, "maximum": maximum, "minimum": minimum, "stack": stack}
    return {name: made for name, made in found.items() if name not in _NOT_CALLED}


def parse(text: str) -> Schedule:
    """The schedule that an expression writes, such as `repr` gives: `parse(repr(s)) == s`.

    It is read, not run: numbers, strings and lists, the operators, the public names that make schedules, perhaps after `ls.`,
    and the methods of schedules are all there is in it. A number alone is a constant.

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
        raise TypeError(unexpected("parse", "text", text, "a string"))
    if len(text) > LONGEST:
        raise ValueError(f"parse(text=...): expected at most {LONGEST:,} characters, got {len(text):,}.")
    text = re.sub(r"\r\n?", "\n", text).strip()  # as Python's own parser reads it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of "1if", which is refused below
            tree = ast.parse(text, mode="eval").body
        if (count := sum(isinstance(one, (ast.Call, ast.BinOp)) for one in ast.walk(tree))) > MOST:
            raise ValueError(f"parse(text=...): expected at most {MOST:,} calls and operators, got {count:,}.")
        value = _Reader(text).read(tree)
    except SyntaxError as error:
        raise _mistake(text, error.msg, error.lineno or 1, (error.offset or 1) - 1) from None
    except UnicodeError as error:
        raise ValueError(f"parse(text=...): expected text that UTF-8 can encode. Hint: {error}.") from None
    except (RecursionError, MemoryError):
        raise ValueError(
            "parse(text=...): expected an expression that Python can read, got one that is nested too deeply."
        ) from None
    if not isinstance(value, (Schedule, float)):
        raise ValueError(f"parse(text=...): expected the expression of a schedule, got one of type {type(value).__name__}.")
    return as_schedule("parse", "text", value)


class _Reader:
    """Evaluates a syntax tree of which every node is known to be harmless. All numbers are floats, so that none is huge."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, tree: ast.expr, depth: int = 0) -> Any:
        if depth > DEEPEST:
            raise self.mistake(tree, f"nested more than {DEEPEST} deep")
        match tree:
            case ast.Constant(value=bool() | str() | None as value):
                return value
            case ast.Constant(value=int() | float() as value):
                return self.tried(tree, float, value)
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                values = [self.read(entry, depth + 1) for entry in entries]
                return values if isinstance(tree, ast.List) else tuple(values)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                return self.tried(tree, _OPERATORS[type(op)], self.read(operand, depth + 1))
            case ast.BinOp():
                return self.chain(tree, depth)
            case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf" | "nan" as value)], keywords=[]):
                return float(value)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(value=ast.Name(id="ls" | "lrsched"), attr=name) as function):
                self.check(function, name, "makes no schedule", _names())
                return self.call(tree, _names()[name], depth)
            case ast.Call(func=ast.Attribute(value=owner, attr=name) as function):
                schedule = self.read(owner, depth + 1)
                if not isinstance(schedule, Schedule):
                    raise self.mistake(owner, f"{name} is a method of schedules, and this is none")
                self.check(function, name, "is no method of a schedule", _makers(Schedule))
                return self.call(tree, getattr(schedule, name), depth)
            case ast.Name(id=name):
                raise self.mistake(tree, f"{name} is no number and no call")
        raise self.mistake(tree, "this is no part of a schedule: there are numbers, lists, operators and calls")

    def chain(self, tree: ast.BinOp, depth: int) -> Any:
        """Operators from left to right, in a loop: there may be hundreds of parts."""
        links = [tree]
        while isinstance(links[-1].left, ast.BinOp):
            links.append(links[-1].left)
        if sum(not isinstance(link.op, ast.RShift) for link in links) > DEEPEST:
            raise self.mistake(tree, f"more than {DEEPEST} operators in a row: the schedule would be nested too deeply")
        value = self.read(links[-1].left, depth + 1)
        for link in reversed(links):
            if type(link.op) not in _OPERATORS:
                raise self.mistake(link, "there are the operators + - * / ** >> @")
            value = self.tried(link, _OPERATORS[type(link.op)], value, self.read(link.right, depth + 1))
        return value

    def call(self, tree: ast.Call, function: Callable[..., Any], depth: int) -> Any:
        names = [keyword.arg for keyword in tree.keywords]
        if None in names or len(set(names)) < len(names) or any(isinstance(x, ast.Starred) for x in tree.args):
            raise self.mistake(tree, "write the arguments one by one, each once")
        args = [self.read(argument, depth + 1) for argument in tree.args]
        kwargs = {str(keyword.arg): self.read(keyword.value, depth + 1) for keyword in tree.keywords}
        return self.tried(tree, function, *args, **kwargs)

    def tried(self, tree: ast.expr, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self.mistake(tree, str(error)) from None

    def check(self, tree: ast.expr, name: str, problem: str, names: Collection[str]) -> None:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise self.mistake(tree, f"{name} {problem}" + (f"; did you mean {close[0]}?" if close else ""))

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
