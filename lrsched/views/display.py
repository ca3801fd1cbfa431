"""Schedules in a notebook: a curve, the formula, and where they start, peak and end."""

from __future__ import annotations

import base64
import contextlib
import html
import importlib.util
import io

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import mimebundle, shown
from lrsched.views.latex import latex
from lrsched.views.plotting import members, plot
from lrsched.views.summary import summary, waits_for

_LONGEST_FORMULA = 2000  # characters: nobody reads more
_MOST_LINES = 50  # members of a batch that are drawn
_MOST_MEMBERS = 500  # members of a batch that are summarized


@mimebundle.register
def _(schedule: Schedule) -> dict[str, str]:
    bundle = {"text/plain": object.__repr__(schedule)}
    with contextlib.suppress(Exception):  # a display never raises: for tracers, or a function that fails, it is text
        bundle["text/plain"] = repr(schedule)
        bundle["text/html"] = _page(schedule)
        if formula := _formula(schedule):
            bundle["text/latex"] = formula
    return bundle


def _page(schedule: Schedule) -> str:
    every = members(schedule)
    found = [summary(member) for member in every[:_MOST_MEMBERS]]
    parts = [f"<code>{html.escape(shown(schedule))}</code>"]
    if importlib.util.find_spec("matplotlib") is not None:
        parts.append(_picture(every[:_MOST_LINES]))
    if len(every) == 1:
        [one] = found
        unit, at = ("steps", "in step ") if one.axis.startswith("step") else (html.escape(one.axis), "at ")
        first, last, end = one.phases[0].first, one.phases[-1], f", ends at {one.phases[-1].last:.4g}"
        lasts, end = (f"lasts {last.start:g} {unit}", end) if last.shape == "held" else ("goes on for ever", "")
        facts = f"{lasts}, starts at {first:.4g}, peaks at {one.peak:.4g} {at}{one.peak_step}{end}"
        parts += [_typeset(_formula(schedule)), facts]
    else:
        peaks = [one.peak for one in found]
        which = f"{len(every)} schedules" if len(every) == len(found) else f"the first {len(found)} of {len(every)} schedules"
        parts.append(f"{which}, with peaks from {min(peaks):.4g} to {max(peaks):.4g}")
    parts.append(html.escape(waits_for(schedule, found)))
    return "".join(f"<div>{part}</div>" for part in parts if part)


def _formula(schedule: Schedule) -> str:
    """The formula, or nothing if there is none or it is too long to read."""
    try:
        text = latex(schedule)
    except (TypeError, ValueError):  # a batch, or a node without a formula
        return ""
    return f"$$\\displaystyle s(t) = {text}$$" if len(text) <= _LONGEST_FORMULA else ""


def _typeset(formula: str) -> str:
    """A formula as MathML, which any browser renders; without latex2mathml as LaTeX, which needs MathJax."""
    if not formula or importlib.util.find_spec("latex2mathml") is None:
        return html.escape(formula, quote=False)
    from latex2mathml.converter import convert

    return convert(formula.strip("$"), display="block")


def _picture(schedules: list[Schedule]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), layout="constrained")
    ax = plot(schedules, ax=figure.subplots())
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return f'<img style="width: 600px" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
