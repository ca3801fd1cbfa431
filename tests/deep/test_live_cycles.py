"""Cycles that grow or shrink, of which numbers are traced or live: where they begin, for the numbers received.

At whole steps that is exact, and anywhere else within 2**-8 of a step.
"""

import dataclasses
import functools
import itertools
import math
import operator
import random
from bisect import bisect_right
from fractions import Fraction
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WAYS, called, x64
from hypothesis import given
from hypothesis import strategies as st

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.schedule import ready
from lrsched.dialects import torch
from lrsched.training.live import packed

END = 2**31 - 1
STRETCHES = (0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0, math.pi)
LENGTHS = (1, 2.5, 10, 10**8)
COUNTS = (None, 3, 10**6)
NEAR = Fraction(1, 2**8)  # of a step: nearer than that to a start, either of two cycles is right


@jax.jit
@chex.assert_max_traces(2)  # with a count, and without
def found(s: Any, steps: Any) -> Any:
    """In which cycle each step is, and the whole steps, and the rest, of the time in it."""

    def at(t: Any) -> Any:
        made = ready(s)
        last = math.inf if s.n is None else numerics.maximum(numerics.rounded(made.n) - 1.0, 0.0)
        index, start, growth = numerics.growing_cycle(numerics.time_of(t)[0], made.schedule.length, made.stretch_, last)
        since = numerics.maximum(numerics.time_of(t)[0] - start, 0.0)
        return index, since, numerics.to_float(numerics.ratio(since, growth))

    return jax.vmap(at)(steps)


def received(x: float) -> Fraction:
    return Fraction(float(np.float32(x)))


def starts_of(length: float, stretch: float, count: int | None, most: int = 3000) -> tuple[list[Fraction], bool]:
    """Where the cycles begin, and whether these are all that do before the end."""
    start, growth, ratio, starts = Fraction(0), Fraction(length), received(stretch), []
    unit = 2**200
    while start <= END and len(starts) < (count or math.inf):
        if len(starts) == most:
            return starts, False
        starts.append(start)
        start, growth = start + growth, Fraction(math.floor(growth * ratio * unit), unit)
    return starts, True


def steps_for(starts: list[Fraction], seed: int) -> list[int]:
    draw = random.Random(seed)
    few = starts if len(starts) <= 120 else starts[:20] + draw.sample(starts[20:-20], 80) + starts[-20:]
    near = [math.ceil(start) + i for start in few for i in (-1, 0, 1)]
    steps = [0, 1, 2**24, 2**24 + 1, END - 1, END, *near, *(draw.randrange(2**31) for _ in range(20))]
    return [t for t in steps if 0 <= t <= END]


def check(
    length: float, stretch: float, count: int | None, steps: list[int], starts: list[Fraction], kept: Any = packed
) -> None:
    given = kept(ls.Linear(0.0, 1.0, length).repeat(count, stretch=float(received(stretch))))
    index, since, value = (numerics.to_float64(x) for x in found(given, jnp.asarray(steps, jnp.int32)))
    for t, i, elapsed, local in zip(steps, index.astype(int).tolist(), since.tolist(), value.tolist(), strict=True):
        right = bisect_right(starts, t) - 1
        if i != right:
            start = starts[max(i, right)]
            assert abs(i - right) == 1, (t, i, right)
            assert start.denominator != 1, (t, i, right)
            assert abs(t - start) < NEAR, (t, i, right)
        assert abs(Fraction(elapsed) - (t - starts[i])) <= NEAR, (t, i, float(elapsed), float(t - starts[i]))
        growth = received(stretch) ** i
        if i == right and growth * Fraction(length) > 1:
            exact = (t - starts[i]) / growth
            assert abs(Fraction(local) - exact) <= NEAR / growth + 4 * exact / 2**24, (t, i, local)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_a_live_cycle_begins_at_its_step(stretch):
    chex.clear_trace_counter()
    for length, count in itertools.product(LENGTHS, COUNTS):
        if count is None and stretch < 1:
            continue
        starts, complete = starts_of(length, stretch, count)
        if not complete and stretch != 1.0:  # it shrinks to nothing, before the last of many cycles
            starts = starts[: next(i for i in range(len(starts)) if starts[i + 1] - starts[i] < 1)]
        steps = steps_for(starts, round(length))
        if not complete:
            steps = [t for t in steps if t < starts[-1]]
        check(length, stretch, count, (steps * 500)[:500], starts)


