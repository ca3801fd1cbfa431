"""The peers of the benchmarks: without them a row says so, and both sides of a row do the same work."""

import jax
import numpy as np
import pytest
from helpers import relaxed

from benchmarks import digits_optax, digits_torch, main_job
from lrsched.lab import bakeoff

STEPS, PEAK = 100, 0.08
PURE = [name for name in main_job.NAMES if name != "reduce on plateau"]


@pytest.mark.parametrize("name", PURE)
def test_optax_has_the_schedules_of_the_main_job(name):
    with relaxed():
        theirs = jax.vmap(digits_optax.schedule_of(name, PEAK, STEPS))(np.arange(STEPS))
        np.testing.assert_allclose(np.broadcast_to(theirs, STEPS), _rates(name), rtol=2e-4)


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
