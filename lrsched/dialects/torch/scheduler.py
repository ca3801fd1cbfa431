"""What a PyTorch scheduler is: a schedule by itself, and a change of the rate that it finds.

A scheduler of PyTorch mutates the rate of its optimizer, step by step. All of them do so by a line: at step t the rate r
becomes `scale(t) · r + offset(t)`. Alone, from a base rate, each has a closed form, and that is the schedule of the dialect.
The lines matter where several schedulers change one rate in turn: composing them is what a chain does.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count
from lrsched.algebra.node import child, leaf, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Schedule, ready
from lrsched.algebra.sequence import join
from lrsched.algebra.written import unexpected
from lrsched.dialects.shared import GROUPS


class Change(NamedTuple):
    """A change of a rate in place: at step t it becomes `scale(t)` times what it was, plus `offset(t)`."""

    scale: Schedule
    offset: Schedule

    def then(self, other: Change) -> Change:
        """This change and another one after it, within each step."""
        if other.replaces:
            return other
        scale = self.scale if self.replaces else other.scale * self.scale
        return Change(scale, other.scale * self.offset + other.offset)

    @property
    def replaces(self) -> bool:
        """Whether it is known not to care what the rate was."""
        return self.scale == Constant(0.0)

    def first(self, scale: Schedule | Number, offset: Schedule | Number) -> Change:
        """This change with another one in its place at step 0."""
        return Change(_replaced(self.scale, scale), _replaced(self.offset, offset))


def _replaced(schedule: Schedule, first: Schedule | Number) -> Schedule:
    first = first if isinstance(first, Schedule) else Constant(first)
    return schedule if first == schedule else join([first, schedule.drop(1)], [1])


def scaling(factors: Schedule) -> Change:
    """The change that multiplies with factors."""
    return Change(factors, Constant(0.0))


def setting(rates: Schedule) -> Change:
    """The change that replaces what it finds."""
    return Change(Constant(0.0), rates)


BASE = "the rate of the optimizer, in the place of the optimizer"
ALONE = "its rates are arguments, so that there is no optimizer"


def check_single_numbers(call: str, numbers: Mapping[str, Any]) -> None:
    """Raises an error for a list beside single numbers: PyTorch's rates by group, which would become a batch."""
    lists = [name for name, x in numbers.items() if type(x) in (list, tuple)]  # an optimizer is a named tuple
    if lists and len(lists) < max(2, sum(x is not None for x in numbers.values())):
        raise ValueError(unexpected(call, lists[0], numbers[lists[0]], "one number", GROUPS))


class Scheduler(Schedule):
    """The base of schedules under a PyTorch name. Subclasses define `composed`, and the change of the rate in place."""

    def __post_init__(self) -> None:
        check_single_numbers(
            self._maker, {field.name: getattr(self, field.name) for field, spec in self._numbers if not spec.rank}
        )
        super().__post_init__()
        for field, spec in self._numbers:
            check_count(self._maker, field.name, getattr(self, field.name), spec.unit)

    @functools.cached_property
    def composed(self) -> Schedule:
        """What it is made of: a schedule with the same values that any reader of the algebra understands."""
        raise NotImplementedError(f"{type(self).__name__}: expected a property composed.")

    @property
    def base(self) -> Number:
        """The base rate, from which the schedulers of one optimizer start."""
        return self.base_lr  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def multiplier(self) -> Schedule | None:
        """What it multiplies any rate with, where that is all it does in place; None if it does more."""

    @property
    def change(self) -> Change:
        """How it changes the rate that it finds, from its construction at step 0 on; by default it replaces it."""
        return setting(self.composed)

    @property
    def started(self) -> Schedule:
        """The schedule as a later child of a sequence, which starts it again from its base rate."""
        return self.composed

    @property
    def started_change(self) -> Change:
        """The change in place where a sequence starts it."""
        return self.change.first(0.0, self.started)

    def continued(self, rate: Schedule) -> Schedule:
        """The schedule as a later child of a sequence, if the rate is what it was before; most do not care."""
        del rate
        return self.started

    def at(self, t: Any) -> Any:
        return ready(self.composed).at(t)

    @property
    def length(self) -> Any:
        return self.composed.length


