"""Observations of clocks: any name, optax's contract for extra arguments, warnings, and accumulated small batches."""

import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import Variable, live, refused, x64

import lrsched as ls
from lrsched.clocks.observations import check_spelling
from lrsched.dialects.optax import as_stateful

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"w": jnp.ones(3), "b": jnp.ones(2)}
NANS = jax.tree.map(lambda x: x * jnp.nan, PARAMS)
RATE, PLATEAU = ls.Linear(1.0, 0.0, 1000), ls.reduce_on_plateau(factor=0.5, patience=0)
TOKENS = RATE.on(ls.Counter("tokens"))
TYPOS = [("val_loss", "val_los"), ("val_loss", "valLoss"), ("value", "vaule"), ("loss/eval", "loss/evla")]
OTHERS = """val_loss loss, val_loss value, val_loss train_loss, val_loss val_acc, loss_a loss_b, loss1 loss2, loss loss2,
    loss vloss, value grad, mse mae, val_acc val_auc, fid fad, steps step, grads grad, tokens token, d_loss g_loss, kl lr,
    top1 top5, group_10 group_11, value value_fn, group_a_loss group_b_loss"""


def run(optimizer: Any, observed: Any, grads: Any = None, jit: bool = True) -> list[Any]:
    """The state after each update."""
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state, states = optimizer.init(PARAMS), []
    for one, grad in zip(observed, grads or [PARAMS] * len(observed), strict=True):
        states.append(state := update(grad, state, PARAMS, **one)[1])
    return states


def gathered(s: Any, n: Any, observed: Any, grads: Any = None, **options: Any) -> dict[str, list[float]]:
    """What the clocks of a schedule read after each small batch, n of which are one update."""
    states = run(ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(s), n, **options)), observed, grads)
    found = [ls.readings(state, s) for state in states]
    return {name: [float(x[name]) for x in found] for name in found[0]}


@pytest.mark.parametrize("name", ["steps", "state", "observations", "self", "val loss"])
def test_a_clock_may_monitor_any_name(name):
    s, optimizer = RATE.on(ls.Counter(name)), optax.chain(optax.scale_by_adam(), live(RATE.on(ls.Counter(name))))
    for steps in (0, 1):
        assert ls.clocks.evaluate(s, ls.clocks.tick(s, ls.clocks.init(s), {name: 400}, steps=steps)) == np.float32(0.6)
    np.testing.assert_allclose(ls.clocks.replay(s, {name: [400.0, 200.0]}), [1.0, 0.6], rtol=1e-6)
    state = ls.observe(run(optimizer, [{"observations": {name: 200}}])[-1], {name: 200})
    np.testing.assert_allclose([ls.learning_rate(state), ls.next_learning_rate(state)], [1.0, 0.6], rtol=1e-6)
    [_, state] = run(ls.accumulate(optax.MultiSteps(optimizer, 2)), [{"observations": {name: 200}}] * 2)
    np.testing.assert_allclose(ls.next_learning_rate(state), 0.6, rtol=1e-6)


@pytest.mark.parametrize(("meant", "given"), TYPOS)
def test_a_probable_misspelling_raises_with_the_name_meant(meant, given):
    s = RATE.on(ls.Counter(meant))
    state = live(s).init(PARAMS)
    for call in (
        lambda: live(s).update(PARAMS, state, PARAMS, **{given: 1.0}),
        lambda: ls.clocks.tick(s, ls.clocks.init(s), {given: 1.0}),
        lambda: ls.observe(state, {given: 1.0}),
        lambda: ls.clocks.replay(s, {given: [1.0]}),
    ):
        with pytest.raises(TypeError, match=rf"no clock monitors {given!r} .* Hint: did you mean {meant}="):
            call()


def test_another_name_is_for_others():
    for meant, given in (pair.split() for pair in OTHERS.split(",")):
        check_spelling("update", [meant], {given: 1.0})
        check_spelling("update", [given], {meant: 1.0})


