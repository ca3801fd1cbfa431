"""What a `Comparison` gives besides its table: columns, a picture, files."""

import csv
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import lrsched as ls
from lrsched import lab
from lrsched.lab.comparing import table

SCHEDULES = {
    "constant": ls.Constant(1.0),
    "cosine": ls.Cosine(1.0, 0.0, 40),
    "plateau": ls.reduce_on_plateau(patience=2),
    "own": ls.Function(lambda t: 1.0 / (1.0 + t)),
}
PEAKS, SEEDS, EVALUATIONS = (0.1, 0.2, 0.4), 5, 4


def made(schedules=SCHEDULES, lost=False):
    """Numbers that are easy to know again: schedule, peak, seed and evaluation are their digits."""
    shape = len(schedules), len(PEAKS), SEEDS, EVALUATIONS
    s, p, n, e = np.indices(shape)
    loss = (1000 * (s + 1) + 100 * p + 10 * n + e).astype(np.float32)
    metrics = {
        "step": 10 * (e + 1),
        "loss": loss,
        "validation": -loss,
        "test": -loss[..., -1] / 2,
        "learning_rate": loss * 1e-4,
        "weights": np.zeros((*shape[:3], 2, 2), np.float32),
    }
    if lost:
        metrics["loss"][-1, :, 1:] = np.nan
    return lab.Comparison(dict(schedules), PEAKS, SEEDS, "constant", metrics, 2, {"compiling": 1.0, "running": 2.0})


def cells_of(found, name):
    """The cells of a schedule in the table, a mark of an end of the peaks apart."""
    (line,) = [line for line in str(found).splitlines() if line.startswith(f"{name} ")]
    return [cell.strip("<>") for cell in line.split()[1:]]


def test_a_row_of_the_columns_is_a_run():
    columns = made().columns()
    assert list(columns) == [
        "schedule",
        "peak",
        "seed",
        "best",
        "diverged",
        "step",
        "loss",
        "validation",
        "test",
        "learning_rate",
    ]
    assert {len(values) for values in columns.values()} == {4 * 3 * 5}
    row = {name: values[1 * 15 + 2 * 5 + 3] for name, values in columns.items()}
    assert (row["schedule"], row["peak"], row["seed"], row["step"], row["loss"]) == ("cosine", 0.4, 3, 40, 2233)
    assert columns["best"].reshape(4, 3, 5).tolist() == [[[True] * 5, [False] * 5, [False] * 5]] * 4


def test_with_curves_it_is_an_evaluation():
    columns = made().columns(curves=True)
    assert "test" not in columns
    row = {name: values[1 * 60 + 2 * 20 + 3 * 4 + 1] for name, values in columns.items()}
    assert (row["schedule"], row["peak"], row["seed"], row["evaluation"], row["loss"]) == ("cosine", 0.4, 3, 2, 2231)


def test_pandas_gets_the_columns():
    found = made(lost=True)
    frame: Any = found.to_pandas()
    assert isinstance(found.to_pandas(), pd.DataFrame)
    assert frame.query("best & ~diverged").groupby("schedule")["test"].mean().to_dict() == {
        row.name: row.test for row in found.rows
    }
    assert frame.groupby("schedule")["diverged"].sum()["own"] == 12
    assert len(found.to_pandas(curves=True)) == 4 * 3 * 5 * 4


def test_what_is_saved_comes_back(tmp_path):
    found = made()
    paths = found.save(tmp_path / "a" / "b")
    assert sorted(path.name for path in paths) == ["comparison.json", "comparison.png", "metrics.npz", "runs.csv"]
    assert all(path.stat().st_size > 100 for path in paths)
    with pytest.raises(
        ValueError, match=r"Comparison.load\(.*, schedules=\.\.\.\) needs the schedules that hold functions: {'own': Function"
    ):
        lab.Comparison.load(tmp_path / "a" / "b")
    again = lab.Comparison.load(tmp_path / "a" / "b", schedules={"own": SCHEDULES["own"]})
    assert (again.schedules, again.peaks, again.seeds, again.window) == (
        found.schedules,
        found.peaks,
        found.seeds,
        found.window,
    )
    assert again.rows == found.rows
    for name, values in found.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], values)
        assert again.metrics[name].dtype == values.dtype


