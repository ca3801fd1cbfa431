"""What the benchmarks keep and say: not their figures, which are another machine's tomorrow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import relaxed

from benchmarks import breakages, digits_optax, digits_torch, eager, exactness, main_job, report, results
from benchmarks.timing import Row
from lrsched.lab import bakeoff


@pytest.mark.parametrize(
    ("figure", "goal", "met", "regression"),
    [(1.5, 1.5, True, False), (4.5, 1.5, False, False), (4.6, 1.5, False, True), (1, 0, False, True), (None, 1.5, None, False)],
)
def test_a_regression_is_worse_than_three_times_the_goal(figure, goal, met, regression):
    row = Row("", figure, goal, "")
    assert (row.is_met("cpu"), row.is_regression("cpu")) == (met, regression)


@pytest.mark.parametrize("pair", eager._pairs(), ids=lambda pair: pair.name.replace(" ", "_"))
def test_both_sides_of_a_call_have_equal_values(pair):
    steps = [pair.step, 100, 300, 777, 2500, 9000]
    with relaxed():
        theirs = [pair.theirs(pair.step), *jax.vmap(pair.theirs)(jnp.array(steps[1:]))]
        assert isinstance(theirs[0], jax.Array | np.number)
    np.testing.assert_allclose([pair.ours(step) for step in steps], theirs, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("fault", breakages.BREAKAGES, ids=lambda fault: fault.name)
def test_a_breakage_still_fits_the_code(fault):
    text = (breakages.ROOT / fault.file).read_text()
    broken = fault.applied(text)
    compile(broken, fault.file, "exec")
    assert broken != text


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
    rows = [
        Row("fast", 1.0, 1.5, "1 ms"),
        Row("slow", 2.6, 1.5, "3 ms", reason="a power is two loops"),
        Row("gone", None, 1.0, ""),
    ]
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
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.08, momentum=0.9)
    scheduler, theirs = digits_torch.scheduler_of(name, optimizer, 0.08, 100), []
    for _ in range(100):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    # The phases of PyTorch's one-cycle end one step before ours.
    np.testing.assert_allclose(theirs, expected, rtol=1e-5, atol=0.004 if name == "one-cycle" else 0)
