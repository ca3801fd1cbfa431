r"""Formulas as values: `Formula` has the arithmetic operators, so that the code that makes LaTeX reads like mathematics.

A node registers its value at a time with `formula`; the time is a formula too. A node that has not registered is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lrsched.algebra import numerics
from lrsched.algebra.node import Node
from lrsched.algebra.powers import power
from lrsched.algebra.written import shown

SUM, PRODUCT, POWER, ATOM = range(4)
Row: TypeAlias = "tuple[Formula, float]"  # a case: a value, and the time at which it ends


@dataclasses.dataclass(frozen=True)
class Formula:
    """LaTeX, how tightly its outermost operator binds, the value if it is known, and the rows of cases."""

    text: str
    binds: int = ATOM
    value: float | None = None
    rows: tuple[Row, ...] = ()  # the cases, for the time `t`
    t: Formula | None = None

    def within(self, at_least: int) -> str:
        """The text, in brackets if it binds less tightly than required."""
        return self.text if self.binds >= at_least else rf"\left({self.text}\right)"

    def __neg__(self) -> Formula:
        return Formula(f"-{self.within(PRODUCT)}", SUM) if self.value is None else written(-self.value)

    def __add__(self, other: Formula | float) -> Formula:
        a, b = self, written(other)
        if a.value is not None and b.value is not None:
            return written(a.value + b.value)
        if a.value == 0 or b.value == 0:
            return b if a.value == 0 else a
        return Formula(f"{a.text} - {b.text[1:]}" if b.text[0] == "-" else f"{a.text} + {b.within(PRODUCT)}", SUM)

    def __sub__(self, other: Formula | float) -> Formula:
        return self + -written(other)

    def __mul__(self, other: Formula | float) -> Formula:
        a, b = self, written(other)
        if a.value is not None and b.value is not None:
            return written(numerics.saturated(a.value * b.value))
        if a.value in (0, 1) or b.value in (0, 1):
            return b if a.value == 1 or b.value == 0 else a
        if a.value is not None and a.value < 0:
            return -(-a * b)
        return Formula(rf"{a.within(PRODUCT)} \cdot {b.within(PRODUCT)}", PRODUCT)

    def __truediv__(self, other: Formula | float) -> Formula:
        a, b = self, written(other)
        if a.value is not None and b.value is not None:
            return written(numerics.saturated(numerics.divide(a.value, b.value)))
        return a if b.value == 1 else Formula(rf"\frac{{{a.text}}}{{{b.text}}}", PRODUCT)

    def __mod__(self, other: Formula) -> Formula:
        return Formula(rf"{self.within(PRODUCT)} \;\mathrm{{mod}}\; {other.within(ATOM)}", PRODUCT)

    def __pow__(self, other: Formula | float) -> Formula:
        a, b = self, written(other)
        if a.value is not None and b.value is not None:
            return written(power(a.value, b.value))
        return a if b.value == 1 else Formula(f"{self.within(ATOM)}^{{{b.text}}}", POWER)

    def __radd__(self, other: float) -> Formula:
        return written(other) + self

    def __rsub__(self, other: float) -> Formula:
        return written(other) - self

    def __rmul__(self, other: float) -> Formula:
        return written(other) * self


Where: TypeAlias = dict[tuple[Node, str], Formula]  # symbols, by node and meaning


@functools.singledispatch
def formula(schedule: Any, t: Formula, where: Where) -> Formula:
    """The value of a schedule at a time; new symbols go into `where`."""
    del t, where
    raise TypeError(
        f"latex(...): expected a node with a formula, got {shown(schedule)}. Hint: give {type(schedule).__name__} one with"
        " lrsched.views.latex.ramp, or @lrsched.views.formula.formula.register."
    )


def written(value: Formula | numerics.Number) -> Formula:
    """A number as a formula; a formula unchanged."""
    if isinstance(value, Formula):
        return value
    x = float(numerics.to_float64(value)) + 0.0  # -0.0 becomes 0
    if math.isnan(x):
        return Formula(r"\text{undefined}", ATOM, x)
    digits, _, exponent = f"{x:.6g}".replace("inf", r"\infty").partition("e")
    if not exponent:
        return Formula(digits, SUM if x < 0 else ATOM, x)
    power = rf"10^{{{int(exponent)}}}"
    text = power if digits == "1" else rf"{digits} \cdot {power}"
    return Formula(text, SUM if x < 0 else POWER if digits == "1" else PRODUCT, x)


def called(name: str, *arguments: Formula | numerics.Number) -> Formula:
    """A function of some arguments."""
    return Formula(rf"{name}\left({', '.join(written(x).text for x in arguments)}\right)")


def chosen(choose: Callable[..., float], *arguments: Formula | float) -> Formula:
    """The least or the largest of some formulas, by `min` or `max`."""
    values = [written(x).value for x in arguments]
    return written(choose(values)) if None not in values else called(rf"\{choose.__name__}", *arguments)


def cases(t: Formula, rows: Sequence[Row]) -> Formula:
    """The value of the first row whose bound is above the time, else of the last; a row equal to the next is left out."""
    *others, (rest, _) = rows
    if t.value is not None:
        return next((value for value, bound in others if t.value < bound), rest)
    begins = itertools.accumulate((bound for _, bound in others), max, initial=0.0)
    others = [row for row, begin in zip(others, begins, strict=False) if row[1] > begin]
    kept = [row for row, (then, _) in itertools.pairwise([*others, (rest, 0.0)]) if row[0].text != then.text]
    lines = [rf"{value.text} & \text{{if }} {t.text} < {written(bound).text}" for value, bound in kept]
    text = r" \\ ".join([*lines, rf"{rest.text} & \text{{otherwise}}"])
    whole = (*kept, (rest, math.inf))
    return Formula(rf"\begin{{cases}} {text} \end{{cases}}", SUM, rows=whole, t=t) if kept else rest


def defined(where: Where, owner: Node, letter: str, meaning: str) -> Formula:
    """A symbol for something in a node; the end of the formula explains it."""
    number = 1 + sum(symbol.text.startswith(letter) for symbol in where.values())
    return where.setdefault((owner, meaning), Formula(letter if number == 1 else f"{letter}_{{{number}}}"))


def as_text(text: str) -> str:
    """A name as text, escaped for LaTeX and HTML."""
    return text.replace("_", r"\_").replace("<", "").replace(">", "")
