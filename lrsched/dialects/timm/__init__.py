"""timm's schedulers, exactly: every class of `timm.scheduler`, and `create_scheduler_v2`, as a schedule.

The names, arguments, their order and defaults are timm's, with `base_lr` in the place of the optimizer; give arguments after
the warm-up, such as `noise_range_t`, by keyword. The value at t is the rate after `step(t)` or `step_update(t)`: steps are
epochs or updates, as you count them. `notebooks/coming_from_timm.md` shows each beside the algebra, and the differences.

Args:
    base_lr: the rate of the optimizer, >= 0, in its place.
    t_initial: the length in steps, > 0; with cycles, that of the first one.
    lr_min, min_lr: the lowest rate, >= 0, which stays after the end.
    cycle_limit: the number of cycles, >= 1.
    cycle_mul, cycle_decay: the length of each cycle over that of the one before, and the same of peaks.
    k_decay: the exponent of the part done of a cycle, > 0.
    lb, ub: the arguments of the tanh at the start and the end of a cycle.
    power, decay_power, stable_power: exponents, > 0; the latter two of the shapes "power" of `WSDLRScheduler`.
    decay_t: of `StepLRScheduler` the steps between two drops, > 0, of `MultiStepLRScheduler` a rising list of steps, and of
        `WSDLRScheduler` the length of the last part, in steps.
    decay_rate: each drop, or each plateau, multiplies the rate with it; of `create_scheduler_v2`, also the power of "poly".
    stable_fn, decay_fn: the shapes of the first and the last part; a decay may be a function that falls from 1 to 0.
    stable_timescale: the timescale of "rsqrt" and "power" in steps, by default `warmup_t`.
    decay_ratio: the last value of the shape "exp" over its first, between 0 and 1.
    patience_t, cooldown_t: whole numbers of observations, >= 0.
    threshold, mode: the margin of a better metric, relative; "max" for a score, or "min" for a loss.
    warmup_t, warmup_lr_init: the length of the warm-up, a line to `base_lr`, in steps, and its first rate, >= 0.
    warmup_prefix: whether the schedule begins after the warm-up; otherwise its first `warmup_t` steps are hidden.
    noise_range_t: the first step with noise, or a list of the first one and the end. The rate is multiplied with 1 + x.
    noise_type, noise_pct, noise_std: x is normal, of this standard deviation, or uniform with any other type than "normal";
        beyond `noise_pct` it is drawn again.
    noise_seed: a whole number >= 0.
    sched: the name of a schedule.
    num_epochs, decay_epochs, warmup_epochs, cooldown_epochs, patience_epochs, decay_milestones: as above, in epochs.
    step_on_epochs, updates_per_epoch: whether steps are epochs, or updates, of which an epoch has so many.
    t_in_epochs, initialize: they do nothing.

Raises:
    ValueError: if a number is not within its bounds.
    TypeError: if something is no number.

>>> from lrsched.dialects import timm
>>> s, epochs = timm.create_scheduler_v2(1e-3, "cosine", num_epochs=100, warmup_epochs=5, warmup_prefix=True)
>>> print(s([0, 5, 55, 105]), epochs)
[1.e-05 1.e-03 5.e-04 0.e+00] 105
"""

from lrsched.dialects.timm.factory import create_scheduler as create_scheduler
from lrsched.dialects.timm.factory import create_scheduler_v2 as create_scheduler_v2
from lrsched.dialects.timm.factory import from_timm as from_timm
from lrsched.dialects.timm.schedulers import CosineLRScheduler as CosineLRScheduler
from lrsched.dialects.timm.schedulers import MultiStepLRScheduler as MultiStepLRScheduler
from lrsched.dialects.timm.schedulers import PlateauLRScheduler as PlateauLRScheduler
from lrsched.dialects.timm.schedulers import PolyLRScheduler as PolyLRScheduler
from lrsched.dialects.timm.schedulers import StepLRScheduler as StepLRScheduler
from lrsched.dialects.timm.schedulers import TanhLRScheduler as TanhLRScheduler
from lrsched.dialects.timm.schedulers import WSDLRScheduler as WSDLRScheduler
from lrsched.views.names import explain_names as _explain_names

_explain_names(globals())
