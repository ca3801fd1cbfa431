"""Recipes: functions that only compose nodes. The annotations are the bounds of their numbers, which `recipe` checks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import (
    Factor,
    Length,
    Milestones,
    Positive,
    PositiveLength,
    Value,
    divided,
    is_empty,
    recipe,
)
from lrsched.algebra.node import Spec, checked, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.powers import power
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.shapes import (
    Cosine,
    Exponential,
    Geometric,
    InverseSqrt,
    Linear,
    Logarithmic,
    OneMinusSqrt,
    Piecewise,
    Polynomial,
)
from lrsched.algebra.written import shown, unexpected

Cycles = Annotated[Number, Spec(ge=1, integer=True, unit="times")]
Fraction = Annotated[Number, Spec(ge=0, le=1, hint="a fraction of the steps")]


@recipe
def step_decay(start: Value, every: PositiveLength, factor: Factor) -> Schedule:
    """Multiplies by `factor` every `every` steps: `start · factor^⌊t / every⌋`.

    Args:
        start: the value at step 0.
        every: the number of steps between two changes, > 0.
        factor: the factor of each change, >= 0.

    >>> import lrsched as ls
    >>> print(ls.step_decay(1.0, every=30, factor=0.5)([0, 29, 30, 60]))
    [1.   1.   0.5  0.25]

    References:
        PyTorch's `StepLR`.
    """
    return Exponential(start, factor).stretch(every).staircase(every)


@recipe
def multi_step(start: Value, milestones: Milestones, factor: Value) -> Schedule:
    """Multiplies by `factor` at each milestone: `start · factor^#{m : m <= t}`.

    Args:
        start: the value at step 0.
        milestones: the steps of the changes, >= 0 and not falling; one listed twice counts twice.
        factor: the factor of each change.

    >>> import lrsched as ls
    >>> print(ls.multi_step(1.0, milestones=[30, 80], factor=0.1)([29, 30, 80]))
    [1.   0.1  0.01]

    References:
        PyTorch's `MultiStepLR`.
    """
    if is_empty(milestones):
        return Constant(start, 0.0)
    table: Any = milestones
    steps = [table[..., i] for i in range(table.shape[-1])]
    values = itertools.accumulate(steps, lambda value, _: numerics.saturated(value * factor), initial=start)
    return Piecewise(numerics.table([0.0, *steps]), numerics.table(list(values)))


@recipe
def warmup_cosine(peak: Value, warmup_steps: Length, steps: Length, start: Value = 0.0, end: Value = 0.0) -> Schedule:
    """A straight line from `start` up to `peak`, then half a cosine wave down to `end`.

    Args:
        peak: the value at step `warmup_steps`.
        warmup_steps: the length of the line in steps, >= 0. With 0 it starts at the peak.
        steps: the total length in steps, >= `warmup_steps`.
        start, end: the values at step 0, and from step `steps` on.

    >>> import lrsched as ls
    >>> print(ls.warmup_cosine(1.0, warmup_steps=10, steps=110)([0, 5, 10, 60, 110]))
    [0.  0.5 1.  0.5 0. ]

    References:
        Loshchilov and Hutter, *SGDR*, 2017 (arXiv 1608.03983), without the restarts. optax's `warmup_cosine_decay_schedule`
        takes the same numbers in another order: (start, peak, warmup_steps, steps, end).
    """
    warmup_steps, rest = divided("warmup_cosine", steps, warmup_steps=warmup_steps)
    return Linear(start, peak, warmup_steps) >> Cosine(peak, end, rest)


@recipe
def warmup_linear(peak: Value, warmup_steps: Length, steps: Length, start: Value = 0.0, end: Value = 0.0) -> Schedule:
    """A straight line from `start` up to `peak`, then another down to `end`.

    Args:
        peak, warmup_steps, steps, start, end: as in `warmup_cosine`, with a second line in place of the cosine.

    >>> import lrsched as ls
    >>> print(ls.warmup_linear(1.0, warmup_steps=10, steps=110)([0, 5, 10, 60, 110]))
    [0.  0.5 1.  0.5 0. ]

    References:
        Bergsma et al., *Straight to zero*, 2025 (arXiv 2502.15938); transformers' `linear`.
    """
    warmup_steps, rest = divided("warmup_linear", steps, warmup_steps=warmup_steps)
    return Linear(start, peak, warmup_steps) >> Linear(peak, end, rest)


@recipe
def warmup_constant(peak: Value, warmup_steps: Length, start: Value = 0.0) -> Schedule:
    """A straight line from `start` up to `peak`, which is held for ever.

    Args:
        peak, warmup_steps, start: as in `warmup_cosine`.

    >>> import lrsched as ls
    >>> print(ls.warmup_constant(1.0, warmup_steps=10)([0, 5, 10, 60]))
    [0.  0.5 1.  1. ]
    """
    return Linear(start, peak, warmup_steps)


@recipe
def warmup_inverse_sqrt(
    peak: Value, warmup_steps: Length, timescale: PositiveLength | None = None, start: Value = 0.0
) -> Schedule:
    """A straight line from `start` up to `peak`, then `peak / √(1 + (t - warmup_steps) / timescale)` for ever.

    Args:
        peak, warmup_steps, start: as in `warmup_cosine`.
        timescale: the number of steps after the warm-up until the value has fallen to `peak / √2`, > 0. None: `warmup_steps`,
            so that the value is `peak · √(warmup_steps / t)`.

    >>> import lrsched as ls
    >>> print(ls.warmup_inverse_sqrt(1.0, warmup_steps=100)([0, 50, 100, 400]))
    [0.  0.5 1.  0.5]

    References:
        Vaswani et al., *Attention is all you need*, 2017 (arXiv 1706.03762); Zhai et al., *Scaling vision transformers*, 2021
        (arXiv 2106.04560).
    """
    return Linear(start, peak, warmup_steps) >> InverseSqrt(peak, warmup_steps if timescale is None else timescale)


@recipe
def noam(dim: Positive, warmup_steps: PositiveLength) -> Schedule:
    """The transformer's schedule: `dim^-½ · min(t^-½, t · warmup_steps^-1.5)`, 0 at step 0.

    The paper counts its steps from 1: `noam(dim, warmup_steps).drop(1)`.

    Args:
        dim: the width of the model, > 0.
        warmup_steps: the number of steps up to the peak `(dim · warmup_steps)^-½`, > 0.

    >>> import lrsched as ls
    >>> print(ls.noam(dim=100, warmup_steps=400)([0, 200, 400, 1600]))
    [0.     0.0025 0.005  0.0025]

    References:
        Vaswani et al., *Attention is all you need*, 2017 (arXiv 1706.03762).
    """
    peak = power(dim, -0.5) * power(warmup_steps, -0.5)
    return warmup_inverse_sqrt(numerics.saturated(peak), warmup_steps)


RAMPS: dict[str, Callable[[Real, Real, Number], Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "1-sqrt": OneMinusSqrt,
    "geometric": Geometric,
    "exponential": lambda start, end, steps: (
        (2.0 ** Linear(1.0, 0.0, steps) - 1.0) * start + (2.0 - 2.0 ** Linear(1.0, 0.0, steps)) * end
    ),
}
_WARMUPS: dict[str, Callable[[Real, Real, Number], Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "1-sqrt": lambda start, end, steps: Polynomial(start, end, steps, 0.5),
    "logarithmic": Logarithmic,
}


@recipe
def wsd(
    peak: Value,
    warmup_steps: Length,
    steps: Length,
    decay_steps: Length,
    start: Value = 0.0,
    end: Value = 0.0,
    shape: Literal["linear", "cosine", "1-sqrt", "geometric", "exponential"] = "linear",
    warmup_shape: Literal["linear", "cosine", "1-sqrt", "logarithmic"] = "linear",
) -> Schedule:
    """Warm-up, stable, decay: a ramp from `start` up to `peak`, a long hold, and a cool-down to `end`.

    Args:
        peak: the value that is held.
        warmup_steps: the length of the warm-up in steps, >= 0. With 0 it starts at the peak.
        steps: the total length in steps, >= `warmup_steps + decay_steps`.
        decay_steps: the length of the cool-down in steps, >= 0; it begins at step `steps - decay_steps`.
        start, end: the values at step 0, and from step `steps` on; end is not 0 if the shape is "geometric".
        shape: that of the cool-down: "linear", "cosine", "1-sqrt" (`OneMinusSqrt`), "geometric", or "exponential", which is
            `end + (peak - end) · (2·½^u - 1)` once the fraction u of it is done.
        warmup_shape: "linear", "cosine", "1-sqrt" (the cool-down's, mirrored) or "logarithmic" (`Logarithmic`).

    >>> import lrsched as ls
    >>> print(ls.wsd(1.0, warmup_steps=10, steps=100, decay_steps=20)([0, 5, 10, 80, 90, 100]))
    [0.  0.5 1.  1.  0.5 0. ]

    References:
        Hu et al., *MiniCPM*, 2024 (arXiv 2404.06395); Hägele et al., 2024 (arXiv 2405.18392), for the shape "1-sqrt".
        Megatron-LM also has "exponential", and transformers the shapes of the warm-up.
    """
    *_, hold = divided("wsd", steps, warmup_steps=warmup_steps, decay_steps=decay_steps)
    warmup = _WARMUPS[warmup_shape](start, peak, warmup_steps)
    return warmup >> Constant(peak, hold) >> RAMPS[shape](peak, end, decay_steps)


@recipe
def cosine_restarts(
    start: Value,
    end: Value,
    steps: Length,
    n: Cycles | None = None,
    stretch: Positive | None = None,
    scale: Value | None = None,
    floor: Value | None = None,
) -> Schedule:
    """Cosine annealing with warm restarts: `floor + Cosine(start - floor, end - floor, steps).repeat(n, stretch, scale)`.

    Args:
        start, end: the values at the start and the end of the first cycle.
        steps: the length of the first cycle in steps, > 0.
        n, stretch: the number of cycles, and the length of each over that of the one before, as in `Schedule.repeat`.
            For cycles cut to whole steps, as in ignite and Composer: `join([Cosine(start, end, n) for n in lengths], ends)`.
        scale: the height of each cycle above the floor over that of the one before.
        floor: the value from which `scale` measures heights; None: 0. With `floor=end` every cycle ends at `end`.

    >>> import lrsched as ls
    >>> print(ls.cosine_restarts(1.0, 0.0, 10, stretch=2)([0, 5, 10, 20, 30]))
    [1.  0.5 1.  0.5 1. ]
    >>> print(ls.cosine_restarts(1.0, 0.2, 10, scale=0.5, floor=0.2)([0, 10, 20]))
    [1.  0.6 0.4]

    References:
        Loshchilov and Hutter, *SGDR*, 2017 (arXiv 1608.03983); PyTorch's `CosineAnnealingWarmRestarts`.
    """
    if floor is None:
        return Cosine(start, end, steps).repeat(n, stretch, scale)
    low: Real = floor
    return Cosine(start - low, end - low, steps).repeat(n, stretch, scale) + low


@recipe
def triangular(
    low: Value,
    high: Value,
    up: Length,
    down: Length | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Annotated[Number, Spec(ge=0, exact=True)] = 1.0,
) -> Schedule:
    """Up and down between two values in straight lines, for ever: `low + (high - low) · h(t) · g(t)`.

    h rises from 0 to 1 in `up` steps and falls back in `down` steps.

    Args:
        low, high: the values at step 0, and at the first peak.
        up, down: the lengths of the rise and the fall in steps, >= 0 and not both 0. None: `down` equals `up`.
        mode: "triangular" (g is 1), "triangular2" (g is `½^cycle`) or "exp_range" (g is `gamma^t`).
        gamma: the factor per step in mode "exp_range", >= 0; only that mode accepts it.

    >>> import lrsched as ls
    >>> print(ls.triangular(1.0, 5.0, up=4, mode="triangular2")([0, 2, 4, 8, 12]))
    [1. 3. 5. 1. 3.]

    References:
        Smith, *Cyclical learning rates for training neural networks*, 2015 (arXiv 1506.01186); PyTorch's `CyclicLR`.
    """
    if mode != "exp_range" and not (isinstance(gamma, float) and gamma == 1.0):
        hint = "leave it out in any other mode"
        raise ValueError(unexpected("triangular", "gamma", gamma, f"mode 'exp_range', got mode {mode!r}", hint))
    cycle = Linear(low, high, up) >> Linear(high, low, up if down is None else down)
    if mode == "triangular":
        return cycle.repeat()
    envelope = Constant(1.0, cycle.length).repeat(scale=0.5) if mode == "triangular2" else Exponential(1.0, gamma)
    return cycle.repeat() * envelope + Constant(low, 0.0) * (1.0 - envelope)


@recipe
def one_cycle(
    peak: Value,
    steps: Length,
    pct_start: Fraction = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
    anneal: Literal["cosine", "linear"] = "cosine",
    three_phase: bool = False,
    pct_final: Fraction | None = None,
) -> Schedule:
    """One rise to a high peak and one long fall far below the start: Smith's one-cycle policy.

    It goes from start to peak in `pct_start · steps` steps, then to end at step `steps`. With three phases it returns to start
    at step `pct_final · steps`, and goes to end from there. The momentum that falls from `high` to `low` while the rate rises,
    and then returns, is `one_cycle(low, steps, div_factor=low / high, final_div_factor=1.0)`.

    Args:
        peak: the highest value.
        steps: the total length in steps.
        pct_start: the fraction of the steps that the rise takes, in [0, 1].
        div_factor, final_div_factor: peak / start, and start / end, > 0.
        anneal: "cosine" or "linear", the shape of every phase.
        three_phase: whether there are three phases; the second is as long as the first, unless `pct_final` is given.
        pct_final: the fraction of the steps at which the second of three phases ends. None: see `three_phase`.

    >>> import lrsched as ls
    >>> print(ls.one_cycle(1.0, 100, pct_start=0.25, div_factor=10.0, anneal="linear")([0, 25, 100]))
    [1.e-01 1.e+00 1.e-05]
    >>> print(ls.one_cycle(0.85, 100, div_factor=0.85 / 0.95, final_div_factor=1.0)([0, 30, 100]))
    [0.95 0.85 0.95]

    References:
        Smith and Topin, *Super-convergence*, 2018 (arXiv 1708.07120). The phases of PyTorch's `OneCycleLR` end one step
        earlier, at `pct_start · steps - 1` and `steps - 1`.
    """
    if pct_final is not None and surely(np.greater, pct_start, pct_final):
        expected = f"pct_final >= pct_start={shown(pct_start)}"
        raise ValueError(unexpected("one_cycle", "pct_final", pct_final, expected, "where the second of three phases ends"))
    if pct_final is None and three_phase:
        checked("one_cycle", "pct_start", pct_start, ge=0, le=0.5, hint="three phases rise and fall back in as many steps")
        pct_final = 2.0 * pct_start
    ramp, rise = RAMPS[anneal], pct_start * steps
    before, rest = divided("one_cycle", steps, pct_start=rise if pct_final is None else pct_final * steps)
    start = numerics.saturated(numerics.divide(peak, div_factor))
    end = numerics.saturated(numerics.divide(start, final_div_factor))
    if pct_final is None:
        return ramp(start, peak, before) >> ramp(peak, end, rest)
    return ramp(start, peak, rise) >> ramp(peak, start, before - rise) >> ramp(start, end, rest)
