"""The classes of `timm.scheduler`."""

# ruff: noqa: ARG001, N802 - the names are timm's, which does not look at some

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np

import lrsched as ls
from lrsched.algebra.arguments import checked_argument
from lrsched.algebra.node import Spec
from lrsched.dialects.shared import (
    BaseRate,
    Count,
    Factor,
    Length,
    Milestones,
    Number,
    Plain,
    Positive,
    PositiveLength,
    Rate,
    Reduction,
    Steps,
    at_least,
    expect,
    is_known,
    numpy_of,
    peer,
)
from lrsched.dialects.torch import ReduceLROnPlateau

_Ramp = Callable[[Number, Number], ls.Schedule]  # from a value to another
Range = Plain | Sequence[Plain]  # of steps with noise: from the first on, or up to a second
Seed = Annotated[Plain, Spec(ge=0, integer=True)]
Cycles = Annotated[Plain, Spec(ge=1, hint="how many cycles there are")]
_Every = Annotated[Plain, Spec(gt=0, unit="steps", hint="of several milestones, MultiStepLRScheduler")]


def _scheduler(function: Callable[..., ls.Schedule]) -> Callable[..., ls.Schedule]:
    """A class of timm: whether t counts epochs makes no difference to a schedule, and all have noise."""

    def with_noise(
        *args: Any,
        t_in_epochs: bool = True,
        initialize: bool = True,
        noise_range_t: Range | None = None,
        noise_type: str = "normal",
        noise_pct: Factor = 0.67,
        noise_std: Positive = 1.0,
        noise_seed: Seed | None = None,
        **kwargs: Any,
    ) -> ls.Schedule:
        noisy = None if noise_range_t is None else noise_ends(function.__name__, "noise_range_t", noise_range_t, Milestones)
        return with_noise_between(function(*args, **kwargs), noisy, noise_type, noise_pct, noise_std, noise_seed)

    added = [one for one in inspect.signature(with_noise).parameters.values() if one.kind is one.KEYWORD_ONLY]
    signature, annotations = inspect.signature(function), with_noise.__annotations__ | function.__annotations__
    functools.update_wrapper(with_noise, function)
    with_noise.__annotations__ = annotations
    with_noise.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # pyright: ignore
    return peer(with_noise)


def noise_ends(call: str, name: str, steps: Range, kind: Any) -> list[Any]:
    """Where noise begins, and perhaps where it ends."""
    ends = [*steps] if isinstance(steps, (list, tuple, np.ndarray)) else [steps]
    checked_argument(call, name, ends, kind)
    expect(len(ends) <= 2, call, "a first step, or a first one and an end", "noise is between them", **{name: steps})
    return ends


def with_noise_between(
    s: ls.Schedule, ends: list[Any] | None, kind: str, limit: Number, std: Number, seed: Number | None
) -> ls.Schedule:
    """`s · (1 + noise)` from one step on, perhaps up to another."""
    if ends is None:
        return s
    seed = 42 if seed is None else seed
    if kind != "normal":
        noise = ls.Noise(limit, seed)
    elif is_known(std, 1):
        noise = ls.Noise(limit, seed, "normal")
    else:
        noise = ls.Noise(limit / std, seed, "normal") * std
    return s * (1.0 + ls.Piecewise([0, *ends], [0.0, 1.0, 0.0][: len(ends) + 1]) * noise)


@_scheduler
def CosineLRScheduler(
    base_lr: BaseRate,
    t_initial: PositiveLength,
    lr_min: Rate = 0.0,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 1.0,
    cycle_limit: Cycles = 1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = False,
    *,
    k_decay: Positive = 1.0,
) -> ls.Schedule:
    """`lr_min + ½(peak - lr_min)(1 + cos(π · p^k_decay))`, p the part done of cycle i, its peak `base_lr · cycle_decay^i`."""
    body = _cycles(_ramp(ls.Cosine, t_initial, k_decay), base_lr, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, warmup_prefix)


@_scheduler
def TanhLRScheduler(
    base_lr: BaseRate,
    t_initial: PositiveLength,
    lb: Number = -7.0,
    ub: Number = 3.0,
    lr_min: Rate = 0.0,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 1.0,
    cycle_limit: Cycles = 1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = False,
) -> ls.Schedule:
    """`lr_min + ½(peak - lr_min)(1 - tanh(lb (1 - p) + ub p))`, p the part done of a cycle, with peaks as of the cosine.

    A cycle goes from near its peak to near `lr_min`: at `lb` and `ub` the tanh is not quite -1 and 1.
    """

    def ramp(a: Number, b: Number) -> ls.Schedule:
        return ls.tanh_decay(a, b, t_initial, lb, ub)

    body = _cycles(ramp, base_lr, lr_min, cycle_mul, cycle_decay, cycle_limit)
    if warmup_prefix or is_known(warmup_t, 0):
        return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, warmup_prefix)
    target = body.drop(warmup_t).take(0)
    return ls.Linear(warmup_lr_init, 0.0, warmup_t) + ls.Linear(0.0, 1.0, warmup_t) * target >> body.drop(warmup_t)


@_scheduler
def PolyLRScheduler(
    base_lr: BaseRate,
    t_initial: PositiveLength,
    power: Positive = 0.5,
    lr_min: Rate = 0.0,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 1.0,
    cycle_limit: Cycles = 1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = False,
    *,
    k_decay: Positive = 1.0,
) -> ls.Schedule:
    """`lr_min + (peak - lr_min)(1 - p^k_decay)^power`, p the part done of a cycle, with peaks as of the cosine."""
    ramp = _ramp(lambda a, b, n: ls.Polynomial(a, b, n, power), t_initial, k_decay)
    body = _cycles(ramp, base_lr, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, warmup_prefix)


