"""The dialects of optax, transformers, timm and Keras: against recorded values, and as schedules like any other."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import functools
import inspect
import json
import pickle
import re
import unittest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check import DIALECTS, agree, made, values
from helpers import relaxed

import lrsched as ls
from lrsched.dialects import keras, optax, timm, transformers

GOLDEN = Path(__file__).parents[1] / "golden"
Record = dict[str, Any]


@functools.cache
def recording(peer: str) -> Record:
    return json.loads((GOLDEN / f"{peer}.json").read_text())


@functools.cache
def schedules(peer: str) -> list[tuple[Record, ls.Schedule]]:
    """Every record with our schedule."""
    return [(record, made(peer, record["call"], record["arguments"])) for record in recording(peer)["records"]]


def one_of_each(peer: str) -> list[tuple[Record, ls.Schedule]]:
    """Of each name one, and no plateau."""
    first = {}
    for record, schedule in schedules(peer):
        if "metrics" not in record:
            first.setdefault(
                (record["call"], record["arguments"].get("name"), record["arguments"].get("sched")), (record, schedule)
            )
    return list(first.values())


@pytest.mark.parametrize("peer", DIALECTS)
def test_values_are_theirs_at_every_step_and_past_the_end(peer):
    for record, schedule in schedules(peer):
        assert agree(peer, record, schedule), (record, schedule)
        if "error" in record:  # as near to float64 as those of optax
            error = np.max(np.abs(values(record, schedule) - record["values"])) / (np.max(np.abs(record["values"])) or 1.0)
            assert error <= max(record["error"], 2.0**-24), (record, schedule)


def test_the_number_of_epochs_is_that_of_timm():
    for record in recording("timm")["records"]:
        if record["call"] == "create_scheduler_v2":
            assert timm.create_scheduler_v2(**record["arguments"])[1] == record["length"], record


@pytest.mark.parametrize("peer", DIALECTS)
def test_compiled_values_are_the_same(peer):
    for record, schedule in one_of_each(peer):
        theirs = np.asarray(record["values"])
        compiled = np.asarray(jax.jit(schedule.__call__)(jnp.arange(len(theirs))), np.float64)
        assert np.all(np.abs(compiled - theirs) <= 1e-6 * np.abs(theirs) + 2e-7 * np.max(np.abs(theirs))), (record, schedule)


@pytest.mark.parametrize("peer", DIALECTS)
def test_every_schedule_is_one_like_any_other(peer):
    for _, schedule in schedules(peer):
        assert ls.parse(repr(schedule)) == schedule
        assert ls.from_json(ls.to_json(schedule)) == schedule
        assert pickle.loads(pickle.dumps(schedule)) == schedule
    some = one_of_each(peer)
    stacked = ls.stack([schedule for _, schedule in some])
    np.testing.assert_allclose(stacked(7), [schedule(7) for _, schedule in some], rtol=1e-6)


RUN = {"warmup_cosine_decay_schedule", "exponential_decay", "polynomial", "WSDLRScheduler", "CosineDecay"}
FIXED = {"updates_per_epoch"}  # an argument that is no number of the schedule


def split(arguments: Record) -> tuple[list[float], Any]:
    """The numbers among arguments, and a function that puts others in their place."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(arguments, is_leaf=lambda x: x is None)

    def is_number(path: tuple[Any, ...], x: Any) -> bool:
        keys = [getattr(key, "key", getattr(key, "idx", None)) for key in path]
        is_key = "boundaries_and_scales" in keys and keys[-1] == 0  # steps that are the keys of a dictionary
        return isinstance(x, (int, float)) and not isinstance(x, bool) and not is_key and not FIXED & set(keys)

    places = [i for i, (path, x) in enumerate(leaves) if is_number(path, x)]
    values = [x for _, x in leaves]

    def filled(numbers: list[Any]) -> Record:
        others = dict(zip(places, numbers, strict=True))
        return jax.tree.unflatten(tree, [others.get(i, x) for i, x in enumerate(values)])

    return [float(values[i]) for i in places], filled


def summed(record: Record, filled: Any, numbers: list[Any]) -> tuple[Any, Any]:
    """The sum of some values of the schedule of these numbers, and the values."""
    found = made(record["peer"], record["call"], filled(numbers))(jnp.arange(3, 30, 7))
    return jnp.sum(found), found


