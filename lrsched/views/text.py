"""Schedules as text: `repr(s)` is an expression that evaluates back to an equal schedule, with the operators as written."""

import dataclasses
from typing import Any

import jax

from lrsched.algebra.combinators import Warp
from lrsched.algebra.pointwise import Constant, Pointwise, as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.sequence import Sequence, operands
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import arguments_source, function_source, number_source, source

# How tightly Python binds the operators, from >> with 0 up to 5 for a call or a method.
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4, "min": 5, "max": 5}


def expanded(schedule: ScheduleLike) -> Schedule:
    """The schedule without recipes and dialects: it has the same values, and prints as its nodes.

    It equals the original, except that classes of the PyTorch dialect are replaced.

    Args:
        schedule: a schedule, pure or driven, single or a batch; a number, or a function of the step.

    Raises:
        TypeError: if it is not a schedule.

    >>> import lrsched as ls
    >>> print(ls.warmup_cosine(0.1, 10, 100))
    warmup_cosine(0.1, 10, 100)
    >>> print(ls.expanded(ls.warmup_cosine(0.1, 10, 100)))
    Linear(0.0, 0.1, 10) >> Cosine(0.1, 0.0, 90)
    >>> print(ls.expanded(ls.parse("torch.ExponentialLR(0.1, 0.9)")))
    Exponential(0.1, 0.9)
    """
    made = as_schedule("expanded", "schedule", schedule)
    return jax.tree.map(_composed, made, is_leaf=lambda x: hasattr(x, "composed"))  # rebuilding the tree drops the recipes


def _composed(x: Any) -> Any:
    made = getattr(x, "composed", x)
    return x if made is x else expanded(made)


def _operand(schedule: Schedule, at_least: int) -> str:
    """The text of an operand, in brackets if it binds less tightly than the operator."""
    binds = 0 if isinstance(schedule, Sequence) else 2 if isinstance(schedule, Warp) else 5
    binds = _BINDING[schedule.operator] if isinstance(schedule, Pointwise) else binds
    return repr(schedule) if schedule._recipe or binds >= at_least else f"({schedule!r})"


def _is_number(schedule: Schedule) -> bool:
    """Whether it was a plain number next to an operator."""
    return isinstance(schedule, Constant) and isinstance(schedule.value, float) and bool(schedule.steps == 0.0)


def _argument(schedule: Any) -> str:
    """The text of an argument that may be a number."""
    return number_source(schedule.value) if _is_number(schedule) else repr(schedule)


@source.register
def _(schedule: Pointwise) -> str:
    parts, operator = schedule.parts, schedule.operator
    if operator in ("min", "max"):
        first, second = parts
        if operator == "min" and isinstance(first, Pointwise) and first.operator == "max":
            return _method(first.parts[0], "clip", f"{_argument(first.parts[1])}, {_argument(second)}")
        return f"{operator}imum({_argument(first)}, {_argument(second)})"
    if operator == "neg":
        return f"-{_operand(parts[0], 3)}"
    # With plain numbers on both sides of an operator, Python would compute a number.
    bare = [_is_number(part) for part in parts]
    binds = (5, 3) if operator == "**" else (_BINDING[operator], _BINDING[operator] + 1)
    left, right = (_argument(part) if bare[i] and not bare[1 - i] else _operand(part, binds[i]) for i, part in enumerate(parts))
    if operator == "**" and left[0] == "-":
        left = f"({left})"
    return f"{left} {operator} {right}"


@source.register
def _(schedule: Sequence) -> str:
    return " >> ".join(_operand(part, 1) for part in operands(schedule))


@source.register
def _(schedule: Warp) -> str:
    return f"{_operand(schedule.schedule, 2)} @ {_operand(schedule.time, 3)}"


def _method(schedule: Schedule, name: str, arguments: str) -> str:
    return f"{_operand(schedule, 5)}.{name}({arguments})"


@source.register
def _(schedule: Schedule) -> str:
    """A call of the method that made the node from its first field, or else of its class."""
    if not schedule._call:
        return source.dispatch(object)(schedule)
    first, *others = dataclasses.fields(schedule)  # pyright: ignore[reportArgumentType]
    return _method(getattr(schedule, first.name), schedule._call, arguments_source(schedule, others, by_name=True))


@source.register
def _(schedule: Function) -> str:
    return f"Function({', '.join([function_source(schedule.fn), *map(number_source, schedule.arguments)])})"
