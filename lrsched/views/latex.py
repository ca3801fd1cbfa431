r"""Schedules as mathematics: LaTeX that a notebook, a paper or matplotlib renders."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from lrsched.algebra import numerics, shapes
from lrsched.algebra.combinators import Repeat, Staircase, Stretch, Warp
from lrsched.algebra.driven import Driven
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import function_source
from lrsched.views.formula import PRODUCT, Formula, Where, as_text, called, cases, chosen, defined, formula, written
from lrsched.views.phases import phases, single


def latex(schedule: ScheduleLike) -> str:
    r"""The value at step t as LaTeX, in mathematics that a reader can follow.

    Args:
        schedule: one schedule of known numbers, pure or driven.

    Returns:
        LaTeX without dollar signs, with the environment `cases` for phases.

    Raises:
        TypeError: if it is no schedule, or holds a node that has no formula.
        ValueError: if it is a batch.

    >>> import lrsched as ls
    >>> print(ls.latex(ls.Exponential(0.1, 0.5)))
    0.1 \cdot 0.5^{t}
    >>> print(ls.latex(ls.Linear(0.0, 0.1, 100)))
    \begin{cases} 0.1 \cdot \frac{t}{100} & \text{if } t < 100 \\ 0.1 & \text{otherwise} \end{cases}
    """
    schedule = single("latex", schedule)
    where: Where = {}
    text = phases(schedule).formula(Formula("t"), where).text
    return r",\quad ".join([text, *(f"{symbol.text} = {meaning}" for (_, meaning), symbol in where.items())])


PI = Formula(r"\pi")
_cos = functools.partial(called, r"\cos")
_log = functools.partial(called, r"\log")


def _sqrt(x: Formula) -> Formula:
    return Formula(rf"\sqrt{{{x.text}}}")


def _floor(x: Formula) -> Formula:
    return Formula(rf"\left\lfloor {x.text} \right\rfloor")


def ramp(cls: type[Schedule], way: Callable[..., Formula]) -> None:
    """Gives a ramp its formula: its value on the way from a to b, of which the part p is done, and of further numbers."""

    @formula.register(cls)
    def _(schedule: Any, t: Formula, where: Where) -> Formula:
        del where
        a, b, n, *more = (written(getattr(schedule, field.name)) for field in dataclasses.fields(schedule))
        return way(a, b, t / n, *more)


# Written from the end, so that a ramp to 0 is a product; but a line reads best from its start.
ramp(shapes.Linear, lambda a, b, p: a + (b - a) * p)
ramp(shapes.Cosine, lambda a, b, p: b + (a - b) * ((1 + _cos(PI * p)) / 2))
ramp(shapes.Polynomial, lambda a, b, p, k: b + (a - b) * (1 - p) ** k)
ramp(shapes.OneMinusSqrt, lambda a, b, p: b + (a - b) * (1 - _sqrt(p)))
ramp(shapes.Geometric, lambda a, b, p: a * (b / a) ** p)

formula.register(Constant, lambda s, _t, _where: written(s.value))
formula.register(shapes.Time, lambda _, t, _where: t)
formula.register(shapes.Exponential, lambda s, t, _where: written(s.start) * written(s.factor) ** t)
formula.register(shapes.InverseSqrt, lambda s, t, _where: written(s.start) / _sqrt(1 + t / written(s.timescale)))


@formula.register
def _(schedule: shapes.Logarithmic, t: Formula, where: Where) -> Formula:
    del where
    a, b, n = map(written, (schedule.start, schedule.end, schedule.steps))
    return a + (b - a) * (_log(1 + t) / _log(1 + n))


@formula.register
def _(schedule: shapes.CosineWave, t: Formula, where: Where) -> Formula:
    del where
    a, b, n = map(written, (schedule.start, schedule.end, schedule.steps))
    return b + (a - b) * ((1 + _cos(PI * (t / n))) / 2)


@formula.register
def _(schedule: shapes.Noise, t: Formula, where: Where) -> Formula:
    del where
    return called(rf"\mathrm{{{schedule.kind}}}", _floor(t), schedule.limit, schedule.seed)


@formula.register
def _(schedule: shapes.Piecewise, t: Formula, where: Where) -> Formula:
    del where
    steps, values = numerics.to_float64(schedule.steps), [written(x) for x in numerics.to_float64(schedule.values)]
    rows = [(values[0], steps[0])]
    for a, b, start, stop in zip(values, values[1:], steps, steps[1:], strict=False):
        p = (t - start) / (stop - start)
        progress = {"constant": written(0.0), "linear": p, "cosine": (1 - _cos(PI * p)) / 2}[schedule.kind]
        rows.append((a + (b - a) * progress, stop))
    last, _ = rows.pop()
    return cases(t, rows, last)


@formula.register
def _(schedule: shapes.Function, t: Formula, where: Where) -> Formula:
    del where
    return called(rf"\mathrm{{{as_text(function_source(schedule.fn))}}}", t, *schedule.arguments)


# Nodes at another time: the formula of their schedule, at that time.


@formula.register
def _(schedule: Driven, t: Formula, where: Where) -> Formula:
    del t
    symbol = defined(where, schedule, "p", rf"\text{{{as_text(schedule.clock.unit)}}}")
    return phases(schedule.schedule).formula(symbol, where)


@formula.register
def _(schedule: Warp, t: Formula, where: Where) -> Formula:
    time = chosen(max, phases(schedule.time).formula(t, where), 0)
    return phases(schedule.schedule).formula(time if len(time.text) < 40 else defined(where, schedule, "w", time.text), where)


@formula.register
def _(schedule: Staircase, t: Formula, where: Where) -> Formula:
    inner, every = schedule.schedule, written(schedule.every)
    stair = _floor(t / every)
    if isinstance(inner, Stretch) and written(inner.factor) == every:
        return phases(inner.schedule).formula(stair, where)
    return phases(inner).formula(every * stair, where)


@formula.register
def _(schedule: Repeat, t: Formula, where: Where) -> Formula:
    steps = written(schedule.schedule.length)
    if schedule.stretch_ is None:
        cycle, own = _floor(t / steps), t % steps
    else:
        longer = written(schedule.stretch_)
        passed = rf"\sum_{{j < i}} {(longer ** Formula('j') * steps).text}"
        cycle = defined(where, schedule, "i", rf"\max\left\{{i : {passed} \leq {t.text}\right\}}")
        own = (t - Formula(passed.replace("j < i", f"j < {cycle.text}"), PRODUCT)) / longer**cycle
    value = phases(schedule.schedule).formula(own, where, inside=True)
    return value if schedule.scale is None else written(schedule.scale) ** cycle * value
