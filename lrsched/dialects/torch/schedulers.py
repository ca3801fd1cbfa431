"""PyTorch's schedulers one by one: the same names, arguments, order and defaults, with `base_lr` for the optimizer.

Each class has a closed form (`composed`), and for chains the factor of each step (`ratio`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.arguments import Factor, recipe
from lrsched.algebra.node import Spec, checked, leaf, node, static, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.written import unexpected
from lrsched.clocks.metrics import Count
from lrsched.dialects.shared import documented, one_number, reductions
from lrsched.dialects.torch.scheduler import BASE, InPlace, Multiplying, Scheduler, entries

_NEVER = 1e30  # steps: more than any time


def _or_never(steps: Number) -> Any:
    """A number of steps; PyTorch never reaches the end of 0 steps."""
    return numerics.where(steps == 0.0, _NEVER, steps)


@node
class LambdaLR(Scheduler):
    """The base rate times a function of the step: `base_lr · lr_lambda(t)`.

    Raises:
        TypeError: if lr_lambda is not a function.

    >>> from lrsched.dialects.torch import LambdaLR
    >>> print(LambdaLR(1.0, lambda epoch: 0.5 ** epoch)([0, 1, 2]))
    [1.   0.5  0.25]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    lr_lambda: Callable[[Any], Any] = static()

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.Constant(self.base_lr, 0.0) * ls.Function(self.lr_lambda)


@node
class MultiplicativeLR(Multiplying):
    """Multiplies the rate by a function at every step but the first: `base_lr · ∏ lr_lambda(i), i = 1 … t`.

    A later child of a sequence continues from the rate before it, and multiplies at its first step as well, as in PyTorch. If
    the function returns the same number at every step, this is an `Exponential`. Any other product has no closed form, and
    past 1,048,576 steps the time of a call grows with the step: if you know the product, pass it to `LambdaLR`.

    Raises:
        TypeError: if lr_lambda is not a function.

    >>> from lrsched.dialects.torch import MultiplicativeLR
    >>> print(MultiplicativeLR(1.0, lambda epoch: 0.5)([0, 1, 2]))
    [1.   0.5  0.25]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    lr_lambda: Callable[[Any], Any] = static()

    @functools.cached_property
    def composed(self) -> Schedule:
        rate = _constant(self.lr_lambda)
        if rate is not None and rate >= 0:
            return ls.Exponential(self.base_lr, rate)
        return ls.Constant(self.base_lr, 0.0) * InPlace(dataclasses.replace(self, base_lr=1.0))

    def ratio(self, t: Real) -> Real:
        return numerics.where(t < 1, 1.0, ls.Function(self.lr_lambda).at(t))

    def continued(self, rate: Schedule) -> Schedule:
        return rate * (ls.Function(self.lr_lambda) @ ls.Constant(0.0)) * self.multiplier


def _constant(fn: Callable[[Any], Any]) -> Any:
    """The number that a function returns, if it does not depend on the step."""
    values: list[Any] = []
    with contextlib.suppress(Exception):  # the function may not work in JAX
        jax.eval_shape(lambda t: values.append(fn(t)), jax.ShapeDtypeStruct((), numerics.float_type()))
    return values[0] if values and numerics.is_number(values[0]) and numerics.is_concrete(values[0]) else None


@node
class StepLR(Multiplying):
    """Multiplies by gamma every `step_size` steps: `base_lr · gamma^⌊t / step_size⌋`.

    >>> from lrsched.dialects.torch import StepLR
    >>> print(StepLR(0.5, step_size=30, gamma=0.1)([0, 29, 30, 60]))
    [0.5   0.5   0.05  0.005]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    step_size: Number = leaf(gt=0, unit="steps")
    gamma: Number = leaf(exact=True, ge=0, default=0.1)

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.step_decay(self.base_lr, self.step_size, self.gamma)

    def ratio(self, t: Real) -> Real:
        drops, before = (numerics.floor_ratio(u, self.step_size) for u in (t, numerics.maximum(t - 1.0, 0.0)))
        return numerics.where(drops > before, self.gamma, 1.0)