def test_extra_arguments_for_others_are_ignored():
    [state] = run(live(PLATEAU * RATE.on(ls.Counter("steps"))), [{"value": 1.0, "steps": 400, "step": 3}], jit=False)
    np.testing.assert_allclose(ls.next_learning_rate(state), 0.6, rtol=1e-6)
    polyak = optax.chain(optax.scale_by_polyak(), live(ls.reduce_on_plateau(monitor="val_loss")))
    run(polyak, [{"value": jnp.float32(1.0), "val_loss": None}])
    with pytest.warns(UserWarning, match="'val_loss'"):
        run(polyak, [{"value": jnp.float32(1.0)}])


def test_transforms_that_monitor_different_names():
    a, b = (live(ls.reduce_on_plateau(factor, patience=0, monitor=name)) for name, factor in (("loss_a", 0.5), ("loss_b", 0.1)))
    states = run(optax.chain(a, b), [{"loss_a": 1.0, "loss_b": 1.0}] * 2)
    np.testing.assert_allclose([ls.next_learning_rate(states[-1], at=at) for at in "01"], [0.5, 0.1], rtol=1e-6)
    groups: Any = optax.partition({"a": a, "b": b}, {"w": "a", "b": "b"})
    with pytest.warns(UserWarning, match="'loss_b'") as caught:
        state = run(groups, [{"loss_a": 1.0}, {"loss_a": 1.0}, {"loss_a": 1.0, "loss_b": None}])[-1]
    assert len(caught) == 1
    assert {k: float(v) for k, v in ls.learning_rates(state).items()} == {"a": 0.5, "b": 1.0}


MAKERS: dict[str, Any] = {
    "live": live,
    "chain": lambda s: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s)),
    "scheduled": lambda s: ls.scheduled(optax.adamw)(s, weight_decay=0.1 * s),
    "layerwise": lambda s: ls.layerwise(s, 0.5, lambda _: 0),
    "stateful": lambda s: optax.inject_hyperparams(optax.sgd)(as_stateful(s)),
    "masked": lambda s: optax.masked(ls.scale_by_learning_rate(s), {"w": True, "b": False}),
    "partition": lambda s: optax.partition({"x": ls.scale_by_learning_rate(s), "y": optax.sgd(0.1)}, {"w": "x", "b": "y"}),
}
SEVERAL = [lambda s: optax.MultiSteps(live(s), 2), lambda s: ls.accumulate(optax.MultiSteps(live(s), 2))]


@pytest.mark.parametrize("make", [*MAKERS.values(), *SEVERAL])
def test_a_metric_that_never_comes_warns_once(make):
    optimizer = make(TOKENS)
    jitted = jax.jit(optimizer.update)
    with pytest.warns(UserWarning, match=r"update was not given 'tokens'.* Hint: .*tokens=None") as caught:
        _ = [update(PARAMS, optimizer.init(PARAMS), PARAMS) for update in (jitted, optimizer.update)]
    assert len(caught) == 1
    assert caught[0].filename == __file__, "it points at the line of the program, not into a library"
    optimizer = make(TOKENS)
    with warnings.catch_warnings(action="error"):
        for tokens in (None, 3, jnp.int32(3)):
            optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, tokens=tokens)


@pytest.mark.parametrize(
    ("monitor", "given", "text"),
    [
        ("tokens", {"token": 5}, "'tokens' (it got 'token'),"),
        ("value", {"values": 1.0}, "'value' (it got 'values'),"),
        ("value", {"loss": 1.0}, 'monitor="loss"'),
        ("value", {"loss": 1.0, "acc": 1.0}, "'value' (it got 'acc', 'loss'),"),
        ("value", {}, "'value', so"),
    ],
)
def test_the_warning_of_a_missing_metric_names_what_came(monitor, given, text):
    optimizer = live(RATE.on(ls.Counter(monitor)))
    with pytest.warns(UserWarning, match=re.escape(text)):
        optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, **given)


