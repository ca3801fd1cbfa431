"""`lrsched.lab.range_test` beside a plain loop, on losses whose stable rates are known, and what it refuses."""

import contextlib
import itertools
import json
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
import pytest
from helpers import bits, relaxed, x64

import lrsched as ls
from lrsched import lab

mpl.use("Agg")

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(7, 8, 3)).astype(np.float32)
BATCHES = (
    INPUTS,
    np.einsum("nbi,i->nb", INPUTS, np.asarray([1.0, -2.0, 0.5], np.float32)) + RANDOM.normal(size=(7, 8)).astype(np.float32),
)
PARAMS = {"w": jnp.ones(3), "b": jnp.zeros(())}
CURVATURE = 5.0
STEPS = 40  # everywhere, so that most tests find their program compiled
POINTS = RANDOM.normal(size=(7, 2)).astype(np.float32)


def fit(params, batch):
    """The squared error of a line through the points of a batch."""
    inputs, targets = batch
    return jnp.mean((inputs @ params["w"] + params["b"][None] - targets) ** 2)


def bowl(x, batch):
    """½ · 5(x - batch)²: an update with rate r multiplies x by 1 - 5r, so that it diverges above 0.4."""
    return 0.5 * CURVATURE * jnp.sum((x - batch) ** 2)


def momentum(rate):
    return optax.sgd(rate, momentum=0.9)


def init(key):
    return {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(()), "activation": jnp.tanh}


def range_test(loss_fn: Any = fit, params: Any = PARAMS, batches: Any = BATCHES, **options):
    return lab.range_test(loss_fn, params, batches, **{"start": 1e-4, "steps": STEPS, "show_progress": False, **options})


def by_hand(loss_fn, params, batch_of, optimizer, rates, smoothing=0.98, divergence=4.0):
    """The same, a step at a time with optax, and with the average as fastai corrects it."""
    rule = optimizer(lambda count: jnp.asarray(rates)[count])
    state, value_and_grad = rule.init(params), jax.jit(jax.value_and_grad(loss_fn))
    update = jax.jit(rule.update)
    losses, smoothed, average, best = [], [], 0.0, math.inf
    for i in range(len(rates)):
        loss, grads = value_and_grad(params, batch_of(i))
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        average = smoothing * average + (1 - smoothing) * float(loss)
        losses.append(float(loss))
        smoothed.append(average / (1 - smoothing ** (i + 1)))
        best = min(best, smoothed[-1])
        if smoothed[-1] > divergence * best or not math.isfinite(smoothed[-1]):
            return losses, smoothed, i
    return losses, smoothed, None


def batch_number(i, batches=BATCHES):
    return jax.tree.map(lambda x: x[i % len(x)], batches)


@pytest.mark.parametrize("optimizer", [optax.sgd, momentum, optax.adam])
def test_it_is_the_plain_loop(optimizer):
    with relaxed() if optimizer is optax.adam else contextlib.nullcontext():
        result = range_test(optimizer=optimizer)
        losses, smoothed, stopped = by_hand(fit, PARAMS, batch_number, optimizer, np.geomspace(1e-4, 10.0, STEPS))
    assert result.stopped == stopped
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(result.smoothed, smoothed, rtol=1e-3)


def test_the_rates_are_geometric_and_the_ends_are_exact():
    result = range_test(start=1e-6, stop=1e-2)
    assert result.stopped is None
    np.testing.assert_allclose(result.rates, np.geomspace(1e-6, 1e-2, STEPS), rtol=3e-7)
    assert (result.rates[0], result.rates[-1]) == (np.float32(1e-6), np.float32(1e-2))


@pytest.mark.parametrize("optimizer", [optax.sgd, lambda rate: optax.scale(-rate)])
def test_the_rates_are_those_that_are_used(optimizer):
    """On the loss x, each update takes the rate off."""
    result = range_test(lambda x, _: x, jnp.zeros(()), jnp.zeros((1, 1)), optimizer=optimizer, start=1e-3, stop=1.0)
    np.testing.assert_allclose(-np.diff(result.losses), result.rates[:-1], rtol=1e-4, atol=1e-6)


def test_it_stops_soon_after_the_bound_of_stability_and_suggests_rates_below_it():
    def loss_fn(x, batch):
        return 1.0 + bowl(x, batch)

    result = range_test(loss_fn, 3.0 * jnp.ones(2), 0.1 * POINTS, start=1e-3, smoothing=0.5)
    bound = 2 / CURVATURE
    assert bound < result.rates[result.stopped] < 3 * bound
    assert 0 < result.suggestions["valley"] < bound
    assert 0 < result.suggestions["steep"] < bound
    assert 0 < result.suggestions["minimum"] < bound / 5  # it divides by ten


