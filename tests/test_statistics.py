"""The figures of a comparison, against plain loops."""

import numpy as np
import pytest
from scipy import stats

from lrsched.lab.statistics import bootstrap_interval, first_to_stay, mean, mean_where, median, saved_fraction, smooth


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


def test_the_interval_is_that_of_scipy_at_the_expanded_level():
    values = np.random.default_rng(1).normal(5.0, 2.0, size=12)
    tail = float(stats.norm.cdf(stats.t.ppf(0.025, 11) * np.sqrt(12 / 11)))
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=1 - 2 * tail, method="percentile", rng=np.random.default_rng(0)
    )
    found = bootstrap_interval(values)
    np.testing.assert_allclose(found, expected.confidence_interval, rtol=0.02)
    assert found == bootstrap_interval(values)


@pytest.mark.parametrize("n", [8, 20])
def test_the_interval_holds_the_truth_as_often_as_it_says(n):
    draws = np.random.default_rng(n).normal(size=(600, n))
    held = np.mean([low <= 0 <= high for low, high in (bootstrap_interval(row, resamples=999) for row in draws)])
    assert 0.93 <= held <= 0.975  # plain percentiles hold it in 90.5 % for n = 8


def test_the_interval_of_a_median_may_be_infinite_on_one_side():
    values = np.asarray([-np.inf, -np.inf, -np.inf, 0.1, 0.2, 0.3, 0.4, 0.5])
    low, high = bootstrap_interval(values, np.median)
    assert low == -np.inf
    assert 0.3 <= high <= 0.5
    assert bootstrap_interval(np.full(8, 3.0)) == (3.0, 3.0)
    assert bootstrap_interval(np.full(8, -np.inf), np.median) == (-np.inf, -np.inf)
    assert bootstrap_interval(np.asarray([2.0])) == (2.0, 2.0)
    assert np.isnan(bootstrap_interval(np.asarray([]))).all()


def test_means_of_nothing_are_no_numbers_and_no_warnings():
    assert np.isnan([mean(np.asarray([])), median(np.asarray([]))]).all()
    found = mean_where(np.asarray([[True, False], [False, False]]), np.asarray([[1.0, np.nan], [np.nan, 2.0]]))
    np.testing.assert_array_equal(found, [1.0, -np.inf])
