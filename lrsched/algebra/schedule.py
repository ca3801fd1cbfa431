"""Schedules, the operators on them, and the nodes those operators build.

A schedule denotes a function of time, ⟦s⟧ : time → value, and every operator is defined on those functions: ⟦a + b⟧(t) =
⟦a⟧(t) + ⟦b⟧(t), and so on. The laws in the tests follow from that (Elliott, *Denotational design with type class
morphisms*, 2009). Sequencing gives each schedule a length, as music does (Hudak, *An algebraic theory of polymorphic
temporal media*, 2003).

Each node below states its meaning in its docstring and in `at`, and has a `length`, the time from which it does not move
any more. A node that lets its parts keep their own time also has `spans`: which part runs when. That is all that clocks
need to know to tick inside it; a node without `spans` bends time, and cannot hold a driven schedule.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.meshes import put_like, sharded_like
from lrsched.algebra.node import Node, Spec, checked, child, choice, each_number, is_empty, leaf, node
from lrsched.algebra.numerics import Number, at_least, both, ceil, clip, opposite, ratio, rounded, snapped, where
from lrsched.algebra.numerics import maximum as higher
from lrsched.algebra.numerics import minimum as lower
from lrsched.algebra.written import shown, unexpected

Spans: TypeAlias = Iterator[tuple["Schedule", Any, Any]]  # (part, its own time, whether it is running)


if TYPE_CHECKING:

    class _Hyperparameter(Node, complex):
        """For type checkers: `jax.typing.ArrayLike`, as optax annotates hyperparameters. Not float, or `0.1 * s` were one."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...

else:
    _Hyperparameter = Node


