"""The main job: a constant rate and the seven schedulers that every guide to PyTorch's names, on handwritten digits."""

import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsched.algebra import Constant, Schedule, driven_parts
from lrsched.lab.compare import compare
from lrsched.lab.result import Comparison
from lrsched.lab.workloads import digits, training
from lrsched.plotting import COLOURS, STYLES
from lrsched.recipes import multi_step, one_cycle, reduce_on_plateau, step_decay, triangular
from lrsched.shapes import Cosine, Exponential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILES = ("bakeoff.png", "bakeoff.json")
AT_ONCE = 4096  # runs; more of them go in further rounds of the same program, so that memory suffices
PEAKS = tuple(0.01 * 2.0**k for k in range(8))


def guide_schedules(steps: int) -> dict[str, Schedule]:
    """The constant rate and the guide's seven for a run of that many steps, each with a peak of 1."""
    return {
        "constant": Constant(1.0),
        "step": step_decay(1.0, every=steps / 4, factor=0.5),
        "multi-step": multi_step(1.0, milestones=[steps / 2, 3 * steps / 4], factor=0.1),
        "exponential": Exponential(1.0, 0.01).stretch(steps),
        "cosine annealing": Cosine(1.0, 0.0, steps),
        "reduce on plateau": reduce_on_plateau(factor=0.5, patience=3, threshold=0.01),
        "cyclic": triangular(0.1, 1.0, up=steps / 10),
        "one-cycle": one_cycle(1.0, steps),
    }


def run(steps: int, seeds: int, peaks: tuple[float, ...], seed: int, show_progress: bool = True) -> Comparison:
    """Compares them: `8 · len(peaks) · seeds` runs."""
    options = {"peaks": peaks, "seeds": seeds, "seed": seed, "batch_size": AT_ONCE, "show_progress": show_progress}
    return compare(training.make_train(digits.dense_task(), steps), guide_schedules(steps), **options)


def write(comparison: Comparison, folder: Path, settings: dict[str, Any]) -> list[Path]:
    """Writes the picture and the numbers into a folder, and says which files they are."""
    picture, numbers = (folder / name for name in FILES)
    _draw(comparison, picture)
    packages = ("lrsched-jax", "jax", "jaxlib", "optax", "numpy", "scikit-learn")
    versions = {"python": sys.version.split()[0], "machine": platform.machine(), **{name: _version(name) for name in packages}}
    content = {"settings": settings, "versions": versions, **comparison.to_dict()}
    numbers.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    return [picture, numbers]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a folder, not installed
        return None


def _draw(comparison: Comparison, path: Path) -> None:
    # A figure of its own, not pyplot's: nothing to close, and no window whatever the backend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    rates, losses = figure.subplots(1, 2)
    for i, row in enumerate(comparison.rows):
        # The constant rate, which comes first, in black; each with a line style and a marker of its own, too.
        style: dict[str, Any] = {
            "color": ("black", *COLOURS)[i % 8],
            "linestyle": STYLES[i % len(STYLES)],
            "marker": "os^vDPX*"[i % 8],
        }
        label = f"{row.name}, peak {row.peak:.3g}"
        _draw_rate(rates, comparison, row.name, row.peak, label, style)
        loss = comparison.at_best("loss", row.name).mean(axis=0)
        losses.plot(comparison.steps, loss, label=label, markevery=(3 * i % 10, 10), **style)
    rates.set(title="learning rate, each at its best peak", xlabel="step", ylabel="learning rate")
    losses.set(title="training loss, mean over seeds", xlabel="step", ylabel="cross-entropy", yscale="log")
    for axes in (rates, losses):
        axes.grid(alpha=0.3)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=130)


def _draw_rate(axes: "Axes", comparison: Comparison, name: str, peak: float, label: str, style: dict[str, Any]) -> None:
    schedule = comparison.schedules[name]
    if driven_parts(schedule):  # what a plateau did is known from the runs only
        values = comparison.at_best("learning_rate", name)[0]
        times = np.concatenate([[0], comparison.steps])
        axes.step(times, [values[0], *values], where="pre", label=f"{label} (first seed)", markevery=10, **style)
    else:
        grid = np.arange(int(comparison.steps[-1]))
        axes.plot(grid, np.asarray((schedule * peak)(grid)), label=label, markevery=0.1, **style)
