"""Every recipe against its formula in float64, called with concrete and with traced numbers."""

import types
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls

STEPS = np.array(
    [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 19, 20, 21, 25, 29, 30, 31, 40, 59, 60, 61, 99, 100, 101, 5000]
)


def line(a, b, p):
    return a + (b - a) * np.clip(p, 0, 1)


def wave(a, b, p):
    return b + (a - b) * (1 + np.cos(np.pi * np.clip(p, 0, 1))) / 2


def ratio(x, n):
    return x / n if n > 0 else np.where(x < 0, 0.0, 1.0)


def step_decay(t, start, every, factor):
    return start * factor ** (t // every)


def multi_step(t, start, milestones, factor):
    return start * factor ** np.sum(t[:, None] >= np.array(milestones), axis=1)


def warmup_cosine(t, peak, warmup_steps, steps, start=0.0, end=0.0):
    warmup = line(start, peak, ratio(t, warmup_steps))
    decay = wave(peak, end, ratio(t - warmup_steps, steps - warmup_steps))
    return np.where(t < warmup_steps, warmup, decay)


def triangular(t, low, high, up, down=None, mode="triangular", gamma=1.0):
    down = up if down is None else down
    cycle, inside = np.divmod(t, up + down)
    height = np.where(inside < up, inside / max(up, 1e-9), 1 - (inside - up) / max(down, 1e-9))
    return low + (high - low) * height * {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": gamma**t}[mode]


def one_cycle(t, peak, steps, pct_start=0.3, div_factor=25.0, final_div_factor=1e4, anneal="cosine", three_phase=False):
    ramp = wave if anneal == "cosine" else line
    start, end, rise = peak / div_factor, peak / div_factor / final_div_factor, pct_start * steps
    up = ramp(start, peak, ratio(t, rise))
    if not three_phase:
        return np.where(t < rise, up, ramp(peak, end, ratio(t - rise, steps - rise)))
    back, last = ramp(peak, start, ratio(t - rise, rise)), ramp(start, end, ratio(t - 2 * rise, steps - 2 * rise))
    return np.where(t < rise, up, np.where(t < 2 * rise, back, last))


class Case(NamedTuple):
    recipe: Any
    truth: Any
    numbers: dict[str, Any]
    words: Any = types.MappingProxyType({})


CYCLE = {"low": 0.1, "high": 1.1, "up": 6, "down": 9}
ONE = {"peak": 0.5, "steps": 100, "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0}
CASES = {
    "step_decay": Case(ls.step_decay, step_decay, {"start": 0.3, "every": 7, "factor": 0.5}),
    "step_decay up": Case(ls.step_decay, step_decay, {"start": 0.3, "every": 30, "factor": 1.1}),
    "step_decay to 0": Case(ls.step_decay, step_decay, {"start": 0.3, "every": 7, "factor": 0.0}),
    "multi_step": Case(ls.multi_step, multi_step, {"start": 0.3, "milestones": [0, 7, 7, 30], "factor": 0.1}),
    "multi_step once": Case(ls.multi_step, multi_step, {"start": 0.3, "milestones": [9], "factor": -2.0}),
    "warmup_cosine": Case(ls.warmup_cosine, warmup_cosine, {"peak": 0.3, "warmup_steps": 10, "steps": 60}),
    "warmup_cosine between": Case(
        ls.warmup_cosine, warmup_cosine, {"peak": 0.3, "warmup_steps": 6.5, "steps": 60.25, "start": 0.1, "end": 0.01}
    ),
    "warmup_cosine at once": Case(ls.warmup_cosine, warmup_cosine, {"peak": 0.3, "warmup_steps": 0, "steps": 60}),
    "warmup_cosine of a warm-up": Case(
        ls.warmup_cosine, warmup_cosine, {"peak": 0.3, "warmup_steps": 60, "steps": 60, "end": 0.1}
    ),
    "triangular": Case(ls.triangular, triangular, CYCLE),
    "triangular alike": Case(ls.triangular, triangular, {"low": 0.1, "high": 1.1, "up": 6}),
    "triangular without fall": Case(ls.triangular, triangular, {**CYCLE, "down": 0}),
    "triangular without rise": Case(ls.triangular, triangular, {**CYCLE, "up": 0}),
    "triangular2": Case(ls.triangular, triangular, CYCLE, {"mode": "triangular2"}),
    "exp_range": Case(ls.triangular, triangular, {**CYCLE, "gamma": 0.99}, {"mode": "exp_range"}),
    "one_cycle": Case(ls.one_cycle, one_cycle, {"peak": 0.5, "steps": 100}),
    "one_cycle linear": Case(ls.one_cycle, one_cycle, ONE, {"anneal": "linear"}),
    "one_cycle in three phases": Case(ls.one_cycle, one_cycle, ONE, {"three_phase": True}),
    "one_cycle in three lines": Case(ls.one_cycle, one_cycle, ONE, {"three_phase": True, "anneal": "linear"}),
    "one_cycle without rise": Case(ls.one_cycle, one_cycle, {**ONE, "pct_start": 0.0}),
    "one_cycle without fall": Case(ls.one_cycle, one_cycle, {**ONE, "pct_start": 1.0}),
    "one_cycle that only returns": Case(ls.one_cycle, one_cycle, {**ONE, "pct_start": 0.5}, {"three_phase": True}),
    "one_cycle of fractions": Case(ls.one_cycle, one_cycle, {**ONE, "steps": 60.5, "pct_start": 0.3}),
}


def truth(case, **changes):
    numbers = case.numbers | changes
    return case.truth(STEPS.astype(np.float64), **numbers, **case.words)


def tolerance(case):
    return {"rtol": 1e-5, "atol": 3e-7 * abs(next(iter(case.numbers.values())))}


@pytest.mark.parametrize("name", CASES)
def test_follows_its_formula(name):
    case = CASES[name]
    s = case.recipe(**case.numbers, **case.words)
    np.testing.assert_allclose(s(STEPS), truth(case), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(jax.jit(s)(STEPS), truth(case), **tolerance(case))


@pytest.mark.parametrize("name", CASES)
def test_takes_traced_numbers(name):
    case = CASES[name]
    call = jax.jit(lambda numbers: case.recipe(**numbers, **case.words)(STEPS))
    np.testing.assert_allclose(call(case.numbers), truth(case), **tolerance(case))


def test_a_traced_warm_up_of_no_steps_is_none():
    values = jax.vmap(lambda n: ls.warmup_cosine(1.0, n, 100)(jnp.arange(2)))(jnp.asarray([0, 10]))
    np.testing.assert_allclose(values, [[1, (1 + np.cos(np.pi / 100)) / 2], [0, 0.1]], rtol=1e-6)


@pytest.mark.parametrize("way", [lambda f: f, jax.jit])
def test_the_ends_are_exactly_as_given(way):
    s = ls.warmup_cosine(0.1, 1000, 10**5, start=0.003, end=0.007)
    np.testing.assert_array_equal(way(s)(jnp.asarray([0, 1000, 10**5])), np.array([0.003, 0.1, 0.007], np.float32))
    s = ls.triangular(0.003, 0.1, 1000, 3000, mode="exp_range", gamma=1.0)
    np.testing.assert_array_equal(way(s)(jnp.asarray([0, 1000, 4000, 5000])), np.array([0.003, 0.1, 0.003, 0.1], np.float32))
    s = ls.one_cycle(0.1, 1000)
    np.testing.assert_array_equal(way(s)(jnp.asarray([0, 300, 1000])), np.array([0.1 / 25, 0.1, 0.1 / 25 / 1e4], np.float32))


@pytest.mark.parametrize("way", [lambda f: f, jax.jit])
def test_drops_come_on_the_exact_step_however_late(way):
    every = 2**22 + 1
    starts = np.arange(1, 500, dtype=np.int32) * every
    s = way(ls.step_decay(1.0, every, 0.99))
    np.testing.assert_allclose(s(jnp.asarray(starts)), 0.99 ** np.arange(1, 500), rtol=1e-6)
    np.testing.assert_allclose(s(jnp.asarray(starts - 1)), 0.99 ** np.arange(499), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite(name):
    case = CASES[name]
    numbers = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), case.numbers, is_leaf=lambda x: isinstance(x, list))
    gradients = jax.jit(jax.grad(lambda x: jnp.sum(case.recipe(**x, **case.words)(STEPS))))(numbers)
    for argument, gradient in gradients.items():
        assert np.all(np.isfinite(gradient)), argument


def test_gradient_of_a_peak_is_the_shape():
    gradient = jax.jacobian(partial(lambda x: ls.warmup_cosine(x, 10, 60)(STEPS)))(jnp.float32(0.3))
    np.testing.assert_allclose(gradient, truth(CASES["warmup_cosine"], peak=1.0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("factor", [0.5, 0.1])
def test_reduce_on_plateau_counts_in_factors_down_to_its_floor(factor):
    s = ls.reduce_on_plateau(factor, min_scale=0.02)
    state = ls.init(s)
    for n in range(8):
        reading = state.clocks[0]._replace(plateaus=jnp.int32(n))
        value = ls.evaluate(s, state._replace(clocks=(reading,)))
        np.testing.assert_allclose(value, max(factor**n, 0.02), rtol=1e-6)


def test_a_known_warmup_stays_as_given_beside_a_traced_total():
    values = jax.jit(lambda steps: ls.warmup_cosine(1.0, 500, steps)(np.asarray([1, 250, 500])))(1e9)
    np.testing.assert_allclose(values, [0.002, 0.5, 1.0], rtol=1e-6)
    assert jax.jit(lambda steps: ls.warmup_cosine(1.0, 1, steps)(0))(2.0**25) == 0.0