class Schedule(_Hyperparameter):
    """An immutable pure function from a step to a value, and a pytree of the numbers that shape it.

    Calling it with a step, or with an array of steps, gives the value used by that update, float32 unless JAX's x64 is on,
    elementwise, of the shape of the steps, and sharded as they are. A batch of schedules gives batch shape + step shape.
    Steps are counted from 0; a step below 0 counts as 0. (What a clock reads does not: see `Driven`.) A step, like a number
    of a schedule, is of any type of real numbers, or has `__jax_array__`, like a variable.

    A schedule composes with `+ - * /`, `>>` (one after the other) and `@` (time warp), with other schedules, with numbers and
    with functions of the step. An array in the place of a number makes a batch.

    Numbers that are known are checked when it is made. Those that are traced are not: a negative length or rate counts as 0,
    so that what follows in a sequence keeps its own length, and no finite number gives a NaN, but for 0 / 0.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 0.1, 10) >> ls.Cosine(0.1, 0.0, 90) * 0.5
    >>> print(s(5), s([0, 55]), s.length)
    0.05 [0.    0.025] 100.0
    """

    _of_function: ClassVar[Callable[[Any], Schedule]]  # `Function`, which shapes.py puts here

    __array_ufunc__ = None  # or a NumPy array times a schedule becomes an array of objects

    def __post_init__(self) -> None:
        for field in self._children:
            if field.name != "clock":
                call = self._call or type(self).__name__
                self._change(field, functools.partial(as_schedule, call, field.name))
        super().__post_init__()

    def at(self, t: Any) -> Any:
        """The value at a time, which is below 0 only where a clock reads so."""
        raise NotImplementedError(f"{type(self).__name__} must define at(t)")

    @property
    def length(self) -> Any:
        """How many steps it lasts: `s(t) == s(s.length)` for every later t. `inf` if it never settles."""
        raise NotImplementedError(f"{type(self).__name__} must define length")

    def spans(self, t: Any) -> Spans:
        """The parts that keep their own time: each with that time and whether it is running. None by default."""
        del t
        yield from ()

    def __call__(self, step: Number | list[Any] | tuple[Any, ...]) -> jax.Array:
        """The value at a step or an array of steps.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10)(4))
        0.4
        """
        if batch := self.batch_shape:
            return _call_batch(self, batch, step)
        return sharded_like(step, _call, self)

    @property
    def _ready(self) -> Schedule:
        """The schedule with its known numbers on the host, and those of traced ones that count time with all their digits."""
        return self if self._is_of_floats else each_number(self, _ready_number)

    @functools.cached_property
    def _is_of_floats(self) -> bool:
        return all(type(x) is float for x in jax.tree.leaves(self))

    def __bool__(self) -> bool:
        raise TypeError(f"a schedule is neither true nor false: {shown(self)}; compare with ==, or call it with a step")

    # Operators: each delegates to a named node, and leaves what it does not know to the other operand.

    def __add__(self, other: ScheduleLike) -> Schedule:
        return _operated("+", self, other)

    def __radd__(self, other: ScheduleLike) -> Schedule:
        return _operated("+", other, self)

    def __sub__(self, other: ScheduleLike) -> Schedule:
        return _operated("-", self, other)

    def __rsub__(self, other: ScheduleLike) -> Schedule:
        return _operated("-", other, self)

    def __mul__(self, other: ScheduleLike) -> Schedule:
        return _operated("*", self, other)

    def __rmul__(self, other: ScheduleLike) -> Schedule:
        return _operated("*", other, self)

    def __truediv__(self, other: ScheduleLike) -> Schedule:
        return _operated("/", self, other)

    def __rtruediv__(self, other: ScheduleLike) -> Schedule:
        return _operated("/", other, self)

    def __neg__(self) -> Schedule:
        return Pointwise("neg", (self,))

    def __pow__(self, exponent: Any, modulus: Any = None) -> NoReturn:
        del modulus
        power = shown(exponent)
        raise TypeError(
            f"schedule ** {power}: schedules have no powers. Hint: write s * s, or Function(lambda t: s(t) ** {power})"
        )

    def __rshift__(self, other: ScheduleLike) -> Schedule:
        return _operated(">>", self, other)

    def __rrshift__(self, other: Callable[[Any], Any]) -> Schedule:
        return _operated(">>", other, self)

    def __matmul__(self, other: ScheduleLike) -> Schedule:
        return _operated("@", self, other)

    def __rmatmul__(self, other: ScheduleLike) -> Schedule:
        return _operated("@", other, self)

    # Methods

    def then(self, other: ScheduleLike) -> Schedule:
        """The schedule for its length, then `other` on its own time from 0; also spelled `self >> other`.

        Its length is the sum of theirs. At the boundary `other` counts.

        Args:
            other: a schedule, a number for ever, or a function of the step.

        Raises:
            TypeError: if the other is none of these.
            ValueError: if this one goes on for ever: give it a length with `.take(n)`.

        >>> import lrsched as ls
        >>> print((ls.Linear(0.0, 1.0, 10) >> ls.Linear(1.0, 0.0, 40) >> 0.1)([30, 50]))
        [0.5 0.1]
        """
        sides = (self, as_schedule("then", "other", other))
        return Sequence(tuple(part for s in sides for part in (s.parts if isinstance(s, Sequence) else (s,))))

    def warp(self, time: ScheduleLike) -> Schedule:
        """The schedule at the time that another one gives, `t ↦ self(time(t))`; also spelled `self @ time`.

        A time below 0 counts as 0. What is made of `Time()`, plus and times known numbers, and the methods that move time is
        exact; inside jit, any other time is a float32, exact to the step up to 2**24.

        Args:
            time: a schedule whose value is a number of steps, a number, or a function of the step.

        Raises:
            TypeError: if it is none of these, or either is driven.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).warp(ls.Constant(3.0)))
        Linear(0.0, 1.0, 10) @ Constant(3.0)
        """
        return Warp(self, as_schedule("warp", "time", time))

    def take(self, steps: Number) -> Schedule:
        """The schedule for so many steps, then held where it is: `t ↦ self(min(t, steps))`, of length `steps`.

        Args:
            steps: a number of steps, >= 0; more than its length make it that much longer.

        >>> import lrsched as ls
        >>> print(ls.Exponential(1.0, 0.5).take(2)([1, 2, 3]))
        [0.5  0.25 0.25]
        """
        return Take(self, steps)

    def drop(self, steps: Number) -> Schedule:
        """The schedule without its first steps: `t ↦ self(t + steps)`, as much shorter.

        Args:
            steps: a number of steps, >= 0.

        Raises:
            TypeError: if the schedule is driven.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).drop(5)([0, 1]))
        [0.5 0.6]
        """
        return Drop(self, steps)

    def delay(self, steps: Number) -> Schedule:
        """The schedule so many steps later, its first value held until then: `t ↦ self(max(t - steps, 0))`, as much longer.

        Args:
            steps: a number of steps, >= 0.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).delay(5)([4, 5, 10]))
        [0.  0.  0.5]
        """
        return Delay(self, steps)

    def stretch(self, factor: Number) -> Schedule:
        """The schedule so many times slower: `t ↦ self(t / factor)`, `factor` times as long.

        `s.stretch(n).staircase(n)` is a schedule s that was written in epochs of n steps and moves once an epoch.

        Args:
            factor: a number above 0.

        Raises:
            TypeError: if the schedule is driven.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).stretch(100)(500))
        0.5
        """
        return Stretch(self, factor)

    def staircase(self, every: Number) -> Schedule:
        """The schedule, moving only every so many steps: `t ↦ self(every · ⌊t / every⌋)`.

        Its length is that of the schedule, rounded up to whole stairs.

        Args:
            every: a number of steps above 0.

        Raises:
            TypeError: if the schedule is driven.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).staircase(5)([4, 5, 9, 10]))
        [0.  0.5 0.5 1. ]
        """
        return Staircase(self, every)

    def reverse(self) -> Schedule:
        """The schedule backwards: `t ↦ self(length - t)`, and its first value from its length on.

        Raises:
            TypeError: if the schedule is driven.
            ValueError: if it never settles, and so has no end to begin with.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).reverse()([0, 1, 10]))
        [1.  0.9 0. ]
        """
        return Reverse(self)

    def repeat(self, n: Number | None = None, stretch: Number | None = None, scale: Number | None = None) -> Schedule:
        """The schedule n times over; each cycle `stretch` times longer and `scale` times higher than the one before.

        Cycle c = 0, 1, … is `u ↦ scale^c · self(u / stretch^c)` on its own time u, for `stretch^c · length` steps.

        Args:
            n: the number of cycles, >= 1, rounded to a whole one; after the last its end is held. None: for ever.
            stretch: a number above 0, and at least 1 if it is to go on for ever. None: 1, known before any number is, so
                that finding the cycle is a division, cheap and exact also where numbers are traced.
            scale: a number. None: 1.

        Raises:
            TypeError: if the schedule is driven.
            ValueError: if it never settles, or cannot repeat for ever: with a length of 0, or a stretch below 1.

        >>> import lrsched as ls
        >>> print(ls.Linear(1.0, 0.0, 4).repeat(scale=0.5)([0, 2, 4, 6, 8]))
        [1.   0.5  0.5  0.25 0.25]
        """
        return Repeat(self, n, stretch, scale)

    def clip(self, low: ScheduleLike | None = None, high: ScheduleLike | None = None) -> Schedule:
        """The schedule, kept between two values or schedules: `t ↦ min(max(self(t), low), high)`.

        Args:
            low: the lowest value, a number, a schedule or a function of the step; None bounds it from above only.
            high: the highest value, like `low`; it counts where it is below `low`. None bounds it from below only.

        Raises:
            ValueError: if both are numbers, and low is above high.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).clip(0.2, 0.8)([0, 5, 10]))
        [0.2 0.5 0.8]
        """
        given = (("max", "low", low), ("min", "high", high))
        bounds = [(op, as_schedule("clip", name, bound, 0.0)) for op, name, bound in given if bound is not None]
        values = [bound.value for _, bound in bounds if isinstance(bound, Constant) and numerics.is_concrete(bound.value)]
        if len(values) == 2 and np.any(np.greater(*map(numerics.host, values))):
            raise ValueError(f"clip(low={values[0]!r}, high={values[1]!r}) leaves nothing between: swap the two")
        return functools.reduce(lambda s, bound: Pointwise(bound[0], (s, bound[1])), bounds, self)

    def on(self, clock: Node) -> Schedule:
        """The schedule with the reading of a clock for its time: a driven schedule.

        Args:
            clock: a `lrsched.Clock`, such as `Plateau(patience=5)`, whose reading is how many plateaus there were.

        Raises:
            TypeError: if the schedule is driven already, or the clock is none.

        >>> import lrsched as ls
        >>> print(ls.Exponential(1.0, 0.1).on(ls.Plateau(patience=5)))
        Exponential(1.0, 0.1).on(Plateau(patience=5))
        """
        return Driven(self, clock)


