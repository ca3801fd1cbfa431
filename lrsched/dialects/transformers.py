"""Hugging Face's schedules, exactly: every one of transformers' `get_scheduler`, under its name and as a function.

The names, arguments, their order and defaults are those of transformers, with `base_lr` in the place of the optimizer and no
`last_epoch`: `s.drop(n)` resumes at update n. The value at t is the rate after t calls of `step()`.

>>> from lrsched.dialects import transformers
>>> s = transformers.get_scheduler("linear", 1e-3, num_warmup_steps=0.1, num_training_steps=1000)
>>> print(s, s([0, 50, 100, 1000]))
Linear(0.0, 0.001, 100) >> Linear(0.001, 0.0, 900) [0.     0.0005 0.001  0.    ]

With base rate b, W warm-up steps, N steps in all and n = N - W; `…` stands for `Linear(0, b, W) >>`:

| `get_scheduler` | the algebra |
| --- | --- |
| `"constant"` | `Constant(b)` |
| `"constant_with_warmup"` | `warmup_constant(b, W)` |
| `"linear"` | `warmup_linear(b, W, N)` |
| `"cosine"` | `… CosineWave(b, 0, n / (2 * num_cycles))` |
| `"cosine_with_restarts"` | `… Cosine(b, 0, n / num_cycles).repeat(num_cycles)` |
| `"polynomial"` | `… Polynomial(b, lr_end, n, power)` |
| `"inverse_sqrt"` | `warmup_inverse_sqrt(b, W, timescale)` |
| `"cosine_with_min_lr"` | as `"cosine"`, down to `min_lr` |
| `"cosine_warmup_with_min_lr"` | the same, one update ahead: `.drop(1)` |
| `"warmup_stable_decay"` | `wsd(b, W, N, num_decay_steps, shape="cosine")` |
| `"reduce_lr_on_plateau"` | `b * reduce_on_plateau(…)` |

The same words with other meanings:

- Steps are updates, not small batches: under gradient accumulation the count moves once per update, as in optax.
- A cosine that has come to its end at step N rises again; `warmup_cosine(b, W, N)` stays at 0.
- `num_cycles` of `"cosine"` counts whole waves, and half a wave, the default, is the way down; of `"cosine_with_restarts"` it
  counts the ways down.
- `num_warmup_steps` between 0 and 1 is a fraction of the run, ⌈N · W⌉ steps, as `TrainingArguments(warmup_steps=…)` reads it.
- `min_lr` is a rate, `min_lr_rate`, `min_lr_ratio` and `warmup_lr_rate` are fractions of the base rate, and `lr_end` is a rate.

What differs: where a restart falls on a whole step, transformers may miss it by rounding, as with 49 cycles of one step.
`"constant"` refuses keyword arguments, which transformers ignores. The greedy controller is missing, and `"greedy"`
raises.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import lrsched as ls
from lrsched.dialects.shared import Number, at_least, expect, is_known, numpy_of, peer, where
from lrsched.dialects.torch import ReduceLROnPlateau


@peer
def get_constant_schedule(base_lr: Number) -> ls.Schedule:
    """`base_lr` for ever."""
    return ls.Constant(base_lr)


@peer
def get_constant_schedule_with_warmup(base_lr: Number, num_warmup_steps: Number) -> ls.Schedule:
    """A straight line from 0 to `base_lr`, which is held."""
    return ls.Linear(0.0, base_lr, num_warmup_steps)


@peer
def get_linear_schedule_with_warmup(base_lr: Number, num_warmup_steps: Number, num_training_steps: Number) -> ls.Schedule:
    """A straight line from 0 to `base_lr`, and one back to 0 at step `num_training_steps`."""
    rest = at_least(0, num_training_steps - num_warmup_steps)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> ls.Linear(base_lr, 0.0, rest)


@peer
def get_cosine_schedule_with_warmup(
    base_lr: Number, num_warmup_steps: Number, num_training_steps: Number, num_cycles: Number = 0.5
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `½ base_lr (1 + cos(2π · num_cycles · p))`, p = 1 at `num_training_steps`, and so on."""
    rest = at_least(1, num_training_steps - num_warmup_steps)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> _wave(base_lr, 0.0, rest, num_cycles)


