"""Whole numbers as arguments, and results for JSON and for notebooks."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lrsched.algebra.node import checked
from lrsched.algebra.written import unexpected


def whole(call: str, name: str, value: Any, least: int, **bounds: Any) -> int:
    """An argument that is a whole number, within the bounds of `checked`."""
    if np.ndim(value):
        raise TypeError(unexpected(call, name, value, "a whole number"))
    return int(checked(call, name, value, ge=least, integer=True, exact=True, **bounds))


def plain(value: Any) -> Any:
    """Numbers and arrays as plain Python for JSON. A number that is not finite becomes None."""
    if isinstance(value, dict):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if not isinstance(value, float) and not hasattr(value, "dtype"):
        return value
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return array.tolist()
    shortest = array.astype(str).astype(np.float64)  # of a float32 few decimals
    return np.where(np.isfinite(array), shortest.astype(object), None).tolist()


def page(title: str, rows: Sequence[Sequence[str]], notes: Iterable[str]) -> str:
    """A table as HTML: the first row has the headings."""
    tags = ["th", *["td"] * (len(rows) - 1)]
    lines = ("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) for tag, row in zip(tags, rows, strict=True))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<table><caption>{html.escape(title)}</caption>{body}</table>{below}"
