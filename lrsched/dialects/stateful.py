"""optax schedules with a state, as clocks."""

from __future__ import annotations

import inspect
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrsched.algebra import numerics
from lrsched.algebra.node import node, static
from lrsched.algebra.numerics import Number
from lrsched.algebra.written import unexpected
from lrsched.clocks.clock import Clock, Observed
from lrsched.training.transform import typed_as


class StatefulState(NamedTuple):
    schedule: Any  # the state of the schedule
    to_come: jax.Array  # its value for the next update, before any observation
    used: jax.Array  # the value that the last update used, which its observations may have changed


@node
class Stateful(Clock):
    """The value of an optax schedule with a state, as a time; see `from_optax`."""

    schedule: Any = static()

    @property
    def _named(self) -> dict[str, bool]:
        """The arguments of its methods other than the state, and whether each is required."""
        found = (p for one in (self.schedule, self.schedule.update) for p in [*inspect.signature(one).parameters.values()][1:])
        return {p.name: p.default is p.empty for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}

    @property
    def monitors(self) -> tuple[str, ...]:
        return tuple(name for name, needed in self._named.items() if needed)

    @property
    def unit(self) -> str:
        """The name of its class."""
        return type(self.schedule).__name__

    def init(self) -> StatefulState:
        state = jax.tree.map(jnp.copy, self.schedule.init())
        return StatefulState(typed_as(state, state), self._value(state), self._value(state))

    def tick(self, state: StatefulState, steps: Number, observations: Observed) -> StatefulState:
        if numerics.is_concrete(steps) and steps == 0:
            if {*observations} & {*(self._named or observations)}:
                hint = "give them to update: optax has no observations between two updates"
                raise TypeError(unexpected(self.unit, "steps", steps, f"no {', '.join(observations)} without an update", hint))
            return state
        if not {*self.monitors} <= {*observations}:
            return state._replace(used=jnp.copy(state.to_come))
        after = typed_as(state.schedule, self.schedule.update(state.schedule, **observations))
        new = StatefulState(after, self._value(after), self._value(state.schedule, observations))
        return jax.tree.map(lambda a, b: jnp.where(jnp.asarray(steps) > 0, a, b), new, state)

    def _value(self, state: Any, observations: Observed = types.MappingProxyType({})) -> jax.Array:
        return jnp.array(self.schedule(state, **observations), numerics.float_type()).reshape(())

    def read(self, state: StatefulState) -> jax.Array:
        return state.to_come

    def report(self, state: StatefulState) -> dict[str, Any]:
        return {self.unit: state.to_come}

    def _during(self, before: StatefulState, after: StatefulState) -> StatefulState:
        """As in `optax.inject_hyperparams`: the value for the state before the update and the observations of the update."""
        return before._replace(to_come=after.used)
