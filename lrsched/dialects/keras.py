"""Keras' schedules, exactly: every class of `keras.optimizers.schedules`, and the callback `ReduceLROnPlateau`, as a schedule.

The names, arguments, their order and defaults are Keras', with `base_lr` before those of the callback; `name` does nothing.
Lengths and boundaries are steps, that is updates, and a schedule with an end keeps its last value; patience and cooldown are
observations of the callback, that is epochs. A number without a meaning raises a `ValueError`, and anything but a number a
`TypeError`. `deserialize` reads what Keras' `serialize` wrote. `notebooks/coming_from_keras.md` shows each beside the
algebra, and what differs.

>>> from lrsched.dialects import keras
>>> s = keras.CosineDecay(0.0, 900, warmup_target=1e-3, warmup_steps=100)
>>> print(s([0, 50, 100, 1000]))
[0.     0.0005 0.001  0.    ]
"""

# ruff: noqa: ARG001, N802 - the names are Keras', and labels of operations are not looked at

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import lrsched as ls
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
    at_least,
    expect,
    is_known,
    numpy_of,
    peer,
    where,
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
    """`initial_learning_rate · decay_rate^p` with p = t / decay_steps, whole if a staircase.

    `decay_rate` is the factor of `decay_steps` steps, and not of one; it has no end.
    """
    decay = ls.Exponential(initial_learning_rate, decay_rate).stretch(decay_steps)
    return decay.staircase(decay_steps) if staircase else decay


@peer
def PiecewiseConstantDecay(boundaries: Milestones, values: Numbers, name: str | None = "PiecewiseConstant") -> ls.Schedule:
    """`values[k]` at the steps after `boundaries[k - 1]`, up to and with `boundaries[k]`.

    A boundary, rounded down, is the last step of the old value, one step later than in optax, PyTorch and `lrsched.Piecewise`.
    """
    got, hint = {"boundaries": boundaries, "values": values}, "the last value has no end"
    expect(0 < len(boundaries) == len(values) - 1, "PiecewiseConstantDecay", "one boundary fewer than values", hint, **got)
    return ls.Piecewise([0, *(numpy_of(b).floor(b) + 1 for b in boundaries)], [*values])


@peer
def PolynomialDecay(
    initial_learning_rate: InitialRate,
    decay_steps: PositiveLength,
    end_learning_rate: Number = 0.0001,
    power: Factor = 1.0,
    cycle: bool = False,
    name: str | None = "PolynomialDecay",
) -> ls.Schedule:
    """`end + (initial - end) · (1 - p)^power` with p = min(t / n, 1), or t / (n · ⌈t / n⌉) if it cycles; n whole steps then.

    It holds `end_learning_rate` from step `decay_steps` on. With `cycle` the decay does not repeat: it becomes longer. With the
    power 0 it stays at the initial rate.
    """
    end, power = where(power > 0, end_learning_rate, initial_learning_rate), where(power > 0, power, 1.0)
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
    """`initial_learning_rate / (1 + decay_rate · p)` with p = t / decay_steps, whole if a staircase.

    `decay_rate` is what `decay_steps` steps add to the divisor; it has no end.
    """
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
    """Half a cosine wave down to `alpha` of where it began, after a straight line to `warmup_target` if there is one.

    `decay_steps` excludes the `warmup_steps`, which count only with a target. `alpha` is a fraction of the highest rate.
    """
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
    """Half waves, each `t_mul` times longer and `m_mul` times higher than the last, above a floor of `alpha · initial`.

    Each wave begins where the last one ended, at step `first_decay_steps` for the second, and they go on for ever.
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
    """`max(base_lr · factor^plateaus, min_lr)`: the metric is observed once an epoch.

    Patience p fires at the p-th observation without improvement, one earlier than PyTorch's, and 0 counts as 1; a cooldown of c
    leaves out c - 1 observations, and `min_delta` is absolute.

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
    if mode == "auto":
        is_loss = monitor.removeprefix("val_") == "loss"
        expect(
            is_loss, call, "mode='min' or mode='max'", "'auto' knows the direction of a loss alone", monitor=monitor, mode=mode
        )
        mode = "min"
    clock = ls.Plateau(mode, at_least(0, patience - 1), abs(min_delta), "abs", at_least(0, cooldown - 1), monitor)
    low = numpy_of(min_lr, base_lr).minimum(min_lr, base_lr)  # a base rate below the lowest stays
    return ls.Exponential(base_lr, factor).clip(low).on(clock)


_SCHEDULES = {
    f.__name__: f
    for f in (ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts)
}


def deserialize(config: Mapping[str, Any], custom_objects: None = None) -> ls.Schedule:
    """The schedule that `keras.optimizers.schedules.serialize` wrote.

    >>> from lrsched.dialects import keras
    >>> keras.deserialize({"class_name": "PolynomialDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 100}})
    keras.PolynomialDecay(initial_learning_rate=0.1, decay_steps=100)
    """
    hint = "write the schedule in the algebra, or Function(f)"
    expect(custom_objects is None, "deserialize", "custom_objects=None", hint, custom_objects=custom_objects)
    is_one = isinstance(config, Mapping) and "class_name" in config and isinstance(config.get("config"), Mapping)
    expect(is_one, "deserialize", "a mapping with class_name and config", "what serialize(schedule) gives", config=config)
    name = str(config["class_name"])
    expect(name in _SCHEDULES, "deserialize", f"one of {', '.join(_SCHEDULES)}", hint, class_name=name)
    registered = config.get("registered_name")  # only classes of users have one
    expect(registered is None, "deserialize", "a class of Keras", hint, registered_name=registered)
    return _SCHEDULES[name](**config["config"])


NAMES["keras.deserialize"] = deserialize


def _unless(value: float, number: Number) -> Number | None:
    return None if is_known(number, value) else number


explain_names(globals())
