"""Every scheduler of the PyTorch dialect with every option: a few small examples, and schedules of n steps.

Their meaning is that of the nodes they are composed of; that these do what PyTorch does, its recorded traces show.
"""

import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from cases import Case, at_plateaus
from meaning import mp, number, value

from lrsched.dialects import torch
from lrsched.dialects.torch.scheduler import Scheduler


@value.register
def _(s: Scheduler, t: Fraction) -> Any:
    return value(s.composed, t)


@value.register
def _(s: torch.Recurrence, t: Fraction) -> Any:
    return next(itertools.islice(_rates(s), math.floor(t), None))


@functools.cache
def _seen(s: torch.Recurrence) -> list[Any]:
    """The rates of a schedule that are known already."""
    del s
    return []


def _rates(s: torch.Recurrence) -> Any:
    rate, seen = number(s.start), _seen(s)
    yield from seen
    rate = seen[-1] if seen else rate
    for t in itertools.count(len(seen)):
        rate = value(s.scale, Fraction(t)) * rate + value(s.offset, Fraction(t))
        seen.append(rate)
        yield rate


def inverse(t: Any) -> Any:
    return 1 / (1 + 0.25 * t)


def sinking(t: Any) -> Any:
    return (1 + t) / (2 + t)


def nearly_one(t: Any) -> Any:
    return 1 - 0.1 / (1 + t)


# Small examples: numbers that are exact in float32.
LINEAR = torch.LinearLR(0.5, 0.25, 1.0, 6)
EXPONENTIAL = torch.ExponentialLR(0.5, 0.875)
COSINE = torch.CosineAnnealingLR(0.5, 8, 0.125)
STEP = torch.StepLR(0.5, 4, 0.5)
MULTIPLICATIVE = torch.MultiplicativeLR(0.5, nearly_one)
WITHOUT_FUNCTIONS = [
    STEP,
    torch.MultiStepLR(0.5, [3, 7, 7], 0.5),
    torch.ConstantLR(0.5, 0.25, 6),
    LINEAR,
    EXPONENTIAL,
    torch.PolynomialLR(0.5, 8, 2.0),
    COSINE,
    torch.CosineAnnealingWarmRestarts(0.5, 4, 2, 0.125),
    torch.CyclicLR(0.125, 0.5, 4, 6, "exp_range", 0.875),
    torch.CyclicLR(0.125, 0.5, 4, mode="triangular2"),
    torch.CyclicMomentum(0.125, 0.5, 4),
    torch.OneCycleLR(0.5, 20, pct_start=0.25, div_factor=8.0, final_div_factor=16.0),
    torch.OneCycleLR(0.5, epochs=5, steps_per_epoch=4, pct_start=0.25, anneal_strategy="linear", three_phase=True),
    torch.OneCycleMomentum(0.5, 20, pct_start=0.25),
    torch.SWALR(0.5, 0.25, 8),
    torch.SequentialLR([LINEAR, EXPONENTIAL], [6]),
    torch.ChainedScheduler([LINEAR, EXPONENTIAL]),
    torch.ChainedScheduler([COSINE, STEP]),
]
EXAMPLES = [
    *WITHOUT_FUNCTIONS,
    torch.LambdaLR(0.5, inverse),
    MULTIPLICATIVE,
    torch.CyclicLR(0.125, 0.5, 4, scale_fn=inverse),
    torch.CyclicLR(0.125, 0.5, 4, scale_fn=inverse, scale_mode="iterations"),
    torch.SequentialLR([LINEAR, MULTIPLICATIVE, torch.SWALR(0.5, 0.25, 4)], [6, 12]),
]


