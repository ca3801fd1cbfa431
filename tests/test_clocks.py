"""The ticks and readings of clocks, and the operations that driven schedules allow."""

import contextlib
import math
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.serialization import from_state_dict, to_state_dict
from helpers import refused, relaxed, x64

import lrsched as ls

EAGER = ls.Plateau(patience=0)  # of a flat metric every observation but the first is bad, and each bad one is a plateau
HALVES = ls.Exponential(1.0, 0.5).on(EAGER)
STEPS, COSINE, TOKENS = ls.Constant(1.0).on(ls.Steps()), ls.Cosine(1.0, 0.0, 100), ls.Counter("tokens")
LOSSES = np.array([3.0, 2.0, 2.0, 2.0, 1.0, np.nan, 0.5])
TWO = ls.reduce_on_plateau(0.5, patience=0, monitor="loss") * ls.reduce_on_plateau(0.25, "max", 0, monitor="score")


def run(s: Any, steps: int) -> Any:
    """The values used by the updates, with a flat metric observed after each, and the last state."""
    state, values = ls.clocks.init(s), []
    for _ in range(steps):
        values.append(float(ls.clocks.evaluate(s, state)))
        state = ls.clocks.tick(s, state, value=1.0)
    return values, state


@jax.jit
def observed(clock: Any, values: Any) -> Any:
    """The last state of a clock, and its readings after each observation."""

    def observe(state, value):
        state = clock.tick(state, 1, {clock.monitors[0]: value})
        return state, clock.read(state)

    return jax.lax.scan(observe, clock.init(), values)


