"""What a notebook shows of a schedule: a curve, the formula, and where it starts, peaks and ends."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import math
from typing import Any

import numpy as np

from lrsched.algebra.batch import unstack
from lrsched.algebra.schedule import Schedule, driven_parts
from lrsched.algebra.written import mimebundle, shown
from lrsched.clocks.running import bind, init
from lrsched.views.latex import latex
from lrsched.views.plotting import plot
from lrsched.views.summary import Summary, summary

_LONGEST_FORMULA = 2000  # characters: more is no longer read
_MOST_LINES = 50  # of a batch


@mimebundle.register
def _(schedule: Schedule) -> dict[str, str]:
    plain = {"text/plain": repr(schedule)}
    try:
        return {**plain, "text/html": _page(schedule)}
    except (TypeError, ValueError):  # what cannot be drawn: a schedule of tracers, of a function that fails
        return plain


def _page(schedule: Schedule) -> str:
    members = [schedule]
    while members[0].batch_shape:
        members = [one for member in members for one in unstack(member)]
    pures = [bind(member, init(member)) if driven_parts(member) else member for member in members[:_MOST_LINES]]
    found = [summary(pure) for pure in pures]
    steps = max(one.steps for one in found)
    parts = [f"<code>{html.escape(shown(schedule))}</code>"]
    if importlib.util.find_spec("matplotlib") is not None:
        parts.append(_picture(pures, steps))
    text = latex(members[0])
    if len(members) == 1 and len(text) <= _LONGEST_FORMULA:
        parts.append(f"$$\\displaystyle s(t) = {html.escape(text, quote=False)}$$")
    parts.append(_facts(members[0], found[0]) if len(members) == 1 else f"{len(members)} schedules, {_range(found)}")
    if driven_parts(schedule):
        parts.append("It listens: this is how it goes on as long as nothing has been observed.")
    return "".join(f"<div>{part}</div>" for part in parts)


def _facts(schedule: Schedule, found: Summary) -> str:
    length = float(np.asarray(schedule.length))
    lasts = f"lasts {length:g} steps" if np.isfinite(length) else "goes on for ever"
    start = found.phases[0].first
    end = f", ends at {found.phases[-1].first:.4g}" if np.isfinite(length) else ""
    return f"{lasts}, starts at {start:.4g}, peaks at {found.peak:.4g} in step {found.peak_step}{end}"


def _range(found: list[Summary]) -> str:
    peaks = [one.peak for one in found]
    return f"with peaks from {min(peaks):.4g} to {max(peaks):.4g}"


def _picture(schedules: list[Any], steps: int) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), layout="constrained")
    ax = plot(*schedules, steps=math.ceil(1.05 * steps), ax=figure.subplots())  # the end is seen, and that it stays there
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return f'<img style="width: 600px" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
