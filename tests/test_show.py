"""`python -m lrsched show EXPRESSION`, and the curve that it draws in characters."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import exits
from hypothesis import given
from nested import schedules

import lrsched as ls
from lrsched import __main__ as shell
from lrsched.views.show import HEIGHT, NARROWEST, WIDTH, curve

EXPRESSION = "Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)"
MISTAKES = [
    (["Linear(0, 1e-3, 100) >> Cosin(1e-3, 0, 900)"], "did you mean Cosine?\n    Linear(0, 1e-3, 100) >> Cosin(1e-3"),
    (["Time()", "--steps", "1.5"], "expected a whole number, at least 1"),
    (["Time()", "--steps", "1e17"], "at least 1 and below 2**53, got '1e17'"),
    (["Time()", "--step-s", "9"], "unrecognized arguments: --step-s 9. Hint: did you mean --steps?"),
    (["Time()", "--png", "curve.nonsense"], "argument --png: expected a file to write, got 'curve.nonsense'"),
    ([], "the following arguments are required: EXPRESSION"),
]


def tops(text):
    """How high the drawing is in each column, in characters from below; 0 if nothing is there."""
    rows = [line.partition("│")[2] for line in text.splitlines()[:HEIGHT]]
    return [max([HEIGHT - i for i, row in enumerate(rows) if row[k] not in "⠀ "], default=0) for k in range(len(rows[0]))]


def test_it_draws_and_sums_up(capsys):
    assert shell.main(["show", EXPRESSION]) == 0
    out = capsys.readouterr().out
    assert str(ls.summary(ls.parse(EXPRESSION))) in out
    assert out.splitlines()[0].startswith("0.001 │")
    assert out.splitlines()[HEIGHT + 1].split() == ["0", "999"]


def test_the_curve_is_where_the_values_are():
    for s in (ls.Cosine(2.0, 1.0, 500), ls.Linear(-1.0, 1.0, 72), ls.step_decay(1.0, 100, 0.5).take(500)):
        found = ls.summary(s)
        low, high = min(0.0, found.lowest), found.peak
        heights = np.array(tops(curve(found)))
        steps = np.linspace(0, found.steps - 1, len(heights) * 50).reshape(len(heights), -1)
        best = np.asarray(s(np.clip(steps, 0, found.steps - 1))).max(axis=1)
        expected = (best - low) / (high - low) * HEIGHT
        assert np.max(np.abs(heights - expected)) <= 1.1
    # A warm-up of ten steps in a million is seen.
    assert tops(curve(ls.summary(ls.Linear(0, 1, 10) >> ls.Cosine(1, 0, 10**6))))[0] == HEIGHT


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("40", 40), ("5", NARROWEST)])
def test_it_is_as_wide_as_the_terminal(columns, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert shell.main(["show", EXPRESSION]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines()[: HEIGHT + 2])) == width
    assert shell.main(["show", "warmup_cosine(0.1, 10, 100, start=0.2) * reduce_on_plateau(factor=0.5, patience=10)"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width


def test_several_expressions_and_their_files(capsys, tmp_path):
    assert shell.main(["show", EXPRESSION, "1e-3", "--steps", "1e2", "--png", str(tmp_path / "both.png")]) == 0
    out = capsys.readouterr().out
    assert out.count("over 100 steps") == 2
    assert f"wrote {tmp_path / 'both.png'}" in out
    assert (tmp_path / "both.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert shell.main(["show", EXPRESSION, "--out", str(tmp_path / "made")]) == 0
    assert (tmp_path / "made" / "schedule.png").exists()
    assert ls.from_dict(json.loads((tmp_path / "made" / "schedule.json").read_text())) == ls.parse(EXPRESSION)
    assert f"wrote {tmp_path / 'made' / 'schedule.json'}" in capsys.readouterr().out
    assert shell.main(["show", EXPRESSION, "1e-3", "--json"]) == 0
    assert [*map(ls.from_dict, json.loads(capsys.readouterr().out))] == [ls.parse(EXPRESSION), ls.Constant(1e-3)]


@given(schedules)
def test_any_schedule_is_drawn(s):
    text = curve(ls.summary(s))
    assert len(text.splitlines()) == HEIGHT + 2
    assert min(tops(text)) > 0  # no gaps


def test_a_driven_schedule_names_its_axis_and_moves_at_whole_readings():
    text = curve(ls.summary(0.1 * ls.reduce_on_plateau()), plain=True)
    assert text.endswith("depends on the metric 'value'; drawn over plateaus of value")
    rows = [line.partition("|")[2] for line in text.splitlines()[:HEIGHT]]
    assert rows[0] == "*" * (len(rows[10]) // 2 + 1)  # 0.1 until the first plateau, and 0.01 from there to the second


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=str)
def test_a_mistake_is_pointed_at_and_the_exit_code_is_2(arguments, said, capsys):
    error = exits(capsys, shell.main, "show", *arguments)
    assert said in error
    assert "Traceback" not in error


def test_without_matplotlib_only_the_picture_is_refused(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else real(name, *more))
    assert shell.main(["show", EXPRESSION]) == 0
    assert "python -m pip install 'lrsched-jax[plot]'" in exits(capsys, shell.main, "show", EXPRESSION, "--png", "curve.png")


def test_a_pipe_that_is_closed_ends_it_quietly():
    command = [sys.executable, "-m", "lrsched", "show", *[EXPRESSION] * 100]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_output_that_cannot_be_written_is_one_line(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit):
            shell.main(["show", "1", "--json"])
    assert "expected to write the output, got an error: [Errno 28]" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", None)  # as >&- does
    assert shell.main(["show", "1", "--json"]) == 0


def test_without_unicode_it_draws_plain_characters():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": str(WIDTH)}
    command = [sys.executable, "-m", "lrsched", "show", EXPRESSION]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert done.stdout.count(b"*") > WIDTH - len("0.001 |")