@peer
def get_cosine_with_hard_restarts_schedule_with_warmup(
    base_lr: Number, num_warmup_steps: Number, num_training_steps: Number, num_cycles: Number = 1
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `num_cycles` half waves down to 0, and 0 from step `num_training_steps` on."""
    rest = at_least(1, num_training_steps - num_warmup_steps)
    cycle = ls.Cosine(base_lr, 0.0, _parts(rest, num_cycles))
    cycles = cycle if is_known(num_cycles, 1) else cycle.repeat().take(rest) >> ls.Constant(0.0)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> cycles


@peer
def get_polynomial_decay_schedule_with_warmup(
    base_lr: Number, num_warmup_steps: Number, num_training_steps: Number, lr_end: Number = 1e-7, power: Number = 1.0
) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `lr_end + (base_lr - lr_end) · (1 - p)^power`, p = 1 from `num_training_steps` on."""
    call = "get_polynomial_decay_schedule_with_warmup"
    expect(lr_end < base_lr, call, "lr_end < base_lr", "it decays", base_lr=base_lr, lr_end=lr_end)
    rest = at_least(0, num_training_steps - num_warmup_steps)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> ls.Polynomial(base_lr, lr_end, rest, power)


@peer
def get_inverse_sqrt_schedule(base_lr: Number, num_warmup_steps: Number, timescale: Number | None = None) -> ls.Schedule:
    """A line from 0 to `base_lr`, then `base_lr / √(1 + (t - W) / timescale)`; the timescale is W, and 10,000 if W = 0."""
    default = where(num_warmup_steps > 0, num_warmup_steps, 10_000)
    return ls.warmup_inverse_sqrt(base_lr, num_warmup_steps, default if timescale is None else timescale)


@peer
def get_cosine_with_min_lr_schedule_with_warmup(
    base_lr: Number,
    num_warmup_steps: Number,
    num_training_steps: Number,
    num_cycles: Number = 0.5,
    *,
    min_lr: Number | None = None,
    min_lr_rate: Number | None = None,
) -> ls.Schedule:
    """As `get_cosine_schedule_with_warmup`, down to `min_lr` or to `min_lr_rate · base_lr`."""
    low = _lowest("get_cosine_with_min_lr_schedule_with_warmup", base_lr, min_lr, min_lr_rate)
    rest = at_least(1, num_training_steps - num_warmup_steps)
    return ls.Linear(0.0, base_lr, num_warmup_steps) >> _wave(base_lr, low, rest, num_cycles)


@peer
def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    base_lr: Number,
    num_warmup_steps: Number,
    num_training_steps: Number,
    num_cycles: Number = 0.5,
    *,
    min_lr: Number | None = None,
    min_lr_rate: Number | None = None,
    warmup_lr_rate: Number | None = None,
) -> ls.Schedule:
    """`get_cosine_with_min_lr_schedule_with_warmup` one update ahead: from `base_lr / W` or `warmup_lr_rate · base_lr`."""
    low = _lowest("get_cosine_with_min_lr_schedule_with_warmup_lr_rate", base_lr, min_lr, min_lr_rate)
    rest = at_least(1, num_training_steps - num_warmup_steps)
    if warmup_lr_rate is None:
        line = ls.Linear(0.0, base_lr, num_warmup_steps).drop(1)
    else:
        line = ls.Linear(warmup_lr_rate * base_lr, base_lr, at_least(1, num_warmup_steps - 1))
    return line.take(num_warmup_steps) >> _wave(base_lr, low, rest, num_cycles).drop(1)


_Shape = Literal["linear", "cosine", "1-sqrt"]
_SHAPES: dict[str, Callable[..., ls.Schedule]] = {"linear": ls.Linear, "cosine": ls.Cosine, "1-sqrt": ls.OneMinusSqrt}


@peer
def get_wsd_schedule(
    base_lr: Number,
    num_warmup_steps: Number,
    num_decay_steps: Number,
    num_training_steps: Number | None = None,
    num_stable_steps: Number | None = None,
    warmup_type: _Shape = "linear",
    decay_type: _Shape = "cosine",
    min_lr_ratio: Number = 0,
    num_cycles: Number = 0.5,
) -> ls.Schedule:
    """From `min_lr_ratio · base_lr` up to `base_lr`, a hold, and back down; a cosine of more than half a wave is cut there."""
    call, kinds = "get_wsd_schedule", " or ".join(map(repr, _SHAPES))
    expect(warmup_type in _SHAPES, call, kinds, "the way up", warmup_type=warmup_type)
    expect(decay_type in _SHAPES, call, kinds, "the way down", decay_type=decay_type)
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError(f"{call}(...): expected num_training_steps or num_stable_steps. Hint: one gives the other.")
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    elif num_training_steps is not None:
        warnings.warn(f"{call}(num_training_steps=..., num_stable_steps=...): the second is used", stacklevel=2)
    low = min_lr_ratio * base_lr
    up = _SHAPES[warmup_type](base_lr, low, num_warmup_steps).reverse()
    down = _SHAPES[decay_type](base_lr, low, num_decay_steps)
    if decay_type == "cosine" and not is_known(num_cycles, 0.5):
        down = _wave(base_lr, low, num_decay_steps, num_cycles).take(num_decay_steps) >> ls.Constant(low)
    return up >> ls.Constant(base_lr, num_stable_steps) >> down


