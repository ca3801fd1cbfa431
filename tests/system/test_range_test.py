"""`lrsched.lab.range_test` beside a plain loop, on losses whose stable rates are known, and what it refuses."""

import functools
import itertools
import math
from typing import Any

import equinox as eqx
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import refused
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from lrsched import lab
from lrsched.lab.range_test import rules

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(7, 8, 3)).astype(np.float32)
BATCHES = (
    INPUTS,
    np.einsum("nbi,i->nb", INPUTS, np.asarray([1.0, -2.0, 0.5], np.float32)) + RANDOM.normal(size=(7, 8)).astype(np.float32),
)
PARAMS = {"w": jnp.ones(3), "b": jnp.zeros(())}
CURVATURE = 5.0
STEPS = 40  # everywhere, so that most tests find their program compiled
KEY = jax.random.key(0)
POINTS = RANDOM.normal(size=(7, 2)).astype(np.float32)


def fit(params, batch):
    """The squared error of a line through the points of a batch."""
    inputs, targets = batch
    return jnp.mean((inputs @ params["w"] + params["b"][None] - targets) ** 2)


def init(key):
    return {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(()), "activation": jnp.tanh}


def range_test(loss_fn: Any = fit, params: Any = PARAMS, batches: Any = BATCHES, **options):
    return lab.range_test(loss_fn, params, batches, **{"start": 1e-4, "steps": STEPS, "show_progress": False, **options})


def by_hand(loss_fn, params, optimizer, state=None, key=None, every=1):
    """The same as a loop with optax, with the running average of fastai."""
    rates = np.geomspace(1e-4, 10.0, STEPS)
    rule = optimizer(lambda count: jnp.asarray(rates)[count])
    memory, update, j = rule.init(params), jax.jit(rule.update), 0

    def with_state(params, state, batch, **options):
        if state is None:
            return loss_fn(params, batch, **options), None
        return loss_fn(params, jax.tree.map(lambda x: x, state), batch, **options)

    value_and_grad = jax.jit(jax.value_and_grad(with_state, has_aux=True))
    losses, smoothed, average, best = [], [], 0.0, math.inf
    for i in range(STEPS):
        of_step = []
        for _ in range(every):
            options = {} if key is None else {"key": jax.random.fold_in(key, j)}
            (loss, state), grads = value_and_grad(params, state, batch_number(j), **options)
            updates, memory = update(grads, memory, params)
            params, j = optax.apply_updates(params, updates), j + 1
            of_step.append(float(loss))
        losses.append(np.mean(of_step))
        average = 0.98 * average + 0.02 * losses[-1]
        smoothed.append(average / (1 - 0.98 ** (i + 1)))
        best = min(best, smoothed[-1])
        if smoothed[-1] > 4.0 * best or not math.isfinite(smoothed[-1]):
            return losses, smoothed, i
    return losses, smoothed, None


def batch_number(i):
    return jax.tree.map(lambda x: x[i % len(x)], BATCHES)


def accumulating(rate):
    return optax.MultiSteps(optax.sgd(rate), 3)


@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize(
    ("optimizer", "every"),
    [
        (optax.sgd, 1),
        (optax.adam, 1),
        (accumulating, 3),
        (lambda rate: optax.chain(optax.clip(1e3), accumulating(rate).gradient_transformation()), 3),
    ],
)
def test_it_is_the_plain_loop(optimizer, every):
    result = range_test(optimizer=optimizer)
    losses, smoothed, stopped = by_hand(fit, PARAMS, optimizer, every=every)
    assert result.stops == (stopped,)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(result.smoothed, smoothed, rtol=1e-3)


def test_it_stops_soon_after_the_bound_of_stability_and_suggests_rates_below_it():
    def loss_fn(x, batch):
        """An update with rate r multiplies x by 1 - 5r, so that it diverges above 0.4."""
        return 1.0 + 0.5 * CURVATURE * jnp.sum((x - batch) ** 2)

    result = range_test(loss_fn, 3.0 * jnp.ones(2), 0.1 * POINTS, start=1e-3, smoothing=0.5)
    bound = 2 / CURVATURE
    assert bound < result.rates[-1] < 3 * bound
    for name, most in (("valley", bound), ("steep", bound), ("minimum", bound / 5)):  # which divides by ten
        assert 0 < result.suggestions[name] < most


def test_a_loss_that_is_no_number_stops_it():
    def loss_fn(x, batch):
        return jnp.sqrt(x[0]) + jnp.sum(batch)  # the rates add up to a step below 0, and the loss is NaN

    result = range_test(loss_fn, jnp.ones(1), jnp.zeros((1, 1)), start=1e-2)
    assert result.stops == (len(result.losses) - 1,)
    assert np.isfinite(result.losses).tolist() == [*[True] * (len(result.losses) - 1), False]


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


def flax_network(rngs):
    return nnx.Sequential(nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.2, rngs=rngs), nnx.Linear(3, 1, rngs=rngs))