FALL = 0.5 ** np.maximum(np.arange(12) - 1, 0)
VALUES: dict[str, tuple[Any, Any]] = {
    "a factor": (COSINE * HALVES, COSINE(np.arange(12)) * FALL),
    "a floor": (COSINE * ls.reduce_on_plateau(0.5, patience=0, min_scale=0.2), COSINE(np.arange(12)) * np.maximum(FALL, 0.2)),
    "from its boundary": (ls.Linear(0, 1, 10) >> HALVES, [*np.arange(10) / 10, 1, *FALL[1:7]]),
    "take": (HALVES.take(4), [1, 1, 0.5, 0.25, *[0.125] * 6]),
    "delay": (HALVES.delay(4), [1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.125]),
    "join": (ls.join([HALVES, 3 * HALVES, ls.Constant(7.0)], [3, 6]), [1, 1, 0.5, 3, 3, 1.5, 7, 7]),
    "nested": (
        ls.Constant(1.0, 2) >> ((HALVES + 1).take(3).delay(2) * 2).take(6) >> ls.minimum(HALVES, 0.7),
        [1, 1, 4, 4, 4, 4, 3, 2.5, 0.7, 0.7, 0.5, 0.25],
    ),
    "steps": (ls.Constant(5.0, 3) >> ls.Linear(0.0, 1.0, 4).on(ls.Steps()), [5, 5, 5, 0, 0.25, 0.5, 0.75, 1, 1]),
    "since": (ls.Linear(1.0, 0.0, 4).on(ls.Since(ls.Plateau(patience=1))), [1, 1, 1, 1, 0.75, 0.5, 0.25, 0]),
    "greedy": (  # the second reduction at the highest reading begins anew
        ls.Exponential(1.0, 0.5).on(ls.Smoothed(ls.Greedy(patience=1, cooldown=1, highest=2, reset=2), 3)),
        [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 1, 1, 1],
    ),
    "too large": ((1 / ls.Time()).on(ls.Steps()), [np.finfo(np.float32).max, 1, 0.5]),
    "pure": (COSINE, COSINE(np.arange(3))),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_clock_counts_while_its_part_runs(name):
    s, expected = VALUES[name]
    values, state = run(s, len(expected))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    bound = ls.clocks.bind(s, state)
    assert ls.clocks.evaluate(s, state) == bound(state.step)
    np.testing.assert_allclose(ls.clocks.replay(s, np.ones(len(expected))), expected, rtol=1e-6)


def test_between_updates_a_metric_moves_the_clocks_of_the_running_part_and_no_step():
    last = ls.clocks.ScheduleState(jnp.int32(2**31 - 1), (jnp.int32(2**31 - 1),))
    assert jax.tree.leaves(ls.clocks.tick(STEPS, last)) == [2**31 - 1] * 2  # they saturate
    late = ls.Constant(1.0, 2) >> ls.Constant(1.0).on(ls.Counter("value"))
    s = COSINE * HALVES * late * STEPS
    state = ls.clocks.tick(s, ls.clocks.init(s), value=1.0)
    for n in range(1, 4):
        state = ls.clocks.tick(s, state, steps=0, value=1.0)
        np.testing.assert_allclose(ls.clocks.evaluate(s, state), COSINE(1) * 0.5**n, rtol=1e-6)
    found = ls.readings(state, s)
    assert (state.step, found["Steps"], found["value"], found["value/plateaus"]) == (1, 1, 0, 3)
    s = HALVES * ls.Constant(1.0).on(ls.SinceBest())
    still = ls.clocks.tick(s, ls.clocks.init(s))
    assert (still.clocks, still.step) == (ls.clocks.init(s).clocks, 1)  # without its metric a clock does not move


def test_recorded_metrics_are_replayed():
    once, slowly = (ls.clocks.replay(COSINE * HALVES, LOSSES, every) / COSINE(np.arange(7 * every)) for every in (1, 4))
    np.testing.assert_allclose(once, [1, 1, 1, 0.5, 0.25, 0.25, 0.125], rtol=1e-6)
    np.testing.assert_allclose(slowly, np.repeat(once, 4), rtol=1e-6)
    values = ls.clocks.replay(TWO, {"loss": np.array([1.0, 1.0, 0.5, 0.5]), "score": np.array([1.0, 2.0, 2.0, 3.0])})
    np.testing.assert_allclose(values, [1, 1, 0.5, 0.125])
    assert ls.clocks.replay(HALVES, np.zeros(0), 4).shape == (0,)
    batch = ls.stack([COSINE * HALVES, COSINE * ls.reduce_on_plateau(patience=2)])
    mapped = jax.jit(jax.vmap(ls.clocks.replay, (0, None)))(batch, LOSSES.astype(np.float32))
    np.testing.assert_allclose(mapped, [ls.clocks.replay(s, LOSSES) for s in batch], rtol=3e-7)


def test_since_counts_updates_not_observations():
    s = ls.Linear(1.0, 0.0, 10).on(ls.Since(ls.Counter("signal")))
    state, values = ls.clocks.init(s), []
    for t in range(8):
        values.append(float(ls.clocks.evaluate(s, state)))
        state = ls.clocks.tick(s, state)
        if t in (2, 5):
            state = ls.clocks.tick(s, state, steps=0, signal=1)  # the second changes nothing
    np.testing.assert_allclose(values, [1, 1, 1, 1, 0.9, 0.8, 0.7, 0.6], rtol=1e-6)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_since_best(mode):
    values = np.array([3.0, 2.0, 2.0, 2.5, np.nan, 1.0, 1.0, -np.inf, 5.0]) * (1 if mode == "min" else -1)
    assert observed(ls.SinceBest(mode, threshold=0.0), values)[1].tolist() == [0, 0, 1, 2, 3, 0, 1, 0, 1]


@pytest.mark.parametrize("type_", [*(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32)), jnp.bfloat16, "float16", "bool"])
def test_any_type_of_number_is_observed(type_):
    values = np.asarray([1, 127, 100], type_)
    state = TOKENS.init()
    with relaxed():
        for x in values:
            state = TOKENS.tick(state, 1, {"tokens": x})
        assert TOKENS.read(state) == TOKENS.read(observed(TOKENS, values)[0]) == np.sum(np.float64(values))
        assert observed(ls.Plateau(patience=0), np.asarray([1, 0, 0, 0], type_))[1].tolist() == [0, 0, 1, 2]


def test_a_count_is_exact_beyond_int32_and_as_float64_in_fractions():
    rng = np.random.default_rng(0)
    several: Any = (
        rng.integers(0, 2**22, 5000).astype(np.int32),
        np.full(100_000, 0.1, np.float32),
        np.array([1e9, *[0.3] * 50_000], np.float32),
    )
    for values in several:
        truth, plain = math.fsum(values.tolist()), sum(values.tolist())
        got = TOKENS.read(observed(TOKENS, values)[0])
        assert abs(got - truth) <= max(abs(plain - truth), np.spacing(truth) / 2)
    state, values = TOKENS.init(), [1e9 + 0.3, 0.1, 1e-3, 2.0**-20 + 2.0**-60] * 8
    for x in values:
        state = TOKENS.tick(state, 1, {"tokens": x})
    assert TOKENS.read(state) == math.fsum(values)
    # A traced number that is no count is left out.
    assert TOKENS.read(observed(TOKENS, np.array([5.0, np.nan, -3.0, 2.0], np.float32))[0]) == 7
    assert np.isfinite(TOKENS.read(observed(TOKENS, np.array([5.0, np.inf, 2.0], np.float32))[0]))


