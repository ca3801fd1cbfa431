"""What PyTorch's schedulers mean, as mathematics and without rounding: more of meaning.py, for the dialect.

From PyTorch's documentation, its formulas and its loops, and not from how the dialect composes them.
"""

import functools
import itertools
import math
from fractions import Fraction
from typing import Any

from meaning import mp, number, value

import lrsched as ls
from lrsched.dialects import torch


def falling(high: Any, low: Any, p: Any) -> Any:
    """Half a wave from one to the other."""
    return low + (high - low) * (1 + mp.cos(mp.pi * p)) / 2


def straight(high: Any, low: Any, p: Any) -> Any:
    return high + (low - high) * p


ANNEALING = {"cos": falling, "linear": straight}


class Table:
    """The values of a loop at 0, 1, 2, …, walked as far as asked for."""

    def __init__(self, values: Any) -> None:
        self.seen, self.ahead = [], values

    def __getitem__(self, i: int) -> Any:
        self.seen += itertools.islice(self.ahead, max(i + 1 - len(self.seen), 0))
        return self.seen[i]


@functools.cache
def products(fn: Any, first: int) -> Table:
    """At i, the product of a function at `first`, …, i; nothing before is 1."""
    values = itertools.chain([mp.mpf(1)] * first, (fn(mp.mpf(i)) for i in itertools.count(first)))
    return Table(itertools.accumulate(values, lambda a, b: a * b))


@value.register
def _(s: torch.LambdaLR, t: Fraction) -> Any:
    return number(s.base_lr) * s.lr_lambda(mp.mpf(t))


@value.register
def _(s: torch.MultiplicativeLR, t: Fraction) -> Any:
    return number(s.base_lr) * products(s.lr_lambda, 1)[math.floor(t)]


@value.register
def _(s: torch.StepLR, t: Fraction) -> Any:
    return number(s.base_lr) * mp.mpf(number(s.gamma)) ** math.floor(t / number(s.step_size))


@value.register
def _(s: torch.MultiStepLR, t: Fraction) -> Any:
    return number(s.base_lr) * mp.mpf(number(s.gamma)) ** sum(number(m) <= t for m in s.milestones)


@value.register
def _(s: torch.ConstantLR, t: Fraction) -> Any:
    return number(s.base_lr) * (number(s.factor) if t < number(s.total_iters) else 1)


@value.register
def _(s: torch.LinearLR, t: Fraction) -> Any:
    total = number(s.total_iters)
    return number(s.base_lr) * straight(number(s.start_factor), number(s.end_factor), min(t, total) / total)


@value.register
def _(s: torch.ExponentialLR, t: Fraction) -> Any:
    return number(s.base_lr) * mp.mpf(number(s.gamma)) ** t


@value.register
def _(s: torch.PolynomialLR, t: Fraction) -> Any:
    total = number(s.total_iters)
    return number(s.base_lr) * mp.mpf(1 - min(t, total) / total) ** number(s.power)


@value.register
def _(s: torch.CosineAnnealingLR, t: Fraction) -> Any:
    return falling(number(s.base_lr), number(s.eta_min), t / number(s.T_max))


@value.register
def _(s: torch.CosineAnnealingWarmRestarts, t: Fraction) -> Any:
    length, ratio = number(s.T_0), number(s.T_mult)
    if ratio == 1:
        t %= length
    while t >= length:
        t, length = t - length, length * ratio
    return falling(number(s.base_lr), number(s.eta_min), t / length)


def cyclic(s: Any, low: Any, high: Any, t: Fraction) -> Any:
    up = number(s.step_size_up)
    length = up + (up if s.step_size_down is None else number(s.step_size_down))
    cycle = math.floor(1 + t / length)
    x, ratio = 1 + t / length - cycle, up / length
    height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    if s.scale_fn is not None:
        scale = s.scale_fn(mp.mpf(cycle if s.scale_mode == "cycle" else t))
    else:
        scale = {"triangular": 1, "triangular2": mp.mpf(2) ** (1 - cycle), "exp_range": mp.mpf(number(s.gamma)) ** t}[s.mode]
    return low + (high - low) * height * scale


