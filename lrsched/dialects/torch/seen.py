"""What there is to see of PyTorch's schedulers: of each what it is made of."""

from __future__ import annotations

import numpy as np

from lrsched.dialects.torch.scheduler import Recurrence, Scheduler
from lrsched.views.edges import edges
from lrsched.views.horizon import reach
from lrsched.views.latex import Formula, Writer, formula, plus, times
from lrsched.views.summary import Stretches, shape_name, stretches


@edges.register
def _(schedule: Scheduler, until: float) -> np.ndarray:
    return edges(schedule.composed, until)


@reach.register
def _(schedule: Scheduler) -> float:
    return reach(schedule.composed)


@stretches.register
def _(schedule: Scheduler) -> Stretches:
    found = stretches(schedule.composed)
    return found if len(found) > 1 else [(start, stop, shape_name(schedule)) for start, stop, _ in found]


@formula.register
def _(schedule: Scheduler, writer: Writer, time: Formula, inside: bool) -> Formula:
    return formula(schedule.composed, writer, time, inside)


@formula.register
def _(schedule: Recurrence, writer: Writer, time: Formula, inside: bool) -> Formula:
    del inside
    scale, offset = (formula(one, writer, Formula("j"), False) for one in (schedule.scale, schedule.offset))
    start = writer.number(schedule.start, "a")
    rule = plus(times(scale, Formula("u_{j - 1}")), offset)
    writer.where.append(rf"u_{{j}} = {rule.text},\quad u_{{-1}} = {start.text}")
    return Formula(rf"u_{{{time.text}}}")
