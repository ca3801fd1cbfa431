"""What successive halving costs and saves: `python -m benchmarks.halving [SEEDS]` prints a table of the three workloads.

Each has eleven schedules at all its peaks: `rungs=3` against the full grid, with the same seeds. The score lost is the mean
over the schedules of the validation score at the full grid's best peak, minus that at the peak that halving chose.
"""

import sys
import time
from typing import Any

import numpy as np

from lrsched.lab import bakeoff, compare
from lrsched.lab.workloads import WORKLOADS, Workload

COLUMNS = ("workload", "updates", "CPU time", "same peak", "a neighbour", "score lost", "spread over seeds")


def row(workload: Workload, seeds: int) -> tuple[str, ...]:
    """The figures of one workload, as text."""
    options: dict[str, Any] = {
        "peaks": workload.peaks,
        "seeds": seeds,
        "batch_size": workload.batch_size,
        "steps": workload.steps,
    }
    found, seconds = [], []
    for rungs in (1, 3):
        begin = time.process_time()
        found.append(compare(workload.make_train, bakeoff.schedules, rungs=rungs, **options))
        seconds.append(time.process_time() - begin)
    full, halved = found
    # Rung k of three has the trials that are left, in runs of 1 / 9, 1 / 3 and all of the steps.
    left = [len(halved.trials) + sum(map(len, halved.stopped[k:])) for k in range(3)]
    updates = sum(count / 3 ** (2 - k) for k, count in enumerate(left)) / len(full.trials)
    scores, spread, apart = full.curves[..., -1].mean(axis=-1), [], []
    lost = []
    for name, best in full.best.items():
        chosen = next(i for i, t in enumerate(full.trials) if t.name == name and t.peak == halved.chosen[name].peak)
        apart.append(abs(chosen - best))
        lost.append(scores[best] - scores[chosen])
        spread.append(full.curves[best, :, -1].std(ddof=1))
    counts = (f"{sum(one == k for one in apart)} of {len(apart)}" for k in (0, 1))
    return (
        workload.name,
        f"{updates:.0%}",
        f"{seconds[1] / seconds[0]:.0%}",
        *counts,
        f"{np.mean(lost):.4f}",
        f"{np.mean(spread):.4f}",
    )


if __name__ == "__main__":
    print("|", " | ".join(COLUMNS), "|\n|", " | ".join("---" for _ in COLUMNS), "|", flush=True)
    for one in WORKLOADS.values():
        print("|", " | ".join(row(one, int(sys.argv[1]) if sys.argv[1:] else 8)), "|", flush=True)
