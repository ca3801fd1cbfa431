"""Where schedules meet optax: gradient transformations that apply them."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.schedule import Schedule, ScheduleLike, as_schedule
from lrsched.algebra.written import shown
from lrsched.clocks.clock import Clock
from lrsched.clocks.observations import Missing, merged, monitored_by
from lrsched.clocks.running import ScheduleState, clocks_of, count_of_updates, evaluate, init, tick_with
from lrsched.training.holders import array_of, leaves_of
from lrsched.training.live import packed


class AppliedState(NamedTuple):
    """The state of a schedule that a transform applies.

    `used` is the value that the last update used, or before the first update the one that it will use. (It is not called
    `learning_rate`, so that `optax.tree_utils.tree_set(state, learning_rate=...)`, which could not change the rate, raises.)
    """

    step: Any  # the number of the update to come
    clocks: tuple[Any, ...]  # their states, in the order of the tree
    used: Any
    live: Any  # the schedule, if it is live, else ()


@dataclasses.dataclass(frozen=True)
class Applied:
    """A schedule with its state: what every transform here is made of, and optax's protocol of a schedule with a state."""

    call: str  # what a person calls to make the transform
    schedule: Schedule
    live: bool = False
    start: Any = 0  # the number of the first update
    missing: Missing = dataclasses.field(default_factory=Missing, compare=False)

    def init(self) -> AppliedState:
        """The first state. Each of its leaves is a buffer of its own."""
        if (found := _found.get()) is not None:
            found.extend(clocks_of(self.schedule))
        state = init(self.schedule, self.start)
        return AppliedState(*state, evaluate(self.schedule, state), packed(self.schedule) if self.live else ())

    def __call__(self, state: AppliedState, /, **observations: Any) -> jax.Array:
        """The value for the update to come."""
        del observations
        return evaluate(self.present(state), ScheduleState(state.step, state.clocks))

    def update(self, state: AppliedState, /, *, observations: Mapping[str, Any] | None = None, **named: Any) -> AppliedState:
        """The state after an update."""
        given, present = merged(self.call, observations, named), self.present(state)
        self.missing.check(self.call, monitored_by(clocks_of(present)), given)
        now = ScheduleState(state.step, state.clocks)
        after = AppliedState(*tick_with(present, now, 1, given), evaluate(present, now), state.live)
        return typed_as(state, after)

    def present(self, state: AppliedState) -> Any:
        """The schedule as it is now: the one in the state, if it is live."""
        if not isinstance(state, AppliedState):
            raise TypeError(
                f"{self.call}(...): expected the state that init gave, got {shown(state)} ({type(state).__name__})."
                " Hint: to change what a schedule gives, replace_schedule(state, new)"
            )
        if not self.live:
            if state.live != ():
                raise ValueError(
                    f"{self.call}(...): expected a state without a live schedule, got one of {shown(state.live)}."
                    f" Hint: {self.call}(..., live=True), or restore(optimizer.init(params), state, on_change='replace')"
                )
            return self.schedule
        if jax.tree.structure(state.live) != self._live_structure:
            raise ValueError(
                f"{self.call}(..., live=True): expected a state with the numbers of {shown(self.schedule)}, got"
                f" {shown(state.live) if isinstance(state.live, Schedule) else 'one without a live schedule'}."
                " Hint: make the optimizer with the schedule of the checkpoint, or restore(..., on_change='replace')"
            )
        return state.live

    @functools.cached_property
    def _live_structure(self) -> Any:
        return jax.tree.structure(packed(self.schedule))


_found: contextvars.ContextVar[list[Clock] | None] = contextvars.ContextVar("found", default=None)


@contextlib.contextmanager
def finding_clocks() -> Iterator[list[Clock]]:
    """The clocks of all transforms whose first state is made meanwhile."""
    clocks: list[Clock] = []
    token = _found.set(clocks)
    try:
        yield clocks
    finally:
        _found.reset(token)
    if (outer := _found.get()) is not None:
        outer.extend(clocks)


def typed_as(old: Any, new: Any) -> Any:
    """A state in the types of the one before it, which another setting of x64 may have made."""

    def typed(a: Any, b: Any) -> Any:
        return b if not hasattr(a, "dtype") or a.dtype == b.dtype else jnp.asarray(b, a.dtype)

    return jax.tree.map(typed, old, new)


