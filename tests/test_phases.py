"""What a schedule does when: a new ramp needs nothing, and a node that nobody knows is an error."""

import math

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

import lrsched as ls
from lrsched.algebra.node import leaf, node
from lrsched.algebra.shapes import Linear, Ramp
from lrsched.views import latex
from lrsched.views.phases import phases

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


TWO = ls.Linear(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.0, 30)


@node
class Mine(Ramp):
    weights = Linear.weights


@node
class Unknown(ls.Schedule):
    value: float = leaf()

    def at(self, t):
        del t
        return self.value

    @property
    def length(self):
        return 0.0


@pytest.mark.parametrize(
    ("s", "spans"),
    [
        (TWO.reverse(), [(0, 30, "Cosine"), (30, 40, "Linear")]),
        (TWO.reverse().drop(20), [(0, 10, "Cosine"), (10, 20, "Linear")]),
        (TWO.take(60), [(0, 10, "Linear"), (10, 40, "Cosine"), (40, 60, "held")]),
        (ls.Choice((ls.Time(), TWO), 1), [(0, 10, "Linear"), (10, 40, "Cosine")]),
        (TWO.staircase(5), [(0, 40, "Staircase")]),
        (ls.Linear(0, 1, 9).repeat(), [(0, math.inf, "Linear(0.0, 1.0, 9).repeat()")]),
        (ls.Constant(1.0, 0), []),
        (ls.Constant(1.0, float("inf")), [(0, math.inf, "Constant")]),
    ],
    ids=str,
)
def test_spans(s, spans):
    assert [span[:3] for span in phases(s).spans] == spans


@pytest.mark.parametrize(
    ("s", "corners"),
    [
        (TWO.reverse(), [0, 30, 40]),
        (TWO.delay(5).stretch(2), [10, 30, 90]),
        (TWO.staircase(15), [0, 15, 30, 45]),
        (TWO @ (ls.Time() * 2.0).take(7), [0, 7]),
        (ls.Piecewise([3, 5], [1.0, 2.0]) + ls.Linear(0, 1, 4), [3, 4, 5]),
        (TWO.repeat(2, stretch=0.5), [0, 10, 40, 45, 60]),
        (ls.Time(), []),
    ],
    ids=str,
)
def test_corners(s, corners):
    np.testing.assert_array_equal(phases(s).corners, corners)


def test_for_ever_has_an_end_of_its_corners():
    s = ls.Linear(0, 1, 1).repeat().take(3).repeat(stretch=2.0)
    assert len(phases(s).corners) == 1000


def test_a_new_ramp_has_phases_and_needs_a_formula():
    s = Mine(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.0, 30)
    assert [phase.shape for phase in ls.summary(s).phases] == ["Mine", "Cosine", "held"]
    assert 10 in np.asarray(ls.plot(s).get_lines()[0].get_xdata())
    with pytest.raises(TypeError, match=r"expected a node with a formula, got Mine\(0.0, 1.0, 10\)"):
        ls.latex(s)
    page = s._repr_mimebundle_()["text/html"]
    assert "<img" in page
    assert "s(t)" not in page


def test_a_formula_is_one_line():
    @node
    class Smoothstep(Ramp):
        weights = Linear.weights

    latex.ramp(Smoothstep, lambda a, b, p: a + (b - a) * (3 * p**2 - 2 * p**3))
    p = r"\left(\frac{t}{10}\right)"
    assert (
        ls.latex(Smoothstep(0, 1, 10).repeat()).replace(r"t \;\mathrm{mod}\; 10", "t")
        == rf"3 \cdot {p}^{{2}} - 2 \cdot {p}^{{3}}"
    )


@pytest.mark.parametrize("call", [phases, ls.summary, ls.plot, ls.latex])
def test_a_node_that_nobody_knows_is_an_error(call):
    with pytest.raises(TypeError, match=r"got Unknown\(1.0\). Hint: .*Unknown .*register"):
        call(ls.Linear(0.0, 1.0, 10) + Unknown(1.0))
