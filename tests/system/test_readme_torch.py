"""The README translates PyTorch's schedulers: each call of the dialect, and the line of algebra beside it, give the same rates.

The code that runs is the code in the table, and every scheduler of the dialect has a row.
"""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import ROOT

import lrsched as ls
from lrsched.algebra.driven import driven_parts
from lrsched.dialects import torch

README = (ROOT / "README.md").read_text()
SECTION = README.split("\n## Coming from PyTorch\n")[1].split("\n## ")[0]
NOT_CLASSES_OF_PYTORCH = {"Recurrence", "CyclicMomentum", "OneCycleMomentum"}
STEPS = 400
# Above 0: better, flat, slightly better, no number, worse.
METRICS = [3.0, 2.0, 2.0, 2.0, 2.0, 1.9999, 1.5, np.nan, 1.6, 1.7, 1.4, 1.2, 1.3, 1.2, 1.1999, 1.2, 1.1, *[1.1] * 9]


class Row(NamedTuple):
    theirs: str
    ours: str
    remark: str

    @property
    def last(self) -> int:
        """Up to where the two are said to be equal."""
        found = re.search(r"up to step (\d+)", self.remark)
        return int(found[1]) if found else STEPS

    @property
    def other(self) -> str:
        """The first line of code in the remark."""
        return self.remark.split("`")[1]


def table() -> dict[str, Row]:
    """By PyTorch's name, the call of the dialect, and the algebra with what is said about it."""
    _, _, *lines = re.findall(r"^\| (.*) \|$", SECTION, re.MULTILINE)
    rows = [line.split(" | ") for line in lines]
    assert len({name for name, *_ in rows}) == len(rows)
    return {name: Row(theirs.strip("`"), *ours.split("`", 2)[1:]) for name, theirs, ours in rows}


ROWS = table()


def schedule(code: str) -> Any:
    return eval(code, {**vars(torch), "ls": ls})


def rates(schedule: Any, metrics: list[float] = METRICS) -> Any:
    """Its rates over many steps, or over the metrics if it listens."""
    if not driven_parts(schedule):
        return np.asarray(schedule(np.arange(STEPS + 1)), np.float64)
    state, values = ls.init(schedule), []
    for metric in metrics:
        state = ls.tick(schedule, state, value=metric)
        values.append(float(ls.evaluate(schedule, state)))
    return np.asarray(values)


def agree(a: Any, b: Any) -> bool:
    return np.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_each_scheduler_has_its_row():
    assert set(ROWS) == {name for name in vars(torch) if name[0].isupper()} - NOT_CLASSES_OF_PYTORCH


@pytest.mark.parametrize("name", ROWS)
def test_the_columns_are_equal(name):
    row = ROWS[name]
    assert row.theirs.startswith(f"{name}(")
    theirs, ours = (rates(schedule(code))[: row.last + 1] for code in (row.theirs, row.ours))
    assert np.ptp(theirs) > 0.01, "it moves"
    assert agree(theirs, ours)


def test_the_cosine_of_pytorch_rises_again():
    row = ROWS["CosineAnnealingLR"]
    assert row.last == 100
    theirs, ours, wave = (rates(schedule(code)) for code in (row.theirs, row.ours, row.other))
    assert not agree(theirs[row.last + 1 :], ours[row.last + 1 :])
    assert agree(theirs, wave)


def test_one_cycle_has_its_peak_and_its_end_where_the_table_says():
    row = ROWS["OneCycleLR"]
    *_, peak, end, our_peak, our_end = map(int, re.findall(r"\b\d+\b", re.sub("`.*?`", "", row.remark)))
    for code, top, last in ((row.theirs, peak, end), (row.other, our_peak, our_end)):
        values = rates(schedule(code))
        assert np.argmax(values) == top
        assert np.all(values[last:] == values[-1])
        assert values[last - 1] > values[-1]


def test_a_flat_metric_below_0_is_better_every_time_for_pytorch_only():
    row = ROWS["ReduceLROnPlateau"]
    theirs, ours = (rates(schedule(code), [-1.0] * 20) for code in (row.theirs, row.ours))
    assert np.all(theirs == theirs[0])
    assert ours[-1] < ours[0]
