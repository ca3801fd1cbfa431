"""Schedules of timm by name, from a configuration, and from a live scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count
from lrsched.algebra.node import Spec
from lrsched.dialects.shared import (
    BaseRate,
    Factor,
    Number,
    Plain,
    Positive,
    Rate,
    expect,
    is_known,
    numpy_of,
    peer,
    where,
)
from lrsched.dialects.timm import schedulers
from lrsched.dialects.timm.schedulers import (
    CosineLRScheduler,
    Cycles,
    MultiStepLRScheduler,
    PlateauLRScheduler,
    PolyLRScheduler,
    Range,
    Seed,
    StepLRScheduler,
    TanhLRScheduler,
    WSDLRScheduler,
    noise_ends,
    with_noise_between,
)


@peer
def create_scheduler_v2(
    base_lr: BaseRate,
    sched: str = "cosine",
    num_epochs: Annotated[Plain, Spec(gt=0, unit="epochs")] = 300,
    decay_epochs: Positive | None = None,
    decay_milestones: Annotated[Sequence[Plain], Spec(rank=1, rising=True)] = (90, 180, 270),
    cooldown_epochs: Factor = 0,
    patience_epochs: Factor = 10,
    decay_rate: Factor = 0.1,
    min_lr: Rate = 0.0,
    warmup_lr: Rate = 1e-5,
    warmup_epochs: Factor = 0,
    warmup_prefix: bool = False,
    noise: Range | None = None,
    noise_pct: Factor = 0.67,
    noise_std: Positive = 1.0,
    noise_seed: Seed = 42,
    cycle_mul: Positive = 1.0,
    cycle_decay: Number = 0.1,
    cycle_limit: Cycles = 1,
    k_decay: Positive = 1.0,
    decay_fn: str | None = None,
    stable_timescale: Number | None = None,
    plateau_mode: Literal["min", "max"] = "max",
    step_on_epochs: bool = True,
    updates_per_epoch: Number = 0,
) -> tuple[ls.Schedule, Number]:
    """The schedule of a name, in epochs or (without `step_on_epochs`) in updates, and the number of epochs to train.

    Its lengths are epochs in both cases. The ends of `noise` are fractions of the run, and so is a `decay_epochs` between
    0 and 1 of "wsd" and "rsqrt".

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
    decay_t = part * where((part > 0) & (part < 1), length, unit)
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
    made = schedules[sched]()
    if noise is not None and sched != "none":
        parts = noise_ends(call, "noise", noise, Annotated[Sequence[Plain], Spec(rank=1, rising=True)])
        made = with_noise_between(made, [part * total for part in parts], "normal", noise_pct, noise_std, noise_seed)
    return made, (steps if step_on_epochs else steps // unit) + cooldown


def _all_cycles(steps: Number, mul: Number, limit: Number) -> Any:
    """How many whole steps a number of cycles take, each longer than the one before."""
    if is_known(limit, 1):
        return steps
    steps = steps * (limit if is_known(mul, 1) else (mul**limit - 1) / (mul - 1))
    return numpy_of(steps).floor(steps)


_DEFAULTS = {"num_epochs": 100, "decay_epochs": 30, "decay_milestones": (30, 60), "warmup_epochs": 5}  # of a configuration
_IN_CONFIG = {"num_epochs": "epochs", "noise_seed": "seed"}  # and these have an "lr_" there
_LR = ("noise", "noise_pct", "noise_std", "cycle_mul", "cycle_decay", "cycle_limit", "k_decay", "decay_fn", "stable_timescale")


def create_scheduler(args: Any, base_lr: Number, updates_per_epoch: int = 0) -> tuple[ls.Schedule, Number]:
    """`create_scheduler_v2` of a configuration with attributes, such as the arguments of timm's `train.py`.

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
    """The schedule of a live scheduler of timm, from its start on: `t ↦ the rate after step(t)`.

    timm's schedulers do not keep their step. `lrsched.dialects.torch.from_torch` takes them too.

    Args:
        scheduler: an object of a class of `timm.scheduler`.
        group: the index of the optimizer's parameter group, each of which has a rate of its own.

    Raises:
        TypeError: if it is of another class.
        ValueError: if there is no such group, or it schedules something else than a rate.
    """
    kind, call = type(scheduler), "from_timm"
    make = _CLASSES.get(kind.__name__)
    if make is None or not kind.__module__.startswith("timm.scheduler."):
        raise TypeError(f"{call}(scheduler={scheduler!r}): expected one of {', '.join(_CLASSES)}. Hint: of timm.scheduler.")
    bases = scheduler.base_values
    expect(0 <= group < len(bases), call, f"a group from 0 to {len(bases) - 1}", "one of the optimizer's", group=group)
    field = scheduler.param_group_field
    expect(field == "lr", call, "a scheduler of the rate", "it schedules something else", param_group_field=field)
    given = {name: value for name, value in vars(scheduler).items() if name in inspect.signature(make).parameters}
    inner = getattr(scheduler, "lr_scheduler", None)  # of a plateau, which keeps its other arguments there
    if inner is not None:
        given |= {"decay_rate": inner.factor, "patience_t": inner.patience, "threshold": inner.threshold, "mode": inner.mode}
        given |= {"cooldown_t": inner.cooldown, "lr_min": inner.min_lrs[group]}
    schedule = make(bases[group], **given)
    scale = scheduler.optimizer.param_groups[group].get("lr_scale", 1.0)  # of layer decay
    return schedule if scale == 1.0 else schedule * scale


_CLASSES: dict[str, Callable[..., ls.Schedule]] = {
    name: x for name, x in vars(schedulers).items() if name.endswith("LRScheduler")
}
