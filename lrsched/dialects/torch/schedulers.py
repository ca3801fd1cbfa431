"""PyTorch's schedulers one by one: the same names, arguments, order and defaults, with `base_lr` for the optimizer.

Each has a closed form (`composed`), and for chains the factor of each step (`ratio`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax

from lrsched.algebra import numerics
from lrsched.algebra.arguments import is_empty
from lrsched.algebra.node import leaf, node, static, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.recipes import multi_step, step_decay
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.shapes import Exponential, Function, Linear, Polynomial
from lrsched.algebra.written import unexpected
from lrsched.dialects.shared import GROUPS
from lrsched.dialects.torch.scheduler import BASE, Change, Multiplying, Scheduler, entries
from lrsched.dialects.torch.walk import InPlace

_NEVER = 1e30  # steps: more than any time


def _or_never(steps: Number) -> Any:
    """A number of steps; PyTorch never reaches the end of 0 steps."""
    return numerics.where(steps == 0.0, _NEVER, steps)


def function_of_steps(call: str, name: str, fn: Any) -> Any:
    """The function, if it is one."""
    if not callable(fn):
        raise TypeError(unexpected(call, name, fn, "a function of the step", GROUPS if isinstance(fn, list) else ""))
    return fn


@node
class LambdaLR(Scheduler):
    """The base rate times a function of the step: `base_lr · lr_lambda(t)`.

    Args:
        base_lr: the rate of the optimizer.
        lr_lambda: a function of the step, or of an array of steps: arithmetic and `jax.numpy`, with `jnp.where` for `if`.

    Raises:
        TypeError: if lr_lambda is not a function.

    >>> from lrsched.dialects.torch import LambdaLR
    >>> print(LambdaLR(1.0, lambda epoch: 0.5 ** epoch)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `LambdaLR`. In the algebra: `base_lr * Function(lr_lambda)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    lr_lambda: Callable[[Any], Any] = static()

    def _check(self) -> None:
        function_of_steps("LambdaLR", "lr_lambda", self.lr_lambda)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Constant(self.base_lr, 0.0) * Function(self.lr_lambda)


@node
class MultiplicativeLR(Multiplying):
    """Multiplies the rate by a function at every step but the first: `base_lr · ∏ lr_lambda(i), i = 1 … t`.

    A later child of a sequence continues from the rate before it, and multiplies at its first step as well, as in PyTorch. If
    the function returns the same number at every step, this is an `Exponential`. Any other product has no closed form, and
    past 1,048,576 steps the time of a call grows with the step: if you know the product, pass it to `LambdaLR`.

    Args:
        base_lr: the rate of the optimizer.
        lr_lambda: a function of the step, or of an array of steps: arithmetic and `jax.numpy`, with `jnp.where` for `if`.

    Raises:
        TypeError: if lr_lambda is not a function.

    >>> from lrsched.dialects.torch import MultiplicativeLR
    >>> print(MultiplicativeLR(1.0, lambda epoch: 0.5)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `MultiplicativeLR`. In the algebra, for a constant function: `Exponential(base_lr, 0.5)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    lr_lambda: Callable[[Any], Any] = static()

    def _check(self) -> None:
        function_of_steps("MultiplicativeLR", "lr_lambda", self.lr_lambda)

    @functools.cached_property
    def composed(self) -> Schedule:
        rate = _constant(self.lr_lambda)
        if rate is not None and rate >= 0:
            return Exponential(self.base_lr, rate)
        return Constant(self.base_lr, 0.0) * InPlace(dataclasses.replace(self, base_lr=1.0))

    def ratio(self, t: Real) -> Real:
        return numerics.where(t < 1, 1.0, self._factor.at(t))

    @property
    def _factor(self) -> Schedule:
        return Function(self.lr_lambda)

    def started_change(self, t: Real) -> Change:
        return Change(self._factor.at(t), 0.0)

    def continued(self, rate: Schedule) -> Schedule:
        return rate * (self._factor @ Constant(0.0)) * self.multiplier


def _constant(fn: Callable[[Any], Any]) -> Any:
    """The number that a function returns, if it does not depend on the step."""
    values: list[Any] = []
    with contextlib.suppress(Exception):  # the function may not work in JAX
        jax.eval_shape(lambda t: values.append(fn(t)), jax.ShapeDtypeStruct((), numerics.float_type()))
    return values[0] if values and numerics.is_number(values[0]) and numerics.is_concrete(values[0]) else None


@node
class StepLR(Multiplying):
    """Multiplies by gamma every `step_size` steps: `base_lr · gamma^⌊t / step_size⌋`.

    Args:
        base_lr: the rate of the optimizer.
        step_size: the number of steps between two drops, > 0.
        gamma: the factor of each drop, >= 0.

    >>> from lrsched.dialects.torch import StepLR
    >>> print(StepLR(0.5, step_size=30, gamma=0.1)([0, 29, 30, 60]))
    [0.5   0.5   0.05  0.005]

    References:
        PyTorch's `StepLR`. In the algebra: `step_decay(base_lr, step_size, gamma)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    step_size: Number = leaf(gt=0, unit="steps")
    gamma: Number = leaf(exact=True, ge=0, default=0.1)

    @functools.cached_property
    def composed(self) -> Schedule:
        return step_decay(self.base_lr, self.step_size, self.gamma)

    def ratio(self, t: Real) -> Real:
        drops, before = (numerics.floor_ratio(u, self.step_size) for u in (t, numerics.maximum(t - 1.0, 0.0)))
        return numerics.where(drops > before, self.gamma, 1.0)


@node
class MultiStepLR(Multiplying):
    """Multiplies by gamma at every milestone: `base_lr · gamma^#{m : m <= t}`.

    Args:
        base_lr: the rate of the optimizer.
        milestones: a list of steps, in any order; one listed twice counts twice, and one at 0 from the start.
        gamma: the factor of each drop, >= 0.

    >>> from lrsched.dialects.torch import MultiStepLR
    >>> print(MultiStepLR(0.5, [30, 80], gamma=0.1)([29, 30, 80]))
    [0.5   0.05  0.005]

    References:
        PyTorch's `MultiStepLR`. In the algebra: `multi_step(base_lr, milestones, gamma)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    milestones: Any = leaf(ge=0, unit="steps", rank=1, optional=True)  # None for an empty list
    gamma: Number = leaf(exact=True, ge=0, default=0.1)

    def __init__(self, base_lr: Number, milestones: Any, gamma: Number = 0.1) -> None:
        milestones = None if is_empty(milestones) else milestones
        self.__dict__.update(base_lr=base_lr, milestones=milestones, gamma=gamma)
        self.__post_init__()

    @functools.cached_property
    def composed(self) -> Schedule:
        if self.milestones is None:
            return Constant(self.base_lr, 0.0)
        return multi_step(self.base_lr, numerics.ascending(self.milestones), self.gamma)

    def ratio(self, t: Real) -> Real:
        ratio = 1.0
        for step in entries(self.milestones):
            ratio = ratio * numerics.where((step <= t) & (t < step + 1.0), self.gamma, 1.0)
        return ratio


@node
class ConstantLR(Multiplying):
    """A fraction of the rate for some steps, then the full rate: `base_lr · (factor if t < total_iters else 1)`.

    With a total of 0 it keeps the fraction for ever, as in PyTorch; if a sequence starts it later, it has the full rate.

    Args:
        base_lr: the rate of the optimizer.
        factor: the fraction, in [0, 1]. (0 divides by zero in PyTorch at step `total_iters`.)
        total_iters: the number of steps, >= 0.

    >>> from lrsched.dialects.torch import ConstantLR
    >>> print(ConstantLR(0.5, factor=0.5, total_iters=4)([0, 3, 4]))
    [0.25 0.25 0.5 ]

    References:
        PyTorch's `ConstantLR`. In the algebra: `Constant(factor * base_lr, total_iters) >> Constant(base_lr)`.
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
        return Constant(self.base_lr * self.factor, steps) >> Constant(self.base_lr, 0.0)


@node
class LinearLR(Multiplying):
    """A straight line between two fractions of the rate: `base_lr · (s + (e - s) · min(t / total_iters, 1))`.

    With a total of 0 it keeps the first fraction for ever, as in PyTorch.

    Args:
        base_lr: the rate of the optimizer.
        start_factor: the fraction s at step 0, in [0, 1]. (PyTorch forbids 0.)
        end_factor: the fraction e from step `total_iters` on, in [0, 1].
        total_iters: the number of steps, >= 0.

    >>> from lrsched.dialects.torch import LinearLR
    >>> print(LinearLR(0.5, start_factor=0.5, total_iters=4)([0, 2, 4]))
    [0.25  0.375 0.5  ]

    References:
        PyTorch's `LinearLR`. In the algebra: `Linear(s * base_lr, e * base_lr, total_iters)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    start_factor: Number = leaf(ge=0, le=1, default=1 / 3)
    end_factor: Number = leaf(ge=0, le=1, default=1.0)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        start, end = ((self.base_lr * factor) for factor in (self.start_factor, self.end_factor))
        return Linear(start, end, _or_never(self.total_iters))

    def ratio(self, t: Real) -> Real:
        if surely(lambda factor: factor == 0, self.start_factor):
            expected = "start_factor > 0 in a chain with schedulers that do not multiply"
            hint = "multiply the schedules, or start a little above 0"
            raise ValueError(unexpected("LinearLR", "start_factor", 0, expected, hint))
        return super().ratio(t)


@node
class ExponentialLR(Multiplying):
    """A constant ratio from step to step: `base_lr · gamma^t`.

    Args:
        base_lr: the rate of the optimizer.
        gamma: the factor per step, >= 0.

    >>> from lrsched.dialects.torch import ExponentialLR
    >>> print(ExponentialLR(1.0, gamma=0.5)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `ExponentialLR`. In the algebra: `Exponential(base_lr, gamma)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    gamma: Number = leaf(exact=True, ge=0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Exponential(self.base_lr, self.gamma)

    def ratio(self, t: Real) -> Real:
        return numerics.where(t < 1, 1.0, self.gamma)


@node
class PolynomialLR(Multiplying):
    """A power of the fraction left: `base_lr · (1 - min(t / total_iters, 1))^power`.

    With a total of 0 it stays at the base rate for ever, as in PyTorch.

    Args:
        base_lr: the rate of the optimizer.
        total_iters: the number of steps, >= 0, after which the rate is 0.
        power: the exponent, >= 0; with 0 the rate stays at the base rate, too.

    >>> from lrsched.dialects.torch import PolynomialLR
    >>> print(PolynomialLR(1.0, total_iters=4, power=2.0)([0, 2, 4]))
    [1.   0.25 0.  ]

    References:
        PyTorch's `PolynomialLR`. In the algebra: `Polynomial(base_lr, 0.0, total_iters, power)`.
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)
    power: Number = leaf(ge=0, default=1.0, hint="the exponent; 1 is a straight line")

    @functools.cached_property
    def composed(self) -> Schedule:
        flat = self.power == 0.0
        steps = numerics.where(flat, _NEVER, _or_never(self.total_iters))
        return Polynomial(self.base_lr, 0.0, steps, numerics.where(flat, 1.0, self.power))
