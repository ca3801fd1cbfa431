"""Live schedules of other frameworks: functions of optax as they are, and objects as transformers and timm make them."""

import functools
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed

import lrsched as ls
from lrsched.dialects import timm, transformers
from lrsched.dialects.optax import from_optax
from lrsched.dialects.torch import from_torch, state_from_torch

COSINE = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 9}
OF_OPTAX = {
    "constant": optax.constant_schedule(0.1),
    "linear": optax.linear_schedule(1.0, 0.2, 10, 3),
    "linear of no steps": optax.linear_schedule(1.0, 0.2, 0),
    "polynomial": optax.polynomial_schedule(1.0, 0.2, 2.0, 10, 3),
    "steps": optax.piecewise_constant_schedule(1.0, {5: 0.5, 11: 0.1}),
    "lines": optax.piecewise_interpolate_schedule("linear", 1.0, {5: 0.5, 11: 0.1}),
    "exponential": optax.exponential_decay(1.0, 4, 0.5),
    "staircase with an end": optax.exponential_decay(1.0, 4, 0.5, 3, staircase=True, end_value=0.1),
    "cosine": optax.cosine_decay_schedule(1.0, 10, 0.1, 2.0),
    "warm-up": optax.warmup_constant_schedule(0.0, 1.0, 5),
    "warm-up and cosine": optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, 12, 0.1),
    "warm-up and exponential": optax.warmup_exponential_decay_schedule(0.0, 1.0, 5, 4, 0.5),
    "restarts": optax.sgdr_schedule([COSINE, {**COSINE, "peak_value": 0.5}]),
    "linear one-cycle": optax.linear_onecycle_schedule(20, 1.0),
    "cosine one-cycle": optax.cosine_onecycle_schedule(20, 1.0),
    "joined": optax.join_schedules([optax.linear_schedule(0.0, 1.0, 4), optax.exponential_decay(1.0, 4, 0.5)], [4]),
}


@pytest.mark.parametrize("name", OF_OPTAX)
def test_what_a_factory_of_optax_returned_is_translated(name):
    theirs = OF_OPTAX[name]
    ours = from_optax(theirs)
    assert "Function" not in repr(ours)
    with relaxed():
        expected = [np.asarray(theirs(t)) for t in range(25)]
    np.testing.assert_allclose(ours([*range(25)]), expected, rtol=1e-5, atol=1e-6)


def test_any_other_function_of_the_step_is_wrapped():
    def cosine_decay_schedule(init_value):  # a name of optax, and another meaning
        return lambda t: init_value / (1 + t)

    for function in (cosine_decay_schedule(0.5), lambda t: jnp.sqrt(t), functools.partial(jnp.multiply, 0.1)):
        wrapped = from_optax(function)
        assert isinstance(wrapped, ls.Function)
        np.testing.assert_allclose(wrapped([*range(5)]), [np.asarray(function(t)) for t in range(5)], rtol=1e-6)
    divides = from_optax(optax.join_schedules([optax.linear_schedule(0.0, 1.0, 50), lambda t: 0.1 / t], [50]))
    assert isinstance(divides, ls.Function)  # its first value raises
    mixed = from_optax(optax.join_schedules([optax.constant_schedule(1.0), lambda t: 0.5 * t], [3]))
    assert mixed([2, 3, 5]).tolist() == [1.0, 0.0, 1.0]
    schedule = ls.Linear(0.0, 1.0, 5)
    assert from_optax(schedule) is schedule
    with pytest.raises(TypeError):
        from_optax("0.1")  # pyright: ignore[reportArgumentType]


def live(kind: str, module: str, **attributes: object) -> object:
    """An object of a class of this name, as far as its module says."""
    thing = type(kind, (), {"__module__": module})()
    vars(thing).update(attributes)
    return thing


def partial_of_transformers(name: str, **numbers: object):
    """A partial function, as transformers 5 gives it to PyTorch's LambdaLR."""

    def function(**numbers):
        raise AssertionError(f"only the keywords are read, and it was called with {numbers}")

    function.__name__, function.__module__ = name, "transformers.optimization"
    return functools.partial(function, **numbers) if numbers else function


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("_get_constant_lambda", {}, transformers.get_constant_schedule(0.1)),
        (
            "_get_linear_schedule_with_warmup_lr_lambda",
            {"num_warmup_steps": 10, "num_training_steps": 100},
            transformers.get_linear_schedule_with_warmup(0.1, 10, 100),
        ),
        (
            "_get_polynomial_decay_schedule_with_warmup_lr_lambda",
            {"num_warmup_steps": 10, "num_training_steps": 100, "lr_end": 1e-3, "power": 2.0, "lr_init": 0.1},
            transformers.get_polynomial_decay_schedule_with_warmup(0.1, 10, 100, 1e-3, 2.0),
        ),
        (
            "_get_polynomial_decay_schedule_with_warmup_lr_lambda",  # of a group with twice the optimizer's rate
            {"num_warmup_steps": 10, "num_training_steps": 100, "lr_end": 1e-3, "power": 2.0, "lr_init": 0.05},
            transformers.get_polynomial_decay_schedule_with_warmup(0.1, 10, 100, 2e-3, 2.0),
        ),
        (
            "_get_cosine_schedule_with_warmup_lr_lambda",
            {"num_warmup_steps": 10, "num_training_steps": 100, "num_cycles": 0.5, "min_lr_rate": 0.1},
            transformers.get_cosine_with_min_lr_schedule_with_warmup(0.1, 10, 100, min_lr_rate=0.1),
        ),
        (
            "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda",
            {"num_warmup_steps": 10, "num_training_steps": 100, "num_cycles": 0.5, "min_lr_rate": 0.1, "warmup_lr_rate": None},
            transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate(0.1, 10, 100, min_lr_rate=0.1),
        ),
        (
            "_get_wsd_scheduler_lambda",
            {"num_warmup_steps": 5, "num_stable_steps": 9, "num_decay_steps": 6, "decay_type": "linear", "min_lr_ratio": 0.1},
            transformers.get_wsd_schedule(0.1, 5, 6, num_stable_steps=9, decay_type="linear", min_lr_ratio=0.1),
        ),
    ],
)
def test_a_live_scheduler_of_transformers_is_a_named_schedule(name, numbers, expected):
    made = 7
    rate = float(expected(made))
    scheduler = live(
        "LambdaLR",
        "torch.optim.lr_scheduler",
        optimizer=SimpleNamespace(param_groups=[{"lr": rate, "initial_lr": 0.1}]),
        base_lrs=[0.1],
        last_epoch=made,
        lr_lambdas=[partial_of_transformers(name, **numbers)],
    )
    assert from_torch(scheduler) == expected.drop(made)


