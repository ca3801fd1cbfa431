"""Schedules of n steps: every shape and every recipe with every option, with true values and steps to test.

The formulas of the recipes are from their docstrings and papers; a shape is what meaning.py says.
"""

import functools
import inspect
import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import nested
import numpy as np
from meaning import RAMPS, done, exact, log_done, meaning, mp
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

    @functools.cache  # noqa: B019 - the cases live as long as the tests
    def known(self, n: int) -> dict[int, float]:
        """The values at and around its boundaries that are numbers as they were given, by their steps."""
        if any(getattr(node, "operator", "min") not in ("min", "max") for node in self.nodes()):
            return {}  # of what is computed with, nothing is as given
        given = {float(x) for leaf in jax.tree.leaves(self.make(n)) for x in np.ravel(leaf) if np.isfinite(x)}
        near = sorted({math.ceil(b) + i for b in (0, *self.boundaries(n)) for i in (-1, 0, 1)})
        truth = {t: self.truth(n, t) for t in near if 0 <= t < 2**31}
        return {t: x for t, true in truth.items() for x in given if abs(true - x) <= 1e-50 * abs(x)}

    @property
    def power(self) -> bool:
        """Whether a number is raised to a power in it, or a logarithm, which costs more places."""
        scaled = any(getattr(node, "scale", None) not in (None, 1) for node in self.nodes())
        return scaled or any(isinstance(node, POWERS) or getattr(node, "operator", "") == "**" for node in self.nodes())

    def nodes(self) -> list[Any]:
        schedule = self.make(1000)
        return nodes(getattr(schedule, "composed", schedule))  # of a dialect


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


def along(t, *pieces):
    """The value at a time of pieces one after the other: of each its length, its way, its start and its end."""
    for steps, way, start, end in pieces:
        if t < steps:
            return way(start, end, done(t, steps))
        t -= exact(steps)
    return pieces[-1][-1]


def warmup_constant(t, peak, warmup_steps, start):
    return along(t, (warmup_steps, line, start, peak))


def warmup_linear(t, peak, warmup_steps, steps, start, end, decay=line):
    return along(t, (warmup_steps, line, start, peak), (steps - warmup_steps, decay, peak, end))


def warmup_cosine(t, *numbers):
    return warmup_linear(t, *numbers, decay=wave)


def warmup_inverse_sqrt(t, peak, warmup_steps, timescale, start):
    if t < warmup_steps:
        return line(start, peak, done(t, warmup_steps))
    return mp.mpf(peak) / mp.sqrt(1 + (t - exact(warmup_steps)) / exact(timescale or warmup_steps))


def noam(t, dim, warmup_steps):
    return t and mp.mpf(dim) ** -0.5 * min(mp.mpf(t) ** -0.5, t * mp.mpf(warmup_steps) ** -1.5)


def wsd(t, peak, warmup_steps, steps, decay_steps, start, end, shape, warmup_shape):
    def rise(a, b, p):
        if warmup_shape == "logarithmic":
            return a + (mp.mpf(b) - a) * log_done(p * exact(warmup_steps), warmup_steps)
        return WAYS[warmup_shape](b, a, 1 - p)

    held = steps - decay_steps - warmup_steps
    return along(t, (warmup_steps, rise, start, peak), (held, line, peak, peak), (decay_steps, WAYS[shape], peak, end))


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
    pieces = [(warmup_steps, line, start, peak), (cooldown_steps, wave, peak, constant)]
    if steps:
        held = steps - anneal_steps - cooldown_steps - warmup_steps
        pieces += [(held, line, constant, constant), (anneal_steps, WAYS[shape], constant, end)]
    return along(t, *pieces)


def monotone(t, peak, steps, warmup_steps, points, ratios):  # noqa: ARG001 - the ratios say how many points
    values = [mp.mpf(peak) * mp.fprod(map(mp.mpf, ratios[:k])) for k in range(len(ratios) + 1)]
    each = exact(steps - warmup_steps) / len(ratios)
    return along(t, (warmup_steps, line, 0, peak), *((each, line, a, b) for a, b in itertools.pairwise(values)))


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
    start, rise, way = mp.mpf(peak) / div_factor, exact(pct_start * steps), WAYS[anneal]
    back, end = exact(pct_final * steps) if pct_final else 2 * rise, start / final_div_factor
    three = [(back - rise, way, peak, start), (steps - back, way, start, end)]
    return along(t, (rise, way, start, peak), *(three if three_phase else [(steps - rise, way, peak, end)]))


