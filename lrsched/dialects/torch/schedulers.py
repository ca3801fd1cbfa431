"""PyTorch's schedulers one by one: the same names, arguments, order and defaults, with `base_lr` for the optimizer.

Each says what it is by itself (`composed`), and what it does to a rate in place, of which a chain is made.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import checked, checked_choice, choice, is_empty, leaf, node, static
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant, maximum, minimum
from lrsched.algebra.recipes import multi_step, step_decay, triangular
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import join
from lrsched.algebra.shapes import Cosine, Exponential, Function, Linear, Piecewise, Polynomial, Time
from lrsched.algebra.written import unexpected
from lrsched.clocks.clock import Plateau
from lrsched.dialects.torch.scheduler import Change, Recurrence, Scheduler, scaling

_NEVER = 1e30  # a step beyond all others


def _or_never(steps: Number) -> Any:
    """A total of steps, of which PyTorch never reaches the end if it is 0."""
    return numerics.where(numerics.equal(steps, 0.0), _NEVER, steps)


def _ratios(factors: Schedule, steps: Number) -> Schedule:
    """What multiplies a rate in place, so that alone it is that of the factors: at step 0 their first, then their ratios."""
    return join([factors.take(0), (factors.drop(1) / factors), Constant(1.0)], [1.0, steps + 1.0])


def _function(call: str, name: str, fn: Any) -> Any:
    if not callable(fn):
        raise TypeError(unexpected(call, name, fn, "a function of the step"))
    return fn


@node
class LambdaLR(Scheduler):
    """The base rate times a function of the step: `base_lr · lr_lambda(t)`.

    Args:
        base_lr: the rate of the optimizer.
        lr_lambda: a function of the step, or of an array of steps: arithmetic and `jax.numpy`, with `jnp.where` for `if`.

    Raises:
        TypeError: if lr_lambda is no function.
        ValueError: if the rate is not finite.

    >>> from lrsched.dialects.torch import LambdaLR
    >>> print(LambdaLR(1.0, lambda epoch: 0.5 ** epoch)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `LambdaLR`. In the algebra: `base_lr * Function(lr_lambda)`.
    """

    base_lr: Number = leaf()
    lr_lambda: Callable[[Any], Any] = static()

    def _check(self) -> None:
        _function("LambdaLR", "lr_lambda", self.lr_lambda)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Constant(self.base_lr, 0.0) * Function(self.lr_lambda)


@node
class MultiplicativeLR(Scheduler):
    """The rate times a function at every step but the first: `base_lr · ∏ lr_lambda(i), i = 1 … t`.

    A later child of a sequence goes on from the rate before it, and multiplies at its first step as well, as in PyTorch. It
    walks through all steps up to t: where the product has a closed form, `LambdaLR` and the algebra are faster.

    Args:
        base_lr: the rate of the optimizer.
        lr_lambda: a function of the step, or of an array of steps: arithmetic and `jax.numpy`, with `jnp.where` for `if`.

    Raises:
        TypeError: if lr_lambda is no function.
        ValueError: if the rate is not finite.

    >>> from lrsched.dialects.torch import MultiplicativeLR
    >>> print(MultiplicativeLR(1.0, lambda epoch: 0.5)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `MultiplicativeLR`. In the algebra, for a constant function: `Exponential(base_lr, 0.5)`.
    """

    base_lr: Number = leaf()
    lr_lambda: Callable[[Any], Any] = static()

    def _check(self) -> None:
        _function("MultiplicativeLR", "lr_lambda", self.lr_lambda)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Recurrence(self.base_lr, *self.change)

    @property
    def multiplier(self) -> Schedule:
        return Recurrence(1.0, *self.change)

    @property
    def change(self) -> Change:
        return self.started_change.first(1.0, 0.0)

    @property
    def started_change(self) -> Change:
        return scaling(Function(self.lr_lambda))

    def continued(self, rate: Schedule) -> Schedule:
        return rate * Recurrence(1.0, *self.started_change)


@node
class StepLR(Scheduler):
    """Times gamma every so many steps: `base_lr · gamma^⌊t / step_size⌋`.

    Args:
        base_lr: the rate of the optimizer.
        step_size: the number of steps between two drops, > 0.
        gamma: what each drop multiplies with, >= 0.

    Raises:
        ValueError: if the step size is not above 0, gamma below 0, or a number not finite.

    >>> from lrsched.dialects.torch import StepLR
    >>> print(StepLR(0.5, step_size=30, gamma=0.1)([0, 29, 30, 60]))
    [0.5   0.5   0.05  0.005]

    References:
        PyTorch's `StepLR`. In the algebra: `step_decay(base_lr, step_size, gamma)`.
    """

    base_lr: Number = leaf()
    step_size: Number = leaf(gt=0, unit="steps")
    gamma: Number = leaf(ge=0, default=0.1)

    @functools.cached_property
    def composed(self) -> Schedule:
        return step_decay(self.base_lr, self.step_size, self.gamma)

    @property
    def multiplier(self) -> Schedule:
        return step_decay(1.0, self.step_size, self.gamma)

    @property
    def change(self) -> Change:
        rest = numerics.maximum(self.step_size - 1.0, 0.0)
        drops = (Constant(self.gamma, 1) >> Constant(1.0, rest)).repeat()
        return scaling(Constant(1.0, self.step_size) >> drops)


@node
class MultiStepLR(Scheduler):
    """Times gamma at every milestone: `base_lr · gamma^#{m : m <= t}`.

    Args:
        base_lr: the rate of the optimizer.
        milestones: a list of steps, in any order; one that is given twice counts twice, and one at 0 from the start.
        gamma: what each drop multiplies with, >= 0.

    Raises:
        ValueError: if a milestone or gamma is below 0, or a number not finite.

    >>> from lrsched.dialects.torch import MultiStepLR
    >>> print(MultiStepLR(0.5, [30, 80], gamma=0.1)([29, 30, 80]))
    [0.5   0.05  0.005]

    References:
        PyTorch's `MultiStepLR`. In the algebra: `multi_step(base_lr, milestones, gamma)`.
    """

    base_lr: Number = leaf()
    milestones: Any = leaf(ge=0, unit="steps", rank=1, optional=True)  # None for an empty list
    gamma: Number = leaf(ge=0, default=0.1)

    def __init__(self, base_lr: Number, milestones: Any, gamma: Number = 0.1) -> None:
        milestones = None if is_empty(milestones) else milestones
        self.__dict__.update(base_lr=base_lr, milestones=milestones, gamma=gamma)
        self.__post_init__()

    def _drops(self, rate: Number) -> Schedule:
        return (
            Constant(rate, 0.0)
            if self.milestones is None
            else multi_step(rate, numerics.ascending(self.milestones), self.gamma)
        )

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._drops(self.base_lr)

    @property
    def multiplier(self) -> Schedule:
        return self._drops(1.0)

    @property
    def change(self) -> Change:
        if self.milestones is None:
            return scaling(Constant(1.0))
        steps = numerics.ascending(self.milestones)
        entries = [0.0, *(steps[..., i] for i in range(steps.shape[-1]))]
        passed = Piecewise(numerics.table(entries), np.arange(len(entries)))
        return scaling(Exponential(1.0, self.gamma) @ (passed - (Constant(0.0, 1) >> passed)))


@node
class ConstantLR(Scheduler):
    """A fraction of the rate for some steps, then all of it: `base_lr · (factor if t < total_iters else 1)`.

    With a total of 0 it keeps the fraction for ever, as in PyTorch; a sequence that starts it later gives the whole rate.

    Args:
        base_lr: the rate of the optimizer.
        factor: the fraction, in [0, 1]. (0 divides by zero in PyTorch at step `total_iters`.)
        total_iters: the number of steps, >= 0.

    Raises:
        ValueError: if the factor is not in [0, 1], or the total is negative.

    >>> from lrsched.dialects.torch import ConstantLR
    >>> print(ConstantLR(0.5, factor=0.5, total_iters=4)([0, 3, 4]))
    [0.25 0.25 0.5 ]

    References:
        PyTorch's `ConstantLR`. In the algebra: `Constant(factor * base_lr, total_iters) >> Constant(base_lr)`.
    """

    base_lr: Number = leaf()
    factor: Number = leaf(ge=0, le=1, default=1 / 3)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._held(self.base_lr, self.factor, _or_never(self.total_iters))

    def _held(self, rate: Number, factor: Number, steps: Number) -> Schedule:
        return Constant(rate * factor, steps) >> Constant(rate, 0.0)

    @property
    def multiplier(self) -> Schedule:
        return self._held(1.0, self.factor, _or_never(self.total_iters))

    @property
    def started(self) -> Schedule:
        return self._held(self.base_lr, self.factor, self.total_iters)

    @property
    def change(self) -> Change:
        ended = _or_never(self.total_iters)
        back = numerics.where(numerics.equal(self.factor, 0.0), 1.0, numerics.divide(1.0, self.factor))
        factors = [Constant(self.factor), Constant(1.0), Constant(back), Constant(1.0)]
        return scaling(join(factors, numerics.table([1.0, ended, ended + 1.0])))


@node
class LinearLR(Scheduler):
    """A straight line between two fractions of the rate: `base_lr · (s + (e - s) · min(t / total_iters, 1))`.

    With a total of 0 it keeps the first fraction for ever, as in PyTorch.

    Args:
        base_lr: the rate of the optimizer.
        start_factor: the fraction s at step 0, in [0, 1]. (PyTorch forbids 0.)
        end_factor: the fraction e from step `total_iters` on, in [0, 1].
        total_iters: the number of steps, >= 0.

    Raises:
        ValueError: if a fraction is not in [0, 1], or the total is negative.

    >>> from lrsched.dialects.torch import LinearLR
    >>> print(LinearLR(0.5, start_factor=0.5, total_iters=4)([0, 2, 4]))
    [0.25  0.375 0.5  ]

    References:
        PyTorch's `LinearLR`. In the algebra: `Linear(s * base_lr, e * base_lr, total_iters)`.
    """

    base_lr: Number = leaf()
    start_factor: Number = leaf(ge=0, le=1, default=1 / 3)
    end_factor: Number = leaf(ge=0, le=1, default=1.0)
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        start, end = ((self.base_lr * factor) for factor in (self.start_factor, self.end_factor))
        return Linear(start, end, _or_never(self.total_iters))

    @property
    def multiplier(self) -> Schedule:
        return Linear(self.start_factor, self.end_factor, _or_never(self.total_iters))

    @property
    def change(self) -> Change:
        if numerics.is_concrete(self.start_factor) and np.any(np.equal(self.start_factor, 0)):
            raise ValueError(
                "LinearLR(start_factor=0) cannot be chained in place with schedulers that do not multiply: what is 0 stays 0."
                " Multiply the schedules, or start a little above 0"
            )
        return scaling(_ratios(self.multiplier, self.total_iters))


@node
class ExponentialLR(Scheduler):
    """A constant ratio from step to step: `base_lr · gamma^t`.

    Args:
        base_lr: the rate of the optimizer.
        gamma: the factor of one step, >= 0.

    Raises:
        ValueError: if gamma is below 0, or a number not finite.

    >>> from lrsched.dialects.torch import ExponentialLR
    >>> print(ExponentialLR(1.0, gamma=0.5)([0, 1, 2]))
    [1.   0.5  0.25]

    References:
        PyTorch's `ExponentialLR`. In the algebra: `Exponential(base_lr, gamma)`.
    """

    base_lr: Number = leaf()
    gamma: Number = leaf(ge=0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Exponential(self.base_lr, self.gamma)

    @property
    def multiplier(self) -> Schedule:
        return Exponential(1.0, self.gamma)

    @property
    def change(self) -> Change:
        return scaling(Constant(1.0, 1) >> Constant(self.gamma))


@node
class PolynomialLR(Scheduler):
    """A power of what is left: `base_lr · (1 - min(t / total_iters, 1))^power`.

    With a total of 0 it stays at the base rate for ever, as in PyTorch.

    Args:
        base_lr: the rate of the optimizer.
        total_iters: the number of steps, >= 0; from there on the rate is 0.
        power: the exponent, >= 0; with 0 it stays at the base rate too.

    Raises:
        ValueError: if the total or the power is negative.

    >>> from lrsched.dialects.torch import PolynomialLR
    >>> print(PolynomialLR(1.0, total_iters=4, power=2.0)([0, 2, 4]))
    [1.   0.25 0.  ]

    References:
        PyTorch's `PolynomialLR`. In the algebra: `Polynomial(base_lr, 0.0, total_iters, power)`.
    """

    base_lr: Number = leaf()
    total_iters: Number = leaf(ge=0, unit="steps", default=5.0)
    power: Number = leaf(ge=0, default=1.0, hint="the exponent; 1 is a straight line")

    def _fall(self, rate: Number) -> Schedule:
        flat = numerics.equal(self.power, 0.0)
        steps = numerics.where(flat, _NEVER, _or_never(self.total_iters))
        return Polynomial(rate, 0.0, steps, numerics.where(flat, 1.0, self.power))

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._fall(self.base_lr)

    @property
    def multiplier(self) -> Schedule:
        return self._fall(1.0)

    @property
    def change(self) -> Change:
        return scaling(_ratios(self.multiplier, _or_never(self.total_iters)))


@node
class CosineAnnealingLR(Scheduler):
    """A cosine wave: `eta_min + (base_lr - eta_min) · ½(1 + cos(π · t / T_max))`, which rises again after T_max.

    Args:
        base_lr: the rate of the optimizer.
        T_max: the number of steps down, half a period, > 0.
        eta_min: the lowest rate.

    Raises:
        ValueError: if T_max is not above 0, or a number not finite.

    >>> from lrsched.dialects.torch import CosineAnnealingLR
    >>> print(CosineAnnealingLR(1.0, T_max=4)([0, 2, 4, 6, 8]))
    [1.  0.5 0.  0.5 1. ]

    References:
        PyTorch's `CosineAnnealingLR`. In the algebra, without the rise: `Cosine(base_lr, eta_min, T_max)`.
    """

    base_lr: Number = leaf()
    T_max: Number = leaf(gt=0, unit="steps")
    eta_min: Number = leaf(default=0.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._wave(self.base_lr, self.eta_min)

    def _wave(self, high: Number, low: Number) -> Schedule:
        return (Cosine(high, low, self.T_max) >> Cosine(low, high, self.T_max)).repeat()

    @property
    def change(self) -> Change:
        # Its distance from eta_min is multiplied with the ratio of two heights of the wave; at the first step of a rise, where
        # the height before is 0, it goes up by the height of that step from the base rate instead.
        height, period = self._wave(1.0, 0.0), 2.0 * self.T_max
        once = (Constant(1.0, 1) >> Constant(0.0, period - 1.0)).repeat()
        rises = Constant(0.0, self.T_max + 1.0) >> once
        scale = rises + (1.0 - rises) * height / (height.delay(1) + rises)
        base: Any = self.base_lr
        first = Constant(base - self.eta_min) * (height @ Constant(self.T_max + 1.0))
        return Change(scale, (1.0 - scale) * Constant(self.eta_min) + rises * first)


@node
class CosineAnnealingWarmRestarts(Scheduler):
    """Cosine waves down, each from the base rate: `eta_min + (base_lr - eta_min) · ½(1 + cos(π · T_cur / T_i))`.

    T_cur is the time since the last restart, T_i = T_0 · T_mult^i the length of cycle i.

    Args:
        base_lr: the rate of the optimizer.
        T_0: the number of steps of the first cycle, a whole number > 0.
        T_mult: how many times longer each cycle is than the one before, a whole number >= 1.
        eta_min: the lowest rate.

    Raises:
        ValueError: if T_0 or T_mult is no whole number or below 1, or a number not finite.

    >>> from lrsched.dialects.torch import CosineAnnealingWarmRestarts
    >>> print(CosineAnnealingWarmRestarts(1.0, T_0=4, T_mult=2)([0, 2, 4, 8, 12]))
    [1.  0.5 1.  0.5 1. ]

    References:
        PyTorch's `CosineAnnealingWarmRestarts`, whose `step(t)` finds the cycle by a logarithm, and some of them wrongly, such
        as T_0 = 1, T_mult = 3, t = 121; here it is right. In the algebra:
        `cosine_restarts(base_lr, eta_min, T_0, stretch=T_mult)`.
    """

    base_lr: Number = leaf()
    T_0: Number = leaf(ge=1, integer=True, unit="steps")
    T_mult: Number = leaf(ge=1, integer=True, unit="times", default=1.0, hint="2 doubles every cycle's length, 1 keeps it")
    eta_min: Number = leaf(default=0.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return Cosine(self.base_lr, self.eta_min, self.T_0).repeat(stretch=self.T_mult)


class _Cyclic(Scheduler):
    """What the rate and the momentum of a cyclic policy have in common."""

    base_lr: Number
    step_size_up: Number
    step_size_down: Number | None
    mode: Literal["triangular", "triangular2", "exp_range"]
    gamma: Number
    scale_fn: Callable[[Any], Any] | None
    scale_mode: Literal["cycle", "iterations"]

    def _check(self) -> None:
        if self.scale_fn is not None:
            _function(type(self).__name__, "scale_fn", self.scale_fn)

    def _between(self, low: Number, high: Number) -> Schedule:
        down = self.step_size_up if self.step_size_down is None else self.step_size_down
        if self.scale_fn is None:
            gamma = self.gamma if self.mode == "exp_range" else 1.0
            return triangular(low, high, self.step_size_up, down, self.mode, gamma)
        cycle = self.step_size_up + down
        count = Time().staircase(cycle) / Constant(cycle, 0.0) + 1.0 if self.scale_mode == "cycle" else Time()
        scale = Function(self.scale_fn) @ count
        return triangular(low, high, self.step_size_up, down) * scale + Constant(low, 0.0) * (1.0 - scale)


@node
class CyclicLR(_Cyclic):
    """Up and down between two rates in straight lines, for ever: `base_lr + (max_lr - base_lr) · h(t) · g(t)`.

    h rises from 0 to 1 in `step_size_up` steps and falls back in `step_size_down` steps. g is 1 in mode "triangular",
    `½^cycle` in mode "triangular2", `gamma^t` in mode "exp_range"; or `scale_fn(c)` of the cycle c = 1, 2, …, or
    `scale_fn(t)`, by the scale mode.

    Args:
        base_lr: the lowest rate.
        max_lr: the highest rate.
        step_size_up: the number of steps of the rise, > 0.
        step_size_down: the number of steps of the fall, >= 0; as many as of the rise if None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: the factor of one step in mode "exp_range", >= 0.
        scale_fn: a function of the cycle or of the step, in place of the mode.
        scale_mode: "cycle" or "iterations".
        cycle_momentum: whether there is a `CyclicMomentum` beside it.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rate.

    Raises:
        ValueError: if a length or gamma is negative, the mode unknown, or a number not finite.

    >>> from lrsched.dialects.torch import CyclicLR
    >>> print(CyclicLR(1.0, 5.0, step_size_up=4)([0, 2, 4, 6, 8]))
    [1. 3. 5. 3. 1.]

    References:
        PyTorch's `CyclicLR`. In the algebra: `triangular(base_lr, max_lr, step_size_up, step_size_down, mode, gamma)`.
    """

    base_lr: Number = leaf()
    max_lr: Number = leaf()
    step_size_up: Number = leaf(gt=0, unit="steps", default=2000.0)
    step_size_down: Number | None = leaf(ge=0, unit="steps", optional=True, default=None)
    mode: Literal["triangular", "triangular2", "exp_range"] = choice(
        "triangular", "triangular2", "exp_range", default="triangular"
    )
    gamma: Number = leaf(ge=0, default=1.0)
    scale_fn: Callable[[Any], Any] | None = static(default=None)
    scale_mode: Literal["cycle", "iterations"] = choice("cycle", "iterations", default="cycle")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.8)
    max_momentum: Number = leaf(default=0.9)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._between(self.base_lr, self.max_lr)


@node
class CyclicMomentum(_Cyclic):
    """The momentum beside `CyclicLR`: `max_momentum - (max_momentum - base_momentum) · h(t) · g(t)`, of the same arguments.

    Args:
        base_lr, max_lr: of the rate; they do not matter here.
        step_size_up: the number of steps in which it falls, > 0.
        step_size_down: the number of steps in which it rises, >= 0; as many if None.
        mode, gamma, scale_fn, scale_mode: see `CyclicLR`.
        cycle_momentum: must be True.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rate.

    Raises:
        ValueError: if `cycle_momentum` is false, or as `CyclicLR` does.

    >>> from lrsched.dialects.torch import CyclicMomentum
    >>> print(CyclicMomentum(1.0, 5.0, step_size_up=4)([0, 4, 8]))
    [0.9 0.8 0.9]

    References:
        PyTorch's `CyclicLR`. In the algebra: `triangular(max_momentum, base_momentum, step_size_up, …)`.
    """

    base_lr: Number = leaf()
    max_lr: Number = leaf()
    step_size_up: Number = leaf(gt=0, unit="steps", default=2000.0)
    step_size_down: Number | None = leaf(ge=0, unit="steps", optional=True, default=None)
    mode: Literal["triangular", "triangular2", "exp_range"] = choice(
        "triangular", "triangular2", "exp_range", default="triangular"
    )
    gamma: Number = leaf(ge=0, default=1.0)
    scale_fn: Callable[[Any], Any] | None = static(default=None)
    scale_mode: Literal["cycle", "iterations"] = choice("cycle", "iterations", default="cycle")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.8)
    max_momentum: Number = leaf(default=0.9)

    def _check(self) -> None:
        super()._check()
        _momentum_is_cycled(self)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._between(self.max_momentum, self.base_momentum)


def _momentum_is_cycled(schedule: Any) -> None:
    if not schedule.cycle_momentum:
        raise ValueError(f"{type(schedule).__name__}(cycle_momentum=False) leaves the momentum alone: use a number")


class _OneCycle(Scheduler):
    """What the rate and the momentum of a one-cycle policy have in common."""

    total_steps: Number | None
    epochs: Number | None
    steps_per_epoch: Number | None
    pct_start: Number
    anneal_strategy: Literal["cos", "linear"]
    three_phase: bool

    def _check(self) -> None:
        if self.total_steps is None and (self.epochs is None or self.steps_per_epoch is None):
            raise ValueError(
                f"{type(self).__name__}(...) needs its length: either total_steps, or both epochs and steps_per_epoch"
            )

    def _through(self, *values: Number) -> Schedule:
        """Through values at the ends of the phases."""
        epochs: Any = self.epochs
        total = epochs * self.steps_per_epoch if self.total_steps is None else self.total_steps
        if not numerics.is_concrete(total, self.pct_start):
            total = numerics.wide(total)  # a float32 would not hold the ends of the phases
        last, rise = total - 1.0, self.pct_start * total - 1.0
        ends = [0.0, rise, 2.0 * rise, last] if self.three_phase else [0.0, rise, last]
        ramp = Cosine if self.anneal_strategy == "cos" else Linear
        parts = []
        for i, (begin, end) in enumerate(itertools.pairwise(ends)):
            # Where a phase ends before step 0, the next one is taken to have begun there.
            steps, gone = numerics.maximum(end - begin, 0.0), numerics.maximum(-begin, 0.0)
            # A last phase without steps is never entered.
            stop = numerics.where(numerics.equal(steps, 0.0), values[i], values[i + 1]) if end is last else values[i + 1]
            parts.append(ramp(values[i], stop, steps).drop(gone))
        return functools.reduce(Schedule.then, parts).take(last)


@node
class OneCycleLR(_OneCycle):
    """One rise from `max_lr / div_factor` to `max_lr`, and one fall to `max_lr / div_factor / final_div_factor`.

    The rise ends at step `pct_start · N - 1` and the fall at step N - 1 of N, where the value is held; with three phases it
    comes back to where it began at step `2 · pct_start · N - 2`. (PyTorch raises after step N.)

    Args:
        max_lr: the highest rate.
        total_steps: the number N of steps, a whole number > 0, or None.
        epochs: the number of epochs, a whole number > 0, if there is no total.
        steps_per_epoch: the number of steps of an epoch, a whole number > 0, if there is no total.
        pct_start: the fraction of the steps that the rise takes, in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether there is a `OneCycleMomentum` beside it.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rate.
        div_factor: the highest rate over the first, > 0.
        final_div_factor: the first rate over the last, > 0.
        three_phase: whether it comes back symmetrically before the last fall.

    Raises:
        ValueError: if there is no length, the fraction is not in [0, 1], a divisor not above 0, or a number not finite.

    >>> from lrsched.dialects.torch import OneCycleLR
    >>> print(OneCycleLR(1.0, total_steps=10, anneal_strategy="linear", div_factor=10.0)([0, 1, 2, 9]))
    [1.0e-01 5.5e-01 1.0e+00 1.0e-05]

    References:
        PyTorch's `OneCycleLR`. In the algebra: `one_cycle(max_lr, total_steps, …)`, whose phases end at whole fractions.
    """

    max_lr: Number = leaf()
    total_steps: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    epochs: Number | None = leaf(ge=1, integer=True, unit="epochs", optional=True, default=None)
    steps_per_epoch: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    pct_start: Number = leaf(ge=0, le=1, default=0.3)
    anneal_strategy: Literal["cos", "linear"] = choice("cos", "linear", default="cos")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.85)
    max_momentum: Number = leaf(default=0.95)
    div_factor: Number = leaf(gt=0, default=25.0)
    final_div_factor: Number = leaf(gt=0, default=1e4)
    three_phase: bool = static(default=False)

    @property
    def base(self) -> Number:
        return numerics.divide(self.max_lr, self.div_factor)

    @functools.cached_property
    def composed(self) -> Schedule:
        lowest = numerics.divide(self.base, self.final_div_factor)
        return self._through(self.base, self.max_lr, *([self.base] if self.three_phase else []), lowest)


@node
class OneCycleMomentum(_OneCycle):
    """The momentum beside `OneCycleLR`, of the same arguments: from `max_momentum` down to `base_momentum` and back.

    Args:
        max_lr, div_factor, final_div_factor: of the rate; they do not matter here.
        total_steps: the number N of steps, a whole number > 0, or None.
        epochs: the number of epochs, a whole number > 0, if there is no total.
        steps_per_epoch: the number of steps of an epoch, a whole number > 0, if there is no total.
        pct_start: the fraction of the steps in which it falls, in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: must be True.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rate.
        three_phase: whether it comes back as fast as it fell, and stays.

    Raises:
        ValueError: if `cycle_momentum` is false, or as `OneCycleLR` does.

    >>> from lrsched.dialects.torch import OneCycleMomentum
    >>> print(OneCycleMomentum(1.0, total_steps=10)([0, 2, 9]))
    [0.95 0.85 0.95]

    References:
        PyTorch's `OneCycleLR`. In the algebra: `one_cycle_momentum(total_steps, base_momentum, max_momentum, …)`.
    """

    max_lr: Number = leaf()
    total_steps: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    epochs: Number | None = leaf(ge=1, integer=True, unit="epochs", optional=True, default=None)
    steps_per_epoch: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    pct_start: Number = leaf(ge=0, le=1, default=0.3)
    anneal_strategy: Literal["cos", "linear"] = choice("cos", "linear", default="cos")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.85)
    max_momentum: Number = leaf(default=0.95)
    div_factor: Number = leaf(gt=0, default=25.0)
    final_div_factor: Number = leaf(gt=0, default=1e4)
    three_phase: bool = static(default=False)

    def _check(self) -> None:
        super()._check()
        _momentum_is_cycled(self)

    @functools.cached_property
    def composed(self) -> Schedule:
        high, low = self.max_momentum, self.base_momentum
        return self._through(high, low, high, *([high] if self.three_phase else []))


@node
class SWALR(Scheduler):
    """From the rate that it finds to `swa_lr`, where it stays: `rate · (1 - w) + swa_lr · w` with `w = ½(1 - cos(π · p))`.

    p is `min(t / anneal_epochs, 1)`, and w = p if the strategy is "linear". By itself it starts from the base rate; as a later
    child of a sequence from the rate before it, as in PyTorch.

    Args:
        base_lr: the rate of the optimizer.
        swa_lr: the rate at which it ends.
        anneal_epochs: the number of steps it takes, >= 0.
        anneal_strategy: "cos" or "linear".

    Raises:
        ValueError: if the number of steps is negative, or a number not finite.

    >>> from lrsched.dialects.torch import SWALR
    >>> print(SWALR(1.0, swa_lr=0.5, anneal_epochs=4)([0, 2, 4, 5]))
    [1.   0.75 0.5  0.5 ]

    References:
        PyTorch's `SWALR`, in `torch.optim.swa_utils`. In the algebra: `Cosine(rate, swa_lr, anneal_epochs)`.
    """

    base_lr: Number = leaf()
    swa_lr: Number = leaf()
    anneal_epochs: Number = leaf(ge=0, unit="steps", default=10.0)
    anneal_strategy: Literal["cos", "linear"] = choice("cos", "linear", default="cos")

    def _ramp(self, start: Number, stop: Number) -> Schedule:
        return (Cosine if self.anneal_strategy == "cos" else Linear)(start, stop, self.anneal_epochs)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._ramp(self.base_lr, self.swa_lr)

    @property
    def change(self) -> Change:
        left = self._ramp(1.0, 0.0)
        end = numerics.where(numerics.equal(self.anneal_epochs, 0.0), 0.0, self.anneal_epochs + 1.0)
        scale = join([left / left.delay(1), Constant(0.0)], [end])
        return Change(scale, (1.0 - scale) * Constant(self.swa_lr))

    @property
    def started_change(self) -> Change:
        return self.change

    def continued(self, rate: Schedule) -> Schedule:
        return rate * self._ramp(1.0, 0.0) + self._ramp(0.0, self.swa_lr)


def ReduceLROnPlateau(  # noqa: N802 - PyTorch's name
    base_lr: Number,
    mode: Literal["min", "max"] = "min",
    factor: Number = 0.1,
    patience: Number = 10,
    threshold: Number = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: Number = 0,
    min_lr: Number = 0.0,
    eps: Number = 1e-8,
) -> Schedule:
    """The base rate, reduced by a factor whenever a metric has stopped improving: `max(base_lr · factor^k, min_lr)`.

    k counts the plateaus of the metric, as far as a reduction is by more than `eps`: see `lrsched.Plateau`. It is driven: an
    optax chain gives it the metric as `value=...`, `lrsched.tick` by hand.

    Args:
        base_lr: the rate of the optimizer.
        mode: "min" for a loss, "max" for a score.
        factor: what a plateau multiplies the rate with, in [0, 1).
        patience: the number of observations without improvement that it tolerates, >= 0.
        threshold: how much better is better, >= 0, and below 1 in mode "min" with relative thresholds.
        threshold_mode: "rel" or "abs"; relative ones have the sign of the metric, as in PyTorch.
        cooldown: the number of observations after a plateau that do not count, >= 0.
        min_lr: the lowest rate, >= 0.
        eps: a reduction by no more than that is not made, >= 0.

    Raises:
        ValueError: if the factor is not in [0, 1), the threshold leaves nothing to improve, or a number is negative.

    >>> import lrsched as ls
    >>> from lrsched.dialects.torch import ReduceLROnPlateau
    >>> s = ReduceLROnPlateau(1.0, factor=0.5, patience=0)
    >>> state = ls.init(s)
    >>> for loss in [2.0, 2.0]:
    ...     state = ls.tick(s, state, value=loss)
    >>> print(ls.evaluate(s, state))
    0.5

    References:
        PyTorch's `ReduceLROnPlateau`, under which a metric below 0 that stands still counts as better every time. In the
        algebra, without that: `base_lr * reduce_on_plateau(factor, mode, patience, …)`.
    """
    call = "ReduceLROnPlateau"
    factor = checked(call, "factor", factor, ge=0, lt=1, hint="it reduces")
    base_lr, min_lr, eps = (
        checked(call, name, x, ge=0) for name, x in (("base_lr", base_lr), ("min_lr", min_lr), ("eps", eps))
    )
    patience, cooldown = (
        checked(call, name, x, ge=0, unit="observations") for name, x in (("patience", patience), ("cooldown", cooldown))
    )
    checked_choice(call, "threshold_mode", threshold_mode, ("rel", "abs"))
    below = {"lt": 1, "hint": "no loss is better by all of itself"} if mode == "min" and threshold_mode == "rel" else {}
    threshold = checked(call, "threshold", threshold, ge=0, **below)
    clock = Plateau(mode, patience, threshold, "rel_signed" if threshold_mode == "rel" else "abs", cooldown)
    # Never above the base rate, where the lowest rate is.
    rate = minimum(base_lr, maximum(Exponential(base_lr, factor), min_lr))
    return rate.take(_reductions(base_lr, factor, min_lr, eps)).on(clock)


def _reductions(base: Number, factor: Number, low: Number, eps: Number) -> Any:
    """How many reductions are by more than eps; they become smaller and smaller."""

    def by(k: Any) -> Any:
        rates = [numerics.maximum(base * numerics.power(factor, n), low) for n in (k, k + 1.0)]
        first = numerics.minimum(rates[0], base)
        return first - rates[1]

    # The first k of which the reduction is by no more: a binary search, since a logarithm would miss it by one at times.
    count = 0.0
    for j in reversed(range(_MOST_REDUCTIONS)):
        more = count + 2.0**j - 1
        count = numerics.where((by(more) - eps) > 0, more + 1.0, count)
    return count


_MOST_REDUCTIONS = 31
