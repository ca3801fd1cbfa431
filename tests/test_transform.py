"""The transform does what optax does with a schedule, and the rate is found in whatever optax wraps around it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import bits, relaxed

import lrsched as ls

PARAMS = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": (jnp.asarray([0.1, 0.2, -0.3]), jnp.float32(1.0))}
WARM = ls.warmup_cosine(0.1, 4, 12, end=0.01)
STEPS = 15


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():  # optax.adam takes a float to the power of a count
        yield


def gradients(t, params=PARAMS):
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(t)
    return jax.tree.unflatten(structure, [jnp.asarray(rng.normal(size=x.shape), x.dtype) for x in leaves])


def run(optimizer: Any, steps=STEPS, params: Any = PARAMS, jit=True, **observations) -> Any:
    """The updates of each step, and the last state."""
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state, history = optimizer.init(params), []
    for t in range(steps):
        updates, state = update(gradients(t, params), state, params, **observations)
        params = optax.apply_updates(params, updates)
        history.append(updates)
    return history, state


def assert_equal_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert bits(a) == bits(b)


def ours(*links, schedule=WARM):
    return optax.chain(*links, ls.scale_by_learning_rate(schedule))


TWINS = {
    "scale_by_schedule": (lambda: ours(), lambda: optax.scale_by_schedule(lambda t: -WARM(t))),
    "scale_by_learning_rate": (lambda: ls.scale_by_learning_rate(WARM), lambda: optax.scale_by_learning_rate(WARM)),
    "upwards": (
        lambda: ls.scale_by_learning_rate(WARM, flip_sign=False),
        lambda: optax.scale_by_learning_rate(WARM, flip_sign=False),
    ),
    "sgd": (lambda: ours(), lambda: optax.sgd(WARM)),
    "momentum": (lambda: ours(optax.trace(0.9)), lambda: optax.sgd(WARM, momentum=0.9)),
    "adam": (lambda: ours(optax.scale_by_adam()), lambda: optax.adam(WARM)),
    "adamw": (
        lambda: ours(optax.scale_by_adam(), optax.add_decayed_weights(0.01)),
        lambda: optax.adamw(WARM, weight_decay=0.01),
    ),
    "clipped": (
        lambda: optax.chain(optax.clip(0.1), ours()),
        lambda: optax.chain(optax.clip(0.1), optax.sgd(WARM)),
    ),
    "multi-steps": (
        lambda: optax.MultiSteps(ours(optax.scale_by_adam()), 3),
        lambda: optax.MultiSteps(optax.adam(WARM), 3),
    ),
    "a number": (lambda: ls.scale_by_learning_rate(0.03), lambda: optax.sgd(0.03)),
}


@pytest.mark.parametrize("name", TWINS)
def test_updates_equal_those_of_optax(name):
    mine, twin = TWINS[name]
    assert_equal_bits(run(mine())[0], run(twin())[0])
    if name in ("sgd", "adamw"):
        assert_equal_bits(run(mine(), 4, jit=False)[0], run(twin(), 4, jit=False)[0])


def test_follows_optax_on_a_schedule_of_its_own():
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.1, 4, 12, 0.01)
    mine, twin = run(ours(optax.scale_by_adam()))[0], run(optax.adam(theirs))[0]
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(twin), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8)


def test_update_number_t_uses_the_value_at_t():
    history, _ = run(ls.scale_by_learning_rate(WARM), 5)
    for t, updates in enumerate(history):
        np.testing.assert_allclose(updates["w"], -np.asarray(WARM(t)) * np.asarray(gradients(t)["w"]), rtol=1e-6)


@pytest.mark.parametrize("type_", ["bfloat16", "float16"])
def test_updates_keep_their_own_type(type_):
    params = jax.tree.map(lambda x: x.astype(type_), PARAMS)
    for s in (WARM, ls.triangular(0.001, 0.1, 4)):
        mine, state = run(ours(schedule=s), 6, params)
        assert_equal_bits(mine, run(optax.sgd(s), 6, params)[0])
        assert all(leaf.dtype == type_ for leaf in jax.tree.leaves(mine))
        assert ls.learning_rate(state).dtype == jnp.float32


def test_what_is_not_there_is_not_updated():
    optimizer = ls.scale_by_learning_rate(2.0)
    some: Any = {"a": jnp.ones(2), "b": None}
    updates, _ = optimizer.update(some, optimizer.init(some))
    assert jax.tree.structure(updates) == jax.tree.structure(some)
    np.testing.assert_array_equal(jax.tree.leaves(updates), [[-2, -2]])


def test_numbers_are_lifted():
    for number in (0.5, np.float64(0.5), jnp.float32(0.5)):
        _, state = run(ls.scale_by_learning_rate(number), 2)
        assert ls.learning_rate(state) == 0.5
    rates = jax.vmap(lambda x: ls.learning_rate(ls.scale_by_learning_rate(x).init({})))(jnp.asarray([0.1, 0.2]))
    np.testing.assert_allclose(rates, [0.1, 0.2])


def test_metrics_reach_the_plateau_through_a_chain():
    s = WARM * ls.reduce_on_plateau(0.5, patience=1)
    optimizer = optax.chain(optax.clip(1.0), optax.scale_by_adam(), ls.scale_by_learning_rate(s))
    _, state = run(optimizer, 10, value=jnp.float32(1.0))
    np.testing.assert_allclose(ls.learning_rate(state), WARM(9) * 0.5**4, rtol=1e-6)
    _, state = run(optimizer, 10, value=None)
    np.testing.assert_allclose(ls.learning_rate(state), WARM(9), rtol=1e-6)


def test_each_metric_reaches_its_own_clock():
    scale = ls.reduce_on_plateau(0.5, patience=0, monitor="loss")
    other = ls.reduce_on_plateau(0.1, patience=0, monitor="score", mode="max")
    _, state = run(ls.scale_by_learning_rate(scale * other), 4, loss=jnp.float32(1.0), score=None)
    np.testing.assert_allclose(ls.learning_rate(state), 0.25)


def test_a_plateau_over_accumulated_gradients_observes_updates_only():
    s = ls.reduce_on_plateau(0.5, patience=0)
    optimizer = optax.MultiSteps(ls.scale_by_learning_rate(s), 2)
    _, state = run(optimizer, 6, value=jnp.float32(1.0))
    np.testing.assert_allclose(ls.learning_rate(state), 0.5)


def test_a_traced_schedule_trains():
    @jax.jit
    def train(s):
        optimizer = ours(optax.scale_by_adam(), schedule=s)

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.tree.map(jnp.cos, params), state, params)
            return (optax.apply_updates(params, updates), state), ls.learning_rate(state)

        return jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), length=STEPS)[1]

    np.testing.assert_allclose(train(WARM), WARM(np.arange(STEPS)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(jax.vmap(train)(ls.stack([WARM, WARM * 2]))[1], 2 * WARM(np.arange(STEPS)), rtol=1e-6, atol=1e-9)


def labels(params):
    return {"w": "slow", "b": jax.tree.map(lambda _: "fast", params["b"])}


PLACES = {
    "alone": lambda tx: tx,
    "chain": lambda tx: optax.chain(optax.scale_by_adam(), tx),
    "chain in a chain": lambda tx: optax.chain(optax.chain(optax.clip(1.0), optax.chain(tx)), optax.identity()),
    "masked": lambda tx: optax.masked(tx, {"w": True, "b": (True, False)}),
    "partition": lambda tx: optax.partition({"slow": tx, "fast": optax.set_to_zero()}, labels),
    "multi-steps": lambda tx: optax.MultiSteps(optax.chain(optax.scale_by_adam(), tx), 1),
    "apply if finite": lambda tx: optax.apply_if_finite(tx, 3),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_rate_is_found(name):
    optimizer = PLACES[name](ls.scale_by_learning_rate(WARM))
    assert ls.learning_rate(optimizer.init(PARAMS)) == WARM(0)
    _, state = run(optimizer, 4)
    np.testing.assert_allclose(ls.learning_rate(state), WARM(3), rtol=1e-7)


def test_the_rate_is_found_after_inject_hyperparams():
    optimizer = optax.inject_hyperparams(optax.adamw)(learning_rate=WARM, b1=ls.Linear(0.8, 0.9, 10))
    history, state = run(optimizer, 4)
    np.testing.assert_allclose(ls.learning_rate(state), WARM(3), rtol=1e-7)
    np.testing.assert_allclose(state.hyperparams["b1"], 0.83, rtol=1e-6)
    _, state = run(optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(learning_rate=WARM)), 4)
    np.testing.assert_allclose(ls.learning_rate(state), WARM(3), rtol=1e-7)
    plain = run(optax.inject_hyperparams(optax.adamw)(learning_rate=lambda t: WARM(t), b1=ls.Linear(0.8, 0.9, 10)), 4)[0]
    assert_equal_bits(history, plain)


@pytest.mark.parametrize("make", [optax.adamw, optax.sgd, optax.lion, lambda s: optax.MultiSteps(optax.adam(s), 1)])
def test_after_an_optimizer_of_optax_the_schedule_is_needed(make):
    _, state = run(make(WARM), 4)
    assert ls.learning_rate(state, WARM) == WARM(3)
    assert ls.learning_rate(make(WARM).init(PARAMS), WARM) == WARM(0)
    with pytest.raises(ValueError, match=r"learning_rate\(state, schedule\)"):
        ls.learning_rate(state)


def test_a_schedule_that_is_not_needed_does_no_harm():
    _, state = run(ours(optax.scale_by_adam()), 4)
    np.testing.assert_allclose(ls.learning_rate(state, ls.Constant(7.0)), WARM(3), rtol=1e-7)


def test_no_rate_is_an_error():
    for state in (optax.adam(0.1).init(PARAMS), optax.EmptyState(), (), None):
        with pytest.raises(ValueError, match="expected a rate in this state, got none"):
            ls.learning_rate(state)


def test_several_rates_are_an_error_that_lists_them():
    slow, fast = ls.scale_by_learning_rate(0.1), ls.scale_by_learning_rate(0.2)
    state: Any = optax.partition({"slow": slow, "fast": fast}, labels).init(PARAMS)
    with pytest.raises(ValueError, match=r"expected one rate, got 2.*fast.*slow"):
        ls.learning_rate(state)
    assert ls.learning_rate(state.inner_states["slow"]) == np.float32(0.1)


def test_what_cannot_be_a_rate_is_refused():
    wrongs: Any = ("0.1", None, [0.1, "a"], object())
    for wrong in wrongs:
        with pytest.raises(TypeError):
            ls.scale_by_learning_rate(wrong)
    for batch in (ls.stack([WARM, WARM]), np.array([0.1, 0.2])):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            ls.scale_by_learning_rate(batch)
    with pytest.raises(ValueError, match=r"=nan\): expected a finite number"):
        ls.scale_by_learning_rate(float("nan"))


def test_the_state_keeps_its_structure_and_types():
    optimizer = ours(optax.scale_by_adam(), schedule=WARM * ls.reduce_on_plateau())
    first = optimizer.init(PARAMS)
    _, after = run(optimizer, 2, value=1.0)
    assert jax.tree.structure(first) == jax.tree.structure(after)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(after), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)


def test_a_schedule_is_no_stateful_schedule_to_optax():
    assert not hasattr(ls.Schedule, "init")
    assert not hasattr(ls.Schedule, "update")
