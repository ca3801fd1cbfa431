"""Gradient accumulation: every clock sees all small batches of an update, and none that was rejected."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed, x64

import lrsched as ls

PARAMS = {"w": jnp.ones(3), "b": jnp.ones(2)}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():
        yield


@ls.node
class Loudest(ls.Clock):
    """The largest observation of all updates, and how many there were."""

    monitor = "noise"
    combine = "max"

    def init(self):
        return jnp.zeros(()), jnp.zeros((), jnp.int32)

    def tick(self, state, steps, observations):
        del steps
        if "noise" not in observations:
            return state
        return jnp.maximum(state[0], jnp.float32(observations["noise"])), state[1] + 1

    def read(self, state):
        return state[0]

    def report(self, state):
        return {"noise": state[0], "updates": state[1]}


@ls.node
class Summed(Loudest):
    """The same with the sum of each update."""

    combine = "sum"


RATE = ls.Linear(1.0, 0.0, 1000)
TOKENS = RATE.on(ls.Counter("tokens"))
WRAPPERS: dict[str, Any] = {
    "alone": lambda s: ls.scale_by_learning_rate(s),
    "live": lambda s: ls.scale_by_learning_rate(s, live=True),
    "chain": lambda s: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s)),
    "scheduled": lambda s: ls.scheduled(optax.adamw)(s, weight_decay=0.1 * s),
    "layerwise": lambda s: ls.layerwise(s, 0.5, lambda _: 0),
    "masked": lambda s: optax.masked(ls.scale_by_learning_rate(s), {"w": True, "b": False}),
    "partition": lambda s: optax.partition({"x": ls.scale_by_learning_rate(s), "y": optax.sgd(0.1)}, {"w": "x", "b": "y"}),
    "finite": lambda s: optax.apply_if_finite(ls.scale_by_learning_rate(s), 3),
    "stateful": lambda s: optax.inject_hyperparams(optax.sgd)(ls.as_stateful(s)),
}


def run(optimizer, small_batches, jit=True, grads=None):
    """The state after each small batch."""
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state, states = optimizer.init(PARAMS), []
    for i, observed in enumerate(small_batches):
        _, state = update(GRADS if grads is None else grads[i], state, PARAMS, **observed)
        states.append(state)
    return states


@pytest.mark.parametrize("name", WRAPPERS)
def test_tokens_add_up_whatever_is_around_the_schedule(name):
    optimizer = ls.accumulate(optax.MultiSteps(WRAPPERS[name](TOKENS), 4))
    states = run(optimizer, [{"tokens": 100}] * 12)
    np.testing.assert_allclose([ls.learning_rate(x) for x in states[3::4]], [1.0, 0.6, 0.2], rtol=1e-6)
    first = optimizer.init(PARAMS)
    assert jax.tree.structure(first) == jax.tree.structure(states[-1])
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(first)] == [(x.shape, x.dtype) for x in jax.tree.leaves(states[-1])]


def test_each_clock_combines_in_its_own_way():
    plateau = ls.reduce_on_plateau(factor=0.5, patience=0)
    noise = ls.Constant(1.0).on(Loudest()) * ls.Constant(1.0).on(Summed())
    cooldown = ls.Linear(1.0, 0.0, 10).on(ls.Since(ls.Counter("stop")))
    s = TOKENS * plateau * noise * cooldown
    small = [
        {"value": 1.0, "tokens": 3, "noise": 5.0, "stop": 0},
        {"value": 3.0, "tokens": None, "noise": 2.0, "stop": 1},  # the signal comes with the first batch but one
        {"value": None, "tokens": 4, "noise": 7.0, "stop": 0},
        {"value": 0.0, "tokens": 1, "noise": 1.0, "stop": None},
        {"value": 4.0, "tokens": 1, "noise": 1.0, "stop": 0},
        {"value": 2.0, "tokens": 1, "noise": 1.0, "stop": 0},
    ]
    states = run(ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(s, live=True), 3)), small)
    after = [ls.readings(x) for x in states]
    assert [float(x["tokens"]) for x in after] == [0, 0, 7, 7, 7, 10]
    assert [float(x["value/best"]) for x in after[2::3]] == [2.0, 2.0]
    assert [int(x["value/plateaus"]) for x in after] == [0, 0, 0, 0, 0, 1]
    assert [float(x["noise"]) for x in after[2::3]] == [7.0, 7.0]
    summed = ls.schedule(states[-1])
    clocks = [part.clock for part in jax.tree.leaves(summed, is_leaf=lambda x: isinstance(x, ls.Driven))]
    own = dict(zip(map(type, clocks), states[-1].multi_steps.inner_opt_state.clocks, strict=True))
    assert (float(own[Summed][0]), int(own[Summed][1])) == (14.0, 2)
    assert [int(x["stop/since"]) for x in after] == [0, 0, 0, 0, 0, 1]


def test_an_update_without_an_observation_moves_no_metric_clock():
    s = ls.reduce_on_plateau(factor=0.5, patience=0)
    optimizer = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(s, live=True), 2))
    small = [{"value": 1.0}, {"value": None}, {"value": None}, {"value": None}, {"value": None}, {"value": 0.5}]
    states = run(optimizer, small)
    assert [float(ls.readings(x)["value/best"]) for x in states] == [np.inf, 1.0, 1.0, 1.0, 1.0, 0.5]
    assert int(ls.readings(states[-1])["value/plateaus"]) == 0  # no plateau at a mean of nothing


def test_a_rejected_small_batch_has_not_happened():
    s = TOKENS * ls.reduce_on_plateau(factor=0.5, patience=0)
    multi = optax.MultiSteps(ls.scale_by_learning_rate(s, live=True), 2, should_skip_update_fn=optax.skip_not_finite)
    bad = jax.tree.map(lambda x: x * jnp.nan, GRADS)
    grads = [GRADS, bad, GRADS, bad, bad, GRADS, GRADS]
    values = [1.0, np.nan, 3.0, np.nan, np.nan, 1.0, 1.0]
    states = run(ls.accumulate(multi), [{"value": v, "tokens": 10} for v in values], grads=grads)
    after = [ls.readings(x) for x in states]
    assert [float(x["tokens"]) for x in after] == [0, 0, 20, 20, 20, 20, 40]
    assert [float(x["value/best"]) for x in after[2:]] == [2, 2, 2, 2, 1]
    assert int(after[-1]["value/plateaus"]) == 0
    kept = [int(x.gathered["value"].seen) for x in states]
    assert kept == [1, 1, 0, 0, 0, 1, 0]


def test_a_rejected_batch_where_an_update_is_one_small_batch():
    multi = optax.MultiSteps(ls.scale_by_learning_rate(TOKENS, live=True), 1, should_skip_update_fn=optax.skip_not_finite)
    bad = jax.tree.map(lambda x: x * jnp.nan, GRADS)
    states = run(ls.accumulate(multi), [{"tokens": 10}] * 4, grads=[GRADS, bad, bad, GRADS])
    assert [float(ls.readings(x)["tokens"]) for x in states] == [10, 10, 10, 20]


def test_the_number_of_small_batches_may_change():
    optimizer = ls.accumulate(
        optax.MultiSteps(ls.scale_by_learning_rate(TOKENS, live=True), lambda step: jnp.where(jnp.asarray(step) < 1, 2, 3))
    )
    states = run(optimizer, [{"tokens": 1}] * 8)
    assert [float(ls.readings(x)["tokens"]) for x in states] == [0, 2, 2, 2, 5, 5, 5, 8]


def test_the_sum_of_tokens_is_exact():
    s = ls.Linear(1.0, 0.0, 2**40).on(ls.Counter("tokens"))
    optimizer = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(s, live=True), 8))
    states = run(optimizer, [{"tokens": 2**27 + 1}] * 16)
    assert ls.readings(states[-1])["tokens"] == 16 * (2**27 + 1)
    states = run(optimizer, [{"tokens": 0.4}] * 16)
    np.testing.assert_allclose(ls.readings(states[-1])["tokens"], 16 * float(np.float32(0.4)), rtol=1e-12)


@pytest.mark.deep
def test_other_transforms_are_given_the_mean():
    seen = []

    def update(updates, state, params=None, *, value, other=None, **extra):
        del params, extra
        seen.append(float(value))
        assert other is None or other == 5
        return updates, state

    spy = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)  # pyright: ignore[reportArgumentType]
    inner = optax.chain(spy, ls.scale_by_learning_rate(ls.reduce_on_plateau()))
    with jax.disable_jit():
        run(ls.accumulate(optax.MultiSteps(inner, 2)), [{"value": x, "other": 5} for x in (1.0, 3.0, 4.0, 4.0)], jit=False)
    assert seen[-1] == 4.0
    assert 2.0 in seen


def test_has_updated_and_scan_and_vmap():
    multi = optax.MultiSteps(ls.scale_by_learning_rate(TOKENS), 2)
    optimizer = ls.accumulate(multi)

    def train(tokens):
        def body(state, n):
            _, state = optimizer.update(GRADS, state, PARAMS, tokens=n)
            return state, (multi.has_updated(state), ls.learning_rate(state))

        return jax.lax.scan(body, optimizer.init(PARAMS), tokens)[1]

    updated, rates = jax.jit(jax.vmap(train))(jnp.asarray([[100] * 6, [50] * 6]))
    np.testing.assert_array_equal(updated, [[False, True] * 3] * 2)
    np.testing.assert_allclose(rates[:, 1::2], [[1.0, 0.8, 0.6], [1.0, 0.9, 0.8]], rtol=1e-6)
    with x64():
        _, rates = jax.jit(train)(jnp.asarray([100] * 6))
        np.testing.assert_allclose(rates[1::2], [1.0, 0.8, 0.6], rtol=1e-12)


def test_mistakes():
    with pytest.raises(TypeError, match=r"expected an optax\.MultiSteps\. Hint: accumulate\(optax\.MultiSteps"):
        ls.accumulate(ls.scale_by_learning_rate(0.1))  # pyright: ignore[reportArgumentType]
    optimizer = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(TOKENS), 2))
    state = optimizer.init(PARAMS)
    with pytest.raises(TypeError, match=r"did you mean tokens=\.\.\.\?"):
        optimizer.update(GRADS, state, PARAMS, tokns=3)
    with pytest.raises(TypeError, match=r"accumulate\(tokens=\.\.\.\): expected a scalar"):
        optimizer.update(GRADS, state, PARAMS, tokens=jnp.ones(2))
    with pytest.raises(ValueError, match=r"expected a number from 0"):
        optimizer.update(GRADS, state, PARAMS, tokens=-1)
    with pytest.warns(UserWarning, match="update was not given 'tokens'") as caught:
        run(optimizer, [{}] * 3, jit=False)
    assert len(caught) == 1

    @ls.node
    class Odd(Loudest):
        combine = "median"

    with pytest.raises(ValueError, match=r"Odd\(combine=.*\): expected 'mean'"):
        ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(RATE.on(Odd())), 2)).init(PARAMS)


@pytest.mark.deep
def test_an_accumulation_inside_of_another():
    inner = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(TOKENS * ls.reduce_on_plateau(), live=True), 2))
    states = run(ls.accumulate(optax.MultiSteps(inner, 2)), [{"tokens": 100, "value": x} for x in (1.0, 3.0, 2.0, 6.0)] * 2)
    found = ls.readings(states[-1])
    assert (float(found["tokens"]), float(found["value/best"])) == (800, 3.0)


def test_an_init_that_is_compiled_inside_is_refused_when_it_no_longer_runs():
    inner = ls.scale_by_learning_rate(TOKENS)
    compiled = optax.GradientTransformationExtraArgs(jax.jit(inner.init), inner.update)
    optimizer: Any = ls.accumulate(optax.MultiSteps(compiled, 4))
    assert set(optimizer.init(PARAMS).gathered) == {"tokens"}
    with pytest.raises(ValueError, match=r"compiled inside. Hint: jit the init of accumulate"):
        optimizer.init(PARAMS)


def test_a_state_made_without_x64_keeps_its_types():
    optimizer = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(TOKENS * ls.reduce_on_plateau()), 2))
    state = optimizer.init(PARAMS)
    with x64():
        after = jax.jit(optimizer.update)(GRADS, state, PARAMS, tokens=3, value=1.0)[1]
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)
