"""Errors in units of the last place: of every case of the tests, in every way of calling it, against mpmath.

The cases and the true values are those of the tests (tests/cases.py, tests/torch_cases.py, tests/meaning.py), which do not use
the library's arithmetic. Each case is measured in its own process, as many at a time as there are cores,
on a GPU at most four.
"""

import concurrent.futures
import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import machine
from benchmarks.timing import Row
from lrsched.algebra import numerics
from lrsched.training import live

TINY = float(np.finfo(np.float32).tiny)
GPU_PROCESSES = 4  # that share it, at most
EVERY = 10**5  # up to this length every step is checked
LAST = 2**31 - 1
EXACT_FLOAT = 2**24  # up to here a float32 holds every step and length


class Error(NamedTuple):
    """The largest error of a case in one way of calling it, in a run of one length."""

    way: str
    length: int
    step: int  # where it is
    ulps: float
    of_peak: float  # the largest absolute error, as a fraction of the largest value
    values: int  # how many were compared
    given: int  # at how many steps the value must be exactly a number that was given: at ends and boundaries
    wrong: tuple[int, ...]  # those of these steps at which it is not


def cases() -> dict[str, Any]:
    """The cases of the tests, by name."""
    find_tests()
    from cases import CASES
    from torch_cases import TORCH

    return CASES | TORCH


