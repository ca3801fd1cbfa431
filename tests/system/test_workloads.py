"""`lrsched.lab.workloads`: the data, the networks, the training loop, and that short runs learn."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed

import lrsched as ls
from lrsched.lab.workloads import WORKLOADS, Splits, Task, chars, digits, make_train, tabular

KEY = jax.random.key(0)
TASKS = {"dense": digits.dense_task, **{name: workload.task for name, workload in WORKLOADS.items()}}


# The data


def rows(split):
    """The bytes of each row of a split."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(split)]
    return {b"".join(x[i].tobytes() for x in leaves) for i in range(len(leaves[0]))}


@pytest.mark.parametrize(("load", "sizes"), [(digits.load, [1000, 397, 400]), (tabular.load, [242, 100, 100])])
def test_no_example_is_in_two_splits(load, sizes):
    splits = load()
    assert list(splits.rows().values()) == sizes
    for a, b in itertools.combinations(map(rows, splits), 2):
        assert not a & b


# The networks


@jax.default_matmul_precision("highest")
def test_the_convolutional_network_is_convolutions_and_pools():
    def layer(x, weight, bias):
        out = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        out = jax.nn.relu(out + bias[None, None, None])
        return jax.lax.reduce_window(out, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    @jax.jit
    def network(params, images):
        x = images.reshape(-1, 8, 8, 1)
        for k in (1, 2):
            x = layer(x, params[f"w{k}"], params[f"b{k}"])
        return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]

    params = {k: v + 0.1 for k, v in digits.convolutional(KEY, (3, 5)).items()}
    images = jax.random.normal(jax.random.key(1), (4, 64))
    np.testing.assert_allclose(
        jax.jit(digits.through_convolutional)(params, images), network(params, images), rtol=1e-4, atol=1e-4
    )


def test_a_character_changes_no_prediction_before_it():
    params = {k: v + 0.1 for k, v in chars.init(KEY).items()}
    symbols = jax.random.randint(jax.random.key(1), (3, 9), 0, chars.SYMBOLS)
    predict = jax.jit(lambda symbols: chars.transformer(params, symbols))
    before = predict(symbols)
    for place in range(9):
        after = predict(symbols.at[:, place].set((symbols[:, place] + 1) % chars.SYMBOLS))
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert np.all(np.abs(after - before)[:, place:].max(axis=-1) > 0)  # and every one from it on


# The training loop


RUNS = {"dense": (100, 0.04, 0.4), "digits": (150, 0.04, 0.5), "chars": (150, 0.016, 0.5), "tabular": (100, 0.008, 0.4)}


@pytest.mark.parametrize("name", TASKS)
def test_training_is_a_plain_loop_of_optax_that_learns_even_beside_a_run_that_diverges(name):
    """Three runs: as it should be; with a rate that is far too high; and from another key."""
    (steps, peak, better), task = RUNS[name], TASKS[name]()
    schedules = ls.Cosine(jnp.asarray([peak, 1e30, peak]), 0.0, steps)
    metrics: Any = jax.jit(jax.vmap(make_train(task, steps)))(schedules, jnp.stack([KEY, KEY, jax.random.key(1)]))
    key_params, key_batches = jax.random.split(KEY)
    params = task.init(key_params)
    optimizer = optax.chain(task.optimizer, optax.scale_by_learning_rate(optax.cosine_decay_schedule(peak, steps)))
    state, losses = optimizer.init(params), []

    @jax.jit
    def update(params, state, rows):
        batch = jax.tree.map(lambda x: jnp.asarray(x)[rows], task.splits.train)
        loss, grads = jax.value_and_grad(task.loss)(params, batch)
        with relaxed():
            updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    first = int(metrics["step"][0, 0])
    assert first == steps // 50
    for t in range(first):
        rows = jax.random.randint(jax.random.fold_in(key_batches, t), (task.batch_size,), 0, task.splits.rows()["train"])
        params, state, loss = update(params, state, rows)
        losses.append(loss)
    found = [metrics[metric][0, 0] for metric in ("loss", "validation_loss", "validation")]
    np.testing.assert_allclose(found, [np.mean(losses), *jax.jit(task.score)(params, task.splits.validation)], rtol=1e-4)
    rate = 0.5 * peak * (1 + np.cos(np.pi * (np.asarray(metrics["step"][0]) - 1) / steps))
    np.testing.assert_allclose(metrics["learning_rate"][0], rate, rtol=1e-3)
    loss, validation = (np.asarray(metrics[metric]) for metric in ("loss", "validation"))
    assert np.isnan(loss[1, -1])
    assert np.all(loss[[0, 2], -1] < loss[[0, 2], 0])
    assert np.all(validation[[0, 2], -1] > validation[[0, 2], 0] + better)


def line():
    """A task whose runs are known: one number that descends ½x², scored by -x on 'data' that are counts."""
    data = Splits(np.arange(4.0, dtype=np.float32), np.ones(2, np.float32), np.full(3, 2.0, np.float32))
    return Task(
        splits=data,
        init=lambda key: 1.0 + jax.random.uniform(key),
        loss=lambda x, _: 0.5 * x**2,
        score=lambda x, split: (0.5 * x**2, -x * jnp.asarray(split)[0]),
        optimizer=optax.identity(),
        batch_size=2,
    )


@pytest.mark.parametrize(("steps", "evaluations"), [(1, 1), (7, 7), (50, 50), (130, 50)])
def test_evaluations_are_evenly_spaced_and_the_last_is_at_the_end(steps, evaluations):
    result = make_train(line(), steps)(ls.Constant(0.1), KEY)
    gaps = np.diff([0, *result["step"]])
    assert len(gaps) == evaluations
    assert result["step"][-1] == steps
    assert gaps.max() - gaps.min() <= 1
    x = (1.0 + float(jax.random.uniform(jax.random.split(KEY)[0]))) * 0.9 ** np.asarray(result["step"])
    np.testing.assert_allclose(result["validation"], -x, rtol=1e-4)
    np.testing.assert_allclose(result["validation_loss"], 0.5 * x**2, rtol=1e-4)
    np.testing.assert_allclose(result["test"], -2.0 * x[-1], rtol=1e-4)


def test_a_plateau_observes_the_validation_loss():
    schedule = ls.reduce_on_plateau(factor=0.5, patience=1, threshold=0.5)
    result = make_train(line(), 100)(schedule, KEY)
    rate, best, bad, expected = 1.0, np.inf, 0, []
    for loss in np.asarray(result["validation_loss"]):
        expected.append(rate)
        best, bad = (loss, 0) if loss < 0.5 * best else (best, bad + 1)
        if bad > 1:
            rate, bad = rate / 2, 0
    np.testing.assert_allclose(result["learning_rate"], expected)
    assert expected[-1] < 1.0
