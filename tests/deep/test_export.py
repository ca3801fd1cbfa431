"""Every public call is lowered for CPU, GPU and TPU at once, and what is written and read again computes the same."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from signatures import FEW, METRIC, STEPS, pure
from torch_cases import EXAMPLES

import lrsched as ls
from lrsched.algebra.driven import driven_parts
from lrsched.dialects import torch
from lrsched.training.live import packed

PLATFORMS = ["cpu", "cuda", "tpu"]
PURE = [pure(call.make()) for call in FEW]
TORCH = [s for s in {type(s): s for s in EXAMPLES}.values() if not driven_parts(s)]  # one of each class
DRIVEN = {f"{i} {call}": call.make() for i, call in enumerate(FEW) if driven_parts(call.make())}
DRIVEN["torch"] = torch.ReduceLROnPlateau(0.1, patience=1)


def written_and_read(function: Any, *arguments: Any) -> Any:
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == tuple(PLATFORMS)
    return export.deserialize(exported.serialize())


def test_pure_schedules():
    """All in one program, with their numbers captured; and those without functions with numbers that it receives."""

    def captured(steps: Any) -> Any:
        return [s(steps) for s in PURE + TORCH]

    def of_numbers(numbers: Any, steps: Any) -> Any:
        return [jax.tree.unflatten(tree, each)(steps) for tree, each in zip(trees, numbers, strict=True)]

    numbers, trees = zip(*(jax.tree.flatten(packed(s)) for s in PURE), strict=True)
    for function, arguments in ((captured, (STEPS,)), (of_numbers, (numbers, STEPS))):
        for found, here in zip(
            written_and_read(function, *arguments).call(*arguments), jax.jit(function)(*arguments), strict=True
        ):
            # XLA may round a product and a sum once here and twice there.
            np.testing.assert_allclose(found, here, rtol=5e-7, atol=1e-7 * float(jnp.abs(here).max()))


@pytest.mark.parametrize("name", DRIVEN)
def test_a_driven_schedule(name):
    s = DRIVEN[name]
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
