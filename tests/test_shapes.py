"""Every shape against its formula, computed with 60 digits."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from helpers import WAYS, as_float32, bits, ulps, ways, x64

import lrsched as ls

mp = mpmath.MPContext()
mp.dps = 60


def done(t, steps):
    return mp.mpf(1) if t >= steps else mp.mpf(max(t, 0)) / mp.mpf(steps)


def line(p):
    return p


def wave(p):
    return (1 - mp.cos(mp.pi * p)) / 2


def ramp(weight):
    return lambda t, start, stop, steps: start + (mp.mpf(stop) - start) * weight(done(t, steps))


def exponential(t, start, rate):
    return start * mp.mpf(rate) ** mp.mpf(max(t, 0))


def table(weight):
    def at(t, steps, values):
        row = max(sum(step <= t for step in steps) - 1, 0)
        if row == len(steps) - 1 or t < steps[0]:
            return values[row]
        return ramp(weight)(t - steps[row], values[row], values[row + 1], steps[row + 1] - steps[row])

    return at


class Case(NamedTuple):
    make: Any
    formula: Any
    numbers: tuple[Any, ...]

    def truth(self, steps, numbers=None):
        numbers = self.numbers if numbers is None else numbers
        return np.vectorize(lambda t: float(self.formula(t, *numbers)), otypes=[np.float64])(steps)


def piecewise(kind):
    return lambda steps, values: ls.Piecewise(steps, values, kind=kind)


POINTS = ([2.0, 5.0, 5.0, 40.0], [0.5, 3.0, 0.7, 0.1])
CASES = {
    "constant": Case(ls.Constant, lambda _, value: value, (0.3,)),
    "linear up": Case(ls.Linear, ramp(line), (0.0, 1e-3, 10.0)),
    "linear down": Case(ls.Linear, ramp(line), (0.7, 0.1, 33.25)),
    "linear flat": Case(ls.Linear, ramp(line), (0.3, 0.3, 7.0)),
    "cosine up": Case(ls.Cosine, ramp(wave), (1e-5, 0.3, 10.0)),
    "cosine down": Case(ls.Cosine, ramp(wave), (1e-3, 0.0, 12.5)),
    "cosine below 0": Case(ls.Cosine, ramp(wave), (-1e-3, -0.2, 100.0)),
    "exponential down": Case(ls.Exponential, exponential, (0.3, 0.9)),
    "exponential flat": Case(ls.Exponential, exponential, (-0.3, 1.0)),
    "exponential to 0": Case(ls.Exponential, exponential, (0.3, 0.0)),
    "steps": Case(piecewise("constant"), table(lambda _: mp.mpf(0)), POINTS),
    "lines": Case(piecewise("linear"), table(line), POINTS),
    "waves": Case(piecewise("cosine"), table(wave), POINTS),
    "one point": Case(piecewise("linear"), table(line), ([3.0], [0.2])),
    "time": Case(ls.Time, lambda t: max(t, 0), ()),
}
WHOLE = np.array([-(2**31), -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 33, 34, 39, 40, 41, 2**24 + 1, 2**31 - 1])
FRACTIONAL = np.array([-7.5, -0.25, 0.0, 0.125, 1.5, 2.0, 4.75, 5.25, 6.875, 9.875, 12.375, 33.125, 99.5, 1e9])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_follows_its_formula(name, way):
    case = CASES[name]
    call = ways(case.make(*case.numbers))[way]
    numbers = as_float32(case.numbers) if way == "argument" else case.numbers
    for steps in (WHOLE.astype(np.int32), FRACTIONAL.astype(np.float32)):
        result = call(jnp.asarray(steps))
        assert result.dtype == jnp.float32
        assert not result.weak_type
        assert ulps(result, case.truth(steps, numbers)) <= (1 if way == "eager" else 8)


@pytest.mark.parametrize("way", ["eager", "captured", "argument"])
@pytest.mark.parametrize("name", CASES)
def test_follows_its_formula_in_float64(name, way):
    case = CASES[name]
    with x64():
        call = ways(case.make(*case.numbers))[way]
        for steps in (WHOLE, FRACTIONAL):
            result = call(jnp.asarray(steps))
            assert result.dtype == jnp.float64
            assert ulps(result, case.truth(steps)) <= 8


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
    case = CASES[name]
    s = case.make(*case.numbers)
    steps = [-1, 0, 3, 5.25, 12, 2**31 - 1]
    truth = case.truth(steps)
    assert ulps(s(steps), truth) <= 1
    assert ulps(s(np.reshape(steps, (2, 3))), truth.reshape(2, 3)) <= 1
    assert all(ulps(s(t), value) <= 1 for t, value in zip(steps, truth, strict=True))
    assert ulps(s(np.float16(5.25)), truth[3]) <= 1
    assert ulps(s(jnp.asarray(5.25, jnp.bfloat16)), truth[3]) <= 1
    assert s(3).dtype == jnp.float32
    assert not s(3).weak_type
    assert isinstance(s(3), jax.Array)
    assert s([]).shape == (0,)


@pytest.mark.parametrize("type_", ["int8", "uint8", "int16", "uint32", "float16", "bfloat16"])
def test_steps_of_any_type(type_):
    steps = jnp.asarray([0, 3, 100], type_)
    truth = CASES["linear down"].truth([0, 3, 100])
    for way in ("eager", "captured", "vmapped"):
        assert ulps(ways(ls.Linear(0.7, 0.1, 33.25))[way](steps), truth) <= 8


LONG = {
    "linear": (lambda n: ls.Linear(1e-3, 1e-7, n), ramp(line), lambda n: (1e-3, 1e-7, n)),
    "linear to 0": (lambda n: ls.Linear(0.1, 0.0, n), ramp(line), lambda n: (0.1, 0.0, n)),
    "cosine": (lambda n: ls.Cosine(1e-3, 1e-7, n), ramp(wave), lambda n: (1e-3, 1e-7, n)),
    "cosine to 0": (lambda n: ls.Cosine(0.1, 0.0, n), ramp(wave), lambda n: (0.1, 0.0, n)),
    "cosine from 0": (lambda n: ls.Cosine(0.0, 0.3, n), ramp(wave), lambda n: (0.0, 0.3, n)),
    "exponential down": (lambda n: ls.Exponential(0.1, 1 - 20 / n), exponential, lambda n: (0.1, 1 - 20 / n)),
    "exponential up": (lambda n: ls.Exponential(0.1, 1 + 20 / n), exponential, lambda n: (0.1, 1 + 20 / n)),
    "waves": (
        lambda n: ls.Piecewise([n // 3, n - 5, n], [1.0, 0.5, 0.0], kind="cosine"),
        table(wave),
        lambda n: ([n // 3, n - 5, n], [1.0, 0.5, 0.0]),
    ),
}


@pytest.mark.parametrize("n", [10**3, 10**5, 2**31 - 2])
@pytest.mark.parametrize("name", LONG)
def test_is_precise_at_any_length(name, n):
    make, formula, numbers = LONG[name]
    near = [0, 1, 2, n // 3 - 1, n // 3, n // 3 + 1, n // 2, n - 6, n - 5, n - 4, n - 3, n - 2, n - 1, n, n + 1]
    steps = np.unique(np.concatenate([near, np.linspace(0, n, 50)]).astype(np.int64)).astype(np.int32)
    truth = Case(make, formula, numbers(n)).truth(steps)
    for way in ("eager", "captured", "vmapped"):
        assert ulps(ways(make(n))[way](jnp.asarray(steps)), truth) <= (1 if way == "eager" else 8)


RAMPS = [ls.Linear, ls.Cosine, lambda a, b, n: ls.Piecewise([0, n], [a, b], kind="cosine")]


@pytest.mark.parametrize("make", RAMPS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("start", "stop"), [(0.1, 1e-3 / 3), (1e-3 / 3, 0.0), (-0.7, 1e30)])
def test_ends_are_exactly_as_given(make, way, start, stop):
    for n in (1, 2.5, 49):
        ends = ways(make(start, stop, n))[way](jnp.asarray([-1.0, 0.0, n, n + 1.0, 1e9], jnp.float32))
        assert bits(ends) == bits(np.array([start, start, stop, stop, stop], np.float32))


@pytest.mark.parametrize("make", RAMPS)
def test_ends_are_exactly_as_given_at_every_traced_length(make):
    lengths = np.arange(1, 3000, dtype=np.float32)
    starts, stops = jax.jit(jax.vmap(lambda n: (make(0.1, 0.3, n)(0), make(0.1, 0.3, n)(n))))(jnp.asarray(lengths))
    assert set(np.asarray(starts)) == {np.float32(0.1)}
    assert set(np.asarray(stops)) == {np.float32(0.3)}


@pytest.mark.parametrize("make", RAMPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_ramp_of_no_length_is_its_stop(make, way):
    values = ways(make(0.1, 0.3, 0))[way](jnp.asarray([-1, 0, 1, 100]))
    assert bits(values) == bits(np.full(4, 0.3, np.float32))


@pytest.mark.parametrize("make", RAMPS)
def test_lengths_with_and_without_steps_mix_under_vmap(make):
    call = jax.jit(jax.vmap(lambda n: make(0.0, 1.0, n)(jnp.asarray([0, 4]))))
    values = call(jnp.asarray([0.0, 8.0]))
    np.testing.assert_allclose(values, [[1, 1], [0, 0.5]], atol=1e-7)


@pytest.mark.parametrize("make", RAMPS)
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
