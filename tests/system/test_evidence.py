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
