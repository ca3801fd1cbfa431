"""The base of PyTorch's schedulers: each is a schedule, and also a change of the current rate.

A PyTorch scheduler mutates its optimizer's rate step by step, and always linearly: at step t the rate r becomes
`scale · r + offset`. Alone, from a base rate, nearly all have a closed form, which is the schedule in this dialect. The linear
changes matter where several schedulers change one rate in turn: a chain composes them.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count
from lrsched.algebra.numerics import Number
from lrsched.algebra.pointwise import Constant
from lrsched.algebra.schedule import Condition, Real, Schedule, ready
from lrsched.algebra.written import shown, unexpected
from lrsched.dialects.shared import GROUPS


class Change(NamedTuple):
    """The change of a rate r at a step, to `scale · r + offset`."""

    scale: Real
    offset: Real

    def then(self, other: Change) -> Change:
        """This change and another one after it, within the step."""
        return Change(other.scale * self.scale, other.scale * self.offset + other.offset)

    def unless(self, condition: Condition, other: Change) -> Change:
        """This change, but the other one where the condition holds."""
        return Change(*(numerics.where(condition, x, y) for x, y in zip(other, self, strict=True)))


def setting(rate: Real) -> Change:
    """The change that replaces the current rate."""
    return Change(0.0, rate)


def moved(values: Schedule, t: Real) -> Real:
    """A value over that of the step before; 1 where that was 0.

    In a trace it has the digits of a `Double`: a product over many steps is then as exact as the values are.
    """
    now, before = (numerics.extended(ready(values).at(x)) for x in (t, numerics.maximum(t - 1.0, 0.0)))
    return numerics.where(before == 0.0, 1.0, now / numerics.where(before == 0.0, 1.0, before))


BASE = "the rate of the optimizer, in the place of the optimizer"
ALONE = "its rates are arguments, so that there is no optimizer"


def entries(table: Any) -> list[Any]:
    """The steps in a table, each possibly a batch; none if there is no table."""
    return [] if table is None else [table[..., i][()] for i in range(np.shape(table)[-1])]


class Scheduler(Schedule):
    """The base of schedules with PyTorch names. Alone it equals `composed`; in a chain it replaces the current rate.

    A known number that is not finite, or not within the bounds stated in `Args`, raises a ValueError.
    """

    _instead: ClassVar[str] = BASE  # the hint for an optimizer

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        del kwargs
        if args and (hasattr(args[0], "param_groups") or isinstance(args[0], optax.GradientTransformation)):
            raise TypeError(unexpected(cls.__name__, "optimizer", args[0], "no optimizer", cls._instead))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field, spec in self._numbers if not spec.rank}
        lists = [name for name, x in numbers.items() if type(x) in (list, tuple)]  # an optimizer is a named tuple
        if lists and len(lists) < max(2, sum(x is not None for x in numbers.values())):  # rates by group, not a batch
            raise ValueError(unexpected(self._maker, lists[0], numbers[lists[0]], "one number", GROUPS))
        super().__post_init__()
        for field, spec in self._numbers:
            check_count(self._maker, field.name, getattr(self, field.name), spec)

    @functools.cached_property
    def composed(self) -> Schedule:
        """The same values as a schedule of the algebra."""
        raise NotImplementedError(f"{type(self).__name__}: expected a property composed.")

    @property
    def base(self) -> Number:
        """The base rate, from which the schedulers of one optimizer start."""
        return self.base_lr  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def multiplier(self) -> Schedule | None:
        """The factor for any rate, if it only multiplies the current rate; None if it does more."""

    @property
    def sets(self) -> bool:
        """Whether every step replaces the current rate."""
        return type(self).change is Scheduler.change

    def change(self, t: Real) -> Change:
        """How step t changes the rate, counting from its construction at step 0."""
        return setting(self.at(t))

    def continued(self, rate: Schedule) -> Schedule:
        """The schedule as a later child of a sequence, after a rate; most start from their base rate."""
        del rate
        return self.composed

    def started_change(self, t: Real) -> Change:
        """How step t changes the rate, counted from the step at which a sequence starts it."""
        first = ready(self.continued(Constant(self.base, 0.0))).at(0.0)
        return self.change(t).unless(t < 1, setting(first))

    def at(self, t: Real) -> Real:
        try:
            return ready(self.composed).at(t)
        except (TypeError, ValueError) as error:  # raised by a user's function
            error.add_note(f"in {shown(self)}")
            raise

    @property
    def length(self) -> Any:
        return self.composed.length


class Multiplying(Scheduler):
    """The base of schedulers that only multiply the current rate."""

    @property
    def multiplier(self) -> Schedule:
        return dataclasses.replace(self, base_lr=1.0).composed  # pyright: ignore[reportArgumentType, reportCallIssue]

    def ratio(self, t: Real) -> Real:
        """The factor of step t."""
        return numerics.where(t < 1, ready(self.multiplier).at(0.0), moved(self.multiplier, t))

    def change(self, t: Real) -> Change:
        return Change(self.ratio(t), 0.0)