def greedy(**changes: Any) -> Any:
    given = {"factor": 0.5, "patience": 2, "mode": "max", "smooth": True, "window_size": 5, "cooldown_counter": 3}
    bounds = {"min_lrs": [1e-3, 1e-4], "max_lrs": [1.0, 0.5], "reset_start_original": 500, "_init_lrs": [0.1, 0.2]}
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}, {"lr": 0.2}])
    return live("GreedyLR", "transformers.optimization", **{**given, **bounds, "optimizer": optimizer, **changes})


def test_a_live_greedy_scheduler_begins_with_its_first_rate():
    expected = {"mode": "max", "factor": 0.5, "patience": 2, "min_lr": 1e-4, "max_lr": 0.5, "smooth": True, "window_size": 5}
    assert from_torch(greedy(), 1) == transformers.GreedyLR(0.2, **expected)
    with pytest.raises(ValueError, match=r"expected the rate 0.4 .* Hint: transformers.GreedyLR\(0.1, mode='max', factor=0.5"):
        from_torch(greedy(_init_lrs=[0.4]))
    with pytest.raises(TypeError, match=r"Hint: init\(from_torch\(scheduler\)\) counts anew"):
        state_from_torch(greedy())


ATTRIBUTES = {
    "base_values": [0.1, 0.02],
    "noise_range_t": None,
    "warmup_t": 3,
    "warmup_lr_init": 1e-5,
    "warmup_prefix": False,
    "param_group_field": "lr",
    "optimizer": SimpleNamespace(param_groups=[{}, {"lr_scale": 0.5}]),
}


def test_a_live_scheduler_of_timm_has_its_arguments_as_attributes():
    cosine = {"t_initial": 30, "lr_min": 1e-4, "cycle_mul": 2.0, "cycle_decay": 0.5, "cycle_limit": 2, "k_decay": 1.5}
    scheduler = live("CosineLRScheduler", "timm.scheduler.cosine_lr", **ATTRIBUTES, **cosine)
    warm = {"warmup_t": 3, "warmup_lr_init": 1e-5}
    assert from_torch(scheduler, 1) == timm.CosineLRScheduler(0.02, **cosine, **warm) * 0.5
    noisy = {**ATTRIBUTES, "noise_range_t": 5, "noise_type": "uniform", "noise_pct": 0.2, "noise_seed": 3}
    scheduler = live("StepLRScheduler", "timm.scheduler.step_lr", **noisy, decay_t=3)
    prefix = warm | {"warmup_prefix": False}
    assert timm.from_timm(scheduler) == timm.StepLRScheduler(
        0.1, 3, **prefix, noise_range_t=5, noise_type="uniform", noise_pct=0.2, noise_seed=3
    )
    inner = SimpleNamespace(factor=0.3, patience=4, threshold=1e-3, mode="min", cooldown=2, min_lrs=[1e-6, 1e-5])
    plateau = live("PlateauLRScheduler", "timm.scheduler.plateau_lr", **ATTRIBUTES, lr_scheduler=inner)
    assert timm.from_timm(plateau) == timm.PlateauLRScheduler(0.1, 0.3, 4, 1e-3, 2, **warm, lr_min=1e-6, mode="min")


@pytest.mark.parametrize(
    ("scheduler", "group", "error", "words"),
    [
        (live("CosineLRScheduler", "mine"), 0, TypeError, "expected one of CosineLRScheduler"),
        (live("Other", "timm.scheduler.other"), 0, TypeError, "expected one of CosineLRScheduler"),
        (live("StepLRScheduler", "timm.scheduler.step_lr", **ATTRIBUTES, decay_t=3), 2, ValueError, "a group from 0 to 1"),
        (
            live("StepLRScheduler", "timm.scheduler.step_lr", **{**ATTRIBUTES, "param_group_field": "weight_decay"}, decay_t=3),
            0,
            ValueError,
            "expected a scheduler of the rate",
        ),
    ],
)
def test_what_timm_has_not_is_refused(scheduler, group, error, words):
    with pytest.raises(error, match=words):
        timm.from_timm(scheduler, group)
