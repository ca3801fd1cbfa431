"""Clocks that count: observations added up, updates since something happened, observations since the best."""

import contextlib
import math
import pickle
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed, x64

import lrsched as ls

TOKENS = 4_194_301  # a batch: odd, and no power of two


def ticked(clock, observations):
    """The clock's state after observing an array, in one compiled scan."""

    @jax.jit
    def run(clock, values):
        name = clock.monitors[0]
        return jax.lax.scan(lambda state, value: (clock.tick(state, 1, {name: value}), None), clock.init(), values)[0]

    return run(clock, observations)


@pytest.mark.parametrize("type_", [np.int32, np.uint32, np.float32])
def test_a_count_is_exact_beyond_int32(type_):
    clock = ls.Counter("tokens")
    values = np.random.default_rng(0).integers(0, 2**22, 5000)
    state = ticked(clock, jnp.asarray(values.astype(type_)))
    assert clock.read(state) == int(values.sum()) > 2**33
    assert state.high.dtype == state.low.dtype == jnp.float32


def test_fifteen_trillion_tokens():
    """As many as a run of 3.6 million batches sees: counted by the thousand, the last thousand one by one."""
    s = ls.Constant(1.0).on(ls.Counter("tokens"))
    clock, batches = ls.Counter("tokens"), 15 * 10**12 // TOKENS
    thousands = jax.jit(
        lambda state: jax.lax.fori_loop(
            0, batches // 1000, lambda _, x: clock.tick(x, 1, {"tokens": 1000.0 * 4_194_300}), state
        )
    )
    state = thousands(clock.init())
    for _ in range(batches % 1000):
        state = clock.tick(state, 1, {"tokens": TOKENS})
    assert clock.read(state) == batches // 1000 * 1000 * 4_194_300 + batches % 1000 * TOKENS > 14.9e12
    assert ls.evaluate(s, ls.tick(s, ls.init(s), tokens=TOKENS)) == 1.0


@pytest.mark.parametrize("context", [contextlib.nullcontext, x64])
def test_a_schedule_in_tokens_sees_every_one_of_them(context):
    """Near the end of 15e12 tokens, where a float32 is exact to a million."""
    last = 15 * 10**12
    s = ls.Linear(1.0, 0.0, last).on(ls.Counter("tokens"))
    evaluate = jax.jit(lambda state: ls.evaluate(s, state))
    with context():
        for left in (0, 1, 3, 1000, 12_345_678, 7 * 10**12):
            state = ls.tick(s, ls.init(s), tokens=last - left)
            np.testing.assert_allclose(evaluate(state), left / last, rtol=3e-7, atol=0)
            np.testing.assert_allclose(ls.evaluate(s, state), left / last, rtol=1e-7, atol=0)


def test_what_is_no_count_is_refused_where_it_is_known():
    clock = ls.Counter("tokens")
    for bad in (-1, -0.5, float("nan"), float("inf"), 2.0**53 + 2):
        with pytest.raises(ValueError, match=r"Counter\(monitor='tokens'\): expected a number from 0 to"):
            clock.tick(clock.init(), 1, {"tokens": bad})
    with pytest.raises(TypeError, match=r"expected a scalar, got shape \(2,\)"):
        clock.tick(clock.init(), 1, {"tokens": jnp.ones(2)})
    state = ticked(clock, jnp.asarray([5.0, np.nan, -3.0, np.inf, 2.0], jnp.float32))
    assert clock.read(ticked(clock, jnp.asarray([5.0, np.nan, -3.0, 2.0], jnp.float32))) == 7
    assert np.isfinite(clock.read(state))


LAST = 2**53
TICKS = {  # as numbers that are known, also while tracing, and as traced ones
    "eager": lambda change: change,
    "known": lambda change: jax.jit(change, static_argnums=1),
    "traced": lambda change: lambda state, n: jax.jit(change)(state, np.float32(n) if n > 2**31 else np.int32(n)),
}


