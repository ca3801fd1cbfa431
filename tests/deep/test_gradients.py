"""Gradients: equal to central differences away from kinks, and finite everywhere."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import nested
import numpy as np
import pytest
from helpers import x64
from hypothesis import given, settings
from signatures import FEW, boundaries, pure

import lrsched as ls
from lrsched.algebra.node import specs
from lrsched.algebra.schedule import Schedule

# Steps that are exact in float32 and lie on no boundary of the examples; no step of an example comes near them.
SMOOTH_STEPS = np.array([0.40625, 3.59375, 6.40625, 9.28125, 13.84375, 18.59375, 27.71875, 37.15625, 57.90625])
ROWS = 400  # in every call: without jit each new shape takes time
PARTLY_KNOWN = [
    ls.Exponential(2.0, 0.9),
    ls.Geometric(0.1, 1.0, 50).reverse(),
    ls.Polynomial(1.0, 0.1, 60, 2.5),
    (ls.Cosine(1.0, 0.0, 11.5) >> ls.Linear(0.0, 1.0, 30)).stretch(1.3),
    ls.Cosine(1.0, 0.0, 4.7).repeat(stretch=2.0, scale=0.5),
    ls.Linear(0.0, 1.0, 10) @ (ls.Exponential(10.0, 0.9) / (1 + ls.Time())),
]


class Row(NamedTuple):
    """A step, and the leaves of a schedule at which the derivatives are taken there."""

    leaves: list[Any]
    step: float


def derivatives(schedule: Schedule, rows: list[Row]) -> tuple[list[np.ndarray], np.ndarray]:
    """The derivatives of the value with respect to each leaf, and with respect to the step, row by row."""
    assert len(rows) <= ROWS
    every = [rows[i % len(rows)] for i in range(ROWS)]
    columns = [
        jnp.asarray(np.stack(column), jnp.result_type(float)) for column in zip(*(row.leaves for row in every), strict=True)
    ]
    steps = jnp.asarray([row.step for row in every], jnp.result_type(float))
    batch = jax.tree.unflatten(jax.tree.structure(schedule), columns)
    by_leaf, by_step = jax.vmap(jax.grad(lambda s, t: s(t), argnums=(0, 1)))(batch, steps)
    return [np.asarray(x)[: len(rows)] for x in jax.tree.leaves(by_leaf)], np.asarray(by_step)[: len(rows)]


def differences(values: Callable[[float], Any], size: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of values by a number, and where both sides agree, so that there is no kink."""
    before, here, after = (np.asarray(values(k * size)) for k in (-1, 0, 1))
    left, right = (here - before) / size, (after - here) / size
    return (after - before) / (2 * size), np.abs(right - left) <= 1e-3 * (1.0 + np.abs(left))


def differences_by_number(schedule: Schedule, leaf: int, entry: Any) -> tuple[np.ndarray, np.ndarray]:
    """Differences at the smooth steps by one number of a schedule: an entry of a leaf."""
    leaves, tree = jax.tree.flatten(schedule)

    def values(change: float) -> Any:
        changed = np.array(leaves[leaf], np.float64)
        changed[entry] += change
        return tree.unflatten([*leaves[:leaf], changed[()], *leaves[leaf + 1 :]])(SMOOTH_STEPS)

    return differences(values, 1e-5 * max(1.0, float(np.max(np.abs(leaves[leaf])))))


def check(schedule: Schedule, edges: list[Row]) -> np.ndarray:
    """Which derivatives at the smooth steps have a difference. These are equal to it, and those at the edges are finite."""
    leaves = jax.tree.leaves(schedule)
    rows = [*(Row(leaves, step) for step in SMOOTH_STEPS), *edges]
    by_leaf, by_step = derivatives(schedule, rows)
    assert_finite(schedule, rows, by_leaf, by_step)
    compared = []
    with x64():
        pairs = [(by_step, differences(lambda k: schedule(SMOOTH_STEPS + k)))]
        pairs += [
            (found[(slice(None), *entry)], differences_by_number(schedule, leaf, entry))
            for leaf, found in enumerate(by_leaf)
            if np.all(np.isfinite(leaves[leaf]))  # but for the length of what lasts for ever
            for entry in np.ndindex(found.shape[1:])
        ]
    for found, (wanted, smooth) in pairs:
        error = np.abs(found[: len(SMOOTH_STEPS)] - wanted)[smooth]
        limit = 1e-3 * np.abs(wanted) + 1e-6 * max(1.0, np.max(np.abs(wanted)))
        assert np.all(error <= limit[smooth]), (schedule, found, wanted)
        compared.append(smooth)
    return np.concatenate(compared)


def assert_finite(schedule: Schedule, rows: list[Row], by_leaf: list[np.ndarray], by_step: np.ndarray) -> None:
    for found in [*by_leaf, by_step]:
        for i in np.flatnonzero(~np.all(np.isfinite(found.reshape(len(rows), -1)), axis=1)):
            raise AssertionError(f"{jax.tree.unflatten(jax.tree.structure(schedule), rows[i].leaves)!r} at {rows[i].step}")


