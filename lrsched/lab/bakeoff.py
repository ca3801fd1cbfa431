"""The schedules that the commands compare, each with a peak of 1, and the main job."""

import contextlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from lrsched.algebra.pointwise import Constant
from lrsched.algebra.recipes import multi_step, one_cycle, step_decay, triangular, warmup_cosine, warmup_linear, wsd
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Cosine, Exponential
from lrsched.clocks.metrics import reduce_on_plateau
from lrsched.lab.compare import picture
from lrsched.lab.compare.compare import compare
from lrsched.lab.compare.result import Comparison
from lrsched.lab.workloads.digits import DENSE

FILES = ("bakeoff.png", "bakeoff.json")
PACKAGES = ("lrsched-jax", "jax", "jaxlib", "optax", "numpy", "scikit-learn")  # that the numbers depend on


def guide(steps: int) -> dict[str, Schedule]:
    """A constant rate, and the seven schedulers that guides to PyTorch name, for a run of that many steps."""
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


def schedules(steps: int) -> dict[str, Schedule]:
    """Those of the guides, and three newer ones."""
    return guide(steps) | {
        "warm-up cosine": warmup_cosine(1.0, 0.1 * steps, steps),
        "warm-up stable decay": wsd(1.0, 0.1 * steps, steps, 0.2 * steps),
        "linear to zero": warmup_linear(1.0, 0.1 * steps, steps),
    }


def several_devices(most: int) -> Mesh | None:
    """The devices of JAX, up to a number, if there are several. A CPU is divided into its cores, unless that is configured."""
    # On one device XLA would run the small matrix products of a batch of runs on one core.
    config: Any = jax.config
    if config.jax_num_cpu_devices < 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", min(cores, most))  # raises if JAX has already begun
    devices = jax.devices()[:most]
    return jax.make_mesh((len(devices),), ("runs",), devices=devices) if len(devices) > 1 else None


def run(
    steps: int, seeds: int, peaks: tuple[float, ...], seed: int, mesh: Mesh | None = None, show_progress: bool = True
) -> Comparison:
    """Compares those of the guides on handwritten digits, in `8 · len(peaks) · seeds` runs."""
    options: dict[str, Any] = {"peaks": peaks, "seeds": seeds, "seed": seed, "mesh": mesh, "show_progress": show_progress}
    return compare(DENSE.make_train(steps), guide(steps), batch_size=DENSE.batch_size, **options)


def write(comparison: Comparison, folder: Path, settings: dict[str, Any]) -> list[Path]:
    """Writes the picture and the numbers into a folder, and returns the paths of the files."""
    drawn, numbers = (folder / name for name in FILES)
    picture.write(comparison, drawn)
    found = {one.name: one.version for one in metadata.distributions() if one.name in PACKAGES}
    versions = {"python": platform.python_version(), "machine": platform.machine(), **dict.fromkeys(PACKAGES), **found}
    content = {"settings": settings, "versions": versions, **comparison.to_dict()}
    numbers.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    return [drawn, numbers]
