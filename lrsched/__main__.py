"""`python -m lrsched` compares the guide's schedulers on handwritten digits; `python -m lrsched show` draws a schedule."""

import argparse
import importlib.util
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lrsched.codec import to_json
from lrsched.expression import parse
from lrsched.node import shown
from lrsched.plotting import plot
from lrsched.running import bind, init
from lrsched.show import curve
from lrsched.summary import Summary, summary


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**32:
            raise argparse.ArgumentTypeError(f"must be a whole number, at least {least} and below 2**32, got {text!r}")
        return value

    return parse


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be rates above 0, such as 0.01 0.1, got {text!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lrsched",
        description="Trains a small network on handwritten digits with a constant rate and with the seven schedulers that"
        " guides to PyTorch name, over a grid of peak rates and several seeds, in one compiled program, and compares them."
        " `python -m lrsched show EXPRESSION` draws a schedule instead.",
    )
    parser.add_argument("--steps", type=_at_least(10), default=1000, metavar="N", help="updates in a run (default: 1000)")
    parser.add_argument("--seeds", type=_at_least(2), default=8, metavar="N", help="runs of each kind (default: 8)")
    parser.add_argument("--peaks", type=_rate, nargs="+", metavar="RATE", help="peak rates (default: 8, from 0.01 to 1.28)")
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="what all randomness comes from (default: 0)")
    parser.add_argument("--out", default=".", metavar="FOLDER", help="where bakeoff.png and bakeoff.json go (default: here)")
    return parser


def _writable(folder: Path, names: tuple[str, ...]) -> None:
    """Makes the folder if need be; an OSError if those files cannot be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    for path in (folder / name for name in names):
        if path.exists():
            path.open("ab").close()


def _needs(parser: argparse.ArgumentParser, extra: str, *modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        parser.error(f"needs {' and '.join(missing)}: python -m pip install 'lrsched-jax[{extra}]'")


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison, or shows a schedule; 0 if all went well."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or │ gets ? for them
    return _show(arguments[1:]) if arguments[:1] == ["show"] else _compare(arguments)


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
            parser.error(f"argument --png: cannot write {options.png!r}: {error}")
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
    plot(bind(found.schedule, init(found.schedule)), steps=found.steps, ax=figure.subplots()).set_title(shown(found.schedule))
    figure.savefig(path)


def _compare(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    _needs(parser, "lab", "matplotlib", "rich", "sklearn")
    from lrsched.lab import bakeoff

    peaks = tuple(options.peaks or bakeoff.PEAKS)
    if len(set(peaks)) < len(peaks):
        parser.error(f"argument --peaks: must be different rates, got {' '.join(f'{peak:g}' for peak in peaks)}")
    folder = Path(options.out)
    try:
        _writable(folder, bakeoff.FILES)
    except OSError as error:
        parser.error(f"argument --out: cannot write into {options.out!r}: {error.strerror}")
    comparison = bakeoff.run(options.steps, options.seeds, peaks, options.seed)
    settings = {"steps": options.steps, "seeds": options.seeds, "peaks": peaks, "seed": options.seed}
    paths = bakeoff.write(comparison, folder, settings)
    print(comparison)
    for path in paths:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
