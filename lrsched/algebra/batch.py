"""Many schedules at once: a batch is a schedule whose numbers have one more axis, which `jax.vmap` maps over."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.combinators import Choice
from lrsched.algebra.foreign import explained
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected


@explained
def stack(schedules: Sequence[ScheduleLike]) -> Schedule:
    """A batch of schedules: those of one structure are stacked, and several structures become a `Choice`.

    Args:
        schedules: n >= 1 schedules, numbers or functions of the step, of any structures, or batches of one shape.

    Returns:
        One schedule of batch shape (n, ...). `jax.vmap` maps over it, and a call gives shape (n, ...) + step shape. Make an
        optimizer inside `jax.vmap`: optax would treat the batch as one schedule.

    >>> import lrsched as ls
    >>> s = ls.stack([ls.Linear(0.0, 1.0, 10), ls.Linear(0.0, 2.0, 10), ls.Exponential(1.0, 0.5)])
    >>> print(s(5))
    [0.5     1.      0.03125]
    """
    if not isinstance(schedules, Iterable):
        raise TypeError(unexpected("stack", "schedules", schedules, "a list of schedules"))
    several = [as_schedule("stack", "schedules", one) for one in schedules]
    if len({one.batch_shape for one in several}) != 1:
        found = ", ".join(str(one.batch_shape) for one in several) or "none"
        raise ValueError(f"stack(...): expected at least one schedule, all of one batch shape, got batch shapes: {found}.")
    batch = several[0].batch_shape
    keys = [_structure(one, len(batch)) for one in several]
    structures = dict(zip(reversed(keys), reversed(several), strict=True))  # each structure with its first schedule
    order = list(dict.fromkeys(keys))
    if len(order) == 1:
        return _stacked(several)
    # In the branch of one structure, the members of other structures get the numbers of a member that has it.
    branches = tuple(
        _stacked([schedule if key == wanted else structures[wanted] for key, schedule in zip(keys, several, strict=True)])
        for wanted in order
    )
    index = np.asarray([order.index(key) for key in keys], np.float64).reshape(-1, *[1] * len(batch))
    return Choice(branches, np.broadcast_to(index, (len(several), *batch)))


def _structure(schedule: Schedule, batch_rank: int) -> tuple[Hashable, ...]:
    """What stacked schedules have in common: the tree, and the sizes of its tables."""
    return jax.tree.structure(schedule), *(np.shape(leaf)[batch_rank:] for leaf in jax.tree.leaves(schedule))


def _stacked(schedules: Sequence[Schedule]) -> Schedule:
    def stacked(*leaves: Number) -> np.ndarray | jax.Array:
        if any(isinstance(leaf, jax.Array) for leaf in leaves):
            return jnp.stack([numerics.to_float(leaf) for leaf in leaves])
        return np.stack([np.asarray(leaf, np.float64) for leaf in leaves])

    return jax.tree.map(stacked, *schedules)


def member(batch: Schedule, i: SupportsIndex | slice) -> Schedule:
    """Member i of a batch along its first axis, or the batch of a slice."""
    if not batch.batch_shape:
        problem = "a single schedule cannot be indexed or iterated"
        raise TypeError(f"{problem}: expected a batch of schedules, such as grid(...) makes, got {shown(batch)}.")
    size = batch.batch_shape[0]
    if isinstance(i, slice):
        if not range(size)[i]:
            raise IndexError(f"batch[{shown(i)}]: expected at least one schedule of the {size}, got none.")
        return jax.tree.map(lambda leaf: leaf[i], batch)
    if isinstance(i, (bool, np.bool_)) or not hasattr(i, "__index__") or not numerics.is_concrete(i) or np.ndim(i):
        hint = "of several: stack([batch[i] for i in ...]); at a traced index: jax.tree.map(lambda x: x[i], batch)"
        raise TypeError(f"batch[{shown(i)}]: expected a whole number or a slice. Hint: {hint}.")
    if not -size <= operator.index(i) < size:
        raise IndexError(f"batch[{i}]: expected an index below {size}, the number of schedules.")
    one = jax.tree.map(lambda leaf: numerics.given(leaf[i]), batch)
    if isinstance(one, Choice) and isinstance(one.index, float):
        return one.branches[int(one._chosen())]
    return one


@explained
def grid(function: Callable[..., Schedule], /, **arguments: Any) -> tuple[Schedule, dict[str, np.ndarray]]:
    """A batch of schedules over the Cartesian product of the list arguments.

    Args:
        function: makes one schedule from keyword arguments.
        arguments: a list, a tuple, a range or an array of rank 1 is an axis of the grid; anything else is the same for all.
            For an argument that is itself a list, such as milestones, pass a list of lists.

    Returns:
        The batch of shape (n,), to be indexed, sliced and iterated like a list of schedules; the last axis moves fastest.
        And the points: for each axis the array of its n values (of objects, if they are lists of different lengths).

    >>> import lrsched as ls
    >>> s, points = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=[0, 10], steps=100)
    >>> print(s(0), points["peak"], points["warmup_steps"])
    [0.1 0.  0.2 0. ] [0.1 0.1 0.2 0.2] [ 0 10  0 10]
    """
    if isinstance(function, Schedule) or not callable(function):
        hint = "grid(Cosine, start=[0.1, 0.2], end=0.0, steps=100)"
        raise TypeError(unexpected("grid", "function", function, "a function that makes a schedule", hint))
    several = (list, tuple, range)
    axes = {name: list(x) for name, x in arguments.items() if isinstance(x, several) or getattr(x, "ndim", 0) == 1}
    if not axes or not all(axes.values()):
        raise ValueError(
            f"grid(...): expected at least one argument that is a list, and none that is empty, got {shown(arguments)}."
        )
    points = list(itertools.product(*axes.values()))
    schedules = []
    for point in points:
        values = dict(zip(axes, point, strict=True))
        try:
            schedule = function(**(arguments | values))
        except (TypeError, ValueError) as error:
            error.add_note(f"in grid(...) at {values}; an argument that is itself a list goes into a list of lists")
            raise
        if isinstance(schedule, Schedule) and schedule.batch_shape:
            raise ValueError(
                f"grid(...): expected one schedule at {shown(values)}, got a batch of shape {schedule.batch_shape}."
                " Hint: an axis is a list, a tuple, a range or an array of rank 1."
            )
        schedules.append(schedule)
    return stack(schedules), {name: _column([point[i] for point in points]) for i, name in enumerate(axes)}


def _column(values: list[Any]) -> np.ndarray:
    """The values as an array; an object array, which NumPy fills without looking into them, if their shapes differ."""
    if len({*map(np.shape, values)}) == 1:
        return np.asarray(values)
    column = np.empty(len(values), object)
    column[:] = values
    return column
