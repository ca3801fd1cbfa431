"""What a PyTorch scheduler is: a schedule by itself, and a change of the rate that it finds.

A scheduler of PyTorch mutates the rate of its optimizer, step by step. All of them do so by a line: at step t the rate r
becomes `scale · r + offset`. Alone, from a base rate, nearly all have a closed form, and that is the schedule of the dialect.
The lines matter where several schedulers change one rate in turn: composing them is what a chain does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count
from lrsched.algebra.node import child, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Condition, Real, Schedule, ready
from lrsched.algebra.written import shown, unexpected
from lrsched.dialects.shared import GROUPS


class Change(NamedTuple):
    """What a step makes of a rate: `scale` times what it was, plus `offset`."""

    scale: Real
    offset: Real

    def then(self, other: Change) -> Change:
        """This change and another one after it, within the step."""
        return Change(other.scale * self.scale, other.scale * self.offset + other.offset)

    def unless(self, condition: Condition, other: Change) -> Change:
        """This change, but the other one where the condition holds."""
        return Change(*(numerics.where(condition, x, y) for x, y in zip(other, self, strict=True)))


def setting(rate: Real) -> Change:
    """The change that replaces what it finds."""
    return Change(0.0, rate)


BASE = "the rate of the optimizer, in the place of the optimizer"
ALONE = "its rates are arguments, so that there is no optimizer"


def entries(table: Any) -> list[Any]:
    """The steps in a table, each of which may be a batch; none of no table."""
    return [] if table is None else [table[..., i][()] for i in range(np.shape(table)[-1])]


class Scheduler(Schedule):
    """The base of schedules under a PyTorch name. By itself it is `composed`; in place it replaces the rate that it finds.

    A known number that is not finite, or not within the bounds that `Args` states, raises a ValueError.
    """

    _instead: ClassVar[str] = BASE  # of an optimizer

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        del kwargs
        if args and (hasattr(args[0], "param_groups") or isinstance(args[0], optax.GradientTransformation)):
            raise TypeError(unexpected(cls.__name__, "optimizer", args[0], "no optimizer", cls._instead))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field, spec in self._numbers if not spec.rank}
        lists = [name for name, x in numbers.items() if type(x) in (list, tuple)]  # an optimizer is a named tuple
        if lists and len(lists) < max(2, sum(x is not None for x in numbers.values())):  # rates by group, and no batch
            raise ValueError(unexpected(self._maker, lists[0], numbers[lists[0]], "one number", GROUPS))
        super().__post_init__()
        for field, spec in self._numbers:
            check_count(self._maker, field.name, getattr(self, field.name), spec)

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
    def in_place(self) -> bool:
        """Whether a rate depends on the one before it."""
        return False

    def change(self, t: Real) -> Change:
        """How step t changes the rate, from the construction at step 0 on."""
        return setting(self.at(t))

    @property
    def started(self) -> Schedule:
        """The schedule as a later child of a sequence, which starts it again from its base rate."""
        return self.composed

    def started_change(self, t: Real) -> Change:
        """How step t changes the rate from the step on at which a sequence starts it."""
        return self.change(t).unless(t < 1, setting(ready(self.started).at(0.0)))

    def continued(self, rate: Schedule) -> Schedule:
        """The schedule as a later child of a sequence, if the rate is what it was before; most do not care."""
        del rate
        return self.started

    def at(self, t: Real) -> Real:
        try:
            return ready(self.composed).at(t)
        except (TypeError, ValueError) as error:  # of a function of the user
            error.add_note(f"in {shown(self)}")
            raise

    @property
    def length(self) -> Any:
        return self.composed.length


class Multiplying(Scheduler):
    """The base of schedulers that only multiply the rate that they find."""

    @property
    def multiplier(self) -> Schedule:
        return dataclasses.replace(self, base_lr=1.0).composed  # pyright: ignore[reportArgumentType, reportCallIssue]

    @property
    def in_place(self) -> bool:
        return True

    def ratio(self, t: Real) -> Real:
        """What step t multiplies with."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method ratio(t).")

    def change(self, t: Real) -> Change:
        return Change(self.ratio(t), 0.0)

    def _ratio_of_ramp(self, t: Real, steps: Number) -> Real:
        """The ratio of a value to the one before, for a number of steps."""
        values = ready(self.multiplier)
        moved = numerics.divide(values.at(t), values.at(numerics.maximum(t - 1.0, 0.0)))
        return numerics.where(t < 1, values.at(0.0), numerics.where(t < steps + 1.0, moved, 1.0))


