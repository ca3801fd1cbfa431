"""Plots: values, scales, axes, legends."""

import sys
from typing import Any

import numpy as np
import optax
import pytest
from helpers import refused
from matplotlib import pyplot as plt

import lrsched as ls

LINE, WAVE, PLATEAU = ls.Linear(0.0, 1.0, 10), ls.Cosine(1.0, 0.0, 40), ls.reduce_on_plateau()
TOKENS = ls.Cosine(1.0, 0.1, 1e9).on(ls.Counter("tokens"))
DRIVEN = [  # and the axis, the last time that is drawn, and the value there
    (3e-4 * TOKENS, "tokens", 1.05e9, 3e-5),
    (TOKENS * PLATEAU, "tokens (before any observation of 'value')", 1.05e9, 0.1),
    (0.1 * PLATEAU, "plateaus of value", 4, 1e-5),
    (WAVE * PLATEAU, "step (before any observation of 'value')", 42, 0.0),
    ([PLATEAU, WAVE], "step (before any observation of 'value')", 42, 1.0),  # no single clock
]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(ax: Any) -> list[Any]:
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in ax.get_lines()]


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_draws_the_values_at_whole_steps_and_every_one_of_a_short_warm_up():
    ((x, y),) = drawn(ls.plot(WAVE, steps=50))
    assert set(range(51)) <= set(x)
    np.testing.assert_allclose(y, np.where(x < 40, (1 + np.cos(np.pi * x / 40)) / 2, 0), atol=1e-6)
    ((x, y),) = drawn(ls.plot(LINE >> ls.Cosine(1.0, 0.0, 10**6 - 10)))
    assert {0, 9, 10, 11, 10**6} <= set(x)
    assert (y[0], y[list(x).index(10)]) == (0, 1)
    for s in (ls.warmup_cosine(0.2, 10, 60), ls.Polynomial(0.2, 0, 20, 2).repeat(9), ls.Linear(0.2, 0, 60) * PLATEAU):
        axes = ls.plot(s, log=True)
        ((_, y),) = drawn(axes)
        assert y[y > 0].min() > 1e-4
        assert 0.2 < axes.get_ylim()[1] < 0.4


def test_a_jump_is_drawn_as_a_jump():
    for s, at in (
        (ls.Piecewise([0, 10.5, 10**6], [1.0, 3.0, 2.0]), 10.5),
        (ls.Exponential(1.0, 0.5).stretch(7).staircase(7).take(10**6), 7),
        ((ls.Constant(1.0, 20) >> ls.Constant(3.0, 7)).drop(5).stretch(2).reverse(), 14),
    ):
        ((x, y),) = drawn(ls.plot(s))
        here = np.abs(x - at) < 2e-12 * x[-1]
        assert at in x[here]
        assert np.ptp(y[here]) > 0.2 * max(y)


def marked(ax):
    return [segment[0][0] for lines in ax.collections for segment in lines.get_segments()]


def test_phases_are_marked():
    assert marked(ls.plot(ls.warmup_cosine(1.0, 10, 100), steps=50)) == [10]
    assert marked(ls.plot(ls.join([LINE] * 50, range(10, 500, 10)))) == []  # too many to be read


def test_the_scale_is_logarithmic_where_the_values_ask_for_it():
    sweep, constant = ls.Geometric(1e-7, 10.0, 100), ls.Constant(0.1)
    scales = [ls.plot(s).get_yscale() for s in (sweep, ls.Cosine(1.0, 0.1, 100), ls.cosine_restarts(1.0, 0.0, 20))]
    assert (scales, ls.plot(sweep, log=False).get_yscale()) == (["log", "linear", "linear"], "linear")
    assert ls.plot(constant).get_ylim() == pytest.approx((0.0, 0.125))
    low, high = ls.plot(constant, log=True).get_ylim()
    assert 0 < low < 0.1 < high
    assert ls.plot(ls.Linear(-1.0, 0.0, 10), log=True).get_yscale() == "linear"
    assert ls.plot(ls.warmup_cosine(0.1, 10, 1000), log=True).get_ylim()[0] > 1e-6


@pytest.mark.parametrize(("s", "axis", "last", "value"), DRIVEN)
def test_a_driven_one_is_drawn_over_its_clock_or_as_it_stands(s, axis, last, value):
    ax = ls.plot(s)
    assert ax.get_xlabel() == axis
    assert drawn(ax)[0][1][-1] == pytest.approx(value)
    assert [x[-1] for x, _ in drawn(ax)] == [last] * len(drawn(ax))
    style = ax.get_lines()[0].get_drawstyle()
    assert style == ("default" if axis.startswith("step") else "steps-post")
    assert style == "default" or np.all(drawn(ax)[0][0] == np.round(drawn(ax)[0][0]))  # no plateau and a half
    ax = ls.plot(s, steps=30)  # which are no plateaus
    assert {x[-1] for x, _ in drawn(ax)} == {30}