def multiples(of: int, *counts: int) -> Callable[[int], tuple[int, ...]]:
    """Boundaries at multiples of a fraction of n, and at n."""
    return lambda n: (*(n // of * k for k in counts), n)


def cyclic(kind: Any, **more: Any) -> Case:
    twin, power = kind is torch.CyclicMomentum, more.get("mode", "triangular") != "triangular"
    first = 0.9 if twin else 0.003
    return Case(
        lambda n: kind(0.003, 0.1, n // 20, n // 10, **(more | {"gamma": 1 - 3 / n} if "gamma" in more else more)),
        lambda n: tuple(n // 20 * i + n // 10 * j for i in range(8) for j in (i - 1, i) if j >= 0),
        lambda _: {0: first},
        power=power,
    )


def one_cycle(kind: Any, **more: Any) -> Case:
    first = 0.95 if kind is torch.OneCycleMomentum else 0.3 / more.get("div_factor", 25.0)
    start = more.get("pct_start", 0.3)
    return Case(
        lambda n: kind(0.3, **(more if "epochs" in more else {"total_steps": n, **more})),
        lambda n: (start * n - 1, 2 * start * n - 2, n - 1),
        lambda _: {0: first},
    )


def epochs(kind: Any, count: int, **more: Any) -> Case:
    """A one-cycle whose length is a number of epochs."""
    of_total = one_cycle(kind, **more)
    return of_total._replace(make=lambda n: kind(0.3, epochs=count, steps_per_epoch=n // count, **more))


def reductions(n: int, k: int) -> Any:
    """The rate of PyTorch's loop after k plateaus."""
    del n
    rate, factor, lowest, eps = mp.mpf(0.3), mp.mpf(0.9), mp.mpf(1e-4), mp.mpf(1e-8)
    for _ in range(min(k, 200)):  # long before, nothing moves any more
        reduced = max(rate * factor, lowest)
        rate = reduced if rate - reduced > eps else rate
    return rate


TORCH = {
    "LambdaLR": Case(lambda _: torch.LambdaLR(0.3, inverse), known=lambda _: {0: 0.3}),
    "MultiplicativeLR": Case(
        lambda _: torch.MultiplicativeLR(0.3, sinking), known=lambda _: {0: 0.3}, power=True, longest=10**5
    ),
    "StepLR": Case(
        lambda n: torch.StepLR(0.3, n // 30, 0.5),
        multiples(30, 1, 2, 3, 10, 29, 30),
        known=lambda n: {0: 0.3, n // 30 - 1: 0.3, n // 30: 0.15},
        stepped=True,
        power=True,
    ),
    "MultiStepLR": Case(
        lambda n: torch.MultiStepLR(0.3, [n // 4, n // 2, n // 2, n - 1], 0.1),
        lambda n: (n // 4, n // 2, n - 1),
        known=lambda n: {0: 0.3, n // 4 - 1: 0.3, n // 4: 0.03},
        stepped=True,
        power=True,
    ),
    "ConstantLR": Case(
        lambda n: torch.ConstantLR(0.3, 0.25, n // 2),
        multiples(2, 1),
        known=lambda n: {0: 0.075, n // 2 - 1: 0.075, n // 2: 0.3, n: 0.3},
        stepped=True,
    ),
    "LinearLR": Case(lambda n: torch.LinearLR(0.3, 0.25, 0.75, n), known=lambda n: {0: 0.075, n: 0.225}),
    "LinearLR from 0": Case(lambda n: torch.LinearLR(0.3, 0.0, 1.0, n), known=lambda n: {0: 0.0, n: 0.3}),
    "ExponentialLR": Case(lambda n: torch.ExponentialLR(0.3, 1 - 20 / n), known=lambda _: {0: 0.3}, power=True),
    "PolynomialLR": Case(lambda n: torch.PolynomialLR(0.3, n, 0.9), known=lambda n: {0: 0.3, n: 0.0}, power=True),
    "PolynomialLR straight": Case(lambda n: torch.PolynomialLR(0.3, n), known=lambda n: {0: 0.3, n: 0.0}, power=True),
    "CosineAnnealingLR": Case(
        lambda n: torch.CosineAnnealingLR(0.3, n // 5),
        multiples(5, 1, 2, 3, 4, 5),
        known=lambda n: {0: 0.3, n // 5: 0.0, n // 5 * 2: 0.3},
    ),
    "CosineAnnealingLR above 0": Case(
        lambda n: torch.CosineAnnealingLR(0.3, n // 5, 0.01),
        multiples(5, 1, 2, 3, 4, 5),
        known=lambda n: {0: 0.3, n // 5: 0.01, n // 5 * 2: 0.3},
    ),
    "CosineAnnealingWarmRestarts": Case(
        lambda n: torch.CosineAnnealingWarmRestarts(0.3, n // 20, eta_min=0.01),
        lambda n: tuple(n // 20 * k for k in range(1, 21)),
        lambda n: {0: 0.3, n // 20: 0.3},
    ),
    "CosineAnnealingWarmRestarts growing": Case(
        lambda n: torch.CosineAnnealingWarmRestarts(0.3, n // 40, 3),
        lambda n: tuple(n // 40 * k for k in (1, 4, 13, 40)),
        lambda n: {0: 0.3, n // 40: 0.3, n // 40 * 13: 0.3},
    ),
    "CyclicLR": cyclic(torch.CyclicLR),
    "CyclicLR alike": Case(
        lambda n: torch.CyclicLR(0.003, 0.1, n // 20),
        lambda n: tuple(n // 20 * k for k in range(21)),
        lambda n: {0: 0.003, n // 20: 0.1, n // 20 * 2: 0.003},
    ),
    "CyclicLR triangular2": cyclic(torch.CyclicLR, mode="triangular2"),
    "CyclicLR exp_range": cyclic(torch.CyclicLR, mode="exp_range", gamma=None),
    "CyclicLR of a function of the cycle": cyclic(torch.CyclicLR, scale_fn=inverse),
    "CyclicLR of a function of the step": cyclic(torch.CyclicLR, scale_fn=inverse, scale_mode="iterations"),
    "CyclicMomentum": cyclic(torch.CyclicMomentum),
    "CyclicMomentum triangular2": cyclic(torch.CyclicMomentum, mode="triangular2"),
    "CyclicMomentum exp_range": cyclic(torch.CyclicMomentum, mode="exp_range", gamma=None),
    "CyclicMomentum of a function of the cycle": cyclic(torch.CyclicMomentum, scale_fn=inverse),
    "CyclicMomentum of a function of the step": cyclic(torch.CyclicMomentum, scale_fn=inverse, scale_mode="iterations"),
    "OneCycleLR": one_cycle(torch.OneCycleLR),
    "OneCycleLR straight": one_cycle(torch.OneCycleLR, anneal_strategy="linear", div_factor=8.0, final_div_factor=16.0),
    "OneCycleLR of three phases": one_cycle(torch.OneCycleLR, three_phase=True, pct_start=0.25),
    "OneCycleLR of epochs": epochs(torch.OneCycleLR, 2, three_phase=True, anneal_strategy="linear"),
    "OneCycleMomentum": one_cycle(torch.OneCycleMomentum),
    "OneCycleMomentum straight": one_cycle(torch.OneCycleMomentum, anneal_strategy="linear"),
    "OneCycleMomentum of three phases": one_cycle(torch.OneCycleMomentum, three_phase=True),
    "SWALR": Case(lambda n: torch.SWALR(0.3, 0.05, n), known=lambda n: {0: 0.3, n: 0.05}),
    "SWALR straight": Case(lambda n: torch.SWALR(0.3, 0.05, n, "linear"), known=lambda n: {0: 0.3, n: 0.05}),
    "SequentialLR": Case(
        lambda n: torch.SequentialLR(
            [torch.LinearLR(0.3, 0.25, 1.0, n // 10), torch.CosineAnnealingLR(0.3, n - n // 10)], [n // 10]
        ),
        multiples(10, 1),
        known=lambda n: {0: 0.075, n // 10: 0.3, n: 0.0},
    ),
    "SequentialLR with an exponential": Case(
        lambda n: torch.SequentialLR(
            [torch.LinearLR(0.3, 0.25, 1.0, n // 10), torch.ExponentialLR(0.3, 1 - 20 / n)], [n // 10]
        ),
        multiples(10, 1),
        known=lambda n: {0: 0.075, n // 10: 0.3},
        power=True,
    ),
    "SequentialLR that goes on": Case(
        lambda n: torch.SequentialLR(
            [
                torch.LinearLR(0.3, 0.25, 1.0, n // 10),
                torch.MultiplicativeLR(0.3, sinking),
                torch.SWALR(0.3, 0.05, n // 5),
            ],
            [n // 10, n // 2],
        ),
        lambda n: (n // 10, n // 2, n // 2 + n // 5, n),
        power=True,
        longest=10**5,
    ),
    "ChainedScheduler": Case(
        lambda n: torch.ChainedScheduler([torch.LinearLR(0.3, 0.25, 1.0, n // 10), torch.ExponentialLR(0.3, 1 - 20 / n)]),
        multiples(10, 1),
        known=lambda _: {0: 0.075},
        power=True,
    ),
    "ChainedScheduler in place": Case(
        lambda n: torch.ChainedScheduler([torch.CosineAnnealingLR(0.3, n // 2), torch.StepLR(0.3, n // 5, 0.5)]),
        lambda n: (n // 2, *(n // 5 * k for k in range(1, 6)), n),
        power=True,
        longest=10**5,
    ),
    "ReduceLROnPlateau": Case(
        lambda _: torch.ReduceLROnPlateau(0.3, factor=0.9, min_lr=1e-4),
        known=lambda _: {0: 0.3},
        formula=reductions,
        power=True,
        longest=10**3,
        call=at_plateaus,
    ),
}
