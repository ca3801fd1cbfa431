"""Every operator in each way of calling it, boundaries to the exact step, kinds of operands, and what compiles anew."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, as_float32, called, refused, ulps
from meaning import meanings
from signatures import FEW, pure, several

import lrsched as ls

RAMP = ls.Linear(1.0, 3.0, 16)
EXACT = [way for way in WAYS if way != "argument"]  # where numbers are those given, and not float32
SCHEDULES: dict[str, Any] = {f"{call} {i}": pure(call.make()) for i, call in enumerate(FEW)}


@pytest.mark.parametrize("way", [*EXACT, pytest.param("argument", marks=pytest.mark.deep)])
def test_every_node_is_its_meaning(way):
    steps = np.arange(-2, 45).astype(np.int32)
    for name, values in called(SCHEDULES, way, steps).items():
        s = as_float32(SCHEDULES[name]) if way == "argument" else SCHEDULES[name]
        np.testing.assert_allclose(values, meanings(s, steps), rtol=2e-6, atol=1e-6, err_msg=name)


def edge(n: Any) -> Any:
    return ls.Constant(1.0, n) >> ls.Constant(2.0)


def edges(n: int) -> dict[str, tuple[Any, Any]]:
    """Schedules that change at some steps, each at a whole one before which a float32 has no room for it."""
    cycle, stair, t, line = ls.Linear(1.0, 0.0, 1), 2**20 + 1, ls.Time(), ls.Linear(0.0, 1000.0, 1000)
    return {
        "part": (edge(n), [n]),
        "fraction": (edge(2.5) * edge(2.5 + n / 2).drop(2.5), [3, n // 2 + 1]),
        "drop": (edge(n).drop(n - 5), [5]),
        "delay": (edge(3).delay(n - 3), [n]),
        "take": (edge(n).take(n) * (edge(n).take(n) >> ls.Constant(2.0)), [n]),
        "join": (ls.join([edge(n), ls.Constant(2.0)], [n - 1]), [n - 1]),
        "reverse": ((ls.Constant(2.0, 5) >> ls.Constant(1.0, n - 5)).reverse(), [n - 4]),
        "stretch": (edge(n // 8).stretch(8), [n // 8 * 8]),
        "table": (ls.Piecewise([0, n // 4 - 5, n // 4], [1.0, 2.0, 3.0]).repeat(2, stretch=2), [n // 4 - 5, n // 4]),
        "long table": (ls.Piecewise([0, *range(1001, 1045)], range(45)), [1001, 1020, 1044]),
        "stairs": ((t / stair).staircase(stair) - n // stair, [n // stair * stair]),
        "cycles": (cycle.repeat(), [n]),
        "growing cycles": (cycle.repeat(stretch=3), [(3**c - 1) // 2 for c in range(1, 20)]),
        "stairs of a time": (line @ (t / 3 - n // 9 * 3).staircase(3), [n // 9 * 9 + 9]),
        "a time of two slopes": (line @ (t / 4 - (t - n // 8 * 8) / 8 - n // 8 * 2), [n // 8 * 8 + 5]),
        "a time below 0 between": (line @ ((t - n - 5).take(2**31 - 1) + 10), [n]),
    }


@pytest.mark.parametrize("way", EXACT)
def test_every_change_is_on_the_exact_step(way):
    cases = {(name, n): case for n in (2**24 + 1, 2**31 - 3) for name, case in edges(n).items()}
    at = {key: np.ravel([[t - 1, t] for t in steps]).astype(np.int32) for key, (_, steps) in cases.items()}
    for key, values in called({key: s for key, (s, _) in cases.items()}, way, at).items():
        assert ulps(values, meanings(cases[key][0], at[key]), 1.0) <= 1, key


def test_no_steps_have_no_values():
    for s in (ls.join([RAMP] * 40, range(1, 40)), ls.stack([RAMP >> RAMP, RAMP])):
        assert s(np.zeros((0, 2))).shape == (*s.batch_shape, 0, 2)


def test_sequences_of_traced_lengths_change_on_the_exact_step():
    schedules = {n: edge(n) for n in (1, 2**24, 2**26 + 8, 2**30)}
    for values in called(schedules, "argument", {n: np.array([n - 1, n, n + 1]) for n in schedules}).values():
        np.testing.assert_array_equal(values, [1, 2, 2])
    joined = jax.jit(lambda b: ls.join([ls.Constant(1.0), ls.Constant(2.0), RAMP], [b, 2 * b])(jnp.arange(6)))(2)
    np.testing.assert_array_equal(joined, [1, 1, 2, 2, 1, 1.125])


@pytest.mark.parametrize("way", WAYS)
def test_there_is_always_a_number(way):
    """A quotient of equal numbers is 1 in compiled code too, one by 0 is 0, and a part that is not reached poisons no slope."""
    s = RAMP @ ((RAMP - 1) / (RAMP - 1))
    np.testing.assert_allclose(called({"s": s}, way, np.arange(2))["s"], [1.0, 1.125], rtol=1e-6)
    for n in (3, 10, 41, 49):
        assert called({"s": 1 - ls.Time().take(n) / n}, way, np.arange(64))["s"][n] == 0


def rising(t):
    return 2.0 * t


class Greedy:
    """An operand that knows what to do with a schedule."""

    def __radd__(self, other):
        return ("reflected", other)

    __rmul__ = __rrshift__ = __rmatmul__ = __rtruediv__ = __rsub__ = __radd__


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", ">>", "@"])
def test_an_unknown_operand_is_left_to_the_other_side(operator):
    assert eval(f"s {operator} x", {"s": RAMP, "x": Greedy()}) == ("reflected", RAMP)
    for other in ("1", None, [1.0], {}, object(), 1j, True, float):
        for expression in (f"s {operator} x", f"x {operator} s"):
            with pytest.raises(TypeError):
                eval(expression, {"s": RAMP, "x": other})


USES = [bool, len, list, lambda s: s[0], lambda s: 0 in s, lambda s: s < s]
test_a_schedule_is_no_container_and_has_no_truth = refused([(lambda use=use: use(RAMP), ".") for use in USES], TypeError)

STANDING_FOR = [
    *("s >> half", "s >> f", "s.then(f)", "s @ half", "half @ s", "s @ f", "f @ s", "s + f", "f - s"),
    *("ls.minimum(f, s)", "ls.maximum(s, f)", "s.clip(high=f)", "ls.join([f, s, half], [1, 4])", "ls.stack([s, half, f])"),
    *("ls.Choice((s, half, f), 1)", "ls.clocks.bind(f, ls.clocks.init(f)) + ls.clocks.bind(half, ls.clocks.init(half))"),
]


@pytest.mark.parametrize("expression", STANDING_FOR)
def test_a_number_and_a_function_stand_for_schedules(expression):
    names, schedules = {"s": RAMP, "ls": ls}, {"half": ls.Constant(0.5), "f": ls.Function(rising)}
    assert eval(expression, {**names, "half": 0.5, "f": rising}) == eval(expression, {**names, **schedules})


def test_a_constant_lasts_for_ever_and_a_number_beside_an_operator_does_not_and_an_array_is_a_batch():
    assert isinstance(np.array([1.0, 2.0]) * RAMP, ls.Schedule)  # and no array of objects
    assert ls.Constant(0.5).length == (RAMP + ls.Constant(0.5)).length == math.inf
    assert (RAMP + 0.5).length == RAMP.length


def test_equality_is_structural_and_a_schedule_does_not_change():
    assert ls.Linear(0, 1, 7) == ls.Linear(0.0, 1.0, np.float32(7.0))
    assert hash(ls.Linear(0, 1, 7)) == hash(ls.Linear(0.0, 1.0, np.float32(7.0)))
    assert ls.Piecewise([0], [-0.0]) == ls.Piecewise([0], [0.0])
    assert RAMP != 1.0
    assert ls.Piecewise([0], [1], "linear") != ls.Piecewise([0], [1], "cosine")
    with pytest.raises(AttributeError):
        RAMP.start = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    table = np.array([0.0, 1.0])
    s = ls.Piecewise([0, 5], table)
    table[:] = 7
    np.testing.assert_array_equal(s([0, 5]), [0, 1])


def test_device_put_rounds_the_numbers_and_keeps_the_rest():
    """Of every node; its shape is known without computing, and it comes out of jit."""
    for name, s in SCHEDULES.items():
        moved = jax.device_put(s)
        assert moved == jax.device_get(moved) == jax.jit(lambda x: x)(s) == jax.tree.map(np.float32, s), name
        assert hash(moved) == hash(jax.tree.map(np.float32, s))
        shapes = [jax.eval_shape(s, steps) for steps in (jnp.arange(3), 3)]
        assert shapes == [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3,), ())]
    assert jax.jit(ls.Piecewise([0, 5], [0.0, 1.0], "linear"))(1) == np.float32(0.2)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(RAMP >> RAMP.repeat(3))]
    assert paths[:4] == [".parts[0].start", ".parts[0].end", ".parts[0].steps", ".parts[1].schedule.start"]
    made, s = jax.jit(ls.warmup_cosine)(0.5, 10.0, 100.0), ls.warmup_cosine(0.5, 10, 100)
    assert jax.tree.structure(made) == jax.tree.structure(s) == jax.tree.structure(jax.eval_shape(lambda: made))
    np.testing.assert_allclose(made(np.arange(200)), s(np.arange(200)), rtol=1e-6, atol=1e-9)


def test_a_repeat_is_replaced_by_the_names_of_its_arguments():
    plain: Any = RAMP.repeat(3)
    s = dataclasses.replace(plain, stretch=2, scale=0.5)
    assert s == RAMP.repeat(3, stretch=2, scale=0.5)
    assert dataclasses.replace(s, n=4, stretch=None) == RAMP.repeat(4, scale=0.5)
    assert s.stretch(2).length == 2 * s.length
    with pytest.raises(ValueError, match=r"steps=-20\): expected steps >= 0"):
        dataclasses.replace(RAMP, steps=-20)


def counted(function):
    """The function, compiled, and a list of its traces."""
    traces = []
    return jax.jit(lambda *x: traces.append(x) or function(*x)), traces


def test_other_numbers_trace_nothing_anew():
    """A schedule is an argument like any other: of every node, once for Python numbers, and once for arrays."""
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