@node
class Recurrence(Schedule):
    """A rate that is changed in place step by step: `r(t) = scale(t) · r(t-1) + offset(t)` with `r(-1) = start`.

    It walks through the steps, so a call takes time in proportion to the last one. Between two steps it stands still. In a
    trace, the first 131,072 steps of known changes are walked beforehand, in float64, and looked up; any others are walked
    there, where every step rounds.

    Args:
        start: the rate before step 0.
        scale: a schedule, what each step multiplies the rate with.
        offset: a schedule, what each step adds.

    Raises:
        ValueError: if the start is not finite.

    >>> import lrsched as ls
    >>> from lrsched.dialects.torch import Recurrence
    >>> print(Recurrence(1.0, ls.Constant(0.5), ls.Constant(1.0))([0, 1, 2]))
    [1.5   1.75  1.875]

    References:
        PyTorch's `LRScheduler.step`.
    """

    start: Number = leaf()
    scale: Schedule = child()
    offset: Schedule = child()

    def at(self, t: Any) -> Any:
        step = numerics.as_value(numerics.maximum(t, 0.0))
        if numerics.is_concrete(step, *jax.tree.leaves(self)):
            return self._walked_on_host(np.floor(step))
        step = jnp.floor(numerics.to_float(step)).astype(np.int32)
        rates = self._walked_beforehand()
        if rates is None:
            return self._walked_in_trace(step, 0, self.start)
        inside = numerics.pick(rates, jnp.minimum(step, _BEFOREHAND - 1))
        return jnp.where(step < _BEFOREHAND, inside, self._walked_in_trace(step, _BEFOREHAND, rates[-1]))

    def _walked_beforehand(self) -> Any:
        """The first rates, where the changes are known, and the start too unless it is only multiplied; or None."""
        known = numerics.is_concrete(self.start)
        if not numerics.is_concrete(*jax.tree.leaves((self.scale, self.offset))) or not (known or self.offset == Constant(0.0)):
            return None
        of_one = self if known else Recurrence(1.0, self.scale, self.offset)
        try:
            with jax.ensure_compile_time_eval(), np.errstate(all="ignore"):  # a function may use jax.numpy
                rates = numerics.saturated(of_one._walked_on_host(np.arange(float(_BEFOREHAND))))
        except TypeError:  # from JAX, of a function that uses a traced number which is no argument of it
            return None
        return rates if known else self.start * rates

    def _changes(self, steps: Any) -> tuple[Any, Any]:
        t, _ = numerics.time_of(steps)
        return self.scale.at(t), self.offset.at(t)

    def _walked_on_host(self, step: Any) -> Any:
        rate, values = float(numerics.to_float64(self.start)), np.zeros(np.shape(step))
        for begin in range(0, int(np.max(step, initial=0.0)) + 1, _CHUNK):
            steps = np.arange(begin, begin + min(_CHUNK, int(np.max(step)) + 1 - begin))
            changes = zip(*(np.broadcast_to(x, steps.shape).tolist() for x in self._changes(steps)), strict=True)
            rates = list(itertools.accumulate(changes, lambda r, change: change[0] * r + change[1], initial=rate))[1:]
            rate, inside = rates[-1], (steps[0] <= step) & (step <= steps[-1])
            values = np.where(inside, np.asarray(rates)[np.where(inside, step - begin, 0).astype(int)], values)
        return values[()]

    def _walked_in_trace(self, step: Any, begin: int, rate: Any) -> Any:
        """The walk from a step on, before which there was a rate."""
        # A loop of unknown length has derivatives in forward mode only: they are taken along with the value, and a gradient
        # is what is left to multiply with. Numbers that are known stay known.
        leaves, tree = jax.tree.flatten((self.scale, self.offset))
        traced = [i for i, x in enumerate(leaves) if not numerics.is_concrete(x)]

        def walk(numbers: list[Any], step: Any) -> Any:
            rate, *numbers = numbers
            changed = dict(zip(traced, numbers, strict=True))
            changes = tree.unflatten([changed.get(i, x) for i, x in enumerate(leaves)])

            def body(state: Any) -> Any:
                now, rate, values = state
                t, _ = numerics.time_of(now)
                scale, offset = (numerics.to_float(ready(schedule).at(t)) for schedule in changes)
                rate = scale * rate + offset
                return now + 1, rate, jnp.where(step == now, rate, values)

            start = jnp.asarray(begin, np.int32), rate, jnp.zeros(step.shape, numerics.float_type())
            last = jnp.max(step, initial=0)
            return jax.lax.while_loop(lambda state: state[0] <= last, body, start)[2]

        walked = jax.custom_jvp(walk)

        @walked.defjvp
        def _(primals: Any, tangents: Any) -> Any:
            slopes = jax.jacfwd(walk)(*primals)
            return walked(*primals), sum(
                (jnp.tensordot(slope, tangent, np.ndim(tangent)) for slope, tangent in zip(slopes, tangents[0], strict=True)),
                start=jnp.zeros(step.shape, numerics.float_type()),
            )

        return walked([numerics.to_float(x) for x in (rate, *(leaves[i] for i in traced))], step)

    @property
    def length(self) -> Any:
        return np.inf


_CHUNK = 2**16
_BEFOREHAND = 2**17  # steps
