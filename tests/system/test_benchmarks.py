"""The benchmarks and the reports that they write: not their figures, which differ between machines."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import relaxed

from benchmarks import breakages, digits_optax, eager, evidence, evidence_report, law, law_report, main_job
from benchmarks.evidence_report import Evidence
from lrsched.lab import bakeoff
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


@pytest.mark.parametrize("name", [name for name in main_job.NAMES if name != "reduce on plateau"])
def test_the_peers_have_the_schedules_of_the_main_job(name):
    expected = (0.08 * bakeoff.guide(100)[name])(np.arange(100))
    with relaxed():
        theirs = jax.vmap(digits_optax.schedule_of(name, 0.08, 100))(np.arange(100))
        np.testing.assert_allclose(np.broadcast_to(theirs, 100), expected, rtol=2e-4)


def test_the_evidence_that_is_committed_is_what_its_numbers_say():
    kept = {name: Evidence(**found) for name, found in json.loads(evidence.NUMBERS.read_text()).items()}
    assert list(kept) == list(WORKLOADS)
    assert evidence.TEXT.read_text() == evidence_report.text(kept)
    for name, found in kept.items():
        assert [row["name"] for row in found.rows] == list(bakeoff.schedules(1000))
        assert found.seeds >= 20
        assert (evidence.HERE / f"evidence_{name}.png").exists()


def test_the_report_of_the_law_is_what_its_numbers_say():
    kept = json.loads((law.HERE / "law.json").read_text())
    assert list(kept) == ["published", *law.OWN]
    assert (law.HERE / "law.md").read_text() == law_report.text(kept)
