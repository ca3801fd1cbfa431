"""The ends, slopes and extreme numbers of shapes, and every recipe against its formula."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import RECIPES, Recipe
from helpers import WAYS, called
from meaning import RAMPS

import lrsched as ls
from lrsched.algebra.shapes import Ramp

EDGES = """
    step_decay(0.3, 30, 1.1) | step_decay(0.3, 7, 0.0) | multi_step(0.3, [0, 7, 7, 30], 0.1) | multi_step(0.3, [9], -2.0)
    | warmup_cosine(0.3, 6.5, 60.25, 0.1, 0.01) | warmup_cosine(0.3, 0, 60, end=0.1) | warmup_cosine(0.3, 60, 60, end=0.1)
    | triangular(0.1, 1.1, 6, 0) | triangular(0.1, 1.1, 0, 9) | one_cycle(0.5, 100, 0.0, 10.0) | one_cycle(0.5, 100, 1.0, 10.0)
    | one_cycle(0.5, 100, 0.5, 10.0, three_phase=True) | one_cycle(0.5, 60.5, 0.3, 10.0, 100.0)
"""
OF_1000 = np.unique([*range(110), *(b + i for b in (200, 300, 333, 600, 800, 1000) for i in range(-3, 4)), 5000])


def ramps(start: Any, stop: Any, steps: Any) -> dict[str, Any]:
    found = {
        kind.__name__: kind(start, stop, steps, *way.examples[-1]) for kind, way in RAMPS.items() if issubclass(kind, Ramp)
    }
    return found | {"waves": ls.Piecewise([0, steps], [start, stop], kind="cosine")}


def test_traced_bounds_of_a_tanh_count_as_the_nearest_that_are_allowed():
    slopes = jax.jit(jax.grad(lambda lb, ub, t: ls.tanh_decay(1.0, 0.1, 8, lb, ub)(t), argnums=(0, 1, 2)))
    values = jax.jit(lambda lb, ub, t: ls.tanh_decay(1.0, 0.1, 8, lb, ub)(t))
    for lb, ub, middle in ((-60.0, 60.0, 0.55), (-60.0, 3.0, 1.0), (-7.0, 60.0, 0.1)):
        np.testing.assert_allclose(values(lb, ub, 4.0), middle, rtol=1e-6)
        assert np.all(np.isfinite([slopes(lb, ub, t) for t in (0.0, 4.0, 8.0)]))


def test_ends_are_exactly_as_given_at_every_traced_length():
    def ends(n: Any) -> Any:
        return {name: (s(0), s(n)) for name, s in ramps(0.1, 0.3, n).items()}

    for name, (starts, stops) in jax.jit(jax.vmap(ends))(jnp.arange(0, 3000, dtype=jnp.float32)).items():
        assert set(np.asarray(starts[1:])) == {np.float32(0.1)}, name
        assert {*np.asarray(stops), float(starts[0])} == {np.float32(0.3)}, name


def of_type(dtype: Any) -> Any:
    return ls.Function(lambda t, x: (x + 0 * jnp.asarray(t, jnp.float32)).astype(dtype), 100.0)


EXTREME = {
    (of_type(bool) + of_type(bool), 1): 2.0,
    (-of_type(np.uint32), 1): -100.0,
    (of_type(np.int8) + of_type(np.int8), 1): 200.0,
    (of_type(np.int32) * 1e8 * of_type(np.int32), 1): 1e12,
    (of_type(np.float16) * of_type(np.float16) * of_type(np.float16), 1): 1e6,
    (ls.Linear(1.0, 2.0, 7 / 3).repeat(stretch=1.0), 1001): 1.0,
    (ls.Linear(1.0, 2.0, 7 / 3).repeat(500, stretch=1.0), 1001): 1.0,
    (ls.monotone(1.0, 10_000, points=48), 10_000): 0.0,
    (ls.wsd(1e-9, 10, 10_000, 1000, 0.0, 100.0, "exponential"), 9000): 1e-9,
    (ls.Exponential(1e-30, 1.3e38), 1): 1.3e8,
    (ls.Exponential(1.0, 0.0), 4 * 10**8): 0.0,
    (ls.Constant(0.0, 0) ** ls.Time(), 4 * 10**8): 0.0,
    (ls.Linear(1.0, 0.0, 10) ** 1e9, 11): 0.0,
    (ls.Linear(1e35, 1e36, 4) ** 0.5, 0): 1e35**0.5,
    (ls.Geometric(1.6e38, 1.0, 10), 1): 1.6e38**0.9,
    (ls.Geometric(2e-38, 1.0, 10), 5): 2e-38**0.5,
    (ls.Polynomial(1.0, 0.0, 1000, 200), 100): 0.9**200,
    (ls.Polynomial(1.0, 0.0, 1000, 1e30), 1): 0.0,
}


@pytest.mark.parametrize("way", WAYS)
def test_extreme_numbers_and_types(way):
    values = called({key: key[0] for key in EXTREME}, way, {key: np.asarray([key[1]]) for key in EXTREME})
    for key, value in values.items():
        np.testing.assert_allclose(value, [EXTREME[key]], rtol=2e-5, err_msg=str(key))


def test_a_ramp_has_a_slope_at_its_first_step():
    for ramp, slope in ((ls.Linear(1.0, 0.0, 10), -0.1), (ls.Linear(1.0, 2.0, 10), 0.1), (ls.OneMinusSqrt(1.0, 0.0, 9), None)):
        found = jax.grad(lambda t, ramp=ramp: ramp(t))(0.0)
        assert found < 0 if slope is None else np.isclose(found, slope)
        np.testing.assert_allclose(jax.grad(lambda d, ramp=ramp: ramp.delay(d)(5))(5.0), -found, rtol=1e-6)
    joined = jax.grad(lambda w: (ls.Linear(0.0, 1.0, w) >> ls.Linear(1.0, 0.0, 90))(10))(10.0)
    np.testing.assert_allclose(joined, 1 / 90, rtol=1e-6)
    quotient = ls.Time() / ls.Linear(2.0, 4.0, 8)
    np.testing.assert_allclose(jax.grad(lambda t: quotient(t))(4.0), 2 / 9, rtol=1e-6)


def test_a_list_with_a_traced_entry_keeps_the_digits_of_the_others():
    far = 2**24 + 1
    assert jax.jit(lambda t: (ls.Time().take(2**26) - 2**24)([far, t]))(3.0)[0] == 1
    assert jax.jit(lambda t: ls.Piecewise([0, far, t], [0.0, 1.0, 2.0])(jnp.array([far - 1, far])))(1e8).tolist() == [0, 1]


def test_a_recipe_follows_its_formula():
    """Outside of jit; `deep/test_precision.py` has compiled code too."""
    for recipe in (*RECIPES.values(), *(Recipe(text.strip()) for text in EDGES.split("|"))):
        numbers = recipe.numbers(1000)
        values, truth = recipe.make(**numbers)(OF_1000), [float(recipe.truth(t, **numbers)) for t in OF_1000.tolist()]
        np.testing.assert_allclose(values, truth, rtol=1e-6, atol=1e-9 * max(truth), err_msg=recipe.text)


def test_a_warm_up_beside_traced_numbers():
    values = jax.vmap(lambda n: ls.warmup_cosine(1.0, n, 100)(jnp.arange(2)))(jnp.asarray([0, 10]))
    np.testing.assert_allclose(values, [[1, (1 + np.cos(np.pi / 100)) / 2], [0, 0.1]], rtol=1e-6)
