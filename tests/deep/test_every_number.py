"""Every number of every public call: mapped over, given badly, and taken to its extremes."""

import contextlib
import functools
import math
import sys
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import x64
from signatures import (
    CALLS,
    METRIC,
    POINTS,
    SEVERAL,
    STEPS,
    Call,
    accepts,
    arguments,
    boundaries,
    nodes,
    pure,
    several,
    structure,
)

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.driven import driven_parts
from lrsched.algebra.node import Node
from lrsched.algebra.schedule import Schedule

# At least so many there are, or the walk has lost its way.
CALLS_FOUND = 80
NUMBERS_FOUND = 100  # each number of each call once, whatever else is given
NUMBERS_OF_CALLS_FOUND = 150
BAD_INPUTS_FOUND = 1000
CALLS_WITH_NUMBERS_FOUND = 50


def test_the_walk_finds_what_there_is(record_property):
    every = [(call.label, name) for call, name in arguments()]
    record_property("shown", f"the walk covers {len(set(every))} numbers, in {len(every)} ways, of {len(CALLS)} calls")
    assert len(CALLS) >= CALLS_FOUND
    assert len(set(every)) >= NUMBERS_FOUND
    assert len(every) >= NUMBERS_OF_CALLS_FOUND


def test_the_walk_reaches_every_class_of_nodes():
    reached = {type(node) for call in CALLS for node in nodes(call.make())}
    assert reached == {cls for cls in subclasses(Node) if not subclasses(cls)}


def subclasses(cls: type) -> list[type]:
    """The classes of the algebra below a class; those of a dialect have tests of their own."""
    ours = [one for one in cls.__subclasses__() if vars(sys.modules[one.__module__]).get(one.__name__) is one]
    ours = [one for one in ours if one.__module__.startswith("lrsched.") and "dialects" not in one.__module__]
    return [found for one in ours for found in (one, *subclasses(one))]


# Of the largest value, what a few roundings in float32 lose; and of each value, what the power of a thousand steps loses.
SOME_ULPS = 1e-6
FAR = 2e-5


def differing(found: Any, wanted: Any) -> str:
    """Where two arrays differ by more than rounding, in words; nothing if they do not."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    size = np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted))
    with np.errstate(invalid="ignore"):
        far = (found != wanted) & ~(np.abs(found - wanted) <= SOME_ULPS * size + FAR * np.abs(wanted))
    where = tuple(np.argwhere(far)[0]) if far.any() else None
    return "" if where is None else f"{found[where]!r} instead of {wanted[where]!r} at {list(map(int, where))}"


def observed(schedule: Any) -> Any:
    """The values of a driven schedule over a run with a recorded metric."""

    def update(state: Any, metric: Any) -> Any:
        return ls.tick(schedule, state, value=metric), ls.evaluate(schedule, state)

    return jax.lax.scan(update, ls.init(schedule), METRIC)[1]


observed_each = jax.jit(jax.vmap(observed))


def seen(schedule: Any) -> tuple[Any, Any]:
    """All that can be seen of a schedule: its values and its length."""
    values = schedule(STEPS) if not driven_parts(schedule) else observed_each(repeated(arrays(schedule), SEVERAL))[0]
    return values, jnp.asarray(schedule.length, jnp.float32)


def repeated(tree: Any, times: int) -> Any:
    """Every array that often along a new first axis; here so that one compiled program does for one and for several."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (times, *x.shape)), tree)


def test_mapping_over_every_number_is_a_loop():
    complaints = []
    for call, name in arguments():
        numbers = several(call, name)
        loop = [seen(call.make(**{name: x.tolist()})) for x in numbers]
        wanted = [np.stack(column) for column in zip(*loop, strict=True)]
        if all(len({row.tobytes() for row in column}) == 1 for column in wanted):
            complaints.append(f"{call}: nothing depends on {name}")
        mapped = seen_mapped(call, name, jnp.asarray(numbers, jnp.float32))
        batch = seen_of_batch(call.make(**{name: numbers}))
        for way, found in (("mapped", mapped), ("in a batch", batch)):
            for what, x, y in zip(("value", "length"), found, wanted, strict=True):
                if difference := differing(x, y):
                    complaints.append(f"{call} {way} over {name}: a {what} is {difference}")
    assert not complaints, "\n".join(complaints)


def seen_mapped(call: Call, name: str, numbers: Any) -> tuple[Any, Any]:
    if driven_parts(call.make()):
        return seen_of_batch(jax.vmap(lambda x: call.make(**{name: x}))(numbers))

    def value_and_length(x: Any, step: Any) -> tuple[Any, Any]:
        schedule = call.make(**{name: x})
        return schedule(step), numerics.to_float(schedule.length)

    # Over pairs of a number and a step, since without jit what takes time is how many different shapes there are.
    shape = len(numbers), len(STEPS)
    pairs = jnp.repeat(numbers, shape[1], axis=0), jnp.tile(STEPS, shape[0])
    found, lengths = jax.vmap(value_and_length)(*pairs)
    return found.reshape(shape), lengths.reshape(shape)[:, 0]


