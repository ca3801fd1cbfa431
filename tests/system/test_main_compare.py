"""`python -m lrsched compare`, small."""

import csv
import json

import pytest
from helpers import relaxed

import lrsched as ls
from lrsched import __main__ as shell
from lrsched import lab
from lrsched.lab import candidates

SMALL = ["compare", "--workload", "tabular", "--steps", "20", "--seeds", "2", "--peaks", "0.01", "0.02"]


@pytest.fixture(autouse=True, scope="module")
def _as_a_user():
    with relaxed():
        yield


@pytest.fixture(autouse=True, scope="module")
def _few():
    """Four of the eleven, which compile in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "ALL", (candidates.CONSTANT, candidates.GUIDE[3], candidates.GUIDE[4], candidates.NEWER[1]))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory, _few):
    folder = tmp_path_factory.mktemp("out") / "made"
    assert shell.main([*SMALL, "--out", str(folder)]) == 0
    return folder


def test_it_writes_everything(folder):
    names = ["constant", "cosine annealing", "reduce on plateau", "warm-up stable decay"]
    found = lab.Comparison.load(folder)
    assert list(found.schedules) == names
    assert (found.peaks, found.seeds, found.steps[-1]) == ((0.01, 0.02), 2, 20)
    assert [row["name"] for row in json.loads((folder / "comparison.json").read_text())["table"]] == names
    with (folder / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4 * 2 * 2
    assert (folder / "comparison.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_called_again_it_only_reads(folder, capsys):
    before = {path: path.stat().st_mtime_ns for path in (folder / "rounds").iterdir()}
    first = lab.Comparison.load(folder)
    assert shell.main([*SMALL, "--out", str(folder)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "rounds").iterdir()} == before
    assert lab.Comparison.load(folder).rows == first.rows
    said = capsys.readouterr().out
    assert str(first) in said
    assert f"wrote {folder / 'comparison.json'}" in said


def test_the_candidates_are_the_guides_seven_and_three_more_with_a_peak_of_1():
    assert len(candidates.GUIDE) == 7
    for name, schedule in candidates.schedules((*candidates.GUIDE, *candidates.NEWER, candidates.CONSTANT), 1000).items():
        summary = ls.summary(ls.bind(schedule, ls.init(schedule)), 1000)
        assert summary.peak == pytest.approx(1.0), name
