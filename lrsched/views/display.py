"""What a notebook shows of a schedule: a curve, the formula, and where it starts, peaks and ends."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import math
from typing import Any

from lrsched.algebra.driven import driven_parts
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import mimebundle, shown
from lrsched.clocks.running import bind, init
from lrsched.views.latex import latex
from lrsched.views.phases import known
from lrsched.views.plotting import members, plot
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
    every = members(schedule)
    pures = [bind(member, init(member)) for member in every[:_MOST_LINES]]
    found = [summary(pure) for pure in pures]
    steps = max(one.steps for one in found)
    parts = [f"<code>{html.escape(shown(schedule))}</code>"]
    if importlib.util.find_spec("matplotlib") is not None:
        parts.append(_picture(pures, steps))
    if len(every) == 1:
        parts += [*_formula(every[0]), _facts(known(every[0].length), found[0])]
    else:
        peaks = [one.peak for one in found]
        parts.append(f"{len(every)} schedules, with peaks from {min(peaks):.4g} to {max(peaks):.4g}")
    if driven_parts(schedule):
        parts.append("It listens: this is how it goes on as long as nothing has been observed.")
    return "".join(f"<div>{part}</div>" for part in parts)


def _formula(schedule: Schedule) -> list[str]:
    """The formula, if there is one that a person would read."""
    try:
        text = latex(schedule)
    except TypeError:  # a node of one's own, without a formula
        return []
    return [f"$$\\displaystyle s(t) = {html.escape(text, quote=False)}$$"] if len(text) <= _LONGEST_FORMULA else []


def _facts(length: float, found: Summary) -> str:
    lasts = f"lasts {length:g} steps" if math.isfinite(length) else "goes on for ever"
    end = f", ends at {found.phases[-1].first:.4g}" if math.isfinite(length) else ""
    return f"{lasts}, starts at {found.phases[0].first:.4g}, peaks at {found.peak:.4g} in step {found.peak_step}{end}"


def _picture(schedules: list[Any], steps: int) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), layout="constrained")
    ax = plot(*schedules, steps=math.ceil(1.05 * steps), ax=figure.subplots())  # the end is seen, and that it stays there
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return f'<img style="width: 600px" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
