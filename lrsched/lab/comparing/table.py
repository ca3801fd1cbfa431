"""The table of a comparison, as text."""

import io
import textwrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrsched.lab.comparing.result import Comparison, Row

_ENOUGH = 5  # seeds; see `statistics.bootstrap_interval`
_WIDTH = 80  # of the notes, and of a table of accuracies whose names have at most 17 letters
_WIDEST = 1000  # nothing is cut; the table is as wide as it needs


def text(comparison: "Comparison") -> str:
    """A row a schedule, and what the columns mean."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = comparison.rows
    lost = any(row.diverged for row in rows)
    counts = len(comparison.schedules), len(comparison.peaks), comparison.seeds
    title = "{} schedules × {} peak rates × {} seeds".format(*counts)
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    headings = ["schedule", "peak", "test", f"against {comparison.baseline}", "steps saved", "diverged"]
    for i, heading in enumerate(headings if lost else headings[:-1]):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    form = _form(comparison)
    for row in rows:
        cells = _cells(row, comparison, form)
        table.add_row(*map(Text, cells if lost else cells[:-1]))  # Text: brackets are no markup
    out = io.StringIO()
    Console(file=out, width=_WIDEST, force_jupyter=False, force_terminal=False).print(table)  # plain text in a notebook, too
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, "", *(textwrap.fill(note, _WIDTH) for note in _notes(comparison))]) + "\n"


def verdict(comparison: "Comparison") -> str:
    """What the intervals say, in a sentence."""
    if comparison.seeds < _ENOUGH:
        return f"With {comparison.seeds} seeds nothing is decided yet."
    sure = [row.name for row in comparison.rows if row.name != comparison.baseline and row.gain_interval[0] > 0]
    names = " and ".join([", ".join(sure[:-1]), sure[-1]] if sure[1:] else sure) or "no schedule"
    found = f"{names} {'are' if sure[1:] else 'is'} better than {comparison.baseline} with 95 % confidence"
    return textwrap.fill(f"With {comparison.seeds} seeds {found}.", _WIDTH)


def _notes(comparison: "Comparison") -> list[str]:
    baseline = comparison.baseline
    notes = [
        "Peak: the best on the validation split. Test: the mean score over seeds. Against the baseline,"
        f" {baseline} at its own best peak: the mean difference, seed by seed. Steps saved: how much earlier than the"
        " baseline the mean smoothed validation score gets to where the baseline ends, and stays. In brackets 95 %"
        " intervals, by bootstrap over seeds."
    ]
    if comparison.seeds < _ENOUGH:
        notes.append(f"With fewer than {_ENOUGH} seeds the intervals are too narrow.")
    ends = [row.name for row in comparison.rows if _end(row.peak, comparison)]
    if ends and len(comparison.peaks) > 1:
        notes.append(f"Best at an end of the peaks, < or >, so that a better one may be beyond: {', '.join(ends)}.")
    if gone := [row.name for row in comparison.rows if row.diverged == comparison.seeds]:
        notes.append(f"Every run diverged at every peak, so try lower ones: {', '.join(gone)}.")
    if _looks_like_a_loss(comparison):
        notes.append(
            'In most runs "validation" falls as the training loss falls. Higher is taken as better: of a loss return minus it.'
        )
    return notes


def _looks_like_a_loss(comparison: "Comparison") -> bool:
    whole = ~comparison.diverged
    first, last = ({name: comparison.metrics[name][whole][:, at] for name in ("loss", "validation")} for at in (0, -1))
    falls = (last["loss"] < first["loss"]) & (last["validation"] < first["validation"])
    return bool(falls.mean() > 0.5) if len(falls) else False


def _form(comparison: "Comparison", fewer: int = 0) -> str:
    """As many decimals as give the largest score four digits, or five: 4 for accuracies. What is huge has an exponent."""
    scores = [abs(row.test) for row in comparison.rows if np.isfinite(row.test) and row.test != 0]
    largest = max(scores, default=1.0)
    return f".{int(np.clip(4 - fewer - np.ceil(np.log10(largest)), 0, 12))}f" if largest < 1e7 else ".3e"


def _end(peak: float, comparison: "Comparison") -> str:
    return "<" if peak == min(comparison.peaks) else ">" if peak == max(comparison.peaks) else ""


def _cells(row: "Row", comparison: "Comparison", form: str) -> list[str]:
    others = ["", ""]
    if row.name != comparison.baseline:
        others = [
            _with_interval(row.gain, row.gain_interval, _form(comparison, fewer=1)),  # of which the last digit is luck
            _with_interval(row.steps_saved, row.steps_saved_interval, ".0%"),
        ]
    end = _end(row.peak, comparison) if len(comparison.peaks) > 1 else ""
    return [
        row.name,
        f"{end}{row.peak:.3g}",
        number(row.test, form),
        *others,
        str(row.diverged),
    ]


def _with_interval(value: float, interval: tuple[float, float], form: str) -> str:
    if np.isnan(value):
        return "-"
    shown = number(value, f"+{form}")
    return shown if np.isnan(interval).any() else f"{shown} [{', '.join(number(bound, form) for bound in interval)}]"


def number(value: float, form: str) -> str:
    """A figure: `never` for the steps that are saved by what never gets there, and a dash where there is none."""
    if np.isnan(value):
        return "-"
    return "never" if value == -np.inf else format(value, form)
