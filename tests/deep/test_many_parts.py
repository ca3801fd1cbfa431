"""Sequences of many parts, whose known numbers are looked up; and programs, which grow linearly with their nodes at most."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meaning import meaning

import lrsched as ls
from lrsched.algebra.sequence import _MANY, Sequence
from lrsched.training.live import packed


def sequence(parts):
    return functools.reduce(ls.Schedule.then, parts)


KINDS = [
    ls.Linear,
    ls.Cosine,
    ls.OneMinusSqrt,
    lambda a, _, n: ls.Constant(a, n),
    lambda a, b, n: ls.Cosine(a, b, n) * ls.Linear(b, a, n),
    lambda a, b, n: ls.Linear(a, b, 30).drop(3).delay(5).take(n),
    lambda a, b, n: ls.Polynomial(a, b, n, 1.5),
    lambda a, _, n: ls.Exponential(a, 0.9).take(n),
]


def various(n, fractional):
    """Parts of eight structures, some that are not looked up and some of no length."""
    rng = np.random.default_rng(n)
    numbers = [(*rng.uniform(0.1, 1, 2), rng.integers(0, 40) + 0.375 * fractional) for _ in range(n)]
    return sequence([*(KINDS[rng.integers(8)](*each) for each in numbers), ls.InverseSqrt(0.5, 10)])


@pytest.mark.parametrize("n", [_MANY - 2, 100])
@pytest.mark.parametrize("fractional", [False, True])
def test_the_values_are_those_of_its_meaning(n, fractional):
    s = various(n, fractional)
    assert isinstance(s, Sequence)
    starts = np.unique(np.floor(np.asarray(s._starts)))
    steps = np.unique(np.clip(np.concatenate([starts - 1, starts, starts + 1, starts + 7]), 0, None)).astype(np.int32)[::3]
    truth = np.asarray([float(meaning(s, int(t))) for t in steps])
    np.testing.assert_allclose(s(steps), truth, rtol=2e-7)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), truth, rtol=8 * 6e-8)


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


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("first", "count"), [(0, 2), (5, 20), (5.5, 200)])
def test_tables_of_many_points(kind, first, count):
    rng = np.random.default_rng(count)
    points = first + np.cumsum(rng.integers(0, 4, count)) * rng.choice([1.0, 1.25])  # some of them equal
    s = ls.Piecewise(points, rng.uniform(0.1, 1, count), kind)
    steps = np.arange(int(points[-1]) + 10, dtype=np.int32)
    truth = [float(meaning(s, int(t))) for t in steps]
    np.testing.assert_allclose(s(steps), truth, rtol=2e-7)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), truth, rtol=6e-7)


RAMPS, PIECES = [ls.Linear(k, k + 0.5, 11) for k in range(100)], [ls.Linear(0.25, 1.25, 0.75), ls.Cosine(1.0, 0.5, 1.5)]
BENT = {
    "slower": (sequence(RAMPS).stretch(2.5), range(0, 2500, 7)),
    "warped": (sequence(RAMPS) @ (ls.Time() * 2.0 + 3.0), range(0, 600, 7)),
    "a table, slower": (ls.Piecewise(np.arange(40) * 0.7, np.arange(40.0)).stretch(4.0), range(120)),
    "growing cycles, slower": (ls.Linear(0.0, 1.0, 3.3).repeat(stretch=1.1).stretch(4.0), range(300)),
    "of fractions": (sequence([PIECES[k % 2] for k in range(40)]), np.arange(160) / np.float32(4)),
    "tables": (ls.join([ls.Piecewise([0, 1, 2], [float(k), 2, 3]) for k in range(40)], np.arange(2, 80, 2)), range(90)),
}


@pytest.mark.parametrize("name", BENT)
def test_at_another_time_and_with_tables_among_the_parts(name):
    s, steps = BENT[name]
    truth = [float(meaning(s, t)) for t in np.asarray(steps).tolist()]
    for call in (s, jax.jit(s), jax.jit(jax.vmap(s))):
        np.testing.assert_allclose(call(jnp.asarray(steps)), truth, rtol=1e-6, atol=1e-6)


def test_a_traced_part_goes_the_other_way():
    steps = np.arange(450, dtype=np.int32)
    found = jax.jit(lambda x: sequence([*RAMPS[:20], ls.Linear(x, 1.0, 10), *RAMPS[20:40]])(steps))(3.0)
    np.testing.assert_allclose(found, sequence([*RAMPS[:20], ls.Linear(3.0, 1.0, 10), *RAMPS[20:40]])(steps), rtol=1e-6)


def size(jaxpr):
    """The number of operations in a program, and in all programs inside it."""
    parameters = [x for eqn in jaxpr.eqns for x in jax.tree.leaves(list(eqn.params.values()))]
    inner = [getattr(x, "jaxpr", x) for x in parameters if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
    return len(jaxpr.eqns) + sum(map(size, inner))


def test_the_program_does_not_grow_with_the_number_of_parts():
    parts = [ls.Linear(k, k + 1, 10) if k % 2 else ls.Cosine(k, k + 1, 10) for k in range(4 * _MANY)]
    small, large = (size(jax.make_jaxpr(sequence(some))(jnp.int32(0)).jaxpr) for some in (parts[:_MANY], parts))
    assert small == large


RAMP = ls.Linear(0.0, 1.0, 10.0)
GROWING = ls.cosine_restarts(1.0, 0.25, 10, stretch=2.0)
NODES = {
    "power": ls.Polynomial(1.0, 0.1, 10.0, 0.9),
    "exponential": ls.Exponential(1.0, 0.9).take(10),
    "table": ls.Piecewise([0, 3, 10], [1.0, 0.5, 0.1], kind="linear"),
    "drop and delay": RAMP.drop(2).delay(5),
    "stairs": RAMP.staircase(2.5),
    "stretch": RAMP.stretch(3.3),
    "warp": RAMP @ (0.5 * ls.Time().take(20)),
    "repeat": RAMP.repeat(3),
    "growing repeat": GROWING.take(300),
}
COMBINED = {
    "product": lambda s, n: functools.reduce(operator.mul, [s] * n),
    "sequence": lambda s, n: sequence([s] * n),
    "nested": lambda s, n: functools.reduce(lambda inner, _: inner.delay(1), range(n), s),
}


def sizes(s):
    """Of the programs of a schedule: its values with known and with live numbers, and the gradient by these."""
    step, value = jnp.int32(7), lambda s, t: s(t)
    yield size(jax.make_jaxpr(s)(step).jaxpr)
    for function in (value, jax.grad(value, allow_int=True)):
        yield size(jax.make_jaxpr(function)(packed(s), step).jaxpr)


@pytest.mark.parametrize("name", NODES)
def test_programs_grow_linearly(name):
    how = list(COMBINED)[list(NODES).index(name) % len(COMBINED)]
    of_each = zip(*(sizes(COMBINED[how](NODES[name], n)) for n in (1, 2, 4)), strict=True)
    for small, middle, large in of_each:
        assert large - middle <= 2.1 * (middle - small) + 30, (how, small, middle, large)


def test_growing_repeats_compute_what_they_compute_alone():
    """A compiler that fuses one into the next would need seconds for a call: this one would not come back."""
    steps = jnp.asarray([0, 9, 10, 77, 1000], jnp.int32)
    alone = np.asarray(jax.jit(lambda s, t: s(t))(GROWING, steps), np.float64)
    many = jax.jit(lambda s, t: s(t))(COMBINED["product"](GROWING, 8), steps)
    np.testing.assert_allclose(many, alone**8, rtol=1e-5)