def test_it_ends_where_it_stopped(capfd):
    def loud(x, batch):
        jax.debug.callback(lambda: print("step"))
        return bowl(x, batch)

    result = range_test(loud, jnp.ones(2), jnp.zeros((1, 2)))
    jax.effects_barrier()
    assert result.stopped is not None
    assert capfd.readouterr().out.count("step") == result.stopped + 1 == len(result.rates) < STEPS


def test_a_loss_that_is_no_number_stops_it():
    def loss_fn(x, batch):
        return jnp.sqrt(x[0]) + jnp.sum(batch)  # the rates add up to a step below 0, and the loss is NaN

    result = range_test(loss_fn, jnp.ones(1), jnp.zeros((1, 1)), start=1e-2)
    assert result.stopped is not None
    assert 0 < result.stopped < STEPS - 1
    assert np.isnan(result.losses[-1])
    assert np.all(np.isfinite(result.losses[:-1]))


def test_with_an_infinite_divergence_it_goes_to_the_end():
    assert range_test(bowl, jnp.ones(2), POINTS, stop=2.0).stopped is not None
    assert range_test(bowl, jnp.ones(2), POINTS, stop=2.0, divergence=math.inf).stopped is None


# Batches


def test_stacked_batches_a_list_and_iterators_are_the_same():
    expected = range_test()
    every = [batch_number(i) for i in range(7)]
    for batches in (every, iter(every), (batch for batch in every), dict(enumerate(every)).values()):
        np.testing.assert_array_equal(range_test(batches=batches).losses, expected.losses)


def test_no_more_is_taken_of_an_iterator_than_there_are_steps():
    endless = (batch_number(i) for i in itertools.count())
    expected = range_test(stop=1e-3)
    np.testing.assert_array_equal(range_test(batches=endless, stop=1e-3).losses, expected.losses)
    np.testing.assert_array_equal(next(endless)[0], batch_number(STEPS)[0])


# Parameters


def test_the_callers_arrays_are_left_as_they_are():
    params, batches = jax.tree.map(jnp.array, PARAMS), jax.tree.map(np.copy, BATCHES)
    range_test(params=params, batches=batches)
    for own, was in zip(jax.tree.leaves((params, batches)), jax.tree.leaves((PARAMS, BATCHES)), strict=True):
        assert bits(own) == bits(was)


def test_what_is_no_array_of_floats_is_passed_on_as_it_is():
    seen = []

    def loss_fn(params, batch):
        seen.append(params)
        return fit({"w": params["w"], "b": params["b"]}, batch) * params["scale"]

    params = {**PARAMS, "b": 0.0, "scale": 2, "counts": np.arange(3), "activation": jnp.tanh, "nothing": None}
    result = range_test(loss_fn, params)
    assert (seen[0]["scale"], seen[0]["activation"], seen[0]["nothing"]) == (2, jnp.tanh, None)
    assert seen[0]["counts"].dtype == jnp.int32
    np.testing.assert_allclose(result.losses, 2 * range_test(optimizer=lambda r: optax.sgd(2.0 * r)).losses, rtol=1e-5)


def test_with_x64_it_computes_in_float64():
    with x64():
        batches, params = jax.tree.map(np.float64, (BATCHES, PARAMS))
        result = range_test(params=params, batches=batches)
        with relaxed():
            losses, smoothed, stopped = by_hand(
                fit, params, lambda i: batch_number(i, batches), optax.sgd, np.geomspace(1e-4, 10.0, STEPS)
            )
    assert result.losses.dtype == result.rates.dtype == np.float64
    assert result.stopped == stopped
    np.testing.assert_allclose(result.losses, losses, rtol=1e-9)
    np.testing.assert_allclose(result.smoothed, smoothed, rtol=1e-9)


def test_an_optimizer_that_listens_hears_the_loss():
    def listening(rate):
        return optax.chain(optax.sgd(rate), ls.scale_by_learning_rate(ls.reduce_on_plateau(patience=0), flip_sign=False))

    def stuck(x, batch):
        return 1.0 + 0.0 * jnp.sum(x) + 0.0 * jnp.sum(batch)

    range_test(stuck, jnp.ones(2), jnp.zeros((1, 2)), optimizer=listening)  # raises where it hears nothing
    searched = range_test(optimizer=lambda rate: optax.chain(optax.sgd(rate), optax.scale_by_backtracking_linesearch(10)))
    assert searched.stopped is None  # what goes too far goes back


# Seeds


