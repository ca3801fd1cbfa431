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
import numpy as np
import pytest
from helpers import x64

import lrsched as ls
from lrsched.training.live import packed

END = 2**31 - 1
NEAR = Fraction(1, 2**8)  # of a step: nearer to a start than this, either cycle is right
KINDS = {
    "live": (contextlib.nullcontext, packed),
    "traced": (contextlib.nullcontext, lambda s: s),
    "live in float64": (x64, packed),
}


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
