"""Every shape against its meaning, in every way of calling it, and where it begins and ends."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, as_float32, bits, called, ulps, x64
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
    "cosine below 0": ls.Cosine(-1e-3, -0.2, 100.0),
    **{kind.__name__: kind(1e-3, 0.2, 12.5, *way.examples[-1]) for kind, way in RAMPS.items()},
    "exponential down": ls.Exponential(0.3, 0.9),
    "exponential flat": ls.Exponential(-0.3, 1.0),
    "exponential to 0": ls.Exponential(0.3, 0.0),
    "inverse sqrt": ls.InverseSqrt(0.3, 7.5),
    "steps": ls.Piecewise(*POINTS),
    "lines": ls.Piecewise(*POINTS, kind="linear"),
    "waves": ls.Piecewise(*POINTS, kind="cosine"),
    "one point": ls.Piecewise([3.0], [0.2], kind="linear"),
    "time": ls.Time(),
}
WHOLE = np.array([-(2**31), -1, *range(14), 33, 34, 39, 40, 41, 2**24 + 1, 2**31 - 1])
FRACTIONAL = np.array([-7.5, -0.25, 0.0, 0.125, 1.5, 2.0, 4.75, 5.25, 6.875, 9.875, 12.375, 33.125, 99.5, 1e9])


def truth(s: Any, steps: Any) -> Any:
    return np.vectorize(lambda t: float(meaning(s, t)), otypes=[np.float64])(steps)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("steps", [WHOLE.astype(np.int32), FRACTIONAL.astype(np.float32)], ids=["whole", "fractional"])
def test_follows_its_formula(steps, way):
    for name, values in called(CASES, way, steps).items():
        received = as_float32(CASES[name]) if way == "argument" else CASES[name]
        assert values.dtype == jnp.float32, name
        assert not values.weak_type, name
        assert ulps(values, truth(received, steps)) <= (1 if way == "eager" else 8), name


@pytest.mark.deep
def test_mapped_over_steps_it_has_the_same_values():
    steps = WHOLE.astype(np.int32)
    mapped = jax.jit(jax.vmap(lambda t: [s(t) for s in CASES.values()]))(steps)
    for (name, values), found in zip(called(CASES, "captured", steps).items(), mapped, strict=True):
        assert ulps(found, values) <= 2, name


@pytest.mark.parametrize("way", ["eager", "captured"])
def test_follows_its_formula_in_float64(way):
    with x64():
        for steps in (WHOLE, FRACTIONAL):
            for name, values in called(CASES, way, steps).items():
                assert values.dtype == jnp.float64, name
                assert ulps(values, truth(CASES[name], steps)) <= 8, name


@pytest.mark.parametrize("name", CASES)
def test_scalars_lists_and_nested_arrays_agree(name):
    s, steps = CASES[name], [-1, 0, 3, 5.25, 12, 2**31 - 1]
    values = truth(s, steps)
    assert ulps(s(steps), values) <= 1
    assert ulps(s(np.reshape(steps, (2, 3))), values.reshape(2, 3)) <= 1
    assert all(ulps(s(t), value) <= 1 for t, value in zip(steps, values, strict=True))
    assert isinstance(s(3), jax.Array)
    assert (s(3).dtype, s(3).weak_type) == (jnp.float32, False)
    assert s([]).shape == (0,)


POWERS = {
    (ls.Exponential(1e-30, 1e30), 1): 1.0,
    (ls.Geometric(1e30, 1.0, 10), 1): 1e27,
    (ls.Geometric(2e-38, 1.0, 10), 5): 2e-38**0.5,
    (ls.Polynomial(1.0, 0.0, 1000, 200), 100): 0.9**200,
    (ls.Polynomial(1.0, 0.0, 1000, 1e30), 1): 0.0,
}


@pytest.mark.parametrize("way", WAYS)
def test_extreme_numbers_of_powers(way):
    schedules, steps = {key: key[0] for key in POWERS}, {key: np.asarray([key[1]]) for key in POWERS}
    for key, value in called(schedules, way, steps).items():
        np.testing.assert_allclose(value, [POWERS[key]], rtol=2e-5, err_msg=str(key))


@pytest.mark.parametrize("number", [0, 1])
def test_gradients_of_powers_that_vanish_or_overflow(number):
    gradient = jax.jit(jax.grad(lambda numbers: ls.Exponential(*numbers)(200)))
    for numbers in ((0.0, 2.0), (1.0, 2.0), (1.0, 1e-30), (0.0, 1e-30)):
        assert np.isfinite(gradient(numbers)[number])


def ramp(kind: Any, start: Any, stop: Any, steps: Any) -> Any:
    return kind(start, stop, steps, *RAMPS[kind].examples[-1])


MAKES: dict[str, Any] = {kind.__name__: functools.partial(ramp, kind) for kind in RAMPS if issubclass(kind, Ramp)}
MAKES["waves"] = lambda a, b, n: ls.Piecewise([0, n], [a, b], kind="cosine")
ENDS = [(0.1, 1e-3 / 3), (1e-3 / 3, 0.0), (-0.7, 1e30)]


@pytest.mark.parametrize("way", WAYS)
def test_ends_are_exactly_as_given(way):
    ramps = {(name, *ends, n): make(*ends, n) for name, make in MAKES.items() for ends in ENDS for n in (0, 2.5, 49)}
    steps = {key: np.asarray([-1.0, 0.0, key[-1], key[-1] + 1, 1e9], np.float32) for key in ramps}
    for (name, start, stop, n), values in called(ramps, way, steps).items():
        first = start if n else stop  # a ramp of no length is its stop
        assert bits(values) == bits(np.array([first, first, stop, stop, stop], np.float32)), (name, start, stop, n)


def test_ends_are_exactly_as_given_at_every_traced_length():
    def ends(n: Any) -> Any:
        return [(make(0.1, 0.3, n)(0), make(0.1, 0.3, n)(n)) for make in MAKES.values()]

    lengths = jnp.arange(0, 3000, dtype=jnp.float32)
    for name, (starts, stops) in zip(MAKES, jax.jit(jax.vmap(ends))(lengths), strict=True):
        assert set(np.asarray(starts[1:])) == {np.float32(0.1)}, name
        assert {*np.asarray(stops), float(starts[0])} == {np.float32(0.3)}, name


def test_gradients_are_finite():
    def gradients(n: Any, t: Any) -> Any:
        of = (jnp.float32(0.1), jnp.float32(0.7), n)
        return [jax.grad(lambda x, make=make: make(*x)(t))(of) for make in MAKES.values()]

    lengths, steps = jnp.asarray([0.0, 0.0, 8.0, 8.0, 8.0, 8.0]), jnp.asarray([0, 3, 0, 4, 8, 9])
    for name, found in zip(MAKES, jax.jit(jax.vmap(gradients))(lengths, steps), strict=True):
        assert np.all(np.isfinite(found)), name
    np.testing.assert_allclose(jax.grad(lambda n: ls.Linear(0.0, 1.0, n)(2))(8.0), -2 / 8**2, rtol=1e-6)


def test_a_table_jumps_at_equal_steps_and_the_later_one_counts():
    s = ls.Piecewise([0, 4, 4, 4], [0.0, 1.0, 5.0, 3.0], kind="linear")
    np.testing.assert_array_equal(s([2, 3.5, 4, 5]), [0.5, 0.875, 3, 3])
    np.testing.assert_array_equal(jax.jit(s)(jnp.asarray([2, 4, 5])), [0.5, 3, 3])
