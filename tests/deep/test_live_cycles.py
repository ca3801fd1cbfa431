"""Cycles that grow or shrink, with traced or live numbers: where they begin, for the numbers received.

This is exact for whole steps, and else within 2**-8 of a step.
"""

import contextlib
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
from helpers import x64
from meaning import meaning, meanings

import lrsched as ls
from lrsched.training.live import packed

END = 2**31 - 1
NEAR = Fraction(1, 2**8)  # of a step: nearer to a start than this, either cycle is right


def received(x: float) -> Fraction:
    return Fraction(float(np.float32(x)))


def cycles_of(length: float, stretch: float, count: int | None) -> tuple[list[Fraction], list[Fraction]]:
    """Where each cycle begins, then where the last of them ends, and how long each is."""
    starts, lengths = [Fraction(0)], [Fraction(length)]
    while starts[-1] <= END and lengths[-1] >= 1 and len(starts) < min(3000, (count or 3000) + 1):
        starts.append(starts[-1] + lengths[-1])
        lengths.append(Fraction(math.floor(lengths[-1] * received(stretch) * 2**200), 2**200))
    return starts, lengths


def steps_for(starts: list[Fraction]) -> np.ndarray:
    """500 steps before the last start: next to starts, and at random."""
    draw, last = random.Random(0), min(END, math.floor(starts[-1]) - 1)
    few = starts if len(starts) <= 120 else starts[:20] + draw.sample(starts[20:-20], 80) + starts[-20:]
    near = [math.ceil(start) + i for start in few for i in (-1, 0, 1)]
    steps = [0, 1, 2**24, 2**24 + 1, END - 1, END, *near, *(draw.randrange(last + 1) for _ in range(20))]
    return np.resize(np.asarray([t for t in steps if 0 <= t <= last], np.int32), 500)


def check(s: Any, value: Any, length: float, stretch: float, count: int | None) -> None:
    starts, lengths = cycles_of(length, stretch, count)
    steps = steps_for(starts)
    for t, found in zip(steps.tolist(), np.asarray(value(s, steps), np.float64).tolist(), strict=True):
        right = bisect_right(starts, t) - 1
        near = [i for i in (right, right + 1) if abs(t - starts[i]) < NEAR and starts[i].denominator != 1]
        errors = []
        for i in {right, *near, *(i - 1 for i in near)}:
            exact = min(max((t - starts[i]) / lengths[i], Fraction(0)), Fraction(1))
            errors.append(abs(Fraction(found) - exact) - NEAR / lengths[i] - 4 * exact / 2**24)
        assert min(errors) <= 0, (s, t, found, right)


KINDS = {
    "live": (contextlib.nullcontext, packed),
    "traced": (contextlib.nullcontext, lambda s: s),
    "live in float64": (x64, packed),
}


@pytest.mark.parametrize("way", KINDS)
def test_a_cycle_begins_at_its_step(way):
    precision, kept = KINDS[way]
    value = jax.jit(chex.assert_max_traces(2)(lambda s, t: jax.vmap(s)(t)))  # with a count, and without
    chex.clear_trace_counter()
    stretches = (0.5, 0.9, 1.0, 1.0001, 1.1, 1.5, 2.0, 3.0, math.pi)
    with precision():
        for stretch, length, count in itertools.product(stretches, (1, 2.5, 10, 1000, 10**8), (None, 3, 10**6)):
            if count or stretch >= 1:
                s = ls.Linear(0.0, 1.0, length).repeat(count, stretch=float(received(stretch)))
                check(kept(s), value, length, stretch, count)


@pytest.mark.parametrize("value", [lambda s, t: s(t), lambda s, t: jax.jit(s)(t)], ids=["eager", "captured"])
def test_more_cycles_than_a_table_holds(value):
    check(ls.Linear(0.0, 1.0, 2.5).repeat(2500, stretch=float(received(1.0001))), value, 2.5, 1.0001, 2500)


def flat(first: float, second: float) -> Any:
    return ls.Constant(1.0, first) >> ls.Constant(2.0, second)


def turns(first: int, second: int, stretch: float) -> list[Fraction]:
    """Where the two parts of each of 40 cycles end."""
    growths = [received(stretch) ** i for i in range(40)]
    starts = itertools.accumulate(((first + second) * x for x in growths), initial=Fraction(0))
    return [start + x * growth for start, growth in zip(starts, growths, strict=False) for x in (first, first + second)]


COMPOSED = {
    "parts": lambda a, b, k: flat(a, b).repeat(stretch=k),
    "stretched": lambda a, b, k: flat(a, b).repeat(stretch=k).stretch(3),
    "before others": lambda a, b, k: flat(a, b).repeat(3, stretch=k) >> flat(a, b),
    "cycles of cycles": lambda a, b, k: flat(a, b).repeat(2, stretch=2).repeat(3, stretch=k),
    "stairs": lambda a, b, k: flat(a, b).staircase(3).repeat(stretch=k),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_what_is_inside_a_live_cycle_turns_at_its_step(name):
    chex.clear_trace_counter()
    value = jax.jit(chex.assert_max_traces(1)(lambda s, t: s(t)))
    for first, second, stretch in itertools.product((30, 100_000_007), (12, 70_000_001), (1.1, 1.5, 2.0)):
        near = [math.ceil(k * x) + i for x in turns(first, second, stretch) for k in (1, 3) for i in (-1, 0)]
        steps = np.resize(np.asarray([t for t in near if t < END], np.int32), 320)
        s = COMPOSED[name](first, second, float(received(stretch)))
        found = value(packed(s), steps)
        np.testing.assert_array_equal(found, meanings(s, steps), err_msg=f"{first} {second} {stretch}")


def test_the_slopes_of_a_live_cycle():
    slopes, small = jax.jit(jax.grad(lambda s, t: s(t), allow_int=True)), 2.0**-30
    for length, stretch, t in ((10.0, 1.5, 60), (7.25, 1.0, 100), (3.0, 1.0001, 3000), (1000.0, 1.2, 123_456)):
        k = float(received(stretch))
        s, longer, slower = (ls.Linear(1.0, 0.0, length + a).repeat(stretch=k + b) for a, b in ((0, 0), (small, 0), (0, small)))
        found = slopes(packed(s), jnp.int32(t))
        expected = [float((meaning(other, t) - meaning(s, t)) / small) for other in (longer, slower)]
        np.testing.assert_allclose([found.schedule.steps.high, found.stretch_.high], expected, rtol=1e-4)
