"""A schedule prints as it is written, and what it prints evaluates to an equal schedule."""

import copy
import dataclasses
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.dialects.torch import ReduceLROnPlateau

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


RECIPES = [
    "warmup_cosine(0.0003, 1000, 100000)",
    "warmup_cosine(0.0003, 1000, steps=100000, end=1e-05)",
    "0.1 * reduce_on_plateau(factor=0.5, monitor='loss')",
    "multi_step(0.1, [30, 60], 0.1)",
    "noam(512.0, 4000).drop(1)",
    "-one_cycle(0.1, 100, anneal='linear', three_phase=True) * 2.0",
    "ReduceLROnPlateau(0.1, patience=5)",
]


@pytest.mark.parametrize("text", RECIPES)
def test_recipes_print_as_themselves(text):
    s = eval(text, NAMES | {"ReduceLROnPlateau": ReduceLROnPlateau})
    assert repr(s) == text
    assert ls.parse(text) == s
    expanded = ls.expanded(s)
    assert expanded == s
    assert hash(expanded) == hash(s)
    assert jax.tree.structure(expanded) == jax.tree.structure(s)
    assert not re.search("warmup|reduce|multi|noam|one_cycle|LR", repr(expanded))


def test_a_change_of_a_recipe_prints_what_it_is():
    s = ls.warmup_cosine(1.0, 10, 100)
    for other in (
        s >> 0.1,
        jax.tree.map(lambda x: 2 * x, s),
        dataclasses.replace(s, parts=s.parts[::-1]),
        ls.stack([s, s]),
        jax.jit(lambda s: s)(s),
        ls.warmup_cosine(jnp.array([0.1, 0.2]), 10, 100),  # float32, which text is not
    ):
        assert "warmup_cosine" not in repr(other)
        assert ls.parse(repr(other)) == other
    assert repr(pickle.loads(pickle.dumps(s))) == repr(copy.copy(s)) == repr(s)
    milestones = [30, 60]
    s = ls.multi_step(0.1, milestones, 0.1)
    milestones[0] = 20
    assert repr(s) == "multi_step(0.1, [30, 60], 0.1)"


def test_numbers_are_printed_to_the_last_digit():
    for x in (1 / 3, 1e-300, 123456789.123456789, 2.0**53 + 2):
        s = ls.Linear(x, -x, x)
        assert eval(repr(s), NAMES) == s
        assert eval(repr(jax.tree.map(np.float32, ls.Constant(min(x, 1.0)))), NAMES)(0) == ls.Constant(min(x, 1.0))(0)


def test_what_is_traced_prints_its_type():
    seen = []
    jax.jit(lambda s: seen.append(repr(s)) or s(0))(ls.Linear(0.0, 1.0, 10))
    assert seen == ["Linear(~float32[], ~float32[], ~float32[])"]


def test_what_was_donated_prints_its_type():
    s = jax.device_put(ls.Constant(0.1))
    jax.tree.leaves(s)[0].delete()
    assert repr(s) == 'Constant(~float32[], float("inf"))'
