"""What is inside the state of an optimizer: the rates just used, live schedules, clocks that wait for an observation."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown, side_by_side
from lrsched.clocks.observations import check_spelling, merged, monitored_by
from lrsched.clocks.running import ScheduleState, clocks_of, evaluate, tick_with
from lrsched.training.holders import Path, with_leaves
from lrsched.training.live import packed, unpacked
from lrsched.training.parts import UNKNOWN, Part, by_path, meant, only, parts_of
from lrsched.training.transform import Applied, AppliedState, ScheduleLike, one_schedule


def learning_rate(state: Any, schedule: Schedule | None = None, *, at: str | None = None) -> jax.Array:
    """The learning rate that the last update used, wherever in an optimizer state it is.

    It is found in the states of `scale_by_learning_rate`, `scheduled` and `optax.inject_hyperparams`. After a plain
    `optax.adamw(schedule)` the state holds only a count of updates: give the schedule as well.

    Args:
        state: an optimizer state, however nested, or what holds one: a flax `TrainState`, an `nnx.Optimizer` or its
            `nnx.state`, an equinox module, a dataclass or another object.
        schedule: the schedule, for a state or a group that holds only a count.
        at: the one that is meant, where there are several: the label of a group (`"a"`, `"a/b"`), or a run of whole keys of
            the path that the error shows.

    Raises:
        ValueError: if there is none, or more than one, in which case it lists where they are.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> schedule = ls.Linear(0.1, 0.0, 10)
    >>> optimizer = optax.sgd(schedule)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> _, state = optimizer.update(jnp.ones(3), state)
    >>> print(ls.learning_rate(state, schedule))
    0.09
    """
    part = _rate("learning_rate", state, schedule, at)
    return _used("learning_rate", part, schedule)


def learning_rates(state: Any, schedules: Schedule | Mapping[str, Schedule] | None = None) -> dict[str, jax.Array]:
    """All learning rates in a state that the last update used, by the labels of their groups, for a logger.

    A group whose optimizer keeps neither a rate nor a count, such as `optax.adam(1e-3)`, is not in it.

    Args:
        state: as in `learning_rate`.
        schedules: the schedules of groups that hold only a count: one for all of them, or by label.

    Returns:
        A dict; a rate in no group has the key "learning_rate", and rates of one label have their paths for keys.

    Raises:
        ValueError: if there is none, or the schedule of a count is missing.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> groups = {"slow": ls.scale_by_learning_rate(0.25), "fast": ls.scheduled(optax.adamw)(0.5)}
    >>> optimizer = optax.partition(groups, {"w": "slow", "b": "fast"})
    >>> state = optimizer.init({"w": jnp.ones(3), "b": jnp.ones(3)})
    >>> print({label: float(rate) for label, rate in ls.learning_rates(state).items()})
    {'fast': 0.5, 'slow': 0.25}
    """
    parts = _rates_of("learning_rates", state)
    labels = [part.label or "learning_rate" for part in parts]
    keys = [label if labels.count(label) == 1 else part.where for label, part in zip(labels, parts, strict=True)]
    by_label = schedules if isinstance(schedules, Mapping) else dict.fromkeys(keys, schedules)
    if unknown := sorted(set(by_label) - set(keys)):
        raise ValueError(f"learning_rates(schedules=...): expected labels among {', '.join(keys)}, got {', '.join(unknown)}")
    rates = {key: _used("learning_rates", part, by_label.get(key)) for key, part in zip(keys, parts, strict=True)}
    return dict(sorted(rates.items()))


def next_learning_rate(state: Any, schedule: Schedule | None = None, *, at: str | None = None) -> jax.Array:
    """The learning rate that the update to come will use: after an `observe`, for a message that the rate was reduced.

    Args:
        state: as in `learning_rate`.
        schedule: the schedule, for a state that is not live.
        at: as in `learning_rate`.

    Raises:
        ValueError: if there is none, or more than one, or its schedule is not known.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> for loss in [1.0, 1.0]:
    ...     state = ls.observe(state, value=loss)
    >>> print(ls.learning_rate(state), ls.next_learning_rate(state))
    0.1 0.05
    """
    part = _rate("next_learning_rate", state, schedule, at)
    if part.source is None:
        return jnp.asarray(part.used)
    if part.source is UNKNOWN:
        raise ValueError(f"next_learning_rate(...) found a schedule at {part.where} that is none of this library")
    if not isinstance(part.source, (dict, AppliedState)):
        return _needed("next_learning_rate", part, schedule)(part.source)
    present, now = _present("next_learning_rate", part, schedule)
    call = evaluate
    for _ in np.shape(now.step):  # a batch of states
        call = jax.vmap(call, in_axes=(0 if present.batch_shape else None, 0))
    return call(present, now)


def hyperparameters(state: Any, *, at: str | None = None) -> dict[str, jax.Array]:
    """The hyperparameters that the last update used, by name, wherever in an optimizer state they are.

    Args:
        state: as in `learning_rate`.
        at: those that are meant, where some name is there several times, as in `learning_rate`.

    Raises:
        ValueError: if there are none, or several of one name, in which case it lists where they are.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = ls.scheduled(optax.sgd)(ls.Linear(0.1, 0.0, 10), momentum=0.9)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> print({name: float(x) for name, x in ls.hyperparameters(state).items()})
    {'learning_rate': 0.10000000149011612, 'momentum': 0.8999999761581421}
    """
    parts = [part for part in parts_of(state) if part.used is not None]
    parts = meant("hyperparameters", parts, at) if parts else []
    if not parts:
        raise ValueError(
            "hyperparameters(...) found none in this state. Hint: make the optimizer with lrsched.scheduled(optax.adamw)(...),"
            " or chain lrsched.scale_by_learning_rate(schedule)"
        )
    names = sorted({part.name for part in parts})
    return {name: only("hyperparameters", f"values of {name}", [x for x in parts if x.name == name]).used for name in names}


def readings(state: Any, schedule: Schedule | None = None, *, at: str | None = None) -> dict[str, Any]:
    """What the clocks in a state read, by the metric that each observes, for a logger.

    A `Counter("tokens")` gives `"tokens"`, the sum so far; a `Plateau` gives `"value/plateaus"`, `"value/best"` and
    `"value/bad"`, the observations without an improvement since the best one or the last plateau; a `SinceBest` gives
    `"value/since_best"` and `"value/best"`; a `Since` gives what its clock gives, and `"signal/since"`. A clock of your own
    says in `report` what it gives: by default its reading. To log the epochs without improvement, let a factor of 1 count
    them: `s * Constant(1.0).on(SinceBest(monitor="val_loss"))`.

    Args:
        state: as in `learning_rate`, or a state of `init` and `tick`.
        schedule: the schedule, for a state that is not live.
        at: as in `learning_rate`.

    Returns:
        Numbers by name, the same names in every update. Where there are several groups, each name begins with its label; where
        another clock has the same name, it ends with a number, "value/best/2".

    Raises:
        ValueError: if there are no clocks, or their schedule is not known.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> s = ls.Linear(0.1, 0.0, 1000).on(ls.Counter("tokens")) * ls.reduce_on_plateau()
    >>> state = ls.tick(s, ls.init(s), tokens=400, value=2.5)
    >>> print({name: float(x) for name, x in ls.readings(state, s).items()})
    {'tokens': 400.0, 'value/plateaus': 0.0, 'value/bad': 0.0, 'value/best': 2.5}
    """
    if isinstance(state, ScheduleState):
        state = AppliedState(*state, jnp.nan, ())
    found, times = dict[str, Any](), collections.Counter[str]()
    parts = [part for part in parts_of(state) if part.has_clocks]
    parts = meant("readings", parts, at) if parts else []
    several = len({part.label for part in parts}) > 1
    for part in parts:
        present, now = _present("readings", part, schedule)
        for clock, clock_state in zip(clocks_of(present), now.clocks, strict=True):
            for name, value in clock.report(clock_state).items():
                key = f"{part.label}/{name}" if several else name
                times[key] += 1
                number = numerics.moment(value)[0].value() if isinstance(value, numerics.Moment) else value
                found[f"{key}/{times[key]}" if times[key] > 1 else key] = number
    if not found:
        raise ValueError("readings(...) found no clocks in this state: its schedules are functions of the step alone")
    return found


def schedule(state: Any, name: str = "learning_rate", *, at: str | None = None) -> Schedule:
    """The live schedule in an optimizer state, with numbers as short as they round to what is there.

    Args:
        state: a state of `scale_by_learning_rate(..., live=True)` or `scheduled(..., live=True)`, however nested, or what
            holds one, as in `learning_rate`; but not `nnx.state(optimizer)`, which keeps numbers and not whose they are.
        name: of which hyperparameter.
        at: as in `learning_rate`.

    Returns:
        The schedule; of a state that `jax.vmap` made, a batch. Of a plain number, a `Constant`.

    Raises:
        ValueError: if there is none, or more than one, in which case it lists where they are.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(ls.Cosine(0.1, 0.0, 1000), live=True)
    >>> print(ls.schedule(optimizer.init(jnp.ones(3))))
    Cosine(0.1, 0.0, 1000)
    """
    part = _live("schedule", state, name, at)
    if part.source is None:
        return one_schedule("schedule", name, unpacked(packed(one_schedule("schedule", name, part.used))))
    if isinstance(part.source, dict):
        raise ValueError(
            f"schedule(...): expected a state with its structure, got names and numbers at {part.where}."
            " Hint: pass the optimizer itself"
        )
    return unpacked(part.source.live)


def replace_schedule(state: Any, new: ScheduleLike, name: str = "learning_rate", *, at: str | None = None) -> Any:
    """The optimizer state with another live schedule, of the same structure and other numbers: nothing is compiled.

    So a running job gets a longer horizon, another rate, or a cool-down from now on. The step and the clocks stay what they
    are. To read what is there, and change a number of it, there is `schedule`:

        s = ls.schedule(state)                          # warmup_cosine(1e-3, 100, 1000)
        state = ls.replace_schedule(state, ls.warmup_cosine(1e-3, 100, 2000))

    Inside `jit` the numbers may be traced.

    Args:
        state: as in `schedule`, `nnx.state(optimizer)` included.
        new: the schedule, or a number for a constant one; a batch, where the state is one of `jax.vmap`.
        name: of which hyperparameter; a number that was given to `scheduled` is replaced by a number.
        at: as in `learning_rate`.

    Returns:
        The state, of the same kind: a `TrainState` for a `TrainState`. Of an `nnx.Optimizer` the variables are changed in
        place, and it is what is returned.

    Raises:
        TypeError: if it is neither a schedule nor a number, or the state is in an object that cannot be rebuilt.
        ValueError: if there is no live schedule, or more than one, or the new one has another structure.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 100), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> state = ls.replace_schedule(state, ls.Linear(0.1, 0.0, 1000))
    >>> print(ls.schedule(state))
    Linear(0.1, 0.0, 1000)
    """
    part = _live("replace_schedule", state, name, at)
    source: Any = part.source
    if source is None:
        if isinstance(new, Schedule) or callable(new):
            raise ValueError(
                f"replace_schedule(name={name!r}): expected a number, since a number was given to scheduled, got {shown(new)}."
                f" Hint: scheduled(..., live=True)(..., {name}=Constant(...)) can be replaced by another Constant"
            )
        one_schedule("replace_schedule", "new", new)  # its checks
        return with_leaves(state, {part.path: _placed_as(part.used, jnp.full_like(part.used, new))})
    numbers = packed(new if isinstance(new, Schedule) else one_schedule("replace_schedule", "new", new))
    changes = {("live", *path): x for path, x in by_path(numbers).items()}
    old = source if isinstance(source, dict) else {("live", *k): x for k, x in by_path(source.live).items()}
    shapes = [{path: jnp.shape(x) for path, x in one.items() if path[0] == "live"} for one in (old, changes)]
    alike = isinstance(source, dict) or jax.tree.structure(source.live) == jax.tree.structure(numbers)
    if not alike or shapes[0] != shapes[1]:
        is_named = isinstance(source, dict)
        there = "the schedule that the optimizer was made with" if is_named else repr(unpacked(source.live))
        raise ValueError(
            "replace_schedule(...): expected a schedule of the structure of the one in the state, got another:\n"
            + "\n".join(side_by_side(there, repr(new), heads=("state", "new")))
            + "\nHint: only numbers can change without compiling. Begin with a schedule that has all the parts, of length 0"
            " where they are not needed yet, or make a new optimizer"
        )
    leaves = {(*part.home, *path): _placed_as(old[path], x) for path, x in changes.items()}
    if part.path != part.home:  # a number that was written in the place of the schedule no longer counts
        leaves[(*part.home, "used")] = jnp.array(part.used)
    return with_leaves(state, leaves)


def _placed_as(old: Any, new: Any) -> Any:
    """The new array on the devices of the old one: what runs on a mesh is not compiled again."""
    if isinstance(old, jax.Array) and numerics.is_concrete(old, new) and len(old.sharding.device_set) > 1:
        return jax.device_put(new, old.sharding)
    return new


def observe(
    state: Any,
    schedule: Schedule | Mapping[str, Any] | None = None,
    observations: Mapping[str, Any] | None = None,
    /,
    *,
    at: str | None = None,
    **named: Any,
) -> Any:
    """The optimizer state after something was observed between two updates, such as a validation loss.

    Every clock in the state that monitors it ticks, where its part of the schedule is running.

    Args:
        state: a state with a live schedule, or what holds one, as in `learning_rate`.
        schedule: the schedule, for a state that is not live.
        observations: scalars by name, for names that are no Python identifiers or are taken (`{"at": 1.0}`); also in the place
            of the schedule.
        at: the group whose clocks observe, as in `learning_rate`; without it all do.
        named: scalars by name; None counts as not observed.

    Returns:
        The state, of the same kind, as from `replace_schedule`.

    Raises:
        TypeError: if no clock monitors one of the names, an observation is no scalar, or the state is in an object that
            cannot be rebuilt.
        ValueError: if there is nothing in the state that could observe, or the state is a batch: use `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> for loss in [1.0, 1.0]:
    ...     state = ls.observe(state, value=loss)
    >>> _, state = optimizer.update(jnp.ones(3), state, value=None)
    >>> print(ls.learning_rate(state))
    0.05
    """
    if schedule is not None and not isinstance(schedule, Schedule):
        schedule, observations = None, schedule
    given = merged("observe", observations, named)
    if not given:
        raise TypeError("observe(...): expected an observation, got none. Hint: observe(state, value=<number>)")
    parts = [part for part in parts_of(state) if isinstance(part.source, (AppliedState, dict))]
    if not parts:
        raise ValueError(
            "observe(...) found no schedule in this state: chain lrsched.scale_by_learning_rate(schedule, live=True), or make"
            " the optimizer with lrsched.scheduled(optax.adamw, live=True)(...)"
        )
    driven = [part for part in meant("observe", parts, at) if part.has_clocks]
    ready = [(part, *_present("observe", part, schedule)) for part in driven]
    monitored = monitored_by(clock for _, present, _ in ready for clock in clocks_of(present))
    check_spelling("observe", monitored, given)
    if unknown := [name for name in given if name not in monitored]:
        there = ", ".join(map(repr, monitored)) or "nothing, as its schedules have no clocks"
        raise TypeError(f"observe(...): no clock in this state monitors {', '.join(map(repr, unknown))} (monitored: {there})")
    if any(np.ndim(now.step) for _, _, now in ready):
        raise ValueError("observe(...) takes one state, got a batch of them: map it with jax.vmap")
    changes: dict[Path, Any] = {}
    for part, present, now in ready:
        clocks = tick_with(present, now, 0, given).clocks
        changes.update({(*part.home, "clocks", *path): x for path, x in by_path(clocks).items()})
    return with_leaves(state, changes)


def _rates_of(call: str, state: Any) -> list[Part]:
    parts = [part for part in parts_of(state) if part.name == "learning_rate"]
    if not parts:
        raise ValueError(
            f"{call}(...) found no rate in this state. Hint: make the optimizer with lrsched.scheduled(optax.adamw)(schedule),"
            " or optax.chain(optax.scale_by_adam(), lrsched.scale_by_learning_rate(schedule))"
        )
    return parts


def _rate(call: str, state: Any, schedule: Schedule | None, at: str | None) -> Part:
    """The one rate that is meant: where several are, and a schedule is given, the one that needs it."""
    parts = meant(call, _rates_of(call, state), at)
    needing = [part for part in parts if part.used is None]
    return needing[0] if schedule is not None and len(needing) == 1 else only(call, "rates", parts)


def _used(call: str, part: Part, schedule: Schedule | None) -> jax.Array:
    """The value that the last update used, of a count by its schedule."""
    if part.used is not None:
        return part.used
    return _needed(call, part, schedule)(jnp.maximum(part.source - 1, jnp.zeros_like(part.source)))


def _needed(call: str, part: Part, schedule: Schedule | None) -> Schedule:
    if schedule is None:
        raise ValueError(
            f"{call}(...) found no rate at {part.where}, only a count of updates: write {call}(state, schedule)"
            + (f", or for several groups {call}(state, {{{part.label!r}: schedule, ...}})" * (call == "learning_rates"))
            + ", or use lrsched.scale_by_learning_rate, which keeps it"
        )
    return schedule


def _live(call: str, state: Any, name: str, at: str | None) -> Part:
    parts = parts_of(state)
    live = [part for part in parts if part.live or (part.source is None and part.used is not None)]
    found = [part for part in live if part.name == name]
    if not found:
        names = sorted({part.name for part in live})
        there = any(part.name == name for part in parts) or not names
        raise ValueError(
            f"{call}(...) found no live schedule of {name} in this state"
            + (": make the transform with live=True" if there else f", only of {', '.join(names)}")
        )
    return only(call, "live schedules", meant(call, found, at))


def _present(call: str, part: Part, schedule: Schedule | None) -> tuple[Schedule, ScheduleState]:
    """The schedule of a part as it is now, and its state."""
    if isinstance(part.source, AppliedState) and part.live:
        if schedule is not None and jax.tree.structure(packed(schedule)) != jax.tree.structure(part.source.live):
            raise ValueError(f"{call}(...) got a state of another schedule than {shown(schedule)}, at {part.where}")
        return part.source.live, ScheduleState(part.source.step, part.source.clocks)
    if schedule is None and part.live:
        raise ValueError(
            f"{call}(...): expected a state with its structure, got names and numbers at {part.where}. Hint: pass the optimizer"
            f" itself, or {call}(state, schedule, ...)"
        )
    if schedule is None:
        raise ValueError(
            f"{call}(...) found {'clocks' if part.has_clocks else 'a state'} at {part.where} without their schedule: make the"
            f" transform with live=True, or write {call}(state, schedule, ...)"
        )
    template = Applied(call, schedule, part.live).init()
    wanted = by_path(template)
    found = by_path(part.source) if isinstance(part.source, AppliedState) else part.source
    if wanted.keys() != found.keys():
        raise ValueError(f"{call}(...) got a state of another schedule than {shown(schedule)}, at {part.where}")
    filled = jax.tree.unflatten(jax.tree.structure(template), [found[path] for path in wanted])
    return filled.live if part.live else schedule, ScheduleState(filled.step, filled.clocks)
