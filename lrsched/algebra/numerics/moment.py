"""The time that a schedule is asked about."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra.numerics import amounts, cycles, kinds, powers, spans
from lrsched.algebra.numerics.folding import (
    both,
    divide,
    maximum,
    minimum,
    multiply,
    opposite,
    pick,
    raised,
    rounded,
    saturated,
    subtract,
    where,
)
from lrsched.algebra.numerics.kinds import (
    HOST_MAX,
    Number,
    Span,
    float_type,
    host,
    int_type,
    is_concrete,
    largest,
    last_tick,
    real,
    rough,
    x64,
)
from lrsched.algebra.numerics.progress import Progress
from lrsched.algebra.numerics.wide import Wide, wide


class Looked(NamedTuple):
    """A number looked up in a concrete table by a traced row: products with concrete numbers are taken in float64."""

    table: np.ndarray
    row: Any

    def value(self) -> Any:
        return pick(self.table, self.row)


class Moment(NamedTuple):
    """A time, counted in ticks of which `unit` make a step.

    Slowing time down by k does not divide it, which would round: it makes k ticks a step, so that every length an inner
    schedule asks about is multiplied by k instead.

    Only what a clock reads may be below 0. Such a time stands at 0 for all that does not ask how far `below` it is.
    """

    ticks: Any  # float64 on the host, a Span in a trace
    unit: Any = 1.0  # a number, a Span, one that is Looked up, or one that is Wide
    below: Any = None  # how many ticks before 0, like `ticks`; None: it is known while tracing to be no time before 0

    @property
    def is_host(self) -> bool:
        return not isinstance(self.ticks, Span)

    def _known(self, *numbers: Number) -> bool:
        return self.is_host and is_concrete(self.unit, *numbers)

    def _host(self, steps: Number) -> Any:
        """A concrete number of steps in ticks."""
        return host(steps) if type(self.unit) is float and self.unit == 1.0 else _product(steps, self.unit)

    def _now(self) -> Span:
        return amounts.span(self.ticks) if self.is_host else self.ticks

    def _span(self, steps: Any) -> Span:
        """A number of steps in ticks, in a trace."""
        unit = self.unit
        if isinstance(unit, Looked):
            if is_concrete(steps):
                return amounts.each(lambda x: jnp.asarray(x)[unit.row], amounts.span(_product(steps, unit.table)))
            unit = unit.value()
        if isinstance(unit, Wide):
            return unit.times(steps).span()
        if is_concrete(steps, unit):
            return amounts.span(self._host(steps))
        return amounts.span(steps if isinstance(unit, float) and unit == 1.0 else multiply(steps, unit))

    def clamped(self) -> "Moment":
        """The time, or 0 if it is before that."""
        return self if self.below is None else self._replace(below=None)

    def _early(self) -> Any:
        """Whether it is before 0."""
        return self.below > 0 if not isinstance(self.below, Span) else amounts.less(amounts.ZERO, self.below)

    def _distance(self) -> "Moment":
        """How far it is from 0, on either side."""
        return where_moment(self._early(), Moment(self.below, self.unit), self.clamped())

    def reached(self, steps: Number) -> Any:
        """Whether it is `steps` steps, a number >= 0, or later."""
        if self.below is not None:
            return both(opposite(self._early()), self.clamped().reached(steps))
        if self._known(steps):
            return self.ticks >= self._host(steps)
        return jnp.logical_not(amounts.less(self._now(), self._span(steps)))

    def within(self, start: Number, stop: Number) -> Any:
        """Whether it is `start` or later and not yet `stop`."""
        return both(self.reached(start), opposite(self.reached(stop)))

    def since(self, steps: Number) -> "Moment":
        """The time since `steps`, 0 before it."""
        if type(steps) is float and steps == 0.0:
            return self
        if self._known(steps):
            return Moment(maximum(self.ticks - self._host(steps), 0.0), self.unit)
        return Moment(amounts.minus(self._now(), self._span(steps)), self.unit)

    def until(self, steps: Number) -> "Moment":
        """The time, standing still from `steps` on."""
        if self._known(steps):
            return self._replace(ticks=minimum(self.ticks, self._host(steps)))
        now, end = self._now(), self._span(steps)
        return self._replace(ticks=amounts.choose(amounts.less(now, end), now, end))

    def plus(self, steps: Number) -> "Moment":
        """`steps` steps later."""
        if self.below is not None:
            short, later = Moment(self.below, self.unit), Moment(self.ticks, self.unit).plus(steps)
            return later.less(short.ticks)._replace(below=short.since(steps).ticks)
        if self._known(steps):
            return self._replace(ticks=self.ticks + self._host(steps))
        return self._replace(ticks=amounts.plus(self._now(), self._span(steps)))

    def before(self, steps: Number) -> "Moment":
        """The time left until `steps`, 0 from then on."""
        if self._known(steps):
            return Moment(maximum(self._host(steps) - self.ticks, 0.0), self.unit)
        return Moment(amounts.minus(self._span(steps), self._now()), self.unit)

    def less(self, ticks: Any) -> "Moment":
        """The time less so many ticks, at least 0."""
        if self.is_host and not isinstance(ticks, Span):
            return self._replace(ticks=maximum(self.ticks - ticks, 0.0))
        return self._replace(ticks=amounts.minus(self._now(), ticks if isinstance(ticks, Span) else amounts.span(ticks)))

    def slowed(self, factor: Number) -> "Moment":
        """The same moment where every step lasts `factor` steps."""
        if isinstance(self.unit, Looked):
            concrete = is_concrete(factor)
            unit = Looked(self.unit.table * host(factor), self.unit.row) if concrete else multiply(self.unit.value(), factor)
            return self._replace(unit=unit)
        if isinstance(self.unit, Wide):
            return self._replace(unit=self.unit.times(factor))
        one = isinstance(self.unit, float) and self.unit == 1.0
        return self._replace(unit=factor if one and isinstance(factor, Span) else multiply(self.unit, factor))

    def floored(self, every: Number) -> "Moment":
        """The last multiple of `every` steps."""
        if self.below is not None:
            return self.clamped().floored(every)
        count, rest = self.divided(every)
        if self._known(every):
            return self._replace(ticks=count * self._host(every))
        if isinstance(self.unit, Wide):  # not what is left of the time, which would be a hair off a boundary of the same length
            return self._replace(ticks=self.unit.times(every).times(Span(count, jnp.zeros_like(real(count)))).span())
        return self._replace(ticks=amounts.minus(self._now(), rest._now()))

    def value(self) -> Any:
        """The time as a number of steps."""
        if self.below is not None:
            return subtract(self.clamped().value(), Moment(self.below, self.unit).value())
        if self._known():
            return self.ticks if type(self.unit) is float and self.unit == 1.0 else divide(self.ticks, self.unit)
        unit = self._rough_unit()
        return divide(amounts.value(self._now()), maximum(unit, _SMALLEST_UNIT))

    def _rough_unit(self) -> Any:
        """The unit as a number or a span."""
        if isinstance(self.unit, Looked):
            return self.unit.value()
        return self.unit.rough if isinstance(self.unit, Wide) else self.unit

    def progress(self, steps: Number) -> Progress:
        """How far through a ramp of that many steps it is."""
        if self._known(steps):
            return Progress(self.ticks, self._host(steps))
        return Progress(self._now(), self._span(steps))

    def between(self, points: Any) -> tuple[Any, Any, Progress]:
        """Where it is in a table of rising steps: its row, the next row, and how far on the way there.

        Before the table it is in the first row; in the last row all is done.
        """
        if self.below is not None:
            return self.clamped().between(points)
        last = points.shape[0] - 1
        if isinstance(self.ticks, float) and isinstance(self.unit, float) and is_concrete(points):  # as below, in Python
            column = self._host(points)
            reached = int(column.searchsorted(self.ticks, side="right"))
            row, after = max(reached - 1, 0), min(reached, last)
            start = float(column[row])
            return row, after, Progress(max(self.ticks - start, 0.0), float(column[after]) - start)
        if self._known(points):
            unit = np.asarray(self.unit)
            column = Moment(0.0, self.unit)._host(np.reshape(host(points), (-1, *[1] * unit.ndim)))
            table = np.broadcast_to(column, (last + 1, *unit.shape))
            # A table for each moment where their units differ.
            rows = np.sum(self.ticks >= table, axis=0) if unit.ndim else np.searchsorted(table, self.ticks, side="right")
            row = np.maximum(rows - 1, 0)
            after = np.where(self.ticks < table[0], row, np.minimum(row + 1, last))
            start, stop = (np.take_along_axis(table, i[None], 0)[0] if unit.ndim else table[i] for i in (row, after))
            return row, after, Progress(np.maximum(self.ticks - start, 0.0), stop - start)
        if self.can_look_up() and is_concrete(points):
            return self._between_known(self._host(points))
        now, table = self._now(), self._table(points)
        late = ~amounts.less(amounts.each(lambda x: jnp.broadcast_to(x, table.whole.shape[1:])[None], now), table)
        row = jnp.maximum(jnp.sum(late, axis=0, dtype=np.int32) - 1, 0)
        after = jnp.where(late[0], jnp.minimum(row + 1, last), row)
        start, stop = (amounts.each(lambda x, i=i: jnp.take_along_axis(x, i[None], 0)[0], table) for i in (row, after))
        return row, after, Progress(amounts.minus(now, start), amounts.minus(stop, start))

    def _between_known(self, points: np.ndarray) -> tuple[Any, Any, Progress]:
        """`between` of known points, in ticks, and of whole ticks in a trace."""
        starts, lengths = np.maximum(points, 0.0), np.diff(points, append=points[-1])
        inverses = 1 / np.where(lengths > 0, lengths, 1.0)  # so that nothing is divided by what is looked up
        begun = self._replace(unit=1.0).reached(points[0])
        if len(points) > _FEW:
            row = jnp.maximum(self._replace(unit=1.0).row_of(np.append(0.0, starts)) - 1, 0)

            def looked_up(table: np.ndarray) -> Any:
                return jnp.asarray(table).at[row].get(mode="promise_in_bounds")
        else:
            reached = [self._replace(unit=1.0).reached(point) for point in points[1:]]
            row = sum((late.astype(np.int32) for late in reached), start=jnp.zeros(jnp.shape(self._now().whole), np.int32))

            def looked_up(table: np.ndarray) -> Any:
                value = jnp.broadcast_to(table[0], row.shape)
                return functools.reduce(lambda found, i: jnp.where(reached[i], table[i + 1], found), range(len(reached)), value)

        after = jnp.where(begun, jnp.minimum(row + 1, len(points) - 1), row)
        start, length = (amounts.each(looked_up, amounts.span(table)) for table in (starts, lengths))
        own = amounts.minus(self._now(), start)
        return row, after, Progress(own, amounts.choose(begun, length, amounts.ZERO), looked_up(real(inverses)))

    def _table(self, points: Any) -> Span:
        """Rising steps in ticks, in a trace: the points along the first axis, then the shape of the moment."""
        unit = self.unit
        if isinstance(unit, Looked) and is_concrete(points):
            table = amounts.span(np.multiply.outer(host(points), unit.table))
            table = amounts.each(lambda x: jnp.asarray(x)[:, unit.row], table)
            shape = jnp.shape(unit.row)
        else:
            unit = unit.value() if isinstance(unit, Looked) else unit
            shape = jnp.broadcast_shapes(jnp.shape(self._now().whole), np.shape(unit))
            if np.ndim(unit):
                unit = jax.tree.map(lambda x: jnp.broadcast_to(x, shape)[None], unit if isinstance(unit, Wide) else real(unit))
            column = jax.tree.map(lambda x: x.reshape(x.shape[0], *[1] * len(shape)), points)
            table = Moment(0.0, unit)._span(column)
        return amounts.each(lambda x: jnp.broadcast_to(x, (points.shape[0], *shape)), table)

    def can_look_up(self) -> bool:
        """Whether `row_of` can find this moment in a table of known steps."""
        return self.below is None and isinstance(self.unit, float) and (self.is_host or amounts.no_part(self.ticks))

    def row_of(self, starts: np.ndarray) -> Any:
        """The last of rising, known steps that it has reached; the first of them is 0."""
        table = starts if self.unit == 1.0 else self._host(starts)
        if self.is_host:
            return table.searchsorted(self.ticks, side="right") - 1
        table = np.ceil(table)
        return spans.last_reached(table[table <= last_tick()].astype(int_type()), jnp.asarray(self.ticks.whole))

    def since_row(self, starts: np.ndarray, row: Any) -> "Moment":
        """The time since the step in a row of a table, 0 before it, in ticks that are steps."""
        if self.is_host:
            return Moment(np.maximum(self.ticks - self._host(starts)[row], 0.0))
        return Moment(amounts.minus(self._now(), self.counts_in_row(starts, row)))

    def counts_in_row(self, steps: np.ndarray, row: Any) -> Any:
        """The number of steps in a row of a known table, in ticks."""
        return amounts.each(lambda x: jnp.asarray(x).at[row].get(mode="promise_in_bounds"), amounts.span(self._host(steps)))

    def divided(self, length: Number) -> tuple[Any, "Moment"]:
        """How many whole lengths have passed, and the time since the last of them; (0, now) for a length of 0.

        A multiple of a length that may have been rounded is reached a little early, so that three thirds are a whole however
        the third was rounded: by a few ulps on the host, and 2**-32 ticks per multiple in a trace.
        """
        if self._known(length):
            count, rest = _float64_divided(self.ticks, self._host(length))
            return count, self._replace(ticks=rest)
        now, span = self._now(), self._span(length)
        if x64():
            count, rest = _float64_divided(amounts.value(now), amounts.value(span))
            return count.astype(int_type()), self._replace(ticks=amounts.span(rest))
        count, rest = spans.divided(now, self._period(length, span))
        if not amounts.no_part(rest):
            slope = amounts.derivative(now)
            if not is_concrete(length) or not (isinstance(self.unit, Looked) or is_concrete(self.unit)):
                slope = slope - real(count) * amounts.derivative(span)
            part = real(rest.part) + slope
            rest = Span(rest.whole, jnp.where(part < 0, jnp.zeros_like(part), part))
        return count, self._replace(ticks=rest)

    def _period(self, length: Number, span: Span) -> spans.Period:
        unit = self.unit
        if is_concrete(length) and isinstance(unit, Looked):
            table = spans.period(host(length) * unit.table)
            return spans.Period(*(x if np.ndim(x) == 0 else jnp.asarray(x)[unit.row] for x in table))
        if isinstance(unit, Wide):
            return spans.period_of_parts(*unit.times(length).parts())
        return spans.period(self._host(length)) if is_concrete(length, unit) else spans.period_of(span)

    def cycle(self, length: Any, count: Any, stretch: Any) -> tuple[Any, "Moment"]:
        """In which cycle it is (0, 1, …) and the time inside it, if each cycle lasts `stretch` times the one before.

        Of a finite count the last cycle goes on for ever; in a cycle stretched k-fold, k ticks make a step. A stretch of
        None is 1, known before any number is.
        """
        if self.below is not None:
            return self.clamped().cycle(length, count, stretch)
        if stretch is not None and not (type(stretch) is float and stretch == 1.0):
            return self._growing_cycle(length, count, rough(stretch))
        last = None if count is None else maximum(subtract(rounded(count), 1.0), 0.0)
        index, inside = self.divided(length)
        if last is None:
            return index, inside
        if self._known(length, last):
            within = both(index <= last, length > 0)
            return where(within, index, last), where_moment(within, inside, self)
        final = _last_cycle(count)
        index = amounts.span(index).whole if is_concrete(index) else index
        within = jnp.logical_and(index <= final, real(length) > 0)
        return jnp.where(within, index, final), where_moment(within, inside, self)

    def _growing_cycle(self, length: Any, count: Any, stretch: Any) -> tuple[Any, "Moment"]:
        last = math.inf if count is None else maximum(subtract(rounded(count), 1.0), 0.0)
        numbers = self.unit, rough(length), stretch, last
        if is_concrete(*numbers) and not any(map(np.ndim, numbers)):
            end = 2**53 if self.is_host else last_tick()
            starts, growths = _cycle_table(self._host(length), float(last), float(stretch), end)
            if len(starts) < _MOST_CYCLES:
                return self._looked_up_cycle(starts, growths)
        if self._known(length, stretch, last):
            index, start, growth = cycles.on_host(self.ticks, self._host(length), host(stretch), last)
            return index, self._replace(ticks=maximum(self.ticks - start, 0.0)).slowed(growth)
        now, last = self._now(), None if count is None else _last_cycle(count)
        if x64():
            first = multiply(rough(length), rough(self.unit))
            index, start, growth = cycles.in_float64(amounts.value(now), first, stretch, last)
            return index, Moment(amounts.minus(now, amounts.span(start)), self.unit).slowed(growth)
        index, start, growth = cycles.in_two_floats(now, self._wide(length), stretch, last)
        one = type(self.unit) is float and self.unit == 1.0
        return index, Moment(amounts.minus(now, start), growth if one else self._wide(1.0).times(growth))

    def _wide(self, steps: Any) -> Wide:
        """A number of steps in ticks, with all of its digits."""
        unit = self.unit
        if isinstance(unit, Looked):
            table = wide(_product(steps, unit.table) if is_concrete(steps) else unit.table)
            looked_up = jax.tree.map(lambda x: jnp.asarray(x)[unit.row], table)
            return looked_up if is_concrete(steps) else looked_up.times(steps)
        if is_concrete(steps, unit):
            return wide(self._host(steps))
        return wide(steps) if type(unit) is float and unit == 1.0 else wide(unit).times(steps)

    def _looked_up_cycle(self, starts: np.ndarray, growths: np.ndarray) -> tuple[Any, "Moment"]:
        row, *_ = Moment(self.ticks).between(starts)
        if self.is_host:
            inside = self._replace(ticks=maximum(self.ticks - starts[row], 0.0))
            return row, inside.slowed(growths[row])
        start = amounts.each(lambda x: jnp.asarray(x)[row], amounts.span(starts))
        return row, Moment(amounts.minus(self._now(), start), Looked(growths * host(self.unit), row))

    def exponential(self, start: Number, rate: Number) -> Any:
        """`start · rate ** time`, for a rate >= 0; what is too large is the largest float."""
        if self._known(start, rate):
            half = minimum(np.power(host(rate), self.value() / 2), HOST_MAX)  # as a whole it may overflow before the product
            return saturated(host(start) * half * half)
        if self.below is not None:
            return self._signed_exponential(start, rate)
        if x64() or (is_concrete(rate) and np.any(np.equal(rate, 0))):
            return raised(start, rate, self.value())
        return powers.exponential(start, rate, self._in_two_floats())

    def _signed_exponential(self, start: Number, rate: Number) -> Any:
        early, distance = jnp.asarray(self._early()), self._distance()
        positive = where(real(rate) > 0, rate, 1.0)
        if x64():
            value = raised(start, where(early, divide(1.0, positive), positive), distance.value())
        else:
            time = distance._in_two_floats()
            value = powers.exponential(start, positive, powers.Two(*(jnp.where(early, -x, x) for x in time)))
        at_zero = where(early, multiply(jnp.sign(real(start)), largest()), raised(start, 0.0, distance.value()))
        return where(real(rate) > 0, value, at_zero)

    def _in_two_floats(self) -> powers.Two:
        """The time as a number of steps, in a trace."""
        unit = self.unit
        if isinstance(unit, float) and unit == 1.0:
            return powers.amount(self._now())
        if isinstance(unit, Looked):
            unit = powers.Two(*(jnp.asarray(x)[unit.row] for x in powers.known(np.maximum(unit.table, _SMALLEST_UNIT))))
        elif isinstance(unit, (Span, Wide)) and not is_concrete(unit):
            unit = unit.two() if isinstance(unit, Wide) else powers.amount(unit)
            unit = unit.only_where(unit.head > powers.LEAST, powers.LEAST)
        elif is_concrete(unit):
            unit = powers.known(np.maximum(host(unit), _SMALLEST_UNIT))
        else:
            unit = powers.received(jnp.maximum(real(unit), np.float32(powers.LEAST)))
        return powers.ratio(self._now(), unit)


def _last_cycle(count: Any) -> Any:
    """The number of the last of so many cycles, rounded to a whole number of them, in a trace."""
    if not isinstance(count, Span) or is_concrete(count):
        return amounts.span(maximum(subtract(rounded(count), 1.0), 0.0)).whole
    part = real(count.part)
    up = (part > 0.5) | ((part == 0.5) & (count.whole % 2 == 1))
    return jnp.maximum(count.whole - 1 + up.astype(int_type()), 0)


def sum_of_cycles(length: Any, count: Any, stretch: Number) -> Any:
    """How long so many cycles last together, of which the first is of that length, and each `stretch` times the one before."""
    if is_concrete(length, count, stretch):
        return cycles.on_host(np.inf, host(length), host(stretch), host(rounded(count)))[1]
    count = jnp.minimum(_last_cycle(count), last_tick() - 1) + 1
    if x64():
        return cycles.in_float64(np.inf, length, stretch, count)[1]
    total = cycles.sum_in_two_floats(wide(length), rough(stretch), count)
    return total.span() if isinstance(length, Span) else total.rough


def _product(steps: Number, unit: Number) -> Any:
    """Steps in ticks, in float64; a whole number of them where only rounding says otherwise: ten tenths are one."""
    ticks = minimum(multiply(steps, unit), HOST_MAX / 4)  # so that sums of them are finite
    near = np.round(ticks)
    return where(np.abs(ticks - near) <= 2.0**-51 * near, near, ticks)


def where_moment(condition: Any, a: Moment, b: Moment) -> Moment:
    """Moment `a` where the condition holds, else `b`; both in the same unit."""
    if a.is_host and b.is_host and is_concrete(condition):
        return a._replace(ticks=where(condition, a.ticks, b.ticks))
    return a._replace(ticks=amounts.choose(condition, a._now(), b._now()))


def time_given(value: Number) -> Moment:
    """A value as a time; one below 0, or none at all, is taken as 0."""
    return moment(np.fmax(host(value), 0.0) if is_concrete(value) else value)[0]


def time_of_parts(high: Any, low: Any, fractions: tuple[Any, Any], bits: int) -> Any:
    """The time `high · 2**bits + low + the sum of the fractions`, below 2**53: a float64 on the host, otherwise a moment.

    That is exact but for the fraction, which is rounded with `low` to a float32.
    """
    if is_concrete(high, low, *fractions):
        return host(high) * 2.0**bits + (host(low) + (host(fractions[0]) + host(fractions[1])))
    fraction = real(fractions[0]) + real(fractions[1])
    fraction = jnp.where(fraction > 0, fraction, jnp.zeros_like(fraction))
    if x64():
        return Moment(Span(high.astype(np.int64) * 2**bits + low.astype(np.int64), fraction))
    return Moment(Span(high, (real(low) + fraction) * np.float32(2.0**-bits)), 2.0**-bits)


def moment(step: Any, signed: bool = False) -> tuple[Moment, tuple[int, ...]]:
    """A step, or an array of steps, as a moment and its shape; steps before 0 are taken as 0. A moment is one already.

    With `signed` it is what a clock reads, which may be below 0 and stays so.
    """
    if type(step) is int and not signed:
        return Moment(min(max(float(step), 0.0), _LATEST) if step < 2**62 else _LATEST), ()
    step = kinds.array_of(step)
    if isinstance(step, Moment):
        return step, np.shape(step.ticks.whole if isinstance(step.ticks, Span) else step.ticks)
    if isinstance(step, (list, tuple)):
        step = jax.tree.map(kinds.array_of, step, is_leaf=kinds.stands_for_array)
        if not is_concrete(*jax.tree.leaves(step)):
            return _stacked([moment(x) for x in step])
    if not isinstance(step, jax.Array) or is_concrete(step):
        return _known_moment(step, signed)
    if not kinds.is_real(step.dtype):
        raise TypeError(f"a schedule is called with a step, a number or an array of numbers; got an array of {step.dtype}")
    below = None
    if signed and not jnp.issubdtype(step.dtype, jnp.unsignedinteger):
        below = _traced_ticks(jnp.negative(jnp.maximum(step, -_largest_of(step.dtype))))
    return Moment(_traced_ticks(step), below=below), step.shape


def _known_moment(step: Any, signed: bool) -> tuple[Moment, tuple[int, ...]]:
    ticks = _host_steps(step)
    if np.isnan(ticks).any():
        raise ValueError(f"a schedule is called with a step, and NaN is none; got {step!r}")
    now, before = (np.clip(x, 0.0, _LATEST)[()] for x in (ticks, -ticks))
    return Moment(now, below=before if signed else None), ticks.shape


def _host_steps(step: Any) -> np.ndarray:
    """Steps in float64, of any types of numbers."""
    if isinstance(step, (list, tuple)):
        return np.asarray([_host_steps(x) for x in step], np.float64)
    steps = np.asarray(step)
    if not kinds.is_real(steps.dtype) and not (steps.dtype == object and all(isinstance(x, int) for x in steps.flat)):
        raise TypeError(f"a schedule is called with a step, a number or an array of numbers; got {step!r}")
    return steps.astype(np.float64)  # of objects: integers beyond 64 bits


def _traced_ticks(step: Any) -> Span:
    """A traced step >= 0, or one below 0 as 0."""
    if jnp.issubdtype(step.dtype, jnp.floating):
        return amounts.span(jnp.minimum(real(step), float_type()(_LATEST)))
    most = jnp.iinfo(step.dtype).max
    whole = jnp.minimum(step, np.asarray(min(last_tick(), most), step.dtype))
    ticks = jnp.maximum(jax.lax.convert_element_type(whole, int_type()), 0)
    if jnp.issubdtype(step.dtype, jnp.unsignedinteger) and most > last_tick():
        return Span(ticks, real(step - whole))  # as all that is beyond the last whole
    return Span(ticks, 0.0)


def _largest_of(dtype: Any) -> Any:
    """The largest number of a type, as one of it: so that what is as large below 0 can be negated."""
    info = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo(dtype)
    return np.asarray(info.max, dtype)


def _stacked(moments: list[tuple[Moment, tuple[int, ...]]]) -> tuple[Moment, tuple[int, ...]]:
    """The moments of a list of steps as one."""
    shapes = {shape for _, shape in moments}
    if len(shapes) > 1:
        raise ValueError(f"a schedule is called with a step, or an array of them; got a list of the shapes {sorted(shapes)}")
    spans = [one._now() for one, _ in moments]
    whole = jnp.stack([jnp.asarray(span.whole, int_type()) for span in spans])
    part = 0.0 if amounts.no_part(*spans) else jnp.stack([jnp.broadcast_to(real(s.part), np.shape(s.whole)) for s in spans])
    return Moment(Span(whole, part)), whole.shape


_SMALLEST_UNIT = 1e-25  # in a trace, so that no time is infinite
_LATEST = 2.0**62  # infinity has no place in a cycle


def _float64_divided(now: Any, total: Any) -> tuple[Any, Any]:
    """`Moment.divided` where a float64 is at hand, on the host or in a trace."""
    xp = np if is_concrete(now, total) else jnp
    units = total * 2.0**20
    early = xp.where(units == xp.floor(units), total, total * (1 - 2.0**-51))
    safe = xp.where(total > 0, early, 1.0)
    count = xp.floor(now / safe)
    count = xp.where(count * safe > now, count - 1, count)
    count = xp.where((count + 1) * safe <= now, count + 1, count)
    count = xp.where(total > 0, xp.minimum(count, 2.0**62), 0.0)
    # Beyond 2**53 lengths a float64 no longer knows the time since the last one.
    return count, xp.where(count < 2.0**53, xp.maximum(now - count * total, 0.0), 0.0)


_FEW = 32  # points: to compare with each of fewer is faster than to search a table
_MOST_CYCLES = 1024  # looking a cycle up in a trace takes time in proportion to their number


@functools.lru_cache(maxsize=256)
def _cycle_table(length: float, last: float, stretch: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The start and the growth of each cycle that begins before the end, by adding and multiplying in float64."""
    starts, growths, start, growth = [], [], 0.0, 1.0
    while start <= end and len(starts) <= last and len(starts) < _MOST_CYCLES:
        starts.append(start)
        growths.append(growth)
        start, growth = start + length * growth, min(growth * stretch, HOST_MAX)
    return np.asarray(starts), np.asarray(growths)
