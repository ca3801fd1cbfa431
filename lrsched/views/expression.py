"""Schedules from text: expressions like those of `repr`, read without running code."""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from lrsched.algebra import foreign
from lrsched.algebra.batch import stack
from lrsched.algebra.pointwise import as_schedule, maximum, minimum
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import join
from lrsched.algebra.written import NAMES, unexpected
from lrsched.views.names import METHODS, foreign_names, named

_MOST = 2000  # calls and operators: more than anyone writes, and still read in seconds
_LEVELS = 150  # of nodes: deeper ones exceed Python's recursion limit when called or printed
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.RShift: operator.rshift,
    ast.MatMult: operator.matmul,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_NAME = re.compile(r"([^\W\d]\w*\.)*[^\W\d]\w*")  # a name, including the modules before it
_LEFT_OUT = {"ls", "lrsched", "dialects", "torch", "optim", "lr_scheduler", "tf"}  # modules that may stand before a name


def _of(function: Callable[..., Any], number: Any) -> float:
    """`float`, `int` or `round` of a number, which may be a text, such as "inf"."""
    return float(function(float(number)))


_FUNCTIONS: dict[str, Callable[..., Any]] = {function.__name__: function for function in (join, maximum, minimum, stack)}
_FUNCTIONS |= {name.__name__: foreign.explained(functools.partial(_of, name), name.__name__) for name in (float, int, round)}


def parse(text: str) -> Schedule:
    """The schedule that an expression describes, in the form of `repr`: `parse(repr(s)) == s`.

    The text is not executed. It may contain numbers, strings, lists, dicts, operators, `round` and `int`, the names of shapes,
    clocks and recipes, with or without `ls.`, functions of dialects such as `optax.linear_schedule`, and methods of schedules.
    A number alone is a constant.

    Args:
        text: the expression, with at most 2,000 calls and operators in at most 150 levels.

    Raises:
        TypeError: if it is not a string.
        ValueError: if it is not such an expression, with the place of the mistake. Your own functions cannot be read.

    >>> import lrsched as ls
    >>> ls.parse("Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)")
    Linear(0.0, 0.001, 100) >> Cosine(0.001, 0.0, 900)
    """
    if not isinstance(text, str):
        hint = "Constant(x) is a constant, Function(f) a schedule of your function f"
        raise TypeError(unexpected("parse", "text", text, "a string", hint))
    text = re.sub(r"\r\n?", "\n", text).strip()  # like Python's own parser
    if not text:
        raise ValueError("parse(text=''): expected an expression. Hint: such as 'Linear(0, 1e-3, 100)'.")
    try:
        tree = ast.parse(text, mode="eval").body
        if (count := sum(isinstance(one, (ast.Call, ast.BinOp)) for one in ast.walk(tree))) > _MOST:
            raise ValueError(f"parse(text=...): expected at most {_MOST:,} calls and operators, got {count:,}.")
        value = _Reader(text).read(tree)
    except SyntaxError as error:
        raise _mistake(text, error.msg, error.lineno or 1, (error.offset or 1) - 1) from None
    except (RecursionError, MemoryError):
        raise ValueError("parse(text=...): expected fewer levels of brackets and operators.") from None
    if not isinstance(value, (Schedule, float)):
        hint = " Hint: it gives a schedule and more; print the schedule, and write that." * isinstance(value, tuple)
        hint = " Hint: from_dict(json.loads(text)) reads JSON." if isinstance(value, dict) else hint
        kind = type(value).__name__
        raise ValueError(f"parse(text=...): expected the expression of a schedule, got one of type {kind}.{hint}")
    level, levels = [schedule := as_schedule("parse", "text", value)], 0
    while level:
        level, levels = [node for one in level for node in one._nodes()], levels + 1
    if levels > _LEVELS:
        raise ValueError(f"parse(text=...): expected at most {_LEVELS} levels of operators, got {levels}.")
    return schedule


