"""Breaks the library on purpose, one fault at a time in a copy, and shows which ring of the tests catches each.

`python -m benchmarks.breakages [WORD ...]` prints a table of all faults, or of those whose names contain one of the words. A
fault that the core ring catches is not tried with the other rings. Each takes half a minute, or minutes where the core ring
misses it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

from benchmarks.progress import measuring, shown

ROOT = pathlib.Path(__file__).parents[1]
RINGS = {"core": [], "deep": ["-m", "deep"], "system": ["-m", "system"]}


class Breakage(NamedTuple):
    """A fault: a piece of code that occurs once in a file of the library, and what replaces it."""

    name: str
    file: str
    code: str
    instead: str
    first: str = ""  # the file of the core ring to try first, since it probably catches the fault

    def applied(self, text: str) -> str:
        """The text of the file, with the fault."""
        if text.count(self.code) != 1:
            raise ValueError(f"{self.name}: expected {self.code!r} once in {self.file}, got {text.count(self.code)} times")
        return text.replace(self.code, self.instead)


ALGEBRA, CLOCKS, TRAINING = "lrsched/algebra", "lrsched/clocks", "lrsched/training"
BREAKAGES = (
    Breakage(
        "updates go uphill", f"{TRAINING}/transform.py", "-after.used if flip_sign", "after.used if flip_sign", "transform"
    ),
    Breakage("negation does nothing", f"{ALGEBRA}/pointwise.py", '"neg": operator.neg', '"neg": operator.pos', "operators"),
    Breakage(
        "a part begins a step late",
        f"{ALGEBRA}/sequence.py",
        "bisect_right(self._starts, t)",
        "bisect_left(self._starts, t)",
        "live",
    ),
    Breakage(
        "a table switches a step late",
        f"{ALGEBRA}/numerics.py",
        "asarray(t >= points[i]",
        "asarray(t > points[i]",
        "operators",
    ),
    Breakage(
        "a long table loses its last row",
        f"{ALGEBRA}/numerics.py",
        "jnp.minimum(low + most, last)",
        "jnp.minimum(low + most, last - 1)",
        "operators",
    ),
    Breakage(
        "the wrong cycle is chosen",
        f"{ALGEBRA}/combinators.py",
        "minimum(numerics.floor_ratio(t, steps), last)",
        "minimum(numerics.ceil(ratio(t, steps)), last)",
        "operators",
    ),
    Breakage(
        "a growing cycle keeps its pace",
        f"{ALGEBRA}/combinators.py",
        "ratio(t - start, growth)",
        "ratio(t - start, 1.0)",
        "operators",
    ),
    Breakage(
        "a delay adds no length",
        f"{ALGEBRA}/combinators.py",
        "lambda steps: steps + self.steps",
        "lambda steps: steps",
        "laws",
    ),
    Breakage(
        "patience runs out one observation early",
        f"{CLOCKS}/metrics.py",
        "to_float(bad) > numerics.to_float(self.patience)",
        "to_float(bad) >= numerics.to_float(self.patience)",
        "clocks",
    ),
    Breakage(
        "the cooldown is ignored",
        f"{CLOCKS}/metrics.py",
        "cooldown=jnp.where(fired, _whole(self.cooldown),",
        "cooldown=jnp.where(fired, 0,",
        "torch",
    ),
    Breakage(
        "a state shares a buffer",
        f"{CLOCKS}/metrics.py",
        "plateaus, seen = (zero() for _ in range(4))",
        "plateaus, seen = [zero()] * 4",
        "transform",
    ),
    Breakage(
        "a count loses its last digits",
        f"{CLOCKS}/clock.py",
        "Count(*two_sum(high, low), lower)",
        "Count(*two_sum(high, low), 0 * lower)",
        "clocks",
    ),
    Breakage(
        "a clock ticks before its part begins",
        f"{CLOCKS}/running.py",
        "return [runs & inside for",
        "return [inside for",
        "clocks",
    ),
    Breakage(
        "a rejected small batch is observed",
        f"{TRAINING}/transform.py",
        "jnp.where(rejected, old, new)",
        "jnp.where(rejected, new, new)",
        "observations",
    ),
    Breakage(
        "a sum replaces a mean",
        f"{CLOCKS}/observations.py",
        'if how == "mean" else total',
        'if how == "none" else total',
        "observations",
    ),
    Breakage(
        "two JSON fields are swapped",
        "lrsched/views/codec.py",
        "{argument(f): _written(getattr(value, f.name)",
        "{argument(f): _written(getattr(value, (fields[f == fields[0]] if f in fields[:2] else f).name)",
        "texts",
    ),
    Breakage(
        "a formula is wrong", "lrsched/views/latex.py", "b + (a - b) * (1 - _sqrt(p))", "b + (a - b) * _sqrt(1 - p)", "latex"
    ),
    Breakage(
        "a derivative omits one operand",
        f"{ALGEBRA}/numerics.py",
        "jnp.zeros_like(value)) * change / b",
        "jnp.zeros_like(value)) * 0 / b",
        "shapes",
    ),
    Breakage(
        "a live number keeps only 24 bits",
        f"{TRAINING}/live.py",
        "return Double(jnp.copy(high), jnp.copy(low))",
        "return Double(jnp.copy(high), jnp.copy(low) * 0)",
        "live",
    ),
    Breakage(
        "layers are counted from one",
        f"{TRAINING}/layerwise.py",
        "power(base, value)",
        "power(base, value + 1)",
        "layerwise",
    ),
    Breakage(
        "PyTorch's margin is that of another mode",
        "lrsched/dialects/torch/schedulers.py",
        '"rel_signed" if threshold_mode == "rel" else "abs"',
        "threshold_mode",
        "torch",
    ),
    Breakage(
        "the runs of a finished round are repeated",
        "lrsched/lab/compare/rounds.py",
        'glob("round-*.npz")',
        'glob("round_*.npz")',
    ),
)


def copied(target: pathlib.Path) -> None:
    """Copies the files of the checkout that git tracks or would add."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def caught(folder: pathlib.Path, *chosen: str) -> str:
    """The first of the chosen tests that fails in a copy, or "" if none does."""
    compares = "tests/system/test_benchmarks.py::test_every_breakage_still_fits_the_code"  # it fails in every broken copy
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail=1", "-p", "no:cacheprovider", f"--deselect={compares}", *chosen]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    if run.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", run.stdout, re.MULTILINE)
    if failed is None:
        raise RuntimeError(f"the tests {chosen} did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return failed.group(1)


def main(words: list[str]) -> int:
    """Prints the table, and returns 1 if no ring catches some fault."""
    chosen = [b for b in BREAKAGES if not words or any(word in b.name for word in words)]
    missed = 0
    print("| fault | caught by | first test that fails |\n| --- | --- | --- |")
    with shown():
        for fault in chosen:
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                copied(folder)
                file = folder / fault.file
                file.write_text(fault.applied(file.read_text()))
                quick = [f"tests/test_{fault.first}.py", "-m", "not deep and not system"] if fault.first else []
                for ring, chosen in [("core", quick), *RINGS.items()] if quick else RINGS.items():
                    measuring(fault.name, ring)
                    if test := caught(folder, *chosen):
                        print(f"| {fault.name} | {ring} | `{test}` |", flush=True)
                        break
                else:
                    missed += 1
                    print(f"| {fault.name} | **no ring** | |", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
