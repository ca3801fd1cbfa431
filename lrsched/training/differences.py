"""What differs between two schedules, as an error shows it."""

import string

_WIDTH = 110  # characters of a schedule that an error shows
_IN_WORDS = string.ascii_letters + string.digits + "._-"


def side_by_side(saved: str, now: str, heads: tuple[str, str] = ("checkpoint", "now")) -> list[str]:
    """Two texts one above the other, and marks under the words of the second from where they part to where they meet."""
    first = _alike(saved, now)
    after = _alike(saved[first:][::-1], now[first:][::-1])
    last = len(now) - len(now[len(now) - after :].lstrip(_IN_WORDS))
    first = len(now[:first].rstrip(_IN_WORDS))
    begin = max(0, first - _WIDTH // 2) if max(len(saved), len(now)) > _WIDTH else 0
    before, width = "..." if begin else "", max(map(len, heads))
    rows = [
        f"    {head:{width}}  {before}{text[begin : begin + _WIDTH]}{'...' if len(text) > begin + _WIDTH else ''}"
        for head, text in zip(heads, (saved, now), strict=True)
    ]
    marks = " " * (4 + width + 2 + len(before) + first - begin) + "^" * max(1, min(last, begin + _WIDTH) - first)
    return [*rows, marks]


def _alike(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
