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
PURE = list(dict.fromkeys(pure(call.make()) for call in FEW))
TORCH = [s for s in {type(s): s for s in EXAMPLES}.values() if not driven_parts(s)]  # one of each class
DRIVEN = [s for s in (call.make() for call in FEW) if driven_parts(s)] + [torch.ReduceLROnPlateau(0.1, patience=1)]


def written_and_read(function: Any, *arguments: Any) -> Any:
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == tuple(PLATFORMS)
    return export.deserialize(exported.serialize())


def test_pure_schedules():
    """All in one program: the numbers of every second are captured, those of the others received, and both of PyTorch's."""
    known, live = [*PURE[::2], *TORCH], [*PURE[1::2], *TORCH]
    numbers, trees = zip(*(jax.tree.flatten(packed(s)) for s in live), strict=True)

    def values(numbers: Any, steps: Any) -> Any:
        received = [jax.tree.unflatten(tree, each) for tree, each in zip(trees, numbers, strict=True)]
        return [s(steps) for s in (*known, *received)]

    for found, s in zip(written_and_read(values, numbers, STEPS).call(numbers, STEPS), [*known, *live], strict=True):
        np.testing.assert_allclose(found, s(STEPS), rtol=4e-6, atol=1e-6 * float(jnp.abs(s(STEPS)).max()), err_msg=repr(s))


@pytest.mark.parametrize("s", DRIVEN, ids=str)
def test_a_driven_schedule(s):
    state, structure = jax.tree.flatten(ls.clocks.init(s))
    (monitor,) = {m for part in driven_parts(s) for m in part.clock.monitors} or {"value"}

    def update(leaves: Any, metric: Any) -> Any:
        now = jax.tree.unflatten(structure, leaves)
        return jax.tree.leaves(ls.clocks.tick(s, now, **{monitor: metric})), ls.clocks.evaluate(s, now)

    read, here = written_and_read(update, state, jnp.float32(1)), jax.jit(update)
    theirs = mine = state
    for metric in METRIC:
        (theirs, there), (mine, value) = read.call(theirs, metric), here(mine, metric)
        assert there == value
    for a, b in zip(theirs, mine, strict=True):
        np.testing.assert_array_equal(a, b)
