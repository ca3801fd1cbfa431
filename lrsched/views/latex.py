r"""Schedules as mathematics: LaTeX that a notebook, a paper or matplotlib renders.

Each node writes its formula of a time, itself a formula. A formula goes with how tightly its outermost operator binds, so that
brackets are put only where they are needed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from typing import Any, NamedTuple

import numpy as np

from lrsched.algebra import numerics, shapes
from lrsched.algebra import schedule as algebra
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import function_source, shown
from lrsched.clocks import clock as clocks

SUM, PRODUCT, POWER, ATOM = range(4)
_MOST = 3  # entries of a batch that are shown


class Formula(NamedTuple):
    """Some LaTeX, and how tightly what is outermost in it binds."""

    text: str
    binds: int = ATOM

    def within(self, at_least: int) -> str:
        """The text, in brackets if it binds less tightly."""
        return self.text if self.binds >= at_least else rf"\left({self.text}\right)"


STEP = Formula("t")
ZERO, ONE = Formula("0"), Formula("1")


@dataclasses.dataclass
class Writer:
    """How numbers are written, and what the formula refers to."""

    symbols: bool
    count: dict[str, int] = dataclasses.field(default_factory=dict)
    where: list[str] = dataclasses.field(default_factory=list)

    def number(self, value: Any, letter: str) -> Formula:
        """A number, or a symbol of a letter with the next index."""
        if not self.symbols:
            return _number(value)
        self.count[letter] = self.count.get(letter, 0) + 1
        return Formula(f"{letter}_{{{self.count[letter]}}}")

    def defined(self, letter: str, meaning: str) -> Formula:
        """A new symbol, which the end of the formula explains."""
        self.count[letter] = self.count.get(letter, 0) + 1
        name = f"{letter}_{{{self.count[letter]}}}"
        self.where.append(f"{name} = {meaning}")
        return Formula(name)


def latex(schedule: Schedule, symbols: bool = False) -> str:
    r"""The value at step t as LaTeX, in mathematics that a reader can follow.

    Args:
        schedule: a schedule, pure or driven; in a batch, a number is shown as the first of its values.
        symbols: whether to write letters for the numbers: a and b for starts and ends, n for numbers of steps, r for rates.

    Returns:
        LaTeX without dollar signs, with the environment `cases` for phases.

    Raises:
        TypeError: if it is no schedule.

    >>> import lrsched as ls
    >>> print(ls.latex(ls.Exponential(0.1, 0.5)))
    0.1 \cdot 0.5^{t}
    >>> print(ls.latex(ls.Linear(0.0, 0.1, 100), symbols=True))
    \begin{cases} a + \left(b - a\right) \cdot \frac{t}{n} & \text{if } t < n \\ b & \text{otherwise} \end{cases}
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"latex(schedule=...) must be a schedule, got {shown(schedule)} ({type(schedule).__name__})")
    writer = Writer(symbols)
    text = r",\quad ".join([formula(schedule, writer, STEP, False).text, *writer.where])
    ramps = max((writer.count.get(letter, 0) for letter in "abn"), default=0)
    for letter, count in writer.count.items():
        if (ramps if letter in "abn" else count) == 1:  # needs no index
            text = re.sub(rf"(?<![A-Za-z\\]){re.escape(letter)}_\{{1\}}", lambda _, letter=letter: letter, text)
    return text


@functools.singledispatch
def formula(schedule: Any, writer: Writer, time: Formula, inside: bool) -> Formula:
    """The value of a schedule at a time; `inside` says that the time is known to be before its end."""
    del writer, inside
    return Formula(rf"\mathrm{{{_name(type(schedule).__name__)}}}\left({time.text}\right)")


def _name(text: str) -> str:
    return text.replace("_", r"\_").replace("<", "").replace(">", "")


def _number(value: Any) -> Formula:
    if isinstance(value, numerics.Span):
        value = numerics.host(value)
    if not numerics.is_concrete(value):
        return Formula(r"\square")
    array = np.asarray(value, np.float64)
    if array.ndim:
        entries = [_number(x).text for x in array.ravel()[:_MOST]]
        return Formula(rf"\left\{{{', '.join(entries)}{', …' if array.size > _MOST else ''}\right\}}")
    x = float(array)
    if math.isinf(x):
        return Formula(r"\infty" if x > 0 else r"-\infty", ATOM if x > 0 else SUM)
    digits, _, exponent = f"{x:.6g}".partition("e")
    if not exponent:
        return Formula(digits, SUM if x < 0 else ATOM)
    power = rf"10^{{{int(exponent)}}}"
    text = power if digits == "1" else rf"{digits} \cdot {power}"
    return Formula(text, SUM if x < 0 else POWER if digits == "1" else PRODUCT)


