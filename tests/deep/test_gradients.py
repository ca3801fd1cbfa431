"""Gradients: equal to central differences away from kinks, and finite everywhere."""

import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import nested
import numpy as np
import pytest
from helpers import x64
from hypothesis import given, settings
from signatures import CALLS, FEW, Call, boundaries, pure, specs, structure

import lrsched as ls
from lrsched.algebra.schedule import Schedule

# Steps that are exact in float32 and lie on no boundary of the examples; no step of an example comes near them.
SMOOTH_STEPS = np.array([0.40625, 3.59375, 6.40625, 9.28125, 13.84375, 18.59375, 27.71875, 37.15625, 57.90625])
ROWS = 400  # as many in every call, since without jit what takes time is how many different shapes there are


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
    """Central differences of values by a number, and where they mean something: both sides agree, so that it is no kink."""
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


class Comparison:
    """How many derivatives were compared with differences, how many steps were at kinks, and what was wrong."""

    def __init__(self) -> None:
        self.compared, self.kinks, self.complaints = 0, 0, []

    def compare(self, about: Any, schedule: Schedule, by_leaf: list[np.ndarray], by_step: np.ndarray) -> None:
        """The derivatives of a schedule, of which the first rows are at the smooth steps."""
        with x64():
            self._compare(f"{about}: {schedule} by the step", by_step, *differences(lambda k: schedule(SMOOTH_STEPS + k)))
            finite = [np.all(np.isfinite(x)) for x in jax.tree.leaves(schedule)]  # but for the length of what lasts for ever
            for leaf, found in enumerate(by_leaf):
                for entry in np.ndindex(found.shape[1:]) if finite[leaf] else ():
                    wanted = differences_by_number(schedule, leaf, entry)
                    self._compare(f"{about}: {schedule} by leaf {leaf}{list(entry)}", found[(slice(None), *entry)], *wanted)

    def _compare(self, about: str, found: np.ndarray, wanted: np.ndarray, smooth: np.ndarray) -> None:
        found = found[: len(SMOOTH_STEPS)]
        close = np.abs(found - wanted) <= 1e-3 * np.abs(wanted) + 1e-6 * max(1.0, np.max(np.abs(wanted)))
        self.compared += int(np.sum(smooth))
        self.kinks += int(np.sum(~smooth))
        for i in np.flatnonzero(smooth & ~close):
            self.complaints.append(f"{about} at {SMOOTH_STEPS[i]}: {found[i]}, not {wanted[i]}")


@functools.cache
def structures() -> list[tuple[Call, Schedule]]:
    """A schedule of each structure that the walk finds."""
    made = ((call, pure(call.make())) for call in reversed(CALLS))
    return list({structure(schedule): (call, schedule) for call, schedule in made}.values())[::-1]


def smooth_rows(schedule: Schedule) -> list[Row]:
    return [Row(jax.tree.leaves(schedule), step) for step in SMOOTH_STEPS]


def edge_rows(schedule: Schedule) -> Iterator[Row]:
    """At the start, at every boundary and past the end, also with each and with all numbers 0 that may be."""
    leaves = jax.tree.leaves(schedule)
    may_be_0 = [i for i, spec in enumerate(specs(schedule)) if spec.holds(np.zeros(np.shape(leaves[i])))]
    counts = [i for i in may_be_0 if specs(schedule)[i].unit]
    steps = [0.0, *boundaries(schedule)[:10], 1000.0, 2.0**31 - 1]
    for zeros in [(), *((i,) for i in may_be_0), counts, may_be_0]:
        changed = [np.zeros(np.shape(x)) if i in zeros else x for i, x in enumerate(leaves)]
        yield from (Row(changed, step) for step in steps)


def infinite(about: Any, schedule: Schedule, rows: list[Row], by_leaf: list[np.ndarray], by_step: np.ndarray) -> list[str]:
    """Complaints about derivatives that are not finite."""
    complaints = []
    for name, found in [*((f"leaf {i}", x) for i, x in enumerate(by_leaf)), ("step", by_step)]:
        for i in np.flatnonzero(~np.all(np.isfinite(found.reshape(len(rows), -1)), axis=1)):
            at = jax.tree.unflatten(jax.tree.structure(schedule), rows[i].leaves)
            complaints.append(f"{about}: of {at!r} at {rows[i].step} by {name}: {found[i]}")
    return complaints


def check(found: list[tuple[Call, Schedule]]) -> int:
    """How many derivatives there are, all of them right and finite."""
    comparison, complaints = Comparison(), []
    for call, schedule in found:
        rows = [*smooth_rows(schedule), *edge_rows(schedule)]
        by_leaf, by_step = derivatives(schedule, rows)
        complaints += infinite(call, schedule, rows, by_leaf, by_step)
        comparison.compare(call, schedule, by_leaf, by_step)
    complaints += comparison.complaints
    assert comparison.kinks == 0
    assert not complaints, "\n".join(complaints)
    return comparison.compared


def test_gradients_of_every_call_are_right_and_finite(record_property):
    count = check(structures())
    record_property("shown", f"{count} derivatives of {len(structures())} structures of schedules")
    assert len(structures()) >= 60
    assert count >= 4000


