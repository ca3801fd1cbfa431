"""Schedules as text: `repr(s)` is an expression that evaluates back to an equal schedule, with the operators as written."""

from lrsched.algebra.schedule import (
    Constant,
    Delay,
    Driven,
    Drop,
    Pointwise,
    Repeat,
    Reverse,
    Schedule,
    Sequence,
    Staircase,
    Stretch,
    Take,
    Warp,
)
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import function_source, number_source, source

# How tightly Python binds the operators, from >> with 0 up to 4 for a call or a method.
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "min": 4, "max": 4}


def _binding(schedule: Schedule) -> int:
    if isinstance(schedule, Pointwise):
        return _BINDING[schedule.operator]
    return 0 if isinstance(schedule, Sequence) else 2 if isinstance(schedule, Warp) else 4


def _operand(schedule: Schedule, at_least: int) -> str:
    text = repr(schedule)
    return text if _binding(schedule) >= at_least else f"({text})"


def _argument(schedule: Schedule) -> str:
    """What a call that lifts numbers is given."""
    if isinstance(schedule, Constant) and isinstance(schedule.value, float) and schedule.steps == 0.0:
        return number_source(schedule.value)
    return repr(schedule)


@source.register
def _(schedule: Pointwise) -> str:
    parts, operator = schedule.parts, schedule.operator
    if operator in ("min", "max"):
        first, second = parts
        if operator == "min" and isinstance(first, Pointwise) and first.operator == "max":
            return _method(first.parts[0], "clip", _argument(first.parts[1]), _argument(second))
        return f"{operator}imum({_argument(first)}, {_argument(second)})"
    if operator == "neg":
        return f"-{_operand(parts[0], 3)}"
    # A bare number beside an operator needs a schedule on the other side, or Python would do the sum itself.
    bare = [isinstance(p, Constant) and isinstance(p.value, float) and p.steps == 0.0 for p in parts]
    level = _BINDING[operator]
    left, right = (
        number_source(part.value) if bare[i] and not bare[1 - i] and isinstance(part, Constant) else _operand(part, level + i)
        for i, part in enumerate(parts)
    )
    return f"{left} {operator} {right}"


@source.register
def _(schedule: Sequence) -> str:
    return " >> ".join(_operand(part, 1) for part in schedule.parts)


@source.register
def _(schedule: Warp) -> str:
    return f"{_operand(schedule.schedule, 2)} @ {_operand(schedule.time, 3)}"


def _method(schedule: Schedule, name: str, *arguments: str) -> str:
    return f"{_operand(schedule, 4)}.{name}({', '.join(arguments)})"


def _called(schedule: Take | Drop | Delay | Stretch | Staircase | Reverse) -> str:
    arguments = (number_source(getattr(schedule, field.name), amount=True) for field, _ in schedule._numbers)
    return _method(schedule.schedule, schedule._call, *arguments)


for _node in (Take, Drop, Delay, Stretch, Staircase, Reverse):
    source.register(_node, _called)


@source.register
def _(schedule: Repeat) -> str:
    arguments = [] if schedule.n is None else [number_source(schedule.n, amount=True)]
    for name, value in (("stretch", schedule.stretch_), ("scale", schedule.scale)):
        if value is not None:
            arguments.append(f"{name}={number_source(value)}")
    return _method(schedule.schedule, "repeat", *arguments)


@source.register
def _(schedule: Function) -> str:
    return f"Function({', '.join([function_source(schedule.fn), *map(number_source, schedule.arguments)])})"


@source.register
def _(schedule: Driven) -> str:
    return _method(schedule.schedule, "on", repr(schedule.clock))
