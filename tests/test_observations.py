"""What clocks are given: any name, exact sums, optax's contract for extra arguments, and a warning where nothing comes."""

import warnings
from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import relaxed, x64

import lrsched as ls
from lrsched.clocks.observations import check_spelling

PARAMS = {"w": jnp.ones(3), "b": jnp.ones(2)}
RATE = ls.Linear(1.0, 0.0, 100)


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():
        yield


# Counters


def counted(values, context=relaxed):
    """What a counter reads after observing an array in one compiled scan, and what a ramp of 100 is then."""
    s = ls.Linear(0.0, 1.0, 100).on(ls.Counter("n"))

    @jax.jit
    def run(values):
        state = jax.lax.scan(lambda state, x: (ls.tick(s, state, n=x), None), ls.init(s), values)[0]
        return state, ls.evaluate(s, state)

    with context():
        state, value = run(values)
        return float(ls.readings(state, s)["n"]), float(value)


@pytest.mark.parametrize("context", [relaxed, x64])
@pytest.mark.parametrize("each", [0.4, 1e-5, 1234.5678])
def test_fractions_add_up(each, context):
    with context():
        values = jnp.full(1000, each)
    total = float(sum(Fraction(float(x)) for x in np.asarray(values)))
    reading, value = counted(values, context)
    np.testing.assert_allclose(reading, total, rtol=len(values) * 2.0**-48)
    np.testing.assert_allclose(value, min(total / 100, 1), rtol=3e-7)


def test_a_hundred_times_two_fifths_is_forty():
    np.testing.assert_allclose(counted(jnp.full(100, 0.4)), (40.0, 0.4), rtol=1e-7)
    s = ls.Linear(0.0, 1.0, 100).on(ls.Counter("n"))
    state = ls.init(s)
    for _ in range(100):
        state = ls.tick(s, state, n=0.4)
    np.testing.assert_allclose([ls.readings(state, s)["n"], ls.evaluate(s, state)], [40.0, 0.4], rtol=1e-7)


@pytest.mark.parametrize(
    "type_", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, jnp.bfloat16, np.float16, np.bool_]
)
def test_any_type_of_number_is_counted(type_):
    values = np.asarray([1, 0, 1] if type_ is np.bool_ else [1, 127, 100], type_)
    expected = float(np.sum(np.asarray(values, np.float64)))
    assert counted(jnp.asarray(values))[0] == expected
    s, state = ls.Linear(0.0, 1.0, 100).on(ls.Counter("n")), None
    state = ls.init(s)
    for x in values:
        state = ls.tick(s, state, n=x)
    assert ls.readings(state, s)["n"] == expected


def test_a_long_sum_of_wholes_and_fractions():
    rng = np.random.default_rng(0)
    values = np.float32(rng.integers(0, 2**20, 3000) + rng.random(3000))
    np.testing.assert_allclose(counted(jnp.asarray(values))[0], float(np.sum(values.astype(np.float64))), rtol=2.0**-45)


# Names

NAMES = ("steps", "state", "observations", "self", "val loss")


@pytest.mark.parametrize("name", NAMES)
def test_a_clock_may_monitor_any_name(name):
    s = RATE.on(ls.Counter(name))
    assert ls.evaluate(s, ls.tick(s, ls.init(s), {name: 40})) == np.float32(0.6)
    assert ls.evaluate(s, ls.tick(s, ls.init(s), {name: 40}, steps=0)) == np.float32(0.6)
    np.testing.assert_allclose(ls.replay(s, {name: [40.0, 20.0]}), [1.0, 0.6], rtol=1e-6)
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=True))
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, observations={name: 20})
    state = ls.observe(state, {name: 20})
    np.testing.assert_allclose([ls.learning_rate(state), ls.next_learning_rate(state)], [1.0, 0.6], rtol=1e-6)
    optimizer = ls.accumulate(optax.MultiSteps(optimizer, 2))
    state = optimizer.init(PARAMS)
    for _ in range(2):
        _, state = optimizer.update(PARAMS, state, PARAMS, observations={name: 20})
    np.testing.assert_allclose(ls.next_learning_rate(state), 0.6, rtol=1e-6)
    if name in ("steps", "self"):  # optax's own names cannot be given by keyword
        optimizer = optax.chain(ls.scale_by_learning_rate(s), optax.identity())
        _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, **{name: 40})
        np.testing.assert_allclose(ls.next_learning_rate(state, s), 0.6, rtol=1e-6)
    if name not in ("steps", "val loss"):
        state = ls.tick(s, ls.init(s), **{name: 40})
        np.testing.assert_allclose(ls.evaluate(s, state), 0.6, rtol=1e-6)


