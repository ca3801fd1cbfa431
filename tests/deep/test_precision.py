"""How exact values are: every shape and every recipe, of 10^3, 10^5 and 2^31 - 2 steps, against 60 digits.

Steps lie within 2 of every boundary, and in between. An error counts in units of the last place of the true value, or of
what the case says its values are summed from.
"""

import functools
import inspect
import typing
from typing import Any

import jax
import numpy as np
import pytest
from cases import CASES, RECIPES, SHAPES
from helpers import as_argument, as_float32, bits, x64
from meaning import meaning, mp
from nested import node_classes

import lrsched as ls
from lrsched.algebra import recipes, shapes

LENGTHS = (10**3, 10**5, 2**31 - 2)
TRACED_LENGTHS = (10**3, 2**24)  # beyond, a float32 does not hold every length


def errors(actual: Any, truth: Any, size: float = 0.0) -> Any:
    """The errors in units of the last place, of at least the smallest normal number."""
    kind = np.asarray(actual).dtype.type
    units = [np.spacing(kind(max(abs(x), size, np.finfo(kind).tiny))) for x in truth]
    return np.array([float(abs(mp.mpf(float(x)) - y) / float(unit)) for x, y, unit in zip(actual, truth, units, strict=True)])


@functools.cache
def sampled(name: str, n: int) -> tuple[Any, Any]:
    """The steps at which a case is looked at, and the true values."""
    steps = CASES[name].steps(n)
    return steps, [CASES[name].truth(n, int(t)) for t in steps]


def assert_exact(name: str, n: int, values: Any, limit: float) -> None:
    """All values within so many ulps, and the known ones bit for bit."""
    case, (steps, truth), values = CASES[name], sampled(name, n), np.asarray(values)
    assert np.max(errors(values, truth, case.size)) <= limit
    at = dict(zip(steps.tolist(), values, strict=True))
    for step, known in case.known(n).items():
        assert bits(at[step]) == bits(values.dtype.type(known)), (step, at[step], known)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_known_numbers(name, n):
    """Outside of jit, and compiled into a program."""
    steps, _ = sampled(name, n)
    s = CASES[name].make(n)
    assert_exact(name, n, s(steps), 1)
    if n != 10**5:
        assert_exact(name, n, jax.jit(lambda t: s(t))(steps), 8 if CASES[name].power else 4)


@pytest.mark.parametrize("name", CASES)
def test_traced_numbers(name):
    case = CASES[name]
    for n in TRACED_LENGTHS:
        s = case.make(n)
        steps = case.steps(n)
        steps = steps[steps <= 2**24]
        received = as_float32(s)
        values = np.asarray(as_argument(s, np.resize(steps, 256)))[: len(steps)]
        truth = [meaning(received, int(t)) for t in steps]
        assert np.max(errors(values, truth, case.size)) <= (16 if case.power else 8)
        known = case.known(n) if name in SHAPES else {}
        for t, value in zip(steps.tolist(), values, strict=True):
            assert t not in known or bits(value) == bits(np.float32(known[t]))


def options(numbers: dict[str, Any]) -> dict[str, Any]:
    return {key: x for key, x in numbers.items() if x is None or isinstance(x, str | bool)}


@pytest.mark.parametrize("name", {(r.name, str(options(r.numbers(1000)))): name for name, r in RECIPES.items()}.values())
def test_a_recipe_of_traced_numbers(name):
    recipe, n = RECIPES[name], 1000
    numbers, fixed = recipe.numbers(n), options(recipe.numbers(n))
    traced = {key: np.asarray(x, np.float32) for key, x in numbers.items() if key not in fixed}
    steps, _ = sampled(name, n)
    values = jax.jit(lambda traced, steps: recipe.make(**traced, **fixed)(steps))(traced, steps)
    received = {key: x.astype(np.float64).tolist() for key, x in traced.items()}
    truth = [float(recipe.truth(int(t), **received, **fixed)) for t in steps]
    np.testing.assert_allclose(values, truth, rtol=1e-5, atol=3e-7 * np.max(np.abs(truth)))


COARSE_IN_FLOAT64 = ("geometric", "from 0", "through 0")  # where they are powers


@pytest.mark.parametrize("name", SHAPES)
def test_float64_values(name):
    n = 10**5
    steps, _ = sampled(name, n)
    s = CASES[name].make(n)
    with x64():
        for values in (s(steps), jax.jit(lambda t: s(t))(steps)):
            assert values.dtype == np.float64
            coarse = CASES[name].power and any(word in name for word in COARSE_IN_FLOAT64)
            assert_exact(name, n, values, 128 if coarse else 8)


# Nothing is left out


def public_recipes() -> dict[str, Any]:
    found = inspect.getmembers(recipes, lambda x: inspect.isfunction(x) and x.__module__ == recipes.__name__)
    return {name: function for name, function in found if not name.startswith("_")}


def choices(hint: Any) -> tuple[Any, ...]:
    if hint is bool:
        return (False, True)
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def test_every_recipe_and_every_option_has_a_case():
    assert {recipe.name for recipe in RECIPES.values()} == set(public_recipes())
    for name in {recipe.name for recipe in RECIPES.values()}:
        hints, numbers = typing.get_type_hints(getattr(ls, name)), [r.numbers(1000) for r in RECIPES.values() if r.name == name]
        for argument, parameter in inspect.signature(getattr(ls, name)).parameters.items():
            used = {given.get(argument, parameter.default) for given in numbers if choices(hints[argument])}
            assert used == set(choices(hints[argument])), (name, argument)


def test_every_shape_has_a_case():
    kinds = {type(case.make(1000)) for case in SHAPES.values()}
    assert {cls for cls in node_classes() if cls.__module__ == shapes.__name__} <= kinds
