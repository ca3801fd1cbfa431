"""Hypothesis strategies for nested schedules, their nodes, and how large their values can be.

A schedule is grown from a string of bytes, every operator as likely as any other. (Of a strategy made of many draws,
Hypothesis repeats parts, so that half of all operators would be the same few.) Counts of steps are multiples of a quarter
and factors of time are powers of two, so that every boundary is exact and a law can be checked at the boundaries as well.
"""

import dataclasses
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st
from meaning import RAMPS

import lrsched as ls
from lrsched.algebra.combinators import Choice, Cooldown, Moved, Repeat, Warp
from lrsched.algebra.pointwise import Constant, Pointwise
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import Sequence
from lrsched.algebra.shapes import CosineWave, Exponential, Function, Geometric, InverseSqrt, Noise, Piecewise, Ramp

COUNTS = tuple(k / 4 for k in range(61))
VALUES = tuple(sorted((k / 5 for k in range(-16, 17)), key=abs))
FACTORS = (2.0, 0.5, 4.0)
STAIRS = (1.0, 0.5, 3.0, 4.0)
DEPTHS = (0, 1, 2, 3, 3, 4)
LEAST_DIVISOR = 0.5


def inverse_time(t: Any, start: Any, decay: Any) -> Any:
    return start / (1 + decay * t)


class Growth:
    """What a schedule grows from: a string of bytes, how deep it may still become, and whether it must end."""

    def __init__(self, choices: Iterator[int], depth: int, ends: bool) -> None:
        self.choices, self.depth, self.ends = choices, depth, ends

    def schedule(self) -> Schedule:
        kinds = (FINITE_SHAPES, FINITE) if self.ends else (SHAPES, ANY)
        return self.one_of(kinds[self.depth > 0])(self)

    def one_of(self, options: tuple[Any, ...]) -> Any:
        chosen = next(self.choices, 0) if len(options) > 1 else 0
        return options[chosen % len(options)]

    def count(self) -> float:
        return self.one_of(COUNTS)

    def value(self) -> float:
        return self.one_of(VALUES)

    def positive(self) -> float:
        return self.one_of(COUNTS[1:20])

    def deep(self, ends: bool = False) -> Schedule:
        return Growth(self.choices, self.depth - 1, self.ends or ends).schedule()

    def side(self, ends: bool = False) -> Schedule:
        return Growth(self.choices, min(self.depth - 1, 1), self.ends or ends).schedule()

    def pair(self) -> tuple[Schedule, Schedule]:
        deep, side = self.deep(), self.side()
        return self.one_of(((deep, side), (side, deep)))

    def lasting(self) -> Schedule:
        s = self.deep(ends=True)
        return s if s.length > 0 else s >> ls.Constant(0.4, 3)

    def ramp(self, kind: Any) -> Schedule:
        return kind(self.value(), self.value(), self.count(), *self.one_of(RAMPS[kind].examples))

    def table(self, kind: Any) -> Schedule:
        steps = sorted(self.count() for _ in range(self.one_of((1, 2, 3, 4))))
        return ls.Piecewise(steps, [self.value() for _ in steps], kind=kind)

    def exact_line(self) -> Schedule:
        """A line whose every value is exact, so that it can be a time in a trace too."""
        start, slope = self.one_of((0, 4, 20)), self.one_of((1, 2, 4, 0, -2))
        return ls.Linear(start, start + slope * 8, 8).drop(self.count())