@_scheduler
def StepLRScheduler(
    base_lr: BaseRate,
    decay_t: _Every,
    decay_rate: Factor = 1.0,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = True,
) -> ls.Schedule:
    """`base_lr · decay_rate^⌊t / decay_t⌋`."""
    return _warmed_up(ls.step_decay(base_lr, decay_t, decay_rate), base_lr, warmup_t, warmup_lr_init, warmup_prefix)


@_scheduler
def MultiStepLRScheduler(
    base_lr: BaseRate,
    decay_t: Milestones,
    decay_rate: Number = 1.0,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = True,
) -> ls.Schedule:
    """`base_lr · decay_rate^#{m : m <= t + 1}`: each drop comes one step before its milestone."""
    body = ls.multi_step(base_lr, [at_least(0, m - 1) for m in decay_t], decay_rate)
    return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, warmup_prefix)


@_scheduler
def PlateauLRScheduler(
    base_lr: BaseRate,
    decay_rate: Reduction = 0.1,
    patience_t: Count = 10,
    threshold: Factor = 1e-4,
    cooldown_t: Count = 0,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    lr_min: Rate = 0.0,
    mode: Literal["min", "max"] = "max",
) -> ls.Schedule:
    """`max(base_lr · decay_rate^plateaus, lr_min)` after a warm-up, whose metrics do not count, as PyTorch counts plateaus.

    The metric is a score by default: give `mode="min"` for a loss.
    """
    body = ReduceLROnPlateau(base_lr, mode, decay_rate, patience_t, threshold, "rel", cooldown_t, lr_min)
    return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, prefix=True)


@_scheduler
def WSDLRScheduler(
    base_lr: BaseRate,
    t_initial: PositiveLength,
    decay_t: Steps,
    lr_min: Rate = 0.0,
    stable_fn: Literal["constant", "rsqrt", "power"] = "constant",
    stable_timescale: Number | None = None,
    stable_power: Positive = 0.5,
    decay_fn: str | Callable[[Any], Any] = "1-sqrt",
    decay_power: Positive = 0.5,
    decay_ratio: Annotated[Plain, Spec(gt=0, lt=1)] = 0.1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
) -> ls.Schedule:
    """`lr_min + (max(base_lr · stable(t), lr_min) - lr_min) · decay(p)`, p the part done of the last `decay_t` of `t_initial`.

    The warm-up comes before.
    """
    call = "WSDLRScheduler"
    lengths = {"t_initial": t_initial, "decay_t": decay_t}
    expect((decay_t > 0) & (decay_t <= t_initial), call, "0 < decay_t <= t_initial", "the last part of it", **lengths)
    shapes: dict[Any, Callable[[Number, Number, Number], ls.Schedule]] = {
        "linear": ls.Linear,
        "1-sqrt": ls.OneMinusSqrt,
        "cosine": ls.Cosine,
        "power": lambda a, b, n: ls.Polynomial(b, a, n, decay_power).reverse(),
        "exp": lambda a, b, n: (ls.Geometric(1.0, decay_ratio, n) - decay_ratio) * ((a - b) / (1 - decay_ratio)) + b,
    }
    known = f"one of {', '.join(shapes)}, or a function"
    if callable(decay_fn):
        function = ls.Function(decay_fn)
        shapes[decay_fn] = lambda a, b, n: (function @ ls.Linear(0.0, 1.0, n)) * (a - b) + b
    expect(decay_fn in [*shapes], call, known, "it falls from 1 to 0", decay_fn=decay_fn)
    decay = shapes[decay_fn]
    hold, peak = t_initial - decay_t, numpy_of(base_lr, lr_min).maximum(base_lr, lr_min)
    if stable_fn == "constant":
        body = ls.Constant(peak, hold) >> decay(peak, lr_min, decay_t)
    else:
        timescale = warmup_t if stable_timescale is None else stable_timescale
        expect(timescale > 0, call, "stable_timescale > 0", "warmup_t by default", stable_timescale=timescale)
        power = base_lr * (1.0 + ls.Time().stretch(timescale)) ** -stable_power
        falls = ls.InverseSqrt(base_lr, timescale) if stable_fn == "rsqrt" else power
        body = ls.maximum(falls, lr_min) * decay(1.0, 0.0, decay_t).delay(hold) + decay(0.0, lr_min, decay_t).delay(hold)
    return _warmed_up(body, base_lr, warmup_t, warmup_lr_init, prefix=True)


def _warmed_up(body: ls.Schedule, base_lr: Number, steps: Number, start: Number, prefix: bool) -> ls.Schedule:
    if is_known(steps, 0):
        return body
    return ls.Linear(start, base_lr, steps) >> (body if prefix else body.drop(steps))


def _ramp(shape: Callable[[Number, Number, Number], ls.Schedule], steps: Number, k: Number) -> _Ramp:
    """A ramp whose time is p^k."""
    if is_known(k, 1):
        return lambda a, b: shape(a, b, steps)
    return lambda a, b: shape(a, b, 1.0) @ ls.Linear(0.0, 1.0, steps) ** k


def _cycles(ramp: _Ramp, base_lr: Number, low: Number, mul: Number, decay: Number, limit: Number) -> ls.Schedule:
    """Ramps one after the other, each longer and from a lower peak, all down to the same value."""
    if is_known(limit, 1):
        return ramp(base_lr, low)
    stretch = None if is_known(mul, 1) else mul
    if is_known(decay, 1):
        return ramp(base_lr, low).repeat(limit, stretch)
    peaks = ramp(base_lr, 0.0).repeat(limit, stretch, decay)
    return peaks if is_known(low, 0) else peaks + ramp(0.0, low).repeat(limit, stretch)
