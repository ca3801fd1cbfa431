"""The figures of a comparison, against plain loops."""

import numpy as np
import pytest

from lrsched.lab.statistics import first_to_stay, mean_interval, saved_fraction, smooth


@pytest.mark.parametrize("window", [1, 2, 5, 100])
def test_smooth_is_the_mean_of_the_last_points(window):
    curves = np.random.default_rng(0).normal(size=(3, 4, 20))
    expected = [[[row[max(0, i - window + 1) : i + 1].mean() for i in range(20)] for row in rows] for rows in curves]
    np.testing.assert_allclose(smooth(curves, window), expected, rtol=1e-12, atol=1e-12)


def test_a_point_that_is_not_a_number_spoils_only_its_own_window():
    curves = np.ones((2, 7))
    curves[0, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(smooth(curves, 3)), [[False, False, True, True, True, False, False], [False] * 7])


def test_small_values_after_large_ones_keep_their_digits():
    curve = np.asarray([1e9, 1e-9, 2e-9, 3e-9])
    np.testing.assert_allclose(smooth(curve, 2)[2:], [1.5e-9, 2.5e-9], rtol=1e-12)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([1, 2, 3, 4], 30),
        ([3, 3, 3, 3], 10),
        ([5, 2, 5, 5], 30),  # an early visit does not count: it has to stay
        ([5, 5, 5, 2], np.inf),
        ([np.nan, 3, 3, 3], 20),
        ([3, 3, 3, np.nan], np.inf),
    ],
)
def test_first_to_stay(curve, expected):
    assert first_to_stay(np.asarray(curve, float), 3.0, np.asarray([10, 20, 30, 40])) == expected


def test_saved_fraction_is_paired_and_never_is_minus_infinity():
    saved = saved_fraction(np.asarray([50.0, 100.0, 200.0, np.inf]), np.asarray([100.0, 100.0, 100.0, 100.0]))
    np.testing.assert_array_equal(saved, [0.5, 0.0, -1.0, -np.inf])


def test_the_interval_of_a_mean_is_close_to_the_normal_one_and_brackets_the_mean():
    values = np.random.default_rng(1).normal(5.0, 2.0, size=400)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.1 * half)
    assert mean_interval(np.full(8, 3.0)) == (3.0, 3.0)