def _ready_number(x: Any, spec: Spec) -> Any:
    if numerics.is_concrete(x):
        return numerics.host(x)
    x = numerics.in_place(x, spec.unit or spec.exact)
    return higher(x, 0.0) if spec.unit else x


def _call(schedule: Schedule, step: Any) -> jax.Array:
    return value_at(schedule, *numerics.time_of(step))


def value_at(schedule: Schedule, t: Any, shape: tuple[int, ...]) -> jax.Array:
    """The value at a time, or at times of a shape, as an array."""
    with np.errstate(all="ignore"):
        return numerics.result(schedule._ready.at(t), shape)


def _call_batch(schedule: Schedule, batch: tuple[int, ...], step: Any) -> jax.Array:
    leaves, step = jax.tree.leaves(schedule), numerics.array_of(step)
    if numerics.is_concrete(*leaves) and (isinstance(step, (list, tuple)) or numerics.is_concrete(step)):
        members = (jax.tree.map(lambda x, i=i: np.asarray(x, np.float64)[i], schedule) for i in np.ndindex(*batch))
        values = [np.asarray(member(step)) for member in members]
        values = jnp.asarray(np.reshape(np.stack(values), (*batch, *values[0].shape)))
        return put_like(step, values)

    def call(one: Schedule) -> jax.Array:
        return one(step)

    for _ in batch:
        call = jax.vmap(call)
    return call(schedule)


