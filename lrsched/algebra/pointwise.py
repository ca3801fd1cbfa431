"""Operators on the values of schedules, and the schedules that numbers and functions turn into."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import Node, checked, child, choice, leaf, node, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.powers import power
from lrsched.algebra.schedule import Condition, Real, Schedule, ScheduleLike, Spans
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import shown, unexpected

_STATEFUL = "state is in clocks: lrsched.dialects.optax.from_optax(x) translates a stateful schedule of optax"
_OPTIMIZER = "an optimizer takes a schedule, as in optax.adamw(schedule); optax.chain(a, b) is for transforms"
_BATCH = "join(schedules, boundaries) makes one of several; grid gives a pair, batch, points = grid(...)"
_CLOCK = "a clock drives a schedule: schedule.on(clock), or schedule * reduce_on_plateau()"


def is_stateful(x: Any) -> bool:
    """Whether it is an optax schedule with a state: a function of the state, not of the step."""
    return hasattr(x, "init") and hasattr(x, "update")


def as_schedule(call: str, name: str, x: ScheduleLike | None, steps: Number = math.inf) -> Schedule:
    """An argument as a schedule: a number as a `Constant`, a function as a `Function`; or an error that names it."""
    if isinstance(x, Schedule):
        return x
    if numerics.is_number(x):
        return Constant(checked(call, name, x), steps)
    if callable(x) and not isinstance(x, type) and not is_stateful(x):
        return Function(x)
    hint = (_STATEFUL if callable(x) else _OPTIMIZER) * is_stateful(x)
    hint = _BATCH if isinstance(x, tuple) and x and isinstance(x[0], Schedule) else hint
    hint = _CLOCK if isinstance(x, Node) else "parse(text) reads an expression" if isinstance(x, str) else hint
    raise TypeError(unexpected(call, name, x, "a schedule, a number or a function of the step", hint))


def operated(operator: str, *operands: Any) -> Schedule:
    """An operator on two operands; `NotImplemented` if one of them is nothing that could be a schedule."""
    if not all(isinstance(x, Node) or callable(x) or numerics.is_number(x) for x in operands):
        return NotImplemented
    # Beside an operator on values, a number adds nothing to the length.
    a, b = (as_schedule(operator, "operand", x, math.inf if operator in (">>", "@") else 0.0) for x in operands)
    return a.then(b) if operator == ">>" else a.warp(b) if operator == "@" else Pointwise(operator, (a, b))


@explained
def minimum(a: ScheduleLike, b: ScheduleLike) -> Schedule:
    """The lower of two schedules at every step: `t ↦ min(a(t), b(t))`, as long as the longer of the two.

    Args:
        a, b: schedules, numbers or functions of the step.

    >>> import lrsched as ls
    >>> print(ls.minimum(ls.Linear(0.0, 1.0, 10), 0.25)(8))
    0.25
    """
    return Pointwise("min", (as_schedule("minimum", "a", a, 0.0), as_schedule("minimum", "b", b, 0.0)))


@explained
def maximum(a: ScheduleLike, b: ScheduleLike) -> Schedule:
    """The higher of two schedules at every step: `t ↦ max(a(t), b(t))`, with `a`, `b` and the length as in `minimum`.

    >>> import lrsched as ls
    >>> print(ls.maximum(ls.Linear(1.0, 0.0, 10), 0.25)(8))
    0.25
    """
    return Pointwise("max", (as_schedule("maximum", "a", a, 0.0), as_schedule("maximum", "b", b, 0.0)))


@node
class Constant(Schedule):
    """One value, for ever or for a length: `t ↦ value`.

    `Constant(value, 0)` is the unit of `>>`; in `s + 0.1` the number stands for `Constant(0.1, 0)`.

    Args:
        value: the value.
        steps: its length in steps, >= 0; for ever if not given.

    >>> import lrsched as ls
    >>> print((ls.Constant(0.1, 100) >> ls.Linear(0.1, 0.0, 100))([99, 150]))
    [0.1  0.05]
    """

    value: Number = leaf()
    steps: Number = leaf(ge=0, infinite=True, unit="steps", default=math.inf)

    def at(self, t: Real) -> Real:
        del t
        return self.value

    @property
    def length(self) -> Real:
        return self.steps


OPERATORS: dict[str, Callable[..., Real]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": numerics.divide,
    "**": power,
    "neg": operator.neg,
    "min": numerics.minimum,
    "max": numerics.maximum,
}


def _has_no_power(base: Real, exponent: Real) -> Condition:
    return ((base < 0) & (exponent != np.floor(exponent))) | ((base == 0) & (exponent < 0))


@node
class Pointwise(Schedule):
    """An operator on the values of its parts: `t ↦ a(t) ∘ b(t)`, as long as the longest part."""

    operator: str = choice(*OPERATORS)
    parts: tuple[Schedule, ...] = child()

    def _check(self) -> None:
        if len(self.parts) != (1 if self.operator == "neg" else 2):
            raise TypeError(unexpected("Pointwise", "parts", self.parts, "one part for 'neg', two for any other operator"))
        divisor = self.parts[-1]
        if self.operator == "/" and isinstance(divisor, Constant) and surely(np.logical_not, divisor.value):
            raise ValueError(f"{shown(self.parts[0])} / {shown(divisor.value)}: expected a divisor other than 0.")
        known = [part.value for part in self.parts if isinstance(part, Constant)]
        if self.operator == "**" and len(known) == 2 and surely(_has_no_power, *known):
            raise ValueError(f"({shown(known[0])}) ** {shown(known[1])}: expected a base > 0, or a whole exponent >= 0.")

    def at(self, t: Real) -> Real:
        value = OPERATORS[self.operator](*(part.at(t) for part in self.parts))
        return value if self.operator in ("neg", "min", "max") else numerics.saturated(value)

    @property
    def length(self) -> Real:
        return functools.reduce(numerics.maximum, (part.length for part in self.parts))

    def spans(self, t: Real) -> Spans:
        for part in self.parts:
            yield part, t, True


def clipped(schedule: Schedule, low: ScheduleLike | None, high: ScheduleLike | None) -> Schedule:
    given = (("max", "low", low), ("min", "high", high))
    bounds = [(op, as_schedule("clip", name, bound, 0.0)) for op, name, bound in given if bound is not None]
    values = [bound.value for _, bound in bounds if isinstance(bound, Constant)]
    if len(values) == 2 and surely(np.greater, *values):
        raise ValueError(f"clip(low={values[0]!r}, high={values[1]!r}): expected low <= high. Hint: swap the two.")
    return functools.reduce(lambda s, bound: Pointwise(bound[0], (s, bound[1])), bounds, schedule)
