"""The laws of the algebra outside of jit, and the meaning of every node, on generated nested schedules.

In compiled code they have their meaning too, so that the laws follow.
"""

import contextlib
import copy
import itertools
import math
import operator
import pickle
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import nested
import numpy as np
import pytest
from helpers import x64
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from meaning import length, value
from meaning import meanings as truth_of
from nested import counts, finite, node_classes, nodes, options, positive_counts, schedules, size, times, values

import lrsched as ls
from lrsched.algebra.combinators import Driven

HUGE = [1000, 2**20, 2**24 + 1, 10**9, 2**30 + 1, 2**31 - 1]
WHOLE = np.array([*range(24), 26, 30, 47, 60, 61, 100, 128, *HUGE])
FRACTIONAL = np.append(np.arange(0, 22, 0.25), [26.5, 30.25, 47.75, 61.5, 100.25, 128.5, 999.75, 2**20 + 0.5]).reshape(8, 12)
STEPS = np.concatenate([WHOLE, FRACTIONAL.ravel(), [10**9 + 0.25, 2**31 - 1.25]])
PRECISIONS = {"float32": contextlib.nullcontext, "float64": x64}
in_both = pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
FAR = {
    "delayed": lambda s: (s.delay(10**9), 10**9 + np.arange(-2, 40)),
    "stretched": lambda s: (s.stretch(2**20), np.add.outer(2**18 * np.arange(40), [-1, 0, 1, 77777])),
    "stretched oddly": lambda s: (s.stretch(3 * 2**18 + 4), np.add.outer((3 * 2**16 + 1) * np.arange(40), [-1, 0, 1])),
    "last": lambda s: (ls.Constant(0.3, 2**31 - 50) >> s, 2**31 - 50 + np.arange(-2, 50)),
    "repeated": lambda s: (s.take(10**8 + 0.25).repeat(), np.add.outer(10**8 * np.array([0, 1, 4, 20]), np.arange(-2, 30))),
    "warped": lambda s: (s @ ((ls.Time() - 2**30) / 2**18), 2**30 + np.add.outer(2**16 * np.arange(40), [-1, 0, 1])),
    "reversed": lambda s: (s.take(2**31 - 1).reverse(), 2**31 - 1 - np.arange(0, 40)),
}
NAMES = {name: getattr(ls, name) for name in dir(ls)} | {"inverse_time": nested.inverse_time}


def law(*strategies: Any) -> Any:
    """A law: what is equal, as a generator of (left, right) or (left, right, steps) of what is drawn.

    It is tested in float64, of which float32 is the rounding.
    """

    def decorate(pairs: Any) -> Any:
        @settings(max_examples=30)
        @given(drawn=st.tuples(*strategies))
        def test(drawn: Any) -> None:
            with x64():
                for left, right, *steps in pairs(*drawn):
                    at = steps[0] if steps else STEPS
                    assert_eager(left(at), right(at), max(size(left), size(right)))

        return test

    return decorate


def float_type() -> Any:
    return jnp.result_type(float)


def assert_eager(actual: Any, truth: Any, scale: float) -> None:
    """Equal, up to one rounding to the type of the result and what float64 rounds on the way."""
    assert actual.dtype == float_type()
    single = float_type() == np.float32
    relative, absolute = single * float(np.finfo(np.float32).eps), 32 * float(np.finfo(np.float64).eps) * max(scale, 1e-30)
    np.testing.assert_allclose(actual, truth, rtol=relative, atol=absolute)


@in_both
@settings(max_examples=60)
@given(s=schedules)
def test_a_value_is_the_meaning(precision, s):
    with precision():
        assert_eager(s(STEPS), truth_of(s, STEPS), size(s))
        assert s.length == float(length(s))


def moved(s: Any, move: str) -> Any:
    """The schedule far away, and steps there; a time that is divided is rounded, and a root at its beginning shows it."""
    far, steps = FAR[move](s)
    scale = size(far) * (1000 if move == "stretched oddly" else 1)
    return far, np.clip(steps, 0, 2**31 - 1).ravel().astype(np.int32), scale


@given(s=schedules, move=st.sampled_from(list(FAR)))
def test_a_value_far_away_is_the_meaning(s, move):
    far, steps, scale = moved(s, move)
    assert_eager(far(steps), truth_of(far, steps), scale)


def few(examples: int) -> Any:
    """Settings for so many examples, without shrinking, which would take minutes."""
    return settings(max_examples=examples, phases=[Phase.generate])


