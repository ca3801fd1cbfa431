"""The README translates PyTorch's schedulers: each call of the dialect, and the line of algebra beside it, give the same rates.

The code that runs is the code in the table, and every scheduler of the dialect has a row.
"""

import re
from typing import Any

import numpy as np
import pytest
from helpers import ROOT

import lrsched as ls
from lrsched.algebra.driven import driven_parts
from lrsched.dialects import torch

README = (ROOT / "README.md").read_text()
SECTION = README.split("\n## Coming from PyTorch\n")[1].split("\n## ")[0]
NOT_CLASSES_OF_PYTORCH = {"InPlace"}
STEPS = 400
# Above 0: better, flat, slightly better, no number, worse.
METRICS = [3.0, 2.0, 2.0, 2.0, 2.0, 1.9999, 1.5, np.nan, 1.6, 1.7, 1.4, 1.2, 1.3, 1.2, 1.1999, 1.2, 1.1, *[1.1] * 9]


def table() -> dict[str, tuple[str, str, str]]:
    """By PyTorch's name, the call of the dialect, the algebra, and the remark about it."""
    _, _, *lines = re.findall(r"^\| (.*) \|$", SECTION, re.MULTILINE)
    rows = [line.split(" | ") for line in lines]
    return {name: (theirs.strip("`"), *ours.split("`", 2)[1:]) for name, theirs, ours in rows}


ROWS = table()


def rates(code: str, metrics: list[float] = METRICS) -> Any:
    """The rates of a schedule over many steps, or over the metrics if it has a clock."""
    schedule = eval(code, {**vars(torch), "ls": ls})
    if not driven_parts(schedule):
        return np.asarray(schedule(np.arange(STEPS + 1)), np.float64)
    return np.asarray(ls.replay(schedule, np.asarray([*metrics, 0.0], np.float32)), np.float64)[1:]


def agree(a: Any, b: Any) -> bool:
    return np.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_each_scheduler_has_its_row():
    assert set(ROWS) == {name for name in vars(torch) if name[0].isupper()} - NOT_CLASSES_OF_PYTORCH


@pytest.mark.parametrize("name", ROWS)
def test_the_columns_are_equal(name):
    code, algebra, remark = ROWS[name]
    last = re.search(r"up to step (\d+)", remark)
    assert code.startswith(f"{name}(")
    theirs, ours = (rates(code)[: int(last[1]) + 1 if last else None] for code in (code, algebra))
    assert np.ptp(theirs) > 0.01, "it moves"
    assert agree(theirs, ours)


def test_the_remarks_hold():
    """The cosine of PyTorch rises again; its one-cycle ends a step early; below 0 a flat metric is better for it every time."""
    code, algebra, remark = ROWS["CosineAnnealingLR"]
    theirs, ours, wave = (rates(code) for code in (code, algebra, remark.split("`")[1]))
    assert not agree(theirs[101:], ours[101:])
    assert agree(theirs, wave)
    code, _, remark = ROWS["OneCycleLR"]
    *_, peak, end, our_peak, our_end = map(int, re.findall(r"\b\d+\b", re.sub("`.*?`", "", remark)))
    for values, top, last in ((rates(code), peak, end), (rates(remark.split("`")[1]), our_peak, our_end)):
        assert np.argmax(values) == top
        assert np.all(values[last:] == values[-1])
        assert values[last - 1] > values[-1]
    theirs, ours = (rates(code, [-1.0] * 20) for code in ROWS["ReduceLROnPlateau"][:2])
    assert np.all(theirs == theirs[0])
    assert ours[-1] < ours[0]
