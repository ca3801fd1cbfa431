"""Compare schedules on anything that can be trained: all runs in one compiled, vmapped program."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh

from lrsched.algebra.batch import stack
from lrsched.algebra.foreign import explained
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import unexpected
from lrsched.lab import progress
from lrsched.lab.compare import store
from lrsched.lab.compare.contract import Train, traced
from lrsched.lab.compare.program import Program, from_first
from lrsched.lab.compare.result import Comparison
from lrsched.lab.compare.trials import Schedules, Trial, all_trials
from lrsched.lab.plain import whole

_SHORTER = 3  # times fewer steps, and more trials, in the rung before
_ROUNDS = 16  # with a folder, by default


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
        train: a pure function of (schedule, key), in flax, equinox or plain JAX. It returns the losses of E evaluations, of
            shape (E,); then minus the mean of the last `window` losses is the score. Or a dict of "loss" (E,), the training
            loss; "validation" (E,), a score of the validation split, such as an accuracy or minus a loss (higher is better);
            "test" (), the score of the test split at the end; optionally "step" (E,), the number of updates before each
            evaluation, and "learning_rate" (E,), for the picture of a plateau; and anything else. It may call
            `lrsched.lab.report(done, total)` to move the progress bar.
        schedules: schedules by name, of any structure. A batch, or the result of `grid`, is several settings of one schedule:
            the best one on the validation split is compared.
        seeds: the number of seeds, at least 2.
        peaks: rates above 0, each of which multiplies every schedule, whose own peak must be 1; None for the schedules as they
            are.
        steps: None, or the updates of a run; then `train` and `schedules` are functions of the number of updates.
        rungs: the rungs of successive halving; needs `steps`. 1 makes whole runs only. 3 tries all settings in runs of a ninth
            of the steps, the best third of each schedule's in runs of a third, and the best third of those in whole runs.
        seed: the seed of all keys, below 2**32.
        baseline: the name of the schedule that the others are compared with, also at its best: a constant rate, or the schedule
            that you use today.
        window: the number of evaluations over which validation scores are smoothed.
        batch_size: the number of runs at a time; a smaller one needs less memory. None for all, and with a `folder` for a
            sixteenth of them.
        mesh: a mesh of JAX whose devices share the runs; None for the default device. The numbers are those of one device that
            makes as many runs at a time as each device of the mesh. A mesh may have the devices of several processes: then each
            process makes the same call, and gets the whole result.
        folder: where the first process keeps each finished round of `batch_size` runs. A call with the same folder continues an
            interrupted one, and trains only with added seeds, peaks or schedules.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `Comparison`: print it for the table, or use `.plot()`, `.to_pandas()` or `.save(folder)`.

    Raises:
        TypeError: if `schedules` is no dict of schedules, `mesh` no mesh, or `train` uses traced values as Python values.
        ValueError: if there is no such baseline, a peak is not above 0, a schedule's own peak beside `peaks` is not 1, the
            folder holds runs of another `train`, or `train` draws random numbers of NumPy or Python, does not use its schedule
            or its key, or does not return these metrics.
        MemoryError: if that many runs do not fit in memory, with the `batch_size` to try.

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
    window, rungs = whole("compare", "window", window, 1), whole("compare", "rungs", rungs, 1)
    size = None if batch_size is None else whole("compare", "batch_size", batch_size, 1)
    if not isinstance(mesh, Mesh | None):
        hint = "jax.make_mesh((jax.device_count(),), ('runs',))"
        raise TypeError(unexpected("compare", "mesh", mesh, "a mesh", hint))
    steps = None if steps is None else whole("compare", "steps", steps, 1)
    if callable(schedules) != (steps is not None) or (rungs > 1 and steps is None):
        hint = "with steps=, train and schedules are functions of the number of updates, and with rungs= they must be"
        raise TypeError(unexpected("compare", "steps", steps, "a number of updates for functions of it", hint))
    lengths = [None] if steps is None else [max(steps // _SHORTER**k, 1) for k in reversed(range(rungs))]
    settings = [all_trials(schedules(n or 0) if callable(schedules) else schedules, peaks, baseline) for n in lengths]
    for length, trials in zip(lengths, settings, strict=True):
        if [trial.name for trial in trials] != [trial.name for trial in settings[0]]:
            text = f"expected the same number of settings at every length, got another at {length} steps."
            raise ValueError(f"compare(schedules=...): {text}")
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), seeds)))
    seconds = {"compiling": 0.0, "running": 0.0}
    stopped: list[tuple[Trial, ...]] = []
    left = list(range(len(settings[0])))

    def run(length: int | None, every: Sequence[Trial], place: Path | None) -> Comparison:
        trials = tuple(every[i] for i in left)
        one = train if length is None else train(length)
        metrics = _trained(one, [trial.schedule for trial in trials], keys, size, mesh, place, seconds, bar)
        return Comparison(trials, seeds, baseline, metrics, window, seconds, tuple(stopped))

    with progress.bar(show_progress and jax.process_index() == 0) as bar:
        for length, every in zip(lengths[:-1], settings, strict=False):
            short = run(length, every, None if folder is None else Path(folder, f"{length} steps"))
            orders = [short.order(name) for name in short.names]
            best = sorted(i for order in orders for i in order[: math.ceil(len(order) / _SHORTER)])
            stopped.append(tuple(trial for i, trial in enumerate(short.trials) if i not in best))
            left = [left[i] for i in best]
        return run(lengths[-1], settings[-1], None if folder is None else Path(folder))


def _trained(
    train: Train,
    schedules: Sequence[Schedule],
    keys: np.ndarray,
    size: int | None,
    mesh: Mesh | None,
    folder: Path | None,
    seconds: dict[str, float],
    bar: progress.Bar,
) -> dict[str, np.ndarray]:
    """The metrics of each schedule with each key, of shape (T, N, ...). Adds the time that it takes to `seconds`."""
    start = time.perf_counter()
    bar.phase("compiling", 0.0, 0.0)
    seeds, count = len(keys), len(schedules) * len(keys)
    differing, schedule_of = _split(stack(schedules))

    def arguments(runs: Any) -> tuple[list[np.ndarray], np.ndarray]:
        return [x[runs // seeds] for x in differing], keys[runs % seeds]

    def one(numbers: list[Any], key_data: Any) -> dict[str, jax.Array]:
        found = jaxpr_as_fun(program)(*numbers, jax.random.wrap_key_data(key_data))
        return dict(zip(metrics, found, strict=True))

    key = jax.random.wrap_key_data(keys[0])
    program, metrics = traced(train, schedule_of, arguments(0)[0], key)
    names, results = [*map(str, range(count))], {}
    if folder is not None:
        names = store.identities(schedules, keys)
        from_first(lambda: store.check(folder, train, key))
        results = from_first(lambda: store.finished(folder, names))
    todo = np.asarray([run for run in range(count) if names[run] not in results], np.int32)
    if len(todo):
        several = Program(one, arguments, min(size or (math.ceil(count / _ROUNDS) if folder else count), count), mesh)
        compiled = time.perf_counter()
        seconds["compiling"] += compiled - start
        for first in range(0, len(todo), several.size):
            chosen = todo[first : first + several.size]
            bar.phase(f"training {count} runs", len(results) / count, (len(results) + len(chosen)) / count)
            made = several(chosen)
            if folder is not None and jax.process_index() == 0:
                store.add(folder, [names[run] for run in chosen], made)
            results |= store.by_run([names[run] for run in chosen], made)
        seconds["running"] += time.perf_counter() - compiled
    bar.phase(f"trained {count} runs", 1.0, 1.0)
    found = {name: np.stack([results[run][name] for run in names]) for name in metrics}
    return {name: values.reshape(len(schedules), seeds, *values.shape[1:]) for name, values in found.items()}


def _split(batch: Schedule) -> tuple[list[np.ndarray], Callable[[list[Any]], Schedule]]:
    """The numbers that differ between schedules, and a function that makes a schedule of its own.

    The others stay known while tracing: the main job's program is half as long as with all numbers traced.
    """
    leaves, structure = [*map(np.asarray, jax.tree.leaves(batch))], jax.tree.structure(batch)
    is_shared = [bool(np.all(x == x[0])) for x in leaves]
    if all(is_shared):  # then nothing would show that `train` uses its schedule
        is_shared = [False] * len(leaves)

    def schedule_of(numbers: list[Any]) -> Schedule:
        own = iter(numbers)
        known = [x[0] if x.ndim > 1 else float(x[0]) for x in leaves]
        return structure.unflatten([x if shared else next(own) for x, shared in zip(known, is_shared, strict=True)])

    differing = [np.asarray(jnp.asarray(x)) for x, shared in zip(leaves, is_shared, strict=True) if not shared]
    return differing, schedule_of
