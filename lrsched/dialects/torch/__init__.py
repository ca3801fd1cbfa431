"""PyTorch's learning-rate schedulers, exactly: every class of `torch.optim.lr_scheduler` as a schedule.

Names, argument order and defaults are PyTorch's, with `base_lr` in place of the optimizer (`OneCycleLR` and
`CyclicLR` have their own rates). The value at t is the rate after t calls of `step()`. `s.composed` is the same schedule in
the algebra. `notebooks/coming_from_pytorch.md` shows each beside the algebra, and the differences.

Args:
    base_lr: the rate of the optimizer, >= 0; in `CyclicLR` the lowest rate.
    lr_lambda: a function of the step, or of an array of steps: arithmetic and `jax.numpy`, with `jnp.where` for `if`.
    step_size: the number of steps between two drops, > 0.
    milestones: in `MultiStepLR` a list of steps, in any order; one listed twice counts twice, and one at 0 from the start. In
        `SequentialLR` the steps at which the second, third, … begins: one fewer than schedulers, rising.
    gamma: the factor of each drop or of each step, >= 0; in `CyclicLR` only in mode "exp_range".
    factor: in `ConstantLR` a fraction, in [0, 1] (0 divides by zero in PyTorch at step `total_iters`); in
        `ReduceLROnPlateau` the factor of each reduction, in [0, 1).
    start_factor, end_factor: the fractions s at step 0 and e from step `total_iters` on, in [0, 1]. (PyTorch forbids s = 0.)
    total_iters: the number of steps until the last rate, >= 0.
    power: the exponent, >= 0; with 0 the rate stays at the base rate.
    T_max: the number of steps down, half a period, > 0.
    T_0, T_mult: the number of steps of the first cycle, > 0, and the length of each cycle over that of the one before, >= 1;
        whole numbers.
    eta_min: the lowest rate.
    max_lr: the highest rate.
    step_size_up, step_size_down: the numbers of steps of the rise, > 0, and of the fall, >= 0; if None, as many down as up.
    scale_fn, scale_mode: a function of the cycle or of the step, in place of the mode; "cycle" or "iterations".
    total_steps: the number N of steps, a whole number > 0, or None.
    epochs, steps_per_epoch: whole numbers > 0 whose product is the number of steps, in place of the total.
    pct_start: the fraction of the steps that the rise takes, in [0, 1].
    cycle_momentum: whether there is a matching momentum, the schedule `.momentum`.
    base_momentum, max_momentum: the lowest momentum, at the highest rate, and the highest momentum, at the lowest rate.
    div_factor, final_div_factor: the highest rate over the first, and the first over the last, > 0.
    three_phase: whether it first returns to the start, symmetrically, before the last fall.
    swa_lr: the rate at which it ends.
    anneal_epochs: the number of steps that this takes, >= 0.
    anneal_strategy: "cos" or "linear".
    schedulers: a list of schedules, of this dialect or any other; in `ChainedScheduler` at least one is of this dialect, and
        all of this dialect have the same base rate.
    mode: "triangular", "triangular2" or "exp_range"; in `ReduceLROnPlateau` "min" for a loss, "max" for a score.
    patience: the number of observations without improvement to tolerate before a reduction, >= 0.
    threshold: the margin of a better metric, >= 0, and below 1 in mode "min" with relative thresholds.
    threshold_mode: "rel" or "abs"; a relative margin has the sign of the metric, as in PyTorch.
    cooldown: the number of observations after a plateau that do not count, >= 0.
    min_lr: the lowest rate, >= 0.
    eps: reductions no larger than this are not made, >= 0.

A known number that is not finite, or out of bounds, raises a ValueError, and anything but a number a TypeError.

>>> from lrsched.dialects.torch import StepLR
>>> s = StepLR(0.1, step_size=30)
>>> print(s, s.composed, s([0, 30]))
StepLR(0.1, 30) step_decay(0.1, 30, 0.1) [0.1  0.01]
"""

from lrsched.dialects.torch.chains import ChainedScheduler as ChainedScheduler
from lrsched.dialects.torch.chains import SequentialLR as SequentialLR
from lrsched.dialects.torch.cyclic import SWALR as SWALR
from lrsched.dialects.torch.cyclic import CosineAnnealingLR as CosineAnnealingLR
from lrsched.dialects.torch.cyclic import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from lrsched.dialects.torch.cyclic import CyclicLR as CyclicLR
from lrsched.dialects.torch.cyclic import OneCycleLR as OneCycleLR
from lrsched.dialects.torch.scheduler import InPlace as InPlace
from lrsched.dialects.torch.schedulers import ConstantLR as ConstantLR
from lrsched.dialects.torch.schedulers import ExponentialLR as ExponentialLR
from lrsched.dialects.torch.schedulers import LambdaLR as LambdaLR
from lrsched.dialects.torch.schedulers import LinearLR as LinearLR
from lrsched.dialects.torch.schedulers import MultiplicativeLR as MultiplicativeLR
from lrsched.dialects.torch.schedulers import MultiStepLR as MultiStepLR
from lrsched.dialects.torch.schedulers import PolynomialLR as PolynomialLR
from lrsched.dialects.torch.schedulers import ReduceLROnPlateau as ReduceLROnPlateau
from lrsched.dialects.torch.schedulers import StepLR as StepLR
from lrsched.dialects.torch.translate import from_torch as from_torch
from lrsched.dialects.torch.translate import state_from_torch as state_from_torch
from lrsched.views.names import explain_names as _explain_names

_explain_names(globals())