def assert_compiled(actual: Any, truth: Any, scale: float) -> None:
    """Equal within 8 units in the last place of the terms; in float64 compilers have coarser powers and logarithms."""
    assert actual.dtype == float_type()
    ulps = 8 if float_type() == np.float32 else 64
    np.testing.assert_allclose(actual, truth, rtol=0, atol=ulps * float(np.finfo(float_type()).eps) * max(scale, 1e-30))


def kinds_of_steps() -> list[Any]:
    """Whole and huge steps, and a matrix of fractional steps, each in one call and under `vmap`."""
    whole, fractional = WHOLE.astype(np.int32), FRACTIONAL.astype(float_type())
    together, mapped = lambda s, t: s(t), lambda s, t: jax.vmap(s)(t)
    return [(whole, together), (fractional, mapped), (whole, mapped), (fractional, together)]


@pytest.mark.deep
@in_both
@few(20)
@given(s=schedules, kind=st.sampled_from(range(4)), is_known=st.booleans())
def test_a_compiled_value_is_the_meaning(precision, s, kind, is_known):
    with precision():
        steps, call = kinds_of_steps()[kind]
        steps = steps[steps <= 2**20] if steps.dtype.kind == "i" and not is_known else steps
        found = jax.jit(lambda t: call(s, t))(jnp.asarray(steps)) if is_known else jax.jit(call)(s, steps)
        assert_compiled(found, truth_of(s, steps), size(s))


@pytest.mark.deep
@in_both
@few(6)
@given(s=schedules, move=st.sampled_from(list(FAR)))
def test_a_compiled_value_far_away_is_the_meaning(precision, s, move):
    far, steps, scale = moved(s, move)
    with precision():
        assert_compiled(jax.jit(lambda t: far(t))(steps), truth_of(far, steps), scale)


@given(schedules)
def test_an_array_of_steps_is_elementwise(s):
    steps = [[0, 1, 2.5, 7.25], [21, 1000, 10**9, 2**31 - 1]]
    one_by_one = [[s(t) for t in row] for row in steps]
    np.testing.assert_array_equal(s(steps), one_by_one)
    np.testing.assert_array_equal(s(np.array(steps)), one_by_one)
    assert s([]).shape == (0,)


@given(schedules)
def test_from_its_length_on_a_schedule_stands_still(s):
    assume(math.isfinite(s.length))
    later = s.length + np.array([0, 0.25, 1, 7, 1000, 2**20, 10**9])
    np.testing.assert_array_equal(s(later), s([s.length] * len(later)))


@law(finite, finite, schedules, values, st.sampled_from([-2.0, 0.5, 0.1, 3.0]))
def test_then_associates_and_has_a_unit_and_factors_distribute(a, b, c, value, k):
    assert (a >> b) >> c == a >> (b >> c)
    yield (a >> b).take((a >> b).length) >> c, a >> (b >> c)
    yield a >> (b >> c).drop(0), (a >> b) >> c
    yield ls.Constant(value, 0) >> c, c
    yield (a >> c) * k, a * k >> c * k
    yield -(a >> c), -a >> -c


@law(finite, finite, schedules, schedules, values)
def test_addition_distributes_over_then_of_equal_lengths(a, b, c, d, filling):
    n = max(a.length, b.length)
    a, b = (s >> ls.Constant(filling, n - s.length) for s in (a, b))
    yield (a >> c) + (b >> d), (a + b) >> (c + d)
    yield ls.minimum(a >> c, b >> d), ls.minimum(a, b) >> ls.minimum(c, d)


@law(schedules, schedules, schedules, counts, counts)
def test_cuts_and_delays_combine(a, b, c, n, m):
    yield ls.join([a, b, c], [n + 1, n + 1 + m]), a.take(n + 1) >> b.take(m) >> c
    yield a.take(min(n, a.length)) >> a.drop(min(n, a.length)), a
    yield a.take(n).take(m), a.take(min(n, m))
    yield a.drop(n).drop(m), a.drop(n + m)
    yield a.delay(n).delay(m), a.delay(n + m)
    yield a.delay(n).drop(n), a
    yield a.drop(n).take(m), a.take(n + m).drop(n)


@law(schedules, schedules, schedules)
def test_pointwise_operators_are_those_of_numbers(a, b, c):
    yield a + b, b + a
    yield a * b, b * a
    yield (a + b) + c, a + (b + c)
    yield (a * b) * c, a * (b * c)
    yield a * (b + c), a * b + a * c
    yield ls.minimum(a, ls.minimum(b, c)), ls.minimum(ls.minimum(a, b), c)
    yield a - b, a + -b
    yield -1 * -a, a
    yield ls.maximum(a, b), -ls.minimum(-a, -b)
    yield ls.minimum(a, b) + ls.maximum(a, b), a + b
    yield (a * 4) / 4, a
    yield a.clip(-1, b), ls.minimum(ls.maximum(a, -1), b)
    yield ls.Choice((a, b), 1), b


