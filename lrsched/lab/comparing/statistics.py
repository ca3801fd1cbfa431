"""The figures of a comparison, as plain functions of NumPy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special  # comes with JAX

_SAMPLES = 9_999


def smooth(curves: np.ndarray, window: int) -> np.ndarray:
    """The mean of the last `window` points at each point of the last axis; of as many as there are near its start."""
    curves = np.asarray(curves, np.float64)
    count = curves.shape[-1]
    totals = np.zeros_like(curves)
    for shift in range(min(window, count)):  # not differences of running sums, which drown small values in earlier ones
        totals[..., shift:] += curves[..., : count - shift]
    return totals / np.minimum(np.arange(1, count + 1), window)


def first_to_stay(curves: np.ndarray, level: Any, times: np.ndarray) -> np.ndarray:
    """The first time from which a curve stays at or above a level to its end; `inf` if it ends below.

    Args:
        curves: of shape (..., E).
        level: one, or one a curve.
        times: of the E points.
    """
    below = ~(np.asarray(curves) >= np.asarray(level)[..., None])  # what is not a number is below
    count = below.shape[-1]
    first = np.where(below.any(axis=-1), count - np.argmax(below[..., ::-1], axis=-1), 0)
    return np.append(np.asarray(times, np.float64), np.inf)[first]


def steps_saved(curves: np.ndarray, base: np.ndarray, times: np.ndarray) -> tuple[float, tuple[float, float]]:
    """How much earlier a schedule gets to where a baseline ends, as a fraction of when that gets there, and its interval.

    Both are means over the seeds: `1 - t / t_base`, t and t_base being when the mean curves of the schedule and the baseline
    are first at the end of the baseline's, and stay. Of single curves the end is mostly noise: where there is no difference,
    half of them would never get to the end of another. Minus infinity if the schedule never gets there.

    Args:
        curves: the schedule's, of shape (N, E), one a seed.
        base: the baseline's, from the same seeds.
        times: of the E points.
    """
    if len(curves) < 2:
        return np.nan, (np.nan, np.nan)

    def saved(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        level = other[..., -1]
        own_time, base_time = (first_to_stay(curve, level, times) for curve in (own, other))
        return 1.0 - np.where(own_time == base_time, 1.0, own_time / np.maximum(base_time, 1.0))

    samples = _resampled(len(curves))
    weights = np.stack([np.bincount(row, minlength=len(curves)) for row in samples]) / len(curves)
    found = saved(curves.mean(axis=0), base.mean(axis=0))
    return float(found), _interval(saved(weights @ curves, weights @ base), len(curves))


def bootstrap_interval(values: np.ndarray, statistic: Callable[..., Any] = np.mean) -> tuple[float, float]:
    """The 95 % interval of a statistic of n independent values, by the expanded percentile bootstrap.

    The statistic is taken of 9,999 samples of n values, drawn with replacement, always the same ones. Plain 2.5 and 97.5
    percentiles of it are too narrow where n is small: by √((n - 1)/n), as the deviation of a sample is, and because they know
    nothing of Student's t. So the percentiles are those that make the interval of a mean of normal values as wide as Student's:
    Φ(∓√(n/(n - 1)) · t(n - 1)), 0.6 and 99.4 for n = 8. No sample has a mean outside the range of the values, which for n < 5
    is less than such an interval: with 2, 3 and 4 values it holds the mean in 50, 75 and 86 % of all cases.

    Args:
        values: of shape (n,); fewer than two have no interval: not a number.
        statistic: a function of an array and an `axis`, such as `np.mean` or `np.median`.

    References:
        Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), section 5.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.nan, np.nan
    return _interval(statistic(values[_resampled(len(values))], axis=-1), len(values))


def _resampled(n: int) -> np.ndarray:
    """Which of n values are in each sample."""
    return np.random.default_rng(0).integers(n, size=(_SAMPLES, n))


def _interval(found: np.ndarray, n: int) -> tuple[float, float]:
    """The percentiles, as whole ranks: nothing lies between a number and infinity."""
    tail = special.ndtr(special.stdtrit(n - 1, 0.025) * (n / (n - 1)) ** 0.5)
    ranked, last = np.sort(found), int(tail * len(found))
    return float(ranked[last]), float(ranked[-1 - last])


def mean(values: np.ndarray) -> float:
    """The mean; not a number of no values."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else np.nan


def mean_where(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of the values where the condition holds; minus infinity where it holds nowhere."""
    count = condition.sum(axis=-1)
    total = np.where(condition, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf)
