"""Schedules of n steps of every shape and every recipe with every option, what they must be, and where to look.

The formulas of the recipes are from their docstrings and papers; a shape is what meaning.py says.
"""

import functools
import inspect
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import nested
import numpy as np
from meaning import RAMPS, done, exact, meaning, mp
from nested import nodes, options

import lrsched as ls
from lrsched.algebra.shapes import Ramp
from lrsched.views.phases import phases

CORNERS = 15  # of a schedule, at each of its two ends, at which to look
POWERS = (ls.Exponential, ls.Geometric, ls.Logarithmic, ls.Polynomial, ls.Noise)


class Case(NamedTuple):
    """A schedule of n steps."""

    make: Callable[[int], Any]
    formula: Callable[[int, int], Any] | None = None  # of n and t; None: the meaning of the node
    size: float = 0.0  # of the terms, where they cancel
    longest: int = 2**31 - 2  # the most steps for which it can be called: what walks through them takes too long
    recipe: Any = None  # of which it is made, if it is

    def truth(self, n: int, t: int) -> Any:
        return self.formula(n, t) if self.formula else meaning(self.make(n), t)

    def boundaries(self, n: int) -> tuple[float, ...]:
        """The steps where it bends, jumps or ends: the first and the last of them."""
        corners = [x for x in phases(self.make(n)).corners.tolist() if x <= n + n // 9]
        return (*corners[:CORNERS], *corners[CORNERS:][-CORNERS:], n)

    def steps(self, n: int) -> Any:
        near = [math.ceil(b) + i for b in (0, *self.boundaries(n)) for i in range(-2, 3)]
        between = np.linspace(0, n, 60).astype(np.int64)
        return np.unique(np.clip([*near, *between, n + n // 9], 0, 2**31 - 1)).astype(np.int32)

    def known(self, n: int) -> dict[int, float]:
        """The values at and around its boundaries that are numbers as they were given, by their steps."""
        return _known(self, n)

    @property
    def power(self) -> bool:
        """Whether a number is raised to a power in it, or a logarithm, which costs more places."""
        scaled = any(getattr(node, "scale", None) not in (None, 1) for node in self.nodes())
        return scaled or any(isinstance(node, POWERS) or getattr(node, "operator", "") == "**" for node in self.nodes())

    def nodes(self) -> list[Any]:
        schedule = self.make(1000)
        return nodes(getattr(schedule, "composed", schedule))  # of a dialect


@functools.cache
def _known(case: Case, n: int) -> dict[int, float]:
    if any(getattr(node, "operator", "min") not in ("min", "max") for node in case.nodes()):
        return {}  # of what is computed with, nothing is as given
    given = {float(x) for leaf in jax.tree.leaves(case.make(n)) for x in np.ravel(leaf) if np.isfinite(x)}
    near = sorted({math.ceil(b) + i for b in (0, *case.boundaries(n)) for i in (-1, 0, 1)})
    truth = {t: case.truth(n, t) for t in near if 0 <= t < 2**31}
    return {t: x for t, true in truth.items() for x in given if abs(true - x) <= 1e-50 * abs(x)}


# Shapes


def ramps(kind: Any, ends: tuple[float, float], more: tuple[float, ...]) -> Case:
    return Case(lambda n: kind(*ends, n, *more), size=max(map(abs, ends)) if ends[0] * ends[1] < 0 else 0.0)


def table(kind: Any) -> Case:
    return Case(lambda n: ls.Piecewise([n // 7, n // 3, n // 3, n - 5, n], [0.7, 0.2, 1.0, 0.5, 0.0], kind=kind))


def words(kind: type) -> str:
    """The name of a class as words."""
    return re.sub("(?<=.)(?=[A-Z])", " ", kind.__name__).lower()


ENDS = {"": (1e-3, 1e-7), " to 0": (0.1, 0.0), " from 0": (0.0, 0.3), " through 0": (0.7, -0.3)}
LOG_ENDS = {"": (1e-3, 1e-5), " up": (1e-7, 10.0), " down": (1e30, 1e-30), " below 0": (-1e-7, -10.0)}
SHAPES = {
    **{
        " ".join([words(kind), *map(str, more)]) + what: ramps(kind, ends, more)
        for kind, way in RAMPS.items()
        for more in way.examples
        for what, ends in (ENDS if issubclass(kind, Ramp) else LOG_ENDS).items()
    },
    **{f"table {kind}": table(kind) for kind in options(ls.Piecewise)["kind"]},
    "constant": Case(lambda n: ls.Constant(0.3, n)),
    "exponential down": Case(lambda n: ls.Exponential(0.1, 1 - 20 / n)),
    "exponential up": Case(lambda n: ls.Exponential(0.1, 1 + 20 / n)),
    "factors of plateaus": Case(lambda _: ls.Exponential(2.0, 0.9).clip(1e-20, 2.0), longest=10**3),
    "inverse sqrt of n": Case(lambda n: ls.InverseSqrt(0.3, n)),
    "inverse sqrt of a few": Case(lambda _: ls.InverseSqrt(0.3, 7.5)),
    "cosine wave": Case(lambda n: ls.CosineWave(0.3, 0.01, n // 20)),
    "cosine wave of fractions": Case(lambda n: ls.CosineWave(0.01, 0.3, n // 3 + 0.25)),
    "noise": Case(lambda _: ls.Noise(0.67, 42)),
    "normal noise": Case(lambda _: ls.Noise(0.67, 7, "normal")),
    "power of a line": Case(lambda n: ls.Linear(1.0, 0.1, n) ** 2.5),
    "power by a line": Case(lambda n: 0.5 ** ls.Linear(0.0, 1.0, n)),
    "line in stairs": Case(lambda n: ls.Linear(0.3, 0.0, n // 30 * 30).staircase(n // 30)),
    "line and a cool-down": Case(lambda n: ls.Linear(0.3, 0.1, n - n // 5).cooldown(n // 5, 0.003, "1-sqrt")),
    "time": Case(lambda _: ls.Time()),
    "function": Case(lambda n: ls.Function(nested.inverse_time, 0.3, 10 / n)),
}


# Recipes, from their docstrings and papers


def way(kind: Any) -> Callable[..., Any]:
    return lambda a, b, p: RAMPS[kind].value(mp.mpf(a), mp.mpf(b), p)


WAYS = {"linear": way(ls.Linear), "cosine": way(ls.Cosine), "1-sqrt": way(ls.OneMinusSqrt), "geometric": way(ls.Geometric)}
WAYS["exponential"] = lambda a, b, p: b + (mp.mpf(a) - b) * (2 * mp.mpf(0.5) ** p - 1)
line, wave = WAYS["linear"], WAYS["cosine"]


def step_decay(t, start, every, factor):
    return mp.mpf(start) * mp.mpf(factor) ** (exact(t) // exact(every))


def multi_step(t, start, milestones, factor):
    return mp.mpf(start) * mp.mpf(factor) ** sum(t >= m for m in milestones)


def warmup_constant(t, peak, warmup_steps, start):
    return line(start, peak, done(t, warmup_steps))


def warmup_linear(t, peak, warmup_steps, steps, start, end, decay=line):
    if t < warmup_steps:
        return line(start, peak, done(t, warmup_steps))
    return decay(peak, end, done(t - exact(warmup_steps), steps - warmup_steps))


def warmup_cosine(t, *numbers):
    return warmup_linear(t, *numbers, decay=wave)


def warmup_inverse_sqrt(t, peak, warmup_steps, timescale, start):
    if t < warmup_steps:
        return line(start, peak, done(t, warmup_steps))
    return mp.mpf(peak) / mp.sqrt(1 + (t - exact(warmup_steps)) / exact(timescale or warmup_steps))


def noam(t, dim, warmup_steps):
    return t and mp.mpf(dim) ** -0.5 * min(mp.mpf(t) ** -0.5, t * mp.mpf(warmup_steps) ** -1.5)


def wsd(t, peak, warmup_steps, steps, decay_steps, start, end, shape, warmup_shape):
    if t < warmup_steps and warmup_shape == "logarithmic":
        return start + (mp.mpf(peak) - start) * mp.log(1 + t) / mp.log(1 + warmup_steps)
    if t < steps - decay_steps:
        return WAYS[warmup_shape](peak, start, 1 - done(t, warmup_steps)) if t < warmup_steps else peak
    return WAYS[shape](peak, end, done(t - (steps - decay_steps), decay_steps))


def rex(t, start, end, steps):
    left = 1 - done(t, steps)
    return end + (mp.mpf(start) - end) * 2 * left / (1 + left)


def tanh_decay(t, start, end, steps, lb, ub):
    part = done(t, steps)
    return end + (mp.mpf(start) - end) * (1 - mp.tanh(lb + (mp.mpf(ub) - lb) * part)) / 2 if part < 1 else end


def inverse_time(t, start, rate, steps):
    return mp.mpf(start) / (1 + mp.mpf(rate) * t / exact(steps))


def power_decay(t, peak, amplitude, exponent, tokens):
    return min(mp.mpf(peak), amplitude * (mp.mpf(tokens) * t) ** exponent) if t else peak


def infinite(t, peak, constant, warmup_steps, cooldown_steps, steps, anneal_steps, start, end, shape):
    if not steps or t < steps - anneal_steps:
        return warmup_cosine(t, peak, warmup_steps, warmup_steps + cooldown_steps, start, constant)
    return WAYS[shape](constant, end, done(t - (steps - anneal_steps), anneal_steps))


def monotone(t, peak, steps, warmup_steps, points, ratios):  # noqa: ARG001 - the ratios say how many points
    if t < warmup_steps:
        return line(0, peak, done(t, warmup_steps))
    values = [mp.mpf(peak) * mp.fprod(map(mp.mpf, ratios[:k])) for k in range(len(ratios) + 1)]
    place = done(t - exact(warmup_steps), steps - warmup_steps) * len(ratios)
    k = min(int(place), len(ratios) - 1)
    return line(values[k], values[k + 1], place - k)


def cosine_restarts(t, start, end, steps, n, stretch, scale, floor):
    cycle, begin, length = 0, Fraction(0), exact(steps)
    if stretch in (None, 1):
        cycle = min(t // steps, n - 1 if n else t)
        begin = cycle * length
    else:
        while t >= begin + length and (n is None or cycle < n - 1):
            cycle, begin, length = cycle + 1, begin + length, length * exact(stretch)
    floor = floor or 0
    return floor + mp.mpf(1 if scale is None else scale) ** cycle * (wave(start, end, done(t - begin, length)) - floor)


def triangular(t, low, high, up, down, mode, gamma):
    down = up if down is None else down
    cycle, inside = divmod(t, up + down)
    height = done(inside, up) if inside < up else 1 - done(inside - up, down)
    factor = {"triangular": 1, "triangular2": mp.mpf(0.5) ** cycle, "exp_range": mp.mpf(gamma) ** t}[mode]
    return mp.mpf(low) + (mp.mpf(high) - mp.mpf(low)) * height * factor


def one_cycle(t, peak, steps, pct_start, div_factor, final_div_factor, anneal, three_phase, pct_final):
    start, rise = mp.mpf(peak) / div_factor, exact(pct_start * steps)
    back = exact(pct_final * steps) if pct_final else 2 * rise
    end = start / final_div_factor
    if t < rise:
        return WAYS[anneal](start, peak, done(t, rise))
    if not three_phase:
        return WAYS[anneal](peak, end, done(t - rise, steps - rise))
    if t < back:
        return WAYS[anneal](peak, start, done(t - rise, back - rise))
    return WAYS[anneal](start, end, done(t - back, steps - back))


def one_cycle_momentum(t, steps, low, high, pct_start, anneal, three_phase, pct_final):
    rise = exact(pct_start * steps)
    back = exact(pct_final * steps) if pct_final else 2 * rise
    if t < rise:
        return WAYS[anneal](high, low, done(t, rise))
    return WAYS[anneal](low, high, done(t - rise, (back if three_phase else steps) - rise))


class Recipe(NamedTuple):
    name: str
    numbers: Callable[[int], dict[str, Any]]

    def make(self, **numbers: Any) -> Any:
        return getattr(ls, self.name)(**numbers)

    def truth(self, t: int, **numbers: Any) -> Any:
        call = inspect.signature(getattr(ls, self.name)).bind(**numbers)
        call.apply_defaults()
        return mp.mpf(globals()[self.name](t, *call.args))

    def case(self) -> Case:
        size = 0.3 if "exponential" in self.numbers(1000).values() else 0.0  # of the terms that cancel
        return Case(lambda n: self.make(**self.numbers(n)), lambda n, t: self.truth(t, **self.numbers(n)), size, recipe=self)


def warmup(n: int) -> dict[str, Any]:
    return {"peak": 0.3, "warmup_steps": n // 10}


def restarts(n: int) -> dict[str, Any]:
    return {"start": 0.3, "end": 0.01, "steps": n // 20}


def waves(n: int) -> dict[str, Any]:
    return {"low": 0.003, "high": 0.1, "up": n // 20}


BETWEEN = {"start": 0.01, "end": 0.003}


def cooled(n: int) -> dict[str, Any]:
    return warmup(n) | {"steps": n, "decay_steps": n // 5}


def cooling(n: int) -> dict[str, Any]:
    return warmup(n) | {"constant": 0.1, "cooldown_steps": n // 3}


LINES = {"anneal": "linear", "pct_start": 0.25}
RECIPES = {
    f"{name} {what}".strip(): Recipe(name, numbers)
    for name, what, numbers in (
        ("step_decay", "", lambda n: {"start": 0.3, "every": n // 30, "factor": 0.5}),
        ("step_decay", "of fractions", lambda n: {"start": 0.3, "every": n // 30 + 0.25, "factor": 0.99}),
        ("step_decay", "up", lambda n: {"start": 0.3, "every": n // 300, "factor": 1.05}),
        ("multi_step", "", lambda n: {"start": 0.3, "milestones": [n // 7, n // 3, n // 3, n - 1], "factor": 0.1}),
        ("warmup_cosine", "", lambda n: warmup(n) | {"steps": n}),
        ("warmup_cosine", "between", lambda n: warmup(n) | {"steps": n} | BETWEEN),
        ("warmup_cosine", "of fractions", lambda n: {"peak": 0.3, "warmup_steps": n // 10 + 0.5, "steps": n}),
        ("warmup_linear", "", lambda n: warmup(n) | {"steps": n}),
        ("warmup_constant", "", lambda n: warmup(n) | {"start": 0.001}),
        ("warmup_inverse_sqrt", "", warmup),
        ("warmup_inverse_sqrt", "of a timescale", lambda n: warmup(n) | {"timescale": n // 2, "start": 0.01}),
        ("noam", "", lambda n: {"dim": 512, "warmup_steps": n // 10}),
        ("wsd", "", cooled),
        ("wsd", "cosine", lambda n: cooled(n) | {"shape": "cosine", "warmup_shape": "cosine"} | BETWEEN),
        ("wsd", "1-sqrt", lambda n: cooled(n) | {"shape": "1-sqrt", "warmup_shape": "1-sqrt", "end": 0.003}),
        ("wsd", "geometric", lambda n: cooled(n) | {"shape": "geometric", "end": 1e-5}),
        ("wsd", "exponential", lambda n: cooled(n) | {"shape": "exponential", "warmup_shape": "logarithmic"} | BETWEEN),
        ("rex", "", lambda n: {"start": 0.3, "end": 0.01, "steps": n}),
        ("tanh_decay", "", lambda n: {"start": 0.3, "end": 0.01, "steps": n}),
        ("tanh_decay", "to 0", lambda n: {"start": 0.3, "end": 0.0, "steps": n, "lb": -6, "ub": 4}),
        ("inverse_time", "", lambda n: {"start": 0.3, "rate": 0.7, "steps": n // 10}),
        ("power_decay", "", lambda _: {"peak": 0.02, "amplitude": 4.0, "tokens": 512}),
        ("infinite", "", cooling),
        ("infinite", "annealed", lambda n: cooling(n) | {"steps": n, "anneal_steps": n // 5, "end": 0.003}),
        ("monotone", "", lambda n: warmup(n) | {"steps": n, "ratios": [0.9, 0.75, 0.25]}),
        ("cosine_restarts", "", restarts),
        ("cosine_restarts", "growing", lambda n: restarts(n) | {"stretch": 2}),
        ("cosine_restarts", "shrinking", lambda n: restarts(n) | {"n": 4, "stretch": 0.5}),
        ("cosine_restarts", "lower", lambda n: restarts(n) | {"scale": 0.8}),
        ("cosine_restarts", "lower onto a floor", lambda n: restarts(n) | {"scale": 0.8, "floor": 0.01}),
        ("cosine_restarts", "growing lower", lambda n: restarts(n) | {"n": 5, "stretch": 1.5, "scale": 0.5}),
        ("triangular", "", waves),
        ("triangular", "falling slowly", lambda n: waves(n) | {"down": n // 10}),
        ("triangular", "halved", lambda n: waves(n) | {"down": n // 10, "mode": "triangular2"}),
        ("triangular", "exp_range", lambda n: waves(n) | {"down": n // 10, "mode": "exp_range", "gamma": 1 - 3 / n}),
        ("one_cycle", "", lambda n: {"peak": 0.3, "steps": n}),
        ("one_cycle", "linear", lambda n: {"peak": 0.3, "steps": n, "div_factor": 10, "final_div_factor": 100} | LINES),
        ("one_cycle", "three lines", lambda n: {"peak": 0.3, "steps": n, "three_phase": True} | LINES),
        ("one_cycle", "uneven", lambda n: {"peak": 0.3, "steps": n, "three_phase": True, "pct_final": 0.75} | LINES),
        ("one_cycle_momentum", "", lambda n: {"steps": n}),
        ("one_cycle_momentum", "three lines", lambda n: {"steps": n, "low": 0.5, "high": 0.9, "three_phase": True} | LINES),
    )
}
CASES = SHAPES | {name: recipe.case() for name, recipe in RECIPES.items()}
