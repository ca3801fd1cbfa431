"""`lrsched.lab.compare` on a task whose outcome is known, and what it refuses."""

import functools
import json
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, refused, relaxed
from matplotlib.figure import Figure

import lrsched as ls
from lrsched import lab
from lrsched.lab.compare import statistics, table
from lrsched.lab.compare.result import Trial

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
        x = x - ls.clocks.evaluate(schedule, state) * x
        state = ls.clocks.tick(schedule, state, value=0.5 * x**2)
        return (x, state), (step + 1, 0.5 * x**2, ls.clocks.evaluate(schedule, state))

    start = 1.0 + jax.random.uniform(key)
    _, (steps, losses, rates) = jax.lax.scan(body, (start, ls.clocks.init(schedule)), jnp.arange(30))
    return {"step": steps, "loss": losses, "validation": -losses, "test": -losses[-1], "learning_rate": rates}


def compare(train=descend, schedules=None, **options):
    options = {"peaks": PEAKS, "seeds": 3, "show_progress": False, **options}
    return lab.compare(train, SCHEDULES if schedules is None else schedules, **options)


@pytest.fixture(scope="module")
def result():
    return compare()


def test_every_run_is_the_run_by_itself(result):
    train, keys = jax.jit(descend), jax.random.split(jax.random.key(0), 3)
    alone = [[train(s * peak, key) for key in keys] for s in SCHEDULES.values() for peak in PEAKS]
    for name, values in result.metrics.items():  # a rate of 0 here may be the smallest difference from 1 there
        np.testing.assert_allclose(values, [[run[name] for run in runs] for runs in alone], rtol=1e-4, atol=1e-9, err_msg=name)


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
    rates = {"wild": [5e8, 9e8], "half": [0.25, 0.45], "constant": [0.5, 0.9]}
    schedules = {name: ls.grid(ls.Constant, value=values) for name, values in rates.items()}
    result = compare(schedules=schedules, peaks=None)
    wild = result.rows[0]
    assert wild.diverged == 3
    assert np.isnan([wild.test, wild.loss, wild.gain, wild.steps_saved, *wild.test_interval, *wild.gain_interval]).all()
    assert result.diverged.tolist() == [[True] * 3] * 2 + [[False] * 3] * 4
    assert result.ranking == ["constant", "half", "wild"]
    heading, first, *_, note = (line for line in str(result).splitlines() if "diverged" in line or "wild " in line)
    assert (heading.split()[-1], first.split()[-1]) == ("diverged", "3")
    assert note == "Every run diverged at every peak, so try lower ones: wild."
    assert np.asarray(result.to_pandas().groupby("schedule")["diverged"].sum()).tolist() == [0, 0, 6]
    alone = compare(schedules={name: schedules[name] for name in ("half", "constant")}, peaks=None)
    for name, values in alone.metrics.items():
        np.testing.assert_array_equal(values, result.metrics[name][2:])
    assert alone.rows == result.rows[1:]
    assert "diverged" not in str(alone)


def test_seeds_differ_and_only_another_seed_gives_other_numbers(result):
    other = compare(seed=1)
    assert len(np.unique(result.metrics["test"][0])) == 3
    assert not np.any(other.metrics["test"][0] == result.metrics["test"][0])
    np.testing.assert_array_equal(compare().metrics["loss"], result.metrics["loss"])


def test_the_notes_below_the_table():
    def loss_as_score(schedule, key):
        found = descend(schedule, key)
        return {**found, "validation": found["loss"]}

    said = " ".join(str(compare(loss_as_score, PURE, peaks=[0.1, 0.3, 0.5])).split())
    at_an_end = "Best at an end of the peaks, < or >, so that a better one may be beyond: constant."
    for note in ("<0.1", at_an_end, "return minus a loss"):
        assert note in said
        assert note not in " ".join(str(compare(schedules=PURE)).split())


def with_losses(names, losses):
    """A comparison of schedules at two peaks that have these losses, a row for each trial and a column for each seed."""
    trials = tuple(Trial(name, "", peak, ls.Constant(peak)) for name in names for peak in (0.1, 0.2))[-len(losses) :]
    loss = np.asarray(losses, np.float32)[..., None]
    metrics = {"step": np.full(loss.shape, 9), "loss": loss, "validation": -loss, "test": -loss[..., 0]}
    return lab.Comparison(trials, loss.shape[1], "constant", metrics, 1, {})


