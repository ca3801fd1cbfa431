"""Names that users bring from PyTorch, optax, Keras, transformers and timm: errors say what to write here instead."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Groups of arguments with the same meaning, ours and those of dialects. If a call lacks an argument, the error names the first
# one of its group that the call has; an argument in several groups belongs to the first.
ALIKE = (
    "schedule lr_schedule schedule_fn step_size_fn lr learning_rate new new_schedule",
    "start value init_lr initial_lr initial_learning_rate init_value initial begin start_lr",
    "end low eta_min min_lr lr_min lr_end end_lr end_value end_learning_rate final_lr min a_min min_value final floor",
    "stop end end_lr end_value",
    "peak high max_lr peak_lr peak_value warmup_target max a_max max_value",
    "peak peak_value start value base_lr lr learning_rate init_lr initial_lr initial_learning_rate init_value max_lr",
    "low base_lr",
    "decay_steps num_decay_steps decay_iters cooldown_steps cooldown decay",
    "steps T_max T_0 total_steps total_iters num_steps num_training_steps first_decay_steps max_steps max_iters t_initial"
    " epochs num_epochs num_iter transition_steps decay_steps length duration horizon total",
    "every decay_t transition_steps decay_steps step_size",
    "up step_size_up step_size",
    "down step_size_down",
    "warmup_steps num_warmup_steps warmup warmup_iters warmup_t warmup_epochs",
    "factor rate gamma decay decay_rate layer_decay",
    "depth_of depth depths",
    "stretch T_mult t_mul cycle_mul cycle_mult mult",
    "m_mul cycle_decay",
    "n num_cycles cycle_limit cycles times",
    "milestones steps boundaries decay_t",
    "observations losses metrics",
    "peaks lrs learning_rates rates peak_lrs",
    "monitor metric metric_name",
    "shape decay_type",
    "constant constant_lr",
    "warmup_shape warmup_type",
    "anneal anneal_strategy",
    "power exponent degree",
    "pct_start pct_warmup warmup",
    "kind interpolation",
    "fn f function",
    "threshold rtol",
    "dim d_model model_size",
    "b1 beta1 beta_1",
    "b2 beta2 beta_2",
    "ax axes axis",
    "log logy log_scale semilogy",
)


def _each(texts: Mapping[str, str]) -> dict[str, str]:
    """A text for each of several names."""
    return {name: text for names, text in texts.items() for name in names.split()}


# What to write with an argument's value: the first alternative that fits the call. This takes precedence over the groups.
FORMULAS = _each(
    {
        "start init_lr initial_lr initial_learning_rate init_value": "div_factor=peak / {}",
        "eta_min min_lr lr_min lr_end end_lr end_value end_learning_rate final_lr end": (
            "min_scale={} / rate; final_div_factor=peak / div_factor / {}"
        ),
        "max_lr": "stop={}",
        "alpha min_lr_ratio min_lr_rate min_ratio": "end={} * peak",
        "epochs num_epochs": "steps={} * steps_per_epoch",
        "warmup_epochs": "warmup_steps={} * steps_per_epoch",
        "warmup_ratio warmup_fraction": "warmup_steps=round({} * steps); num_warmup_steps=round({} * num_training_steps)",
        "gamma decay m_mul cycle_decay": "scale={}, which scales the low end as well",
        "decay_ratio decay_fraction": "decay_steps=round({} * steps)",
        "min_delta": 'threshold={}, and threshold_mode="abs"',
        "n num": "steps={}; every={}; factor={}",
        "transition_steps decay_steps": "steps={}; every={}; factor=f, and .stretch(n) if f is the factor of n steps",
        "stable_steps num_stable_steps": "steps=warmup_steps + {} + decay_steps",
        "yscale": "log=True",
        "optimizer": "base_lr=<its learning rate>; initial_learning_rate=<its learning rate>; factory=optax.adamw",
        "lr learning_rate schedule momentum weight_decay b1 b2": "factory=optax.adamw, then scheduled(optax.adamw)({}=...)",
    }
)

_AS_TEXT = "json.dumps(to_dict(schedule)), and from_dict(json.loads(text))"
_READ = "schedule(t) is the value of update t, and learning_rate(state) what the last update used"
_IN_CHAIN = "scale_by_learning_rate(schedule), after an optimizer with flip_sign=False"
NAMES = _each(  # attributes of a schedule, names in the module, and other arguments; names of dialects are in `views.names`
    {
        "step last_epoch": (
            "a schedule has no counter: schedule(t) is the value of update t, and schedule.drop(t) begins there; a driven one"
            " moves with clocks.tick(schedule, state, value=...), or in an optimizer with observe(state, value=...)"
        ),
        "get_last_lr get_lr lr learning_rate value base_lrs current_learning_rate get_learning_rate": _READ,
        "set_lr set_learning_rate set_schedule update_schedule": "replace_schedule(state, schedule), if it has live=True",
        "state_dict load_state_dict": (
            "a schedule has no state; describe(schedule) and resume(saved, schedule) are for checkpoints; the state of a driven"
            " one is what clocks.init(schedule) and clocks.tick(schedule, state, value=...) give"
        ),
        "get_config from_config serialize": "to_dict(schedule) and from_dict(data)",
        "save load dump dumps loads to_json from_json to_yaml from_yaml": _AS_TEXT,
        "init": f"lrsched.clocks.init(schedule), for tick and evaluate; in optax.chain, {_IN_CHAIN}",
        "update": f"lrsched.clocks.tick(schedule, state, value=...); in optax.chain, {_IN_CHAIN}",
        "optimizer": "a schedule holds no optimizer: give it to one, as in optax.adamw(schedule)",
        "verbose": "print(schedule) shows the schedule, and learning_rate(state) the rate in use",
        "staircase": "schedule.staircase(every)",
        "transition_begin shift": "schedule.delay(steps) or schedule.drop(steps)",
        "scale": "schedule * number",
        "cycle loop restart": "schedule.repeat()",
        "join append extend followed_by Sequential sequence concat": "a >> b, or join(schedules, boundaries)",
        "clamp": "schedule.clip(low, high)",
        "min minimum": "minimum(schedule, other)",
        "max maximum floor": "maximum(schedule, other)",
        "hold until cut truncate": "schedule.take(steps)",
        "total_steps num_steps T_max": "schedule.length",
        "replace": "make it again with other numbers; replace_schedule(state, new) is for one in an optimizer's state",
        "warmup linear_warmup": "Linear(0.0, peak, steps) >> schedule",
        "anneal cooldown": "schedule.cooldown(steps, end)",
        "linear_decay decay": "Linear(start, 0.0, steps), or schedule.cooldown(steps, end)",
        "cosine_annealing cosine_decay cosine_schedule": "Cosine(start, end, steps)",
        "cosine_warmup cosine_with_warmup": "warmup_cosine(peak, warmup_steps, steps)",
        "linear_with_warmup linear_warmup_decay": "warmup_linear(peak, warmup_steps, steps)",
        "sgdr warm_restarts": "cosine_restarts(start, end, steps)",
        "poly polynomial_decay": "Polynomial(start, end, steps, power)",
        "cyclic cyclical": "triangular(low, high, up)",
        "piecewise_constant": "Piecewise(steps, values)",
        "boundaries_and_scales": "lrsched.dialects.optax.piecewise_constant_schedule, or Piecewise(steps, values)",
        "piecewise_linear": 'Piecewise(steps, values, kind="linear")',
        "rsqrt inv_sqrt": "InverseSqrt(value, timescale)",
        "trapezoidal trapezoid warmup_stable_decay": "wsd(peak, warmup_steps, steps, decay_steps)",
        "Scheduler LRScheduler LearningRateScheduler LearningRateSchedule LRSchedule Lambda LambdaSchedule": (
            "Schedule, and Function(f) of a function f"
        ),
        "adam adamw sgd schedule_free": "optax.adamw(schedule); optimizers are those of optax",
        "lr_find lr_finder range_test": "lrsched.lab.range_test",
        "compare": "lrsched.lab.compare",
        "show draw plot_schedule": "plot(schedule)",
        "scale_by_schedule": "scale_by_learning_rate(schedule)",
        "vmap batch sweep": "grid(warmup_cosine, peak=[1e-3, 1e-2], warmup_steps=10, steps=100) makes a batch",
        "chain": "a >> b is one schedule after the other, a * b their product; optax.chain is for transforms",
        "inject_hyperparams": "scheduled(optax.adamw)(learning_rate=schedule)",
        "MultiSteps": "accumulate(optax.MultiSteps(...))",
        "unstack": "list(batch) has the members of a batch",
        "Step StepDecay": "step_decay(start, every, factor), or Piecewise(steps, values); Steps() is a clock",
        "momentum cycle_momentum base_momentum max_momentum": (
            "a momentum is a schedule of its own, such as one_cycle(low, steps, div_factor=low / high, final_div_factor=1.0)"
        ),
        "EarlyStopping": "SinceBest() is a clock that counts observations since the best",
        "title xlabel ylabel xlim ylim": "plot(schedule).set(title=..., ylabel=...), since it returns matplotlib Axes",
        "composed": "expanded(schedule)",
        "from_string from_text from_str": "parse(text)",
    }
)
_ATTRIBUTES = dict.fromkeys(
    ("astype", "dtype"), "scheduled(optax.adamw)(b2=schedule), where optax itself expects a number and not a schedule"
)
NAMES |= {name: f"{name}(schedule)" for name in ("plot", "summary", "latex", "to_dict", "describe", "expanded")}
NAMES |= {name: f"lrsched.clocks.{name}" for name in ("evaluate", "tick", "bind", "replay")}
NAMES |= {name: f"from lrsched.dialects import {name}" for name in ("torch", "optax", "transformers", "timm", "keras")}


def meant(name: str, public: Collection[str], texts: Mapping[str, str]) -> str:
    """The public name or the text that is probably meant; empty if there is none."""

    def plain(name: str) -> str:
        return name.lower().replace("_", "")

    alike = [ours for ours in public if plain(ours) == plain(name)]
    theirs = [text for one, text in texts.items() if plain(one) == plain(name)]
    begun = [ours for ours in public if len(name) > 4 and plain(ours).startswith(plain(name))]
    return texts.get(name) or next(iter([*alike, *theirs, *_close(name, public), *begun]), "")


def _close(name: str, names: Collection[str]) -> list[str]:
    """The nearest name, if it is close enough."""
    return [ours for ours in names if sorted(ours) == sorted(name)][:1] or difflib.get_close_matches(name, names, 1, 0.8)


@functools.cache
def attribute_meant(cls: type, recipe: Callable[..., Any] | None, name: str) -> str:
    """What to write for an attribute that a schedule does not have; empty if nothing is near, or if its class has it."""
    public = [ours for ours in (*dir(cls), *inspect.signature(cls).parameters) if ours[0] != "_"]
    if name.startswith("_") or name in public:
        return ""
    if recipe and name in inspect.signature(recipe).parameters:
        return f"{recipe.__name__}(...) made it, and its arguments are not kept: call it again with {name}=<value>"
    hint = meant(name, public, NAMES | _ATTRIBUTES)
    return f"schedule.{hint}" if hint in public else hint


def explained(function: Callable[P, R], call: str = "") -> Callable[P, R]:
    """The function with errors for arguments that do not fit; the error for an unknown one names ours."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def with_hint(*args: P.args, **kwargs: P.kwargs) -> R:
        if "omegaconf" in sys.modules:
            args, kwargs = tuple(map(unwrapped, args)), {name: unwrapped(x) for name, x in kwargs.items()}  # pyright: ignore
        try:
            return function(*args, **kwargs)
        except TypeError:
            bound(call or function.__name__, signature, args, kwargs)
            raise

    return with_hint