def plus(a: Formula, b: Formula) -> Formula:
    if ZERO in (a, b):
        return b if a == ZERO else a
    return Formula(f"{a.within(SUM)} - {b.text[1:]}" if b.text.startswith("-") else f"{a.within(SUM)} + {b.within(SUM)}", SUM)


def _difference(a: Formula, b: Formula) -> Formula:
    if b == ZERO:
        return a
    return Formula(f"{'' if a == ZERO else a.within(SUM) + ' '}-{'' if a == ZERO else ' '}{b.within(PRODUCT)}", SUM)


def times(a: Formula, b: Formula) -> Formula:
    if ONE in (a, b):
        return b if a == ONE else a
    return ZERO if ZERO in (a, b) else Formula(rf"{a.within(PRODUCT)} \cdot {b.within(PRODUCT)}", PRODUCT)


def _fraction(a: Formula, b: Formula) -> Formula:
    return a if b == ONE else Formula(rf"\frac{{{a.text}}}{{{b.text}}}", PRODUCT)


def _power(a: Formula, b: Formula) -> Formula:
    return a if b == ONE else Formula(f"{a.within(ATOM)}^{{{b.text}}}", POWER)


def _called(name: str, *arguments: Formula) -> Formula:
    return Formula(rf"\{name}\left({', '.join(x.text for x in arguments)}\right)")


def _floor(x: Formula) -> Formula:
    return Formula(rf"\left\lfloor {x.text} \right\rfloor")


def _cases(rows: list[tuple[Formula, str]], otherwise: Formula) -> Formula:
    if not rows:
        return otherwise
    lines = [rf"{value.text} & \text{{if }} {when}" for value, when in rows] + [rf"{otherwise.text} & \text{{otherwise}}"]
    return _environment(lines)


def _environment(lines: list[str]) -> Formula:
    return Formula(r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}", SUM)


def _known(value: Any) -> float | None:
    """A number if it is a single one that is known."""
    if not numerics.is_concrete(value):
        return None
    value = np.asarray(numerics.host(value), np.float64)
    return float(value) if value.ndim == 0 else None


def _ended(value: Any, end: Formula, steps: Formula, time: Formula, inside: bool) -> Formula:
    """The value until its end, and from then on the end."""
    return value if inside else _cases([(value, f"{time.text} < {steps.text}")], end)


@formula.register
def _(schedule: algebra.Constant, writer: Writer, time: Formula, inside: bool) -> Formula:
    del time, inside
    return writer.number(schedule.value, "c")


@formula.register
def _(schedule: shapes.Ramp, writer: Writer, time: Formula, inside: bool) -> Formula:
    steps = writer.number(schedule.steps, "n")
    a, b = writer.number(schedule.start, "a"), writer.number(schedule.stop, "b")
    if _known(schedule.steps) == 0 and not writer.symbols:
        return b
    progress = _fraction(time, steps)
    # The part of the start that is left, so that a ramp to 0 is a product.
    match schedule:
        case shapes.Cosine():
            left = _fraction(plus(ONE, Formula(rf"\cos\left(\pi \cdot {progress.text}\right)")), Formula("2"))
        case shapes.Polynomial():
            left = _power(_difference(ONE, progress), writer.number(schedule.power, "k"))
        case shapes.OneMinusSqrt():
            left = _difference(ONE, Formula(rf"\sqrt{{{progress.text}}}"))
        case _:
            left = None
    if left is None:  # a line reads best from its start
        value = _towards(schedule.start, schedule.stop, a, b, progress, writer)
    else:
        value = _towards(schedule.stop, schedule.start, b, a, left, writer)
    return _ended(value, b, steps, time, inside)


def _towards(start: Any, stop: Any, a: Formula, b: Formula, progress: Formula, writer: Writer) -> Formula:
    """`a + (b - a) · progress`, with the difference as a number where it is known."""
    known = (_known(start), _known(stop))
    if writer.symbols or known[0] is None or known[1] is None:
        return plus(a, times(_difference(b, a), progress))
    rise = known[1] - known[0]
    part = times(_number(abs(rise)), progress)
    return _difference(a, part) if rise < 0 else plus(a, part)


@formula.register
def _(schedule: shapes.Geometric, writer: Writer, time: Formula, inside: bool) -> Formula:
    a, b = writer.number(schedule.start, "a"), writer.number(schedule.stop, "b")
    steps = writer.number(schedule.steps, "n")
    if _known(schedule.steps) == 0 and not writer.symbols:
        return b
    return _ended(times(a, _power(_fraction(b, a), _fraction(time, steps))), b, steps, time, inside)


