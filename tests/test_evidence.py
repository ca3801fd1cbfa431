"""What `benchmarks/evidence.md` says, of measurements that are made up, and that what is committed is what its numbers say."""

import json

import numpy as np
import pytest

from benchmarks import evidence, evidence_report
from benchmarks.evidence_report import Evidence
from lrsched import lab
from lrsched.lab import candidates
from lrsched.lab.workloads import WORKLOADS

NAMES = [candidate.name for candidate in candidates.ALL]


def row(name, gain=(0.0, -0.1, 0.1), saved=(0.0, -0.1, 0.1), short=(0.0, -0.1, 0.1), **changes):
    return {
        "name": name,
        "numbers": ["peak", "two milestones"],
        "peak": 0.5,
        "on_the_edge": False,
        "test": 0.9,
        "test_interval": [0.8, 1.0],
        "gain": gain[0],
        "gain_interval": list(gain[1:]),
        "steps_saved": saved[0],
        "steps_saved_interval": list(saved[1:]),
        "reached": 20,
        "diverged": 0,
        "lost_over_the_grid": 0.25,
        "shorter": {"0.7": {"gain": short[0], "gain_interval": list(short[1:])}},
        **changes,
    }


def made(**rows):
    return Evidence(
        date="2026-01-01",
        machine={"processor": "an abacus", "cores": 2},
        versions={"Python": "3.11"},
        description="something learns",
        score="accuracy",
        steps=1000,
        peaks=[0.5, 1.0],
        seeds=20,
        data={"source": "nowhere", "rows": {"train": 1000, "test": 10}, "sha256": "0123456789abcdef"},
        seconds={"compiling": 30.0, "running": 90.0},
        rows=[row(name, **rows.get(name.replace("-", "_").replace(" ", "_"), {})) for name in NAMES],
    )


def test_better_worse_sooner_and_never_are_told_apart():
    found = made(
        step={"gain": (0.2, 0.1, 0.3), "saved": (0.35, 0.1, 0.4)},
        cyclic={"gain": (-0.2, -0.3, -0.1), "saved": (None, None, None)},
        one_cycle={"short": (0.2, 0.1, 0.3), "saved": (0.2, None, 0.5)},
        multi_step={"diverged": 3, "on_the_edge": True},
    )
    text = evidence_report.text({"toy": found})
    assert "Better than the best constant rate: step. Worse: cyclic. No difference that 20 seeds show: multi-step, exp" in text
    assert "There earlier: step. There 30 % of the steps earlier or more, in the median: step." in text
    assert "With 30% fewer steps better than the whole constant run: one-cycle. With 30% fewer steps worse: none." in text
    lines = {
        line.split(" | ")[0].removeprefix("| "): line for line in text.split("## toy")[1].splitlines() if line.startswith("| ")
    }
    assert "**+0.2000 [+0.1000, +0.3000]** | **+35% [+10%, +40%]**" in lines["step"]
    assert "**never [never, never]**" in lines["cyclic"]
    assert "| +20% [never, +50%] |" in lines["one-cycle"]
    assert "0.5 (end of the grid)" in lines["multi-step"]
    assert ", 3 diverged" in lines["multi-step"]
    assert lines["constant"].count("|  |") == 1
    assert "3: peak, two milestones" in lines["step"]
    assert "440 runs in\n2 minutes" in text


def test_the_text_has_a_column_a_workload():
    text = evidence_report.text({"one": made(), "two": made()})
    (heading,) = [line for line in text.splitlines() if line.startswith("| schedule | speed")]
    for name in ("one", "two"):
        assert f"steps saved, {name}" in heading
        assert f"score against constant, {name}" in heading
        assert f"## {name}" in text


def test_shorter_runs_are_set_against_whole_ones_of_the_best_constant_rate():
    def comparison(tests):
        tests = np.asarray(tests, np.float32)[:, None]
        curves = np.zeros((*tests.shape, 1), np.float32)
        metrics = {"loss": curves, "validation": curves, "test": tests}
        schedules = {name: candidates.CONSTANT.make(10) for name in ("constant", "other")}
        return lab.Comparison(schedules, (1.0,), tests.shape[-1], "constant", metrics, 1, {})

    whole = comparison([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]])
    short = comparison([[0.0, 1.0, 2.0], [2.0, np.nan, 4.0]])
    constant, other = evidence._gains(short, whole)
    assert constant == {"gain": -1.0, "gain_interval": (-1.0, -1.0)}
    assert other == {"gain": 1.0, "gain_interval": (1.0, 1.0)}  # of the seeds that did not diverge


@pytest.mark.skipif(not evidence.NUMBERS.exists(), reason="nothing was measured yet")
def test_what_is_committed_is_what_its_numbers_say():
    kept = {name: Evidence(**found) for name, found in json.loads(evidence.NUMBERS.read_text()).items()}
    assert list(kept) == list(WORKLOADS)
    assert evidence.TEXT.read_text() == evidence_report.text(kept)
    for name, found in kept.items():
        assert [row["name"] for row in found.rows] == NAMES
        assert found.seeds >= 20
        assert (evidence.HERE / f"evidence_{name}.png").exists()
