"""How many steps there are to look at, where nobody says."""

import numpy as np
import pytest
from hypothesis import given
from nested import schedules

import lrsched as ls
from lrsched.dialects import torch
from lrsched.views.phases import horizon, seen

RAMP = ls.Linear(1.0, 0.0, 100)


@pytest.mark.parametrize(
    ("s", "steps"),
    [
        (RAMP, 100),  # it has come to its end
        (RAMP.reverse(), 125),  # it goes on from there
        (ls.warmup_constant(0.1, 100), 125),
        (ls.multi_step(0.1, [30, 80], 0.1), 100),  # the last drop is seen
        (ls.Constant(1.0), 1000),
        (ls.Constant(1.0, 0), 1000),
        (ls.Constant(1.0, 50) >> ls.Constant(0.5), 63),
        (ls.Exponential(1.0, 0.5), 10),  # 1 / 1000
        (ls.Exponential(1.0, 2.0), 10),
        (ls.Exponential(1.0, 0.0), 1000),
        (ls.Exponential(1.0, 0.1).stretch(30).staircase(30), 90),
        (ls.noam(512, 4000), 40_000),
        (ls.cosine_restarts(1.0, 0.0, 100_000), 400_000),  # four cycles
        (ls.cosine_restarts(1.0, 0.0, 100, stretch=2), 1500),
        (RAMP.repeat(3), 300),
        (RAMP.repeat().drop(50), 350),
        (RAMP.repeat().delay(50), 450),
        (RAMP * ls.reduce_on_plateau(), 100),
        (ls.reduce_on_plateau(), 3),
        (ls.Choice((RAMP, RAMP.stretch(2)), 1), 200),
        (ls.Function(lambda t: 1 / (1 + t)), 1000),
        (ls.Linear(1.0, 0.0, 2.0**40), 2**31 - 1),
        (torch.StepLR(0.1, 30), 90),
        (torch.OneCycleLR(0.1, 1000), 999),
        (torch.CosineAnnealingWarmRestarts(0.1, 10, 2), 150),
    ],
    ids=lambda x: repr(x)[:50],
)
def test_how_far_to_look(s, steps):
    assert horizon(seen(s)[0]) == steps


def test_a_warp_is_seen_to_the_end_of_what_it_warps():
    assert 50 <= horizon(RAMP @ (ls.Time() * 2.0)) <= 53


@given(schedules)
def test_there_is_always_something_to_see(s):
    steps = horizon(s)
    assert 1 <= steps < 2**31
    if np.isfinite(s.length):
        assert steps >= min(s.length, 2**31 - 1)


def test_a_peak_at_a_corner_is_found_in_a_run_of_any_length():
    found = ls.summary(ls.warmup_cosine(1.0, 101, 2**31 - 10))
    assert (found.peak, found.peak_step) == (1.0, 101)


def test_a_table_that_moves_in_jumps_has_no_jump_to_warn_of():
    assert ls.summary(ls.multi_step(0.1, [30, 80], 0.1)).warnings == ()
    assert ls.summary(torch.MultiStepLR(0.1, [30, 80])).warnings == ()
    (warning,) = ls.summary(ls.multi_step(0.1, [30, 80], 0.1).take(80) >> ls.Constant(1.0, 20)).warnings
    assert "a jump at step 80" in warning


def test_a_pytorch_scheduler_is_seen_as_what_it_is_made_of():
    phases = ls.summary(torch.OneCycleLR(0.1, 1000)).phases
    assert [(phase.start, phase.shape) for phase in phases] == [(0, "Cosine"), (299, "Cosine"), (999, "held")]
