"""The table of a comparison, as text."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrsched.lab.result import Comparison, Row

_WIDTH = 1000  # nothing is cut; the table is as wide as it needs


def text(comparison: "Comparison") -> str:
    """A row a schedule, and what the columns mean."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    counts = len(comparison.schedules), len(comparison.peaks), comparison.seeds
    table = Table(title="{} schedules × {} peak rates × {} seeds".format(*counts), box=SIMPLE_HEAD)
    headings = ("schedule", "best peak", "test score", f"against {comparison.baseline}", "steps saved", "got there", "diverged")
    form = f".{_decimals(comparison)}f"
    lost = any(row.diverged for row in comparison.rows)
    for i, heading in enumerate(headings[: 7 if lost else 6]):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for row in comparison.rows:
        table.add_row(*map(Text, _cells(row, comparison, form)[: 7 if lost else 6]))  # Text: brackets are no markup
    out = io.StringIO()
    Console(file=out, width=_WIDTH, force_jupyter=False, force_terminal=False).print(table)  # plain text in a notebook, too
    return out.getvalue() + (
        "The best peak is chosen on the validation split. Test score: the mean over seeds; against the best"
        f" {comparison.baseline} rate:\nthe mean difference, seed by seed. Steps saved: how much earlier than that rate the"
        " smoothed validation score gets to\nwhere that rate ends, and stays: the median over seeds. One that never gets there"
        " counts as never; how many got there is\nbeside it. In brackets 95 % intervals, by bootstrap over seeds.\n"
    )


def _decimals(comparison: "Comparison") -> int:
    """So many that the largest score has four digits, or five: 4 for accuracies."""
    scores = [abs(row.test) for row in comparison.rows if np.isfinite(row.test) and row.test != 0]
    return int(np.clip(4 - np.ceil(np.log10(max(scores))), 0, 12)) if scores else 4


def _cells(row: "Row", comparison: "Comparison", form: str) -> list[str]:
    others = ["", ""]
    if row.name != comparison.baseline:
        others = [
            _with_interval(row.gain, row.gain_interval, f"+{form}"),
            _with_interval(row.steps_saved, row.steps_saved_interval, "+.0%"),
        ]
    return [
        row.name,
        f"{row.peak:.3g}",
        _with_interval(row.test, row.test_interval, form),
        *others,
        f"{row.reached} of {comparison.seeds}",
        str(row.diverged),
    ]


def _with_interval(value: float, interval: tuple[float, float], form: str) -> str:
    if np.isnan(value):
        return "-"
    low, high = (number(bound, form) for bound in interval)
    return f"{number(value, form)} [{low}, {high}]"


def number(value: float, form: str) -> str:
    """A figure: `never` for the steps that are saved by what never gets there, and a dash where there is none."""
    if np.isnan(value):
        return "-"
    return "never" if value == -np.inf else format(value, form)
