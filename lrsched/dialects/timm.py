"""timm's schedulers, exactly: every class of `timm.scheduler`, and `create_scheduler_v2`, as a schedule.

Names, argument order and defaults are timm's, with `base_lr` in place of the optimizer; pass arguments after the
warm-up, such as `noise_range_t`, by keyword. The value at t is the rate after `step(t)` or `step_update(t)`: steps are
epochs or updates, as you count them. `notebooks/coming_from_timm.md` shows each beside the algebra, and the differences.

Args:
    base_lr: the optimizer's rate, >= 0, in place of the optimizer.
    t_initial: the length in steps, > 0; with cycles, that of the first one.
    lr_min, min_lr: the lowest rate, >= 0, which is held after the end.
    cycle_limit: the number of cycles, a whole number >= 1.
    cycle_mul, cycle_decay: the length of each cycle over that of the one before, and the same ratio for peaks.
    lb, ub: the arguments of the tanh at the start and the end of a cycle, from -40 to 40.
    k_decay, power, decay_power, stable_power: exponents, > 0: of the fraction done of a cycle, of a polynomial, and of the
        shapes "power" in `WSDLRScheduler`.
    decay_t: in `StepLRScheduler` the steps between two drops, > 0; in `MultiStepLRScheduler` a rising list of steps; in
        `WSDLRScheduler` the length of the last part, in steps.
    decay_rate: the factor of each drop or plateau; in `create_scheduler_v2` also the power of "poly".
    stable_fn, decay_fn: the shapes of the first and the last part; a decay may be a function that falls from 1 to 0.
    stable_timescale: the timescale of "rsqrt" and "power" in steps, by default `warmup_t`.
    decay_ratio: the last value of the shape "exp" over the first one, between 0 and 1.
    patience_t, cooldown_t: whole numbers of observations, >= 0.
    threshold, mode, plateau_mode: the relative margin of a better metric; "max" for a score, or "min" for a loss.
    warmup_t, warmup_lr_init, warmup_lr: the length of the warm-up, a line to `base_lr`, in steps, and its first rate, >= 0.
    warmup_prefix: whether the schedule begins after the warm-up; otherwise the warm-up hides its first `warmup_t` steps.
    noise_range_t: the first step with noise, or a list of the first step and the end. The rate is multiplied by 1 + x.
    noise_type, noise_pct, noise_std: x is normal with this standard deviation, or uniform for any type other than "normal";
        values beyond `noise_pct` are drawn again. `noise_seed` is a whole number >= 0.
    sched: the name of a schedule.
    num_epochs, decay_epochs, warmup_epochs, cooldown_epochs, patience_epochs, decay_milestones: as above, in epochs.
    step_on_epochs, updates_per_epoch: whether steps are epochs rather than updates, and the number of updates per epoch.
    t_in_epochs, initialize: without effect.

A number out of bounds raises a ValueError, and anything but a number a TypeError.

>>> from lrsched.dialects import timm
>>> s, epochs = timm.create_scheduler_v2(1e-3, "cosine", num_epochs=100, warmup_epochs=5, warmup_prefix=True)
>>> print(s([0, 5, 55, 105]), epochs)
[1.e-05 1.e-03 5.e-04 0.e+00] 105
"""

# ruff: noqa: ARG001, N802 - the names are timm's, which ignores some arguments

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count, checked_argument
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
    expect,
    is_known,
    numpy_of,
    peer,
)
from lrsched.dialects.torch import ReduceLROnPlateau
from lrsched.views.names import explain_names

_Ramp = Callable[[Number, Number], ls.Schedule]  # from one value to another
_Range = Plain | Sequence[Plain]  # steps with noise: the first one, or the first one and the end
_Seed = Annotated[Plain, Spec(ge=0, integer=True)]
_Cycles = Annotated[Plain, Spec(ge=1, integer=True, hint="how many cycles there are")]
_Rising = Annotated[Sequence[Plain], Spec(rank=1, rising=True)]
_Every = Annotated[Plain, Spec(gt=0, unit="steps", hint="of several milestones, MultiStepLRScheduler")]


