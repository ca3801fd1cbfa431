"""What `benchmarks/evidence.md` says, of measurements that are made up, and that what is committed is what its numbers say."""

import json

from benchmarks import evidence, evidence_report
from benchmarks.evidence_report import Evidence
from lrsched.lab import candidates
from lrsched.lab.workloads import WORKLOADS

NAMES = [candidate.name for candidate in candidates.ALL]


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


def test_what_is_committed_is_what_its_numbers_say():
    kept = {name: Evidence(**found) for name, found in json.loads(evidence.NUMBERS.read_text()).items()}
    assert list(kept) == list(WORKLOADS)
    assert evidence.TEXT.read_text() == evidence_report.text(kept)
    for name, found in kept.items():
        assert [row["name"] for row in found.rows] == NAMES
        assert found.seeds >= 20
        assert (evidence.HERE / f"evidence_{name}.png").exists()
