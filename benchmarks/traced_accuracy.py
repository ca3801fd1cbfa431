"""The exactness of traced and live numbers: the largest error in ulp.

As in `accuracy`, but with the schedule as an argument of a jitted function, under `jax.vmap`. Its numbers are the float32
numbers received, in runs of up to 2²⁴ steps; or as in the state of a live optimizer, where counts of steps stay exact to 2³¹.
A recipe is also made inside the function, which then calculates with its arguments.
"""

from benchmarks import exactness, machine
from benchmarks.exactness import EXACT_FLOAT, Error, largest, place
from benchmarks.progress import measuring
from benchmarks.timing import Row

CORES = machine.CORES  # each case is measured in a process of its own
SMOOTH = 1e-5  # of the largest value: what an error stays within that is not one of a jump, or of a steep end


def rows(repeats: int) -> list[Row]:
    """A row for each case, one for the values that must be exactly as given, and what is beyond 2²⁴ steps."""
    cases, table = exactness.cases(), []
    everything: dict[str, list[Error]] = {}
    beyond: dict[str, Error] = {}
    for name, errors in exactness.measured("argument", quick=repeats < 20):
        measuring("traced_accuracy", f"{len(everything) + 1} of {len(cases)} schedules")
        beyond.update((name, error) for error in errors if _is_beyond(error))
        everything[name] = errors = [error for error in errors if not _is_beyond(error)]
        worst = largest(errors)
        ways = dict.fromkeys(error.way for error in errors)
        each = ", ".join(f"{way} {largest(errors, way).ulps:.3g}" for way in ways)
        goal = 16.0 if cases[name].power else 8.0
        reason = exactness.reason(name)
        limit = exactness.LIMIT if reason else None
        table.append(Row(name, worst.ulps, goal, f"{each}; {place(worst)}", "ulp", reason, limit=limit))
    return [*table, exactness.as_given(everything), _beyond(beyond)]


def _is_beyond(error: Error) -> bool:
    return error.way == "traced" and error.length > EXACT_FLOAT


def _beyond(errors: dict[str, Error]) -> Row:
    """Where a float32 no longer holds every count of steps."""
    moved = sorted(name for name, error in errors.items() if error.of_peak > SMOOTH)
    most = max((error.of_peak for error in errors.values() if error.of_peak <= SMOOTH), default=0.0)
    details = (
        f"of {len(errors)}, with a length that is rounded to a multiple of 128; the others are within {most:.1g} of their"
        f" largest value; {', '.join(moved)}"
    )
    return Row("traced, 2³¹ − 2 steps: cases with a jump or an end off by a step or more", len(moved), None, details, "")