@node
class InPlace(Schedule):
    """The rate that a scheduler makes of its base rate by changing it in place: what has no closed form.

    Its first 1,048,576 steps are walked on the host, in float64, and looked up. A later step raises an error, or counts as the
    last of them in a trace, where its value is not known. If numbers are traced it is walked in the trace, which takes
    time in proportion to the step, and rounds at each: this adds up to 1e-3
    of the value at step 10⁶ in one half of a cosine, and to 2e-2 after many.

    Args:
        scheduler: a scheduler of this dialect.

    Raises:
        ValueError: on a call, if a step is beyond the last.

    >>> from lrsched.dialects.torch import ChainedScheduler, CosineAnnealingLR, StepLR
    >>> print(ChainedScheduler([CosineAnnealingLR(1.0, T_max=4), StepLR(1.0, step_size=2)]).composed([0, 2, 4, 6]))
    [1.   0.05 0.   0.05]

    References:
        PyTorch's `LRScheduler.step`.
    """

    scheduler: Scheduler = child()

    @property
    def composed(self) -> Schedule:
        """Itself, for `expanded`."""
        return self

    def at(self, t: Real) -> Real:
        if not self.scheduler.in_place:
            return self.scheduler.change(t).offset
        step = numerics.as_value(numerics.maximum(t, 0.0))
        if numerics.is_concrete(step):
            if np.any(step >= _STEPS):
                expected, hint = f"a step below {_STEPS:,}", "write a closed form: a product a * b of schedules, or LambdaLR"
                raise ValueError(unexpected(type(self.scheduler).__name__, "step", int(np.max(step)), expected, hint))
            step = np.asarray(step, np.int32)
        else:
            step = jnp.minimum(numerics.to_float(step), _STEPS - 1).astype(np.int32)
        if numerics.is_concrete(*jax.tree.leaves(self)):
            few = numerics.is_concrete(step) and np.all(step < _FEW)
            with contextlib.suppress(jax.errors.JAXTypeError):  # of a function that uses a traced number
                return numerics.pick(_walked(self.scheduler, _FEW if few else _STEPS, numerics.largest()), step)
        return _walked_in_trace(self.scheduler, step) if numerics.is_concrete(step) else _reversible(self.scheduler, step)


def _reversible(scheduler: Scheduler, steps: Any) -> Any:
    """The rates at traced steps, with their forward-mode derivatives: JAX reverses no loop whose end is traced."""
    leaves, structure = jax.tree.flatten(scheduler)
    traced = [x for x in leaves if not numerics.is_concrete(x)]
    if not traced:  # but a function has a traced number, for which there is no rule
        return _walked_in_trace(scheduler, steps)

    def walked(numbers: list[jax.Array], steps: jax.Array) -> Any:
        rest = iter(numbers)
        filled = [x if numerics.is_concrete(x) else next(rest) for x in leaves]
        return _walked_in_trace(jax.tree.unflatten(structure, filled), steps)

    rates = jax.custom_jvp(walked)

    @rates.defjvp
    def moved(primals: Any, tangents: Any) -> Any:
        slopes = jax.jacfwd(walked)(*primals)
        return walked(*primals), sum(jnp.tensordot(x, dx, np.ndim(dx)) for x, dx in zip(slopes, tangents[0], strict=True))

    return rates(traced, steps)


def _walked_in_trace(scheduler: Scheduler, steps: Any) -> Any:
    """The rates at steps: by blocks, in each of which all changes are computed at once."""

    def block(i: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        rate, values = state
        t, _ = numerics.time_of(i * _BLOCK + np.arange(_BLOCK, dtype=np.int32))
        changes = [jnp.broadcast_to(numerics.to_float(x), (_BLOCK,)) for x in scheduler.change(t)]
        _, rates = jax.lax.scan(lambda rate, change: (change[0] * rate + change[1],) * 2, rate, changes)
        row = jnp.clip(steps - i * _BLOCK, 0, _BLOCK - 1)
        return rates[-1], jnp.where(steps // _BLOCK == i, rates[row], values)

    last = int(np.max(steps, initial=0)) if numerics.is_concrete(steps) else jnp.max(steps, initial=0)
    start = jnp.asarray(numerics.to_float(scheduler.base)), jnp.zeros(steps.shape, numerics.float_type())
    return jax.lax.fori_loop(0, last // _BLOCK + 1, block, start)[1]


_FEW, _BLOCK, _STEPS = 2**12, 2**10, 2**20


@functools.lru_cache(8)
def _walked(scheduler: Scheduler, count: int, most: float) -> np.ndarray:
    """The rates of the first steps, in float64, also by functions that use `jax.numpy`."""
    library: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")  # of an older version
    steps, start = np.arange(float(count)), float(numerics.to_float64(scheduler.base))
    with jax.ensure_compile_time_eval(), library.enable_x64(True), np.errstate(all="ignore"):
        scale, offset = (np.broadcast_to(np.asarray(x, np.float64), count) for x in scheduler.change(steps))
        if offset.any():
            changes = zip(scale.tolist(), offset.tolist(), strict=True)
            walk = itertools.accumulate(changes, lambda rate, change: change[0] * rate + change[1], initial=start)
            return np.clip([*walk][1:], -most, most)
        return np.clip(start * np.cumprod(scale), -most, most)
