"""Keras' schedules, exactly: every class of `keras.optimizers.schedules`, and the callback `ReduceLROnPlateau`, as a schedule.

Names, argument order and defaults are Keras', with `base_lr` before those of the callback. A step is an update, and
a schedule with an end keeps its last value. `deserialize` reads the output of Keras' `serialize`.
`notebooks/coming_from_keras.md` shows each beside the algebra, and the differences.

Args:
    initial_learning_rate: the rate at step 0.
    decay_steps, first_decay_steps: the length of the decay, or of its first cycle, in steps, > 0; without the warm-up.
    decay_rate: the factor over `decay_steps` steps, >= 0; in `InverseTimeDecay` the growth of the divisor over them.
    staircase: whether the rate moves only every `decay_steps` steps.
    boundaries, values: the last step of each value except the last one, rising; and one more value than boundaries.
    end_learning_rate, power: the last rate, and the exponent, >= 0.
    cycle: whether the decay, whenever it ends, is lengthened by `decay_steps`, a whole number.
    alpha: the lowest rate as a fraction of the highest, or, with restarts, of the initial one.
    warmup_target, warmup_steps: the rate at the end of a warm-up, and its length in steps, >= 0; none without a target.
    t_mul, m_mul: the length of each cycle over that of the one before, >= 1, and the same ratio for heights.
    base_lr, min_lr: the optimizer's rate, in place of the optimizer, and the lowest rate, >= 0.
    monitor, mode: the name of the metric; "min" for a loss, "max" for a score, "auto" for a metric named loss.
    factor: the factor of each reduction, in [0, 1).
    patience, cooldown: whole numbers of observations, one per epoch, >= 0.
    min_delta: the absolute margin of a better metric.
    name, verbose: without effect; `verbose` must be 0.

A number out of bounds raises a ValueError, and anything but a number a TypeError.

>>> from lrsched.dialects import keras
>>> s = keras.CosineDecay(0.0, 900, warmup_target=1e-3, warmup_steps=100)
>>> print(s([0, 50, 100, 1000]))
[0.     0.0005 0.001  0.    ]
"""

# ruff: noqa: ARG001, N802 - the names are Keras'

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.written import NAMES
from lrsched.dialects.shared import (
    BaseRate,
    Count,
    Factor,
    InitialRate,
    Length,
    Milestones,
    Number,
    Numbers,
    PositiveLength,
    Rate,
    Reduction,
    Stretch,
    expect,
    is_known,
    peer,
)
from lrsched.views.names import explain_names


@peer
def ExponentialDecay(
    initial_learning_rate: InitialRate,
    decay_steps: PositiveLength,
    decay_rate: Factor,
    staircase: bool = False,
    name: str | None = "ExponentialDecay",
) -> ls.Schedule:
    """`initial_learning_rate · decay_rate^p` with p = t / decay_steps, rounded down if a staircase. It has no end."""
    decay = ls.Exponential(initial_learning_rate, decay_rate).stretch(decay_steps)
    return decay.staircase(decay_steps) if staircase else decay


