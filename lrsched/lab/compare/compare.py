"""Compare schedules on anything that can be trained: all runs in one compiled, vmapped program."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh

from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import shown, unexpected
from lrsched.clocks.running import bind, init
from lrsched.lab import progress
from lrsched.lab.compare.result import Comparison, Trial
from lrsched.lab.compare.rounds import Rounds
from lrsched.lab.plain import whole
from lrsched.views.phases import horizon, phases

# By name: a schedule, a batch of them, or a batch with its points, as `grid` returns them.
Schedules: TypeAlias = Mapping[str, ScheduleLike | tuple[Schedule, Mapping[str, np.ndarray]]]

_MOST = 100_000  # steps of which the peak is the highest
_CLOSE = 0.01  # to 1
_SHORTER = 3  # times fewer steps, and more trials, in the rung before


@explained
def compare(
    train: Callable[..., Any],
    schedules: Schedules | Callable[[int], Schedules],
    *,
    seeds: int,
    peaks: Sequence[float] | None = None,
    steps: int | None = None,
    rungs: int = 1,
    seed: int = 0,
    baseline: str = "constant",
    window: int = 5,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
    folder: str | Path | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Trains with every schedule, at every setting and peak rate, from every seed, and compares the best of each schedule.

    The runs are one `jax.vmap` of `train` over schedules and keys, compiled once. Run number s of every schedule has the same
    key, so differences are taken seed by seed.

    Args:
        train: a pure function of (schedule, key), in flax, equinox or plain JAX, that returns the losses of E evaluations, of
            shape (E,); then minus the mean of the last `window` losses is the score. Or a dict of "loss" (E,); "validation"
            (E,), a score of the validation split, such as an accuracy or minus a loss (higher is better); "test" (), the score
            of the test split at the end; optionally "step" (E,), the number of updates before each evaluation, and
            "learning_rate" (E,), for the picture of a plateau; and anything else. It may call `lrsched.lab.report(done, total)`
            to move the progress bar.
        schedules: schedules by name. A batch, or the result of `grid`, is several settings of one schedule: the best one on the
            validation split is compared.
        seeds: the number of seeds, at least 2.
        peaks: rates above 0, each of which multiplies every schedule, whose own peak must be 1; None for the schedules as they
            are.
        steps: None, or the updates of a run; then `train` and `schedules` are functions of the number of updates.
        rungs: the rungs R of successive halving; needs `steps`, at least 3^(R - 1). 1 makes whole runs only. 3 tries all
            settings in runs of a ninth of the steps, the best third of each schedule's in runs of a third, and the best third
            of those in whole runs.
        seed: the seed of all keys, below 2**32.
        baseline: the name of the schedule that the others are compared with, also at its best.
        window: the number of evaluations over which validation scores are smoothed.
        batch_size: the number of runs at a time; a smaller one needs less memory. None for all, and with a `folder` for a
            sixteenth of them.
        mesh: a mesh of JAX whose devices share the runs, with the numbers of one device that makes as many runs at a time as
            each of them; None for the default device. Processes that share a mesh make the same call, and get the same result.
        folder: where the first process keeps each finished round of `batch_size` runs. A call with the same folder makes only
            the runs that are not there, as after an interruption, or with added seeds, peaks or schedules. After a change of
            `train` or its data it makes all runs again.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `Comparison`: print it for the table, or use `.plot()`, `.to_pandas()` or `.save(folder)`.

    Raises:
        TypeError: if an argument has the wrong type, or `train` uses traced values as Python values.
        ValueError: if there is no such baseline, a peak is not above 0, a schedule's own peak beside `peaks` is not 1, or
            `train` draws random numbers of NumPy or Python, does not use its schedule or its key, returns something else, or,
            with a `folder`, gets numbers from a callback.
        MemoryError: if that many runs do not fit in the memory of the device, with the `batch_size` to try.

    >>> import jax, jax.numpy as jnp, lrsched as ls
    >>> from lrsched import lab
    >>> def train(schedule, key):  # gradient descent on x²
    ...     def step(x, i):
    ...         x = x - schedule(i) * 2 * x
    ...         return x, x**2
    ...     return jax.lax.scan(step, jax.random.normal(key), jnp.arange(20))[1]
    >>> schedules = {"constant": ls.Constant(1.0), "linear": ls.grid(ls.Linear, start=1.0, end=[0.0, 0.5], steps=20)}
    >>> found = lab.compare(train, schedules, peaks=[0.1, 0.4], seeds=3, show_progress=False)
    >>> found.rows[1].setting, found.rows[1].peak
    ('end=0.5', 0.4)
    """
    seeds, seed = whole("compare", "seeds", seeds, 2), whole("compare", "seed", seed, 0, lt=2**32)
    window, rungs = whole("compare", "window", window, 1), whole("compare", "rungs", rungs, 1, le=20)
    size = None if batch_size is None else whole("compare", "batch_size", batch_size, 1)
    least = _SHORTER ** (rungs - 1)
    steps = None if steps is None else whole("compare", "steps", steps, least, hint=f"{rungs} rungs need {least} steps")
    _check_types(train, mesh, folder)
    is_function = callable(schedules) and not isinstance(schedules, Schedule)
    if is_function != (steps is not None) or (rungs > 1 and steps is None):
        hint = "with steps=, train and schedules are functions of the number of updates, and with rungs= they must be"
        raise TypeError(unexpected("compare", "steps", steps, "a number of updates for functions of it", hint))
    lengths = [None] if steps is None else [steps // _SHORTER**k for k in reversed(range(rungs))]
    of_length: Any = schedules if is_function else lambda _: schedules
    settings = [_all_trials(of_length(length), peaks, baseline) for length in lengths]
    for length, every in zip(lengths, settings, strict=True):
        if [trial.name for trial in every] != [trial.name for trial in settings[0]]:
            text = f"expected the same number of settings at every length, got another at {length} steps."
            raise ValueError(f"compare(schedules=...): {text}")
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), seeds)))
    rounds = Rounds(size, mesh, None if folder is None else Path(folder))
    stopped: list[tuple[Trial, ...]] = []

    def compared(length: int | None, trials: tuple[Trial, ...]) -> Comparison:
        one = train if length is None else _of_length(train, length)
        metrics = rounds.metrics(one, [trial.schedule for trial in trials], keys, phase)
        return Comparison(trials, seeds, baseline, metrics, window, rounds.seconds, tuple(stopped))

    with progress.bar(show_progress and jax.process_index() == 0) as phase:
        left = list(range(len(settings[0])))
        found = compared(lengths[0], settings[0])
        for length, every in zip(lengths[1:], settings[1:], strict=True):
            orders = [found.order(name) for name in found.names]
            best = sorted(i for order in orders for i in order[: math.ceil(len(order) / _SHORTER)])
            stopped.append(tuple(trial for i, trial in enumerate(found.trials) if i not in best))
            left = [left[i] for i in best]
            found = compared(length, tuple(every[i] for i in left))
    return found


