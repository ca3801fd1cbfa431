"""Rates by group, the next rate, clocks' readings, what is written into a state, and starting in the middle."""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import relaxed

import lrsched as ls

PARAMS: Any = {"w": jnp.ones(3), "b": jnp.ones(2)}
LABELS = {"w": "a", "b": "b"}
R = ls.Linear(0.1, 0.0, 10)
PLATEAU = ls.reduce_on_plateau(factor=0.5, patience=0)


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():
        yield


def after(optimizer, steps=3, **extra):
    state, update = optimizer.init(PARAMS), jax.jit(optimizer.update)
    for _ in range(steps):
        _, state = update(PARAMS, state, PARAMS, **extra)
    return state


def ours(s, **options):
    return optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, **options))


def test_a_group_that_keeps_only_a_count():
    state = after(optax.partition({"a": optax.adamw(R), "b": ours(1e-2)}, LABELS))
    with pytest.raises(
        ValueError, match=r"expected one rate, got 2, at .*inner_states/a/.*inner_states/b/.*say which with at="
    ):
        ls.learning_rate(state)
    assert ls.learning_rate(state, R, at="a") == R(2)
    assert ls.learning_rate(state, R) == R(2)  # the one that needs it
    assert ls.learning_rate(state, at="b") == np.float32(1e-2)
    with pytest.raises(ValueError, match=r"only a count of updates\. Hint: write learning_rate\(state, schedule\)"):
        ls.learning_rate(state, at="a")
    with pytest.raises(ValueError, match="only a count of updates"):
        ls.learning_rates(state)
    for schedules in (R, {"a": R}):
        assert ls.learning_rates(state, schedules) == {"a": R(2), "b": np.float32(1e-2)}
    with pytest.raises(ValueError, match="expected labels among a, b, got c"):
        ls.learning_rates(state, {"c": R})
    assert ls.next_learning_rate(state, R, at="a") == R(3)


@pytest.mark.parametrize(
    "labels", [("a", "inner"), ("decay", "no_decay"), ("1", "0"), ("state", "inner_state"), ("x.y", "y"), (0, 10)]
)
def test_a_label_is_matched_whole(labels):
    groups = {label: ours(rate) for label, rate in zip(labels, (0.25, 0.5), strict=True)}
    state = after(optax.partition(groups, dict(zip(PARAMS, labels, strict=True))))
    for label, rate in zip(labels, (0.25, 0.5), strict=True):
        assert ls.learning_rate(state, at=f"inner_states/{label}") == rate
    assert {str(label) for label in labels} == set(ls.learning_rates(state))
    for label, rate in zip(labels, (0.25, 0.5), strict=True):
        assert ls.learning_rate(state, at=label) == rate
    with pytest.raises(ValueError, match=r"at='inn'\): expected a label"):
        ls.learning_rate(state, at="inn")


def nested():
    def labels(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: "y" if "'l'" in jax.tree_util.keystr(path) else "x", params)

    inner = optax.partition({"x": ours(0.5), "y": ls.scheduled(optax.adamw)(R, weight_decay=0.01)}, labels)
    return optax.partition({"x": inner, "z": optax.chain(optax.clip(1.0), ours(0.25))}, {"w": {"k": "x", "l": "x"}, "b": "z"})


def test_groups_in_groups_and_scheduled_inside():
    params: Any = {"w": {"k": jnp.ones(3), "l": jnp.ones(2)}, "b": jnp.ones(2)}
    optimizer = nested()
    _, state = jax.jit(optimizer.update)(params, optimizer.init(params), params)
    assert ls.learning_rates(state) == {"x/x": 0.5, "x/y": R(0), "z": 0.25}
    assert ls.learning_rate(state, at="x/y") == R(0)
    assert ls.learning_rate(state, at="z") == 0.25
    assert set(ls.hyperparameters(state, at="x/y")) == {"learning_rate", "weight_decay"}
    with pytest.raises(ValueError, match="expected one rate, got 2"):
        ls.learning_rate(state, at="x")


def test_scheduled_inside_of_scheduled():
    def factory(learning_rate: Any, decay: Any):
        inner = ls.scheduled(optax.adamw, live=True)(ls.Constant(0.5), weight_decay=decay)
        return optax.chain(inner, optax.scale(learning_rate))

    optimizer = ls.scheduled(factory, live=True)(learning_rate=ls.Constant(0.25), decay=0.01)
    state = after(optimizer)
    assert sorted(map(float, ls.learning_rates(state).values())) == [0.25, 0.5]
    inside, outside = sorted(ls.learning_rates(state), key=len, reverse=True)
    assert (ls.learning_rate(state, at=inside), ls.learning_rate(state, at=outside)) == (0.5, 0.25)
    assert ls.learning_rate(state, at="inner_state") == 0.5
    state = ls.replace_schedule(state, 0.75, at="inner_state")
    assert (ls.schedule(state, at="inner_state"), ls.schedule(state, at=outside)) == (ls.Constant(0.75), ls.Constant(0.25))


