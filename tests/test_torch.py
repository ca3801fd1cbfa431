"""The PyTorch dialect: against recorded traces, against the tables of PyTorch's tests, and as schedules."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import dataclasses
import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch_cases
from check import close, ours, recording, traces
from functions import FUNCTIONS
from helpers import ROOT, refused
from record import PEERS, digest
from torch_cases import COSINE, EXAMPLES, LINEAR, SINKING, STEP

import lrsched as ls
from lrsched.dialects import torch as dialect

NAMES = [name for name, value in vars(dialect).items() if name[0].isupper() and callable(value) and name != "InPlace"]
TABLES = recording("tables")
STEPS = np.arange(30)
LAST = 2**20 - 1
CHAIN = dialect.ChainedScheduler([COSINE, STEP])
GROWING = dialect.MultiplicativeLR(0.5, FUNCTIONS["1+1/(2+t)**2"])
WAVERING = 0.5 * (1 + np.arange(LAST + 1) % 2 / 3)
PRODUCTS = 0.5 * np.cumprod([1.0, *(1 + 1 / (2.0 + np.arange(1, LAST + 1)) ** 2)])


def is_refused(record: dict[str, Any]) -> bool:
    """Whether PyTorch accepts it and the dialect does not: the sign of the rate changes, or no metric is ever better."""
    given = {"mode": "min", "threshold_mode": "rel", "threshold": 0.0} | record["arguments"]
    is_endless = (given["mode"], given["threshold_mode"]) == ("min", "rel") and given["threshold"] >= 1
    return is_endless or any(given.get(name, 0.0) < 0 for name in ("gamma", "factor"))


def test_every_scheduler_has_an_example():
    assert {type(schedule).__name__ for schedule in EXAMPLES} | {"ReduceLROnPlateau"} == set(NAMES)


def test_recordings_are_those_of_the_scripts():
    """If not, run tests/golden/record.py."""
    names = {path.stem for path in (ROOT / "tests/golden").glob("*.json")} - {"tables"}
    assert names > {*NAMES, *PEERS}
    assert {recording(name)["scripts"] for name in names} == {digest()}


@pytest.mark.parametrize("name", NAMES)
def test_trajectories_are_those_of_pytorch(name):
    for record in recording(name)["records"]:
        if is_refused(record):
            with pytest.raises(ValueError, match=r"(gamma|factor|threshold)=.*\): expected"):
                ours(record["class"], record["arguments"], record["base_lr"])
        else:
            for mine, theirs, base_lr in traces(record):
                assert close(mine, theirs, base_lr), record


@pytest.mark.deep
@pytest.mark.parametrize("name", sorted({table["class"] for table in TABLES["records"]}))
def test_the_tables_of_the_tests_of_pytorch_hold(name):
    for table in TABLES["records"]:
        if table["class"] == name:
            for mine, theirs, _ in traces(table | {"rates": table["expected"]}):
                np.testing.assert_allclose(np.asarray(mine)[: len(theirs)], theirs, rtol=0, atol=TABLES["tolerance"])


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_is_a_schedule_like_any_other(schedule):
    assert eval(repr(schedule), vars(dialect) | vars(torch_cases)) == schedule == pickle.loads(pickle.dumps(schedule))
    values = np.asarray(schedule(STEPS))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(schedule.composed(STEPS), values)
    assert schedule.composed.length == schedule.length
    expanded = ls.expanded(1.0 * schedule)
    np.testing.assert_array_equal(expanded(STEPS), values)
    assert re.search("LR|Scheduler", repr(expanded).partition("InPlace")[0]) is None
    np.testing.assert_allclose([schedule(int(t)) for t in STEPS[:10]], values[:10], rtol=1e-6)
    both = ls.stack([schedule * 2, ls.Constant(0.25)])
    np.testing.assert_allclose(both(STEPS), [2 * values, np.full(30, 0.25)], rtol=1e-6)
    if np.isfinite(schedule.length):
        np.testing.assert_array_equal(schedule([schedule.length, schedule.length + 1000]), schedule(schedule.length))
    for field in dataclasses.fields(schedule):
        if "spec" in field.metadata and getattr(schedule, field.name) is not None:
            with pytest.raises((TypeError, ValueError), match=rf"{type(schedule).__name__}\({field.name}="):
                dataclasses.replace(schedule, **{field.name: np.nan})


def test_a_sequence_in_a_sequence_is_one_sequence():
    nested = dialect.SequentialLR([LINEAR, dialect.SequentialLR([SINKING, STEP], [5])], [6])
    first = dialect.SequentialLR([dialect.SequentialLR([LINEAR, SINKING], [6]), STEP], [11])
    flat = dialect.SequentialLR([LINEAR, SINKING, STEP], [6, 11])
    np.testing.assert_array_equal([nested(STEPS), first(STEPS)], [flat(STEPS)] * 2)


def test_a_plateau_in_a_sequence_observes_what_happens_while_it_runs():
    plateau = dialect.ReduceLROnPlateau(0.5, factor=0.5, patience=1)
    schedule = dialect.SequentialLR([LINEAR, plateau, dialect.SWALR(0.5, 0.0, 2, "linear")], [6, 14])
    # Six steps of warm-up; then the first metric is the best, and of the others every second one is too many.
    held = [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]
    expected = [*np.asarray(LINEAR(np.arange(6))), *held, 0.0625, 0.03125, 0, 0, 0, 0]
    np.testing.assert_allclose(ls.clocks.replay(schedule, np.ones(20)), expected)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("scheduler", "steps", "truth"),
    [
        (GROWING, [[0, 1, 4095], [4096, 10**6, LAST]], PRODUCTS),
        (dialect.MultiplicativeLR(0.5, lambda t: jnp.where(t % 2 == 0, 0.75, 4 / 3)), [0, 1, 10**6, LAST], WAVERING),
        (dialect.MultiplicativeLR(0.5, lambda t: 0.99999), [1, 10**6], 0.5 * 0.99999 ** np.arange(LAST)),  # noqa: ARG005
        (CHAIN, range(20), np.asarray(CHAIN(np.arange(20)))),
    ],
    ids=["product", "function of jax.numpy", "power", "chain"],
)
def test_what_is_walked_is_exact_to_its_last_step(scheduler, steps, truth):
    steps = np.array(steps)
    for found in (scheduler(steps), jax.jit(lambda t: scheduler(t))(steps)):
        np.testing.assert_allclose(found, truth[steps], rtol=1e-6)


@pytest.mark.deep
def test_beyond_the_table_it_goes_on():
    steps = np.arange(LAST - 32, LAST + 5000)
    for found in (CHAIN(steps), jax.jit(lambda t: CHAIN(t))(steps)):
        np.testing.assert_allclose(found[16:], found[:-16], rtol=1e-6)  # as the first steps have faded away
    assert ls.summary(CHAIN, 2**20).steps == 2**20


@pytest.mark.deep
def test_traced_numbers_of_a_chain_are_as_exact_as_known_ones():
    n, steps = 10**5, np.array([7, 33_333, 50_001, 99_999])

    def chain(gamma):
        return dialect.ChainedScheduler([dialect.CosineAnnealingLR(0.5, n // 2, 0.01), dialect.StepLR(0.5, n // 5, gamma)])

    np.testing.assert_allclose(jax.jit(lambda gamma: chain(gamma)(steps))(0.5), chain(0.5)(steps), rtol=1e-6)
    batch = ls.stack([chain(0.5), chain(0.25)])
    np.testing.assert_allclose(jax.jit(lambda t: batch(t))(steps), batch(steps), rtol=1e-6)


@pytest.mark.deep
def test_what_is_walked_passes_gradients():
    """To the base rate of a product, and to any number of a chain, in both modes, also with a traced step."""
    slope = jax.jit(jax.grad(lambda rate, t: dialect.MultiplicativeLR(rate, GROWING.lr_lambda)(t)))
    np.testing.assert_allclose([slope(0.5, t) for t in (0, 7, LAST)], 2 * PRODUCTS[[0, 7, LAST]], rtol=1e-6)

    def rate(gamma, t):
        return dialect.ChainedScheduler([COSINE, dialect.StepLR(0.5, 4, gamma)])(t)

    expected = (rate(0.5 + 1e-3, 9) - rate(0.5 - 1e-3, 9)) / 2e-3
    for found in (jax.grad(rate)(0.5, 9), *(jax.jit(way(rate))(0.5, 9) for way in (jax.grad, jax.jacfwd))):
        np.testing.assert_allclose(found, expected, rtol=1e-3)


BAD = [
    (lambda: dialect.CosineAnnealingWarmRestarts(0.1, 5, 1.5), "(T_mult=1.5): expected T_mult >= 1 and whole"),
    (lambda: dialect.CyclicLR(0.1, 1.0, scale_fn=1), "CyclicLR(scale_fn=1): expected a function"),
    (lambda: dialect.CyclicLR(0.1, 1.0, cycle_momentum=False).momentum, "CyclicLR(cycle_momentum=False): expected True"),
    (lambda: dialect.OneCycleLR(0.1, epochs=3), "OneCycleLR(...): expected either total_steps, or both"),
    (lambda: dialect.SequentialLR([STEP], [3]), "one milestone fewer than schedules, got 1 schedules and 1"),
    (lambda: dialect.SequentialLR([STEP, STEP, STEP], [5, 3]), "(milestones=[5, 3]): expected milestones that rise from 0"),
    (lambda: dialect.SequentialLR(STEP, [3]), "): expected a list of schedules"),
    (lambda: dialect.SequentialLR(optax.sgd(0.1), schedulers=[STEP, STEP], milestones=[3]), "SequentialLR(optimizer="),
    (lambda: dialect.ChainedScheduler([]), "ChainedScheduler(schedulers=[]): expected at least one schedule"),
    (lambda: dialect.ChainedScheduler([ls.Constant(1.0)]), "expected a scheduler of this dialect"),
    (lambda: dialect.ChainedScheduler([STEP, dialect.StepLR(0.1, 3)]), "as they change one rate, got 0.5, 0.1"),
    (lambda: dialect.ChainedScheduler([dialect.LinearLR(0.5, 0.0), COSINE])(3), "(start_factor=0): expected start_factor > 0"),
    (lambda: dialect.ReduceLROnPlateau(0.1, factor=1.0), "(factor=1.0): expected factor >= 0 and < 1"),
    (lambda: dialect.ReduceLROnPlateau(0.1, threshold_mode="rel_signed"), "expected 'rel' or 'abs'"),
]
test_a_bad_call_is_refused = refused(BAD, literal=True)