@given(
    st.floats(1.0, 2.0**31, width=32) | st.integers(1, 2**31 - 1),
    st.floats(0.125, 64.0, width=32),
    st.integers(1, 300),
    st.integers(0, 2**31 - 1),
)
def test_any_live_cycle_begins_at_its_step(length, stretch, count, seed):
    chex.clear_trace_counter()
    starts, _ = starts_of(length, stretch, count)
    if stretch < 1:
        starts = starts[: next((i + 1 for i in range(len(starts) - 1) if starts[i + 1] - starts[i] < 1), len(starts))]
    steps = [t for t in steps_for(starts, seed) if len(starts) == count or stretch >= 1 or t < starts[-1]]
    check(length, stretch, count, (steps * 500)[:500], starts)


def flat(first: float, second: float) -> Any:
    return ls.Constant(1.0, first) >> ls.Constant(2.0, second)


def turns(first: float, second: float, stretch: float, n: int) -> list[Fraction]:
    """Where the two parts of each of n cycles end."""
    ratio, points, start = received(stretch), [], Fraction(0)
    for i in range(n):
        points += [start + first * ratio**i, start + (first + second) * ratio**i]
        start = points[-1]
    return points


def turns_of_cycles(first: float, second: float, stretch: float) -> list[Fraction]:
    """The same of three cycles of two cycles each, of which the second is twice as long as the first."""
    inner, ratio, points, start = turns(first, second, 2.0, 2), received(stretch), [], Fraction(0)
    for i in range(3):
        points += [start + x * ratio**i for x in inner]
        start = points[-1]
    return points[:-1]