def test_gradients_of_every_node_are_right_and_finite_in_float64():
    with x64():
        count = check([(call, pure(call.make())) for call in FEW])
    assert count >= 1500


@settings(max_examples=6)
@given(nested.schedules)
def test_gradients_of_nested_schedules_are_right_and_finite(schedule):
    comparison = Comparison()
    rows = [
        *smooth_rows(schedule),
        *(Row(jax.tree.leaves(schedule), step) for step in (0.0, *boundaries(schedule)[:30], 2.0**31 - 1)),
    ]
    with x64():
        by_leaf, by_step = derivatives(schedule, rows)
        comparison.compare("nested", schedule, by_leaf, by_step)
    assert comparison.kinks <= comparison.compared / 4
    complaints = [*infinite("nested", schedule, rows, by_leaf, by_step), *comparison.complaints]
    assert not complaints, "\n".join(complaints)


LINE = ls.Linear(0.0, 1.0, 10)
HARD = {
    "a part that is singular before its own start": (LINE >> 1 / LINE, [0, 3, 9.5, 12, 25]),
    "a part that is singular after its end": ((1 / ls.Linear(1.0, 0.0, 20)).take(10) >> LINE, [0, 9.5, 10, 20, 25]),
    "a rate of 0": (ls.Exponential(1.0, 0.0), [0, 0.5, 1, 1.5, 2, 100]),
    "a rate of 0, from 0": (ls.Exponential(0.0, 0.0).stretch(3), [0, 0.5, 1, 3, 4.5, 6, 100]),
    "a start and a rate that are large": (ls.Exponential(1e30, 1e30), [0, 0.5, 1, 2, 1e6]),
    "a root that ends at 0": (ls.Polynomial(1.0, 0.0, 10, 0.5), [0, 9.5, 10, 11]),
    "a root of no length": (ls.Polynomial(1.0, 0.0, 0, 0.5), [0, 1]),
    "a root that starts at 0": (ls.OneMinusSqrt(1.0, 0.0, 10), [0, 0.5, 10]),
    "a root of no length that starts at 0": (ls.OneMinusSqrt(1.0, 0.0, 0), [0, 1]),
    "a straight line of no length on a log scale": (ls.Geometric(1.0, 0.1, 0), [0, 1]),
    "equal steps in a table": (ls.Piecewise([0, 5, 5, 10], [1.0, 0.5, 2.0, 0.0]), [0, 2, 5, 7, 10, 11]),
    "equal steps in a table of lines": (ls.Piecewise([0, 5, 5, 10], [1.0, 0.5, 2.0, 0.0], "linear"), [0, 2, 5, 7, 10, 11]),
    "equal steps in a table of waves": (ls.Piecewise([5, 5, 5], [1.0, 0.5, 2.0], "cosine"), [0, 2, 5, 7]),
    "cycles of no height": (LINE.repeat(scale=0.0), [0, 5, 10, 15, 20, 25]),
    "three cycles of no height": (LINE.repeat(3, stretch=1.5, scale=0.0), [0, 5, 10, 15, 25, 60, 100]),
    "cycles that turn round": (LINE.repeat(scale=-1.0), [0, 5, 10, 15, 20, 25]),
    "cycles that grow without end": (LINE.repeat(stretch=3.0, scale=3.0), [0, 10, 15, 40, 2.0**31 - 1]),
    "cycles that shrink to nothing": (LINE.repeat(50, stretch=0.5), [0, 10, 15, 19.99, 20, 30]),
    "bounds that are met": (LINE.clip(0.0, 1.0), [0, 5, 10, 11]),
    "bounds that are equal": (LINE.clip(0.5, 0.5), [0, 5, 10]),
    "equal schedules": (ls.minimum(LINE, LINE), [0, 5, 10, 11]),
    "parts without length": (ls.Linear(0.0, 1.0, 0) >> ls.Cosine(1.0, 0.5, 0) >> ls.OneMinusSqrt(1.0, 0.5, 0), [0, 1]),
    "boundaries at 0": (ls.join([LINE, LINE, 1 / LINE], [0, 0]), [1, 5]),
    "a reverse without length": (ls.Linear(0.0, 1.0, 0).reverse(), [0, 1]),
    "a time that stands still": (LINE @ (ls.Time() * 0.0), [0, 1, 10]),
    "a time below 0": (ls.OneMinusSqrt(1.0, 0.0, 10) @ (ls.Time() - 5), [0, 5, 6, 20]),
    "a timescale of next to nothing": (ls.InverseSqrt(1.0, 1e-30), [0, 1e-3, 1, 1000]),
    "stairs of next to nothing": (ls.Linear(0.0, 1.0, 10).staircase(1e-30), [0, 1, 10]),
    "a line of next to nothing": (ls.Linear(0.0, 1.0, 1e-30), [0, 1e-31, 1]),
    "a quotient of what is next to nothing": (ls.Linear(1e-25, 2e-25, 10) / ls.Linear(1e-22, 3e-22, 10), [0, 5, 10]),
    "a quotient that is too large": (ls.Linear(1e30, 2e30, 10) / ls.Linear(1e-30, 3e-30, 10), [0, 5, 10]),
    "drops every next to no steps": (ls.Exponential(1.0, 0.5).stretch(1e-30).staircase(1e-30), [0, 1, 1e9]),
}


