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


def _at_least(least: int, bits: int = 32) -> Callable[[str], int]:
    def whole(text: str) -> int:
        with contextlib.suppress(ValueError):
            number = float(text)  # also 1e5
            if number.is_integer() and least <= number < 2**bits:
                return int(number)
        raise argparse.ArgumentTypeError(f"expected a whole number, at least {least} and below 2**{bits}, got {text!r}.")

    return whole


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected rates above 0, such as 0.01 0.1, got {text!r}.")


def _program() -> str:
    return "lrsched" if Path(sys.argv[0]).stem == "lrsched" else "python -m lrsched"


def _bakeoff_parser() -> _Parser:
    parser = _Parser(
        prog=_program(),
        description="Trains a small network on handwritten digits with a constant rate and with the seven schedulers that"
        " guides to PyTorch name, over a grid of peak rates and several seeds, in one compiled program, and compares them.",
    )
    parser.add_argument("--version", action="version", version=f"lrsched {__version__}")
    _add_runs(parser, "1000", "8, from 0.01 to 1.28")
    _add_files(parser, ".", "bakeoff.png and bakeoff.json go (default: here)")
    commands = "show draws schedules in the terminal, compare compares eleven of them on another workload; add --help to one."
    parser.add_argument_group("commands", commands)
    parser.set_defaults(run=_bakeoff, steps=1000)
    return parser


def _show_parser() -> _Parser:
    parser = _Parser(
        prog=f"{_program()} show",
        description="Draws schedules in the terminal, and prints their phases, peaks, ends and means, and likely mistakes.",
    )
    steps = "updates in the run (default: its length, or a quarter more if it ends at its highest value)"
    hint = "such as 'Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)'; it is only parsed, never executed"
    parser.add_argument("expressions", nargs="+", metavar="EXPRESSION", help=hint)
    parser.add_argument("--steps", type=_at_least(1, 53), metavar="N", help=steps)
    parser.add_argument("--json", action="store_true", help="print the schedule as JSON, several as a list, and nothing else")
    _add_files(parser, None, "schedule.png and schedule.json go (default: none are written)")
    parser.set_defaults(run=_show)
    return parser


def _compare_parser() -> _Parser:
    parser = _Parser(
        prog=f"{_program()} compare",
        description="Compares eleven schedules, each tuned in the same way, on a real workload: a convolutional network on"
        " handwritten digits, a transformer on the source code of Python's standard library, or a regression on patients."
        " It takes minutes; interrupted, it continues where it stopped when it is called again.",
    )
    parser.add_argument("--workload", choices=("digits", "chars", "tabular"), required=True, help="the task")
    _add_runs(parser, "those of the workload", "those of the workload")
    parser.add_argument(
        "--rungs", type=_at_least(1, 4), default=1, metavar="N", help="3 tries peaks in shorter runs (default: 1)"
    )
    parser.add_argument("--batch-size", type=_at_least(1), metavar="N", help="runs at a time (default: that of the workload)")
    _add_files(parser, None, "everything goes (default: comparison-WORKLOAD, here)")
    parser.set_defaults(run=_compare)
    return parser


_COMMANDS = {"show": _show_parser, "compare": _compare_parser}


def _add_runs(parser: argparse.ArgumentParser, steps: str, peaks: str) -> None:
    """The options that choose the runs, with the texts for their defaults."""
    parser.add_argument("--steps", type=_at_least(_SHORTEST), metavar="N", help=f"updates in a run (default: {steps})")
    parser.add_argument("--seeds", type=_at_least(2), default=8, metavar="N", help="runs of each kind (default: 8)")
    parser.add_argument("--peaks", type=_rate, nargs="+", metavar="RATE", help=f"peak rates (default: {peaks})")
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="seed of all randomness (default: 0)")


def _add_files(parser: argparse.ArgumentParser, folder: str | None, files: str) -> None:
    parser.add_argument("--out", default=folder, metavar="FOLDER", help=f"the folder where {files}")
    parser.add_argument("--png", metavar="FILE", help="draw the picture into this file as well")


