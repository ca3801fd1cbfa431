"""What the operators mean, in every way of calling them, and every boundary to the exact step."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, as_float32, called, ulps
from meaning import meaning

import lrsched as ls
from lrsched.algebra.combinators import Choice

STEPS = np.arange(-2, 45).astype(np.int32)
RAMP = ls.Linear(1.0, 3.0, 16)
DECAY = ls.Exponential(8.0, 0.75)
RISE = ls.Linear(1.0, 3.0, 4)
SCHEDULES: dict[str, Any] = {
    "+": RAMP + DECAY,
    "-": RAMP - DECAY,
    "*": RAMP * DECAY,
    "/": DECAY / RAMP,
    "negative": -RAMP,
    "number -": 2.5 - RAMP,
    "number /": 1 / RAMP,
    "minimum": ls.minimum(RAMP, DECAY),
    "maximum": ls.maximum(RAMP, 2),
    "clip": DECAY.clip(1.5, RAMP),
    "take": RAMP.take(5),
    "take longer": RAMP.take(40),
    "drop": RAMP.drop(5),
    "delay": RAMP.delay(5),
    "stretch": RAMP.stretch(2.5),
    "shrink": RAMP.stretch(0.5),
    "staircase": RAMP.staircase(5),
    "staircase of fractions": RAMP.staircase(2.5),
    "reverse": RAMP.reverse(),
    "repeat": RAMP.repeat(),
    "repeat twice": RAMP.repeat(2),
    "repeat scaled": RAMP.repeat(scale=0.5),
    "repeat twice scaled": RAMP.repeat(2, scale=0.5),
    "warp": RAMP @ (2 * ls.Time()),
    "warp by a schedule": RAMP @ ls.Linear(0, 16, 32),
    "warp below 0": RAMP @ (ls.Time() - 10),
    "warp on two levels": RAMP @ (ls.Time() * 2) @ (ls.Time() - 3),
    "stretch of a staircase": RAMP.staircase(2).stretch(4),
    "staircase of a stretch": RAMP.stretch(4).staircase(4),
    "drop of a stretch": RAMP.stretch(2).drop(3),
    "sequence": RAMP >> DECAY,
    "stretch of a sequence": (RAMP >> DECAY).stretch(2),
    "reverse of a sequence": (ls.Linear(0, 1, 4) >> ls.Linear(1, 5, 8)).reverse(),
    "repeat of a sequence": (RAMP >> ls.Constant(0, 4)).repeat(),
    "join": ls.join([RAMP, ls.Constant(9.0), DECAY], [4, 30]),
    "choice": ls.Choice((RAMP, DECAY), 1),
    "cycles that double": RISE.repeat(stretch=2, scale=1.0),
    "cycles that triple, halved": RISE.repeat(stretch=3, scale=0.5),
    "cycles that grow by half": RISE.repeat(stretch=1.5, scale=0.9),
    "five cycles": RISE.repeat(5, stretch=1.5, scale=0.5),
    "cycles that shrink": RISE.repeat(4, stretch=0.5, scale=2.0),
    "one cycle": RISE.repeat(1, stretch=2, scale=0.5),
    "a scale of 0": RISE.repeat(3, stretch=1.0, scale=0.0),
    "a scale below 0": RISE.repeat(4, stretch=1.0, scale=-1.0),
    "cycles of no length": ls.Constant(0.5, 0).repeat(3, stretch=2, scale=0.5),
    "lines in growing cycles": ls.Piecewise([0, 3, 4], [1.0, 4.0, 2.0], "linear").repeat(3, stretch=2),
    "parts of no length": ls.Constant(1.0, 5) >> ls.Constant(9.0, 0) >> ls.Constant(2.0, 0) >> ls.Linear(3.0, 4.0, 10),
}

EXACT = [way for way in WAYS if way != "argument"]  # where numbers are those given, and not float32


@functools.cache
def truth(name: str, way: str) -> Any:
    s = as_float32(SCHEDULES[name]) if way == "argument" else SCHEDULES[name]
    return [float(meaning(s, t)) for t in STEPS.tolist()]


@pytest.mark.parametrize("way", [*EXACT, pytest.param("argument", marks=pytest.mark.deep)])
def test_each_is_its_meaning(way):
    for name, values in called(SCHEDULES, way, STEPS).items():
        np.testing.assert_allclose(values, truth(name, way), rtol=2e-6, atol=1e-6, err_msg=name)


def test_numbers_of_any_kind_are_operands():
    for two in (2, 2.0, np.float32(2), np.int64(2), jnp.float32(2), np.array(2.0)):
        assert (RAMP + two, two + RAMP, RAMP - two, two - RAMP) == (RAMP + 2, 2 + RAMP, RAMP - 2, 2 - RAMP)
        assert (RAMP * two, two * RAMP, RAMP / two, two / RAMP) == (RAMP * 2, 2 * RAMP, RAMP / 2, 2 / RAMP)
        assert (ls.minimum(two, RAMP), ls.maximum(RAMP, two)) == (ls.minimum(2, RAMP), ls.maximum(RAMP, 2))


@pytest.mark.parametrize("way", EXACT)
def test_cycles_begin_on_the_exact_step(way):
    starts, n = np.array([(3**c - 1) // 2 for c in range(20)]), 2**25 + 1
    schedules = {
        "tripling": ls.Linear(1.0, 0.0, 1).repeat(stretch=3),
        "before": ls.Linear(1.0, 0.0, 1).repeat(stretch=3),
        "table": ls.Piecewise([0, n - 5, n], [1.0, 2.0, 3.0]).repeat(2, stretch=2),
    }
    jump = n + 2 * (n - 5)
    steps = {"tripling": starts, "before": starts[2:] - 1, "table": np.array([n - 6, n - 5, n - 1, n, jump - 1, jump])}
    found = called(schedules, way, {name: at.astype(np.int32) for name, at in steps.items()})
    np.testing.assert_array_equal(found["tripling"], np.ones(20))
    assert np.max(found["before"]) < 0.5
    np.testing.assert_array_equal(found["table"], [1, 2, 2, 1, 1, 2])


NUMBERS = [(1, 1), (3, 7), (2**24 + 1, 1), (1, 2**24 + 1), (2**24 + 1, 2**24 + 1), (2**30 + 1, 2**30 - 3), (2.5, 2.25)]


@pytest.mark.parametrize("way", EXACT)
def test_sequences_change_on_the_exact_step(way):
    schedules = {(a, b): ls.Constant(1.0, a) >> ls.Constant(2.0, b) >> ls.Constant(3.0) for a, b in NUMBERS}
    edges = {
        (a, b): np.array([0, math.ceil(a) - 1, math.ceil(a), math.ceil(a + b) - 1, math.ceil(a + b), 2**31 - 1], np.int32)
        for a, b in NUMBERS
    }
    for (a, b), values in called(schedules, way, edges).items():
        at = edges[a, b]
        np.testing.assert_array_equal(values, np.where(at < a, 1, np.where(at < a + b, 2, 3)), err_msg=f"{a} {b}")


@pytest.mark.parametrize("s", [RAMP >> RAMP, ls.join([RAMP] * 40, range(1, 40)), ls.stack([RAMP >> RAMP, RAMP])])
def test_no_steps_have_no_values(s):
    assert s(np.zeros((0, 2))).shape == (*s.batch_shape, 0, 2)


def test_sequences_of_traced_lengths_change_on_the_exact_step():
    schedules = {n: ls.Constant(1.0, n) >> ls.Constant(2.0) for n in (1, 2**24, 2**26 + 8, 2**30)}
    for values in called(schedules, "argument", {n: np.array([n - 1, n, n + 1]) for n in schedules}).values():
        np.testing.assert_array_equal(values, [1, 2, 2])


@pytest.mark.parametrize("way", EXACT)
def test_times_are_shifted_by_the_exact_step(way):
    schedules, edges = {}, {}
    for n in (2**24 + 1, 2**31 - 3):
        edge = ls.Constant(1.0, n) >> ls.Constant(2.0)
        for name, s, at in (
            ("drop", edge.drop(n - 5), 5),
            ("delay", (ls.Constant(1.0, 3) >> ls.Constant(2.0)).delay(n - 3), n),
            ("take", edge.take(n) * (edge.take(n) >> ls.Constant(2.0)), n),
            ("join", ls.join([edge, ls.Constant(2.0)], [n - 1]), n - 1),
            ("reverse", (ls.Constant(2.0, 5) >> ls.Constant(1.0, n - 5)).reverse(), n - 4),
        ):
            schedules[name, n], edges[name, n] = s, np.array([at - 1, at], np.int32)
    for name, (before, after) in called(schedules, way, edges).items():
        assert before == 1 < after, name


@pytest.mark.parametrize("way", EXACT)
def test_stairs_and_repeats_are_exact_at_huge_steps(way):
    every = 2**20 + 1
    count = (2**31 - 1) // every
    steps = np.array([count * every - 1, count * every, 2**31 - 1]).astype(np.int32)
    found = called({"stairs": ls.Time().staircase(every), "cycles": ls.Linear(0.0, every, every).repeat()}, way, steps)
    assert ulps(found["stairs"], np.array([count - 1, count, count]) * every) <= 1
    assert ulps(found["cycles"], np.array([every - 1, 0, 2**31 - 1 - count * every])) <= 1


def test_a_value_is_right_continuous():
    s = ls.Linear(0.0, 1.0, 4) >> ls.Constant(7.0, 4) >> ls.Linear(3.0, 5.0, 2)
    np.testing.assert_array_equal(s([3.75, 4, 7.999, 8, 10]), [0.9375, 7, 7, 3, 5])


def test_then_is_the_operator():
    assert RAMP.then(DECAY) == RAMP >> DECAY
    assert RAMP.warp(ls.Time() * 2) == RAMP @ (ls.Time() * 2)


def test_join_cuts_and_holds():
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

    assert np.all(np.isfinite(jax.jit(jax.jacobian(value))(jnp.float32(0.5))))


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


@pytest.mark.parametrize("way", EXACT)
def test_a_time_made_of_lines_is_not_rounded(way):
    schedules = {name: ls.Linear(0.0, 1000.0, 1000) @ time for name, (time, *_) in TIMES.items()}
    for name, value in called(schedules, way, {name: np.array([step]) for name, (_, step, _) in TIMES.items()}).items():
        np.testing.assert_allclose(value, [TIMES[name][2]], rtol=1e-6, err_msg=name)


TINY = ls.Linear(0.0, 1e-30, 10)
DIVIDED = {1e-50: 5e19, -1e-42: -5e11, 1e-300: 3.4028235e38, 1e-39: 5e8}


@pytest.mark.parametrize("way", EXACT)
def test_a_known_divisor_may_be_too_small_for_a_float32(way):
    """Outside of jit the quotient is right; inside, the divisor counts as the smallest float."""
    for divisor, values in called({x: TINY / x for x in DIVIDED}, way, np.array([0, 5])).items():
        inside = np.copysign(5e-31 / np.finfo(np.float32).tiny, divisor)
        np.testing.assert_allclose(values, [0, DIVIDED[divisor] if way == "eager" else inside], rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_time_that_is_no_number_is_0(way):
    line = ls.Linear(1.0, 2.0, 10)
    s = line @ ((line - 1) / (line - 1))
    np.testing.assert_allclose(called({"s": s}, way, np.arange(2))["s"], [1.0, 1.1], rtol=1e-6)
