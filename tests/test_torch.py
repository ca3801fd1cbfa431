"""The PyTorch dialect: against recorded traces, against the tables of PyTorch's tests, and as schedules like any other."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import json
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check import OF_BASE, RELATIVE, ours, traces
from torch_cases import COSINE, EXAMPLES, LINEAR, MULTIPLICATIVE, STEP, inverse, nearly_one

import lrsched as ls
from lrsched.dialects import torch as dialect

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path for path in GOLDEN.glob("*LR*.json") if path.stem in vars(dialect))
FILES += [GOLDEN / f"{name}.json" for name in ("ChainedScheduler", "CosineAnnealingWarmRestarts")]
TABLES = json.loads((GOLDEN / "tables.json").read_text())


def is_relative_min(mode: str = "min", threshold_mode: str = "rel", **_: Any) -> bool:
    return (mode, threshold_mode) == ("min", "rel")


# What PyTorch takes and the dialect refuses, since no rate comes of it that anybody wants: the sign of the rate changes, or
# no metric ever counts as better.
REFUSED = [
    lambda record: any(record["arguments"].get(name, 0.0) < 0 for name in ("gamma", "factor")),
    lambda record: record["arguments"].get("threshold", 0.0) >= 1 and is_relative_min(**record["arguments"]),
]


def records(path: Path) -> list[dict[str, Any]]:
    """The records of a file, with what is promised in the place of what PyTorch does otherwise."""
    found = []
    for record in json.loads(path.read_text())["records"]:
        if "promised" in record:
            record |= {"rates": record["promised"], "steps": len(record["promised"])}
        if record["rates"]:
            found.append(record)
    return found


def agree(mine: Any, theirs: Any, base_lr: float, relative: float = RELATIVE) -> bool:
    mine, theirs = np.asarray(mine, np.float64)[: len(theirs)], np.asarray(theirs)
    return bool(np.all(np.abs(mine - theirs) <= relative * np.abs(theirs) + OF_BASE * base_lr))


def test_every_scheduler_is_recorded():
    schedulers = {name for name, value in vars(dialect).items() if name[0].isupper() and callable(value)}
    assert {path.stem for path in FILES} == schedulers - {"CyclicMomentum", "OneCycleMomentum", "Recurrence"}
    assert sum(len(records(path)) for path in FILES) >= 630


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_trajectories_are_those_of_pytorch(path):
    recording, compared = json.loads(path.read_text()), 0
    assert recording["torch"].startswith("2.13.")
    for record in records(path):
        if any(refused(record) for refused in REFUSED):
            with pytest.raises(ValueError, match=r"(gamma|factor|threshold)=.*\): expected"):
                ours(record["class"], record["arguments"], record["base_lr"])
            continue
        for mine, theirs, base_lr in traces(record):
            assert agree(mine, theirs, base_lr), record
            compared += 1
    assert compared >= 24


@pytest.mark.deep
@pytest.mark.parametrize("name", sorted({table["class"] for table in TABLES["records"]}))
def test_the_tables_of_the_tests_of_pytorch_hold(name):
    for table in TABLES["records"]:
        if table["class"] == name:
            record = table | {"rates": table["expected"]}
            for mine, theirs, _ in traces(record):
                np.testing.assert_allclose(
                    np.asarray(mine)[: len(theirs)], theirs, rtol=0, atol=TABLES["tolerance"], err_msg=table["name"]
                )


STEPS = np.arange(30)
NAMES = vars(dialect) | {"inverse": inverse, "nearly_one": nearly_one}


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_is_a_schedule_like_any_other(schedule):
    assert eval(repr(schedule), NAMES) == schedule == pickle.loads(pickle.dumps(schedule))
    values = np.asarray(schedule(STEPS))
    assert values.dtype == np.float32
    np.testing.assert_allclose([schedule(int(t)) for t in STEPS[:10]], values[:10], rtol=1e-6)
    both = ls.stack([schedule, ls.Constant(0.25)])
    np.testing.assert_allclose(both(STEPS), [values, np.full(30, 0.25)], rtol=1e-6)
    np.testing.assert_allclose((schedule * 2)(STEPS), 2 * values, rtol=1e-6)
    length = schedule.length
    if np.isfinite(length):
        np.testing.assert_array_equal(schedule([length, length + 1000]), schedule(length))


def test_every_class_has_an_example():
    classes = {value for value in vars(dialect).values() if isinstance(value, type) and issubclass(value, ls.Schedule)}
    assert {type(schedule) for schedule in EXAMPLES} == classes - {dialect.Recurrence}


def test_composed_is_the_schedule_in_the_words_of_the_algebra():
    for schedule in EXAMPLES:
        np.testing.assert_array_equal(schedule.composed(STEPS), schedule(STEPS))
        assert schedule.composed.length == schedule.length
    assert STEP.composed == ls.step_decay(0.5, 4, 0.5)


def test_a_sequence_in_a_sequence_is_one_sequence():
    nested = dialect.SequentialLR([LINEAR, dialect.SequentialLR([MULTIPLICATIVE, STEP], [5])], [6])
    flat = dialect.SequentialLR([LINEAR, MULTIPLICATIVE, STEP], [6, 11])
    np.testing.assert_array_equal(nested(STEPS), flat(STEPS))
    first = dialect.SequentialLR([dialect.SequentialLR([LINEAR, MULTIPLICATIVE], [6]), STEP], [11])
    np.testing.assert_array_equal(first(STEPS), flat(STEPS))


def run(schedule: Any, metrics: Any) -> jax.Array:
    """The value at each step, where a metric is observed with it."""

    def update(state, metric):
        return ls.tick(schedule, state, value=metric), ls.evaluate(schedule, state)

    return jax.jit(lambda x: jax.lax.scan(update, ls.init(schedule), x)[1])(jnp.asarray(metrics))


def test_a_plateau_in_a_sequence_hears_what_happens_while_it_runs():
    plateau = dialect.ReduceLROnPlateau(0.5, factor=0.5, patience=1)
    schedule = dialect.SequentialLR([LINEAR, plateau, dialect.SWALR(0.5, 0.0, 2, "linear")], [6, 14])
    values = run(schedule, np.ones(20, np.float32))
    # Six steps of warm-up; then the first metric is the best, and of the others every second one is too many.
    held = [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]
    np.testing.assert_allclose(values, [*np.asarray(LINEAR(np.arange(6))), *held, 0.0625, 0.03125, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("factor", "min_lr", "eps"), [(0.5, 0.0, 1e-8), (0.5, 0.1, 0.0), (0.9, 0.01, 1e-3), (0.0, 0.2, 0.0), (0.5, 2.0, 0)]
)
def test_a_plateau_reduces_as_long_as_it_is_by_more_than_eps(factor, min_lr, eps):
    rate, rates = 1.0, []
    for _ in range(60):
        rates.append(rate)
        reduced = max(rate * factor, min_lr)
        rate = reduced if rate - reduced > eps else rate
    schedule = dialect.ReduceLROnPlateau(1.0, factor=factor, patience=0, min_lr=min_lr, eps=eps)
    np.testing.assert_allclose(run(schedule, np.ones(61, np.float32))[1:], rates, rtol=1e-6)
    traced = jax.vmap(lambda f: run_traced(f, min_lr, eps))(jnp.asarray([factor, factor]))
    np.testing.assert_allclose(traced[1], rates, rtol=2e-5)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "base_lr": [1.0, 0.5],
        "factor": [0.5, 0.25],
        "patience": [0, 1, 3],
        "threshold": [0.0, 0.125, 0.5],
        "cooldown": [0, 2, 5],
        "min_lr": [0.0, 0.125],
        "eps": [0.0, 0.25],
    }.items(),
)
def test_every_number_of_a_plateau_maps(name, values):
    metrics = np.array([2, 1.9, 1.5, 1.6, 1.7, 1.4, 1.4, 1.39, 1.5, 1.2, 1.3, 0.5, 0.45, 0.6, 0.7, 0.4, 0.8], np.float32)
    given = {"base_lr": 1.0, "factor": 0.5, "patience": 0} | {"threshold_mode": "abs"}
    mapped = jax.vmap(lambda x: run(dialect.ReduceLROnPlateau(**given | {name: x}), metrics))(jnp.asarray(values, float))
    loop = [run(dialect.ReduceLROnPlateau(**given | {name: x}), metrics) for x in values]
    assert len({tuple(row.tolist()) for row in loop}) == len(values)
    np.testing.assert_allclose(mapped, loop, rtol=1e-6)


def run_traced(factor: Any, min_lr: float, eps: float) -> Any:
    schedule = dialect.ReduceLROnPlateau(1.0, factor=factor, patience=0, min_lr=min_lr, eps=eps)
    state = ls.init(schedule)

    def update(state, _):
        state = ls.tick(schedule, state, value=jnp.float32(1))
        return state, ls.evaluate(schedule, state)

    return jax.lax.scan(update, state, None, length=60)[1]


NO = float("nan")
BAD = [
    (lambda: dialect.LambdaLR(0.1, 0.9), TypeError, "LambdaLR(lr_lambda=0.9): expected a function of the step"),
    (lambda: dialect.LambdaLR(NO, inverse), ValueError, "LambdaLR(base_lr=nan): expected a finite number"),
    (lambda: dialect.MultiplicativeLR(0.1, None), TypeError, "MultiplicativeLR(lr_lambda=None): expected a function"),
    (lambda: dialect.StepLR(0.1, 0), ValueError, "StepLR(step_size=0): expected step_size > 0"),
    (lambda: dialect.StepLR(0.1, 30, -0.5), ValueError, "StepLR(gamma=-0.5): expected gamma >= 0"),
    (lambda: dialect.MultiStepLR(0.1, 30), TypeError, "MultiStepLR(milestones=30): expected a list of numbers"),
    (lambda: dialect.MultiStepLR(0.1, [-1]), ValueError, "MultiStepLR(milestones=[-1]): expected milestones >= 0"),
    (lambda: dialect.ConstantLR(0.1, 1.5), ValueError, "ConstantLR(factor=1.5): expected factor >= 0 and <= 1"),
    (lambda: dialect.ConstantLR(0.1, 0.5, -1), ValueError, "ConstantLR(total_iters=-1): expected total_iters >= 0"),
    (lambda: dialect.LinearLR(0.1, 2.0), ValueError, "LinearLR(start_factor=2.0): expected start_factor >= 0 and <= 1"),
    (lambda: dialect.LinearLR(0.1, 0.5, -1), ValueError, "LinearLR(end_factor=-1): expected end_factor >= 0 and <= 1"),
    (lambda: dialect.PolynomialLR(0.1, 5, -1), ValueError, "PolynomialLR(power=-1): expected power >= 0"),
    (lambda: dialect.CosineAnnealingLR(0.1, 0), ValueError, "CosineAnnealingLR(T_max=0): expected T_max > 0"),
    (lambda: dialect.CosineAnnealingWarmRestarts(0.1, 0), ValueError, "(T_0=0): expected T_0 >= 1 and whole"),
    (lambda: dialect.CosineAnnealingWarmRestarts(0.1, 5, 1.5), ValueError, "(T_mult=1.5): expected T_mult >= 1 and whole"),
    (lambda: dialect.CyclicLR(0.1, 1.0, mode="square"), ValueError, "CyclicLR(mode='square'): expected 'triangular' or"),
    (lambda: dialect.CyclicLR(0.1, 1.0, 0), ValueError, "CyclicLR(step_size_up=0): expected step_size_up > 0"),
    (lambda: dialect.CyclicLR(0.1, 1.0, scale_fn=1), TypeError, "CyclicLR(scale_fn=1): expected a function"),
    (lambda: dialect.CyclicMomentum(0.1, 1.0, cycle_momentum=False), ValueError, "CyclicMomentum(cycle_momentum=False)"),
    (lambda: dialect.OneCycleLR(0.1), ValueError, "OneCycleLR(...): expected either total_steps, or both"),
    (lambda: dialect.OneCycleLR(0.1, epochs=3), ValueError, "OneCycleLR(...): expected either total_steps"),
    (lambda: dialect.OneCycleLR(0.1, 0), ValueError, "OneCycleLR(total_steps=0): expected total_steps >= 1 and whole"),
    (
        lambda: dialect.OneCycleLR(0.1, 10, pct_start=2.0),
        ValueError,
        "OneCycleLR(pct_start=2.0): expected pct_start >= 0 and <= 1",
    ),
    (lambda: dialect.OneCycleLR(0.1, 10, anneal_strategy="cosine"), ValueError, "='cosine'): expected 'cos' or 'linear'"),
    (lambda: dialect.OneCycleMomentum(0.1, 10, cycle_momentum=False), ValueError, "cycle_momentum=False): expected True"),
    (lambda: dialect.SWALR(0.1, 0.05, -1), ValueError, "SWALR(anneal_epochs=-1): expected anneal_epochs >= 0"),
    (lambda: dialect.SWALR(0.1, 0.05, 5, "exp"), ValueError, "SWALR(anneal_strategy='exp'): expected 'cos' or 'linear'"),
    (lambda: dialect.SequentialLR([], []), ValueError, "SequentialLR(schedules=[]): expected at least one schedule"),
    (
        lambda: dialect.SequentialLR([STEP], [3]),
        ValueError,
        "expected one milestone fewer than schedules, got 1 schedules and 1",
    ),
    (
        lambda: dialect.SequentialLR([STEP, STEP, STEP], [5, 3]),
        ValueError,
        "(milestones=[5, 3]): expected milestones that rise from 0 or later. Hint: sort them.",
    ),
    (lambda: dialect.SequentialLR(STEP, [3]), TypeError, "): expected a list of schedules"),
    (lambda: dialect.SequentialLR([STEP, "0.1"], [3]), TypeError, "SequentialLR(schedules='0.1'): expected a schedule"),
    (lambda: dialect.ChainedScheduler([]), ValueError, "ChainedScheduler(schedules=[]): expected at least one schedule"),
    (lambda: dialect.ChainedScheduler([ls.Constant(1.0)]), ValueError, "expected a scheduler of this dialect"),
    (lambda: dialect.ChainedScheduler([STEP, dialect.StepLR(0.1, 3)]), ValueError, "as they change one rate, got 0.5, 0.1"),
    (
        lambda: dialect.ChainedScheduler([dialect.LinearLR(0.5, 0.0), COSINE])(3),
        ValueError,
        "LinearLR(start_factor=0): expected start_factor > 0",
    ),
    (lambda: dialect.ReduceLROnPlateau(0.1, mode="up"), ValueError, "Plateau(mode='up'): expected 'min' or 'max'"),
    (lambda: dialect.ReduceLROnPlateau(0.1, factor=1.0), ValueError, "(factor=1.0): expected factor >= 0 and < 1"),
    (lambda: dialect.ReduceLROnPlateau(0.1, threshold_mode="rel_signed"), ValueError, "expected 'rel' or 'abs'"),
    (lambda: dialect.ReduceLROnPlateau(0.1, patience=-1), ValueError, "ReduceLROnPlateau(patience=-1): expected patience >= 0"),
]


@pytest.mark.parametrize(("make", "error", "says"), BAD, ids=[says for *_, says in BAD])
def test_a_bad_call_is_refused(make, error, says):
    with pytest.raises(error) as caught:
        make()
    assert says in str(caught.value)
