"""Every recipe with every option against its formula, of which cases.py has one for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import RECIPES, Recipe
from helpers import called

import lrsched as ls

CYCLE = {"low": 0.1, "high": 1.1, "up": 6, "down": 9}
ONE = {"peak": 0.5, "steps": 100, "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0}
WARM = {"peak": 0.3, "steps": 60, "end": 0.1}
EDGES = [
    ("step_decay", {"start": 0.3, "every": 30, "factor": 1.1}),
    ("step_decay", {"start": 0.3, "every": 7, "factor": 0.0}),
    ("multi_step", {"start": 0.3, "milestones": [0, 7, 7, 30], "factor": 0.1}),
    ("multi_step", {"start": 0.3, "milestones": [9], "factor": -2.0}),
    ("warmup_cosine", {"peak": 0.3, "warmup_steps": 6.5, "steps": 60.25, "start": 0.1, "end": 0.01}),
    ("warmup_cosine", WARM | {"warmup_steps": 0}),
    ("warmup_cosine", WARM | {"warmup_steps": 60}),
    ("triangular", CYCLE | {"down": 0}),
    ("triangular", CYCLE | {"up": 0}),
    ("one_cycle", ONE | {"pct_start": 0.0}),
    ("one_cycle", ONE | {"pct_start": 1.0}),
    ("one_cycle", ONE | {"pct_start": 0.5, "three_phase": True}),
    ("one_cycle", ONE | {"steps": 60.5, "pct_start": 0.3}),
]
CASES = {name: (recipe, recipe.numbers(1000)) for name, recipe in RECIPES.items()}
CASES |= {f"{name} {i}": (Recipe(name, lambda _: {}), numbers) for i, (name, numbers) in enumerate(EDGES)}
STEPS = np.unique([*range(110), *(b + i for b in (200, 300, 333, 600, 800, 1000) for i in range(-3, 4)), 5000])


@pytest.mark.parametrize("way", ["eager", "captured"])
def test_follows_its_formula(way):
    relative, of_peak = {"eager": (1e-6, 1e-9), "captured": (1e-5, 3e-7)}[way]
    chosen = {name: case for name, case in CASES.items() if way == "eager" or name in RECIPES}
    for name, values in called(
        {name: recipe.make(**numbers) for name, (recipe, numbers) in chosen.items()}, way, STEPS
    ).items():
        recipe, numbers = CASES[name]
        truth = np.array([float(recipe.truth(t, **numbers)) for t in STEPS.tolist()])
        np.testing.assert_allclose(values, truth, rtol=relative, atol=of_peak * np.max(np.abs(truth)), err_msg=name)


def test_a_warm_up_beside_traced_numbers():
    values = jax.vmap(lambda n: ls.warmup_cosine(1.0, n, 100)(jnp.arange(2)))(jnp.asarray([0, 10]))
    np.testing.assert_allclose(values, [[1, (1 + np.cos(np.pi / 100)) / 2], [0, 0.1]], rtol=1e-6)
    values = jax.jit(lambda steps: ls.warmup_cosine(1.0, 500, steps)(np.asarray([1, 250, 500])))(1e9)
    np.testing.assert_allclose(values, [0.002, 0.5, 1.0], rtol=1e-6)
    assert jax.jit(lambda steps: ls.warmup_cosine(1.0, 1, steps)(0))(2.0**25) == 0.0
