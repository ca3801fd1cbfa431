"""A first state can be donated: each of its leaves is a buffer of its own."""

from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import relaxed

import lrsched as ls

PARAMS = {"w": jnp.ones(3), "b": jnp.ones(2)}
CLOCKS = {
    "steps": ls.Steps(),
    "plateau": ls.Plateau(window=3),
    "since best": ls.SinceBest("max"),
    "counter": ls.Counter("value"),
    "since": ls.Since(ls.Plateau()),
    "since since": ls.Since(ls.Since(ls.Counter("value"))),
}
DRIVEN = {name: ls.Linear(0.1, 0.0, 10).on(clock) for name, clock in CLOCKS.items()}
# Equal numbers everywhere, and two clocks that begin alike.
ALIKE = ls.Constant(0.1, 10) >> ls.Linear(10.0, 10.0, 10) * ls.reduce_on_plateau() * ls.reduce_on_plateau()
TRANSFORMS: dict[str, Any] = {
    **{name: lambda s=s: ls.scale_by_learning_rate(s) for name, s in DRIVEN.items()},
    **{f"live {name}": lambda s=s: ls.scale_by_learning_rate(s, live=True) for name, s in DRIVEN.items()},
    "alike": lambda: ls.scale_by_learning_rate(ALIKE),
    "live alike": lambda: ls.scale_by_learning_rate(ALIKE, live=True),
    "number": lambda: ls.scale_by_learning_rate(0.1, live=True),
    "started": lambda: ls.scale_by_learning_rate(ALIKE, start=7),
    "scheduled": lambda: ls.scheduled(optax.adamw)(ALIKE, b1=0.9, b2=0.9, weight_decay=0.1 * ALIKE),
    "live scheduled": lambda: ls.scheduled(optax.adamw, live=True)(ALIKE, b1=0.9, b2=0.9, weight_decay=0.1 * ALIKE),
    "layerwise": lambda: ls.layerwise(ALIKE, 0.5, len, live=True),
    "accumulate": lambda: ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(ALIKE), 2)),
    "stateful": lambda: optax.inject_hyperparams(optax.sgd)(ls.as_stateful(ALIKE, live=True)),
    "chain": lambda: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(ALIKE), ls.scale_by_learning_rate(ALIKE)),
    "partition": lambda: optax.partition(dict.fromkeys("xy", ls.scale_by_learning_rate(ALIKE)), {"w": "x", "b": "y"}),
}


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():
        yield


def assert_no_buffer_twice(tree):
    seen: dict[int, str] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        pointer = leaf.unsafe_buffer_pointer()
        assert pointer not in seen, (jax.tree_util.keystr(path), seen[pointer])
        seen[pointer] = jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_first_state_of_a_transform_is_donated(name):
    optimizer = TRANSFORMS[name]()
    assert_no_buffer_twice(jax.jit(optimizer.init)(PARAMS))
    assert_no_buffer_twice(optimizer.init(PARAMS))
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, PARAMS, value=1.0)[1], donate_argnums=0)
    state = update(update(optimizer.init(PARAMS)))
    assert all(np.all(np.isfinite(rate)) for rate in ls.learning_rates(state).values())


@pytest.mark.parametrize("name", DRIVEN)
def test_a_first_state_of_clocks_is_donated(name):
    s = DRIVEN[name]
    assert_no_buffer_twice(CLOCKS[name].init())
    for state in (
        ls.init(s),
        ls.init(s, step=5),
        ls.tick(s, ls.init(s), value=1.0),
        ls.tick(s, ls.init(s), steps=0, value=None),
    ):
        assert_no_buffer_twice(state)
    tick = jax.jit(lambda state: ls.tick(s, state, value=1.0), donate_argnums=0)
    assert int(tick(tick(ls.init(s))).step) == 2


def test_what_was_given_is_not_donated_with_the_state():
    """A state is made of copies: the numbers of the schedule, and the count to start from, outlive it."""
    count, peak = jnp.int32(5), jnp.float32(0.5)
    s = ls.Linear(peak, 0.0, 10) * ls.reduce_on_plateau()
    optimizer = ls.scale_by_learning_rate(s, live=True, start=count)
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, value=1.0)[1], donate_argnums=0)
    state = update(ls.replace_schedule(optimizer.init(PARAMS), s))
    np.testing.assert_allclose([ls.learning_rate(state), peak, count], [0.25, 0.5, 5])


def test_a_train_state_of_flax_is_donated():
    model = nn.Dense(1)
    params = model.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=model.apply, params=params, tx=TRANSFORMS["chain"]())

    def train(state):
        grads = jax.tree.map(jnp.ones_like, state.params)
        updates, opt_state = state.tx.update(grads, state.opt_state, state.params, value=1.0)
        return state.replace(params=optax.apply_updates(state.params, updates), opt_state=opt_state)

    step = jax.jit(train, donate_argnums=0)
    step(step(state))


def test_an_optimizer_of_nnx_is_donated():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, TRANSFORMS["live alike"](), wrt=nnx.Param)

    @nnx.jit(donate_argnums=(0, 1))
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda model: jnp.sum(model(jnp.ones((1, 3)))))(model), value=1.0)

    step(model, optimizer)
    step(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), 0.1)


def test_equinox_donates_all():
    optimizer = TRANSFORMS["live scheduled"]()

    @eqx.filter_jit(donate="all")
    def step(params, state):
        updates, state = optimizer.update(params, state, params, value=1.0)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.copy, PARAMS)
    params, state = step(params, optimizer.init(params))
    step(params, state)
