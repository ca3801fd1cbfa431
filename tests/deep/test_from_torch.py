"""from_torch on the recorded attributes of live schedulers: the rates that PyTorch gave next, and what is refused."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false

import functools
import json
import math
import types
from collections import Counter
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from functions import FUNCTIONS
from helpers import TESTS
from live import agrees, followed
from objects import script_hash

import lrsched as ls
from lrsched.dialects import torch as dialect
from lrsched.dialects.torch import from_torch, state_from_torch

FILE = json.loads((TESTS / "golden" / "objects.json").read_text())
RECORDS: dict[str, list[dict[str, Any]]] = {}
for _record in FILE["records"]:
    RECORDS.setdefault(_record["object"]["class"], []).append(_record)
SCHEDULERS = "torch.optim.lr_scheduler"


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
    """What has the class name and the attributes of the recorded scheduler."""
    scheduler = decoded(record["object"], types.SimpleNamespace(param_groups=[dict(group) for group in record["groups"]]))
    scheduler.__dict__.update(changes)
    return scheduler


def one(name: str, step: int = 0, **changes: Any) -> Any:
    """A scheduler of a class at a step, without children of its own kind."""
    attributes = [(record, record["object"]["attributes"]) for record in RECORDS[name]]
    return stand_in(next(record for record, found in attributes if found["last_epoch"] == step), **changes)


def test_the_recordings_are_of_these_scripts():
    assert FILE["sha256"] == script_hash()


def test_every_scheduler_is_recorded():
    names = {name for name, value in vars(dialect).items() if name[0].isupper() and callable(value)}
    assert set(RECORDS) == names - {"Recurrence", "CyclicMomentum", "OneCycleMomentum"}


def refusal(record: dict[str, Any], rate: float) -> str | None:
    """Why it is refused: a rate of changing sign, or one that PyTorch has left its documentation to come to."""
    if record["object"]["attributes"].get("gamma", 0.0) < 0:
        return r"\(gamma=.*\): expected gamma >= 0"
    if "promised" in record and not math.isclose(record["groups"][0]["lr"], rate, rel_tol=1e-6):
        return "runs a sequence of sequences or chains otherwise than it documents"
    return None


@pytest.mark.parametrize("name", RECORDS)
def test_goes_on_as_pytorch(name):
    for record in RECORDS[name]:
        for group, rates in enumerate(record["rates"]):
            if (reason := refusal(record, rates[0])) is not None:
                with pytest.raises(ValueError, match=reason):
                    from_torch(stand_in(record), group)
                continue
            ours = followed(stand_in(record), group, len(rates), record.get("metrics"))
            assert agrees(ours, rates, record["base_lr"][group]), (record, group, ours)


def test_nested_sequences_do_what_is_promised():
    """And the recordings hold some that PyTorch will run otherwise, and some that it has."""
    nested = [record for record in RECORDS["SequentialLR"] if "promised" in record]
    assert {refusal(record, record["rates"][0][0]) is None for record in nested} == {True, False}


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_arguments_are_as_given(name):
    count = 0
    for record in RECORDS[name]:
        arguments = dict(record["arguments"])
        for group in range(len(record["groups"])):
            schedule: Any = from_torch(stand_in(record), group)
            whole = getattr(schedule, "schedule", schedule)
            if "epochs" in arguments:
                arguments["total_steps"] = arguments.pop("epochs") * arguments.pop("steps_per_epoch")
            if arguments.get("step_size_down") == arguments.get("step_size_up"):
                arguments.pop("step_size_down", None)  # None means the same
            if arguments.get("cycle_momentum") is False:  # then they are kept nowhere
                arguments = {key: value for key, value in arguments.items() if not key.endswith("_momentum")}
            for key, value in arguments.items():
                value = value[group] if isinstance(value, list) else value
                found = getattr(whole, key)
                if key == "scale_fn":
                    assert found is FUNCTIONS[value]
                elif isinstance(value, (str, bool)) or value is None:
                    assert found == value, key
                else:
                    assert math.isclose(found, value, rel_tol=1e-12), (key, found, value)
                    count += 1
    assert count > 50


def test_milestones_are_counted():
    records = [record for record in RECORDS["MultiStepLR"] if [0, 2] in record["object"]["attributes"]["milestones"]["Counter"]]
    assert records
    for record in records:
        schedule: Any = from_torch(stand_in(record))
        assert list(schedule.schedule.milestones[:2]) == [0, 0]


def test_later_steps_of_the_scheduler_change_nothing():
    scheduler = one("MultiStepLR", 3)
    schedule = from_torch(scheduler)
    before = np.array(schedule(np.arange(50)))
    scheduler.milestones[4] += 1
    scheduler.base_lrs[0] = scheduler.optimizer.param_groups[0]["lr"] = 7.0
    np.testing.assert_array_equal(schedule(np.arange(50)), before)


@pytest.mark.parametrize("name", ["MultiplicativeLR", "SWALR"])
def test_goes_on_from_the_rate_that_it_finds(name):
    """As SWALR is documented: made at the start, and stepped where another scheduler has ended."""
    scheduler = one(name, 3)
    scheduler.optimizer.param_groups[0]["lr"] *= 0.5
    now = scheduler.optimizer.param_groups[0]["lr"]
    np.testing.assert_allclose(from_torch(scheduler)(0), now, rtol=1e-6)


# States


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "ReduceLROnPlateau"])
def test_a_schedule_that_is_not_driven_has_no_state(name):
    scheduler = stand_in(RECORDS[name][0])
    assert state_from_torch(scheduler) == ls.init(from_torch(scheduler))


def test_the_state_of_a_plateau():
    scheduler = one("ReduceLROnPlateau", 5, best=0.75, num_bad_epochs=2, cooldown_counter=3)
    schedule, state = from_torch(scheduler), state_from_torch(scheduler)
    assert (state.step, *state.clocks[0]) == (0, 0.75, 2, 3, 0, 0, 0)
    assert [x.dtype for x in state.clocks[0]] == [x.dtype for x in ls.init(schedule).clocks[0]]
    np.testing.assert_allclose(ls.evaluate(schedule, state), scheduler.optimizer.param_groups[0]["lr"], rtol=1e-6)


# Refusals


def test_a_subclass_is_refused():
    mine = type("Mine", (kind("StepLR", SCHEDULERS),), {"__module__": "project"})()
    mine.__dict__.update(vars(one("StepLR")))
    with pytest.raises(
        TypeError, match=r"project.Mine, a subclass of PyTorch's StepLR\. Hint: write .* LambdaLR\(.*, or StepLR\("
    ):
        from_torch(mine)
    with pytest.raises(TypeError, match=r"^state_from_torch\("):
        state_from_torch(mine)


def test_a_class_of_the_same_name_is_refused():
    with pytest.raises(TypeError, match=r"expected a scheduler of torch\.optim\.lr_scheduler"):
        from_torch(kind("StepLR", "torch.optimal")())


@pytest.mark.parametrize("thing", [None, 3, "StepLR", kind("SGD", "torch.optim.sgd")(), ls.Constant(1.0)])
def test_what_is_no_scheduler_is_refused(thing):
    with pytest.raises(TypeError, match=r"from_torch\(scheduler=.*\): expected a scheduler"):
        from_torch(thing)


@pytest.mark.parametrize("group", [1, -1, 10])
def test_a_group_that_is_none_is_refused(group):
    with pytest.raises(ValueError, match=rf"from_torch\(group={group}\): expected a group of the optimizer, from 0 to 0"):
        from_torch(one("StepLR"), group)


def test_a_group_that_was_added_later_is_refused():
    scheduler = one("StepLR")
    scheduler.optimizer.param_groups.append({"lr": 0.1})
    with pytest.raises(ValueError, match="expected base_lrs for group 1, got those of 1 groups"):
        from_torch(scheduler, 1)


UNTRACEABLE = {
    "an if": lambda t: 1.0 if t < 5 else 0.1,
    "math": lambda t: math.cos(t),
    "min": lambda t: min(t, 5) / 5,
    "a table": lambda t: [1.0, 0.5][t],
    "an if of arrays": lambda t: t if jnp.ndim(t) == 0 else 1.0 if t[0] < 1 else 0.5,
    "a string": lambda t: f"{t}",
    "nothing": lambda t: None,  # noqa: ARG005 - a lambda of torch takes the epoch
    "a truth": lambda t: t < 3,
    "a list": lambda t: [t],
    "not elementwise": lambda t: jnp.zeros(7),  # noqa: ARG005 - a lambda of torch takes the epoch
    "none": None,
}


@pytest.mark.parametrize("what", UNTRACEABLE)
@pytest.mark.parametrize(
    ("name", "attribute", "argument"),
    [
        ("LambdaLR", "lr_lambdas", "lr_lambda"),
        ("MultiplicativeLR", "lr_lambdas", "lr_lambda"),
        ("CyclicLR", "_scale_fn_custom", "scale_fn"),
    ],
)
def test_a_function_that_cannot_be_traced_is_refused(what, name, attribute, argument):
    fn = UNTRACEABLE[what]
    if fn is None and name == "CyclicLR":
        return  # it has a mode instead
    mend = rf"write it with jax.numpy, jnp.where for `if`, and then {name}\(\.\.\., {argument}=fn\)"
    with pytest.raises(TypeError, match=rf"^from_torch\({name}\): expected .*{argument}.*{mend}"):
        from_torch(one(name, 0, **{attribute: [fn] if attribute == "lr_lambdas" else fn}))


@pytest.mark.parametrize("name", [name for name in RECORDS if name not in ("MultiplicativeLR", "SWALR", "ReduceLROnPlateau")])
def test_a_rate_that_another_has_changed_is_refused(name):
    scheduler = stand_in(RECORDS[name][0])
    now = scheduler.optimizer.param_groups[0]["lr"]
    scheduler.optimizer.param_groups[0]["lr"] = now * (1 + 1e-6)  # rounding
    from_torch(scheduler)
    scheduler.optimizer.param_groups[0]["lr"] = now * 1.001 + 1e-9
    overwrites = name in ("LambdaLR", "CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts")
    mend = "translate it after that" if overwrites else rf"construct the schedule by hand, with {name}\("
    with pytest.raises(
        ValueError, match=rf"from_torch\({name}\): expected .* in group 0 .*, got {now * 1.001 + 1e-9:.9g}\. Hint: .*{mend}"
    ):
        from_torch(scheduler)


def test_a_restart_that_a_logarithm_missed_is_refused():
    """PyTorch's step(121) with T_0 = 1, T_mult = 3 puts the restart into the cycle before, at its very end."""
    scheduler = one("CosineAnnealingWarmRestarts", 0, T_0=1, T_mult=3, T_i=81, T_cur=81.0, last_epoch=121, eta_min=0.0)
    scheduler.optimizer.param_groups[0]["lr"] = 0.0
    with pytest.raises(ValueError, match="translate it after that"):
        from_torch(scheduler)
    scheduler.__dict__.update(T_i=243, T_cur=1.0, last_epoch=122)  # what its next step makes of it
    scheduler.optimizer.param_groups[0]["lr"] = rate = scheduler.base_lrs[0] * (1 + math.cos(math.pi / 243)) / 2
    np.testing.assert_allclose(from_torch(scheduler)(0), rate, rtol=1e-6)


