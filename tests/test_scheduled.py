"""Every hyperparameter of an optax factory from schedules."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed

import lrsched as ls

pytestmark = pytest.mark.usefixtures("promoting")  # optax mixes types


@pytest.fixture
def promoting():
    with relaxed():
        yield


PARAMS: Any = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
RATE = ls.one_cycle(0.1, 20)
MOMENTUM = ls.one_cycle_momentum(20)


def loss(params):
    return jnp.sum((params["w"] - 0.3) ** 2) + jnp.sum((params["b"] + 0.2) ** 4)


def trained(optimizer, params=PARAMS, steps=20, **observations):
    """The parameters and the state after some updates in one compiled scan."""

    def body(carry, _):
        params, state = carry
        grads = jax.grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, **observations)
        return (optax.apply_updates(params, updates), state), None

    start = (params, optimizer.init(params))
    return jax.jit(lambda start: jax.lax.scan(body, start, length=steps)[0])(start)


def close(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x, np.float32), np.asarray(y, np.float32), **tolerance)


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        (optax.adamw, {"learning_rate": RATE, "b1": MOMENTUM, "weight_decay": 0.1 * RATE}),
        (optax.sgd, {"learning_rate": RATE, "momentum": MOMENTUM, "nesterov": True}),
        (optax.lion, {"learning_rate": RATE, "b2": ls.Linear(0.9, 0.99, 20)}),
        (optax.rmsprop, {"learning_rate": RATE, "decay": MOMENTUM, "eps": 1e-6}),
        (optax.adafactor, {"learning_rate": RATE, "min_dim_size_to_factor": 2, "decay_rate": 0.9}),
        (optax.add_decayed_weights, {"weight_decay": RATE}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_it_is_the_optimizer_made_anew_for_each_update(factory, arguments):
    params, _ = trained(ls.scheduled(factory)(**arguments))
    state, expected = None, PARAMS
    for t in range(20):
        now = {name: float(x(t)) if isinstance(x, ls.Schedule) else x for name, x in arguments.items()}
        optimizer: Any = factory(**now)
        state = optimizer.init(expected) if state is None else state
        updates, state = optimizer.update(jax.grad(loss)(expected), state, expected)
        expected = optax.apply_updates(expected, updates)
    close(params, expected, rtol=2e-5, atol=1e-6)


def test_it_is_inject_hyperparams_on_pure_schedules():
    arguments: Any = {"learning_rate": RATE, "b1": MOMENTUM, "weight_decay": 0.1 * RATE}
    params, state = trained(ls.scheduled(optax.adamw)(**arguments))
    expected, their_state = trained(optax.inject_hyperparams(optax.adamw)(**arguments))
    close(params, expected, rtol=1e-4)  # theirs have b2 and eps in float32 as well
    for name, value in ls.hyperparameters(state).items():
        np.testing.assert_allclose(value, ls.hyperparameters(their_state)[name], rtol=1e-6)


@pytest.mark.parametrize("type_", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_hyperparameters_are_float32_whatever_the_parameters(type_):
    params = jax.tree.map(lambda x: x.astype(type_), PARAMS)
    optimizer: Any = ls.scheduled(optax.adamw)(RATE, b1=MOMENTUM, b2=0.999)
    after, state = trained(optimizer, params)
    assert {x.dtype for x in jax.tree.leaves(after)} == {np.dtype(type_)}
    assert {x.dtype for x in ls.hyperparameters(state).values()} == {np.dtype("float32")}
    np.testing.assert_allclose(ls.hyperparameters(state)["b2"], 0.999, rtol=1e-6)
    expected, _ = trained(optimizer)
    close(after, expected, atol=0.05)
    assert jax.tree.all(jax.tree.map(lambda x: jnp.isfinite(x).all(), after))
    # What optax does by itself: b2 is 1 in bfloat16.
    if type_ == jnp.bfloat16:
        theirs, _ = trained(optax.inject_hyperparams(optax.adamw)(RATE, b2=0.999), params)
        assert not jax.tree.all(jax.tree.map(lambda x: jnp.isfinite(x).all(), theirs))


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        (optax.novograd, {"learning_rate": RATE}),
        (optax.lamb, {"learning_rate": RATE, "weight_decay": 0.1 * RATE}),
        (optax.adafactor, {"learning_rate": RATE, "decay_rate": MOMENTUM}),
        (optax.clip_by_global_norm, {"max_norm": RATE}),
        (optax.rmsprop, {"learning_rate": RATE, "decay": MOMENTUM}),
        (optax.sgd, {"learning_rate": RATE, "momentum": MOMENTUM}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
@pytest.mark.parametrize("live", [False, True])
def test_any_factory_keeps_the_types_of_bfloat16(factory, arguments, live):
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    optimizer: Any = ls.scheduled(factory, live=live)(**arguments)
    before = jax.tree.map(jnp.result_type, optimizer.init(params))
    after, state = trained(optimizer, params, steps=5)
    assert {x.dtype for x in jax.tree.leaves(after)} == {np.dtype(jnp.bfloat16)}
    assert jax.tree.map(jnp.result_type, state) == before
    assert jax.tree.all(jax.tree.map(lambda x: jnp.isfinite(x).all(), after))


def test_driven_schedules_hear_what_update_is_given():
    plateau = ls.reduce_on_plateau(factor=0.5, patience=3)
    optimizer: Any = ls.scheduled(optax.adamw)(0.1 * plateau, weight_decay=0.01 * plateau, b1=MOMENTUM)
    _, state = trained(optimizer, steps=10, value=1.0)  # reduced after observations 5 and 9
    values = ls.hyperparameters(state)
    np.testing.assert_allclose([values["learning_rate"], values["weight_decay"]], [0.025, 0.0025], rtol=1e-6)
    np.testing.assert_allclose(values["b1"], MOMENTUM(9), rtol=1e-6)


def test_each_hears_its_own_metric_and_a_typing_error_is_told():
    optimizer: Any = ls.scheduled(optax.adamw)(
        ls.reduce_on_plateau(0.5, patience=0), weight_decay=ls.reduce_on_plateau(0.5, "max", 0, monitor="accuracy")
    )
    state = optimizer.init(PARAMS)
    for observed in (
        {"value": 1.0, "accuracy": None},
        {"value": 1.0, "accuracy": None},
        {"value": None, "accuracy": 1.0},
        {"unknown": 1.0, "value": 0.5, "accuracy": None},
    ):
        _, state = optimizer.update(PARAMS, state, PARAMS, **observed)
    values = ls.hyperparameters(state)
    assert (values["learning_rate"], values["weight_decay"]) == (0.5, 1.0)
    with pytest.raises(TypeError, match=r"no clock monitors 'acuracy'.*did you mean accuracy="):
        optimizer.update(PARAMS, state, PARAMS, value=1.0, acuracy=1.0)


def test_sizes_and_functions_go_to_the_factory_as_they_are():
    mask = jax.tree.map(lambda x: x.ndim > 1, PARAMS)
    optimizer: Any = ls.scheduled(optax.adamw)(RATE, mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params))
    expected, _ = trained(ls.scheduled(optax.adamw)(RATE, mask=mask))
    close(trained(optimizer)[0], expected)
    _, state = trained(ls.scheduled(optax.adamw)(1, b1=0.5), steps=1)  # an int is a number, unless the factory wants one
    assert {name: float(x) for name, x in ls.hyperparameters(state).items()} == {"learning_rate": 1.0, "b1": 0.5}


def test_bad_arguments_are_told():
    with pytest.raises(TypeError, match=r"scheduled\(factory=3\): expected a function that makes an optimizer"):
        ls.scheduled(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        TypeError, match=r"scheduled\(adamw\)\(\.\.\.\): expected .* Hint: missing a required argument: 'learning_rate'"
    ):
        ls.scheduled(optax.adamw)(b1=RATE)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match=r"scheduled\(sgd\)\(learning_rate=\.\.\.\): expected one schedule, got a batch"):
        ls.scheduled(optax.sgd)(ls.Linear(0.0, np.ones(3), 10))


def test_as_stateful_is_what_inject_hyperparams_takes():
    s = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=0)
    optimizer: Any = optax.inject_hyperparams(optax.sgd)(learning_rate=ls.as_stateful(s))
    _, state = trained(optimizer, steps=3, value=1.0)
    np.testing.assert_allclose(ls.learning_rate(state), 0.05, rtol=1e-6)


def test_groups_have_schedules_of_their_own():
    groups: Any = {"slow": ls.scheduled(optax.sgd)(0.01 * RATE), "fast": ls.scheduled(optax.sgd)(RATE)}
    optimizer: Any = optax.partition(groups, {"w": "slow", "b": "fast"})
    _, state = trained(optimizer, steps=3)
    np.testing.assert_allclose(ls.learning_rate(state, at="fast"), RATE(2), rtol=1e-6)
    np.testing.assert_allclose(ls.learning_rate(state, at="slow"), 0.01 * RATE(2), rtol=1e-6)
    with pytest.raises(ValueError, match=r"expected one rate, got 2, at .*fast.*slow"):
        ls.learning_rate(state)
    with pytest.raises(ValueError, match=r"of what is there to answer: fast, slow"):
        ls.learning_rate(state, at="medium")


def test_a_plateau_observes_the_mean_over_accumulated_batches():
    inner = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0))
    losses = np.array([[1.0, 3.0], [5.0, -1.0], [2.0, 2.0], [3.0, 0.9]])  # the mean is flat, but for the last
    rates = {}
    for name, optimizer in (
        ("mean", ls.accumulate(optax.MultiSteps(inner, 2))),
        ("last", optax.MultiSteps(inner, 2).gradient_transformation()),
    ):
        state, update = optimizer.init(PARAMS), jax.jit(optimizer.update)
        rates[name] = []
        for loss in losses.ravel():
            _, state = update(PARAMS, state, PARAMS, value=loss.astype(np.float32))
            rates[name].append(float(ls.learning_rate(state)))
    np.testing.assert_allclose(rates["mean"][1::2], [0.1, 0.1, 0.05, 0.025], rtol=1e-6)
    np.testing.assert_allclose(rates["last"][1::2], [0.1, 0.1, 0.1, 0.05], rtol=1e-6)  # 3, -1, 2: two improve
    with pytest.raises(TypeError, match=r"expected an optax\.MultiSteps"):
        ls.accumulate(inner)  # pyright: ignore[reportArgumentType]
