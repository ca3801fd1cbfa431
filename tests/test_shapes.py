"""Every shape against its meaning, in every way of calling it."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, as_float32, bits, ulps, ways, x64
from meaning import RAMPS, meaning

import lrsched as ls
from lrsched.algebra.shapes import Ramp

POINTS = ([2.0, 5.0, 5.0, 40.0], [0.5, 3.0, 0.7, 0.1])
CASES: dict[str, Any] = {
    "constant": ls.Constant(0.3),
    "linear up": ls.Linear(0.0, 1e-3, 10.0),
    "linear down": ls.Linear(0.7, 0.1, 33.25),
    "linear flat": ls.Linear(0.3, 0.3, 7.0),
    "cosine up": ls.Cosine(1e-5, 0.3, 10.0),
    "cosine down": ls.Cosine(1e-3, 0.0, 12.5),
    "cosine below 0": ls.Cosine(-1e-3, -0.2, 100.0),
    **{kind.__name__: kind(1e-3, 0.2, 12.5, *way.examples[-1]) for kind, way in RAMPS.items()},
    "exponential down": ls.Exponential(0.3, 0.9),
    "exponential flat": ls.Exponential(-0.3, 1.0),
    "exponential to 0": ls.Exponential(0.3, 0.0),
    "steps": ls.Piecewise(*POINTS),
    "lines": ls.Piecewise(*POINTS, kind="linear"),
    "waves": ls.Piecewise(*POINTS, kind="cosine"),
    "one point": ls.Piecewise([3.0], [0.2], kind="linear"),
    "time": ls.Time(),
}


def truth(s, steps):
    return np.vectorize(lambda t: float(meaning(s, t)), otypes=[np.float64])(steps)


WHOLE = np.array([-(2**31), -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 33, 34, 39, 40, 41, 2**24 + 1, 2**31 - 1])
FRACTIONAL = np.array([-7.5, -0.25, 0.0, 0.125, 1.5, 2.0, 4.75, 5.25, 6.875, 9.875, 12.375, 33.125, 99.5, 1e9])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_follows_its_formula(name, way):
    s = CASES[name]
    received = as_float32(s) if way == "argument" else s
    for steps in (WHOLE.astype(np.int32), FRACTIONAL.astype(np.float32)):
        result = ways(s)[way](jnp.asarray(steps))
        assert result.dtype == jnp.float32
        assert not result.weak_type
        assert ulps(result, truth(received, steps)) <= (1 if way == "eager" else 8)


@pytest.mark.parametrize("way", ["eager", "captured", "argument"])
@pytest.mark.parametrize("name", CASES)
def test_follows_its_formula_in_float64(name, way):
    s = CASES[name]
    with x64():
        for steps in (WHOLE, FRACTIONAL):
            result = ways(s)[way](jnp.asarray(steps))
            assert result.dtype == jnp.float64
            assert ulps(result, truth(s, steps)) <= 8


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (ls.Exponential(1e-30, 1.3e38), 1, 1.3e8),
        (ls.Geometric(1.6e38, 1.0, 10), 1, 1.6e38**0.9),
        (ls.Geometric(2e-38, 1.0, 10), 5, 2e-38**0.5),
        (ls.Polynomial(1.0, 0.0, 1000, 200), 100, 0.9**200),
        (ls.Polynomial(1.0, 0.0, 1000, 1e30), 1, 0.0),
    ],
)
def test_extreme_numbers_of_powers(schedule, step, expected):
    """Captured, as an argument, and at a step that is known while the numbers are not."""
    call = ways(schedule)
    for value in (
        call["captured"](np.asarray([step]))[0],
        call["argument"](np.asarray([step]))[0],
        jax.jit(lambda s: s(step))(schedule),
    ):
        np.testing.assert_allclose(value, expected, rtol=2e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_gradients_of_powers_that_vanish_or_overflow(number):
    def value(numbers):
        return ls.Exponential(*numbers)(200)

    for numbers in ((0.0, 2.0), (1.0, 2.0), (1.0, 1e-30), (0.0, 1e-30)):
        assert np.isfinite(jax.grad(value)(numbers)[number])
        assert np.isfinite(jax.jacfwd(value)(numbers)[number])
    assert jax.grad(lambda start: ls.Exponential(start, 2.0)(5))(0.0) == 32.0


@pytest.mark.parametrize("name", CASES)
def test_scalars_lists_and_nested_arrays_agree(name):
    s, steps = CASES[name], [-1, 0, 3, 5.25, 12, 2**31 - 1]
    values = truth(s, steps)
    assert ulps(s(steps), values) <= 1
    assert ulps(s(np.reshape(steps, (2, 3))), values.reshape(2, 3)) <= 1
    assert all(ulps(s(t), value) <= 1 for t, value in zip(steps, values, strict=True))
    assert ulps(s(np.float16(5.25)), values[3]) <= 1
    assert ulps(s(jnp.asarray(5.25, jnp.bfloat16)), values[3]) <= 1
    assert s(3).dtype == jnp.float32
    assert not s(3).weak_type
    assert isinstance(s(3), jax.Array)
    assert s([]).shape == (0,)


@pytest.mark.parametrize("type_", ["int8", "uint8", "int16", "uint32", "float16", "bfloat16"])
def test_steps_of_any_type(type_):
    steps = jnp.asarray([0, 3, 100], type_)
    s = CASES["linear down"]
    for way in ("eager", "captured", "vmapped"):
        assert ulps(ways(s)[way](steps), truth(s, [0, 3, 100])) <= 8


def ramp(kind, start, stop, steps):
    return kind(start, stop, steps, *RAMPS[kind].examples[-1])


MAKES: dict[str, Any] = {kind.__name__: functools.partial(ramp, kind) for kind in RAMPS if issubclass(kind, Ramp)}
MAKES["waves"] = lambda a, b, n: ls.Piecewise([0, n], [a, b], kind="cosine")
each_ramp = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)


@each_ramp
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("start", "stop"), [(0.1, 1e-3 / 3), (1e-3 / 3, 0.0), (-0.7, 1e30)])
def test_ends_are_exactly_as_given(make, way, start, stop):
    for n in (1, 2.5, 49):
        ends = ways(make(start, stop, n))[way](jnp.asarray([-1.0, 0.0, n, n + 1.0, 1e9], jnp.float32))
        assert bits(ends) == bits(np.array([start, start, stop, stop, stop], np.float32))


@each_ramp
def test_ends_are_exactly_as_given_at_every_traced_length(make):
    lengths = np.arange(1, 3000, dtype=np.float32)
    starts, stops = jax.jit(jax.vmap(lambda n: (make(0.1, 0.3, n)(0), make(0.1, 0.3, n)(n))))(jnp.asarray(lengths))
    assert set(np.asarray(starts)) == {np.float32(0.1)}
    assert set(np.asarray(stops)) == {np.float32(0.3)}


@each_ramp
@pytest.mark.parametrize("way", WAYS)
def test_a_ramp_of_no_length_is_its_stop(make, way):
    values = ways(make(0.1, 0.3, 0))[way](jnp.asarray([-1, 0, 1, 100]))
    assert bits(values) == bits(np.full(4, 0.3, np.float32))


@each_ramp
def test_lengths_with_and_without_steps_mix_under_vmap(make):
    call = jax.jit(jax.vmap(lambda n: make(0.0, 1.0, n)(jnp.asarray([0, 4]))))
    values = call(jnp.asarray([0.0, 8.0]))
    np.testing.assert_allclose(values, [[1, 1], [0, float(meaning(make(0.0, 1.0, 8), 4))]], atol=2e-7)


@each_ramp
def test_gradients_are_finite(make):
    def gradients(n, t):
        return jax.grad(lambda x: make(*x)(t))((jnp.float32(0.1), jnp.float32(0.7), n))

    lengths, steps = jnp.asarray([0.0, 0.0, 8.0, 8.0, 8.0, 8.0]), jnp.asarray([0, 3, 0, 4, 8, 9])
    assert np.all(np.isfinite(jax.jit(jax.vmap(gradients))(lengths, steps)))


def test_gradient_with_respect_to_a_length():
    gradient = jax.grad(lambda n: ls.Linear(0.0, 1.0, n)(2))(8.0)
    np.testing.assert_allclose(gradient, -2 / 8**2, rtol=1e-6)


@pytest.mark.parametrize(
    ("s", "length"),
    [
        (ls.Constant(1.0), math.inf),
        (ls.Constant(1.0, 5), 5),
        (ls.Constant(1.0, 0), 0),
        (ls.Linear(0.0, 1.0, 7), 7),
        (ls.Cosine(0.0, 1.0, 2.5), 2.5),
        (ls.Exponential(1.0, 0.5), math.inf),
        (ls.Piecewise([0, 3, 9], [1.0, 2.0, 3.0]), 9),
        (ls.Time(), math.inf),
    ],
)
def test_length(s, length):
    assert s.length == length


def test_a_table_jumps_at_equal_steps_and_the_later_one_counts():
    s = ls.Piecewise([0, 4, 4, 4], [0.0, 1.0, 5.0, 3.0], kind="linear")
    np.testing.assert_array_equal(s([2, 3.5, 4, 5]), [0.5, 0.875, 3, 3])
    np.testing.assert_array_equal(jax.jit(s)(jnp.asarray([2, 4, 5])), [0.5, 3, 3])


def test_numbers_of_any_kind_give_float32():
    for numbers in [(1, 0, 4), (1.0, np.float64(0), np.int64(4)), (jnp.int32(1), np.float16(0), True + 3)]:
        s = ls.Linear(*numbers)
        assert bits(s(1)) == bits(np.float32(0.75))
        assert bits(jax.jit(s)(1)) == bits(np.float32(0.75))
        assert bits(jax.jit(lambda s: s(1))(s)) == bits(np.float32(0.75))
