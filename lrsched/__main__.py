"""The command line: `lrsched` compares schedules on handwritten digits, `lrsched compare` on others; `lrsched show` draws."""

import argparse
import contextlib
import importlib.util
import io
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lrsched import __version__
from lrsched.algebra import foreign
from lrsched.views.codec import to_dict
from lrsched.views.expression import parse
from lrsched.views.plotting import plot
from lrsched.views.show import report
from lrsched.views.summary import summary

if TYPE_CHECKING:
    from lrsched.lab.compare.result import Comparison


_SHORTEST = 10  # updates: shorter runs have no room for a warm-up of a tenth


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def _number(expected: str, holds: Callable[[float], bool]) -> Callable[[str], float]:
    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if holds(number := float(text)):  # also 1e5
                return int(number) if "whole" in expected else number
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}.")

    return read


def _at_least(least: int, bits: int = 32) -> Callable[[str], float]:
    expected = f"a whole number, at least {least} and below 2**{bits}"
    return _number(expected, lambda x: x.is_integer() and least <= x < 2**bits)


_rate = _number("rates above 0, such as 0.01 0.1", lambda x: 0 < x < math.inf)


_TEXTS = {  # what each command does, for --help
    "": "Trains a small network on handwritten digits with a constant rate and with the seven schedulers that guides to PyTorch"
    " name, over a grid of peak rates and several seeds, in one compiled program, and compares them.",
    "show": "Draws schedules in the terminal, and prints their phases, peaks, ends and means, and likely mistakes.",
    "compare": "Compares eleven schedules, each tuned in the same way, on a real workload: a convolutional network on"
    " handwritten digits, a transformer on the source code of Python's standard library, or a regression on patients."
    " It takes minutes; interrupted, it continues where it stopped when it is called again.",
}
_COMMANDS = [name for name in _TEXTS if name]


def _program() -> str:
    return "lrsched" if Path(sys.argv[0]).stem == "lrsched" else "python -m lrsched"


def _parser(command: str) -> _Parser:
    parser = _Parser(prog=f"{_program()} {command}".strip(), description=_TEXTS[command])
    if command == "show":
        steps = "updates in the run (default: its length, or a quarter more if it ends at its highest value)"
        hint = "such as 'Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)'; it is only parsed, never executed"
        parser.add_argument("expressions", nargs="+", metavar="EXPRESSION", help=hint)
        parser.add_argument("--steps", type=_at_least(1, 53), metavar="N", help=steps)
        parser.add_argument("--json", action="store_true", help="print only the schedule as JSON, several as a list")
        _add_files(parser, None, "schedule.png and schedule.json go (default: none are written)")
        parser.set_defaults(run=_show)
    elif command == "compare":
        rungs, size = "3 tries peaks in shorter runs (default: 1)", "runs at a time (default: that of the workload)"
        parser.add_argument("--workload", choices=("digits", "chars", "tabular"), required=True, help="the task")
        _add_runs(parser, "those of the workload", "those of the workload")
        parser.add_argument("--rungs", type=_at_least(1, 4), default=1, metavar="N", help=rungs)
        parser.add_argument("--batch-size", type=_at_least(1), metavar="N", help=size)
        _add_files(parser, None, "everything goes (default: comparison-WORKLOAD, here)")
        parser.set_defaults(run=_compare)
    else:
        parser.add_argument("--version", action="version", version=f"lrsched {__version__}")
        _add_runs(parser, "1000", "8, from 0.01 to 1.28")
        _add_files(parser, ".", "bakeoff.png and bakeoff.json go (default: here)")
        others = "show draws schedules in the terminal, compare compares eleven of them on another workload; add --help to one."
        parser.add_argument_group("commands", others)
        parser.set_defaults(run=_bakeoff, steps=1000)
    return parser


