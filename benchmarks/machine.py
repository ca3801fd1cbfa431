"""The setting of a measurement: JAX's platform, the processor, the cores, the versions."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "torch", "timm", "transformers")  # the last three where they are installed

# The cores that this process was given, before it keeps to one of them.
CORES: set[int] = os.sched_getaffinity(0) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def jax_platform() -> str:
    """The name of JAX's platform, such as "cpu" or "gpu".

    A separate process finds it out, because JAX makes as many threads as there are cores when it starts in this one.
    """
    program = "import jax; print(jax.default_backend())"
    found = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.split()[-1]


def use_cores(cores: set[int]) -> None:
    """Keeps this process to some cores, where the system can."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)


def use_one_core() -> None:
    """Keeps this process to one core: how XLA splits a program over several changes its time by more than a schedule does."""
    use_cores({max(CORES)})


def machine(platform_name: str, cores: set[int] | None = None) -> dict[str, Any]:
    """The processor, how many cores are used, those of this process if no others are given, and the GPU where there is one."""
    if cores is None:
        cores = os.sched_getaffinity(0) if sys.platform == "linux" else CORES
    gpu = {"gpu": jax.devices()[0].device_kind} if platform_name == "gpu" else {}
    return {"processor": _processor(), "cores": len(cores), **gpu}


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that figures depend on."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
