"""fastai's four rules for choosing a learning rate from a range test, as plain functions of NumPy arrays.

Each takes the n rates, rising, and the n smoothed losses measured at them, and gives a rate, or NaN where the curve has none
to give. `suggestions` first leaves out what fastai leaves out: the start, the end, and everything from the first loss on that
is not finite.

References:
    fastai 2.8: `minimum`, `steep`, `valley` and `slide` of `fastai.callback.schedule`, and `Learner.lr_find`.
"""

import math

import numpy as np


def minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the rate at the least loss; of the first such rate, if there are several."""
    return float(rates[np.argmin(losses)]) / 10 if len(losses) else math.nan


def steep(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate from which the loss falls fastest to the next: the least `Δloss / Δln rate`.

    NaN where there are fewer than two points, and so no slope.
    """
    if len(losses) < 2:
        return math.nan
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate in the middle of the longest valley.

    The valley is the longest strictly falling subsequence of the losses, of several the one that ends first. Taken to start
    as many points before its `end` as it has, `start = end - length`, which is where it does start if no other point lies
    between them, its thirds are `s = (end - start) / 3` points, and the rate is number `start + ⌊s⌋ + ⌊s/2⌋`.

    Where no loss is below an earlier one it is the first rate. NaN where there are no points, and where that number is -1:
    two points at the very start of the curve are no valley. (fastai's list then gives the last rate, the highest of all.)
    """
    n = len(losses)
    if not n:
        return math.nan
    lengths = np.ones(n, int)  # of the longest that ends here
    for i in range(1, n):
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
    n = len(losses)
    if n <= gap:
        return math.nan
    slopes = np.gradient(losses)
    right, left = n - 1, n - 1 - gap
    chosen = left
    while left >= 0 and abs(slopes[right] - slopes[left]) > threshold:
        chosen = left
        right, left = right - 1, left - 1
    return float(rates[chosen])


RULES = {"minimum": minimum, "steep": steep, "valley": valley, "slide": slide}


def suggestions(rates: np.ndarray, losses: np.ndarray, steps: int) -> dict[str, float]:
    """What each rule says of a sweep, which may have stopped early.

    The first `steps // 10` points are left out, and the last 5; then the curve ends before its first loss that is not finite.

    Args:
        rates: the rates of the sweep as far as it went, of shape (n,).
        losses: the smoothed loss at each, of shape (n,).
        steps: how many steps the sweep was meant to have, at least n.
    """
    kept = slice(steps // 10, max(len(losses) - 5, 0))
    rates, losses = np.asarray(rates, np.float64)[kept], np.asarray(losses, np.float64)[kept]
    broken = np.flatnonzero(~np.isfinite(losses))
    end = int(broken[0]) if broken.size else len(losses)
    return {name: rule(rates[:end], losses[:end]) for name, rule in RULES.items()}