def _add_runs(parser: argparse.ArgumentParser, steps: str, peaks: str) -> None:
    """The options that choose the runs, with the texts for their defaults."""
    parser.add_argument("--steps", type=_at_least(_SHORTEST), metavar="N", help=f"updates in a run (default: {steps})")
    parser.add_argument("--seeds", type=_at_least(2), default=8, metavar="N", help="runs of each kind (default: 8)")
    parser.add_argument("--peaks", type=_rate, nargs="+", metavar="RATE", help=f"peak rates (default: {peaks})")
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="seed of all randomness (default: 0)")


def _add_files(parser: argparse.ArgumentParser, folder: str | None, files: str) -> None:
    parser.add_argument("--out", default=folder, metavar="FOLDER", help=f"the folder where {files}")
    parser.add_argument("--png", metavar="FILE", help="draw the picture into this file as well")


def _check_writable(folder: Path, names: Sequence[str] = ()) -> None:
    """Makes the folder if it is missing, and raises an error if the files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        for path in (folder / name for name in names):
            if path.exists():
                path.open("ab").close()
    except OSError as error:
        expected = f"argument --out: expected a folder to write into, got {str(folder)!r}"
        raise ValueError(f"{expected}. Hint: {error.strerror}.") from None


def _check_installed(extra: str, *modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"expected {' and '.join(missing)}, got none. Hint: python -m pip install 'lrsched-jax[{extra}]'.")


def _draw(file: str, figure: Any) -> None:
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"argument --png: expected a file to write, got {file!r}. Hint: {error}.") from None


def _prepare(options: argparse.Namespace, folder: Path, peaks: Sequence[float], names: Sequence[str] = ()) -> tuple[float, ...]:
    """The peaks. Raises an error before any training if they are not distinct, or if the results cannot be written."""
    if len(set(peaks)) < len(peaks):
        raise ValueError(f"argument --peaks: expected different rates, got {' '.join(f'{peak:g}' for peak in peaks)}.")
    _check_writable(folder, names)
    if options.png:
        from matplotlib.figure import Figure

        _draw(options.png, Figure())
    return tuple(peaks)


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison or another command, and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or │ shows ? instead
    command = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    parser = _parser(command if command in _COMMANDS else "")
    if command and command not in _COMMANDS:
        hint = _nearest(command, _COMMANDS) or f" Hint: {parser.prog} show 'Linear(...)'."
        parser.error(f"expected {' or '.join(_COMMANDS)}, got {command!r}.{hint}")
    if command == "show":  # -Linear(0, 1, 10) is not an option
        arguments = [f" {one}" if re.match(r"-[-+*/.\w\s]*\(", one) else one for one in arguments]
    options, unknown = parser.parse_known_args(arguments[bool(command) :])
    if unknown:
        later = next((one for one in unknown if one in _COMMANDS), "")
        known = [name for action in parser._actions for name in action.option_strings]
        hint = f" Hint: {parser.prog} {later} ..., the command first." if later else _nearest(unknown[0], [*known, *_COMMANDS])
        parser.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")
    try:
        code = options.run(options)
        print(end="", flush=True)
    except (ValueError, MemoryError) as error:  # a bad argument, or too many runs at a time
        parser.error(str(error))
    except OSError as error:
        if sys.stdout:  # otherwise Python would try again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `| head` has read enough
            return 0
        parser.exit(1, f"{parser.prog}: expected to write the output, got an error: {error}.\n")
    return code


def _nearest(text: str, names: Collection[str]) -> str:
    """A hint for an unknown word: the nearest of the names, if there is one."""
    name = foreign.meant(text, names, {}) or foreign.meant(text.lstrip("-"), names, {})
    return name and f" Hint: did you mean {name}?"


def _show(options: argparse.Namespace) -> int:
    schedules = [parse(text) for text in options.expressions]
    found = [summary(schedule, options.steps) for schedule in schedules]
    trees = [*map(to_dict, schedules)]
    written = json.dumps(trees if trees[1:] else trees[0], indent=2)
    paths: list[Path | str] = []
    if options.png or options.out:
        _check_installed("plot", "matplotlib")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), layout="constrained")
        plot(*schedules, steps=options.steps, ax=figure.subplots())
        if options.png:
            _draw(options.png, figure)
            paths.append(options.png)
        if options.out:
            picture, text = files = [Path(options.out, name) for name in ("schedule.png", "schedule.json")]
            _check_writable(Path(options.out))
            figure.savefig(picture)
            text.write_text(f"{written}\n", encoding="utf-8")
            paths += files
    if options.json:
        print(written)
        return 0
    width, plain = shutil.get_terminal_size().columns, "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    print("\n\n".join(report(one, width, plain) for one in found))
    _say(*paths)
    return 0


def _bakeoff(options: argparse.Namespace) -> int:
    _check_installed("lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff

    folder = Path(options.out)
    peaks = _prepare(options, folder, options.peaks or bakeoff.DENSE.peaks, bakeoff.FILES)
    mesh = bakeoff.several_devices(bakeoff.DENSE.batch_size)
    comparison = bakeoff.run(options.steps, options.seeds, peaks, options.seed, mesh)
    settings = {"steps": options.steps, "seeds": options.seeds, "peaks": peaks, "seed": options.seed}
    paths = bakeoff.write(comparison, folder, settings)
    _report(options, comparison, paths, f"on a larger network:\n    {_program()} compare --workload digits")
    return 0


def _compare(options: argparse.Namespace) -> int:
    _check_installed("lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff
    from lrsched.lab.compare.compare import compare
    from lrsched.lab.workloads import WORKLOADS

    workload = WORKLOADS[options.workload]
    steps, folder = options.steps or workload.steps, Path(options.out or f"comparison-{workload.name}")
    if steps < (needed := _SHORTEST * 3 ** (options.rungs - 1)):
        raise ValueError(
            f"argument --rungs: expected at least {needed} updates for {options.rungs} rungs, so that the shortest runs have"
            f" {_SHORTEST}, got {steps}. Hint: fewer --rungs, or --steps {needed}."
        )
    peaks = _prepare(options, folder, options.peaks or workload.peaks)
    _check_settings(folder, f"--workload {workload.name} --steps {steps}")
    size = options.batch_size or workload.batch_size
    try:
        comparison = compare(
            workload.make_train,
            bakeoff.schedules,
            steps=steps,
            rungs=options.rungs,
            peaks=peaks,
            seeds=options.seeds,
            seed=options.seed,
            batch_size=size,
            mesh=bakeoff.several_devices(size),
            folder=folder / "rounds",
        )
    except KeyboardInterrupt:
        print(f"stopped; what is finished is kept in {str(folder)!r}, and the same command continues", file=sys.stderr)
        return 130  # as shells do after an interrupt
    _report(options, comparison, comparison.save(folder), "on a model of yours: lrsched.lab.compare")
    return 0


def _check_settings(folder: Path, settings: str) -> None:
    """Writes the settings into the folder, or raises an error if it holds runs with other settings."""
    path = folder / "settings.txt"
    if not path.exists():
        path.write_text(settings + "\n", encoding="utf-8")
    if (before := path.read_text(encoding="utf-8").strip()) != settings:
        raise ValueError(
            f"argument --out: expected a folder for {settings}, got {str(folder)!r} with the runs of {before}.\n"
            f"Hint: --out FOLDER makes these elsewhere, and {before} continues with those."
        )


def _report(options: argparse.Namespace, comparison: "Comparison", paths: list[Path], elsewhere: str) -> None:
    """Prints the table, the files written, the result in one sentence, and a command to try next."""
    from lrsched.lab.compare import picture, table

    if options.png:
        picture.write(comparison, Path(options.png))
        paths = [*paths, Path(options.png)]
    print(comparison)
    _say(*paths)
    print(f"\n{table.verdict(comparison)}\nTry --seeds {4 * comparison.seeds} for narrower intervals, or, {elsewhere}")


def _say(*paths: Path | str) -> None:
    for path in paths:
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