class Recipe(NamedTuple):
    """A call of a recipe, with n in it."""

    text: str

    @property
    def name(self) -> str:
        return self.text.partition("(")[0]

    def bind(self, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        return inspect.signature(getattr(ls, self.name)).bind(*args, **kwargs)

    def numbers(self, n: int) -> dict[str, Any]:
        return eval(self.text, {self.name: self.bind, "n": n}).arguments

    def make(self, **numbers: Any) -> Any:
        return getattr(ls, self.name)(**numbers)

    def truth(self, t: int, **numbers: Any) -> Any:
        call = self.bind(**numbers)
        call.apply_defaults()
        return mp.mpf(globals()[self.name](t, *call.args))

    def case(self) -> Case:
        size = 0.3 if "exponential" in self.text else 0.0  # of the terms that cancel
        return Case(lambda n: self.make(**self.numbers(n)), lambda n, t: self.truth(t, **self.numbers(n)), size, recipe=self)


CALLS = {
    "step_decay": "step_decay(0.3, n // 30, 0.5)",
    "step_decay of fractions": "step_decay(0.3, n // 30 + 0.25, 0.99)",
    "step_decay up": "step_decay(0.3, n // 300, 1.05)",
    "multi_step": "multi_step(0.3, [n // 7, n // 3, n // 3, n - 1], 0.1)",
    "warmup_cosine": "warmup_cosine(0.3, n // 10, n)",
    "warmup_cosine between": "warmup_cosine(0.3, n // 10, n, start=0.01, end=0.003)",
    "warmup_cosine of fractions": "warmup_cosine(0.3, n // 10 + 0.5, n)",
    "warmup_linear": "warmup_linear(0.3, n // 10, n)",
    "warmup_constant": "warmup_constant(0.3, n // 10, start=0.001)",
    "warmup_inverse_sqrt": "warmup_inverse_sqrt(0.3, n // 10)",
    "warmup_inverse_sqrt of a timescale": "warmup_inverse_sqrt(0.3, n // 10, timescale=n // 2, start=0.01)",
    "noam": "noam(512, n // 10)",
    "wsd": "wsd(0.3, n // 10, n, n // 5)",
    "wsd cosine": "wsd(0.3, n // 10, n, n // 5, 0.01, 0.003, shape='cosine', warmup_shape='cosine')",
    "wsd 1-sqrt": "wsd(0.3, n // 10, n, n // 5, end=0.003, shape='1-sqrt', warmup_shape='1-sqrt')",
    "wsd geometric": "wsd(0.3, n // 10, n, n // 5, end=1e-5, shape='geometric')",
    "wsd exponential": "wsd(0.3, n // 10, n, n // 5, 0.01, 0.003, shape='exponential', warmup_shape='logarithmic')",
    "rex": "rex(0.3, 0.01, n)",
    "tanh_decay": "tanh_decay(0.3, 0.01, n)",
    "tanh_decay to 0": "tanh_decay(0.3, 0.0, n, lb=-6, ub=4)",
    "inverse_time": "inverse_time(0.3, 0.7, n // 10)",
    "power_decay": "power_decay(0.02, 4.0, tokens=512)",
    "infinite": "infinite(0.3, 0.1, n // 10, n // 3)",
    "infinite annealed": "infinite(0.3, 0.1, n // 10, n // 3, n, n // 5, end=0.003)",
    "monotone": "monotone(0.3, n, n // 10, ratios=[0.9, 0.75, 0.25])",
    "cosine_restarts": "cosine_restarts(0.3, 0.01, n // 20)",
    "cosine_restarts growing": "cosine_restarts(0.3, 0.01, n // 20, stretch=2)",
    "cosine_restarts shrinking": "cosine_restarts(0.3, 0.01, n // 20, n=4, stretch=0.5)",
    "cosine_restarts lower": "cosine_restarts(0.3, 0.01, n // 20, scale=0.8)",
    "cosine_restarts lower onto a floor": "cosine_restarts(0.3, 0.01, n // 20, scale=0.8, floor=0.01)",
    "cosine_restarts growing lower": "cosine_restarts(0.3, 0.01, n // 20, n=5, stretch=1.5, scale=0.5)",
    "triangular": "triangular(0.003, 0.1, n // 20)",
    "triangular falling slowly": "triangular(0.003, 0.1, n // 20, n // 10)",
    "triangular halved": "triangular(0.003, 0.1, n // 20, n // 10, mode='triangular2')",
    "triangular exp_range": "triangular(0.003, 0.1, n // 20, n // 10, mode='exp_range', gamma=1 - 3 / n)",
    "one_cycle": "one_cycle(0.3, n)",
    "one_cycle linear": "one_cycle(0.3, n, 0.25, div_factor=10, final_div_factor=100, anneal='linear')",
    "one_cycle three lines": "one_cycle(0.3, n, 0.25, three_phase=True, anneal='linear')",
    "one_cycle uneven": "one_cycle(0.3, n, 0.25, three_phase=True, pct_final=0.75, anneal='linear')",
    "one_cycle momentum": "one_cycle(0.85, n, div_factor=0.9, final_div_factor=1.0)",
}
RECIPES = {name: Recipe(text) for name, text in CALLS.items()}
CASES = SHAPES | {name: recipe.case() for name, recipe in RECIPES.items()}
