"""`python -m lrsched` compares the guide's schedulers on handwritten digits; `compare` does it on others, `show` draws one."""

import argparse
import contextlib
import importlib.util
import io
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from lrsched.algebra.written import shown
from lrsched.views.codec import to_json
from lrsched.views.expression import parse
from lrsched.views.plotting import plot
from lrsched.views.show import curve
from lrsched.views.summary import Summary, summary


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def _given(convert: Callable[[str], float], fits: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if fits(value := convert(text)):
                return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}.")

    return parse


def _at_least(least: int) -> Callable[[str], float]:
    return _given(int, lambda x: least <= x < 2**32, f"a whole number, at least {least} and below 2**32")


_rate = _given(float, lambda x: 0 < x < math.inf, "rates above 0, such as 0.01 0.1")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lrsched",
        description="Trains a small network on handwritten digits with a constant rate and with the seven schedulers that"
        " guides to PyTorch name, over a grid of peak rates and several seeds, in one compiled program, and compares them."
        " `python -m lrsched compare --help` and `python -m lrsched show --help` say what else there is.",
    )
    _add_runs(parser, "1000", "8, from 0.01 to 1.28")
    parser.set_defaults(steps=1000)
    parser.add_argument("--out", default=".", metavar="FOLDER", help="where bakeoff.png and bakeoff.json go (default: here)")
    return parser


def _add_runs(parser: argparse.ArgumentParser, steps: str, peaks: str) -> None:
    """The options that say which runs there are; the texts say what they are by default."""
    parser.add_argument("--steps", type=_at_least(10), metavar="N", help=f"updates in a run (default: {steps})")
    parser.add_argument("--seeds", type=_at_least(2), default=8, metavar="N", help="runs of each kind (default: 8)")
    parser.add_argument("--peaks", type=_rate, nargs="+", metavar="RATE", help=f"peak rates (default: {peaks})")
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="what all randomness comes from (default: 0)")


def _writable(parser: argparse.ArgumentParser, folder: Path, names: Sequence[str] = ()) -> None:
    """Makes the folder if need be, and ends the command if those files cannot be written there."""
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


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison, or shows a schedule; 0 if all went well."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or │ gets ? for them
    commands = {"show": _show, "compare": _compare}
    if not arguments or arguments[0].startswith("-"):
        return _bakeoff(arguments)
    if arguments[0] not in commands:
        _parser().error(f"expected show or compare, got {arguments[0]!r}. Hint: python -m lrsched show 'Linear(...)'.")
    return commands[arguments[0]](arguments[1:])


def _show(arguments: list[str]) -> int:
    parser = _Parser(
        prog="python -m lrsched show",
        description="Draws a schedule in the terminal, and prints its phases, peak, end and mean, and any likely mistakes.",
    )
    parser.add_argument("expression", help="such as 'Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)'; nothing of it is run")
    parser.add_argument("--steps", type=_at_least(1), metavar="N", help="updates in the run (default: as long as it lasts)")
    parser.add_argument("--png", metavar="FILE", help="draw a picture into this file as well")
    parser.add_argument("--json", action="store_true", help="print the schedule as JSON, and nothing else")
    options = parser.parse_args(arguments)
    try:
        schedule = parse(options.expression)
        found = summary(schedule, options.steps)
    except ValueError as error:
        parser.error(str(error))
    if options.png:
        _needs(parser, "plot", "matplotlib")
        try:
            _draw(found, options.png)
        except (OSError, ValueError) as error:
            parser.error(f"argument --png: expected a file to write, got {options.png!r}. Hint: {error}.")
    if options.json:
        print(to_json(schedule, indent=2))
        return 0
    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    print(f"{curve(found, plain=plain)}\n\n{found}")
    if options.png:
        print(f"wrote {options.png}")
    return 0


def _draw(found: Summary, path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    plot(found.schedule, steps=found.steps, ax=figure.subplots()).set_title(shown(found.schedule))
    figure.savefig(path)


def _bakeoff(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    _needs(parser, "lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff

    peaks = _different(parser, options.peaks or bakeoff.PEAKS)
    folder = Path(options.out)
    _writable(parser, folder, bakeoff.FILES)
    comparison = bakeoff.run(options.steps, options.seeds, peaks, options.seed)
    settings = {"steps": options.steps, "seeds": options.seeds, "peaks": peaks, "seed": options.seed}
    _say(comparison, bakeoff.write(comparison, folder, settings))
    return 0


def _compare(arguments: list[str]) -> int:
    parser = _Parser(
        prog="python -m lrsched compare",
        description="Compares eleven schedules, each tuned in the same way, on a real workload: a convolutional network on"
        " handwritten digits, a transformer on the source code of Python's standard library, or a regression on patients."
        " It takes minutes; interrupted, it goes on where it was when it is called again.",
    )
    parser.add_argument("--workload", choices=("digits", "chars", "tabular"), required=True, help="what is trained")
    _add_runs(parser, "those of the workload", "those of the workload")
    parser.add_argument("--batch-size", type=_at_least(1), metavar="N", help="runs at a time (default: that of the workload)")
    parser.add_argument("--out", metavar="FOLDER", help="where everything goes (default: comparison-WORKLOAD, here)")
    options = parser.parse_args(arguments)
    _needs(parser, "lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import candidates
    from lrsched.lab.compare import compare
    from lrsched.lab.workloads import WORKLOADS

    workload = WORKLOADS[options.workload]
    steps, folder = options.steps or workload.steps, Path(options.out or f"comparison-{workload.name}")
    _writable(parser, folder)
    try:
        comparison = compare(
            workload.make_train(steps),
            candidates.schedules(candidates.ALL, steps),
            peaks=_different(parser, options.peaks or workload.peaks),
            seeds=options.seeds,
            seed=options.seed,
            batch_size=options.batch_size or workload.batch_size,
            folder=folder / "rounds",
        )
        paths = comparison.save(folder)
    except (ValueError, MemoryError, OSError) as error:  # another comparison's folder, too many runs at a time, a full disk
        parser.error(str(error))
    except KeyboardInterrupt:
        print(f"stopped; what is finished is kept in {str(folder)!r}, and the same command goes on", file=sys.stderr)
        return 130  # as shells say of what an interrupt ended
    _say(comparison, paths)
    return 0


def _different(parser: argparse.ArgumentParser, peaks: Sequence[float]) -> tuple[float, ...]:
    if len(set(peaks)) < len(peaks):
        parser.error(f"argument --peaks: expected different rates, got {' '.join(f'{peak:g}' for peak in peaks)}.")
    return tuple(peaks)


def _say(comparison: object, paths: list[Path]) -> None:
    print(comparison)
    for path in paths:
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
