"""What people do with a checkpoint, each in one line: a longer horizon, a new warm-up, a cool-down, a fine-tuning run."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed

import lrsched as ls

N, BRANCH = 100, 60
PARAMS = jnp.ones(3)
S = ls.warmup_cosine(0.1, 10, N)
DRIVEN = S * ls.reduce_on_plateau(factor=0.5, patience=20)


def make(s: ls.Schedule, live: bool = False) -> Any:
    return optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=live))


def rates(optimizer: Any, state: Any, n: int) -> tuple[np.ndarray, Any]:
    update, found = jax.jit(optimizer.update), []
    for _ in range(n):
        _, state = update(PARAMS, state, PARAMS, value=1.0)
        found.append(ls.learning_rate(state))
    return np.asarray(found), state


@pytest.fixture(scope="module")
def saved() -> Any:
    """Checkpoints of update 60: of a pure schedule, of a live one, and of one that listens."""
    with relaxed():
        runs = {"pure": make(S), "live": make(S, live=True), "driven": make(DRIVEN)}
        states = {name: rates(optimizer, optimizer.init(PARAMS), BRANCH)[1] for name, optimizer in runs.items()}
    return {name: pickle.dumps(state) for name, state in states.items()}


@pytest.fixture(autouse=True)
def promoting():
    with relaxed():
        yield


def test_a_longer_horizon(saved):
    longer = ls.warmup_cosine(0.1, 10, 2 * N)
    expected = longer(np.arange(BRANCH, 2 * N))
    found, _ = rates(make(longer), pickle.loads(saved["pure"]), 2 * N - BRANCH)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    state = ls.replace_schedule(pickle.loads(saved["live"]), longer)
    np.testing.assert_allclose(rates(make(S, live=True), state, 2 * N - BRANCH)[0], expected, rtol=1e-5, atol=1e-9)


def test_a_new_warm_up(saved):
    rewarmed = S * ls.Linear(0.0, 1.0, 10).delay(BRANCH)
    found, _ = rates(make(rewarmed), pickle.loads(saved["pure"]), N - BRANCH)
    assert found[0] == 0
    np.testing.assert_allclose(found[5], 0.5 * float(S(BRANCH + 5)), rtol=1e-6)
    np.testing.assert_allclose(found[10:], S(np.arange(BRANCH + 10, N)), rtol=1e-6)


def test_a_new_warm_up_of_one_that_listens(saved):
    state = pickle.loads(saved["driven"])
    factor = 0.5 ** float(state[-1].clocks[0].plateaus)
    assert factor == 0.25
    found, _ = rates(make(DRIVEN * ls.Linear(0.0, 1.0, 10).delay(BRANCH)), state, 15)
    np.testing.assert_allclose(found[:2], [0.0, factor * 0.1 * float(S(BRANCH + 1))], rtol=1e-6)
    np.testing.assert_allclose(found[-1], factor / 2 * float(S(BRANCH + 14)), rtol=1e-6)  # it goes on to listen


def test_a_cool_down_that_branches_off(saved):
    cooldown = S.take(BRANCH) >> ls.OneMinusSqrt(S(BRANCH), 0.0, 20)
    found, _ = rates(make(cooldown), pickle.loads(saved["pure"]), 25)
    np.testing.assert_allclose(found, ls.OneMinusSqrt(S(BRANCH), 0.0, 20)(np.arange(25)), rtol=1e-6)
    assert found[0] == S(BRANCH)
    assert found[20] == 0.0


def test_a_cool_down_of_one_that_listens(saved):
    state = pickle.loads(saved["driven"])
    last = float(ls.learning_rate(state))
    found, _ = rates(make(DRIVEN.take(BRANCH) >> ls.OneMinusSqrt(last, 0.0, 20)), state, 25)
    np.testing.assert_allclose(found, ls.OneMinusSqrt(last, 0.0, 20)(np.arange(25)), rtol=1e-6)


def test_fine_tuning_starts_at_the_last_rate(saved):
    tuning = ls.Linear(ls.learning_rate(pickle.loads(saved["pure"])), 0.0, 20)
    optimizer = make(tuning)
    found, _ = rates(optimizer, optimizer.init(PARAMS), 21)
    assert found[0] == S(BRANCH - 1)
    assert found[-1] == 0.0
