"""The table of a comparison, as text and as HTML."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lrsched.lab import plain

if TYPE_CHECKING:
    from lrsched.lab.compare.result import Comparison

_ENOUGH = 5  # seeds; see `statistics.bootstrap_interval`
_WIDTH = 80
_NARROWEST = 8  # names; the table becomes wider instead


def text(found: "Comparison") -> str:
    """A row for each schedule, and notes about the columns. Long names continue in the next line."""
    rows = _cells(found)
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    others = [width + 2 for width in others]  # a gap
    first = min(first, max(_WIDTH - sum(others), _NARROWEST))
    lines = []
    for name, *cells in rows:
        start, *more = textwrap.wrap(name, first) or [""]
        numbers = "".join(cell.rjust(width) for cell, width in zip(cells, others, strict=True))
        lines += [f"{start:{first}}{numbers}".rstrip(), *more]
    whole = first + sum(others)
    notes = (textwrap.fill(note, _WIDTH) for note in _notes(found))
    return "\n".join([_title(found).center(whole).rstrip(), lines[0], "─" * whole, *lines[1:], "", *notes, ""])


def page(found: "Comparison") -> str:
    """The same as HTML, for a notebook."""
    return plain.page(_title(found), _cells(found), _notes(found))


def verdict(found: "Comparison") -> str:
    """The result in a sentence."""
    if found.seeds < _ENOUGH:
        return f"With {found.seeds} seeds nothing is decided yet."
    better = [row.name for row in found.rows if row.name != found.baseline and row.gain_interval[0] > 0]
    names = " and ".join([", ".join(better[:-1]), better[-1]] if better[1:] else better) or "no schedule"
    are = "are" if better[1:] else "is"
    return textwrap.fill(
        f"With {found.seeds} seeds {names} {are} better than {found.baseline} with 95 % confidence.",
        _WIDTH,
    )


def _title(found: "Comparison") -> str:
    names, peaks = len(found.names), len({trial.peak for trial in found.tried})
    schedules = f"{names} schedule{'s' * (names > 1)}"
    if len(found.tried) == names * peaks:
        return f"{schedules} × {peaks} peak rate{'s' * (peaks > 1)} × {found.seeds} seeds"
    return f"{len(found.tried)} settings of {schedules} × {found.seeds} seeds"


def _cells(found: "Comparison") -> list[list[str]]:
    """The heading and the rows; the last column only if a run diverged."""
    against = f"against {found.baseline}"
    score = "test" if "test" in found.metrics else "score"
    rows = [["schedule", "peak", score, against if len(against) <= 22 else "against baseline", "steps saved", "diverged"]]
    scores, gains = _forms(found)
    for row in found.rows:
        others = ["", ""]
        if row.name != found.baseline:
            saved = _with_interval(row.steps_saved, row.steps_saved_interval, ".0%")
            others = [_with_interval(row.gain, row.gain_interval, gains), saved]
        peak = f"{found.end(row.name)}{row.peak:.3g}"
        rows.append([row.name, peak, _number(row.test, scores), *others, str(row.diverged)])
    return rows if any(row.diverged for row in found.rows) else [row[:-1] for row in rows]


def _notes(found: "Comparison") -> list[str]:
    scores = "Peak: the best on the validation split. Test: the mean score over seeds."
    if "test" not in found.metrics:
        scores = f"Score: minus the mean of the last {found.window} losses and over seeds; the peak is chosen by it, too."
    notes = [
        f"{scores} Against the baseline, {found.baseline} at its own best peak: the mean difference, seed by seed. Steps saved:"
        " how much earlier than the baseline the mean smoothed validation score gets to where the baseline ends, and stays. In"
        " brackets 95 % intervals, by bootstrap over seeds."
    ]
    if found.stopped:
        left = [len(found.trials) + sum(map(len, found.stopped[k:])) for k in range(1, len(found.stopped) + 1)]
        longer = " and then ".join(map(str, left))
        notes.append(f"Successive halving: of {len(found.tried)} settings {longer} went on to longer runs.")
    notes += [f"Chosen for {row.name}: {row.setting}." for row in found.rows if row.setting]
    tried = {name: sum(trial.name == name for trial in found.tried) for name in found.names}
    if len(set(tried.values())) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in tried.items())
        notes.append(f"Settings tried (more are an advantage): {counts}.")
    if found.seeds < _ENOUGH:
        notes.append(f"With fewer than {_ENOUGH} seeds the intervals are too narrow.")
    if ends := [name for name in found.names if found.end(name)]:
        notes.append(f"Best at an end of the peaks, < or >, so that a better one may be beyond: {', '.join(ends)}.")
    if gone := [row.name for row in found.rows if row.diverged == found.seeds]:
        notes.append(f"Every run diverged at every peak, so try lower ones: {', '.join(gone)}.")
    if "validation" in found.metrics and not found.diverged.all():
        curves = [found.metrics[name][~found.diverged] for name in ("loss", "validation")]
        loss_falls, validation_falls = (curve[:, -1] < curve[:, 0] for curve in curves)
        if np.mean(loss_falls & validation_falls) > 0.5:
            notes.append(
                'In most runs "validation" falls as the training loss falls. Higher counts as better: return minus a loss.'
            )
    return notes


def _forms(found: "Comparison") -> tuple[str, str]:
    """The formats of scores and of differences: four or five digits of the largest score, and fewer for a difference."""
    largest = max((abs(row.test) for row in found.rows if np.isfinite(row.test) and row.test), default=1.0)
    if not 1e-3 <= largest < 1e7:
        return ".3e", ".1e"
    digits = 4 - math.ceil(math.log10(largest))
    return f".{max(digits, 0)}f", f".{max(digits - 1, 0)}f"


def _with_interval(value: float, interval: tuple[float, float], form: str) -> str:
    shown = _number(value, f"+{form}")
    return shown if np.isnan(interval).any() else f"{shown} [{', '.join(_number(bound, form) for bound in interval)}]"


def _number(value: float, form: str) -> str:
    """A number; `never` for the saved steps of a schedule that never gets there, and a dash for NaN."""
    return "-" if np.isnan(value) else "never" if value == -np.inf else format(value, form)
