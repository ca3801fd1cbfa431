"""`lrsched.lab.workloads`: the data, the networks, the training loop, and that short runs learn."""

import functools
import math
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import relaxed, x64

import lrsched as ls
from lrsched.lab.workloads import WORKLOADS, Splits, Task, chars, convolutional, digits, make_train, tabular, transformer

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
    train, validation, test = map(rows, splits)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_the_patients_are_measured_by_those_of_the_training_split():
    from sklearn.datasets import load_diabetes

    raw_data: Any = load_diabetes(return_X_y=True, scaled=False)
    splits = tabular.load()
    for k, raw in enumerate(raw_data):
        ours = np.concatenate([split[k] for split in splits])
        train = ours[:242].astype(np.float64)
        np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-6)
        shuffled = raw[np.random.default_rng(0).permutation(442)]
        np.testing.assert_allclose(ours, (shuffled - shuffled[:242].mean(0)) / shuffled[:242].std(0), rtol=1e-5, atol=1e-6)


def test_each_module_is_in_one_split_and_each_window_in_one_module():
    names = [module for modules in chars.MODULES.values() for module in modules.split()]
    assert len(set(names)) == len(names)
    for split, windows in chars.load()._asdict().items():
        whole = set()
        for name in chars.MODULES[split].split():
            text = chars.encode(Path(sysconfig.get_path("stdlib"), f"{name}.py").read_text(encoding="utf-8"))
            whole |= {text[i : i + 33].tobytes() for i in range(0, len(text) - 32, 33)}
        assert {row.tobytes() for row in windows} <= whole


def test_a_python_without_its_source_is_told_of(monkeypatch, tmp_path):
    monkeypatch.setattr(chars.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"reads the source of Python's standard library, .* read .*argparse\.py"):
        chars.load.__wrapped__()


@pytest.mark.parametrize("module", [digits, tabular])
def test_scikit_learn_is_asked_for_by_its_extra(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"come with scikit-learn, .* python -m pip install 'lrsched-jax\[lab\]'"):
        module.load.__wrapped__()


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_data_say_which_they_are(name):
    data = WORKLOADS[name].data()
    assert data == WORKLOADS[name].data()
    assert data["source"].endswith(sys.version.split()[0] if name == "chars" else __import__("sklearn").__version__)
    assert len(data["sha256"]) == 64
    assert len({workload.data()["sha256"] for workload in WORKLOADS.values()}) == 3


# The networks


def convolved_by_jax(images, kernel):
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.default_matmul_precision("highest")  # on a GPU the default keeps 10 bits of a factor
def test_a_convolution_is_that_of_jax():
    images, kernel = jnp.cos(jnp.arange(384.0)).reshape(4, 8, 6, 2), jnp.sin(jnp.arange(150.0)).reshape(5, 3, 2, 5)
    expected = jax.jit(convolved_by_jax)(images, kernel)
    np.testing.assert_allclose(jax.jit(convolutional.convolved)(images, kernel), expected, rtol=1e-5, atol=1e-5)


