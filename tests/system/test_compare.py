"""`lrsched.lab.compare` on a task whose outcome is known, and what it refuses."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

import lrsched as ls
from lrsched import lab
from lrsched.lab.comparing import statistics, table

PEAKS = [0.1, 0.5, 1.6, 2.5]
SCHEDULES = {
    "constant": ls.Constant(1.0),
    "linear": ls.Linear(1.0, 0.0, 30),
    "plateau": ls.reduce_on_plateau(factor=0.5, patience=2),
}

PURE = {"constant": ls.Constant(1.0)}


def descend(schedule, key):
    """Gradient descent on ½x² from a random start: with a constant rate r, x shrinks by 1 - r a step."""

    def body(carry, step):
        x, state = carry
        x = x - ls.evaluate(schedule, state) * x
        state = ls.tick(schedule, state, value=0.5 * x**2)
        return (x, state), (step + 1, 0.5 * x**2, ls.evaluate(schedule, state))

    start = 1.0 + jax.random.uniform(key)
    _, (steps, losses, rates) = jax.lax.scan(body, (start, ls.init(schedule)), jnp.arange(30))
    return {"step": steps, "loss": losses, "validation": -losses, "test": -losses[-1], "rate": rates}


def compare(train=descend, schedules=None, **options):
    options = {"peaks": PEAKS, "seeds": 3, "show_progress": False, **options}
    return lab.compare(train, SCHEDULES if schedules is None else schedules, **options)


@pytest.fixture(scope="module")
def result():
    return compare()


def test_every_run_is_the_run_by_itself(result):
    keys = jax.random.split(jax.random.key(0), 3)
    train = jax.jit(descend)
    for i, schedule in enumerate(SCHEDULES.values()):
        for j, peak in enumerate(PEAKS):
            for k in range(3):
                for name, value in train(schedule * peak, keys[k]).items():
                    np.testing.assert_allclose(result.metrics[name][i, j, k], value, rtol=2e-5, err_msg=f"{name} {i} {j} {k}")


def test_steps_saved_is_what_a_plain_loop_finds(result):
    def smoothed(name):
        curve = result.at_best("validation", name).astype(np.float64).mean(axis=0)
        return np.asarray([curve[max(0, i - 4) : i + 1].mean() for i in range(30)])

    def time(curve, level):
        return next((i + 1 for i in range(30) if all(curve[i:] >= level)), np.inf)

    base = smoothed("constant")
    for row in result.rows:
        expected = 1 - time(smoothed(row.name), base[-1]) / time(base, base[-1])
        assert row.steps_saved == pytest.approx(expected), row.name


def test_runs_that_diverge_are_counted_rank_last_and_leave_the_others_alone():
    schedules = {"wild": ls.Constant(1e9), "half": ls.Constant(0.5), "constant": ls.Constant(1.0)}
    result = compare(schedules=schedules, peaks=[0.5, 0.9])
    wild = result.rows[0]
    assert wild.diverged == 3
    assert np.isnan([wild.test, wild.loss, wild.gain, wild.steps_saved, *wild.test_interval, *wild.gain_interval]).all()
    assert result.diverged.tolist() == [[[True] * 3] * 2, [[False] * 3] * 2, [[False] * 3] * 2]
    assert result.ranking == ["constant", "half", "wild"]
    heading, first, *_, note = (line for line in str(result).splitlines() if "diverged" in line or "wild" in line)
    assert (heading.split()[-1], first.split()[-1]) == ("diverged", "3")
    assert note == "Every run diverged at every peak, so try lower ones: wild."
    alone = compare(schedules={name: schedules[name] for name in ("half", "constant")}, peaks=[0.5, 0.9])
    for name, values in alone.metrics.items():
        np.testing.assert_array_equal(values, result.metrics[name][1:])
    assert alone.rows == result.rows[1:]
    assert "diverged" not in str(alone)


def test_seeds_differ_and_only_another_seed_gives_other_numbers(result):
    other = compare(seed=1)
    assert len(np.unique(result.metrics["test"][0, 0])) == 3
    assert not np.any(other.metrics["test"][0, 0] == result.metrics["test"][0, 0])
    np.testing.assert_array_equal(compare().metrics["loss"], result.metrics["loss"])


def test_the_notes_below_the_table():
    def loss_as_score(schedule, key):
        found = descend(schedule, key)
        return {**found, "validation": found["loss"]}

    said = " ".join(str(compare(loss_as_score, PURE, peaks=[0.1, 0.3, 0.5])).split())
    at_an_end = "Best at an end of the peaks, < or >, so that a better one may be beyond: constant."
    for note in ("<0.1", at_an_end, "of a loss return minus it"):
        assert note in said
        assert note not in " ".join(str(compare(schedules=PURE)).split())


def test_runs_that_are_lost_count_before_scores_and_means_are_over_the_others():
    """Two peaks and three seeds, of which the middle one is lost at the better peak."""
    losses = np.asarray([[[0.4, 0.4, 0.4], [0.1, np.nan, 0.2]], [[0.5, 0.5, 0.5], [0.3, 0.3, 0.3]]], np.float32)[..., None]
    metrics = {"loss": losses, "validation": -losses, "test": -losses[..., 0]}
    schedules = {"risky": ls.Constant(1.0), "constant": ls.Constant(1.0)}
    found = lab.Comparison(schedules, (0.1, 0.2), 3, "constant", metrics, 1, {})
    assert found.best == {"risky": 0, "constant": 1}
    only = lab.Comparison(schedules, (0.2,), 3, "constant", {k: v[:, 1:] for k, v in metrics.items()}, 1, {})
    risky, constant = only.rows
    assert (risky.diverged, constant.diverged) == (1, 0)
    assert (risky.test, risky.gain) == (pytest.approx(-0.15), pytest.approx(0.15))  # over the seeds that both have
    assert only.ranking == ["constant", "risky"]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([1, 2, 3, 4], 30),
        ([3, 3, 3, 3], 10),
        ([5, 2, 5, 5], 30),  # an early visit does not count: it has to stay
        ([5, 5, 5, 2], np.inf),
        ([np.nan, 3, 3, 3], 20),
    ],
)
def test_a_level_is_reached_where_the_curve_stays(curve, expected):
    assert statistics.first_to_stay(np.asarray(curve, float), 3.0, np.asarray([10, 20, 30, 40])) == expected


@pytest.mark.parametrize("n", [8, 20])
def test_the_intervals_hold_the_truth_as_often_as_they_say(n):
    draws = np.random.default_rng(n).normal(size=(400, n))
    held = np.mean([low <= 0 <= high for low, high in map(statistics.bootstrap_interval, draws)])
    assert 0.93 <= held <= 0.975  # plain percentiles hold it in 90.5 % for n = 8


def impure(schedule, key):
    return descend(schedule, jax.random.fold_in(key, np.random.default_rng().integers(1000)))


def branches(schedule, key):
    found = descend(schedule, key)
    return found if found["loss"][-1] < 1.0 else {**found}


def returns(**changes):
    return {"train": lambda schedule, key: descend(schedule, key) | changes}


def of(**schedules):
    return {"schedules": {**PURE, **schedules}}


REFUSED = [
    ({"baseline": "fixed"}, "compare(baseline='fixed') names none of the schedules"),
    ({"peaks": [0.1, -1.0]}, "compare(peaks=...) must be different rates above 0, got [0.1, -1.0]"),
    ({"mesh": 8}, "compare(mesh=...) must be a mesh, such as jax.make_mesh("),
    (of(rate=0.1), "must be schedules by name, got 'rate': 0.1; write Constant(1.0)"),
    (of(theirs=optax.cosine_decay_schedule(1.0, 10)), "write Function(f), if it is a function of the step"),
    (of(all=ls.stack([ls.Constant(1.0)] * 2)), "must be single schedules by name, got the batch 'all'"),
    ({"schedules": [ls.Constant(1.0)]}, "must be a dict of schedules by name"),
    ({"train": impure}, "train(schedule, key) is not pure"),
    ({"train": branches}, "jnp.where or jax.lax.cond"),
    ({"train": lambda _: None}, "compare(train=...) must be a function of (schedule, key)"),
    ({"train": lambda key, schedule: descend(schedule, key)}, "the schedule comes first"),
    ({"train": lambda _, key: descend(ls.Constant(0.1), key)}, "does not use its schedule"),
    ({"train": lambda schedule, _: descend(schedule, jax.random.key(0))}, "does not use its key"),
    (returns(test=jnp.zeros(3)), "one number as 'test'; got shape (3,): take the mean, or the last"),
    (returns(loss=jnp.zeros(())), "one number an evaluation as 'loss'; got shape ()"),
    (returns(validation=jnp.zeros(4)), "as many of 'validation' as of 'loss', one an evaluation"),
    (returns(test="good"), "a dict of numeric arrays with 'loss', 'validation', 'test'; got "),
    (returns(best=1.0), "its metrics under other names than 'best', which say which run"),
    ({"train": lambda *_: None}, "got nothing, as without `return`"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_compared_is_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        compare(**{"schedules": PURE, **options})


def test_an_error_of_its_own_says_where_it_was():
    with pytest.raises(AttributeError) as error:
        compare(lambda schedule, key: schedule.update(key), PURE)
    assert any("train(schedule, key)" in note for note in error.value.__notes__)


def test_data_from_outside_and_jitted_functions_are_pure():
    data = np.random.default_rng(0).normal(size=50).astype(np.float32)

    @jax.jit
    def train(schedule, key):
        return descend(schedule, jax.random.fold_in(key, jnp.asarray(data).mean().astype(np.int32)))

    assert compare(train, PURE).seeds == 3


# What a `Comparison` gives besides its table: columns, a picture, files

SHOWN = {
    "constant": ls.Constant(1.0),
    "cosine": ls.Cosine(1.0, 0.0, 40),
    "plateau": ls.reduce_on_plateau(patience=2),
    "own": ls.Function(lambda t: 1.0 / (1.0 + t)),
}


def made(schedules=SHOWN, lost=False):
    """Numbers that are easy to know again: schedule, peak, seed and evaluation are their digits."""
    shape = len(schedules), 3, 5, 4
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
    return lab.Comparison(dict(schedules), (0.1, 0.2, 0.4), 5, "constant", metrics, 2, {"compiling": 1.0, "running": 2.0})


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
    again = lab.Comparison.load(tmp_path / "a" / "b", schedules={"own": SHOWN["own"]})
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
    found = made({"<b>": SHOWN["cosine"], "constant": SHOWN["constant"]}, lost=True)
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