Grow = Callable[[Growth], Schedule]
FINITE_SHAPES: tuple[Grow, ...] = (
    lambda g: ls.Constant(g.value(), g.count()),
    *(lambda g, kind=kind: g.ramp(kind) for kind in RAMPS if issubclass(kind, Ramp)),
    lambda g: ls.Geometric(g.positive(), g.positive(), g.count()),
    lambda g: ls.Geometric(-g.positive(), -g.positive(), g.count()),
    lambda g: g.table("constant"),
    lambda g: g.table("linear"),
    lambda g: g.table("cosine"),
)
SHAPES: tuple[Grow, ...] = (
    *FINITE_SHAPES,
    lambda g: ls.Constant(g.value()),
    lambda g: ls.Exponential(g.value(), g.one_of((1.0, 0.9, 0.5, 0.0))),
    lambda g: ls.InverseSqrt(g.value(), g.positive()),
    lambda g: ls.CosineWave(g.value(), g.value(), g.positive()),
    lambda g: ls.Noise(g.positive() / 4, g.one_of((0, 1, 42))),
    lambda g: ls.Noise(g.positive() / 4, g.one_of((0, 1, 42)), "normal"),
    lambda g: ls.Function(inverse_time, g.value(), g.one_of((0.25, 0.0, 3.0))),
)
FINITE_TIMES: tuple[Grow, ...] = (
    lambda g: ls.Time().take(g.count()),
    lambda g: ls.Time().take(g.count()).reverse(),
    lambda g: g.exact_line(),
    lambda g: g.exact_line() >> ls.Time().take(g.positive()),
)
TIMES: tuple[Grow, ...] = (
    lambda _: ls.Time(),
    lambda g: ls.Time() * g.one_of(FACTORS),
    lambda g: ls.Time() / g.one_of(FACTORS),
    lambda g: ls.Time() + g.count(),
    lambda g: ls.Time() - g.count(),
    lambda g: g.count() - ls.Time(),
    lambda g: ls.Time().stretch(g.one_of(FACTORS)).delay(g.count()),
    lambda g: ls.Time().staircase(g.one_of(STAIRS)),
    lambda g: ls.Time().take(g.positive()).repeat(),
    *FINITE_TIMES,
)
FINITE: tuple[Grow, ...] = (
    lambda g: operator.add(*g.pair()),
    lambda g: operator.sub(*g.pair()),
    lambda g: operator.mul(*g.pair()),
    lambda g: g.deep() / g.side().clip(LEAST_DIVISOR, 2.0),
    lambda g: g.value() / g.deep().clip(LEAST_DIVISOR, 2.0),
    lambda g: g.value() + g.deep(),
    lambda g: g.deep() * g.value(),
    lambda g: g.deep().clip(LEAST_DIVISOR, 2.0) ** g.one_of((0.5, 2.0, -1.0)),
    lambda g: g.side() ** 2.0,
    lambda g: -g.deep(),
    lambda g: ls.minimum(*g.pair()),
    lambda g: ls.maximum(g.deep(), g.value()),
    lambda g: g.deep().clip(-g.positive(), g.positive()),
    lambda g: ls.Choice(g.pair(), g.one_of((0, 1))),
    lambda g: g.deep().take(g.count()),
    lambda g: g.deep().drop(g.count()),
    lambda g: g.deep().delay(g.count()),
    lambda g: g.deep().stretch(g.one_of(FACTORS)),
    lambda g: g.deep().staircase(g.one_of(STAIRS)),
    lambda g: g.deep(ends=True).reverse(),
    lambda g: g.deep(ends=True).cooldown(g.one_of(COUNTS[4:]), g.value(), g.one_of(options(Cooldown)["shape"])),
    lambda g: g.deep(ends=True) >> g.side(),
    lambda g: g.side(ends=True) >> g.deep(),
    lambda g: ls.join([g.side(), g.deep(), g.side()], [*itertools.accumulate((g.one_of(COUNTS[4:]), g.one_of(COUNTS[4:])))]),
    lambda g: g.deep(ends=True).repeat(g.one_of((1, 2, 3))),
    lambda g: g.deep(ends=True).repeat(g.one_of((1, 2, 3)), stretch=2.0),
    lambda g: g.deep(ends=True).repeat(g.one_of((1, 2, 3)), stretch=0.5, scale=g.one_of((1.0, -2.0))),
    lambda g: g.deep() @ g.one_of(FINITE_TIMES)(g),
)
ANY: tuple[Grow, ...] = (
    *FINITE,
    lambda g: g.deep(ends=True) >> g.value(),
    lambda g: g.lasting().repeat(),
    lambda g: g.lasting().repeat(scale=g.one_of((-1.0, 0.5))),
    lambda g: g.lasting().repeat(stretch=g.one_of((2.0, 1.0)), scale=g.one_of((None, -1.0, 0.5))),
    lambda g: g.deep() @ g.one_of(TIMES)(g),
)


def grow(choices: bytes, depths: tuple[int, ...], ends: bool) -> Schedule:
    rest = iter(choices)
    return Growth(rest, depths[next(rest) % len(depths)], ends).schedule()


def grown(depths: tuple[int, ...], ends: bool) -> Any:
    return st.binary(min_size=64, max_size=64).map(lambda choices: grow(choices, depths, ends))


schedules = grown(DEPTHS, ends=False)
finite = grown(DEPTHS, ends=True)
shapes = grown((0,), ends=False)
times = st.binary(min_size=4, max_size=4).map(lambda choices: (g := Growth(iter(choices), 1, False)).one_of(TIMES)(g))
counts = st.sampled_from(COUNTS)
positive_counts = st.sampled_from(COUNTS[1:])
values = st.sampled_from(VALUES)


def node_classes() -> list[type[Schedule]]:
    """Every schedule of the algebra that is no base of others; a dialect's have tests of their own."""

    def below(cls: type) -> list[type]:
        modules = [(x, x.__module__) for x in cls.__subclasses__()]
        own = [x for x, module in modules if module.startswith("lrsched.") and "dialects" not in module]
        return [x for one in own for x in below(one)] or [cls]

    return list(dict.fromkeys(below(Schedule)))


def nodes(node: Any) -> list[Any]:
    """A node, and all those below it."""
    return [node, *(below for part in node._nodes() for below in nodes(part))]


def options(node: Any) -> dict[str, tuple[str, ...]]:
    """The strings that the fields of a node, or of a class of nodes, may hold."""
    return {field.name: field.metadata["options"] for field in dataclasses.fields(node) if field.metadata.get("options")}


def size(s: Any) -> Any:
    """A bound on the values inside a generated schedule: rounding errors are measured against it."""
    match s:
        case Constant(value=x):
            return abs(x)
        case Ramp() | Geometric() | CosineWave():
            return max(abs(s.start), abs(s.end))
        case Exponential() | InverseSqrt():
            return abs(s.start)
        case Noise(limit=x):
            return x
        case Function(arguments=(start, _)):
            return abs(start)
        case Piecewise(values=x):
            return float(np.max(np.abs(x)))
        case Pointwise("+" | "-", (a, b)):
            return size(a) + size(b)
        case Pointwise("*", (a, b)):
            return size(a) * size(b)
        case Pointwise("/", (a, b)):
            return size(a) / LEAST_DIVISOR * (1 + size(b) / LEAST_DIVISOR)
        case Pointwise("**", (a, Constant(value=k))):
            return 4 * (1 + size(a)) if k != 2 else 2 * (1 + size(a)) ** 2
        case Cooldown(schedule=part, end=x):
            return max(size(part), abs(x))
        case Repeat(schedule=part, n=n, scale=scale):
            return size(part) * max(1.0, abs(scale or 0.0)) ** (n or 1)
        case Warp(schedule=part):
            return size(part)
        case Moved() | Sequence() | Choice():
            return max(map(size, s._nodes()))
        case _:
            return sum(map(size, s._nodes())) + float(np.max(np.abs(s(np.arange(0, 200, 0.25)))))
