"""What the benchmarks and `benchmarks/evidence.md` keep and say: not their figures, which are another machine's tomorrow."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import relaxed

from benchmarks import (
    breakages,
    digits_optax,
    eager,
    evidence,
    evidence_report,
    exactness,
    law,
    law_report,
    main_job,
    report,
    results,
)
from benchmarks.evidence_report import Evidence
from benchmarks.timing import Row
from lrsched.lab import bakeoff, candidates
from lrsched.lab.workloads import WORKLOADS


@pytest.mark.parametrize("pair", eager._pairs(), ids=lambda pair: pair.name.replace(" ", "_"))
def test_both_sides_of_a_call_have_equal_values(pair):
    steps = [pair.step, 100, 300, 777, 2500, 9000]
    with relaxed():
        theirs = [pair.theirs(pair.step), *jax.vmap(pair.theirs)(jnp.array(steps[1:]))]
        assert isinstance(theirs[0], jax.Array | np.number)
    np.testing.assert_allclose([pair.ours(step) for step in steps], theirs, rtol=1e-5, atol=1e-12)


def test_every_breakage_still_fits_the_code():
    for fault in breakages.BREAKAGES:
        compile(fault.applied((breakages.ROOT / fault.file).read_text()), fault.file, "exec")


def test_an_error_is_in_units_of_the_last_place():
    case, steps = CASES["linear to 0"], np.arange(1002)
    truth, values = exactness.Truth(case, 1000, case.make(1000), steps), np.array(case.make(1000)(steps))
    assert truth.error("eager", values, None).ulps <= 0.5
    late = truth.error("eager", np.asarray(case.make(1000)(steps - 1)), None)
    assert (late.ulps > 1e6, late.wrong) == (True, (1000,))
    values[500] += 50 * np.spacing(values[500])
    error = truth.error("eager", values, None)
    assert (error.step, abs(error.ulps - 50) <= 0.5) == (500, True)


def test_a_table_has_a_row_for_each_figure(tmp_path):
    slow = Row("slow", 2.6, 1.5, "3 ms", reason="a power is two loops")
    rows = [Row("fast", 1.0, 1.5, "1 ms"), slow, Row("gone", None, 1.0, "")]
    assert [Row("", figure, 1.5, "").is_regression("cpu") for figure in (4.5, 4.6, None)] == [False, True, False]
    measured = results.Measured("2026-01-02", {"processor": "A processor", "cores": 1}, {"Python": "3.11.7"}, rows)
    results.save({"cpu": {"bulk": measured}}, tmp_path / "results.json")
    text = report.tables(results.load(tmp_path / "results.json"), {"eager": "Calls", "bulk": "Many steps"})
    assert "`--only bulk`: CPU goals: 1 met, 1 missed" in text
    assert "| slow | ≤ 1.5 | **2.6 ×**, missed | 3 ms; missed because a power is two loops |" in text


@pytest.mark.parametrize("name", [name for name in main_job.NAMES if name != "reduce on plateau"])
def test_the_peers_have_the_schedules_of_the_main_job(name):
    expected = (0.08 * bakeoff.guide_schedules(100)[name])(np.arange(100))
    with relaxed():
        theirs = jax.vmap(digits_optax.schedule_of(name, 0.08, 100))(np.arange(100))
        np.testing.assert_allclose(np.broadcast_to(theirs, 100), expected, rtol=2e-4)


def test_the_evidence_is_measured_and_written(tmp_path, capsys, monkeypatch):
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


def test_the_evidence_that_is_committed_is_what_its_numbers_say():
    kept = {name: Evidence(**found) for name, found in json.loads(evidence.NUMBERS.read_text()).items()}
    assert list(kept) == list(WORKLOADS)
    assert evidence.TEXT.read_text() == evidence_report.text(kept)
    for name, found in kept.items():
        assert [row["name"] for row in found.rows] == [candidate.name for candidate in candidates.ALL]
        assert found.seeds >= 20
        assert (evidence.HERE / f"evidence_{name}.png").exists()


def test_the_report_of_the_law_is_what_its_numbers_say():
    kept = json.loads((law.HERE / "law.json").read_text())
    assert list(kept) == ["published", *law.OWN]
    assert (law.HERE / "law.md").read_text() == law_report.text(kept)
