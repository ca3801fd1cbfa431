"""The dialects of optax, transformers, timm and Keras: against recorded values, and as schedules."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import enum
import inspect
import unittest
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check import DIALECTS, Record, agree, made, ours, recording, values
from helpers import refused, relaxed
from optax import GradientTransformationExtraArgs, adam, contrib
from torch_cases import WITHOUT_FUNCTIONS

import lrsched as ls
from lrsched.algebra.combinators import driven_parts
from lrsched.dialects import keras, optax, timm, transformers

LEFT_OUT = {"get_adafactor_schedule", "LearningRateSchedule", "serialize", "scheduler_kwargs"}
NOISE = {"noise_range_t", "noise_type", "noise_pct", "noise_std", "noise_seed"}
OTHERS = {"last_epoch", "initialize", "t_in_epochs", "kwargs", "others"} | NOISE


@pytest.mark.parametrize("peer", DIALECTS)
def test_values_are_theirs_at_every_step_and_past_the_end(peer):
    for record in recording(peer)["records"]:
        schedule = made(peer, record["call"], record["arguments"])
        assert agree(peer, record, schedule), (record, schedule)
        assert ls.parse(repr(schedule)) == schedule
        if "config" in record:
            assert keras.deserialize(record["config"]) == schedule
        if record["call"] == "create_scheduler_v2":
            assert timm.create_scheduler_v2(**record["arguments"])[1] == record["length"], record
        if "error" in record:  # as near to float64 as those of optax
            error = np.max(np.abs(values(record, schedule) - record["values"])) / (np.max(np.abs(record["values"])) or 1.0)
            assert error <= max(record["error"], 2.0**-24), (record, schedule)


@pytest.mark.parametrize("table", recording("tables")["peers"], ids=lambda table: table["peer"])
def test_the_tables_of_the_tests_of_peers_hold(table):
    """The numbers of a test file of the peer, which `source` names: to its tolerance, also at steps below 0."""
    for record in table["records"]:
        found = made(table["peer"], record["call"], record["arguments"])(np.array(record["steps"]))
        np.testing.assert_allclose(found, record["expected"], rtol=0, atol=table["tolerance"], err_msg=str(record))


def filled(x: Any, numbers: Any, fixed: bool = False) -> Any:
    """Arguments with the next of `numbers` in place of each number; keys of dictionaries stay."""
    if isinstance(x, dict):
        return {key: filled(value, numbers, fixed or key == "updates_per_epoch") for key, value in x.items()}
    if isinstance(x, list):
        is_table = bool(x) and all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int) for pair in x)
        return [[pair[0], filled(pair[1], numbers)] for pair in x] if is_table else [filled(y, numbers, fixed) for y in x]
    return x if fixed or isinstance(x, (bool, str)) or x is None else numbers(x)


def first_records(peer: str) -> list[Record]:
    """The first record of each call and name."""
    records = recording(peer)["records"][::-1]
    names = [(record["call"], record["arguments"].get("name"), record["arguments"].get("sched")) for record in records]
    return list(dict(zip(names, records, strict=True)).values())


def assert_maps(make: Any, arguments: Record) -> None:
    """All numbers of a call may be traced: mapped over, and differentiated."""
    given: list[float] = []
    filled(arguments, given.append)

    def total(numbers: Any) -> Any:
        rest = iter(numbers)
        schedule = make(filled(arguments, lambda _: next(rest)))
        return jnp.sum(ls.clocks.replay(schedule, jnp.ones(9)) if driven_parts(schedule) else schedule(jnp.arange(3, 30, 7)))

    stacked = [jnp.asarray([x, x], jnp.float32) for x in given]
    assert [x.shape for x in jax.eval_shape(jax.vmap(jax.grad(total)), stacked)] == [(2,)] * len(given)


@pytest.mark.parametrize("peer", DIALECTS)
def test_every_number_can_be_mapped_and_differentiated(peer):
    for record in first_records(peer):
        call, arguments = record["call"], record["arguments"]
        if call != "create_scheduler" and arguments.get("sched") != "tanh":  # the same as other records
            assert_maps(lambda x, call=call: made(peer, call, x), arguments)


@pytest.mark.parametrize("name", sorted({*(type(s).__name__ for s in WITHOUT_FUNCTIONS), "ReduceLROnPlateau"}))
def test_every_number_of_pytorch_can_be_mapped_and_differentiated(name):
    record = recording(name)["records"][0]
    assert_maps(lambda x: ours(name, x, record["base_lr"]), record["arguments"])


@pytest.mark.parametrize("peer", DIALECTS)
def test_every_number_that_is_none_is_refused_by_name(peer):
    for record in first_records(peer):
        for name, x in record["arguments"].items():
            if isinstance(x, (int, float)):
                for bad in ("1", np.nan, -1e39):
                    with pytest.raises((TypeError, ValueError), match=rf"{record['call']}\w*\({name}="):
                        made(peer, record["call"], record["arguments"] | {name: bad})


BAD: list[tuple[Any, str]] = [
    (lambda: optax.piecewise_constant_schedule(1.0, {3: -1.0}), "(scales=[-1.0]): expected scales >= 0"),
    (lambda: optax.piecewise_constant_schedule(1.0, {5: 1.0, -2: 1.0}), "(boundaries=[-2, 5]): expected boundaries that"),
    (lambda: optax.piecewise_constant_schedule(1.0, [3]), "(boundaries_and_scales=[3]): expected a dictionary"),
    (lambda: optax.sgdr_schedule([]), "(cosine_kwargs=[]): expected a list of keyword arguments"),
    (lambda: optax.linear_onecycle_schedule(1, 1.0), "expected phases of at least one step"),
    (lambda: optax.join_schedules([1.0, 2.0, 3.0], [10]), "one boundary fewer than schedules"),
    (lambda: transformers.get_scheduler("linear", -0.1, 1, 9), "(base_lr=-0.1): expected base_lr >= 0. Hint: the rate of"),
    (lambda: transformers.get_scheduler("cosine", 0.1, 1, 9, [2]), "(scheduler_specific_kwargs=[2]): expected a dict"),
    (lambda: optax.reduce_on_plateau(rtol=0.0), "(rtol=0.0, atol=0.0): expected rtol > 0 or atol > 0"),
    (lambda: transformers.get_scheduler("greedier", 0.1), "(name='greedier'): expected one of greedy, linear"),
    (lambda: transformers.GreedyLR(1e-7), "(base_lr=1e-07, eps=1e-08): expected base_lr * (1 - factor) > eps"),
    (lambda: transformers.GreedyLR(0.1, min_lr=1.0, max_lr=0.5), "(min_lr=1.0, max_lr=0.5): expected min_lr <= max_lr"),
    (lambda: transformers.get_scheduler("linear", 0.1, 10), "expected num_training_steps for 'linear'"),
    (lambda: transformers.get_scheduler("polynomial", 1e-8, 0, 9), "expected lr_end < base_lr"),
    (lambda: transformers.get_wsd_schedule(0.1, 0, 3, 9, decay_type="sqrt"), "(decay_type='sqrt'): expected 'linear' or"),
    (lambda: transformers.get_wsd_schedule(0.1, 4, 8, 10), "num_decay_steps=8, num_training_steps=10): expected num_train"),
    (lambda: transformers.get_constant_schedule(adam(0.1)), "expected a number. Hint: the rate of the optimizer"),
    (lambda: timm.StepLRScheduler(0.1, [30, 60]), "(decay_t=[30, 60]): expected one number. Hint: of several milestones"),
    (lambda: timm.StepLRScheduler(0.1, 9, noise_range_t="9"), "(noise_range_t=['9']): expected a list of numbers"),
    (lambda: timm.StepLRScheduler(0.1, 9, noise_range_t=[5, 2]), "(noise_range_t=[5, 2]): expected noise_range_t that"),
    (lambda: timm.create_scheduler_v2(0.1, noise=[0.9, 0.5]), "create_scheduler_v2(noise=[0.9, 0.5]): expected noise that"),
    (lambda: timm.create_scheduler({"sched": "step"}, 0.1), "expected an object with the attribute sched"),
    (lambda: timm.WSDLRScheduler(0.1, 10, 11), "(t_initial=10, decay_t=11): expected 0 < decay_t <= t_initial"),
    (lambda: timm.create_scheduler_v2(0.1, "cosin"), "(sched='cosin'): expected one of cosine"),
    (lambda: keras.PiecewiseConstantDecay([3], [1.0]), "expected one boundary fewer than values"),
    (lambda: keras.ReduceLROnPlateau(0.1, "val_accuracy"), "expected mode='min' or mode='max'"),
    (lambda: keras.deserialize({"class_name": "Mine", "config": {}}), "(class_name='Mine'): expected one of Exponential"),
    (
        lambda: keras.deserialize({"class_name": "CosineDecay", "config": {}, "registered_name": "mine>CosineDecay"}),
        "deserialize(registered_name='mine>CosineDecay'): expected a class of Keras",
    ),
]
test_what_has_no_meaning_raises = refused(BAD, literal=True)


@pytest.mark.parametrize(("warmup", "steps"), [(0.0701, 71), (0.5, 500), (0, 0), (1, 1), (10.5, 10)])
def test_a_part_of_the_run_is_a_number_of_warmup_steps(warmup, steps):
    mine = transformers.get_scheduler("linear", 0.1, warmup, 1000)
    assert mine == transformers.get_linear_schedule_with_warmup(0.1, steps, 1000)


@pytest.mark.parametrize("n", [10, 2**24 + 1, 2**30 + 1])
def test_a_traced_boundary_of_keras_is_the_last_step_of_its_value(n):
    rate = jax.jit(lambda n, t: keras.PiecewiseConstantDecay([n], [1.0, 0.5])(t))
    np.testing.assert_array_equal(rate(n, np.array([n - 1, n, n + 1])), [1.0, 1.0, 0.5])


def test_noise_of_timm_is_in_its_range():
    t, numbers = np.arange(12), {"noise_pct": 0.3, "noise_seed": 5}
    for steps, noisy in (([3, 6], (t >= 3) & (t < 6)), (7, t >= 7)):
        for kind in ("normal", "uniform"):
            found = timm.StepLRScheduler(0.1, 4, 0.5, noise_range_t=steps, noise_type=kind, **numbers)
            truth = timm.StepLRScheduler(0.1, 4, 0.5)(t) * np.where(noisy, 1 + ls.Noise(0.3, 5, kind)(t), 1)
            np.testing.assert_allclose(found(t), truth, rtol=1e-6)
    wide = timm.StepLRScheduler(1.0, 99, noise_range_t=0, noise_pct=0.6, noise_std=0.2)(t) - 1
    np.testing.assert_allclose(wide, 0.2 * ls.Noise(3.0, 42, "normal")(t), atol=1e-6)
    made, _ = timm.create_scheduler_v2(0.1, "step", 10, decay_epochs=4, noise=[0.3, 0.6], **numbers)
    assert made == timm.StepLRScheduler(0.1, 4, 0.1, noise_range_t=[3, 6], **numbers)


def test_a_string_of_another_type_prints_as_text():
    kind: Any = enum.Enum("Kind", {"COSINE": "cosine"}, type=str)  # as SchedulerType of transformers
    for s in (transformers.get_scheduler(kind.COSINE, 0.1, 10, 100), keras.ReduceLROnPlateau(0.1, mode=np.str_("min"))):
        assert ls.parse(repr(s)) == s


def test_a_function_may_be_the_decay_of_timm():
    mine = timm.WSDLRScheduler(0.5, 10, 4, 0.1, decay_fn=lambda p: 1 - p * p)
    np.testing.assert_allclose(mine([6, 8, 10, 12]), [0.5, 0.1 + 0.4 * 0.75, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("peer", DIALECTS)
def test_names_order_and_defaults_are_theirs(peer):
    for name in recording(peer)["signatures"].keys() - LEFT_OUT:
        theirs = [["base_lr" if key == "optimizer" else key, x] for key, x in recording(peer)["signatures"][name]]
        found = inspect.signature(getattr(DIALECTS[peer], name)).parameters.values()
        assert {key for key, _ in theirs} - {"last_epoch", "kwargs", "others"} <= {p.name for p in found}, name
        mine = [[p.name, "required" if p.default is p.empty else p.default] for p in found]
        if name == "ReduceLROnPlateau":  # a callback of Keras, which brings no rate
            mine = mine[1:]
        mine, theirs = ([[k, tuple(x) if isinstance(x, list) else x] for k, x in y if k not in OTHERS] for y in (mine, theirs))
        if peer == "timm" and name.startswith("create"):
            theirs = [[key, None if key == "noise" else x] for key, x in theirs]
        assert mine == theirs, name


def plateau_of_optax(**arguments: Any) -> Any:
    """The dialect's plateau as an optax transformation, with the state of optax's own."""
    transform = ls.scale_by_learning_rate(optax.reduce_on_plateau(**arguments), flip_sign=False)

    def update(updates: Any, state: Any, value: Any) -> Any:
        first: Any = transform.init(updates)
        plateaus = jnp.round(jnp.log(state.scale) / np.log(arguments["factor"])).astype(jnp.int32)
        clock = type(first.clocks[0])(
            state.best_value, state.plateau_count, state.cooldown_count, plateaus, state.avg_value * state.count, state.count
        )
        after: Any
        updates, after = transform.update(updates, first._replace(clocks=(clock,)), value=value)
        best, bad, cooldown, _, total, seen = after.clocks[0]
        return updates, type(state)(after.used, best, bad, cooldown, seen, total)

    return GradientTransformationExtraArgs(contrib.reduce_on_plateau().init, update)


def test_optax_tests_pass_with_the_dialect():
    """The tests that optax ships of schedules, joins and the plateau."""
    names = ("schedules._schedule_test", "schedules._join_test", "contrib._reduce_on_plateau_test")
    ring = [pytest.importorskip(f"optax.{name}") for name in names]
    suite, result = unittest.TestSuite(), unittest.TestResult()
    with pytest.MonkeyPatch.context() as patch, relaxed():
        for module in ring:
            for name in {"_schedule", "_join"} & set(vars(module)):
                patch.setattr(module, name, optax)
            if hasattr(module, "_reduce_on_plateau"):
                patch.setattr(module._reduce_on_plateau, "reduce_on_plateau", plateau_of_optax)
            # It gives 33 optimizers a constant rate: half a minute of compiling for one value of ours.
            patch.delattr(module, "ScheduleAsLearningRateTest", raising=False)
            suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
        suite.run(result)
    assert result.testsRun >= 56
    assert not result.failures + result.errors, result.failures + result.errors