def _check_types(train: Any, mesh: Any, folder: Any) -> None:
    if not callable(train) or isinstance(train, Schedule):
        hint = "compare(train, schedules), in this order"
        raise TypeError(unexpected("compare", "train", train, "a function of (schedule, key)", hint))
    if not isinstance(mesh, Mesh | None):
        hint = "jax.make_mesh((jax.device_count(),), ('runs',))"
        raise TypeError(unexpected("compare", "mesh", mesh, "a mesh", hint))
    if not isinstance(folder, str | Path | None):
        raise TypeError(unexpected("compare", "folder", folder, "a path"))


def _of_length(train: Callable[..., Any], length: int) -> Callable[..., Any]:
    """The function that trains for so many updates."""
    try:
        inspect.signature(train).bind(length)
    except TypeError:  # a function of the schedule and the key
        one = None
    else:
        one = train(length)
    if not callable(one):
        hint = "with steps=, train(n) makes the function that trains for n updates"
        raise TypeError(unexpected("compare", f"train({length})", one, "a function of (schedule, key)", hint))
    return one


def _all_trials(schedules: Schedules, peaks: Sequence[float] | None, baseline: str) -> tuple[Trial, ...]:
    """Every setting of every schedule, in the order given, times every peak; without peaks as it is."""
    if not isinstance(schedules, Mapping) or not all(isinstance(name, str) for name in schedules):
        hint = "such as {'constant': Constant(1.0)}"
        raise TypeError(unexpected("compare", "schedules", schedules, "a dict of schedules by name", hint))
    if baseline not in schedules:
        hint = "add a constant rate of that name, or name another baseline"
        raise ValueError(unexpected("compare", "baseline", baseline, f"one of the schedules {list(schedules)}", hint))
    rates = None if peaks is None else np.asarray(checked("compare", "peaks", peaks, rank=1, gt=0), np.float64).tolist()
    if rates and (np.ndim(rates) > 1 or len(set(rates)) < len(rates)):
        raise ValueError(unexpected("compare", "peaks", peaks, "a list of different rates"))
    found: list[Trial] = []
    for name, candidate in schedules.items():
        for setting, schedule in _settings(name, candidate):
            peak = _highest(schedule)
            if rates is None:
                found.append(Trial(name, setting, peak, schedule))
            elif abs(peak - 1) <= _CLOSE:
                found += [Trial(name, setting, rate, schedule * rate) for rate in rates]
            else:
                raise ValueError(
                    f"compare(peaks=...): expected schedules with a peak of 1, got {name!r} with one of {peak:.4g}:"
                    f" {shown(schedule)}. Hint: divide it by its peak, or leave peaks out."
                )
    return tuple(found)


def _settings(name: str, candidate: Any) -> list[tuple[str, Schedule]]:
    """The members of a batch, each with a description."""
    batch: Any
    is_grid = isinstance(candidate, tuple) and len(candidate) == 2 and isinstance(candidate[1], Mapping)
    batch, points = candidate if is_grid else (candidate, None)
    argument = f"schedules[{name!r}]"
    schedule = as_schedule("compare", argument, batch)
    if not schedule.batch_shape:
        return [("", schedule)]
    if len(schedule.batch_shape) > 1:
        raise ValueError(unexpected("compare", argument, schedule, "a batch with one axis", "give each row a name"))
    members = list(schedule)
    if points is None:
        return [(repr(member), member) for member in members]
    return [(", ".join(f"{key}={shown(values[i])}" for key, values in points.items()), s) for i, s in enumerate(members)]


def _highest(schedule: Schedule) -> float:
    """The highest value of a schedule before any observation, at whole steps and at its corners."""
    pure = bind(schedule, init(schedule))
    try:
        steps, corners = horizon(pure), phases(pure).corners
    except TypeError:  # a user's node, without phases
        steps, corners = 1000, []
    values = np.asarray(pure(np.append(np.arange(min(steps, _MOST) + 1), corners)))  # JAX would compile a maximum
    return float(values.max())