def get_reduce_on_plateau_schedule(base_lr: Number, **kwargs: Any) -> ls.Schedule:
    """`lrsched.dialects.torch.ReduceLROnPlateau(base_lr, **kwargs)`, driven by a metric."""
    return ReduceLROnPlateau(base_lr, **kwargs)


_SCHEDULES: dict[str, Callable[..., ls.Schedule]] = {
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


def get_scheduler(
    name: str,
    base_lr: Number,
    num_warmup_steps: Number | None = None,
    num_training_steps: Number | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> ls.Schedule:
    """The schedule of a name, or of a `SchedulerType`; a length that it has no use for is not looked at, as in transformers.

    >>> from lrsched.dialects import transformers
    >>> transformers.get_scheduler("polynomial", 0.1, 0, 100, {"power": 2.0})
    Linear(0.0, 0.1, 0) >> Polynomial(0.1, 1e-07, 100, 2.0)
    """
    name = getattr(name, "value", name)
    hint = "write it as a clock, help(lrsched.Clock)" if name == "greedy" else "a name as in transformers"
    expect(name in _SCHEDULES, "get_scheduler", f"one of {', '.join(_SCHEDULES)}", hint, name=name)
    given: dict[str, Any] = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    parameters = inspect.signature(_SCHEDULES[name]).parameters
    given = {key: value for key, value in given.items() if key in parameters}
    for key, value in given.items():
        needed = parameters[key].default is inspect.Parameter.empty
        expect(value is not None or not needed, "get_scheduler", f"{key} for {name!r}", "a number of updates", **{key: value})
    if num_warmup_steps is not None and "num_warmup_steps" in given:
        given["num_warmup_steps"] = _warmup_steps(num_warmup_steps, num_training_steps)
    return _SCHEDULES[name](base_lr, **given, **(scheduler_specific_kwargs or {}))


def schedule_of_lambda(base_lr: Number, fn: Callable[[int], float]) -> ls.Schedule | None:
    """The schedule of a function that transformers gave to a `LambdaLR` of PyTorch; None if it is not one of those.

    It is a `functools.partial` whose keywords are all numbers, and whose function has the name of the schedule.
    """
    function = getattr(fn, "func", fn)
    if getattr(function, "__module__", None) != "transformers.optimization":
        return None
    name = function.__name__.removeprefix("_").removesuffix("_lambda").removesuffix("_lr")
    given = dict(getattr(fn, "keywords", {}))
    if (default := given.pop("lr_init", None)) is not None:  # the optimizer's rate, to which lr_end refers in every group
        given["lr_end"] *= base_lr / default
    if name == "get_cosine_schedule_with_warmup" and given.get("min_lr_rate"):
        name = "get_cosine_with_min_lr_schedule_with_warmup"
    by_name = {"get_constant": get_constant_schedule, "get_wsd_scheduler": get_wsd_schedule}
    make = by_name.get(name) or {make.__name__: make for make in _SCHEDULES.values()}.get(name)
    known = inspect.signature(make).parameters if make else {}
    return make(base_lr, **{key: value for key, value in given.items() if key in known}) if make else None


def _warmup_steps(steps: Number, total: Number | None) -> Any:
    """A whole number of steps, of a number or of a fraction of the total."""
    if total is None:
        call, hint = "get_scheduler", "give num_training_steps, of which a fraction is"
        expect((steps >= 1) | (steps == 0), call, "a number of updates", hint, num_warmup_steps=steps)
        total = 0
    return where(steps >= 1, numpy_of(steps).floor(steps), numpy_of(steps, total).ceil(total * steps))


def _lowest(call: str, base_lr: Number, min_lr: Number | None, min_lr_rate: Number | None) -> Any:
    got = {"min_lr": min_lr, "min_lr_rate": min_lr_rate}
    expect((min_lr is None) != (min_lr_rate is None), call, "min_lr or min_lr_rate", "give one of them", **got)
    return min_lr if min_lr_rate is None else min_lr_rate * base_lr


def _parts(steps: Number, parts: Number) -> Any:
    expect(parts > 0, "num_cycles", "num_cycles > 0", "how many cycles the steps hold", num_cycles=parts)
    return steps / parts


def _wave(high: Number, low: Number, steps: Number, num_cycles: Number) -> ls.Schedule:
    """A cosine wave from high to low and back, `num_cycles` times in a number of steps, and so on for ever."""
    return ls.CosineWave(high, low, _parts(steps, 2 * num_cycles))
