"""A schedule is an argument like any other: other numbers never compile anew."""

import jax
import numpy as np
from signatures import FEW, several

import lrsched as ls


def counted(function):
    """The function, compiled, and a list of its traces."""
    traces = []
    return jax.jit(lambda *x: traces.append(x) or function(*x)), traces


def test_other_numbers_trace_nothing_anew():
    """Of every node: once for Python numbers, and once for arrays."""
    for call in FEW:
        received, traces = counted(lambda _: 0.0)
        for numbers in ({}, *({name: x.tolist()} for name in call.numbers for x in several(call, name))):
            received(call.make(**numbers))
            received(jax.tree.map(np.float32, call.make(**numbers)))
        assert len(traces) <= 2, str(call)  # tables are arrays anyway


def test_no_value_is_special():
    """A number that is 0, 1 or whole, or of another type, is as much a number as any other."""
    called, traces = counted(lambda s, t: s(t))
    for x in (0, 1.0, -1, 0.5, np.float32(3), np.int64(2), 1e30):
        called(ls.Linear(x, x, abs(x)) * x + x >> ls.Constant(x, abs(x)), 3)
        y = abs(x) or 2.3
        called(ls.Linear(0, 1, 4).repeat(3, stretch=y, scale=y).stretch(y).staircase(y), 3)
        called(ls.stack([ls.Linear(0, x, 10), ls.Cosine(x, 0, 5)]), 3)
    assert len(traces) == 3