ScheduleLike: TypeAlias = Schedule | Number | Callable[[Any], Any]


def lifted(x: Any, steps: Number = math.inf) -> Schedule | None:
    """The schedule that something is or stands for: a number a `Constant`, a function of the step a `Function`; else None."""
    if isinstance(x, Schedule):
        return x
    if numerics.is_number(x):
        return Constant(x, steps)
    return Schedule._of_function(x) if callable(x) and not isinstance(x, type) else None


def as_schedule(call: str, name: str, x: Any, steps: Number = math.inf) -> Schedule:
    """What an argument stands for, as `lifted`, or an error that names it."""
    schedule = lifted(checked(call, name, x) if numerics.is_number(x) else x, steps)
    if schedule is None:
        raise TypeError(unexpected(call, name, x, "a schedule, a number or a function of the step"))
    return schedule


def _operated(operator: str, *operands: Any) -> Any:
    """What an operator makes of its operands. What stands for no schedule is left to the other operand."""
    try:  # beside an operator on values, a number adds nothing to the length
        schedules = [lifted(x, math.inf if operator in (">>", "@") else 0.0) for x in operands]
    except ValueError as error:
        written = f" {operator} ".join("schedule" if isinstance(x, Schedule) else shown(x) for x in operands)
        raise ValueError(f"{written}: {error}") from None
    a, b = schedules
    if a is None or b is None:
        return NotImplemented
    return a.then(b) if operator == ">>" else a.warp(b) if operator == "@" else Pointwise(operator, (a, b))


def minimum(a: ScheduleLike, b: ScheduleLike) -> Schedule:
    """The lower of two schedules at every step: `t ↦ min(a(t), b(t))`. Its length is that of the longer.

    Args:
        a: a schedule, a number or a function of the step.
        b: like a.

    Raises:
        TypeError: if one of them is none of these.

    >>> import lrsched as ls
    >>> print(ls.minimum(ls.Linear(0.0, 1.0, 10), 0.25)(8))
    0.25
    """
    return Pointwise("min", (as_schedule("minimum", "a", a, 0.0), as_schedule("minimum", "b", b, 0.0)))


def maximum(a: ScheduleLike, b: ScheduleLike) -> Schedule:
    """The higher of two schedules at every step: `t ↦ max(a(t), b(t))`. Its length is that of the longer.

    Args:
        a: a schedule, a number or a function of the step.
        b: like a.

    Raises:
        TypeError: if one of them is none of these.

    >>> import lrsched as ls
    >>> print(ls.maximum(ls.Linear(1.0, 0.0, 10), 0.25)(8))
    0.25
    """
    return Pointwise("max", (as_schedule("maximum", "a", a, 0.0), as_schedule("maximum", "b", b, 0.0)))


def join(schedules: Iterable[ScheduleLike], boundaries: Any) -> Schedule:
    """Schedules one after the other, each on its own time from 0, cut or held at explicit boundaries.

    `schedules[k]` runs from `boundaries[k - 1]` on, and so the first from 0 and the last for ever.

    Args:
        schedules: at least one schedule, number or function of the step.
        boundaries: the steps at which the second, third, … schedule begins: one fewer than schedules, rising.

    Raises:
        TypeError: if they are no schedules, or the boundaries no list of numbers.
        ValueError: if the counts do not match or the boundaries do not rise.

    >>> import lrsched as ls
    >>> print(ls.join([1.0, 2.0, 3.0], [10, 20])([9, 10, 20]))
    [1. 2. 3.]
    """
    if isinstance(schedules, Schedule):
        raise TypeError(f"join(schedules=...) must be a list of schedules, got {shown(schedules)}")
    parts = [as_schedule("join", "schedules", part) for part in schedules]
    bounds = []
    if not is_empty(boundaries):
        hint = "sort them, and the schedules with them"
        table = checked("join", "boundaries", boundaries, rank=1, rising=True, unit="steps", hint=hint)
        bounds = [table[..., i][()] for i in range(table.shape[-1])]
    if len(bounds) != len(parts) - 1:
        raise ValueError(
            f"join(...) takes one boundary fewer than schedules, got {len(parts)} schedules and {len(bounds)} boundaries"
        )
    lengths = [stop - start for start, stop in itertools.pairwise([0.0, *bounds])]
    cuts = (part.take(steps) for part, steps in zip(parts, lengths, strict=False))
    return functools.reduce(Schedule.then, [*cuts, parts[-1]])


