"""Compare schedules on anything that can be trained: all runs in one compiled, vmapped program."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import Schedule
from lrsched.batch import stack
from lrsched.lab import progress
from lrsched.lab.result import Comparison
from lrsched.node import TABLE, checked

Train = Callable[[Schedule, jax.Array], Mapping[str, jax.Array]]

_METRICS = {"loss": 1, "validation": 1, "test": 0}


def compare(
    train: Train,
    schedules: Mapping[str, Schedule],
    *,
    peaks: Sequence[float],
    seeds: int,
    seed: int = 0,
    baseline: str = "constant",
    window: int = 5,
    batch_size: int | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Trains with every schedule, at every peak rate, from every seed, and compares what comes out.

    The runs are one `jax.vmap` of `train` over a batch of schedules and keys, compiled once; with `batch_size`, rounds of
    the same program. Run number s of every schedule and peak has the same key, so that differences can be paired.

    Args:
        train: a pure function of (schedule, key) that returns a dict of E evaluations: "loss" of shape (E,), the training
            loss; "validation" (E,), a score of the validation split, higher being better; "test" (), the score of the test
            split at the end; and, if it likes, "step" (E,), the updates made by then, and more. It may call
            `lrsched.lab.report(done, total)` to move the progress bar.
        schedules: schedules by name, written for a peak of 1; each is multiplied by each peak.
        peaks: the peak rates, each above 0.
        seeds: how many seeds, at least 2.
        seed: what all keys are derived from, below 2**32.
        baseline: the name of the constant rate among the schedules.
        window: over how many evaluations the validation scores are smoothed.
        batch_size: how many runs at a time; None for all at once.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `Comparison`; print it for the table.

    Raises:
        TypeError: if `schedules` is no dict of schedules.
        ValueError: if there is no such baseline, a peak is not above 0, or `train` does not return those metrics.
    """
    peaks = _checked_peaks(peaks)
    _check_schedules(schedules, baseline)
    seeds, seed, window = _whole("seeds", seeds, 2), _whole("seed", seed, 0), _whole("window", window, 1)
    batch = stack([schedule * peak for schedule in schedules.values() for peak in peaks])
    runs = len(schedules) * len(peaks) * seeds
    size = runs if batch_size is None else min(_whole("batch_size", batch_size, 1), runs)
    # Padded with the first runs, so that the last round is the same program as the others.
    order = np.arange(-(-runs // size) * size) % runs
    keys = jax.random.split(jax.random.key(seed), seeds)

    def part(i: int) -> tuple[Schedule, jax.Array]:
        chosen = order[i * size : (i + 1) * size]
        return jax.tree.map(lambda x: jnp.asarray(x)[chosen // seeds], batch), keys[chosen % seeds]

    rounds = len(order) // size
    with progress.bar(show_progress) as bar:
        bar.phase("compiling", 0.0, 0.0)
        start = time.perf_counter()
        traced = jax.jit(jax.vmap(train)).trace(*part(0))
        _check_metrics(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), traced.out_info))
        program = traced.lower().compile()
        compiled = time.perf_counter()
        results = []
        for i in range(rounds):
            bar.phase(f"training {runs} runs", i / rounds, (i + 1) / rounds)
            results.append(jax.device_get(program(*part(i))))
        bar.phase(f"trained {runs} runs", 1.0, 1.0)
        seconds = {"compiling": compiled - start, "running": time.perf_counter() - compiled}
    shape = (len(schedules), len(peaks), seeds)
    metrics = {
        name: np.concatenate([result[name] for result in results])[:runs].reshape(*shape, *results[0][name].shape[1:])
        for name in results[0]
    }
    return Comparison(dict(schedules), peaks, seeds, baseline, metrics, window, seconds)


def _checked_peaks(peaks: Any) -> tuple[float, ...]:
    values = checked("compare", "peaks", peaks, TABLE)
    if np.any(np.less_equal(values, 0)) or len(np.unique(values)) != len(values):
        raise ValueError(f"compare(peaks=...) must be different rates above 0, got {peaks!r}")
    return tuple(np.asarray(values, np.float64).tolist())


def _check_schedules(schedules: Any, baseline: str) -> None:
    if not isinstance(schedules, Mapping):
        raise TypeError(f"compare(schedules=...) must be a dict of schedules by name, got {schedules!r}")
    for name, schedule in schedules.items():
        if not isinstance(schedule, Schedule) or schedule.batch_shape:
            raise TypeError(f"compare(schedules=...) must be single schedules by name, got {name!r}: {schedule!r}")
    if baseline not in schedules:
        raise ValueError(
            f"compare(baseline={baseline!r}) names none of the schedules {list(schedules)}: add a constant rate of that name,"
            " Constant(1.0), or name another baseline"
        )


def _whole(name: str, value: Any, least: int) -> int:
    if not isinstance(value, (int, np.integer)) or not least <= value < 2**32:
        raise ValueError(f"compare({name}=...) must be a whole number, at least {least} and below 2**32, got {value!r}")
    return int(value)


def _is_numeric(shape: Any) -> bool:
    kinds = (jnp.number, jnp.bool_)
    return isinstance(shape, jax.ShapeDtypeStruct) and any(jnp.issubdtype(shape.dtype, kind) for kind in kinds)


def _check_metrics(shapes: Any) -> None:
    whole = isinstance(shapes, Mapping) and all(map(_is_numeric, shapes.values()))
    if not whole or not all(name in shapes for name in _METRICS):
        got = {name: type(value).__name__ for name, value in shapes.items()} if isinstance(shapes, Mapping) else shapes
        raise ValueError(
            f"train(schedule, key) must return a dict of numeric arrays with {', '.join(map(repr, _METRICS))}; got {got}"
        )
    for name, rank in _METRICS.items():
        shape = shapes[name].shape[1:]
        if len(shape) != rank or 0 in shape:
            expected = "one number an evaluation" if rank else "one number"
            raise ValueError(f"train(schedule, key) must return {expected} as {name!r}; got shape {shape}")
    for name in ("validation", "step"):
        if name in shapes and shapes[name].shape[1:] != shapes["loss"].shape[1:]:
            raise ValueError(f"train(schedule, key) must return as many of {name!r} as of 'loss', one an evaluation")
