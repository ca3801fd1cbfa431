"""Sequences of many parts, whose numbers are looked up where they are known: the same values, and a program of one size."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import x64
from meaning import meaning

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.sequence import _MANY, Sequence
from lrsched.dialects import torch

RNG = np.random.default_rng(0)


def sequence(parts):
    return functools.reduce(ls.Schedule.then, parts)


def various(n, seed=0, fractional=False):
    """Parts of eight structures, some that are not looked up and some of no length."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(n):
        steps = float(rng.integers(0, 40)) + (0.375 if fractional else 0.0)
        a, b = rng.uniform(0.1, 1, 2)
        parts.append(
            [
                ls.Linear(a, b, steps),
                ls.Cosine(a, b, steps),
                ls.OneMinusSqrt(a, b, steps),
                ls.Constant(a, steps),
                ls.Cosine(a, b, steps) * ls.Linear(b, a, steps),
                ls.Linear(a, b, 30).drop(3).delay(5).take(steps),
                ls.Polynomial(a, b, steps, 1.5),
                ls.Exponential(a, 0.9).take(steps),
            ][int(rng.integers(8))]
        )
    return sequence([*parts, ls.InverseSqrt(0.5, 10)])


@pytest.mark.parametrize("n", [_MANY - 2, 100])
@pytest.mark.parametrize("fractional", [False, True])
def test_the_values_are_those_of_its_meaning(n, fractional):
    s = various(n, n, fractional)
    assert isinstance(s, Sequence)
    starts = np.unique(np.floor(np.asarray(s._starts)))
    steps = np.unique(np.clip(np.concatenate([starts - 1, starts, starts + 1, starts + 7]), 0, None)).astype(np.int32)[::3]
    truth = np.asarray([float(meaning(s, int(t))) for t in steps])
    np.testing.assert_allclose(s(steps), truth, rtol=2e-7)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), truth, rtol=8 * 6e-8)


@pytest.mark.parametrize(
    "bend",
    [
        lambda s: s.stretch(2.5),
        lambda s: s.stretch(0.5),
        lambda s: s.drop(100),
        lambda s: s.staircase(7),
        lambda s: s.take(700).repeat(2),
        lambda s: s.take(700).reverse(),
        lambda s: ls.Linear(0, 1, 100) >> s.take(10**6),
        lambda s: s @ (ls.Time() * 2.0 + 3.0),
    ],
)
def test_bent(bend):
    s = bend(sequence([ls.Linear(k, k + 0.5, 11) for k in range(100)]))
    steps = np.arange(0, 2500, 7, dtype=np.int32)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), s(steps), rtol=1e-6, atol=1e-6)


def test_in_float64():
    s = various(100)
    with x64():
        steps = np.arange(0, 2500, 7)
        np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), s(steps), rtol=1e-14)


def test_boundaries_are_exact_to_the_step_up_to_the_last():
    each = 2**31 // 100
    s = sequence([ls.Constant(float(k), each) for k in range(120)])  # the last of them beyond any step
    at = np.asarray([each * k + i for k in range(1, 100) for i in (-1, 0)] + [2**31 - 1], np.int64).astype(np.int32)
    np.testing.assert_array_equal(jax.jit(lambda t: s(t))(at), np.minimum(at // each, 119))


def test_gradients_pass_through_time_and_stay_within_a_part():
    s = sequence([ls.OneMinusSqrt(1.0, 0.0, 10) for _ in range(50)])
    slope = jax.jit(jax.grad(lambda t: s(t)))
    times = np.asarray([5.0, 15.5, 333.25], np.float32)
    np.testing.assert_allclose([slope(t) for t in times], [-0.5 / np.sqrt(t % 10 / 10) / 10 for t in times], rtol=1e-5)
    assert all(np.isfinite(slope(np.float32(t))) for t in range(0, 510, 5))


def test_a_traced_part_goes_the_other_way():
    parts = [ls.Linear(k, k + 1, 10) for k in range(40)]
    steps = np.arange(450, dtype=np.int32)
    found = jax.jit(lambda steps, x: sequence([*parts[:20], ls.Linear(x, 1.0, 10), *parts[20:]])(steps))(steps, 3.0)
    expected = sequence([*parts[:20], ls.Linear(3.0, 1.0, 10), *parts[20:]])(steps)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_vmapped_over_steps_and_in_a_scan():
    s = various(64)
    steps = jnp.arange(1500)
    expected = s(steps)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda t: s(t)))(steps), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.lax.scan(lambda _, t: (None, s(t)), None, steps)[1], expected, rtol=1e-6)


def test_pytorch_schedulers_among_the_parts():
    s = sequence([ls.Linear(0, 1, 10), torch.StepLR(1.0, 3).take(9)] * 20)
    steps = np.arange(400, dtype=np.int32)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), s(steps), rtol=1e-6)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("first", "count"), [(0, 2), (5, 20), (5.5, 200)])