class _Reader:
    """Evaluates the harmless nodes of a syntax tree, and refuses all others. Numbers are floats, so none is huge."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, tree: ast.expr) -> Any:
        match tree:
            case ast.Constant(value=bool() | str() | None as value):
                return value
            case ast.Constant(value=int() | float() as value):
                return self.tried(tree, float, value)
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                values = [self.read(entry) for entry in entries]
                return values if isinstance(tree, ast.List) else tuple(values)
            case ast.Dict(keys=keys, values=entries) if all(keys):
                pairs = [(self.read(key), self.read(entry)) for key, entry in zip(keys, entries, strict=True) if key]
                return self.tried(tree, dict, pairs)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                return self.tried(tree, _OPERATORS[type(op)], self.read(operand))
            case ast.BinOp():
                links = [tree]  # a loop, since a sequence may have hundreds of parts
                while isinstance(links[-1].left, ast.BinOp):
                    links.append(links[-1].left)
                value = self.read(links[-1].left)
                for link in reversed(links):
                    if type(link.op) not in _OPERATORS:
                        raise self.mistake(link, "expected one of the operators + - * / // ** >> @")
                    value = self.tried(link, _OPERATORS[type(link.op)], value, self.read(link.right))
                return value
            case ast.Call(func=function) if _NAME.fullmatch(dotted := ast.unparse(function)):
                *modules, name = dotted.split(".")
                name = ".".join([*[one for one in modules if one not in _LEFT_OUT][:1], name])
                maker = _FUNCTIONS.get(name) or named(name)
                if maker is None:
                    raise self.unknown(function, "name", name, {**_FUNCTIONS, **NAMES}, foreign_names() | METHODS)
                return self.call(tree, maker)
            case ast.Call(func=ast.Attribute(value=owner, attr=name) as function):
                schedule = self.read(owner)
                if not isinstance(schedule, Schedule):
                    raise self.mistake(owner, f"{name} is a method of schedules, and this is not a schedule")
                if name not in METHODS:
                    raise self.unknown(function, "method", name, METHODS, foreign.NAMES)
                return self.call(tree, getattr(schedule, name))
            case ast.Name(id=name):
                hint = "functions and variables of your own are not read"
                hint = f'float("{name}")' if name in ("inf", "nan") else f"{name}(...)" if named(name) else hint
                raise self.mistake(tree, f"expected a number or a call, got the name {name}. Hint: {hint}")
        raise self.mistake(tree, "expected numbers, strings, lists, dicts, operators and calls, got other Python code")

    def call(self, tree: ast.Call, function: Callable[..., Any]) -> Any:
        names = [keyword.arg for keyword in tree.keywords]
        if None in names or len(set(names)) < len(names) or any(isinstance(x, ast.Starred) for x in tree.args):
            raise self.mistake(tree, "write the arguments one by one, each once")
        args = [self.read(argument) for argument in tree.args]
        return self.tried(tree, function, *args, **{str(one.arg): self.read(one.value) for one in tree.keywords})

    def tried(self, tree: ast.expr, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except OverflowError:
            raise self.mistake(tree, "expected a number that a float can hold, got a larger one") from None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self.mistake(tree, str(error)) from None

    def unknown(self, tree: ast.expr, kind: str, name: str, names: Collection[str], texts: Mapping[str, str]) -> ValueError:
        hint = foreign.meant(name, names, texts) or METHODS.get(foreign.meant(name, METHODS, {}), "")
        more = f"; did you mean {hint}?" if hint in names else f". Hint: {hint}." if hint else ""
        return self.mistake(tree, f"unknown {kind} {name}{more}")

    def mistake(self, tree: ast.expr, problem: str) -> ValueError:
        line = self.text.split("\n")[tree.lineno - 1].encode()[: tree.col_offset]  # offsets count bytes
        segment = ast.get_source_segment(self.text, tree) or ""
        return _mistake(self.text, problem, tree.lineno, len(line.decode()), len(segment.split("\n")[0]))


def _mistake(text: str, problem: str, lineno: int, begin: int, width: int = 1) -> ValueError:
    """An error that shows the line, with marks under the mistake."""
    problem = problem if len(problem) <= 200 else f"{problem[:197]}..."
    line = text.split("\n")[min(lineno - 1, text.count("\n"))]
    first = max(0, min(begin, len(line)) - 60)
    more = "..." if first else ""
    place = " " * (len(more) + min(begin, len(line)) - first) + "^" * max(1, min(width, 60))
    return ValueError(f"{problem}\n    {more}{line[first : first + 120]}\n    {place}")