def _writable(parser: argparse.ArgumentParser, folder: Path, names: Sequence[str]) -> None:
    """Makes the folder if it is missing, and ends the command if the files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for path in (folder / name for name in names):
            if path.exists():
                path.open("ab").close()
    except OSError as error:
        parser.error(f"argument --out: expected a folder to write into, got {str(folder)!r}. Hint: {error.strerror}.")


def _needs(parser: argparse.ArgumentParser, extra: str, *modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        parser.error(f"expected {' and '.join(missing)}, got none. Hint: python -m pip install 'lrsched-jax[{extra}]'.")


def _draw(options: argparse.Namespace, figure: Any) -> None:
    """Draws into the file of `--png`, and ends the command if that fails."""
    try:
        figure.savefig(options.png)
    except (OSError, ValueError) as error:
        options.parser.error(f"argument --png: expected a file to write, got {options.png!r}. Hint: {error}.")


def _prepare(options: argparse.Namespace, folder: Path, names: Sequence[str], peaks: Sequence[float]) -> tuple[float, ...]:
    """The peaks. Ends the command before any training if they are not distinct, or if the results cannot be written."""
    if len(set(peaks)) < len(peaks):
        got = " ".join(f"{peak:g}" for peak in peaks)
        options.parser.error(f"argument --peaks: expected different rates, got {got}.")
    _writable(options.parser, folder, names)
    if options.png:
        from matplotlib.figure import Figure

        _draw(options, Figure())
    return tuple(peaks)


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison or another command, and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or │ shows ? instead
    command = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    parser = _COMMANDS.get(command, _bakeoff_parser)()
    if command and command not in _COMMANDS:
        hint = _nearest(command, _COMMANDS) or f" Hint: {parser.prog} show 'Linear(...)'."
        parser.error(f"expected {' or '.join(_COMMANDS)}, got {command!r}.{hint}")
    if command == "show":  # -Linear(0, 1, 10) is not an option
        arguments = [f" {one}" if re.match(r"-[-+*/.\w\s]*\(", one) else one for one in arguments]
    options, unknown = parser.parse_known_args(arguments[bool(command) :])
    options.parser = parser
    if unknown:
        later = next((one for one in unknown if one in _COMMANDS), "")
        known = [name for action in parser._actions for name in action.option_strings]
        hint = f" Hint: {parser.prog} {later} ..., the command first." if later else _nearest(unknown[0], [*known, *_COMMANDS])
        parser.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")
    try:
        code = options.run(options)
        print(end="", flush=True)
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
    parser: _Parser = options.parser
    try:
        schedules = [parse(text) for text in options.expressions]
        found = [summary(schedule, options.steps) for schedule in schedules]
        content: Any = [*map(to_dict, schedules)] if schedules[1:] else to_dict(schedules[0])
    except ValueError as error:
        parser.error(str(error))
    written = json.dumps(content, indent=2)
    paths: list[Path | str] = []
    if options.png or options.out:
        _needs(parser, "plot", "matplotlib")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), layout="constrained")
        plot(*schedules, steps=options.steps, ax=figure.subplots())
        if options.png:
            _draw(options, figure)
            paths.append(options.png)
        if options.out:
            picture, text = files = [Path(options.out, name) for name in ("schedule.png", "schedule.json")]
            _writable(parser, Path(options.out), (picture.name, text.name))
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
    parser = options.parser
    _needs(parser, "lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff

    folder = Path(options.out)
    peaks = _prepare(options, folder, bakeoff.FILES, options.peaks or bakeoff.DENSE.peaks)
    comparison = bakeoff.run(options.steps, options.seeds, peaks, options.seed)
    settings = {"steps": options.steps, "seeds": options.seeds, "peaks": peaks, "seed": options.seed}
    paths = bakeoff.write(comparison, folder, settings)
    _report(options, comparison, paths, f"on a larger network:\n    {parser.prog} compare --workload digits")
    return 0


def _compare(options: argparse.Namespace) -> int:
    parser: _Parser = options.parser
    _needs(parser, "lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff
    from lrsched.lab.compare.compare import compare
    from lrsched.lab.workloads import WORKLOADS

    workload = WORKLOADS[options.workload]
    steps, folder = options.steps or workload.steps, Path(options.out or f"comparison-{workload.name}")
    if steps < (needed := _SHORTEST * 3 ** (options.rungs - 1)):
        parser.error(
            f"argument --rungs: expected at least {needed} updates for {options.rungs} rungs, so that the shortest runs have"
            f" {_SHORTEST}, got {steps}. Hint: fewer --rungs, or --steps {needed}."
        )
    peaks = _prepare(options, folder, (), options.peaks or workload.peaks)
    settings = {"workload": workload.name, "steps": steps}
    try:
        _check_settings(parser, folder, settings)
        comparison = compare(
            workload.make_train,
            bakeoff.schedules,
            steps=steps,
            rungs=options.rungs,
            peaks=peaks,
            seeds=options.seeds,
            seed=options.seed,
            batch_size=options.batch_size or workload.batch_size,
            folder=folder / "rounds",
        )
        paths = comparison.save(folder)
    except (ValueError, MemoryError, OSError) as error:  # a folder of another comparison, too many runs at a time, a full disk
        parser.error(str(error))
    except KeyboardInterrupt:
        print(f"stopped; what is finished is kept in {str(folder)!r}, and the same command continues", file=sys.stderr)
        return 130  # as shells do after an interrupt
    _report(options, comparison, paths, "on a model of yours: lrsched.lab.compare")
    return 0


def _check_settings(parser: argparse.ArgumentParser, folder: Path, settings: dict[str, Any]) -> None:
    """Writes the settings into the folder, or ends the command if it holds runs with other settings."""
    path = folder / "settings.json"
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    there = None
    with contextlib.suppress(ValueError):
        there = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(there, dict):
        parser.error(f"argument --out: expected settings in {str(path)!r}, got none. Hint: --out FOLDER writes into another.")
    other = [name for name in settings if there.get(name) != settings[name]]
    before, now = (" ".join(f"--{name} {these.get(name)}" for name in other) for these in (there, settings))
    if other:
        parser.error(
            f"argument --out: expected a folder for {now}, got {str(folder)!r} with the runs of {before}.\n"
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
