"""The end of a range test, fastai's four rules for choosing a rate from it, and a check whether it has any information.

Each rule takes n rising rates, and the n smoothed losses measured at them.

References:
    fastai 2.8: `minimum`, `steep`, `valley` and `slide` of `fastai.callback.schedule`, and `Learner.lr_find`.
"""

import math

import numpy as np

LAST = 5  # points at the end, where the loss explodes, that do not count
_WINDOW = 5  # losses; the curve is lowest where their mean is least
_CLEAR = 2.5  # standard deviations of noise; beyond them there is a trend


def smooth(losses: np.ndarray, smoothing: float) -> np.ndarray:
    """The exponential means along the last axis, without bias: `Σ smoothing^(i-k) · lₖ / Σ smoothing^(i-k)` over k ≤ i."""
    smoothed = np.empty(losses.shape)
    total, weight = np.zeros(losses.shape[:-1]), 0.0
    with np.errstate(invalid="ignore"):  # 0 times infinity
        for i in range(losses.shape[-1]):
            total, weight = smoothing * total + losses[..., i], smoothing * weight + 1.0
            smoothed[..., i] = total / weight
    return smoothed


def stop_of(smoothed: np.ndarray, divergence: float) -> int | None:
    """The first step at which smoothed losses are not finite, or far above the lowest one so far; None if they never are."""
    best = np.minimum.accumulate(smoothed)
    # Four times a loss below 0 is a lower one.
    is_over = ~np.isfinite(smoothed) | ((best > 0) & (smoothed > divergence * best))
    return int(np.argmax(is_over)) if is_over.any() else None


def minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the first rate with the least loss."""
    return float(rates[np.argmin(losses)]) / 10


def steep(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate from which the loss falls fastest to the next: the least `Δloss / Δln rate`."""
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate in the middle of the longest valley.

    The valley is the longest strictly falling subsequence of the losses; of several, the one that ends first. It is taken to
    start `length` points before its end. With `s = (end - start) / 3` the rate is number `start + ⌊s⌋ + ⌊s/2⌋`; NaN where that
    is -1 (fastai then takes the last rate, the highest of all). If no loss is below an earlier one, it is the first rate.
    """
    lengths = np.ones(len(losses), int)  # of the longest that ends here
    for i in range(1, len(losses)):
        lengths[i] += np.max(lengths[:i], where=losses[:i] > losses[i], initial=0)
    end = int(np.argmax(lengths))
    start = end - int(lengths[end]) if lengths[end] > 1 else end
    third = (end - start) / 3
    index = start + int(third) + int(third / 2)
    return float(rates[index]) if index >= 0 else math.nan


def slide(rates: np.ndarray, losses: np.ndarray, gap: int = 15, threshold: float = 0.005) -> float:
    """The rate to the left of the explosion: where the slope begins to be the slope `gap` points later.

    Two points, `gap` apart, move left from the end until the slopes of the losses there (central differences) differ by at most
    `threshold`. It is the rate of the last left point whose slope did differ, or of the first left point if none did. NaN where
    there are no more than `gap` points.
    """
    if len(losses) <= gap:
        return math.nan
    slopes = np.gradient(losses)
    right, left = len(losses) - 1, len(losses) - 1 - gap
    chosen = left
    while left >= 0 and abs(slopes[right] - slopes[left]) > threshold:
        chosen = left
        right, left = right - 1, left - 1
    return float(rates[chosen])


RULES = {"minimum": minimum, "steep": steep, "valley": valley, "slide": slide}


def read(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, steps: int, diverged: bool
) -> tuple[dict[str, float], str]:
    """The rate of each rule, NaN where it has none, and the reason why no rule has one, or an empty string.

    The curve is that of a run of `steps` rates, as far as it went. As in fastai, the first `steps // 10` points and the last 5
    do not count. It has information if its losses, before smoothing, fall, and then rise or diverge.
    """
    first, last = steps // 10, len(losses) - LAST
    reason = ""
    if last - first < _WINDOW:
        reason = "too few rates before the end; lower `start`, or take more `steps`."
    else:
        low = first + _WINDOW // 2 + int(np.argmin(np.convolve(losses[first:last], np.ones(_WINDOW), "valid")))
        if trend(losses[first : low + 1]) > -_CLEAR:
            wider = "" if diverged else "raise `stop`, or "
            reason = f"the loss does not fall beyond its noise at any rate; {wider}take larger batches or more `steps`."
        elif not diverged and trend(losses[low:]) < _CLEAR:
            reason = "the loss has not begun to rise at the last rate; raise `stop`."
    if reason:
        return dict.fromkeys(RULES, math.nan), reason
    kept = [np.asarray(x, np.float64)[first:last] for x in (rates, smoothed)]
    return {name: rule(*kept) for name, rule in RULES.items()}, ""


def trend(losses: np.ndarray) -> float:
    """The z of Mann and Kendall's test for a trend: above 0 if losses rise, about standard normal for noise alone."""
    n = len(losses)
    rises = sum(float(np.sum(np.sign(losses[i + 1 :] - losses[i]))) for i in range(n))
    return rises / math.sqrt(n * (n - 1) * (2 * n + 5) / 18 or 1.0)
