"""What the operators mean: each against plain NumPy, and every boundary to the exact step."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, ulps, ways

import lrsched as ls
from lrsched.algebra.combinators import Choice

STEPS = np.arange(-2, 45).astype(np.int32)
T = np.maximum(STEPS, 0).astype(np.float64)
RAMP = ls.Linear(1.0, 3.0, 16)
DECAY = ls.Exponential(8.0, 0.75)


def ramp(t):
    return 1 + 2 * np.clip(t, 0, 16) / 16


def decay(t):
    return 8 * 0.75 ** np.maximum(t, 0)


POINTWISE = {
    "+": (RAMP + DECAY, ramp(T) + decay(T)),
    "-": (RAMP - DECAY, ramp(T) - decay(T)),
    "*": (RAMP * DECAY, ramp(T) * decay(T)),
    "/": (DECAY / RAMP, decay(T) / ramp(T)),
    "negative": (-RAMP, -ramp(T)),
    "number +": (2 + RAMP, 2 + ramp(T)),
    "+ number": (RAMP + 2, ramp(T) + 2),
    "number -": (2.5 - RAMP, 2.5 - ramp(T)),
    "- number": (RAMP - 2.5, ramp(T) - 2.5),
    "number *": (np.float32(0.5) * RAMP, 0.5 * ramp(T)),
    "* number": (RAMP * jnp.float32(0.5), 0.5 * ramp(T)),
    "number /": (1 / RAMP, 1 / ramp(T)),
    "/ number": (RAMP / np.int64(4), ramp(T) / 4),
    "array of rank 0 on the left": (np.array(0.5) * RAMP, 0.5 * ramp(T)),
    "minimum": (ls.minimum(RAMP, DECAY), np.minimum(ramp(T), decay(T))),
    "maximum": (ls.maximum(RAMP, 2), np.maximum(ramp(T), 2)),
    "minimum of a number": (ls.minimum(2, RAMP), np.minimum(ramp(T), 2)),
    "clip": (DECAY.clip(1.5, RAMP), np.minimum(np.maximum(decay(T), 1.5), ramp(T))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name, way):
    s, truth = POINTWISE[name]
    np.testing.assert_allclose(ways(s)[way](jnp.asarray(STEPS)), truth, rtol=2e-6, atol=1e-6)


BENT = {
    "take": (RAMP.take(5), ramp(np.minimum(T, 5))),
    "take longer": (RAMP.take(40), ramp(T)),
    "drop": (RAMP.drop(5), ramp(T + 5)),
    "delay": (RAMP.delay(5), ramp(np.maximum(T - 5, 0))),
    "stretch": (RAMP.stretch(2.5), ramp(T / 2.5)),
    "shrink": (RAMP.stretch(0.5), ramp(T * 2)),
    "staircase": (RAMP.staircase(5), ramp(5 * (T // 5))),
    "staircase of fractions": (RAMP.staircase(2.5), ramp(2.5 * (T // 2.5))),
    "reverse": (RAMP.reverse(), ramp(16 - T)),
    "repeat": (RAMP.repeat(), ramp(T % 16)),
    "repeat twice": (RAMP.repeat(2), np.where(T < 32, ramp(T % 16), ramp(16))),
    "repeat scaled": (RAMP.repeat(scale=0.5), ramp(T % 16) * 0.5 ** (T // 16)),
    "repeat twice scaled": (RAMP.repeat(2, scale=0.5), np.where(T < 32, ramp(T % 16) * 0.5 ** (T // 16), 0.5 * ramp(16))),
    "warp": (RAMP @ (2 * ls.Time()), ramp(2 * T)),
    "warp by a schedule": (RAMP @ ls.Linear(0, 16, 32), ramp(T / 2)),
    "warp below 0": (RAMP @ (ls.Time() - 10), ramp(T - 10)),
    "warp on two levels": (RAMP @ (ls.Time() * 2) @ (ls.Time() - 3), ramp(2 * (T - 3))),
    "stretch of a staircase": (RAMP.staircase(2).stretch(4), ramp(2 * (T // 8))),
    "staircase of a stretch": (RAMP.stretch(4).staircase(4), ramp(T // 4)),
    "drop of a stretch": (RAMP.stretch(2).drop(3), ramp((T + 3) / 2)),
    "stretch of a sequence": ((RAMP >> DECAY).stretch(2), np.where(T < 32, ramp(T / 2), decay(T / 2 - 16))),
    "reverse of a sequence": (
        (ls.Linear(0, 1, 4) >> ls.Linear(1, 5, 8)).reverse(),
        np.where(T <= 8, 5 - T / 2, np.maximum((12 - T) / 4, 0)),
    ),
    "repeat of a sequence": ((RAMP >> ls.Constant(0, 4)).repeat(), np.where(T % 20 < 16, ramp(T % 20), 0)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BENT)
def test_bent_time(name, way):
    s, truth = BENT[name]
    np.testing.assert_allclose(ways(s)[way](jnp.asarray(STEPS)), truth, rtol=2e-6, atol=1e-6)


def cycles(s, length, steps, n=None, stretch=1.0, scale=1.0):
    """The value by walking the cycles one after the other."""
    values = []
    for t in steps:
        start, duration, c = 0.0, float(length), 0
        while t >= start + duration and (n is None or c < n - 1):
            start, duration, c = start + duration, duration * stretch, c + 1
        values.append(scale**c * s(min((t - start) / stretch**c, length)))
    return np.array(values)


GROWING = {
    "doubling": (None, 2.0, 1.0),
    "tripling and halving": (None, 3.0, 0.5),
    "growing by half": (None, 1.5, 0.9),
    "five of a finite count": (5, 1.5, 0.5),
    "shrinking": (4, 0.5, 2.0),
    "one": (1, 2.0, 0.5),
    "a scale of 0": (3, 1.0, 0.0),
    "a scale below 0": (4, 1.0, -1.0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", GROWING)
def test_repeat_walks_its_cycles(name, way):
    n, stretch, scale = GROWING[name]
    steps = np.concatenate([np.arange(130), [364 * 4, 364 * 4 - 1, 363 * 4]])
    truth = cycles(lambda t: 1 + 0.5 * t, 4, steps, n, stretch, scale)
    call = ways(ls.Linear(1.0, 3.0, 4).repeat(n, stretch=stretch, scale=scale))[way]
    np.testing.assert_allclose(call(jnp.asarray(steps)), truth, rtol=4e-6)


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
def test_tripling_cycles_begin_on_the_exact_step(way):
    starts = np.array([(3**c - 1) // 2 for c in range(20)])
    call = ways(ls.Linear(1.0, 0.0, 1).repeat(stretch=3))[way]
    np.testing.assert_array_equal(call(jnp.asarray(starts)), np.ones(20))
    assert np.max(np.asarray(call(jnp.asarray(starts[2:] - 1)))) < 0.5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stretch", [1.0, 2.0, None])
def test_cycles_of_no_length_are_over_at_once(stretch, way):
    s = ls.Constant(0.5, 0).repeat(3, stretch=stretch, scale=0.5)
    np.testing.assert_array_equal(ways(s)[way](jnp.arange(3)), [0.125] * 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["constant", "linear"])
def test_a_table_repeats_in_growing_cycles(kind, way):
    s = ls.Piecewise([0, 3, 4], [1.0, 4.0, 2.0], kind=kind).repeat(3, stretch=2)
    table = np.repeat([1.0, 4.0], [3, 1]) if kind == "constant" else np.array([1.0, 2.0, 3.0, 4.0])
    half = np.repeat(table, 2) if kind == "constant" else np.array([1, 1.5, 2, 2.5, 3, 3.5, 4, 3])
    np.testing.assert_allclose(ways(s)[way](jnp.arange(12)), [*table, *half])


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
def test_a_table_in_growing_cycles_jumps_on_the_exact_step(way):
    n = 2**25 + 1
    s = ls.Piecewise([0, n - 5, n], [1.0, 2.0, 3.0]).repeat(2, stretch=2)
    jump = n + 2 * (n - 5)
    np.testing.assert_array_equal(ways(s)[way](jnp.asarray([n - 6, n - 5, n - 1, n, jump - 1, jump])), [1, 2, 2, 1, 1, 2])


NUMBERS = [(1, 1), (3, 7), (2**24 + 1, 1), (1, 2**24 + 1), (2**24 + 1, 2**24 + 1), (2**30 + 1, 2**30 - 3), (2.5, 2.25)]


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
@pytest.mark.parametrize(("a", "b"), NUMBERS)
def test_sequences_change_on_the_exact_step(a, b, way):
    s = ls.Constant(1.0, a) >> ls.Constant(2.0, b) >> ls.Constant(3.0)
    edges = np.array([0, math.ceil(a) - 1, math.ceil(a), math.ceil(a + b) - 1, math.ceil(a + b), 2**31 - 1]).astype(np.int32)
    truth = np.where(edges < a, 1, np.where(edges < a + b, 2, 3))
    np.testing.assert_array_equal(ways(s)[way](jnp.asarray(edges)), truth)


@pytest.mark.parametrize("n", [1, 2**24, 2**26 + 8, 2**30])
def test_sequences_of_traced_lengths_change_on_the_exact_step(n):
    s = ls.Constant(1.0, n) >> ls.Constant(2.0)
    np.testing.assert_array_equal(ways(s)["argument"](jnp.asarray([n - 1, n, n + 1])), [1, 2, 2])


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
@pytest.mark.parametrize("n", [2**24 + 1, 2**31 - 3])
def test_times_are_shifted_by_the_exact_step(n, way):
    edge = ls.Constant(1.0, n) >> ls.Constant(2.0)
    shifted = {
        "drop": (edge.drop(n - 5), 5),
        "delay": ((ls.Constant(1.0, 3) >> ls.Constant(2.0)).delay(n - 3), n),
        "take": (edge.take(n) * (edge.take(n) >> ls.Constant(2.0)), n),
        "join": (ls.join([edge, ls.Constant(2.0)], [n - 1]), n - 1),
        "reverse": ((ls.Constant(2.0, 5) >> ls.Constant(1.0, n - 5)).reverse(), n - 4),
    }
    for name, (s, at) in shifted.items():
        steps = np.array([at - 1, at]).astype(np.int32)
        values = np.asarray(ways(s)[way](jnp.asarray(steps)))
        assert values[0] == 1, name
        assert values[1] > 1, name


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
def test_stairs_and_repeats_are_exact_at_huge_steps(way):
    every = 2**20 + 1
    count = (2**31 - 1) // every
    steps = np.array([count * every - 1, count * every, 2**31 - 1]).astype(np.int32)
    truth = np.array([count - 1, count, count]) * every
    assert ulps(ways(ls.Time().staircase(every))[way](jnp.asarray(steps)), truth) <= 1
    inside = ways(ls.Linear(0.0, every, every).repeat())[way](jnp.asarray(steps))
    assert ulps(inside, np.array([every - 1, 0, 2**31 - 1 - count * every])) <= 1


def test_a_value_is_right_continuous():
    s = ls.Linear(0.0, 1.0, 4) >> ls.Constant(7.0, 4) >> ls.Linear(3.0, 5.0, 2)
    np.testing.assert_array_equal(s([3.75, 4, 7.999, 8, 10]), [0.9375, 7, 7, 3, 5])


def test_then_is_the_operator():
    assert RAMP.then(DECAY) == RAMP >> DECAY
    assert RAMP.warp(ls.Time() * 2) == RAMP @ (ls.Time() * 2)


def test_a_part_of_no_length_is_skipped():
    s = ls.Linear(0.0, 1.0, 0) >> ls.Constant(3.0, 0) >> ls.Linear(5.0, 6.0, 4)
    np.testing.assert_array_equal(s([0, 2, 4]), [5, 5.5, 6])


def test_join_cuts_and_holds():
    s = ls.join([RAMP, ls.Constant(9.0), DECAY], [4, 30])
    truth = np.where(T < 4, ramp(T), np.where(T < 30, 9, decay(T - 30)))
    np.testing.assert_allclose(s(STEPS), truth, rtol=1e-6)
    held = ls.join([RAMP, ls.Constant(9.0)], [20])
    np.testing.assert_array_equal(held([16, 19, 20]), [3, 3, 9])
    np.testing.assert_array_equal(ls.join([ls.Constant(1.0), RAMP], [0])([0, 16]), [1, 3])
    assert ls.join([RAMP], []) == RAMP
    assert ls.join(iter([RAMP, DECAY]), np.array([4]))(4) == 8


def test_join_takes_traced_boundaries():
    values = jax.jit(lambda b: ls.join([ls.Constant(1.0), ls.Constant(2.0), ls.Constant(3.0)], [b, 2 * b])(jnp.arange(6)))(2)
    np.testing.assert_array_equal(values, [1, 1, 2, 2, 3, 3])


def test_a_part_that_is_singular_elsewhere_poisons_no_gradient():
    def value(x):
        late = ls.Constant(1.0) / (ls.Linear(1.0, 0.0, 3) * x)
        return (late.take(2) >> ls.Exponential(1.0, x))(jnp.asarray([1, 2, 3, 50]))

    assert np.all(np.isfinite(jax.jacobian(value)(jnp.float32(0.5))))


def length_cases():
    a, b = ls.Linear(0, 1, 7), ls.Cosine(1, 0, 2.5)
    return [
        (a + b, 7),
        (a * 2, 7),
        (-b, 2.5),
        (a / ls.Exponential(1, 0.5), math.inf),
        (ls.minimum(b, 1), 2.5),
        (a.clip(0, 1), 7),
        (a >> b, 9.5),
        (a >> b >> a, 16.5),
        (a >> ls.Exponential(1, 0.5), math.inf),
        (a @ b, 2.5),
        (a @ ls.Time(), math.inf),
        (a.take(3), 3),
        (a.take(30), 30),
        (a.drop(3), 4),
        (a.drop(30), 0),
        (a.delay(3), 10),
        (a.stretch(2), 14),
        (a.staircase(2), 8),
        (a.staircase(7), 7),
        (a.reverse(), 7),
        (a.repeat(), math.inf),
        (a.repeat(3), 21),
        (a.repeat(3, stretch=2), 49),
        (a.repeat(3, stretch=0.5), 12.25),
        (ls.join([a, b], [3]), 5.5),
    ]


@pytest.mark.parametrize(("s", "length"), length_cases(), ids=repr)
def test_length(s, length):
    assert s.length == length


OPERATORS = ["add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "rshift", "rrshift", "matmul", "rmatmul"]


@pytest.mark.parametrize("other", ["1", None, [1.0], {}, object(), 1j, True, float], ids=lambda x: type(x).__name__)
def test_unknown_operands_are_left_to_the_other_side(other):
    for name in OPERATORS:
        assert getattr(RAMP, f"__{name}__")(other) is NotImplemented
    for operator in ("+", "-", "*", "/", ">>", "@"):
        for expression in (f"s {operator} x", f"x {operator} s"):
            with pytest.raises(TypeError):
                eval(expression, {"s": RAMP, "x": other})


class Greedy:
    """An operand that knows what to do with a schedule."""

    def __radd__(self, other):
        return ("reflected", other)

    __rmul__ = __rrshift__ = __rmatmul__ = __rtruediv__ = __rsub__ = __radd__


def test_the_other_operand_gets_its_turn():
    other = Greedy()
    for result in (RAMP + other, RAMP - other, RAMP * other, RAMP / other, RAMP >> other, RAMP @ other):
        assert result == ("reflected", RAMP)


def test_a_numpy_array_on_the_left_is_a_batch_and_not_an_array_of_objects():
    s = np.array([1.0, 2.0, 3.0]) * RAMP
    assert isinstance(s, ls.Schedule)
    np.testing.assert_allclose(s([0, 16]), [[1, 3], [2, 6], [3, 9]])
    two: Any = np.float64(2)  # NumPy's annotations take a schedule for a number
    np.testing.assert_allclose((two - RAMP)(16), -1)


@pytest.mark.parametrize("use", [bool, len, iter, list, lambda s: s[0], lambda s: 0 in s, lambda s: s < s, lambda s: s | s])
def test_a_schedule_is_no_container_and_has_no_truth(use):
    with pytest.raises(TypeError):
        use(RAMP)


def rising(t):
    return 2.0 * t


STANDING_FOR = [
    *("s >> half", "s >> f", "s.then(f)", "s @ half", "half @ s", "s @ f", "f @ s", "s + f", "f - s"),
    *("ls.minimum(f, s)", "ls.maximum(s, f)", "s.clip(high=f)", "ls.join([f, s, half], [1, 4])", "ls.stack([s, half, f])"),
    *("Choice((s, half, f), 1)", "ls.bind(f, ls.init(f)) + ls.bind(half, ls.init(half))"),
]


@pytest.mark.parametrize("expression", STANDING_FOR)
def test_a_number_and_a_function_stand_for_schedules(expression):
    names = {"s": RAMP, "ls": ls, "Choice": Choice}
    schedules = {"half": ls.Constant(0.5), "f": ls.Function(rising)}
    assert eval(expression, {**names, "half": 0.5, "f": rising}) == eval(expression, {**names, **schedules})


def test_clip_takes_one_bound():
    assert RAMP.clip(low=2.0) == ls.maximum(RAMP, 2.0)
    assert RAMP.clip(high=2.0) == ls.minimum(RAMP, 2.0)


def test_a_constant_lasts_for_ever_and_a_number_beside_an_operator_does_not():
    assert ls.Constant(0.5).length == math.inf
    assert (RAMP + 0.5).length == RAMP.length
    assert (RAMP + ls.Constant(0.5)).length == math.inf


def test_equality_is_structural():
    assert ls.Linear(0, 1, 7) == ls.Linear(0.0, 1.0, 7.0)
    assert hash(ls.Linear(0, 1, 7)) == hash(ls.Linear(0.0, 1.0, np.float32(7.0)))
    assert ls.Piecewise([0], [-0.0]) == ls.Piecewise([0], [0.0])
    assert hash(ls.Piecewise([0], [-0.0])) == hash(ls.Piecewise([0], [0.0]))
    assert ls.Linear(0, 1, 7) != ls.Linear(0, 1, 8)
    assert ls.Linear(0, 1, 7) != ls.Cosine(0, 1, 7)
    assert RAMP + DECAY != DECAY + RAMP
    assert RAMP != 1.0
    assert ls.Piecewise([0], [1], "linear") != ls.Piecewise([0], [1], "cosine")


def test_a_repeat_is_replaced_by_the_names_of_its_arguments():
    s: Any = RAMP.repeat(3, stretch=2, scale=0.5)
    plain: Any = RAMP.repeat(3)
    assert dataclasses.replace(plain, stretch=2, scale=0.5) == s
    assert dataclasses.replace(s, n=4) == RAMP.repeat(4, stretch=2, scale=0.5)
    assert dataclasses.replace(s, stretch=None) == RAMP.repeat(3, scale=0.5)
    assert s.stretch(2).length == 2 * s.length


def test_a_schedule_does_not_change():
    with pytest.raises(AttributeError):
        RAMP.start = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    table = np.array([0.0, 1.0])
    s = ls.Piecewise([0, 5], table)
    table[:] = 7
    np.testing.assert_array_equal(s([0, 5]), [0, 1])


@pytest.mark.parametrize("way", WAYS)
def test_a_part_of_no_length_does_not_begin_early(way):
    schedule = ls.Constant(1.0, 5) >> ls.Constant(9.0, 0) >> ls.Constant(2.0, 0) >> ls.Linear(3.0, 4.0, 10)
    np.testing.assert_array_equal(ways(schedule)[way](np.arange(6)), [1, 1, 1, 1, 1, 3])


@pytest.mark.parametrize("n", [3, 10, 41, 49])
def test_a_quotient_of_equal_numbers_is_1_in_compiled_code_too(n):
    """Where a compiler multiplies with 1 / n instead, the difference to 1 is negative or positive for most n."""
    for s in (1 - ls.Time().take(n) / n, 1 - ls.Time().take(1).stretch(n)):
        assert jax.jit(s)(n) == 0
        assert jax.jit(s)(jnp.arange(100))[n] == 0


START, TIME = 2**30, ls.Time()
TIMES = {
    "moved": ((TIME - START).take(2**31 - 1), START + 5, 5),
    "moved by nothing": ((TIME - START).delay(0), START + 5, 5),
    "moved by a stair": ((TIME / 3 - START / 3).staircase(3), START + 7, 5 / 3),
    "of itself": ((TIME - START) @ TIME, START + 5, 5),
    "added to itself": (TIME + TIME - TIME - START, START + 5, 5),
    "of two slopes": (TIME / 4 - (TIME - START) / 8 - START / 4, START + 40, 5),
    "below 0 between": ((TIME - START - 5).take(2**31 - 1) + 10, START, 5),
    "backwards": (5 - (TIME - START), START + 3, 2),
    "of a number that is an array": (TIME * jnp.float32(0.5) - START / 2, START + 10, 5),
    "of products and quotients": (4 * (TIME - START) / -2 + 25, START + 10, 5),
}


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_made_of_lines_is_not_rounded(name, way):
    time, step, expected = TIMES[name]
    s = ls.Linear(0.0, 1000.0, 1000) @ time
    np.testing.assert_allclose(ways(s)[way](jnp.asarray([step])), [expected], rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_time_that_is_no_number_is_0(way):
    line = ls.Linear(1.0, 2.0, 10)
    s = line @ ((line - 1) / (line - 1))
    np.testing.assert_allclose(ways(s)[way](jnp.arange(2)), [1.0, 1.1], rtol=1e-6)


TINY = ls.Linear(0.0, 1e-30, 10)


@pytest.mark.parametrize("way", ["eager", "captured", "vmapped"])
@pytest.mark.parametrize(("divisor", "expected"), [(1e-50, 5e19), (-1e-42, -5e11), (1e-300, 3.4028235e38), (1e-39, 5e8)])
def test_a_known_divisor_may_be_too_small_for_a_float32(divisor, expected, way):
    np.testing.assert_allclose(ways(TINY / divisor)[way](jnp.asarray([0, 5])), [0, expected], rtol=1e-5)
