"""The rate, the schedule and the clocks, wherever in the state of an optimizer they are."""

import subprocess
import sys
from typing import Any

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

PARAMS: Any = {"a": jnp.ones(3), "b": jnp.ones((2, 2))}
SCHEDULE = ls.Linear(0.1, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0)


@pytest.fixture(autouse=True)
def promoting():
    with relaxed():  # optax and flax mix types
        yield


def rate(live=False) -> Any:
    return ls.scale_by_learning_rate(SCHEDULE, live=live)


WRAPPERS = {
    "by itself": lambda live: rate(live),
    "chain": lambda live: optax.chain(optax.clip(1.0), optax.scale_by_adam(), rate(live)),
    "named chain": lambda live: optax.named_chain(("adam", optax.scale_by_adam()), ("rate", rate(live))),
    "masked": lambda live: optax.masked(rate(live), {"a": True, "b": False}),
    "partition": lambda live: optax.partition({"x": rate(live), "y": optax.set_to_zero()}, {"a": "x", "b": "y"}),
    "multi_transform": lambda live: optax.multi_transform({"x": rate(live), "y": optax.sgd(0.5)}, {"a": "x", "b": "y"}),
    "multi-steps": lambda live: optax.MultiSteps(rate(live), 1).gradient_transformation(),
    "apply_if_finite": lambda live: optax.apply_if_finite(rate(live), 3),
    "scheduled": lambda live: ls.scheduled(optax.adamw, live=live)(SCHEDULE, weight_decay=0.1),
    "scheduled, chained": lambda live: optax.chain(optax.clip(1.0), ls.scheduled(optax.sgd, live=live)(SCHEDULE)),
    "nested": lambda live: optax.chain(
        optax.masked(optax.chain(optax.apply_if_finite(rate(live), 2)), {"a": True, "b": False})
    ),
    "layerwise": lambda live: ls.layerwise(SCHEDULE, 0.5, len, live=live),
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("live", [False, True])
def test_it_is_found_read_replaced_and_observed(name, live):
    optimizer = WRAPPERS[name](live)
    state, update = optimizer.init(PARAMS), jax.jit(optimizer.update)
    np.testing.assert_allclose(ls.learning_rate(state), 0.1)  # of the update to come
    for _ in range(3):
        _, state = update(PARAMS, state, PARAMS, value=None)
    np.testing.assert_allclose(ls.learning_rate(state), 0.08, rtol=1e-6)
    np.testing.assert_allclose(ls.hyperparameters(state)["learning_rate"], 0.08, rtol=1e-6)
    if not live:
        with pytest.raises(ValueError, match="make the transform with live=True"):
            ls.schedule(state)
        return
    assert ls.schedule(state) == SCHEDULE
    structure = jax.tree.structure(state)
    state = ls.replace_schedule(state, ls.Linear(1.0, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0))
    state = ls.observe(ls.observe(state, value=1.0), value=1.0)
    assert jax.tree.structure(state) == structure
    _, state = update(PARAMS, state, PARAMS, value=None)
    np.testing.assert_allclose(ls.learning_rate(state), 0.35, rtol=1e-6)


def test_injected_hyperparameters_of_optax_are_found():
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=ls.Linear(0.1, 0.0, 10), b1=0.8)
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS))
    values = ls.hyperparameters(state)
    np.testing.assert_allclose([values["learning_rate"], values["b1"]], [0.1, 0.8], rtol=1e-6)


def test_hyperparameters_of_several_transforms_are_gathered_unless_their_names_meet():
    optimizer = optax.chain(ls.scheduled(optax.scale_by_adam)(b1=ls.one_cycle_momentum(10)), rate())
    assert set(ls.hyperparameters(optimizer.init(PARAMS))) == {"b1", "learning_rate"}
    both = optax.chain(ls.scheduled(optax.sgd)(0.1), rate())
    with pytest.raises(ValueError, match=r"expected one value of learning_rate, got 2, at 0/hyperparams/learning_rate, 1"):
        ls.hyperparameters(both.init(PARAMS))
    with pytest.raises(ValueError, match=r"expected hyperparameters in this state, got none. Hint: make the optimizer with"):
        ls.hyperparameters(optax.adam(0.1).init(PARAMS))


def test_a_train_state_of_flax():
    model = nn.Dense(1)
    params = model.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.chain(optax.scale_by_adam(), rate(live=True)))
    with pytest.warns(UserWarning, match="update was not given 'value'.*observe"):  # apply_gradients takes no metric
        state = state.apply_gradients(grads=params)
    np.testing.assert_allclose(ls.learning_rate(state), 0.1)
    state = ls.replace_schedule(ls.observe(ls.observe(state, value=1.0), value=1.0), SCHEDULE)
    assert isinstance(state, TrainState)
    assert ls.schedule(state) == SCHEDULE
    state = state.apply_gradients(grads=params)
    np.testing.assert_allclose(ls.learning_rate(state), 0.045, rtol=1e-6)


def test_an_optimizer_of_nnx():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(3, 1, rngs=rngs)

    model = Model(nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, optax.chain(optax.scale_by_adam(), rate(live=True)), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer):
        grads = nnx.grad(lambda model: jnp.sum(model.layer(jnp.ones((1, 3))) ** 2))(model)
        optimizer.update(model, grads, value=None)

    update(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), 0.1)
    assert ls.schedule(optimizer) == SCHEDULE
    new = ls.Linear(1.0, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0)
    for _ in range(2):
        assert ls.observe(ls.replace_schedule(optimizer, new), value=1.0) is optimizer
    update(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), 0.45, rtol=1e-6)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, optax
import lrsched as ls
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

assert jax.device_count() == 4
mesh = Mesh(np.array(jax.devices()), ("data",))
batch = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, P("data")))
params = jax.device_put(jnp.ones(()), NamedSharding(mesh, P()))
optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=1))

@jax.jit
def step(params, state, batch):
    loss = jnp.mean(batch) + 0.0 * params
    updates, state = optimizer.update(jnp.zeros_like(params), state, params, value=loss)
    return optax.apply_updates(params, updates), state

state = optimizer.init(params)
for _ in range(4):
    params, state = step(params, state, batch)
print(ls.learning_rate(state), state.clocks[0].best)

everywhere = NamedSharding(mesh, P())
live = ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 10), live=True)
state = ls.replace_schedule(jax.device_put(live.init(params), everywhere), ls.Linear(0.5, 0.0, 10))
assert all(x.sharding == everywhere for x in jax.tree.leaves(state))  # or the next step would be compiled again
"""


@pytest.mark.system
def test_a_metric_of_a_batch_and_a_state_that_are_on_several_devices(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    done = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["0.05", "3.5"]), done.stderr
