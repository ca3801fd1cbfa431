"""Readers and writers of optimizer states: rates, clocks and live schedules."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked_choice
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.observations import Observations, check_monitored, merged, monitored_by
from lrsched.clocks.running import ScheduleState, clocks_of, evaluate, tick_with
from lrsched.training.checkpoint import side_by_side
from lrsched.training.live import packed, unpacked
from lrsched.training.parts import AppliedState, Part, Path, Tree, by_path, meant, only, parts_of, placed_as, with_leaves
from lrsched.training.transform import Applied


@explained
def learning_rate(state: Tree, schedule: Schedule | None = None, *, at: str | None = None) -> jax.Array:
    """The learning rate that the last update used, found at any depth of an optimizer state.

    Args:
        state: an optimizer state, or a container of one: a flax `TrainState`, an `nnx.Optimizer` or its `nnx.state`, an
            equinox module, a dataclass or another object.
        schedule: the schedule, for a state that holds only a count of updates, such as that of `optax.adamw(schedule)`.
        at: which rate, if there are several: the label of a group (`"a"`, `"a/b"`), or consecutive keys of its path.

    Raises:
        ValueError: if there is no rate, or more than one (the error lists their paths).

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = ls.scheduled(optax.adamw)(ls.Linear(0.1, 0.0, 10))
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)), jnp.ones(3))
    >>> print(ls.learning_rate(state))
    0.1
    """
    return _used("learning_rate", _rate("learning_rate", state, schedule, at), schedule)


@explained
def learning_rates(state: Tree, schedules: Schedule | Mapping[str, Schedule] | None = None) -> dict[str, jax.Array]:
    """All learning rates that the last update used, by the labels of their groups, for a logger.

    Args:
        state: as in `learning_rate`.
        schedules: the schedules of groups that hold only a count: one for all of them, or a dict by label.

    Returns:
        A dict. The key of a rate without a group is "learning_rate"; rates with the same label have their paths as keys.
        A group with neither a rate nor a count, such as `optax.adam(1e-3)`, is left out.

    Raises:
        ValueError: if there is no rate, or a group holds only a count and its schedule is missing.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> groups = {"slow": ls.scale_by_learning_rate(0.25), "fast": ls.scheduled(optax.adamw)(0.5)}
    >>> state = optax.partition(groups, {"w": "slow", "b": "fast"}).init({"w": jnp.ones(3), "b": jnp.ones(3)})
    >>> print({label: float(rate) for label, rate in ls.learning_rates(state).items()})
    {'fast': 0.5, 'slow': 0.25}
    """
    parts = _rates("learning_rates", state)
    labels = [part.label or "learning_rate" for part in parts]
    found = {label if labels.count(label) == 1 else part.where: part for label, part in zip(labels, parts, strict=True)}
    by_label = schedules if isinstance(schedules, Mapping) else dict.fromkeys(found, schedules)
    if unknown := sorted(set(by_label) - set(found)):
        raise ValueError(f"learning_rates(schedules=...): expected labels among {', '.join(found)}, got {', '.join(unknown)}.")
    return {key: _used("learning_rates", part, by_label.get(key)) for key, part in sorted(found.items())}


@explained
def next_learning_rate(state: Tree, schedule: Schedule | None = None, *, at: str | None = None) -> jax.Array:
    """The learning rate that the next update will use, for example to report that an observation has reduced it.

    Args:
        state, at: as in `learning_rate`.
        schedule: the schedule, unless it is live.

    Raises:
        ValueError: if there is no rate, or more than one, or its schedule is missing.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 10), live=True)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> print(ls.learning_rate(state), ls.next_learning_rate(state))
    0.1 0.09
    """
    part = _rate("next_learning_rate", state, schedule, at)
    if not part.applied:
        return jnp.asarray(_used("next_learning_rate", part, schedule, 0))
    present, now = _present("next_learning_rate", part, schedule)
    call = evaluate
    for _ in np.shape(now.step):  # a batch of states
        call = jax.vmap(call, in_axes=(0 if present.batch_shape else None, 0))
    return call(present, now)


@explained
def hyperparameters(state: Tree, *, at: str | None = None) -> dict[str, jax.Array]:
    """All hyperparameters that the last update used, by name.

    Args:
        state, at: as in `learning_rate`.

    Raises:
        ValueError: if there are none, or several with the same name (the error lists their paths).

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = ls.scheduled(optax.sgd)(ls.Linear(0.1, 0.0, 10), momentum=0.9)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> print({name: float(x) for name, x in ls.hyperparameters(state).items()})
    {'learning_rate': 0.10000000149011612, 'momentum': 0.8999999761581421}
    """
    call, parts = "hyperparameters", [part for part in parts_of(state, "hyperparameters") if part.used is not None]
    parts = meant(call, parts, at, f"hyperparameters in this state, got none. {_MAKE}.")
    names = sorted({part.name for part in parts})
    return {name: _used(call, only(call, f"value of {name}", [x for x in parts if x.name == name]), None) for name in names}


@explained
def readings(state: Tree, schedule: Schedule | None = None, *, at: str | None = None) -> dict[str, jax.Array]:
    """The readings of all clocks in a state, by the metric that each monitors, for a logger.

    A `Counter("tokens")` reports `"tokens"`, the sum so far; a `Plateau` reports `"value/plateaus"`, `"value/best"` and
    `"value/bad"`, the number of observations without an improvement; a `SinceBest` reports `"value/since_best"` and
    `"value/best"`, a `Greedy` `"value/reductions"` and `"value/best"`; a `Since` adds `"signal/since"` to the report of its
    clock. Any clock has a `report`. To log more, multiply by a constant: `s * Constant(1.0).on(SinceBest(monitor="val_loss"))`.

    Args:
        state, at: as in `learning_rate`; also a state from `clocks.init` or `clocks.tick`.
        schedule: the schedule, unless it is live.

    Returns:
        Numbers by name, with the same names after every update. With several groups each name begins with the label; a second
        clock with the same name gets a number at the end, "value/best/2".

    Raises:
        ValueError: if there are no clocks, or their schedule is missing.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> s = ls.Linear(0.1, 0.0, 1000).on(ls.Counter("tokens")) * ls.reduce_on_plateau()
    >>> state = ls.clocks.tick(s, ls.clocks.init(s), tokens=400, value=2.5)
    >>> print({name: float(x) for name, x in ls.readings(state, s).items()})
    {'tokens': 400.0, 'value/plateaus': 0.0, 'value/bad': 0.0, 'value/best': 2.5}
    """
    if isinstance(state, ScheduleState):
        state = AppliedState(*state, jnp.full((), jnp.nan), ())
    parts = [part for part in parts_of(state, "readings") if part.has("clocks")]
    parts = meant("readings", parts, at, "clocks in this state, got none. Hint: its schedules are functions of the step alone.")
    several = len({part.label for part in parts}) > 1
    found, times = dict[str, Any](), collections.Counter[str]()
    for part in parts:
        present, now = _present("readings", part, schedule)
        for clock, clock_state in zip(clocks_of(present), now.clocks, strict=True):
            for name, value in clock.report(clock_state).items():
                key = f"{part.label}/{name}" if several else name
                times[key] += 1
                found[f"{key}/{times[key]}" if times[key] > 1 else key] = numerics.as_value(value)
    return found


@explained
def get_schedule(state: Tree, name: str = "learning_rate", *, at: str | None = None) -> Schedule:
    """The live schedule in an optimizer state, with the shortest decimals that round to the numbers there.

    Args:
        state, at: as in `learning_rate`, made with `live=True`; not an `nnx.state`, which does not keep classes.
        name: the name of the hyperparameter.

    Returns:
        The schedule: a batch if `jax.vmap` made the state, a `Constant` for a plain number.

    Raises:
        ValueError: if there is no live schedule, or more than one (the error lists their paths).

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> print(ls.get_schedule(ls.scale_by_learning_rate(ls.Cosine(0.1, 0.0, 1000), live=True).init(jnp.ones(3))))
    Cosine(0.1, 0.0, 1000)
    """
    part = _live("get_schedule", state, name, at)
    if not part.leaves:
        return unpacked(packed(as_schedule("schedule", name, part.used)))
    return unpacked(_present("get_schedule", part, None)[0])


@explained
def replace_schedule(state: Tree, new: ScheduleLike, name: str = "learning_rate", *, at: str | None = None) -> Tree:
    """The optimizer state with another live schedule, of the same structure with other numbers: nothing is compiled.

    This gives a running job a longer horizon, another rate, or a cool-down. The step and the clocks stay as they are.

    Args:
        state, at: as in `learning_rate`, made with `live=True`.
        new: the schedule, or a number for a constant one; a batch if `jax.vmap` made the state. Its numbers may be traced.
        name: the name of the hyperparameter; a number given to `scheduled` can be replaced by a number.

    Returns:
        The state, of the same type. An `nnx.Optimizer` is changed in place, and returned.

    Raises:
        TypeError: if `new` is neither a schedule nor a number, or the state is in an object that cannot be rebuilt.
        ValueError: if there is no live schedule, or more than one, or the new one has another structure.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> state = ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 100), live=True).init(jnp.ones(3))
    >>> print(ls.get_schedule(ls.replace_schedule(state, ls.Linear(0.1, 0.0, 1000))))
    Linear(0.1, 0.0, 1000)
    """
    part: Any = _live("replace_schedule", state, name, at)
    numbers = packed(as_schedule("replace_schedule", "new", new))
    if not part.leaves:
        if isinstance(new, Schedule) or callable(new):
            raise ValueError(unexpected("replace_schedule", "new", new, f"a number for {name}, as was given to scheduled"))
        return with_leaves(state, {part.path: placed_as(part.used, jnp.full_like(part.used, new))})
    changes = {("live", *path): x for path, x in by_path(numbers).items()}
    old, new_shapes = ({path: jnp.shape(x) for path, x in one.items() if path[0] == "live"} for one in (part.leaves, changes))
    if old != new_shapes or (part.state and jax.tree.structure(part.state.live) != jax.tree.structure(numbers)):
        there = "the schedule that the optimizer was made with" if part.state is None else repr(unpacked(part.state.live))
        raise ValueError(
            "replace_schedule(...): expected a schedule of the structure of the one in the state, got another:\n"
            + "\n".join(side_by_side(there, repr(unpacked(numbers)), heads=("state", "new")))
            + "\nHint: only numbers can change without compiling. Begin with a schedule that has all the parts, of length 0"
            " where they are not needed yet, or make a new optimizer."
        )
    leaves = {(*part.home, *path): placed_as(part.leaves[path], x) for path, x in changes.items()}
    if part.path != part.home:  # drops a number that was written in place of the schedule
        leaves[(*part.home, "used")] = jnp.array(part.used)
    return with_leaves(state, leaves)


@explained
def observe(
    state: Tree,
    schedule: Schedule | Observations | None = None,
    observations: Observations | None = None,
    /,
    *,
    at: str | None = None,
    **named: Any,
) -> Tree:
    """The optimizer state after an observation between two updates, such as a validation loss.

    Every clock that monitors it ticks, if its part of the schedule is running.

    Args:
        state: as in `learning_rate`.
        schedule: the schedule, unless it is live.
        observations, named: scalars by name, in a mapping (also as second argument) or by keyword; None means not observed.
        at: the group whose clocks observe, as in `learning_rate`; all groups if None.

    Returns:
        The state, as from `replace_schedule`.

    Raises:
        TypeError: if no clock monitors a name, an observation is not a scalar, or the state cannot be rebuilt.
        ValueError: if there is no schedule in the state, or the state is a batch: use `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> for loss in [1.0, 1.0]:
    ...     state = ls.observe(state, value=loss)
    >>> print(ls.next_learning_rate(state))
    0.05
    """
    parts = [part for part in parts_of(state, "observe") if part.applied]
    if schedule is not None and not isinstance(schedule, Schedule):
        schedule, observations = None, schedule
    given = merged("observe", observations, named)
    if not given:
        raise TypeError("observe(...): expected an observation, got none. Hint: observe(state, value=<number>).")
    parts = meant("observe", parts, at, f"a schedule in this state, got none. {_MAKE}, with live=True.")
    ready = [(part, *_present("observe", part, schedule)) for part in parts if part.has("clocks")]
    monitored = monitored_by(clock for _, present, _ in ready for clock in clocks_of(present))
    check_monitored("observe", monitored, given, every=True)
    if any(np.ndim(now.step) for _, _, now in ready):
        raise ValueError("observe(...): expected one state, got a batch of them. Hint: map it with jax.vmap.")
    changes: dict[Path, jax.Array] = {}
    for part, present, now in ready:
        clocks = tick_with(present, now, 0, given).clocks
        changes |= {(*part.home, "clocks", *path): x for path, x in by_path(clocks).items()}
    return with_leaves(state, changes)


_MAKE = "Hint: make the optimizer with lrsched.scheduled(optax.adamw)(...), or chain lrsched.scale_by_learning_rate(...)"


def _rates(call: str, state: Tree, at: str | None = None) -> list[Part]:
    parts = [part for part in parts_of(state, call) if part.name == "learning_rate"]
    return meant(call, parts, at, f"a rate in this state, got none. {_MAKE}.")


def _rate(call: str, state: Tree, schedule: Schedule | None, at: str | None) -> Part:
    """The one rate; if a schedule is given, the one rate that needs it."""
    parts = _rates(call, state, at)
    needing = [part for part in parts if part.used is None]
    return only(call, "rate", needing if schedule is not None and len(needing) == 1 else parts)


def _used(call: str, part: Part, schedule: Schedule | None, before: int = 1) -> jax.Array:
    """The value that the last update used; of a part that keeps only a count, the schedule at the count minus `before`."""
    schedule = None if schedule is None else as_schedule(call, "schedule", schedule)
    if part.used is not None and (before or not part.leaves):
        return part.used
    if part.leaves.keys() != {("count",)}:
        raise ValueError(f"{call}(...): expected a schedule of this library at {part.where}, got another.")
    if schedule is None:
        raise ValueError(
            f"{call}(...): expected a rate at {part.where}, got only a count of updates. Hint: write {call}(state, schedule),"
            " or use lrsched.scale_by_learning_rate, which keeps the rate."
        )
    return schedule(jnp.maximum(part.leaves["count",] - before, 0))


def _live(call: str, state: Tree, name: str, at: str | None) -> Part:
    """The one part that has a live schedule, or is a plain number."""
    checked_choice(call, "name", name, ())
    parts = [part for part in parts_of(state, call) if part.live or not part.leaves]
    found = [part for part in parts if part.name == name]
    got = f"only those of {', '.join(sorted({part.name for part in parts}))}" if parts else "none"
    missing = f"a live schedule of {name} in this state, got {got}. Hint: make the transform with live=True."
    return only(call, "live schedule", meant(call, found, at, missing))


def _present(call: str, part: Part, schedule: Schedule | None) -> tuple[Schedule, ScheduleState]:
    """The schedule of a part as it is now, and its state."""
    state = part.state
    if schedule is None:
        if state is None or not part.live:
            got = "only names and numbers" if part.live else "none"
            raise ValueError(
                f"{call}(...): expected the schedule of the state at {part.where}, got {got}. Hint: make the transform with"
                " live=True, and pass the whole optimizer; or give the schedule as well."
            )
        return state.live, ScheduleState(state.step, state.clocks)
    schedule = as_schedule(call, "schedule", schedule)
    template = Applied(call, schedule, part.live).init()
    if state is None and by_path(template).keys() == part.leaves.keys():
        state = jax.tree.unflatten(jax.tree.structure(template), [part.leaves[path] for path in by_path(template)])
    if state is None or jax.tree.structure(state) != jax.tree.structure(template):
        raise ValueError(f"{call}(...): expected the state of {shown(schedule)} at {part.where}, got that of another schedule.")
    return state.live if part.live else schedule, ScheduleState(state.step, state.clocks)
