"""The figures of a comparison, as plain functions of NumPy arrays."""

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


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of n values by Student's t: mean ± t(n - 1) · deviation / √n."""
    values = np.asarray(values, np.float64)
    half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)
