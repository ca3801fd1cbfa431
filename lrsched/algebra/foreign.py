"""Names that people bring from PyTorch, optax, Keras, transformers and timm: errors say how the same is written here."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# What the same is called. Ours, and theirs in dialects, by what they are.
_FIRST = "init_lr initial_lr initial_learning_rate init_value"
_LOW = "eta_min min_lr lr_min lr_end end_lr end_value end_learning_rate final_lr"
_HIGH = "max_lr peak_lr peak_value warmup_target"
_LENGTH = "T_max T_0 total_steps total_iters num_steps num_training_steps first_decay_steps max_steps max_iters t_initial"
_EVERY = "transition_steps decay_steps"
_WARMUP = "num_warmup_steps warmup warmup_iters warmup_t"
_FACTOR = "gamma decay decay_rate"
_STRETCH = "T_mult t_mul cycle_mul cycle_mult"
_SCALE = "scale={}, which scales the low end as well"
_PER_STEP = "factor=f, and .stretch(n) if f is the factor of n steps"


def _or(*names: str) -> str:
    return "; ".join(" ".join(names).split())


_ARGUMENTS: dict[str, str] = {  # of a call, and what to write, perhaps with its value: the first that the call has
    **dict.fromkeys(("lr", "learning_rate"), _or("schedule peak peak_value start value base_lr", _FIRST, "max_lr")),
    **dict.fromkeys(("lr_schedule", "schedule_fn", "step_size_fn"), "schedule"),
    "base_lr": _or("peak start value low", _FIRST),
    **dict.fromkeys(_FIRST.split(), f"start; value; div_factor=peak / {{}}; {_or('base_lr', _FIRST)}"),
    **dict.fromkeys(_LOW.split(), f"end; low; min_scale={{}} / rate; {_or(_LOW)}"),
    **dict.fromkeys(("stop", "end"), _or("end", _LOW)),
    **dict.fromkeys(("alpha", "min_lr_ratio", "min_lr_rate"), "end={} * peak"),
    **dict.fromkeys(("peak", *_HIGH.split()), _or("peak high", _HIGH)),
    **dict.fromkeys(("steps", *_LENGTH.split()), _or("steps", _LENGTH, _EVERY)),
    **dict.fromkeys(("epochs", "num_epochs"), f"steps={{}} * steps_per_epoch; {_or(_LENGTH, _EVERY)}"),
    **dict.fromkeys(_EVERY.split(), f"steps; every; {_PER_STEP}; {_or(_EVERY, _LENGTH)}"),
    **dict.fromkeys(("warmup_steps", *_WARMUP.split()), _or("warmup_steps", _WARMUP)),
    "warmup_ratio": "warmup_steps=round({} * steps); num_warmup_steps=round({} * num_training_steps)",
    "warmup_epochs": f"warmup_steps={{}} * steps_per_epoch; {_or(_WARMUP)}",
    **dict.fromkeys(("num_decay_steps", "decay_iters"), "decay_steps; num_decay_steps"),
    **dict.fromkeys(("gamma", "decay"), f"factor; rate; {_SCALE}; {_or(_FACTOR)}"),
    "factor": _or("rate", _FACTOR),
    "rate": _or("factor", _FACTOR),
    "decay_rate": _or("factor", _FACTOR),
    **dict.fromkeys(("losses", "metrics"), "observations"),
    "decay_type": "shape",
    "constant_lr": "constant",
    "warmup_type": "warmup_shape",
    **dict.fromkeys(_STRETCH.split(), _or("stretch", _STRETCH)),
    **dict.fromkeys(("m_mul", "cycle_decay"), f"{_SCALE}; m_mul; cycle_decay"),
    **dict.fromkeys(("num_cycles", "cycle_limit", "cycles", "times"), "n; num_cycles; cycle_limit"),
    **dict.fromkeys(("min", "a_min", "min_value"), "low"),
    **dict.fromkeys(("max", "a_max", "max_value"), "high"),
    "rtol": "threshold",
    "min_delta": 'threshold={}, and threshold_mode="abs"',
    **dict.fromkeys(("d_model", "model_size"), "dim"),
    **dict.fromkeys(("n", "num"), "steps; every; factor"),
    "step_size": "every; up; decay_t",
    "step_size_up": "up",
    "step_size_down": "down",
    **dict.fromkeys(("boundaries", "milestones"), "milestones; steps; boundaries; decay_t"),
    "anneal_strategy": "anneal",
    "exponent": "power",
}
_NO_COUNTER = (
    "a schedule has no counter: schedule(t) is the value of update t, and schedule.drop(t) begins there; a driven one moves"
    " with clocks.tick(schedule, state, value=...), or in an optimizer with observe(state, value=...)"
)
_NO_OPTIMIZER = "a schedule holds no optimizer: give it to one, as in optax.adamw(schedule)"
_INSTEAD: dict[str, str] = {  # of arguments
    "boundaries_and_scales": "lrsched.dialects.optax.piecewise_constant_schedule, or Piecewise(steps, values)",
    "last_epoch": _NO_COUNTER,
    "optimizer": _NO_OPTIMIZER,
    "staircase": "schedule.staircase(every)",
    "transition_begin": "schedule.delay(steps)",
    "verbose": "print(schedule) shows the schedule, and learning_rate(state) the rate in use",
}

_READ = "schedule(t) is the value of update t, and learning_rate(state) what the last update used"
_NO_STATE = (
    "a schedule has no state; describe(schedule) and resume(saved, schedule) are for checkpoints; the state of a driven one"
    " is what clocks.init(schedule) and clocks.tick(schedule, state, value=...) give"
)
_IN_CHAIN = "scale_by_learning_rate(schedule), after an optimizer with flip_sign=False"
ATTRIBUTES: dict[str, str] = {  # of a schedule
    **dict.fromkeys(("step", "last_epoch"), _NO_COUNTER),
    **dict.fromkeys(("get_last_lr", "get_lr", "lr", "learning_rate", "value", "base_lrs"), _READ),
    **dict.fromkeys(("state_dict", "load_state_dict"), _NO_STATE),
    **dict.fromkeys(("get_config", "from_config", "serialize"), "to_dict(schedule) and from_dict(data)"),
    **{name: f"{name}(schedule)" for name in ("plot", "summary", "latex", "to_json", "to_dict", "describe")},
    "init": f"lrsched.clocks.init(schedule), for tick and evaluate; in optax.chain, {_IN_CHAIN}",
    "update": f"lrsched.clocks.tick(schedule, state, value=...); in optax.chain, {_IN_CHAIN}",
    "optimizer": _NO_OPTIMIZER,
    "shift": "schedule.delay(steps) or schedule.drop(steps)",
    "scale": "schedule * number",
    "cycle": "schedule.repeat()",
    "join": "schedule >> other",
    "clamp": "schedule.clip(low, high)",
    "warmup": "Linear(0.0, peak, steps) >> schedule",
    "composed": "expanded(schedule)",
    "anneal": "schedule.cooldown(steps, end)",
}

NAMES: dict[str, str] = {  # of the module; those of dialects are in `views.names`
    **dict.fromkeys(("get_lr", "get_last_lr", "current_learning_rate"), _READ),
    **dict.fromkeys(("cosine_annealing", "cosine_decay", "cosine_schedule"), "Cosine(start, end, steps)"),
    **dict.fromkeys(("cosine_warmup", "cosine_with_warmup"), "warmup_cosine(peak, warmup_steps, steps)"),
    **dict.fromkeys(("linear_decay", "decay"), "Linear(start, 0.0, steps)"),
    **dict.fromkeys(("linear_with_warmup", "linear_warmup_decay"), "warmup_linear(peak, warmup_steps, steps)"),
    **dict.fromkeys(("warmup", "linear_warmup"), ATTRIBUTES["warmup"]),
    **dict.fromkeys(("sgdr", "warm_restarts"), "cosine_restarts(start, end, steps)"),
    "step": "step_decay(start, every, factor)",
    **dict.fromkeys(("poly", "polynomial_decay"), "Polynomial(start, end, steps, power)"),
    **dict.fromkeys(("cyclic", "cyclical"), "triangular(low, high, up)"),
    "cooldown": ATTRIBUTES["anneal"],
    "tanh": "tanh_decay(start, end, steps)",
    **dict.fromkeys(("power", "power_scheduler"), "power_decay(peak, amplitude)"),
    **dict.fromkeys(("log_warmup", "warmup_log"), "Logarithmic(0.0, peak, steps)"),
    "piecewise_constant": "Piecewise(steps, values)",
    "piecewise_linear": 'Piecewise(steps, values, kind="linear")',
    **dict.fromkeys(("rsqrt", "inv_sqrt"), "InverseSqrt(value, timescale)"),
    **dict.fromkeys(("trapezoidal", "trapezoid", "warmup_stable_decay"), "wsd(peak, warmup_steps, steps, decay_steps)"),
    **dict.fromkeys(
        ("Scheduler", "LRScheduler", "LearningRateScheduler", "LearningRateSchedule", "LRSchedule"),
        "Schedule, and Function(f) of a function f",
    ),
    **dict.fromkeys(("Lambda", "LambdaSchedule"), "Function(f) of a function f"),
    **dict.fromkeys(("Sequential", "sequence", "concat"), "a >> b, or join(schedules, boundaries)"),
    "schedule_free": "optax.contrib.schedule_free; optimizers are those of optax",
    **dict.fromkeys(("adam", "adamw", "sgd"), "optax.adamw(schedule); optimizers are those of optax"),
    **dict.fromkeys(("lr_find", "lr_finder", "range_test"), "lrsched.lab.range_test"),
    "compare": "lrsched.lab.compare",
    **{name: f"from lrsched.dialects import {name}" for name in ("torch", "optax", "transformers", "timm", "keras")},
    "chain": "a >> b is one schedule after the other, a * b their product; optax.chain is for transforms",
    "inject_hyperparams": "scheduled(optax.adamw)(learning_rate=schedule)",
    "MultiSteps": "accumulate(optax.MultiSteps(...))",
    **{name: f"lrsched.clocks.{name}" for name in ("init", "evaluate", "tick", "bind", "replay")},
    "EarlyStopping": "SinceBest() is a clock that counts observations since the best",
}


def meant(name: str, public: Collection[str], texts: Mapping[str, str]) -> str:
    """One of the public names, or one of the texts, that is likely to be meant; empty if none is."""

    def plain(name: str) -> str:
        return name.lower().replace("_", "")

    alike = [ours for ours in public if plain(ours) == plain(name)]
    theirs = [text for one, text in texts.items() if plain(one) == plain(name)]
    begun = [ours for ours in public if len(name) > 4 and plain(ours).startswith(plain(name))]
    return texts.get(name) or next(iter([*alike, *theirs, *_close(name, public), *begun]), "")


def _close(name: str, names: Collection[str]) -> list[str]:
    """The nearest name, if it is one that is misspelt, and no other word."""
    return difflib.get_close_matches(name, names, n=1, cutoff=0.8)


def explained(function: Callable[P, R], call: str = "") -> Callable[P, R]:
    """The function, with an error for arguments that do not fit it: of an unknown one it names ours."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def with_hint(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            bound(call or function.__name__, signature, args, kwargs)
            raise

    return with_hint


def bound(call: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, or an error that says which do not fit."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError:
        parameters = [one for name, one in signature.parameters.items() if name != "self"]
        names = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            for name in kwargs:
                if name not in names:
                    raise TypeError(_unknown_argument(call, name, names)) from None
        count = len(args) - ("self" in signature.parameters)
        needed = [name for name in names if signature.parameters[name].default is inspect.Parameter.empty]
        expected = needed if {*needed} - {*names[:count], *kwargs} else names
        values = [f"{count} value{'s' * (count > 1)}"] * (count > 0)
        got = " and ".join([*values, *kwargs]) or "none"
        raise TypeError(f"{call}(...): expected {', '.join(expected) or 'no arguments'}, got {got}.") from None


def _unknown_argument(call: str, name: str, names: Collection[str]) -> str:
    known = [one for one in _ARGUMENTS.get(name, "").split("; ") if one.partition("=")[0] in names]
    ours = next(iter(known or ([] if name in _INSTEAD else _close(name, names))), "")
    hint = ours.format(name) if "=" in ours else f"write {ours} for {name}" if ours else _INSTEAD.get(name, "")
    return f"{call}({name}=...): expected {', '.join(names)}.{hint and f' Hint: {hint}.'}"