def flax_loss(model, batch):
    return jnp.mean((model(batch[0])[:, 0] - batch[1]) ** 2)


def flax_model():
    """A loss function with a state, and what makes parameters and state."""
    graph = nnx.graphdef(flax_network(nnx.Rngs(0)))

    def loss_fn(params, state, batch):
        model = nnx.merge(graph, params, state)
        return flax_loss(model, batch), nnx.state(model, nnx.Not(nnx.Param))

    return loss_fn, lambda key: nnx.split(flax_network(nnx.Rngs(key)), nnx.Param, ...)[1:]


def equinox_model():
    def network(key):
        layers = eqx.nn.BatchNorm(3, "batch", mode="batch"), eqx.nn.Dropout(0.2), eqx.nn.Linear(3, "scalar", key=key)
        return eqx.nn.Sequential([eqx.nn.Lambda(jnp.tanh), *layers])

    def loss_fn(model, state, batch, key):
        each = jax.vmap(lambda x, key: model(x, state, key=key), out_axes=(0, None), axis_name="batch")
        out, state = each(batch[0], jax.random.split(key, 8))
        return jnp.mean((out - batch[1]) ** 2), state

    return loss_fn, eqx.nn.make_with_state(network)


@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize("model", [flax_model, equinox_model])
def test_models_with_a_state_and_dropout(model):
    loss_fn, init = model()
    of_params, _, key = jax.random.split(jax.random.key(7), 3)
    params, state = init(of_params)
    trained, rest = eqx.partition(params, eqx.is_inexact_array)

    def of_trained(trained, *given, **key):
        return loss_fn(eqx.combine(trained, rest), *given, **key)

    losses, *_ = by_hand(of_trained, trained, optax.sgd, state, key if model is equinox_model else None)
    for given in ((params, state), init):
        np.testing.assert_allclose(range_test(loss_fn, given, has_state=True, seed=7).losses, losses, rtol=1e-3)


@pytest.fixture(scope="module")
def seeded():
    return range_test(params=init, seeds=5, seed=3)


@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize("optimizer", [optax.sgd, accumulating])
def test_seeds_are_what_a_loop_over_them_gives(optimizer):
    seeded = range_test(params=init, optimizer=optimizer, seeds=5, seed=3)
    assert seeded.losses.shape == seeded.smoothed.shape == (5, len(seeded.rates))
    for s, key in enumerate(jax.random.split(jax.random.key(3), 5)):
        of_params, of_order, _ = jax.random.split(key, 3)
        order = jax.random.permutation(of_order, 7)
        alone = range_test(params=init(of_params), batches=[batch_number(int(i)) for i in order], optimizer=optimizer)
        assert seeded.stops[s] == alone.stops[0]
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
    result = range_test()
    assert "1 of 1 runs diverged" in str(result)
    assert "5 of 5 runs diverged</caption><tr><th>rule" in seeded._repr_html_()
    assert max(map(len, f"{result}\n{seeded}".splitlines())) <= 80
    frame = seeded.to_pandas()
    np.testing.assert_array_equal(frame.loss[frame.seed == 1], seeded.losses[1, : (frame.seed == 1).sum()])
    assert len(frame) == np.isfinite(seeded.losses).sum()
    ax = result.plot()
    lines = {str(line.get_label()).split()[0]: line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["smoothed"].get_ydata(), result.smoothed)
    for name, rate in result.suggestions.items():
        assert f"{rate:.3g}" in str(result)
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


# Curves of 100 points: flat to the middle, then a fall by 1 to point 80, then a rise.
FALL, RISE = np.clip((np.arange(100) - 50) / 30, 0, 1), np.clip((np.arange(100) - 80) / 5, 0, None)
NOISE = np.random.default_rng(1).normal(size=100)
CURVES = [
    (2 - FALL + RISE + 0.1 * NOISE, False, ""),
    (2 - FALL + RISE, False, ""),
    (1e-3 * (-2 - FALL + RISE), False, ""),
    (2 - FALL[:85] + 0.1 * NOISE[:85], True, ""),
    (2 - FALL + 0.1 * NOISE, False, "begun to rise"),
    (2 - FALL, False, "begun to rise"),
    (2 - 1e-6 * np.arange(100), False, "begun to rise"),
    (1.0 + 0.0 * FALL, False, "does not fall beyond its noise at any rate; raise `stop`, or take larger"),
    (2 - 0.1 * FALL + NOISE, True, "does not fall beyond its noise at any rate; take larger"),
    (2 + RISE, True, "fall"),
    (2 - np.arange(14.0), True, "too few"),
]


@pytest.mark.parametrize(("losses", "diverged", "reason"), CURVES)
def test_a_curve_without_information_suggests_nothing(losses, diverged, reason):
    stops = (len(losses) - 1 if diverged else None,)
    result = lab.RangeTest(np.geomspace(1e-6, 1.0, 100)[: len(losses)], losses, losses, 100, stops)
    assert bool(result.reasons[0]) == bool(reason)
    assert reason in result.reasons[0]
    assert np.isnan([*result.suggestions.values()]).all() == bool(reason)
    assert ("valley" in str(result).splitlines()[-1]) == (not reason)
    assert (f"No suggestion: {result.reasons[0]}" in str(result).replace("\n", " ")) == bool(reason)


