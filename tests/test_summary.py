"""Phases, the number of steps that a view shows by default, and summaries: numbers and warnings."""

import math

import numpy as np
import pytest
from hypothesis import given
from meaning import length
from nested import schedules

import lrsched as ls
from lrsched.algebra.shapes import Linear, Ramp
from lrsched.views.phases import horizon, phases, seen

RAMP = ls.Linear(1.0, 0.0, 100)
TWO = ls.Linear(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.0, 30)
CORNERS = [
    (TWO.reverse(), [0, 30, 40]),
    (TWO.delay(5).stretch(2), [10, 30, 90]),
    (TWO @ (ls.Time() * 2.0).take(7), [0, 7]),
    (ls.Piecewise([3, 5], [1.0, 2.0]) + ls.Linear(0, 1, 4), [3, 4, 5]),
    (TWO.repeat(2, stretch=0.5), [0, 10, 40, 45, 60]),
]
HORIZONS = [
    (RAMP, 100),  # it has come to its end
    (RAMP.reverse(), 125),  # it goes on from there
    (ls.multi_step(0.1, [30, 80], 0.1), 100),  # the last drop is seen
    (ls.Constant(1.0), 1000),
    (ls.Exponential(1.0, 0.1).stretch(30).staircase(30), 90),
    (ls.noam(512, 4000), 40_000),
    (ls.cosine_restarts(1.0, 0.0, 100_000), 400_000),  # four cycles
    (ls.reduce_on_plateau(), 3),
    (ls.Linear(1.0, 0.0, 2.0**80), 2**53),
]
WHOLE = ls.Linear(0.1, 1.0, 10) >> ls.Constant(1.0, 30) >> ls.Cosine(1.0, 0.1, 60)
PHASES = """
    (Linear(0, 1, 10) >> Constant(1.0, 30) >> Cosine(1, 0, 60)).take(20) | 0 Linear, 10 Constant, 20 held
    (Linear(0, 1, 10) >> Cosine(1, 0, 30)).reverse() | 0 Cosine, 30 Linear, 40 held
    (Linear(0, 1, 10) >> Cosine(1, 0, 30)).staircase(5) | 0 Staircase, 40 held
    Linear(0, 1, 10).delay(5).stretch(3) | 0 held, 15 Linear, 45 held
    Linear(0, 1, 10) * Cosine(1, 0, 20) | 0 Linear * Cosine, 10 held * Cosine, 20 held
    0.1 * Linear(1, 0, 100) ** 2 | 0 Linear ** 2, 100 held
    Linear(1, 0, 100).cooldown(5, 1.0, 'cosine') | 0 Linear, 100 Cosine, 105 held
    Linear(0, 1, 9) >> reduce_on_plateau().take(90) | 0 Linear, 9 reduce_on_plateau, 99 held
    Cosine(1, 0, 5).repeat(3) | 0 Cosine(1.0, 0.0, 5).repeat(3), 15 held
    Choice((Time(), Linear(0, 1, 10)), 1) | 0 Linear, 10 held
    OneCycleLR(0.1, 1000) | 0 Cosine, 299 Cosine, 999 held
"""
VALUES = """
    warmup_cosine(1e-3, 100, 1000).staircase(30) | 0 → 0.0009988 → 3.046e-07, 0
    Piecewise([0, 50, 100], [0, 0.5, 0], 'linear') | 0 → 0.5 → 0, 0
    triangular(0.0, 0.1, 10).take(60) | 0 … 0.1, 0
    Linear(0.1, 0.0, 10) >> Linear(0.1, 0.0, 20) | 0.1 → 0, 0.1 → 0, 0
    Geometric(1.0, 1e-10, 9) >> Constant(1.0) | 1 → 1e-10, 1
    1 / Linear(0.0, 1.0, 10) >> Constant(0.5) | 3.403e+38 → 1, 0.5
    Linear(0, 1e-3, 100) >> Constant(1e-3, 800) >> Linear(1e-3, 0, 100) | 0 → 0.001, 0.001, 0.001 → 0, 0
"""


def spans(s):
    return [(phase.start, phase.stop, phase.shape) for phase in ls.summary(s).phases]


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(" | ")] for line in table.strip().split("\n")]


def cells(table: str) -> list[str]:
    return [cell for row in rows(table) for cell in row]