@pytest.mark.parametrize("peer", DIALECTS)
def test_every_number_can_be_mapped_and_differentiated(peer):
    """All numbers of a schedule of each name are traced, two of each; a few of the programs are run."""
    for record, _ in one_of_each(peer):
        if record["call"] == "create_scheduler" or record["arguments"].get("sched") == "tanh":
            continue  # as create_scheduler_v2, and as the class
        numbers, filled = split(record["arguments"])
        stacked = [jnp.asarray([x, x], jnp.float32) for x in numbers]
        mapped = jax.vmap(jax.grad(functools.partial(summed, {**record, "peer": peer}, filled), has_aux=True))
        gradients, found = jax.eval_shape(mapped, stacked)
        assert found.shape == (2, 4)
        assert [x.shape for x in gradients] == [(2,)] * len(numbers)
        if record["call"] in RUN or record["arguments"].get("name") in RUN:
            gradients, found = jax.jit(mapped)(stacked)
            theirs = np.asarray(record["values"])[3:30:7]
            np.testing.assert_allclose(found[1], theirs, rtol=4e-6, atol=1e-6 * max(record["values"]), err_msg=str(record))
            assert np.all(np.isfinite(gradients))
            assert np.any(gradients)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optax.cosine_decay_schedule(1.0, 0), "cosine_decay_schedule(decay_steps=0): expected decay_steps > 0"),
        (lambda: optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 10), "expected decay_steps > warmup_steps"),
        (lambda: optax.piecewise_constant_schedule(1.0, {3: -1.0}), "(scale=-1.0): expected scales >= 0"),
        (
            lambda: optax.piecewise_interpolate_schedule("linar", 1.0),
            "(interpolate_type='linar'): expected 'linear' or 'cosine'",
        ),
        (lambda: optax.linear_onecycle_schedule(0, 1.0), "expected transition_steps > 0"),
        (lambda: optax.linear_onecycle_schedule(1, 1.0), "expected phases of at least one step"),
        (lambda: optax.join_schedules([1.0, 2.0, 3.0], [10]), "one boundary fewer than schedules"),
        (lambda: optax.sgdr_schedule([]), "expected at least one cycle"),
        (lambda: optax.reduce_on_plateau(rtol=1e-4, atol=1e-4), "expected either rtol or atol"),
        (lambda: optax.reduce_on_plateau(factor=1.0), "(factor=1.0): expected 0 < factor < 1"),
        (lambda: optax.reduce_on_plateau(patience=0), "(patience=0): expected patience >= 1"),
        (lambda: transformers.get_scheduler("greedy", 0.1), "(name='greedy'): expected one of linear, cosine"),
        (lambda: transformers.get_scheduler("linear", 0.1), "expected num_warmup_steps for 'linear'"),
        (lambda: transformers.get_scheduler("linear", 0.1, 10), "expected num_training_steps for 'linear'"),
        (lambda: transformers.get_scheduler("constant_with_warmup", 0.1, 0.5), "give num_training_steps"),
        (lambda: transformers.get_scheduler("cosine_with_min_lr", 0.1, 0, 9), "expected min_lr or min_lr_rate"),
        (lambda: transformers.get_scheduler("cosine", 0.1, 0, 9, {"num_cycles": 0}), "expected num_cycles > 0"),
        (lambda: transformers.get_scheduler("polynomial", 1e-8, 0, 9), "expected lr_end < base_lr"),
        (lambda: transformers.get_scheduler("warmup_stable_decay", 0.1, 0, None, {"num_decay_steps": 3}), "num_stable_steps"),
        (lambda: transformers.get_wsd_schedule(0.1, 0, 3, 9, decay_type="sqrt"), "(decay_type='sqrt'): expected 'linear' or"),
        (lambda: timm.CosineLRScheduler(0.1, 10, noise_range_t=(3, 5)), "(noise_range_t=(3, 5)): expected no noise"),
        (lambda: timm.create_scheduler_v2(0.1, noise=0.5), "(noise_range_t=0.5): expected no noise"),
        (lambda: timm.CosineLRScheduler(0.1, 10, -1.0), "expected lr_min >= 0"),
        (lambda: timm.WSDLRScheduler(0.1, 10, 11), "(t_initial=10, decay_t=11): expected 0 < decay_t <= t_initial"),
        (lambda: timm.WSDLRScheduler(0.1, 10, 5, decay_fn="root"), "(decay_fn='root'): expected one of linear"),
        (lambda: timm.WSDLRScheduler(0.1, 10, 5, stable_fn="rsqrt"), "expected stable_timescale > 0"),
        (lambda: timm.create_scheduler_v2(0.1, "cosin"), "(sched='cosin'): expected one of cosine"),
        (lambda: timm.create_scheduler_v2(0.1, step_on_epochs=False), "expected updates_per_epoch > 0"),
        (lambda: keras.PiecewiseConstantDecay([3], [1.0]), "expected one boundary fewer than values"),
        (lambda: keras.PolynomialDecay(0.1, 2.5, cycle=True), "expected whole decay_steps"),
        (lambda: keras.ReduceLROnPlateau(0.1, "val_accuracy"), "expected mode='min' or mode='max'"),
        (lambda: keras.ReduceLROnPlateau(0.1, factor=1.0), "(factor=1.0): expected factor < 1"),
        (
            lambda: keras.deserialize({"class_name": "Mine", "config": {}}),
            "(class_name='Mine'): expected one of ExponentialDecay",
        ),
        (lambda: keras.deserialize({}, custom_objects={"Mine": 1}), "expected custom_objects=None"),
    ],
)
def test_what_has_no_meaning_raises(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_other_arguments_are_not_taken():
    with pytest.raises(TypeError, match="unexpected keyword argument 'k'"):
        timm.StepLRScheduler(0.1, 10, k=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        transformers.get_scheduler("linear", 0.1, 0, 10, {"num_cycles": 2})
    with pytest.warns(UserWarning, match="the second is used"):
        transformers.get_wsd_schedule(0.1, 1, 3, 9, num_stable_steps=2)


@pytest.mark.parametrize(("warmup", "steps"), [(0.0701, 71), (0.5, 500), (0, 0), (1, 1), (10, 10)])
def test_a_part_of_the_run_is_a_number_of_warmup_steps(warmup, steps):
    mine = transformers.get_scheduler("linear", 0.1, warmup, 1000)
    assert mine == transformers.get_linear_schedule_with_warmup(0.1, steps, 1000)


def test_keras_configurations_are_read():
    for record, schedule in schedules("keras"):
        if "config" in record:
            assert keras.deserialize(record["config"]) == schedule


def test_a_function_may_be_the_decay_of_timm():
    mine = timm.WSDLRScheduler(0.5, 10, 4, 0.1, decay_fn=lambda p: 1 - p * p)
    np.testing.assert_allclose(mine([6, 8, 10, 12]), [0.5, 0.1 + 0.4 * 0.75, 0.1, 0.1], rtol=1e-6)


LEFT_OUT = {
    "transformers": {"get_greedy_schedule", "get_adafactor_schedule"},
    "keras": {"LearningRateSchedule", "serialize"},
    "timm": {"scheduler_kwargs"},
}
OTHERS = {
    "last_epoch",
    "initialize",
    "t_in_epochs",
    "noise_range_t",
    "noise_type",
    "noise_pct",
    "noise_std",
    "noise_seed",
    "kwargs",
}
DRIVEN_BY_BASE = {"ReduceLROnPlateau"}  # a callback, which brings no rate


@pytest.mark.parametrize("peer", DIALECTS)
def test_names_order_and_defaults_are_theirs(peer):
    for name, theirs in recording(peer)["signatures"].items():
        if name in LEFT_OUT.get(peer, ()):
            continue
        found = inspect.signature(getattr(DIALECTS[peer], name)).parameters.values()
        mine = [[p.name, "required" if p.default is p.empty else p.default] for p in found if p.name != "others"]
        mine = mine[1:] if peer == "keras" and name in DRIVEN_BY_BASE else mine
        mine = [[key, list(value) if isinstance(value, tuple) else value] for key, value in mine if key not in OTHERS]
        theirs = [
            ["base_lr", default] if key == "optimizer" else [key, default] for key, default in theirs if key not in OTHERS
        ]
        if peer == "timm" and name.startswith("create"):
            theirs = [["noise", None] if key == "noise" else [key, default] for key, default in theirs]
            mine = [[key, default] for key, default in mine]
        assert mine == theirs, name


def test_optax_tests_pass_with_the_dialect():
    """The tests of schedules and of joins that optax ships; those of its optimizers are not about schedules."""
    ring = [pytest.importorskip(f"optax.schedules.{name}") for name in ("_schedule_test", "_join_test")]
    suite, result = unittest.TestSuite(), unittest.TestResult()
    with pytest.MonkeyPatch.context() as patch, relaxed():
        for module in ring:
            for name in {"_schedule", "_join"} & set(vars(module)):
                patch.setattr(module, name, optax)
            patch.delattr(module, "ScheduleAsLearningRateTest", raising=False)
            suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
        suite.run(result)
    assert result.testsRun >= 20
    assert not result.failures + result.errors, result.failures + result.errors


def test_no_decay_is_none_for_traced_numbers_too():
    for steps, rate in ((0, 0.5), (10, 0.0)):
        decay = jax.jit(lambda n, r: optax.exponential_decay(1.0, n, r)(3))
        assert decay(steps, rate) == optax.exponential_decay(1.0, steps, rate)(3) == 1.0
