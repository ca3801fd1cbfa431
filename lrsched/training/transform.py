"""Schedules in optax: gradient transformations that apply them."""

from __future__ import annotations

import contextvars
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked_choice, checked_flag
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.clock import Clock
from lrsched.clocks.observations import WAYS, Gathered, Observations, merged, monitored_by, warn_of_missing
from lrsched.clocks.running import ScheduleState, clocks_of, count_of_updates, during, evaluate, init, one_schedule, tick_with
from lrsched.training.live import packed
from lrsched.training.parts import AppliedState, Tree, counts_of, leaves_of

T = TypeVar("T")
# The lists that collect the clocks of all transforms whose `init` runs; see `accumulate`.
_finders: contextvars.ContextVar[tuple[list[Clock], ...]] = contextvars.ContextVar("finders", default=())


@dataclasses.dataclass(frozen=True)
class Applied:
    """A schedule and its start, as every transform here applies it, with the protocol of an optax stateful schedule."""

    call: str  # the function that made the transform, for errors
    schedule: Schedule
    live: bool = False
    start: Number = 0  # the number of the first update
    warned: set[str] = dataclasses.field(default_factory=set, compare=False)  # the missing names already warned about

    def init(self) -> AppliedState:
        """The first state. Each of its leaves has its own buffer."""
        for clocks in _finders.get():
            clocks += clocks_of(self.schedule)
        state = init(self.schedule, self.start)
        return AppliedState(*state, evaluate(self.schedule, state), packed(self.schedule) if self.live else ())

    def __call__(self, state: AppliedState, /, *, observations: Observations | None = None, **named: object) -> jax.Array:
        """The value for the next update, given its observations."""
        return self._after(state, merged(self.call, observations, named)).used

    def update(self, state: AppliedState, /, *, observations: Observations | None = None, **named: object) -> AppliedState:
        """The state after an update."""
        given = merged(self.call, observations, named)
        warn_of_missing(self.call, monitored_by(clocks_of(self.schedule)), given, self.warned)
        return typed_as(state, self._after(state, given))

    def _after(self, state: AppliedState, given: Observations) -> AppliedState:
        clocks, live = (getattr(state, name, None) for name in ("clocks", "live"))
        if jax.tree.structure((clocks, live)) != self._structure:
            expected = f"the state that init gave for {shown(self.schedule)}"
            if self.call == "as_stateful" and not hasattr(state, "clocks"):
                hint = "a stateful schedule is an argument of optax.inject_hyperparams(optax.sgd), not of optax.sgd itself"
                raise TypeError(unexpected(self.call, "state", state, expected, hint))
            raise ValueError(
                f"{self.call}(...{', live=True' * self.live}): expected {expected},"
                f" got one with live={shown(live)} and clocks={shown(clocks)}."
                " Hint: replace_schedule(state, new) changes what a live schedule gives, and"
                " restore(optimizer.init(params), state, on_change='replace') goes on from a checkpoint with another schedule."
            )
        present, now = state.live if self.live else self.schedule, ScheduleState(state.step, state.clocks)
        after = tick_with(present, now, 1, given)
        return AppliedState(*after, evaluate(present, during(present, now, after)), state.live)

    @functools.cached_property
    def _structure(self) -> Any:
        clocks = tuple(clock.init() for clock in clocks_of(self.schedule))
        return jax.tree.structure((clocks, packed(self.schedule) if self.live else ()))


def typed_as(old: Tree, new: T) -> T:
    """A state with the dtypes of the previous one, and no weak types."""

    def typed(a: Any, b: Any) -> Any:
        return jax.lax.convert_element_type(b, a.dtype) if hasattr(a, "dtype") and hasattr(b, "dtype") else b

    return jax.tree.map(typed, old, new) if jax.tree.structure(old) == jax.tree.structure(new) else new