def test_several_are_told_apart():
    lines = ls.plot([LINE, WAVE, LINE * 2, WAVE * 2]).get_lines()
    assert len({line.get_linestyle() for line in lines}) == len({line.get_color() for line in lines}) == 4
    assert legend(ls.plot(LINE, WAVE)) == [repr(LINE), repr(WAVE)]
    assert legend(ls.plot(LINE, WAVE, labels=["a", "b"])) == legend(ls.plot({"a": LINE, "b": WAVE})) == ["a", "b"]
    assert ls.plot(LINE).get_legend() is None
    scale = ls.plot([WAVE] * 25, labels=[f"b{k}" for k in range(25)]).figure.axes[1]
    assert [text.get_text() for text in scale.get_yticklabels()][:2] == ["b0", "b1"]
    rates = drawn(ls.plot(0.1, optax.linear_schedule(0.0, 1.0, 10), LINE))
    np.testing.assert_allclose(rates[1], rates[2], rtol=1e-6)
    np.testing.assert_array_equal(rates[0][1], np.float32(0.1))
    ax = ls.plot(LINE)
    assert len(ls.plot(WAVE, ax=ax).get_lines()) == len(ax.get_lines()) == 2


def test_a_batch_with_its_points():
    both = ls.stack([LINE, WAVE])
    lines = drawn(ls.plot(both, steps=20))
    assert [y[list(x).index(10)] for x, y in lines] == pytest.approx([1, (1 + np.cos(np.pi / 4)) / 2])
    for labels in (["a", "b"], ["a", "b", "c"]):
        assert legend(ls.plot(both, WAVE, labels=labels)) == labels
    one, two, other = (line.get_color() for line in ls.plot(both, WAVE).get_lines())
    assert one == two != other
    batch, points = ls.grid(ls.warmup_cosine, peak=list(np.geomspace(0.01, 1, 12)), warmup_steps=[0, 10], steps=100)
    ax = ls.plot(batch, points=points)
    bar = ax.figure.axes[1]
    assert (bar.get_ylabel(), bar.get_yscale()) == ("peak", "log")
    colours = [tuple(line.get_color()) for line in ax.get_lines()]
    assert (len(colours), len(set(colours)), colours[0]) == (24, 12, colours[1])
    assert len({line.get_linestyle() for line in ax.get_lines()}) == 2  # by warm-up
    assert legend(ax) == ["warmup_steps = 0", "warmup_steps = 10"]
    batch, points = ls.grid(ls.wsd, shape=["linear", "1-sqrt"], peak=0.1, warmup_steps=5, steps=100, decay_steps=20)
    assert legend(ls.plot(batch, points=points)) == ["shape = linear", "shape = 1-sqrt"]


def test_a_replay_marks_where_it_fired():
    s = ls.Linear(1.0, 0.0, 40) * ls.reduce_on_plateau(factor=0.5, patience=1)
    losses = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, np.nan])
    below = ls.plot(s, observations=losses, every=3)
    above = below.figure.axes[0]
    np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata(), float), ls.clocks.replay(s, losses, 3))
    for axes in (above, below):
        assert marked(axes) == [11, 17, 26]
    np.testing.assert_array_equal(above.lines[0].get_xdata(), np.arange(10) * 3 + 2)
    both = ls.plot(s, 2 * s, observations=losses, ax=plt.figure().subplots())
    assert (len(both.figure.axes), marked(both)) == (1, [])
    np.testing.assert_allclose(drawn(both)[1][1], 2 * np.asarray(ls.clocks.replay(s, losses)))


MISTAKES: list[Any] = [
    (lambda: ls.plot(), r"plot\(\.\.\.\): expected at least one schedule"),
    (lambda: ls.plot(optax.sgd(0.1)), r"plot\(schedules=GradientTransformation"),  # pyright: ignore[reportArgumentType]
    (lambda: ls.plot(LINE, labels="line"), r"plot\(labels='line'\): expected a list of names. Hint: labels=\['a', 'b'\]"),
    (lambda: ls.plot(LINE, steps=2.5), r"plot\(steps=2.5\): expected a whole"),  # pyright: ignore[reportArgumentType]
    (lambda: ls.plot(LINE, 100), r"plot\(schedules=100\): expected a schedule. Hint: plot\(s, steps=100\) for so many steps"),
    (lambda: ls.plot(LINE, every=2), r"plot\(every=2\): expected observations="),
    (lambda: ls.plot(PLATEAU, observations=[1.0], steps=3), r"plot\(steps=3\): expected None, since the observations give"),
    (lambda: ls.plot(LINE, points={"peak": [1]}), r"plot\(points=\.\.\.\): expected a single batch"),
    (lambda: ls.plot(ls.stack([LINE, LINE]), points={"peak": [1]}), "expected the points that grid gave, with 2 values each"),
    (lambda: ls.plot(ls.stack([LINE, LINE]), labels=["a"] * 3), "each of 1 schedules, or of 2 members, got 3"),
]

test_mistakes = refused(MISTAKES)


def test_a_missing_matplotlib_is_a_line_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'lrsched-jax\[plot\]'"):
        ls.plot(LINE)
