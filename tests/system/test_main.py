"""The main jobs, small: `python -m lrsched`, and `python -m lrsched compare`."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from helpers import exits

import lrsched as ls
from lrsched import __main__ as shell
from lrsched.lab import bakeoff

PNG = b"\x89PNG\r\n\x1a\n"


pytestmark = pytest.mark.usefixtures("relaxing")


def test_the_main_job_writes_a_picture_and_every_runs_numbers(tmp_path, capsys):
    folder = tmp_path / "made"
    small = ["--steps", "60", "--seeds", "2", "--peaks", "0.02", "0.1"]
    assert shell.main([*small, "--out", str(folder), "--png", f"{folder}/more.svg"]) == 0
    said, _, rest = capsys.readouterr().out.partition("\nwrote ")
    assert max(map(len, said.splitlines())) <= 80
    *_, found, _, command = rest.splitlines()
    assert found == "With 2 seeds nothing is decided yet."
    assert command.endswith("lrsched compare --workload digits")
    assert (folder / "more.svg").exists()
    content, schedules = json.loads((folder / "bakeoff.json").read_text()), bakeoff.guide(60)
    assert (folder / "bakeoff.png").read_bytes()[:8] == PNG
    assert len(content["runs"]) == 8 * 2 * 2
    assert {run["schedule"] for run in content["runs"]} == set(schedules)
    assert content["settings"] == {"steps": 60, "seeds": 2, "peaks": [0.02, 0.1], "seed": 0}
    constant = content["table"][0]
    assert (constant["test"] > 0.5, constant["steps_saved"]) == (True, 0)  # chance is 0.1
    for run in content["runs"]:  # the rates in the runs are those of the schedules
        if run["schedule"] != "reduce on plateau":
            expected = (schedules[run["schedule"]] * run["peak"])(np.asarray(run["step"]) - 1)
            np.testing.assert_allclose(run["learning_rate"], expected, rtol=1e-4, atol=1e-9, err_msg=run["schedule"])


def test_compare_writes_everything_and_called_again_only_reads(tmp_path, capsys, monkeypatch):
    two = {name: bakeoff.guide(20)[name] for name in ("constant", "reduce on plateau")}  # of the eleven, to compile less
    monkeypatch.setattr(bakeoff, "schedules", lambda _: two)
    command = ["compare", "--workload", "tabular", "--steps", "20", "--seeds", "2", "--peaks", "0.01", "0.02"]
    assert shell.main([*command, "--out", str(tmp_path)]) == 0
    with (tmp_path / "runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    assert {run["schedule"] for run in runs} == {"constant", "reduce on plateau"}
    assert ({run["peak"] for run in runs}, {run["step"] for run in runs}, len(runs)) == ({"0.01", "0.02"}, {"20"}, 2 * 2 * 2)
    assert (tmp_path / "comparison.png").read_bytes()[:8] == PNG
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "rounds").iterdir()}
    said = capsys.readouterr().out
    assert shell.main([*command, "--out", str(tmp_path)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "rounds").iterdir()} == before
    assert capsys.readouterr().out == said
    problem = f"--steps 30, got {str(tmp_path)!r} with the runs of --workload tabular --steps 20.\nHint: --out FOLDER makes"
    assert problem in exits(capsys, shell.main, *command, "--steps", "30", "--out", str(tmp_path))


DEVICES = """
import os, jax
from lrsched.lab import bakeoff
os.sched_getaffinity = lambda _: range(4)
mesh = bakeoff.several_devices({most})
print(jax.device_count(), mesh and mesh.size)
"""


@pytest.mark.parametrize(
    ("most", "given", "counts"),
    [
        (16, {}, "4 4"),
        (3, {}, "3 3"),  # no more devices than runs at a time
        (1, {}, "1 None"),
        (2, {"JAX_NUM_CPU_DEVICES": "3"}, "3 2"),  # the user's own settings are kept
        (16, {"JAX_NUM_CPU_DEVICES": "1"}, "1 None"),
        (16, {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, "2 2"),
    ],
)
def test_the_commands_use_every_core(most, given, counts):
    env = {name: x for name, x in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
    env |= {"JAX_PLATFORMS": "cpu", **given}
    code = DEVICES.format(most=most)
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == counts


def test_the_candidates_have_a_peak_of_1():
    for name, schedule in bakeoff.schedules(1000).items():
        assert ls.summary(ls.clocks.bind(schedule, ls.clocks.init(schedule)), 1000).peak == pytest.approx(1.0), name


BAD = {
    "--steps many": "argument --steps: expected a whole number, at least 10 and below 2**32, got 'many'.",
    "--peaks 0.1 nan": "argument --peaks: expected rates above 0, such as 0.01 0.1, got 'nan'.",
    "--peaks 0.1 0.2 0.1": "argument --peaks: expected different rates, got 0.1 0.2 0.1.",
    "--seed 4294967296": "argument --seed: expected a whole number, at least 0 and below 2**32, got '4294967296'.",
    "shw x": "expected show or compare, got 'shw'. Hint: did you mean show?",
    "Time()": "expected show or compare, got 'Time()'. Hint: python -m lrsched show 'Linear(...)'.",
    "--png x.nonsense": "argument --png: expected a file to write, got 'x.nonsense'. Hint: Format 'nonsense' is not",
    "--speed 1": "unrecognized arguments: --speed 1. Hint: did you mean --seed?",
    "--comapre": "unrecognized arguments: --comapre. Hint: did you mean compare?",
    "--seed 3 compare --workload chars": "unrecognized arguments: compare --workload chars. Hint: ",
    "compare": "the following arguments are required: --workload",
    "compare --workload tabular --steps 89 --rungs 3": "argument --rungs: expected at least 90 updates for 3 rungs, so that",
    "compare --workload digits --peaks 0.1 0.1": "argument --peaks: expected different rates, got",
}


@pytest.mark.parametrize("arguments", BAD)
def test_a_bad_value_is_one_line_and_exit_code_2(arguments, capsys):
    assert exits(capsys, shell.main, *arguments.split()).splitlines()[-1].partition(": ")[2].startswith(BAD[arguments])


def test_show_takes_what_begins_with_a_minus():
    for expression in ("-Linear(0,1,10)", "-2*Linear(0,1,10)", "-(Time())"):
        assert shell.main(["show", expression, "--json", "--steps", "9"]) == 0


def test_help_lists_the_commands(capsys):
    for arguments in (["--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            shell.main(arguments)
        assert stop.value.code == 0
    said = capsys.readouterr().out
    assert re.search(r"(?s)commands:.*show .*compare ", said)
    assert said.endswith(f"lrsched {ls.__version__}\n")


def test_the_script_is_the_same_command(monkeypatch, capsys):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"lrsched": f"{shell.__name__}:{shell.main.__name__}"}
    monkeypatch.setattr(sys, "argv", ["/some/bin/lrsched", "shw"])
    with pytest.raises(SystemExit):
        shell.main()
    assert capsys.readouterr().err.startswith("lrsched: expected show or compare")


def test_what_is_not_installed_is_one_line_before_any_training(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("rich", "sklearn") else found(name))
    said = "python -m lrsched: expected rich and sklearn, got none. Hint: python -m pip install 'lrsched-jax[lab]'.\n"
    assert exits(capsys, shell.main, "--out", str(tmp_path)) == said
    monkeypatch.undo()
    (tmp_path / "bakeoff.json").mkdir()
    assert "argument --out: expected a folder to write into" in exits(capsys, shell.main, "--out", str(tmp_path))
