"""The plateau against a plain-Python reference, over generated metrics.

Metrics and thresholds are small multiples of powers of two, so that every margin is the same number in float32 and float64.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls

MODES = [(mode, kind) for mode in ("min", "max") for kind in ("rel", "abs", "rel_signed")]
SEQUENCES, LENGTH = 64, 48


def is_better(value, best, mode, threshold, kind):
    if math.isinf(best):
        return value < best if mode == "min" else value > best
    margin = {"rel": threshold * abs(best), "abs": threshold, "rel_signed": threshold * best}[kind]
    return value < best - margin if mode == "min" else value > best + margin


def means(values, window):
    """The mean of every `window` values where they are complete, else None."""
    for i in range(len(values)):
        whole = (i + 1) % window == 0
        yield sum(values[i + 1 - window : i + 1]) / window if whole else None


def reference(values, mode, patience, threshold, kind, cooldown, window=1):
    """PyTorch's counting: how many plateaus were seen after each observation."""
    best, bad, left, plateaus, counts = math.inf if mode == "min" else -math.inf, 0, 0, 0, []
    for value in means(values, window):
        if value is None:
            counts.append(plateaus)
            continue
        if is_better(value, best, mode, threshold, kind):
            best, bad = value, 0
        else:
            bad += 1
        if left > 0:
            left, bad = left - 1, 0
        if bad > patience:
            plateaus, left, bad = plateaus + 1, cooldown, 0
        counts.append(plateaus)
    return counts


@jax.jit
def counted(clock, values):
    def observe(state, value):
        state = clock.tick(state, 1, {clock.monitor: value})
        return state, clock.read(state)

    return jax.lax.scan(observe, clock.init(), values)[1]


def walks(rng):
    """Slow descents and ascents with plateaus and ties, of any sign."""
    moves = rng.choice([-2, -1, 0, 0, 0, 1], (SEQUENCES, LENGTH)) * rng.choice([-1, 1], (SEQUENCES, 1))
    return (moves.cumsum(axis=1) + rng.integers(-40, 40, (SEQUENCES, 1))) / 8


def noise(rng):
    return rng.integers(-6, 7, (SEQUENCES, LENGTH)) / 4


def flat(rng):
    return np.repeat(rng.integers(-6, 7, (SEQUENCES, 1)) / 4, LENGTH, axis=1)


def broken(rng):
    """NaN, infinities and both zeros among ordinary numbers."""
    values = walks(rng)
    special = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], values.shape)
    return np.where(rng.random(values.shape) < 0.2, special, values)


@pytest.mark.parametrize("make", [walks, noise, flat, broken])
@pytest.mark.parametrize(("mode", "kind"), MODES)
def test_counts_as_the_reference(mode, kind, make):
    rng = np.random.default_rng(7)
    values = make(rng)
    patience, cooldown = rng.integers(0, 6, SEQUENCES), rng.integers(0, 5, SEQUENCES)
    threshold = rng.choice([0.0, 2.0**-10, 0.25, 0.5], SEQUENCES)
    window = rng.choice([1, 1, 2, 4], SEQUENCES)
    truth = [
        reference(row, mode, patience[i], threshold[i], kind, cooldown[i], window[i]) for i, row in enumerate(values.tolist())
    ]
    clocks = ls.Plateau(mode, patience, threshold, kind, cooldown, window=window)
    counts = jax.vmap(counted)(clocks, jnp.asarray(values, jnp.float32))
    np.testing.assert_array_equal(counts, truth)
    assert np.max(truth) > 1


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("level", [1.0, -1.0, 0.0, np.nan, np.inf, -np.inf])
def test_the_trace_of_a_flat_metric(level, mode):
    """PyTorch's own trace for 1.0; here for every level, negative ones as well (PyTorch issue 47513)."""
    s = ls.reduce_on_plateau(factor=0.5, mode=mode, patience=2, cooldown=1)
    state, scales = ls.init(s), []
    for _ in range(14):
        state = ls.tick(s, state, value=level)
        scales.append(float(ls.evaluate(s, state)))
    flat = [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125]
    never_better = np.isnan(level) or level == (np.inf if mode == "min" else -np.inf)
    assert scales == ([*flat[1:], 0.125] if never_better else flat)


def test_by_the_signed_rule_a_flat_negative_metric_never_fires():
    clock = ls.Plateau(patience=2, threshold=0.1, threshold_mode="rel_signed")
    assert int(counted(clock, jnp.full(40, -1.0))[-1]) == 0
    assert int(counted(clock, jnp.full(40, 1.0))[-1]) == 13


@pytest.mark.parametrize("type_", ["float16", "bfloat16", "int32"])
def test_observes_any_type(type_):
    values = jnp.asarray([4, 3, 3, 3, 2, 2, 2, 2], type_)
    assert counted(ls.Plateau(patience=1), values).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_an_observation_is_a_scalar():
    clock = ls.Plateau()
    with pytest.raises(TypeError, match=r"expected a scalar, got shape \(2,\)"):
        clock.tick(clock.init(), 1, {"value": jnp.ones(2)})


def test_the_metric_is_found_by_name():
    clock = ls.Plateau(patience=0, monitor="accuracy", mode="max")
    assert counted(clock, jnp.asarray([0.5, 0.5, 0.6])).tolist() == [0, 1, 1]


def test_numbers_are_leaves_and_modes_are_structure():
    leaves, structure = jax.tree.flatten(ls.Plateau(patience=3, threshold=0.5, cooldown=2))
    assert leaves == [3.0, 0.5, 2.0, 1.0]
    assert structure == jax.tree.structure(ls.Plateau())
    assert structure != jax.tree.structure(ls.Plateau(mode="max"))
    assert structure != jax.tree.structure(ls.Plateau(monitor="loss"))
