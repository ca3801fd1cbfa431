"""The schedules that the commands compare: a constant rate, PyTorch's seven, and three newer ones."""

from collections.abc import Callable
from typing import NamedTuple

from lrsched.algebra.pointwise import Constant
from lrsched.algebra.recipes import (
    multi_step,
    one_cycle,
    step_decay,
    triangular,
    warmup_cosine,
    warmup_linear,
    wsd,
)
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Cosine, Exponential
from lrsched.clocks.recipes import reduce_on_plateau


class Candidate(NamedTuple):
    """A kind of schedule."""

    name: str
    make: Callable[[int], Schedule]  # from the steps of a run; its peak is 1
    numbers: tuple[str, ...]  # to choose, besides the length of the run


CONSTANT = Candidate("constant", lambda steps: Constant(1.0), ("rate",))  # noqa: ARG005 - one signature for all of them

GUIDE = (
    Candidate("step", lambda steps: step_decay(1.0, every=steps / 4, factor=0.5), ("peak", "every", "factor")),
    Candidate(
        "multi-step",
        lambda steps: multi_step(1.0, milestones=[steps / 2, 3 * steps / 4], factor=0.1),
        ("peak", "first milestone", "second milestone", "factor"),
    ),
    Candidate("exponential", lambda steps: Exponential(1.0, 0.01).stretch(steps), ("peak", "rate")),
    Candidate("cosine annealing", lambda steps: Cosine(1.0, 0.0, steps), ("peak",)),
    Candidate(
        "reduce on plateau",
        lambda steps: reduce_on_plateau(factor=0.5, patience=3, threshold=0.01),  # noqa: ARG005 - as above
        ("peak", "factor", "patience", "threshold"),
    ),
    Candidate("cyclic", lambda steps: triangular(0.1, 1.0, up=steps / 10), ("low", "high", "half a period")),
    Candidate("one-cycle", lambda steps: one_cycle(1.0, steps), ("peak",)),
)

NEWER = (
    Candidate("warm-up cosine", lambda steps: warmup_cosine(1.0, 0.1 * steps, steps), ("peak", "warm-up")),
    Candidate("warm-up stable decay", lambda steps: wsd(1.0, 0.1 * steps, steps, 0.2 * steps), ("peak", "warm-up", "decay")),
    Candidate("linear to zero", lambda steps: warmup_linear(1.0, 0.1 * steps, steps), ("peak", "warm-up")),
)

ALL = (CONSTANT, *GUIDE, *NEWER)


def schedules(candidates: tuple[Candidate, ...], steps: int) -> dict[str, Schedule]:
    """The schedules of a run of that many steps, by name."""
    return {candidate.name: candidate.make(steps) for candidate in candidates}
