"""Clocks that observe a metric: plateaus, observations since the best one, a greedy controller; and `reduce_on_plateau`."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.arguments import recipe
from lrsched.algebra.node import Spec, checked, choice, leaf, node, static, surely
from lrsched.algebra.numerics import Number
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Exponential
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.clock import Around, Clock, Observed, advanced, as_number, zero

Mode = Literal["min", "max"]
ThresholdMode = Literal["rel", "abs", "rel_signed"]


class OfMetric(Clock):
    """The base of clocks that compare a metric with the best so far."""

    mode: Mode
    threshold: Number
    threshold_mode: ThresholdMode
    monitor: str
    atol: Number
    observed: Any  # a method: the next state, from the state and a value

    def tick(self, state: Any, steps: Number, observations: Observed) -> Any:
        del steps
        value = observations.get(self.monitor)
        if value is None:
            return state
        call = f"{type(self).__name__}(monitor={self.monitor!r})"
        return self.observed(state, jnp.asarray(numerics.to_float(as_number(call, value))))

    def worst(self) -> jax.Array:
        """The best so far before any observation."""
        return jnp.full((), jnp.inf if self.mode == "min" else -jnp.inf, numerics.float_type())

    def is_better(self, value: jax.Array, best: jax.Array) -> Any:
        """Whether a metric is better than the best so far by more than the margin."""
        numbers, sign = (value, best, self.threshold, self.atol), 1.0 if self.mode == "min" else -1.0
        known = numerics.is_concrete(*numbers)
        # On the host a float32 counts as the shortest decimal that rounds to it, such as 0.123.
        a, b, threshold, atol = (float(str(np.asarray(x)[()])) if known else numerics.to_float(x) for x in numbers)
        xp: Any = math if known else jnp
        if self.threshold_mode == "abs":
            threshold, atol = 0.0, threshold + atol
        elif self.threshold_mode == "rel":
            threshold = xp.copysign(threshold, b)
        if known:  # PyTorch's own arithmetic: its rounding decides ties of decimals
            level = b if math.isinf(b) else b * (1.0 - sign * threshold) - sign * atol
            return sign * a < sign * level
        margin = threshold * jnp.where(jnp.isinf(b), 0, b) + atol  # 0 · inf is NaN
        # Decimals arrive here rounded to float32. With a margin, differences within that rounding are ties.
        roundings = jnp.maximum(jnp.abs(a), jnp.abs(b)) * jnp.finfo(best.dtype).eps
        return sign * (b - a) - margin > jnp.minimum(roundings, jnp.abs(margin) / 16)


def _whole(count: Number) -> jax.Array:
    """A number of observations as an int32."""
    return jnp.minimum(jnp.ceil(numerics.to_float(count)), 2.0**30).astype(jnp.int32)


class PlateauState(NamedTuple):
    best: jax.Array  # the best observation so far
    bad: jax.Array  # observations since then, or since the last plateau
    cooldown: jax.Array  # observations left that do not count as bad
    plateaus: jax.Array  # the reading
    total: jax.Array  # the sum of the observations in this window
    seen: jax.Array  # the number of observations in this window


@node
class Plateau(OfMetric):
    """Counts plateaus: how often a metric has gone without improving for more than `patience` observations.

    An observation a is better than the best so far, b, and becomes the best, if

        mode "min":  a < b - margin        mode "max":  a > b + margin

    where margin is `atol` plus threshold · |b| ("rel"; 0 before the first observation), threshold ("abs"), or threshold · b
    ("rel_signed", PyTorch's rule: a flat metric below 0 is better every time). Any other observation, including NaN, is bad.
    More than `patience` bad observations in a row are a plateau: the reading goes up by one, the count starts again, and the
    next `cooldown` observations do not count as bad.

    Outside `jit` this is computed in float64, as in PyTorch, and a float32 counts as the decimal that it prints as. Inside
    `jit` the metric is a float32; if it equals b - margin within float32's resolution, it is not better.

    Args:
        mode: "min" for a loss, "max" for a score.
        patience: the number of bad observations in a row to tolerate, a whole number >= 0.
        threshold: the margin, >= 0, as `threshold_mode` says.
        threshold_mode: "rel", "abs" or "rel_signed".
        cooldown: the number of observations after a plateau that do not count, a whole number >= 0.
        monitor: the name of the metric. A tick without that metric changes nothing.
        window: this many observations, a whole number >= 1, are averaged into one: for a loss that is observed at every update.
            (`Smoothed` takes a moving mean.)
        atol: an additional margin, in units of the metric, >= 0.
        immediate: whether an observation affects the update that it comes with, as in optax, rather than the next one. This
            matters in `scale_by_learning_rate`, `scheduled` and `replay`.

    Raises:
        TypeError: on a tick, if the observation is not a scalar.

    >>> import lrsched as ls
    >>> s = ls.Exponential(1.0, 0.5).on(ls.Plateau(patience=1))
    >>> state = ls.clocks.init(s)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     state = ls.clocks.tick(s, state, value=loss)
    >>> print(ls.clocks.evaluate(s, state))
    0.5

    References:
        PyTorch's `ReduceLROnPlateau`, with the same counting; the margins of "rel" and the window differ.
    """

    mode: Mode = choice("min", "max", default="min")
    patience: Number = leaf(ge=0, integer=True, unit="observations", default=10.0)
    threshold: Number = leaf(ge=0, default=1e-4, hint="how much better counts as better")
    threshold_mode: ThresholdMode = choice("rel", "abs", "rel_signed", default="rel")
    cooldown: Number = leaf(ge=0, integer=True, unit="observations", default=0.0)
    monitor: str = choice(default="value")
    window: Number = leaf(ge=1, integer=True, unit="observations", default=1.0)
    atol: Number = leaf(ge=0, default=0.0, hint="how much better counts as better")
    immediate: bool = static(default=False)
    _unit: ClassVar[str] = "plateaus of {self.monitor}"

    def init(self) -> PlateauState:
        # Each in its own buffer, or the state could not be donated.
        bad, cooldown, plateaus, seen = (zero() for _ in range(4))
        return PlateauState(self.worst(), bad, cooldown, plateaus, jnp.zeros((), numerics.float_type()), seen)

    def observed(self, state: PlateauState, value: jax.Array) -> PlateauState:
        if numerics.is_concrete(self.window) and np.all(numerics.to_float64(self.window) == 1):
            return self._counted(state, value)
        total, seen = state.total + value, state.seen + 1
        after = self._counted(state, total / numerics.to_float(seen))
        after = after._replace(total=jnp.zeros_like(total), seen=jnp.zeros_like(seen))
        full = numerics.to_float(seen) >= numerics.to_float(self.window)
        return jax.tree.map(lambda a, b: jnp.where(full, a, b), after, state._replace(total=total, seen=seen))

    def _counted(self, state: PlateauState, mean: jax.Array) -> PlateauState:
        """The state after a whole window with this mean."""
        better, cooling = self.is_better(mean, state.best), state.cooldown > 0
        bad = jnp.where(better | cooling, 0, state.bad + 1)
        fired = numerics.to_float(bad) > numerics.to_float(self.patience)
        return state._replace(
            best=jnp.where(better, mean, state.best),
            bad=jnp.where(fired, 0, bad),
            cooldown=jnp.where(fired, _whole(self.cooldown), jnp.where(cooling, state.cooldown - 1, 0)),
            plateaus=jnp.where(fired, state.plateaus + 1, state.plateaus),
        )

    def read(self, state: PlateauState) -> jax.Array:
        return state.plateaus

    def report(self, state: PlateauState) -> dict[str, Any]:
        name = self.monitor
        return {f"{name}/plateaus": state.plateaus, f"{name}/bad": state.bad, f"{name}/best": state.best}


class SinceBestState(NamedTuple):
    best: jax.Array  # the best observation so far
    bad: jax.Array  # the reading


@node
class SinceBest(OfMetric):
    """Counts the observations since the best one, for early stopping. It is 0 if the last observation is the best.

    A training loop can read it to keep the best parameters inside `jit`, and to stop:

    >>> import jax, jax.numpy as jnp
    >>> import lrsched as ls
    >>> clock = ls.SinceBest(monitor="loss", threshold=0.0)
    >>> @jax.jit
    ... def validated(state, loss, params, best):
    ...     state = clock.tick(state, 0, {"loss": loss})
    ...     return state, jax.tree.map(lambda new, old: jnp.where(clock.read(state) == 0, new, old), params, best)
    >>> state, best = clock.init(), jnp.zeros(())
    >>> for epoch, loss in enumerate([3.0, 2.0, 1.0, 1.5, 1.2, 1.4, 0.9]):
    ...     state, best = validated(state, loss, jnp.asarray(epoch / 10), best)
    ...     if clock.read(state) >= 3:
    ...         break
    >>> print(epoch, state.best, best)
    5 1.0 0.2

    Args:
        mode, threshold, threshold_mode, monitor, atol: as in `Plateau`.
    """

    mode: Mode = choice("min", "max", default="min")
    threshold: Number = leaf(ge=0, default=1e-4, hint="how much better counts as better")
    threshold_mode: ThresholdMode = choice("rel", "abs", "rel_signed", default="rel")
    monitor: str = choice(default="value")
    atol: Number = leaf(ge=0, default=0.0, hint="how much better counts as better")
    _unit: ClassVar[str] = "observations since the best {self.monitor}"

    def init(self) -> SinceBestState:
        return SinceBestState(self.worst(), zero())

    def observed(self, state: SinceBestState, value: jax.Array) -> SinceBestState:
        better = self.is_better(value, state.best)
        return SinceBestState(jnp.where(better, value, state.best), jnp.where(better, 0, advanced(state.bad, 1)))

    def read(self, state: SinceBestState) -> jax.Array:
        return state.bad

    def report(self, state: SinceBestState) -> dict[str, Any]:
        return {f"{self.monitor}/since_best": state.bad, f"{self.monitor}/best": state.best}


_FAR = 1e9  # as good as no bound


class GreedyState(NamedTuple):
    best: jax.Array  # the best observation so far
    good: jax.Array  # better observations in a row
    bad: jax.Array  # other observations in a row
    wait: jax.Array  # observations left that do not count
    stuck: jax.Array  # reductions at the highest reading, since the last raise
    bound: jax.Array  # the bound that the reading last reached, 0 at first
    moves: jax.Array  # reductions minus raises since then: an integer, so that no rounding errors accumulate


@node
class Greedy(OfMetric):
    """Counts reductions minus raises, for a rate that goes up while a metric improves and down while it does not.

    More than `patience` better observations in a row are a raise: the reading goes down by one. More than `patience` other
    observations in a row are a reduction: it goes up by one. So `Exponential(b, factor)` is divided by the factor at a raise,
    and multiplied by it at a reduction. The `reset`-th reduction at the highest reading restarts the clock, and it forgets
    its best observation.

    Args:
        mode, threshold, threshold_mode, monitor, atol: as in `Plateau`.
        patience: the number of observations of one kind in a row to tolerate without effect, a whole number >= 0.
        cooldown, warmup: the number of observations to ignore after a reduction, and after a raise, whole numbers >= 0.
        lowest, highest: the bounds of the reading, lowest <= highest, by default far away. If the initial reading, 0, is
            beyond a bound, it moves no further away.
        reset: the number of reductions at the highest reading until a restart, > 0; by default it never restarts.

    Raises:
        ValueError: if lowest > highest.

    >>> import lrsched as ls
    >>> s = ls.Exponential(1.0, 0.5).on(ls.Greedy(patience=1, lowest=-2))
    >>> print(ls.clocks.replay(s, [3.0, 2.0, 1.0, 0.5, 0.5, 0.5, 0.5]))
    [1. 1. 2. 2. 4. 4. 2.]

    References:
        GreedyLR (arXiv 2512.14527), as in Hugging Face's transformers.
    """

    mode: Mode = choice("min", "max", default="min")
    patience: Number = leaf(ge=0, integer=True, unit="observations", default=10.0)
    threshold: Number = leaf(ge=0, default=1e-6, hint="how much better counts as better")
    threshold_mode: ThresholdMode = choice("rel", "abs", "rel_signed", default="abs")
    cooldown: Number = leaf(ge=0, integer=True, unit="observations", default=0.0)
    warmup: Number = leaf(ge=0, integer=True, unit="observations", default=0.0)
    lowest: Number = leaf(default=-_FAR)
    highest: Number = leaf(default=_FAR)
    reset: Number = leaf(gt=0, unit="reductions", default=_FAR)
    monitor: str = choice(default="value")
    atol: Number = leaf(ge=0, default=0.0, hint="how much better counts as better")
    _unit: ClassVar[str] = "reductions minus raises for {self.monitor}"

    def _check(self) -> None:
        if surely(np.greater, self.lowest, self.highest):
            hint = "the bounds of the reading"
            raise ValueError(unexpected("Greedy", "lowest", self.lowest, f"lowest <= highest={shown(self.highest)}", hint))

    def init(self) -> GreedyState:
        good, bad, wait, stuck, moves = (zero() for _ in range(5))
        return GreedyState(self.worst(), good, bad, wait, stuck, jnp.zeros((), numerics.float_type()), moves)

    def observed(self, state: GreedyState, value: jax.Array) -> GreedyState:
        better = self.is_better(value, state.best)
        good, bad = jnp.where(better, state.good + 1, 0), jnp.where(better, 0, state.bad + 1)
        patience, low, high = (numerics.to_float(x) for x in (self.patience, self.lowest, self.highest))
        raised, reduced = (numerics.to_float(count) > patience for count in (good, bad))
        change, reading = jnp.where(raised, -1, jnp.where(reduced, 1, 0)), self.read(state)
        free = reading + numerics.to_float(change)
        bounded = jnp.clip(free, jnp.minimum(reading, low), jnp.maximum(reading, high))
        stuck = jnp.where(raised, 0, jnp.where(reduced & (bounded >= high), state.stuck + 1, state.stuck))
        anew = reduced & (numerics.to_float(stuck) >= numerics.to_float(self.reset))
        after = GreedyState(
            best=jnp.where(anew, self.worst(), jnp.where(better, value, state.best)),
            good=jnp.where(raised, 0, good),
            bad=jnp.where(reduced, 0, bad),
            wait=jnp.where(raised, _whole(self.warmup), jnp.where(reduced, _whole(self.cooldown), 0)),
            stuck=jnp.where(anew, 0, stuck),
            bound=jnp.where(anew, 0, jnp.where(bounded == free, state.bound, bounded)),
            moves=jnp.where(anew | (bounded != free), 0, state.moves + change),
        )
        waiting = state._replace(good=jnp.zeros_like(good), bad=jnp.zeros_like(bad), wait=state.wait - 1)
        return jax.tree.map(lambda a, b: jnp.where(state.wait > 0, a, b), waiting, after)

    def read(self, state: GreedyState) -> jax.Array:
        return state.bound + numerics.to_float(state.moves)

    def report(self, state: GreedyState) -> dict[str, Any]:
        return {f"{self.monitor}/reductions": self.read(state), f"{self.monitor}/best": state.best}


class SmoothedState(NamedTuple):
    clock: Any  # the state of the other clock
    recent: dict[str, jax.Array]  # the last observations of each metric, the latest first
    seen: dict[str, jax.Array]  # how many observations there were


@node
class Smoothed(Around):
    """Another clock that observes a moving mean over the last `window` observations, or fewer at the start.

    When a `Greedy` restarts, so does its mean. An observation that is not finite is passed on unchanged, and left out of the
    mean.

    Args:
        clock: the other clock, such as a `Plateau`.
        window: the number of observations, a whole number >= 1. It is part of the structure: another one compiles again.

    Raises:
        TypeError: if it is not a clock.

    >>> import lrsched as ls
    >>> s = ls.Exponential(1.0, 0.5).on(ls.Smoothed(ls.Plateau(patience=0), window=2))
    >>> print(ls.clocks.replay(s, [3.0, 1.0, 2.0, 2.0, 1.0]))
    [1.  1.  1.  1.  0.5]

    References:
        `smooth` of Hugging Face's GreedyLR.
    """

    window: int = static(default=50)
    _unit: ClassVar[str] = "{self.clock.unit}"

    def _check(self) -> None:
        super()._check()
        window = checked("Smoothed", "window", self.window, ge=1, integer=True, unit="observations")
        if np.ndim(window):
            raise TypeError(unexpected("Smoothed", "window", self.window, "one number", "make a clock for each window"))
        self.__dict__["window"] = int(window)

    @property
    def immediate(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.clock.immediate

    @property
    def combine(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - a mean of exact counts is not exact
        return "sum" if self.clock.combine == "count" else self.clock.combine

    def init(self) -> SmoothedState:
        recent = {name: jnp.zeros(self.window, numerics.float_type()) for name in self.monitors}
        return SmoothedState(self.clock.init(), recent, {name: zero() for name in self.monitors})

    def tick(self, state: SmoothedState, steps: Number, observations: Observed) -> SmoothedState:
        recent, seen, means = dict(state.recent), dict(state.seen), dict(observations)
        for name in recent.keys() & observations.keys():
            value = numerics.to_float(as_number(f"Smoothed(monitor={name!r})", observations[name]))
            finite = jnp.isfinite(value)
            recent[name] = jnp.where(finite, jnp.roll(recent[name], 1).at[0].set(value), recent[name])
            seen[name] = jnp.where(finite, jnp.minimum(seen[name] + 1, self.window), seen[name])
            means[name] = jnp.where(finite, jnp.sum(recent[name]) / numerics.to_float(jnp.maximum(seen[name], 1)), value)
        clock = self.clock.tick(state.clock, steps, means)
        if isinstance(self.clock, Greedy):  # a Greedy may have restarted
            worst = self.clock.worst()
            anew = (clock.best == worst) & (state.clock.best != worst)
            recent, seen = jax.tree.map(lambda x: jnp.where(anew, jnp.zeros_like(x), x), (recent, seen))
        return SmoothedState(clock, recent, seen)

    def read(self, state: SmoothedState) -> Any:
        return self.clock.read(state.clock)

    def report(self, state: SmoothedState) -> dict[str, Any]:
        return self.clock.report(state.clock)


Scale: TypeAlias = Annotated[Number, Spec(ge=0, le=1, hint="a scale that reduces")]
Count: TypeAlias = Annotated[Number, Spec(ge=0, integer=True, unit="observations")]
Window: TypeAlias = Annotated[Number, Spec(ge=1, integer=True, unit="observations")]
Margin: TypeAlias = Annotated[Number, Spec(ge=0, hint="how much better counts as better")]


@recipe
def reduce_on_plateau(
    factor: Scale = 0.1,
    mode: Mode = "min",
    patience: Count = 10,
    threshold: Margin = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    cooldown: Count = 0,
    monitor: str = "value",
    min_scale: Scale = 0.0,
    window: Window = 1,
    atol: Margin = 0.0,
    immediate: bool = False,
) -> Schedule:
    """A factor for a schedule, reduced by `factor` after each plateau: `max(factor^plateaus, min_scale)`.

    Pass the metric to `update` as `value=...`, to `observe` between updates, or to `tick`.

    Args:
        factor: the factor of each reduction, in [0, 1].
        min_scale: the lowest scale, in [0, 1].
        mode, patience, threshold, threshold_mode, cooldown, monitor, window, atol, immediate: see `Plateau`.

    Raises:
        ValueError: if factor or min_scale is not in [0, 1], or as `Plateau` does.

    >>> import lrsched as ls
    >>> s = ls.Linear(1.0, 0.0, 100) * ls.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = ls.clocks.init(s)
    >>> for loss in [2.0, 2.0]:
    ...     state = ls.clocks.tick(s, state, value=loss)
    >>> print(ls.clocks.evaluate(s, state))
    0.49

    References:
        PyTorch's `ReduceLROnPlateau`, with the same counting; see `Plateau` for the margins.
    """
    clock = Plateau(mode, patience, threshold, threshold_mode, cooldown, monitor, window, atol, immediate)
    return Exponential(1.0, factor).clip(min_scale, 1.0).on(clock)