def seen_of_batch(batch: Any) -> tuple[Any, Any]:
    assert batch.batch_shape == (SEVERAL,)
    values = observed_each(arrays(batch)) if driven_parts(batch) else batch(STEPS)
    return values, np.broadcast_to(np.asarray(batch.length, np.float32), (SEVERAL,))


BAD = (math.nan, math.inf, -math.inf, "a", None, True, 1j)
MAY_BE_INFINITE = {("Constant", "steps")}


def test_every_bad_number_is_refused_by_name(record_property):
    complaints, count = [], 0
    for call, name in arguments():
        for bad in BAD:
            if (bad is None and name in call.may_be_none) or (bad == math.inf and (call.name, name) in MAY_BE_INFINITE):
                continue
            for given in (bad, *([[POINTS[0], bad, POINTS[2]]] if isinstance(call.numbers[name], list) else [])):
                count += 1
                if complaint := accepted_or_unclear(call, name, given, bad):
                    complaints.append(f"{call} with {name}={given!r}: {complaint}")
    record_property("shown", f"{count} bad inputs are refused")
    assert count >= BAD_INPUTS_FOUND
    assert not complaints, "\n".join(complaints)


def accepted_or_unclear(call: Call, name: str, given: Any, bad: Any) -> str:
    """What is wrong with how a bad input is refused."""
    is_operator = call.label.startswith("__")
    try:
        made = call.make(**{name: given})
    except (TypeError, ValueError) as error:
        if is_operator and isinstance(error, TypeError):
            return ""  # which is worded by Python itself
        words = [call.name, repr(bad), *([] if is_operator else [name.partition("[")[0]])]
        missing = [word for word in words if word not in str(error)]
        return f"{', '.join(missing)} is missing in {error}" if missing else ""
    return f"gave {made!r}"


def arrays(schedule: Any) -> Any:
    """The schedule with arrays of float32 for numbers, all of one type, so that none compiles anew."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), schedule)


class Case(NamedTuple):
    """A call with numbers that it takes, and what it makes of them."""

    call: Call
    numbers: dict[str, Any]
    schedule: Schedule

    def __str__(self) -> str:
        return f"{self.call} of {self.numbers}"


SIZES = [1e-300, 1e-45, 1e-30, 1e-9, 0.1, 1 / 3, 1, 1.5, 2, 2.5, 3, 7, 2**24 + 1, 2**31 - 1, 2**31, 1e12, 1e30]
SIZES_IN_FLOAT64 = [5e-324, 1e100, 1e200]


@functools.cache
def extreme_cases(precision: str, number: int) -> list[Case]:
    """Numbers drawn at random from all sizes, so many for each call that it takes them all."""
    sizes = [*SIZES, *(SIZES_IN_FLOAT64 if precision == "float64" else []), float(np.finfo(precision).max) / 2]
    pool = [0.0, *sizes, *(-x for x in sizes)]
    return [case for call in CALLS if call.numbers for case in _extreme_cases(call, pool, number)]


def _extreme_cases(call: Call, pool: list[float], number: int) -> list[Case]:
    random, cases = np.random.default_rng(zlib.crc32(str(call).encode())), []
    for _ in range(600 * number):
        numbers = {name: _drawn(random, pool, example) for name, example in call.numbers.items()}
        if accepts(call, **numbers):
            cases.append(Case(call, numbers, pure(call.make(**numbers))))
        if len(cases) == number:
            return cases
    raise AssertionError(f"{call} takes next to nothing")


def _drawn(random: np.random.Generator, pool: list[float], example: Any) -> Any:
    if isinstance(example, list):
        drawn = random.choice(pool, size=len(example)).tolist()
        return sorted(drawn) if random.random() < 0.7 else drawn
    return example if random.random() < 0.4 else float(random.choice(pool))


def steps_of_interest(schedule: Schedule) -> np.ndarray:
    """The first steps, late ones, and those at and around the boundaries."""
    around = [x for b in boundaries(schedule) for x in (b, np.nextafter(b, 0), b - 1, b + 1, np.floor(b), np.ceil(b))]
    return np.array([0, 1, 2, 7, 10**6, 2**31 - 1, *(x for x in around if 0 <= x < 2**31)])


def is_division_by_zero(case: Case) -> bool:
    return case.call.name == "/" and "other" in case.numbers and abs(case.numbers["other"]) < 1e-30


def impossible(values: Any) -> np.ndarray:
    """Which values there are not in mathematics: NaN, infinities and negative zeros."""
    return ~np.isfinite(values) | ((values == 0) & np.signbit(values))


@pytest.mark.parametrize(("precision", "number"), [("float32", 20), ("float64", 5)])
def test_extreme_numbers_give_finite_values(precision, number, record_property):
    with x64() if precision == "float64" else contextlib.nullcontext():
        cases = extreme_cases(precision, number)
        steps = [steps_of_interest(case.schedule) for case in cases]
        values = [np.asarray(case.schedule(at)) for case, at in zip(cases, steps, strict=True)]
        for case, found in zip(cases, values, strict=True):
            alone = [np.asarray(case.schedule(step)) for step in (0, 7, 2**31 - 1)]
            np.testing.assert_array_equal(np.stack(alone), found[[0, 3, 5]], err_msg=str(case))
    record_property("shown", f"{len(cases)} cases of extreme numbers in {precision}")
    assert len(cases) >= CALLS_WITH_NUMBERS_FOUND * number
    complaints = complaints_about(cases, values, steps)
    assert not complaints, "\n".join(complaints)


def by_structure(cases: list[Case]) -> dict[Any, list[Case]]:
    groups: dict[Any, list[Case]] = {}
    for case in cases:
        groups.setdefault(structure(case.schedule), []).append(case)
    return groups


def ordinary_cases() -> list[Case]:
    """Every call as it is, and every number in turn taken through a few values."""
    changes = [*((call, {}) for call in CALLS), *((call, {n: x.tolist()}) for call, n in arguments() for x in several(call, n))]
    return [Case(call, numbers, pure(call.make(**numbers))) for call, numbers in changes]


def whole_steps(schedule: Schedule) -> np.ndarray:
    """As many whole steps of interest as there are `STEPS`."""
    steps = np.unique(steps_of_interest(schedule).astype(np.int64))
    return np.resize(np.concatenate([steps[:14], steps[-6:]]), len(STEPS)).astype(np.int32)


def received(schedule: Any) -> Any:
    """The schedule of the numbers that a jitted function receives: float32 ones."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32).astype(np.float64)[()], schedule)


