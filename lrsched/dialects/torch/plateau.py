"""PyTorch's scheduler that observes a metric."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

from lrsched.algebra import numerics
from lrsched.algebra.arguments import Factor, recipe
from lrsched.algebra.node import Spec, checked
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import maximum, minimum
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Exponential
from lrsched.clocks.metrics import Count, Plateau
from lrsched.dialects.shared import one_number, reductions
from lrsched.dialects.torch.scheduler import BASE


@functools.partial(recipe, check=one_number)
def ReduceLROnPlateau(  # noqa: N802 - PyTorch's name
    base_lr: Annotated[Number, Spec(ge=0, hint=BASE)],
    mode: Literal["min", "max"] = "min",
    factor: Annotated[Number, Spec(ge=0, lt=1, hint="each reduction multiplies the rate with it")] = 0.1,
    patience: Count = 10,
    threshold: Factor = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: Count = 0,
    min_lr: Factor = 0.0,
    eps: Factor = 1e-8,
) -> Schedule:
    """The base rate, reduced by a factor whenever a metric stops improving: `max(base_lr · factor^k, min_lr)`.

    k counts the plateaus of the metric, as long as a reduction exceeds `eps`: see `lrsched.Plateau`. The schedule is driven:
    pass the metric to the `update` of an optax chain as `value=...`, or to `lrsched.clocks.tick`. Inside `jit` a metric is a
    float32, and one equal to the best minus an absolute threshold is a tie, not better. PyTorch's float64 rounding decides
    such ties of decimals, so up to a quarter of exact ties differ; outside `jit` none do.

    Args:
        base_lr: the rate of the optimizer.
        mode: "min" for a loss, "max" for a score.
        factor: the factor of each reduction, in [0, 1).
        patience: the number of observations without improvement to tolerate before a reduction, >= 0.
        threshold: the margin of a better metric, >= 0, and below 1 in mode "min" with relative thresholds.
        threshold_mode: "rel" or "abs"; a relative margin has the sign of the metric, as in PyTorch.
        cooldown: the number of observations after a plateau that do not count, >= 0.
        min_lr: the lowest rate, >= 0.
        eps: reductions no larger than this are not made, >= 0.

    Raises:
        ValueError: if the factor is not in [0, 1), the threshold leaves nothing to improve, or a number is negative.

    >>> import lrsched as ls
    >>> from lrsched.dialects.torch import ReduceLROnPlateau
    >>> s = ReduceLROnPlateau(1.0, factor=0.5, patience=0)
    >>> state = ls.clocks.init(s)
    >>> for loss in [2.0, 2.0]:
    ...     state = ls.clocks.tick(s, state, value=loss)
    >>> print(ls.clocks.evaluate(s, state))
    0.5

    References:
        PyTorch's `ReduceLROnPlateau`, which counts a constant metric below 0 as better every time. In the algebra, without
        that: `base_lr * reduce_on_plateau(factor, mode, patience, …)`.
    """
    if mode == "min" and threshold_mode == "rel":
        checked("ReduceLROnPlateau", "threshold", threshold, ge=0, lt=1, hint="no loss is better by all of itself")
    clock = Plateau(mode, patience, threshold, "rel_signed" if threshold_mode == "rel" else "abs", cooldown)
    # Never above the base rate, even if the lowest rate is.
    rate = minimum(base_lr, maximum(Exponential(base_lr, factor), min_lr))
    return rate.take(_reductions(base_lr, factor, min_lr, eps)).on(clock)


def _reductions(base: Any, factor: Any, low: Any, eps: Any) -> Any:
    """The number of reductions that exceed eps; each is smaller than the one before."""
    last = numerics.maximum(eps / (1.0 - factor), low + eps)  # the rate that is reduced by exactly eps
    count = reductions(base, last, numerics.maximum(factor, 1e-30))
    return numerics.clip(numerics.ceil(count), 0.0, 2.0**30)
