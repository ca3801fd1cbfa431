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
from matplotlib.figure import Figure

from benchmarks import evidence_report, machine
from benchmarks.evidence_report import Evidence
from lrsched.lab import Comparison, candidates, compare, statistics
from lrsched.lab.workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
TEXT, NUMBERS, RUNS = HERE / "evidence.md", HERE / "evidence.json", HERE / "evidence.runs"
SEEDS = 20
SHORTER = (0.7, 0.5)  # of the steps: with 30 and 50 % saved, as the guide says


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
    runs = out / RUNS.name / workload.name
    options: dict[str, Any] = {"seeds": seeds, "batch_size": workload.batch_size}
    schedules = candidates.schedules(candidates.ALL, workload.steps)
    found = compare(workload.make_train(), schedules, peaks=workload.peaks, folder=runs, **options)
    print(f"{workload.name}: {workload.description}\n{found}")
    figure = Figure(figsize=(15, 6), layout="constrained")
    found.plot(metric="validation", figure=figure)
    figure.savefig(out / f"evidence_{workload.name}.png", dpi=80)
    rows = [_row(found, i, plain) for i, plain in enumerate(found.to_dict()["table"])]
    for share in SHORTER:
        steps = round(share * workload.steps)
        tuned = {name: s * found.peaks[found.best[name]] for name, s in candidates.schedules(candidates.ALL, steps).items()}
        short = compare(workload.make_train(steps), tuned, peaks=[1.0], folder=runs / str(steps), **options)
        for row, gain in zip(rows, _gains(short, found), strict=True):
            row["shorter"][f"{share:g}"] = gain
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
        rows=rows,
    )


def _gains(short: Comparison, whole: Comparison) -> list[dict[str, Any]]:
    """What each schedule's test score in shorter runs is above that of the best constant rate in whole ones, seed by seed."""
    base = whole.at_best("test", whole.baseline)
    gains = [short.at_best("test", name).astype(np.float64) - base for name in short.schedules]
    whole_runs = [~short.diverged[i, 0] & np.isfinite(base) for i in range(len(gains))]
    kept = [gain[mask] for gain, mask in zip(gains, whole_runs, strict=True)]
    return [{"gain": statistics.mean(gain), "gain_interval": statistics.bootstrap_interval(gain)} for gain in kept]


def _row(found: Comparison, i: int, plain: dict[str, Any]) -> dict[str, Any]:
    """What is written down of a schedule: its row in the table, and what its best peak is among the others."""
    candidate = candidates.ALL[i]
    of_peaks = statistics.mean_where(~found.diverged[i], found.metrics["test"][i])
    return plain | {
        "numbers": candidate.numbers,
        "on_the_edge": found.best[candidate.name] in (0, len(found.peaks) - 1),
        "lost_over_the_grid": float(of_peaks.max() - np.median(of_peaks)),
        "shorter": {},
    }


if __name__ == "__main__":
    sys.exit(main())