def _scheduler(function: Callable[..., ls.Schedule]) -> Callable[..., ls.Schedule]:
    """A timm class. Whether t counts epochs makes no difference to a schedule, and all classes have noise."""

    def with_noise(
        *args: Any,
        t_in_epochs: bool = True,
        initialize: bool = True,
        noise_range_t: _Range | None = None,
        noise_type: str = "normal",
        noise_pct: Factor = 0.67,
        noise_std: Positive = 1.0,
        noise_seed: _Seed | None = None,
        **kwargs: Any,
    ) -> ls.Schedule:
        given = {"noise_range_t": noise_range_t}
        return _noisy(function(*args, **kwargs), function.__name__, given, noise_type, noise_pct, noise_std, noise_seed)

    added = [one for one in inspect.signature(with_noise).parameters.values() if one.kind is one.KEYWORD_ONLY]
    signature, annotations = inspect.signature(function), with_noise.__annotations__ | function.__annotations__
    functools.update_wrapper(with_noise, function)
    with_noise.__annotations__ = annotations
    with_noise.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # pyright: ignore
    return peer(with_noise)


def _noisy(
    s: ls.Schedule, call: str, given: dict[str, Any], kind: str, cut: Number, std: Number, seed: Number | None, run: Number = 1
) -> ls.Schedule:
    """`s · (1 + noise)` from a step on, perhaps up to another; given by name, of which `noise` means fractions of a run."""
    ((name, steps),) = given.items()
    if steps is None:
        return s
    ends = [*steps] if isinstance(steps, (list, tuple, np.ndarray)) else [steps]
    checked_argument(call, name, ends, _Rising if name == "noise" else Milestones)
    expect(len(ends) <= 2, call, "a first step, or a first one and an end", "noise is between them", **given)
    seed = 42 if seed is None else seed
    noise = ls.Noise(cut / std, seed, "normal") * std if kind == "normal" else ls.Noise(cut, seed)
    return s * (1.0 + ls.Piecewise([0, *(end * run for end in ends)], [0.0, 1.0, 0.0][: len(ends) + 1]) * noise)


@_scheduler
def CosineLRScheduler(
    base_lr: BaseRate,
    t_initial: PositiveLength,
    lr_min: Rate = 0.0,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 1.0,
    cycle_limit: _Cycles = 1,
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
    cycle_limit: _Cycles = 1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = False,
) -> ls.Schedule:
    """`lr_min + ½(peak - lr_min)(1 - tanh(lb (1 - p) + ub p))`, p the part done of a cycle, with peaks as for the cosine.

    A cycle goes from near its peak to near `lr_min`, since the tanh is not quite -1 at `lb` and 1 at `ub`.
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
    cycle_limit: _Cycles = 1,
    warmup_t: Length = 0,
    warmup_lr_init: Rate = 0.0,
    warmup_prefix: bool = False,
    *,
    k_decay: Positive = 1.0,
) -> ls.Schedule:
    """`lr_min + (peak - lr_min)(1 - p^k_decay)^power`, p the part done of a cycle, with peaks as for the cosine."""
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
    body = ls.multi_step(base_lr, [numerics.maximum(m - 1, 0) for m in decay_t], decay_rate)
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
    """`max(base_lr · decay_rate^plateaus, lr_min)`, counted as in PyTorch, after a warm-up whose metrics do not count.

    The metric is a score by default: pass `mode="min"` for a loss.
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
    """`lr_min + (max(base_lr · stable(t), lr_min) - lr_min) · decay(p)`, p the part done of the last `decay_t` steps."""
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
    hold, peak = t_initial - decay_t, numerics.maximum(base_lr, lr_min)
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
    """A ramp on the time p^k."""
    if is_known(k, 1):
        return lambda a, b: shape(a, b, steps)
    return lambda a, b: shape(a, b, 1.0) @ ls.Linear(0.0, 1.0, steps) ** k


def _cycles(ramp: _Ramp, base_lr: Number, low: Number, mul: Number, decay: Number, limit: Number) -> ls.Schedule:
    """Consecutive ramps, each longer and from a lower peak, all down to the same value."""
    if is_known(limit, 1):
        return ramp(base_lr, low)
    stretch = None if is_known(mul, 1) else mul
    if is_known(decay, 1):
        return ramp(base_lr, low).repeat(limit, stretch)
    peaks = ramp(base_lr, 0.0).repeat(limit, stretch, decay)
    return peaks if is_known(low, 0) else peaks + ramp(0.0, low).repeat(limit, stretch)