def edge_rows(schedule: Schedule) -> Iterator[Row]:
    """Steps at the start, at every boundary and past the end; with the given numbers, with zeros, and with counts below 0."""
    leaves = jax.tree.leaves(schedule)
    may_be_0 = [i for i, spec in enumerate(specs(schedule)) if spec.holds(np.zeros(np.shape(leaves[i])))]
    counts = [i for i, spec in enumerate(specs(schedule)) if spec.unit]
    steps = [0.0, 0.5, 1.0, *boundaries(schedule)[:10], 1000.0, 2.0**31 - 1]
    for chosen, number in [((), 0.0), *(((i,), 0.0) for i in may_be_0), (may_be_0, 0.0), (counts, -1.0)]:
        changed = [np.full(np.shape(x), number) if i in chosen else x for i, x in enumerate(leaves)]
        yield from (Row(changed, step) for step in steps)


@pytest.mark.parametrize("schedule", dict.fromkeys(pure(call.make()) for call in FEW), ids=repr)
def test_gradients_of_every_node_are_right_and_finite(schedule):
    assert np.all(check(schedule, list(edge_rows(schedule))))


@settings(max_examples=5)
@given(nested.schedules)
def test_gradients_of_nested_schedules_are_right_and_finite(schedule):
    edges = [Row(jax.tree.leaves(schedule), step) for step in (0.0, *boundaries(schedule)[:30], 2.0**31 - 1)]
    with x64():
        assert np.mean(check(schedule, edges)) >= 0.8


LINE = ls.Linear(0.0, 1.0, 10)
HARD = {
    "a part that is singular before its own start": (LINE >> 1 / LINE, [0, 3, 9.5, 12, 25]),
    "a part that is singular after its end": ((1 / ls.Linear(1.0, 0.0, 20)).take(10) >> LINE, [0, 9.5, 10, 20, 25]),
    "a start and a rate that are large": (ls.Exponential(1e30, 1e30), [0, 0.5, 1, 2, 1e6]),
    "a root that ends at 0": (ls.Polynomial(1.0, 0.0, 10, 0.5), [0, 9.5, 10, 11]),
    "a root that starts at 0": (ls.OneMinusSqrt(1.0, 0.0, 10), [0, 0.5, 10]),
    "equal steps in a table of lines": (ls.Piecewise([0, 5, 5, 10], [1.0, 0.5, 2.0, 0.0], "linear"), [0, 2, 5, 7, 10, 11]),
    "cycles that turn round": (LINE.repeat(scale=-1.0), [0, 5, 10, 15, 20, 25]),
    "cycles that grow without end": (LINE.repeat(stretch=3.0, scale=3.0), [0, 10, 15, 40, 2.0**31 - 1]),
    "cycles that shrink to nothing": (LINE.repeat(50, stretch=0.5), [0, 10, 15, 19.99, 20, 30]),
    "bounds that are met": (LINE.clip(0.0, 1.0), [0, 5, 10, 11]),
    "boundaries at 0": (ls.join([LINE, LINE, 1 / LINE], [0, 0]), [1, 5]),
    "a time below 0": (ls.OneMinusSqrt(1.0, 0.0, 10) @ (ls.Time() - 5), [0, 5, 6, 20]),
    "a tiny timescale": (ls.InverseSqrt(1.0, 1e-30), [0, 1e-3, 1, 1000]),
    "tiny stairs": (ls.Linear(0.0, 1.0, 10).staircase(1e-30), [0, 1, 10]),
    "a tiny length": (ls.Linear(0.0, 1.0, 1e-30), [0, 1e-31, 1]),
    "a quotient of tiny values": (ls.Linear(1e-25, 2e-25, 10) / ls.Linear(1e-22, 3e-22, 10), [0, 5, 10]),
    "a root of what goes below 0": ((LINE - 0.5) ** 0.5, [0, 5, 10]),
    "powers by 0 and by 1": (LINE**LINE, [0, 5, 10]),
    "a quotient that is too large": (ls.Linear(1e30, 2e30, 10) / ls.Linear(1e-30, 3e-30, 10), [0, 5, 10]),
    "drops every next to no steps": (ls.Exponential(1.0, 0.5).stretch(1e-30).staircase(1e-30), [0, 1, 1e9]),
}


@pytest.mark.parametrize("name", HARD)
def test_gradients_are_finite_in_hard_cases(name):
    schedule, steps = HARD[name]
    rows = [Row(jax.tree.leaves(schedule), step) for step in steps]
    assert_finite(schedule, rows, *derivatives(schedule, rows))


@pytest.mark.parametrize("schedule", PARTLY_KNOWN, ids=repr)
def test_slopes_where_only_the_time_or_one_number_is_traced(schedule):
    leaves, tree = jax.tree.flatten(schedule)
    numbers = [i for i, x in enumerate(leaves) if not np.ndim(x)]

    def slope(leaf: int, x: Any) -> Any:
        value = lambda x, t: tree.unflatten([*leaves[:leaf], x, *leaves[leaf + 1 :]])(t)  # noqa: E731
        return jax.vmap(jax.grad(value), in_axes=(None, 0))(x, SMOOTH_STEPS)

    by_time, by_number = jax.jit(
        lambda given: (jax.vmap(jax.grad(schedule))(SMOOTH_STEPS), [slope(i, x) for i, x in zip(numbers, given, strict=True)])
    )([leaves[i] for i in numbers])
    with x64():
        wanted = [differences(lambda k: schedule(SMOOTH_STEPS + k)), *(differences_by_number(schedule, i, ()) for i in numbers)]
    for found, (difference, smooth) in zip([by_time, *by_number], wanted, strict=True):
        assert np.sum(smooth) >= 7
        np.testing.assert_allclose(found[smooth], difference[smooth], rtol=1e-3, atol=1e-5)
