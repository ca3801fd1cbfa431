"""The base of PyTorch's schedulers: each is a schedule, and also a change of the current rate.

A PyTorch scheduler mutates its optimizer's rate step by step, and always linearly: at step t the rate r becomes
`scale · r + offset`. Alone, from a base rate, nearly all have a closed form, which is the schedule in this dialect. The linear
changes matter where several schedulers change one rate in turn: a chain composes them, and without a closed form `InPlace`
applies them step by step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.algebra.arguments import check_count, is_empty
from lrsched.algebra.double import BoundedInt
from lrsched.algebra.node import child, node
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Condition, Real, Schedule, ready
from lrsched.algebra.written import shown, unexpected
from lrsched.dialects.shared import GROUPS, documented
from lrsched.views.formula import Formula, Where, formula, written
from lrsched.views.phases import Phases, name_of, one_phase, phases

_FEW, _TABLE, _BLOCK = 2**12, 2**20, 2**10  # steps
_MOST = 2**18  # the most steps to evaluate for the phases of a chain without a closed form


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
_ALONE = "its rates are arguments, so that there is no optimizer"


def entries(table: Any) -> list[Any]:
    """The steps in a table, each possibly a batch; none if there is no table."""
    return [] if table is None else [table[..., i][()] for i in range(np.shape(table)[-1])]


def _checked_children(call: str, schedulers: Any) -> tuple[Schedule, ...]:
    if isinstance(schedulers, Schedule) or not isinstance(schedulers, (list, tuple)):
        raise TypeError(unexpected(call, "schedulers", schedulers, "a list of schedules"))
    if not schedulers:
        raise ValueError(unexpected(call, "schedulers", schedulers, "at least one schedule"))
    return tuple(schedulers)


class Scheduler(Schedule):
    """The base of schedules with PyTorch names. Alone it equals `composed`; in a chain it replaces the current rate.

    A known number that is not finite, or not within the bounds stated in `Args`, raises a ValueError.
    """

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith(f"{__package__}."):  # not a user's subclass
            documented(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        del kwargs
        if args and (hasattr(args[0], "param_groups") or isinstance(args[0], optax.GradientTransformation)):
            hint = BASE if any(spec.hint == BASE for _, spec in cls._numbers) else _ALONE
            raise TypeError(unexpected(cls.__name__, "optimizer", args[0], "no optimizer", hint))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name in self._children:
            self.__dict__[name] = _checked_children(self._maker, getattr(self, name))
        for field, spec in self._numbers:
            if spec.rank and is_empty(getattr(self, field.name)):
                self.__dict__[field.name] = None  # a table has at least one entry
        numbers = {field.name: getattr(self, field.name) for field, spec in self._numbers if not spec.rank}
        lists = [name for name, x in numbers.items() if type(x) in (list, tuple)]  # an optimizer is a named tuple
        if lists and len(lists) < max(2, sum(x is not None for x in numbers.values())):  # rates by group, not a batch
            raise ValueError(unexpected(self._maker, lists[0], numbers[lists[0]], "one number", GROUPS))
        super().__post_init__()
        for field, spec in self._numbers:
            check_count(self._maker, field.name, getattr(self, field.name), spec)
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            fn = getattr(self, field.name)
            if "Callable" in str(field.type) and not (callable(fn) or fn is field.default):
                hint = GROUPS if isinstance(fn, list) else ""
                raise TypeError(unexpected(self._maker, field.name, fn, "a function of the step", hint))

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


@node
class InPlace(Schedule):
    """The rate of a scheduler without a closed form, changed step by step from the base rate on.

    The first 1,048,576 steps are computed on the host in float64, and looked up. Later steps, and all steps if numbers are
    traced, are each computed from the one before in 48 bits, so the time of a call grows with the step. A user's function
    returns float32 there, so its rounding errors accumulate.

    Args:
        scheduler: a scheduler of this dialect.

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
        if self.scheduler.sets:
            return self.scheduler.change(t).offset
        step = _whole(t)
        if numerics.is_concrete(*jax.tree.leaves(self)):
            few, known = (numerics.is_concrete(step) and np.all(step < count) for count in (_FEW, _TABLE))
            with contextlib.suppress(jax.errors.JAXTypeError):  # raised by a function that uses a traced number
                table = _table(self.scheduler, _FEW if few else _TABLE, numerics.largest())
                if known:
                    return table[step]
                late = _walked(self.scheduler, step, _TABLE, table[-1])
                return jnp.where(step < _TABLE, numerics.pick(table, jnp.minimum(step, _TABLE - 1)), late)
        return _reversible(self.scheduler, step)


def _whole(t: Real) -> Any:
    """The whole part of a time, as an int32."""
    t = numerics.clip(numerics.floor(t), 0.0, 2.0**31 - 1)
    if numerics.is_concrete(t):
        return np.asarray(numerics.to_float64(t), np.int32)
    return t.value if isinstance(t, BoundedInt) else sum(x.astype(jnp.int32) for x in jax.tree.leaves(t))


