"""The figures of a comparison, as plain functions of NumPy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special  # comes with JAX


def smooth(curves: np.ndarray, window: int) -> np.ndarray:
    """The mean of the last `window` points at each point of the last axis; of as many as there are near its start."""
    curves = np.asarray(curves, np.float64)
    count = curves.shape[-1]
    totals = np.zeros_like(curves)
    for shift in range(min(window, count)):  # not differences of running sums, which drown small values in earlier ones
        totals[..., shift:] += curves[..., : count - shift]
    return totals / np.minimum(np.arange(1, count + 1), window)


def first_to_stay(curve: np.ndarray, level: float, times: np.ndarray) -> float:
    """The first time from which the curve stays at or above a level to its end; `inf` if it ends below."""
    below = np.flatnonzero(~(curve >= level))  # what is not a number is below
    first = below[-1] + 1 if below.size else 0
    return float(times[first]) if first < len(curve) else np.inf


def saved_fraction(time: np.ndarray, baseline_time: np.ndarray) -> np.ndarray:
    """`1 - time / baseline_time`, pair by pair; 0 for equal times, minus infinity where the time never came."""
    pairs = zip(np.asarray(time, np.float64), np.asarray(baseline_time, np.float64), strict=True)
    return np.asarray([-np.inf if np.isinf(a) else 0.0 if a == b else -np.inf if b == 0 else 1.0 - a / b for a, b in pairs])


def bootstrap_interval(
    values: np.ndarray, statistic: Callable[..., Any] = np.mean, resamples: int = 9_999
) -> tuple[float, float]:
    """The 95 % interval of a statistic of n independent values, by the expanded percentile bootstrap.

    The statistic is taken of `resamples` samples of n values, drawn with replacement, always the same ones. Plain 2.5 and 97.5
    percentiles of it are too narrow where n is small: by √((n - 1)/n), as the deviation of a sample is, and because they know
    nothing of Student's t. So the percentiles are those that make the interval of a mean of normal values as wide as Student's:
    Φ(∓√(n/(n - 1)) · t(n - 1)), 0.6 and 99.4 for n = 8.

    Args:
        values: of shape (n,). They may be infinite; one is an interval by itself, and none has no interval: not a number.
        statistic: a function of an array and an `axis`, such as `np.mean` or `np.median`.
        resamples: how many samples.

    References:
        Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), section 5.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2:
        return (float(values[0]), float(values[0])) if n else (np.nan, np.nan)
    tail = special.ndtr(special.stdtrit(n - 1, 0.025) * (n / (n - 1)) ** 0.5)
    samples = values[np.random.default_rng(0).integers(n, size=(resamples, n))]
    with np.errstate(invalid="ignore"):  # of infinities of both signs
        found = statistic(samples, axis=-1)
    found.sort()
    last = int(tail * resamples)  # whole ranks, as nothing lies between a number and infinity
    return float(found[last]), float(found[-1 - last])


def mean(values: np.ndarray) -> float:
    """The mean; not a number of no values."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else np.nan


def median(values: np.ndarray) -> float:
    """The median; not a number of no values. Of an even number the mean of the middle two, infinite if one of them is."""
    return float(np.median(values)) if len(values) else np.nan


def mean_where(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of the values where the condition holds; minus infinity where it holds nowhere."""
    count = condition.sum(axis=-1)
    total = np.where(condition, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf)
