"""What a `Comparison` gives besides its table: columns, a picture, files."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import lrsched as ls
from lrsched import lab
from lrsched.lab.compare import table
from lrsched.lab.compare.trials import Trial

SCHEDULES = {
    "constant": ls.Constant(1.0),
    "cosine": ls.Cosine(1.0, 0.0, 40),
    "plateau": ls.reduce_on_plateau(patience=2),
    "own": ls.Function(lambda t: 1.0 / (1.0 + t)),
}
PEAKS, SEEDS, EVALUATIONS = (0.1, 0.2, 0.4), 5, 4


def made(schedules=SCHEDULES, lost=False):
    """Numbers that are easy to know again: schedule, peak, seed and evaluation are their digits."""
    trials = tuple(Trial(name, "", peak, schedule * peak) for name, schedule in schedules.items() for peak in PEAKS)
    t, n, e = np.indices((len(trials), SEEDS, EVALUATIONS))
    loss = (1000 * (t // 3 + 1) + 100 * (t % 3) + 10 * n + e).astype(np.float32)
    metrics = {
        "step": 10 * (e + 1),
        "loss": loss,
        "validation": -loss,
        "test": -loss[..., -1] / 2,
        "learning_rate": loss * 1e-4,
        "weights": np.zeros((*loss.shape[:2], 2, 2), np.float32),
    }
    if lost:
        metrics["loss"][-3:, 1:] = np.nan
    return lab.Comparison(trials, SEEDS, "constant", metrics, 2, {"compiling": 1.0, "running": 2.0})


def test_a_row_of_the_columns_is_a_run_or_an_evaluation():
    found = made(lost=True)
    runs: Any = found.to_pandas()
    evaluations: Any = found.to_pandas(curves=True)
    assert isinstance(found.to_pandas(), pd.DataFrame)
    assert list(runs)[:5] == ["schedule", "setting", "peak", "seed", "best"]
    where = "schedule == 'cosine' & peak == 0.4 & seed == 3"
    assert runs.query(where)[["step", "loss"]].to_numpy().tolist() == [[40, 2233]]
    assert evaluations.query(where)[["evaluation", "loss"]].to_numpy().tolist() == [[k + 1, 2230 + k] for k in range(4)]
    means = runs.query("best & ~diverged").groupby("schedule")["test"].mean()
    assert means.to_dict() == {row.name: row.test for row in found.rows}
    assert runs.groupby("schedule")["diverged"].sum()["own"] == 12


def test_what_is_saved(tmp_path):
    found = made()
    paths = found.save(tmp_path / "a" / "b")
    assert [path.name for path in paths] == ["comparison.json", "runs.csv", "comparison.png"]
    kept = json.loads(paths[0].read_text())
    assert (kept["table"][1]["name"], kept["runs"][3 * SEEDS]["loss"]) == ("cosine", [2000, 2001, 2002, 2003])
    assert pd.read_csv(paths[1])["loss"].tolist() == found.columns()["loss"].tolist()
    assert paths[2].stat().st_size > 1000


def test_it_shows_itself():
    found = made({"<b>": SCHEDULES["cosine"], "constant": SCHEDULES["constant"]}, lost=True)
    assert repr(found) == "<Comparison of 2 schedules, 6 trials, 5 seeds; best: <b>>"
    assert "&lt;" in found._repr_html_()
    for names in (SCHEDULES, {"constant": SCHEDULES["constant"], "a warm-up, and then a plateau " * 2: SCHEDULES["plateau"]}):
        assert max(map(len, str(made(names)).splitlines())) <= 80
    rates, way, scores = found.plot(figure=Figure())
    assert [line.get_label() for line in rates.lines] == ["<b>, peak 0.1", "constant, peak 0.1"]
    curves = [found.metrics["loss"][0].mean(axis=0), found.metrics["loss"][3, 0]]  # of the only seed that is left
    np.testing.assert_allclose([np.asarray(line.get_ydata(), np.float64) for line in way.lines[:2]], curves)
    assert [label.get_text() for label in scores.get_yticklabels()] == ["<b>", "constant"]


def test_a_sentence_says_what_the_intervals_say():
    assert table.verdict(made()) == "With 5 seeds no schedule is better than constant with 95 % confidence."
    found = made()
    found.metrics["test"][3:9] += 1e6 + np.arange(5, dtype=np.float32)
    assert table.verdict(found) == "With 5 seeds cosine and plateau are better than constant with 95 % confidence."