@node
class Constant(Schedule):
    """One value, for ever or for a length: `t ↦ value`. Its length says how long `>>` stays on it.

    `Constant(value, 0)` is the unit of `>>`, and what a plain number beside an operator on values stands for.

    Args:
        value: the value.
        steps: its length in steps, >= 0, for ever if it is not given.

    >>> import lrsched as ls
    >>> print((ls.Constant(0.1, 100) >> ls.Linear(0.1, 0.0, 100))([99, 150]))
    [0.1  0.05]
    """

    value: Number = leaf()
    steps: Number = leaf(ge=0, infinite=True, unit="steps", default=math.inf)

    def at(self, t: Any) -> Any:
        del t
        return self.value

    @property
    def length(self) -> Any:
        return self.steps


_OPERATORS: dict[str, Any] = {
    "+": numerics.kept_finite(operator.add),
    "-": numerics.kept_finite(operator.sub),
    "*": numerics.kept_finite(operator.mul),
    "/": numerics.kept_finite(numerics.divide),
    "neg": operator.neg,
    "min": lower,
    "max": higher,
}


@node
class Pointwise(Schedule):
    """An operator on the values of its parts: `t ↦ a(t) ∘ b(t)`. Its length is that of the longest part."""

    operator: str = choice(*_OPERATORS)
    parts: tuple[Schedule, ...] = child()

    def _check(self) -> None:
        if len(self.parts) != (1 if self.operator == "neg" else 2):
            raise TypeError(
                f"Pointwise(parts=...) takes one operand of neg, and two of any other operator, got {len(self.parts)}"
            )
        divisor = self.parts[-1].value if self.operator == "/" and isinstance(self.parts[-1], Constant) else 1.0
        if numerics.is_concrete(divisor) and np.any(np.equal(divisor, 0)):
            raise ValueError(f"a schedule must not be divided by 0, got {shown(self.parts[0])} / {shown(divisor)}")

    def at(self, t: Any) -> Any:
        return _OPERATORS[self.operator](*(part.at(t) for part in self.parts))

    @property
    def length(self) -> Any:
        return functools.reduce(higher, (part.length for part in self.parts))

    def spans(self, t: Any) -> Spans:
        for part in self.parts:
            yield part, t, True


def _running_value(spans: Iterable[tuple[Schedule, Any, Any]]) -> Any:
    """The value of the last part that has begun; what is known not to have begun is not evaluated."""
    value = None
    for part, own, begun in spans:
        if isinstance(begun, (bool, np.bool_)) and not begun:
            continue
        value = part.at(own) if value is None else where(begun, part.at(own), value)
    return value


_MANY = 32  # parts: to evaluate fewer, and choose, is faster than to look up the numbers of the one that is running


@node
class Sequence(Schedule):
    """Its parts one after the other, each for its length and on its own time from 0; at a boundary the later part counts.

    A part is asked only about its own span, so one that is singular elsewhere does no harm, to gradients either.
    """

    parts: tuple[Schedule, ...] = child()

    def _check(self) -> None:
        if not self.parts:
            raise ValueError("a sequence needs at least one part; Constant(value, 0) is the one that changes nothing")
        for part in self.parts[:-1]:
            if numerics.is_concrete(part.length) and np.any(np.isinf(part.length)):
                text = shown(part)
                text = f"{text[:-1]}, steps)" if isinstance(part, Constant) else f"({text}).take(steps)"
                raise ValueError(f"only the last part of a sequence may be unbounded; write {text}")

    @functools.cached_property
    def _starts(self) -> list[Any]:
        """When each part begins."""
        return list(itertools.accumulate((part.length for part in self.parts[:-1]), operator.add, initial=0.0))

    @functools.cached_property
    def _groups(self) -> list[list[int]]:
        """The parts, by number, that one evaluation can serve, as they are of one structure; the last by itself."""
        groups: dict[Any, list[int]] = {}
        for k, part in enumerate(self.parts):
            structure = jax.tree.structure(part)
            groups.setdefault(structure if k + 1 < len(self.parts) else k, []).append(k)
        return list(groups.values())

    def _own(self, k: int, t: Any) -> Any:
        """The own time of a part: 0 until it begins, and standing still once it has ended. The first may be below 0."""
        t = t if k == 0 else higher(t - self._starts[k], 0.0)
        return t if k + 1 == len(self.parts) else lower(t, self.parts[k].length)

    def at(self, t: Any) -> Any:
        if numerics.is_concrete(t, *self._starts) and not any(map(np.ndim, self._starts)):
            return self._at_host(t)
        if len(self.parts) < _MANY or len(self._groups) == len(self.parts):
            begun = (k == 0 or at_least(t, start) for k, start in enumerate(self._starts))
            return _running_value(
                (part, self._own(k, t), now) for k, (part, now) in enumerate(zip(self.parts, begun, strict=True))
            )
        row, starts = numerics.row_of(numerics.table(self._starts), t), self._starts
        value = None
        for members in self._groups:
            if len(members) == 1:
                for k in members:
                    found = self.parts[k].at(self._own(k, t))
                    value = found if value is None else where(row == k, found, value)
                continue
            place, parts = _stacked_row(members, row, len(starts)), [self.parts[k] for k in members]
            own = t - numerics.pick_time(numerics.table([starts[k] for k in members]), place)
            own = own if members[0] == 0 else higher(own, 0.0)
            own = lower(own, numerics.pick_time(numerics.table([part.length for part in parts]), place))
            found = _in_row(parts, place).at(own)
            value = found if value is None else where(jnp.asarray(np.isin(np.arange(len(starts)), members))[row], found, value)
        return value

    def _at_host(self, t: Any) -> Any:
        row = np.maximum(np.searchsorted(self._host_starts, t, side="right") - 1, 0)
        if np.ndim(row) == 0:
            return self.parts[row].at(self._own(int(row), t))
        if not numerics.is_concrete(*jax.tree.leaves(self)):
            return _running_value((part, self._own(k, t), row >= k) for k, part in enumerate(self.parts))
        found = np.empty(np.shape(row))
        for k in np.unique(row):
            found[row == k] = self.parts[k].at(self._own(int(k), t[row == k]))
        return found

    @functools.cached_property
    def _host_starts(self) -> np.ndarray:
        return np.asarray(self._starts, np.float64)

    @property
    def length(self) -> Any:
        return functools.reduce(operator.add, (part.length for part in self.parts))

    def spans(self, t: Any) -> Spans:
        begun: Any = True
        for k, part in enumerate(self.parts):
            ended = at_least(t, self._starts[k + 1]) if k + 1 < len(self.parts) else False
            yield part, self._own(k, t), both(begun, opposite(ended))
            begun = ended


