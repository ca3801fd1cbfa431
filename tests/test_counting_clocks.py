"""Clocks that count: observations added up, updates since something happened, observations since the best."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import x64

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
    for bad in (-1, -0.5, float("nan"), float("inf"), 2.0**47 + 2):
        with pytest.raises(ValueError, match=r"Counter\(monitor='tokens'\): expected a number from 0 to"):
            clock.tick(clock.init(), 1, {"tokens": bad})
    with pytest.raises(TypeError, match=r"expected a scalar, got shape \(2,\)"):
        clock.tick(clock.init(), 1, {"tokens": jnp.ones(2)})
    state = ticked(clock, jnp.asarray([5.0, np.nan, -3.0, np.inf, 2.0], jnp.float32))
    assert clock.read(ticked(clock, jnp.asarray([5.0, np.nan, -3.0, 2.0], jnp.float32))) == 7
    assert np.isfinite(clock.read(state))


def test_a_count_stops_at_the_last_number():
    clock = ls.Counter("n")
    state = clock.init()
    for _ in range(3):
        state = clock.tick(state, 1, {"n": 2**46})
    assert clock.read(state) == 2**47


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