@node
class MultiStepLR(Multiplying):
    """Multiplies by gamma at every milestone: `base_lr · gamma^#{m : m <= t}`.

    >>> from lrsched.dialects.torch import MultiStepLR
    >>> print(MultiStepLR(0.5, [30, 80], gamma=0.1)([29, 30, 80]))
    [0.5   0.05  0.005]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    milestones: Any = leaf(ge=0, unit="steps", rank=1, optional=True)  # None for an empty list
    gamma: Number = leaf(exact=True, ge=0, default=0.1)

    @functools.cached_property
    def composed(self) -> Schedule:
        if self.milestones is None:
            return ls.Constant(self.base_lr, 0.0)
        return ls.multi_step(self.base_lr, numerics.ascending(self.milestones), self.gamma)

    def ratio(self, t: Real) -> Real:
        ratio = 1.0
        for step in entries(self.milestones):
            ratio = ratio * numerics.where((step <= t) & (t < step + 1.0), self.gamma, 1.0)
        return ratio


@node
class ConstantLR(Multiplying):
    """A fraction of the rate for some steps, then the full rate: `base_lr · (factor if t < total_iters else 1)`.

    With a total of 0 it keeps the fraction for ever, as in PyTorch; if a sequence starts it later, it has the full rate.

    >>> from lrsched.dialects.torch import ConstantLR
    >>> print(ConstantLR(0.5, factor=0.5, total_iters=4)([0, 3, 4]))
    [0.25 0.25 0.5 ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    factor: Number = leaf(ge=0, le=1, default=1 / 3)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._held(_or_never(self.total_iters))

    def continued(self, rate: Schedule) -> Schedule:
        del rate
        return self._held(self.total_iters)

    def _held(self, steps: Number) -> Schedule:
        return ls.Constant(self.base_lr * self.factor, steps) >> ls.Constant(self.base_lr, 0.0)


@node
class LinearLR(Multiplying):
    """A straight line between two fractions of the rate: `base_lr · (s + (e - s) · min(t / total_iters, 1))`.

    With a total of 0 it keeps the first fraction for ever, as in PyTorch.

    >>> from lrsched.dialects.torch import LinearLR
    >>> print(LinearLR(0.5, start_factor=0.5, total_iters=4)([0, 2, 4]))
    [0.25  0.375 0.5  ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    start_factor: Number = leaf(ge=0, le=1, default=1 / 3)
    end_factor: Number = leaf(ge=0, le=1, default=1.0)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.Linear(self.base_lr * self.start_factor, self.base_lr * self.end_factor, _or_never(self.total_iters))

    def ratio(self, t: Real) -> Real:
        if surely(lambda factor: factor == 0, self.start_factor):
            expected = "start_factor > 0 in a chain with schedulers that do not multiply"
            hint = "multiply the schedules, or start a little above 0"
            raise ValueError(unexpected("LinearLR", "start_factor", 0, expected, hint))
        return super().ratio(t)


@node
class ExponentialLR(Multiplying):
    """A constant ratio from step to step: `base_lr · gamma^t`.

    >>> from lrsched.dialects.torch import ExponentialLR
    >>> print(ExponentialLR(1.0, gamma=0.5)([0, 1, 2]))
    [1.   0.5  0.25]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    gamma: Number = leaf(exact=True, ge=0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.Exponential(self.base_lr, self.gamma)

    def ratio(self, t: Real) -> Real:
        return numerics.where(t < 1, 1.0, self.gamma)


@node
class PolynomialLR(Multiplying):
    """A power of the fraction left: `base_lr · (1 - min(t / total_iters, 1))^power`.

    With a total of 0 it stays at the base rate for ever, as in PyTorch.

    >>> from lrsched.dialects.torch import PolynomialLR
    >>> print(PolynomialLR(1.0, total_iters=4, power=2.0)([0, 2, 4]))
    [1.   0.25 0.  ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)
    power: Number = leaf(ge=0, default=1.0, hint="the exponent; 1 is a straight line")

    @functools.cached_property
    def composed(self) -> Schedule:
        flat = self.power == 0.0
        steps = numerics.where(flat, _NEVER, _or_never(self.total_iters))
        return ls.Polynomial(self.base_lr, 0.0, steps, numerics.where(flat, 1.0, self.power))


@functools.partial(recipe, check=one_number)
@documented
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
    such ties of decimals, so up to a quarter of exact ties differ; outside `jit` none do. As in PyTorch, a constant metric
    below 0 is better every time if the threshold is relative.

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
    """
    if mode == "min" and threshold_mode == "rel":
        checked("ReduceLROnPlateau", "threshold", threshold, ge=0, lt=1, hint="no loss is better by all of itself")
    clock = ls.Plateau(mode, patience, threshold, "rel_signed" if threshold_mode == "rel" else "abs", cooldown)
    # Never above the base rate, even if the lowest rate is.
    rate = ls.minimum(base_lr, ls.maximum(ls.Exponential(base_lr, factor), min_lr))
    return rate.take(_reductions(base_lr, factor, min_lr, eps)).on(clock)


def _reductions(base: Any, factor: Any, low: Any, eps: Any) -> Any:
    """The number of reductions that exceed eps; each is smaller than the one before."""
    last = numerics.maximum(eps / (1.0 - factor), low + eps)  # the rate that is reduced by exactly eps
    count = reductions(base, last, numerics.maximum(factor, 1e-30))
    return numerics.clip(numerics.ceil(count), 0.0, 2.0**30)
