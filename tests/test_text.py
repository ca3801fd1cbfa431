"""A schedule prints as it is written, and what it prints evaluates to an equal schedule."""

import jax
import numpy as np
import pytest

import lrsched as ls

NAMES = {name: getattr(ls, name) for name in dir(ls)}
TEXTS = [
    "Constant(0.1)",
    "Constant(0.1, 1000)",
    "Constant(0.1, 0)",
    "Linear(0.0, 0.001, 500)",
    "Cosine(1.0, 0.0, 2.5)",
    "Piecewise([0, 10], [1.0, 0.1])",
    "Piecewise([0, 10], [1.0, 0.1], 'linear')",
    "Time()",
    "Linear(0.0, 0.001, 500) >> Cosine(0.001, 1e-05, 9500)",
    "Linear(0.0, 1.0, 5) >> Linear(1.0, 0.0, 5) * 2.0 >> Time()",
    "(Linear(0.0, 1.0, 5) >> Time()) * 2.0",
    "Time() - Time() - Time()",
    "Time() - (Time() - Time())",
    "Time() / (Time() * Time()) / Time()",
    "Time() + Time() * Time()",
    "(Time() + Time()) * -Time()",
    "-(Time() + 1.0)",
    "--Time()",
    "1.0 - Time()",
    "Time() * Constant(-2.0)",
    "Time() * -2.0",
    "1.0 + Constant(2.0, 5)",
    "Time() @ (Time() @ Time())",
    "Time() @ Time() @ Time()",
    "Time() * 2.0 @ (Time() / 2.0)",
    "minimum(Time(), 3.0)",
    "(Time() + 1.0).take(5).drop(2).delay(3).stretch(2).staircase(4).reverse()",
    "Linear(0.0, 1.0, 5).repeat()",
    "Linear(0.0, 1.0, 5).repeat(3, stretch=2.0, scale=0.5)",
    "(Linear(0.0, 1.0, 5) >> Constant(1.0, 0)).repeat(3)",
    "Exponential(1.0, 0.5).on(Plateau())",
    "Exponential(1.0, 0.5).on(Plateau('max', 3, 0.5, cooldown=2, monitor='score'))",
    "Linear(0.0, 1.0, 5).on(Steps())",
    "Linear([0.0, 1.0], [1.0, 1.0], [5, 10])",
]


@pytest.mark.parametrize("text", TEXTS)
def test_prints_as_written(text):
    s = eval(text, NAMES)
    assert eval(repr(s), NAMES) == s
    assert repr(s) == text


def test_numbers_are_printed_to_the_last_digit():
    for x in (1 / 3, 1e-300, 123456789.123456789, 2.0**53 + 2):
        s = ls.Linear(x, -x, x)
        assert eval(repr(s), NAMES) == s
        assert eval(repr(jax.tree.map(np.float32, ls.Constant(min(x, 1.0)))), NAMES)(0) == ls.Constant(min(x, 1.0))(0)


def test_what_is_traced_prints_its_type():
    seen = []
    jax.jit(lambda s: seen.append(repr(s)) or s(0))(ls.Linear(0.0, 1.0, 10))
    assert seen == ["Linear(~float32[], ~float32[], ~float32[])"]
