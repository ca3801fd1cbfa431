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

_LONGEST_FORMULA = 2000  # characters: nobody reads a longer one
_MOST_LINES = 50  # the most members of a batch to draw
_MOST_MEMBERS = 500  # the most members of a batch to summarize


@mimebundle.register
def _(schedule: Schedule) -> dict[str, str]:
    bundle = {"text/plain": object.__repr__(schedule)}
    with contextlib.suppress(Exception):  # a display never raises: for tracers, or a function that fails, it shows text
        bundle["text/plain"] = repr(schedule)
        bundle["text/html"] = _page(schedule)
        if formula := _formula(schedule):
            bundle["text/latex"] = formula
    return bundle


def _page(schedule: Schedule) -> str:
    every = members(schedule)
    parts = [f"<code>{html.escape(shown(schedule))}</code>"]
    if importlib.util.find_spec("matplotlib") is not None:
        parts.append(_picture(every[:_MOST_LINES]))
    if len(every) == 1:
        found = summary(every[0])
        axes, first, last = [found.axis], found.phases[0].first, found.phases[-1]
        unit, at = ("steps", "in step ") if found.axis.startswith("step") else (html.escape(found.axis), "at ")
        has_end = last.shape == "held"
        lasts, end = (f"lasts {last.start:g} {unit}", f", ends at {last.last:.4g}") if has_end else ("goes on for ever", "")
        facts = f"{lasts}, starts at {first:.4g}, peaks at {found.peak:.4g} {at}{found.peak_step}{end}"
        parts += [_typeset(_formula(schedule)), facts]
    else:
        peaks, axes = zip(*((one.peak, one.axis) for one in map(summary, every[:_MOST_MEMBERS])), strict=True)
        which = f"{len(every)} schedules" if len(every) == len(peaks) else f"the first {len(peaks)} of {len(every)} schedules"
        parts.append(f"{which}, with peaks from {min(peaks):.4g} to {max(peaks):.4g}")
    parts.append(html.escape(waits_for(schedule, axes)))
    return "".join(f"<div>{part}</div>" for part in parts if part)


def _formula(schedule: Schedule) -> str:
    """The formula, or an empty text if there is none or it is too long to read."""
    try:
        text = latex(schedule)
    except (TypeError, ValueError):  # a batch, or a node without a formula
        return ""
    return f"$$\\displaystyle s(t) = {text}$$" if len(text) <= _LONGEST_FORMULA else ""


def _typeset(formula: str) -> str:
    """A formula as MathML, which any browser renders; or, without latex2mathml, as LaTeX, which needs MathJax."""
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
