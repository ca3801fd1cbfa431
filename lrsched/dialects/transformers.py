"""Hugging Face's schedules, exactly: all of transformers' `get_scheduler`, by name and as functions.

Names, argument order and defaults are those of transformers, with `base_lr` in place of the optimizer and no
`last_epoch`: `s.drop(n)` resumes at update n. The value at t is the rate after t calls of `step()`. Past `num_training_steps`
the rate is constant, except that cosines without restarts rise again. `notebooks/coming_from_hugging_face.md` shows each beside
the algebra, and the differences.

Args:
    base_lr: the optimizer's rate, >= 0, in place of the optimizer.
    num_warmup_steps: the length of the warm-up in updates, >= 0. In `get_scheduler` a number below 1 is a fraction of the run.
    num_training_steps: the total length in updates, including the warm-up.
    num_stable_steps, num_decay_steps: the lengths of the hold and of the decay in updates, >= 0.
    num_cycles: the number of whole waves after the warm-up, > 0, so 0.5 is one decay; with hard restarts, the number of decays.
    lr_end, min_lr: the lowest rate, >= 0; for a polynomial, below `base_lr`.
    min_lr_rate, min_lr_ratio, warmup_lr_rate: the lowest rate, and the first one, as fractions of `base_lr`, >= 0.
    power: the exponent, > 0. (For 0, transformers keeps the base rate, and jumps to `lr_end` one update past the end.)
    timescale: the number of updates after which the rate has fallen by a factor of √2, > 0.
    warmup_type, decay_type: "linear", "cosine" or "1-sqrt".
    name, scheduler_specific_kwargs: the name of a schedule, and its further arguments.
    mode: "min" for a loss, "max" for a score.
    factor, min_lr, max_lr: `GreedyLR` multiplies or divides the rate by the factor, in (0, 1), within these bounds.
    patience, cooldown, warmup, window_size, reset_start: whole numbers of observations, as in `lrsched.Greedy`.
    threshold, threshold_mode: the margin of a better metric, >= 0, relative to the best ("rel") or absolute ("abs").
    eps: changes no larger than this are not made, >= 0.
    smooth: whether the clock observes the mean of the last `window_size` observations.
    verbose: must be False.

A number out of bounds raises a ValueError, and anything but a number a TypeError.

>>> from lrsched.dialects import transformers
>>> s = transformers.get_scheduler("linear", 1e-3, num_warmup_steps=0.1, num_training_steps=1000)
>>> print(s([0, 50, 100, 1000]))
[0.     0.0005 0.001  0.    ]
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.node import Spec
from lrsched.clocks.observations import users_level
from lrsched.dialects.shared import (
    BaseRate,
    Count,
    Factor,
    Length,
    Number,
    Plain,
    PositiveLength,
    Rate,
    Steps,
    expect,
    is_known,
    peer,
    reductions,
    tidy,
)
from lrsched.dialects.torch import ReduceLROnPlateau
from lrsched.views.names import explain_names

Waves: TypeAlias = Annotated[Plain, Spec(gt=0, hint="a number of cycles in the run")]
Power: TypeAlias = Annotated[Plain, Spec(gt=0, hint="the exponent; for a constant rate, get_constant_schedule_with_warmup")]


@peer
def get_constant_schedule(base_lr: BaseRate) -> ls.Schedule:
    """`base_lr` for ever."""
    return ls.Constant(base_lr)


@peer
def get_constant_schedule_with_warmup(base_lr: BaseRate, num_warmup_steps: Length) -> ls.Schedule:
    """A straight line from 0 to `base_lr`, then `base_lr`."""
    return ls.Linear(0.0, base_lr, num_warmup_steps)


@peer
def get_linear_schedule_with_warmup(base_lr: BaseRate, num_warmup_steps: Length, num_training_steps: Steps) -> ls.Schedule:
    """A straight line from 0 to `base_lr`, and one back to 0 at step `num_training_steps`."""
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 0)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> ls.Linear(base_lr, 0.0, rest)


@peer
def get_cosine_schedule_with_warmup(
    base_lr: BaseRate, num_warmup_steps: Length, num_training_steps: Steps, num_cycles: Waves = 0.5
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `½ base_lr (1 + cos(2π · num_cycles · p))`, p = 1 at `num_training_steps`, and so on."""
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 1)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> _wave(base_lr, 0.0, rest, num_cycles)


