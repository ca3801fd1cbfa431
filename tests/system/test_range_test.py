"""`lrsched.lab.range_test` beside a plain loop, on losses whose stable rates are known, and what it refuses."""

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
from hypothesis import strategies as st

from lrsched import lab
from lrsched.lab.ranging import suggestions as rules

mpl.use("Agg")

RANDOM = np.random.default_rng(0)
INPUTS, NOISE = (RANDOM.normal(size=shape).astype(np.float32) for shape in ((7, 8, 3), (7, 8)))
BATCHES = INPUTS, INPUTS @ np.asarray([1.0, -2.0, 0.5], np.float32) + NOISE
PARAMS = {"w": jnp.ones(3), "b": jnp.zeros(())}
STEPS = 40  # everywhere, so that most tests find their program compiled


def fit(params, batch):
    """The squared error of a line through the points of a batch."""
    inputs, targets = batch
    return jnp.mean((inputs @ params["w"] + params["b"][None] - targets) ** 2)


def init(key):
    return {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(()), "activation": jnp.tanh}


def range_test(loss_fn: Any = fit, params: Any = PARAMS, batches: Any = BATCHES, **options):
    return lab.range_test(loss_fn, params, batches, **{"start": 1e-4, "steps": STEPS, "show_progress": False, **options})


def by_hand(optimizer, rates, smoothing=0.98, divergence=4.0):
    """The same, a step at a time with optax, and with the average as fastai corrects it."""
    rule, value_and_grad = optimizer(lambda count: jnp.asarray(rates)[count]), jax.jit(jax.value_and_grad(fit))
    params, state, update = PARAMS, rule.init(PARAMS), jax.jit(rule.update)
    losses, smoothed, average = [], [], 0.0
    for i in range(len(rates)):
        loss, grads = value_and_grad(params, batch_number(i))
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        average = smoothing * average + (1 - smoothing) * float(loss)
        losses.append(float(loss))
        smoothed.append(average / (1 - smoothing ** (i + 1)))
        if smoothed[-1] > divergence * min(smoothed):
            return losses, smoothed, i
    return losses, smoothed, None


def batch_number(i):
    return jax.tree.map(lambda x: x[i % len(x)], BATCHES)


@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize("optimizer", [optax.sgd, optax.adam])
def test_it_is_the_plain_loop(optimizer):
    result = range_test(optimizer=optimizer)
    losses, smoothed, stopped = by_hand(optimizer, np.geomspace(1e-4, 10.0, STEPS))
    assert result.stopped == stopped
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(result.smoothed, smoothed, rtol=1e-3)


def test_it_stops_soon_after_the_bound_of_stability_and_suggests_rates_below_it():
    def loss_fn(x, batch):
        """An update with rate r multiplies x by 1 - 5r, so that it diverges above 0.4."""
        return 1.0 + 2.5 * jnp.sum((x - batch) ** 2)

    result = range_test(loss_fn, 3.0 * jnp.ones(2), 0.1 * INPUTS[:, 0, :2], start=1e-3, smoothing=0.5)
    assert 0.4 < result.rates[result.stopped] < 1.2
    for name, most in (("valley", 0.4), ("steep", 0.4), ("minimum", 0.08)):  # which divides by ten
        assert 0 < result.suggestions[name] < most


def test_a_loss_that_is_no_number_stops_it():
    def loss_fn(x, batch):
        return jnp.sqrt(x[0]) + jnp.sum(batch)  # the rates add up to a step below 0, and the loss is NaN

    result = range_test(loss_fn, jnp.ones(1), jnp.zeros((1, 1)), start=1e-2)
    last = len(result.losses) - 1
    assert (result.stopped, 0 < last < STEPS - 1) == (last, True)
    assert np.isfinite(result.losses).tolist() == [True] * last + [False]


def test_stacked_batches_a_list_and_iterators_are_the_same():
    expected = range_test()
    every = [batch_number(i) for i in range(7)]
    for batches in (every, iter(every), (batch for batch in every), dict(enumerate(every)).values()):
        np.testing.assert_array_equal(range_test(batches=batches).losses, expected.losses)


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


def test_slide_stops_where_the_curve_is_straight_again():
    # Straight up to point 40, then ever steeper. The slopes of points 15 apart differ while the right one is beyond 40.
    losses = -0.01 * np.arange(60.0)
    losses[40:] += np.arange(20.0) ** 2
    slopes = np.gradient(losses)
    first = next(i for i in range(60) if abs(slopes[i] - slopes[0]) > 0.005)  # the first right point that differs
    assert rules.slide(np.arange(60.0), losses) == first - 15 == 25.0


def test_the_curve_ends_before_its_first_loss_that_is_no_number():
    rates, losses = np.geomspace(1e-6, 1.0, 40), np.linspace(3.0, 1.0, 40)
    losses[[30, 33]] = np.inf, np.nan
    assert rules.suggestions(rates, losses, 40)["minimum"] == pytest.approx(rates[29] / 10)


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


REFUSED = [
    ({"start": 1.0, "stop": 0.1}, "range_test(stop=...) must be above start=1.0, got 0.1"),
    ({"steps": 5}, "range_test(steps=...) must be a whole number, at least 6 and below 2**32, got 5"),
    ({"seeds": 3, "batches": [batch_number(0)]}, "range_test(seeds=3) would train 3 times the same"),
    ({"batches": []}, "range_test(batches=...) has no batch"),
    ({"batches": (INPUTS, BATCHES[1][:3])}, "as many batches in each array, got shapes [0]: (7, 8, 3)"),
    ({"batches": [INPUTS[0], INPUTS[1][:5]]}, "got (5, 3) in batch 1 and (8, 3) in batch 0: drop the last"),
    ({"batches": 3}, "range_test(batches=...) must be arrays of shape "),
    ({"params": {**PARAMS, "w": jnp.full(3, jnp.nan)}}, "must give a finite loss before the first update, got nan"),
    ({"optimizer": optax.adam(0.1)}, ": pass optax.adamw itself"),
    ({"optimizer": lambda _: optax.sgd(0.1)}, "does not use its learning rate"),
    ({"loss_fn": 3.0}, "range_test(loss_fn=...) must be a function of (params, batch), got 3.0"),
    ({"loss_fn": lambda p, _: p["w"]}, "must return one number, got shape (3,): take its mean"),
    ({"loss_fn": lambda p, batch: (fit(p, batch), 1)}, "got tuple: without auxiliary outputs"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_tested_is_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        range_test(**options)