@pytest.mark.parametrize("context", [contextlib.nullcontext, x64])
def test_a_schedule_in_tokens_sees_every_one_of_fifteen_trillion(context):
    """Where a float32 is exact to a million."""
    last = 15 * 10**12
    s = ls.Linear(1.0, 0.0, last).on(TOKENS)
    evaluate = jax.jit(lambda state: ls.clocks.evaluate(s, state))
    with context():
        for left in (0, 1, 3, 1000, 12_345_678, 7 * 10**12):
            state = ls.clocks.tick(s, ls.clocks.init(s), tokens=last - left)
            np.testing.assert_allclose(evaluate(state), left / last, rtol=3e-7, atol=0)
            np.testing.assert_allclose(ls.clocks.evaluate(s, state), left / last, rtol=1e-7, atol=0)


@pytest.mark.parametrize("context", [contextlib.nullcontext, pytest.param(x64, marks=pytest.mark.deep)])
@pytest.mark.parametrize("run", [pytest.param(jax.jit, marks=pytest.mark.deep), lambda f: f], ids=["traced", "known"])
def test_whole_numbers_next_to_the_last_are_exact(run, context):
    """By `tick` and by `observe`; and after flax and pickle have written and read the state."""
    s = ls.Constant(1.0).on(ls.Counter("n"))
    tick, observe = run(lambda state, n: ls.clocks.tick(s, state, n=n)), run(lambda state, n: ls.observe(state, n=n))
    numbers = (2**52, 3, 2**52 - 2**29, 2**29 - 9, 1, 1)
    with context(), relaxed():
        states: Any = ls.clocks.init(s), ls.scale_by_learning_rate(s, live=True).init(())
        for n in numbers:
            x = np.float32(n) if n > 2**31 else np.int32(n)
            read = [pickle.loads(pickle.dumps(jax.device_get(from_state_dict(s, to_state_dict(s))))) for s in states]
            states = [change(state, x) for change, state in zip((tick, observe), read, strict=True)]
        assert [int(ls.readings(state, s)["n"]) for state in states] == [sum(numbers)] * 2
        assert [x.dtype for x in states[0].clocks[0]] == [jnp.float32] * 3


# Plateaus. The traces of PyTorch in test_torch.py test signed and absolute margins.


def test_a_plateau_of_windows_of_the_other_mode_and_of_margins_without_sign():
    rng = np.random.default_rng(7)
    walks = (rng.choice([-2, -1, 0, 0, 0, 1], (64, 96)).cumsum(axis=1) + rng.integers(0, 99, (64, 1))) / 8
    walks[:20] = np.where(rng.random((20, 96)) < 0.1, rng.choice([np.nan, np.inf, -0.0], (20, 96)), walks[:20])

    def plateaus(mode: Any, kind: Any, values: Any, window: int = 1) -> Any:
        clock = ls.Plateau(mode, 1, 0.25, kind, 2, window=window)
        return np.asarray(jax.vmap(observed, (None, 0))(clock, jnp.asarray(values, jnp.float32))[1])

    for kind in ("rel", "abs", "rel_signed"):
        means = plateaus("min", kind, walks.reshape(64, 24, 4).mean(axis=2))
        np.testing.assert_array_equal(plateaus("min", kind, walks, window=4)[:, 3::4], means)
        assert np.max(means) > 1
    for kind in ("rel", "abs"):
        np.testing.assert_array_equal(plateaus("max", kind, -walks), plateaus("min", kind, walks))
    for mode in ("min", "max"):
        np.testing.assert_array_equal(plateaus(mode, "rel", np.abs(walks)), plateaus(mode, "rel_signed", np.abs(walks)))