@value.register
def _(s: torch.CyclicLR, t: Fraction) -> Any:
    return cyclic(s, number(s.base_lr), number(s.max_lr), t)


@value.register
def _(s: torch.CyclicMomentum, t: Fraction) -> Any:
    return cyclic(s, number(s.max_momentum), number(s.base_momentum), t)


def one_cycle(s: Any, t: Fraction, *values: Any) -> Any:
    """Through values at the ends of the phases."""
    total = number(s.epochs) * number(s.steps_per_epoch) if s.total_steps is None else number(s.total_steps)
    rise = number(s.pct_start) * total - 1
    ends = [Fraction(0), rise, *([2 * rise] if s.three_phase else []), total - 1]
    t = min(t, ends[-1])
    phase = next(i for i in range(len(ends) - 1) if t <= ends[i + 1])
    p = (t - ends[phase]) / (ends[phase + 1] - ends[phase])
    return ANNEALING[s.anneal_strategy](values[phase], values[phase + 1], p)


@value.register
def _(s: torch.OneCycleLR, t: Fraction) -> Any:
    high = number(s.max_lr)
    first = high / number(s.div_factor)
    return one_cycle(s, t, first, high, *([first] if s.three_phase else []), first / number(s.final_div_factor))


@value.register
def _(s: torch.OneCycleMomentum, t: Fraction) -> Any:
    high, low = number(s.max_momentum), number(s.base_momentum)
    return one_cycle(s, t, high, low, *([high] if s.three_phase else []), high)


def annealed(s: torch.SWALR, rate: Any, t: Fraction) -> Any:
    epochs = number(s.anneal_epochs)
    return ANNEALING[s.anneal_strategy](rate, number(s.swa_lr), min(t, epochs) / epochs)


@value.register
def _(s: torch.SWALR, t: Fraction) -> Any:
    return annealed(s, number(s.base_lr), t)


@value.register
def _(s: torch.SequentialLR, t: Fraction) -> Any:
    return in_sequence(s.schedules, [number(m) for m in s.milestones], t)


def in_sequence(children: Any, milestones: Any, t: Fraction) -> Any:
    running = sum(m <= t for m in milestones)
    child = children[running]
    if running == 0:
        return value(child, t)
    begin = milestones[running - 1]
    if isinstance(child, torch.MultiplicativeLR | torch.SWALR):
        rate = in_sequence(children[:running], milestones[: running - 1], begin - 1)
        if isinstance(child, torch.SWALR):
            return annealed(child, rate, t - begin)
        return rate * products(child.lr_lambda, 0)[math.floor(t - begin)]
    return value(child, t - begin)


MULTIPLYING = (torch.StepLR, torch.MultiStepLR, torch.ConstantLR, torch.LinearLR, torch.ExponentialLR, torch.PolynomialLR)


@value.register
def _(s: torch.ChainedScheduler, t: Fraction) -> Any:
    children: Any = s.schedules
    base = number(children[0].base_lr)
    if all(isinstance(child, MULTIPLYING) for child in children):
        return base * math.prod((value(child, t) / base for child in children), start=mp.mpf(1))
    return CHAINS.setdefault(repr(s), Table(in_turn(s)))[math.floor(t)]


CHAINS: dict[str, Table] = {}


def in_turn(s: Any) -> Any:
    """The rates of PyTorch's loop, in which each child changes what it finds."""
    rate = number(s.schedules[0].base_lr)
    for t in itertools.count():
        for child in s.schedules if t else ():
            rate = changed(child, rate, t)
        yield rate


def changed(child: ls.Schedule, rate: Any, t: int) -> Any:
    """The rate after step t >= 1 of a child, by PyTorch's recursions."""
    if isinstance(child, torch.StepLR):
        return rate * number(child.gamma) if t % number(child.step_size) == 0 else rate
    assert isinstance(child, torch.CosineAnnealingLR), child
    base, low, half = number(child.base_lr), number(child.eta_min), number(child.T_max)
    if (t - 1 - half) % (2 * half) == 0:
        return rate + (base - low) * (1 - mp.cos(mp.pi / half)) / 2
    return low + (rate - low) * (1 + mp.cos(mp.pi * t / half)) / (1 + mp.cos(mp.pi * (t - 1) / half))
