"""A schedule is an argument like any other: other numbers never compile anew."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed

import lrsched as ls
from lrsched.algebra.node import leaf, node


@pytest.fixture(autouse=True)
def _counters():
    chex.clear_trace_counter()


def inverse_time(t, start, decay):
    return start / (1 + decay * t)


def much(x):
    """A driven schedule of a few structures, its numbers made of 20 others."""
    warm = ls.Linear(x[0], x[1], x[2]) >> ls.Constant(x[3], x[4]) >> ls.Cosine(x[5], x[6], x[7]).delay(x[8])
    scale = ls.reduce_on_plateau(x[16], patience=10 * x[17], threshold=x[19], cooldown=10 * x[2], min_scale=0.01)
    return warm * scale + ls.Piecewise([x[11], x[11] + x[12]], [x[0], x[5]], kind="cosine").drop(x[8])


def everything(x):
    """A schedule of many structures in one."""
    waves = ls.triangular(x[9], x[10], 1 + x[11], 1 + x[12], mode="exp_range", gamma=x[13]).take(x[14])
    cycles = ls.Linear(x[15], x[16], x[17]).repeat(4, stretch=x[18], scale=x[19]).staircase(x[4]).stretch(x[7])
    powers = ls.Polynomial(x[1], x[2], x[3], x[4]) >> ls.OneMinusSqrt(x[5], x[6], x[7]) >> ls.Geometric(x[8], x[9], x[10])
    slow = ls.InverseSqrt(x[11], x[12]) @ (ls.Time() * x[13] + x[14]) + ls.Function(inverse_time, x[15], x[16])
    driven = ls.Exponential(x[18], x[19]).on(ls.Steps())
    return much(x) + waves.clip(x[0], 5.0) - cycles / (1.0 + x[10]) + powers * slow * driven


def trainer(traces):
    @jax.jit
    @chex.assert_max_traces(n=traces)
    def step(s, params, state, loss):
        optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s))
        updates, state = optimizer.update(params, state, params, value=loss)
        return optax.apply_updates(params, updates), state

    return step


def numbers(seed):
    """In [0.1, 1] with three digits, some of them 1; at first all of them whole, or all alike."""
    random = np.random.default_rng(seed)
    x = np.where(random.random(20) < 0.2, 1.0, np.round(random.uniform(0.1, 1, 20), 3))
    return {0: np.ones(20), 1: np.full(20, 0.5)}.get(seed, x)


def as_arrays(schedule):
    return jax.tree.map(lambda x: np.asarray(x, np.float32), schedule)


@pytest.mark.parametrize(
    "given", [pytest.param(lambda s: s, marks=pytest.mark.deep), as_arrays], ids=["Python numbers", "arrays"]
)
def test_changes_of_numbers_trace_once(given):
    call = jax.jit(chex.assert_max_traces(ls.evaluate, n=1))
    state = ls.init(everything(numbers(0).tolist()))._replace(step=np.int32(3))
    rates = {float(call(given(everything(numbers(seed).tolist())), state)) for seed in range(100)}
    assert len(rates) > 90
    assert np.all(np.isfinite(list(rates)))


@pytest.mark.parametrize("given", [lambda s: s, as_arrays], ids=["Python numbers", "arrays"])
def test_a_training_step_traces_once_whatever_the_numbers(given):
    step = trainer(1)
    params = jnp.ones(3)
    with relaxed():
        state = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(much(numbers(0).tolist()))).init(params)
        for seed in range(10):
            params, state = step(given(much(numbers(seed).tolist())), params, state, 1.0)
    assert np.all(np.isfinite(params))


def called(traces):
    return jax.jit(chex.assert_max_traces(lambda s, t: s(t), n=traces))


def test_whole_numbers_and_fractions_are_the_same_type():
    call = called(1)
    for s in (
        ls.Linear(0, 1, 10),
        ls.Linear(0.0, 1, 10.5),
        ls.Linear(np.float32(0), np.int64(1), True + 1),
        ls.Linear(-1, 1e9, 0),
    ):
        call(s, 3)


def test_no_value_is_special():
    """A number that is 0 or 1 is as much a number as any other."""
    call = called(2)
    for x in (0.0, 1.0, -1.0, 0.5, 1e30, 0.3):
        call(ls.Linear(x, x, abs(x)) * x + x >> ls.Constant(x, abs(x)), 3)
        y = abs(x) or 2.3
        call(ls.Linear(0, 1, 4).repeat(3, stretch=y, scale=y).stretch(y).staircase(y), 3)


def test_another_structure_traces_anew():
    call = called(2)
    for _ in range(3):
        call(ls.Linear(0, 1, 10), 3)
        call(ls.Cosine(0, 1, 10), 3)
    with pytest.raises(AssertionError):
        call(ls.Linear(0, 1, 10) * 2, 3)


def test_structure_is_strings_and_nesting_only():
    same = [everything(numbers(seed).tolist()) for seed in range(10)]
    assert len({jax.tree.structure(s) for s in same}) == 1
    assert {type(leaf) for s in same for leaf in jax.tree.leaves(s)} <= {float, np.ndarray}


def test_batches_of_one_shape_trace_once():
    call = jax.jit(chex.assert_max_traces(lambda b, t: jax.vmap(lambda s: s(t))(b), n=1))
    for k in range(4):
        call(ls.stack([ls.Linear(0, k, 10), ls.Cosine(k, 0, 5)]), 3)
        call(ls.stack([ls.Linear(k, 1, 10), ls.Cosine(1, k, k)]), 5)


def test_equal_schedules_share_what_was_compiled():
    @chex.assert_max_traces(n=1)
    def call(s, t):
        return s(t)

    call = jax.jit(call, static_argnums=0)
    for _ in range(3):
        call(ls.warmup_cosine(0.1, 10, 100) * ls.Exponential(1, 0.9), 5)


@node
class Noisy(ls.Schedule):
    """Tells when it is evaluated, or traced."""

    value: float = leaf()

    def at(self, t):
        del t
        CALLS.append(self.value)
        return self.value


CALLS = []


def test_a_compiled_schedule_is_found_again_by_an_equal_one():
    first, again, other = Noisy(0.1), Noisy(0.1), Noisy(0.2)
    for t, s in enumerate([first, again, other]):
        jax.jit(s)(jnp.int32(t))
    assert CALLS == [0.1, 0.2]
