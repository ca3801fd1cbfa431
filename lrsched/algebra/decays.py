"""More recipes: decays from papers and frameworks."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Literal

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import Factor, Length, Positive, PositiveLength, Value, checked_argument, divided, recipe
from lrsched.algebra.node import Spec, checked, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant, minimum
from lrsched.algebra.recipes import RAMPS
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.shapes import Cosine, Geometric, Linear, Piecewise, Time
from lrsched.algebra.written import unexpected

Ratios = Annotated[list[Number], Spec(ge=0, le=1, rank=1, hint="each value by the one before")]
Bend = Annotated[Number, Spec(ge=-40, le=40)]
Exponent = Annotated[Number, Spec(le=0, hint="the power of a decay")]


@recipe
def rex(start: Value, end: Value, steps: Length) -> Schedule:
    """The reflected exponential: `end + (start - end) · 2q / (1 + q)` with `q = 1 - min(t / steps, 1)`.

    Args:
        start, end: the values at step 0, and from step `steps` on.
        steps: its length in steps.

    >>> import lrsched as ls
    >>> print(ls.rex(1.0, 0.0, 4)([0, 2, 3, 4]))
    [1.        0.6666667 0.4       0.       ]

    References:
        Chen et al., *REX*, 2021 (arXiv 2107.04197), where it is (1 - p) / (1 - p/2).
    """
    return Linear(start, end / 2, steps) / Linear(1.0, 0.5, steps)  # so that both ends are exactly as given


@recipe
def tanh_decay(start: Value, end: Value, steps: Length, lb: Bend = -7.0, ub: Bend = 3.0) -> Schedule:
    """A hyperbolic tangent: `end + ½(start - end)(1 - tanh(lb + (ub - lb) · t / steps))`, and `end` after that.

    Args:
        start: nearly the value at step 0, since the tanh begins above -1.
        end: the value from step `steps` on, after a small jump, since the tanh ends below 1.
        steps: its length in steps.
        lb, ub: where the tanh begins and ends, -40 <= lb < ub <= 40.

    >>> import lrsched as ls
    >>> print(ls.tanh_decay(1.0, 0.0, 10)([0, 7, 9, 10]))
    [0.99999917 0.5        0.01798621 0.        ]

    References:
        Hsueh et al., *Stochastic gradient descent with hyperbolic-tangent decay on classification*, 2018 (arXiv 1806.01593);
        timm's `TanhLRScheduler`.
    """
    if surely(np.greater_equal, lb, ub):
        raise ValueError(unexpected("tanh_decay", "lb", lb, f"lb < ub, got ub={ub}", "where the tanh begins and ends"))
    low: Real = end
    # ½(1 - tanh x) is 1 / (1 + exp(2x)), which a float32 holds; traced bounds count as the nearest that are allowed.
    first, last = (math.e ** (2.0 * numerics.clip(x, -41.0, 41.0)) for x in (lb, ub))
    left = 1.0 / (1.0 + Geometric(first, last, steps))
    return left * (start - low) + low >> Constant(end, 0.0)


@recipe
def inverse_time(start: Value, rate: Factor, steps: PositiveLength = 1.0) -> Schedule:
    """Inverse-time decay without end: `start / (1 + rate · t / steps)`. With `.staircase(steps)` it moves every `steps` steps.

    Args:
        start: the value at step 0.
        rate: the growth of the divisor over `steps` steps, >= 0.
        steps: the number of steps that `rate` refers to, > 0.

    >>> import lrsched as ls
    >>> print(ls.inverse_time(1.0, rate=0.5, steps=10)([0, 20, 60]))
    [1.   0.5  0.25]

    References:
        Keras' `InverseTimeDecay`.
    """
    return Constant(start, 0.0) / (1.0 + rate * Time().stretch(steps))


@recipe
def power_decay(peak: Factor, amplitude: Positive, exponent: Exponent = -0.51, tokens: Positive = 1.0) -> Schedule:
    """A power of the number of tokens, at most `peak`: `min(peak, amplitude · (tokens · t)^exponent)`.

    With `tokens=1` its time is in tokens: `power_decay(peak, a).on(Counter("tokens"))`. For a warm-up of n steps write
    `minimum(Linear(0.0, peak, n), power_decay(peak, a, tokens=...))`.

    Args:
        peak: the highest value, >= 0.
        amplitude: the value at one token without the limit, > 0: in the paper the batch size times a constant, such as 4.6.
        exponent: the exponent, <= 0.
        tokens: the number of tokens per step, > 0.

    >>> import lrsched as ls
    >>> print(ls.power_decay(0.02, amplitude=4.0, exponent=-0.5, tokens=1000)([0, 10, 40, 1000]))
    [0.02  0.02  0.02  0.004]

    References:
        Shen et al., *Power scheduler*, 2024 (arXiv 2408.13359).
    """
    return minimum(peak, amplitude * (tokens * Time()) ** exponent)


@recipe
def infinite(
    peak: Value,
    constant: Value,
    warmup_steps: Length,
    cooldown_steps: Length,
    steps: Length | None = None,
    anneal_steps: Length | None = None,
    start: Value = 0.0,
    end: Value | None = None,
    shape: Literal["linear", "cosine", "1-sqrt", "geometric", "exponential"] = "geometric",
) -> Schedule:
    """A warm-up to `peak`, half a cosine wave down to `constant`, and a hold, for ever or until an annealing to `end`.

    Args:
        peak, constant: the values after the warm-up, and after the cosine.
        warmup_steps, cooldown_steps: the lengths of the warm-up, a straight line, and of the cosine, in steps, >= 0.
        steps: the total length in steps. None: no annealing, so neither `anneal_steps` nor `end` is allowed.
        anneal_steps: the length of the annealing in steps, >= 0; it begins at step `steps - anneal_steps`.
        start, end: the values at step 0, and from step `steps` on; end is not 0 if the shape is "geometric".
        shape: the shape of the annealing, as in `wsd`.

    >>> import lrsched as ls
    >>> print(ls.infinite(1.0, 0.5, warmup_steps=10, cooldown_steps=20)([5, 10, 20, 30, 1000]))
    [0.5  1.   0.75 0.5  0.5 ]
    >>> print(ls.infinite(1.0, 0.5, 10, 20, steps=100, anneal_steps=20, end=0.005)([80, 90, 100]))
    [0.5   0.05  0.005]

    References:
        Ibrahim et al., *Simple and scalable strategies to continually pre-train large language models*, 2024 (arXiv
        2403.08763); Singh et al., *Beyond cosine decay*, 2025 (arXiv 2503.02844).
    """
    rise = Linear(start, peak, warmup_steps) >> Cosine(peak, constant, cooldown_steps)
    if steps is None and anneal_steps is None and end is None:
        return rise
    if steps is None or anneal_steps is None or end is None:
        given = {"steps": steps, "anneal_steps": anneal_steps, "end": end}
        missing = ", ".join(f"{name}=None" for name, x in given.items() if x is None)
        hint = "Hint: without any of them the constant is held for ever."
        raise ValueError(f"infinite({missing}): expected steps, anneal_steps and end. {hint}")
    *_, hold = divided("infinite", steps, warmup_steps=warmup_steps, cooldown_steps=cooldown_steps, anneal_steps=anneal_steps)
    return rise >> Constant(constant, hold) >> RAMPS[shape](constant, end, anneal_steps)


@recipe
def monotone(peak: Value, steps: Length, warmup_steps: Length = 0.0, points: int | None = None, ratios: Any = None) -> Schedule:
    """A straight line from 0 up to `peak`, then lines that never rise: `peak · ratios[0] · … · ratios[k-1]` at point k.

    Args:
        peak, steps, warmup_steps: as in `warmup_cosine`; the points are evenly spaced after the warm-up.
        points: the number of points, at least 2, on a straight line to 0; None: 32. Only without ratios.
        ratios: a list with each value divided by the one before, between 0 and 1. `lab.fit_law` finds the best ones.

    >>> import lrsched as ls
    >>> print(ls.monotone(1.0, 30, warmup_steps=10, ratios=[0.5, 0.0])([0, 5, 10, 15, 20, 30]))
    [0.   0.5  1.   0.75 0.5  0.  ]

    References:
        Luo et al., *A multi-power law for loss curve prediction*, 2025 (arXiv 2503.12811), with as many points as steps.
    """
    warmup_steps, rest = divided("monotone", steps, warmup_steps=warmup_steps)
    if np.ndim(points) or (points is not None and ratios is not None):
        raise ValueError(unexpected("monotone", "points", points, "one number, or ratios in its place"))
    count = 32 if points is None else int(checked("monotone", "points", points, ge=2, integer=True, unit="points"))
    ratios = [1.0 - 1.0 / k for k in range(count - 1, 0, -1)] if ratios is None else ratios
    ratios = checked_argument("monotone", "ratios", ratios, Ratios)
    shares = [ratios[..., k] for k in range(ratios.shape[-1])]
    values = list(itertools.accumulate(shares, lambda value, ratio: value * ratio, initial=peak))
    places = [rest * (k / len(shares)) for k in range(len(values))]
    return Linear(0.0, peak, warmup_steps) >> Piecewise(numerics.table(places), numerics.table(values), "linear")
