"""Live PyTorch schedulers as schedules: their attributes are read, without PyTorch.

A scheduler is recognized by its class, which must be one of PyTorch's own: a subclass may do anything. The result is the
schedule from its start, minus the steps made so far. PyTorch changes rates in place, so the optimizer's current rate is
compared with that of the schedule: if they differ, the attributes do not determine how it continues.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.written import function_source, shown, unexpected
from lrsched.dialects.shared import tidy
from lrsched.dialects.torch import chains, cyclic, schedulers

_RELATIVE, _OF_INITIAL = 1e-5, 1e-7  # how far the optimizer's rate may be from ours; more is not rounding
_OVERWRITING = ("LambdaLR", "CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts")  # the others modify the rate


def from_torch(scheduler: Any, group: int = 0) -> ls.Schedule:
    """The schedule of a live PyTorch scheduler from its current step on: `t ↦ the rate after t more calls of step()`.

        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)  # … and 40 times scheduler.step()
        print(from_torch(scheduler))                                          # StepLR(0.1, 30).drop(40)

    A `ReduceLROnPlateau` becomes a driven schedule from the current rate on; `state_from_torch` returns its counts so far. For
    a sequence or chain within a sequence, PyTorch differs from its documentation; the result follows the documentation.

    Args:
        scheduler: an object of a class in `torch.optim.lr_scheduler`, or a `torch.optim.swa_utils.SWALR`, including those that
            transformers makes; a timm scheduler, which stores no step, so that the result is the whole schedule; or a
            transformers GreedyLR that is at the rate it started with.
        group: the index of the optimizer's parameter group; each group has its own rate.

    Raises:
        TypeError: if it is of another class, such as a subclass, or has a function that JAX cannot trace.
        ValueError: if there is no such group, if the optimizer's rate is not the one that the scheduler would have set, or if a
            number is not within the bounds of the dialect.

    References:
        PyTorch's `torch.optim.lr_scheduler`; the attributes read are those of version 2.13.
    """
    if type(scheduler).__module__.startswith("timm.scheduler."):
        return _dialect("timm").from_timm(scheduler, group)
    return _from_now(_source("from_torch", scheduler, group))


def _dialect(name: str) -> Any:
    """Another dialect, imported only when needed, since it imports this one."""
    return importlib.import_module(f"lrsched.dialects.{name}")


def state_from_torch(scheduler: Any, group: int = 0) -> ls.clocks.ScheduleState:
    """The state for `from_torch(scheduler, group)`: at step 0, with the observations of a plateau so far.

        schedule, state = from_torch(plateau), state_from_torch(plateau)
        state = ls.clocks.tick(schedule, state, value=loss)  # like plateau.step(loss)
        rate = ls.clocks.evaluate(schedule, state)

    For a `ReduceLROnPlateau` it holds the best metric, the number of bad observations since, and the rest of a cooldown. It
    counts plateaus from 0, since the schedule begins with the current rate. All others have no state, and get that of `init`.

    Args:
        scheduler, group: as in `from_torch`, but not from timm.

    Raises:
        TypeError, ValueError: as `from_torch` does, and for a GreedyLR.

    References:
        PyTorch's `ReduceLROnPlateau`: `best`, `num_bad_epochs` and `cooldown_counter`.
    """
    source = _source("state_from_torch", scheduler, group)
    if source.name == "GreedyLR":
        source.fails(TypeError, "no GreedyLR of transformers, got one. Hint: init(from_torch(scheduler)) counts anew")
    state = ls.clocks.init(_from_now(source))
    if source.name != "ReduceLROnPlateau":
        return state
    (first,) = state.clocks
    seen = {"best": "best", "bad": "num_bad_epochs", "cooldown": "cooldown_counter"}
    counted = {name: jnp.asarray(source.number(theirs), getattr(first, name).dtype) for name, theirs in seen.items()}
    return ls.clocks.ScheduleState(state.step, (first._replace(**counted),))


class _Source(NamedTuple):
    """A scheduler of a known class, and the chosen group of its optimizer."""

    call: str
    scheduler: Any
    group: int
    other_base: float | None = None  # replaces its base rate

    @property
    def name(self) -> str:
        return type(self.scheduler).__name__

    def fails(self, error: type[Exception], text: str) -> NoReturn:
        raise error(f"{self.call}({self.name}): expected {text}.")

    def get(self, name: str) -> Any:
        """An attribute."""
        if not hasattr(self.scheduler, name):
            hint = f"build {self.name}(...) of this dialect"
            self.fails(TypeError, f"the attribute {name}, as PyTorch 2.13 has it, got none. Hint: {hint}")
        return getattr(self.scheduler, name)

    def number(self, name: str) -> float:
        """A number, which may be a tensor."""
        return float(self.get(name))

    def steps(self, name: str) -> list[float]:
        """One or several counts of steps, sorted, from a list or a counter; PyTorch would never reach a fraction."""
        given = self.get(name)
        counts = sorted(given.elements()) if isinstance(given, Counter) else given if isinstance(given, list) else [given]
        for count in counts:
            if not float(count).is_integer():
                self.fails(ValueError, f"whole {name}, got {count}, which PyTorch's steps never meet")
        return [*map(float, counts)]

    def whole(self, name: str) -> float:
        return self.steps(name)[0]

    def entry(self, name: str) -> Any:
        """The group's entry in a list with one entry per group."""
        entries = self.get(name)
        if self.group >= len(entries):
            got = f"got those of {len(entries)} groups. Hint: the group was added later"
            self.fails(ValueError, f"{name} for group {self.group}, {got}")
        return entries[self.group]

    def of_group(self, name: str) -> float:
        """A number that PyTorch keeps in the optimizer's group."""
        parameters = self.get("optimizer").param_groups[self.group]
        if name not in parameters:
            self.fails(TypeError, f"{name} in group {self.group} of its optimizer, where PyTorch keeps it, got none")
        return float(parameters[name])

    @property
    def base(self) -> float:
        return float(self.entry("base_lrs")) if self.other_base is None else self.other_base

    @property
    def rate(self) -> float:
        return self.of_group("lr")

    @property
    def children(self) -> list[_Source]:
        return [_source(self.call, child, self.group) for child in self.get("_schedulers")]