@jax.default_matmul_precision("highest")
def test_the_convolutional_network_is_convolutions_and_pools():
    def layer(x, weight, bias):
        out = jax.nn.relu(convolved_by_jax(x, weight) + bias[None, None, None])
        return jax.lax.reduce_window(out, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    @jax.jit
    def network(params, images):
        x = images.reshape(-1, 8, 8, 1)
        for k in (1, 2):
            x = layer(x, params[f"w{k}"], params[f"b{k}"])
        return x.reshape(len(x), -1) @ params["w3"] + params["b3"][None]

    params = {k: v + 0.1 for k, v in convolutional.init(KEY, (3, 5), 10).items()}
    images = jax.random.normal(jax.random.key(1), (4, 64))
    np.testing.assert_allclose(jax.jit(convolutional.apply)(params, images), network(params, images), rtol=1e-4, atol=1e-4)


SIZE = transformer.Size(symbols=11, width=8, blocks=2, heads=2, hidden=12)


def test_a_character_changes_no_prediction_before_it():
    params = {k: v + 0.1 for k, v in transformer.init(KEY, SIZE).items()}
    symbols = jax.random.randint(jax.random.key(1), (3, 9), 0, 11)
    predict = jax.jit(lambda symbols: transformer.apply(params, symbols, SIZE))
    before = predict(symbols)
    for place in range(9):
        after = predict(symbols.at[:, place].set((symbols[:, place] + 1) % 11))
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert np.all(np.abs(after - before)[:, place:].max(axis=-1) > 0)  # and every one from it on


def test_attention_is_the_mean_of_the_values_weighted_by_nearness_and_likeness():
    x = np.asarray(jax.random.normal(KEY, (1, 4, 3 * 6)), np.float64)
    queries, keys, values = x[0, :, :6], x[0, :, 6:12], x[0, :, 12:]
    expected = np.zeros((4, 6))
    for head, slope in enumerate((1.0, 0.25)):
        part = slice(3 * head, 3 * head + 3)
        for i in range(4):
            shares = [math.exp(queries[i, part] @ keys[j, part] / math.sqrt(3) - slope * (i - j)) for j in range(i + 1)]
            expected[i, part] = sum(s * values[j, part] for j, s in enumerate(shares)) / sum(shares)
    np.testing.assert_allclose(transformer.attention(jnp.asarray(x, jnp.float32), 2)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", WORKLOADS)
def test_gradients_are_slopes(name):
    with x64():
        task = WORKLOADS[name].task()
        params = jax.tree.map(lambda p: p + 0.05, task.init(KEY))
        batch = jax.tree.map(lambda x: x[:4], task.splits.train)
        along = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=float)).reshape(p.shape), params)
        loss = jax.jit(lambda h: task.loss(jax.tree.map(lambda p, a: p + h * a, params, along), batch))
        slope = jax.grad(loss)(0.0)
        assert slope.dtype == np.float64
        assert float(slope) == pytest.approx(float(loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-6)


# The training loop


class Run(NamedTuple):
    task: Task
    steps: int
    peak: float
    metrics: dict  # of three runs: as it should be; with a rate that is far too high; and from another key


@functools.cache
def run(name):
    steps, peak = {"dense": (100, 0.04), "digits": (200, 0.04), "chars": (400, 0.016), "tabular": (100, 0.008)}[name]
    task = TASKS[name]()
    schedules = ls.Cosine(jnp.asarray([peak, 1e30, peak]), 0.0, steps)
    metrics = jax.jit(jax.vmap(make_train(task, steps)))(schedules, jnp.stack([KEY, KEY, jax.random.key(1)]))
    return Run(task, steps, peak, jax.device_get(metrics))


@pytest.mark.parametrize("name", TASKS)
def test_training_is_a_plain_loop_of_optax_even_beside_a_run_that_diverges(name):
    task, steps, peak, metrics = run(name)
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
    rate = 0.5 * peak * (1 + np.cos(np.pi * (metrics["step"][0] - 1) / steps))
    np.testing.assert_allclose(metrics["learning_rate"][0], rate, rtol=1e-3)


@pytest.mark.parametrize("name", TASKS)
def test_a_run_that_diverges_is_not_a_number_and_the_others_go_on(name):
    metrics = run(name).metrics
    assert np.isnan(metrics["loss"][1, -1])
    assert np.all(np.isfinite(metrics["loss"][[0, 2]]))


def line(noise=1.0):
    """A task whose runs are known: one number that descends ½x², scored by -x on 'data' that are counts."""
    data = Splits(np.arange(4.0, dtype=np.float32), np.ones(2, np.float32), np.full(3, 2.0, np.float32))
    return Task(
        splits=data,
        init=lambda key: 1.0 + jax.random.uniform(key),
        loss=lambda x, rows: 0.5 * x**2 + 0.0 * noise * rows.sum(),
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


def test_a_plateau_hears_the_validation_loss():
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


@pytest.mark.parametrize("name", WORKLOADS)
def test_double_precision_and_float32_schedules_go_together(name):
    with x64():
        result = jax.eval_shape(WORKLOADS[name].make_train(2), ls.Constant(np.float32(0.01)), KEY)
    types = {name: shape.dtype for name, shape in result.items()}
    assert types.pop("step") == np.int32
    assert set(types.values()) == {np.dtype(np.float64)}


# The workloads


def naive(name):
    """The score of the training split's mean, or of its pairs of characters; for digits, more than that of any one class."""
    splits = TASKS[name]().splits
    if name in ("dense", "digits"):
        return 0.15
    if name == "tabular":
        return 0.0
    pairs = np.full((97, 97), 0.1)
    np.add.at(pairs, (splits.train[:, :-1], splits.train[:, 1:]), 1.0)
    shares = pairs / pairs.sum(axis=1, keepdims=True)
    return float(np.log2(shares)[splits.validation[:, :-1], splits.validation[:, 1:]].mean())


@pytest.mark.parametrize(("name", "better"), [("dense", 0.5), ("digits", 0.7), ("tabular", 0.4), ("chars", 0.2)])
def test_a_short_run_learns_more_than_is_plain(name, better):
    metrics = run(name).metrics
    assert np.all(metrics["validation"][[0, 2], -1] > naive(name) + better)
    assert np.all(metrics["loss"][[0, 2], -1] < metrics["loss"][[0, 2], 0])
