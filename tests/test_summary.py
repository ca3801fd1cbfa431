"""What a summary finds in a schedule, and what it warns of."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from nested import schedules
from signatures import FEW

import lrsched as ls
from lrsched.dialects import torch, transformers

WHOLE = ls.Linear(0.1, 1.0, 10) >> ls.Constant(1.0, 30) >> ls.Cosine(1.0, 0.1, 60)


def phases(s, **options):
    return [(phase.start, phase.stop, phase.shape) for phase in ls.summary(s, **options).phases]


def test_the_phases_of_a_sequence():
    found = ls.summary(WHOLE)
    assert phases(WHOLE) == [
        (0, 10, "Linear"),
        (10, 40, "Constant"),
        (40, 100, "Cosine"),
        (100, math.inf, "held"),
    ]
    np.testing.assert_allclose([p.first for p in found.phases], [0.1, 1.0, 1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose([p.last for p in found.phases], [1.0, 1.0, 0.1, 0.1], rtol=1e-6)
    values = np.asarray(WHOLE(np.arange(100)), np.float64)
    assert (found.steps, found.peak, found.peak_step) == (100, values.max(), 10)
    np.testing.assert_allclose([found.final, found.mean, found.lowest], [values[-1], values.mean(), values.min()])
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        (WHOLE * 0.5, phases(WHOLE)),
        (WHOLE.take(20), [(0, 10, "Linear"), (10, 20, "Constant"), (20, math.inf, "held")]),
        (WHOLE.drop(20), [(0, 20, "Constant"), (20, 80, "Cosine"), (80, math.inf, "held")]),
        (ls.Linear(0, 1, 10).delay(5), [(0, 5, "held"), (5, 15, "Linear"), (15, math.inf, "held")]),
        (ls.Linear(0, 1, 10).stretch(3), [(0, 30, "Linear"), (30, math.inf, "held")]),
        (ls.Linear(0, 1, 10) >> ls.Exponential(1, 0.9), [(0, 10, "Linear"), (10, math.inf, "Exponential")]),
        (
            ls.Linear(0, 1, 10) * ls.Cosine(1, 0, 20),
            [(0, 10, "Linear * Cosine"), (10, 20, "held * Cosine"), (20, math.inf, "held")],
        ),
        (
            ls.Linear(0, 1, 10) >> ls.reduce_on_plateau().take(90),
            [(0, 10, "Linear"), (10, 100, "Exponential(1.0, 0.1).clip(0.0, 1.0) on Plateau"), (100, math.inf, "held")],
        ),
        (ls.Constant(0.1), [(0, math.inf, "Constant")]),
        (ls.Exponential(0.1, 0.9), [(0, math.inf, "Exponential")]),
        (ls.Cosine(1, 0, 5).repeat(3), [(0, 15, "Cosine(1.0, 0.0, 5).repeat(3)"), (15, math.inf, "held")]),
    ],
    ids=lambda x: repr(x)[:40],
)
def test_the_phases_of_others(s, expected):
    assert phases(s) == expected


# A schedule that looks like a mistake, what is said of it, and one that does not.
WARNINGS = {
    "a part of no steps": (
        ls.Cosine(0.1, 100, 0) >> ls.Linear(1.0, 0.1, 9),
        r"Cosine\(0.1, 100.0, 0\) before >> lasts 0 steps and is never",
        ls.expanded(ls.wsd(1.0, 0, 100, 100, start=0.1)),  # whose hold ends where the decay begins
    ),
    "a part cut off": (WHOLE.take(20), r"Cosine, which begins at step 40, is never reached, since .take\(20\)", WHOLE.take(60)),
    "a jump": (
        ls.Linear(0.1, 0.2, 10) >> ls.Cosine(1.0, 0.1, 9),
        r"a jump at step 10, from 0.2 to 1 \(×5\)",
        ls.Cosine(1.0, 0.1, 9).repeat(3),
    ),
    "a jump down": (
        ls.Linear(0.1, 1.0, 10) >> ls.Cosine(0.2, 0.1, 9),
        r"a jump at step 10, from 1 to 0.2 \(×0.2\)",
        ls.Linear(0.1, 0.3, 10) >> ls.Cosine(0.2, 0.1, 9),
    ),
    "below zero": (ls.Linear(1.0, -0.5, 10), r"the value falls to -0.35, below 0", ls.Linear(1.0, -0.5, 10).clip(0.01, 1.0)),
    "a peak between steps": (
        ls.Linear(0.1, 1.0, 10.5) >> ls.Cosine(1.0, 0.1, 20),
        r"the peak of 1 is at step 10.5, between two",
        ls.Linear(0.1, 1.0, 10) >> ls.Cosine(1.0, 0.1, 20.5),
    ),
    "an end far above the start": (
        ls.Cosine(0.1, 100.0, 10),
        r"the end, 100, is ×1000 of the start: is the order of the arguments start, stop, steps",
        ls.Linear(1e-6, 1.0, 10),
    ),
    "swapped arguments that leave no steps": (
        ls.Cosine(0.1, 100, 0.0),
        r"Cosine\(0.1, 100.0, 0\) lasts 0 steps and is 100 from the first update on",
        ls.warmup_constant(1e-3, 0),
    ),
    "a line of no steps": (
        ls.Linear(1e-3, 0, 0),
        r"Linear\(0.001, 0.0, 0\) lasts 0 steps and is 0 from the first update on, for ever",
        ls.Constant(0.0),
    ),
    "a wave past its end": (
        torch.CosineAnnealingLR(0.1, 100),
        r"the value rises again, after it has fallen to 0 at step 100, to 0.1: end the run there, or .* \.take\(100\)",
        torch.CosineAnnealingLR(0.1, 100).take(100),
    ),
    "a tail of zeros": (
        ls.Linear(0.1, 0.0, 100) >> ls.Constant(0.0, 50),
        r"the last 50 of 150 updates use 0, and change nothing",
        ls.Linear(0.1, 0.0, 100) >> ls.Constant(0.0, 1),
    ),
    "a phase shorter than a step": (
        ls.Linear(0.0, 0.1, 0.1) >> ls.Cosine(0.1, 0.0, 99),
        r"^Linear lasts 0.1 of a step: write a number of updates, for a ratio round\(0.1 \* total_steps\)$",
        ls.Linear(0.0, 0.1, 1) >> ls.Cosine(0.1, 0.0, 99),
    ),
    "a warm-up that goes down": (
        ls.warmup_cosine(1e-3, 10, 100, start=1e-2),
        r"the warm-up goes down, from 0.01 to 0.001, so that the run starts at its highest rate",
        ls.Linear(0.1, 0.05, 50) >> ls.Cosine(0.05, 0.0, 50),
    ),
    "a jump after a table": (
        ls.multi_step(0.1, [30, 60], 0.1) >> ls.Constant(5.0),
        r"a jump at step 60, from 0.01 to 5 \(×500\)",
        ls.multi_step(0.1, [30, 60], 0.1),
    ),
}

# The same with a run of so many steps.
RUNS = {
    "a wave past its end": (torch.CosineAnnealingLR(0.1, 100), 130, "the value rises again", 100),
    "a tail of zeros": (ls.Cosine(0.1, 0.0, 100), 200, "the last 100 of 200 updates use 0", 101),
    "an end that is missed": (ls.Cosine(0.1, 0.0, 100), 80, "the last update uses 0.01049 and misses the 0 of step 100", 100),
    "a cycle that is cut": (ls.cosine_restarts(0.1, 0.0, 50), 75, "the last update .* misses .*: .* with a whole cycle", 100),
}

RECIPES = [
    ls.warmup_cosine(1e-3, 10, 100),
    ls.warmup_cosine(1e-3, 0, 100),
    ls.wsd(1e-3, 80, 100, 20),
    ls.warmup_linear(1e-3, 10, 100),
    ls.warmup_constant(1e-3, 10),
    ls.warmup_inverse_sqrt(1e-3, 10),
    ls.noam(512, 10),
    *(ls.wsd(1e-3, 10, 100, 20, end=1e-5, shape=shape) for shape in ("linear", "cosine", "1-sqrt", "geometric")),
    ls.cosine_restarts(0.1, 0.0, 25),
    ls.cosine_restarts(0.1, 0.0, 20, stretch=4, scale=0.5),
    *(ls.triangular(0.01, 0.1, 25, mode=mode) for mode in ("triangular", "triangular2", "exp_range")),
    *(ls.one_cycle(0.1, 100, three_phase=three) for three in (False, True)),
    *(ls.one_cycle_momentum(100, anneal=anneal) for anneal in ("cosine", "linear")),
    ls.step_decay(0.1, 30, 0.1),
    ls.multi_step(0.1, [30, 80], 0.1),
    0.1 * ls.reduce_on_plateau(),
    ls.Cosine(0.1, 0.0, 100) * ls.reduce_on_plateau(),
    ls.Constant(0.1),
    ls.Exponential(0.1, 0.99),
]


HARD = transformers.get_cosine_with_hard_restarts_schedule_with_warmup(0.1, 10, 100, num_cycles=3)

# What is right, and the steps of its run.
RIGHT = [
    (ls.wsd(1.0, 10, 100, 5), 100),  # the last update of a short decay is far from its end
    (ls.Linear(1.0, 0.0, 5), 5),
    (ls.warmup_linear(0.1, 1, 5), 5),
    (ls.Polynomial(1.0, 0.0, 90, 0.5), 90),
    (ls.triangular(0.0, 1.0, 5), 100),  # whole cycles
    (ls.triangular(0.95, 0.85, 50), 1000),
    (ls.Linear(1.0, 0.1, 1e6) >> ls.Linear(0.1, 0.01, 24e6), None),  # a decay in two parts, not a warm-up
    (ls.Linear(1.0, 0.05, 100) >> ls.Constant(0.05), 1000),
    (ls.one_cycle(0.1, 105) * (ls.Linear(0.0, 1.0, 32) >> ls.Linear(1.0, 0.0, 73)), None),  # they overlap for half a step
    (ls.triangular(1.0, 0.1, 50), None),  # cycles that rise as they say
    (ls.triangular(1.0, 0.1, 50), 400),
    (ls.Linear(32.0, 4096.0, 1000), None),  # a size of batches
    (ls.Exponential(0.1, 1.05), 100),
    (HARD, None),
    (HARD, 100),
    (ls.cosine_restarts(0.1, 0.0, 10).take(30) >> ls.Constant(1e-5, 30), None),
    (ls.Constant(0.1, 30) >> ls.Constant(0.01, 30) >> ls.Constant(0.001, 30), None),
    (ls.Cosine(0.1, 0, 10) >> ls.Cosine(0.1, 0, 20), None),
    (ls.Cosine(0.1, 0, 1000) @ ls.Time(), None),  # no end that anybody chose
]


@pytest.mark.parametrize(("schedule", "steps"), RIGHT, ids=repr)
def test_nothing_is_said_of_what_is_right(schedule, steps):
    assert ls.summary(schedule, steps).warnings == ()


def test_zeros_after_restarts_are_a_tail_and_no_jump():
    (warning,) = ls.summary(ls.cosine_restarts(0.1, 0.0, 10).take(30) >> ls.Constant(0.0, 30)).warnings
    assert warning.startswith("the last 30 of 60 updates use 0")


@pytest.mark.parametrize("what", WARNINGS)
def test_what_looks_like_a_mistake_is_said_and_nothing_else(what):
    wrong, message, right = WARNINGS[what]
    assert re.search(message, "\n".join(ls.summary(wrong).warnings))
    assert ls.summary(right).warnings == ()


@pytest.mark.parametrize("what", RUNS)
def test_what_looks_like_a_mistake_in_a_run_of_some_length(what):
    schedule, steps, message, right = RUNS[what]
    assert re.search(message, "\n".join(ls.summary(schedule, steps).warnings))
    assert ls.summary(schedule, right).warnings == ()


@pytest.mark.parametrize("schedule", RECIPES, ids=repr)
def test_nothing_is_said_of_a_recipe(schedule):
    assert ls.summary(schedule).warnings == ls.summary(schedule, 100).warnings == ()


def test_a_run_that_ends_before_its_plan():
    (warning,) = ls.summary(WHOLE, steps=30).warnings
    assert "Cosine begins at step 40 and is never reached in 30 steps" in warning
    assert ls.summary(WHOLE, steps=100).warnings == ()
    assert ls.summary(WHOLE, steps=300).steps == ls.summary(WHOLE, steps=3e2).steps == 300


def test_it_prints_a_table():
    text = str(ls.summary(ls.Linear(0, 1e-3, 100) >> ls.Cosine(1e-3, 0, 900)))
    assert text.splitlines()[1:6] == [
        "from  to    shape   values",
        "0     100   Linear  0 → 0.001",
        "100   1000  Cosine  0.001 → 0",
        "1000        held    0",
        "peak 0.001 at step 100, final 3.046e-09, mean 0.0005 over 1000 steps",
    ]
    assert len(text.splitlines()) == 6


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (ls.warmup_cosine(1e-3, 100, 1000).staircase(30), ["0 → 0.0009988 → 3.046e-07", "0"]),
        (ls.Piecewise([0, 50, 100], [0, 0.5, 0], "linear"), ["0 → 0.5 → 0", "0"]),
        (ls.triangular(0.0, 0.1, 10).take(60), ["0 … 0.1", "0"]),
        (ls.Cosine(0.1, 0.0, 10).repeat(3), ["0 … 0.1", "0"]),
        (ls.Polynomial(0.1, 0.0, 90, 0.5), ["0.1 → 0", "0"]),
        (ls.Linear(0.1, 0.0, 10) >> ls.Linear(0.1, 0.0, 20), ["0.1 → 0", "0.1 → 0", "0"]),
        (ls.Geometric(1.0, 1e-10, 9) >> ls.Constant(1.0), ["1 → 1e-10", "1"]),
        (1 / ls.Linear(0.0, 1.0, 10) >> ls.Constant(0.5), ["3.403e+38 → 1", "0.5"]),
        (
            ls.Linear(0, 1e-3, 100) >> ls.Constant(1e-3, 800) >> ls.Linear(1e-3, 0, 100),
            ["0 → 0.001", "0.001", "0.001 → 0", "0"],
        ),
    ],
    ids=repr,
)
def test_the_values_of_a_phase(schedule, values):
    assert [phase.values for phase in ls.summary(schedule).phases] == values


@pytest.mark.parametrize("schedule", [ls.Cosine(1e-3, 0, 1e12).on(ls.Counter("tokens")), ls.Linear(1e-3, 0, 3e9)], ids=repr)
def test_more_than_an_int32_can_count(schedule):
    found = ls.summary(schedule)
    assert found.steps in (10**12, 3 * 10**9)
    assert found.final < 1e-12
    assert found.mean == pytest.approx(5e-4, rel=1e-3)
    assert found.warnings == ()
    assert ls.summary(schedule, int(1e12)).steps == 1e12


def test_driven_schedules():
    found = ls.summary(0.1 * ls.Linear(0, 1, 10) * ls.reduce_on_plateau())
    assert (found.peak, found.peak_step) == (pytest.approx(0.1), 10)
    assert str(found).splitlines()[-1].endswith("over 13 steps (before any change of plateaus of value)")
    found = ls.summary(ls.Linear(0.0, 1e-3, 1000).on(ls.Counter("tokens")) * 0.5)
    assert phases(found.schedule) == [(0, 1000, "Linear"), (1000, math.inf, "held")]
    assert str(found).splitlines()[-1] == "peak 0.0005 at 1000, final 0.0005, mean 0.0002998 over 1250 tokens"


@given(schedules)
def test_phases_cover_all_time_without_a_gap(s):
    found = ls.summary(s)
    assert found.phases[0].start == 0
    assert found.phases[-1].stop == math.inf
    for before, after in zip(found.phases, found.phases[1:], strict=False):
        assert before.stop == after.start
        assert before.start < before.stop
    assert found.lowest <= found.mean + 1e-6
    assert found.mean <= found.peak + 1e-6
    assert str(found)


def test_every_class_of_nodes_has_a_summary():
    assert not [call for call in FEW if str(ls.summary(call.make())).count("\n") < 3]


def test_a_run_of_more_steps_than_there_can_be():
    found = ls.summary(ls.Cosine(1.0, 0.0, 10).repeat(50, stretch=2))
    assert found.steps == 2**53
    assert str(found)


def test_errors():
    with pytest.raises(TypeError, match=r"summary\(schedule=0.1\): expected a schedule"):
        ls.summary(0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"expected one schedule, got a batch of shape \(2,\)"):
        ls.summary(ls.stack([WHOLE, WHOLE]))
    for steps in (0, -1, 2.5, True, 1e300, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"summary\(steps=.*\): expected a whole number of updates"):
            ls.summary(WHOLE, steps=steps)  # pyright: ignore[reportArgumentType]


def test_a_value_beside_a_huge_one_is_not_taken_for_0():
    first, held = ls.summary(1 / ls.Linear(0.0, 1.0, 10)).phases
    assert (first.last, held.first) == (1.0, 1.0)
    assert ls.summary(ls.Geometric(1e-10, 1.0, 100)).phases[0].first == pytest.approx(1e-10)
    assert ls.summary(0.1 * ls.Cosine(1.0, 0.0, 100)).phases[0].last == 0.0