def _stacked_row(members: list[int], row: Any, rows: int) -> Any:
    """Which of some parts is running, by number; in the rows of others the last one before, whose time is over."""
    local = np.maximum(np.searchsorted(members, np.arange(rows), side="right") - 1, 0)
    return jnp.asarray(local.astype(np.int32)).at[row].get(mode="promise_in_bounds")


def _in_row(parts: list[Any], row: Any) -> Any:
    """Several schedules of one structure as one: each of its numbers is looked up in the row of the one that is running."""
    tables = jax.tree.map(lambda *xs: numerics.table(list(xs)), *parts, is_leaf=lambda x: isinstance(x, numerics.Wide))
    return each_number(
        tables, lambda table, spec: (numerics.pick_time if spec.unit or spec.exact else numerics.pick)(table, row)
    )


@node
class Moved(Schedule):
    """The base of nodes that are a schedule at another time."""

    schedule: Schedule = child()

    def moved(self, t: Any) -> Any:
        """The time at which the schedule is asked."""
        raise NotImplementedError(f"{type(self).__name__} must define moved(t)")

    def at(self, t: Any) -> Any:
        return self.schedule.at(self.moved(t))


@node
class Take(Moved):
    """`t ↦ schedule(min(t, steps))`, of length `steps`."""

    _call = "take"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return lower(t, self.steps)

    @property
    def length(self) -> Any:
        return self.steps

    def spans(self, t: Any) -> Spans:
        yield self.schedule, self.moved(t), both(at_least(t, 0.0), opposite(at_least(t, self.steps)))


class Bending(Schedule):
    """The base of nodes that bend time, and so cannot hold a driven schedule."""

    def _check(self) -> None:
        for schedule in self._nodes():
            if isinstance(schedule, Schedule) and driven_parts(schedule):
                raise TypeError(
                    f"{self._call}(...) bends time, but {shown(schedule)} is driven: its time is what its clock reads. Bend"
                    " the schedule before it goes on the clock, or keep the driven factor apart"
                )


@node
class Drop(Bending, Moved):
    """`t ↦ schedule(t + steps)`, shorter by `steps`."""

    _call = "drop"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return t + self.steps

    @property
    def length(self) -> Any:
        return higher(self.schedule.length - self.steps, 0.0)


@node
class Delay(Moved):
    """`t ↦ schedule(max(t - steps, 0))`, longer by `steps`."""

    _call = "delay"

    steps: Number = leaf(ge=0, unit="steps")

    def moved(self, t: Any) -> Any:
        return higher(t - self.steps, 0.0)

    @property
    def length(self) -> Any:
        return self.schedule.length + self.steps

    def spans(self, t: Any) -> Spans:
        yield self.schedule, self.moved(t), at_least(t, self.steps)


