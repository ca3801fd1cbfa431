"""Steps and numbers of every type of Python, NumPy, ml_dtypes and JAX, and the variables of other libraries."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from helpers import Variable, x64

import lrsched as ls
from lrsched.algebra.double import double

TYPES = [np.uint8, np.int16, np.uint32, np.int32, np.int64, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.int4]


def forms(kind: Any, number: Any) -> Iterator[Any]:
    """A number of a type as a scalar and as arrays."""
    array = np.asarray(number).astype(kind)
    yield from (kind(number), array, jnp.asarray(array), Variable(array))


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_step_may_be_of_any_type(kind):
    for schedule in (ls.Linear(0.0, 1.0, 10), ls.cosine_restarts(1.0, 0.0, 3, stretch=2)):
        truth, both = np.asarray(schedule([5, 2])), np.asarray([5, 2]).astype(kind)
        compiled = jax.jit(lambda steps, a, b, s=schedule: (s(steps), s([a, b])))(both, kind(5), kind(2))
        np.testing.assert_allclose(compiled, [truth, truth], rtol=1e-6)
        for steps in (both, [kind(5), kind(2)], [Variable(kind(5)), 2], (np.float32(5), kind(2))):
            np.testing.assert_array_equal(schedule(steps), truth)
        assert all(schedule(step) == truth[0] for step in forms(kind, 5))


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_number_may_be_of_any_type(kind):
    ramp = ls.Linear(0.0, 1.0, 10)
    for two in forms(kind, 2):
        assert ls.Linear(0.0, two, two) == ls.Linear(0.0, 2.0, 2)
        assert ls.Piecewise([0, two], [two, 1.0]) == ls.Piecewise([0, 2], [2.0, 1.0])
        assert ls.maximum(ramp - two, two) == ls.maximum(ramp - 2, 2)
        assert ls.warmup_cosine(two, two, 10) == ls.warmup_cosine(2, 2, 10)
        assert ls.Function(pow, two) == ls.Function(pow, 2)
        assert isinstance(two, Variable) or (two * ramp == 2 * ramp and two - ramp == 2 - ramp)
    table = np.asarray([0, 2]).astype(kind)
    assert ls.Piecewise(table, jnp.asarray(table)) == ls.Piecewise([0, 2], [0.0, 2.0])
    np.testing.assert_array_equal(ls.Linear(0.0, jnp.asarray(table), 2)(1), [0.0, 1.0])


@pytest.mark.parametrize("bad", [np.asarray(True), np.complex64(1), np.datetime64(1, "s")])
def test_what_is_no_number_of_numpy(bad):
    for call in (lambda: ls.Linear(0.0, bad, 10), lambda: ls.Time() * bad, lambda: ls.Linear(0.0, 1.0, 10)(bad)):
        with pytest.raises(TypeError):
            call()


def test_steps_beyond_the_signed_ones():
    far = np.uint32(3_000_000_000)
    for schedule in (ls.Linear(0.0, 1.0, 2**32), ls.Constant(0.0, 2**31) >> ls.Time(), ls.InverseSqrt(1.0, 1e9), ls.Time()):
        np.testing.assert_allclose(jax.jit(schedule)(np.asarray([far]))[0], float(schedule(far)), rtol=1e-6)
        np.testing.assert_allclose(jax.jit(lambda s, t: s(t))(schedule, far), float(schedule(far)), rtol=1e-5)
    with x64():
        np.testing.assert_allclose(jax.jit(ls.Linear(0.0, 1.0, 2**60))(np.uint64(2**59)), 0.5, rtol=1e-15)
        assert jax.jit(ls.Linear(0.0, 1.0, 10))(np.int64(-5)) == 0


@pytest.mark.parametrize("rate", [ml_dtypes.bfloat16(0.5), np.float16(0.5), np.asarray(0.5), Variable(0.5)], ids=type)
def test_a_rate_may_be_of_any_type(rate):
    live = ls.scale_by_learning_rate(ls.Constant(0.1), live=True)
    states = [make.init(jnp.ones(2)) for make in (ls.scale_by_learning_rate(rate), ls.scheduled(optax.adamw)(rate))]
    for state in (*states, ls.replace_schedule(live.init(jnp.ones(2)), rate)):
        assert ls.learning_rate(state) in (0.5, np.float32(0.1))
    assert ls.get_schedule(ls.replace_schedule(live.init(jnp.ones(2)), rate)) == ls.Constant(0.5)


def test_variables_inside_of_jit():
    nnx = pytest.importorskip("flax.nnx")
    schedule, step = ls.Linear(0.0, 1.0, 10), nnx.Variable(jnp.asarray(4, jnp.int32))
    of_variables = nnx.jit(lambda t: (schedule(t), schedule([t, 2]), (schedule * t)(5), ls.Linear(0.0, t, t)(2)))
    for found in (of_variables(step), of_variables.__wrapped__(step)):
        for value, truth in zip(found, (0.4, [0.4, 0.2], 2.0, 2.0), strict=True):
            np.testing.assert_allclose(value, truth, rtol=1e-6)
    table = jax.jit(lambda a: ls.Piecewise([Variable(a), 8], [1.0, Variable(a / 2)]).values)(3.0)
    np.testing.assert_array_equal(table, [1.0, 1.5])


def test_a_float64_is_split_without_a_float32_and_back():
    """A GPU's compiler takes such a pair of conversions for the number itself, and its last digits would be lost."""
    with x64():
        assert "new_dtype=float64" not in str(jax.make_jaxpr(double)(np.float64(0.1)))
