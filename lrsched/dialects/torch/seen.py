"""What there is to see of PyTorch's schedulers: of each what it is made of."""

from __future__ import annotations

import dataclasses

from lrsched.dialects.torch.scheduler import Recurrence, Scheduler
from lrsched.views.formula import Formula, Where, formula, written
from lrsched.views.phases import Phases, name_of, one_phase, phases

phases.register(Recurrence, one_phase)


@phases.register
def _(schedule: Scheduler) -> Phases:
    found = phases(schedule.composed)
    spans = found.spans if len(found.spans) > 1 else [span._replace(name=name_of(schedule)) for span in found.spans]
    return dataclasses.replace(found, spans=spans)


@formula.register
def _(schedule: Recurrence, t: Formula, where: Where) -> Formula:
    scale, offset = (phases(one).formula(Formula("j"), where) for one in (schedule.scale, schedule.offset))
    rule = scale * Formula("u_{j - 1}") + offset
    where[schedule, rf"{rule.text},\quad u_{{-1}} = {written(schedule.start).text}"] = Formula("u_{j}")
    return Formula(rf"u_{{{t.text}}}")