def test_a_keyword_of_ours_that_a_clock_monitors():
    s = RATE.on(ls.Counter("steps"))
    with pytest.raises(TypeError, match=r"expected \{'steps': ...\} as a mapping, since a clock monitors 'steps'"):
        ls.tick(s, ls.init(s), steps=1)
    unrelated = ls.scale_by_learning_rate(ls.reduce_on_plateau())
    unrelated.update(PARAMS, unrelated.init(PARAMS), steps=5, step=3, value=1.0)  # are for others


def test_what_is_no_mapping_is_refused():
    s = ls.reduce_on_plateau()
    for wrong in (1.0, 3, jnp.ones(2), [("value", 1.0)]):
        with pytest.raises(TypeError, match=r"tick\(\.\.\.\): expected observations as a mapping.* Hint: pass value="):
            ls.tick(s, ls.init(s), wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="expected each observation once, got value"):
        ls.tick(s, ls.init(s), {"value": 1.0}, value=2.0)
    with pytest.raises(TypeError):
        ls.tick(s, ls.init(s), {"value": 1.0}, 0)  # pyright: ignore[reportCallIssue] - steps by keyword only


# Spelling

TYPOS = [("val_loss", x) for x in ("val_los", "val_lsos", "valLoss", "val-loss")] + [
    ("value", "vaule"),
    ("loss/eval", "loss/evla"),
]
OTHERS = [
    ("val_loss", "loss"),
    ("val_loss", "value"),
    ("val_loss", "train_loss"),
    ("val_loss", "val_acc"),
    ("loss_a", "loss_b"),
    ("loss1", "loss2"),
    ("loss", "loss2"),
    ("loss", "vloss"),
    ("value", "grad"),
    ("mse", "mae"),
    ("val_acc", "val_auc"),
    ("fid", "fad"),
    ("steps", "step"),
    ("grads", "grad"),
    ("tokens", "token"),
    ("d_loss", "g_loss"),
    ("kl", "lr"),
    ("top1", "top5"),
    ("group_10", "group_11"),
    ("value", "value_fn"),
    ("group_a_loss", "group_b_loss"),
]


@pytest.mark.parametrize(("meant", "given"), TYPOS)
def test_a_probable_misspelling_raises_with_the_name_meant(meant, given):
    s = ls.Linear(1.0, 0.0, 100).on(ls.Counter(meant))
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=True))
    state = optimizer.init(PARAMS)
    for call in (
        lambda: optimizer.update(PARAMS, state, PARAMS, **{given: 1.0}),
        lambda: ls.tick(s, ls.init(s), {given: 1.0}),
        lambda: ls.observe(state, {given: 1.0}),
        lambda: ls.replay(s, {given: [1.0]}),
    ):
        with pytest.raises(TypeError, match=rf"no clock monitors {given!r} .* Hint: did you mean {meant}="):
            call()
    check_spelling("update", [meant, given], {given: 1.0})  # is monitored itself
    check_spelling("update", [meant], {given: 1.0, meant: None})  # the right one is there, too


@pytest.mark.parametrize(("meant", "given"), OTHERS + [pair[::-1] for pair in OTHERS])
def test_another_name_is_for_others(meant, given):
    check_spelling("update", [meant], {given: 1.0})


# optax's contract


def update(optimizer: Any, state=None, **extra) -> Any:
    return jax.jit(optimizer.update)(PARAMS, optimizer.init(PARAMS) if state is None else state, PARAMS, **extra)


def test_extra_arguments_for_others_are_ignored():
    plateau = 0.1 * ls.reduce_on_plateau(monitor="val_loss")
    polyak = optax.chain(optax.scale_by_polyak(), ls.scale_by_learning_rate(plateau))
    with pytest.warns(UserWarning, match="'val_loss'"):
        update(polyak, value=jnp.float32(1.0))
    update(polyak, value=jnp.float32(1.0), val_loss=None)
    search = optax.chain(
        ls.scale_by_learning_rate(plateau, live=True),
        optax.scale_by_backtracking_linesearch(max_backtracking_steps=5, store_grad=True),
    )

    def f(params, val_loss=None):  # optax hands it every extra argument
        del val_loss
        return jnp.sum(params["w"] ** 2) + jnp.sum(params["b"] ** 2)

    value, grad = optax.value_and_grad_from_state(f)(PARAMS, state=search.init(PARAMS))
    search.update(grad, search.init(PARAMS), PARAMS, value=value, grad=grad, value_fn=f, val_loss=1.0)


def test_two_transforms_monitor_different_names():
    optimizer = optax.chain(
        ls.scale_by_learning_rate(ls.reduce_on_plateau(0.5, patience=0, monitor="loss_a"), live=True),
        ls.scale_by_learning_rate(ls.reduce_on_plateau(0.1, patience=0, monitor="loss_b"), live=True, flip_sign=False),
    )
    state = optimizer.init(PARAMS)
    for _ in range(2):
        _, state = update(optimizer, state, loss_a=1.0, loss_b=1.0)
    np.testing.assert_allclose([ls.next_learning_rate(state, at=at) for at in "01"], [0.5, 0.1], rtol=1e-6)