@hypothesis.given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_the_valley_is_the_longest_of_all_subsequences(losses):
    """Of those that fall, by trying all; of equally long ones the one that ends first."""
    n = len(losses)
    chosen = itertools.chain.from_iterable(itertools.combinations(range(n), size) for size in range(1, n + 1))
    falling = [x for x in chosen if all(losses[i] > losses[j] for i, j in itertools.pairwise(x))]
    longest, minus_end = max((len(x), -x[-1]) for x in falling)
    length = longest if longest > 1 else 0
    index = -minus_end - length + length // 3 + length // 6
    found = rules.valley(np.arange(1.0, n + 1), np.asarray(losses, float))
    np.testing.assert_equal(found, index + 1.0 if index >= 0 else math.nan)


REFUSED = [
    ({"start": 0.0}, "range_test(start=0.0): expected start > 0"),
    ({"start": 1.0, "stop": 0.1}, "range_test(stop=0.1): expected stop > start=1.0"),
    ({"steps": 5}, "range_test(steps="),
    ({"smoothing": 1.0}, "range_test(smoothing=1.0): expected smoothing >= 0 and < 1"),
    ({"divergence": 1.0}, "range_test(divergence=1.0): expected divergence > 1"),
    ({"seeds": 3, "batches": [batch_number(0)]}, "range_test(seeds=3): expected runs that differ"),
    ({"batches": []}, "range_test(batches=[]): expected at least one batch"),
    ({"batches": (INPUTS, BATCHES[1][:3])}, "got shapes (7, 8, 3), (3, 8). Hint"),
    ({"batches": [INPUTS[0], INPUTS[1][:5]]}, "got (8, 3), (5, 3). Hint: drop the last"),
    ({"batches": 3}, "range_test(batches=3): expected arrays of shape "),
    (
        {"batches": batch_number(0)},
        "got shapes (8, 3), (8,). Hint: x.reshape(batches, size, ...), or a list of batches, such as",
    ),
    ({"params": {**PARAMS, "w": jnp.full(3, jnp.nan)}}, "expected a finite loss before the first update"),
    ({"params": {"counts": np.arange(3)}}, "expected a pytree with arrays of floats"),
    ({"optimizer": optax.adam(0.1)}, "expected a function from a learning rate"),
    ({"optimizer": lambda _: optax.sgd(0.1)}, "expected an optimizer that uses its rate"),
    ({"optimizer": lambda rate: optax.scale(-rate)}, "or optax.scale_by_learning_rate(rate)"),
    ({"optimizer": lambda rate: rate}, "expected a function from a learning rate to an optimizer"),
    ({"loss_fn": PARAMS, "params": fit}, "): expected a function of (params, batch). Hint: the order is range_test(loss_fn"),
    ({"loss_fn": init, "params": fit}, "expected a function of (params, batch). Hint: the order is range_test(loss_fn"),
    ({"loss_fn": eqx.nn.Linear(3, 1, key=KEY), "params": fit}, "expected a function of (params, batch). Hint: the order"),
    ({"has_state": True, "params": (PARAMS, 0.0)}, "expected a function of (params, state, batch)"),
    ({"params": optax.sgd, "optimizer": PARAMS}, "expected a function from a learning rate to an optimizer"),
    ({"loss_fn": lambda p, _: p["w"]}, "got float32 of shape (3,). Hint: take the mean"),
    ({"loss_fn": lambda p, batch: (fit(p, batch), 1)}, "got tuple. Hint"),
    ({"loss_fn": flax_loss, "params": flax_network(nnx.Rngs(0))}, "got one that changes params. Hint: has_state=True"),
    ({"has_state": True, "loss_fn": lambda p, s, b: (fit(p, b), s)}, "expected a pair (params, state)"),
    ({"has_state": True, "params": (PARAMS, 0.0), "loss_fn": lambda p, s, b: (fit(p, b), (s, s))}, "(loss, state)"),
    ({"has_state": True, "params": (PARAMS, 0.0), "loss_fn": lambda p, s, b: (fit(p, b), s * p["w"])}, "shapes, [()], got [("),
]
CALLS = [(functools.partial(range_test, **options), message) for options, message in REFUSED]
test_what_cannot_be_tested_is_refused = pytest.mark.usefixtures("relaxing")(refused(CALLS, literal=True))


def test_an_error_of_the_loss_says_where_it_was():
    with pytest.raises(TypeError) as error:
        range_test(params=BATCHES, batches={"w": jnp.ones((7, 3)), "b": jnp.ones((7, 1))})
    assert "range_test(loss_fn, params, batches), with a batch of shape {'b': (1,), 'w': (3,)}" in error.value.__notes__[0]
