"""The program of a schedule grows linearly with its nodes, with known and with live numbers, and so does its gradient."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.training.live import packed

RAMP = ls.Linear(0.0, 1.0, 10.0)
GROWING = ls.cosine_restarts(1.0, 0.25, 10, stretch=2.0)
NODES = {
    "power": ls.Polynomial(1.0, 0.1, 10.0, 0.9),
    "exponential": ls.Exponential(1.0, 0.9).take(10),
    "table": ls.Piecewise([0, 3, 10], [1.0, 0.5, 0.1], kind="linear"),
    "drop and delay": RAMP.drop(2).delay(5),
    "stairs": RAMP.staircase(2.5),
    "stretch": RAMP.stretch(3.3),
    "warp": RAMP @ (0.5 * ls.Time().take(20)),
    "repeat": RAMP.repeat(3),
    "growing repeat": GROWING.take(300),
}
COMBINED = {
    "product": lambda s, n: functools.reduce(operator.mul, [s] * n),
    "sequence": lambda s, n: functools.reduce(operator.rshift, [s] * n),
    "nested": lambda s, n: functools.reduce(lambda inner, _: inner.delay(1), range(n), s),
}


def size(jaxpr):
    """The number of operations in a program, and in all programs inside it."""
    parameters = [x for eqn in jaxpr.eqns for x in jax.tree.leaves(list(eqn.params.values()))]
    inner = [getattr(x, "jaxpr", x) for x in parameters if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
    return len(jaxpr.eqns) + sum(map(size, inner))


def sizes(s):
    """Of the programs of a schedule: its values with known and with live numbers, and the gradient by these."""
    step, value = jnp.int32(7), lambda s, t: s(t)
    yield size(jax.make_jaxpr(s)(step).jaxpr)
    for function in (value, jax.grad(value, allow_int=True)):
        yield size(jax.make_jaxpr(function)(packed(s), step).jaxpr)


@pytest.mark.parametrize("name", NODES)
def test_programs_grow_linearly(name):
    how = list(COMBINED)[list(NODES).index(name) % len(COMBINED)]
    of_each = zip(*(sizes(COMBINED[how](NODES[name], n)) for n in (1, 2, 4)), strict=True)
    for small, middle, large in of_each:
        assert large - middle <= 2.1 * (middle - small) + 30, (how, small, middle, large)


def test_growing_repeats_compute_what_they_compute_alone():
    """A compiler that fuses one into the next would need seconds for a call: this one would not come back."""
    steps = jnp.asarray([0, 9, 10, 77, 1000], jnp.int32)
    alone = np.asarray(jax.jit(lambda s, t: s(t))(GROWING, steps), np.float64)
    many = jax.jit(lambda s, t: s(t))(COMBINED["product"](GROWING, 8), steps)
    np.testing.assert_allclose(many, alone**8, rtol=1e-5)
