"""Do schedules help? `python -m benchmarks.evidence` trains with all of them on three workloads, and writes evidence.md.

    python -m benchmarks.evidence                       # everything: half an hour on two cores
    python -m benchmarks.evidence --workload digits     # one workload; the others keep what was measured before

Each finished round of runs is kept in `benchmarks/evidence.runs/`, so that an interrupted run continues where it stopped.
"""

import argparse
import dataclasses
import datetime as dt
import hashlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import evidence_report, machine
from benchmarks.evidence_report import Evidence
from lrsched.lab import Comparison, bakeoff, compare
from lrsched.lab.compare import picture, statistics
from lrsched.lab.compare.result import Row
from lrsched.lab.plain import plain
from lrsched.lab.workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
TEXT, NUMBERS, RUNS = HERE / "evidence.md", HERE / "evidence.json", HERE / "evidence.runs"
SEEDS = 20
CHOSEN = {  # the numbers to choose for each schedule, besides the length of the run
    "constant": ("rate",),
    "step": ("peak", "every", "factor"),
    "multi-step": ("peak", "first milestone", "second milestone", "factor"),
    "exponential": ("peak", "rate"),
    "cosine annealing": ("peak",),
    "reduce on plateau": ("peak", "factor", "patience", "threshold"),
    "cyclic": ("low", "high", "half a period"),
    "one-cycle": ("peak",),
    "warm-up cosine": ("peak", "warm-up"),
    "warm-up stable decay": ("peak", "warm-up", "decay"),
    "linear to zero": ("peak", "warm-up"),
}
SHORTER = (0.7, 0.5)  # of the steps: with 30 and 50 % saved, as the guide says


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the numbers, the pictures and the text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description="Measures what schedules are good for.")
    parser.add_argument("--workload", choices=list(WORKLOADS), action="append", help="one of them; may be repeated")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"runs of each kind (default: {SEEDS})")
    parser.add_argument("--steps", type=int, metavar="N", help="updates in a run (default: those of the workload)")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the files go (default: here)")
    options = parser.parse_args(arguments)
    numbers = options.out / NUMBERS.name
    kept = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    for name in options.workload or WORKLOADS:
        kept[name] = plain(measured(WORKLOADS[name], options.seeds, options.out, options.steps)._asdict())
        kept = {name: kept[name] for name in WORKLOADS if name in kept}
        numbers.write_text(json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        evidence = {name: Evidence(**found) for name, found in kept.items()}
        (options.out / TEXT.name).write_text(evidence_report.text(evidence), encoding="utf-8")
    return 0


def measured(workload: Workload, seeds: int, out: Path, steps: int | None = None) -> Evidence:
    """Trains with every schedule at every peak from every seed, and draws the picture."""
    steps = steps or workload.steps
    runs = out / RUNS.name / workload.name
    options: dict[str, Any] = {"seeds": seeds, "batch_size": workload.batch_size}
    found = compare(workload.make_train(steps), bakeoff.schedules(steps), peaks=workload.peaks, folder=runs, **options)
    print(f"{workload.name}: {workload.description}\n{found}")
    picture.write(found, out / f"evidence_{workload.name}.png", metric="validation", dpi=80)
    rows = [_row(found, row) for row in found.rows]
    for share in SHORTER:
        fewer = round(share * steps)
        tuned = {name: s * found.chosen[name].peak for name, s in bakeoff.schedules(fewer).items()}
        short = compare(workload.make_train(fewer), tuned, folder=runs / str(fewer), **options)
        for row, gain in zip(rows, _gains(short, found), strict=True):
            row["shorter"][f"{share:g}"] = gain
    return Evidence(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        machine=machine.machine("cpu"),
        versions=machine.versions(),
        description=workload.description,
        score=workload.score,
        steps=steps,
        peaks=list(workload.peaks),
        seeds=seeds,
        data=_data(workload),
        rows=rows,
    )


def _data(workload: Workload) -> dict[str, Any]:
    """The source of the data, the rows of each split, and a hash of all."""
    splits, digest = workload.load(), hashlib.sha256()
    python = f"the standard library of {platform.python_implementation()} {platform.python_version()}"
    source = python if workload.name == "chars" else f"scikit-learn {metadata.version('scikit-learn')}"
    for array in map(np.ascontiguousarray, jax.tree.leaves(splits)):
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    rows = {name: len(jax.tree.leaves(split)[0]) for name, split in splits._asdict().items()}
    return {"source": source, "rows": rows, "sha256": digest.hexdigest()}


def _gains(short: Comparison, whole: Comparison) -> list[dict[str, Any]]:
    """How far each schedule's test score in shorter runs exceeds that of the best constant rate in full runs, seed by seed."""
    base = whole.best[whole.baseline]
    kept = []
    for own in short.best.values():
        both = ~short.diverged[own] & ~whole.diverged[base]
        kept.append((short.tests[own] - whole.tests[base])[both])
    return [{"gain": statistics.mean(gain), "gain_interval": statistics.bootstrap_interval(gain)} for gain in kept]


def _row(found: Comparison, row: Row) -> dict[str, Any]:
    """The record of a schedule: its row in the table, and how its best peak compares with the others."""
    own = [i for i, trial in enumerate(found.trials) if trial.name == row.name]
    # A peak at which a run was lost is as bad as can be.
    of_peaks = np.where(found.diverged[own].any(axis=-1), -np.inf, found.metrics["validation"][own, ..., -1].mean(axis=-1))
    middle = np.median(of_peaks)
    return dataclasses.asdict(row) | {
        "steps_saved": _or_never(row.steps_saved),
        "steps_saved_interval": list(map(_or_never, row.steps_saved_interval)),
        "numbers": CHOSEN[row.name],
        "on_the_edge": bool(found.end(row.name)),
        "lost_over_the_grid": of_peaks.max() - middle if np.isfinite(middle) else "some diverge",
        "shorter": {},
    }


def _or_never(saved: float) -> float | str:
    return "never" if saved == -np.inf else saved


if __name__ == "__main__":
    sys.exit(main())
