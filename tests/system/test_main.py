"""The main job, small: `python -m lrsched`."""

import contextlib
import importlib.util
import io
import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from helpers import relaxed

from lrsched import __main__ as shell
from lrsched.lab import bakeoff

SMALL = ["--steps", "60", "--seeds", "2", "--peaks", "0.02", "0.1"]


def run(folder, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = shell.main([*SMALL, "--out", str(folder), *arguments])
    (folder / "said").write_text(out.getvalue())
    return code, json.loads((folder / "bakeoff.json").read_text())


@pytest.fixture(autouse=True, scope="module")
def _as_a_user():
    with relaxed():
        yield


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "made"
    code, content = run(folder, "--png", str(folder / "more.svg"))
    return folder, code, content


def test_it_writes_a_picture_and_every_runs_numbers(outcome):
    folder, code, content = outcome
    assert code == 0
    assert (folder / "bakeoff.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(content["runs"]) == 8 * 2 * 2
    assert {run["schedule"] for run in content["runs"]} == set(bakeoff.guide_schedules(60))
    assert content["settings"] == {"steps": 60, "seeds": 2, "peaks": [0.02, 0.1], "seed": 0}
    assert content["versions"]["jax"]
    run = content["runs"][0]
    assert run["step"][-1] == 60
    assert len(run["loss"]) == len(run["validation"]) == len(run["learning_rate"]) == len(run["step"])


def test_what_it_says_fits_80_columns_and_ends_with_what_to_try(outcome):
    folder, *_ = outcome
    table, _, rest = (folder / "said").read_text().partition("\nwrote ")
    assert max(map(len, table.splitlines())) <= 80
    assert (folder / "more.svg").exists()
    last = rest.splitlines()[-1]
    assert re.fullmatch(r"With 2 seeds .* better than constant with 95 % confidence: try --seeds 8 for narrower .*", last)


def test_training_learns_something(outcome):
    *_, content = outcome
    constant = content["table"][0]
    assert constant["test"] > 0.5  # chance is 0.1
    assert constant["steps_saved"] == 0


def test_the_rates_in_the_runs_are_those_of_the_schedules(outcome):
    *_, content = outcome
    schedules = bakeoff.guide_schedules(60)
    for run in content["runs"]:
        if run["schedule"] != "reduce on plateau":
            last = np.asarray(run["step"]) - 1
            expected = (schedules[run["schedule"]] * run["peak"])(last)
            np.testing.assert_allclose(run["learning_rate"], expected, rtol=1e-4, atol=1e-9, err_msg=run["schedule"])


def test_the_plateau_hears_the_validation_loss(outcome):
    *_, content = outcome
    runs = [run for run in content["runs"] if run["schedule"] == "reduce on plateau"]
    for run in runs:
        rate, best, bad, expected = run["peak"], np.inf, 0, []
        for loss in run["validation_loss"]:
            expected.append(rate)
            best, bad = (loss, 0) if loss < 0.99 * best else (best, bad + 1)
            if bad > 3:
                rate, bad = rate / 2, 0
        np.testing.assert_allclose(run["learning_rate"], expected, rtol=1e-6)
    assert any(run["learning_rate"][-1] < run["peak"] for run in runs)


def test_the_options_are_those_of_the_comparison(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(bakeoff, "run", lambda *options: asked.append(options))
    monkeypatch.setattr(bakeoff, "write", lambda *_: [])
    monkeypatch.setattr(shell, "_report", lambda *_: None)
    assert shell.main(["--seed", "1", "--steps", "20", "--seeds", "3", "--peaks", "0.5", "--out", str(tmp_path)]) == 0
    assert shell.main(["--out", str(tmp_path)]) == 0
    assert asked == [(20, 3, (0.5,), 1), (1000, 8, bakeoff.PEAKS, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "9"], "argument --steps: expected a whole number, at least 10 and below 2**32, got '9'."),
        (["--steps", "many"], "argument --steps: expected a whole number, at least 10 and below 2**32, got 'many'."),
        (["--seeds", "1"], "argument --seeds: expected a whole number, at least 2 and below 2**32, got '1'."),
        (["--seed", "-1"], "argument --seed: expected a whole number, at least 0 and below 2**32, got '-1'."),
        (["--peaks", "0.1", "nan"], "argument --peaks: expected rates above 0, such as 0.01 0.1, got 'nan'."),
        (["--peaks", "0.1", "0.2", "0.1"], "argument --peaks: expected different rates, got 0.1 0.2 0.1."),
        (["--seed", "4294967296"], "argument --seed: expected a whole number, at least 0 and below 2**32, got '4294967296'."),
        (["shw", "x"], "expected show or compare, got 'shw'. Hint: did you mean show?"),
        (["Time()"], "expected show or compare, got 'Time()'. Hint: python -m lrsched show 'Linear(...)'."),
        (["--png", "x.nonsense"], "argument --png: expected a file to write, got 'x.nonsense'. Hint: Format 'nonsense' is not"),
        (["--speed", "1"], "unrecognized arguments: --speed 1"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        shell.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"python -m lrsched: {message}")


def test_help_lists_the_commands(capsys):
    for arguments in (["--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            shell.main(arguments)
        assert stop.value.code == 0
    said = capsys.readouterr().out
    assert re.search(r"(?s)commands:.*show .*compare ", said)
    assert said.endswith(f"lrsched {metadata.version('lrsched-jax')}\n")


def test_the_script_is_the_same_command(monkeypatch, capsys):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"lrsched": f"{shell.__name__}:{shell.main.__name__}"}
    monkeypatch.setattr(sys, "argv", ["/some/bin/lrsched", "shw"])
    with pytest.raises(SystemExit):
        shell.main()
    assert capsys.readouterr().err.startswith("lrsched: expected show or compare")


def test_a_file_that_cannot_be_written_is_one_line_before_any_training(tmp_path, capsys):
    (tmp_path / "bakeoff.json").mkdir()
    with pytest.raises(SystemExit) as stop:
        shell.main(["--out", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"python -m lrsched: argument --out: expected a folder to write into, got '{tmp_path}'. Hint: Is a directory.\n"
    )


def test_what_is_not_installed_is_one_line_before_any_training(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("rich", "sklearn") else found(name))
    with pytest.raises(SystemExit) as stop:
        shell.main(["--out", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "python -m lrsched: expected rich and sklearn, got none. Hint: python -m pip install 'lrsched-jax[lab]'.\n"
    )