@functools.lru_cache(8)
def _table(scheduler: Scheduler, count: int, most: float) -> np.ndarray:
    """The rates of the first steps, in float64, even for functions that use `jax.numpy`."""
    library: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")  # in older versions
    steps, start = np.arange(float(count)), float(numerics.to_float64(scheduler.base))
    with jax.ensure_compile_time_eval(), library.enable_x64(True), np.errstate(all="ignore"):
        scale, offset = (np.broadcast_to(np.asarray(x, np.float64), count).tolist() for x in scheduler.change(steps))
    changes = zip(scale, offset, strict=True)
    rates = itertools.accumulate(changes, lambda rate, change: change[0] * rate + change[1], initial=start)
    return np.clip([*rates][1:], -most, most)


def _reversible(scheduler: Scheduler, steps: Any) -> Any:
    """The rates at steps, with forward-mode derivatives, since JAX cannot reverse a loop with a traced end."""
    leaves, structure = jax.tree.flatten(scheduler)
    traced = [x for x in leaves if not numerics.is_concrete(x)]
    if not traced:  # a user's function holds a traced number, for which there is no rule
        return _walked(scheduler, steps, 0, scheduler.base)

    def walked(numbers: list[jax.Array], steps: jax.Array) -> Any:
        rest = iter(numbers)
        filled = jax.tree.unflatten(structure, [x if numerics.is_concrete(x) else next(rest) for x in leaves])
        return _walked(filled, steps, 0, filled.base)

    rates = jax.custom_jvp(walked)

    @rates.defjvp
    def moved(primals: Any, tangents: Any) -> Any:
        slopes = jax.jacfwd(walked)(*primals)
        return walked(*primals), sum(jnp.tensordot(x, dx, np.ndim(dx)) for x, dx in zip(slopes, tangents[0], strict=True))

    return rates([*map(jnp.copy, traced)], steps)  # copies: for a batch JAX would pass on NumPy arrays, and then fail


def _walked(scheduler: Scheduler, steps: Any, begin: int, rate: Real) -> Any:
    """The rates at steps from `begin` on, after a given rate, in blocks whose changes are computed at once."""

    def block(i: Any, state: tuple[Real, Any]) -> tuple[Real, Any]:
        rate, values = state
        t, _ = numerics.time_of(begin + i * _BLOCK + np.arange(_BLOCK, dtype=np.int32))
        wide = map(numerics.as_double, scheduler.change(t))
        changes = Change(*(jax.tree.map(lambda x: jnp.broadcast_to(x, (_BLOCK,)), x) for x in wide))
        rate = numerics.on_axes_of(changes, rate)
        rate, rates = jax.lax.scan(lambda rate, change: (change.scale * rate + change.offset,) * 2, rate, changes)
        row = steps - begin - i * _BLOCK
        found = numerics.to_float(rates)[jnp.clip(row, 0, _BLOCK - 1)]
        return rate, jnp.where((row >= 0) & (row < _BLOCK), found, values)

    blocks = (jnp.max(steps, initial=0) - begin) // _BLOCK + 1
    changes = scheduler.change(numerics.time_of(np.int32(begin))[0])
    rate = numerics.on_axes_of(changes, jax.tree.map(jnp.asarray, numerics.as_double(rate)))
    values = numerics.on_axes_of((rate, steps), jnp.zeros(np.shape(steps), numerics.float_type()))
    return jax.lax.fori_loop(0, blocks, block, (rate, values))[1]


@phases.register
def _(schedule: InPlace) -> Phases:
    inside = [phases(one) for one in schedule.scheduler._nodes()]
    corners = np.concatenate([[], *(one.corners for one in inside)])
    reach = max((one.reach for one in inside), default=0.0) or 1000.0
    return one_phase(schedule, min(reach, _MOST), corners[corners < _MOST])


@phases.register
def _(schedule: Scheduler) -> Phases:
    found = phases(schedule.composed)
    spans = found.spans if len(found.spans) > 1 else [span._replace(name=name_of(schedule)) for span in found.spans]
    return dataclasses.replace(found, spans=spans)


formula.register(Scheduler, lambda schedule, t, where: formula(schedule.composed, t, where))


@formula.register
def _(schedule: InPlace, t: Formula, where: Where) -> Formula:
    scheduler = schedule.scheduler
    if isinstance(scheduler, Multiplying):  # a MultiplicativeLR
        factor = formula(ls.Function(scheduler.lr_lambda), Formula("j"), where)  # pyright: ignore[reportAttributeAccessIssue]
        return Formula(rf"{written(scheduler.base).text} \cdot \prod_{{j=1}}^{{{t.text}}} {factor.text}")
    rule = rf"\text{{{type(scheduler).__name__} applied to }} u_{{j - 1}}"
    where[schedule, rf"{rule},\quad u_{{-1}} = {written(scheduler.base).text}"] = Formula("u_{j}")
    return Formula(rf"u_{{{t.text}}}")
