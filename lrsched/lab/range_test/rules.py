"""fastai's four rules for choosing a learning rate from a range test, and whether a curve has anything to say to them.

Each takes the n rates, rising, and the n smoothed losses measured at them.

References:
    fastai 2.8: `minimum`, `steep`, `valley` and `slide` of `fastai.callback.schedule`, and `Learner.lr_find`.
"""

import math

import numpy as np

LAST = 5  # points that do not count at the end: the explosion
_WINDOW = 5  # losses, whose mean is least where the curve is lowest
_CLEAR = 2.5  # standard deviations: a trend, and no noise


def minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the rate at the least loss; of the first such rate, if there are several."""
    return float(rates[np.argmin(losses)]) / 10


def steep(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate from which the loss falls fastest to the next: the least `Δloss / Δln rate`."""
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate in the middle of the longest valley.

    The valley is the longest strictly falling subsequence of the losses, of several the one that ends first. Taken to start
    as many points before its `end` as it has, `start = end - length`, which is where it does start if no other point lies
    between them, its thirds are `s = (end - start) / 3` points, and the rate is number `start + ⌊s⌋ + ⌊s/2⌋`.

    Where no loss is below an earlier one it is the first rate. NaN where that number is -1: two points at the very start of the
    curve are no valley. (fastai's list then gives the last rate, the highest of all.)
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
    """The rate to the left of the explosion: where the slope begins to be what it is `gap` points later.

    From the right end, two points `gap` apart move left together until the slopes of the losses there, by central
    differences, no longer differ by more than `threshold`, or until the left one is past the first point; it is the rate of
    the last left point whose slope did differ, or where they began if none did. NaN where there are no more than `gap` points.
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
    """The rate of each rule, NaN where it has none, and why none has one, or an empty string.

    The curve is that of a run as far as it went, meant to have so many steps; as in fastai, the first `steps // 10` points and
    the last 5 do not count. It says something if its losses, not smoothed, fall, and then rise or diverge.
    """
    first, last = steps // 10, len(losses) - LAST
    reason = ""
    if last - first < _WINDOW:
        reason = "too few rates before the end; lower `start`, or take more `steps`."
    else:
        low = first + _WINDOW // 2 + int(np.argmin(np.convolve(losses[first:last], np.ones(_WINDOW), "valid")))
        if trend(losses[first : low + 1]) > -_CLEAR:
            reason = "the loss does not fall beyond its noise at any rate."
        elif not diverged and trend(losses[low:]) < _CLEAR:
            reason = "the loss has not begun to rise at the last rate; raise `stop`."
    if reason:
        return dict.fromkeys(RULES, math.nan), reason
    kept = [np.asarray(x, np.float64)[first:last] for x in (rates, smoothed)]
    return {name: rule(*kept) for name, rule in RULES.items()}, ""


def trend(losses: np.ndarray) -> float:
    """Whether losses rise or fall: the z of Mann and Kendall, which is about normal for noise without a trend, of any size."""
    n = len(losses)
    rises = sum(float(np.sum(np.sign(losses[i + 1 :] - losses[i]))) for i in range(n))
    return rises / math.sqrt(n * (n - 1) * (2 * n + 5) / 18 or 1.0)
