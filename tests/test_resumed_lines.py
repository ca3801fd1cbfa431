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
WARM = ls.Linear(0.0, 1.0, 10).delay(BRANCH)


def make(s: ls.Schedule, live: bool = False) -> Any:
    return optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=live))


def rates(optimizer: Any, state: Any, n: int) -> tuple[np.ndarray, Any]:
    def update(state: Any, _: Any) -> Any:
        _, state = optimizer.update(PARAMS, state, PARAMS, value=1.0)
        return state, ls.learning_rate(state)

    state, found = jax.lax.scan(update, state, length=n)
    return np.asarray(found), state


@pytest.fixture(autouse=True)
def promoting():
    with relaxed():
        yield


@pytest.fixture
def saved(promoting: Any) -> Any:
    """The state of a schedule at update 60, from a checkpoint."""
    del promoting

    def state_of(s: ls.Schedule, live: bool = False) -> Any:
        optimizer = make(s, live)
        return pickle.loads(pickle.dumps(jax.device_get(rates(optimizer, optimizer.init(PARAMS), BRANCH)[1])))

    return state_of


def test_a_longer_horizon(saved):
    longer = ls.warmup_cosine(0.1, 10, 2 * N)
    expected = longer(np.arange(BRANCH, 2 * N))
    np.testing.assert_allclose(rates(make(longer), saved(S), 2 * N - BRANCH)[0], expected, rtol=1e-6)
    state = ls.replace_schedule(saved(S, live=True), longer)
    np.testing.assert_allclose(rates(make(S, live=True), state, 2 * N - BRANCH)[0], expected, rtol=1e-5, atol=1e-9)


def test_a_new_warm_up(saved):
    found, _ = rates(make(S * WARM), saved(S), N - BRANCH)
    expected = np.minimum(np.arange(N - BRANCH) / 10, 1.0) * np.asarray(S(np.arange(BRANCH, N)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_driven_schedule_goes_on_observing(saved):
    state = saved(DRIVEN)
    factor, last = 0.5 ** float(state[-1].clocks[0].plateaus), float(ls.learning_rate(state))
    assert factor == 0.25
    found, _ = rates(make(DRIVEN * WARM), state, 15)
    np.testing.assert_allclose(found[:2], [0.0, factor * 0.1 * float(S(BRANCH + 1))], rtol=1e-6)
    np.testing.assert_allclose(found[-1], factor / 2 * float(S(BRANCH + 14)), rtol=1e-6)
    cooldown = ls.OneMinusSqrt(last, 0.0, 20)
    np.testing.assert_allclose(rates(make(DRIVEN.take(BRANCH) >> cooldown), state, 25)[0], cooldown(np.arange(25)), rtol=1e-6)


def test_a_cool_down_that_branches_off(saved):
    cooldown = ls.OneMinusSqrt(S(BRANCH), 0.0, 20)
    found, _ = rates(make(S.take(BRANCH) >> cooldown), saved(S), 25)
    np.testing.assert_allclose(found, cooldown(np.arange(25)), rtol=1e-6)
    assert (found[0], found[20]) == (S(BRANCH), 0.0)


def test_fine_tuning_starts_at_the_last_rate(saved):
    optimizer = make(ls.Linear(ls.learning_rate(saved(S)), 0.0, 20))
    found, _ = rates(optimizer, optimizer.init(PARAMS), 21)
    assert (found[0], found[-1]) == (S(BRANCH - 1), 0.0)
