"""Every scheduler of the PyTorch dialect with every option: schedules of n steps, and small examples.

Their meaning is that of the nodes they are composed of; that these do what PyTorch does, its recorded traces show.
"""

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np
from cases import Case
from meaning import value

from lrsched.dialects import torch
from lrsched.dialects.torch.scheduler import Scheduler

value.register(Scheduler, lambda s, t: value(s.composed, t))
value.register(torch.InPlace, lambda s, t: _rates(s.scheduler, math.floor(t))[math.floor(t)])


@functools.cache
def _seen(s: Scheduler) -> list[Fraction]:
    """The rates of a scheduler that are known already."""
    del s
    return []


def _rates(s: Scheduler, last: int) -> list[Fraction]:
    seen = _seen(s)
    for t in range(len(seen), last + 1):
        scale, offset = map(Fraction, s.change(float(t)))
        seen.append(scale * (Fraction(float(seen[-1])) if seen else Fraction(float(np.asarray(s.base)))) + offset)
    return seen


def inverse(t: Any) -> Any:
    return 1 / (1 + 0.25 * t)


def sinking(t: Any) -> Any:
    return (1 + t) / (2 + t)


def warmup(n: int) -> Scheduler:
    return torch.LinearLR(0.3, 0.25, 1.0, n // 10)


def falling(n: int) -> Scheduler:
    return torch.ExponentialLR(0.3, 1 - 20 / n)


WALKED = 10**5  # the longest run of what walks through all steps
TORCH = {
    "LambdaLR": Case(lambda _: torch.LambdaLR(0.3, inverse)),
    "MultiplicativeLR": Case(lambda _: torch.MultiplicativeLR(0.3, sinking), longest=WALKED),
    "StepLR": Case(lambda n: torch.StepLR(0.3, n // 30, 0.5)),
    "MultiStepLR": Case(lambda n: torch.MultiStepLR(0.3, [n // 4, n // 2, n // 2, n - 1], 0.1)),
    "ConstantLR": Case(lambda n: torch.ConstantLR(0.3, 0.25, n // 2)),
    "LinearLR": Case(lambda n: torch.LinearLR(0.3, 0.25, 0.75, n)),
    "ExponentialLR": Case(falling),
    "PolynomialLR": Case(lambda n: torch.PolynomialLR(0.3, n, 0.9)),
    "CosineAnnealingLR": Case(lambda n: torch.CosineAnnealingLR(0.3, n // 5, 0.01)),
    "CosineAnnealingWarmRestarts": Case(lambda n: torch.CosineAnnealingWarmRestarts(0.3, n // 20, eta_min=0.01)),
    "CosineAnnealingWarmRestarts growing": Case(lambda n: torch.CosineAnnealingWarmRestarts(0.3, n // 40, 3)),
    "CyclicLR": Case(lambda n: torch.CyclicLR(0.003, 0.1, n // 20, n // 10)),
    "CyclicLR triangular2": Case(lambda n: torch.CyclicLR(0.003, 0.1, n // 20, mode="triangular2")),
    "CyclicLR exp_range": Case(lambda n: torch.CyclicLR(0.003, 0.1, n // 20, n // 10, "exp_range", 1 - 3 / n)),
    "OneCycleLR": Case(lambda n: torch.OneCycleLR(0.3, n)),
    "OneCycleLR of three phases": Case(lambda n: torch.OneCycleLR(0.3, n, three_phase=True, pct_start=0.25)),
    "OneCycleLR's momentum": Case(lambda n: torch.OneCycleLR(0.3, n).momentum),
    "SWALR": Case(lambda n: torch.SWALR(0.3, 0.05, n)),
    "SequentialLR": Case(lambda n: torch.SequentialLR([warmup(n), torch.CosineAnnealingLR(0.3, n - n // 10)], [n // 10])),
    "ChainedScheduler": Case(lambda n: torch.ChainedScheduler([warmup(n), falling(n)])),
    "ChainedScheduler in place": Case(
        lambda n: torch.ChainedScheduler([torch.CosineAnnealingLR(0.3, n // 2), torch.StepLR(0.3, n // 5, 0.5)]), longest=WALKED
    ),
}
LINEAR = torch.LinearLR(0.5, 0.25, 1.0, 6)
COSINE = torch.CosineAnnealingLR(0.5, 8, 0.125)
STEP = torch.StepLR(0.5, 4, 0.5)
SINKING = torch.MultiplicativeLR(0.5, sinking)
EXAMPLES = [
    torch.OneCycleLR(0.5, epochs=5, steps_per_epoch=4, pct_start=0.25, anneal_strategy="linear"),
    *(s for case in TORCH.values() if isinstance(s := case.make(120), Scheduler)),
    torch.CyclicLR(0.125, 0.5, 4, scale_fn=inverse),
    torch.CyclicLR(0.125, 0.5, 4, scale_fn=inverse, scale_mode="iterations"),
    torch.SequentialLR([LINEAR, SINKING, torch.SWALR(0.5, 0.25, 4)], [6, 12]),
]
WITHOUT_FUNCTIONS = [s for s in EXAMPLES if not any(f.__name__ in repr(s) for f in (inverse, sinking))]
