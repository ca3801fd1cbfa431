"""How two sides are compared: in turn, in one process, by medians."""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax


class Row(NamedTuple):
    """One line of a table."""

    name: str
    figure: float | None  # our time / the other time, or a figure in the unit; None: not measured
    goal: float | None  # the most that the figure may be; None for a line that only helps to read the others
    details: str  # where it is not measured: why
    unit: str = "×"
    reason: str = ""  # why the goal is missed, shown if it is
    gpu_goal: float | None = None  # the goal where it is measured on a GPU, if it is another there
    limit: float | None = None  # beyond which a quick run fails, where the goal is known to be missed

    def goal_on(self, platform: str) -> float | None:
        """The goal on "cpu" or "gpu"."""
        return self.gpu_goal if platform == "gpu" and self.gpu_goal is not None else self.goal

    def is_met(self, platform: str) -> bool | None:
        """Whether the goal is met; None without a goal, or without a figure."""
        goal = self.goal_on(platform)
        return None if goal is None or self.figure is None else self.figure <= goal

    def is_regression(self, platform: str) -> bool:
        """Whether the figure is worse than three times the goal, or than the limit if there is one, which fails a quick run.

        A time never is: it depends on the machine. A ratio of two times in one run does not.
        """
        goal = self.goal_on(platform)
        if goal is None or self.figure is None or self.unit in ("µs", "ms", "s"):
            return False
        return not self.figure <= (3 * goal if self.limit is None else self.limit)


class Comparison(NamedTuple):
    """The times of both sides, and what is between them."""

    ratio: float  # the median of the ratios of neighbouring runs
    error: float  # the standard error of that median, from the spread of the ratios
    ours: float  # the median of the first side in seconds
    theirs: float  # the median of the second side in seconds


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, calls: int = 1) -> Comparison:
    """Times two functions in turn, each first as often as second, after one run of each that does not count.

    The ratio is taken of runs next to each other, so that a machine that slows down for a while slows both. With `calls`, a
    run is a block of so many calls in a row, and its time is that of one of them: what takes microseconds is several times
    slower just after the other side has filled the processor's caches, which is not how a program calls it.
    """
    sides = (ours, theirs)
    for side in sides:
        jax.block_until_ready(side())
    times: tuple[list[float], list[float]] = ([], [])
    with _no_collection():
        for i in range(repeats):
            for k in (0, 1) if i % 2 == 0 else (1, 0):
                times[k].append(_seconds(sides[k], calls))
    ratios = [a / b for a, b in zip(*times, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    # For a normal spread: deviation = interquartile range / 1.349, and a median's error is 1.253 deviations / √n.
    error = 1.253 * (high - low) / 1.349 / len(ratios) ** 0.5
    return Comparison(statistics.median(ratios), error, statistics.median(times[0]), statistics.median(times[1]))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Turns garbage collection off, as in timeit: any garbage comes from other benchmarks."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _seconds(call: Callable[[], Any], calls: int) -> float:
    """The time per call over several calls in a row, including the wait for the last result and all queued before it."""
    begin = time.perf_counter()
    for _ in range(calls - 1):
        call()
    jax.block_until_ready(call())
    return (time.perf_counter() - begin) / calls


def median(call: Callable[[], Any], repeats: int) -> float:
    """The median time of a call in seconds, after one that does not count."""
    jax.block_until_ready(call())
    with _no_collection():
        return statistics.median([_seconds(call, 1) for _ in range(repeats)])
