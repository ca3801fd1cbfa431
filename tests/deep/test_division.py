"""Cycles and stairs of any length against exact fractions: their number so far, and the time since the last."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from helpers import WAYS, called, said, started

import lrsched as ls

EARLY = Fraction(1, 2**32)  # a multiple of a fractional length is reached this much early per multiple
LENGTHS = (1.25, 12.75, 100 / 3, 22 / 7, 1000 / 999, 50_000 / 512, 10.7, 47.3, 17.0, 271_828.0)


def rest(length, step):
    """The time since the last multiple of a length."""
    exact = Fraction(length)
    period = exact if exact.denominator == 1 else exact - EARLY
    return max(step - step // period * exact, Fraction(0))


def steps(length):
    """Random steps, and those around random multiples of the length."""
    rng, last = np.random.default_rng(1), 2**31 - 2 if length.is_integer() else 10**6
    multiples = np.round(rng.integers(0, max(1, int(last / length)), 30) * length)
    near = np.concatenate([multiples + d for d in (-1, 0, 1)])
    return np.clip(np.concatenate([rng.integers(0, last, 30), near]), 0, last).astype(np.int32)


@pytest.mark.parametrize("way", WAYS)
def test_cycles_and_stairs(way):
    at = {x: steps(x) for x in LENGTHS}
    for x, values in called({x: ls.Linear(0.0, 1.0, x).repeat() for x in LENGTHS}, way, at).items():
        known = float(np.float32(x)) if way == "argument" else x
        truth = [float(rest(known, step) / Fraction(known)) for step in at[x].tolist()]
        np.testing.assert_allclose(values, truth, rtol=0, atol=2e-7 + max(at[x]) / x**2 * 2.0**-33, err_msg=str(x))
    early = {x: np.minimum(at[x], 10**5) for x in LENGTHS}
    for x, values in called({x: ls.Time().staircase(x) for x in LENGTHS}, way, early).items():
        known = float(np.float32(x)) if way == "argument" else x
        truth = [float(step - rest(known, step)) for step in early[x].tolist()]
        np.testing.assert_allclose(values, truth, rtol=2e-7, atol=2e-7, err_msg=str(x))


def test_a_multiple_is_reached_however_it_is_rounded():
    t = np.arange(1000)
    thirds, weeks = ls.step_decay(1.0, every=100 / 3, factor=0.5), (ls.Constant(1.0, 0.07) >> ls.Constant(2.0)).stretch(100)
    for call in (lambda s: s, jax.jit):
        np.testing.assert_array_equal(call(thirds)(t), (0.5 ** (3 * t // 100)).astype(np.float32))
        np.testing.assert_array_equal(call(weeks)(np.array([6, 7])), [1.0, 2.0])


def test_ends_are_exact_where_a_division_is_not():
    """With the division of a GPU: the program prints a quotient that is not exact, and no end that is not exact."""
    (quotient,) = said(started("inexact_division.py")).splitlines()
    assert quotient == "41 / 41 = 0.9999999403953552"


RAMP, HALVES = ls.Linear(0.0, 1.0, 10), ls.Exponential(1.0, 0.5)
FAR_OUT = {
    (ls.Linear(0.0, 1.0, 1.5e9).repeat(), 1_500_000_100): 100 / 1.5e9,
    (ls.Linear(0.0, 1.0, 2e9).staircase(1.2e9), 1_200_000_100): 0.6,
    (ls.Linear(0.0, 1.0, 7).repeat(3_000_001), 21_000_007): 1.0,
    (ls.Linear(0.0, 1.0, 2).repeat(scale=-1.0), 2**25 + 3): -0.5,
    (ls.Linear(0.0, 1.0, 2.5).repeat(), 10**8 + 3): 0.2,
}
# Only for known numbers: in a trace, the fraction of a step at which a time stops is a float32.
KNOWN = {
    (ls.Constant(1.0, 10).repeat(scale=0.999), 199_995): 0.999**19_999,
    (HALVES.staircase(1).take(7).stretch(10.1), 1000): 2.0**-7,
    (RAMP.repeat(scale=0.5).take(300).stretch(1.013), 1000): 0.0,
    (HALVES.staircase(0.3).drop(0.9), 0): 2.0**-0.9,
    (HALVES.staircase(1).take(6.3).stretch(10).drop(6.7), 1000): 2.0**-6,
}


@pytest.mark.parametrize("way", WAYS)
def test_far_out_and_where_a_time_stops(way):
    table = FAR_OUT if way == "argument" else FAR_OUT | KNOWN
    found = called({key: key[0] for key in table}, way, {key: np.asarray([key[1]], np.int32) for key in table})
    for key, expected in table.items():
        np.testing.assert_allclose(found[key], [expected], rtol=1e-6, atol=1e-30, err_msg=str(key))
