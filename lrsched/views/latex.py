r"""Schedules as mathematics: LaTeX that a notebook, a paper or matplotlib renders.

Each node writes its formula of a time, itself a formula. `Formula` has the operators of arithmetic, so that the code below
reads like the mathematics. A node without a formula is an error, for any other formula would be false.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from lrsched.algebra import numerics, shapes
from lrsched.algebra.combinators import Choice, Delay, Drop, Repeat, Reverse, Staircase, Stretch, Take, Warp
from lrsched.algebra.driven import Driven
from lrsched.algebra.pointwise import Constant, Pointwise
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import Sequence
from lrsched.algebra.written import function_source, shown
from lrsched.clocks import clock as clocks

SUM, PRODUCT, POWER, ATOM = range(4)
_MOST = 3  # entries of a batch that are shown


@dataclasses.dataclass(frozen=True)
class Formula:
    """Some LaTeX, how tightly its outermost operator binds, and the value of a number that is known."""

    text: str
    binds: int = ATOM
    value: float | None = None

    def within(self, at_least: int) -> str:
        """The text, in brackets if it binds less tightly."""
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
        if a.value in (0, 1) or b.value in (0, 1):
            return b if a.value == 1 or b.value == 0 else a
        if a.value is not None and a.value < 0:
            return -(-a * b)
        return Formula(rf"{a.within(PRODUCT)} \cdot {b.within(PRODUCT)}", PRODUCT)

    def __truediv__(self, other: Formula | float) -> Formula:
        b = written(other)
        return self if b.value == 1 else Formula(rf"\frac{{{self.text}}}{{{b.text}}}", PRODUCT)

    def __pow__(self, other: Formula | float) -> Formula:
        b = written(other)
        return self if b.value == 1 else Formula(f"{self.within(ATOM)}^{{{b.text}}}", POWER)

    def __radd__(self, other: float) -> Formula:
        return written(other) + self

    def __rsub__(self, other: float) -> Formula:
        return written(other) - self

    def __rmul__(self, other: float) -> Formula:
        return written(other) * self


Row = tuple[Formula, Formula, Formula]  # a value, while a time is below a bound


@dataclasses.dataclass(frozen=True)
class Cases(Formula):
    """A value for each phase."""

    rows: tuple[Row, ...] = ()
    rest: Formula = Formula("")


def cases(rows: list[Row], rest: Formula) -> Formula:
    """The value of the first row whose time is below its bound, or the rest; what is never reached is left out."""
    kept: list[Row] = []
    for row in rows:
        if row[2].value != 0 and not (kept and row[1:] == kept[-1][1:]):
            kept.append(row)
    lines = [rf"{value.text} & \text{{if }} {time.text} < {bound.text}" for value, time, bound in kept]
    text = r" \\ ".join([*lines, rf"{rest.text} & \text{{otherwise}}"])
    return Cases(rf"\begin{{cases}} {text} \end{{cases}}", SUM, rows=tuple(kept), rest=rest) if kept else rest


def written(value: Any) -> Formula:
    """A number as a formula, which a formula is already."""
    if isinstance(value, Formula):
        return value
    if not numerics.is_concrete(value):
        return Formula(r"\square")
    array = np.asarray(numerics.to_float64(value), np.float64)
    if array.ndim:
        entries = [written(x).text for x in array.ravel()[:_MOST]]
        return Formula(rf"\left\{{{', '.join(entries)}{', …' if array.size > _MOST else ''}\right\}}")
    x = float(array) + 0.0  # -0.0 is 0
    digits, _, exponent = f"{x:.6g}".replace("inf", r"\infty").partition("e")
    if not exponent:
        return Formula(digits, SUM if x < 0 else ATOM, x)
    power = rf"10^{{{int(exponent)}}}"
    text = power if digits == "1" else rf"{digits} \cdot {power}"
    return Formula(text, SUM if x < 0 else POWER if digits == "1" else PRODUCT, x)


PI = Formula(r"\pi")


def called(name: str, *arguments: Formula | float) -> Formula:
    """A function of some arguments."""
    return Formula(rf"{name}\left({', '.join(written(x).text for x in arguments)}\right)")


def _cos(x: Formula) -> Formula:
    return called(r"\cos", x)


def _sqrt(x: Formula) -> Formula:
    return Formula(rf"\sqrt{{{x.text}}}")


def _floor(x: Formula) -> Formula:
    return Formula(rf"\left\lfloor {x.text} \right\rfloor")


def _not_below_0(x: Formula) -> Formula:
    return called(r"\max", x, 0)


def name(text: str) -> str:
    """A name as text, without what LaTeX or HTML would take for its own."""
    return text.replace("_", r"\_").replace("<", "").replace(">", "")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a formula stands: at what time, whether that is known to be before the end, and the symbols written so far."""

    symbols: bool
    time: Formula = Formula("t")
    inside: bool = False
    count: dict[str, int] = dataclasses.field(default_factory=dict)
    where: list[str] = dataclasses.field(default_factory=list)

    def at(self, time: Formula, inside: bool = False) -> Place:
        """The same at another time."""
        return dataclasses.replace(self, time=time, inside=inside)

    def symbol(self, letter: str) -> Formula:
        """The letter with the next index."""
        self.count[letter] = self.count.get(letter, 0) + 1
        return Formula(f"{letter}_{{{self.count[letter]}}}")

    def number(self, value: Any, letter: str) -> Formula:
        """A number, or a symbol for it."""
        return self.symbol(letter) if self.symbols else written(value)

    def defined(self, letter: str, meaning: str) -> Formula:
        """A new symbol, which the end of the formula explains."""
        symbol = self.symbol(letter)
        self.where.append(f"{symbol.text} = {meaning}")
        return symbol

    def until(self, steps: Formula, value: Formula, end: Formula) -> Formula:
        """The value until some step, and its end from there on."""
        return value if self.inside else cases([(value, self.time, steps)], end)


