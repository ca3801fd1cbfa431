"""What a `Comparison` gives besides its table: columns, a picture, files."""

from typing import Any

import numpy as np
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


def test_a_row_of_the_columns_is_a_run_or_an_evaluation():
    found = made(lost=True)
    runs: Any = found.to_pandas()
    evaluations: Any = found.to_pandas(curves=True)
    assert list(runs)[:5] == ["schedule", "peak", "seed", "best", "diverged"]
    where = "schedule == 'cosine' & peak == 0.4 & seed == 3"
    assert runs.query(where)[["step", "loss"]].to_numpy().tolist() == [[40, 2233]]
    assert evaluations.query(where)[["evaluation", "loss"]].to_numpy().tolist() == [[k + 1, 2230 + k] for k in range(4)]
    means = runs.query("best & ~diverged").groupby("schedule")["test"].mean()
    assert means.to_dict() == {row.name: row.test for row in found.rows}
    assert runs.groupby("schedule")["diverged"].sum()["own"] == 12


def test_what_is_saved_comes_back(tmp_path):
    found = made()
    paths = found.save(tmp_path / "a" / "b")
    assert sorted(path.name for path in paths) == ["comparison.json", "comparison.png", "metrics.npz", "runs.csv"]
    assert all(path.stat().st_size > 100 for path in paths)
    with pytest.raises(ValueError, match=r"schedules=\.\.\.\) needs the schedules that hold functions: {'own': Function"):
        lab.Comparison.load(tmp_path / "a" / "b")
    again = lab.Comparison.load(tmp_path / "a" / "b", schedules={"own": SCHEDULES["own"]})
    for name in ("schedules", "peaks", "seeds", "window", "rows"):
        assert getattr(again, name) == getattr(found, name)
    for name, values in found.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], values)
        assert again.metrics[name].dtype == values.dtype


def test_nothing_to_load_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"finds no comparison.json, which Comparison.save writes$"):
        lab.Comparison.load(tmp_path)
    (tmp_path / "rounds.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"it has the rounds of compare\(folder=\.\.\.\)"):
        lab.Comparison.load(tmp_path)


def test_it_shows_itself():
    found = made({"<b>": SCHEDULES["cosine"], "constant": SCHEDULES["constant"]}, lost=True)
    assert repr(found) == "<Comparison of 2 schedules, 3 peaks, 5 seeds; best: <b>>"
    assert "&lt;" in found._repr_html_()
    assert max(map(len, str(made()).splitlines())) <= 80
    with pytest.raises(KeyError, match=r"knows no \w+ 'typo', but .*constant"):
        found.at_best("loss", "typo")
    rates, way, scores = found.plot(figure=Figure())
    assert [line.get_label() for line in rates.lines] == ["<b>, peak 0.1", "constant, peak 0.1"]
    curves = [found.metrics["loss"][0, 0].mean(axis=0), found.metrics["loss"][1, 0, 0]]  # of the only seed that is left
    np.testing.assert_allclose([np.asarray(line.get_ydata(), np.float64) for line in way.lines[:2]], curves)
    assert [label.get_text() for label in scores.get_yticklabels()] == ["<b>", "constant"]


def test_a_sentence_says_what_the_intervals_say():
    assert table.verdict(made()) == "With 5 seeds no schedule is better than constant with 95 % confidence."
    found = made()
    found.metrics["test"][1:3] += 1e6 + np.arange(5, dtype=np.float32)
    assert table.verdict(found) == "With 5 seeds cosine and plateau are better than constant with 95 % confidence."
