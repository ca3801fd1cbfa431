"""`lrsched.lab.range_test` beside a plain loop, on losses whose stable rates are known, and what it refuses."""

import contextlib
import itertools
import json
import math
import re
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
import pytest
from helpers import relaxed
from hypothesis import strategies as st

from lrsched import lab
from lrsched.lab.ranging import suggestions as rules

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


@pytest.mark.parametrize("optimizer", [optax.sgd, optax.adam])
def test_it_is_the_plain_loop(optimizer):
    with relaxed() if optimizer is optax.adam else contextlib.nullcontext():
        result = range_test(optimizer=optimizer)
        losses, smoothed, stopped = by_hand(fit, PARAMS, batch_number, optimizer, np.geomspace(1e-4, 10.0, STEPS))
    assert result.stopped == stopped
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(result.smoothed, smoothed, rtol=1e-3)


def test_it_stops_soon_after_the_bound_of_stability_and_suggests_rates_below_it():
    def loss_fn(x, batch):
        """An update with rate r multiplies x by 1 - 5r, so that it diverges above 0.4."""
        return 1.0 + 0.5 * CURVATURE * jnp.sum((x - batch) ** 2)

    result = range_test(loss_fn, 3.0 * jnp.ones(2), 0.1 * POINTS, start=1e-3, smoothing=0.5)
    bound = 2 / CURVATURE
    assert bound < result.rates[result.stopped] < 3 * bound
    for name, most in (("valley", bound), ("steep", bound), ("minimum", bound / 5)):  # which divides by ten
        assert 0 < result.suggestions[name] < most


def test_a_loss_that_is_no_number_stops_it():
    def loss_fn(x, batch):
        return jnp.sqrt(x[0]) + jnp.sum(batch)  # the rates add up to a step below 0, and the loss is NaN

    result = range_test(loss_fn, jnp.ones(1), jnp.zeros((1, 1)), start=1e-2)
    assert result.stopped is not None
    assert 0 < result.stopped < STEPS - 1
    assert np.isfinite(result.losses).tolist() == [*[True] * (len(result.losses) - 1), False]


# Batches


def test_stacked_batches_a_list_and_iterators_are_the_same():
    expected = range_test()
    every = [batch_number(i) for i in range(7)]
    for batches in (every, iter(every), (batch for batch in every), dict(enumerate(every)).values()):
        np.testing.assert_array_equal(range_test(batches=batches).losses, expected.losses)


# Parameters


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


# Compilation


def test_other_numbers_compile_nothing():
    calls = []

    def counted(params, batch):
        calls.append(None)
        return fit(params, batch)

    other = {"start": 1e-5, "stop": 3.0, "smoothing": 0.9, "divergence": 8.0, "seed": 1}
    data = {"params": jax.tree.map(lambda x: x + 1.0, PARAMS), "batches": jax.tree.map(lambda x: x + 1, BATCHES)}
    for expected, options in ((1, {}), (1, other | data), (2, {"seeds": 3}), (2, {"seeds": 3} | other)):
        range_test(counted, **options)
        assert len(calls) == expected


# What is shown


def test_what_it_shows(seeded):
    plt = pytest.importorskip("matplotlib.pyplot")
    result = range_test()
    assert "there it diverged" in str(result)
    assert "5 seeds; 5 diverged" in seeded._repr_html_()
    ax = result.plot()
    lines = {str(line.get_label()).split()[0]: line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["smoothed"].get_ydata(), result.smoothed)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    np.testing.assert_array_equal(np.asarray(content["losses"], np.float32), result.losses)
    for name, rate in result.suggestions.items():
        assert f"{rate:.3g}" in str(result)
        assert content["suggestions"][name] == rate
        np.testing.assert_array_equal(lines[name].get_xdata(), [rate, rate])
    assert seeded.plot(ax) is ax
    plt.close("all")


# The suggestions


def rates_of(n):
    return np.geomspace(1e-6, 1.0, n)


def test_slide_stops_where_the_curve_is_straight_again():
    # Straight up to point 40, then ever steeper. The slopes of points 15 apart differ while the right one is beyond 40.
    losses = -0.01 * np.arange(60.0)
    losses[40:] += np.arange(20.0) ** 2
    slopes = np.gradient(losses)
    first = next(i for i in range(60) if abs(slopes[i] - slopes[0]) > 0.005)  # the first right point that differs
    assert rules.slide(np.arange(60.0), losses) == first - 15 == 25.0


def test_the_curve_ends_before_its_first_loss_that_is_no_number():
    losses = np.linspace(3.0, 1.0, 40)
    losses[[30, 33]] = np.inf, np.nan
    assert rules.suggestions(rates_of(40), losses, 40)["minimum"] == pytest.approx(rates_of(40)[29] / 10)


@hypothesis.given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_the_valley_is_the_longest_of_all_subsequences(losses):
    n, rates = len(losses), np.arange(1.0, len(losses) + 1)
    falling = [
        chosen
        for size in range(1, n + 1)
        for chosen in itertools.combinations(range(n), size)
        if all(losses[i] > losses[j] for i, j in itertools.pairwise(chosen))
    ]
    longest = max(map(len, falling))
    end = min(chosen[-1] for chosen in falling if len(chosen) == longest)
    length = longest if longest > 1 else 0
    index = end - length + length // 3 + length // 6
    np.testing.assert_equal(rules.valley(rates, np.asarray(losses, float)), index + 1.0 if index >= 0 else math.nan)


# What is refused

REFUSED = [
    ({"start": 0.0}, ValueError, "range_test(start=0.0): expected start > 0"),
    ({"start": 1.0, "stop": 0.1}, ValueError, "range_test(stop=...) must be above start=1.0, got 0.1"),
    ({"steps": 5}, ValueError, "range_test(steps=...) must be a whole number, at least 6 and below 2**32, got 5"),
    ({"smoothing": 1.0}, ValueError, "range_test(smoothing=1.0): expected smoothing >= 0 and < 1"),
    ({"divergence": 1.0}, ValueError, "range_test(divergence=1.0): expected divergence > 1"),
    ({"seeds": 3, "batches": [batch_number(0)]}, ValueError, "range_test(seeds=3) would train 3 times the same"),
    ({"batches": []}, ValueError, "range_test(batches=...) has no batch"),
    ({"batches": (INPUTS, BATCHES[1][:3])}, ValueError, "as many batches in each array, got shapes [0]: (7, 8, 3)"),
    ({"batches": [INPUTS[0], INPUTS[1][:5]]}, ValueError, "got (5, 3) in batch 1 and (8, 3) in batch 0: drop the last"),
    ({"batches": 3}, TypeError, "range_test(batches=...) must be arrays of shape "),
    ({"params": {**PARAMS, "w": jnp.full(3, jnp.nan)}}, ValueError, "must give a finite loss before the first update, got nan"),
    ({"params": {"counts": np.arange(3)}}, TypeError, "range_test(params=...) must be a pytree with arrays of floats"),
    ({"optimizer": optax.adam(0.1)}, TypeError, ": pass optax.adamw itself"),
    ({"optimizer": lambda _: optax.sgd(0.1)}, ValueError, "does not use its learning rate"),
    ({"loss_fn": 3.0}, TypeError, "range_test(loss_fn=...) must be a function of (params, batch), got 3.0"),
    ({"loss_fn": lambda p, _: p["w"]}, TypeError, "must return one number, got shape (3,): take its mean"),
    ({"loss_fn": lambda p, batch: (fit(p, batch), 1)}, TypeError, "got tuple: without auxiliary outputs"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_what_cannot_be_tested_is_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        range_test(**options)
