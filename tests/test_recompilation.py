"""A schedule is an argument like any other: other numbers never compile anew."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nested import inverse_time

import lrsched as ls


@pytest.fixture(autouse=True)
def _counters():
    chex.clear_trace_counter()


def everything(x):
    """A driven schedule of many structures in one, its numbers made of 20 others."""
    warm = ls.Linear(x[0], x[1], x[2]) >> ls.Constant(x[3], x[4]) >> ls.Cosine(x[5], x[6], x[7]).delay(x[8])
    scale = ls.reduce_on_plateau(x[16], patience=10 * x[17], threshold=x[19], cooldown=10 * x[2], min_scale=0.01)
    table = ls.Piecewise([x[11], x[11] + x[12]], [x[0], x[5]], kind="cosine").drop(x[8])
    waves = ls.triangular(x[9], x[10], 1 + x[11], 1 + x[12], mode="exp_range", gamma=x[13]).take(x[14])
    cycles = ls.Linear(x[15], x[16], x[17]).repeat(4, stretch=x[18], scale=x[19]).staircase(x[4]).stretch(x[7])
    powers = ls.Polynomial(x[1], x[2], x[3], x[4]) >> ls.OneMinusSqrt(x[5], x[6], x[7]) >> ls.Geometric(x[8], x[9], x[10])
    slow = ls.InverseSqrt(x[11], x[12]) @ (ls.Time() * x[13] + x[14]) + ls.Function(inverse_time, x[15], x[16])
    driven = ls.Exponential(x[18], x[19]).on(ls.Steps())
    return warm * scale + table + waves.clip(x[0], 5.0) - cycles / (1.0 + x[10]) + powers * slow * driven


def numbers(seed):
    """In [0.1, 1] with three digits, some of them 1; at first all of them whole, or all alike."""
    random = np.random.default_rng(seed)
    x = np.where(random.random(20) < 0.2, 1.0, np.round(random.uniform(0.1, 1, 20), 3))
    return {0: np.ones(20), 1: np.full(20, 0.5)}.get(seed, x).tolist()


def as_arrays(schedule):
    return jax.tree.map(lambda x: np.asarray(x, np.float32), schedule)


@pytest.mark.parametrize("given", [lambda s: s, as_arrays], ids=["Python numbers", "arrays"])
def test_changes_of_numbers_trace_once(given):
    call, state = jax.jit(chex.assert_max_traces(ls.evaluate, n=1)), ls.init(everything(numbers(0)))._replace(step=np.int32(3))
    rates = {float(call(given(everything(numbers(seed))), state)) for seed in range(100)}
    assert len(rates) > 90
    assert np.all(np.isfinite(list(rates)))


def test_no_value_is_special():
    """A number that is 0, 1 or whole is as much a number as any other."""
    call = jax.jit(chex.assert_max_traces(lambda s, t: s(t), n=2))
    for x in (0, 1.0, -1, 0.5, np.float32(3), np.int64(2), 1e30):
        call(ls.Linear(x, x, abs(x)) * x + x >> ls.Constant(x, abs(x)), 3)
        y = abs(x) or 2.3
        call(ls.Linear(0, 1, 4).repeat(3, stretch=y, scale=y).stretch(y).staircase(y), 3)


def test_another_structure_traces_anew():
    call = jax.jit(chex.assert_max_traces(lambda s, t: s(t), n=2))
    for k in range(3):
        call(ls.Linear(k, 1, 10.5), 3)
        call(ls.stack([ls.Linear(0, k, 10), ls.Cosine(k, 0, 5)]), 3)
    with pytest.raises(AssertionError):
        call(ls.Linear(0, 1, 10) * 2, 3)


def test_equal_schedules_share_what_was_compiled():
    static = jax.jit(chex.assert_max_traces(lambda s, t: s(t), n=1), static_argnums=0)
    for _ in range(3):
        static(ls.warmup_cosine(0.1, 10, 100) * ls.Exponential(1, 0.9), 5)
    calls = []

    def noting(t, x):
        calls.append(x)
        return t * x

    for s in [ls.Function(noting, x) for x in (0.1, 0.1, 0.2)]:
        jax.jit(s)(jnp.int32(3))
    assert calls == [0.1, 0.2]