def test_sequences_of_sequences_that_pytorch_runs_otherwise_are_refused():
    record = next(
        record for record in RECORDS["SequentialLR"]
        if any(child["class"] == "SequentialLR" for child in record["object"]["attributes"]["_schedulers"])
    )  # fmt: skip
    scheduler = stand_in(record)
    scheduler.optimizer.param_groups[0]["lr"] = 0.123
    with pytest.raises(ValueError, match="runs a sequence of sequences or chains otherwise than it documents"):
        from_torch(scheduler)


def test_a_chain_at_several_steps_is_refused():
    scheduler = stand_in(RECORDS["ChainedScheduler"][0])
    scheduler._schedulers[0].last_epoch += 1
    scheduler._schedulers[0]._step_count += 1
    with pytest.raises(ValueError, match=r"expected schedulers at one step, got .*: 1, .*: 0"):
        from_torch(scheduler)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("StepLR", {"step_size": 2.5}, "from_torch.StepLR.: expected whole step_size, got 2.5"),
        ("MultiStepLR", {"milestones": Counter([1, 2.5])}, "expected whole milestones, got 2.5"),
        ("ConstantLR", {"total_iters": math.inf}, "expected whole total_iters, got inf"),
        ("SequentialLR", {"_milestones": [2.5]}, "expected whole _milestones, got 2.5"),
        ("ExponentialLR", {"gamma": -0.5}, r"ExponentialLR\(gamma=-0.5\): expected gamma >= 0"),
    ],
)
def test_numbers_that_the_dialect_does_not_take_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        from_torch(one(name, 0, **changes) if name != "SequentialLR" else stand_in(RECORDS[name][0], **changes))


def test_an_attribute_that_another_version_lacks_is_named():
    scheduler = one("SWALR")
    del scheduler._anneal_strategy
    with pytest.raises(TypeError, match=r"from_torch\(SWALR\): expected the attribute _anneal_strategy, .* Hint: build SWALR"):
        from_torch(scheduler)


def test_a_plateau_within_another_is_refused():
    scheduler = stand_in(RECORDS["SequentialLR"][0])
    scheduler._schedulers[1] = one("ReduceLROnPlateau")
    with pytest.raises(TypeError, match="build that one of this dialect by hand"):
        from_torch(scheduler)