def test_runs_that_are_lost_count_before_scores_and_means_are_over_the_others():
    """One of three seeds is lost at the better peak."""
    losses = [[0.4, 0.4, 0.4], [0.1, np.nan, 0.2], [0.5, 0.5, 0.5], [0.3, 0.3, 0.3]]
    assert with_losses(("risky", "constant"), losses).best == {"risky": 0, "constant": 3}
    losses[0] = [np.nan] * 3
    found = with_losses(("risky", "constant"), losses)
    risky, constant = found.rows
    assert (risky.diverged, constant.diverged) == (1, 0)
    assert (risky.test, risky.gain) == (pytest.approx(-0.15), pytest.approx(0.15))  # over the seeds that both have
    assert found.ranking == ["constant", "risky"]
    _, curves, _ = found.plot(figure=Figure())
    np.testing.assert_allclose([line.get_ydata() for line in curves.lines], [[0.15], [0.3]], rtol=1e-6)


def losses_only(schedule, key):
    return descend(schedule, key)["loss"]


def test_the_best_setting_is_chosen_and_of_losses_alone_their_mean_is_the_score():
    sweep, points = ls.grid(ls.Linear, start=1.0, end=[0.0, 0.5, 1.0], steps=30)
    found = compare(losses_only, {"constant": ls.Constant(1.0), "linear": (sweep, points)}, peaks=[0.05, 0.1])
    assert list(found.metrics) == ["loss"]
    scores = -found.metrics["loss"][..., -5:].mean(axis=-1)
    row = found.rows[1]
    assert (row.setting, row.peak, row.gain) == ("end=1.0", 0.1, pytest.approx(0, abs=1e-8))  # as the constant rate does
    assert found.chosen["linear"].schedule == ls.Linear(1.0, 1.0, 30) * 0.1
    np.testing.assert_allclose(row.test, scores[7].mean(), rtol=1e-5)
    said = " ".join(str(found).split())
    for note in (
        "8 settings of 2 schedules",
        "Score: minus the mean of the last 5",
        "Chosen for linear: end=1.0.",
        "2 constant, 6",
    ):
        assert note in said
    unsigned = compare(lambda schedule, key: jnp.uint32(9.0 + losses_only(schedule, key)), PURE)
    assert unsigned.rows[0].test < 0
    bare = compare(losses_only, {"constant": ls.Constant(1.0), "linear": sweep}, peaks=[0.05, 0.1])
    assert bare.rows[1].setting == "Linear(1.0, 1.0, 30)"
    np.testing.assert_array_equal(bare.metrics["loss"], found.metrics["loss"])