def unwrapped(x: Any) -> Any:
    """A list of OmegaConf, as Hydra passes it, as a list of what was put into it; anything else unchanged."""
    omegaconf: Any = sys.modules.get("omegaconf")
    return omegaconf.OmegaConf.to_object(x) if omegaconf and isinstance(x, omegaconf.ListConfig) else x


def bound(call: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call by name, or an error that says which do not fit."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        parameters = [one for name, one in signature.parameters.items() if name != "self"]
        names = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        takes_others = any(one.kind is one.VAR_KEYWORD for one in parameters)
        if unknown := [name for name in kwargs if name not in names and not takes_others]:
            raise TypeError(_unknown_argument(call, unknown[0], names)) from None
        given = [*names[: len(args) - ("self" in signature.parameters)], *kwargs]
        needed = [name for name in names if signature.parameters[name].default is inspect.Parameter.empty]
        if len({*given}) == len(given) and (missing := [f"{name}=<value>" for name in needed if name not in given]):
            got = f"got only {', '.join(given)}" if given else "got none"
            raise TypeError(f"{call}(...): expected {', '.join(needed)}, {got}. Hint: add {', '.join(missing)}.") from None
        raise TypeError(f"{call}(...): expected {', '.join(names) or 'no arguments'}, got {error}.") from None


def _unknown_argument(call: str, name: str, names: Collection[str]) -> str:
    formulas = [text for text in FORMULAS.get(name, "").split("; ") if text.partition("=")[0] in names]
    alike = [ours for group in ALIKE if name in group.split() for ours in group.split() if ours in names]
    near = [ours for ours in _close(name, names) if name not in NAMES or ours.startswith(name)]
    if formulas:
        hint = formulas[0].format(name)
    elif NAMES.get(name) is _READ and call in ("reduce_on_plateau", "noam"):  # factors of a rate
        hint = f"{name} * {call}(...)"
    elif ours := next(iter(alike or near), ""):
        hint = f"write {ours} for {name}"
    else:
        hint = NAMES.get(name, "")
    return f"{call}({name}=...): expected {', '.join(names)}.{hint and f' Hint: {hint}.'}"
