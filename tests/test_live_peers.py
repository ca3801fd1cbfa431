"""Live schedules of other frameworks: functions of optax, and objects like those of transformers and timm."""

import functools
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from check import agree, recording, with_objects
from helpers import refused

import lrsched as ls
from lrsched.dialects import timm, transformers
from lrsched.dialects.optax import from_optax
from lrsched.dialects.torch import from_torch, state_from_torch

RECORDS = recording("optax")["records"]
ATTRIBUTES = {
    "base_values": [0.1, 0.02],
    "noise_range_t": None,
    "warmup_t": 3,
    "warmup_lr_init": 1e-5,
    "warmup_prefix": False,
    "param_group_field": "lr",
    "optimizer": SimpleNamespace(param_groups=[{}, {"lr_scale": 0.5}]),
}


@pytest.mark.deep
@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize("name", sorted({record["call"] for record in RECORDS if "metrics" not in record}))
def test_what_a_factory_of_optax_returned_is_translated(name):
    records = [record for record in RECORDS if record["call"] == name]
    wrapped = []
    for record in records:
        theirs = getattr(optax.schedules, name)(**with_objects(name, record["arguments"], optax.schedules))
        ours = from_optax(theirs)
        if "Function" in repr(ours):  # of what grows beyond a float32, or of a factory that keeps no arguments
            wrapped.append(record)
        else:
            assert agree("optax", record, ours), record
    assert len(wrapped) < len(records) / 2, wrapped


def constant_schedule(value):  # a name and an argument of optax, and another meaning at one step
    return lambda t: jnp.where(t == 3, 0.0, value)


def test_any_other_function_of_the_step_is_wrapped():
    shown_as_another = functools.wraps(lambda t, rate: t * rate)(lambda t: 0.1 * t)
    for function in (constant_schedule(0.5), lambda t: jnp.sqrt(t), functools.partial(jnp.multiply, 0.1), shown_as_another):
        wrapped = from_optax(function)
        assert isinstance(wrapped, ls.Function)
        np.testing.assert_allclose(wrapped([*range(5)]), [np.asarray(function(t)) for t in range(5)], rtol=1e-6)
    divides = from_optax(optax.join_schedules([optax.linear_schedule(0.0, 1.0, 50), lambda t: 0.1 / t], [50]))
    assert isinstance(divides, ls.Function)  # its first value raises
    mixed = from_optax(optax.join_schedules([optax.constant_schedule(1.0), lambda t: 0.5 * t], [3]))
    assert mixed([2, 3, 5]).tolist() == [1.0, 0.0, 1.0]
    dropped = from_optax(optax.join_schedules([optax.constant_schedule(x) for x in (1.0, 2.0, 3.0)], [9]))
    assert dropped([8, 9, 20_000]).tolist() == [1.0, 2.0, 2.0]
    schedule = ls.Linear(0.0, 1.0, 5)
    assert from_optax(schedule) is schedule
    with pytest.raises(TypeError):
        from_optax("0.1")  # pyright: ignore[reportArgumentType]


def live(kind: str, module: str, **attributes: object) -> object:
    """An object of a class with this name and module."""
    thing = type(kind, (), {"__module__": module})()
    vars(thing).update(attributes)
    return thing


def partial_of_transformers(name: str, **numbers: object):
    """A partial function, as transformers 5 gives it to PyTorch's LambdaLR."""

    def function(**numbers):
        raise AssertionError(f"only the keywords are read, and it was called with {numbers}")

    function.__name__, function.__module__ = name, "transformers.optimization"
    return functools.partial(function, **numbers) if numbers else function


RUN = {"num_warmup_steps": 10, "num_training_steps": 100}
LOW = {"num_cycles": 0.5, "min_lr_rate": 0.1}
WSD = {"num_warmup_steps": 5, "num_stable_steps": 9, "num_decay_steps": 6, "decay_type": "linear", "min_lr_ratio": 0.1}


LIVE: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {  # what makes it, the partial's numbers, and other arguments
    "constant": (transformers.get_constant_schedule, {}, {}),
    "linear_schedule_with_warmup_lr": (transformers.get_linear_schedule_with_warmup, RUN, {}),
    "polynomial_decay_schedule_with_warmup_lr": (  # of a group with twice the optimizer's rate
        transformers.get_polynomial_decay_schedule_with_warmup,
        RUN | {"lr_end": 1e-3, "power": 2.0, "lr_init": 0.05},
        {"lr_end": 2e-3},
    ),
    "cosine_schedule_with_warmup_lr": (
        transformers.get_cosine_with_min_lr_schedule_with_warmup,
        RUN | LOW | {"min_lr_rate": 0.01 / 0.1},  # which is not 0.1
        {"min_lr_rate": 0.1},
    ),
    "cosine_with_min_lr_schedule_with_warmup_lr_rate": (
        transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
        RUN | LOW | {"warmup_lr_rate": None},
        {},
    ),
    "wsd_scheduler": (transformers.get_wsd_schedule, WSD, {}),
}


@pytest.mark.parametrize("name", LIVE)
def test_a_live_scheduler_of_transformers_is_a_named_schedule(name):
    make, numbers, changes = LIVE[name]
    made, ours = 7, {key: x for key, x in numbers.items() if key != "lr_init"}
    expected = make(0.1, **ours | changes)
    scheduler = live(
        "LambdaLR",
        "torch.optim.lr_scheduler",
        optimizer=SimpleNamespace(param_groups=[{"lr": float(expected(made)), "initial_lr": 0.1}]),
        base_lrs=[0.1],
        last_epoch=made,
        lr_lambdas=[partial_of_transformers(f"_get_{name}_lambda", **numbers)],
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


STEPS = {**ATTRIBUTES, "decay_t": 3}
REFUSED = [
    (live("CosineLRScheduler", "mine"), 0, "expected one of CosineLRScheduler"),
    (live("Other", "timm.scheduler.other"), 0, "expected one of CosineLRScheduler"),
    (live("StepLRScheduler", "timm.scheduler.x", **STEPS), 2, "a group from 0 to 1"),
    (live("StepLRScheduler", "timm.scheduler.x", **STEPS | {"param_group_field": "b1"}), 0, "expected a scheduler of the rate"),
]
test_what_timm_has_not_is_refused = refused(
    [(functools.partial(timm.from_timm, scheduler, group), words) for scheduler, group, words in REFUSED]
)
