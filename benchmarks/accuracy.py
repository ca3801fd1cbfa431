"""The exactness of known numbers: the largest error in ulp, outside jit and captured by a jitted function.

For every shape, recipe and PyTorch scheduler, at every step of runs of 10³ and 10⁵, and, in runs of 2³¹ − 2, at steps near
every boundary and both ends, and in between. Errors are relative to the float64 numbers given.
"""

from benchmarks import exactness, machine
from benchmarks.exactness import Error, largest, place
from benchmarks.progress import measuring
from benchmarks.timing import Row

CORES = machine.CORES  # each case is measured in its own process


def rows(repeats: int) -> list[Row]:
    """A row for each case, and one for the values that must be exactly as given."""
    cases, table = exactness.cases(), []
    everything: dict[str, list[Error]] = {}
    for name, errors in exactness.measured("known", quick=repeats < 20):
        measuring("accuracy", f"{len(everything) + 1} of {len(cases)} schedules")
        everything[name] = errors
        worst = largest(errors)
        each = ", ".join(f"{way} {largest(errors, way).ulps:.3g}" for way in ("eager", "captured"))
        goal = 8.0 if cases[name].power else 4.0
        reason = exactness.reason(name)
        limit = exactness.LIMIT if reason else None
        table.append(Row(name, worst.ulps, goal, f"{each}; {place(worst)}", "ulp", reason, limit=limit))
    return [*table, exactness.as_given(everything)]
