"""What `benchmarks/evidence.md` says, of measurements that are made up, and that what is committed is what its numbers say."""

import json
import re

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
        "numbers": ["peak", "milestone", "factor"],
        "peak": 0.5,
        "on_the_edge": False,
        "test": 0.9,
        "test_interval": [0.8, 1.0],
        "gain": gain[0],
        "gain_interval": list(gain[1:]),
        "steps_saved": saved[0],
        "steps_saved_interval": list(saved[1:]),
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
        rows=[row(name, **rows.get(name.replace("-", "_").replace(" ", "_"), {})) for name in NAMES],
    )


def test_better_worse_sooner_and_never_are_told_apart():
    found = made(
        step={"gain": (0.2, 0.1, 0.3), "saved": (0.35, 0.1, 0.4)},
        cyclic={"gain": (-0.2, -0.3, -0.1), "saved": ("never", "never", "never")},
        one_cycle={"short": (0.2, 0.1, 0.3), "saved": (0.2, "never", 0.5)},
        multi_step={"diverged": 3, "on_the_edge": True, "lost_over_the_grid": "some diverge"},
        exponential={"gain": (None, None, None), "saved": (None, None, None), "test": None, "test_interval": [None, None]},
    )
    text = evidence_report.text({"toy": found})
    assert "better than the best constant rate: step; worse: cyclic\n" in text
    assert "surely earlier where it ends: step; never there: cyclic\n" in text
    assert "30 % of the steps earlier or more: step\n" in text
    assert "with 30 % fewer steps better than the whole constant run: one-cycle; worse: none\n" in text
    assert "Of 10 pairs of a schedule and a workload 1 end better than the best constant rate, 1 worse; 1 are surely" in text
    assert "With 30 % fewer steps 1 are better than it is, 0 worse, and the rest show no difference." in text
    lines = {
        line.split(" | ")[0].removeprefix("| "): line for line in text.split("## toy")[1].splitlines() if line.startswith("| ")
    }
    assert "**+0.2000 [+0.1000, +0.3000]** | **+35% [+10%, +40%]**" in lines["step"]
    assert "| never [never, never] |" in lines["cyclic"]
    assert "| +20% [never, +50%] |" in lines["one-cycle"]
    assert "0.5 (end of the grid)" in lines["multi-step"]
    assert ", 3 diverged" in lines["multi-step"]
    assert "| some diverge |" in lines["multi-step"]
    assert "| - [-, -] | - [-, -] | - [-, -] |" in lines["exponential"]
    assert lines["constant"].count("|  |") == 1
    assert "3: peak, milestone, factor" in lines["step"]
    assert "440 runs, and\n220 shorter ones" in text


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
    whole = comparison([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]])
    whole.metrics["loss"] = whole.metrics["loss"].copy()
    whole.metrics["loss"][0, 0, 2] = np.nan  # a baseline that diverged counts no more, whatever its score
    assert np.isnan(evidence._gains(short, whole)[1]["gain_interval"]).all()


def test_it_measures_and_writes(tmp_path, capsys, monkeypatch):
    few = candidates.ALL[0], candidates.ALL[5], candidates.ALL[7]
    monkeypatch.setattr(candidates, "ALL", few)
    monkeypatch.setattr(evidence, "SHORTER", (0.5,))
    small = ["--workload", "tabular", "--seeds", "2", "--steps", "20", "--out", str(tmp_path)]
    assert evidence.main(small) == 0
    kept = json.loads((tmp_path / "evidence.json").read_text())["tabular"]
    assert [row["name"] for row in kept["rows"]] == ["constant", "reduce on plateau", "one-cycle"]
    assert all(set(row["shorter"]) == {"0.5"} for row in kept["rows"])
    text = (tmp_path / "evidence.md").read_text()
    assert text == evidence_report.text({"tabular": Evidence(**kept)})
    assert (tmp_path / "evidence_tabular.png").exists()
    assert "3 schedules × 8 peak rates × 2 seeds" in capsys.readouterr().out
    assert evidence.main(small) == 0  # from the rounds that are kept
    assert (tmp_path / "evidence.md").read_text() == text


def test_a_peak_at_which_runs_are_lost_is_as_bad_as_can_be():
    shape = (11, 4, 3)
    scores = np.broadcast_to(np.asarray([0.1, 0.3, 0.4, 0.2])[:, None], shape).astype(np.float32)
    metrics = {"loss": np.ones((*shape, 1), np.float32), "validation": scores[..., None], "test": scores}
    metrics["loss"][1, 3, 0] = metrics["loss"][2, 1:, 0] = np.nan
    schedules = candidates.schedules(candidates.ALL, 10)
    found = lab.Comparison(schedules, (1.0, 2.0, 4.0, 8.0), 3, "constant", metrics, 1, {})
    lost = [evidence._row(found, c, row)["lost_over_the_grid"] for c, row in zip(candidates.ALL, found.rows, strict=True)]
    assert lost[:2] == [pytest.approx(0.15), pytest.approx(0.2)]
    assert lost[2] == "some diverge"


def test_what_is_committed_is_what_its_numbers_say():
    kept = {name: Evidence(**found) for name, found in json.loads(evidence.NUMBERS.read_text()).items()}
    assert list(kept) == list(WORKLOADS)
    assert evidence.TEXT.read_text() == evidence_report.text(kept)
    for name, found in kept.items():
        assert [row["name"] for row in found.rows] == NAMES
        assert found.seeds >= 20
        assert (evidence.HERE / f"evidence_{name}.png").exists()


def test_the_readme_says_of_it_what_it_says():
    text, readme = (" ".join(path.read_text().split()) for path in (evidence.TEXT, evidence.HERE.parent / "README.md"))
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    found = re.search(
        r"Of (\d+) pairs .*? (\d+) end better than the best constant rate, (\d+) worse.*?With 30 % fewer steps (\d+) are better"
        r" .*?, (\d+) worse.*?With 50 % fewer steps (\d+) are better .*?, (\d+) worse",
        text,
    )
    assert found
    pairs, better, worse, better_30, worse_30, better_50, worse_50 = map(int, found.groups())
    for said in (
        f"Of {pairs} pairs of a schedule and a workload {words[better]} end better than the best constant rate",
        f"most of them on the transformer, and {words[worse]} worse.",
        f"with 30 % fewer steps, {words[better_30]} still are better than the constant rate in its whole run, and",
        f"and {words[worse_30]} are worse; with 50 % fewer steps {words[better_50]} is better",
        f"is better, and {words[worse_50]} are worse.",
    ):
        assert said in readme