@peer
def PiecewiseConstantDecay(boundaries: Milestones, values: Numbers, name: str | None = "PiecewiseConstant") -> ls.Schedule:
    """`values[k]` at the steps after `boundaries[k - 1]`, up to and including `boundaries[k]`.

    A boundary, rounded down, is the last step of the old value: one step later than in optax, PyTorch and `lrsched.Piecewise`.
    """
    got, hint = {"boundaries": boundaries, "values": values}, "the last value has no end"
    expect(0 < len(boundaries) == len(values) - 1, "PiecewiseConstantDecay", "one boundary fewer than values", hint, **got)
    return ls.Piecewise([0, *(b // 1 + 1 for b in boundaries)], [*values])


@peer
def PolynomialDecay(
    initial_learning_rate: InitialRate,
    decay_steps: PositiveLength,
    end_learning_rate: Number = 0.0001,
    power: Factor = 1.0,
    cycle: bool = False,
    name: str | None = "PolynomialDecay",
) -> ls.Schedule:
    """`end + (initial - end) · (1 - p)^power` with p = min(t / n, 1), or t / (n · ⌈t / n⌉) if it cycles, n = decay_steps.

    With a power of 0 it stays at the initial rate.
    """
    end, power = numerics.where(power > 0, end_learning_rate, initial_learning_rate), numerics.where(power > 0, power, 1.0)
    if not cycle:
        return ls.Polynomial(initial_learning_rate, end, decay_steps, power)
    expect(decay_steps % 1 == 0, "PolynomialDecay", "whole decay_steps", "a cycle ends at a step", decay_steps=decay_steps)
    end_of_cycle = (ls.Time().staircase(decay_steps) + decay_steps).delay(1)
    return ls.Polynomial(initial_learning_rate, end, 1.0, power) @ (ls.Time() / end_of_cycle)


@peer
def InverseTimeDecay(
    initial_learning_rate: InitialRate,
    decay_steps: PositiveLength,
    decay_rate: Factor,
    staircase: bool = False,
    name: str | None = "InverseTimeDecay",
) -> ls.Schedule:
    """`initial_learning_rate / (1 + decay_rate · p)` with p = t / decay_steps, rounded down if a staircase. It has no end."""
    decay = ls.inverse_time(initial_learning_rate, decay_rate, decay_steps)
    return decay.staircase(decay_steps) if staircase else decay


@peer
def CosineDecay(
    initial_learning_rate: InitialRate,
    decay_steps: PositiveLength,
    alpha: Number = 0.0,
    name: str | None = "CosineDecay",
    warmup_target: Number | None = None,
    warmup_steps: Length = 0,
) -> ls.Schedule:
    """`high · (alpha + (1 - alpha) · ½(1 + cos(π · min(t / decay_steps, 1))))`, after a line to `high` = `warmup_target`."""
    if warmup_target is None:
        return ls.Cosine(initial_learning_rate, alpha * initial_learning_rate, decay_steps)
    warmup = ls.Linear(initial_learning_rate, warmup_target, warmup_steps)
    return warmup >> ls.Cosine(warmup_target, alpha * warmup_target, decay_steps)


@peer
def CosineDecayRestarts(
    initial_learning_rate: InitialRate,
    first_decay_steps: PositiveLength,
    t_mul: Stretch = 2.0,
    m_mul: Number = 1.0,
    alpha: Number = 0.0,
    name: str | None = "SGDRDecay",
) -> ls.Schedule:
    """`low + (initial · m_mul^i - low) · ½(1 + cos(π · p))`, low = alpha · initial, p the part done of cycle i, without end.

    Cycle i lasts `first_decay_steps · t_mul^i` steps.
    """
    a, low = initial_learning_rate, alpha * initial_learning_rate
    return ls.cosine_restarts(a, low, first_decay_steps, None, _unless(1, t_mul), _unless(1, m_mul), _unless(0, low))


@peer
def ReduceLROnPlateau(
    base_lr: BaseRate,
    monitor: str = "val_loss",
    factor: Reduction = 0.1,
    patience: Count = 10,
    verbose: int = 0,
    mode: Literal["auto", "min", "max"] = "auto",
    min_delta: Number = 1e-4,
    cooldown: Count = 0,
    min_lr: Rate = 0.0,
) -> ls.Schedule:
    """`max(base_lr · factor^plateaus, min_lr)`: the metric is observed once per epoch.

    With patience p, a plateau is the p-th observation without improvement (0 counts as 1), one earlier than in PyTorch. A
    cooldown of c skips c - 1 observations.

    >>> import lrsched as ls
    >>> from lrsched.dialects import keras
    >>> s = keras.ReduceLROnPlateau(1.0, factor=0.5, patience=2)
    >>> state = ls.clocks.init(s)
    >>> for loss in [2.0, 2.0, 2.0]:
    ...     state = ls.clocks.tick(s, state, val_loss=loss)
    >>> print(ls.clocks.evaluate(s, state))
    0.5
    """
    call = "ReduceLROnPlateau"
    expect(not verbose, call, "verbose=0", "a schedule prints nothing; lrsched.readings shows its state", verbose=verbose)
    has_direction = mode != "auto" or monitor.removeprefix("val_") == "loss"
    expect(has_direction, call, "mode='min' or mode='max'", "'auto' is for a loss alone", monitor=monitor, mode=mode)
    direction: Literal["min", "max"] = "max" if mode == "max" else "min"
    patience, cooldown = (numerics.maximum(n - 1, 0) for n in (patience, cooldown))
    clock = ls.Plateau(direction, patience, abs(min_delta), "abs", cooldown, monitor)
    low = numerics.minimum(min_lr, base_lr)  # a base rate below the lowest rate stays
    return ls.Exponential(base_lr, factor).clip(low).on(clock)


_SCHEDULES = {
    f.__name__: f
    for f in (ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts)
}


def deserialize(config: Mapping[str, Any], custom_objects: None = None) -> ls.Schedule:
    """The schedule of a `config` that `keras.optimizers.schedules.serialize` made; there are no `custom_objects`.

    >>> from lrsched.dialects import keras
    >>> keras.deserialize({"class_name": "PolynomialDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 100}})
    keras.PolynomialDecay(initial_learning_rate=0.1, decay_steps=100)
    """
    call, hint = "deserialize", "write the schedule in the algebra, or Function(f)"
    expect(custom_objects is None, call, "custom_objects=None", hint, custom_objects=custom_objects)
    is_one = isinstance(config, Mapping) and "class_name" in config and isinstance(config.get("config"), Mapping)
    expect(is_one, call, "a mapping with class_name and config", "the result of serialize(schedule)", config=config)
    name, registered = str(config["class_name"]), config.get("registered_name")  # only users' own classes have one
    expect(name in _SCHEDULES, call, f"one of {', '.join(_SCHEDULES)}", hint, class_name=name)
    expect(registered is None, call, "a class of Keras", hint, registered_name=registered)
    return _SCHEDULES[name](**config["config"])


NAMES["keras.deserialize"] = deserialize


def _unless(value: float, number: Number) -> Number | None:
    return None if is_known(number, value) else number


explain_names(globals())