@pytest.mark.parametrize("context", [contextlib.nullcontext, x64])
@pytest.mark.parametrize("how", ["eager", *(pytest.param(how, marks=pytest.mark.deep) for how in TICKS if how != "eager")])
def test_whole_numbers_next_to_the_last_are_exact(how, context):
    """By `tick`, through `accumulate` and by `observe`; and after flax and pickle have written and read the state."""
    s, params = ls.Constant(1.0).on(ls.Counter("n")), {"w": jnp.ones(3)}
    once = ls.scale_by_learning_rate(s, live=True)
    twice = ls.accumulate(optax.MultiSteps(once, 2))
    tick = TICKS[how](lambda state, n: ls.tick(s, state, n=n))
    update = TICKS[how](lambda state, n: twice.update(params, state, params, n=n)[1])
    observe = TICKS[how](lambda state, n: ls.observe(state, n=n))
    with context(), relaxed():
        states: Any = ls.init(s), twice.init(params), once.init(params)
        ticked, updated, observed, total = *states, 0
        for i, n in enumerate((LAST // 2, 3, LAST // 2 - 2**29, 2**29 - 9, 1, 1)):
            if i == 3:
                ticked, updated, observed = map(saved_and_read, (ticked, updated, observed))
            ticked, updated, observed, total = tick(ticked, n), update(updated, n), observe(observed, n), total + n
        states = ticked, updated.multi_steps.inner_opt_state, observed
        assert [int(state.clocks[0].read()) for state in states] == [total] * 3
        assert [x.dtype for x in ticked.clocks[0]] == [jnp.float32] * 3


def saved_and_read(state):
    state = pickle.loads(pickle.dumps(jax.device_get(state)))
    return flax.serialization.from_state_dict(state, flax.serialization.to_state_dict(state))


@pytest.mark.parametrize("context", [contextlib.nullcontext, x64])
@pytest.mark.parametrize("batches", [[0.1] * 100_000, [1e9, *[0.3] * 50_000], [*[0.3, 1e9, 7.0, 1e-3] * 1000]])
def test_sums_of_fractions_are_as_exact_as_in_float64(batches, context):
    with context():
        values = jnp.asarray(batches)
        given = np.asarray(values, np.float64)
        got = ls.Counter("n").read(ticked(ls.Counter("n"), values))
    truth, plain = math.fsum(given), sum(given.tolist())
    assert abs(got - truth) <= max(abs(plain - truth), np.spacing(truth) / 2)


def test_fractions_outside_jit():
    clock, values = ls.Counter("n"), [1e9 + 0.3, 0.1, 1e-3, 2.0**-20 + 2.0**-60] * 8
    state = clock.init()
    for x in values:
        state = clock.tick(state, 1, {"n": x})
    assert clock.read(state) == math.fsum(values)


def test_since_a_plateau():
    cooldown = ls.OneMinusSqrt(1.0, 0.0, 4).on(ls.Since(ls.Plateau(patience=1)))
    losses = [3.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1]  # a plateau at the fifth
    expected = [1, 1, 1, 1, 1, 1, *(1 - np.sqrt([0.25, 0.5, 0.75, 1.0]))]
    np.testing.assert_allclose(ls.replay(cooldown, losses), expected, atol=1e-7)


def test_since_counts_updates_not_observations():
    s = ls.Linear(1.0, 0.0, 10).on(ls.Since(ls.Counter("signal")))
    state = ls.init(s)
    values = []
    for t in range(8):
        values.append(float(ls.evaluate(s, state)))
        state = ls.tick(s, state)
        if t in (2, 5):
            state = ls.tick(s, state, steps=0, signal=1)  # the second changes nothing
    np.testing.assert_allclose(values, [1, 1, 1, 1, 0.9, 0.8, 0.7, 0.6], rtol=1e-6)


def test_since_within_a_sequence_begins_with_its_part():
    s = ls.Constant(0.5, 3) >> ls.Linear(1.0, 0.0, 4).on(ls.Since(ls.Counter("signal")))
    values = ls.replay(s, {"signal": np.array([1, 0, 0, 0, 0, 1, 0, 0, 0])})  # the first is before its part
    np.testing.assert_allclose(values, [0.5, 0.5, 0.5, 1, 1, 1, 1, 0.75, 0.5])


def test_since_takes_only_clocks():
    with pytest.raises(TypeError, match=r"Since\(clock=.*\): expected a clock"):
        ls.Since(3)  # pyright: ignore[reportArgumentType]
    assert eval(repr(ls.Since(ls.Plateau(patience=2))), dict(vars(ls))) == ls.Since(ls.Plateau(patience=2))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_since_best(mode):
    clock = ls.SinceBest(mode, threshold=0.0)
    values = [3.0, 2.0, 2.0, 2.5, np.nan, 1.0, 1.0, -np.inf, 5.0]
    values = values if mode == "min" else [-x for x in values]
    expected = [0, 0, 1, 2, 3, 0, 1, 0, 1]
    assert [int(clock.read(ticked(clock, jnp.asarray(values[: n + 1])))) for n in range(len(values))] == expected


def test_numbers_map():
    s = ls.stack([ls.Linear(1.0, 0.0, n).on(ls.Since(ls.Plateau(patience=p))) for n, p in ((4, 0), (8, 2))])
    losses = np.ones(12)
    both = jax.vmap(lambda one: ls.replay(one, losses))(s)
    for row, one in zip(both, ls.unstack(s), strict=True):
        np.testing.assert_array_equal(row, ls.replay(one, losses))
