"""The program of a schedule grows linearly with its nodes: known, traced and live, and so do its gradients."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.training.live import packed

RAMP = ls.Linear(0.0, 1.0, 10.0)
NODES = {
    "constant": ls.Constant(0.5, 10),
    "linear": RAMP,
    "cosine": ls.Cosine(1.0, 0.1, 10.0),
    "polynomial": ls.Polynomial(1.0, 0.1, 10.0, 0.9),
    "geometric": ls.Geometric(1.0, 0.1, 10.0),
    "exponential": ls.Exponential(1.0, 0.9).take(10),
    "inverse square root": ls.InverseSqrt(1.0, 3.0).take(10),
    "table": ls.Piecewise([0, 3, 10], [1.0, 0.5, 0.1], kind="linear"),
    "drop and delay": RAMP.drop(2).delay(5),
    "stairs": RAMP.staircase(2.5),
    "stretch": RAMP.stretch(3.3),
    "warp": RAMP @ (0.5 * ls.Time().take(20)),
    "repeat": RAMP.repeat(3),
    "growing repeat": ls.cosine_restarts(1.0, 0.0, 10, n=3, stretch=2.0),
    "choice": ls.Choice((RAMP, ls.Constant(1.0, 10)), 0),
    "driven": ls.reduce_on_plateau() * RAMP,
}
WAYS = {"known": lambda s: s, "traced": lambda s: jax.tree.map(jnp.float32, s), "live": packed}
COMBINED = {
    "sum": lambda s, n: functools.reduce(operator.add, [s] * n),
    "product": lambda s, n: functools.reduce(operator.mul, [s] * n),
    "sequence": lambda s, n: functools.reduce(operator.rshift, [s] * n),
    "nested": lambda s, n: functools.reduce(lambda inner, _: inner.delay(1), range(n), s),
}


def size(jaxpr):
    """The number of operations in a program, and in all programs inside it."""
    parameters = [x for eqn in jaxpr.eqns for x in jax.tree.leaves(list(eqn.params.values()))]
    inner = [getattr(x, "jaxpr", x) for x in parameters if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
    return len(jaxpr.eqns) + sum(map(size, inner))


def program(name, way, combined, n, gradient):
    s = COMBINED[combined](NODES[name], n)
    if name == "driven":
        s = ls.bind(s, ls.init(s))

    def value(s, t):
        return s(t)

    function = jax.grad(value, allow_int=True) if gradient else value
    if way == "known":
        return jax.make_jaxpr(lambda t: value(s, t))(jnp.int32(7)).jaxpr
    return jax.make_jaxpr(function)(WAYS[way](s), jnp.int32(7)).jaxpr


@pytest.mark.parametrize("name", NODES)
def test_programs_grow_linearly(name):
    """With numbers of each kind, each in another way of combining, and the gradients of a product."""
    turn = list(NODES).index(name)
    combined = {way: list(COMBINED)[(turn + i) % len(COMBINED)] for i, way in enumerate(WAYS)}
    for way, how, gradient in [*((way, how, False) for way, how in combined.items()), ("live", "product", True)]:
        if how == "sequence" and name == "driven":  # it lasts for ever
            continue
        small, middle, large = (size(program(name, way, how, n, gradient)) for n in (1, 2, 4))
        assert large - middle <= 2.1 * (middle - small) + 30, (how, way, gradient, small, middle, large)


@pytest.mark.parametrize("combined", ["product", "nested"])
def test_sixteen_growing_repeats_are_eight_times_as_much_as_two(combined):
    sizes = [size(program("growing repeat", "traced", combined, n, False)) for n in (2, 8, 16)]
    assert sizes[2] - sizes[1] <= 1.2 * (sizes[1] - sizes[0]) * 8 / 6, sizes


@pytest.mark.parametrize("operation", [operator.mul, operator.add], ids=["product", "sum"])
def test_growing_repeats_compute_what_they_compute_alone(operation):
    """A compiler that fuses one into the next would need seconds for a call: this one would not come back."""
    one = ls.cosine_restarts(1.0, 0.25, 10, stretch=2.0)
    steps = jnp.asarray([0, 9, 10, 77, 1000], jnp.int32)
    alone = np.asarray(jax.jit(lambda s, t: s(t))(one, steps), np.float64)
    many = jax.jit(lambda s, t: s(t))(functools.reduce(operation, [one] * 8), steps)
    np.testing.assert_allclose(many, functools.reduce(operation, [alone] * 8), rtol=1e-5)
