"""Sequences of many parts, whose known numbers are looked up in tables; and programs grow at most linearly with the nodes."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meaning import meanings
from signatures import boundaries

import lrsched as ls
from lrsched.algebra.sequence import _MANY
from lrsched.training.live import packed

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


def sequence(parts):
    return functools.reduce(ls.Schedule.then, parts)


def various(n, fractional):
    """Parts of eight structures; some are not looked up, some have no length."""
    rng = np.random.default_rng(n)
    numbers = [(*rng.uniform(0.1, 1, 2), rng.integers(0, 40) + 0.375 * fractional) for _ in range(n)]
    return sequence([*(KINDS[rng.integers(8)](*each) for each in numbers), ls.InverseSqrt(0.5, 10)])


def table(kind, first, count):
    rng = np.random.default_rng(count)
    points = first + np.cumsum(rng.integers(0, 4, count)) * rng.choice([1.0, 1.25])  # some of them equal
    return ls.Piecewise(points, rng.uniform(0.1, 1, count), kind)


PARTS = [various(n, fractional) for n in (_MANY - 2, 100) for fractional in (False, True)]
SIZES = ((0, 2), (5, 20), (5.5, 200))
TABLES = [table(kind, *size) for kind in ("constant", "linear", "cosine") for size in SIZES]


@pytest.mark.parametrize("s", [*PARTS, *TABLES])
def test_the_values_are_those_of_its_meaning(s):
    near = np.add.outer(s.steps if s in TABLES else np.floor(boundaries(s))[::3], [-1, 0, 1, 7])
    steps = np.unique(np.clip(near, 0, None)).astype(np.int32)
    truth = meanings(s, steps)
    np.testing.assert_allclose(s(steps), truth, rtol=2e-7)
    np.testing.assert_allclose(jax.jit(lambda t: s(t))(steps), truth, rtol=6e-7 if s in TABLES else 8 * 6e-8)


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
    for call in (s, jax.jit(s), jax.jit(jax.vmap(s))):
        np.testing.assert_allclose(call(jnp.asarray(steps)), meanings(s, np.asarray(steps)), rtol=1e-6, atol=1e-6)


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
COMBINED = {
    "product": lambda s, n: functools.reduce(operator.mul, [s] * n),
    "sequence": lambda s, n: sequence([s] * n),
    "nested": lambda s, n: functools.reduce(lambda inner, _: inner.delay(1), range(n), s),
}
ROWS = [
    ("product", ls.Polynomial(1.0, 0.1, 10.0, 0.9)),
    ("sequence", ls.Exponential(1.0, 0.9).take(10)),
    ("nested", ls.Piecewise([0, 3, 10], [1.0, 0.5, 0.1], kind="linear")),
    ("product", RAMP.drop(2).delay(5)),
    ("sequence", RAMP.staircase(2.5)),
    ("nested", RAMP.stretch(3.3)),
    ("product", RAMP @ (0.5 * ls.Time().take(20))),
    ("sequence", RAMP.repeat(3)),
    ("nested", GROWING.take(300)),
]


def sizes(s):
    """The sizes of three programs: the values with known and with live numbers, and the gradient by the live numbers."""
    step, value = jnp.int32(7), lambda s, t: s(t)
    yield size(jax.make_jaxpr(s)(step).jaxpr)
    for function in (value, jax.grad(value, allow_int=True)):
        yield size(jax.make_jaxpr(function)(packed(s), step).jaxpr)


@pytest.mark.parametrize(("how", "s"), ROWS)
def test_programs_grow_linearly(how, s):
    for small, middle, large in zip(*(sizes(COMBINED[how](s, n)) for n in (1, 2, 4)), strict=True):
        assert large - middle <= 2.1 * (middle - small) + 30, (small, middle, large)


def test_growing_repeats_compute_what_they_compute_alone():
    """In one program that fuses them all, a call would take minutes."""
    steps = jnp.asarray([0, 9, 10, 77, 1000], jnp.int32)
    alone = np.asarray(jax.jit(lambda s, t: s(t))(GROWING, steps), np.float64)
    many = jax.jit(lambda s, t: s(t))(COMBINED["product"](GROWING, 8), steps)
    np.testing.assert_allclose(many, alone**8, rtol=1e-5)
