"""The peers of the benchmarks: without them a row says so, and both sides of a row do the same work."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import relaxed

import lrsched as ls
from benchmarks import digits_optax, digits_torch, main_job, optional, peers, timing
from lrsched.lab import bakeoff

STEPS, PEAK = 100, 0.08
PURE = [name for name in main_job.NAMES if name != "reduce on plateau"]


@pytest.fixture
def without_peers(monkeypatch):
    """As if none of them could be imported."""
    for name in ("torch", "timm", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_peers")
def test_what_is_not_installed_is_named():
    assert optional.absent("torch") == "torch is not installed"
    assert optional.absent("numpy", "timm.scheduler") == "timm is not installed"
    assert optional.absent("numpy") == ""


def test_what_does_not_fit_is_no_failure(monkeypatch, tmp_path):
    (tmp_path / "misfit.py").write_text("raise RuntimeError('no such operator')")
    monkeypatch.syspath_prepend(tmp_path)
    assert optional.absent("misfit") == "misfit cannot be imported: no such operator"


@pytest.mark.usefixtures("without_peers")
def test_steps_tables_and_errors_without_peers():
    with relaxed():
        rows = peers.rows(5)
    theirs = [row for row in rows if "against" in row.name]
    assert len(theirs) == 10
    assert all(row.figure is None and row.details == "torch is not installed" for row in theirs)
    errors = [row for row in rows if row.name.startswith("largest error")]
    assert len(errors) == len(rows) - 10
    for row in errors:  # what is ours is measured all the same
        assert row.figure is not None
        assert row.goal is not None
        assert row.figure <= row.goal
        assert "torch is not installed" in row.details


@pytest.mark.usefixtures("without_peers")
def test_the_main_job_without_pytorch(monkeypatch):
    monkeypatch.setattr(main_job, "_ours", lambda: (10.0, 0.97, 4.0))
    monkeypatch.setattr(main_job, "_theirs", lambda _: (400.0, 0.96))
    torch, *others = main_job.measured_here(5)
    assert (torch.figure, torch.goal, torch.details) == (None, 1 / 15, "torch is not installed")
    assert [row.figure for row in others] == [0.025, 0.025]
    assert [row.goal for row in others] == [1 / 50, None]
    assert others[0].details.startswith("40.0 times faster: 10.0 s, 4.0 s of it before the first step, against 400 s")
    assert "67 times faster" in others[0].reason


def test_loops_that_train_something_else_are_no_peers(monkeypatch):
    monkeypatch.setattr(main_job, "absent", lambda _: "not here")
    monkeypatch.setattr(main_job, "_ours", lambda: (10.0, 0.97, 4.0))
    monkeypatch.setattr(main_job, "_theirs", lambda _: (400.0, 0.5))
    with pytest.raises(RuntimeError, match="not the same training"):
        main_job.measured_here(5)


def test_sides_are_compared_in_blocks_of_calls():
    order = []
    found = timing.compare(lambda: order.append("ours"), lambda: order.append("theirs"), repeats=4, calls=5)
    blocks = [(name, len(list(calls))) for name, calls in itertools.groupby(order[2:])]
    assert blocks == [("ours", 5), ("theirs", 10), ("ours", 10), ("theirs", 10), ("ours", 5)]
    assert found.ours > 0


@pytest.mark.parametrize("name", PURE)
def test_optax_has_the_schedules_of_the_main_job(name):
    with relaxed():
        theirs = jax.vmap(digits_optax.schedule_of(name, PEAK, STEPS))(np.arange(STEPS))
        np.testing.assert_allclose(np.broadcast_to(theirs, STEPS), _rates(name), rtol=2e-4)


def test_optax_has_its_plateau():
    with relaxed():
        run = digits_optax._build("reduce on plateau", PEAK, 0, STEPS)
        listen, scale, found = jax.jit(run.listen), run.scale, []
        for _ in range(12):
            found.append(float(scale.scale))
            scale = listen(scale, jnp.float32(1.0))
    assert found == ls.replay(bakeoff.guide_schedules(STEPS)["reduce on plateau"], [1.0] * 12).tolist()
    assert 0.25 in found


def test_the_loops_of_optax_train():
    with relaxed():
        accuracy = digits_optax.train("step", PEAK, 0, 500)
        assert accuracy > 0.9
        assert digits_optax.train_scanned("step", PEAK, 0, 500) == pytest.approx(accuracy, abs=0.01)


@pytest.mark.parametrize("name", PURE)
def test_pytorch_has_the_schedules_of_the_main_job(name):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK, momentum=0.9)
    scheduler = digits_torch.scheduler_of(name, optimizer, PEAK, STEPS)
    theirs = []
    for _ in range(STEPS):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    expected = _rates(name)
    if name == "one-cycle":  # its phases end one step before ours
        np.testing.assert_allclose(theirs, expected, atol=0.05 * PEAK)
    else:
        np.testing.assert_allclose(theirs, expected, rtol=1e-5)


def test_the_loop_of_pytorch_trains():
    pytest.importorskip("torch").set_num_threads(1)  # threads that wait for each other cost more than they save
    assert digits_torch.train(digits_torch.Tensors("cpu"), "step", PEAK, 0, 500) > 0.9


def _rates(name):
    return (PEAK * bakeoff.guide_schedules(STEPS)[name])(np.arange(STEPS))
