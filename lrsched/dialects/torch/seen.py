"""What there is to see of PyTorch's schedulers: of each what it is made of."""

from __future__ import annotations

import dataclasses

from lrsched.dialects.torch.scheduler import Recurrence, Scheduler
from lrsched.views.latex import Formula, Place, formula
from lrsched.views.phases import Phases, name_of, one_phase, phases

phases.register(Recurrence, one_phase)


@phases.register
def _(schedule: Scheduler) -> Phases:
    found = phases(schedule.composed)
    spans = found.spans if len(found.spans) > 1 else [span._replace(name=name_of(schedule)) for span in found.spans]
    return dataclasses.replace(found, spans=spans)


@formula.register
def _(schedule: Scheduler, place: Place) -> Formula:
    return formula(schedule.composed, place)


@formula.register
def _(schedule: Recurrence, place: Place) -> Formula:
    scale, offset = (formula(one, place.at(Formula("j"))) for one in (schedule.scale, schedule.offset))
    rule = scale * Formula("u_{j - 1}") + offset
    place.where.append(rf"u_{{j}} = {rule.text},\quad u_{{-1}} = {place.number(schedule.start, 'a').text}")
    return Formula(rf"u_{{{place.time.text}}}")