def measured(ways: str, quick: bool) -> Iterator[tuple[str, list[Error]]]:
    """The errors of each case, with "known" numbers (eager and captured) or as an "argument" (traced and live)."""
    names = list(cases())
    context = multiprocessing.get_context("spawn")
    most = GPU_PROCESSES if jax.default_backend() == "gpu" else len(machine.CORES)
    pool = concurrent.futures.ProcessPoolExecutor(min(most, len(machine.CORES)), context, _begin, (machine.CORES,))
    try:
        yield from zip(names, pool.map(_WAYS[ways], names, [quick] * len(names)), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(cores: set[int]) -> None:
    machine.use_cores(cores)
    find_tests()


def find_tests() -> None:
    """Lets the modules of the tests be imported."""
    path = str(Path(__file__).parent.parent / "tests")
    if path not in sys.path:
        sys.path.append(path)


def _known(name: str, quick: bool) -> list[Error]:
    """Eager, and captured by a jitted function: the numbers are the float64 numbers given."""
    case, found = cases()[name], []
    for n in _lengths(case, (10**5, 2**31 - 2) if quick else (10**3, 10**5, 2**31 - 2), quick):
        schedule, steps = case.make(n), steps_of(case, n, quick)
        truth = Truth(case, n, schedule, steps, case.formula)
        found += [
            truth.error("eager", schedule(steps)),
            truth.error("captured", jax.jit(lambda t, s=schedule: s(t))(steps)),
        ]
    return found


def _argument(name: str, quick: bool) -> list[Error]:
    """An argument of a jitted function, mapped over, in up to three ways.

    With the float32 numbers received ("traced"); with exact counts of steps ("live"); and, for a recipe, made inside the
    function from the float32 numbers received ("made").
    """
    case, found = cases()[name], []
    compiled = _mapped(lambda s, steps: s(steps))
    for n in _lengths(case, (10**3, 10**5, 2**24, 2**31 - 2), quick):
        steps, truth = steps_of(case, n, quick), None
        for way, numbers in (("traced", jax.tree.map(np.float32, case.make(n))), ("live", live.packed(case.make(n)))):
            received = jax.tree.map(_received, numbers, is_leaf=_is_span)
            if truth is None or received != truth.schedule:  # the same, where a float32 holds every count
                truth = Truth(case, n, received, steps)
            found.append(truth.error(way, _values(compiled, numbers, steps, quick), received))
    return found + (_made(case, quick) if case.recipe else [])


def _made(case: Any, quick: bool) -> list[Error]:
    recipe, found = case.recipe, []
    options = {key: x for key, x in recipe.numbers(1000).items() if x is None or isinstance(x, str | bool)}
    compiled = _mapped(lambda numbers, steps: recipe.make(**numbers, **options)(steps))
    for n in _lengths(case, (10**3, 10**5, 2**24), quick):
        numbers = {key: np.float32(x) for key, x in recipe.numbers(n).items() if key not in options}
        received = {key: x.astype(np.float64).tolist() for key, x in numbers.items()}
        steps = steps_of(case, n, quick)
        truth = Truth(case, n, None, steps, lambda _, t, numbers=received: recipe.truth(t, **numbers, **options))
        found.append(truth.error("made", _values(compiled, numbers, steps, quick), received))
    return found


def _mapped(call: Any) -> Any:
    return jax.jit(jax.vmap(call, in_axes=(0, None), axis_size=2))


def _values(compiled: Any, numbers: Any, steps: Any, quick: bool) -> Any:
    """The values of numbers, in a batch of two that are the same, at steps of which there are always as many."""
    batch = jax.tree.map(lambda x: np.stack([x, x]), numbers)
    return np.asarray(compiled(batch, np.resize(steps, 2**9 if quick else 2**17)))[0, : len(steps)]


_WAYS = {"known": _known, "argument": _argument}


def _is_span(x: Any) -> bool:
    return isinstance(x, numerics.Double)


def _received(x: Any) -> Any:
    return np.float64(x.high) + np.float64(x.low) if _is_span(x) else np.float64(x)


def _lengths(case: Any, lengths: Iterable[int], quick: bool) -> list[int]:
    longest = min(case.longest, 300) if quick and case.longest < LAST - 1 else case.longest
    return sorted({min(n, longest) for n in lengths})


def steps_of(case: Any, n: int, quick: bool) -> Any:
    """All steps of a short run; of a long one those near every boundary and both ends, powers of two from both, and others.

    A run of `EXACT_FLOAT` steps ends with the last step that a float32 is sure to hold.
    """
    far = 3 if quick or n <= EVERY else 30
    near = [int(b) + i for b in (0, *case.boundaries(n), n) for i in range(-far, far + 2)]
    twos = [2**k for k in range(n.bit_length())]
    count = 30 if quick else n + 1 if n <= EVERY else 300
    between = np.linspace(0, n, count).astype(np.int64)
    steps = np.array([*near, *between, *twos, *(n - two for two in twos), *case.known(n), n + n // 9], np.int64)
    most = n if n == EXACT_FLOAT else LAST if case.longest == LAST - 1 else n + n // 9
    return np.unique(np.clip(steps, 0, most)).astype(np.int32)


class Truth:
    """The true values at some steps, each as a sum of two float64 numbers, which together have its first 106 bits."""

    def __init__(self, case: Any, n: int, schedule: Any, steps: Any, formula: Any = None) -> None:
        from meaning import meaning

        values = [formula(n, int(t)) if formula else meaning(schedule, int(t)) for t in steps]
        self.case, self.n, self.schedule, self.steps = case, n, schedule, steps
        self.high = np.array([float(x) for x in values])
        self.low = np.array([float(x - high) for x, high in zip(values, self.high.tolist(), strict=True)])

    def error(self, way: str, values: Any, numbers: Any = None) -> Error:
        """The largest error of values; of numbers that were rounded, only they themselves must come back exactly."""
        values = np.asarray(values)
        assert values.dtype == np.float32, values.dtype
        assert values.shape == self.steps.shape, values.shape
        size = np.maximum(np.maximum(np.abs(self.high), self.case.size), TINY)
        errors = np.abs((values.astype(np.float64) - self.high) - self.low) / np.spacing(size.astype(np.float32))
        if self.case.power:  # a power may sink below all normal numbers, of which XLA makes 0
            errors = np.where((np.abs(self.high) < TINY) & (self.high != 0), 0.0, errors)
        errors = np.where(np.isnan(values), np.inf, errors)
        of_peak = np.max(np.abs(values - self.high)) / np.max(np.abs(self.high))
        worst = int(np.argmax(errors))
        at = dict(zip(self.steps.tolist(), values.tolist(), strict=True))
        known = {step: float(np.float32(value)) for step, value in self.case.known(self.n).items() if step in at}
        if numbers is not None:
            among = {float(np.float32(x)) for leaf in jax.tree.leaves(numbers) for x in np.ravel(leaf)}
            known = {step: value for step, value in known.items() if value in among}
        wrong = tuple(step for step, value in known.items() if at[step] != value)
        step, ulps = int(self.steps[worst]), float(errors[worst])
        return Error(way, self.n, step, ulps, float(of_peak), len(values), len(known), wrong)


def largest(errors: Iterable[Error], way: str | None = None) -> Error:
    """The largest error, of one way of calling or of all."""
    return max((error for error in errors if way in (None, error.way)), key=lambda error: error.ulps)


def place(error: Error) -> str:
    """Where an error is."""
    return f"{error.way}, step {error.step:,} of {error.length:,}"


def as_given(errors: dict[str, list[Error]]) -> Row:
    """The ends and boundaries at which a value is not exactly the number that was given for it."""
    each = [(name, error) for name, some in errors.items() for error in some]
    wrong = [f"{name} ({error.way}, step {step:,} of {error.length:,})" for name, error in each for step in error.wrong]
    details = f"of {sum(error.given for _, error in each):,}; {sum(error.values for _, error in each):,} values compared in all"
    return Row("ends and boundaries not exactly as given", len(wrong), 0, "; ".join([details, *wrong]), "")


_CALCULATED = "the end of its phase is computed from traced numbers, and a float32 cannot hold it"
LIMIT = 60.0  # for cases known to miss their goal
_REASONS = {
    "one_cycle three lines": _CALCULATED,
    "CosineAnnealingWarmRestarts growing": "48 bits of time do not resolve the end of a cycle of 2³⁰ steps",
}


def reason(name: str) -> str:
    """Why the goal is known to be missed."""
    return _REASONS.get(name, "")