@peer
def get_cosine_with_hard_restarts_schedule_with_warmup(
    base_lr: BaseRate, num_warmup_steps: Length, num_training_steps: Steps, num_cycles: Waves = 1
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `num_cycles` half waves down to 0, and 0 from step `num_training_steps` on."""
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 1)
    cycle = ls.Cosine(base_lr, 0.0, rest / num_cycles)
    cycles = cycle if is_known(num_cycles, 1) else cycle.repeat().take(rest) >> ls.Constant(0.0)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> cycles


@peer
def get_polynomial_decay_schedule_with_warmup(
    base_lr: BaseRate, num_warmup_steps: Length, num_training_steps: Steps, lr_end: Rate = 1e-7, power: Power = 1.0
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `lr_end + (base_lr - lr_end) · (1 - p)^power`, p = 1 from `num_training_steps` on."""
    call = "get_polynomial_decay_schedule_with_warmup"
    expect(lr_end < base_lr, call, "lr_end < base_lr", "the rate falls to lr_end", base_lr=base_lr, lr_end=lr_end)
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 0)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> ls.Polynomial(base_lr, lr_end, rest, power)


@peer
def get_inverse_sqrt_schedule(
    base_lr: BaseRate, num_warmup_steps: Length, timescale: PositiveLength | None = None
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `base_lr / √(1 + (t - W) / timescale)`; the timescale is W, and 10,000 if W = 0."""
    default = numerics.where(num_warmup_steps > 0, num_warmup_steps, 10_000)
    return ls.warmup_inverse_sqrt(base_lr, num_warmup_steps, default if timescale is None else timescale)


@peer
def get_cosine_with_min_lr_schedule_with_warmup(
    base_lr: BaseRate,
    num_warmup_steps: Length,
    num_training_steps: Steps,
    num_cycles: Waves = 0.5,
    *,
    min_lr: Rate | None = None,
    min_lr_rate: Factor | None = None,
) -> ls.Schedule:
    """As `get_cosine_schedule_with_warmup`, down to `min_lr` or to `min_lr_rate · base_lr`: give one of them."""
    low = _lowest("get_cosine_with_min_lr_schedule_with_warmup", base_lr, min_lr, min_lr_rate)
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 1)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> _wave(base_lr, low, rest, num_cycles)


@peer
def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    base_lr: BaseRate,
    num_warmup_steps: Length,
    num_training_steps: Steps,
    num_cycles: Waves = 0.5,
    *,
    min_lr: Rate | None = None,
    min_lr_rate: Factor | None = None,
    warmup_lr_rate: Factor | None = None,
) -> ls.Schedule:
    """`get_cosine_with_min_lr_schedule_with_warmup` one update ahead: from `base_lr / W` or `warmup_lr_rate · base_lr`.

    W is `num_warmup_steps`.
    """
    low = _lowest("get_cosine_with_min_lr_schedule_with_warmup_lr_rate", base_lr, min_lr, min_lr_rate)
    rest = numerics.maximum(num_training_steps - num_warmup_steps, 1)
    if warmup_lr_rate is None:
        line = ls.Linear(0.0, base_lr, num_warmup_steps).drop(1)
    else:
        line = ls.Linear(warmup_lr_rate * base_lr, base_lr, numerics.maximum(num_warmup_steps - 1, 1))
    return line.take(num_warmup_steps) >> _wave(base_lr, low, rest, num_cycles).drop(1)


_Shape = Literal["linear", "cosine", "1-sqrt"]
_SHAPES: dict[str, Callable[..., ls.Schedule]] = {"linear": ls.Linear, "cosine": ls.Cosine, "1-sqrt": ls.OneMinusSqrt}


@peer
def get_wsd_schedule(
    base_lr: BaseRate,
    num_warmup_steps: Length,
    num_decay_steps: Length,
    num_training_steps: Steps | None = None,
    num_stable_steps: Length | None = None,
    warmup_type: _Shape = "linear",
    decay_type: _Shape = "cosine",
    min_lr_ratio: Factor = 0,
    num_cycles: Waves = 0.5,
) -> ls.Schedule:
    """From `min_lr_ratio · base_lr` up to `base_lr`, a hold, and back down; a cosine with more waves is cut at the end.

    The hold lasts `num_stable_steps`, or the rest of `num_training_steps`.
    """
    call = "get_wsd_schedule"
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError(f"{call}(...): expected num_training_steps or num_stable_steps. Hint: one gives the other.")
        num_stable_steps, hint = num_training_steps - num_warmup_steps - num_decay_steps, "it is the length of the whole"
        lengths = {"num_warmup_steps": num_warmup_steps, "num_decay_steps": num_decay_steps}
        lengths["num_training_steps"] = num_training_steps
        expect(num_stable_steps >= 0, call, "num_training_steps >= num_warmup_steps + num_decay_steps", hint, **lengths)
    elif num_training_steps is not None:
        warnings.warn(f"{call}(num_training_steps=..., num_stable_steps=...): the second is used", stacklevel=users_level())
    low = min_lr_ratio * base_lr
    up = _SHAPES[warmup_type](base_lr, low, num_warmup_steps).reverse()
    down = _SHAPES[decay_type](base_lr, low, num_decay_steps)
    if decay_type == "cosine" and not is_known(num_cycles, 0.5):
        down = _wave(base_lr, low, num_decay_steps, num_cycles).take(num_decay_steps) >> ls.Constant(low)
    return up >> ls.Constant(base_lr, num_stable_steps) >> down


@peer
def get_reduce_on_plateau_schedule(base_lr: BaseRate, **kwargs: Any) -> ls.Schedule:
    """`lrsched.dialects.torch.ReduceLROnPlateau(base_lr, **kwargs)`, driven by a metric."""
    return ReduceLROnPlateau(base_lr, **kwargs)


@peer
def GreedyLR(  # noqa: N802 - transformers' name
    base_lr: BaseRate,
    mode: Literal["min", "max"] = "min",
    factor: Annotated[Plain, Spec(gt=0, lt=1, hint="each reduction multiplies the rate with it")] = 0.95,
    patience: Count = 10,
    threshold: Factor = 1e-6,
    threshold_mode: Literal["rel", "abs"] = "abs",
    cooldown: Count = 0,
    warmup: Count = 0,
    min_lr: Rate = 1e-3,
    max_lr: Rate = 1.0,
    eps: Factor = 1e-8,
    verbose: bool = False,
    smooth: bool = False,
    window_size: Annotated[int, Spec(ge=1, integer=True, unit="observations")] = 50,
    reset_start: Number = 500,
) -> ls.Schedule:
    """`base_lr · factor^k`, where k counts reductions minus raises between `min_lr` and `max_lr`: see `lrsched.Greedy`.

    >>> import lrsched as ls
    >>> from lrsched.dialects import transformers
    >>> s = transformers.GreedyLR(0.1, factor=0.5, patience=0, max_lr=0.3)
    >>> print(ls.clocks.replay(s, [3.0, 2.0, 2.0, 1.0]))
    [0.1  0.2  0.3  0.15]
    """
    call = "GreedyLR"
    expect(min_lr <= max_lr, call, "min_lr <= max_lr", "the bounds of the rate", min_lr=min_lr, max_lr=max_lr)
    expect(not verbose, call, "verbose=False", "a schedule prints nothing; lrsched.readings shows its state", verbose=verbose)
    smallest = eps / (1.0 - factor)  # the smallest rate that can be reduced by more than eps
    expect(base_lr > smallest, call, "base_lr * (1 - factor) > eps", "no change would be made", base_lr=base_lr, eps=eps)
    at_max, at_min, at_smallest = (reductions(base_lr, rate, factor) for rate in (max_lr, min_lr, smallest))
    last = numerics.ceil(at_smallest)
    # If eps rather than min_lr is the lower bound, it never restarts.
    highest, reset = numerics.minimum(at_min, last), numerics.where(at_min <= last, numerics.maximum(reset_start, 1), 1e9)
    kind: Literal["rel_signed", "abs"] = "rel_signed" if threshold_mode == "rel" else "abs"
    clock = ls.Greedy(mode, patience, threshold, kind, cooldown, warmup, at_max, highest, reset)
    return ls.Exponential(base_lr, factor).on(ls.Smoothed(clock, window_size) if smooth else clock)


@peer
def get_greedy_schedule(base_lr: BaseRate, **kwargs: Any) -> ls.Schedule:
    """`GreedyLR(base_lr, **kwargs)`."""
    return GreedyLR(base_lr, **kwargs)


_SCHEDULES: dict[str, Callable[..., ls.Schedule]] = {
    "greedy": get_greedy_schedule,
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
    "reduce_lr_on_plateau": get_reduce_on_plateau_schedule,
    "cosine_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup,
    "cosine_warmup_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    "warmup_stable_decay": get_wsd_schedule,
}


@peer
def get_scheduler(
    name: str,
    base_lr: BaseRate,
    num_warmup_steps: Annotated[Plain, Spec(ge=0, exact=True, hint="updates, or a fraction of the run")] | None = None,
    num_training_steps: Steps | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> ls.Schedule:
    """The schedule of that name, or of a `SchedulerType`; it ignores lengths that it does not need, as in transformers.

    `num_warmup_steps` between 0 and 1 is a fraction of `num_training_steps`, rounded up to a whole number of updates.

    >>> from lrsched.dialects import transformers
    >>> transformers.get_scheduler("polynomial", 0.1, 0, 100, {"power": 2.0})
    transformers.get_scheduler('polynomial', 0.1, 0, 100, {'power': 2.0})
    """
    more = {} if scheduler_specific_kwargs is None else scheduler_specific_kwargs
    expect(isinstance(more, Mapping), "get_scheduler", "a dictionary", "keyword arguments", scheduler_specific_kwargs=more)
    expect(name in _SCHEDULES, "get_scheduler", f"one of {', '.join(_SCHEDULES)}", "a name as in transformers", name=name)
    given: dict[str, Any] = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    parameters = inspect.signature(_SCHEDULES[name]).parameters
    given = {key: value for key, value in given.items() if key in parameters}
    for key, value in given.items():
        needed = parameters[key].default is inspect.Parameter.empty
        expect(value is not None or not needed, "get_scheduler", f"{key} for {name!r}", "a number of updates", **{key: value})
    if num_warmup_steps is not None and "num_warmup_steps" in given:
        given["num_warmup_steps"] = _warmup_steps(num_warmup_steps, num_training_steps)
    return _SCHEDULES[name](base_lr, **given, **more)


def _schedule_of_lambda(base_lr: Number, fn: Callable[[int], float]) -> ls.Schedule | None:
    """The schedule for a function that transformers passed to PyTorch's `LambdaLR`; None for any other function.

    Such a function is a `functools.partial` whose keywords are all numbers, and whose function is named after the schedule.
    """
    function = getattr(fn, "func", fn)
    if getattr(function, "__module__", None) != "transformers.optimization":
        return None
    name = function.__name__.removeprefix("_").removesuffix("_lambda").removesuffix("_lr")
    given = dict(getattr(fn, "keywords", {}))
    if (default := given.pop("lr_init", None)) is not None:  # the optimizer's rate, to which lr_end refers in every group
        given["lr_end"] = tidy(given["lr_end"] * base_lr / default)
    if lowest := given.get("min_lr_rate"):
        given["min_lr_rate"] = tidy(lowest)
        name = name.replace("get_cosine_schedule", "get_cosine_with_min_lr_schedule")
    by_name = {"get_constant": get_constant_schedule, "get_wsd_scheduler": get_wsd_schedule}
    make = by_name.get(name) or {make.__name__: make for make in _SCHEDULES.values()}.get(name)
    known = inspect.signature(make).parameters if make else {}
    return make(base_lr, **{key: value for key, value in given.items() if key in known}) if make else None


def _warmup_steps(steps: Number, total: Number | None) -> Any:
    """A whole number of steps: a number rounded down, or a fraction of the total rounded up."""
    if total is None:
        call, hint = "get_scheduler", "a fraction is one of num_training_steps: give it as well"
        expect((steps >= 1) | (steps == 0), call, "a number of updates", hint, num_warmup_steps=steps)
        total = 0
    return numerics.where(steps >= 1, numerics.floor(steps), numerics.ceil(total * steps))


def _lowest(call: str, base_lr: Number, min_lr: Number | None, min_lr_rate: Number | None) -> Any:
    got = {"min_lr": min_lr, "min_lr_rate": min_lr_rate}
    expect((min_lr is None) != (min_lr_rate is None), call, "min_lr or min_lr_rate", "give one of them", **got)
    return min_lr if min_lr_rate is None else min_lr_rate * base_lr


def _wave(high: Number, low: Number, steps: Number, num_cycles: Number) -> ls.Schedule:
    """An endless cosine wave from high to low and back, `num_cycles` times in a number of steps."""
    return ls.CosineWave(high, low, steps / (2 * num_cycles))


explain_names(globals())