def test_a_train_state_of_flax_warns_and_a_pure_schedule_never_does():
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=live(PLATEAU))
    with pytest.warns(UserWarning, match="update was not given 'value'.*observe"):  # apply_gradients takes no metric
        state = state.apply_gradients(grads=PARAMS)
    state = ls.observe(ls.observe(state, value=1.0), value=1.0)
    assert isinstance(state, TrainState)
    np.testing.assert_allclose(ls.learning_rate(state.apply_gradients(grads=PARAMS)), 0.5)
    for s in (0.1, RATE, RATE.on(ls.Steps())):
        run(ls.scale_by_learning_rate(s), [{}])


def test_anything_that_is_an_array_to_jax_is_observed():
    s = PLATEAU * TOKENS

    def twice(loss, tokens):
        state = ls.clocks.tick(s, ls.clocks.init(s), value=loss, tokens=tokens)
        return ls.clocks.evaluate(s, ls.clocks.tick(s, state, value=loss, tokens=tokens))

    for call, kind in ((twice, Variable), (nnx.jit(twice), nnx.Variable)):
        np.testing.assert_allclose(call(kind(jnp.float32(1)), kind(jnp.float32(200))), 0.3, rtol=1e-6)
    [state] = run(live(s), [{"value": Variable(1.0), "tokens": Variable(200)}], jit=False)
    np.testing.assert_allclose(ls.next_learning_rate(state), 0.8, rtol=1e-6)


# Accumulation: every clock sees all small batches of an update, and none that was rejected


@ls.node
class Loudest(ls.SinceBest):
    """Observes the largest of the small batches."""

    combine = "max"


LOUDEST = Loudest("max", monitor="noise")


@pytest.mark.parametrize("name", MAKERS)
def test_tokens_add_up_whatever_is_around_the_schedule(name):
    states = run(ls.accumulate(optax.MultiSteps(MAKERS[name](TOKENS), 4)), [{"tokens": 100}] * 12)
    np.testing.assert_allclose([ls.learning_rate(x) for x in states[3::4]], [1.0, 0.6, 0.2], rtol=1e-6)


@pytest.mark.parametrize("loudest", [LOUDEST, ls.Smoothed(LOUDEST, window=1)])
def test_each_clock_combines_in_its_own_way(loudest):
    s = TOKENS * PLATEAU * ls.Constant(1.0).on(loudest) * ls.Linear(1.0, 0.0, 10).on(ls.Since(ls.Counter("stop")))
    small = [
        {"value": 1.0, "tokens": 3, "noise": 5.0, "stop": 0},
        {"value": 3.0, "tokens": None, "noise": 2.0, "stop": 1},  # the signal does not come with the last batch
        {"value": None, "tokens": 4, "noise": 7.0, "stop": 0},
        {"value": 0.0, "tokens": 1, "noise": 1.0, "stop": None},
        {"value": 4.0, "tokens": 1, "noise": 1.0, "stop": 0},
        {"value": 2.0, "tokens": 1, "noise": 1.0, "stop": 0},
    ]
    found = gathered(s, 3, small)
    assert found["tokens"] == [0, 0, 7, 7, 7, 10]
    assert found["value/plateaus"] == found["stop/since"] == [0, 0, 0, 0, 0, 1]
    assert [found[name][-1] for name in ("value/best", "noise/best", "noise/since_best")] == [2.0, 7.0, 1]


def test_the_sum_is_exact_and_the_number_of_small_batches_may_change():
    assert gathered(TOKENS, 8, [{"tokens": 2**27 + 1}] * 16)["tokens"][-1] == 16 * (2**27 + 1)
    fractions = gathered(TOKENS, 8, [{"tokens": 0.4}] * 16)["tokens"]
    np.testing.assert_allclose(fractions[-1], 16 * np.float64(np.float32(0.4)), rtol=1e-12)
    found = gathered(TOKENS, lambda step: jnp.where(jnp.asarray(step) < 1, 2, 3), [{"tokens": 1}] * 8)
    assert found["tokens"] == [0, 2, 2, 2, 5, 5, 5, 8]


