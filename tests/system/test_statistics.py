"""The figures of a comparison, against plain loops."""

import numpy as np
import pytest
from scipy import stats

from lrsched.lab.comparing.statistics import bootstrap_interval, first_to_stay, mean, mean_where, smooth, steps_saved


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
    both = first_to_stay(np.asarray([curve, [0, 0, 0, 9]], float), np.asarray([3.0, 9.0]), np.asarray([10, 20, 30, 40]))
    assert both.tolist() == [expected, 40]


TIMES = np.arange(1, 51) * 20.0


def curves(scale, noise, seed, n=20, window=5):
    """Curves that rise to 1, and noise of their own; smoothed."""
    return smooth(1 - np.exp(-TIMES / scale) + noise * np.random.default_rng(seed).normal(size=(n, 50)), window)


def test_steps_saved_are_those_of_the_mean_curves():
    base, fast, slow = (curves(scale, 0.01, seed) for seed, scale in enumerate((400, 200, 600)))
    saved, (low, high) = steps_saved(fast, base, TIMES)
    level = base.mean(axis=0)[-1]
    time = next(t for i, t in enumerate(TIMES) if all(fast.mean(axis=0)[i:] >= level))
    base_time = next(t for i, t in enumerate(TIMES) if all(base.mean(axis=0)[i:] >= level))
    assert saved == pytest.approx(1 - time / base_time)
    assert 0.4 < low <= saved <= high < 0.56  # twice as fast: 0.5, but for a smoothing that lags
    assert steps_saved(slow, base, TIMES) == (-np.inf, (-np.inf, -np.inf))
    assert steps_saved(base, base, TIMES) == (0.0, (0.0, 0.0))
    assert np.isnan([*steps_saved(base[:0], base[:0], TIMES)[1]]).all()


@pytest.mark.parametrize("n", [8, 20])
def test_of_equal_schedules_few_seem_to_save_or_to_cost_steps(n):
    found = [steps_saved(curves(100, 0.02, (n, i, 0), n), curves(100, 0.02, (n, i, 1), n), TIMES)[1] for i in range(60)]
    assert np.mean([low > 0 for low, _ in found]) <= 0.05
    assert np.mean([high < 0 for _, high in found]) <= 0.1  # with the ends of single curves as levels: 0.2


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
    draws = np.random.default_rng(n).normal(size=(400, n))
    held = np.mean([low <= 0 <= high for low, high in map(bootstrap_interval, draws)])
    assert 0.93 <= held <= 0.975  # plain percentiles hold it in 90.5 % for n = 8


def test_the_interval_of_a_median_may_be_infinite_on_one_side():
    values = np.asarray([-np.inf, -np.inf, -np.inf, 0.1, 0.2, 0.3, 0.4, 0.5])
    low, high = bootstrap_interval(values, np.median)
    assert low == -np.inf
    assert 0.3 <= high <= 0.5
    assert bootstrap_interval(np.full(8, 3.0)) == (3.0, 3.0)
    assert bootstrap_interval(np.full(8, -np.inf), np.median) == (-np.inf, -np.inf)
    assert np.isnan([bootstrap_interval(np.asarray(few)) for few in ([2.0], [])]).all()


def test_means_of_nothing_are_no_numbers_and_no_warnings():
    assert np.isnan(mean(np.asarray([])))
    found = mean_where(np.asarray([[True, False], [False, False]]), np.asarray([[1.0, np.nan], [np.nan, 2.0]]))
    np.testing.assert_array_equal(found, [1.0, -np.inf])
