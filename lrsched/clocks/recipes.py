"""Named schedules that a clock drives."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from lrsched.algebra.arguments import recipe
from lrsched.algebra.node import Spec
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Exponential
from lrsched.clocks.metrics import Plateau

Scale: TypeAlias = Annotated[Number, Spec(ge=0, le=1, hint="a scale that reduces")]
Count: TypeAlias = Annotated[Number, Spec(ge=0, unit="observations")]
Window: TypeAlias = Annotated[Number, Spec(ge=1, unit="observations")]
Margin: TypeAlias = Annotated[Number, Spec(ge=0, hint="how much better counts as better")]


@recipe
def reduce_on_plateau(
    factor: Scale = 0.1,
    mode: Literal["min", "max"] = "min",
    patience: Count = 10,
    threshold: Margin = 1e-4,
    threshold_mode: Literal["rel", "abs", "rel_signed"] = "rel",
    cooldown: Count = 0,
    monitor: str = "value",
    min_scale: Scale = 0.0,
    window: Window = 1,
    atol: Margin = 0.0,
    immediate: bool = False,
) -> Schedule:
    """A factor for a schedule, reduced by `factor` after each plateau: `max(factor^plateaus, min_scale)`.

    Pass the metric to `update` as `value=...`, to `observe` between updates, or to `tick`.

    Args:
        factor: the factor of each reduction, in [0, 1].
        min_scale: the lowest scale, in [0, 1].
        mode, patience, threshold, threshold_mode, cooldown, monitor, window, atol, immediate: see `Plateau`.

    Raises:
        ValueError: if factor or min_scale is not in [0, 1], or as `Plateau` does.

    >>> import lrsched as ls
    >>> s = ls.Linear(1.0, 0.0, 100) * ls.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = ls.clocks.init(s)
    >>> for loss in [2.0, 2.0]:
    ...     state = ls.clocks.tick(s, state, value=loss)
    >>> print(ls.clocks.evaluate(s, state))
    0.49

    References:
        PyTorch's `ReduceLROnPlateau`, with the same counting; see `Plateau` for the margins.
    """
    clock = Plateau(mode, patience, threshold, threshold_mode, cooldown, monitor, window, atol, immediate)
    return Exponential(1.0, factor).clip(min_scale, 1.0).on(clock)