def scale_by_learning_rate(
    schedule: ScheduleLike, *, flip_sign: bool = True, live: bool = False, start: Any = 0
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by the learning rate of a schedule, pure or driven; the last link of an optax chain.

    Update number t is multiplied by `-schedule(t)`, cast to the update's own type, as `optax.scale_by_learning_rate` does.

    Its clocks observe what `update` is given by name, `optimizer.update(grads, state, params, value=loss)`, or in one mapping,
    `observations={"value": loss}`, which takes any name. Names that are for others are ignored. An update that is traced
    without a monitored name warns once; `value=None` says that it is deliberate. To accumulate gradients, put `accumulate`
    around `optax.MultiSteps`: without it clocks observe only the last small batch.

    Args:
        schedule: the schedule, a number for a constant rate, or any function of the step. It may be traced.
        flip_sign: whether to go downhill, that is, to multiply by minus the rate.
        live: whether the schedule's numbers are part of the state, so that `schedule` reads them, `replace_schedule` changes
            them in a running job without compiling anything, and `observe` can tick the clocks between updates. They are
            float32 there, but for numbers of steps, which stay exact up to 2³¹.
        start: the number of the first update, for a run that goes on after updates of another optimizer; or the state of that
            optimizer, whose count is taken.

    Raises:
        TypeError: if it is no schedule, number or function; from `update`, if a name looks like a misspelling of one that is
            monitored.
        ValueError: if it is a batch: map over it with `jax.vmap`; or if `start` is a state that holds no count, or several.

    Warns:
        UserWarning: from `update`, once, if a clock is not given what it monitors.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(ls.warmup_cosine(0.1, 10, 100)))
    >>> params = jnp.ones(3)
    >>> state = optimizer.init(params)
    >>> for _ in range(6):
    ...     updates, state = optimizer.update(params, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> print(ls.learning_rate(state))
    0.05
    """
    applied = applied_as("scale_by_learning_rate", "schedule", schedule, live=live, start=start)
    return scaled_by(applied, flip_sign, lambda rate, updates: jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates))


def scaled_by(applied: Applied, flip_sign: bool, scale: Any) -> optax.GradientTransformationExtraArgs:
    """The transform that scales updates by the value of a schedule, as `scale(value, updates)` does."""

    def init_fn(params: optax.Params) -> AppliedState:
        del params
        return applied.init()

    def update_fn(
        updates: optax.Updates,
        state: AppliedState,
        params: optax.Params | None = None,
        *,
        observations: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> tuple[optax.Updates, AppliedState]:
        del params
        after = applied.update(state, observations=observations, **named)
        return scale(-after.used if flip_sign else after.used, updates), after

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]


def as_stateful(schedule: ScheduleLike, *, live: bool = False, start: Any = 0) -> Applied:
    """A schedule, driven ones included, as `optax.inject_hyperparams` takes it.

    `scheduled` does this for every hyperparameter; a pure schedule needs it nowhere.

    Args:
        schedule: the schedule, a number, or any function of the step.
        live, start: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if it is none of these.
        ValueError: if it is a batch.

    >>> import optax
    >>> import lrsched as ls
    >>> s = ls.as_stateful(0.1 * ls.reduce_on_plateau(patience=5))
    >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=s)
    """
    return applied_as("as_stateful", "schedule", schedule, live=live, start=start)


def one_schedule(call: str, name: str, schedule: ScheduleLike) -> Schedule:
    """One schedule, of a schedule, a number or a function of the step."""
    schedule = as_schedule(call, name, schedule)
    if batch := schedule.batch_shape:
        raise ValueError(
            f"{call}({name}=...): expected one schedule, got a batch of shape {batch}. Hint: make the optimizer inside the"
            " function that jax.vmap maps over the batch"
        )
    return schedule


def applied_as(call: str, name: str, schedule: ScheduleLike, *, live: bool = False, start: Any = 0) -> Applied:
    """What a transform applies, made of the arguments that a person gave."""
    return Applied(call, one_schedule(call, name, schedule), live, updates_made(call, start))


def updates_made(call: str, start: Any) -> Any:
    """How many updates were made before: a number, or the count in what holds the state of an optimizer."""
    if numerics.is_number(start):
        return 0 if isinstance(start, int) and start == 0 else count_of_updates(f"{call}(start=...)", start)
    counts = _counts(start)
    known = {int(count) for count in counts if numerics.is_concrete(count)}  # traced ones are taken to agree
    if not counts or len(known) > 1:
        found = ", ".join(map(str, sorted(known))) or "none"
        raise ValueError(
            f"{call}(start=...): expected a number of updates, or an optimizer state with one count, got counts: {found}."
            " Hint: pass the part of the state that you mean, or the number"
        )
    return count_of_updates(f"{call}(start=...)", counts[0])


def _counts(state: Any) -> list[Any]:
    """The counts of updates in an optimizer state: ours, or those of optax's schedules, or else any other."""
    leaves = {path: array_of(leaf) for path, leaf in leaves_of(state)}
    beside = {path: {other[-1] for other in leaves if other[:-1] == path[:-1]} for path in leaves}
    ours = [path for path in leaves if path[-1:] == ("step",) and "used" in beside[path]]
    counts = [path for path in leaves if path[-1:] in (("count",), ("gradient_step",)) and not beside[path] & _CYCLIC]
    schedules = [path for path in counts if beside[path] == {"count"} or "hyperparams" in path[-2:-1]]
    chosen = ours or schedules or counts
    return [leaves[path] for path in chosen if np.shape(leaves[path]) == () and _is_whole(leaves[path])]


_CYCLIC = {"plateau_count", "grad_acc"}  # beside a count that begins again: of reduce_on_plateau and of apply_every


def _is_whole(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.integer)
