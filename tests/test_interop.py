"""A schedule inside other people's containers and transformations: the standard library's, JAX's, equinox's and flax's."""

import dataclasses

import chex
import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState
from helpers import relaxed

import lrsched as ls


def inverse_time(t, start, decay):
    return start / (1 + decay * t)


def everything(peak=0.1):
    """One schedule with every kind of field: numbers, a table, strings, a function, a clock, tuples of nodes."""
    pure = ls.warmup_cosine(peak, 10, 100) * ls.Function(inverse_time, 1.0, 0.01) + ls.Piecewise([0, 5], [0.1, 0.2], "linear")
    return (pure.take(50) >> ls.Choice((ls.Constant(0.1), ls.Time()), 1).take(20).repeat(3)) * 0.5


STEPS = np.arange(200)


def test_replace_checks_what_it_replaces():
    s = ls.Linear(0.0, 1.0, 10)
    assert dataclasses.replace(s, steps=20) == ls.Linear(0.0, 1.0, 20)
    assert dataclasses.replace(ls.Function(inverse_time, 1.0, 2.0), arguments=(3, 4)) == ls.Function(inverse_time, 3.0, 4.0)
    with pytest.raises(ValueError, match=r"steps=-20\): expected steps >= 0"):
        dataclasses.replace(s, steps=-20)
    with pytest.raises(TypeError):
        dataclasses.replace(s, stepz=20)


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


def test_equinox_jits_over_arrays_and_takes_python_floats_for_static():
    for as_given, expected in ((jax.device_put, 1), (lambda s: s, 3)):
        traces = []
        call = equinox.filter_jit(lambda s, t, traces=traces: traces.append(t) or s(t))
        for peak in (0.1, 0.2, 0.3):
            np.testing.assert_allclose(call(as_given(everything(peak)), jnp.int32(7)), everything(peak)(7), rtol=1e-5)
        assert len(traces) == expected
    model = Model(jnp.ones(()), jax.device_put(ls.Linear(0.0, 1.0, 10)))
    gradient = equinox.filter_grad(lambda m: m.weight * m.schedule(3))(model)
    np.testing.assert_allclose([gradient.weight, gradient.schedule.stop], [0.3, 0.3], rtol=1e-6)


class ScheduledState(TrainState):
    schedule: ls.Schedule


def test_a_flax_train_state_trains_with_one_inside():
    s = ls.Linear(0.0, 1.0, 10)
    optimizer = optax.chain(optax.identity(), ls.scale_by_learning_rate(s))
    state = ScheduledState.create(apply_fn=None, params={"w": jnp.zeros(3)}, tx=optimizer, schedule=s)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(state):
        return state.apply_gradients(grads={"w": jnp.full(3, state.schedule(state.step))})

    with relaxed():
        for _ in range(4):
            state = step(state.replace(step=jnp.asarray(state.step)))
    assert state.schedule == jax.tree.map(np.float32, s)
    np.testing.assert_allclose(ls.learning_rate(state.opt_state), 0.3, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(state.params["w"]), -np.full(3, 0.1**2 + 0.2**2 + 0.3**2), rtol=1e-5)
