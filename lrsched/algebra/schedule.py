"""The class of schedules, with its operators and methods.

A schedule denotes a function of time, ⟦s⟧ : time → value, and every operator is defined on those functions: ⟦a + b⟧(t) =
⟦a⟧(t) + ⟦b⟧(t), and so on. The laws in the tests follow from that (Elliott, *Denotational design with type class
morphisms*, 2009). Sequencing gives each schedule a length, as in Hudak, *An algebraic theory of polymorphic temporal media*,
2003.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Self, SupportsIndex, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import attribute_meant, explained
from lrsched.algebra.meshes import put_like, sharded_like
from lrsched.algebra.node import Node, Spec, each_number
from lrsched.algebra.numerics import Condition, Number, Real
from lrsched.algebra.written import NAMES, unexpected

Spans: TypeAlias = Iterator[tuple["Schedule", Real, Condition]]  # (part, its own time, whether it is running)


if TYPE_CHECKING:

    class _Hyperparameter(Node, complex):
        """For type checkers, to accept a schedule where optax annotates a number. Not float, or `0.1 * s` would be one."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...

else:
    _Hyperparameter = Node


class Schedule(_Hyperparameter):
    """An immutable pure function from a step to a value, and a pytree of the numbers that shape it.

    `schedule(step)` is the value that update number `step` uses, counted from 0: float32, or float64 when JAX's x64 is on. An
    array of steps gives an array of values of its shape and sharding. A step below 0 counts as 0. Steps and numbers may have
    any real type, or `__jax_array__` (as variables do).

    Schedules combine by `+ - * / **`, `>>` (one after the other) and `@` (time warp) with schedules, numbers and functions of
    the step. An array in place of a number makes a batch. `warp`, `drop`, `stretch`, `staircase`, `reverse`, `repeat`,
    `cooldown` and `on` raise a TypeError for a driven schedule.

    Known numbers are validated when the schedule is made: ValueError for a number out of bounds, TypeError for anything else.
    Traced numbers are not validated: a negative length or rate counts as 0, and no finite number gives a NaN, except 0 / 0.
    Under `**` a value below 0 counts as 0, unless the exponent is whole.

    >>> import lrsched as ls
    >>> s = ls.Linear(0.0, 0.1, 10) >> ls.Cosine(0.1, 0.0, 90) * 0.5
    >>> print(s(5), s([0, 55]), s.length)
    0.05 [0.    0.025] 100.0
    """

    __array_ufunc__ = None  # otherwise a NumPy array times a schedule becomes an object array

    def __post_init__(self) -> None:
        for name in self._children:
            if name != "clock":  # the only child that is not a schedule
                lift, value = functools.partial(_combinators().as_schedule, self._maker, name), getattr(self, name)
                self.__dict__[name] = tuple(map(lift, value)) if isinstance(value, (tuple, list)) else lift(value)
        for schedule in self._nodes() if type(self).spans is Schedule.spans else ():
            is_clock = schedule is vars(self).get("clock")
            if isinstance(schedule, Schedule) and not is_clock and _combinators().driven_parts(schedule):
                hint = f"{self._maker} needs values at other times: call it before .on(clock), or keep the driven factor apart"
                raise TypeError(unexpected(self._maker, "schedule", schedule, "a schedule that is not driven", hint))
        super().__post_init__()

    def at(self, t: Real) -> Real:
        """The value at a time; a time below 0 can only be a clock's reading."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method at(t).")

    @property
    def length(self) -> Real:
        """The length in steps: `s(t) == s(s.length)` for every later t. `inf`, the default, if the schedule never settles."""
        return math.inf

    def spans(self, t: Real) -> Spans:
        """The parts in which clocks may tick: triples of a part, its time, and whether it is running now.

        A node that evaluates its parts at t yields (part, t, True) for each. By default it yields none, and raises an error
        for a driven schedule, which has a value only now.
        """
        del t
        yield from ()

    def __call__(self, step: Number | list[Any] | tuple[Any, ...]) -> Annotated[jax.Array, "floats, *batch *steps"]:
        """The value at a step, or the values at an array of steps.

        Args:
            step: the number of an update, from 0, or an array of them.

        Returns:
            An array of floats; its shape is that of the batch, then that of the steps.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10)(4))
        0.4
        """
        if self.batch_shape:
            return _call_batch(self, step)
        return sharded_like(step, lambda schedule, step: value_at(schedule, *numerics.time_of(step)), self)

    @functools.cached_property
    def _is_ready(self) -> bool:
        """Whether it is not a batch, and the host can compute with its numbers as they are."""
        leaves = jax.tree.leaves(self)
        return not self.batch_shape and all(type(x) is float or (type(x) is np.ndarray and x.dtype == float) for x in leaves)

    if not TYPE_CHECKING:  # to a type checker, any name would be an attribute

        def __getattr__(self, name: str) -> Any:
            if not (hint := attribute_meant(type(self), NAMES.get(self._recipe.partition("(")[0]), name)):
                return object.__getattribute__(self, name)  # raises as usual
            text = f"{type(self).__name__!r} object has no attribute {name!r}. Hint: {hint}."
            raise AttributeError(text, name=name)  # without obj, for which Python adds a hint of its own

    def __bool__(self) -> bool:
        expected, hint = "a comparison with ==, or a call with a step", "a schedule is neither true nor false"
        raise TypeError(unexpected("bool", "schedule", self, expected, hint))

    def _compared(self, _other: object) -> NoReturn:
        hint = "a schedule is not less than another: minimum(s, r) and maximum(s, r) are schedules"
        raise TypeError(unexpected("compare", "schedule", self, "a comparison with ==", hint))

    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __len__(self) -> int:
        """The number of schedules in a batch, along its first axis."""
        if not self.batch_shape:
            hint = "schedule.length is the number of steps"
            raise TypeError(unexpected("len", "schedule", self, "a batch of schedules, such as grid(...) makes", hint))
        return self.batch_shape[0]

    def __getitem__(self, i: SupportsIndex | slice) -> Schedule:
        """The member i of a batch along its first axis, or the batch of a slice; `list(stack(schedules)) == schedules`.

        >>> import lrsched as ls
        >>> batch, _ = ls.grid(ls.Cosine, start=[1.0, 2.0], end=0.0, steps=10)
        >>> print(batch[1])
        Cosine(2.0, 0.0, 10)
        """
        from lrsched.algebra.batch import member

        return member(self, i)

    if TYPE_CHECKING:  # Python iterates with __getitem__; __iter__ would make every schedule an Iterable

        def __iter__(self) -> Iterator[Schedule]: ...

    def __add__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("+", self, other)

    def __radd__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("+", other, self)

    def __sub__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("-", self, other)

    def __rsub__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("-", other, self)

    def __mul__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("*", self, other)

    def __rmul__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("*", other, self)

    def __truediv__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("/", self, other)

    def __rtruediv__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("/", other, self)

    def __rshift__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated(">>", self, other)

    def __rrshift__(self, other: Callable[[Any], Any]) -> Schedule:
        return _combinators().operated(">>", other, self)

    def __matmul__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("@", self, other)

    def __rmatmul__(self, other: ScheduleLike) -> Schedule:
        return _combinators().operated("@", other, self)

    def __neg__(self) -> Schedule:
        return _combinators().Pointwise("neg", (self,))

    def __pow__(self, other: ScheduleLike) -> Schedule:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _combinators().operated("**", self, other)

    def __rpow__(self, other: ScheduleLike) -> Schedule:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _combinators().operated("**", other, self)

    @explained
    def then(self, other: ScheduleLike) -> Schedule:
        """`self >> other`: the schedule for its length, then `other` on its own time from 0. At the boundary `other` counts.

        Args:
            other: a schedule, a number (held for ever), or a function of the step.

        Raises:
            ValueError: if this schedule has no end: give it a length with `.take(n)`.

        >>> import lrsched as ls
        >>> print((ls.Linear(0.0, 1.0, 10) >> ls.Linear(1.0, 0.0, 40) >> 0.1)([30, 50]))
        [0.5 0.1]
        """
        return _combinators().sequence(self, _combinators().as_schedule("then", "other", other))

    @explained
    def warp(self, time: ScheduleLike) -> Schedule:
        """`self @ time`: the schedule at the time given by another one, `t ↦ self(time(t))`.

        A time below 0 counts as 0. Inside jit a time is a float32, exact to the step up to 2**24. But a time made only of
        `Time()`, sums and products with known numbers, and methods that change time is exact.

        Args:
            time: a schedule, a number or a function of the step, whose value is a number of steps.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).warp(ls.Constant(3.0)))
        Linear(0.0, 1.0, 10) @ Constant(3.0)
        """
        return _combinators().Warp(self, _combinators().as_schedule("warp", "time", time))

    @explained
    def take(self, steps: Number) -> Schedule:
        """The schedule for `steps` >= 0, then held at its value: `t ↦ self(min(t, steps))`, of length `steps`.

        >>> import lrsched as ls
        >>> print(ls.Exponential(1.0, 0.5).take(2)([1, 2, 3]))
        [0.5  0.25 0.25]
        """
        return _combinators().Take(self, steps)

    @explained
    def drop(self, steps: Number) -> Schedule:
        """The schedule without its first `steps` >= 0: `t ↦ self(t + steps)`, shorter by as many steps.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).drop(5)([0, 1]))
        [0.5 0.6]
        """
        return _combinators().Drop(self, steps)

    @explained
    def delay(self, steps: Number) -> Schedule:
        """The schedule `steps` >= 0 later, with its first value held until then: `t ↦ self(max(t - steps, 0))`.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).delay(5)([4, 5, 10]))
        [0.  0.  0.5]
        """
        return _combinators().Delay(self, steps)

    @explained
    def stretch(self, factor: Number) -> Schedule:
        """The schedule slowed down by `factor` > 0, and lengthened by it: `t ↦ self(t / factor)`.

        `s.stretch(n).staircase(n)` turns a schedule s in epochs into one in steps, n per epoch, that changes once per epoch.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).stretch(100)(500))
        0.5
        """
        return _combinators().Stretch(self, factor)

    @explained
    def staircase(self, every: Number) -> Schedule:
        """The schedule, changing only every `every` > 0 steps: `t ↦ self(every · ⌊t / every⌋)`.

        Its length is rounded up to whole stairs.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).staircase(5)([4, 5, 9, 10]))
        [0.  0.5 0.5 1. ]
        """
        return _combinators().Staircase(self, every)

    @explained
    def reverse(self) -> Schedule:
        """The schedule backwards: `t ↦ self(length - t)`, then its first value. It must have an end.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).reverse()([0, 1, 10]))
        [1.  0.9 0. ]
        """
        return _combinators().Reverse(self)

    @explained
    def repeat(self, n: Number | None = None, stretch: Number | None = None, scale: Number | None = None) -> Schedule:
        """The schedule n times over; each cycle is `stretch` times as long and `scale` times as high as the one before.

        Cycle c = 0, 1, … is `u ↦ scale^c · self(u / stretch^c)` on its own time u, for `stretch^c · length` steps.

        Args:
            n: the number of cycles, a whole number >= 1 (a traced one is rounded); then the end is held. None: for ever.
            stretch: a number > 0, and >= 1 if n is None. None: all cycles have one length, which is faster than a stretch of 1.
            scale: a number. None: 1.

        Raises:
            ValueError: if it has no end, or if n is None and the length is 0 or the stretch below 1.

        >>> import lrsched as ls
        >>> print(ls.Linear(1.0, 0.0, 4).repeat(scale=0.5)([0, 2, 4, 6, 8]))
        [1.   0.5  0.5  0.25 0.25]
        """
        return _combinators().Repeat(self, n, stretch, scale)

    @explained
    def cooldown(self, steps: Number, end: Number = 0.0, shape: Literal["linear", "cosine", "1-sqrt"] = "linear") -> Schedule:
        """The schedule for its length, then a ramp from its last value: `self >> Linear(self(self.length), end, steps)`.

        Args:
            steps: the length of the cool-down in steps, 0 or >= 1.
            end: the last value.
            shape: "linear", "cosine" or "1-sqrt" (`OneMinusSqrt`). For another ramp, such as `Geometric`, use `>>`.

        Raises:
            ValueError: if it has no end (to branch off at step n, `.take(n)` first), or if steps is between 0 and 1.

        >>> import lrsched as ls
        >>> print(ls.warmup_inverse_sqrt(1.0, 100).take(400).cooldown(100)([100, 400, 450, 500]))
        [1.   0.5  0.25 0.  ]
        """
        return _combinators().Cooldown(self, steps, end, shape)

    @explained
    def clip(self, low: ScheduleLike | None = None, high: ScheduleLike | None = None) -> Schedule:
        """The schedule between two bounds: `t ↦ min(max(self(t), low), high)`.

        Args:
            low, high: numbers, schedules or functions of the step; None for no bound. Where low is above high, high counts.

        Raises:
            ValueError: if low and high are numbers, and low > high.

        >>> import lrsched as ls
        >>> print(ls.Linear(0.0, 1.0, 10).clip(0.2, 0.8)([0, 5, 10]))
        [0.2 0.5 0.8]
        """
        return _combinators().clipped(self, low, high)

    @explained
    def on(self, clock: Node) -> Schedule:
        """A driven schedule: its time is the reading of a clock.

        Args:
            clock: a `lrsched.Clock`, such as `Plateau(patience=5)`, which reads the number of plateaus so far.

        >>> import lrsched as ls
        >>> print(ls.Exponential(1.0, 0.1).on(ls.Plateau(patience=5)))
        Exponential(1.0, 0.1).on(Plateau(patience=5))
        """
        return _combinators().Driven(self, clock)


ScheduleLike: TypeAlias = Schedule | Number | Callable[[Any], Any]
S = TypeVar("S", bound=Schedule)


@functools.cache
def _combinators() -> Any:
    """The module with the nodes for operators and methods, which imports this one."""
    from lrsched.algebra import combinators

    return combinators


def ready(schedule: S) -> S:
    """The schedule to compute with: known numbers as float64, traced ones with the digits of their `Spec`."""
    return schedule if schedule._is_ready else each_number(schedule, _ready_number)


def _ready_number(x: Any, spec: Spec) -> Real:
    if numerics.is_concrete(x):
        return numerics.to_float64(x)
    if spec.unit:
        return numerics.time_given(x)
    return numerics.extended(x) if spec.exact else numerics.to_float(x)


def value_at(schedule: Schedule, t: Real, shape: tuple[int, ...]) -> jax.Array:
    """The value at a time, or at times of a shape, as an array."""
    with np.errstate(all="ignore"):
        value = ready(schedule).at(t)
    if isinstance(value, float) and not shape:
        kind = numerics.float_type()
        return _placed(kind(numerics.saturated(value)) + kind(0))  # no negative zero
    return numerics.result(value, shape)


_placed = jax.jit(jnp.asarray)  # without jit, `jnp.asarray` takes several times as long for a scalar


def running_value(spans: Spans) -> Real:
    """The value of the running part. A part known not to run at any of the times is not evaluated."""
    value = None
    for part, own, running in spans:
        if not numerics.is_concrete(running) or np.any(running) or np.size(running) == 0:
            value = part.at(own) if value is None else numerics.where(running, part.at(own), value)
    return value


def _call_batch(batch: Schedule, step: Any) -> jax.Array:
    leaves, step = jax.tree.leaves(batch), numerics.array_of(step)
    if not numerics.is_concrete(*leaves) or not (isinstance(step, (list, tuple)) or numerics.is_concrete(step)):
        return jax.vmap(lambda one: one(step))(batch)
    on_host = jax.tree.map(lambda x: np.asarray(x, np.float64), batch)
    return put_like(step, jnp.asarray(np.stack([one(step) for one in on_host])))
