"""A batch of schedules equals its members."""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from nested import inverse_time, schedules

import lrsched as ls

STEPS = np.array([0, 1, 5, 9, 10, 11, 30, 1000])
LINES = [ls.Linear(0, 1, 10), ls.Linear(2, 1, 5), ls.Linear(-1, 3, 0)]
OTHER = [ls.Cosine(1, 0, 20), ls.Linear(0, 1, 5) >> ls.Exponential(1, 0.5), ls.Piecewise([0, 5], [1, 2], "linear"), LINES[0]]
COSINE = ls.Cosine(1.0, 0.0, 40)
DRIVEN = [COSINE, COSINE * ls.reduce_on_plateau(0.5, patience=1), ls.Linear(0, 1, 5) >> ls.reduce_on_plateau(patience=0)]
BATCH = ls.stack(LINES)


def looped(members, steps=STEPS):
    return np.stack([np.asarray(s(steps)) for s in members])


@settings(max_examples=15)
@given(st.lists(schedules.filter(lambda s: not isinstance(s, ls.Choice)), min_size=1, max_size=3))
def test_a_stack_equals_its_members(members):
    for some in ([*members, *(jax.tree.map(lambda x: x * 2, s) for s in members)], members):
        batch = ls.stack(some)
        assert batch.batch_shape == (len(some),)
        np.testing.assert_array_equal(batch(STEPS), looped(some))
        np.testing.assert_array_equal(batch.length, [s.length for s in some])
        assert list(batch) == some
        assert list(map(repr, list(batch))) == list(map(repr, some))
    assert eval(repr(batch), vars(ls) | {"inverse_time": inverse_time}) == batch == pickle.loads(pickle.dumps(batch))
    assert hash(batch) == hash(ls.stack(members))


def test_a_call_has_the_shape_of_the_batch_and_then_of_the_steps():
    batch = ls.stack(OTHER)
    assert (batch(3).shape, batch(np.zeros((2, 5))).shape) == ((4,), (4, 2, 5))
    for call in (jax.jit(lambda b: b(STEPS)), jax.jit(jax.vmap(lambda s: s(STEPS)))):
        np.testing.assert_allclose(call(batch), looped(OTHER), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ls.stack([batch, batch])(STEPS), [batch(STEPS)] * 2)


def rates(s, losses):
    def update(state, loss):
        return ls.clocks.tick(s, state, value=loss), ls.clocks.evaluate(s, state)

    state, values = jax.lax.scan(update, ls.clocks.init(s), losses)
    return values, state


def test_a_stack_of_driven_schedules_equals_the_loop():
    losses = jnp.asarray([3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1], jnp.float32)
    assert list(ls.stack(DRIVEN)) == DRIVEN
    batched, state = jax.jit(jax.vmap(rates, (0, None)))(ls.stack(DRIVEN), losses)
    np.testing.assert_allclose(batched, np.stack([rates(s, losses)[0] for s in DRIVEN]), rtol=1e-6)
    plateaus = np.stack([clock.plateaus for clock in state.clocks])
    assert plateaus.tolist() == [[0, 4, 0], [0, 0, 6]]  # only the clocks of the chosen branch tick


def test_grid_is_the_product_of_its_lists():
    batch, points = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=(0, 10, 20), steps=100)
    numbers = [x.tolist() for x in points.values()]
    assert (list(points), numbers) == (["peak", "warmup_steps"], [[0.1] * 3 + [0.2] * 3, [0, 10, 20] * 2])
    assert list(batch) == [ls.warmup_cosine(p, w, 100) for p, w in zip(*numbers, strict=True)]
    assert batch[-1] == list(batch)[-1] == batch[np.int64(5)] == batch[jnp.int32(5)]
    assert batch[1:6:2] == ls.stack(list(batch)[1:6:2])
    assert (len(batch), len(batch[1:6:2]), len(ls.stack([batch, batch]))) == (6, 3, 2)
    with pytest.raises(IndexError, match=r"at least one schedule of the 6"):
        batch[6:]
    with pytest.raises(IndexError, match=r"batch\[6\]: expected an index below 6"):
        batch[6]
    batch, points = ls.grid(ls.triangular, low=0.0, high=1.0, up=4, mode=["triangular", "triangular2"])
    np.testing.assert_array_equal(batch([4, 12]), [[1, 1], [1, 0.5]])
    assert points["mode"].tolist() == ["triangular", "triangular2"]
    batch, points = ls.grid(ls.multi_step, start=np.array([1.0, 2.0]), milestones=[[5], [5, 10]], factor=0.5)
    np.testing.assert_array_equal(batch(12), [0.5, 0.25, 1, 0.5])
    assert list(points["milestones"]) == [[5], [5, 10], [5], [5, 10]]
    _, points = ls.grid(lambda x: ls.Constant(np.sum(x)), x=[np.ones(2), np.ones((2, 3))])
    assert [*map(np.shape, points["x"])] == [(2,), (2, 3)]