@pytest.mark.parametrize("name", HARD)
def test_gradients_are_finite_in_hard_cases(name):
    schedule, steps = HARD[name]
    rows = [Row(jax.tree.leaves(schedule), step) for step in steps]
    complaints = infinite(name, schedule, rows, *derivatives(schedule, rows))
    with x64():
        complaints += infinite(name, schedule, rows, *derivatives(schedule, rows))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("length", [-1.0, 0.0])
def test_gradients_by_a_length_that_is_none_are_finite(length):
    for make in (lambda n: ls.step_decay(1.0, n, 0.5), LINE.staircase, lambda n: ls.Linear(0.0, 1.0, n).repeat()):
        assert all(np.isfinite(jax.grad(lambda n, t, make=make: make(n)(t))(length, t)) for t in (0.0, 3.0, 1e9))


def test_what_grows_too_large_on_its_way_has_a_value_and_a_slope():
    """Where a power is more than a float32 and the product with it is not."""
    np.testing.assert_allclose(jax.jit(ls.Exponential(1e-30, 1e30))(1.5), 1e15, rtol=1e-5)
    cycles = jax.jit(lambda scale: ls.Constant(1e-20, 1).repeat(scale=scale)(12))
    np.testing.assert_allclose([cycles(1e4), jax.grad(cycles)(1e4)], [1e28, 1.2e25], rtol=1e-5)
    np.testing.assert_allclose(jax.grad(lambda scale: ls.Constant(1.0, 2).repeat(scale=scale)(2))(0.0), 1.0)
    for s in (ls.Exponential(1.0, 10.0), LINE.repeat(scale=10.0), ls.Linear(0.0, 1e38, 10) * 9.0):
        value, slope = jax.jvp(lambda t, s=s: s(t), (999.0,), (1.0,))
        assert value == np.finfo(np.float32).max
        assert slope == 0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("start", "stop"), [(1.0, 1e-5), (1e-5, 1.0), (-2.0, -3.0)])
def test_a_line_on_a_log_scale_has_a_slope_at_its_start(start, stop, known):
    s = ls.Geometric(start, stop, 100)
    slope = jax.grad(lambda t: s(t))(0.0) if known else jax.grad(lambda s, t: s(t), argnums=1)(s, 0.0)
    np.testing.assert_allclose(slope, start * np.log(stop / start) / 100, rtol=1e-5)


def slopes(schedule: Schedule) -> Iterator[tuple[str, Any, np.ndarray, np.ndarray]]:
    """The slopes where only the time is traced, and where only one of the numbers is; the differences, where they hold."""
    yield "time", jax.jit(jax.vmap(jax.grad(schedule)))(SMOOTH_STEPS), *differences(lambda k: schedule(SMOOTH_STEPS + k))
    leaves, tree = jax.tree.flatten(schedule)
    for leaf, number in enumerate(leaves):
        if not np.ndim(number):

            def value(x: Any, t: Any, leaf: int = leaf) -> Any:
                return tree.unflatten([*leaves[:leaf], x, *leaves[leaf + 1 :]])(t)

            found = jax.jit(jax.vmap(jax.grad(value), in_axes=(None, 0)))(number, SMOOTH_STEPS)
            yield f"leaf {leaf}", found, *differences_by_number(schedule, leaf, ())


PARTLY_KNOWN = [
    ls.Exponential(2.0, 0.9),
    ls.Geometric(1.0, 0.1, 50),
    ls.Geometric(0.1, 1.0, 50).reverse(),
    ls.Polynomial(1.0, 0.1, 60, 2.5),
    ls.InverseSqrt(1.0, 7),
    (ls.Cosine(1.0, 0.0, 11.5) >> ls.Linear(0.0, 1.0, 30)).stretch(1.3),
    ls.Cosine(1.0, 0.0, 4.7).repeat(stretch=2.0, scale=0.5),
    ls.triangular(0.1, 1.0, 5.3, mode="triangular2"),
    ls.Linear(0.0, 1.0, 10) @ (ls.Exponential(10.0, 0.9) / (1 + ls.Time())),
]


@pytest.mark.parametrize("schedule", PARTLY_KNOWN, ids=repr)
def test_slopes_where_some_numbers_are_known(schedule):
    with x64():
        wanted = [(name, difference, smooth) for name, _, difference, smooth in slopes(schedule)]
    found = [slope for _, slope, *_ in slopes(schedule)]
    for (name, difference, smooth), slope in zip(wanted, found, strict=True):
        assert np.sum(smooth) >= 7, name
        np.testing.assert_allclose(slope[smooth], difference[smooth], rtol=1e-3, atol=1e-5, err_msg=name)


def test_no_gradient_is_stopped():
    sources = list(pathlib.Path(ls.__file__).parent.rglob("*.py"))
    assert len(sources) > 10
    assert not [source for source in sources if "stop_gradient" in source.read_text()]
