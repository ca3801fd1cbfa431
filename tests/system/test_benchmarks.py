"""What the benchmarks keep and say: not their figures, which are another machine's tomorrow."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import relaxed

import lrsched as ls
from benchmarks import breakages, bulk, eager, exactness, report, results, sequences
from benchmarks.timing import Row
from lrsched.algebra import shapes

MET, MISSED = Row("fast", 1.0, 1.5, "1 ms"), Row("slow", 2.6, 1.5, "3 ms", reason="a power is two loops")
PLAIN, ABSENT = Row("plain", 7.0, None, "7 of 9", ""), Row("peer", None, 1.0, "torch is not installed")
ROWS = [MET, MISSED, PLAIN, ABSENT]


def measured(*rows, date="2026-01-02", **machine):
    return results.Measured(date, {"processor": "A processor", "cores": 1} | machine, {"Python": "3.11.7"}, list(rows))


def cells(text, name):
    """The cells of the row of that name."""
    [found] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return found.strip("| ").split(" | ")


@pytest.mark.parametrize(
    ("figure", "goal", "met", "regression"),
    [
        (1.5, 1.5, True, False),
        (1.6, 1.5, False, False),
        (4.5, 1.5, False, False),
        (4.6, 1.5, False, True),
        (0, 0, True, False),
        (1, 0, False, True),
        (float("nan"), 1.5, False, True),
        (None, 1.5, None, False),
        (9.0, None, None, False),
    ],
)
def test_a_regression_is_worse_than_three_times_the_goal(figure, goal, met, regression):
    row = Row("", figure, goal, "")
    assert (row.is_met("cpu"), row.is_regression("cpu")) == (met, regression)


def test_a_gpu_has_its_own_goal_where_there_is_one():
    row = Row("", 3.5, 1.0, "", gpu_goal=4.0)
    assert (row.is_met("cpu"), row.is_regression("cpu")) == (False, True)
    assert (row.is_met("gpu"), row.is_regression("gpu")) == (True, False)
    assert MISSED.is_met("gpu") is False


def test_a_run_replaces_what_it_measured_and_nothing_else():
    kept = {"cpu": {"bulk": measured(MET), "gone": measured(MET), "eager": measured(PLAIN)}, "gpu": {"bulk": measured(PLAIN)}}
    found = results.merged(kept, "cpu", {"bulk": measured(MISSED)}, ("eager", "bulk", "new"))
    assert found == {"cpu": {"eager": measured(PLAIN), "bulk": measured(MISSED)}, "gpu": {"bulk": measured(PLAIN)}}
    assert list(found["cpu"]) == ["eager", "bulk"]
    first = results.merged({}, "gpu", {"new": measured(MET)}, ("new",))
    assert first == {"gpu": {"new": measured(MET)}}


def test_results_are_read_as_they_were_written(tmp_path):
    kept = {"cpu": {"bulk": measured(*ROWS)}, "gpu": {"bulk": measured(PLAIN, gpu="A card")}}
    assert results.load(tmp_path / "none.json") == {}
    results.save(kept, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == kept
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"cpu", "gpu"}


def test_a_table_has_a_row_for_each_figure():
    text = report.tables({"cpu": {"bulk": measured(*ROWS)}}, {"eager": "Calls", "bulk": "Many steps"})
    assert "### Many steps\n" in text
    assert "Calls" not in text
    assert "`--only bulk`: CPU goals: 1 met, 1 missed, 1 without one; 1 not measured.\n" in text
    assert "CPU: Measured on 2026-01-02: A processor, 1 core used; Python 3.11.7.\n" in text
    assert "| benchmark | goal | CPU | details |\n" in text
    assert cells(text, "fast") == ["fast", "≤ 1.5", "1 ×", "1 ms"]
    assert cells(text, "slow") == ["slow", "≤ 1.5", "**2.6 ×**, missed", "3 ms; missed because a power is two loops"]
    assert cells(text, "plain") == ["plain", "", "7", "7 of 9"]
    assert cells(text, "peer") == ["peer", "≤ 1", "not measured", "torch is not installed"]


def test_only_what_is_between_the_markers_is_written(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    for _ in range(2):
        report.write({"cpu": {"bulk": measured(MET)}}, {"bulk": "Many steps"}, path)
    text = path.read_text()
    assert text.startswith(f"before\n{report.BEGIN}")
    assert text.endswith(f"{report.END}after\n")
    assert "old" not in text
    assert text.count("| fast |") == 1


LINE = CASES["linear to 0"]


def found(values):
    """The error of values at the steps up to 1001."""
    truth = exactness.Truth(LINE, 1000, LINE.make(1000), np.arange(1002))
    return truth.error("eager", np.asarray(values, np.float32))


def test_an_error_is_in_units_of_the_last_place():
    values = np.array(LINE.make(1000)(np.arange(1002)))
    assert found(values).ulps <= 0.5
    for step in (1, 500, 999):
        for ulps in (3, 50):
            moved = values.copy()
            moved[step] += ulps * np.spacing(values[step])
            error = found(moved)
            assert (error.step, error.length, error.values) == (step, 1000, 1002)
            assert abs(error.ulps - ulps) <= 0.5
    values[7] = np.nan
    assert found(values).ulps == np.inf


def test_a_step_too_late_is_a_large_error():
    values = np.asarray(LINE.make(1000)(np.arange(-1, 1001)))
    assert found(values).ulps > 1e6
    assert found(values).wrong == (1000,)


def test_what_is_given_is_compared_bit_for_bit():
    values = np.array(LINE.make(1000)(np.arange(1002)))
    assert found(values).given == 3
    values[0] = np.nextafter(values[0], np.float32(1))
    assert found(values).wrong == (0,)


@pytest.mark.parametrize("quick", [False, True])
def test_the_steps_of_a_run(quick):
    case = CASES["warmup_cosine"]
    short, long = exactness.steps_of(case, 1000, quick), exactness.steps_of(case, 2**31 - 2, quick)
    assert quick or set(range(1001)) <= set(short.tolist())
    for n, steps in ((1000, short), (2**31 - 2, long)):
        near = {b + i for b in (0, n // 10, n) for i in range(-3, 4)}
        assert {t for t in near if 0 <= t <= 2**31 - 1} <= set(steps.tolist())
    assert len(long) < 1000


def test_every_shape_is_called_with_many_steps():
    own = [x for x in vars(shapes).values() if isinstance(x, type) and x.__module__ == shapes.__name__]
    classes = {cls for cls in own if issubclass(cls, ls.Schedule)} - {shapes.Ramp, ls.Function}
    assert classes <= {type(schedule) for _, schedule, _ in bulk.SHAPES}


@pytest.mark.parametrize("pair", eager._pairs(), ids=lambda pair: pair.name.replace(" ", "_"))
def test_both_sides_of_a_call_have_equal_values(pair):
    steps = [pair.step, 100, 300, 777, 2500, 9000]
    with relaxed():
        theirs = [pair.theirs(pair.step), *jax.vmap(pair.theirs)(jnp.array(steps[1:]))]
        assert isinstance(theirs[0], jax.Array | np.number)
    np.testing.assert_allclose([pair.ours(step) for step in steps], theirs, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("n", [2, 8, 32])
def test_both_sides_of_a_sequence_have_equal_values(n):
    steps = np.array([0, 100, 500, 999, 1000, 1500, 1999, 2000, 3700, n * 1000 - 1, n * 1000])
    with relaxed():
        theirs = sequences._theirs(n)(jnp.asarray(steps))
    np.testing.assert_allclose(sequences._ours(n)(steps), theirs, rtol=1e-5)


@pytest.mark.parametrize("fault", breakages.BREAKAGES, ids=lambda fault: fault.name)
def test_a_breakage_still_fits_the_code(fault):
    text = (breakages.ROOT / fault.file).read_text()
    broken = fault.applied(text)
    compile(broken, fault.file, "exec")
    assert broken != text
