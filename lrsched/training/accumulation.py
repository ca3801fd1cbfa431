"""Gradient accumulation: what clocks observe when one update consists of several small batches."""

from __future__ import annotations

import contextvars
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra.node import checked_choice
from lrsched.algebra.written import unexpected
from lrsched.clocks.clock import Clock
from lrsched.clocks.observations import WAYS, Gathered, Observations, gather, merged, nothing_gathered, warn_of_missing
from lrsched.training.parts import AppliedState, leaves_of
from lrsched.training.transform import FINDERS, typed_as


class AccumulateState(NamedTuple):
    """The state of `accumulate`: the observations since the last update, by name, and the state of `optax.MultiSteps`."""

    gathered: dict[str, Gathered]
    multi_steps: Any  # an `optax.MultiStepsState`
    # `optax.MultiSteps.has_updated` reads these.
    mini_step = property(lambda self: self.multi_steps.mini_step)
    gradient_step = property(lambda self: self.multi_steps.gradient_step)


def accumulate(multi_steps: optax.MultiSteps) -> optax.GradientTransformationExtraArgs:
    """Lets the clocks inside `optax.MultiSteps` observe all small batches of an update, not only the last one.

    Without it, a `Counter` inside `MultiSteps(optimizer, k)` counts only 1/k of the tokens, and nothing can detect that.

    Each clock sees one number per update, combined as its `combine` says: a `Plateau` sees the mean, a `Counter` the exact
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
        context.run(FINDERS.set, (*FINDERS.get(), clocks))
        state = context.run(multi_steps.init, params)
        applied = leaves_of(state, lambda x: isinstance(x, AppliedState)).values()
        if len(clocks) < sum(len(x.clocks) for x in applied if isinstance(x, AppliedState)):
            raise ValueError(
                "accumulate(...): expected an optimizer whose init runs each time, got one that is compiled inside."
                " Hint: jit the init of accumulate(...) instead."
            )
        for clock in clocks:
            checked_choice(type(clock).__name__, "combine", clock.combine, WAYS)
        names = sorted({name for clock in clocks for name in clock.monitors})
        ways = {name: sorted({clock.combine for clock in clocks if name in clock.monitors}) for name in names}
        return AccumulateState({name: nothing_gathered(ways[name]) for name in names}, state)

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
                gathered[name] = gather(name, before, given[name])
                if name in named and "mean" in before.totals:  # for other transforms, the mean so far
                    named[name] = gathered[name].combined("mean")
        if mapping := {**(observations or {}), **gathered}:
            named["observations"] = mapping
        updates, after = multi_steps.update(updates, state.multi_steps, params, **named)
        done = after.gradient_step != state.gradient_step
        rejected = ~done & (after.mini_step == state.mini_step)
        fresh = {name: nothing_gathered(one.totals) for name, one in gathered.items()}
        kept = jax.tree.map(
            lambda new, old, first: jnp.where(done, first, jnp.where(rejected, old, new)), gathered, state.gathered, fresh
        )
        return updates, AccumulateState(typed_as(state.gathered, kept), after)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]
