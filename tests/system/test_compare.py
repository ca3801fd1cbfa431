"""`lrsched.lab.compare` on a task whose outcome is known, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched import lab

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


def test_the_best_constant_rate_is_the_one_that_shrinks_most(result):
    assert PEAKS[result.best["constant"]] == 0.5
    assert result.rows[0].peak == 0.5


def test_the_smallest_peak_wins_a_tie():
    """Of runs that come to the same number, to the bit, on any device."""

    def train(schedule, key):
        ones = jnp.sign(schedule(jnp.arange(3))) * jnp.sign(1 + jax.random.uniform(key))
        return {"step": jnp.arange(3), "loss": ones, "validation": ones, "test": ones[-1]}

    assert compare(train, PURE).rows[0].peak == PEAKS[0]


def test_the_baseline_saves_nothing(result):
    row = result.rows[0]
    assert (row.name, row.steps_saved, row.steps_saved_interval, row.gain) == ("constant", 0.0, (0.0, 0.0), 0.0)


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


def with_some_lost():
    """Two peaks and three seeds, of which the middle one is lost at the better peak."""
    losses = np.asarray([[[0.4, 0.4, 0.4], [0.1, np.nan, 0.2]], [[0.5, 0.5, 0.5], [0.3, 0.3, 0.3]]], np.float32)[..., None]
    metrics = {"loss": losses, "validation": -losses, "test": -losses[..., 0]}
    schedules = {"risky": ls.Constant(1.0), "constant": ls.Constant(1.0)}
    return lab.Comparison(schedules, (0.1, 0.2), 3, "constant", metrics, 1, {})


def test_a_peak_with_fewer_lost_runs_is_better_than_one_with_better_scores():
    found = with_some_lost()
    assert found.best == {"risky": 0, "constant": 1}
    assert (found.rows[0].diverged, found.rows[0].test) == (0, pytest.approx(-0.4))


def test_means_are_over_the_runs_that_are_whole():
    found = with_some_lost()
    only = lab.Comparison(found.schedules, (0.2,), 3, "constant", {k: v[:, 1:] for k, v in found.metrics.items()}, 1, {})
    risky, constant = only.rows
    assert (risky.diverged, constant.diverged) == (1, 0)
    assert risky.test == pytest.approx(-0.15)
    assert risky.gain == pytest.approx(0.15)  # over the seeds that both have
    assert risky.loss == pytest.approx(0.15)
    assert only.ranking == ["constant", "risky"]


def test_seeds_differ_and_only_another_seed_gives_other_numbers(result):
    other = compare(seed=1)
    assert len(np.unique(result.metrics["test"][0, 0])) == 3
    assert not np.any(other.metrics["test"][0, 0] == result.metrics["test"][0, 0])
    np.testing.assert_array_equal(compare().metrics["loss"], result.metrics["loss"])


def test_to_dict_holds_every_run_and_no_infinity(result):
    content = result.to_dict()
    assert len(content["runs"]) == 3 * 4 * 3
    run = content["runs"][4 * 3 + 2 * 3 + 1]
    assert (run["schedule"], run["peak"], run["seed"]) == ("linear", PEAKS[2], 1)
    np.testing.assert_array_equal(np.float32(run["loss"]), result.metrics["loss"][1, 2, 1])
    assert content["schedules"]["linear"] == "Linear(1.0, 0.0, 30)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "fixed"}, r"compare\(baseline='fixed'\) names none of the schedules"),
        ({"peaks": [0.1, -1.0]}, r"compare\(peaks=\.\.\.\) must be different rates above 0, got \[0.1, -1.0\]"),
        ({"peaks": [0.1, 0.1]}, r"compare\(peaks=\.\.\.\) must be different rates above 0, got \[0.1, 0.1\]"),
        ({"seeds": 1}, r"compare\(seeds=\.\.\.\) must be a whole number, at least 2 and below 2\*\*32, got 1"),
        ({"seeds": 3.5}, r"compare\(seeds=\.\.\.\) must be a whole number, at least 2 and below 2\*\*32, got 3.5"),
        ({"seed": 2**32}, r"compare\(seed=\.\.\.\) must be a whole number, .* got 4294967296"),
        ({"window": 0}, r"compare\(window=\.\.\.\) must be a whole number, at least 1 .* got 0"),
        ({"batch_size": 0}, r"compare\(batch_size=\.\.\.\) must be a whole number, at least 1 .* got 0"),
        (
            {"train": lambda schedule, _: schedule(0), "schedules": PURE},
            "must return a dict of numeric arrays with 'loss', 'validation', 'test'; got float32",
        ),
        (
            {"train": lambda schedule, _: {"loss": schedule(0)}, "schedules": PURE},
            r"got {'loss': 'float32\[\]'}",
        ),
        (
            {"train": lambda schedule, _: dict.fromkeys(("loss", "validation", "test"), schedule(0)), "schedules": PURE},
            r"must return one number an evaluation as 'loss'; got shape \(\)",
        ),
    ],
)
def test_bad_input_is_refused_before_any_training(options, message):
    with pytest.raises(ValueError, match=message):
        compare(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"schedules": {**PURE, "rate": 0.1}},
            r"compare\(schedules=\.\.\.\) must be schedules by name, got 'rate': 0.1; write Constant\(1.0\)",
        ),
        (
            {"schedules": {**PURE, "theirs": optax.cosine_decay_schedule(1.0, 10)}},
            r"got 'theirs': .*; write Function\(f\), if it is a function of the step",
        ),
        (
            {"schedules": {**PURE, "all": ls.stack([ls.Constant(1.0)] * 2)}},
            r"must be single schedules by name, got the batch 'all': .*; give each of unstack\(batch\) a name",
        ),
        (
            {"schedules": [ls.Constant(1.0)]},
            r"must be a dict of schedules by name, such as {'constant': Constant\(1.0\)}, got \[Constant",
        ),
        ({"peaks": []}, r"compare\(peaks=\[\]\): expected a list of numbers"),
        ({"peaks": 0.1}, r"compare\(peaks=0.1\): expected a list of numbers"),
    ],
)
def test_wrong_types_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        compare(**options)


def test_where_the_baseline_diverges_nothing_is_said_of_what_is_saved():
    constant, half = compare(schedules={"constant": ls.Constant(1e9), "half": ls.Constant(0.5)}, peaks=[1.0]).rows
    assert (constant.diverged, half.diverged) == (3, 0)
    assert np.isnan([half.gain, half.steps_saved, *half.gain_interval, *half.steps_saved_interval]).all()
    assert half.test > -1


def test_what_was_best_at_an_end_of_the_peaks_is_marked():
    found = compare(peaks=[0.1, 0.3, 0.5], schedules=PURE)
    assert ">0.5" in str(found)
    assert "Best at an end of the peaks, < or >, so that a better one may be beyond: constant." in " ".join(str(found).split())
    assert "Best at an end" not in str(compare(schedules=PURE))
    assert ">" not in str(compare(peaks=[0.5], schedules=PURE))


def test_a_loss_given_as_a_score_is_noticed():
    def wrong(schedule, key):
        found = descend(schedule, key)
        return {**found, "validation": found["loss"]}

    assert "of a loss return minus it" in str(compare(wrong))
    assert "of a loss return minus it" not in str(compare())
