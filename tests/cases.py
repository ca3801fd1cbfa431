"""Schedules of n steps of every shape and every recipe with every option: where they turn, what they must be, and formulas.

The formulas of the recipes are from their docstrings and papers; a shape is what meaning.py says.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np
from meaning import RAMPS, done, exact, meaning, mp
from nested import inverse_time

import lrsched as ls
from lrsched.algebra.shapes import Ramp


class Case(NamedTuple):
    """A schedule of n steps."""

    make: Callable[[int], Any]
    boundaries: Callable[[int], tuple[Any, ...]] = lambda n: (n,)
    known: Callable[[int], dict[int, float]] = lambda _: {}  # values that must be exactly as given, by their steps
    formula: Callable[[int, int], Any] | None = None  # of n and t; None: the meaning of the node
    size: float = 0.0  # of the terms, where they cancel
    stepped: bool = False  # whether it moves at the boundaries only
    power: bool = False  # whether a number is raised to a power in it, which costs more places
    longest: int = 2**31 - 2  # the most steps for which it can be called: what walks through them takes too long
    call: Callable[[Any, Any], Any] = lambda s, steps: s(steps)
    recipe: Any = None  # of which it is made, if it is

    def steps(self, n: int) -> Any:
        near = [math.ceil(b) + i for b in (0, *self.boundaries(n)) for i in range(-2, 3)]
        between = np.linspace(0, n, 60).astype(np.int64)
        return np.unique(np.clip([*near, *between, n + n // 9], 0, 2**31 - 1)).astype(np.int32)

    def truth(self, n: int, t: int) -> Any:
        return self.formula(n, t) if self.formula else meaning(self.make(n), t)


# Shapes


def ramp(kind: Any, start: float, stop: float, *more: float, size: float = 0.0) -> Case:
    return Case(
        lambda n: kind(start, stop, n, *more),
        known=lambda n: {0: start, n: stop, n + 1: stop},
        size=size,
        power=kind is ls.Geometric or more != (),
    )


def table(kind: Any) -> Case:
    return Case(
        lambda n: ls.Piecewise([n // 7, n // 3, n - 5, n], [0.7, 1.0, 0.5, 0.0], kind=kind),
        boundaries=lambda n: (n // 7, n // 3, n - 5, n),
        known=lambda n: {0: 0.7, n // 7: 0.7, n // 3: 1.0, n - 5: 0.5, n: 0.0, n + 1: 0.0},
        stepped=kind == "constant",
    )


def words(kind: type) -> str:
    """The name of a class as words."""
    return re.sub("(?<=.)(?=[A-Z])", " ", kind.__name__).lower()


ENDS = {"": (1e-3, 1e-7), " to 0": (0.1, 0.0), " from 0": (0.0, 0.3), " through 0": (0.7, -0.3)}
SHAPES = {
    "constant": Case(lambda n: ls.Constant(0.3, n), known=lambda n: {0: 0.3, n: 0.3}),
    **{
        " ".join([words(kind), *map(str, more)]) + what: ramp(kind, *ends, *more, size=0.7 * ("through" in what))
        for kind, way in RAMPS.items()
        if issubclass(kind, Ramp)
        for more in way.examples
        for what, ends in ENDS.items()
    },
    "geometric": ramp(ls.Geometric, 1e-3, 1e-5),
    "geometric up": ramp(ls.Geometric, 1e-7, 10.0),
    "geometric down": ramp(ls.Geometric, 1e30, 1e-30),
    "geometric below 0": ramp(ls.Geometric, -1e-7, -10.0),
    "exponential down": Case(lambda n: ls.Exponential(0.1, 1 - 20 / n), known=lambda _: {0: 0.1}, power=True),
    "exponential up": Case(lambda n: ls.Exponential(0.1, 1 + 20 / n), known=lambda _: {0: 0.1}, power=True),
    "inverse sqrt of n": Case(lambda n: ls.InverseSqrt(0.3, n), known=lambda _: {0: 0.3}),
    "inverse sqrt of a few": Case(lambda _: ls.InverseSqrt(0.3, 7.5), known=lambda _: {0: 0.3}),
    "table of steps": table("constant"),
    "table of lines": table("linear"),
    "table of waves": table("cosine"),
    "line in stairs": Case(
        lambda n: ls.Linear(0.3, 0.0, n // 30 * 30).staircase(n // 30),
        boundaries=lambda n: tuple(n // 30 * k for k in range(1, 31)),
        known=lambda n: {0: 0.3, n // 30 - 1: 0.3, n // 30 * 15: 0.15, n // 30 * 30: 0.0},
        stepped=True,
    ),
    "time": Case(lambda _: ls.Time(), known=lambda n: {0: 0.0, n: n}),
    "function": Case(lambda n: ls.Function(inverse_time, 0.3, 10 / n), known=lambda _: {0: 0.3}),
}


# Recipes, from their docstrings and papers


def way(kind: Any) -> Callable[..., Any]:
    return lambda a, b, p: RAMPS[kind].value(mp.mpf(a), mp.mpf(b), p)


line, wave, decay_of_root, straight_in_log = map(way, (ls.Linear, ls.Cosine, ls.OneMinusSqrt, ls.Geometric))


def after_warmup(t: int, start: float, peak: float, warmup_steps: Any, rest: Any) -> Any:
    return line(start, peak, done(t, warmup_steps)) if t < warmup_steps else rest(t - exact(warmup_steps))


def step_decay(t: int, start: float, every: float, factor: float) -> Any:
    return mp.mpf(start) * mp.mpf(factor) ** (exact(t) // exact(every))


def multi_step(t: int, start: float, milestones: Any, factor: float) -> Any:
    return mp.mpf(start) * mp.mpf(factor) ** sum(t >= m for m in milestones)


def warmup_cosine(t: int, peak: float, warmup_steps: float, steps: int, start: float = 0.0, end: float = 0.0) -> Any:
    decay = functools.partial(wave, peak, end)
    return after_warmup(t, start, peak, warmup_steps, lambda u: decay(done(u, steps - warmup_steps)))


def warmup_linear(t: int, peak: float, warmup_steps: float, steps: int, start: float = 0.0, end: float = 0.0) -> Any:
    decay = functools.partial(line, peak, end)
    return after_warmup(t, start, peak, warmup_steps, lambda u: decay(done(u, steps - warmup_steps)))


def warmup_constant(t: int, peak: float, warmup_steps: float, start: float = 0.0) -> Any:
    return after_warmup(t, start, peak, warmup_steps, lambda _: peak)


def warmup_inverse_sqrt(t: int, peak: float, warmup_steps: float, timescale: Any = None, start: float = 0.0) -> Any:
    scale = exact(timescale or warmup_steps)
    return after_warmup(t, start, peak, warmup_steps, lambda u: mp.mpf(peak) / mp.sqrt(1 + u / scale))


def noam(t: int, dim: float, warmup_steps: float) -> Any:
    if t == 0:
        return mp.mpf(0)
    return mp.mpf(dim) ** -0.5 * min(mp.mpf(t) ** -0.5, t * mp.mpf(warmup_steps) ** -1.5)


COOL_DOWNS = {"linear": line, "cosine": wave, "1-sqrt": decay_of_root, "geometric": straight_in_log}


def wsd(
    t: int,
    peak: float,
    warmup_steps: int,
    steps: int,
    decay_steps: int,
    start: float = 0.0,
    end: float = 0.0,
    shape: Any = "linear",
) -> Any:
    if t < steps - decay_steps:
        return after_warmup(t, start, peak, warmup_steps, lambda _: peak)
    return COOL_DOWNS[shape](peak, end, done(t - (steps - decay_steps), decay_steps))


def cosine_restarts(
    t: int, start: float, stop: float, steps: int, n: Any = None, stretch: Any = None, scale: Any = None
) -> Any:
    cycle, begin, length = 0, Fraction(0), exact(steps)
    if stretch in (None, 1):
        cycle = min(t // steps, n - 1 if n else t)
        begin = cycle * length
    else:
        while t >= begin + length and (n is None or cycle < n - 1):
            cycle, begin, length = cycle + 1, begin + length, length * exact(stretch)
    return mp.mpf(1 if scale is None else scale) ** cycle * wave(start, stop, done(t - begin, length))


def triangular(t: int, low: float, high: float, up: int, down: Any = None, mode: str = "triangular", gamma: float = 1.0) -> Any:
    down = up if down is None else down
    cycle, inside = divmod(t, up + down)
    height = done(inside, up) if inside < up else 1 - done(inside - up, down)
    factor = {"triangular": 1, "triangular2": mp.mpf(0.5) ** cycle, "exp_range": mp.mpf(gamma) ** t}[mode]
    return mp.mpf(low) + (mp.mpf(high) - mp.mpf(low)) * height * factor


def one_cycle(
    t: int,
    peak: float,
    steps: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal: str = "cosine",
    three_phase: bool = False,
) -> Any:
    phase, rise = {"cosine": wave, "linear": line}[anneal], exact(pct_start * steps)
    start = mp.mpf(peak) / div_factor
    end = start / final_div_factor
    if t < rise:
        return phase(start, peak, done(t, rise))
    if not three_phase:
        return phase(peak, end, done(t - rise, steps - rise))
    if t < 2 * rise:
        return phase(peak, start, done(t - rise, rise))
    return phase(start, end, done(t - 2 * rise, steps - 2 * rise))


def one_cycle_momentum(
    t: int,
    steps: int,
    low: float = 0.85,
    high: float = 0.95,
    pct_start: float = 0.3,
    anneal: str = "cosine",
    three_phase: bool = False,
) -> Any:
    phase, rise = {"cosine": wave, "linear": line}[anneal], exact(pct_start * steps)
    if t < rise:
        return phase(high, low, done(t, rise))
    return phase(low, high, done(t - rise, rise if three_phase else steps - rise))


class Recipe(NamedTuple):
    name: str
    numbers: Callable[[int], dict[str, Any]]
    boundaries: Callable[[int], tuple[Any, ...]]
    known: Callable[[int], dict[int, float]]
    stepped: bool = False

    def make(self, **numbers: Any) -> Any:
        return getattr(ls, self.name)(**numbers)

    def truth(self, t: int, **numbers: Any) -> Any:
        return mp.mpf(globals()[self.name](t, **numbers))

    def case(self) -> Case:
        return Case(
            lambda n: self.make(**self.numbers(n)),
            self.boundaries,
            self.known,
            lambda n, t: self.truth(t, **self.numbers(n)),
            stepped=self.stepped,
            power=has_power(**self.numbers(1000)),
            recipe=self,
        )


def has_power(factor: Any = None, scale: Any = None, mode: str = "", shape: str = "", **others: Any) -> bool:
    """Whether these arguments of a recipe raise a number to a power."""
    del others
    return factor is not None or scale not in (None, 1) or mode in ("triangular2", "exp_range") or shape == "geometric"


def of_warmup(name: str, **more: Any) -> Recipe:
    start, end = more.get("start", 0.0), more.get("end", 0.0)
    return Recipe(
        name,
        lambda n: {"peak": 0.3, "warmup_steps": n // 10, "steps": n, **more},
        lambda n: (n // 10, n),
        lambda n: {0: start, n // 10: 0.3, n: end, n + 1: end},
    )


def of_wsd(shape: str, **more: Any) -> Recipe:
    start, end = more.get("start", 0.0), more.get("end", 0.0)
    return Recipe(
        "wsd",
        lambda n: {"peak": 0.3, "warmup_steps": n // 10, "steps": n, "decay_steps": n // 5, "shape": shape, **more},
        lambda n: (n // 10, n - n // 5, n),
        lambda n: {0: start, n // 10: 0.3, n - n // 5 - 1: 0.3, n - n // 5: 0.3, n: end, n + 1: end},
    )


def of_restarts(known: Any = None, **more: Any) -> Recipe:
    def boundaries(n: int) -> tuple[Any, ...]:
        lengths = (n // 20 * more.get("stretch", 1) ** k for k in range(more.get("n", 20)))
        return tuple(end for end in itertools.accumulate(lengths) if end <= n)

    return Recipe(
        "cosine_restarts",
        lambda n: {"start": 0.3, "stop": 0.01, "steps": n // 20, **more},
        boundaries,
        known or (lambda n: {0: 0.3, n // 20: 0.3, 3 * (n // 20): 0.3}),
    )


def of_triangular(**more: Any) -> Recipe:
    return Recipe(
        "triangular",
        lambda n: {"low": 0.003, "high": 0.1, "up": n // 20, "down": n // 10, **more},
        lambda n: tuple(n // 20 * i + n // 10 * j for i in range(8) for j in (i - 1, i) if j >= 0),
        lambda n: {0: 0.003, n // 20: 0.1, n // 20 + n // 10: 0.003},
    )


def of_one_cycle(name: str, known: Any, **more: Any) -> Recipe:
    return Recipe(
        name,
        lambda n: {**({"peak": 0.3} if name == "one_cycle" else {}), "steps": n, **more},
        lambda n: (n * 0.3, n * 0.6, n),
        known,
    )


RECIPES = {
    "step_decay": Recipe(
        "step_decay",
        lambda n: {"start": 0.3, "every": n // 30, "factor": 0.5},
        lambda n: tuple(n // 30 * k for k in (1, 2, 3, 10, 11, 29, 30, 31)),
        lambda n: {0: 0.3, n // 30 - 1: 0.3, n // 30: 0.15, n // 30 * 2 - 1: 0.15, n // 30 * 2: 0.075},
        stepped=True,
    ),
    "step_decay of fractions": Recipe(
        "step_decay",
        lambda n: {"start": 0.3, "every": n // 30 + 0.25, "factor": 0.99},
        lambda n: tuple((n // 30 + 0.25) * k for k in (1, 2, 3, 4, 5, 11, 29, 30)),
        lambda n: {0: 0.3, n // 30: 0.3},
        stepped=True,
    ),
    "step_decay up": Recipe(
        "step_decay",
        lambda n: {"start": 0.3, "every": n // 300, "factor": 1.05},
        lambda n: tuple(n // 300 * k for k in (1, 2, 3, 99, 100, 200, 299, 300, 301)),
        lambda n: {0: 0.3, n // 300 - 1: 0.3},
        stepped=True,
    ),
    "multi_step": Recipe(
        "multi_step",
        lambda n: {"start": 0.3, "milestones": [n // 7, n // 3, n // 3, n - 1], "factor": 0.1},
        lambda n: (n // 7, n // 3, n - 1),
        lambda n: {0: 0.3, n // 7 - 1: 0.3, n // 7: 0.03, n // 3 - 1: 0.03, n // 3: 0.0003, n - 2: 0.0003, n - 1: 0.00003},
        stepped=True,
    ),
    "warmup_cosine": of_warmup("warmup_cosine"),
    "warmup_cosine between": of_warmup("warmup_cosine", start=0.01, end=0.003),
    "warmup_cosine of fractions": Recipe(
        "warmup_cosine",
        lambda n: {"peak": 0.3, "warmup_steps": n // 10 + 0.5, "steps": n},
        lambda n: (n // 10, n),
        lambda n: {0: 0.0, n: 0.0},
    ),
    "warmup_linear": of_warmup("warmup_linear"),
    "warmup_linear between": of_warmup("warmup_linear", start=0.01, end=0.003),
    "warmup_constant": Recipe(
        "warmup_constant",
        lambda n: {"peak": 0.3, "warmup_steps": n // 3, "start": 0.001},
        lambda n: (n // 3, n),
        lambda n: {0: 0.001, n // 3: 0.3, n: 0.3},
    ),
    "warmup_inverse_sqrt": Recipe(
        "warmup_inverse_sqrt",
        lambda n: {"peak": 0.3, "warmup_steps": n // 10},
        lambda n: (n // 10, n),
        lambda n: {0: 0.0, n // 10: 0.3},
    ),
    "warmup_inverse_sqrt of a timescale": Recipe(
        "warmup_inverse_sqrt",
        lambda n: {"peak": 0.3, "warmup_steps": n // 10, "timescale": n // 2, "start": 0.01},
        lambda n: (n // 10, n),
        lambda n: {0: 0.01, n // 10: 0.3},
    ),
    "noam": Recipe("noam", lambda n: {"dim": 512, "warmup_steps": n // 10}, lambda n: (n // 10, n), lambda _: {0: 0.0}),
    "wsd": of_wsd("linear"),
    "wsd between": of_wsd("linear", start=0.01, end=0.003),
    "wsd cosine": of_wsd("cosine"),
    "wsd 1-sqrt": of_wsd("1-sqrt", end=0.003),
    "wsd geometric": of_wsd("geometric", end=1e-5),
    "cosine_restarts": of_restarts(),
    "cosine_restarts often": of_restarts(n=5),
    "cosine_restarts growing": of_restarts(
        stretch=2, known=lambda n: {0: 0.3, n // 20: 0.3, n // 20 * 3: 0.3, n // 20 * 7: 0.3}
    ),
    "cosine_restarts shrinking": of_restarts(n=4, stretch=0.5, known=lambda n: {0: 0.3, n // 20: 0.3, n: 0.01}),
    "cosine_restarts lower": of_restarts(scale=0.8, known=lambda _: {0: 0.3}),
    "cosine_restarts growing lower": of_restarts(n=5, stretch=1.5, scale=0.5, known=lambda n: {0: 0.3, n // 20: 0.15}),
    "triangular": of_triangular(),
    "triangular alike": Recipe(
        "triangular",
        lambda n: {"low": 0.003, "high": 0.1, "up": n // 20},
        lambda n: tuple(n // 20 * k for k in range(21)),
        lambda n: {0: 0.003, n // 20: 0.1, n // 20 * 2: 0.003, n // 20 * 3: 0.1},
    ),
    "triangular2": of_triangular(mode="triangular2"),
    "triangular exp_range": Recipe(
        "triangular",
        lambda n: {"low": 0.003, "high": 0.1, "up": n // 20, "down": n // 10, "mode": "exp_range", "gamma": 1 - 3 / n},
        lambda n: tuple(n // 20 * i + n // 10 * j for i in range(8) for j in (i - 1, i) if j >= 0),
        lambda n: {0: 0.003, n // 20 + n // 10: 0.003},
    ),
    "one_cycle": of_one_cycle("one_cycle", lambda n: {0: 0.3 / 25, n: 0.3 / 25 / 1e4}),
    "one_cycle linear": of_one_cycle(
        "one_cycle", lambda n: {0: 0.03, n: 3e-4}, anneal="linear", div_factor=10, final_div_factor=100
    ),
    "one_cycle three phases": of_one_cycle("one_cycle", lambda n: {0: 0.3 / 25, n: 0.3 / 25 / 1e4}, three_phase=True),
    "one_cycle three lines": of_one_cycle(
        "one_cycle", lambda n: {0: 0.3 / 25, n: 0.3 / 25 / 1e4}, three_phase=True, anneal="linear", pct_start=0.25
    ),
    "one_cycle_momentum": of_one_cycle("one_cycle_momentum", lambda n: {0: 0.95, n: 0.95}),
    "one_cycle_momentum linear": of_one_cycle(
        "one_cycle_momentum", lambda n: {0: 0.9, n: 0.9}, anneal="linear", low=0.5, high=0.9
    ),
    "one_cycle_momentum three phases": of_one_cycle("one_cycle_momentum", lambda n: {0: 0.95, n: 0.95}, three_phase=True),
}
CASES = SHAPES | {name: recipe.case() for name, recipe in RECIPES.items()}


# What follows plateaus instead of steps: n of them


def at_plateaus(s: Any, counts: Any) -> Any:
    """A driven schedule of one clock, after so many plateaus."""
    state = ls.init(s)

    def after(count: Any) -> Any:
        return ls.evaluate(s, state._replace(clocks=(state.clocks[0]._replace(plateaus=count),)))

    return np.array([after(np.int32(k)) for k in counts]) if isinstance(counts, np.ndarray) else jax.vmap(after)(counts)


def on_plateaus(factor: float, lowest: float) -> Case:
    return Case(
        lambda _: ls.reduce_on_plateau(factor, min_scale=lowest),
        known=lambda _: {0: 1.0, 900: lowest},
        formula=lambda _, k: max(mp.mpf(factor) ** k, mp.mpf(lowest)),
        power=True,
        longest=10**3,
        call=at_plateaus,
    )


DRIVEN = {
    "reduce_on_plateau": on_plateaus(0.5, 0.0)._replace(known=lambda _: {0: 1.0, 1: 0.5, 2: 0.25}),
    "reduce_on_plateau to a lowest scale": on_plateaus(0.9, 1e-20),
}
