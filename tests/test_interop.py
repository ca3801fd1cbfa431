"""A schedule in the hands of the standard library, of JAX, equinox and Hydra."""

import dataclasses
import re

import equinox
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT
from omegaconf import OmegaConf

import lrsched as ls


def inverse_time(t, start, decay):
    return start / (1 + decay * t)


def everything():
    """One schedule with every kind of field: numbers, a table, strings, a function, tuples of nodes."""
    pure = ls.warmup_cosine(0.1, 10, 100) * ls.Function(inverse_time, 1.0, 0.01) + ls.Piecewise([0, 5], [0.1, 0.2], "linear")
    return (pure.take(50) >> ls.Choice((ls.Constant(0.1), ls.Time()), 1).take(20).repeat(3)) * 0.5


STEPS = np.arange(200)


def test_replace_takes_the_names_of_the_fields_and_checks_them():
    s = ls.Function(inverse_time, 1.0, 2.0)
    assert dataclasses.replace(s, arguments=(3, 4)) == ls.Function(inverse_time, 3.0, 4.0)
    with pytest.raises(ValueError, match=r"steps=-20\): expected steps >= 0"):
        dataclasses.replace(ls.Linear(0.0, 1.0, 10), steps=-20)


def test_device_put_rounds_the_numbers_and_keeps_the_rest():
    s = everything()
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(s)]
    assert paths[0] == ".parts[0].parts[0].schedule.parts[0].parts[0].parts[0].start"  # paths name the fields
    moved = jax.device_put(s)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(moved))
    assert moved == jax.device_get(moved) == jax.tree.map(np.float32, s)
    assert hash(moved) == hash(jax.tree.map(np.float32, s))
    np.testing.assert_allclose(moved(STEPS), s(STEPS), rtol=1e-5)


def test_shapes_are_known_without_computing_and_a_schedule_comes_out_of_jit():
    s = everything()
    assert jax.eval_shape(s, jnp.arange(3)) == jax.ShapeDtypeStruct((3,), jnp.float32)
    assert jax.eval_shape(lambda s, t: s(t), s, 3) == jax.ShapeDtypeStruct((), jnp.float32)
    made = jax.eval_shape(ls.warmup_cosine, 0.1, 10.0, 100.0)
    assert jax.tree.structure(made) == jax.tree.structure(ls.warmup_cosine(0.1, 10, 100))
    s = jax.jit(ls.warmup_cosine)(0.5, 10.0, 100.0)
    np.testing.assert_allclose(s(STEPS), ls.warmup_cosine(0.5, 10, 100)(STEPS), rtol=1e-6, atol=1e-9)


class Model(equinox.Module):
    weight: jax.Array
    schedule: ls.Schedule


def test_equinox_differentiates_a_model_with_a_schedule():
    model = Model(jnp.ones(()), jax.device_put(ls.Linear(0.0, 1.0, 10)))
    gradient = equinox.filter_jit(equinox.filter_grad(lambda m: m.weight * m.schedule(3)))(model)
    np.testing.assert_allclose([gradient.weight, gradient.schedule.stop], [0.3, 0.3], rtol=1e-6)


def test_hydra_and_omegaconf():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "notebooks/configuration.md").read_text(), re.DOTALL)
    made = [hydra.utils.instantiate(OmegaConf.select(OmegaConf.create(block), "schedule")) for block in blocks]
    assert [repr(s).partition("(")[0] for s in made] == ["warmup_cosine", "Linear"]
    assert all(ls.from_dict(OmegaConf.create(ls.to_dict(s))) == s for s in made)
