"""What a plot draws."""

import builtins

import matplotlib as mpl
import numpy as np
import pytest

import lrsched as ls

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

LINE = ls.Linear(0.0, 1.0, 10)
WAVE = ls.Cosine(1.0, 0.0, 40)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(ax):
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in ax.get_lines()]


def test_draws_the_values_at_every_step():
    ((x, y),) = drawn(ls.plot(WAVE, steps=50))
    assert set(range(51)) <= set(x)
    np.testing.assert_allclose(y, np.where(x < 40, (1 + np.cos(np.pi * x / 40)) / 2, 0), atol=1e-6)


def test_draws_a_little_more_than_the_longest_length():
    for schedules in ((WAVE,), (LINE, WAVE), (WAVE, ls.Exponential(1.0, 0.9))):
        for x, _ in drawn(ls.plot(*schedules)):
            assert x[0] == 0
            assert 40 < x[-1] <= 50


def test_a_long_schedule_is_drawn_from_end_to_end_with_fewer_points():
    ((x, y),) = drawn(ls.plot(ls.Linear(0.0, 1.0, 10**6), steps=10**6))
    assert (x[0], x[-1], y[0], y[-1]) == (0, 10**6, 0, 1)
    assert len(x) < 10**5


def test_a_short_warm_up_in_a_long_run_is_drawn_as_what_it_is():
    s = ls.Linear(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.0, 10**6 - 10)
    ((x, y),) = drawn(ls.plot(s))
    assert {0, 9, 10, 11} <= set(x)
    assert y[0] == 0
    assert y[list(x).index(10)] == 1
    assert np.all(x[y == 1] < 1000)


def test_a_jump_is_drawn_as_a_jump():
    for s, at in (
        (ls.Constant(1.0, 5) >> ls.Constant(3.0, 10**6), 5),
        (ls.Piecewise([0, 10.5, 10**6], [1.0, 3.0, 2.0]), 10.5),
        (ls.Linear(1.0, 0.5, 100).repeat(2), 100),
        (ls.Exponential(1.0, 0.5).stretch(7).staircase(7).take(10**6), 7),
        (ls.Constant(1.0, 3).delay(4) >> ls.Constant(3.0, 7), 7),
        ((ls.Constant(1.0, 20) >> ls.Constant(3.0, 7)).drop(5).stretch(2), 30),
        ((ls.Constant(1.0, 20) >> ls.Constant(3.0, 7)).reverse(), 7),
        ((ls.Constant(1.0, 4) >> ls.Constant(3.0, 8)) * ls.Linear(1.0, 0.5, 10**5), 4),
    ):
        ((x, y),) = drawn(ls.plot(s))
        here = np.abs(x - at) < 2e-12 * x[-1]
        assert at in x[here]
        assert np.ptp(y[here]) > 0.2 * max(y)


def marked(ax):
    return [segment[0][0] for lines in ax.collections for segment in lines.get_segments()]


def test_phases_are_marked():
    s = ls.warmup_cosine(1.0, 10, 100)
    assert marked(ls.plot(s)) == [10, 100]
    assert marked(ls.plot(s, steps=50)) == [10]
    assert marked(ls.plot(s, s * 2)) == []
    assert marked(ls.plot(ls.join([LINE] * 50, range(10, 500, 10)))) == []  # too many to be read


def test_the_scale_is_logarithmic_where_the_values_ask_for_it():
    assert ls.plot(ls.Geometric(1e-7, 10.0, 100)).get_yscale() == "log"
    assert ls.plot(ls.Linear(0.0, 10.0, 100)).get_yscale() == "linear"
    assert ls.plot(ls.Cosine(1.0, 0.1, 100)).get_yscale() == "linear"
    assert ls.plot(ls.cosine_restarts(1.0, 0.0, 20), steps=100).get_yscale() == "linear"


def test_what_never_settles_is_drawn_beyond_its_last_phase():
    ((x, _),) = drawn(ls.plot(ls.Linear(0.1, 1.0, 10) >> ls.InverseSqrt(1.0, 10)))
    assert x[-1] == 105
    ((x, _),) = drawn(ls.plot(ls.cosine_restarts(1.0, 0.0, 10_000)))
    assert x[-1] == 42_000


def test_a_driven_one_is_drawn_over_its_clock_or_as_it_stands():
    ax = ls.plot(3e-4 * ls.Cosine(1.0, 0.1, 1e9).on(ls.Counter("tokens")))
    assert ax.get_xlabel() == "tokens"
    ((x, y),) = drawn(ax)
    assert 1e9 < x[-1] < 1.1e9
    np.testing.assert_allclose([y[0], y[-1]], [3e-4, 3e-5], rtol=1e-6)
    assert ls.plot(0.1 * ls.reduce_on_plateau()).get_xlabel() == "plateaus of value"
    ax = ls.plot(WAVE * ls.reduce_on_plateau())
    assert ax.get_xlabel() == "step (before any change of plateaus of value)"
    np.testing.assert_array_equal(drawn(ax)[0][1], drawn(ls.plot(WAVE))[0][1])
    two = drawn(ls.plot(ls.reduce_on_plateau(), WAVE))
    assert {x[-1] for x, _ in two} == {42}


def test_a_dict_and_a_list():
    ax = ls.plot({"a": LINE, "b": WAVE})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]  # pyright: ignore[reportOptionalMemberAccess]
    assert len(ls.plot([LINE, WAVE]).get_lines()) == 2


