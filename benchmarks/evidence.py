"""Do schedules help? `python -m benchmarks.evidence` trains with all of them on three workloads, and writes evidence.md.

    python -m benchmarks.evidence                       # everything: an hour on two cores
    python -m benchmarks.evidence --workload digits     # one workload; the others keep what was measured before

Each finished round of runs is kept in `benchmarks/evidence.runs/`, so that an interrupted run goes on where it was.
"""

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lrsched.lab.workloads import WORKLOADS, Workload
from matplotlib.figure import Figure

from benchmarks import evidence_report, machine
from benchmarks.evidence_report import Evidence
from lrsched.lab import Comparison, candidates, compare, statistics

HERE = Path(__file__).parent
TEXT, NUMBERS, RUNS = HERE / "evidence.md", HERE / "evidence.json", HERE / "evidence.runs"
SEEDS = 20


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the numbers, the pictures and the text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description="Measures what schedules are good for.")
    parser.add_argument("--workload", choices=list(WORKLOADS), action="append", help="one of them; may be repeated")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"runs of each kind (default: {SEEDS})")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the files go (default: here)")
    options = parser.parse_args(arguments)
    numbers = options.out / NUMBERS.name
    kept = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    for name in options.workload or WORKLOADS:
        kept[name] = measured(WORKLOADS[name], options.seeds, options.out)._asdict()
        kept = {name: kept[name] for name in WORKLOADS if name in kept}
        numbers.write_text(json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        evidence = {name: Evidence(**found) for name, found in kept.items()}
        (options.out / TEXT.name).write_text(evidence_report.text(evidence), encoding="utf-8")
    return 0


def measured(workload: Workload, seeds: int, out: Path) -> Evidence:
    """Trains with every schedule at every peak from every seed, and draws the picture."""
    schedules = candidates.schedules(candidates.ALL, workload.steps)
    found = compare(
        workload.make_train(),
        schedules,
        peaks=workload.peaks,
        seeds=seeds,
        batch_size=workload.batch_size,
        folder=out / RUNS.name / workload.name,
    )
    print(f"{workload.name}: {workload.description}\n{found}")
    figure = Figure(figsize=(15, 6), layout="constrained")
    found.plot(metric="validation", figure=figure)
    figure.savefig(out / f"evidence_{workload.name}.png", dpi=80)
    return Evidence(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        machine=machine.machine("cpu"),
        versions=machine.versions(),
        description=workload.description,
        score=workload.score,
        steps=workload.steps,
        peaks=list(workload.peaks),
        seeds=seeds,
        data=workload.data(),
        seconds=found.seconds,
        rows=[_row(found, i, plain) for i, plain in enumerate(found.to_dict()["table"])],
    )


def _row(found: Comparison, i: int, plain: dict[str, Any]) -> dict[str, Any]:
    """What is written down of a schedule: its row in the table, and what its best peak is among the others."""
    candidate = candidates.ALL[i]
    of_peaks = statistics.mean_where(~found.diverged[i], found.metrics["test"][i])
    return plain | {
        "numbers": candidate.numbers,
        "on_the_edge": found.best[candidate.name] in (0, len(found.peaks) - 1),
        "lost_over_the_grid": float(of_peaks.max() - np.median(of_peaks)),
    }


if __name__ == "__main__":
    sys.exit(main())
