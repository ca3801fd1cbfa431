"""A schedule on metrics that were recorded."""

import jax
import numpy as np
import pytest

import lrsched as ls

LINE = ls.Linear(1.0, 0.0, 40)
PLATEAU = LINE * ls.reduce_on_plateau(factor=0.5, patience=1)
LOSSES = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, np.nan])
TWO = ls.reduce_on_plateau(0.5, patience=0, monitor="loss") * ls.reduce_on_plateau(0.25, "max", 0, monitor="score")


def by_hand(s, observations, every=1):
    state, values = ls.init(s), []
    for i in range(len(next(iter(observations.values()))) * every):
        values.append(float(ls.evaluate(s, state)))
        ends = i % every == every - 1
        state = ls.tick(s, state, **({name: table[i // every] for name, table in observations.items()} if ends else {}))
    return np.array(values)


@pytest.mark.parametrize("every", [1, 4])
def test_it_is_what_ticking_by_hand_gives(every):
    values = ls.replay(PLATEAU, LOSSES, every)
    np.testing.assert_allclose(values, by_hand(PLATEAU, {"value": LOSSES}, every), rtol=2e-7)
    assert len(np.unique(np.round(values / LINE(np.arange(len(values))), 4))) >= 3  # it did fire, twice
    observations = {"loss": np.array([1.0, 1.0, 0.5, 0.5]), "score": np.array([1.0, 2.0, 2.0, 3.0])}
    np.testing.assert_allclose(ls.replay(TWO, observations, every), by_hand(TWO, observations, every))
    np.testing.assert_allclose(ls.replay(LINE, np.ones(5), every), LINE(np.arange(5 * every)), rtol=2e-7)
    assert ls.replay(PLATEAU, np.zeros(0), every).shape == (0,)


def test_it_maps_over_batches_and_jits():
    batch = ls.stack([PLATEAU, LINE * ls.reduce_on_plateau(factor=0.5, patience=3)])
    values = jax.jit(jax.vmap(ls.replay, (0, None)))(batch, LOSSES.astype(np.float32))
    for row, one in zip(values, ls.unstack(batch), strict=True):
        np.testing.assert_allclose(row, ls.replay(one, LOSSES), rtol=3e-7)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((PLATEAU, np.ones((2, 2))), ValueError, r"arrays of one shape \(n,\), got \{'value': \(2, 2\)\}"),
        ((PLATEAU, {"value": np.ones(3), "loss": np.ones(2)}), ValueError, r"'value': \(3,\), 'loss': \(2,\)"),
        ((PLATEAU, {"loss": np.ones(3)}), TypeError, "no clock monitors 'loss'"),
        ((TWO, LOSSES), TypeError, "expected a dict, since clocks monitor loss, score"),
        ((PLATEAU, LOSSES, 0), ValueError, r"replay\(every=0\): expected every >= 1 and whole"),
        (("0.1", LOSSES), TypeError, "expected a schedule, a number or a function"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ls.replay(*arguments)


def test_a_picture_marks_where_it_fired():
    import matplotlib.pyplot as plt

    above, below = ls.plot_replay(PLATEAU, LOSSES, every=3)
    np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata(), float), ls.replay(PLATEAU, LOSSES, 3))
    for axes in (above, below):
        assert sorted(int(np.asarray(line.get_xdata())[0]) for line in axes.lines[1:]) == [11, 17, 26]
    np.testing.assert_array_equal(above.lines[0].get_xdata(), np.arange(10) * 3 + 2)
    plt.close("all")
