"""PyTorch's schedulers that go up and down, or anneal along a cosine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.node import choice, leaf, node, static
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Real, Schedule, ready
from lrsched.algebra.written import unexpected
from lrsched.dialects.torch.scheduler import BASE, Change, Scheduler, moved


@node
class CosineAnnealingLR(Scheduler):
    """A cosine wave: `eta_min + (base_lr - eta_min) · ½(1 + cos(π · t / T_max))`, rising again after T_max.

    >>> from lrsched.dialects.torch import CosineAnnealingLR
    >>> print(CosineAnnealingLR(1.0, T_max=4)([0, 2, 4, 6, 8]))
    [1.  0.5 0.  0.5 1. ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    T_max: Number = leaf(gt=0, unit="steps")
    eta_min: Number = leaf(default=0.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.CosineWave(self.base_lr, self.eta_min, self.T_max)

    def change(self, t: Real) -> Change:
        # The distance from eta_min is multiplied by the ratio of two heights of the wave. At the first step of a rise, where
        # the height before is 0, the rate rises instead by the height that this step has from the base rate.
        height, low = ready(ls.CosineWave(1.0, 0.0, self.T_max)), numerics.as_value(self.eta_min)
        rises, scale = height.at(numerics.maximum(t - 1.0, 0.0)) == 0.0, moved(height, t)
        first = (self.base_lr - low) * height.at(self.T_max + 1.0)
        return Change(scale, numerics.where(rises, first, (1.0 - scale) * low))


@node
class CosineAnnealingWarmRestarts(Scheduler):
    """Cosine waves down, each from the base rate: `eta_min + (base_lr - eta_min) · ½(1 + cos(π · T_cur / T_i))`.

    T_cur is the time since the last restart, and T_i = T_0 · T_mult^i the length of cycle i. PyTorch's `step(t)` finds the
    cycle with a logarithm, and sometimes gets it wrong, as for T_0 = 1, T_mult = 3, t = 121; here it is right.

    >>> from lrsched.dialects.torch import CosineAnnealingWarmRestarts
    >>> print(CosineAnnealingWarmRestarts(1.0, T_0=4, T_mult=2)([0, 2, 4, 8, 12]))
    [1.  0.5 1.  0.5 1. ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    T_0: Number = leaf(ge=1, integer=True, unit="steps")
    T_mult: Number = leaf(ge=1, integer=True, unit="times", default=1.0, hint="2 doubles every cycle's length, 1 keeps it")
    eta_min: Number = leaf(default=0.0)

    @functools.cached_property
    def composed(self) -> Schedule:
        return ls.Cosine(self.base_lr, self.eta_min, self.T_0).repeat(stretch=self.T_mult)


@node
class CyclicLR(Scheduler):
    """Up and down between two rates in straight lines, without end: `base_lr + (max_lr - base_lr) · h(t) · g(t)`.

    h rises from 0 to 1 in `step_size_up` steps and falls back in `step_size_down` steps. g is 1 in mode "triangular",
    `½^cycle` in mode "triangular2", and `gamma^t` in mode "exp_range"; or else `scale_fn(c)` for the cycle c = 1, 2, …, or
    `scale_fn(t)`, depending on the scale mode.

    >>> from lrsched.dialects.torch import CyclicLR
    >>> s = CyclicLR(1.0, 5.0, step_size_up=4)
    >>> print(s([0, 2, 4, 6, 8]), s.momentum([0, 4, 8]))
    [1. 3. 5. 3. 1.] [0.9 0.8 0.9]
    """

    base_lr: Number = leaf()
    max_lr: Number = leaf()
    step_size_up: Number = leaf(gt=0, unit="steps", default=2000.0)
    step_size_down: Number | None = leaf(ge=0, unit="steps", optional=True, default=None)
    mode: Literal["triangular", "triangular2", "exp_range"] = choice(
        "triangular", "triangular2", "exp_range", default="triangular"
    )
    gamma: Number = leaf(exact=True, ge=0, default=1.0)
    scale_fn: Callable[[Any], Any] | None = static(default=None)
    scale_mode: Literal["cycle", "iterations"] = choice("cycle", "iterations", default="cycle")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.8)
    max_momentum: Number = leaf(default=0.9)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._between(self.base_lr, self.max_lr)

    @property
    def momentum(self) -> Schedule:
        """The matching momentum: highest where the rate is lowest."""
        _check_momentum(self)
        return self._between(self.max_momentum, self.base_momentum)

    def _between(self, low: Number, high: Number) -> Schedule:
        down = self.step_size_up if self.step_size_down is None else self.step_size_down
        if self.scale_fn is None:
            gamma = self.gamma if self.mode == "exp_range" else 1.0
            return ls.triangular(low, high, self.step_size_up, down, self.mode, gamma)
        cycle = self.step_size_up + down
        count = ls.Time().staircase(cycle) / ls.Constant(cycle, 0.0) + 1.0 if self.scale_mode == "cycle" else ls.Time()
        scale = ls.Function(self.scale_fn) @ count
        return ls.triangular(low, high, self.step_size_up, down) * scale + ls.Constant(low, 0.0) * (1.0 - scale)


def _check_momentum(schedule: CyclicLR | OneCycleLR) -> None:
    if not schedule.cycle_momentum:
        hint = "without it the momentum is a number"
        raise ValueError(unexpected(type(schedule).__name__, "cycle_momentum", False, "True, for a momentum", hint))


@node
class OneCycleLR(Scheduler):
    """One rise from `max_lr / div_factor` to `max_lr`, and one fall to `max_lr / div_factor / final_div_factor`.

    The rise ends at step `pct_start · N - 1` and the fall at step N - 1; after that the value is held. With three phases it
    is back at its start at step `2 · pct_start · N - 2`. (PyTorch raises after step N.)

    Raises:
        ValueError: if there is no length.

    >>> from lrsched.dialects.torch import OneCycleLR
    >>> s = OneCycleLR(1.0, total_steps=10, anneal_strategy="linear", div_factor=10.0)
    >>> print(s([0, 1, 2, 9]), s.momentum)
    [1.0e-01 5.5e-01 1.0e+00 1.0e-05] Linear(0.95, 0.85, 2) >> Linear(0.85, 0.95, 7)
    """

    max_lr: Number = leaf()
    total_steps: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    epochs: Number | None = leaf(ge=1, integer=True, unit="epochs", optional=True, default=None)
    steps_per_epoch: Number | None = leaf(ge=1, integer=True, unit="steps", optional=True, default=None)
    pct_start: Number = leaf(exact=True, ge=0, le=1, default=0.3)
    anneal_strategy: Literal["cos", "linear"] = choice("cos", "linear", default="cos")
    cycle_momentum: bool = static(default=True)
    base_momentum: Number = leaf(default=0.85)
    max_momentum: Number = leaf(default=0.95)
    div_factor: Number = leaf(gt=0, default=25.0)
    final_div_factor: Number = leaf(gt=0, default=1e4)
    three_phase: bool = static(default=False)

    def _check(self) -> None:
        if self.total_steps is None and (self.epochs is None or self.steps_per_epoch is None):
            raise ValueError("OneCycleLR(...): expected either total_steps, or both epochs and steps_per_epoch.")

    @property
    def base(self) -> Number:
        return numerics.divide(self.max_lr, self.div_factor)

    @functools.cached_property
    def composed(self) -> Schedule:
        lowest = numerics.divide(self.base, self.final_div_factor)
        return self._through(self.base, self.max_lr, *([self.base] if self.three_phase else []), lowest)

    @property
    def momentum(self) -> Schedule:
        """The matching momentum: from `max_momentum` down to `base_momentum` and back, where a third phase stays."""
        _check_momentum(self)
        high, low = self.max_momentum, self.base_momentum
        return self._through(high, low, high, *([high] if self.three_phase else []))

    def _through(self, *values: Number) -> Schedule:
        """The schedule through given values at the ends of the phases."""
        epochs: Any = self.epochs
        total = epochs * self.steps_per_epoch if self.total_steps is None else self.total_steps
        if not numerics.is_concrete(total, self.pct_start):
            total = numerics.extended(total)  # a float32 would not hold the ends of the phases
        last, rise = total - 1.0, self.pct_start * total - 1.0
        ends = [0.0, rise, 2.0 * rise, last] if self.three_phase else [0.0, rise, last]
        ramp = ls.Cosine if self.anneal_strategy == "cos" else ls.Linear
        parts = []
        for i, (begin, end) in enumerate(itertools.pairwise(ends)):
            # If a phase ends before step 0, the next one is assumed to have begun there.
            steps, gone = numerics.maximum(end - begin, 0.0), numerics.maximum(-begin, 0.0)
            # A last phase without steps is never entered.
            stop = numerics.where(steps == 0.0, values[i], values[i + 1]) if end is last else values[i + 1]
            part = ls.Constant(values[i], steps) if values[i] is values[i + 1] else ramp(values[i], stop, steps)
            parts.append(part if numerics.is_concrete(gone) and not np.any(gone) else part.drop(gone))
        whole = functools.reduce(Schedule.then, parts)
        is_whole = numerics.is_concrete(whole.length, last) and np.all(np.equal(whole.length, last))
        return whole if is_whole else whole.take(last)


@node
class SWALR(Scheduler):
    """From the current rate to `swa_lr`, where it stays: `rate · (1 - w) + swa_lr · w` with `w = ½(1 - cos(π · p))`.

    p is `min(t / anneal_epochs, 1)`, and w = p if the strategy is "linear". Alone it starts from the base rate; as a later
    child of a sequence it starts from the rate before it, as PyTorch's does, in `torch.optim.swa_utils`. Each keeps its own
    `swa_lr`; in PyTorch the last one constructed sets the `swa_lr` of all on one optimizer.

    >>> from lrsched.dialects.torch import SWALR
    >>> print(SWALR(1.0, swa_lr=0.5, anneal_epochs=4)([0, 2, 4, 5]))
    [1.   0.75 0.5  0.5 ]
    """

    base_lr: Number = leaf(ge=0, hint=BASE)
    swa_lr: Number = leaf()
    anneal_epochs: Number = leaf(ge=0, unit="steps", default=10.0)
    anneal_strategy: Literal["cos", "linear"] = choice("cos", "linear", default="cos")

    def _ramp(self, start: Number, stop: Number) -> Schedule:
        return (ls.Cosine if self.anneal_strategy == "cos" else ls.Linear)(start, stop, self.anneal_epochs)

    @functools.cached_property
    def composed(self) -> Schedule:
        return self._ramp(self.base_lr, self.swa_lr)

    def change(self, t: Real) -> Change:
        scale = numerics.where(t >= self.anneal_epochs, 0.0, moved(self._ramp(1.0, 0.0), t))
        return Change(scale, (1.0 - scale) * self.swa_lr)

    def continued(self, rate: Schedule) -> Schedule:
        return rate * self._ramp(1.0, 0.0) + self._ramp(0.0, self.swa_lr)
