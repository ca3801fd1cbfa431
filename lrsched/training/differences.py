"""What differs between two schedules, as an error shows it."""

import difflib
import re

_WIDTH = 110  # characters of a schedule that an error shows
_MOST = 300  # words that are compared, from the first that differs on
_WORD = re.compile(r"[\d.]+e-\d+|[\w.]+|.", re.DOTALL)


def side_by_side(saved: str, now: str, heads: tuple[str, str] = ("checkpoint", "now")) -> list[str]:
    """Two texts one above the other, and marks under each word of the second that differs."""
    old, new = _WORD.findall(saved), _WORD.findall(now)
    pairs = enumerate(zip(old, new, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    same, old, new = "".join(new[:first]), old[first : first + _MOST], new[first : first + _MOST]
    begin = max(0, len(same) - _WIDTH // 2) if max(len(saved), len(now)) > _WIDTH else 0
    before, width = "..." if begin else "", max(map(len, heads))
    rows = [
        f"    {head:{width}}  {before}{text[begin : begin + _WIDTH]}{'...' if len(text) > begin + _WIDTH else ''}"
        for head, text in zip(heads, (saved, now), strict=True)
    ]
    marks = " " * (len(same) - begin)
    for what, _, _, start, stop in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        marks += (" " if what == "equal" else "^") * len("".join(new[start:stop]))
        marks = marks[:-1] + "^" if what == "delete" else marks  # under what comes before
    more = " and more" * (not saved.endswith(now[begin + _WIDTH :]))
    return [*rows, (" " * (4 + width + 2 + len(before)) + marks[:_WIDTH]).rstrip() + more]
