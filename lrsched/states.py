"""What is inside the state of an optimizer: the rate just used, live schedules, clocks that wait for an observation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched import numerics
from lrsched.algebra import Constant, Schedule
from lrsched.live import packed, unpacked
from lrsched.node import shown
from lrsched.numerics import Number
from lrsched.running import ScheduleState, clocks_of, init, tick_with
from lrsched.transform import HyperparameterState, ScaleByLearningRateState


class Found(NamedTuple):
    """Something in a state: where, under what name, and what."""

    path: str
    name: str
    node: Any


def learning_rate(state: Any, schedule: Schedule | None = None, *, at: str | None = None) -> jax.Array:
    """The learning rate that the last update used, wherever in an optimizer state it is.

    It is found in the states of `scale_by_learning_rate`, `scheduled` and `optax.inject_hyperparams`. After a plain
    `optax.adamw(schedule)` the state holds only a count of updates: give the schedule as well.

    Args:
        state: an optimizer state, however nested, or what holds one as `opt_state`: a flax `TrainState`, an `nnx.Optimizer`.
        schedule: the schedule, for a state that holds only a count.
        at: a part of the path of the one that is meant, where there are several, such as the label of a partition.

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
    found = [x for x in _values(state) if x.name == "learning_rate"]
    if found:
        return _only("learning_rate", "rates", found, at).node
    counts = _search(state, lambda x: isinstance(x, optax.ScaleByScheduleState))
    if len(counts) == 1 and schedule is not None:
        return schedule(jnp.maximum(_array(counts[0].node.count) - 1, 0))
    if counts:
        raise ValueError(
            "learning_rate(...) found no rate in this state, only a count of updates: write"
            " learning_rate(state, schedule), or use lrsched.scale_by_learning_rate, which keeps it"
        )
    raise ValueError(
        "learning_rate(...) found no rate in this state: chain lrsched.scale_by_learning_rate(schedule) as the last link"
    )


def hyperparameters(state: Any, *, at: str | None = None) -> dict[str, jax.Array]:
    """The hyperparameters that the last update used, by name, wherever in an optimizer state they are.

    Args:
        state: an optimizer state, however nested, or what holds one as `opt_state`.
        at: a part of the path of those that are meant, where some name is there several times.

    Raises:
        ValueError: if there are none, or several of one name, in which case it lists where they are.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = ls.scheduled(optax.sgd)(ls.Linear(0.1, 0.0, 10), momentum=0.9)
    >>> _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    >>> print({name: float(x) for name, x in ls.hyperparameters(state).items()})
    {'learning_rate': 0.10000000149011612, 'momentum': 0.8999999761581421}
    """
    found = [x for x in _values(state) if at is None or at in x.path]
    if not found:
        raise ValueError(
            f"hyperparameters(...) found none in this state{_of(at)}: make the optimizer with"
            " lrsched.scheduled(optax.adamw)(...), or chain lrsched.scale_by_learning_rate"
        )
    for name in {x.name for x in found}:
        _only("hyperparameters", f"values of {name}", [x for x in found if x.name == name], None)
    return {x.name: x.node for x in found}


def schedule(state: Any, name: str = "learning_rate", *, at: str | None = None) -> Schedule:
    """The live schedule in an optimizer state, with numbers as short as they round to what is there.

    Args:
        state: a state of `scale_by_learning_rate(..., live=True)` or `scheduled(..., live=True)`, however nested, or what
            holds one as `opt_state`.
        name: of which hyperparameter.
        at: a part of the path of the one that is meant, where there are several.

    Returns:
        The schedule; of a state that `jax.vmap` made, a batch.

    Raises:
        ValueError: if there is none, or more than one, in which case it lists where they are.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(ls.Cosine(0.1, 0.0, 1000), live=True)
    >>> print(ls.schedule(optimizer.init(jnp.ones(3))))
    Cosine(0.1, 0.0, 1000)
    """
    one = _live("schedule", state, name, at).node.schedule
    return unpacked(jax.tree.map(_array, one, is_leaf=_is_variable))


