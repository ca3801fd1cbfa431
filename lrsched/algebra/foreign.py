"""Names that people bring from PyTorch, optax, Keras, transformers and timm: errors say how the same is written here."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_STOP, _PEAK = "stop; end; low; min_scale={} / rate", "peak; high"
_SCALE = "scale={}, which scales the low end as well"
_PER_STEP = "rate=factor, and .stretch(n) if that is the factor of n steps"
_ARGUMENTS: dict[str, str] = {  # of a call, and ours, perhaps with its value: the first that the call has
    **dict.fromkeys(("lr", "learning_rate"), "schedule; peak; start; value"),
    **dict.fromkeys(("lr_schedule", "schedule_fn", "step_size_fn"), "schedule"),
    "base_lr": "peak; start; value; low",
    **dict.fromkeys(("init_lr", "initial_lr", "initial_learning_rate", "init_value"), "start; value; div_factor=peak / {}"),
    **dict.fromkeys(("eta_min", "min_lr", "lr_min", "lr_end", "end_lr", "end_value", "end_learning_rate", "final_lr"), _STOP),
    "alpha": "end=alpha * peak; stop=alpha * start",
    **dict.fromkeys(("max_lr", "peak_lr", "peak_value", "warmup_target"), _PEAK),
    **dict.fromkeys(("T_max", "T_0", "total_steps", "total_iters", "num_steps", "num_training_steps", "t_initial"), "steps"),
    **dict.fromkeys(("first_decay_steps", "max_steps"), "steps"),
    **dict.fromkeys(("epochs", "num_epochs"), "steps={} * steps_per_epoch"),
    **dict.fromkeys(("transition_steps", "decay_steps"), f"steps; every; {_PER_STEP}"),
    **dict.fromkeys(("num_warmup_steps", "warmup", "warmup_iters", "warmup_t"), "warmup_steps"),
    "warmup_epochs": "warmup_steps={} * steps_per_epoch",
    **dict.fromkeys(("num_decay_steps", "decay_iters"), "decay_steps"),
    **dict.fromkeys(("gamma", "decay"), f"factor; rate; {_SCALE}"),
    "decay_rate": f"factor; {_PER_STEP}",
    "decay_type": "shape",
    "warmup_type": "warmup_shape",
    **dict.fromkeys(("T_mult", "t_mul", "cycle_mul", "cycle_mult"), "stretch"),
    **dict.fromkeys(("m_mul", "cycle_decay"), _SCALE),
    **dict.fromkeys(("num_cycles", "cycle_limit", "cycles", "times"), "n"),
    **dict.fromkeys(("min", "a_min", "min_value"), "low"),
    **dict.fromkeys(("max", "a_max", "max_value"), "high"),
    "rtol": "threshold",
    "min_delta": 'threshold={}, and threshold_mode="abs"',
    **dict.fromkeys(("d_model", "model_size"), "dim"),
    **dict.fromkeys(("n", "num"), "steps; every; factor"),
    "step_size": "every; up",
    "step_size_up": "up",
    "step_size_down": "down",
    **dict.fromkeys(("boundaries", "milestones"), "milestones; steps"),
    "anneal_strategy": "anneal",
    "exponent": "power",
}
_NO_COUNTER = "a schedule has no counter: schedule(t) is the value of update t, and schedule.drop(t) begins there"
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
_NO_STATE = "a schedule has no state; describe(schedule) and resume(saved, schedule) are for checkpoints"
ATTRIBUTES: dict[str, str] = {  # of a schedule
    **dict.fromkeys(("step", "last_epoch"), _NO_COUNTER),
    **dict.fromkeys(("get_last_lr", "get_lr", "lr", "learning_rate", "value", "base_lrs"), _READ),
    **dict.fromkeys(("state_dict", "load_state_dict"), _NO_STATE),
    **dict.fromkeys(("get_config", "from_config", "serialize"), "to_dict(schedule) and from_dict(data)"),
    **{name: f"{name}(schedule)" for name in ("plot", "summary", "latex", "to_json", "to_dict", "describe", "init")},
    "update": "scale_by_learning_rate(schedule) has an update, for optax.chain",
    "optimizer": _NO_OPTIMIZER,
    "shift": "schedule.delay(steps) or schedule.drop(steps)",
    "scale": "schedule * number",
    "cycle": "schedule.repeat()",
    "join": "schedule >> other",
    "clamp": "schedule.clip(low, high)",
    "warmup": "Linear(0.0, peak, steps) >> schedule",
    "anneal": "schedule.cooldown(steps, end)",
}

_DIALECTS = {
    "torch": "LambdaLR MultiplicativeLR StepLR MultiStepLR ConstantLR LinearLR ExponentialLR PolynomialLR CosineAnnealingLR"
    " CosineAnnealingWarmRestarts CyclicLR OneCycleLR SWALR SequentialLR ChainedScheduler ReduceLROnPlateau from_torch",
    "optax": "constant_schedule linear_schedule polynomial_schedule cosine_decay_schedule exponential_decay sgdr_schedule"
    " piecewise_constant_schedule piecewise_interpolate_schedule linear_onecycle_schedule cosine_onecycle_schedule"
    " warmup_constant_schedule warmup_cosine_decay_schedule warmup_exponential_decay_schedule join_schedules",
    "keras": "ExponentialDecay PiecewiseConstantDecay PolynomialDecay InverseTimeDecay CosineDecay CosineDecayRestarts",
    "transformers": "get_scheduler get_constant_schedule get_constant_schedule_with_warmup get_linear_schedule_with_warmup"
    " get_cosine_schedule_with_warmup get_polynomial_decay_schedule_with_warmup get_inverse_sqrt_schedule get_wsd_schedule",
    "timm": "CosineLRScheduler TanhLRScheduler PolyLRScheduler StepLRScheduler MultiStepLRScheduler PlateauLRScheduler"
    " create_scheduler create_scheduler_v2",
}
NAMES: dict[str, str] = {  # of the module
    **{name: f"lrsched.dialects.{where}.{name}" for where, names in _DIALECTS.items() for name in names.split()},
    **dict.fromkeys(("get_lr", "get_last_lr", "current_learning_rate"), _READ),
    **dict.fromkeys(("cosine_annealing", "cosine_decay", "cosine_schedule"), "Cosine(start, stop, steps)"),
    **dict.fromkeys(("cosine_warmup", "cosine_with_warmup"), "warmup_cosine(peak, warmup_steps, steps)"),
    **dict.fromkeys(("linear_decay", "decay"), "Linear(start, 0.0, steps)"),
    **dict.fromkeys(("linear_with_warmup", "linear_warmup_decay"), "warmup_linear(peak, warmup_steps, steps)"),
    **dict.fromkeys(("warmup", "linear_warmup"), ATTRIBUTES["warmup"]),
    **dict.fromkeys(("sgdr", "warm_restarts"), "cosine_restarts(start, stop, steps)"),
    "step": "step_decay(start, every, factor)",
    "rex": "2 * peak * q / (1 + q), with q = Linear(1.0, 0.0, steps)",
    "inverse_time": "start / (1 + rate * Time())",
    **dict.fromkeys(("log_warmup", "warmup_log"), "Logarithmic(0.0, peak, steps)"),
    **dict.fromkeys(("rsqrt", "inv_sqrt"), "InverseSqrt(value, timescale)"),
    **dict.fromkeys(("trapezoidal", "trapezoid"), "wsd(peak, warmup_steps, steps, decay_steps)"),
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
    "lab": "from lrsched import lab",
    "dialects": "from lrsched.dialects import torch",
    "chain": "a >> b is one schedule after the other, a * b their product; optax.chain is for transforms",
    "inject_hyperparams": "scheduled(optax.adamw)(learning_rate=schedule)",
    "MultiSteps": "accumulate(optax.MultiSteps(...))",
    "EarlyStopping": "SinceBest() is a clock that counts observations since the best",
    "GreedyLR": "lrsched.dialects.transformers.GreedyLR, or Greedy(), a clock",
}


def missing_name(name: str, public: Collection[str]) -> str:
    """The text of an error about a name that the module does not have."""
    hint = "" if name.startswith("_") else meant(name, public)
    hint = f"lrsched.{hint}" if hint in public else hint
    return f"module 'lrsched' has no attribute {name!r}{hint and f'. Hint: {hint}.'}"


def meant(name: str, public: Collection[str], texts: Mapping[str, str] = NAMES) -> str:
    """One of the public names, or one of the texts, that is likely to be meant; empty if none is."""

    def plain(name: str) -> str:
        return name.lower().replace("_", "")

    alike = [ours for ours in public if plain(ours) == plain(name)]
    theirs = [text for one, text in texts.items() if plain(one) == plain(name)]
    return texts.get(name) or next(iter([*alike, *theirs, *_close(name, public)]), "")


def _close(name: str, names: Collection[str]) -> list[str]:
    """The nearest name, if it is one that is misspelt, and no other word."""
    return difflib.get_close_matches(name, names, n=1, cutoff=0.8)


def missing_attribute(owner: str, name: str) -> str:
    """The text of an error about a name in `ATTRIBUTES`."""
    return f"{owner!r} object has no attribute {name!r}. Hint: {ATTRIBUTES[name]}."


def explained(function: Callable[P, R], call: str = "") -> Callable[P, R]:
    """The function, with an error for an unknown argument that names ours."""
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name != "self"]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return function

    @functools.wraps(function)
    def with_hint(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in names:
                raise TypeError(_unknown_argument(call or function.__name__, name, names))
        return function(*args, **kwargs)

    return with_hint


def _unknown_argument(call: str, name: str, names: Collection[str]) -> str:
    known = [one for one in _ARGUMENTS.get(name, "").split("; ") if one.partition("=")[0] in names]
    ours = next(iter(known or ([] if name in _INSTEAD else _close(name, names))), "")
    hint = ours.format(name) if "=" in ours else f"write {ours} for {name}" if ours else _INSTEAD.get(name, "")
    return f"{call}({name}=...): expected {', '.join(names)}.{hint and f' Hint: {hint}.'}"