def test_the_phases_of_a_sequence():
    found = ls.summary(WHOLE)
    np.testing.assert_allclose([p.first for p in found.phases], [0.1, 1.0, 1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose([p.last for p in found.phases], [1.0, 1.0, 0.1, 0.1], rtol=1e-6)
    values = np.asarray(WHOLE(np.arange(100)), np.float64)
    assert (found.steps, found.peak, found.peak_step) == (100, values.max(), 10)
    np.testing.assert_allclose([found.final, found.mean, found.lowest], [values[-1], values.mean(), values.min()])
    assert found.warnings == ()
    long = ls.summary(ls.warmup_cosine(1.0, 101, 2**31 - 10))  # a peak at a corner, in a run of any length
    assert (long.peak, long.peak_step) == (1.0, 101)


@pytest.mark.parametrize(("text", "expected"), [*rows(PHASES), *rows(VALUES)])
def test_the_phases_of_others_and_their_values(text, expected):
    found = ls.summary(ls.parse(text)).phases
    assert expected in (", ".join(f"{x.start:g} {x.shape}" for x in found), ", ".join(x.values for x in found))


# A schedule that looks like a mistake, its warning, and a schedule without one.
WARNINGS = """
    Cosine(0.1, 100, 0) >> Linear(1.0, 0.1, 9) | Cosine(0.1, 100.0, 0) before >> lasts 0 steps | 1.0 + Constant(0.0, 9)
    Linear(0.1, 0.2, 10) >> Cosine(1.0, 0.1, 9) | a jump at step 10, from 0.2 to 1 (×5) | Cosine(1.0, 0.1, 9).repeat(3)
    Linear(0.1, 1, 10) >> Cosine(0.2, 0.1, 9) | jump at step 10, from 1 to 0.2 (×0.2) | Linear(0, 0.3, 10) >> Cosine(0.2, 0, 9)
    Linear(1.0, -0.5, 10) | the value falls to -0.35, below 0 | Linear(1.0, -0.5, 10).clip(0.01, 1.0)
    Cosine(0.1, 100.0, 10) | rises to ×1000 of its start: is 100 a number of steps, in the wrong place? | Linear(1e-6, 1.0, 10)
    triangular(0.1, 1000, 2000) | rises to ×10000 of its start: is 1000 a number of steps, | triangular(0.1, 2, 2000)
    Polynomial(0.1, 0.0, 2, 1000) | has a power above its steps: its arguments are start, end, | Polynomial(0.1, 0.0, 5, 9)
    Linear(1e-3, 0, 0) | Linear(0.001, 0.0, 0) lasts 0 steps and is 0 from its start on | warmup_constant(1e-3, 0, 1e-5)
    Linear(0, 0.2, 9) >> Cosine(0.2, 70, 0) | is 70 from its start on | Linear(0, 0.2, 9) >> wsd(0.2, 0, 90, 0)
    Linear(2e-3, 0, 0) * reduce_on_plateau() | is 0 from its start on | Linear(2e-3, 1e-3, 0).delay(9) * reduce_on_plateau()
    Piecewise([0, 50, 90], [0.1, 0, 0.1], 'cosine') | rises again, after it has fallen to 0 at | CosineAnnealingLR(0.1, 9)
    Piecewise([0, 20, 50], [0.2, 0.02, 90]) | (×450): let Piecewise end lower | Piecewise([0, 20, 50], [8, 64, 1024])
    StepLR(0.1, 40, gamma=10) | rises from 0.1 to 10 after step 0 (×100): let | Exponential(1e-4, 1.1).clip(high=0.05)
    Linear(0.1, 0, 100) >> Constant(0, 50) | the last 50 of 150 updates use 0, and | Linear(0.1, 0.0, 100) >> Constant(0.0, 1)
    Linear(0.0, 0.1, 0.1) >> Cosine(0.1, 0, 99) | steps=0.1 is less than one step: | Linear(0, 0.1, 1) >> Cosine(0.1, 0, 99)
    Cosine(0.2, 0, 0.5).repeat() | steps=0.5 is less than one step | (Linear(0, 1, 0.1) >> Cosine(1, 0, 0.9)).stretch(200)
    Linear(0.2, 0, 50).delay(0.2) | Linear(0.2, 0.0, 50).delay(0.2): steps=0.2 is less | Linear(0.2, 0, 50).drop(0.5)
    warmup_cosine(1e-3, 10, 99, 0.01) >> Constant(0.0) | the warm-up goes down, from 0.01 to 0.001 | warmup_cosine(1e-3, 10, 99)
    optax.warmup_cosine_decay_schedule(0.1, 0.01, 9, 99) | the warm-up goes down | Linear(0.1, 0.05, 50) >> Cosine(0.05, 0, 50)
    wsd(0.1, 10, 99, 9, 1.0, warmup_shape='1-sqrt') | goes down, from 1 to 0.1 | wsd(0.1, 10, 99, 9, warmup_shape='1-sqrt')
    infinite(0.1, 0.05, 10, 20, start=0.2) | the warm-up goes down, from 0.2 to 0.1 | infinite(0.1, 0.05, 0, 20)
    keras.CosineDecay(0.1, 100, warmup_target=0.05, warmup_steps=9) | goes down, from 0.1 to 0.05 | keras.CosineDecay(0.1, 100)
    Linear(0, 0.01, 10) >> Linear(0.01, 1, 90) | from 0.01 to 1 after step 10 (×100) | Linear(0, 0.1, 10) >> Linear(0.1, 1, 90)
    Linear(0.5, 0.1, 9) >> Cosine(0.2, 0.0, 90) | the warm-up goes down, from 0.5 | Linear(0.5, 0.1, 9) >> Cosine(0.1, 0, 90)
    Cosine(1, 0, 9) >> Cosine(1, 0, 9).take(5) >> Linear(0, 1, 9) | jump at step 14 | multi_step(1, [9], 0.1) * Linear(1, 2, 99)
    multi_step(1, [9], 0.1).take(30) >> Constant(0.01) | step 30, from 0.1 to 0.01 (×0.1) | multi_step(1, [9], 0.1) * Time()
    Linear(1, 0.5, 9) >> Linear(0.05, 0, 9) >> multi_step(1, [9], 0.1) | step 9, from 0.5 to 0.05 (×0.1) | Linear(1, 0.5, 9)
    multi_step(0.1, [30, 60], 0.1) >> Constant(5.0) | a jump at step 60, from 0.01 to 5 (×500) | multi_step(0.1, [30, 60], 0.1)
    cosine_restarts(0.1, 0.0, 10).take(30) >> Constant(0.0, 30) | the last 30 of 60 updates use 0 | cosine_restarts(0.1, 0, 9)
"""

# A schedule, a number of steps, the warning, and a number of steps without one.
RUNS = """
    CosineAnnealingLR(0.1, 100) | 130 | the value rises again, after it has fallen to 0 at step 100, to | 100
    Cosine(0.1, 0.0, 100) | 200 | the last 100 of 200 updates use 0 | 101
    Cosine(0.1, 0.0, 100) | 80 | the last update uses 0.01049 and misses the 0 at step 100 | 100
    Exponential(1e-3, 1.02) | 500 | the value rises from 0.001 to 19.57 after step 0 (×19565): let Exponential end lower | 99
    CosineAnnealingLR(0.2, 60) | 50 | misses the 0 at step 60: let the run end where a cycle is lowest | 60
    SequentialLR([LinearLR(0.2, 0.1, 1.0, 10), CosineAnnealingLR(0.2, 60)], [10]) | 40 | misses the 0 at step 70 | 70
    transformers.get_cosine_schedule_with_warmup(1e-4, 200, 80) | 80 | CosineWave begins at step 200 and is never reached | 201
    warmup_linear(0.1, 20, 80) * reduce_on_plateau() | 50 | the 0 at step 80: let the run end where the schedule does | 80
    cosine_restarts(0.1, 0.0, 60) | 40 | misses the 0 at step 60: let the run end where a cycle is lowest | 60
    warmup_constant(1e-3, 500) | 80 | uses 0.000158 and misses the 0.001 at step 500 | 500
    cosine_restarts(0.1, 0.0, 50) | 75 | let the run end where a cycle is lowest | 100
    Linear(0.1, 1.0, 10) >> Constant(1.0, 30) >> Cosine(1.0, 0.1, 60) | 30 | Cosine begins at step 40 and is never reached | 1e2
"""

# Schedules without a warning, over their length and in a run of a hundred steps.
RECIPES = """
    warmup_cosine(1e-3, 10, 100) | warmup_cosine(1e-3, 0, 100) | wsd(1e-3, 80, 100, 20) | warmup_linear(1e-3, 10, 100)
    warmup_constant(1e-3, 10) | warmup_inverse_sqrt(1e-3, 10) | noam(512, 10) | wsd(1e-3, 10, 100, 20, end=1e-5)
    wsd(1e-3, 10, 100, 20, end=1e-5, shape='cosine') | wsd(1e-3, 10, 100, 20, end=1e-5, shape='geometric')
    cosine_restarts(0.1, 0.0, 25) | cosine_restarts(0.1, 0.0, 20, stretch=4, scale=0.5) | triangular(0.01, 0.1, 25)
    triangular(0.01, 0.1, 25, mode='triangular2') | triangular(0.01, 0.1, 25, mode='exp_range') | one_cycle(0.1, 100)
    one_cycle(0.1, 100, three_phase=True) | one_cycle(0.8, 100, div_factor=0.9, final_div_factor=1)
    rex(0.1, 0.0, 100) | tanh_decay(0.1, 0.0, 100) | inverse_time(0.1, 0.05) | power_decay(0.02, 4.0, tokens=512)
    infinite(0.1, 0.01, 10, 30) | infinite(0.1, 0.01, 10, 30, 100, 20, end=1e-4)
    step_decay(0.1, 30, 0.1) | multi_step(0.1, [30, 80], 0.1) | 0.1 * reduce_on_plateau() | Constant(0.1)
    Cosine(0.1, 0.0, 100) * reduce_on_plateau() | Exponential(0.1, 0.99)
    transformers.get_cosine_with_hard_restarts_schedule_with_warmup(0.1, 10, 100, num_cycles=3)
"""

# Over their length.
WHOLES = """
    Linear(1.0, 0.1, 1e6) >> Linear(0.1, 0.01, 24e6) | Linear(32.0, 4096.0, 1000) | triangular(1.0, 0.1, 50)
    one_cycle(0.1, 105) * (Linear(0.0, 1.0, 32) >> Linear(1.0, 0.0, 73)) | Cosine(0.1, 0, 1000) @ Time()
    cosine_restarts(0.1, 0.0, 10).take(30) >> Constant(1e-5, 30) | wsd(1.0, 10, 100, 20).take(50) >> Linear(1.0, 0.0, 9)
    Constant(0.1, 30) >> Constant(0.01, 30) >> Constant(0.001, 30) | Cosine(0.1, 0, 10) >> Cosine(0.1, 0, 20)
    Linear(0.1, 1.0, 0) >> Constant(1.0, 0) >> Linear(1.0, 0.0, 100) | multi_step(0.2, [20, 50], 0.1).cooldown(10)
    multi_step(0.2, [20, 50], 0.1) >> Linear(0.002, 0.0, 30) | step_decay(0.2, 20, 0.1).take(40).cooldown(10)
"""

# In a run of so many steps.
RIGHT = {
    "wsd(1.0, 10, 100, 5)": 100,  # the last update of a short decay is far from its end
    "warmup_linear(0.1, 1, 5)": 5,
    "Polynomial(1.0, 0.0, 90, 0.5)": 90,
    "triangular(0.0, 1.0, 5)": 100,  # whole cycles
    "triangular(0.95, 0.85, 50)": 1000,
    "Linear(1.0, 0.05, 100) >> Constant(0.05)": 1000,
    "timm.TanhLRScheduler(0.1, 100, lr_min=1e-3)": 100,
    "Linear(0.0, 0.1, 10) >> CosineWave(0.1, 0.01, 25)": 410,
    "warmup_cosine(0.1, 10, 100, end=1e-5)": 150,
    "Geometric(1e-7, 10.0, 100)": 100,
    "Linear(0, 1e-3, 10) >> Linear(1e-3, 0.1, 9).repeat()": 100,
    "0.1 * Linear(0, 1.0, 15e12).on(Counter('tokens'))": 1000,
    "Cosine(0.1, 0, 100) * (1 + Piecewise([0, 50, 90], [0, 1, 0]) * Noise(0.9))": 100,
}


def warnings_of(text: str, steps: float | None = None) -> str:
    return "\n".join(ls.summary(ls.parse(text), steps).warnings)


MISTAKES = [(wrong, None, message, right, None) for wrong, message, right in rows(WARNINGS)]
MISTAKES += [(text, int(steps), message, text, float(right)) for text, steps, message, right in rows(RUNS)]


@pytest.mark.parametrize(("wrong", "steps", "message", "right", "enough"), MISTAKES)
def test_a_probable_mistake_has_a_warning(wrong, steps, message, right, enough):
    assert message in warnings_of(wrong, steps)
    assert not warnings_of(right, enough)


@pytest.mark.parametrize("text", cells(WHOLES) + cells(RECIPES) + [*RIGHT])
def test_a_right_schedule_has_no_warning(text):
    for steps in (None, 100) if text in cells(RECIPES) else [RIGHT.get(text)]:
        assert not warnings_of(text, steps)


@pytest.mark.parametrize("schedule", [ls.Cosine(1e-3, 0, 1e12).on(ls.Counter("tokens")), ls.Linear(1e-3, 0, 3e9)], ids=repr)
def test_more_than_an_int32_can_count(schedule):
    found = ls.summary(schedule)
    assert found.steps in (10**12, 3 * 10**9)
    assert found.final < 1e-12
    assert found.mean == pytest.approx(5e-4, rel=1e-3)
    assert found.warnings == ()
    assert ls.summary(schedule, int(1e12)).steps == 1e12
    assert ls.summary(ls.Cosine(1.0, 0.0, 10).repeat(50, stretch=2)).steps == 2**53


def test_driven_schedules():
    found = ls.summary(0.1 * ls.Linear(0, 1, 10) * ls.reduce_on_plateau())
    assert (found.peak, found.peak_step) == (pytest.approx(0.1), 10)
    assert str(found).splitlines()[-1].endswith("over 13 steps (before any observation of 'value')")
    found = ls.summary(0.1 * ls.reduce_on_plateau(), 1000)  # updates, and no plateaus
    assert (found.final, found.axis) == (pytest.approx(0.1), "step (before any observation of 'value')")
    assert ls.summary(ls.Linear(1.0, 0.0, 100).on(ls.Steps()), 50).final == pytest.approx(0.51)
    found = ls.summary(ls.Linear(0.0, 1e-3, 1000).on(ls.Counter("tokens")) * 0.5)
    assert spans(found.schedule) == [(0, 1000, "Linear"), (1000, math.inf, "held")]
    assert str(found).splitlines()[-1] == "peak 0.0005 at 1000, final 0.0005, mean 0.0002998 over 1250 tokens"
    ends = ls.Linear(1e-2, 0.0, 2000).on(ls.Counter("tokens"))
    found = ls.summary(ends * ls.reduce_on_plateau())
    assert spans(found.schedule)[0] == (0, 2000, "Linear * reduce_on_plateau")
    assert found.axis == "tokens (before any observation of 'value')"
    said = f"{ends} does not move here: a summary of it alone shows how it does"
    for moves in (ls.Linear(0.0, 1e-2, 10) >> ends, ls.warmup_cosine(0.1, 10, 100) * ends):
        assert str(ls.summary(moves)).splitlines()[-1] == said


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


def test_a_function_is_a_schedule_and_text_is_none():
    assert ls.summary(lambda t: 0.1 / (1 + t), 10).final == pytest.approx(0.01)

    with pytest.raises(TypeError, match=r"summary\(schedule='0.1'\): expected a schedule, a number or a function"):
        ls.summary("0.1")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"expected one schedule, got a batch of shape \(2,\)"):
        ls.summary(ls.stack([WHOLE, WHOLE]))
    for steps in (0, -1, 2.5, True, 1e300, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"summary\(steps=.*\): expected a whole number of updates"):
            ls.summary(WHOLE, steps=steps)  # pyright: ignore[reportArgumentType]


def test_corners_and_how_far_to_look():
    for s, corners in CORNERS:
        np.testing.assert_array_equal(phases(s).corners, corners, err_msg=repr(s))
    for s, steps in HORIZONS:
        assert horizon(seen(s)[0]) == steps, s


@given(schedules)
def test_there_is_always_something_to_see(s):
    assert 1 <= horizon(s) <= 2**53
    assert math.isinf(length(s)) or horizon(s) >= min(length(s), 2**53)
    corners = phases(s).corners
    assert len(corners) <= 1000
    assert np.all(np.diff(corners) > 0)


@ls.node
class Smoothstep(Ramp):
    weights = Linear.weights


def test_a_new_ramp_has_phases_and_no_formula():
    s = Smoothstep(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.0, 30)
    assert [phase.shape for phase in ls.summary(s).phases] == ["Smoothstep", "Cosine", "held"]
    with pytest.raises(TypeError, match=r"expected a node with a formula, got Smoothstep\(0.0, 1.0, 10\)"):
        ls.latex(s)
    assert "s(t)" not in s._repr_mimebundle_()["text/html"]


@ls.node
class Unknown(ls.Schedule):
    value: float = ls.leaf()

    @property
    def length(self):
        return 0.0

    def at(self, t):
        del t
        return self.value


@pytest.mark.parametrize("call", [phases, ls.summary, ls.plot, ls.latex])
def test_a_node_that_nobody_knows_is_an_error(call):
    with pytest.raises(TypeError, match=r"got Unknown\(1.0\). Hint: .*Unknown .*register"):
        call(ls.Linear(0.0, 1.0, 10) + Unknown(1.0))