@explained
def scale_by_learning_rate(
    schedule: ScheduleLike, *, flip_sign: bool = True, live: bool = False, start: Tree = 0
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by the learning rate of a schedule, pure or driven: the last link of an optax chain.

    Update number t is multiplied by `-schedule(t)`, cast to the update's dtype, as `optax.scale_by_learning_rate` does.

    Clocks observe what `update` receives by name, `optimizer.update(grads, state, params, value=loss)`, or in a mapping,
    `observations={"value": loss}`. Other names are ignored. An update without a monitored name warns once; `value=None` says
    that this is deliberate. With `optax.MultiSteps`, use `accumulate`.

    Args:
        schedule: the schedule, a number for a constant rate, or any function of the step. It may be traced.
        flip_sign: whether to multiply by minus the rate, for descent.
        live: whether the schedule is part of the state, so that `get_schedule` reads it, `replace_schedule` changes its numbers
            without compiling, and `observe` needs no schedule. The numbers keep 48 bits, and whole lengths are exact to 2³¹.
        start: the number of the first update, if another optimizer made those before; or the state of that optimizer.

    Raises:
        TypeError: if it is not a schedule, number or function; from `update`, if a monitored name seems misspelt.
        ValueError: if it is a batch (map over it with `jax.vmap`); or if `start` is a state with no count, or with several.

    Warns:
        UserWarning: from `update`, once, if a monitored name is missing.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(ls.warmup_cosine(0.1, 10, 100)))
    >>> params = jnp.ones(3)
    >>> state = optimizer.init(params)
    >>> for _ in range(6):
    ...     updates, state = optimizer.update(params, state, params)
    >>> print(ls.learning_rate(state))
    0.05
    """
    applied = applied_as("scale_by_learning_rate", schedule, live, start)
    return scaled_by(applied, flip_sign, lambda rate, updates: jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates))


def scaled_by(
    applied: Applied, flip_sign: bool, scale: Callable[[jax.Array, optax.Updates], optax.Updates]
) -> optax.GradientTransformationExtraArgs:
    """The transform that scales updates by the value of a schedule, with `scale(value, updates)`."""
    flip_sign = checked_flag(applied.call, "flip_sign", flip_sign)

    def update_fn(
        updates: optax.Updates, state: AppliedState, params: optax.Params | None = None, **observations: Any
    ) -> tuple[optax.Updates, AppliedState]:
        del params
        after = applied.update(state, **observations)
        return scale(-after.used if flip_sign else after.used, updates), after

    return optax.GradientTransformationExtraArgs(lambda _: applied.init(), update_fn)  # pyright: ignore[reportArgumentType]


def applied_as(
    call: str, schedule: ScheduleLike, live: bool, start: Tree, name: str = "schedule", warned: set[str] | None = None
) -> Applied:
    """The schedule that a transform applies, after checking the user's arguments."""
    schedule, live = one_schedule(call, schedule, name), checked_flag(call, "live", live)
    return Applied(call, schedule, live, updates_made(call, start), set() if warned is None else warned)


def updates_made(call: str, start: Tree) -> Number:
    """The number of updates made before the first one: a number, or the count in an optimizer state."""
    if isinstance(start, int) and start == 0:
        return 0
    if not numerics.is_number(start):
        counts = counts_of(start)
        known = {int(count) for count in counts if numerics.is_concrete(count)}  # traced counts are assumed to agree
        if not counts or len(known) > 1:
            found = ", ".join(map(str, sorted(known))) or "none"
            raise ValueError(
                f"{call}(start=...): expected a number of updates, or an optimizer state with one count, got counts: {found}."
                " Hint: pass the part of the state that you mean, or the number."
            )
        start = counts[0]
    return count_of_updates(f"{call}(start=...)", start)


# Gradient accumulation: what clocks observe when one update consists of several small batches.


class AccumulateState(NamedTuple):
    """The state of `accumulate`: the observations since the last update, by name, and the state of `optax.MultiSteps`."""

    gathered: dict[str, Gathered]
    multi_steps: Any  # an `optax.MultiStepsState`
    # `optax.MultiSteps.has_updated` reads these.
    mini_step = property(lambda self: self.multi_steps.mini_step)
    gradient_step = property(lambda self: self.multi_steps.gradient_step)


