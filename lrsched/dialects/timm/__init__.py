"""timm's schedulers, exactly: every class of `timm.scheduler`, and `create_scheduler_v2`, as a schedule.

The names, arguments, their order and defaults are timm's, with `base_lr` in the place of the optimizer; what comes after the
warm-up, such as `noise_range_t`, is given by keyword. The value at t is the rate after `step(t)` or `step_update(t)`: t counts
epochs or updates, as the lengths do; those of `create_scheduler_v2` are epochs.

- A warm-up is a line from `warmup_lr_init` to `base_lr` at `warmup_t`. With `warmup_prefix` the schedule begins after it;
  without it the schedule has gone on meanwhile, and its first `warmup_t` steps are hidden.
- With `cycle_limit` cycles, each is `cycle_mul` times longer than the last one, and `lr_min` follows.
- `noise_range_t` is the first step with noise, or the first one and the end. Noise is a factor 1 + x with |x| <= `noise_pct`:
  x is normal, of the standard deviation `noise_std` before that cut, or uniform with another `noise_type` than "normal".
- `t_in_epochs` and `initialize` do nothing here.
- A number without a meaning raises a `ValueError`, and anything but a number a `TypeError`.

`notebooks/coming_from_timm.md` shows each beside the algebra, and what differs.

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