@pytest.fixture(scope="module")
def seeded():
    return range_test(params=init, seeds=5, seed=3)


def test_seeds_are_what_a_loop_over_them_gives(seeded):
    assert seeded.losses.shape == seeded.smoothed.shape == (5, len(seeded.rates))
    for s, key in enumerate(jax.random.split(jax.random.key(3), 5)):
        of_params, of_order = jax.random.split(key)
        order = jax.random.permutation(of_order, 7)
        alone = range_test(params=init(of_params), batches=[batch_number(int(i)) for i in order])
        assert seeded.stops[s] == alone.stopped
        end = len(alone.losses)
        np.testing.assert_allclose(seeded.losses[s, :end], alone.losses, rtol=1e-3)
        np.testing.assert_allclose(seeded.smoothed[s, :end], alone.smoothed, rtol=1e-3)
        assert np.all(np.isnan(seeded.losses[s, end:]))
        for name, rate in alone.suggestions.items():
            np.testing.assert_allclose(seeded.by_seed[name][s], rate, rtol=0.3, err_msg=name)


def test_the_suggestion_of_seeds_is_their_median_and_the_spread_holds_most(seeded):
    for name, values in seeded.by_seed.items():
        assert values.shape == (5,)
        assert seeded.suggestions[name] == np.median(values)
        low, high = seeded.spread[name]
        assert min(values) <= low <= seeded.suggestions[name] <= high <= max(values)
        assert np.sum((values >= low) & (values <= high)) >= 3


def test_a_seed_without_a_suggestion_is_left_out():
    rates, losses = np.geomspace(1e-3, 1.0, 40), np.linspace(3.0, 1.0, 40)
    short = np.where(np.arange(40) < 8, losses, np.nan)
    result = lab.RangeTest(rates, np.stack([losses, short]), np.stack([losses, short]), 40, (None, 7))
    assert result.stopped is None
    assert np.isnan(result.by_seed["minimum"][1])
    assert result.suggestions["minimum"] == pytest.approx(rates[34] / 10)
    empty = lab.RangeTest(rates[:8], losses[:8], losses[:8], 40, (7,))
    assert all(np.isnan(rate) for rate in empty.suggestions.values())
    assert "none" in str(empty)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(seeded):
    again = range_test(params=init, seeds=5, seed=3)
    np.testing.assert_array_equal(again.losses, seeded.losses)
    other = range_test(params=init, seeds=5, seed=4)
    assert not np.any(np.isin(other.losses[:, 0], seeded.losses[:, 0]))


# Compilation


def test_other_numbers_compile_nothing():
    calls = []

    def counted(params, batch):
        calls.append(None)
        return fit(params, batch)

    range_test(counted)
    assert len(calls) == 1
    other = {"start": 1e-5, "stop": 3.0, "smoothing": 0.9, "divergence": 8.0, "seed": 1}
    range_test(counted, **other, params=jax.tree.map(lambda x: x + 1.0, PARAMS), batches=jax.tree.map(lambda x: x + 1, BATCHES))
    assert len(calls) == 1
    range_test(counted, seeds=3)
    range_test(counted, seeds=3, **other)
    assert len(calls) == 2


# What is shown


def test_the_table_names_every_rule_and_its_rate(seeded):
    for result, words in ((range_test(), "there it diverged"), (seeded, "5 seeds; 5 diverged")):
        for text in (str(result), result._repr_html_()):
            assert words in text
            for name, rate in result.suggestions.items():
                assert name in text
                assert f"{rate:.3g}" in text
    assert f"{seeded.spread['valley'][0]:.3g} to {seeded.spread['valley'][1]:.3g}" in str(seeded)


def test_to_dict_is_json_without_what_is_not_finite(seeded):
    for result in (range_test(), seeded):
        content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert np.shape(content["losses"]) == result.losses.shape
        np.testing.assert_array_equal(np.asarray(content["losses"], np.float32), result.losses)
        assert content["suggestions"]["valley"] == result.suggestions["valley"]
    assert content["stops"] == list(seeded.stops)


def test_the_plot_has_the_curve_and_a_line_for_each_suggestion(seeded):
    plt = pytest.importorskip("matplotlib.pyplot")
    result = range_test()
    ax = result.plot()
    assert ax.get_xscale() == "log"
    lines = {str(line.get_label()).split()[0]: line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["smoothed"].get_ydata(), result.smoothed)
    np.testing.assert_array_equal(lines["loss"].get_xdata(), result.rates)
    for name, rate in result.suggestions.items():
        np.testing.assert_array_equal(lines[name].get_xdata(), [rate, rate])
    assert seeded.plot(ax) is ax
    plt.close("all")


