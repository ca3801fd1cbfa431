"""from_torch on the recorded attributes of live schedulers: the rates that PyTorch gave next, and what is refused."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false

import functools
import math
import types
from collections import Counter
from typing import Any

import numpy as np
import pytest
from check import close, followed, recording
from functions import FUNCTIONS
from helpers import refused

import lrsched as ls
from lrsched.dialects.torch import from_torch, state_from_torch

RECORDS: dict[str, list[dict[str, Any]]] = {}
for _record in recording("objects")["records"]:
    RECORDS.setdefault(_record["object"]["class"], []).append(_record)


@functools.cache
def kind(name: str, module: str) -> type:
    return types.new_class(name, (), {}, lambda namespace: namespace.update(__module__=module))


def decoded(value: Any, optimizer: Any) -> Any:
    if isinstance(value, list):
        return [decoded(x, optimizer) for x in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        scheduler = kind(value["class"], value["module"])()
        scheduler.__dict__.update({name: decoded(x, optimizer) for name, x in value["attributes"].items()}, optimizer=optimizer)
        return scheduler
    if "function" in value:
        return FUNCTIONS[value["function"]]
    return Counter(dict(value["Counter"])) if "Counter" in value else value


def stand_in(record: dict[str, Any], **changes: Any) -> Any:
    """An object with the class name and the attributes of the recorded scheduler."""
    scheduler = decoded(record["object"], types.SimpleNamespace(param_groups=[dict(group) for group in record["groups"]]))
    scheduler.__dict__.update(changes)
    return scheduler


def one(name: str, step: int = 0, **changes: Any) -> Any:
    """The first recorded scheduler of a class at a step."""
    attributes = [(record, record["object"]["attributes"]) for record in RECORDS[name]]
    return stand_in(next(record for record, found in attributes if found["last_epoch"] == step), **changes)


@pytest.mark.parametrize("name", RECORDS)
def test_goes_on_as_pytorch(name):
    for record in RECORDS[name]:
        for group, rates in enumerate(record["rates"]):
            if record["object"]["attributes"].get("gamma", 0.0) < 0:  # the rate changes its sign
                with pytest.raises(ValueError, match=r"\(gamma=.*\): expected gamma >= 0"):
                    from_torch(stand_in(record), group)
            else:
                ours = followed(stand_in(record), group, len(rates), record.get("metrics"))
                assert close(ours, rates, record["base_lr"][group]), (record, group, ours)


@pytest.mark.parametrize("name", ["MultiplicativeLR", "SWALR"])
def test_goes_on_from_the_rate_that_it_finds(name):
    """As the documentation of SWALR uses it: made at the start, and stepped after another scheduler has ended."""
    scheduler = one(name, 3)
    scheduler.optimizer.param_groups[0]["lr"] *= 0.5
    now = scheduler.optimizer.param_groups[0]["lr"]
    np.testing.assert_allclose(from_torch(scheduler)(0), now, rtol=1e-6)


def test_the_state_of_a_plateau():
    scheduler = one("ReduceLROnPlateau", 5, best=0.75, num_bad_epochs=2, cooldown_counter=3)
    schedule, state = from_torch(scheduler), state_from_torch(scheduler)
    assert (state.step, *state.clocks[0]) == (0, 0.75, 2, 3, 0, 0, 0)
    assert [x.dtype for x in state.clocks[0]] == [x.dtype for x in ls.clocks.init(schedule).clocks[0]]
    np.testing.assert_allclose(ls.clocks.evaluate(schedule, state), scheduler.optimizer.param_groups[0]["lr"], rtol=1e-6)


def changed(name: str, change: Any) -> Any:
    scheduler = stand_in(RECORDS[name][0])
    change(scheduler)
    return scheduler


def of_a_subclass(name: str = "StepLR", module: str = "torch.optim.lr_scheduler") -> Any:
    mine = type("Mine", (kind(name, module),), {"__module__": "project"})()
    mine.__dict__.update(vars(one("StepLR")))
    return mine


def in_a_sequence_of_sequences() -> Any:
    """At another rate than the documented one."""
    nested = (r for r in RECORDS["SequentialLR"] if "schedulers" in r["arguments"]["schedulers"][0]["arguments"])
    scheduler = stand_in(next(nested))
    scheduler.optimizer.param_groups[0]["lr"] = 0.123
    return scheduler


REFUSED = [  # what is given, and its group
    ((None,), "from_torch(scheduler=None): expected a scheduler"),
    ((ls.Constant(1.0),), "expected a scheduler"),
    ((kind("StepLR", "torch.optimal")(),), "expected a scheduler of torch.optim.lr_scheduler"),
    ((of_a_subclass(),), "project.Mine, a subclass of StepLR. Hint: write "),
    ((of_a_subclass("TanhLRScheduler", "timm.scheduler.tanh_lr"),), "lr_lambda) of this dialect, or timm.TanhLRScheduler(...)"),
    ((one("StepLR"), 1), "from_torch(group=1): expected a group of the optimizer, from 0 to 0"),
    ((one("StepLR"), -1), "from_torch(group=-1): expected a group of the optimizer, from 0 to 0"),
    ((changed("StepLR", lambda s: s.optimizer.param_groups.append({"lr": 0.1})), 1), "for group 1, got those of 1 groups"),
    ((in_a_sequence_of_sequences(),), "runs a sequence of sequences or chains otherwise than it documents"),
    ((changed("ChainedScheduler", lambda s: vars(s._schedulers[0]).update(last_epoch=1, _step_count=2)),), "at one step"),
    ((changed("SequentialLR", lambda s: s._schedulers.insert(1, one("ReduceLROnPlateau"))),), "build that one of this dialect"),
    ((one("StepLR", step_size=2.5),), "from_torch(StepLR): expected whole step_size, got 2.5"),
    ((one("MultiStepLR", milestones=Counter([2.5])),), "expected whole milestones, got 2.5"),
    ((one("ConstantLR", total_iters=math.inf),), "expected whole total_iters, got inf"),
    ((changed("SWALR", lambda s: vars(s).pop("_anneal_strategy")),), "expected the attribute _anneal_strategy"),
]
CALLS = [(functools.partial(from_torch, *given), message) for given, message in REFUSED]
test_what_cannot_be_translated_is_refused = refused(CALLS, literal=True)


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR", "CyclicLR"])
def test_a_function_that_cannot_be_traced_is_refused(name):
    attribute, argument = ("_scale_fn_custom", "scale_fn") if name == "CyclicLR" else ("lr_lambdas", "lr_lambda")
    hint = rf"write it with jax.numpy, jnp.where for `if`, and then {name}\(\.\.\., {argument}=fn\)"
    for fn in (lambda t: 1.0 if t < 5 else 0.1, math.cos, lambda t: [1.0, 0.5][t], str, lambda t: [t], lambda t: None):  # noqa: ARG005
        with pytest.raises(TypeError, match=rf"^from_torch\({name}\): expected .*{argument}.*{hint}"):
            from_torch(one(name, 0, **{attribute: [fn] if attribute == "lr_lambdas" else fn}))


@pytest.mark.parametrize("name", [name for name in RECORDS if name not in ("MultiplicativeLR", "SWALR", "ReduceLROnPlateau")])
def test_a_rate_that_another_has_changed_is_refused(name):
    scheduler = stand_in(RECORDS[name][0])
    now = scheduler.optimizer.param_groups[0]["lr"]
    scheduler.optimizer.param_groups[0]["lr"] = now * (1 + 1e-6)  # rounding
    from_torch(scheduler)
    scheduler.optimizer.param_groups[0]["lr"] = now * 1.001 + 1e-9
    overwrites = name in ("LambdaLR", "CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts")
    hint = "translate it after that" if overwrites else rf"construct the schedule by hand, with {name}\("
    with pytest.raises(
        ValueError, match=rf"from_torch\({name}\): expected .* in group 0 .*, got {now * 1.001 + 1e-9:.9g}\. Hint: .*{hint}"
    ):
        from_torch(scheduler)