def test_the_saved_table_and_columns_can_be_read_without_the_library(tmp_path):
    found = made({name: SCHEDULES[name] for name in ("constant", "cosine")}, lost=True)
    found.save(tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["name"] for row in content["table"]] == ["constant", "cosine"]
    assert content["table"][1]["test"] is not None
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 5
    assert float(rows[-1]["test"]) == found.metrics["test"][-1, -1, -1]
    assert lab.Comparison.load(tmp_path).columns().keys() == found.columns().keys()


def test_nothing_to_load_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"finds no comparison.json, which Comparison.save writes$"):
        lab.Comparison.load(tmp_path)
    (tmp_path / "rounds.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"it has the rounds of compare\(folder=\.\.\.\)"):
        lab.Comparison.load(tmp_path)


def test_it_shows_itself():
    found = made()
    assert repr(found) == "<Comparison of 4 schedules, 3 peaks, 5 seeds; best: constant>"
    assert "&lt;" in made({"<b>": SCHEDULES["cosine"], "constant": SCHEDULES["constant"]})._repr_html_()
    assert "against constant" in found._repr_html_()
    assert max(map(len, str(found).splitlines())) <= 80


def test_a_sentence_says_what_the_intervals_say():
    assert table.verdict(made()) == "With 5 seeds no schedule is better than constant with 95 % confidence"
    found = made()
    found.metrics["test"][1:3] += 1e6 + np.arange(5, dtype=np.float32)
    assert table.verdict(found) == "With 5 seeds cosine and plateau are better than constant with 95 % confidence"


@pytest.mark.parametrize(("metric", "name"), [("loss", "typo"), ("typo", "cosine")])
def test_a_name_that_is_not_there_is_an_error_with_those_that_are(metric, name):
    with pytest.raises(KeyError, match=r"knows no \w+ 'typo', but .*(constant|loss)"):
        made().at_best(metric, name)


def y(axes, line):
    return np.asarray(axes.lines[line].get_ydata(), np.float64)


def test_the_picture_has_the_rates_the_way_and_the_scores():
    found = made(lost=True)
    figure = Figure()
    rates, way, scores = drawn = found.plot(figure=figure)
    assert figure.axes == drawn
    assert [line.get_label() for line in rates.lines] == [
        "constant, peak 0.1",
        "cosine, peak 0.1",
        "plateau, peak 0.1 (first seed)",
        "own, peak 0.1",
    ]
    np.testing.assert_allclose(y(rates, 1), (ls.Cosine(0.1, 0.0, 40))(np.arange(40)), rtol=1e-6)
    np.testing.assert_allclose(y(way, 1), found.metrics["loss"][1, 0].mean(axis=0))
    np.testing.assert_allclose(y(way, 3), found.metrics["loss"][3, 0, 0])  # of the only seed that is left
    assert [label.get_text() for label in scores.get_yticklabels()] == ["constant", "cosine", "plateau", "own"]
    assert way.get_yscale() == "log"
    assert found.plot(metric="validation", figure=Figure())[1].get_yscale() == "linear"


@pytest.mark.parametrize(("scale", "shown"), [(1e-3, "-0.512"), (1.0, "-512"), (1e-6, "-0.000511"), (1e20, "-5.115e+22")])
def test_the_table_has_as_many_digits_as_the_scores_need(scale, shown):
    found = made({name: SCHEDULES[name] for name in ("constant", "cosine")})
    found.metrics["test"] = (found.metrics["test"] * scale).astype(np.float32)
    assert cells_of(found, "constant")[1] == shown
    assert "…" not in str(found)


def test_a_metric_that_is_no_curve_is_refused():
    with pytest.raises(
        ValueError, match=r"plot\(metric='test'\) must be a metric with a value an evaluation: step, loss, validation"
    ):
        made().plot(metric="test")
