"""Many schedules at once equal one after the other."""

import dataclasses
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.algebra.combinators import Choice

STEPS = np.array([0, 1, 5, 9, 10, 11, 30])
SAME = [ls.Linear(0, 1, 10), ls.Linear(2, 1, 5), ls.Linear(-1, 3, 0)]
OTHER = [
    ls.Cosine(1, 0, 20),
    ls.Linear(0, 1, 5) >> ls.Exponential(1, 0.5),
    ls.Constant(0.3),
    ls.Cosine(2, 1, 10),
    ls.Piecewise([0, 5, 10], [1, 2, 3], kind="linear"),
    ls.triangular(0.0, 1.0, 4),
]
COSINE = ls.Cosine(1.0, 0.0, 40)
DRIVEN = [
    COSINE,
    COSINE * ls.reduce_on_plateau(0.5, patience=1),
    COSINE * 2,
    ls.Linear(0, 1, 5) >> ls.reduce_on_plateau(patience=0),
]


def wrong(x: Any) -> Any:
    """What a type checker would refuse."""
    return x


def looped(members, steps=STEPS):
    return np.stack([np.asarray(s(steps)) for s in members])


@pytest.mark.parametrize("members", [SAME, SAME[:1], OTHER, OTHER[::-1]])
def test_a_stack_equals_its_members(members):
    batch = ls.stack(members)
    assert batch.batch_shape == (len(members),)
    np.testing.assert_array_equal(batch(STEPS), looped(members))
    for call in (jax.jit(lambda b: b(STEPS)), jax.jit(jax.vmap(lambda s: s(STEPS)))):
        np.testing.assert_allclose(call(batch), looped(members), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("members", [SAME, OTHER])
def test_a_call_has_the_shape_of_the_batch_and_then_of_the_steps(members):
    batch, n = ls.stack(members), len(members)
    assert batch(3).shape == (n,)
    assert batch(np.zeros(n)).shape == (n, n)
    assert batch(np.zeros((2, 5))).shape == (n, 2, 5)
    assert jax.jit(batch)(jnp.zeros((2, 5))).shape == (n, 2, 5)
    twice = ls.stack([batch, batch])
    assert twice.batch_shape == (2, n)
    assert twice(STEPS).shape == (2, n, len(STEPS))
    np.testing.assert_array_equal(twice(STEPS)[1], batch(STEPS))


@pytest.mark.parametrize("members", [SAME, OTHER, DRIVEN])
def test_unstack_undoes_stack(members):
    assert ls.unstack(ls.stack(members)) == members
    assert [repr(s) for s in ls.unstack(ls.stack(members))] == [repr(ls.expanded(s)) for s in members]


def test_schedules_of_one_structure_need_no_choice():
    assert isinstance(ls.stack(SAME), ls.Linear)
    choice = ls.stack(OTHER)
    assert isinstance(choice, Choice)
    assert len(choice.branches) == 5


def test_lengths_are_those_of_the_members():
    np.testing.assert_array_equal(ls.stack(SAME).length, [10, 5, 0])
    np.testing.assert_array_equal(ls.stack(OTHER[:3]).length, [20, np.inf, np.inf])


def test_a_batch_composes():
    batch = ls.stack(SAME)
    for make in (
        lambda s: s * 2,
        lambda s: ls.Linear(0, 1, 4) >> s,
        lambda s: s.stretch(2) + ls.Exponential(1, 0.5),
        lambda s: s.take(3),
        lambda s: s.repeat(2, stretch=2),
        lambda s: ls.Piecewise([0, 5], [1, 2]) * s.clip(0.1, 0.9),
    ):
        np.testing.assert_array_equal(make(batch)(STEPS), looped([make(s) for s in SAME]))


def test_join_takes_batches_of_boundaries():
    batch = ls.join([ls.Constant(1.0), ls.Constant(2.0)], np.array([[3], [6]]))
    np.testing.assert_array_equal(batch([2, 3, 5, 6]), [[1, 2, 2, 2], [1, 1, 1, 2]])


def test_batches_of_two_shapes_do_not_mix():
    with pytest.raises(ValueError, match=r"expected batches of one shape, got \(2,\), \(3,\)"):
        _ = ls.stack(SAME) + ls.stack(SAME[:2])


def test_batches_are_equal_by_value():
    assert ls.stack(SAME) == ls.stack(SAME)
    assert hash(ls.stack(SAME)) == hash(ls.stack(SAME))
    assert ls.stack(SAME) != ls.stack(SAME[::-1])
    assert eval(repr(ls.stack(SAME)), {"Linear": ls.Linear}) == ls.stack(SAME)


def rates(s, losses):
    def update(state, loss):
        return ls.tick(s, state, value=loss), ls.evaluate(s, state)

    state, values = jax.lax.scan(update, ls.init(s), losses)
    return values, state


LOSSES = jnp.asarray([3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1], jnp.float32)


@pytest.mark.parametrize("members", [DRIVEN[:2], DRIVEN, DRIVEN[::-1]])
def test_a_stack_of_driven_schedules_equals_the_loop(members):
    batched = jax.jit(jax.vmap(rates, (0, None)))(ls.stack(members), LOSSES)[0]
    np.testing.assert_allclose(batched, np.stack([rates(s, LOSSES)[0] for s in members]), rtol=1e-6)


def test_only_the_clocks_of_the_chosen_branch_tick():
    _, state = jax.vmap(rates, (0, None))(ls.stack(DRIVEN), LOSSES)
    plateaus = np.stack([clock.plateaus for clock in state.clocks])
    assert plateaus.tolist() == [[0, 4, 0, 0], [0, 0, 0, 6]]
    assert [clock.bad.tolist()[0] for clock in state.clocks] == [0, 0]


@pytest.mark.deep
def test_training_a_stack_equals_training_each():
    def train(s):
        def update(carry, _):
            x, state = carry
            loss = x**2
            x = x - ls.evaluate(s, state) * 0.3 * x
            return (x, ls.tick(s, state, value=loss)), loss

        return jax.lax.scan(update, (jnp.float32(1), ls.init(s)), None, 30)[1]

    together = jax.jit(jax.vmap(train))(ls.stack(DRIVEN))
    np.testing.assert_allclose(together, np.stack([train(s) for s in DRIVEN]), rtol=1e-5, atol=1e-7)


def test_grid_is_the_product_of_its_lists():
    batch, points = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=(0, 10, 20), steps=100)
    assert batch.batch_shape == (6,)
    assert list(points) == ["peak", "warmup_steps"]
    np.testing.assert_array_equal(points["peak"], [0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
    np.testing.assert_array_equal(points["warmup_steps"], [0, 10, 20, 0, 10, 20])
    members = [ls.warmup_cosine(p, w, 100) for p in (0.1, 0.2) for w in (0, 10, 20)]
    assert ls.unstack(batch) == members
    np.testing.assert_array_equal(batch(STEPS), looped(members))


def test_grid_over_lists_and_words():
    batch, points = ls.grid(ls.multi_step, start=np.array([1.0, 2.0]), milestones=[[5, 8], [5, 20]], factor=0.5)
    np.testing.assert_array_equal(batch(12), [0.25, 0.5, 0.5, 1])
    np.testing.assert_array_equal(points["milestones"], [[5, 8], [5, 20], [5, 8], [5, 20]])
    batch, points = ls.grid(ls.triangular, low=0.0, high=1.0, up=4, mode=["triangular", "triangular2"])
    np.testing.assert_array_equal(batch([4, 12]), [[1, 1], [1, 0.5]])
    assert points["mode"].tolist() == ["triangular", "triangular2"]


def test_tables_of_different_lengths_stack():
    members = [ls.multi_step(1.0, [5], 0.5), ls.multi_step(1.0, [5, 10], 0.5), ls.multi_step(2.0, [6], 0.5)]
    np.testing.assert_array_equal(ls.stack(members)(STEPS), looped(members))
    assert ls.unstack(ls.stack(members)) == members


def test_grid_over_tables_of_different_lengths():
    batch, points = ls.grid(ls.multi_step, start=[1.0, 2.0], milestones=[[5], [5, 10]], factor=0.5)
    np.testing.assert_array_equal(batch(12), [0.5, 0.25, 1, 0.5])
    assert list(points["milestones"]) == [[5], [5, 10], [5], [5, 10]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ls.stack([]), r"stack\(\.\.\.\): expected at least one schedule"),
        (lambda: ls.stack(wrong(["1"])), r"stack\(schedules='1'\): expected a schedule"),
        (lambda: ls.stack([SAME[0], ls.stack(SAME)]), r"batch shapes: \(\), \(3,\)"),
        (lambda: ls.stack([ls.stack(SAME[:2]), ls.stack(SAME)]), r"batch shapes: \(2,\), \(3,\)"),
        (lambda: ls.unstack(SAME[0]), r"unstack\(schedule=.*\): expected a batch"),
        (lambda: ls.unstack(wrong(1.0)), r"unstack\(schedule=1.0\): expected a batch"),
        (
            lambda: ls.grid(ls.Linear, start=0, stop=1, steps=10),
            r"grid\(\.\.\.\): expected at least one argument",
        ),
        (lambda: ls.grid(ls.Linear, start=0, stop=[], steps=10), r"none that is empty"),
        (lambda: ls.grid(ls.Linear, start=0, stop=[1], steps=[-1]), r"Linear\(steps=-1\): expected steps >= 0"),
        (lambda: ls.grid(wrong(str), object=[1, 2]), r"stack\(schedules='1'\): expected a schedule"),
        (lambda: Choice((SAME[0], SAME[1]), 2), r"Choice\(index=2\.0\): expected index < 2"),
    ],
)
def test_errors(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def twice(t, a):
    return 2 * a * t


BATCH = ls.stack(SAME)
NUMBERS = np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    "make",
    [
        lambda s, x: s + x,
        lambda s, x: x - s,
        lambda s, x: s * (1 + x),
        lambda s, x: x / (1 + s),
        lambda s, x: -s + x,
        lambda s, x: ls.minimum(s, x),
        lambda s, x: ls.maximum(x, s),
        lambda s, x: s.clip(x, 1 + x),
        lambda s, x: s >> ls.Linear(x, 1.0, 10),
        lambda s, x: ls.Cosine(x, 1.0, 10) >> s,
        lambda s, x: s @ (ls.Time() * (1 + x)),
        lambda s, x: s.take(10 * x).drop(x).delay(x),
        lambda s, x: s.stretch(1 + x).staircase(10 * x).reverse(),
        lambda s, x: s.repeat(1 + 10 * x, stretch=1 + x, scale=x),
        lambda s, x: s * ls.Piecewise([0, 5], [0.1, 1.0], "cosine") + x,
        lambda s, x: ls.join([s, ls.Constant(x)], [4]),
        lambda s, x: ls.Choice((s, ls.Constant(x)), 1),
        lambda s, x: ls.Function(twice, x) + s,
    ],
)
def test_every_operation_on_a_batch_is_that_on_each_member(make):
    batch = make(BATCH, NUMBERS)
    members = [make(s, float(x)) for s, x in zip(SAME, NUMBERS, strict=True)]
    assert batch.batch_shape == (3,)
    np.testing.assert_array_equal(batch(STEPS), looped(members))
    np.testing.assert_array_equal(np.broadcast_to(batch.length, (3,)), [s.length for s in members])
    assert eval(repr(batch), {**vars(ls), "twice": twice}) == batch
    assert pickle.loads(pickle.dumps(batch)) == batch
    assert ls.unstack(batch) == members or isinstance(batch, Choice)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ls.init(BATCH),
            r"init\(\.\.\.\): expected one schedule, got a batch of shape \(3,\). Hint: map it with jax.vmap",
        ),
        (
            lambda: ls.evaluate(BATCH, ls.init(SAME[0])),
            r"evaluate\(\.\.\.\): expected one schedule, got a batch of shape \(3,\)",
        ),
        (lambda: ls.tick(BATCH, ls.init(SAME[0])), r"tick\(\.\.\.\): expected one schedule, got a batch of shape \(3,\)"),
        (lambda: ls.bind(BATCH, ls.init(SAME[0])), r"bind\(\.\.\.\): expected one schedule, got a batch of shape \(3,\)"),
        (lambda: ls.scale_by_learning_rate(BATCH), r"expected one schedule, got a batch of shape \(3,\)"),
        (lambda: ls.stack([BATCH, SAME[0]]), r"batch shapes: \(3,\), \(\)"),
        (lambda: BATCH + np.ones(2), r"expected batches of one shape, got \(2,\), \(3,\)"),
        (lambda: BATCH >> ls.stack(SAME[:2]), r"expected batches of one shape, got \(2,\), \(3,\)"),
        (lambda: BATCH.take(np.ones(2)), r"expected batches of one shape, got \(2,\), \(3,\)"),
        (lambda: dataclasses.replace(wrong(BATCH), steps=np.ones(2)), r"expected batches of one shape, got \(2,\), \(3,\)"),
        (lambda: BATCH.take(np.array([1.0, -1.0, 1.0])), r"take\(steps=array.*\): expected steps >= 0"),
        (lambda: BATCH.clip(NUMBERS, 0.2), r"clip\(low=.*\): expected low <= high"),
        (lambda: bool(BATCH), "a schedule is neither true nor false"),
        (lambda: len(wrong(BATCH)), "has no len"),
        (lambda: list(wrong(BATCH)), "is not iterable"),
        (lambda: wrong(BATCH)[0], "is not subscriptable"),
        (lambda: wrong(BATCH) < 1, "not supported between"),
    ],
)
def test_what_a_batch_does_not_do_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_nested_list_with_a_traced_entry_is_a_batch_of_tables():
    def table(x):
        return ls.Piecewise([[0.0, 10.0], [0.0, 20.0]], [[x, 1.0], [2.0, 3.0]], "linear")(np.asarray([0, 5, 10]))

    np.testing.assert_allclose(jax.jit(table)(7.0), [[7.0, 4.0, 1.0], [2.0, 2.25, 2.5]])
