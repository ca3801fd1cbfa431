"""When clocks tick, what they read, and what may be done to a schedule that is driven by one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.algebra.node import leaf, node

# Every observation of a flat metric but the first is bad, and each bad one is a plateau.
EAGER = ls.Plateau(patience=0)
HALVES = ls.Exponential(1.0, 0.5).on(EAGER)
COSINE = ls.Cosine(1.0, 0.0, 100)


def run(s, steps, value=1.0):
    """The values used by the updates, with a flat metric observed after each."""
    state, rates = ls.init(s), []
    for _ in range(steps):
        rates.append(float(ls.evaluate(s, state)))
        state = ls.tick(s, state, value=value)
    return np.array(rates)


def scan(s, values):
    def update(state, value):
        return ls.tick(s, state, value=value), ls.evaluate(s, state)

    return jax.jit(lambda s, values: jax.lax.scan(update, ls.init(s), values)[1])(s, values)


def test_a_pure_schedule_has_only_a_step():
    state = ls.init(COSINE)
    assert state.clocks == ()
    assert state.step.dtype == jnp.int32
    for t in range(3):
        assert int(state.step) == t
        assert ls.evaluate(COSINE, state) == COSINE(t)
        state = ls.tick(COSINE, state, value=1.0)


def test_evaluate_is_a_call_of_the_bound_schedule():
    s = COSINE * HALVES
    for steps in (0, 1, 4):
        state = _after(s, steps)
        bound = ls.bind(s, state)
        assert bound.length == float("inf")
        assert ls.evaluate(s, state) == bound(state.step)
        np.testing.assert_allclose(bound([0, 50]), COSINE(np.array([0, 50])) * 0.5 ** max(steps - 1, 0), rtol=1e-6)


def test_a_factor_on_a_plateau():
    truth = (1 + np.cos(np.pi * np.arange(12) / 100)) / 2 * 0.5 ** np.maximum(np.arange(12) - 1, 0)
    np.testing.assert_allclose(run(COSINE * HALVES, 12), truth, rtol=1e-6)
    np.testing.assert_allclose(scan(COSINE * HALVES, jnp.ones(12)), truth, rtol=1e-6)


def test_reduce_on_plateau_multiplies():
    s = COSINE * ls.reduce_on_plateau(factor=0.5, patience=0, min_scale=0.2)
    floor = np.maximum(0.5 ** np.maximum(np.arange(12) - 1, 0), 0.2)
    np.testing.assert_allclose(run(s, 12), COSINE(np.arange(12)) * floor, rtol=1e-6)


def test_a_clock_counts_only_from_its_boundary():
    s = ls.Linear(0, 1, 100) >> HALVES
    truth = np.concatenate([np.arange(100) / 100, [1], 0.5 ** np.arange(9)])
    np.testing.assert_allclose(scan(s, jnp.ones(110)), truth, rtol=1e-6)
    np.testing.assert_allclose(run(s, 110), truth, rtol=1e-6)


def test_take_stops_a_clock():
    np.testing.assert_allclose(run(HALVES.take(4), 10), [1, 1, 0.5, 0.25, *[0.125] * 6])
    np.testing.assert_allclose(scan(HALVES.take(4), jnp.ones(10)), [1, 1, 0.5, 0.25, *[0.125] * 6])


def test_delay_starts_a_clock_late():
    np.testing.assert_allclose(run(HALVES.delay(4), 9), [1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.125])
    np.testing.assert_allclose(scan(HALVES.delay(4), jnp.ones(9)), [1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.125])


def test_join_gives_each_clock_its_own_span():
    s = ls.join([HALVES, 3 * HALVES, ls.Constant(7.0)], [3, 6])
    np.testing.assert_allclose(run(s, 8), [1, 1, 0.5, 3, 3, 1.5, 7, 7])
    assert [int(clock.plateaus) for clock in _after(s, 8).clocks] == [2, 2]


def _after(s, steps):
    state = ls.init(s)
    for _ in range(steps):
        state = ls.tick(s, state, value=1.0)
    return state


def test_nested_spans_meet():
    s = ls.Constant(1.0, 2) >> ((HALVES + 1).take(3).delay(2) * 2).take(6) >> ls.minimum(HALVES, 0.7)
    expected = [1, 1, 4, 4, 4, 4, 3, 2.5, 0.7, 0.7, 0.5, 0.25]
    np.testing.assert_allclose(run(s, 12), expected)
    np.testing.assert_allclose(scan(s, jnp.ones(12)), expected)


def test_each_clock_watches_its_own_metric():
    s = HALVES * ls.Exponential(1.0, 0.1).on(ls.Plateau(patience=0, mode="max", monitor="score"))
    state = ls.init(s)
    for value, score in [(1.0, 1.0), (1.0, 2.0), (0.5, 2.0)]:
        state = ls.tick(s, state, value=value, score=score, ignored=3.0)
    np.testing.assert_allclose(ls.evaluate(s, state), 0.5 * 0.1)


def test_without_its_metric_a_plateau_does_not_move():
    state = ls.init(HALVES)
    after = ls.tick(HALVES, state)
    assert after.clocks == state.clocks
    assert int(after.step) == 1


def test_a_metric_of_another_name_is_refused():
    with pytest.raises(TypeError, match=r"no clock monitors 'loss' \(monitored: 'value'\)"):
        ls.tick(HALVES, ls.init(HALVES), loss=1.0)


def test_an_observation_between_updates_moves_no_step():
    s = COSINE * HALVES
    state = ls.tick(s, ls.init(s), value=1.0)
    for n in range(1, 4):
        state = ls.tick(s, state, steps=0, value=1.0)
        assert int(state.step) == 1
        np.testing.assert_allclose(ls.evaluate(s, state), COSINE(1) * 0.5**n, rtol=1e-6)


def test_between_updates_only_the_running_part_observes():
    s = ls.Constant(1.0, 1) >> HALVES
    state = ls.init(s)
    for _ in range(3):
        state = ls.tick(s, state, steps=0, value=1.0)
    assert int(state.clocks[0].plateaus) == 0


def test_the_clock_of_steps_counts_from_where_its_part_begins():
    s = ls.Constant(5.0, 3) >> ls.Linear(0.0, 1.0, 4).on(ls.Steps())
    np.testing.assert_allclose(run(s, 9), [5, 5, 5, 0, 0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_allclose(scan(s, jnp.ones(9)), [5, 5, 5, 0, 0.25, 0.5, 0.75, 1, 1])


def test_the_clock_of_steps_ignores_observations_between_updates():
    s = ls.Linear(0.0, 1.0, 4).on(ls.Steps())
    state = ls.tick(s, ls.tick(s, ls.init(s)), steps=0, value=1.0)
    assert ls.evaluate(s, state) == 0.25


def test_the_step_saturates():
    s = ls.Time() + ls.Time().on(ls.Steps())
    state = ls.ScheduleState(jnp.int32(2**31 - 2), (jnp.int32(2**31 - 2),))
    for _ in range(3):
        state = ls.tick(s, state)
    assert int(state.step) == 2**31 - 1
    assert int(state.clocks[0]) == 2**31 - 1


@pytest.mark.parametrize("s", [COSINE * HALVES, ls.Linear(0, 1, 3) >> HALVES.take(2) >> ls.Time().on(ls.Steps())])
def test_ticking_keeps_structure_shapes_and_types(s):
    def signature(state):
        return jax.tree.structure(state), [(x.shape, x.dtype, x.weak_type) for x in map(jnp.asarray, jax.tree.leaves(state))]

    first = ls.init(s)
    assert signature(ls.tick(s, first, value=1.0)) == signature(first)
    assert signature(ls.tick(s, first, steps=0, value=jnp.bfloat16(1.0))) == signature(first)
    assert signature(jax.jit(lambda s, state, x: ls.tick(s, state, value=x))(s, first, 1)) == signature(first)


def test_one_program_for_all_schedules_of_a_structure():
    rates = jax.vmap(lambda factor: scan(COSINE * ls.reduce_on_plateau(factor, patience=0), jnp.ones(6)))
    factors = np.array([0.1, 0.5, 0.9])
    truth = np.asarray(COSINE(np.arange(6))) * factors[:, None] ** np.array([0, 0, 1, 2, 3, 4])
    np.testing.assert_allclose(rates(jnp.asarray(factors, jnp.float32)), truth, rtol=1e-5)


BENT = {
    "warp": lambda s: s @ ls.Time(),
    "a warp by it": lambda s: COSINE @ s,
    "stretch": lambda s: s.stretch(2),
    "staircase": lambda s: s.staircase(2),
    "drop": lambda s: s.drop(2),
    "reverse": lambda s: s.take(5).reverse(),
    "repeat": lambda s: s.take(5).repeat(2),
    "on": lambda s: s.on(EAGER),
}


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize("s", [HALVES, COSINE * HALVES, ls.Linear(0, 1, 5) >> HALVES])
def test_the_time_of_a_driven_schedule_cannot_be_bent(s, name):
    with pytest.raises(TypeError, match="bends time"):
        BENT[name](s)


@pytest.mark.parametrize("s", [HALVES, COSINE * HALVES, ls.Constant(1.0).take(5) >> HALVES])
def test_an_unbound_schedule_cannot_be_called(s):
    with pytest.raises(TypeError, match=r"evaluate\(s, state\)"):
        s(7)
    with pytest.raises(TypeError, match=r"evaluate\(s, state\)"):
        jax.jit(s)(7)


def test_a_state_of_another_schedule_is_refused():
    with pytest.raises(ValueError, match="another schedule"):
        ls.evaluate(COSINE * HALVES, ls.init(COSINE))
    with pytest.raises(ValueError, match="another schedule"):
        ls.tick(COSINE, ls.init(HALVES), value=1.0)


@pytest.mark.parametrize("use", [ls.init, lambda s: ls.evaluate(s, ls.init(COSINE)), lambda s: ls.tick(s, ls.init(COSINE))])
def test_a_batch_is_refused_and_what_is_no_schedule(use):
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        use(ls.stack([COSINE, COSINE]))
    with pytest.raises(TypeError, match=r"\(schedule='0.1'\): expected a schedule, a number or a function"):
        use("0.1")


@node
class Spent(ls.Clock):
    """A budget that is used up: a clock of a user's own."""

    rate: float = leaf()
    monitor = "cost"

    def init(self):
        return jnp.float32(0)

    def tick(self, state, steps, observations):
        del steps
        return state + self.rate * observations["cost"]

    def read(self, state):
        return state


