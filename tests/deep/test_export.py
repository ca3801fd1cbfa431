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
PURE = {f"{i} {call}": pure(call.make()) for i, call in enumerate(FEW)}
TORCH = {type(s).__name__: s for s in EXAMPLES}  # one of each class
DRIVEN = {f"{i} {call}": call.make() for i, call in enumerate(FEW) if driven_parts(call.make())}
DRIVEN["torch"] = torch.ReduceLROnPlateau(0.1, patience=1)


def written_and_read(function: Any, *arguments: Any) -> Any:
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == tuple(PLATFORMS)
    return export.deserialize(exported.serialize())


@pytest.mark.parametrize("name", [name for name, s in (PURE | TORCH).items() if not driven_parts(s)])
def test_a_pure_schedule(name):
    s = (PURE | TORCH)[name]
    captured = written_and_read(lambda t: s(t), STEPS)
    np.testing.assert_array_equal(captured.call(STEPS), jax.jit(lambda t: s(t))(STEPS))
    numbers, structure = jax.tree.flatten(packed(s))
    if numbers and name not in TORCH:  # so that one exported program serves all of them

        def of_numbers(numbers: Any, t: Any) -> Any:
            return jax.tree.unflatten(structure, numbers)(t)

        given, here = written_and_read(of_numbers, numbers, STEPS), jax.jit(of_numbers)(numbers, STEPS)
        # XLA may round a product and a sum once here and twice there.
        np.testing.assert_allclose(given.call(numbers, STEPS), here, rtol=5e-7, atol=1e-7 * float(jnp.abs(here).max()))


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
