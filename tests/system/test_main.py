"""The main job, small: `python -m lrsched`."""

import importlib.util
import json

import numpy as np
import pytest
from helpers import relaxed

from lrsched import __main__ as shell
from lrsched.lab import bakeoff

SMALL = ["--steps", "60", "--seeds", "2", "--peaks", "0.02", "0.1"]


def run(folder, *arguments):
    code = shell.main([*SMALL, "--out", str(folder), *arguments])
    return code, json.loads((folder / "bakeoff.json").read_text())


@pytest.fixture(autouse=True, scope="module")
def _as_a_user():
    with relaxed():
        yield


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "made"
    code, content = run(folder)
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
        (["shw", "x"], "expected show or compare, got 'shw'. Hint: python -m lrsched show 'Linear(...)'."),
        (["--speed", "1"], "unrecognized arguments: --speed 1"),
        (["compare"], "the following arguments are required: --workload"),
        (
            ["compare", "--workload", "digits", "--peaks", "0.1", "0.1"],
            "argument --peaks: expected different rates, got 0.1 0.1",
        ),
    ],
)
def test_a_bad_value_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        shell.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].partition(": ")[2].startswith(message)


def test_what_is_not_installed_is_one_line_before_any_training(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("rich", "sklearn") else found(name))
    with pytest.raises(SystemExit) as stop:
        shell.main(["--out", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "python -m lrsched: expected rich and sklearn, got none. Hint: python -m pip install 'lrsched-jax[lab]'.\n"
    )
