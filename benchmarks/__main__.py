"""Runs the benchmarks and prints their rows. Unless the run is quick, keeps them and rewrites the tables of README.md."""

import argparse
import datetime as dt
import os
import sys
from types import ModuleType

from benchmarks import (
    accuracy,
    arguments,
    batches,
    bulk,
    eager,
    importing,
    machine,
    main_job,
    peers,
    report,
    results,
    retraces,
    sequences,
    traced_accuracy,
    training_step,
)
from benchmarks.progress import measuring, shown
from benchmarks.timing import Row

# Each has a function `rows` of the number of repeats, and CORES if it uses more than one core; the first line of its docstring
# is the title of its table.
MODULES: tuple[ModuleType, ...] = (
    accuracy,
    traced_accuracy,
    training_step,
    bulk,
    batches,
    sequences,
    eager,
    arguments,
    main_job,
    peers,
    retraces,
    importing,
)
BENCHMARKS = {module.__name__.rpartition(".")[2]: module for module in MODULES}
TITLES = {name: str(module.__doc__).splitlines()[0].rstrip(".") for name, module in BENCHMARKS.items()}


def main(given: list[str] | None = None) -> int:
    """Returns the exit code: 1 if a quick run finds a figure worse than three times its goal, or beyond its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures lrsched against its goals.")
    parser.add_argument("--quick", action="store_true", help="few repeats; write nothing, fail beyond three times a goal")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=BENCHMARKS, help=f"one of: {', '.join(BENCHMARKS)}; repeatable"
    )
    options = parser.parse_args(given)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share a GPU
    platform = machine.jax_platform()
    if platform not in report.COLUMNS:
        parser.error(f"there is no column for JAX's platform {platform!r}, only for {' and '.join(report.COLUMNS)}")
    if platform == "cpu":
        machine.use_one_core()
    rows: list[Row] = []
    with shown():
        for name in options.only or BENCHMARKS:
            measuring(name)
            found = BENCHMARKS[name].rows(5 if options.quick else 100)
            for row in found:
                print(report.line(row, platform), flush=True)
            rows += found
            if not options.quick:  # after each, so that a later failure loses nothing measured before
                _keep(name, found, platform)
    print(report.count(rows, platform))
    return int(options.quick and any(row.is_regression(platform) for row in rows))


def _keep(name: str, rows: list[Row], platform: str) -> None:
    cores = getattr(BENCHMARKS[name], "CORES", None)
    one = results.Measured(str(dt.date.today()), machine.machine(platform, cores), machine.versions(), rows)
    all_results = results.merged(results.load(), platform, {name: one}, BENCHMARKS)
    results.save(all_results)
    report.write(all_results, TITLES)


if __name__ == "__main__":
    sys.exit(main())