@peer
def create_scheduler_v2(
    base_lr: BaseRate,
    sched: str = "cosine",
    num_epochs: Annotated[Plain, Spec(gt=0, unit="epochs")] = 300,
    decay_epochs: Positive | None = None,
    decay_milestones: _Rising = (90, 180, 270),
    cooldown_epochs: Factor = 0,
    patience_epochs: Factor = 10,
    decay_rate: Factor = 0.1,
    min_lr: Rate = 0.0,
    warmup_lr: Rate = 1e-5,
    warmup_epochs: Factor = 0,
    warmup_prefix: bool = False,
    noise: _Range | None = None,
    noise_pct: Factor = 0.67,
    noise_std: Positive = 1.0,
    noise_seed: _Seed = 42,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 0.1,
    cycle_limit: _Cycles = 1,
    k_decay: Positive = 1.0,
    decay_fn: str | None = None,
    stable_timescale: Number | None = None,
    plateau_mode: Literal["min", "max"] = "max",
    step_on_epochs: bool = True,
    updates_per_epoch: Number = 0,
) -> tuple[ls.Schedule, Number]:
    """The schedule of that name, in epochs or (without `step_on_epochs`) in updates, and the number of epochs to train.

    Lengths are in epochs in both cases. The ends of `noise` are fractions of the run; for "wsd" and "rsqrt", so is a
    `decay_epochs` between 0 and 1.

    >>> from lrsched.dialects import timm
    >>> timm.create_scheduler_v2(0.1, "step", num_epochs=90, decay_epochs=30)
    (timm.StepLRScheduler(0.1, 30, 0.1, warmup_lr_init=1e-05, warmup_prefix=False), 90)
    """
    call = "create_scheduler_v2"
    given = {"step_on_epochs": step_on_epochs, "updates_per_epoch": updates_per_epoch}
    expect(step_on_epochs or updates_per_epoch > 0, call, "updates_per_epoch > 0", "updates are counted", **given)
    expect(step_on_epochs or sched != "plateau", call, "step_on_epochs=True", "a plateau observes once an epoch", **given)
    for name, epochs in (("warmup_epochs", warmup_epochs), ("decay_milestones", decay_milestones)):
        check_count(call, name, numerics.given(epochs), Spec(unit="epochs" if step_on_epochs else ""))
    unit = 1 if step_on_epochs else updates_per_epoch
    total, warmup_t = num_epochs * unit, warmup_epochs * unit
    warmup: dict[str, Any] = {"warmup_t": warmup_t, "warmup_lr_init": warmup_lr}
    prefixed = {**warmup, "warmup_prefix": warmup_prefix}
    cycles = {**prefixed, "cycle_mul": cycle_mul, "cycle_decay": cycle_decay, "cycle_limit": cycle_limit}
    length, part = total if warmup_prefix else total - warmup_t, 0.2 if decay_epochs is None else decay_epochs
    decay_t = part * numerics.where((part > 0) & (part < 1), length, unit)
    timescale = None if stable_timescale is None else stable_timescale * unit
    wsd = {**warmup, "t_initial": length, "decay_t": numpy_of(decay_t).round(decay_t), "stable_timescale": timescale}
    schedules: dict[str, Callable[[], ls.Schedule]] = {
        "cosine": lambda: CosineLRScheduler(base_lr, total, min_lr, **cycles, k_decay=k_decay),
        "tanh": lambda: TanhLRScheduler(base_lr, total, lr_min=min_lr, **cycles),
        "poly": lambda: PolyLRScheduler(base_lr, total, decay_rate, min_lr, **cycles, k_decay=k_decay),
        "step": lambda: StepLRScheduler(base_lr, (90 if decay_epochs is None else decay_epochs) * unit, decay_rate, **prefixed),
        "multistep": lambda: MultiStepLRScheduler(base_lr, [n * unit for n in decay_milestones], decay_rate, **prefixed),
        "constant": lambda: StepLRScheduler(base_lr, 1, 1.0, **prefixed),
        "plateau": lambda: PlateauLRScheduler(base_lr, decay_rate, patience_epochs, **warmup, lr_min=min_lr, mode=plateau_mode),
        "wsd": lambda: WSDLRScheduler(base_lr, lr_min=min_lr, decay_fn=decay_fn or "1-sqrt", **wsd),
        "rsqrt": lambda: WSDLRScheduler(base_lr, lr_min=min_lr, stable_fn="rsqrt", decay_fn=decay_fn or "linear", **wsd),
        "none": lambda: ls.Constant(base_lr),
    }
    expect(sched in schedules, call, f"one of {', '.join(schedules)}", "a name as in timm", sched=sched)
    is_cyclic = sched in ("cosine", "tanh", "poly")
    steps = (_all_cycles(total, cycle_mul, cycle_limit) if is_cyclic else total) + (warmup_t if warmup_prefix else 0)
    cooldown = cooldown_epochs if is_cyclic or sched in ("wsd", "rsqrt") else 0
    given = {"noise": None if sched == "none" else noise}
    made = _noisy(schedules[sched](), call, given, "normal", noise_pct, noise_std, noise_seed, total)
    return made, (steps if step_on_epochs else steps // unit) + cooldown


def _all_cycles(steps: Number, mul: Number, limit: Number) -> Any:
    """The number of whole steps in several cycles, each longer than the one before."""
    if is_known(limit, 1):
        return steps
    steps = steps * (limit if is_known(mul, 1) else (mul**limit - 1) / (mul - 1))
    return numerics.floor(steps)


_DEFAULTS = {"num_epochs": 100, "decay_epochs": 30, "decay_milestones": (30, 60), "warmup_epochs": 5}  # in a configuration
_IN_CONFIG = {"num_epochs": "epochs", "noise_seed": "seed"}  # and these have an "lr_" there
_LR = ("noise", "noise_pct", "noise_std", "cycle_mul", "cycle_decay", "cycle_limit", "k_decay", "decay_fn", "stable_timescale")


def create_scheduler(args: Any, base_lr: Number, updates_per_epoch: int = 0) -> tuple[ls.Schedule, Number]:
    """`create_scheduler_v2` of `args`, a configuration with attributes, such as the arguments of timm's `train.py`.

    >>> from types import SimpleNamespace
    >>> from lrsched.dialects import timm
    >>> timm.create_scheduler(SimpleNamespace(sched="cosine", epochs=10, warmup_epochs=0), 0.1)
    (timm.CosineLRScheduler(0.1, 10, 0.0, cycle_decay=0.1, warmup_lr_init=1e-05), 10)
    """
    expected, hint = "an object with the attribute sched", "of a dictionary, types.SimpleNamespace(**dictionary)"
    expect(hasattr(args, "sched"), "create_scheduler", expected, hint, args=args)
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(create_scheduler_v2).parameters.items():
        theirs = _IN_CONFIG.get(name, f"lr_{name}" if name in _LR else name)
        given[name] = getattr(args, theirs, _DEFAULTS.get(name, parameter.default))
    mode = "min" if "loss" in getattr(args, "eval_metric", "top1") else "max"
    on_epochs = not getattr(args, "sched_on_updates", False)
    given |= {"base_lr": base_lr, "plateau_mode": mode, "step_on_epochs": on_epochs, "updates_per_epoch": updates_per_epoch}
    return create_scheduler_v2(**given)


def from_timm(scheduler: Any, group: int = 0) -> ls.Schedule:
    """The schedule of a live timm scheduler, from its start on: `t ↦ the rate after step(t)`.

    timm's schedulers do not store their step. `lrsched.dialects.torch.from_torch` accepts them too.

    Args:
        scheduler: an object of a class of `timm.scheduler`.
        group: the index of the optimizer's parameter group; each group has its own rate.

    Raises:
        TypeError: if it is of another class.
        ValueError: if there is no such group, or it schedules something other than a rate.
    """
    kind, call = type(scheduler), "from_timm"
    make = _CLASSES.get(kind.__name__)
    if make is None or not kind.__module__.startswith("timm.scheduler."):
        raise TypeError(f"{call}(scheduler={scheduler!r}): expected one of {', '.join(_CLASSES)}. Hint: of timm.scheduler.")
    bases, field = scheduler.base_values, scheduler.param_group_field
    expect(0 <= group < len(bases), call, f"a group from 0 to {len(bases) - 1}", "one of the optimizer's", group=group)
    expect(field == "lr", call, "a scheduler of the rate", "it schedules something else", param_group_field=field)
    given = {name: value for name, value in vars(scheduler).items() if name in inspect.signature(make).parameters}
    inner = getattr(scheduler, "lr_scheduler", None)  # a plateau keeps its other arguments there
    if inner is not None:
        given |= {"decay_rate": inner.factor, "patience_t": inner.patience, "threshold": inner.threshold, "mode": inner.mode}
        given |= {"cooldown_t": inner.cooldown, "lr_min": inner.min_lrs[group]}
    schedule = make(bases[group], **given)
    scale = scheduler.optimizer.param_groups[group].get("lr_scale", 1.0)  # from layer decay
    return schedule if scale == 1.0 else schedule * scale


_CLASSES: dict[str, Callable[..., ls.Schedule]] = {name: x for name, x in [*globals().items()] if name.endswith("LRScheduler")}

explain_names(globals())