def replace_schedule(state: Any, new: Schedule | Number, name: str = "learning_rate", *, at: str | None = None) -> Any:
    """The optimizer state with another live schedule, of the same structure and other numbers: nothing is compiled.

    So a running job gets a longer horizon, another rate, or a cool-down from now on. The step and the clocks stay what they
    are. To read what is there, and change a number of it, there is `schedule`:

        s = ls.schedule(state)                          # warmup_cosine(1e-3, 100, 1000)
        state = ls.replace_schedule(state, ls.warmup_cosine(1e-3, 100, 2000))

    Args:
        state: as in `schedule`.
        new: the schedule, or a number for a constant one; a batch, where the state is one of `jax.vmap`.
        name: of which hyperparameter.
        at: a part of the path of the one that is meant, where there are several.

    Returns:
        The state, of the same kind: a `TrainState` for a `TrainState`. Of an `nnx.Optimizer` the variables are changed in
        place, and it is what is returned.

    Raises:
        TypeError: if it is neither a schedule nor a number.
        ValueError: if there is no live schedule, or more than one, or the new one has another structure.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 100), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> state = ls.replace_schedule(state, ls.Linear(0.1, 0.0, 1000))
    >>> print(ls.schedule(state))
    Linear(0.1, 0.0, 1000)
    """
    found = _live("replace_schedule", state, name, at)
    if not isinstance(new, Schedule):
        if not numerics.is_number(new):
            raise TypeError(f"replace_schedule(new=...) must be a schedule or a number, got {shown(new)}")
        new = Constant(new)
    old = jax.tree.map(_array, found.node.schedule, is_leaf=_is_variable)
    numbers = packed(new)
    shapes = [[jnp.shape(x) for x in jax.tree.leaves(tree)] for tree in (old, numbers)]
    if jax.tree.structure(old) != jax.tree.structure(numbers) or shapes[0] != shapes[1]:
        raise ValueError(
            f"replace_schedule(...) takes another schedule of the structure of {shown(unpacked(old))}, got {shown(new)}: only"
            " numbers can change without compiling. Begin with a schedule that has all the parts, of length 0 where they are"
            " not needed yet, or make a new optimizer"
        )
    return _with(state, lambda x: x.path == found.path, lambda node: node._replace(schedule=numbers))


def observe(state: Any, schedule: Schedule | None = None, /, **observations: Any) -> Any:
    """The optimizer state after something was observed between two updates, such as a validation loss.

    Every clock in the state that monitors it ticks, where its part of the schedule is running.

    Args:
        state: a state with a live schedule, however nested, or what holds one as `opt_state`.
        schedule: the schedule, for a state of `scale_by_learning_rate` that is not live.
        observations: scalars by name; None counts as not observed.

    Returns:
        The state, of the same kind, as from `replace_schedule`.

    Raises:
        TypeError: if no clock monitors one of the names, or an observation is no scalar.
        ValueError: if there is nothing in the state that could observe, or the state is a batch: use `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> optimizer = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau(factor=0.5, patience=0), live=True)
    >>> state = optimizer.init(jnp.ones(3))
    >>> for loss in [1.0, 1.0]:
    ...     state = ls.observe(state, value=loss)
    >>> _, state = optimizer.update(jnp.ones(3), state)
    >>> print(ls.learning_rate(state))
    0.05
    """
    found = _search(state, _is_ours)
    if not found:
        raise ValueError(
            "observe(...) found no schedule in this state: chain lrsched.scale_by_learning_rate(schedule, live=True), or make"
            " the optimizer with lrsched.scheduled(optax.adamw, live=True)(...)"
        )
    driven = [x for x in found if jax.tree.leaves(x.node.clocks)]
    asleep = [x.path for x in driven if x.node.schedule == ()]
    if asleep and schedule is None:
        raise ValueError(
            f"observe(...) found clocks at {', '.join(asleep)} without their schedule: make the transform with live=True, or"
            " write observe(state, schedule, ...)"
        )
    if asleep and schedule is not None:
        wanted = jax.tree.structure(init(schedule).clocks)
        for x in driven:
            if (
                x.node.schedule == ()
                and jax.tree.structure(jax.tree.map(_array, x.node.clocks, is_leaf=_is_variable)) != wanted
            ):
                raise ValueError(f"observe(...) got a state of another schedule than {shown(schedule)}, at {x.path}")
    monitored = sorted({name for x in driven for clock in clocks_of(_schedule_of(x.node, schedule)) for name in clock.monitors})
    for name in observations:
        if name not in monitored:
            raise TypeError(
                f"observe({name}=...) is monitored by no clock in this state;"
                + (f" what they monitor is {', '.join(monitored)}" if monitored else " it has no clocks")
            )
    if any(jnp.ndim(_array(x.node.step)) for x in driven):
        raise ValueError("observe(...) takes one state, got a batch of them: map it with jax.vmap")

    def ticked(node: Any) -> Any:
        plain = jax.tree.map(_array, node, is_leaf=_is_variable)
        now = ScheduleState(plain.step, plain.clocks)
        return node._replace(clocks=tick_with(_schedule_of(plain, schedule), now, 0, observations).clocks)

    paths = {x.path for x in driven}
    return _with(state, lambda x: x.path in paths, ticked)


