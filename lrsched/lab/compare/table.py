"""The table of a comparison, as text and as HTML."""

import math
import textwrap

import numpy as np

from lrsched.lab.compare.runs import Runs
from lrsched.lab.plain import html_table

_ENOUGH = 5  # seeds; see `statistics.bootstrap_interval`
_WIDTH = 80
_NARROWEST = 8  # names; the table becomes wider instead
_GAP = "  "


def text(runs: Runs) -> str:
    """A row for each schedule, and notes about the columns. Long names continue in the next line."""
    rows = _cells(runs)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], max(_WIDTH - sum(widths[1:]) - len(_GAP) * (len(widths) - 1), _NARROWEST))
    whole = sum(widths) + len(_GAP) * (len(widths) - 1)
    lines = []
    for name, *others in rows:
        first, *more = textwrap.wrap(name, widths[0]) or [""]
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines += [_GAP.join([first.ljust(widths[0]), *numbers]).rstrip(), *more]
    lines = [_title(runs).center(whole).rstrip(), lines[0], "─" * whole, *lines[1:], ""]
    return "\n".join([*lines, *(textwrap.fill(note, _WIDTH) for note in _notes(runs))]) + "\n"


def html(runs: Runs) -> str:
    """The same for a notebook."""
    return html_table(_title(runs), _cells(runs), _notes(runs))


def verdict(runs: Runs) -> str:
    """The result in a sentence."""
    if runs.seeds < _ENOUGH:
        return f"With {runs.seeds} seeds nothing is decided yet."
    better = [row.name for row in runs.rows if row.name != runs.baseline and row.gain_interval[0] > 0]
    names = " and ".join([", ".join(better[:-1]), better[-1]] if better[1:] else better) or "no schedule"
    found = f"{names} {'are' if better[1:] else 'is'} better than {runs.baseline} with 95 % confidence"
    return textwrap.fill(f"With {runs.seeds} seeds {found}.", _WIDTH)


def _title(runs: Runs) -> str:
    trials, names = sum(runs.stopped, runs.trials), len(runs.names)
    peaks = len({trial.peak for trial in trials})
    is_grid = len(trials) == names * peaks
    several = f"{names} schedule{'s' * (names > 1)}"
    tried = f"{several} × {peaks} peak rate{'s' * (peaks > 1)}" if is_grid else f"{len(trials)} settings of {several}"
    return f"{tried} × {runs.seeds} seeds"


def _cells(runs: Runs) -> list[list[str]]:
    """The heading and the rows; the last column only if a run diverged."""
    score = "test" if "test" in runs.metrics else "score"
    against = f"against {runs.baseline}"
    rows = [["schedule", "peak", score, against if len(against) <= 22 else "against baseline", "steps saved", "diverged"]]
    scores, gains = _forms(runs)
    for row in runs.rows:
        others = ["", ""]
        if row.name != runs.baseline:
            saved = _with_interval(row.steps_saved, row.steps_saved_interval, ".0%")
            others = [_with_interval(row.gain, row.gain_interval, gains), saved]
        rows.append([row.name, f"{runs.end(row.name)}{row.peak:.3g}", _number(row.test, scores), *others, str(row.diverged)])
    return rows if any(row.diverged for row in runs.rows) else [row[:-1] for row in rows]


def _notes(runs: Runs) -> list[str]:
    scores = "Peak: the best on the validation split. Test: the mean score over seeds."
    if "test" not in runs.metrics:
        scores = f"Score: minus the mean of the last {runs.window} losses and over seeds; the peak is chosen by it, too."
    notes = [
        f"{scores} Against the baseline, {runs.baseline} at its own best peak: the mean difference, seed by seed. Steps saved:"
        " how much earlier than the baseline the mean smoothed validation score gets to where the baseline ends, and stays. In"
        " brackets 95 % intervals, by bootstrap over seeds."
    ]
    rows, everything = runs.rows, sum(runs.stopped, runs.trials)
    if runs.stopped:
        left = [len(runs.trials) + sum(map(len, runs.stopped[k:])) for k in range(1, len(runs.stopped) + 1)]
        longer = " and then ".join(map(str, left))
        notes.append(f"Successive halving: of {len(everything)} settings {longer} went on to longer runs.")
    notes += [f"Chosen for {row.name}: {row.setting}." for row in rows if row.setting]
    tried = {name: sum(trial.name == name for trial in everything) for name in runs.names}
    if len(set(tried.values())) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in tried.items())
        notes.append(f"Settings tried (more are an advantage): {counts}.")
    if runs.seeds < _ENOUGH:
        notes.append(f"With fewer than {_ENOUGH} seeds the intervals are too narrow.")
    if ends := [row.name for row in rows if runs.end(row.name)]:
        notes.append(f"Best at an end of the peaks, < or >, so that a better one may be beyond: {', '.join(ends)}.")
    if gone := [row.name for row in rows if row.diverged == runs.seeds]:
        notes.append(f"Every run diverged at every peak, so try lower ones: {', '.join(gone)}.")
    if _looks_like_a_loss(runs):
        notes.append(
            'In most runs "validation" falls as the training loss falls. Higher counts as better: return minus a loss.'
        )
    return notes


def _looks_like_a_loss(runs: Runs) -> bool:
    if "validation" not in runs.metrics or runs.diverged.all():
        return False
    curves = [runs.metrics[name][~runs.diverged] for name in ("loss", "validation")]
    falls = [curve[:, -1] < curve[:, 0] for curve in curves]
    return bool(np.mean(falls[0] & falls[1]) > 0.5)


def _forms(runs: Runs) -> tuple[str, str]:
    """The formats of scores and of differences: four or five digits of the largest score, and one digit fewer."""
    largest = max((abs(row.test) for row in runs.rows if np.isfinite(row.test) and row.test), default=1.0)
    if largest >= 1e7:
        return ".3e", ".3e"
    digits = 4 - math.ceil(math.log10(largest))
    return f".{np.clip(digits, 0, 12)}f", f".{np.clip(digits - 1, 0, 12)}f"


def _with_interval(value: float, interval: tuple[float, float], form: str) -> str:
    shown = _number(value, f"+{form}")
    return shown if np.isnan(interval).any() else f"{shown} [{', '.join(_number(bound, form) for bound in interval)}]"


def _number(value: float, form: str) -> str:
    """A number; `never` for the saved steps of a schedule that never gets there, and a dash for NaN."""
    return "-" if np.isnan(value) else "never" if value == -np.inf else format(value, form)