@node
class Stretch(Bending, Moved):
    """`t ↦ schedule(t / factor)`, `factor` times as long."""

    _call = "stretch"

    factor: Number = leaf(gt=0, unit="times", hint="2 makes it twice as long, 0.5 half as long")

    def moved(self, t: Any) -> Any:
        return ratio(t, self.factor)

    @property
    def length(self) -> Any:
        return snapped(self.schedule.length * self.factor)


@node
class Staircase(Bending, Moved):
    """`t ↦ schedule(every · ⌊t / every⌋)`, of the length of the schedule rounded up to whole stairs."""

    _call = "staircase"

    every: Number = leaf(gt=0, unit="steps", hint="the number of updates between two moves")

    def moved(self, t: Any) -> Any:
        return snapped(self.every * numerics.floor_ratio(higher(t, 0.0), self.every))

    @property
    def length(self) -> Any:
        return snapped(self.every * ceil(ratio(self.schedule.length, self.every)))


@node
class Reverse(Bending, Moved):
    """`t ↦ schedule(length - t)`, and `schedule(0)` from its length on."""

    _call = "reverse"

    def _check(self) -> None:
        super()._check()
        if numerics.is_concrete(self.schedule.length) and np.any(np.isinf(self.schedule.length)):
            raise ValueError(f"{shown(self.schedule)} goes on for ever, so it has no reverse: give it a length with .take(n)")

    def moved(self, t: Any) -> Any:
        return clip(self.schedule.length - t, 0.0, self.schedule.length)

    @property
    def length(self) -> Any:
        return self.schedule.length


@node
class Warp(Bending, Moved):
    """`t ↦ schedule(time(t))`, of the length of `time`; a time below 0 counts as 0."""

    _call = "warp"

    time: Schedule = child()

    def moved(self, t: Any) -> Any:
        return numerics.time_given(self.time.at(t))

    @property
    def length(self) -> Any:
        return self.time.length


@node
class Repeat(Bending):
    """Cycle c = 0, 1, …, n - 1 lasts `stretch^c · L` steps and is `t ↦ scale^c · schedule(t / stretch^c)` on its own time.

    After the last one its end is held. n is rounded to a whole number; None: for ever.
    """

    _call = "repeat"

    schedule: Schedule = child()
    n: Number | None = leaf(ge=1, unit="times", optional=True, default=None, hint="the number of cycles; None repeats for ever")
    stretch_: Number | None = leaf(gt=0, optional=True, default=None, exact=True, hint="2 doubles every cycle's length, 1 keeps it")
    scale: Number | None = leaf(optional=True, default=None, exact=True)

    # The argument is `stretch`, but a field of that name would hide the method. `dataclasses.replace` gives `stretch_`, too.
    def __init__(
        self,
        schedule: Schedule,
        n: Number | None = None,
        stretch: Any = dataclasses.MISSING,
        scale: Number | None = None,
        stretch_: Number | None = None,
    ) -> None:
        stretch = stretch_ if stretch is dataclasses.MISSING else stretch
        self.__dict__.update(schedule=schedule, n=n, stretch_=stretch, scale=scale)
        self.__post_init__()

    def _check(self) -> None:
        super()._check()
        steps = self.schedule.length
        if not numerics.is_concrete(steps):
            return
        if not np.all(np.isfinite(steps)):
            raise ValueError(f"{shown(self.schedule)} goes on for ever, so it cannot repeat: give it a length with .take(n)")
        if self.n is None and np.any(np.equal(steps, 0)):
            raise ValueError(f"{shown(self.schedule)} has length 0, so it cannot repeat for ever: give it a length, or an n")
        shrinks = self.stretch_ is not None and numerics.is_concrete(self.stretch_) and np.any(np.less(self.stretch_, 1))
        if self.n is None and shrinks:
            hint = "shrinking cycles come to an end; say how many with n"
            raise ValueError(unexpected("repeat", "stretch", self.stretch_, "stretch >= 1", hint))

    def _cycle(self, t: Any) -> tuple[Any, Any]:
        """The number of the cycle, and the time in it as the schedule counts it."""
        t, steps = higher(t, 0.0), self.schedule.length
        last = math.inf if self.n is None else higher(rounded(self.n) - 1.0, 0.0)
        if self.stretch_ is None:
            cycle = where(steps > 0.0, lower(numerics.floor_ratio(t, steps), last), 0.0 if self.n is None else last)
            return cycle, clip(t - cycle * steps, 0.0, steps)
        cycle, start, growth = numerics.growing_cycle(t, steps, self.stretch_, last)
        return cycle, clip(ratio(t - start, growth), 0.0, steps)

    def at(self, t: Any) -> Any:
        cycle, inside = self._cycle(t)
        value = self.schedule.at(inside)
        return value if self.scale is None else numerics.grown(value, self.scale, cycle)

    @property
    def length(self) -> Any:
        if self.n is None:
            return math.inf
        if self.stretch_ is None:
            return self.schedule.length * rounded(self.n)
        return numerics.growing_cycle(math.inf, self.schedule.length, self.stretch_, rounded(self.n))[1]