def test_keys_of_a_logger():
    s = ls.scale_by_learning_rate(0.5)
    assert ls.learning_rates(s.init(PARAMS)) == {"learning_rate": 0.5}
    assert ls.learning_rates({"actor": s.init(PARAMS), "critic": ours(0.25).init(PARAMS)}) == {"actor": 0.5, "critic": 0.25}
    assert ls.learning_rates(optax.chain(s, ls.scale_by_learning_rate(0.25)).init(PARAMS)) == {"0": 0.5, "1": 0.25}
    injected = optax.inject_hyperparams(optax.adamw)(0.25)
    assert ls.learning_rates(optax.partition({"a": injected, "b": s}, LABELS).init(PARAMS)) == {"a": 0.25, "b": 0.5}


def test_observe_takes_a_group():
    groups: Any = {name: ls.scale_by_learning_rate(PLATEAU, live=True) for name in "ab"}
    state = optax.partition(groups, LABELS).init(PARAMS)
    for _ in range(2):
        state = ls.observe(state, value=1.0, at="a")
    assert [float(ls.next_learning_rate(state, at=at)) for at in "ab"] == [0.5, 1.0]
    assert ls.readings(state, at="a")["value/plateaus"] == 1
    assert {name: int(x) for name, x in ls.readings(state).items() if "plateaus" in name} == {
        "a/value/plateaus": 1,
        "b/value/plateaus": 0,
    }
    with pytest.raises(ValueError, match="at='c'"):
        ls.observe(state, value=1.0, at="c")


def test_the_state_of_nnx_works_like_its_optimizer():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    for make in (ours, lambda s: ls.scheduled(optax.adamw)(s, weight_decay=0.01), lambda s: optax.adamw(s)):
        optimizer = nnx.Optimizer(model, make(R), wrt=nnx.Param)
        grads = nnx.grad(lambda model: jnp.sum(model(jnp.ones((1, 3)))))(model)
        optimizer.update(model, grads)
        optimizer.update(model, grads)
        for holder in (optimizer, nnx.state(optimizer), nnx.split(optimizer)[1]):
            assert ls.learning_rate(holder, R) == R(1)
            assert ls.learning_rates(holder, R) == {"learning_rate": R(1)}
            assert ls.next_learning_rate(holder, R) == R(2)
    assert set(ls.hyperparameters(nnx.state(nnx.Optimizer(model, ls.scheduled(optax.adamw)(R), wrt=nnx.Param)))) == {
        "learning_rate"
    }


# Readers


def test_a_message_that_the_rate_is_reduced(caplog):
    s = 0.1 * PLATEAU
    for live in (True, False):
        given = None if live else s
        state = ours(s, live=live).init(PARAMS)
        with caplog.at_level(logging.INFO):
            for loss in (1.0, 1.0):
                before = float(ls.next_learning_rate(state, given))
                state = ls.observe(state, given, value=loss)
                if (now := float(ls.next_learning_rate(state, given))) < before:
                    logging.getLogger().info("reducing the rate to %g", now)
        assert caplog.messages == ["reducing the rate to 0.05"]
        caplog.clear()
    with pytest.raises(ValueError, match="or give the schedule as well"):
        ls.next_learning_rate(ours(s).init(PARAMS))


def test_readings_of_every_clock():
    clocks = [
        ls.Counter("tokens"),
        ls.Plateau(patience=5),
        ls.SinceBest(monitor="loss"),
        ls.Since(ls.Counter("stop")),
        ls.Steps(),
    ]
    s = ls.Constant(1.0)
    for clock in clocks:
        s = s * ls.Linear(1.0, 0.0, 1e6).on(clock)
    state = ls.init(s)
    for value in (3.0, 2.0, 2.5):
        state = ls.tick(s, state, tokens=2**30 + 1, value=value, loss=value, stop=1)
    expected = {
        "tokens": 3 * (2**30 + 1),
        "value/plateaus": 0,
        "value/bad": 1,
        "value/best": 2.0,
        "loss/since_best": 1,
        "loss/best": 2.0,
        "stop": 3,
        "stop/since": 2,
        "Steps": 3,
    }
    assert {name: float(x) for name, x in ls.readings(state, s).items()} == expected
    live = ls.scale_by_learning_rate(s, live=True)
    assert set(ls.readings(live.init(PARAMS))) == set(expected)
    in_jit = jax.jit(lambda state: ls.readings(state, s))(state)
    np.testing.assert_allclose([in_jit[name] for name in expected], list(expected.values()), rtol=1e-6)
    with pytest.raises(ValueError, match="expected clocks in this state, got none"):
        ls.readings(ls.scale_by_learning_rate(0.1).init(PARAMS))


