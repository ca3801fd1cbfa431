"""Schedulers of torch, timm and transformers as things to step through, beside the same schedules of lrsched."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lrsched as ls
from benchmarks.optional import module

RATE, LOW, GAMMA = 1e-3, 1e-5, 0.9999


class Stepped(NamedTuple):
    """A scheduler at work on an optimizer with one parameter."""

    optimizer: Any
    step: Callable[[int], Any]  # goes on to step t; one that counts by itself ignores the number

    def rates(self, steps: int) -> list[float]:
        """The rates of so many steps, from step 0 on; it must not have been stepped."""
        values = []
        for t in range(steps):
            if t:
                self.step(t)
            values.append(self.optimizer.param_groups[0]["lr"])
        return values


class Peer(NamedTuple):
    """A scheduler for a run of n steps, and ours."""

    name: str
    needs: tuple[str, ...]  # what has to be installed
    theirs: Callable[[int], Stepped]
    ours: Callable[[int], ls.Schedule]


def of_torch(name: str, numbered: bool = False, **arguments: Any) -> Stepped:
    """A scheduler of PyTorch by its name, stepped as step(), or as step(t)."""
    return _stepped(lambda optimizer: getattr(module("torch.optim.lr_scheduler"), name)(optimizer, **arguments), numbered)


def of_timm(**arguments: Any) -> Stepped:
    """The cosine of timm, once an update."""
    optimizer = _optimizer()
    scheduler = module("timm.scheduler").CosineLRScheduler(optimizer, t_in_epochs=False, **arguments)
    return Stepped(optimizer, scheduler.step_update)


def of_transformers(steps: int) -> Stepped:
    """The cosine of transformers."""
    options = {"num_warmup_steps": 0, "num_training_steps": steps}
    return _stepped(lambda optimizer: module("transformers").get_scheduler("cosine", optimizer, **options))


def _sequential(steps: int) -> Stepped:
    library = module("torch.optim.lr_scheduler")

    def make(optimizer: Any) -> Any:
        first = library.LinearLR(optimizer, start_factor=LOW / RATE, total_iters=steps // 10)
        return library.SequentialLR(optimizer, [first, library.ExponentialLR(optimizer, GAMMA)], milestones=[steps // 10])

    return _stepped(make)


def _stepped(make: Callable[[Any], Any], numbered: bool = False) -> Stepped:
    optimizer = _optimizer()
    scheduler = make(optimizer)
    optimizer.step()  # or the scheduler warns that it should have come first
    return Stepped(optimizer, scheduler.step if numbered else lambda _: scheduler.step())


def _optimizer() -> Any:
    torch = module("torch")
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def one_cycle(steps: int) -> ls.Schedule:
    """Ours of PyTorch's one-cycle for so many steps: its peak is one step before pct_start of them, and its end the last."""
    return ls.one_cycle(RATE, steps - 1, pct_start=(0.3 * steps - 1) / (steps - 1))


def restarts(steps: int) -> ls.Schedule:
    """Ours, of cycles of 1, 3, 9, … steps, however long the run."""
    del steps
    return ls.cosine_restarts(RATE, LOW, 1, stretch=3)


def cosine(steps: int) -> ls.Schedule:
    """Ours."""
    return ls.Cosine(RATE, 0.0, steps)


COSINES = (
    Peer("PyTorch's CosineAnnealingLR", ("torch",), lambda n: of_torch("CosineAnnealingLR", T_max=n), cosine),
    Peer("timm's CosineLRScheduler", ("torch", "timm.scheduler"), lambda n: of_timm(t_initial=n), cosine),
    Peer("transformers' cosine", ("torch", "transformers"), of_transformers, cosine),
)
OTHERS = (
    Peer(
        "PyTorch's StepLR",
        ("torch",),
        lambda n: of_torch("StepLR", step_size=n // 10, gamma=0.5),
        lambda n: ls.step_decay(RATE, n // 10, 0.5),
    ),
    Peer(
        "PyTorch's OneCycleLR",
        ("torch",),
        lambda n: of_torch("OneCycleLR", max_lr=RATE, total_steps=n, cycle_momentum=False),
        one_cycle,
    ),
    Peer(
        "PyTorch's SequentialLR of a line and an exponential",
        ("torch",),
        _sequential,
        lambda n: ls.Linear(LOW, RATE, n // 10) >> ls.Exponential(RATE, GAMMA),
    ),
    Peer(
        "PyTorch's CosineAnnealingWarmRestarts",
        ("torch",),
        lambda n: of_torch("CosineAnnealingWarmRestarts", T_0=1, T_mult=3, eta_min=LOW),  # noqa: ARG005 - all take the length
        restarts,
    ),
)