@node
class Choice(Schedule):
    """One of several schedules, by an index that is a number: what a `stack` of different structures is made of.

    The branches that are not chosen stand at time 0, and their clocks do not tick.

    Args:
        branches: a tuple of schedules.
        index: which one, from 0; rounded where it is traced.

    Raises:
        ValueError: if there is no such branch.

    >>> import lrsched as ls
    >>> print(ls.Choice((ls.Constant(1.0), ls.Linear(0.0, 1.0, 10)), 1)(5))
    0.5
    """

    branches: tuple[Schedule, ...] = child()
    index: Number = leaf(ge=0, unit="branches", hint="counted from 0")

    def _check(self) -> None:
        if not isinstance(self.branches, tuple) or not self.branches:
            raise TypeError(f"Choice(branches=...) must be a tuple of schedules, got {shown(self.branches)}")
        if numerics.is_concrete(self.index) and np.any(np.asarray(self.index) >= len(self.branches)):
            raise ValueError(f"Choice(index=...) must be below {len(self.branches)}, got {self.index!r}")

    def _chosen(self) -> Any:
        return lower(rounded(self.index), len(self.branches) - 1.0)

    def at(self, t: Any) -> Any:
        return _running_value(self.spans(t))

    @property
    def length(self) -> Any:
        chosen = self._chosen()
        value = self.branches[0].length
        for i, branch in enumerate(self.branches):
            length = branch.length if numerics.is_concrete(chosen) else numerics.wide(branch.length)
            value = where(numerics.equal(chosen, float(i)), length, value)
        return value

    def spans(self, t: Any) -> Spans:
        chosen = self._chosen()
        for i, branch in enumerate(self.branches):
            running = numerics.equal(chosen, float(i))
            yield branch, (t if isinstance(running, (bool, np.bool_)) else where(running, t, lower(t, 0.0))), running


@node
class Driven(Bending):
    """A schedule whose time is what a clock reads, not the step; also spelled `schedule.on(clock)`.

    It cannot be called by itself, for its value depends on what was observed: `lrsched.evaluate(s, state)` does it, and
    `lrsched.bind(s, state)` makes it an ordinary schedule.

    A reading may be below 0: a controller goes up and down. Then `Time()` is t, `Function(f)` is f(t) and `Exponential(a, r)`
    is a · r^t, while ramps, tables, `InverseSqrt`, `repeat`, `staircase` and `reverse` stand as at 0. Operators, `take`,
    `stretch` and `drop` pass the time on, and a sequence asks its first part; `delay` and warps stop at 0, as they say.

    Args:
        schedule: the schedule, of the clock's reading.
        clock: a `lrsched.Clock`, for example a `lrsched.Plateau`.

    Raises:
        TypeError: if the schedule is driven itself, or the clock is none.

    >>> import lrsched as ls
    >>> s = ls.Driven(ls.Linear(0.0, 1.0, 10), ls.Steps())
    >>> print(ls.evaluate(s, ls.tick(s, ls.init(s))))
    0.1
    """

    _call = "on"

    schedule: Schedule = child()
    clock: Any = child()

    def _check(self) -> None:
        checked_clock("on", self.clock)
        super()._check()

    def at(self, t: Any) -> Any:
        del t
        raise TypeError(
            f"{shown(self)} depends on what its clock has observed, not on the step alone. In an optax chain,"
            " scale_by_learning_rate(s) runs the clocks; by hand, use evaluate(s, state) with state = init(s) and"
            " state = tick(s, state, value=...), or bind(s, state) to get a schedule of the step"
        )

    @property
    def length(self) -> Any:
        return math.inf


def checked_clock(call: str, clock: Any) -> None:
    """Raises a TypeError if something is no clock, or is of a class that is no node."""
    if not isinstance(clock, Node) or not all(hasattr(clock, name) for name in ("init", "tick", "read")):
        raise TypeError(unexpected(call, "clock", clock, "a clock, such as Plateau(patience=5)"))
    if "_numbers" not in vars(type(clock)):
        raise TypeError(f"{type(clock).__name__} is not a node: decorate the class with lrsched.node")


def driven_parts(schedule: Schedule) -> list[Driven]:
    """The driven parts of a schedule, in the order of the tree."""
    leaves = jax.tree.leaves(schedule, is_leaf=lambda x: isinstance(x, Driven))
    return [leaf for leaf in leaves if isinstance(leaf, Driven)]
