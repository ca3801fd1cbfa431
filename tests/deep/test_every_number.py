"""Every number of every public call: mapped over, and taken to its extremes."""

import functools
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from signatures import CALLS, FEW, METRIC, SEVERAL, STEPS, Call, accepts, arguments, boundaries, pure, several, structure

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.combinators import driven_parts
from lrsched.algebra.schedule import Schedule

observed = jax.jit(jax.vmap(lambda schedule: ls.clocks.replay(schedule, METRIC)))  # of driven schedules
SIZES = [1e-300, 1e-45, 1e-30, 1e-9, 0.1, 1 / 3, 1, 1.5, 2, 2.5, 3, 7, 2**24 + 1, 2**31 - 1, 2**31, 1e12, 1e30, 1.7e38]
POOL = [0.0, *SIZES, *(-x for x in SIZES)]
NUMBER = 20  # of cases of each call


def mapped(call: Call, name: str, numbers: Any) -> tuple[Any, Any]:
    """The values and the lengths of a call that is mapped over one of its numbers."""
    if driven_parts(call.make()):
        batch = jax.vmap(lambda x: call.make(**{name: x}))(numbers)
        return observed(jax.tree.map(jnp.float32, batch)), np.broadcast_to(batch.length, (SEVERAL,))

    def value_and_length(x: Any, step: Any) -> tuple[Any, Any]:
        schedule = call.make(**{name: x})
        return schedule(step), numerics.to_float(schedule.length)

    # Over pairs of a number and a step: without jit each new shape takes time.
    shape = len(numbers), len(STEPS)
    pairs = jnp.repeat(numbers, shape[1], axis=0), jnp.tile(STEPS, shape[0])
    found, lengths = jax.vmap(value_and_length)(*pairs)
    return found.reshape(shape), lengths.reshape(shape)[:, 0]


def test_mapping_over_every_number_is_a_loop():
    """`vmap` around the call gives the values of a loop, and an array in place of a number makes a batch."""
    for call, name in {(call.label, name): (call, name) for call, name in arguments()}.values():
        numbers = several(call, name)
        made = [call.make(**{name: x.tolist()}) for x in numbers]
        assert call.name == "Choice" or list(call.make(**{name: numbers})) == made, f"{call} with an array for {name}"
        values = observed(stacked(made)) if driven_parts(made[0]) else np.stack([s(STEPS) for s in made])
        wanted = np.asarray(values), np.asarray([s.length for s in made], np.float32)
        assert any(len({row.tobytes() for row in column}) > 1 for column in wanted), f"{call}: nothing depends on {name}"
        for x, y in zip(mapped(call, name, jnp.asarray(numbers, jnp.float32)), wanted, strict=True):
            size = float(np.max(np.abs(y), initial=0.0, where=np.isfinite(y)))
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6 * size, err_msg=f"{call} over {name}")


@functools.cache
def extreme_schedules() -> list[Schedule]:
    """Schedules of random numbers of all sizes, `NUMBER` for each call, without divisions by 0."""
    found = []
    for call in CALLS:
        random, count = np.random.default_rng(zlib.crc32(str(call).encode())), 0
        while call.numbers and count < NUMBER:
            numbers = {name: drawn(random, example) for name, example in call.numbers.items()}
            if accepts(call, **numbers) and not (call.name == "/" and abs(numbers.get("other", 1.0)) < 1e-30):
                found.append(pure(call.make(**numbers)))
                count += 1
    return found


def drawn(random: np.random.Generator, example: Any) -> Any:
    if isinstance(example, list):
        numbers = random.choice(POOL, size=len(example)).tolist()
        return sorted(numbers) if random.random() < 0.7 else numbers
    return example if random.random() < 0.4 else float(random.choice(POOL))


def steps_of_interest(schedule: Schedule) -> np.ndarray:
    """The first steps, late ones, and those at and around the boundaries."""
    around = [x for b in boundaries(schedule) for x in (b, np.nextafter(b, 0), b - 1, b + 1, np.floor(b), np.ceil(b))]
    return np.array([0, 1, 2, 7, 10**6, 2**31 - 1, *(x for x in around if 0 <= x < 2**31)])


def whole_steps(schedule: Schedule) -> np.ndarray:
    """`len(STEPS)` whole steps of interest."""
    steps = np.unique(steps_of_interest(schedule).astype(np.int64))
    return np.resize(np.concatenate([steps[:14], steps[-6:]]), len(STEPS)).astype(np.int32)


def assert_possible(schedule: Schedule, values: Any, steps: Any) -> None:
    """No NaN, no infinity, no negative zero."""
    values = np.asarray(values)
    wrong = ~np.isfinite(values) | ((values == 0) & np.signbit(values))
    assert not wrong.any(), (schedule, steps[wrong], values[wrong])


def test_extreme_numbers_give_finite_values():
    for schedule in extreme_schedules():
        steps = steps_of_interest(schedule)
        values = schedule(steps)
        assert_possible(schedule, values, steps)
        np.testing.assert_array_equal([schedule(step) for step in (0, 7, 2**31 - 1)], np.asarray(values)[[0, 3, 5]])


@jax.jit
def called_each(schedules: Any, steps: Any) -> Any:
    """The values of many batches of schedules, each schedule at steps of its own; all in one program, to compile faster."""
    return [jax.vmap(lambda schedule, at: schedule(at))(*one) for one in zip(schedules, steps, strict=True)]


def stacked(schedules: list[Schedule]) -> Any:
    """Schedules of one structure as one batch, as a jitted function receives it."""
    with np.errstate(over="ignore", under="ignore"):
        return jax.tree.map(lambda *x: np.stack([np.asarray(y, np.float32) for y in x]), *schedules)


def test_extreme_numbers_that_are_traced_give_finite_values():
    by_structure: dict[Any, list[Schedule]] = {structure(pure(call.make())): [] for call in FEW}
    for schedule in extreme_schedules():
        by_structure.get(structure(schedule), []).append(schedule)
    groups = [group for group in by_structure.values() if group]
    steps = [np.stack([whole_steps(s) for s in group]) for group in groups]
    for group, values, at in zip(groups, called_each(list(map(stacked, groups)), steps), steps, strict=True):
        for schedule, x, t in zip(group, np.asarray(values), at, strict=True):
            assert_possible(schedule, x, t)