COMPOSED = {
    "parts": (lambda a, b, k: flat(a, b).repeat(stretch=k), lambda a, b, k: turns(a, b, k, 40)),
    "stretched": (
        lambda a, b, k: flat(a, b).repeat(stretch=k).stretch(3),
        lambda a, b, k: [3 * x for x in turns(a, b, k, 40)],
    ),
    "before others": (
        lambda a, b, k: flat(a, b).repeat(3, stretch=k) >> flat(a, b),
        lambda a, b, k: [*turns(a, b, k, 3), turns(a, b, k, 3)[-1] + a],
    ),
    "cycles of cycles": (lambda a, b, k: flat(a, b).repeat(2, stretch=2).repeat(3, stretch=k), turns_of_cycles),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_what_is_inside_a_live_cycle_turns_at_its_step(name):
    make, points_of = COMPOSED[name]
    chex.clear_trace_counter()
    value = jax.jit(chex.assert_max_traces(1)(lambda s, t: s(t)))
    for first, second, stretch in itertools.product((30, 100_000_007), (12, 70_000_001), (1.1, 1.5, 2.0)):
        points = [x for x in points_of(first, second, stretch) if x < END]
        steps = np.resize(np.asarray([math.ceil(x) + i for x in points for i in (-1, 0)], np.int32), 160)
        values = np.asarray(value(packed(make(first, second, float(received(stretch)))), steps))[: 2 * len(points)]
        expected = np.resize([1.0, 2.0, 2.0, 1.0], values.shape)
        np.testing.assert_array_equal(values, expected, err_msg=f"{first} {second} {stretch}")


def test_warm_restarts_of_torch_turn_at_their_step():
    value = jax.jit(lambda s, t: s(t))
    for first, times in ((10, 2), (7, 3), (10_000_019, 2)):
        s = torch.CosineAnnealingWarmRestarts(0.1, first, times)
        for start in [x for x in (first * (times**i - 1) // (times - 1) for i in range(1, 32)) if x <= END]:
            before, after = (float(value(packed(s), jnp.int32(start + i))) for i in (-1, 0))
            assert after == np.float32(0.1)
            np.testing.assert_allclose(before, float(s(start - 1)), rtol=1e-5, atol=1e-9)


def test_the_slopes_of_a_live_cycle():
    slopes = jax.jit(jax.grad(lambda s, t: s(t), allow_int=True))
    small = Fraction(1, 2**60)

    def exact(length: Fraction, stretch: Fraction, t: int) -> Fraction:
        start, growth = Fraction(0), Fraction(1)
        while start + length * growth <= t:
            start, growth = start + length * growth, Fraction(math.floor(growth * stretch * 2**200), 2**200)
        return 1 - (t - start) / (length * growth)

    for length, stretch, t in ((10.0, 1.5, 60), (7.25, 1.0, 100), (3.0, 1.0001, 3000), (1000.0, 1.2, 123_456)):
        found = slopes(packed(ls.Linear(1.0, 0.0, length).repeat(stretch=float(received(stretch)))), jnp.int32(t))
        a, k = Fraction(length), received(stretch)
        expected = [(exact(a + small, k, t) - exact(a, k, t)) / small, (exact(a, k + small, t) - exact(a, k, t)) / small]
        np.testing.assert_allclose([found.schedule.steps.high, found.stretch_.high], list(map(float, expected)), rtol=1e-4)


def test_the_second_derivatives_of_a_live_cycle():
    """Beside differences of float64 values."""
    made: Any = packed(ls.Cosine(1.0, 0.0, 5.25).repeat(stretch=1.5))

    def value(numbers):
        length, stretch, t = numbers
        s = dataclasses.replace(
            made,
            schedule=dataclasses.replace(made.schedule, steps=dataclasses.replace(made.schedule.steps, high=length)),
            stretch=dataclasses.replace(made.stretch_, high=stretch),
        )
        return s(t)

    def exact(length, stretch, t):
        start, growth = 0.0, 1.0
        while start + length * growth <= t:
            start, growth = start + length * growth, growth * stretch
        return 0.5 * (1 + math.cos(math.pi * (t - start) / (length * growth)))

    at, h = (5.25, 1.5, 60.3), 1e-4
    found = jax.jit(jax.hessian(value))(tuple(map(jnp.float32, at)))
    for i, j in itertools.product(range(3), range(3)):
        moved = [[at[k] + h * ((k == i) * a + (k == j) * b) for k in range(3)] for a, b in itertools.product((1, -1), (1, -1))]
        expected = np.dot([1, -1, -1, 1], [exact(*x) for x in moved]) / (4 * h * h)
        np.testing.assert_allclose(found[i][j], expected, rtol=2e-3, atol=2e-4, err_msg=f"{i} {j}")


def test_a_length_next_to_the_last_step_is_not_beyond_it():
    """Of the second cycle, 2**31 - 1e-10 long."""
    length, stretch = 22650961.090530783, 94.8076171875
    steps = np.asarray([22650962, 10**9, END], np.int32)
    got = jax.jit(lambda s, t: s(t))(packed(ls.Linear(0.0, 1.0, length).repeat(stretch=stretch)), steps)
    growth = float(np.float32(stretch)) * (22650961 + float(np.float32(length - 22650961)))
    np.testing.assert_allclose(got, (steps - length) / growth, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stretch", [1.1, 1.25])
def test_stairs_inside_a_live_cycle_are_as_high_as_they_begin(stretch):
    ends = turns(3, 42, stretch, 130)[1::2]
    begins = [Fraction(0), *ends]
    # In the middle of the second stair of each cycle, which begins where the second part does.
    middles = [start + Fraction(9, 2) * received(stretch) ** i for i, start in enumerate(begins)]
    steps = np.asarray([math.floor(x) for x in middles if x < END], np.int32)[5:]
    made = packed(flat(3.0, 42.0).staircase(3).repeat(stretch=stretch))
    got = np.asarray(jax.jit(lambda s, t: s(t))(made, np.resize(steps, 300)))[: len(steps)]
    np.testing.assert_array_equal(got, 2.0)


@pytest.mark.parametrize("inner", [lambda s: s.staircase(3), lambda s: s.repeat(3)])
def test_known_cycles_and_stairs_inside_of_known_cycles_that_grow(inner):
    s = inner(ls.Linear(0.0, 1.0, 10)).repeat(4, stretch=2.0)
    steps = np.arange(0, 500, 7, dtype=np.int32)
    captured = jax.jit(lambda t: jax.vmap(s)(t))(steps)
    np.testing.assert_allclose(captured, [float(s(int(t))) for t in steps], rtol=1e-6, atol=1e-7)


def test_a_batch_of_live_cycles():
    numbers = [(10, 1.5), (7, 3.0), (2.5, 1.1), (1000, 1.0)]
    sweep = ls.stack([ls.Linear(0.0, 1.0, length).repeat(stretch=stretch) for length, stretch in numbers])
    steps = jnp.asarray([0, 9, 10, 24, 25, 1000, 2**31 - 2], jnp.int32)
    got = jax.jit(jax.vmap(lambda s: s(steps)))(packed(sweep))
    one = jax.jit(lambda s: s(steps))
    for row, (length, stretch) in zip(got, numbers, strict=True):
        np.testing.assert_array_equal(row, one(packed(ls.Linear(0.0, 1.0, length).repeat(stretch=stretch))))


NUMBERS = [(10, 1.5, None), (7, 3.0, None), (1000, 1.1, None), (2.5, 1.0001, 4000), (2.5, math.pi, 10), (10**8, 0.9, 30)]


def of_numbers(length: float, stretch: float, count: int | None) -> tuple[list[Fraction], list[int]]:
    """Where the cycles begin, and 500 steps to look at, of the first 3000 cycles."""
    starts, complete = starts_of(length, stretch, count)
    steps = [t for t in steps_for(starts, 1) if complete or t < starts[-1]]
    return starts, (steps * 500)[:500]


@pytest.mark.parametrize(("length", "stretch", "count"), NUMBERS)
def test_live_cycles_in_float64(length, stretch, count):
    chex.clear_trace_counter()
    starts, steps = of_numbers(length, stretch, count)
    with x64():
        check(length, float(received(stretch)), count, steps, starts)


@pytest.mark.parametrize(("length", "stretch", "count"), NUMBERS)
def test_cycles_of_traced_numbers_begin_at_their_step(length, stretch, count):
    chex.clear_trace_counter()
    starts, steps = of_numbers(length, stretch, count)
    check(length, stretch, count, steps, starts, kept=lambda s: s)


@pytest.mark.parametrize("way", WAYS)
def test_more_cycles_than_a_table_holds(way):
    """The cycles of known numbers, and of a batch of them."""
    starts, steps = of_numbers(2.5, 1.0001, 2500)
    s = ls.Constant(1.0, 2.5).repeat(2500, stretch=float(received(1.0001)), scale=-1.0)
    signs = [(-1) ** (bisect_right(starts, t) - 1) for t in steps]
    np.testing.assert_array_equal(called({"s": s}, way, np.asarray(steps, np.int32))["s"], signs)


def test_a_batch_of_known_cycles_begins_at_their_steps():
    stretches = [1.0, 1.1, 2.0, 3.5]
    s = ls.Linear(0.0, 1.0, 1000).repeat(20, stretch=np.asarray([float(received(x)) for x in stretches]))
    compiled = jax.jit(lambda s, t: ready(s).at(numerics.time_of(t)[0]))
    for t in (0, 999, 1000, 2100, 7000, 7001, 10**6, END):
        expected = [float(ls.Linear(0.0, 1.0, 1000).repeat(20, stretch=float(received(x)))(t)) for x in stretches]
        got = [ready(s).at(numerics.time_of(t)[0]), compiled(s, t)]
        np.testing.assert_allclose(got, [expected] * 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kept", [lambda s: s, packed], ids=["traced", "live"])
@pytest.mark.parametrize("function", [lambda s, t: s(t), jax.grad(lambda s, t: s(t), allow_int=True)], ids=["value", "slopes"])
def test_the_program_grows_with_the_number_of_cycles_in_it(function, kept):
    """By as much with each: and each is a loop, which is not unrolled."""
    cycles = ls.cosine_restarts(1.0, 0.0, 10, stretch=2.0)
    sizes = [
        len(jax.jit(function).lower(kept(functools.reduce(operator.mul, [cycles] * n)), 7).as_text().splitlines())
        for n in (1, 2, 4)
    ]
    assert sizes[0] < 3000
    assert max(np.diff(sizes) / (1, 2)) <= 1.05 * sizes[0]
