"""A schedule on metrics that were recorded."""

import jax
import numpy as np
import pytest

import lrsched as ls

PLATEAU = ls.Linear(1.0, 0.0, 40) * ls.reduce_on_plateau(factor=0.5, patience=1)
LOSSES = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, np.nan])


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
    assert values.shape == (len(LOSSES) * every,)
    np.testing.assert_allclose(values, by_hand(PLATEAU, {"value": LOSSES}, every), rtol=2e-7)
    assert len(np.unique(np.round(values / ls.Linear(1.0, 0.0, 40)(np.arange(len(values))), 4))) >= 3  # it did fire, twice


def test_several_metrics_by_name():
    s = ls.reduce_on_plateau(0.5, patience=0, monitor="loss") * ls.reduce_on_plateau(0.25, "max", 0, monitor="score")
    observations = {"loss": np.array([1.0, 1.0, 0.5, 0.5]), "score": np.array([1.0, 2.0, 2.0, 3.0])}
    np.testing.assert_allclose(ls.replay(s, observations), by_hand(s, observations))
    with pytest.raises(TypeError, match="expected a dict, since clocks monitor loss, score"):
        ls.replay(s, observations["loss"])


def test_a_pure_schedule_ignores_them():
    s = ls.Linear(1.0, 0.0, 8)
    np.testing.assert_allclose(ls.replay(s, np.ones(5)), s(np.arange(5)), rtol=2e-7)


def test_it_maps_over_batches_and_jits():
    batch = ls.stack([PLATEAU, ls.Linear(1.0, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=3)])
    values = jax.jit(jax.vmap(ls.replay, (0, None)))(batch, LOSSES.astype(np.float32))
    for row, one in zip(values, ls.unstack(batch), strict=True):
        np.testing.assert_allclose(row, ls.replay(one, LOSSES), rtol=3e-7)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"arrays of one shape \(n,\), got \{'value': \(2, 2\)\}"):
        ls.replay(PLATEAU, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"'value': \(3,\), 'loss': \(2,\)"):
        ls.replay(PLATEAU, {"value": np.ones(3), "loss": np.ones(2)})
    with pytest.raises(TypeError, match="no clock monitors 'loss'"):
        ls.replay(PLATEAU, {"loss": np.ones(3)})
    with pytest.raises(ValueError, match=r"replay\(every=0\): expected every >= 1 and whole"):
        ls.replay(PLATEAU, LOSSES, 0)
    with pytest.raises(TypeError, match="expected a schedule, a number or a function"):
        ls.replay("0.1", LOSSES)  # pyright: ignore[reportArgumentType]


def test_no_metrics_at_all():
    assert ls.replay(PLATEAU, np.zeros(0)).shape == (0,)


def test_a_picture_marks_where_it_fired():
    import matplotlib.pyplot as plt

    above, below = ls.plot_replay(PLATEAU, LOSSES, every=3)
    np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata(), float), ls.replay(PLATEAU, LOSSES, 3))
    for axes in (above, below):
        assert sorted(int(np.asarray(line.get_xdata())[0]) for line in axes.lines[1:]) == [11, 17, 26]
    np.testing.assert_array_equal(above.lines[0].get_xdata(), np.arange(10) * 3 + 2)
    plt.close("all")