@pytest.mark.parametrize(("kind", "threshold", "places"), [("abs", 1e-3, 3), ("abs", 1e-4, 4), ("rel_signed", 0.1, 4)])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_ties_of_decimals_are_those_of_pytorch_and_in_a_trace_not_better(mode, kind, threshold, places):
    rng, sign, unit = np.random.default_rng(3), 1 if mode == "min" else -1, 10**places
    best = rng.integers(10, unit // 10, 80) * 10
    tied = best - sign * np.round(threshold * (unit if kind == "abs" else best)).astype(int)
    values = tied + rng.choice([-1, 0, 0, 0, 1], 80)
    clock = ls.SinceBest(mode, threshold, kind)
    _, readings = jax.vmap(observed, (None, 0))(clock, np.stack([best, values], axis=1) / np.float32(unit))
    np.testing.assert_array_equal(readings[:, 1] == 0, sign * values < sign * tied)
    for b, a in zip((best / unit).tolist(), (values / unit).tolist(), strict=True):
        level = b - sign * threshold if kind == "abs" else b * (1 - sign * threshold)  # PyTorch's own arithmetic
        state = clock.tick(clock.tick(clock.init(), 0, {"value": b}), 0, {"value": a})
        assert (clock.read(state) == 0) == (sign * a < sign * level)


def test_the_mean_of_the_last_observations_is_observed():
    values = np.random.default_rng(5).normal(size=40).astype(np.float32)
    values[[0, 17, 18, 30]] = np.nan, np.inf, np.nan, -np.inf  # are observed once
    means = [np.mean(values[: i + 1][np.isfinite(values[: i + 1])][-7:]) if np.isfinite(x) else x for i, x in enumerate(values)]
    for clock in (ls.SinceBest(), ls.Plateau("max", 1), ls.Greedy(patience=1)):
        wanted, found = observed(clock, np.array(means)), observed(ls.Smoothed(clock, 7), values)
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_allclose(found[0].clock.best, wanted[0].best, rtol=1e-5)
    anew = ls.Smoothed(ls.Greedy(patience=0, highest=0, reset=1), 3)  # at the second observation: the mean begins anew too
    assert observed(anew, np.array([1.0, 2.0, 8.0]))[0].clock.best == 8.0


BENT = [
    *(lambda s: s @ ls.Time(), lambda s: COSINE @ s, lambda s: s.stretch(2), lambda s: s.staircase(2), lambda s: s.drop(2)),
    *(lambda s: s.take(5).reverse(), lambda s: s.take(5).repeat(2), lambda s: s.on(EAGER)),
]
DRIVEN = (HALVES, COSINE * HALVES, ls.Linear(0, 1, 5) >> HALVES)
WRONG: Any = (COSINE, None, ls.Plateau)
BAD = (-1, -0.5, float("nan"), float("inf"), 2.0**53 + 2)
MISTAKES: list[Any] = [
    *((lambda s=s, bend=bend: bend(s), "at other times") for s in DRIVEN for bend in BENT),
    *((lambda x=x: TOKENS.tick(TOKENS.init(), 1, {"tokens": x}), "'tokens'.: expected a number from 0 to") for x in BAD),
    (lambda: TOKENS.tick(TOKENS.init(), 1, {"tokens": jnp.ones(2)}), r"expected a scalar, got shape \(2,\)"),
    (lambda: EAGER.tick(EAGER.init(), 1, {"value": jnp.ones(2)}), r"expected a scalar, got shape \(2,\)"),
    *((lambda s=s: jax.jit(s)(7), r"evaluate\(s, state\)") for s in DRIVEN),
    *((lambda s=s: ls.clocks.evaluate(s, ls.clocks.init(COSINE)), "another schedule") for s in DRIVEN),
    (lambda: ls.clocks.tick(HALVES, ls.clocks.init(HALVES), loss=1.0), r"no clock monitors 'loss' \(monitored: 'value'\)"),
    *((lambda wrong=wrong: COSINE.on(wrong), r"on\(clock=.*\): expected a clock") for wrong in WRONG),
    *((lambda wrong=wrong: ls.Since(wrong), r"Since\(clock=.*\): expected a clock") for wrong in WRONG),
    (lambda: ls.clocks.replay(HALVES, np.ones((2, 2))), r"arrays of one shape \(n,\), got \{'value': \(2, 2\)\}"),
    (lambda: ls.clocks.replay(HALVES, {"loss": np.ones(3)}), "no clock monitors 'loss'"),
    (lambda: ls.clocks.replay(TWO, LOSSES), "expected a dict, since clocks monitor loss, score"),
    (lambda: ls.clocks.replay(HALVES, LOSSES, 0), r"replay\(every=0\): expected every >= 1 and whole"),
    (lambda: ls.Smoothed(ls.Plateau(), 2.5), r"Smoothed\(window=2.5\): expected window >= 1 and whole"),  # pyright: ignore
    (lambda: ls.Smoothed(ls.Plateau(), [3, 4]), r"Smoothed\(window=\[3, 4\]\): expected one number"),  # pyright: ignore
]
test_mistakes = refused(MISTAKES)
