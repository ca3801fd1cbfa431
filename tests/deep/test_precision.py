"""How exact values are: every shape and every recipe, of 10^3, 10^5 and 2^31 - 2 steps, against 60 digits.

Steps lie within 2 of every boundary, and in between. An error counts in units of the last place of the true value, or of
what the case says its values are summed from.
"""

import functools
import inspect
from typing import Any

import jax
import numpy as np
import pytest
from cases import CASES, RECIPES, SHAPES
from helpers import WAYS, as_argument, as_float32, bits, called, said, started, ulps
from meaning import meanings
from nested import node_classes

import lrsched as ls
from lrsched.algebra import decays, recipes, shapes

LENGTHS = (10**3, 10**5, 2**31 - 2)
TRACED_LENGTHS = (10**3, 2**24)  # beyond, a float32 does not hold every length
FAR_OUT = {
    (ls.Linear(0.0, 1.0, 1.5e9).repeat(), 1_500_000_100): 100 / 1.5e9,
    (ls.Linear(0.0, 1.0, 2e9).staircase(1.2e9), 1_200_000_100): 0.6,
    (ls.Linear(0.0, 1.0, 7).repeat(3_000_001), 21_000_007): 1.0,
    (ls.Linear(0.0, 1.0, 2).repeat(scale=-1.0), 2**25 + 3): -0.5,
    (ls.Linear(0.0, 1.0, 2.5).repeat(), 10**8 + 3): 0.2,
}


@functools.cache
def sampled(name: str, n: int) -> tuple[Any, Any]:
    """The steps at which a case is tested, and the true values."""
    steps = CASES[name].steps(n)
    return steps, [float(CASES[name].truth(n, int(t))) for t in steps]


def assert_exact(name: str, n: int, values: Any, limit: float) -> None:
    """All values within so many ulps, and the known ones bit for bit."""
    case, (steps, truth), values = CASES[name], sampled(name, n), np.asarray(values)
    assert ulps(values, truth, case.size) <= limit, name
    at = dict(zip(steps.tolist(), values, strict=True))
    for step, known in case.known(n).items():
        assert bits(at[step]) == bits(values.dtype.type(known)), (name, step, at[step], known)


@pytest.mark.parametrize("name", CASES)
def test_known_numbers(name):
    for n in LENGTHS:
        assert_exact(name, n, CASES[name].make(n)(sampled(name, n)[0]), 1)


@pytest.mark.parametrize("n", [10**3, 2**31 - 2])
def test_known_numbers_compiled(n):
    """All in one program."""
    steps = {name: sampled(name, n)[0] for name in CASES}
    for name, values in called({name: case.make(n) for name, case in CASES.items()}, "captured", steps).items():
        assert_exact(name, n, values, 8 if CASES[name].power else 4)


@pytest.mark.parametrize(("start", "end"), [(7e-4, 0.0), (0.0, 7e-4), (7e-4, 1e-4)])
def test_a_compiled_cosine_at_every_step(start, end):
    s, t = ls.Cosine(start, end, 99_991), np.arange(99_992)
    truth = start * np.cos(np.pi / 2 * t / 99_991) ** 2 + end * np.sin(np.pi / 2 * t / 99_991) ** 2
    assert ulps(jax.jit(lambda t: s(t))(t)[:-1], truth[:-1]) <= 4


@pytest.mark.parametrize("name", CASES)
def test_traced_numbers(name):
    case = CASES[name]
    for n in TRACED_LENGTHS:
        s = case.make(n)
        steps = case.steps(n)
        steps = steps[steps <= 2**24]
        received = as_float32(s)
        values = np.asarray(as_argument(s, np.resize(steps, 256)))[: len(steps)]
        assert ulps(values, meanings(received, steps), case.size) <= (16 if case.power else 8)
        known = case.known(n) if name in SHAPES else {}
        for t, value in zip(steps.tolist(), values, strict=True):
            assert t not in known or bits(value) == bits(np.float32(known[t]))


@pytest.mark.parametrize("way", WAYS)
def test_cycles_and_stairs_far_out(way):
    found = called({key: key[0] for key in FAR_OUT}, way, {key: np.asarray([key[1]], np.int32) for key in FAR_OUT})
    for key, expected in FAR_OUT.items():
        np.testing.assert_allclose(found[key], [expected], rtol=1e-6, err_msg=str(key))


def test_a_multiple_is_reached_however_it_is_rounded():
    t = np.arange(1000)
    thirds, weeks = ls.step_decay(1.0, every=100 / 3, factor=0.5), (ls.Constant(1.0, 0.07) >> ls.Constant(2.0)).stretch(100)
    for call in (lambda s: s, jax.jit):
        np.testing.assert_array_equal(call(thirds)(t), (0.5 ** (3 * t // 100)).astype(np.float32))
        np.testing.assert_array_equal(call(weeks)(np.array([6, 7])), [1.0, 2.0])


def test_ends_are_exact_where_a_division_is_not():
    """With the division of a GPU: the program prints a quotient that is not exact, and no end that is not exact."""
    (quotient,) = said(started("inexact_division.py")).splitlines()
    assert quotient == "41 / 41 = 0.9999999403953552"


def test_every_shape_and_every_recipe_has_a_case():
    kinds = {type(case.make(1000)) for case in SHAPES.values()}
    assert {cls for cls in node_classes() if cls.__module__ == shapes.__name__} <= kinds
    modules = (recipes.__name__, decays.__name__)
    found = inspect.getmembers(ls, lambda x: inspect.isfunction(x) and x.__module__ in modules)
    assert {name for name, _ in found} == {recipe.name for recipe in RECIPES.values()}
