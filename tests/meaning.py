"""What every node means, as mathematics: `meaning(s, t)` and `length(s)`.

Written from the docstrings, and independent of the library's numerics. Times, and values that are rational, are
fractions without rounding; everything else has 60 digits. A driven schedule has no meaning before it is bound.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath

from lrsched.algebra import combinators, pointwise, shapes
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import Sequence

mp = mpmath.MPContext()
mp.dps = 60


def _as_mpf(x: Fraction, precision: int, rounding: str) -> Any:
    del precision, rounding
    return mp.mpf(x.numerator) / x.denominator


# Before 1.4, which torch keeps it at, mpmath asks a number that it does not know for this, and makes floats of one without it.
Fraction._mpmath_ = _as_mpf  # pyright: ignore[reportAttributeAccessIssue]


def meaning(schedule: Schedule, t: Any) -> Any:
    """The value at a time, which is a number without rounding: an int, a float, a fraction."""
    return mp.mpf(value(schedule, exact(t)))


def exact(t: Any) -> Fraction:
    """A time as a fraction; before 0 it counts as 0."""
    if not t > 0:
        return Fraction(0)
    if not isinstance(t, mp.mpf):
        return Fraction(t)
    mantissa, exponent = t.man_exp
    return mantissa * Fraction(2) ** exponent


@functools.singledispatch
def value(schedule: Schedule, t: Fraction) -> Any:
    """The value at a time >= 0: a fraction, or a number with 60 digits."""
    raise NotImplementedError(f"{type(schedule).__name__} has no meaning")


@functools.singledispatch
def length(schedule: Schedule) -> Any:
    """The number of steps from which on it stands still: a fraction or infinity."""
    raise NotImplementedError(f"{type(schedule).__name__} has no length")


def number(x: Any) -> Any:
    """A number of a schedule: a fraction or infinity."""
    return math.inf if x == math.inf else Fraction(float(x))


def done(t: Any, steps: Any) -> Fraction:
    return Fraction(1) if t >= steps else exact(t) / exact(steps)


class Way(NamedTuple):
    """What a ramp means: its value between a and b where the part p of it is done, and examples of its further numbers."""

    value: Callable[..., Any]
    examples: tuple[tuple[float, ...], ...] = ((),)


RAMPS: dict[type[Schedule], Way] = {
    shapes.Linear: Way(lambda a, b, p: a + (b - a) * p),
    shapes.Cosine: Way(lambda a, b, p: b + (a - b) * (1 + mp.cos(mp.pi * p)) / 2),
    shapes.Polynomial: Way(lambda a, b, p, k: b + (a - b) * mp.mpf(1 - p) ** k, ((1.0,), (2.0,), (3.0,), (0.5,), (0.9,))),
    shapes.OneMinusSqrt: Way(lambda a, b, p: a + (b - a) * mp.sqrt(p)),
    shapes.Geometric: Way(lambda a, b, p: a * mp.mpf(b / a) ** p),
}


@value.register
def _(s: shapes.Ramp | shapes.Geometric, t: Fraction) -> Any:
    start, stop, steps, *more = (number(getattr(s, field.name)) for field in dataclasses.fields(s))
    return RAMPS[type(s)].value(start, stop, done(t, steps), *more)


@length.register
def _(s: shapes.Ramp | shapes.Geometric) -> Any:
    return number(s.steps)


@value.register
def _(s: pointwise.Constant, t: Fraction) -> Any:
    del t
    return number(s.value)


@length.register
def _(s: pointwise.Constant) -> Any:
    return number(s.steps)


@value.register
def _(s: shapes.Exponential, t: Fraction) -> Any:
    return number(s.start) * mp.mpf(number(s.rate)) ** t


@value.register
def _(s: shapes.InverseSqrt, t: Fraction) -> Any:
    return number(s.start) / mp.sqrt(1 + t / number(s.timescale))


@value.register
def _(s: shapes.Time, t: Fraction) -> Any:
    del s
    return t


@value.register
def _(s: shapes.Function, t: Fraction) -> Any:
    return s.fn(mp.mpf(t), *(mp.mpf(number(x)) for x in s.arguments))


@length.register(shapes.Exponential)
@length.register(shapes.InverseSqrt)
@length.register(shapes.Time)
@length.register(shapes.Function)
def _(s: Any) -> Any:
    del s
    return math.inf


@value.register
def _(s: shapes.Piecewise, t: Fraction) -> Any:
    steps, values = list(map(number, s.steps)), list(map(number, s.values))
    passed = sum(step <= t for step in steps)
    if passed == 0 or passed == len(steps) or s.kind == "constant":
        return values[max(passed - 1, 0)]
    way, start, stop = {"linear": shapes.Linear, "cosine": shapes.Cosine}[s.kind], steps[passed - 1], steps[passed]
    return RAMPS[way].value(values[passed - 1], values[passed], (t - start) / (stop - start))


@length.register
def _(s: shapes.Piecewise) -> Any:
    return number(s.steps[-1])


OPERATORS: dict[str, Any] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "neg": operator.neg,
    "min": min,
    "max": max,
}


@value.register
def _(s: pointwise.Pointwise, t: Fraction) -> Any:
    return OPERATORS[s.operator](*(value(part, t) for part in s.parts))


@length.register
def _(s: pointwise.Pointwise) -> Any:
    return max(map(length, s.parts))


@value.register
def _(s: Sequence, t: Fraction) -> Any:
    for part in s.parts[:-1]:
        if t < length(part):
            return value(part, t)
        t -= length(part)
    return value(s.parts[-1], t)


@length.register
def _(s: Sequence) -> Any:
    return sum(map(length, s.parts))


@value.register
def _(s: combinators.Take, t: Fraction) -> Any:
    return value(s.schedule, min(t, number(s.steps)))


@length.register
def _(s: combinators.Take) -> Any:
    return number(s.steps)


@value.register
def _(s: combinators.Drop, t: Fraction) -> Any:
    return value(s.schedule, t + number(s.steps))


@length.register
def _(s: combinators.Drop) -> Any:
    return max(length(s.schedule) - number(s.steps), Fraction(0))


@value.register
def _(s: combinators.Delay, t: Fraction) -> Any:
    return value(s.schedule, max(t - number(s.steps), Fraction(0)))


@length.register
def _(s: combinators.Delay) -> Any:
    return length(s.schedule) + number(s.steps)


@value.register
def _(s: combinators.Stretch, t: Fraction) -> Any:
    return value(s.schedule, t / number(s.factor))


@length.register
def _(s: combinators.Stretch) -> Any:
    return length(s.schedule) * number(s.factor)


@value.register
def _(s: combinators.Staircase, t: Fraction) -> Any:
    every = number(s.every)
    return value(s.schedule, every * math.floor(t / every))


@length.register
def _(s: combinators.Staircase) -> Any:
    every, whole = number(s.every), length(s.schedule)
    return whole if whole == math.inf else every * math.ceil(whole / every)


@value.register
def _(s: combinators.Reverse, t: Fraction) -> Any:
    return value(s.schedule, max(length(s.schedule) - t, Fraction(0)))


@length.register
def _(s: combinators.Reverse) -> Any:
    return length(s.schedule)


@value.register
def _(s: combinators.Warp, t: Fraction) -> Any:
    return value(s.schedule, exact(value(s.time, t)))


@length.register
def _(s: combinators.Warp) -> Any:
    return length(s.time)


def repetition(s: combinators.Repeat) -> tuple[Any, Fraction, Fraction]:
    """How many cycles, and the ratios of their lengths and heights."""
    count = math.inf if s.n is None else math.floor(number(s.n) + 0.5)
    longer, higher = (Fraction(1) if x is None else number(x) for x in (s.stretch_, s.scale))
    return count, longer, higher


@value.register
def _(s: combinators.Repeat, t: Fraction) -> Any:
    (count, longer, higher), steps = repetition(s), length(s.schedule)
    cycle, growth = 0, Fraction(1)
    if longer == 1 and steps > 0:
        cycle = min(math.floor(t / steps), count - 1)
        t -= cycle * steps
    while cycle < count - 1 and t >= steps * growth:
        cycle, t, growth = cycle + 1, t - steps * growth, growth * longer
    height = Fraction(1) if higher == 1 else mp.mpf(higher) ** cycle
    return height * value(s.schedule, min(t / growth, steps))


@length.register
def _(s: combinators.Repeat) -> Any:
    count, longer, _ = repetition(s)
    return math.inf if count == math.inf else length(s.schedule) * sum(longer**c for c in range(count))


def chosen(s: combinators.Choice) -> Schedule:
    return s.branches[min(math.floor(number(s.index) + 0.5), len(s.branches) - 1)]


@value.register
def _(s: combinators.Choice, t: Fraction) -> Any:
    return value(chosen(s), t)


@length.register
def _(s: combinators.Choice) -> Any:
    return length(chosen(s))