def _schedule_of(node: Any, given: Schedule | None) -> Any:
    return given if node.schedule == () else node.schedule


def _is_ours(x: Any) -> bool:
    return isinstance(x, (ScaleByLearningRateState, HyperparameterState))


def _is_injected(x: Any) -> bool:
    return isinstance(getattr(x, "hyperparams", None), dict) and hasattr(x, "inner_state")


def _values(state: Any) -> list[Found]:
    """All values just used, by name: those of `scale_by_learning_rate`, and those that were injected."""
    values = []
    for found in _search(state, lambda x: isinstance(x, ScaleByLearningRateState) or _is_injected(x)):
        if isinstance(found.node, ScaleByLearningRateState):
            values.append(Found(found.path, "learning_rate", _array(found.node.learning_rate)))
            continue
        values += [Found(found.path, name, _array(x)) for name, x in sorted(found.node.hyperparams.items())]
        inside = _values(found.node.inner_state)
        values += [x._replace(path=f"{found.path}.inner_state{x.path}") for x in inside]
    return values


def _live(call: str, state: Any, name: str, at: str | None) -> Found:
    ours = _search(state, _is_ours)
    found = [x for x in ours if x.node.schedule != () and x.name == name]
    if not found:
        names = sorted({x.name for x in ours if x.node.schedule != ()})
        raise ValueError(
            f"{call}(...) found no live schedule of {name} in this state"
            + (f", only of {', '.join(names)}" if names else ": make the transform with live=True")
        )
    return _only(call, "live schedules", found, at)


def _only(call: str, what: str, found: list[Found], at: str | None) -> Found:
    chosen = [x for x in found if at is None or at in x.path]
    if len(chosen) == 1:
        return chosen[0]
    paths = ", ".join(x.path for x in found)
    if not chosen:
        raise ValueError(f"{call}(...) found no {what}{_of(at)}; there are some at {paths}")
    raise ValueError(
        f"{call}(...) found {len(chosen)} {what}{_of(at)}, at {paths}: say which with at=..., a part of its path, or pass the"
        " part of the state you mean"
    )


def _of(at: str | None) -> str:
    return "" if at is None else f" at {at!r}"


def _tree(state: Any) -> Any:
    """The optimizer state of what holds one."""
    return state.opt_state if hasattr(state, "opt_state") and not isinstance(state, tuple) else state


def _search(state: Any, wanted: Callable[[Any], bool]) -> list[Found]:
    """The nodes of a tree that are wanted, outermost first."""
    return [x for x in _leaves(state, wanted) if wanted(x.node)]


def _leaves(state: Any, wanted: Callable[[Any], bool]) -> list[Found]:
    leaves = jax.tree_util.tree_leaves_with_path(_tree(state), is_leaf=lambda x: wanted(x) or _is_variable(x))
    return [Found(jax.tree_util.keystr(path) or "the top", _name(path, x), x) for path, x in leaves]


def _name(path: Any, node: Any) -> str:
    """What hyperparameter a state belongs to: `hyperparams_states` is a dict by name."""
    return str(path[-1].key) if isinstance(node, HyperparameterState) and path else "learning_rate"


def _with(state: Any, chosen: Callable[[Found], bool], change: Callable[[Any], Any]) -> Any:
    """The state with some nodes changed."""
    tree = _tree(state)
    leaves = [change(x.node) if _is_ours(x.node) and chosen(x) else x.node for x in _leaves(state, _is_ours)]
    structure = jax.tree.structure(tree, is_leaf=lambda x: _is_ours(x) or _is_variable(x))
    changed = jax.tree.unflatten(structure, leaves)
    if tree is state:
        return changed
    if hasattr(state, "replace"):
        return state.replace(opt_state=changed)
    jax.tree.map(_assign, tree, changed, is_leaf=_is_variable)
    return state


def _is_variable(x: Any) -> bool:
    """Whether something is a variable of `flax.nnx`, which holds an array."""
    return (not isinstance(x, jax.Array) and hasattr(x, "get_value")) or hasattr(x, "raw_value")


def _array(x: Any) -> Any:
    """The array in a variable of `flax.nnx`, or what it is."""
    if not _is_variable(x):
        return x
    return x.get_value() if hasattr(x, "get_value") else x.value


def _assign(variable: Any, new: Any) -> None:
    if not _is_variable(variable) or variable is new:
        return
    if hasattr(variable, "set_value"):
        variable.set_value(_array(new))
    else:
        variable.value = _array(new)
