"""Cycles that grow or shrink, of which every number is live: they begin where they do for the numbers received, to the step."""

import itertools
import math
import random
from bisect import bisect_right
from fractions import Fraction
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ulps, x64
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched as ls
from lrsched import numerics
from lrsched.live import packed

END = 2**31 - 1
STRETCHES = (0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0, math.pi)
LENGTHS = (1, 2.5, 7, 10, 1000, 10**8)
COUNTS = (None, 1, 3, 10, 10**6)
NEAR = Fraction(1, 2**20)  # of a step: nearer than that to a start, either of two cycles is right


@jax.jit
@chex.assert_max_traces(2)  # with a count, and without
def found(s: Any, steps: Any) -> Any:
    """In which cycle each step is, and the whole steps, and the rest, of the time in it."""

    def at(t: Any) -> Any:
        index, inside = numerics.moment(t)[0].cycle(s.schedule.length, s.n, s.longer)
        return index, inside.ticks.whole, inside.ticks.part, inside.value()

    return jax.vmap(at)(steps)


def received(x: float) -> Fraction:
    return Fraction(float(np.float32(x)))


def starts_of(length: float, stretch: float, count: int | None, most: int = 3000) -> tuple[list[Fraction], bool]:
    """Where the cycles begin, and whether these are all that do before the end."""
    start, growth, ratio, starts = Fraction(0), received(length), received(stretch), []
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


def check(length: float, stretch: float, count: int | None, steps: list[int], starts: list[Fraction]) -> int:
    s = packed(ls.Linear(0.0, 1.0, 10).repeat(3 if count else None, stretch=2.0))
    given = packed(ls.Linear(0.0, 1.0, length).repeat(count, stretch=max(stretch, 1.0) if count is None else stretch))
    assert jax.tree.structure(s) == jax.tree.structure(given)
    index, whole, part, value = (np.asarray(x) for x in found(given, jnp.asarray(steps, jnp.int32)))
    for t, i, *inside, local in zip(steps, index.tolist(), whole.tolist(), part.tolist(), value.tolist(), strict=True):
        right = bisect_right(starts, t) - 1
        if i != right:
            assert i == right + 1 and starts[i] - t < NEAR or i == right - 1 and t - starts[right] < NEAR, (t, i, right)
            assert starts[max(i, right)].denominator != 1, (t, i, right)
        elapsed = Fraction(inside[0]) + Fraction(inside[1])
        assert abs(elapsed - (t - starts[i])) <= NEAR, (t, i, float(elapsed), float(t - starts[i]))
        growth = received(stretch) ** i
        if i == right and growth * received(length) > 1:
            assert abs(Fraction(local) - (t - starts[i]) / growth) <= NEAR / growth + 4 * (t - starts[i]) / growth / 2**24, (t, i)
    return len(steps)


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