@pytest.mark.parametrize("name", ["with_equinox", "with_flax", "with_plain_jax"])
def test_models_with_batch_normalisation_and_dropout_train(name):
    """Those of the notebook."""
    cells = json.loads((ROOT / "notebooks" / "compare.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][:3]
    scope: dict[str, Any] = {"__name__": "compare"}
    with relaxed():
        exec("\n".join(code).replace("STEPS = 200", "STEPS = 60"), scope)
        found = compare(scope[name], PURE, peaks=[0.03], seeds=2)
    losses, validation = found.metrics["loss"][0], found.metrics["validation"][0]
    assert np.all(losses[:, -9:].mean(axis=1) < 0.6 * losses[:, 0])
    assert np.all(validation[:, -1] > 0.6 * validation[:, 0])


def test_halving_ends_with_the_whole_runs_of_those_that_were_best_in_short_ones():
    lengths = []

    def make(steps):
        lengths.append(steps)

        def train(schedule, key):
            return jax.lax.scan(lambda x, i: (x - schedule(i) * x, x**2), 1.0 + jax.random.uniform(key), jnp.arange(steps))[1]

        return train

    def schedules(steps):
        return {"constant": ls.Constant(1.0), "linear": ls.grid(ls.Linear, start=1.0, end=[0.0, 0.5], steps=steps)}

    with pytest.raises(ValueError, match="expected the same number of settings at every length, got another at 3 steps"):
        compare(make, lambda n: {"constant": ls.grid(ls.Constant, value=[0.1] * n)}, peaks=None, steps=3, rungs=2)
    lengths.clear()
    peaks = [0.01, 0.02, 0.05, 0.1, 0.2]
    found = compare(make, schedules, peaks=peaks, steps=36, rungs=3)
    assert lengths == [4, 12, 36]
    assert [len(rung) for rung in found.stopped] == [5 + 10 - 2 - 4, 1 + 2]
    whole = compare(make(36), schedules(36), peaks=peaks)
    assert found.chosen == whole.chosen
    np.testing.assert_allclose(found.at_best("loss", "linear"), whole.at_best("loss", "linear"), rtol=1e-6)
    assert "of 15 settings 6 and then 3 went on to longer runs." in " ".join(str(found).split())


def test_a_level_is_reached_where_the_curve_stays():
    """An early visit does not count, nor does a NaN."""
    curves = np.array([[1, 2, 3, 4], [3, 3, 3, 3], [5, 2, 5, 5], [5, 5, 5, 2], [np.nan, 3, 3, 3]])
    assert statistics.first_to_stay(curves, 3.0, np.arange(10, 50, 10)).tolist() == [30, 10, 30, np.inf, 20]


@pytest.mark.parametrize("n", [8, 20])
def test_the_intervals_hold_the_truth_as_often_as_they_say(n):
    draws = np.random.default_rng(n).normal(size=(400, n))
    held = np.mean([low <= 0 <= high for low, high in map(statistics.bootstrap_interval, draws)])
    assert 0.93 <= held <= 0.975  # plain percentiles hold it in 90.5 % for n = 8


# What is refused, before anything is compiled


def impure(draw):
    return {"train": lambda schedule, key: descend(schedule, jax.random.fold_in(key, draw()))}


def branches(schedule, key):
    found = descend(schedule, key)
    return found if found["loss"][-1] < 1.0 else descend(schedule, key)


def takes_a_float(schedule, key):
    found = descend(schedule, key)
    return {**found, "test": float(found["loss"][-1])}


def returns(**changes):
    return {"train": lambda schedule, key: descend(schedule, key) | changes}


def of(**schedules):
    return {"schedules": {**PURE, **schedules}}


REFUSED = [
    ({"baseline": "fixed"}, "compare(baseline='fixed'): expected one of the schedules ['constant']"),
    ({"peaks": [0.1, -1.0]}, "compare(peaks=[0.1, -1.0]): expected peaks > 0"),
    ({"peaks": [0.1, 0.1]}, "compare(peaks=[0.1, 0.1]): expected a list of different rates"),
    ({"peaks": [[0.1], [0.2]]}, "compare(peaks=[[0.1], [0.2]]): expected a list of different rates"),
    ({"peaks": 0.1}, "compare(peaks=0.1): expected a list of numbers"),
    ({"seeds": 1}, "compare(seeds=1): expected seeds >= 2 and whole"),
    ({"window": 0}, "compare(window=0): expected window >= 1"),
    ({"rungs": 2}, "compare(steps=None): expected a number of updates"),
    ({"steps": 9}, "compare(steps=9): expected a number of updates for functions of it"),
    (
        {"train": descend, "schedules": lambda _: PURE, "steps": 8, "rungs": 3},
        "compare(steps=8): expected steps >= 9 and whole. Hint: 3 rungs need 9",
    ),
    ({"train": lambda _: 1, "schedules": lambda _: PURE, "steps": 8}, "compare(train(8)=1): expected a function of"),
    ({"train": descend, "schedules": lambda _: PURE, "steps": 8}, "compare(train(8)=None): expected a function of"),
    ({"folder": 8}, "compare(folder=8): expected a path"),
    ({"mesh": 8}, "compare(mesh=8): expected a mesh. Hint: jax.make_mesh("),
    (of(rate=0.2), "expected schedules with a peak of 1, got 'rate' with one of 0.2: Constant(0.2). Hint: divide"),
    (of(w=ls.warmup_cosine(1e-3, 5, 30)), "got 'w' with one of 0.001: warmup_cosine(0.001, 5, 30). Hint: divide"),
    (of(all=ls.stack([ls.stack([ls.Constant(1.0)] * 2)])), "expected a batch with one axis"),
    (of(both=(ls.Constant(1.0), ls.Linear(1.0, 0.0, 9))), "compare(schedules['both']=(Constant(1.0), Linear("),
    ({"schedules": {**PURE, 3: ls.Constant(1.0)}}, "expected a dict of schedules by name"),
    (of(bad="x"), "compare(schedules['bad']='x')"),
    ({"schedules": [ls.Constant(1.0)]}, "expected a dict of schedules by name"),
    ({"schedules": ls.Constant(1.0)}, "compare(schedules=Constant(1.0)): expected a dict of schedules by name"),
    ({"train": PURE, "schedules": descend}, "expected a function of (schedule, key). Hint: compare(train, schedules), in"),
    ({"train": ls.Constant(1.0), "schedules": descend}, "compare(train=Constant(1.0)): expected a function of (schedule"),
    (impure(lambda: int(np.random.default_rng().integers(9))), "a pure function, got one that draws from NumPy's"),
    (impure(lambda: random.randrange(9)), "expected a pure function, got one that draws from NumPy's or Python's"),
    ({"train": branches}, "jnp.where or jax.lax.cond"),
    ({"train": takes_a_float}, "jnp.where or jax.lax.cond"),
    ({"train": lambda _, key: descend(ls.Constant(0.1), key)}, "expected a rate from the schedule"),
    ({"train": lambda schedule, _: descend(schedule, jax.random.key(0))}, "expected a use of the key"),
    (returns(test=jnp.zeros(3)), "'test' of shape (), got (3,). Hint: stack curves"),
    (returns(loss=jnp.zeros(())), "'loss' of shape ('evaluations',), got ()"),
    (returns(validation=jnp.zeros(4)), "'validation' of shape (30,), got (4,)"),
    (returns(test="good"), "a dict of real arrays with ['loss', 'test', 'validation'], got "),
    (returns(best=1.0), "which say which run it is, got ['best']"),
    ({"train": lambda *_: None}, "got NoneType"),
    (
        {"train": lambda schedule, key: jnp.complex64(losses_only(schedule, key))},
        "with ['loss', 'test', 'validation'], got complex64[30]",
    ),
]
CALLS = [(functools.partial(compare, **{"schedules": PURE, **options}), message) for options, message in REFUSED]
test_what_cannot_be_compared_is_refused = refused(CALLS, literal=True)


def test_an_error_of_its_own_says_where_it_was():
    with pytest.raises(AttributeError) as error:
        compare(lambda schedule, key: schedule.update(key), PURE)
    assert any("train(schedule, key)" in note for note in error.value.__notes__)


def test_train_is_called_once_and_may_be_jitted_and_close_over_data():
    data, calls = np.random.default_rng(0).normal(size=50).astype(np.float32), []

    @jax.jit
    def train(schedule, key):
        calls.append(key)
        return descend(schedule, jax.random.fold_in(key, jnp.asarray(data).mean().astype(np.int32)))

    assert (compare(train, PURE).seeds, len(calls)) == (3, 1)


# What a `Comparison` gives besides its table: columns, a picture, files


def test_a_row_of_the_columns_is_a_run_or_an_evaluation(result):
    runs: Any = result.to_pandas()
    evaluations: Any = result.to_pandas(curves=True)
    assert list(runs)[:5] == ["schedule", "setting", "peak", "seed", "best"]
    where, losses = "schedule == 'linear' & peak == 0.5 & seed == 2", result.metrics["loss"][5, 2]
    assert runs.query(where)[["step", "loss"]].to_numpy().tolist() == [[30, losses[-1]]]
    assert evaluations.query(where)["loss"].tolist() == losses.tolist()
    means = runs.query("best & ~diverged").groupby("schedule")["test"].mean()
    assert means.to_dict() == pytest.approx({row.name: row.test for row in result.rows})


def test_what_is_saved(result, tmp_path):
    paths = result.save(tmp_path / "a" / "b")
    assert [path.name for path in paths] == ["comparison.json", "runs.csv", "comparison.png"]
    kept = json.loads(paths[0].read_text())
    assert kept["table"][1]["name"] == "linear"
    assert kept["runs"][17]["loss"] == pytest.approx(result.metrics["loss"][5, 2].tolist())
    assert pd.read_csv(paths[1])["loss"].tolist() == pytest.approx(result.columns()["loss"].tolist())
    assert paths[2].stat().st_size > 1000


def test_it_shows_itself(result):
    rates, _, scores = result.plot(figure=Figure())
    labels = [f"{name}, peak {trial.peak:.3g}" for name, trial in result.chosen.items()]
    assert [line.get_label() for line in rates.lines] == [*labels[:2], f"{labels[2]} (first seed)"]
    assert [label.get_text() for label in scores.get_yticklabels()] == result.ranking
    found = with_losses(("<b>", "a warm-up, and then a plateau " * 2, "constant"), np.arange(30.0).reshape(6, 5))
    assert repr(found) == "<Comparison of 3 schedules, 6 trials, 5 seeds; best: <b>>"
    assert "&lt;" in found._repr_html_()
    for scale in (1.0, 1e-12, 1e-4, 1e9):  # without a score of which only zeros are left
        text = str(
            with_losses(("<b>", "a warm-up, and then a plateau " * 2, "constant"), scale * np.arange(30.0).reshape(6, 5))
        )
        assert max(map(len, text.splitlines())) <= 80
        assert "0.000000" not in text


def test_a_sentence_says_what_the_intervals_say():
    names, losses = ("cosine", "plateau", "constant"), np.tile(np.arange(5.0), (6, 1))
    sentence = "With 5 seeds {} better than constant with 95 % confidence."
    assert table.verdict(with_losses(names, losses)) == sentence.format("no schedule is")
    losses[:4] -= 1e3
    assert table.verdict(with_losses(names, losses)) == sentence.format("cosine and plateau are")