def test_only_whole_steps_where_nothing_jumps():
    ((x, y),) = drawn(ls.plot(ls.warmup_cosine(3e-4, 1000, 100_000, end=3e-5)))
    assert np.all(x == np.round(x))
    assert y[y > 0].min() == pytest.approx(3e-7)


def test_limits():
    bottom, top = ls.plot(ls.Constant(0.1)).get_ylim()
    assert (bottom, top) == pytest.approx((0.0, 0.125))
    assert ls.plot(ls.warmup_cosine(0.1, 10, 1000), log=True).get_ylim()[0] > 1e-6
    assert ls.plot(ls.Geometric(1e-7, 10.0, 100), log=False).get_yscale() == "linear"


def test_a_batch_with_its_points():
    batch, points = ls.grid(ls.warmup_cosine, peak=list(np.geomspace(0.01, 1, 12)), warmup_steps=[0, 10], steps=100)
    ax = ls.plot(batch, points=points)
    assert len(ax.get_lines()) == 24
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "peak"
    assert bar.get_yscale() == "log"
    colours = [tuple(line.get_color()) for line in ax.get_lines()]
    assert len(set(colours)) == 12
    assert colours[0] == colours[1] != colours[2]
    assert len({line.get_linestyle() for line in ax.get_lines()}) == 2  # by warm-up
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["warmup_steps = 0", "warmup_steps = 10"]
    batch, points = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2, 0.3, 0.4, 0.5], warmup_steps=list(range(12)), steps=100)
    assert {line.get_linestyle() for line in ls.plot(batch, points=points).get_lines()} == {"-"}  # too many to tell apart
    batch, points = ls.grid(ls.wsd, shape=["linear", "1-sqrt"], peak=0.1, warmup_steps=5, steps=100, decay_steps=20)
    legend = ls.plot(batch, points=points).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["shape = linear", "shape = 1-sqrt"]


def test_labels():
    def legend(ax):
        return [text.get_text() for text in ax.get_legend().get_texts()]

    assert legend(ls.plot(LINE, WAVE)) == [repr(LINE), repr(WAVE)]
    assert legend(ls.plot(LINE, WAVE, labels=["a", "b"])) == ["a", "b"]
    assert legend(ls.plot(LINE, labels=["a"])) == ["a"]
    ax = ls.plot(LINE)
    assert ax.get_legend() is None
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "value")


def test_lines_are_told_apart_without_colour():
    lines = ls.plot(LINE, WAVE, LINE * 2, WAVE * 2).get_lines()
    assert len({line.get_linestyle() for line in lines}) == 4
    assert len({line.get_color() for line in lines}) == 4


def test_a_batch_is_a_line_a_member():
    lines = drawn(ls.plot(ls.stack([LINE, LINE * 2, WAVE]), steps=20))
    assert [y[list(x).index(10)] for x, y in lines] == pytest.approx([1, 2, (1 + np.cos(np.pi / 4)) / 2])
    lines = ls.plot(ls.stack([LINE, WAVE]), WAVE, steps=20).get_lines()
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()


def test_many_lines_have_colours_along_a_scale():
    many = [LINE * (k / 60) for k in range(60)]
    for ax, name in ((ls.plot(many), "schedule"), (ls.plot(ls.stack(many)), "member")):
        assert len({tuple(line.get_color()) for line in ax.get_lines()}) == 60
        assert {line.get_linestyle() for line in ax.get_lines()} == {"-"}
        assert ax.get_legend() is None
        assert ax.figure.axes[1].get_ylabel() == name
    legend = ls.plot(ls.stack(many[:3])).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["member 0", "member 1", "member 2"]


def test_a_saved_picture_has_its_labels():
    ax = ls.plot(ls.Constant(1.23456e-5))
    ax.figure.canvas.draw()  # pyright: ignore[reportAttributeAccessIssue]
    figure = ax.figure.bbox
    for label in (ax.yaxis.label, ax.xaxis.label):
        box = label.get_window_extent()
        assert figure.x0 <= box.x0 < box.x1 <= figure.x1
        assert figure.y0 <= box.y0 < box.y1 <= figure.y1


def test_a_rate_that_never_moved_is_drawn_from_0():
    _, below = ls.plot_replay(0.1 * ls.reduce_on_plateau(patience=50), np.ones(20))
    assert below.get_ylim() == pytest.approx((0.0, 0.125))


def test_draws_into_given_axes():
    _, ax = plt.subplots()
    assert ls.plot(LINE, ax=ax) is ax
    assert ls.plot(WAVE, ax=ax) is ax
    assert len(ax.get_lines()) == 2
    assert len(plt.get_fignums()) == 1
    assert ls.plot(LINE) is not ax
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ls.plot(), r"plot\(\.\.\.\): expected at least one schedule"),
        (lambda: ls.plot(0.1), r"plot\(schedules=0\.1\): expected a schedule"),  # pyright: ignore[reportArgumentType]
        (lambda: ls.plot(LINE, steps=0), r"plot\(steps=0\): expected a number of steps, at least 1"),
        (lambda: ls.plot(LINE, points={"peak": [1]}), r"plot\(points=\.\.\.\): expected a single batch"),
        (
            lambda: ls.plot(ls.stack([LINE, LINE]), points={"peak": [1]}),
            r"expected the points that grid gave, with 2 values each",
        ),
        (
            lambda: ls.plot(LINE, labels=["a", "b"]),
            r"plot\(labels=\.\.\.\): expected one label for each of 1 schedules, got 2",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
    assert not plt.get_fignums()


def test_a_missing_matplotlib_is_a_line_to_type(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'lrsched-jax\[plot\]'"):
        ls.plot(LINE)