def test_a_bar_is_shown(capsys):
    range_test(show_progress=True)
    assert "range test, 40 rates" in capsys.readouterr().err


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0.0}, r"range_test\(start=0.0\): expected start > 0"),
        ({"stop": math.inf}, r"range_test\(stop=inf\): expected a finite number"),
        ({"start": 1.0, "stop": 0.1}, r"range_test\(stop=\.\.\.\) must be above start=1.0, got 0.1"),
        ({"steps": 5}, r"range_test\(steps=\.\.\.\) must be a whole number, at least 6 and below 2\*\*32, got 5"),
        ({"steps": 10.5}, r"range_test\(steps=\.\.\.\) must be a whole number, .* got 10.5"),
        ({"smoothing": 1.0}, r"range_test\(smoothing=1.0\): expected smoothing >= 0 and < 1"),
        ({"smoothing": 1.0 - 1e-9}, r"range_test\(smoothing=0.999999999\): expected smoothing >= 0 and < 1"),
        ({"divergence": 1.0}, r"range_test\(divergence=1.0\): expected divergence > 1"),
        ({"divergence": math.nan}, r"range_test\(divergence=nan\): expected divergence > 1"),
        ({"seeds": 0}, r"range_test\(seeds=\.\.\.\) must be a whole number, at least 1 .* got 0"),
        ({"seed": -1}, r"range_test\(seed=\.\.\.\) must be a whole number, at least 0 .* got -1"),
        ({"seeds": 3, "batches": [batch_number(0)]}, r"range_test\(seeds=3\) would train 3 times the same"),
        ({"batches": []}, r"range_test\(batches=\.\.\.\) has no batch"),
        ({"batches": np.zeros((0, 3))}, r"range_test\(batches=\.\.\.\) has no batch: .*\(0, 3\)"),
        (
            {"batches": (INPUTS, BATCHES[1][:3])},
            r"as many batches in each array, got shapes \[0\]: \(7, 8, 3\), \[1\]: \(3, 8\)",
        ),
        (
            {"batches": [INPUTS[0], INPUTS[1][:5]]},
            r"of one shape, got \(5, 3\) in batch 1 and \(8, 3\) in batch 0: drop the last",
        ),
        ({"params": {**PARAMS, "w": jnp.full(3, jnp.nan)}}, r"must give a finite loss before the first update, got nan"),
    ],
)
def test_bad_numbers_and_shapes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        range_test(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": optax.adam(0.1)},
            r"range_test\(optimizer=\.\.\.\) must be a function .* got Grad.*: pass optax.adamw itself",
        ),
        ({"optimizer": lambda rate: rate}, r"range_test\(optimizer=\.\.\.\) must return an optax optimizer .* got Geometric"),
        ({"loss_fn": 3.0}, r"range_test\(loss_fn=\.\.\.\) must be a function of \(params, batch\), got 3.0"),
        ({"loss_fn": eqx.nn.Linear(1, 1, key=jax.random.key(0))}, r"range_test\(loss_fn=\.\.\.\) must be hashable"),
        ({"loss_fn": lambda p, _: p["w"]}, r"must return one number, got shape \(3,\): take its mean"),
        ({"loss_fn": lambda p, batch: (fit(p, batch), 1)}, r"must return one number, got tuple: without auxiliary outputs"),
        ({"loss_fn": lambda *_: jnp.asarray(1)}, r"range_test\(loss_fn=\.\.\.\) must return a float, got int32"),
        ({"params": {"counts": np.arange(3)}}, r"range_test\(params=\.\.\.\) must be a pytree with arrays of floats"),
        ({"params": lambda _: {}}, r"range_test\(params=\.\.\.\) must be a pytree with arrays of floats .* got {}"),
        ({"batches": 3}, r"range_test\(batches=\.\.\.\) must be arrays of shape \(batches, \.\.\.\), or a list .* got 3"),
        ({"batches": "digits"}, r"range_test\(batches=\.\.\.\) must be arrays .* got 'digits'"),
        ({"batches": (INPUTS, 1.0)}, r"range_test\(batches=\.\.\.\) must be arrays"),
        ({"start": "low"}, r"range_test\(start='low'\): expected a number"),
    ],
)
def test_wrong_types_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        range_test(**options)


@pytest.mark.parametrize(
    "optimizer", [lambda _: optax.sgd(0.1), lambda _: optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))]
)
def test_an_optimizer_that_does_not_use_its_rate_is_refused(optimizer):
    with pytest.raises(ValueError, match="does not use its learning rate, so that every rate would do the same: pass it on"):
        range_test(optimizer=optimizer)