ONE = r"expected one schedule, got a batch of shape \(3,\)"
REFUSED = [
    (lambda: ls.stack([]), r"stack\(\.\.\.\): expected at least one schedule"),
    (lambda: ls.stack([LINES[0], BATCH]), r"batch shapes: \(\), \(3,\)"),
    (lambda: len(LINES[0]), r"len\(schedule=Linear\(.*\): expected a batch of schedules.* Hint: schedule.length is the number"),
    *(
        (lambda use=use: use(LINES[0]), "a single schedule cannot be indexed or iterated: expected a batch of schedules")
        for use in (lambda s: s[0], lambda s: s[1:], list, lambda s: 3 in s)
    ),
    *(
        (lambda i=i: BATCH[i], r"batch\[.*\]: expected a whole number or a slice. Hint: .*jax.tree.map")  # pyright: ignore
        for i in (True, False, np.True_, 1.0, [0, 2], np.array([0, 2]), jnp.array([1]), None, "0", (0, 1))
    ),
    (lambda: jax.jit(lambda i: BATCH[i](0))(1), r"expected a whole number or a slice. Hint: .*jax.tree.map"),
    (lambda: ls.grid(ls.Linear, start=0, end=1, steps=10), r"grid\(\.\.\.\): expected at least one argument"),
    (lambda: ls.grid(ls.Linear, start=0, end=[], steps=10), "none that is empty"),
    (lambda: ls.grid(COSINE, start=[0, 1]), r"grid\(function=Cosine\(.*: expected a function that makes a sch"),  # pyright: ignore
    (lambda: ls.grid(ls.Linear, [0, 1], 1, 10), "expected function, got too many positional arguments"),  # pyright: ignore
    (lambda: ls.Choice((LINES[0], LINES[1]), 2), r"Choice\(index=2\.0\): expected index < 2"),
    (lambda: ls.clocks.init(BATCH), rf"init\(schedule=\.\.\.\): {ONE}. Hint: map over it with jax.vmap"),
    *((lambda f=f: f(BATCH, ls.clocks.init(LINES[0])), ONE) for f in (ls.clocks.evaluate, ls.clocks.tick, ls.clocks.bind)),
    (lambda: BATCH.take(np.array([1.0, -1.0, 1.0])), r"take\(steps=array.*\): expected steps >= 0"),
    (lambda: BATCH + np.ones(2), r"expected batches of one shape, got \(2,\), \(3,\)"),
]
test_mistakes = refused(REFUSED)


def test_a_batch_has_ends_of_its_members_and_an_index_is_rounded():
    ends = np.array([5.0, np.inf])
    s = ls.Constant(1.0, ends).drop(3).stretch(2).staircase(7).delay(1)
    np.testing.assert_array_equal(s.length, [8, np.inf])
    np.testing.assert_array_equal(jax.jit(lambda k: ls.Constant(1.0, ends).stretch(k).length)(2.0), [10, np.inf])
    choice = dataclasses.replace(ls.stack([ls.Linear(0.0, 1.0, 3), ls.Cosine(0.0, 1.0, 3)]), index=[1.5, 0.4])  # pyright: ignore
    assert list(choice) == [ls.Cosine(0.0, 1.0, 3), ls.Linear(0.0, 1.0, 3)]
    np.testing.assert_array_equal(choice(1), [s(1) for s in choice])