@explained
def accumulate(multi_steps: optax.MultiSteps) -> optax.GradientTransformationExtraArgs:
    """Lets the clocks inside `optax.MultiSteps` observe all small batches of an update, not only the last one.

    Without it, a `Counter` inside `MultiSteps(optimizer, k)` counts only 1/k of the tokens, and nothing can detect that.

    Each clock gets one number per update, combined as its `combine` says: a `Plateau` gets the mean, a `Counter` the exact
    sum. Small batches without an observation, or rejected by `should_skip_update_fn`, do not count. Other transforms that
    take a monitored name receive the mean so far.

    Args:
        multi_steps: the accumulation, with the optimizer inside.

    Raises:
        TypeError: if it is not an `optax.MultiSteps`; from `update`, as `scale_by_learning_rate`.
        ValueError: from `init`, if a clock has an unknown `combine`.

    Warns:
        UserWarning: from `update`, once, if a monitored name is missing.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> s = ls.Linear(1.0, 0.0, 1000).on(ls.Counter("tokens"))
    >>> optimizer = ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(s), 4))
    >>> state = optimizer.init(jnp.ones(3))
    >>> for _ in range(12):  # three updates, of 400 tokens each
    ...     _, state = optimizer.update(jnp.ones(3), state, tokens=100)
    >>> print(ls.learning_rate(state))
    0.2
    """
    if not isinstance(multi_steps, optax.MultiSteps):
        hint = "accumulate(optax.MultiSteps(optimizer, 4))"
        raise TypeError(unexpected("accumulate", "multi_steps", multi_steps, "an optax.MultiSteps", hint))
    warned = set[str]()

    def init_fn(params: optax.Params) -> AccumulateState:
        clocks, context = list[Clock](), contextvars.copy_context()
        context.run(_finders.set, (*_finders.get(), clocks))
        state = context.run(multi_steps.init, params)
        applied = leaves_of(state, lambda x: isinstance(x, AppliedState)).values()
        if len(clocks) < sum(len(x.clocks) for x in applied if isinstance(x, AppliedState)):
            raise ValueError(
                "accumulate(...): expected an optimizer whose init runs each time, got one that is compiled inside."
                " Hint: jit the init of accumulate(...) instead."
            )
        for clock in clocks:
            checked_choice(type(clock).__name__, "combine", clock.combine, WAYS)
        ways = {name: sorted({clock.combine for clock in clocks if name in clock.monitors}) for name in monitored_by(clocks)}
        return AccumulateState({name: Gathered.nothing(those) for name, those in ways.items()}, state)

    def update_fn(
        updates: optax.Updates,
        state: AccumulateState,
        params: optax.Params | None = None,
        *,
        observations: Observations | None = None,
        **named: Any,
    ) -> tuple[optax.Updates, AccumulateState]:
        given = merged("accumulate", observations, named)
        warn_of_missing("accumulate", state.gathered, given, warned)
        gathered = dict(state.gathered)
        for name, before in state.gathered.items():
            if given.get(name) is not None:
                gathered[name] = before.plus(name, given[name])
                if name in named and "mean" in before.totals:  # for other transforms, the mean so far
                    named[name] = gathered[name].combined("mean")
        if mapping := {**(observations or {}), **gathered}:
            named["observations"] = mapping
        updates, after = multi_steps.update(updates, state.multi_steps, params, **named)
        done = after.gradient_step != state.gradient_step
        rejected = ~done & (after.mini_step == state.mini_step)
        fresh = {name: Gathered.nothing(one.totals) for name, one in gathered.items()}
        kept = jax.tree.map(
            lambda new, old, first: jnp.where(done, first, jnp.where(rejected, old, new)), gathered, state.gathered, fresh
        )
        return updates, AccumulateState(typed_as(state.gathered, kept), after)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]