def _source(call: str, scheduler: Any, group: Any) -> _Source:
    kind = type(scheduler)
    if not _is_theirs(kind) or kind.__name__ not in _KNOWN:
        raise TypeError(_refusal(call, scheduler))
    source = _Source(call, scheduler, group)
    count = len(source.get("optimizer").param_groups)
    if isinstance(group, bool) or not isinstance(group, int):
        raise TypeError(unexpected(call, "group", group, "the index of a parameter group"))
    if not 0 <= group < count:
        raise ValueError(unexpected(call, "group", group, f"a group of the optimizer, from 0 to {count - 1}"))
    return source


def _is_theirs(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(("torch.optim.", "transformers.optimization.", "timm.scheduler."))


def _refusal(call: str, scheduler: Any) -> str:
    """The reason that a class is not translated, and the line to write instead."""
    kind = type(scheduler)
    names = {name: name for name in _KNOWN} | {name: f"timm.{name}" for name in _dialect("timm")._CLASSES}
    known = next((names[base.__name__] for base in kind.__mro__[1:] if _is_theirs(base) and base.__name__ in names), "")
    expected = f"a scheduler of torch.optim.lr_scheduler, got {kind.__module__}.{kind.__qualname__}"
    subclass, same = known and f", a subclass of {known}", known and f", or {known}(...), if it gives the same rates"
    hint = f"write its rates as LambdaLR(base_lr, lr_lambda) of this dialect{same}; of a wrapper, give the scheduler inside"
    return unexpected(call, "scheduler", scheduler, f"{expected}{subclass}", hint)


def _traceable(source: _Source, argument: str, fn: Any) -> Callable[[Any], Any]:
    """The function, if JAX can call it with an array of steps."""
    hint = f"Hint: write it with jax.numpy, jnp.where for `if`, and then {source.name}(..., {argument}=fn) of this dialect"
    if not callable(fn):
        source.fails(TypeError, f"a function as {argument} for group {source.group}, got {shown(fn)}. {hint}")
    try:
        hash(fn)  # since it becomes part of the structure
        jax.eval_shape(ls.Function(fn).at, jax.ShapeDtypeStruct((3,), numerics.float_type()))
    except Exception as error:  # a foreign function may raise anything
        reason = str(error).partition("\n")[0]
        got = f"{argument}={function_source(fn)} ({type(error).__name__}: {reason})"
        raise TypeError(f"{source.call}({source.name}): expected a function that JAX can trace, got {got}. {hint}.") from error
    return fn


def _of_lambda(source: _Source) -> ls.Schedule:
    fn = source.entry("lr_lambdas")
    theirs = _dialect("transformers")._schedule_of_lambda(source.base, fn)
    return schedulers.LambdaLR(source.base, _traceable(source, "lr_lambda", fn)) if theirs is None else theirs


def _cyclic(source: _Source) -> ls.Schedule:
    total = source.number("total_size")
    up = tidy(total * source.number("step_ratio"))
    custom = source.get("_scale_fn_custom")
    if custom is None:
        scale = {"mode": source.get("mode"), "gamma": source.number("gamma")}
    else:
        scale = {"scale_fn": _traceable(source, "scale_fn", custom), "scale_mode": source.get("scale_mode")}
    momenta: dict[str, Any] = {"cycle_momentum": False}
    if source.get("cycle_momentum"):
        momenta = {name: float(source.entry(f"{name}s")) for name in ("base_momentum", "max_momentum")}
    down = None if 2 * up == total else tidy(total - up)
    return cyclic.CyclicLR(source.base, float(source.entry("max_lrs")), up, down, **scale, **momenta)


def _one_cycle(source: _Source) -> ls.Schedule:
    # PyTorch keeps only the total: the rates are in the group, and the ends of the phases give the fractions.
    high, first, last = map(source.of_group, ("max_lr", "initial_lr", "min_lr"))
    phases, total = source.get("_schedule_phases"), source.number("total_steps")
    momenta: dict[str, Any] = {"cycle_momentum": False}
    if source.get("cycle_momentum"):
        momenta = {name: source.of_group(name) for name in ("base_momentum", "max_momentum")}
    return cyclic.OneCycleLR(
        high,
        total,
        pct_start=tidy((float(phases[0]["end_step"]) + 1) / total),
        anneal_strategy=source.get("_anneal_func_type"),
        **momenta,
        div_factor=_ratio(high, first),
        final_div_factor=_ratio(first, last),
        three_phase=len(phases) == 3,
    )


def _ratio(a: float, b: float) -> float:
    if b == 0:
        return 1.0 if a == 0 else math.inf
    return tidy(a / b)


def _to_present_rate(source: _Source, made: float) -> ls.Schedule:
    """The schedule from the base rate that leads to the current rate.

    PyTorch documents this use of SWALR: made at the start of training, and stepped once another scheduler has ended.
    """
    usual = _from_start(source)
    of_0, of_1 = (float(_from_start(source._replace(other_base=base)).at(made)) for base in (0.0, 1.0))
    if of_0 == of_1 or math.isclose(float(usual.at(made)), source.rate, rel_tol=1e-9):
        return usual
    return _from_start(source._replace(other_base=(source.rate - of_0) / (of_1 - of_0)))


def _plateau(source: _Source) -> ls.Schedule:
    numbers = {name: source.number(name) for name in ("factor", "patience", "threshold", "cooldown", "eps")}
    others: dict[str, Any] = {name: source.get(name) for name in ("mode", "threshold_mode")} | numbers
    # PyTorch rebuilds the list from the default if groups were added later.
    is_renewed = source.group >= len(source.get("min_lrs")) and source.get("default_min_lr") is not None
    low = source.number("default_min_lr") if is_renewed else float(source.entry("min_lrs"))
    return schedulers.ReduceLROnPlateau(source.rate, min_lr=low, **others)


def _greedy(source: _Source) -> ls.Schedule:
    make = _dialect("transformers").GreedyLR
    defaults = {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}
    given = {name: x for name, x in vars(source.scheduler).items() if name in defaults} | {"verbose": False}
    given |= {"min_lr": source.entry("min_lrs"), "max_lr": source.entry("max_lrs")}
    given |= {"reset_start": source.get("reset_start_original")}
    schedule = make(source.rate, **{name: x for name, x in given.items() if x != defaults[name]})
    if source.rate != (began := source.entry("_init_lrs")):
        hint = f"{schedule} goes on from there, and a reset leads back to that rate"
        source.fails(ValueError, f"the rate {began:.9g} with which it began, got {source.rate:.9g}. Hint: {hint}")
    return schedule


_DRIVEN: dict[str, Callable[[_Source], ls.Schedule]] = {"ReduceLROnPlateau": _plateau, "GreedyLR": _greedy}
# The schedule of each scheduler, from its start on.
_SCHEDULES: dict[str, Callable[[_Source], ls.Schedule]] = {
    "ChainedScheduler": lambda s: chains.ChainedScheduler([_from_start(child) for child in s.children]),
    "ConstantLR": lambda s: schedulers.ConstantLR(s.base, s.number("factor"), s.whole("total_iters")),
    "CosineAnnealingLR": lambda s: cyclic.CosineAnnealingLR(s.base, *map(s.number, ("T_max", "eta_min"))),
    "CosineAnnealingWarmRestarts": lambda s: cyclic.CosineAnnealingWarmRestarts(
        s.base, *map(s.number, ("T_0", "T_mult", "eta_min"))
    ),
    "CyclicLR": _cyclic,
    "ExponentialLR": lambda s: schedulers.ExponentialLR(s.base, s.number("gamma")),
    "LambdaLR": _of_lambda,
    "LinearLR": lambda s: schedulers.LinearLR(s.base, s.number("start_factor"), s.number("end_factor"), s.whole("total_iters")),
    "MultiplicativeLR": lambda s: schedulers.MultiplicativeLR(s.base, _traceable(s, "lr_lambda", s.entry("lr_lambdas"))),
    "MultiStepLR": lambda s: schedulers.MultiStepLR(s.base, s.steps("milestones"), s.number("gamma")),
    "OneCycleLR": _one_cycle,
    "PolynomialLR": lambda s: schedulers.PolynomialLR(s.base, s.whole("total_iters"), s.number("power")),
    "SequentialLR": lambda s: chains.SequentialLR([_from_start(child) for child in s.children], s.steps("_milestones")),
    "StepLR": lambda s: schedulers.StepLR(s.base, s.whole("step_size"), s.number("gamma")),
    "SWALR": lambda s: cyclic.SWALR(s.base, s.of_group("swa_lr"), s.number("anneal_epochs"), s.get("_anneal_strategy")),
}
_KNOWN = (*_SCHEDULES, *_DRIVEN)


def _from_start(source: _Source) -> ls.Schedule:
    if source.name in _DRIVEN:
        source.fails(TypeError, "no plateau within another scheduler, got one. Hint: build that one of this dialect by hand")
    return _SCHEDULES[source.name](source)


def _from_now(source: _Source) -> ls.Schedule:
    if source.name in _DRIVEN:
        return _DRIVEN[source.name](source)
    made = _steps_made(source)
    whole = _to_present_rate(source, made) if source.name in ("MultiplicativeLR", "SWALR") else _from_start(source)
    schedule = whole.drop(made) if made else whole
    _check_rate(source, schedule)
    return schedule


def _steps_made(source: _Source) -> float:
    """The number of steps made so far, or, for warm restarts, the time, since PyTorch continues from that."""
    if source.name == "ChainedScheduler":
        counts = [_steps_made(child) for child in source.children]
        if len(set(counts)) > 1:
            made = ", ".join(f"{child.name}: {count:g}" for child, count in zip(source.children, counts, strict=True))
            source.fails(ValueError, f"schedulers at one step, got {made}. Hint: build it by hand, with .drop(steps) of each")
        return counts[0]
    if source.name == "CosineAnnealingWarmRestarts":
        start, (length, ratio, now) = 0.0, map(source.number, ("T_0", "T_mult", "T_cur"))
        if ratio <= 1:
            return source.number("last_epoch") + now % 1
        while length < source.number("T_i"):
            start, length = start + length, length * ratio
        return start + now
    # SWALR counts its calls; all others use the epoch.
    count = source.number("_step_count") - 1 if source.name == "SWALR" else source.number("last_epoch")
    if count < 0 or not count.is_integer():
        source.fails(ValueError, f"a whole step, 0 or later, got step {count}")
    return count


def _check_rate(source: _Source, schedule: ls.Schedule) -> None:
    rate, ours = source.rate, float(schedule(0))
    initial = source.get("optimizer").param_groups[source.group].get("initial_lr", rate)
    if abs(ours - rate) <= _RELATIVE * abs(rate) + _OF_INITIAL * abs(float(initial)):
        return
    hint = "another scheduler has changed that, or somebody by hand. "
    by_hand = f"construct the schedule by hand, with {source.name}(...) of this dialect"
    if source.name == "SequentialLR" and any(child.name in ("SequentialLR", "ChainedScheduler") for child in source.children):
        hint = f"PyTorch runs a sequence of sequences or chains otherwise than it documents, so {by_hand}"
    elif source.name in _OVERWRITING:
        hint += "Its next step() sets the rate anew: translate it after that"
    else:
        hint += f"Its next rate depends on the present one, so {by_hand} from the rate that you want"
    expected = f"the rate {ours:.9g}, that of {shown(schedule)}, in group {source.group} of the optimizer"
    source.fails(ValueError, f"{expected}, got {rate:.9g}. Hint: {hint}")
