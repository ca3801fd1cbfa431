"""Phases and formulas of PyTorch's schedulers, taken from their composed form."""

from __future__ import annotations

import dataclasses

import numpy as np

from lrsched.algebra.shapes import Function
from lrsched.dialects.torch.scheduler import Scheduler
from lrsched.dialects.torch.schedulers import MultiplicativeLR
from lrsched.dialects.torch.walk import InPlace
from lrsched.views.formula import Formula, Where, formula, written
from lrsched.views.phases import Phases, name_of, one_phase, phases

_MOST = 2**18  # the most steps to evaluate in a chain without a closed form


@phases.register
def _(schedule: InPlace) -> Phases:
    inside = [phases(one) for one in schedule.scheduler._nodes()]
    corners = np.concatenate([[], *(one.corners for one in inside)])
    reach = max((one.reach for one in inside), default=0.0) or 1000.0
    return one_phase(schedule, min(reach, _MOST), corners[corners < _MOST])


@phases.register
def _(schedule: Scheduler) -> Phases:
    found = phases(schedule.composed)
    spans = found.spans if len(found.spans) > 1 else [span._replace(name=name_of(schedule)) for span in found.spans]
    return dataclasses.replace(found, spans=spans)


formula.register(Scheduler, lambda schedule, t, where: formula(schedule.composed, t, where))


@formula.register
def _(schedule: InPlace, t: Formula, where: Where) -> Formula:
    scheduler = schedule.scheduler
    if isinstance(scheduler, MultiplicativeLR):
        factor = formula(Function(scheduler.lr_lambda), Formula("j"), where)
        return Formula(rf"{written(scheduler.base).text} \cdot \prod_{{j=1}}^{{{t.text}}} {factor.text}")
    rule = rf"\text{{{type(scheduler).__name__} applied to }} u_{{j - 1}}"
    where[schedule, rf"{rule},\quad u_{{-1}} = {written(scheduler.base).text}"] = Formula("u_{j}")
    return Formula(rf"u_{{{t.text}}}")
