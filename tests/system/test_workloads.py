"""`lrsched.lab.workloads`: the data, the transformer, the training loop, and that short runs learn."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched.lab.workloads import WORKLOADS, Splits, chars, digits, tabular

KEY = jax.random.key(0)
RUNS = {"dense": (100, 0.04, 0.4), "digits": (150, 0.04, 0.5), "chars": (150, 0.016, 0.5), "tabular": (100, 0.008, 0.4)}
EVERY = {"dense": digits.DENSE, **WORKLOADS}
DATA = np.arange(1.0, 5.0, dtype=np.float32)


def rows(split):
    """The bytes of each row of a split."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(split)]
    return {b"".join(x[i].tobytes() for x in leaves) for i in range(len(leaves[0]))}


@pytest.mark.parametrize(("load", "sizes"), [(digits.load, [1000, 397, 400]), (tabular.load, [242, 100, 100])])
def test_no_example_is_in_two_splits(load, sizes):
    splits = load()
    assert [len(split[0]) for split in splits] == sizes
    for a, b in itertools.combinations(map(rows, splits), 2):
        assert not a & b


def test_a_character_changes_no_prediction_before_it():
    params = {k: v + 0.1 for k, v in chars.init(KEY).items()}
    symbols = jax.random.randint(jax.random.key(1), (3, 9), 0, chars.SYMBOLS)
    predict = jax.default_matmul_precision("highest")(jax.jit(lambda symbols: chars.transformer(params, symbols)))
    before = predict(symbols)
    for place in range(9):
        after = predict(symbols.at[:, place].set((symbols[:, place] + 1) % chars.SYMBOLS))
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert np.all(np.abs(after - before)[:, place:].max(axis=-1) > 0)  # and every one from it on


@pytest.mark.parametrize("name", EVERY)
def test_runs_learn_even_beside_one_that_diverges(name):
    """Two keys, and between them a rate that is far too high."""
    steps, peak, better = RUNS[name]
    schedules = ls.Cosine(jnp.asarray([peak, 1e30, peak]), 0.0, steps)
    keys = jnp.stack([KEY, KEY, jax.random.key(1)])
    metrics: Any = jax.jit(jax.vmap(EVERY[name].make_train(steps)))(schedules, keys)
    loss, validation = np.asarray(metrics["loss"]), np.asarray(metrics["validation"])
    assert np.isnan(loss[1, -1])
    assert np.all(loss[[0, 2], -1] < loss[[0, 2], 0])
    assert np.all(validation[[0, 2], -1] > validation[[0, 2], 0] + better)


def line():
    """A workload whose runs are known: one number x with the loss ½x² times the mean of a batch."""
    return dataclasses.replace(
        WORKLOADS["tabular"],
        load=lambda: Splits(DATA, np.ones(2, np.float32), np.full(3, 2.0, np.float32)),
        init=lambda key: 1.0 + jax.random.uniform(key),
        measure=lambda x, rows: (0.5 * x**2 * jnp.mean(jnp.asarray(rows)), -x * jnp.asarray(rows)[0]),
        optimizer=optax.scale(0.5),
        rows=2,
    )


@pytest.mark.parametrize(("steps", "evaluations"), [(1, 1), (7, 7), (50, 50), (130, 50)])
def test_it_is_a_plain_loop_with_evenly_spaced_evaluations(steps, evaluations):
    result = line().make_train(steps)(ls.Linear(0.1, 0.0, steps), KEY)
    gaps = np.diff([0, *result["step"]])
    assert len(gaps) == evaluations
    assert result["step"][-1] == steps
    assert gaps.max() - gaps.min() <= 1
    key_params, key_batches = jax.random.split(KEY)
    x, losses, reached = 1.0 + float(jax.random.uniform(key_params)), [], []
    for t in range(steps):
        batch = DATA[jax.random.randint(jax.random.fold_in(key_batches, t), (2,), 0, 4)]
        losses.append(0.5 * x**2 * batch.mean())
        x -= 0.1 * (1 - t / steps) * 0.5 * x * batch.mean()
        reached.append(x)
    ends = np.asarray(result["step"])
    x = np.asarray(reached)[ends - 1]
    means = [np.mean(losses[end - gap : end]) for end, gap in zip(ends, gaps, strict=True)]
    np.testing.assert_allclose(result["loss"], means, rtol=1e-4)
    np.testing.assert_allclose(result["validation_loss"], 0.5 * x**2, rtol=1e-4)
    np.testing.assert_allclose(result["validation"], -x, rtol=1e-4)
    np.testing.assert_allclose(result["test"], -2.0 * x[-1], rtol=1e-4)
    np.testing.assert_allclose(result["learning_rate"], 0.1 * (1 - (ends - 1) / steps), rtol=1e-4)


def test_a_plateau_observes_the_validation_loss():
    schedule = ls.reduce_on_plateau(factor=0.5, patience=1, threshold=0.5)
    result = line().make_train(100)(schedule, KEY)
    np.testing.assert_allclose(result["learning_rate"], ls.clocks.replay(schedule, result["validation_loss"]))
    assert result["learning_rate"][-1] < 1.0
