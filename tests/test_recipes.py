"""Every recipe with every option against its formula in cases.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import RECIPES, Recipe
from helpers import called

import lrsched as ls

EDGES = [
    "step_decay(0.3, 30, 1.1)",
    "step_decay(0.3, 7, 0.0)",
    "multi_step(0.3, [0, 7, 7, 30], 0.1)",
    "multi_step(0.3, [9], -2.0)",
    "warmup_cosine(0.3, 6.5, 60.25, 0.1, 0.01)",
    "warmup_cosine(0.3, 0, 60, end=0.1)",
    "warmup_cosine(0.3, 60, 60, end=0.1)",
    "triangular(0.1, 1.1, 6, 0)",
    "triangular(0.1, 1.1, 0, 9)",
    "one_cycle(0.5, 100, 0.0, 10.0, 100.0)",
    "one_cycle(0.5, 100, 1.0, 10.0, 100.0)",
    "one_cycle(0.5, 100, 0.5, 10.0, 100.0, three_phase=True)",
    "one_cycle(0.5, 60.5, 0.3, 10.0, 100.0)",
]
STEPS = np.unique([*range(110), *(b + i for b in (200, 300, 333, 600, 800, 1000) for i in range(-3, 4)), 5000])


@pytest.mark.parametrize("way", ["eager", "captured"])
def test_follows_its_formula(way):
    relative, of_peak = {"eager": (1e-6, 1e-9), "captured": (1e-5, 3e-7)}[way]
    recipes = [*RECIPES.values(), *(map(Recipe, EDGES) if way == "eager" else [])]
    numbers = {recipe: recipe.numbers(1000) for recipe in recipes}
    for recipe, values in called({x: x.make(**numbers[x]) for x in recipes}, way, STEPS).items():
        truth = np.array([float(recipe.truth(t, **numbers[recipe])) for t in STEPS.tolist()])
        np.testing.assert_allclose(values, truth, rtol=relative, atol=of_peak * np.max(np.abs(truth)), err_msg=recipe.text)


def test_a_warm_up_beside_traced_numbers():
    values = jax.vmap(lambda n: ls.warmup_cosine(1.0, n, 100)(jnp.arange(2)))(jnp.asarray([0, 10]))
    np.testing.assert_allclose(values, [[1, (1 + np.cos(np.pi / 100)) / 2], [0, 0.1]], rtol=1e-6)
    values = jax.jit(lambda steps: ls.warmup_cosine(1.0, 500, steps)(np.asarray([1, 250, 500])))(1e9)
    np.testing.assert_allclose(values, [0.002, 0.5, 1.0], rtol=1e-6)
    assert jax.jit(lambda steps: ls.warmup_cosine(1.0, 1, steps)(0))(2.0**25) == 0.0