def test_a_clock_of_ones_own():
    s = ls.Linear(1.0, 0.0, 8).on(Spent(0.5))
    state = ls.init(s)
    for cost in (3.0, 1.0):
        state = ls.tick(s, state, cost=cost)
    assert ls.evaluate(s, state) == 0.75
    np.testing.assert_allclose(jax.jit(lambda s, x: ls.evaluate(s, ls.tick(s, ls.init(s), cost=x)))(s, 4.0), 0.75, rtol=1e-6)


def test_only_a_clock_drives():
    wrongs: Any = (COSINE, 3, None, ls.Plateau)
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"on\(clock=.*\): expected a clock"):
            COSINE.on(wrong)


def test_a_driven_schedule_prints_and_compares():
    s = COSINE * ls.reduce_on_plateau(0.5, patience=3, mode="max", monitor="score")
    assert eval(repr(s), {name: getattr(ls, name) for name in dir(ls)}) == s
    assert s != COSINE * ls.reduce_on_plateau(0.5, patience=4, mode="max", monitor="score")
    assert s != COSINE * ls.reduce_on_plateau(0.5, patience=3, mode="max", monitor="value")


def test_a_value_that_is_too_large_is_the_largest_on_a_clock_too():
    s = (1 / ls.Time()).on(ls.Steps())
    assert ls.evaluate(s, ls.init(s)) == np.finfo(np.float32).max