def test_a_small_batch_that_is_rejected_or_observes_nothing_adds_nothing():
    values = [1.0, np.nan, 3.0, np.nan, np.nan, 1.0, 1.0]
    observed = [{"value": value, "tokens": 10} for value in values]
    grads = [NANS if np.isnan(value) else PARAMS for value in values]
    found = gathered(TOKENS * PLATEAU, 2, observed, grads, should_skip_update_fn=optax.skip_not_finite)
    assert found["tokens"] == [0, 0, 20, 20, 20, 20, 40]
    assert found["value/best"][2:] == [2, 2, 2, 2, 1]
    found = gathered(TOKENS, 1, observed[:4], grads[:4], should_skip_update_fn=optax.skip_not_finite)
    assert found["tokens"] == [10, 10, 20, 20]
    found = gathered(PLATEAU, 2, [{"value": x} for x in (1.0, None, None, None)])
    assert (found["value/best"], found["value/plateaus"][-1]) == ([np.inf, 1.0, 1.0, 1.0], 0)  # there is no mean of nothing


@pytest.mark.deep
def test_other_transforms_are_given_the_mean():
    seen = []

    def update(updates, state, params=None, *, value, other=None, **_):
        del params
        seen.append((float(value), other))
        return updates, state

    spy: Any = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)  # pyright: ignore[reportArgumentType]
    optimizer = ls.accumulate(optax.MultiSteps(optax.chain(spy, live(PLATEAU)), 2))
    with jax.disable_jit():
        run(optimizer, [{"value": x, "other": 5} for x in (1.0, 3.0, 4.0, 4.0)], jit=False)
    assert seen[-1] == (4.0, 5)
    assert (2.0, 5) in seen


def test_it_scans_and_maps_and_keeps_its_types():
    multi = optax.MultiSteps(ls.scale_by_learning_rate(TOKENS), 2)
    optimizer = ls.accumulate(multi)

    def train(tokens):
        def body(state, n):
            _, state = optimizer.update(PARAMS, state, PARAMS, tokens=n)
            return state, (multi.has_updated(state), ls.learning_rate(state))

        return jax.lax.scan(body, optimizer.init(PARAMS), tokens)[1]

    updated, rates = jax.jit(jax.vmap(train))(jnp.asarray([[100] * 6, [50] * 6]))
    np.testing.assert_array_equal(updated, [[False, True] * 3] * 2)
    np.testing.assert_allclose(rates[:, 1::2], [[1.0, 0.8, 0.6], [1.0, 0.9, 0.8]], rtol=1e-6)
    state = optimizer.init(PARAMS)
    with x64():  # also of a state that was made without
        after = jax.jit(optimizer.update)(PARAMS, state, PARAMS, tokens=3)[1]
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)


def ticked(s: Any, *observations: Any, **named: Any) -> Any:
    return ls.clocks.tick(s, ls.clocks.init(s), *observations, **named)


ACCUMULATED = ls.accumulate(optax.MultiSteps(live(TOKENS), 2))
MISTAKES: list[tuple[Any, str]] = [
    (lambda: ticked(RATE.on(ls.Counter("steps")), steps=1), r"\{'steps': ...\} as a mapping, since a clock monitors 'steps'"),
    (lambda: ticked(PLATEAU, 1.0), r"tick\(observations=1.0\): expected a mapping.* Hint: pass value="),
    (lambda: ticked(PLATEAU, {"value": 1.0}, value=2.0), "expected each observation once, got value"),
    (lambda: ticked(PLATEAU, value="3"), "expected a number"),
    (lambda: ls.accumulate(live(0.1)), r"expected an optax\.MultiSteps\. Hint: accumulate\(optax\.MultiSteps"),  # pyright: ignore
    (lambda: run(ACCUMULATED, [{"tokns": 3}], jit=False), r"did you mean tokens=\.\.\.\?"),
    (lambda: run(ACCUMULATED, [{"tokens": jnp.ones(2)}], jit=False), r"accumulate\(tokens=\.\.\.\): expected a scalar"),
]
test_mistakes = refused(MISTAKES)