@jax.jit
def called_each(schedules: Any, steps: Any) -> Any:
    """The values of many batches of schedules, each schedule at steps of its own; all in one program, to compile faster."""
    return [jax.vmap(lambda schedule, at: schedule(at))(*one) for one in zip(schedules, steps, strict=True)]


def stacked(cases: list[Case]) -> Any:
    """The schedules of cases of one structure as one batch, as a jitted function receives it."""
    with np.errstate(over="ignore", under="ignore"):
        return jax.tree.map(lambda *x: np.stack([np.asarray(y, np.float32) for y in x]), *(case.schedule for case in cases))


def complaints_about(cases: list[Case], values: Any, steps: Any) -> list[str]:
    """Where the values of cases are not finite, or negative zeros."""
    found = zip(cases, values, steps, strict=True)
    wrong = ((case, x, at, impossible(x)) for case, x, at in found if not is_division_by_zero(case))
    return [f"{case}: {x[where][0]} at step {at[where][0]!r}" for case, x, at, where in wrong if where.any()]


def test_traced_numbers_give_the_same_values_and_finite_ones_at_extremes():
    """Schedules as arguments of a compiled function: some with ordinary numbers, some with extreme ones."""
    ordinary, extreme = by_structure(ordinary_cases()), by_structure(extreme_cases("float32", 20))
    assert set(extreme) <= set(ordinary)
    cases = [[*group, *extreme.get(key, [])] for key, group in ordinary.items()]
    steps = [
        np.stack([STEPS if i < len(group) else whole_steps(case.schedule) for i, case in enumerate(both)])
        for group, both in zip(ordinary.values(), cases, strict=True)
    ]
    values = [np.asarray(x) for x in called_each([stacked(both) for both in cases], steps)]
    complaints = [x for both in zip(cases, values, steps, strict=True) for x in complaints_about(*both)]
    for found, group in zip(values, ordinary.values(), strict=True):
        for case, x in zip(group, found, strict=False):
            if difference := differing(x, received(case.schedule)(STEPS)):
                complaints.append(f"{case}: a value is {difference}")
    assert not complaints, "\n".join(complaints)


def test_extreme_numbers_that_are_captured_give_finite_values():
    cases = [
        group[zlib.crc32(str(group[0]).encode()) % len(group)] for group in by_structure(extreme_cases("float32", 20)).values()
    ]
    steps = np.stack([whole_steps(case.schedule) for case in cases])
    captured = jax.jit(lambda steps: jnp.stack([case.schedule(at) for case, at in zip(cases, steps, strict=True)]))
    complaints = complaints_about(cases, np.asarray(captured(steps)), steps)
    assert not complaints, "\n".join(complaints)
