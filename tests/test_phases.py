"""The phases of a schedule, and the number of steps that a view shows by default."""

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
