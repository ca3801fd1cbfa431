r"""Schedules as mathematics: LaTeX for a notebook, a paper or matplotlib."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

from lrsched.algebra import combinators, numerics, shapes
from lrsched.algebra.combinators import Driven, driven_parts
from lrsched.algebra.pointwise import Constant, Pointwise
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.sequence import Sequence
from lrsched.algebra.written import function_source
from lrsched.views.formula import PRODUCT, Formula, Row, Where, as_text, called, cases, chosen, defined, formula, written
from lrsched.views.phases import in_sequence, known, single


def latex(schedule: ScheduleLike) -> str:
    r"""The value at step t as a formula in LaTeX.

    Args:
        schedule: one schedule of known numbers, pure or driven.

    Returns:
        LaTeX without dollar signs, with the environment `cases` for phases.

    Raises:
        TypeError: if it is not a schedule, or holds a node without a formula.
        ValueError: if it is a batch.

    >>> import lrsched as ls
    >>> print(ls.latex(ls.Exponential(0.1, 0.5)))
    0.1 \cdot 0.5^{t}
    >>> print(ls.latex(ls.Linear(0.0, 0.1, 100)))
    \begin{cases} 0.1 \cdot \frac{t}{100} & \text{if } t < 100 \\ 0.1 & \text{otherwise} \end{cases}
    """
    schedule = single("latex", schedule)
    where: Where = {}
    text = value(schedule, Formula("t"), where).text
    return r",\quad ".join([text, *(f"{symbol.text} = {meaning}" for (_, meaning), symbol in where.items())])


PI = Formula(r"\pi")
_cos = functools.partial(called, r"\cos")
_log = functools.partial(called, r"\log")


def _sqrt(x: Formula) -> Formula:
    return Formula(rf"\sqrt{{{x.text}}}")


def _floor(x: Formula) -> Formula:
    return Formula(rf"\left\lfloor {x.text} \right\rfloor")


def _wave(a: Formula, b: Formula, p: Formula) -> Formula:
    return b + (a - b) * ((1 + _cos(PI * p)) / 2)


def ramp(cls: type[Schedule], way: Callable[..., Formula]) -> None:
    """Registers the formula of a ramp: a function of a, b, the fraction p that is done, and any further numbers."""

    @formula.register(cls)
    def _(schedule: Any, t: Formula, _where: Where) -> Formula:
        a, b, n, *more = (written(getattr(schedule, field.name)) for field in dataclasses.fields(schedule))
        return cases(t, [(way(a, b, t / n, *more), known(schedule.steps)), (b, math.inf)])


# Written from the end, so that a ramp to 0 is a product; but a straight line reads best from its start.
ramp(shapes.Linear, lambda a, b, p: a + (b - a) * p)
ramp(shapes.Cosine, _wave)
ramp(shapes.Polynomial, lambda a, b, p, k: b + (a - b) * (1 - p) ** k)
ramp(shapes.OneMinusSqrt, lambda a, b, p: b + (a - b) * (1 - _sqrt(p)))
ramp(shapes.Geometric, lambda a, b, p: a * (b / a) ** p)

formula.register(Constant, lambda s, _t, _where: written(s.value))
formula.register(shapes.Time, lambda _, t, _where: t)
formula.register(shapes.Exponential, lambda s, t, _where: written(s.start) * written(s.factor) ** t)
formula.register(shapes.InverseSqrt, lambda s, t, _where: written(s.start) / _sqrt(1 + t / written(s.timescale)))
formula.register(shapes.CosineWave, lambda s, t, _where: _wave(written(s.start), written(s.end), t / written(s.steps)))
formula.register(shapes.Noise, lambda s, t, _where: called(rf"\mathrm{{{s.kind}}}", _floor(t), s.limit, s.seed))
formula.register(shapes.Function, lambda s, t, _where: called(rf"\mathrm{{{as_text(function_source(s.fn))}}}", t, *s.arguments))


@formula.register
def _(schedule: shapes.Logarithmic, t: Formula, _where: Where) -> Formula:
    a, b, n = map(written, (schedule.start, schedule.end, schedule.steps))
    return cases(t, [(a + (b - a) * (_log(1 + t) / _log(1 + n)), known(schedule.steps)), (b, math.inf)])


@formula.register
def _(schedule: shapes.Piecewise, t: Formula, _where: Where) -> Formula:
    steps, values = numerics.to_float64(schedule.steps), [written(x) for x in numerics.to_float64(schedule.values)]
    found = [(values[0], steps[0])]
    for a, b, start, stop in zip(values, values[1:], steps, steps[1:], strict=False):
        p = (t - start) / (stop - start)
        progress = {"constant": written(0.0), "linear": p, "cosine": (1 - _cos(PI * p)) / 2}[schedule.kind]
        found.append((a + (b - a) * progress, stop))
    return cases(t, [*found, (values[-1], math.inf)])


# Schedules made of schedules.


def value(schedule: Schedule, t: Formula, where: Where) -> Formula:
    """The value at a time: a number if the time is known."""
    if t.value is None or driven_parts(schedule):
        return formula(schedule, t, where)
    return written(schedule(t.value))


def rows(
    schedule: Schedule, t: Formula, where: Where, by: float = 0.0, factor: float = 1.0, stop: float = math.inf
) -> list[Row]:
    """The cases of a schedule at the time (t - by) / factor, up to a stop; each ends at a time t."""
    own = (t - by) / factor
    found = value(schedule, own, where)
    every = [(one, bound * factor + by) for one, bound in found.rows] if found.t == own else [(found, math.inf)]
    last = next(i for i, (_, bound) in enumerate(every) if bound >= stop)
    return [*every[:last], (every[last][0], stop)]


formula.register(combinators.Drop, lambda s, t, where: cases(t, rows(s.schedule, t, where, by=-known(s.steps))))
formula.register(combinators.Stretch, lambda s, t, where: cases(t, rows(s.schedule, t, where, factor=known(s.factor))))
formula.register(combinators.Choice, lambda s, t, where: value(s.branches[round(known(s.index))], t, where))
formula.register(combinators.Cooldown, lambda s, t, where: formula(in_sequence(s), t, where))


@formula.register
def _(schedule: combinators.Take, t: Formula, where: Where) -> Formula:
    end = known(schedule.steps)
    return cases(t, [*rows(schedule.schedule, t, where, stop=end), (value(schedule.schedule, written(end), where), math.inf)])


@formula.register
def _(schedule: combinators.Delay, t: Formula, where: Where) -> Formula:
    steps, inside = known(schedule.steps), schedule.schedule
    return cases(t, [(value(inside, written(0.0), where), steps), *rows(inside, t, where, by=steps)])


@formula.register
def _(schedule: combinators.Reverse, t: Formula, where: Where) -> Formula:
    length, inside = known(schedule.length), schedule.schedule
    return cases(t, [(value(inside, length - t, where), length), (value(inside, written(0.0), where), math.inf)])


@formula.register
def _(schedule: Sequence, t: Formula, where: Where) -> Formula:
    spans = zip(schedule.parts, itertools.pairwise([*map(known, schedule._starts), math.inf]), strict=True)
    return cases(t, [row for part, (start, stop) in spans for row in rows(part, t, where, by=start, stop=stop)])


_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
    "min": functools.partial(chosen, min),
    "max": functools.partial(chosen, max),
}


@formula.register
def _(schedule: Pointwise, t: Formula, where: Where) -> Formula:
    parts, operate = [rows(part, t, where) for part in schedule.parts], _OPERATORS[schedule.operator]
    bounds = sorted({bound for part in parts for _, bound in part})
    return cases(t, [(operate(*(next(x for x, b in part if b >= bound) for part in parts)), bound) for bound in bounds])


@formula.register
def _(schedule: Driven, _t: Formula, where: Where) -> Formula:
    symbol = defined(where, schedule, "p", rf"\text{{{as_text(schedule.clock.unit)}}}")
    return value(schedule.schedule, symbol, where)


@formula.register
def _(schedule: combinators.Warp, t: Formula, where: Where) -> Formula:
    time = chosen(max, value(schedule.time, t, where), 0)
    return value(schedule.schedule, time if len(time.text) < 40 else defined(where, schedule, "w", time.text), where)


@formula.register
def _(schedule: combinators.Staircase, t: Formula, where: Where) -> Formula:
    inner, every = schedule.schedule, written(schedule.every)
    stair = _floor(t / every)
    if isinstance(inner, combinators.Stretch) and written(inner.factor) == every:
        return value(inner.schedule, stair, where)
    return value(inner, every * stair, where)


@formula.register
def _(schedule: combinators.Repeat, t: Formula, where: Where) -> Formula:
    steps = written(schedule.schedule.length)
    if schedule.stretch_ is None:
        cycle, own = _floor(t / steps), t % steps
    else:
        longer = written(schedule.stretch_)
        passed = rf"\sum_{{j < i}} {(longer ** Formula('j') * steps).text}"
        cycle = defined(where, schedule, "i", rf"\max\left\{{i : {passed} \leq {t.text}\right\}}")
        own = (t - Formula(passed.replace("j < i", f"j < {cycle.text}"), PRODUCT)) / longer**cycle
    found = cases(own, rows(schedule.schedule, own, where, stop=known(schedule.schedule.length)))
    found = found if schedule.scale is None else written(schedule.scale) ** cycle * found
    end = known(schedule.length)
    return cases(t, [(found, end), (written(schedule(end)) if math.isfinite(end) else found, math.inf)])
