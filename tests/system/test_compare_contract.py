"""What `lrsched.lab.compare` says of a `train` that it cannot use, before anything is compiled."""

import itertools
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched import lab
from lrsched.lab.comparing import contract

SCHEDULES = {"constant": ls.Constant(1.0), "plateau": ls.reduce_on_plateau(patience=2)}
COUNTER = itertools.count()


def descend(schedule, start):
    def step(carry, _):
        x, state = carry
        x = x - ls.evaluate(schedule, state) * x
        return (x, ls.tick(schedule, state, value=x**2)), x**2

    _, losses = jax.lax.scan(step, (start, ls.init(schedule)), jnp.arange(9))
    return {"loss": losses, "validation": -losses, "test": -losses[-1]}


def good(schedule, key):
    return descend(schedule, jax.random.normal(key))


def compare(train, **options):
    return lab.compare(train, SCHEDULES, **{"peaks": [0.1, 0.3], "seeds": 2, "show_progress": False, **options})


def draws_from_numpy(schedule, key):
    return descend(schedule, jax.random.normal(key) + jnp.float32(np.random.normal()))  # noqa: NPY002 - what users write


def draws_from_python(schedule, key):
    return descend(schedule, jax.random.normal(key) * jnp.float32(random.random()))


def closes_over_new_data(schedule, key):
    data = jnp.asarray(np.random.default_rng().normal(size=100), jnp.float32)
    return descend(schedule, jax.random.normal(key) + data.mean())


def counts(schedule, key):
    return descend(schedule, jax.random.normal(key) + jnp.float32(next(COUNTER)))


def closes_over_new_data_in_a_jitted_function(schedule, key):
    data = jnp.asarray(np.random.default_rng().normal(size=100), jnp.float32)
    return descend(schedule, jax.random.normal(key) + jax.jit(lambda: data.mean())())


class Trainer:
    """Keeps what it computes."""

    def __init__(self):
        self.params = jnp.ones(())

    def train(self, schedule, key):
        found = descend(schedule, self.params + jax.random.normal(key))
        self.params = found["loss"][-1]
        return found


@pytest.mark.parametrize(
    "train",
    [
        draws_from_numpy,
        draws_from_python,
        closes_over_new_data,
        closes_over_new_data_in_a_jitted_function,
        counts,
        Trainer().train,
        jax.jit(draws_from_numpy),
    ],
)
def test_what_is_not_pure_is_refused_with_the_mend(train):
    with pytest.raises(
        ValueError, match=r"train\(schedule, key\) is not pure: .*jax.random.normal\(key, shape\).*jax.lax.scan"
    ):
        compare(train)


def branches(schedule, key):
    found = good(schedule, key)
    return found if found["loss"][-1] < 1.0 else good(schedule, key)


def takes_a_float(schedule, key):
    found = good(schedule, key)
    return {**found, "test": float(found["loss"][-1])}


def takes_an_array(schedule, key):
    found = good(schedule, key)
    return {**found, "test": np.asarray(found["loss"]).mean()}


def loops(schedule, key):
    found = good(schedule, key)
    for _ in range(found["loss"][0].astype(jnp.int32)):
        pass
    return found


@pytest.mark.parametrize("train", [branches, takes_a_float, takes_an_array, loops])
def test_what_needs_values_is_refused_with_the_mend(train):
    with pytest.raises(TypeError, match=r"needs the value of something that has none yet.*jnp.where or jax.lax.cond"):
        compare(train)


@pytest.mark.parametrize("train", [lambda _: None, lambda *, schedule, key: good(schedule, key), "train", 3])
def test_what_does_not_take_a_schedule_and_a_key_is_refused_with_an_example(train):
    with pytest.raises(
        TypeError, match=r"compare\(train=\.\.\.\) must be a function of \(schedule, key\), got(.|\n)*def train\(schedule"
    ):
        compare(train)


def test_what_does_not_use_its_schedule_is_refused():
    with pytest.raises(ValueError, match=r"does not use its schedule.*optax.adamw\(schedule\)"):
        compare(lambda _, key: good(ls.Constant(0.1), key))