def test_readings_of_two_clocks_of_one_name():
    s = ls.reduce_on_plateau(0.5, patience=0) * ls.reduce_on_plateau(0.5, patience=5)
    same = ls.scheduled(optax.adamw, live=True)(0.1 * PLATEAU, weight_decay=PLATEAU)
    s = s * ls.reduce_on_plateau(0.5, patience=1)
    state = ls.scale_by_learning_rate(s, live=True).init(PARAMS)
    names = set(ls.readings(state))  # the same in every update, and in jit
    for _ in range(5):
        state = ls.observe(state, value=1.0)
    found = ls.readings(state)
    assert names == set(found) == set(jax.jit(ls.readings)(state))
    assert [int(found[f"value/plateaus{end}"]) for end in ("", "/2", "/3")] == [4, 0, 2]
    assert len(ls.readings(same.init(PARAMS))) == 6


# Written into a state


def test_a_rate_that_is_written_where_it_does_nothing_raises():
    for state in (ls.scale_by_learning_rate(0.1).init(PARAMS), ours(R, live=True).init(PARAMS)):
        with pytest.raises(KeyError):
            optax.tree_utils.tree_set(state, learning_rate=0.5)
    with pytest.raises((ValueError, TypeError), match="learning_rate"):
        ls.scale_by_learning_rate(0.1).init(PARAMS)._replace(learning_rate=0.5)  # pyright: ignore[reportAttributeAccessIssue]
    for optimizer in (ls.scheduled(optax.adamw, live=True)(R), ls.scheduled(optax.adamw)(R)):
        state = optax.tree_utils.tree_set(optimizer.init(PARAMS), learning_rate=0.5)
        with pytest.raises(ValueError, match=r"expected the state that init gave.*replace_schedule"):
            jax.jit(optimizer.update)(PARAMS, state, PARAMS)


def test_a_live_state_of_another_schedule_is_refused():
    one, other = (ls.scale_by_learning_rate(s, live=True) for s in (R, R * PLATEAU))
    with pytest.raises(
        ValueError, match=r"live=True\): expected the state that init gave for Linear.*, got one with live=Linear"
    ):
        one.update(PARAMS, other.init(PARAMS), value=None)
    with pytest.raises(ValueError, match=r"got one with live=\(\)"):
        one.update(PARAMS, ls.scale_by_learning_rate(R).init(PARAMS))


# Starting in the middle