@formula.register
def _(schedule: shapes.Exponential, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    start, rate = writer.number(schedule.start, "a"), writer.number(schedule.rate, "r")
    return times(start, Formula(f"{rate.within(ATOM)}^{{{time.text}}}", POWER))


@formula.register
def _(schedule: shapes.InverseSqrt, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    start, timescale = writer.number(schedule.start, "a"), writer.number(schedule.timescale, "n")
    return _fraction(start, Formula(rf"\sqrt{{{plus(ONE, _fraction(time, timescale)).text}}}"))


@formula.register
def _(schedule: shapes.Piecewise, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    if schedule.batch_shape or not numerics.is_concrete(schedule.steps, schedule.values):
        return Formula(rf"\mathrm{{Piecewise}}\left({time.text}\right)")
    steps = [writer.number(x, "n") for x in np.asarray(schedule.steps)]
    values = [writer.number(x, "c") for x in np.asarray(schedule.values)]
    rows = [(values[0], f"{time.text} < {steps[0].text}")] if _known(schedule.steps[0]) != 0 or writer.symbols else []
    for i in range(len(steps) - 1):
        value, start, stop = values[i], schedule.steps[i], schedule.steps[i + 1]
        if start == stop:
            continue
        if schedule.kind != "constant":
            length = _difference(steps[i + 1], steps[i]) if writer.symbols else _number(stop - start)
            progress = _fraction(_difference(time, steps[i]), length)
            if schedule.kind == "cosine":
                progress = _fraction(_difference(ONE, Formula(rf"\cos\left(\pi \cdot {progress.text}\right)")), Formula("2"))
            value = _towards(schedule.values[i], schedule.values[i + 1], value, values[i + 1], progress, writer)
        rows.append((value, f"{time.text} < {steps[i + 1].text}"))
    return _cases(rows, values[-1])


@formula.register
def _(schedule: shapes.Time, writer: Writer, time: Formula, inside: bool) -> Formula:
    del schedule, writer, inside
    return time


@formula.register
def _(schedule: shapes.Function, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    arguments = [time, *(writer.number(x, "x") for x in schedule.arguments)]
    name = rf"\mathrm{{{_name(function_source(schedule.fn))}}}"
    return Formula(rf"{name}\left({', '.join(x.text for x in arguments)}\right)")


@formula.register
def _(schedule: algebra.Pointwise, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    parts = [formula(part, writer, time, False) for part in schedule.parts]
    match schedule.operator:
        case "+":
            return Formula(f"{parts[0].text} + {parts[1].within(PRODUCT)}", SUM)
        case "-":
            return Formula(f"{parts[0].text} - {parts[1].within(PRODUCT)}", SUM)
        case "*":
            return Formula(rf"{parts[0].within(PRODUCT)} \cdot {parts[1].within(PRODUCT)}", PRODUCT)
        case "/":
            return Formula(rf"\frac{{{parts[0].text}}}{{{parts[1].text}}}", PRODUCT)
        case "neg":
            return Formula(f"-{parts[0].within(PRODUCT)}", SUM)
    return _called(schedule.operator, *parts)


@formula.register
def _(schedule: algebra.Sequence, writer: Writer, time: Formula, inside: bool) -> Formula:
    rows: list[tuple[Formula, str]] = []
    begun, begin = ZERO, 0.0  # where the part begins: as it is written, and where all is known as a number
    for part in schedule.parts[:-1]:
        own = time if begun == ZERO else _difference(time, begun)
        length = _length(part, writer)
        if length == ZERO:
            continue
        value = formula(part, writer, own, True)
        known = _known(part.length)
        begin += math.nan if known is None else known
        begun = plus(begun, length) if writer.symbols or math.isnan(begin) else _number(begin)
        rows.append((value, f"{time.text} < {begun.text}"))
    last = schedule.parts[-1]
    own = time if begun == ZERO else _difference(time, begun)
    end = formula(last, writer, own, inside)
    # The phases of the last part are phases of the whole.
    if end.text.startswith(r"\begin{cases}") and end.text.count(r"\begin{cases}") == 1:
        body = end.text.removeprefix(r"\begin{cases} ").removesuffix(r" \end{cases}")
        lines = [rf"{value.text} & \text{{if }} {when}" for value, when in rows]
        length = _known(last.length)
        if not writer.symbols and length is not None and not math.isnan(begin):
            until = rf"\text{{if }} {time.text} < {_number(begin + length).text}"
            body = body.replace(rf"\text{{if }} {own.text} < {_number(length).text}", until)
        return _environment([*lines, body])
    return _cases(rows, end)


def _length(schedule: Schedule, writer: Writer) -> Formula:
    """The length of a part, with the symbol that the next ramp will give it."""
    length = schedule.length
    if not writer.symbols:
        return _number(length)
    if isinstance(schedule, (shapes.Ramp, shapes.Geometric, algebra.Constant)) and _known(length) != 0:
        if isinstance(schedule, algebra.Constant):
            return writer.number(length, "n")
        return Formula(f"n_{{{writer.count.get('n', 0) + 1}}}")
    return _number(length)


@formula.register
def _(schedule: algebra.Take, writer: Writer, time: Formula, inside: bool) -> Formula:
    if inside:
        return formula(schedule.schedule, writer, time, _known(schedule.schedule.length) == _known(schedule.length))
    return formula(schedule.schedule, writer, _called("min", time, writer.number(schedule.steps, "n")), False)


@formula.register
def _(schedule: algebra.Drop, writer: Writer, time: Formula, inside: bool) -> Formula:
    return formula(schedule.schedule, writer, plus(time, writer.number(schedule.steps, "n")), inside)


@formula.register
def _(schedule: algebra.Delay, writer: Writer, time: Formula, inside: bool) -> Formula:
    later = _called("max", _difference(time, writer.number(schedule.steps, "n")), ZERO)
    return formula(schedule.schedule, writer, later, inside)


@formula.register
def _(schedule: algebra.Stretch, writer: Writer, time: Formula, inside: bool) -> Formula:
    return formula(schedule.schedule, writer, _fraction(time, writer.number(schedule.factor, "m")), inside)


@formula.register
def _(schedule: algebra.Staircase, writer: Writer, time: Formula, inside: bool) -> Formula:
    inner = schedule.schedule
    if not writer.symbols and isinstance(inner, algebra.Stretch) and _known(inner.factor) == _known(schedule.every) is not None:
        return formula(inner.schedule, writer, _floor(_fraction(time, _number(inner.factor))), inside)
    steps = writer.number(schedule.every, "m")
    return formula(schedule.schedule, writer, times(steps, _floor(_fraction(time, steps))), inside)


@formula.register
def _(schedule: algebra.Reverse, writer: Writer, time: Formula, inside: bool) -> Formula:
    back = _called("max", _difference(_number(schedule.schedule.length), time), ZERO)
    return formula(schedule.schedule, writer, back, inside)


@formula.register
def _(schedule: algebra.Warp, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    return formula(schedule.schedule, writer, _called("max", formula(schedule.time, writer, time, False), ZERO), False)


@formula.register
def _(schedule: algebra.Repeat, writer: Writer, time: Formula, inside: bool) -> Formula:
    steps = _number(schedule.schedule.length)
    if schedule.stretch_ is None:
        cycle = _floor(_fraction(time, steps))
        own = Formula(rf"{time.within(PRODUCT)} \;\mathrm{{mod}}\; {steps.within(ATOM)}", PRODUCT)
    else:
        longer = writer.number(schedule.stretch_, "m")
        passed = rf"\sum_{{j < i}} {times(_power(longer, Formula('j')), steps).text}"
        cycle = writer.defined("i", rf"\max\left\{{i : {passed} \leq {time.text}\right\}}")
        begun = Formula(passed.replace("j < i", f"j < {cycle.text}"), PRODUCT)
        own = _fraction(_difference(time, begun), _power(longer, cycle))
    value = formula(schedule.schedule, writer, own, True)
    if schedule.scale is not None:
        value = times(_power(writer.number(schedule.scale, "h"), cycle), value)
    if schedule.n is None or inside:
        return value
    known = _known(schedule.length) is not None and not schedule.batch_shape
    end = _number(schedule(schedule.length)) if known else Formula(r"\text{its end}")
    return _cases([(value, f"{time.text} < {_number(schedule.length).text}")], end)


@formula.register
def _(schedule: algebra.Choice, writer: Writer, time: Formula, inside: bool) -> Formula:
    if (index := _known(schedule.index)) is not None:
        return formula(schedule.branches[round(index)], writer, time, inside)
    branches = [formula(branch, writer, time, False) for branch in schedule.branches]
    return _cases([(one, f"i = {k}") for k, one in enumerate(branches[:-1])], branches[-1])


@formula.register
def _(schedule: algebra.Driven, writer: Writer, time: Formula, inside: bool) -> Formula:
    del time, inside
    return formula(schedule.schedule, writer, writer.defined("p", reading(schedule.clock)), False)


@functools.singledispatch
def reading(clock: Any) -> str:
    """What a clock reads, in words."""
    return rf"\text{{{_name(type(clock).__name__)}}}"


@reading.register
def _(clock: clocks.Steps) -> str:
    del clock
    return r"\text{updates}"


@reading.register
def _(clock: clocks.Plateau) -> str:
    return rf"\text{{plateaus of {_name(clock.monitor)}}}"


@reading.register
def _(clock: clocks.SinceBest) -> str:
    return rf"\text{{observations since the best {_name(clock.monitor)}}}"


@reading.register
def _(clock: clocks.Counter) -> str:
    return rf"\text{{{_name(clock.monitor)} so far}}"


@reading.register
def _(clock: clocks.Since) -> str:
    return rf"\text{{updates since }} {reading(clock.clock)} \geq 1"
