"""The figures of a comparison, as plain functions of NumPy arrays."""

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


def first_to_stay(curves: np.ndarray, level: float | np.ndarray, times: np.ndarray) -> np.ndarray:
    """The first of E times from which curves of shape (..., E) stay at or above a level; `inf` if one ends below."""
    below = ~(np.asarray(curves) >= np.asarray(level)[..., None])  # NaN is below
    count = below.shape[-1]
    first = np.where(below.any(axis=-1), count - np.argmax(below[..., ::-1], axis=-1), 0)
    return np.append(np.asarray(times, np.float64), np.inf)[first]


def steps_saved(curves: np.ndarray, base: np.ndarray, times: np.ndarray) -> tuple[float, tuple[float, float]]:
    """How much earlier a schedule gets to where a baseline ends, as a fraction of when that gets there, and its interval.

    `1 - t / t_base`, t and t_base being when the mean curves over the seeds of the schedule and of the baseline, of shape
    (N, E), are first at the end of the baseline's, and stay. Of single curves the end is mostly noise: where there is no
    difference, half of them would never get to the end of another. Minus infinity if the schedule never gets there.
    """
    if len(curves) < 2:
        return np.nan, (np.nan, np.nan)

    def saved(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        level = other[..., -1]
        own_time, base_time = (first_to_stay(curve, level, times) for curve in (own, other))
        return 1.0 - np.where(own_time == base_time, 1.0, own_time / np.maximum(base_time, 1.0))

    weights = np.stack([np.bincount(row, minlength=len(curves)) for row in _resampled(len(curves))]) / len(curves)
    found = saved(curves.mean(axis=0), base.mean(axis=0))
    return float(found), _interval(saved(weights @ curves, weights @ base), len(curves))


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of n independent values, by the expanded percentile bootstrap; NaN for n < 2.

    The mean is taken of 9,999 samples of n values, drawn with replacement, always the same ones. Plain 2.5 and 97.5 percentiles
    of it are too narrow where n is small: by √((n - 1)/n), as the deviation of a sample is, and because they know nothing of
    Student's t. So the percentiles are those that make the interval of a mean of normal values as wide as Student's:
    Φ(∓√(n/(n - 1)) · t(n - 1)), 0.6 and 99.4 for n = 8. No sample has a mean outside the range of the values, which for n < 5
    is less than such an interval: with 2, 3 and 4 values it holds the mean in 50, 75 and 86 % of all cases.

    References:
        Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), section 5.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.nan, np.nan
    return _interval(values[_resampled(len(values))].mean(axis=-1), len(values))


def _resampled(n: int) -> np.ndarray:
    """Which of n values are in each sample."""
    return np.random.default_rng(0).integers(n, size=(_SAMPLES, n))


def _interval(found: np.ndarray, n: int) -> tuple[float, float]:
    """The percentiles, as whole ranks: nothing lies between a number and infinity."""
    tail = special.ndtr(special.stdtrit(n - 1, 0.025) * (n / (n - 1)) ** 0.5)
    ranked, last = np.sort(found), int(tail * len(found))
    return float(ranked[last]), float(ranked[-1 - last])


def mean(values: np.ndarray, empty: float = np.nan) -> float:
    """The mean, or the number for no values."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else empty