def test_what_does_not_use_its_key_is_refused():
    with pytest.raises(ValueError, match=r"does not use its key.*jax.random.normal\(key, shape\)"):
        compare(lambda schedule, _: descend(schedule, jnp.ones(())))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": jnp.zeros(3)}, r"one number as 'test'; got shape \(3,\): take the mean, or the last"),
        ({"loss": jnp.zeros(())}, r"one number an evaluation as 'loss'; got shape \(\): stack them over the evaluations"),
        (
            {"validation": jnp.zeros(4)},
            r"as many of 'validation' as of 'loss', one an evaluation; got shapes \(4,\) and \(9,\)",
        ),
        ({"step": jnp.zeros((9, 2))}, r"as many of 'step' as of 'loss', one an evaluation; got shapes \(9, 2\) and \(9,\)"),
        ({"test": "good"}, r"a dict of numeric arrays with 'loss', 'validation', 'test'; got .*'test': 'str'"),
        ({"params": {"w": 1.0}}, r"a dict of numeric arrays .* got .*'params': 'dict'"),
        ({"test": 1j}, r"a dict of numeric arrays .* got .*'test': 'complex'"),
        ({"best": 1.0}, r"its metrics under other names than 'best', which say which run"),
    ],
)
def test_what_does_not_return_the_metrics_is_refused(changes, message):
    with pytest.raises(ValueError, match=rf"train\(schedule, key\) must return {message}"):
        compare(lambda schedule, key: good(schedule, key) | changes)


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (lambda _: None, "got nothing, as without `return`"),
        (lambda found: (found["loss"], found["test"]), "got tuple"),
        (lambda found: (found, {}), "got tuple"),
        (lambda found: found["test"], r"got float32\[\]"),
    ],
)
def test_what_returns_something_else_is_refused(returned, got):
    with pytest.raises(ValueError, match=rf"train\(schedule, key\) must return a dict of numeric arrays .*; {got}"):
        compare(lambda schedule, key: returned(good(schedule, key)))


def test_the_wrong_order_of_arguments_is_refused():
    with pytest.raises(TypeError, match="the schedule comes first"):
        compare(lambda key, schedule: good(schedule, key))


def test_an_error_of_its_own_says_where_it_was():
    def wrong(optimizer, key):
        return optimizer.update(key)

    with pytest.raises(AttributeError) as error:
        compare(wrong)
    assert any("train(schedule, key)" in note for note in error.value.__notes__)


def test_a_driven_schedule_given_to_a_factory_of_optax_is_refused_by_the_library_itself():
    def train(schedule, key):
        optimizer: Any = optax.sgd(schedule)
        x = jax.random.normal(key)
        updates, _ = optimizer.update(x, optimizer.init(x))
        return {"loss": updates[None], "validation": updates[None], "test": updates}

    with pytest.raises(TypeError, match="depends on what its clock has observed"):
        compare(train)


def test_data_from_outside_and_jitted_functions_are_pure():
    data = np.random.default_rng(0).normal(size=50).astype(np.float32)

    @jax.jit
    def train(schedule, key):
        return descend(schedule, jax.random.normal(key) + jnp.asarray(data).mean())

    assert compare(train).seeds == 2


def test_train_is_called_twice_whatever_the_number_of_runs_and_rounds():
    calls = []

    def counted(schedule, key):
        calls.append(None)
        return good(schedule, key)

    compare(counted, batch_size=3)
    assert len(calls) == 2


def test_the_trace_of_a_run_is_the_run():
    batch = jax.tree.map(jnp.asarray, ls.Cosine(0.3, 0.0, 9))
    key = jax.random.key(5)
    one = contract.traced(good, batch, key)
    for name, value in jax.jit(one)(batch, key).items():
        np.testing.assert_array_equal(value, jax.jit(good)(batch, key)[name])
    with_other_data = contract.traced(
        lambda s, k: descend(s, jax.random.normal(k) + jnp.zeros(3).at[1].set(2.0).sum()), batch, key
    )
    assert one.fingerprint() == contract.traced(lambda *a: good(*a), batch, key).fingerprint() != with_other_data.fingerprint()


def with_data(data, inner):
    def train(schedule, key):
        return descend(schedule, jax.random.normal(jax.random.fold_in(data[1], 0)) + jax.random.normal(key) + inner(data[0]))

    return train


def jitted(data):
    return jax.jit(lambda: jnp.asarray(data).sum())()


def looped(data):
    return jax.lax.fori_loop(0, 3, lambda i, x: x + jnp.asarray(data)[i], jnp.zeros(()))


@pytest.mark.parametrize("inner", [jnp.sum, jitted, looped])
def test_the_fingerprint_is_of_the_data_too_wherever_they_are_closed_over(inner):
    schedule = jax.tree.map(jnp.asarray, ls.Cosine(0.3, 0.0, 9))
    few, many = np.zeros(3, np.float32), np.ones(3, np.float32)
    data = [(few, jax.random.key(0)), (few, jax.random.key(0)), (many, jax.random.key(0)), (few, jax.random.key(1))]
    same, again, *others = [contract.traced(with_data(x, inner), schedule, jax.random.key(5)).fingerprint() for x in data]
    assert same == again
    assert len({same, *others}) == 3
