"""Every public call is lowered for CPU, GPU and TPU at once, and what is written and read again computes the same."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from signatures import CALLS, METRIC, STEPS

import lrsched as ls
from lrsched.algebra.driven import driven_parts
from lrsched.dialects import torch
from lrsched.training.live import packed

PLATFORMS = ["cpu", "cuda", "tpu"]
MADE: dict[str, ls.Schedule] = {f"{i} {call}": call.make() for i, call in enumerate(CALLS)}
TORCH: dict[str, ls.Schedule] = {
    repr(s): s
    for s in (
        torch.StepLR(0.1, 30),
        torch.MultiStepLR(0.1, [10, 20]),
        torch.ConstantLR(0.1, 0.5, 4),
        torch.LinearLR(0.1, 0.25, 1.0, 10),
        torch.ExponentialLR(0.1, 0.95),
        torch.PolynomialLR(0.1, 100, 2),
        torch.CosineAnnealingLR(0.1, 20),
        torch.CosineAnnealingWarmRestarts(0.1, 10, 2),
        torch.CyclicLR(0.01, 0.1, 20),
        torch.OneCycleLR(0.1, 100),
        torch.SWALR(0.1, 0.05),
        torch.SequentialLR([torch.LinearLR(0.1), torch.ExponentialLR(0.1, 0.9)], [5]),
        torch.ChainedScheduler([torch.ConstantLR(0.1), torch.ExponentialLR(0.1, 0.9)]),
        torch.LambdaLR(0.1, lambda t: 1 / (1 + t)),
        torch.MultiplicativeLR(0.1, lambda t: 0.95 + 0 * t),
        torch.ReduceLROnPlateau(0.1, patience=1),
    )
}
ALL = {**MADE, **TORCH}
# Of the ways to make the calls of one label, the first: what is left out in the others is no number.
FIRST = {call.label: f"{i} {call}" for i, call in reversed(list(enumerate(CALLS)))}


def written_and_read(function: Any, *arguments: Any) -> Any:
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == tuple(PLATFORMS)
    return export.deserialize(exported.serialize())


@pytest.mark.parametrize("name", [name for name, s in ALL.items() if not driven_parts(s)])
def test_a_pure_schedule(name):
    s = ALL[name]
    captured = written_and_read(lambda t: s(t), STEPS)
    np.testing.assert_array_equal(captured.call(STEPS), jax.jit(lambda t: s(t))(STEPS))
    numbers, structure = jax.tree.flatten(packed(s))
    if numbers and name in (*FIRST.values(), *TORCH):  # so that one exported program serves all of them

        def of_numbers(numbers: Any, t: Any) -> Any:
            return jax.tree.unflatten(structure, numbers)(t)

        given, here = written_and_read(of_numbers, numbers, STEPS), jax.jit(of_numbers)(numbers, STEPS)
        # XLA may round a product and a sum once here and twice there.
        np.testing.assert_allclose(given.call(numbers, STEPS), here, rtol=5e-7, atol=1e-7 * float(jnp.abs(here).max()))


@pytest.mark.parametrize("name", [name for name, s in ALL.items() if driven_parts(s)])
def test_a_driven_schedule(name):
    s = ALL[name]
    state, structure = jax.tree.flatten(ls.init(s))
    (monitor,) = {m for part in driven_parts(s) for m in part.clock.monitors} or {"value"}

    def update(leaves: Any, metric: Any) -> Any:
        now = jax.tree.unflatten(structure, leaves)
        return jax.tree.leaves(ls.tick(s, now, **{monitor: metric})), ls.evaluate(s, now)

    read, here = written_and_read(update, state, jnp.float32(1)), jax.jit(update)
    theirs = mine = state
    for metric in METRIC:
        (theirs, there), (mine, value) = read.call(theirs, metric), here(mine, metric)
        assert there == value
    for a, b in zip(theirs, mine, strict=True):
        np.testing.assert_array_equal(a, b)
