"""`lrsched show EXPRESSION`: a schedule in the terminal, as a curve drawn in characters and a summary."""

from __future__ import annotations

import itertools
import textwrap

import numpy as np

from lrsched.views.summary import Summary, waits_for

WIDTH, HEIGHT, NARROWEST = 80, 12, 30  # characters
# A Braille character has two columns and four rows of dots. These are the bits of the dots, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


def report(found: Summary, width: int = WIDTH, plain: bool = False) -> str:
    """The curve and the summary, with the arguments of `curve`."""
    width = max(width, NARROWEST)
    lines = [textwrap.fill(line, width, subsequent_indent="  ") for line in str(found).splitlines()]
    return "\n".join([curve(found, width, plain), "", *lines])


def curve(found: Summary, width: int = WIDTH, plain: bool = False) -> str:
    """The values over the steps of a summary, drawn in characters: asterisks if `plain`, for a terminal without Braille."""
    width, values = max(width, NARROWEST), np.nan_to_num(found.values)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    labels = {0: f"{high:.4g}", HEIGHT - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    width -= margin + 2
    across, down = (1, 1) if plain else (2, 4)
    columns, height, last = width * across, HEIGHT * down, found.steps - 1
    rows = np.round((values - low) / (high - low or 1.0) * (height - 1)).astype(int)
    # Each column shows all values from its left to its right edge, so that nothing is too short to be seen.
    edges = np.searchsorted(found.grid, np.linspace(0, max(last, 1), columns + 1), side="right") - 1
    cells = np.zeros((HEIGHT, width), int)
    for i, (left, right) in enumerate(itertools.pairwise(edges)):
        here = rows[left : right + 1]
        for row in range(here.min(), here.max() + 1):
            line, dot = divmod(height - 1 - row, down)
            cells[line, i // across] |= 1 if plain else _DOTS[dot][i % across]
    drawn = ["".join((" *"[cell] if plain else chr(_BLANK + cell)) for cell in line) for line in cells]
    axis = "|" if plain else "│"
    lines = [f"{labels.get(i, ''):>{margin}} {axis}{line}".rstrip() for i, line in enumerate(drawn)]
    corner, dash = ("+", "-") if plain else ("└", "─")
    lines.append(f"{'':>{margin}} {corner}{dash * width}")
    lines.append(f"{'':>{margin}} 0{last:>{width}}")
    return "\n".join([*lines, *textwrap.wrap(waits_for(found.schedule, [found.axis]), margin + 2 + width)])
