"""Schedules of every node are lowered for CPU, GPU and TPU at once; the program, written and read again, has their values."""

import jax
import numpy as np
from jax import export
from signatures import FEW, METRIC, STEPS, pure
from torch_cases import EXAMPLES

import lrsched as ls
from lrsched.algebra.combinators import driven_parts
from lrsched.dialects import torch
from lrsched.training.live import packed

PLATFORMS = ("cpu", "cuda", "tpu")
PURE = list(dict.fromkeys(pure(call.make()) for call in FEW))
TORCH = list({type(s): s for s in EXAMPLES if not driven_parts(s)}.values())  # one of each class
DRIVEN = [s for s in (call.make() for call in FEW) if driven_parts(s)] + [torch.ReduceLROnPlateau(0.1, patience=1)]


def test_one_program_of_all_has_their_values():
    """The numbers of every second are captured, those of the others received, and both of PyTorch's."""
    known, live = [*PURE[::2], *TORCH], [*PURE[1::2], *TORCH]
    arguments, tree = jax.tree.flatten((list(map(packed, live)), STEPS, METRIC))
    steps = jax.ShapeDtypeStruct(export.symbolic_shape("n"), STEPS.dtype)  # of any number
    shapes = jax.tree.leaves((list(map(packed, live)), steps, METRIC))

    def values(*arguments):
        received, steps, metric = jax.tree.unflatten(tree, arguments)
        return [s(steps) for s in (*known, *received)], [ls.clocks.replay(s, metric) for s in DRIVEN]

    exported = export.export(jax.jit(values), platforms=PLATFORMS)(*shapes)
    assert exported.platforms == PLATFORMS
    at_steps, replayed = export.deserialize(exported.serialize()).call(*arguments)
    for found, s in zip(at_steps, [*known, *live], strict=True):
        truth = s(STEPS)
        np.testing.assert_allclose(found, truth, rtol=4e-6, atol=1e-6 * np.abs(truth).max(), err_msg=repr(s))
    for found, s in zip(replayed, DRIVEN, strict=True):
        np.testing.assert_array_equal(found, ls.clocks.replay(s, METRIC), err_msg=repr(s))
