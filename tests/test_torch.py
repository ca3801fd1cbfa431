"""The PyTorch dialect: against recorded traces, against the tables of PyTorch's tests, and as schedules like any other."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check import OF_BASE, RELATIVE, ours, traces
from functions import FUNCTIONS
from helpers import x64
from originals import expanded
from record import script_hash

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
    assert recording["sha256"] == script_hash(), "record anew: python tests/golden/record.py"
    for record in records(path):
        if any(refused(record) for refused in REFUSED):
            with pytest.raises(ValueError, match=r"(gamma|factor|threshold)=.*\): expected"):
                ours(record["class"], record["arguments"], record["base_lr"])
            continue
        for mine, theirs, base_lr in traces(record):
            assert agree(mine, theirs, base_lr), record
            compared += 1
    assert compared >= 24


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "ReduceLROnPlateau"], ids=lambda path: path.stem)
def test_trajectories_are_those_of_pytorch_in_compiled_code(path):
    """Of a few records; a chain in place rounds at every step."""
    for record in [record for record in records(path) if not record.get("fractional")][:3]:
        schedule = ours(record["class"], record["arguments"], record["base_lr"])
        steps = jnp.asarray(expanded(record["steps"])[: len(record["rates"])])
        assert agree(jax.jit(lambda t, s=schedule: s(t))(steps), record["rates"], record["base_lr"], 4e-6), record


@pytest.mark.parametrize("name", sorted({table["class"] for table in TABLES["records"]}))
def test_the_tables_of_the_tests_of_pytorch_hold(name):
    for table in TABLES["records"]:
        if table["class"] == name:
            record = table | {"rates": table["expected"]}
            for mine, theirs, _ in traces(record):
                np.testing.assert_allclose(
                    np.asarray(mine)[: len(theirs)], theirs, rtol=0, atol=TABLES["tolerance"], err_msg=table["name"]
                )


def inverse(t):
    return 1 / (1 + 0.25 * t)


def nearly_one(t):
    return 1 - 0.1 / (1 + t)


LINEAR = dialect.LinearLR(0.5, 0.25, 1.0, 6)
EXPONENTIAL = dialect.ExponentialLR(0.5, 0.875)
COSINE = dialect.CosineAnnealingLR(0.5, 8, 0.125)
STEP = dialect.StepLR(0.5, 4, 0.5)
MULTIPLICATIVE = dialect.MultiplicativeLR(0.5, nearly_one)
EXAMPLES = [
    dialect.LambdaLR(0.5, inverse),
    MULTIPLICATIVE,
    STEP,
    dialect.MultiStepLR(0.5, [3, 7, 7], 0.5),
    dialect.ConstantLR(0.5, 0.25, 6),
    LINEAR,
    EXPONENTIAL,
    dialect.PolynomialLR(0.5, 8, 2.0),
    COSINE,
    dialect.CosineAnnealingWarmRestarts(0.5, 4, 2, 0.125),
    dialect.CyclicLR(0.125, 0.5, 4, 6, "exp_range", 0.875),
    dialect.CyclicLR(0.125, 0.5, 4, mode="triangular2"),
    dialect.CyclicLR(0.125, 0.5, 4, scale_fn=inverse),
    dialect.CyclicLR(0.125, 0.5, 4, scale_fn=inverse, scale_mode="iterations"),
    dialect.CyclicMomentum(0.125, 0.5, 4),
    dialect.OneCycleLR(0.5, 20, pct_start=0.25, div_factor=8.0, final_div_factor=16.0),
    dialect.OneCycleLR(0.5, epochs=5, steps_per_epoch=4, pct_start=0.25, anneal_strategy="linear", three_phase=True),
    dialect.OneCycleMomentum(0.5, 20, pct_start=0.25),
    dialect.SWALR(0.5, 0.25, 8),
    dialect.SequentialLR([LINEAR, EXPONENTIAL], [6]),
    dialect.SequentialLR([LINEAR, MULTIPLICATIVE, dialect.SWALR(0.5, 0.25, 4)], [6, 12]),
    dialect.ChainedScheduler([LINEAR, EXPONENTIAL]),
    dialect.ChainedScheduler([COSINE, STEP]),
]
STEPS = np.arange(30)
NAMES = vars(dialect) | {"inverse": inverse, "nearly_one": nearly_one}


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_is_a_schedule_like_any_other(schedule):
    assert eval(repr(schedule), NAMES) == schedule == pickle.loads(pickle.dumps(schedule))
    values = np.asarray(schedule(STEPS))
    assert values.dtype == np.float32
    for way in (jax.jit(lambda t: schedule(t)), jax.jit(jax.vmap(schedule))):
        np.testing.assert_allclose(way(STEPS), values, rtol=4e-6, atol=1e-8)
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


def rebuilt(schedule: Any, numbers: Iterator[Any]) -> Any:
    """The schedule, constructed anew with other numbers."""
    arguments = {}
    for field in dataclasses.fields(schedule):
        value = getattr(schedule, field.name)
        if isinstance(value, tuple):
            value = [rebuilt(child, numbers) for child in value]
        elif field.metadata.get("spec") is not None and value is not None:
            value = next(numbers)
        arguments[field.name] = value
    return type(schedule)(**arguments)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_every_number_maps_and_changes_without_a_trace(schedule):
    leaves, tree = jax.tree.flatten(schedule)
    assert leaves

    traces = []

    @jax.jit
    def many(rows):
        traces.append(rows)
        return jax.vmap(lambda row: rebuilt(schedule, iter(row))(STEPS))(rows)

    for changed, leaf in enumerate(leaves):
        whole = np.all(np.asarray(leaf) == np.round(leaf)) and np.all(np.asarray(leaf) >= 1)
        factors = (1, 2, 3) if whole else (1, 0.5, 0.75)
        rows = [[np.asarray(x) * (k if i == changed else 1.0) for i, x in enumerate(leaves)] for k in factors]
        found = many([np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)])
        loop = [tree.unflatten([float(x) if np.ndim(x) == 0 else x for x in row])(STEPS) for row in rows]
        np.testing.assert_allclose(found, loop, rtol=1e-5, atol=1e-6, err_msg=f"leaf {changed}")
    assert len(traces) == 1


SMOOTH = np.array([0.40625, 2.59375, 5.40625, 9.28125, 13.84375, 17.59375])


# Restarts take minutes to compile backwards where the growth of their cycles is traced: test_gradients.py has one such case.
DIFFERENTIATED = [s for s in EXAMPLES if not isinstance(s, dialect.CosineAnnealingWarmRestarts)]


@pytest.mark.parametrize("schedule", DIFFERENTIATED, ids=repr)
def test_gradients_are_differences(schedule):
    with x64():
        leaves, tree = jax.tree.flatten(schedule)
        found = jax.jit(jax.jacrev(lambda row: tree.unflatten(row)(SMOOTH)))([jnp.asarray(x, float) for x in leaves])
        for i, leaf in enumerate(leaves):
            for entry in np.ndindex(np.shape(leaf)):

                def values(change, i=i, leaf=leaf, entry=entry):
                    changed = np.array(leaf, np.float64)
                    changed[entry] += change
                    return np.asarray(tree.unflatten([*leaves[:i], changed[()], *leaves[i + 1 :]])(SMOOTH))

                below, here, above = (values(k * 1e-6) for k in (-1, 0, 1))
                smooth = np.abs(above - 2 * here + below) <= 1e-9
                slopes = np.asarray(found[i])[(slice(None), *entry)]
                assert np.all(np.isfinite(slopes))
                np.testing.assert_allclose(slopes[smooth], (above - below)[smooth] / 2e-6, rtol=1e-3, atol=1e-7)


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


def test_a_plateau_in_a_chain_multiplies():
    plateau = dialect.ReduceLROnPlateau(0.5, factor=0.5, patience=1)
    metrics = np.ones(20, np.float32)
    factor = run(plateau, metrics) / 0.5
    for others in ([LINEAR, EXPONENTIAL], [COSINE, STEP]):
        alone = np.asarray(dialect.ChainedScheduler(others)(np.arange(20)))
        np.testing.assert_allclose(
            run(dialect.ChainedScheduler([*others, plateau]), metrics), alone * factor, rtol=1e-6, atol=1e-8
        )
        within = dialect.ChainedScheduler([dialect.ChainedScheduler([plateau, *others])])
        np.testing.assert_allclose(run(within, metrics), alone * factor, rtol=1e-6, atol=1e-8)


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


def test_a_restart_is_found_without_a_logarithm():
    schedule = dialect.CosineAnnealingWarmRestarts(1.0, 1, 3)
    assert schedule(121) == jax.jit(lambda t: schedule(t))(121) == 1


def wavering(t):
    return jnp.where(t % 2 == 0, 0.75, 4 / 3)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        # The last steps that are walked beforehand, and a few after.
        (dialect.MultiplicativeLR(0.5, wavering), [0, 1, 2, 50, 1001, 131070, 131071, 131072, 131073, 131090]),
        (dialect.ChainedScheduler([COSINE, STEP]), [0, 1, 2, 7, 8, 9, 20]),
    ],
)
def test_what_walks_is_as_exact_in_compiled_code(scheduler, steps):
    steps = np.asarray(steps)
    np.testing.assert_allclose(jax.jit(lambda t: scheduler(t))(steps), scheduler(steps), rtol=1e-6)


def test_what_walks_may_use_a_traced_number_of_the_function_around():
    rates = jax.jit(lambda g: dialect.MultiplicativeLR(0.5, lambda t: g + 0 * t)(jnp.arange(4)))(0.5)
    np.testing.assert_allclose(rates, [0.5, 0.25, 0.125, 0.0625])


def test_what_walks_from_a_traced_rate_does_not_cancel():
    recurrence = jax.jit(lambda rate, t: dialect.Recurrence(rate, ls.Constant(2.0), ls.Constant(-1.0))(t))
    np.testing.assert_array_equal(recurrence(1.0, np.asarray([5, 30, 60])), 1.0)


def test_what_walks_is_walked_anew_in_float64():
    scheduler = dialect.MultiplicativeLR(0.1, lambda t: jnp.where(t % 1000 == 0, 0.9, 1.0))
    jax.jit(lambda t: scheduler(t))(3000)
    with x64():
        assert jax.jit(lambda t: scheduler(t))(3000) == scheduler(3000)


def test_what_walks_passes_gradients_to_its_base_rate():
    slope = jax.jit(jax.grad(lambda rate, t: dialect.MultiplicativeLR(rate, wavering)(t)))
    for t in (0, 7, 131075):
        np.testing.assert_allclose(slope(0.5, t), dialect.MultiplicativeLR(1.0, wavering)(t), rtol=1e-5)


def test_a_chain_is_walked_to_any_step():
    half = dialect.MultiplicativeLR(1.0, FUNCTIONS["1+1/(2+t)**2"])
    late = [0, 70_000, 65_535, 65_536, 131_072]
    truth = np.cumprod([1.0, *(1 + 1 / (2.0 + np.arange(1, 131_073)) ** 2)])
    np.testing.assert_allclose(half(late), truth[late], rtol=1e-6)
    np.testing.assert_allclose(half(np.reshape(late[:4], (2, 2))), np.reshape(truth[late[:4]], (2, 2)), rtol=1e-6)


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
    (lambda: dialect.OneCycleLR(0.1), ValueError, "OneCycleLR(...) needs its length: either total_steps, or both"),
    (lambda: dialect.OneCycleLR(0.1, epochs=3), ValueError, "OneCycleLR(...) needs its length"),
    (lambda: dialect.OneCycleLR(0.1, 0), ValueError, "OneCycleLR(total_steps=0): expected total_steps >= 1 and whole"),
    (
        lambda: dialect.OneCycleLR(0.1, 10, pct_start=2.0),
        ValueError,
        "OneCycleLR(pct_start=2.0): expected pct_start >= 0 and <= 1",
    ),
    (lambda: dialect.OneCycleLR(0.1, 10, anneal_strategy="cosine"), ValueError, "='cosine'): expected 'cos' or 'linear'"),
    (lambda: dialect.OneCycleMomentum(0.1, 10, cycle_momentum=False), ValueError, "leaves the momentum alone"),
    (lambda: dialect.SWALR(0.1, 0.05, -1), ValueError, "SWALR(anneal_epochs=-1): expected anneal_epochs >= 0"),
    (lambda: dialect.SWALR(0.1, 0.05, 5, "exp"), ValueError, "SWALR(anneal_strategy='exp'): expected 'cos' or 'linear'"),
    (lambda: dialect.SequentialLR([], []), ValueError, "SequentialLR(schedules=...) must be at least one schedule"),
    (lambda: dialect.SequentialLR([STEP], [3]), ValueError, "takes one milestone fewer than schedules, got 1 schedules and 1"),
    (
        lambda: dialect.SequentialLR([STEP, STEP, STEP], [5, 3]),
        ValueError,
        "(milestones=[5, 3]): expected a list of numbers that rise",
    ),
    (lambda: dialect.SequentialLR(STEP, [3]), TypeError, "SequentialLR(schedules=...) must be a list of schedules"),
    (lambda: dialect.SequentialLR([STEP, "0.1"], [3]), TypeError, "SequentialLR(schedules='0.1'): expected a schedule"),
    (lambda: dialect.ChainedScheduler([]), ValueError, "ChainedScheduler(schedules=...) must be at least one schedule"),
    (lambda: dialect.ChainedScheduler([ls.Constant(1.0)]), ValueError, "needs a scheduler of this dialect"),
    (lambda: dialect.ChainedScheduler([STEP, dialect.StepLR(0.1, 3)]), ValueError, "take one base_lr, got 0.5, 0.1"),
    (lambda: dialect.ChainedScheduler([dialect.LinearLR(0.5, 0.0), COSINE])(3), ValueError, "what is 0 stays 0"),
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