def test_a_partition_in_which_one_group_has_a_loss():
    groups: Any = {
        name: ls.scale_by_learning_rate(ls.reduce_on_plateau(0.5, patience=0, monitor=f"loss_{name}")) for name in "ab"
    }
    optimizer = optax.partition(groups, {"w": "a", "b": "b"})
    with pytest.warns(UserWarning, match="'loss_b'") as caught:
        _, state = update(optimizer, loss_a=1.0)
    assert len(caught) == 1
    for _ in range(2):
        _, state = update(optimizer, state, loss_a=1.0, loss_b=None)
    assert {k: float(v) for k, v in ls.learning_rates(state).items()} == {"a": 0.5, "b": 1.0}


# Warnings

TOKENS = ls.wsd(1e-2, 5, 100, 20).on(ls.Counter("tokens"))
MAKERS: dict[str, Any] = {
    "scale_by_learning_rate": lambda: ls.scale_by_learning_rate(TOKENS),
    "live": lambda: ls.scale_by_learning_rate(TOKENS, live=True),
    "chain": lambda: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(TOKENS)),
    "scheduled": lambda: ls.scheduled(optax.adamw)(TOKENS, weight_decay=TOKENS),
    "layerwise": lambda: ls.layerwise(TOKENS, 0.5, len),
    "stateful": lambda: optax.inject_hyperparams(optax.sgd)(ls.as_stateful(TOKENS)),
    "MultiSteps": lambda: optax.MultiSteps(ls.scale_by_learning_rate(TOKENS), 2),
    "since": lambda: ls.scale_by_learning_rate(ls.Linear(1.0, 0.0, 9).on(ls.Since(ls.Counter("tokens")))),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_metric_that_never_comes_warns_once(name):
    optimizer = MAKERS[name]()
    jitted = jax.jit(optimizer.update)

    def train():
        state = optimizer.init(PARAMS)
        for call in (jitted, jitted, optimizer.update, jax.jit(lambda *args: optimizer.update(*args))):
            _, state = call(PARAMS, state, PARAMS)

    with pytest.warns(UserWarning, match=r"update was not given 'tokens'.* Hint: .*tokens=None") as caught:
        train()
    assert len(caught) == 1
    assert caught[0].filename == __file__, "it points at the line of the program, not into a library"
    optimizer = MAKERS[name]()
    with warnings.catch_warnings(action="error"):
        for tokens in (None, 3, jnp.int32(3)):
            optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, tokens=tokens)


def test_a_pure_schedule_never_warns():
    for s in (0.1, ls.Linear(1.0, 0.0, 10), ls.Linear(1.0, 0.0, 10).on(ls.Steps())):
        update(ls.scale_by_learning_rate(s))


def test_a_train_state_of_flax_warns():
    model = nn.Dense(1)
    params = model.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=model.apply, params=params, tx=ls.scale_by_learning_rate(TOKENS))
    with pytest.warns(UserWarning, match="update was not given 'tokens'"):
        state.apply_gradients(grads=params)


# What observations may be


class Holds:
    """As a variable of Keras: an array to JAX."""

    def __init__(self, value):
        self._value = jnp.asarray(value)

    def __jax_array__(self):
        return self._value


def test_anything_that_is_an_array_to_jax_is_observed():
    s = ls.reduce_on_plateau(0.5, patience=0) * RATE.on(ls.Counter("tokens"))

    @nnx.jit
    def inside(loss, tokens):
        state = ls.tick(s, ls.init(s), value=loss, tokens=tokens)
        return ls.evaluate(s, ls.tick(s, state, value=loss, tokens=tokens))

    for kind in (nnx.Variable, Holds, jnp.asarray, np.asarray, np.float32, jnp.bfloat16):
        loss, tokens = kind(1.0), kind(20.0)
        state = ls.tick(s, ls.tick(s, ls.init(s), value=loss, tokens=tokens), value=loss, tokens=tokens)
        np.testing.assert_allclose(ls.evaluate(s, state), 0.3, rtol=1e-6)
        if kind is not Holds:  # which no jit takes
            np.testing.assert_allclose(inside(loss, tokens), 0.3, rtol=1e-6)
    state = ls.tick(s, ls.init(s), value=1.0, tokens=1, steps=nnx.Variable(jnp.int32(0)))  # pyright: ignore[reportArgumentType]
    assert state.step == 0
    assert ls.learning_rate(ls.scale_by_learning_rate(nnx.Variable(jnp.float32(0.5))).init(PARAMS)) == 0.5
    optimizer = ls.scale_by_learning_rate(s)
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), value=Holds(1.0), tokens=Holds(20))
    np.testing.assert_allclose(ls.next_learning_rate(state, s), 0.8, rtol=1e-6)
    for wrong in ("3", [1.0], {}, object()):
        with pytest.raises(TypeError, match="expected a number"):
            ls.tick(s, ls.init(s), value=wrong)
