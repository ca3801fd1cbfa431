"""Runs the benchmarks, prints a table, and writes it into benchmarks/README.md when the run is a full one."""

import argparse
import datetime as dt
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from benchmarks import accuracy, arguments, batches, bulk, eager, importing, retraces, sequences, training_step
from benchmarks.timing import Row

# One entry a module: its function takes the number of repeats and returns its rows.
BENCHMARKS: dict[str, Callable[[int], list[Row]]] = {
    "accuracy": accuracy.rows,
    "bulk": bulk.rows,
    "batches": batches.rows,
    "sequences": sequences.rows,
    "eager": eager.rows,
    "arguments": arguments.rows,
    "training_step": training_step.rows,
    "retraces": retraces.rows,
    "importing": importing.rows,
}

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def main() -> int:
    """Returns the exit code: 1 if a quick run finds a ratio of more than twice its goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Times lrsched against what it replaces.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few repeats; fail where a figure is worse than twice its goal, or than twice what is known to be reached",
    )
    parser.add_argument("--only", metavar="NAME", choices=BENCHMARKS, help=f"run one of: {', '.join(BENCHMARKS)}")
    options = parser.parse_args()
    repeats = 5 if options.quick else 100
    if sys.platform == "linux":  # one core: how XLA splits a program over several changes its time by more than a schedule does
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    names = [options.only] if options.only else list(BENCHMARKS)
    print(_setting())
    rows = []
    for name in names:
        for row in BENCHMARKS[name](repeats):
            print(f"{_figure(row)}  {_verdict(row)}  {row.name}  ({row.details})", flush=True)
            rows.append(row)
    if options.quick:
        return int(any(_is_regression(row) for row in rows))
    if not options.only:
        _write(rows)
        print("written to benchmarks/README.md")
    return 0


def _is_regression(row: Row) -> bool:
    return row.goal is not None and row.ratio is not None and row.ratio > 2 * max(row.goal, row.reached)


def _figure(row: Row) -> str:
    return "not measured" if row.ratio is None else f"{row.ratio:.4g} {row.unit}"


def _verdict(row: Row) -> str:
    if row.goal is None or row.ratio is None:
        return "no goal" if row.goal is None else f"goal <= {row.goal:g}"
    return f"goal <= {row.goal:g} {'met' if row.ratio <= row.goal else 'MISSED'}"


def _setting() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "jaxlib", "optax", "numpy"))
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{_processor()}, {cores} core{'' if cores == 1 else 's'} used; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _write(rows: list[Row]) -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    table = ["| benchmark | figure | goal | details |", "| --- | --- | --- | --- |"]
    for row in rows:
        met = row.ratio is not None and row.goal is not None and row.ratio <= row.goal
        goal = "" if row.goal is None else f"≤ {row.goal:g}, {'met' if met else '**missed**'}"
        table.append(f"| {row.name} | {_figure(row)} | {goal} | {row.details} |")
    when = f"Measured on {dt.date.today()}: {_setting()}."
    README.write_text(before + BEGIN + "\n".join(["", *table, "", when, ""]) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
