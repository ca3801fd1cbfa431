"""The meaning of every node, as mathematics: `meaning(s, t)` and `length(s)`.

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
import numpy as np

from lrsched.algebra import combinators, pointwise, shapes
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import Sequence

mp: Any = mpmath.MPContext()
mp.dps = 60

# Before 1.4, which torch keeps it at, mpmath asks a number that it does not know for this, and makes floats of one without it.
Fraction._mpmath_ = lambda x, *_: mp.mpf(x.numerator) / x.denominator  # pyright: ignore[reportAttributeAccessIssue]


def meaning(schedule: Schedule, t: Any) -> Any:
    """The value at a step, which is a number without rounding: an int, a float, a fraction; before 0 it counts as 0."""
    return mp.mpf(value(schedule, max(exact(t), Fraction(0))))


def meanings(schedule: Schedule, steps: Any) -> Any:
    """The values at an array of times, rounded to float64."""
    return np.vectorize(lambda t: float(meaning(schedule, t)), otypes=[np.float64])(steps)


def exact(t: Any) -> Fraction:
    """A time as a fraction."""
    if not isinstance(t, mp.mpf):
        return Fraction(t)
    mantissa, exponent = t.man_exp
    return (mantissa if t > 0 else -mantissa) * Fraction(2) ** exponent


@functools.singledispatch
def value(schedule: Schedule, t: Fraction) -> Any:
    """The value at a time, below 0 too, as a clock may read it: a fraction, or a number with 60 digits."""
    raise NotImplementedError(f"{type(schedule).__name__} has no meaning")


@functools.singledispatch
def length(schedule: Schedule) -> Any:
    """The number of steps from which on it stands still: a fraction or infinity."""
    raise NotImplementedError(f"{type(schedule).__name__} has no length")


def means(kind: Any, at: Callable[..., Any], lasts: Callable[..., Any]) -> None:
    """Says what a class of nodes means: its value at a time, and how many steps it lasts."""
    value.register(kind, at)
    length.register(kind, lasts)


def number(x: Any) -> Any:
    """A number of a schedule: a fraction or infinity."""
    return math.inf if x == math.inf else Fraction(float(x))


def endless(s: Any) -> Any:
    del s
    return math.inf


def done(t: Any, steps: Any) -> Fraction:
    return Fraction(1) if t >= steps else max(exact(t), Fraction(0)) / exact(steps)


def log_done(t: Any, steps: Any) -> Any:
    return mp.log(1 + max(t, 0)) / mp.log(1 + steps) if t < steps else 1


class Way(NamedTuple):
    """What a ramp means: its value between a and b where the part p of it is done, and examples of its further numbers."""

    value: Callable[..., Any]
    examples: tuple[tuple[float, ...], ...] = ((),)
    of_length: bool = False  # whether it depends on the length n, too


RAMPS: dict[type[Schedule], Way] = {
    shapes.Linear: Way(lambda a, b, p: a + (b - a) * p),
    shapes.Cosine: Way(lambda a, b, p: wave(a, b, p)),
    shapes.Polynomial: Way(lambda a, b, p, k: b + (a - b) * mp.mpf(1 - p) ** k, ((1.0,), (2.0,), (3.0,), (0.5,), (0.9,))),
    shapes.OneMinusSqrt: Way(lambda a, b, p: a + (b - a) * mp.sqrt(p)),
    shapes.Logarithmic: Way(lambda a, b, p, *, n: a + (b - a) * log_done(p * n, n), of_length=True),
    shapes.Geometric: Way(lambda a, b, p: a * mp.mpf(b / a) ** p),
}


def ramp(s: Any, t: Fraction) -> Any:
    start, stop, steps, *more = (number(getattr(s, field.name)) for field in dataclasses.fields(s))
    way = RAMPS[type(s)]
    return way.value(start, stop, done(t, steps), *more, **({"n": steps} if way.of_length else {}))


def table(s: shapes.Piecewise, t: Fraction) -> Any:
    steps, values = list(map(number, s.steps)), list(map(number, s.values))
    passed = sum(step <= t for step in steps)
    if passed == 0 or passed == len(steps) or s.kind == "constant":
        return values[max(passed - 1, 0)]
    way, start, stop = {"linear": shapes.Linear, "cosine": shapes.Cosine}[s.kind], steps[passed - 1], steps[passed]
    return RAMPS[way].value(values[passed - 1], values[passed], (t - start) / (stop - start))


def wave(start: Any, stop: Any, p: Any) -> Any:
    return stop + (start - stop) * (1 + mp.cos(mp.pi * p)) / 2


def mixed(x: int) -> int:
    x %= 2**32
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = (x ^ x >> shift) * factor % 2**32
    return x


def noise(kind: str, limit: Any, seed: int, t: int) -> Any:
    drawn = mixed(mixed(t) + mixed(seed + 0x9E3779B9)) // 2**8
    unit = Fraction(2 * drawn + 1, 2**24) - 1
    return limit * unit if kind == "uniform" else mp.sqrt(2) * mp.erfinv(unit * mp.erf(limit / mp.sqrt(2)))


means(pointwise.Constant, lambda s, _: number(s.value), lambda s: number(s.steps))
means(shapes.Ramp | shapes.Geometric, ramp, lambda s: number(s.steps))
means(shapes.Piecewise, table, lambda s: number(s.steps[-1]))
means(shapes.Exponential, lambda s, t: number(s.start) * mp.mpf(number(s.factor)) ** t, endless)
means(shapes.InverseSqrt, lambda s, t: number(s.start) / mp.sqrt(1 + max(t, 0) / number(s.timescale)), endless)
means(shapes.CosineWave, lambda s, t: wave(number(s.start), number(s.end), max(t, 0) / number(s.steps)), endless)
means(shapes.Noise, lambda s, t: noise(s.kind, number(s.limit), int(s.seed), math.floor(max(t, 0))), endless)
means(shapes.Time, lambda _, t: t, endless)
means(shapes.Function, lambda s, t: s.fn(mp.mpf(t), *(mp.mpf(number(x)) for x in s.arguments)), endless)


def to_the_power(a: Any, b: Any) -> Any:
    base = a if a >= 0 or b == mp.floor(b) else Fraction(0)
    if base == 0 and b < 0:
        return mp.mpf(float(np.finfo(np.float32).max))
    return base ** (int(b) if b == mp.floor(b) else mp.mpf(b))


OPERATORS: dict[str, Any] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": to_the_power,
    "neg": operator.neg,
    "min": min,
    "max": max,
}


def sequence(s: Sequence, t: Fraction) -> Any:
    for part in s.parts[:-1]:
        if t < length(part):
            return value(part, t)
        t -= length(part)
    return value(s.parts[-1], t)


def repetition(s: combinators.Repeat) -> tuple[Any, Fraction, Fraction]:
    """How many cycles, and the ratios of their lengths and heights."""
    count = math.inf if s.n is None else math.floor(number(s.n) + 0.5)
    longer, higher = (Fraction(1) if x is None else number(x) for x in (s.stretch_, s.scale))
    return count, longer, higher


def repeated(s: combinators.Repeat, t: Fraction) -> Any:
    (count, longer, higher), steps = repetition(s), length(s.schedule)
    t, cycle, growth = max(t, Fraction(0)), 0, Fraction(1)
    if longer == 1 and steps > 0:
        cycle = min(math.floor(t / steps), count - 1)
        t -= cycle * steps
    while cycle < count - 1 and t >= steps * growth:
        cycle, t, growth = cycle + 1, t - steps * growth, growth * longer
    height = Fraction(1) if higher == 1 else mp.mpf(higher) ** cycle
    return height * value(s.schedule, min(t / growth, steps))


def length_repeated(s: combinators.Repeat) -> Any:
    count, longer, _ = repetition(s)
    return math.inf if count == math.inf else length(s.schedule) * sum(longer**c for c in range(count))


def stairs(steps: Any, every: Fraction) -> Any:
    return steps if steps == math.inf else every * math.ceil(steps / every)


def cooled_down(s: combinators.Cooldown, t: Fraction) -> Any:
    way, begin = {"linear": shapes.Linear, "cosine": shapes.Cosine, "1-sqrt": shapes.OneMinusSqrt}[s.shape], length(s.schedule)
    start = value(s.schedule, min(t, begin))
    return start if t < begin else RAMPS[way].value(start, number(s.end), done(t - begin, number(s.steps)))


def chosen(s: combinators.Choice) -> Schedule:
    return s.branches[min(math.floor(number(s.index) + 0.5), len(s.branches) - 1)]


def moves(kind: Any, time: Callable[..., Any], lasts: Callable[..., Any]) -> None:
    """Says at what time a node asks its schedule."""
    means(kind, lambda s, t: value(s.schedule, exact(time(s, t))), lasts)


means(
    pointwise.Pointwise,
    lambda s, t: OPERATORS[s.operator](*(value(part, t) for part in s.parts)),
    lambda s: max(map(length, s.parts)),
)
means(Sequence, sequence, lambda s: sum(map(length, s.parts)))
means(combinators.Repeat, repeated, length_repeated)
means(combinators.Choice, lambda s, t: value(chosen(s), t), lambda s: length(chosen(s)))
means(combinators.Cooldown, cooled_down, lambda s: length(s.schedule) + number(s.steps))
moves(combinators.Take, lambda s, t: min(t, number(s.steps)), lambda s: number(s.steps))
moves(combinators.Drop, lambda s, t: t + number(s.steps), lambda s: max(length(s.schedule) - number(s.steps), Fraction(0)))
moves(combinators.Delay, lambda s, t: max(t - number(s.steps), 0), lambda s: length(s.schedule) + number(s.steps))
moves(combinators.Stretch, lambda s, t: t / number(s.factor), lambda s: length(s.schedule) * number(s.factor))
moves(
    combinators.Staircase,
    lambda s, t: number(s.every) * math.floor(max(t, 0) / number(s.every)),
    lambda s: stairs(length(s.schedule), number(s.every)),
)
moves(combinators.Reverse, lambda s, t: max(length(s.schedule) - max(t, 0), 0), lambda s: length(s.schedule))
moves(combinators.Warp, lambda s, t: max(value(s.time, t), 0), lambda s: length(s.time))
