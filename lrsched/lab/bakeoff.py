"""The main job: a constant rate and the seven schedulers that guides to PyTorch name, on handwritten digits."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from lrsched.algebra.schedule import Schedule
from lrsched.lab.candidates import CONSTANT, GUIDE, schedules
from lrsched.lab.compare.compare import compare
from lrsched.lab.compare.picture import write as draw
from lrsched.lab.compare.result import Comparison
from lrsched.lab.workloads import digits, training

FILES = ("bakeoff.png", "bakeoff.json")
PACKAGES = ("lrsched-jax", "jax", "jaxlib", "optax", "numpy", "scikit-learn")  # that the numbers depend on
AT_ONCE = 4096  # runs, which fit in memory
PEAKS = tuple(0.01 * 2.0**k for k in range(8))


def guide_schedules(steps: int) -> dict[str, Schedule]:
    """The schedules of a run of that many steps, each with a peak of 1."""
    return schedules((CONSTANT, *GUIDE), steps)


def run(steps: int, seeds: int, peaks: tuple[float, ...], seed: int, show_progress: bool = True) -> Comparison:
    """Compares them in `8 · len(peaks) · seeds` runs."""
    options = {"peaks": peaks, "seeds": seeds, "seed": seed, "batch_size": AT_ONCE, "show_progress": show_progress}
    return compare(training.make_train(digits.dense_task(), steps), guide_schedules(steps), **options)


def write(comparison: Comparison, folder: Path, settings: dict[str, Any]) -> list[Path]:
    """Writes the picture and the numbers into a folder, and returns the paths of the files."""
    picture, numbers = (folder / name for name in FILES)
    draw(comparison, picture)
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    found = {one.name: one.version for one in metadata.distributions() if one.name in PACKAGES}
    versions |= {name: found.get(name) for name in PACKAGES}  # of one that is not installed None
    content = {"settings": settings, "versions": versions, **comparison.to_dict()}
    numbers.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    return [picture, numbers]