WRAPPED = {
    "adamw": lambda: optax.adamw(R),
    "sgd": lambda: optax.sgd(R),
    "injected": lambda: optax.inject_hyperparams(optax.adamw)(R),
    "adam": lambda: optax.adam(0.1),
    "partition": lambda: optax.partition({"a": optax.adamw(R), "b": optax.sgd(R)}, LABELS),
    "ours": lambda: ours(R),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_schedule_starts_at_the_count_of_another_optimizer(name):
    from flax.serialization import to_state_dict

    old = after(WRAPPED[name](), 7)
    for start in (7, np.int64(7), jnp.int32(7), old, to_state_dict(old)):
        for optimizer in (
            ls.scale_by_learning_rate(R, start=start),
            ls.scale_by_learning_rate(R * PLATEAU, start=start, live=True),
            optax.inject_hyperparams(optax.sgd)(ls.as_stateful(R, start=start)),
        ):
            state = optimizer.init(PARAMS)
            assert ls.learning_rate(state) == R(7)
            _, state = optimizer.update(PARAMS, state, PARAMS, value=None)
            _, state = optimizer.update(PARAMS, state, PARAMS, value=None)
            assert ls.learning_rate(state) == R(8)


def test_what_is_no_start_is_refused():
    for wrong, kind in (
        (-1, ValueError),
        (2**31, ValueError),
        (1.5, TypeError),
        ("7", ValueError),
        (optax.sgd(0.1).init(PARAMS), ValueError),
    ):
        with pytest.raises(kind, match=r"scale_by_learning_rate\(start="):
            ls.scale_by_learning_rate(R, start=wrong)
    two = (optax.adam(0.1).init(PARAMS), after(optax.adam(0.1), 2))
    with pytest.raises(ValueError, match=r"got counts: 0, 2. Hint: pass the part of the state"):
        ls.scale_by_learning_rate(R, start=two)


def test_clocks_start_as_after_updates_without_observations():
    s = (
        (ls.Constant(1.0, 4) >> ls.Linear(1.0, 0.0, 10).on(ls.Steps()))
        * PLATEAU
        * ls.Linear(1.0, 0.0, 9).on(ls.Since(ls.Plateau()))
    )
    for step in (0, 3, 4, 9, 1000):
        slow = ls.init(s)
        for _ in range(min(step, 20)):
            slow = ls.tick(s, slow)
        if step <= 20:
            assert jax.tree.all(jax.tree.map(np.array_equal, ls.init(s, step), slow))
    assert ls.evaluate(s, ls.init(s, 9)) == 0.5
    assert ls.evaluate(s, jax.jit(lambda n: ls.init(s, n))(9)) == 0.5
    assert ls.init(PLATEAU, 2**31 - 1).step == 2**31 - 1  # nothing to run
    np.testing.assert_allclose(jax.vmap(lambda n: ls.evaluate(R, ls.init(R, n)))(jnp.arange(3)), R([0, 1, 2]), rtol=1e-6)


def test_callables_are_schedules():
    theirs = optax.cosine_decay_schedule(0.1, 10)
    for make in (ls.scale_by_learning_rate, lambda f: ls.layerwise(f, 1.0, lambda _: 0)):
        state = after(make(theirs), 4)
        np.testing.assert_allclose(ls.learning_rate(state), theirs(3), rtol=1e-6)
    state = after(optax.inject_hyperparams(optax.sgd)(ls.as_stateful(lambda t: 0.5 / (t + 1))), 4)
    np.testing.assert_allclose(ls.learning_rate(state), 0.125, rtol=1e-6)


def test_two_optimizers_beside_each_other_are_two():
    state = (ours(0.5).init(PARAMS), optax.adam(R).init(PARAMS))
    with pytest.raises(ValueError, match="expected one rate, got 2"):
        ls.learning_rate(state)
    assert ls.learning_rate(state, R) == R(0)
    chained = optax.chain(optax.scale_by_schedule(R), ls.scale_by_learning_rate(0.5)).init(PARAMS)
    assert ls.learning_rate(chained) == 0.5  # of one chain


def test_what_only_looks_like_a_rate_is_none():
    params = {"embed": {"count": jnp.ones(3)}, "hyperparams": {"learning_rate": jnp.ones(3)}}
    state = {"opt_state": ours(0.5).init(params), "metrics": {"count": jnp.int32(0)}, "hyperparams": {"learning_rate": 1.0}}
    assert ls.learning_rates(state) == {"learning_rate": 0.5}


def test_a_stateful_schedule_of_somebody_else_is_not_replaced():
    class Own:
        def init(self):
            return {"n": jnp.zeros(())}

        def update(self, state, **extra):
            del extra
            return {"n": state["n"] + 1}

        def __call__(self, state, **extra):
            del extra
            return 1 / (1 + state["n"])

    state = after(optax.inject_hyperparams(optax.sgd)(Own()))
    assert ls.learning_rate(state) == np.float32(1 / 3)
    for ask in (ls.schedule, lambda x: ls.replace_schedule(x, 0.5), ls.next_learning_rate):
        with pytest.raises(ValueError, match=r"expected a live schedule of learning_rate|expected a schedule of this library"):
            ask(state)


def test_a_live_state_in_a_transform_that_is_not_live_is_refused():
    state = ls.scale_by_learning_rate(R, live=True).init(PARAMS)
    with pytest.raises(
        ValueError,
        match=r"rate\(\.\.\.\): expected the state that init gave for Linear.*, got one with live=Linear",
    ):
        ls.scale_by_learning_rate(R).update(PARAMS, state)


def test_starts_that_are_ambiguous_or_borrowed():
    cyclic = optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau(patience=3, accumulation_size=4))
    state = after(cyclic, 6, value=1.0)
    optimizer: Any = ls.scale_by_learning_rate(R, start=state)
    assert optimizer.init(PARAMS).step == 6
    scheduled = ls.scheduled(optax.adamw, start=5)(R)
    state = jax.jit(scheduled.update)(PARAMS, scheduled.init(PARAMS), PARAMS)[1]
    again = ls.scheduled(optax.adamw, start={"opt_state": state})(R)
    jax.tree.map(lambda x: x.delete(), state)  # as if it was donated
    assert ls.learning_rate(again.init(PARAMS)) == R(6)
    old = after(optax.adam(R), 4)
    in_jit: Any = jax.jit(lambda s: ls.scale_by_learning_rate(R, start=s).init(PARAMS))(old)
    assert in_jit.step == 4


@pytest.mark.deep
def test_a_batch_of_next_rates():
    s = ls.Linear(1.0, 0.0, 10) * PLATEAU
    optimizer = ls.scale_by_learning_rate(s, live=True)
    states = jax.vmap(lambda _: optimizer.init(PARAMS))(jnp.arange(3))
    states = jax.vmap(lambda state, loss: ls.observe(ls.observe(state, value=1.0), value=loss))(
        states, jnp.asarray([0.5, 1.0, 2.0])
    )
    np.testing.assert_array_equal(ls.next_learning_rate(states), [1.0, 0.5, 0.5])
