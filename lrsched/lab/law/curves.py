"""Recorded curves: a schedule, the steps at which a loss was recorded, and the losses."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from lrsched.algebra.combinators import driven_parts
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.lab.law.laws import Rates
from lrsched.views.phases import phases

Rated: TypeAlias = ScheduleLike | Sequence[float] | np.ndarray | jax.Array  # a schedule, or the rate of every update
Run: TypeAlias = tuple[Rated, ArrayLike, ArrayLike]  # the schedule, and the recorded steps and losses

_MOST = 400  # points of a curve; if there are more, neighbours are averaged


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A recorded run, after its warm-up.

    Args:
        name: the text of its schedule.
        rates: its schedule as a function of the step.
        steps, losses: of its n points, of shape (n,).
    """

    name: str
    rates: Rates
    steps: np.ndarray
    losses: np.ndarray


def as_rates(call: str, schedule: Rated, last: int) -> Schedule | Rates:
    """A schedule, or an array of rates, as a function of the step."""
    if isinstance(schedule, (list, tuple, np.ndarray, jax.Array)) and np.ndim(schedule):
        if np.ndim(schedule) != 1 or len(schedule) <= last:
            expected = f"the rate of every update from 0 to {last}"
            raise ValueError(f"{call}(schedule=[...]): expected {expected}, got an array of shape {np.shape(schedule)}.")
        rates = jnp.asarray(schedule, float)
        return lambda steps: rates[steps]
    found = as_schedule(call, "schedule", schedule)  # pyright: ignore[reportArgumentType]
    if driven_parts(found):
        hint = "lrsched.clocks.bind(schedule, state) is a function of the step; or give the rates used, as an array"
        raise TypeError(unexpected(call, "schedule", found, "a schedule that is not driven", hint))
    return found


def corners(rates: Schedule | Rates) -> np.ndarray | None:
    """The steps at which a schedule jumps or bends; None if they are not known."""
    if not isinstance(rates, Schedule) or any(isinstance(x, Tracer) for x in jax.tree.leaves(rates)):
        return None
    if rates.batch_shape:
        found = [corners(one) for one in rates]
        return None if any(one is None for one in found) else np.concatenate(found)
    try:
        return phases(rates).corners
    except TypeError:  # a node class that is not registered
        return None


def recorded(schedule: Rated, steps: ArrayLike, losses: ArrayLike) -> Curve:
    """A curve for fitting a law: without the warm-up, where no law holds, and with at most `_MOST` points."""
    steps, losses = np.asarray(steps, np.float64), np.asarray(losses, np.float64)
    if steps.ndim != 1 or steps.shape != losses.shape:
        raise ValueError(
            f"fit_law(steps=..., losses=...): expected arrays of one length, got shapes {steps.shape} and {losses.shape}."
        )
    hint = "sort them; a curve is (schedule, steps, losses)"
    if not np.all(np.isfinite(steps)) or np.any(np.diff(steps, prepend=-1.0) <= 0) or np.any(steps % 1):
        raise ValueError(unexpected("fit_law", "steps", steps, "whole numbers that rise, from 0 or later", hint))
    if (bad := losses[~(np.isfinite(losses) & (losses > 0))]).size:
        hint = "leave out the points after it diverged"
        raise ValueError(unexpected("fit_law", "losses", bad[0], "finite losses > 0", hint))
    last = int(steps[-1]) if steps.size else 0
    rates = as_rates("fit_law", schedule, last)
    name = shown(rates, 60) if isinstance(rates, Schedule) else f"{np.size(schedule)} rates"
    if isinstance(rates, Schedule) and rates.batch_shape:
        raise ValueError(unexpected("fit_law", "schedule", rates, "one schedule", "one curve for each of list(schedule)"))
    values = np.asarray(rates(np.arange(last + 1)))
    if not np.all(np.isfinite(values) & (values >= 0)) or not values.any():
        got = f"{values.min():g} to {values.max():g}"
        raise ValueError(f"fit_law(schedule={name}): expected rates >= 0, and above 0 at some step, got {got}.")
    peak = int(np.argmax(values >= (1 - 1e-5) * values.max()))
    steps, losses = steps[steps >= peak].astype(np.int64), losses[steps >= peak]
    if len(steps) < 3:
        hint = f"the warm-up, in which the law does not hold, takes {peak} steps"
        raise ValueError(
            f"fit_law(steps=...): expected at least 3 points after the highest rate, got {len(steps)}. Hint: {hint}."
        )
    if np.median(losses[len(losses) // 2 :]) >= np.median(losses[: len(losses) // 2]):
        hint = "leave out a run that diverged, or the points at which it did"
        raise ValueError(f"fit_law(losses=...): expected losses that fall, got {losses[0]:g} to {losses[-1]:g}. Hint: {hint}.")
    if (block := -(-len(steps) // _MOST)) > 1:
        whole = len(steps) // block * block
        steps = steps[:whole].reshape(-1, block).mean(axis=1).round().astype(np.int64)
        losses = losses[:whole].reshape(-1, block).mean(axis=1)
    return Curve(name, rates, steps, losses)