@law(schedules, schedules, times, times)
def test_warps_associate_and_distribute_over_pointwise_operators(a, b, u, v):
    yield (a @ u) @ v, a @ (u @ v)
    for combine in (operator.add, operator.sub, operator.mul, ls.minimum, ls.maximum):
        yield combine(a, b) @ u, combine(a @ u, b @ u)
    yield -a @ u, -(a @ u)


@law(schedules, counts, st.sampled_from(nested.FACTORS), st.sampled_from(nested.FACTORS), st.sampled_from(nested.STAIRS))
def test_methods_of_time_are_warps(s, n, k, m, every):
    t = ls.Time()
    yield s, s @ t
    yield s.take(n), s @ t.take(n)
    yield s.drop(n), s @ (t + n)
    yield s.delay(n), s @ (t - n)
    yield s.stretch(k), s @ (t / k)
    yield s.staircase(every), s @ t.staircase(every)
    if math.isfinite(s.length):
        yield s.reverse(), s @ (s.length - t)
    yield s.stretch(k).stretch(m), s.stretch(k * m)
    yield s.staircase(every).stretch(k), s.stretch(k).staircase(every * k)
    yield s.staircase(every).staircase(every), s.staircase(every)


@law(finite, positive_counts)
def test_repeating_is_one_after_the_other(a, n):
    yield a.repeat(2), a >> a
    yield a.repeat(3, scale=-0.5), a >> a * -0.5 >> a * 0.25
    yield a.repeat(3, stretch=2), a >> a.stretch(2) >> a.stretch(4)
    yield a.repeat(3, stretch=0.5, scale=2), a >> a.stretch(0.5) * 2 >> a.stretch(0.25) * 4
    yield a.repeat(1), a
    a = a.take(n)
    steps = STEPS[n * 2**10 > STEPS]
    yield a.repeat(), a.repeat(2**10), steps
    yield a.repeat(stretch=2, scale=0.5), a.repeat(10, stretch=2, scale=0.5), steps[steps < n * (2**10 - 1)]
    yield a.repeat().drop(n), a.repeat()
    yield a >> a.repeat(), a.repeat()


@law(finite, finite, positive_counts, positive_counts)
def test_reverse_turns_the_order_around(a, b, n, m):
    yield a.reverse().reverse(), a, STEPS[a.length >= STEPS]
    yield a.reverse() + b.take(a.length).reverse(), (a + b.take(a.length)).reverse()
    a, b = a.take(n), b.take(m)
    # Off every boundary, because a reversed jump takes its other side.
    yield (a >> b).reverse(), b.reverse() >> a.reverse(), np.arange(0, 60, 0.25) + 1 / 1024


@given(schedules, schedules)
def test_a_schedule_is_a_value(s, other):
    leaves, structure = jax.tree.flatten(s)
    for same in (eval(repr(s), NAMES), pickle.loads(pickle.dumps(s)), copy.deepcopy(s), jax.tree.unflatten(structure, leaves)):
        assert (same, hash(same), type(same)) == (s, hash(s), type(s))
    assert (s == other) == (repr(s) == repr(other))
    assert all(isinstance(leaf, (float, np.ndarray)) for leaf in leaves)
    negative = jax.tree.map(lambda x: -x, s)
    assert jax.tree.map(lambda x: -x, negative) == s != s * 2
    assert jax.tree.structure(jax.tree.map(lambda _: object(), s)) == jax.tree.structure(s)


def test_every_node_has_a_meaning():
    classes = [cls for cls in node_classes() if cls is not Driven]
    assert len(classes) > 20
    for query in (value, length):
        assert [cls.__name__ for cls in classes if query.dispatch(cls) is query.dispatch(object)] == []


def test_the_examples_are_nested_and_varied():
    rng = np.random.default_rng(0)
    drawn = [nodes(nested.grow(rng.bytes(64), nested.DEPTHS, ends)) for _ in range(600) for ends in (False, True)]
    assert np.median([len(each) for each in drawn]) >= 5
    found = Counter(x for each in drawn for node in each for x in (type(node), *(getattr(node, o) for o in options(node))))
    wanted = {x for cls in node_classes() if cls is not Driven for x in (cls, *itertools.chain(*options(cls).values()))}
    assert {x for x in wanted if found[x] < 20} == set()