def latex(schedule: Schedule, symbols: bool = False) -> str:
    r"""The value at step t as LaTeX, in mathematics that a reader can follow.

    Args:
        schedule: a schedule, pure or driven; in a batch, a number is shown as the first of its values.
        symbols: whether to write letters for the numbers: a and b for starts and ends, n for numbers of steps, r for rates.

    Returns:
        LaTeX without dollar signs, with the environment `cases` for phases.

    Raises:
        TypeError: if it is no schedule, or holds a node that has no formula.

    >>> import lrsched as ls
    >>> print(ls.latex(ls.Exponential(0.1, 0.5)))
    0.1 \cdot 0.5^{t}
    >>> print(ls.latex(ls.Linear(0.0, 0.1, 100), symbols=True))
    \begin{cases} a + \left(b - a\right) \cdot \frac{t}{n} & \text{if } t < n \\ b & \text{otherwise} \end{cases}
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"latex(schedule=...) must be a schedule, got {shown(schedule)} ({type(schedule).__name__})")
    place = Place(symbols)
    text = r",\quad ".join([formula(schedule, place).text, *place.where])
    ramps = max((place.count.get(letter, 0) for letter in "abn"), default=0)
    for letter, count in place.count.items():
        if (ramps if letter in "abn" else count) == 1:  # needs no index
            text = re.sub(rf"(?<![A-Za-z\\]){letter}_\{{1\}}", letter, text)
    return text


@functools.singledispatch
def formula(schedule: Any, place: Place) -> Formula:
    """The value of a schedule at a place."""
    del place
    raise TypeError(
        f"latex(...): expected a node with a formula, got {shown(schedule)}. Hint: give {type(schedule).__name__} one with"
        " lrsched.views.latex.ramp, or @lrsched.views.latex.formula.register"
    )


def ramp(cls: type[Schedule], way: Callable[..., Formula]) -> None:
    """Gives a ramp its formula: its value on the way from a to b, of which the part p is done, and of further numbers."""

    @formula.register(cls)
    def _(schedule: Any, place: Place) -> Formula:
        letters = {"start": "a", "stop": "b", "steps": "n"}
        names = [field.name for field in dataclasses.fields(schedule)]
        a, b, n, *more = (place.number(getattr(schedule, name), letters.get(name, "k")) for name in names)
        return place.until(n, way(a, b, place.time / n, *more), b)


# From what is left of the start, so that a ramp to 0 is a product; but a line reads best from its start.
ramp(shapes.Linear, lambda a, b, p: a + (b - a) * p)
ramp(shapes.Cosine, lambda a, b, p: b + (a - b) * ((1 + _cos(PI * p)) / 2))
ramp(shapes.Polynomial, lambda a, b, p, k: b + (a - b) * (1 - p) ** k)
ramp(shapes.OneMinusSqrt, lambda a, b, p: b + (a - b) * (1 - _sqrt(p)))
ramp(shapes.Geometric, lambda a, b, p: a * (b / a) ** p)


formula.register(Constant, lambda s, place: place.number(s.value, "c"))
formula.register(shapes.Time, lambda _, place: place.time)
formula.register(shapes.Exponential, lambda s, place: place.number(s.start, "a") * place.number(s.rate, "r") ** place.time)
formula.register(
    shapes.InverseSqrt,
    lambda s, place: place.number(s.start, "a") / _sqrt(1 + place.time / place.number(s.timescale, "n")),
)


@formula.register
def _(schedule: shapes.Piecewise, place: Place) -> Formula:
    if schedule.batch_shape or not numerics.is_concrete(schedule.steps, schedule.values):
        return called(r"\mathrm{Piecewise}", place.time)
    steps = [place.number(x, "n") for x in numerics.to_float64(schedule.steps)]
    values = [place.number(x, "c") for x in numerics.to_float64(schedule.values)]
    rows = [(values[0], place.time, steps[0])]
    for a, b, start, stop in zip(values, values[1:], steps, steps[1:], strict=False):
        value, progress = a, (place.time - start) / (stop - start)
        if schedule.kind == "linear":
            value = a + (b - a) * progress
        elif schedule.kind == "cosine":
            value = a + (b - a) * ((1 - _cos(PI * progress)) / 2)
        rows.append((value, place.time, stop))
    return cases(rows, values[-1])


@formula.register
def _(schedule: shapes.Function, place: Place) -> Formula:
    arguments = (place.number(x, "x") for x in schedule.arguments)
    return called(rf"\mathrm{{{name(function_source(schedule.fn))}}}", place.time, *arguments)


_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "neg": operator.neg}


@formula.register
def _(schedule: Pointwise, place: Place) -> Formula:
    parts = (formula(part, place.at(place.time)) for part in schedule.parts)
    return _OPERATORS.get(schedule.operator, functools.partial(called, rf"\{schedule.operator}"))(*parts)


@formula.register
def _(schedule: Sequence, place: Place) -> Formula:
    rows, begun = [], written(0.0)
    for part in schedule.parts[:-1]:
        if written(part.length).value != 0:
            value = formula(part, place.at(place.time - begun, inside=True))
            begun = begun + _length(part, place)
            rows.append((value, place.time, begun))
    own = place.time - begun
    end = formula(schedule.parts[-1], place.at(own, place.inside))
    if isinstance(end, Cases):  # its cases are cases of the whole
        rows += [(value, place.time, begun + bound) if time == own else (value, time, bound) for value, time, bound in end.rows]
        end = end.rest
    return cases(rows, end)


def _length(part: Schedule, place: Place) -> Formula:
    """The length of a part whose formula is written, by its symbol if it has one."""
    if place.symbols and isinstance(part, (shapes.Ramp, shapes.Geometric)):
        return Formula(f"n_{{{place.count['n']}}}")
    return place.number(part.length, "n") if isinstance(part, Constant) else written(part.length)


def _moved(cls: type[Schedule], time: Callable[[Any, Place], Formula], inside: bool = False) -> None:
    """Gives a node that is a schedule at another time its formula; `inside`: a time before its end is one before that end."""

    @formula.register(cls)
    def _(schedule: Any, place: Place) -> Formula:
        return formula(schedule.schedule, place.at(time(schedule, place), inside and place.inside))


_moved(Drop, lambda s, place: place.time + place.number(s.steps, "n"), inside=True)
_moved(Delay, lambda s, place: _not_below_0(place.time - place.number(s.steps, "n")), inside=True)
_moved(Stretch, lambda s, place: place.time / place.number(s.factor, "m"), inside=True)
_moved(Reverse, lambda s, place: _not_below_0(written(s.schedule.length) - place.time))
_moved(Warp, lambda s, place: _not_below_0(formula(s.time, place.at(place.time))))
_moved(Driven, lambda s, place: place.defined("p", reading(s.clock)))


@formula.register
def _(schedule: Take, place: Place) -> Formula:
    inner = schedule.schedule
    if place.inside:
        ends_with_it = written(inner.length).value == written(schedule.length).value is not None
        return formula(inner, place.at(place.time, ends_with_it))
    return formula(inner, place.at(called(r"\min", place.time, place.number(schedule.steps, "n"))))


@formula.register
def _(schedule: Staircase, place: Place) -> Formula:
    inner, every = schedule.schedule, place.number(schedule.every, "m")
    stair = _floor(place.time / every)
    if isinstance(inner, Stretch) and every.value is not None and every == written(inner.factor):
        return formula(inner.schedule, place.at(stair, place.inside))
    return formula(inner, place.at(every * stair, place.inside))


@formula.register
def _(schedule: Repeat, place: Place) -> Formula:
    steps = written(schedule.schedule.length)
    if schedule.stretch_ is None:
        cycle = _floor(place.time / steps)
        own = Formula(rf"{place.time.within(PRODUCT)} \;\mathrm{{mod}}\; {steps.within(ATOM)}", PRODUCT)
    else:
        longer = place.number(schedule.stretch_, "m")
        passed = rf"\sum_{{j < i}} {(longer ** Formula('j') * steps).text}"
        cycle = place.defined("i", rf"\max\left\{{i : {passed} \leq {place.time.text}\right\}}")
        begun = Formula(passed.replace("j < i", f"j < {cycle.text}"), PRODUCT)
        own = (place.time - begun) / longer**cycle
    value = formula(schedule.schedule, place.at(own, inside=True))
    if schedule.scale is not None:
        value = place.number(schedule.scale, "h") ** cycle * value
    if schedule.n is None:
        return value
    length = written(schedule.length)
    end = Formula(r"\text{its end}") if length.value is None else written(schedule(schedule.length))
    return place.until(length, value, end)


@formula.register
def _(schedule: Choice, place: Place) -> Formula:
    index = written(schedule.index).value
    if index is not None:
        return formula(schedule.branches[round(index)], place)
    *branches, last = (formula(branch, place.at(place.time)) for branch in schedule.branches)
    return cases([(branch, Formula("i"), written(k + 1.0)) for k, branch in enumerate(branches)], last)


def reading(clock: Any) -> str:
    """What a clock reads, in words; its class, if it is one of your own."""
    match clock:
        case clocks.Since():
            return rf"\text{{updates since }} {reading(clock.clock)} \geq 1"
        case clocks.Steps():
            words = "updates"
        case clocks.Plateau():
            words = f"plateaus of {clock.monitor}"
        case clocks.SinceBest():
            words = f"observations since the best {clock.monitor}"
        case clocks.Counter():
            words = f"{clock.monitor} so far"
        case _:
            words = type(clock).__name__
    return rf"\text{{{name(words)}}}"
