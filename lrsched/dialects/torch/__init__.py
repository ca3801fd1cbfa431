"""PyTorch's learning-rate schedulers, exactly: every class of `torch.optim.lr_scheduler` as a schedule.

Names, argument order and defaults are PyTorch's, with `base_lr` in place of the optimizer (`OneCycleLR` and
`CyclicLR` have their own rates). The value at t is the rate after t calls of `step()`. `s.composed` is the same schedule in
the algebra. `notebooks/coming_from_pytorch.md` shows each beside the algebra, and the differences.

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
