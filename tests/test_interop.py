"""A schedule inside other people's containers and transformations: the standard library's, JAX's, equinox's and flax's."""

import copy
import dataclasses
import pickle

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
DRIVEN = everything() * ls.reduce_on_plateau(patience=2)


@pytest.mark.parametrize("s", [everything(), DRIVEN], ids=["pure", "driven"])
@pytest.mark.parametrize(
    "through",
    [
        copy.copy,
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: jax.tree.unflatten(jax.tree.structure(s), jax.tree.leaves(s)),
        lambda s: jax.tree.map(lambda x: x, s),
        dataclasses.replace,
        lambda s: eval(repr(s), {**vars(ls), "inverse_time": inverse_time}),
    ],
    ids=["copy", "deepcopy", "pickle", "unflatten", "map", "replace", "repr"],
)
def test_goes_through_unchanged(s, through):
    same = through(s)
    assert same == s
    assert hash(same) == hash(s)
    assert repr(ls.expanded(same)) == repr(ls.expanded(s))
    assert {s: "found"}[same] == "found"


def test_replace_checks_what_it_replaces():
    s = ls.Linear(0.0, 1.0, 10)
    assert dataclasses.replace(s, steps=20) == ls.Linear(0.0, 1.0, 20)
    assert dataclasses.replace(ls.Function(inverse_time, 1.0, 2.0), arguments=(3, 4)) == ls.Function(inverse_time, 3.0, 4.0)
    with pytest.raises(ValueError, match=r"steps=-20\): expected steps >= 0"):
        dataclasses.replace(s, steps=-20)
    with pytest.raises(TypeError):
        dataclasses.replace(s, stepz=20)


def test_tree_paths_name_the_fields():
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(everything())]
    assert paths[0] == ".parts[0].parts[0].schedule.parts[0].parts[0].parts[0].start"
    assert len(set(paths)) == len(paths)


def test_device_put_rounds_the_numbers_and_keeps_the_rest():
    s = everything()
    moved = jax.device_put(s)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(moved))
    assert jax.tree.structure(moved) == jax.tree.structure(s)
    assert moved == jax.tree.map(np.float32, s)
    assert hash(moved) == hash(jax.tree.map(np.float32, s))
    np.testing.assert_allclose(moved(STEPS), s(STEPS), rtol=1e-5)
    assert jax.device_get(moved) == moved


def test_shapes_are_known_without_computing():
    s = everything()
    assert jax.eval_shape(s, jnp.arange(3)) == jax.ShapeDtypeStruct((3,), jnp.float32)
    assert jax.eval_shape(lambda s, t: s(t), s, 3) == jax.ShapeDtypeStruct((), jnp.float32)
    made = jax.eval_shape(ls.warmup_cosine, 0.1, 10.0, 100.0)
    assert jax.tree.structure(made) == jax.tree.structure(ls.warmup_cosine(0.1, 10, 100))
    assert {leaf.shape for leaf in jax.tree.leaves(made)} == {()}


def test_a_schedule_can_come_out_of_a_jitted_function():
    s = jax.jit(ls.warmup_cosine)(0.5, 10.0, 100.0)
    np.testing.assert_allclose(s(STEPS), ls.warmup_cosine(0.5, 10, 100)(STEPS), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("as_given", "expected"), [(jax.device_put, 1), (lambda s: s, 3)], ids=["arrays", "Python floats"])
def test_equinox_jits_over_arrays_and_takes_python_floats_for_static(as_given, expected):
    traces = []

    @equinox.filter_jit
    def call(s, t):
        traces.append(t)
        return s(t)

    for peak in (0.1, 0.2, 0.3):
        s = everything(peak)
        np.testing.assert_allclose(call(as_given(s), jnp.int32(7)), s(7), rtol=1e-5)
    assert len(traces) == expected


class Model(equinox.Module):
    weight: jax.Array
    schedule: ls.Schedule


def test_a_schedule_can_be_a_field_of_an_equinox_module():
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


def test_a_plateau_hears_its_metric_through_a_flax_train_state():
    optimizer = optax.chain(optax.identity(), ls.scale_by_learning_rate(ls.reduce_on_plateau(factor=0.5, patience=0)))
    state = TrainState.create(apply_fn=None, params={"w": jnp.zeros(3)}, tx=optimizer)
    for _ in range(3):
        grads = {"w": jnp.ones(3)}
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params, value=1.0)  # state.tx, to a type checker
        state = state.replace(params=optax.apply_updates(state.params, updates), opt_state=opt_state)
    np.testing.assert_array_equal(state.params["w"], np.full(3, -2.5, np.float32))
