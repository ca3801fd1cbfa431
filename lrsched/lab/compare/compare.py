"""Compare schedules on anything that can be trained: all runs in one compiled, vmapped program."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from lrsched.algebra.foreign import explained
from lrsched.algebra.written import unexpected
from lrsched.lab import progress
from lrsched.lab.compare.result import Comparison
from lrsched.lab.compare.rounds import trained
from lrsched.lab.compare.trials import Schedules, Trial, all_trials
from lrsched.lab.plain import whole

_SHORTER = 3  # times, from a rung to the one before, which has so many times more trials


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

    The runs are one `jax.vmap` of `train` over a batch of schedules and keys, compiled once; with `batch_size`, rounds of
    the same program. Run number s of every schedule has the same key, so that differences can be paired.

    Args:
        train: a pure function of (schedule, key), of flax, equinox or anything else that JAX can trace. It returns the
            losses of E evaluations, of shape (E,); then minus the mean of the last `window` is the score. Or a dict of "loss"
            (E,), the training loss; "validation" (E,), a score of the validation split, higher being better, such as an
            accuracy or minus a loss; "test" (), the score of the test split at the end; and, if it likes, "step" (E,), the
            updates made by then, "learning_rate" (E,), from which the picture shows what a plateau did, and more. It may
            call `lrsched.lab.report(done, total)` to move the progress bar.
        schedules: schedules by name, of any structure. A batch, or what `grid` returns, is several settings of one schedule, of
            which the best on the validation split is compared.
        seeds: how many seeds, at least 2.
        peaks: rates above 0, each of which multiplies every schedule, whose own peak must be 1; None for the schedules as they
            are.
        steps: None, or the updates of a run; then `train` and `schedules` are functions of the number of updates.
        rungs: with `steps`, 3 tries all settings in runs of a ninth of the steps, the best third of each schedule's in runs of
            a third, and the best third of those in whole runs; 1 tries all in whole runs.
        seed: what all keys are derived from, below 2**32.
        baseline: the name of the schedule that the others are compared with, at its best as they are at theirs: a constant
            rate, or what you use today.
        window: over how many evaluations the validation scores are smoothed.
        batch_size: how many runs at a time, a round; fewer need less memory. None for all at once, and with a `folder` for a
            sixteenth of them.
        mesh: a mesh of JAX whose devices share the runs; None for the default device. Each device makes its own runs, with the
            numbers that one device gives that makes as many of them at a time. If its devices are those of several processes,
            each of them makes the same call, and has the whole result.
        folder: where each round is kept as soon as it is finished, by the first process. A call with the same folder goes on
            where another was interrupted, and trains with added seeds, peaks or schedules only.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `Comparison`: print it for the table, `.plot()` it, take `.to_pandas()`, or `.save(folder)` it.

    Raises:
        TypeError: if `schedules` is no dict of schedules, `mesh` no mesh, or `train` asks for values while it is traced.
        ValueError: if there is no such baseline, a peak is not above 0, a schedule's own peak beside `peaks` is not 1, the
            folder holds runs of another `train`, or `train` draws random numbers of NumPy or Python, does not use its schedule
            or its key, or does not return those metrics.
        MemoryError: if that many runs do not fit in memory at a time, with the `batch_size` to try.

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
    seeds, seed = whole("compare", "seeds", seeds, 2), whole("compare", "seed", seed, 0)
    window, rungs = whole("compare", "window", window, 1), whole("compare", "rungs", rungs, 1)
    size = None if batch_size is None else whole("compare", "batch_size", batch_size, 1)
    if not isinstance(mesh, Mesh | None):
        hint = "jax.make_mesh((jax.device_count(),), ('runs',))"
        raise TypeError(unexpected("compare", "mesh", mesh, "a mesh", hint))
    if callable(schedules) != (steps is not None) or (rungs > 1 and steps is None):
        hint = "with steps=, train and schedules are functions of the number of updates, and with rungs= they must be"
        raise TypeError(unexpected("compare", "steps", steps, "a number of updates for functions of it", hint))
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), seeds)))
    seconds = {"compiling": 0.0, "running": 0.0}
    left: list[int] = []
    stopped: list[tuple[Trial, ...]] = []
    tried: list[str] = []  # the names of all trials

    def run(length: int | None) -> Comparison:
        one = train if length is None else train(length)
        trials = all_trials(schedules(length or 0) if callable(schedules) else schedules, peaks, baseline)
        tried[:] = tried or [trial.name for trial in trials]
        if tried != [trial.name for trial in trials]:
            raise ValueError(
                f"compare(schedules=...): expected as many settings at every length, got others at {length} steps."
            )
        trials = tuple(trials[i] for i in left or range(len(trials)))
        place = folder if folder is None or length == steps else Path(folder, f"{length} steps")
        metrics = trained(one, trials, keys, size, mesh, place, seconds, bar)
        return Comparison(trials, seeds, baseline, metrics, window, seconds, tuple(stopped))

    with progress.bar(show_progress and jax.process_index() == 0) as bar:
        for rung in range(rungs - 1, 0, -1):
            short = run(max((steps or 0) // _SHORTER**rung, 1))
            order = [short.order(name) for name in short.names]
            best = sorted(i for one in order for i in one[: math.ceil(len(one) / _SHORTER)])
            stopped.append(tuple(trial for i, trial in enumerate(short.trials) if i not in best))
            left = [(left or range(len(short.trials)))[i] for i in best]
        return run(steps)
