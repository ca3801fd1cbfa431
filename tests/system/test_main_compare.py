"""`python -m lrsched compare`, small."""

import csv
import json
import sys

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "cats"], "argument --workload: invalid choice: 'cats' (choose from"),
        (["--workload", "tabular", "--peaks", "0.1", "0.1"], "argument --peaks: expected different rates, got 0.1 0.1"),
        (["--workload", "tabular", "--batch-size", "0"], "argument --batch-size: expected a whole number, at least 1"),
        ([], "the following arguments are required: --workload"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        shell.main(["compare", *arguments, "--out", str(tmp_path)])
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"python -m lrsched compare: {message}")


def test_a_folder_of_another_comparison_is_two_lines(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        shell.main([*SMALL, "--seed", "3", "--out", str(folder)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"python -m lrsched compare: argument --out: expected a folder for --seed 3, got {str(folder)!r} with the runs of"
        " --seed 0.\nHint: --out FOLDER makes these elsewhere, and --seed 0 goes on with those.\n"
    )
    with pytest.raises(SystemExit):
        shell.main([*SMALL, "--peaks", "0.01", "--steps", "30", "--out", str(folder)])
    assert "for --steps 30 --peaks 0.01, got" in capsys.readouterr().err


def test_runs_of_other_code_are_refused_too(folder, capsys):
    path = folder / "rounds" / "rounds.json"
    before = path.read_text()
    path.write_text(before.replace('"train": "', '"train": "0'))
    with pytest.raises(SystemExit):
        shell.main([*SMALL, "--out", str(folder)])
    path.write_text(before)
    assert "got those of another: train, or the data that it closes over, is another.\nHint: give" in capsys.readouterr().err


def test_an_interrupt_is_one_line(folder, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["lrsched.lab.compare"], "compare", interrupted)
    assert shell.main([*SMALL, "--out", str(folder)]) == 130
    assert capsys.readouterr().err == f"stopped; what is finished is kept in {str(folder)!r}, and the same command goes on\n"


def test_what_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "rounds").write_text("")
    with pytest.raises(SystemExit) as stop:
        shell.main([*SMALL, "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert "File exists" in capsys.readouterr().err.splitlines()[-1]


def test_the_candidates_are_the_guides_seven_and_three_more_with_a_peak_of_1():
    assert len(candidates.GUIDE) == 7
    for name, schedule in candidates.schedules((*candidates.GUIDE, *candidates.NEWER, candidates.CONSTANT), 1000).items():
        summary = ls.summary(ls.bind(schedule, ls.init(schedule)), 1000)
        assert summary.peak == pytest.approx(1.0), name