def test_tables_of_many_points(kind, first, count):
    rng = np.random.default_rng(count)
    points = first + np.cumsum(rng.integers(0, 4, count)) * rng.choice([1.0, 1.25])  # some of them equal
    s = ls.Piecewise(points, rng.uniform(0.1, 1, count), kind)
    steps = np.arange(int(points[-1]) + 10, dtype=np.int32)
    truth = [float(meaning(s, int(t))) for t in steps]
    np.testing.assert_allclose(s(steps), truth, rtol=2e-7)
    np.testing.assert_allclose([s(int(t)) for t in steps], truth, rtol=2e-7)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), truth, rtol=6e-7)


@chex.assert_max_traces(n=1)
def _evaluated(steps):
    return sequence([ls.Linear(k, k + 1, 10) for k in range(64)])(steps)


def test_the_program_does_not_grow():
    def size(n):
        s = sequence([ls.Linear(k, k + 1, 10) if k % 2 else ls.Cosine(k, k + 1, 10) for k in range(n)])
        return jax.jit(lambda t: s(t)).lower(jnp.int32(0)).as_text().count(" = ")

    assert size(_MANY) == size(4 * _MANY) == size(32 * _MANY)
    step = jax.jit(_evaluated)
    for t in range(3):
        step(jnp.int32(t))


def test_the_row_is_found_in_any_table():
    for _ in range(60):
        crowded = RNG.uniform(0, 1, RNG.integers(1, 300)) ** RNG.uniform(0.3, 8) * 10 ** RNG.uniform(0, 9.3)
        starts = np.sort(np.append(0, np.minimum(crowded, 2**31 - 1)).astype(np.int32))
        now = np.concatenate([RNG.integers(0, 2**31 - 1, 100), starts, starts - 1, starts + 1.0, [2**31 - 1]])
        now = now.clip(0, 2**31 - 1).astype(np.int32)
        expected = np.searchsorted(starts, now, side="right") - 1
        np.testing.assert_array_equal(jax.jit(functools.partial(numerics.row_of, starts.astype(float)))(now), expected)


PIECES = [ls.Linear(0.25, 1.25, 0.75), ls.Cosine(1.0, 0.5, 1.5), ls.Constant(2.0, 0.75)]
BETWEEN_STEPS = {
    "a table, slowed down": (ls.Piecewise(np.arange(40) * 0.7, np.arange(40.0)).stretch(4.0), np.arange(120)),
    "growing cycles, slowed down": (ls.Linear(0.0, 1.0, 3.3).repeat(stretch=1.1).stretch(4.0), np.arange(300)),
    "growing cycles at fractions": (
        (ls.Cosine(0.0, 2.5, 8) >> ls.Constant(0.4, 3.3)).repeat(stretch=2),
        np.arange(0, 200, 0.5).astype(np.float32),
    ),
    "parts, slowed down": (ls.join([float(k) for k in range(40)], np.arange(1, 40) * 0.7 + 0.25).stretch(4.0), np.arange(120)),
    "parts at fractions": (sequence([PIECES[k % 3] for k in range(40)]), np.arange(0, 40, 0.25).astype(np.float32)),
    "tables as parts": (
        ls.join([ls.Piecewise([0, 1, 2], [float(k), 2, 3]) for k in range(40)], np.arange(2, 80, 2)),
        np.arange(90),
    ),
    "tables of lines as parts": (
        ls.join([ls.Piecewise([0, 1, 2], [float(k), 2, 3], kind="linear") for k in range(40)], np.arange(2, 80, 2)),
        np.arange(90),
    ),
}


@pytest.mark.parametrize("name", BETWEEN_STEPS)
def test_times_between_whole_steps_and_tables_among_the_parts(name):
    s, steps = BETWEEN_STEPS[name]
    truth = [float(meaning(s, t)) for t in steps.tolist()]
    for call in (s, jax.jit(lambda t: s(t)), jax.jit(jax.vmap(lambda t: s(t))), lambda t: [jax.jit(s)(x) for x in t[:20]]):
        found = np.asarray(call(jnp.asarray(steps)))
        np.testing.assert_allclose(found, truth[: len(found)], rtol=1e-6, atol=1e-6)


def test_lengths_are_arrays_in_a_trace():
    ramp = ls.Linear(0.0, 1.0, 10)
    lengths = {
        12.0: ramp.staircase(3),
        70.0: ramp.repeat(3, stretch=2.0),
        5.0: ls.Choice((ramp, ls.Constant(1.0, 5)), 1),
        30.0: ramp.stretch(3),
    }
    for length, s in lengths.items():
        assert jax.jit(lambda s: jnp.minimum(1e9, s.length))(s) == length
