"""The peers of the benchmarks: without them a row says so, and both sides of a row do the same work."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import relaxed

import lrsched as ls
from benchmarks import digits_optax, digits_torch, main_job, timing
from lrsched.lab import bakeoff

STEPS, PEAK = 100, 0.08
PURE = [name for name in main_job.NAMES if name != "reduce on plateau"]


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


def _rates(name):
    return (PEAK * bakeoff.guide_schedules(STEPS)[name])(np.arange(STEPS))
