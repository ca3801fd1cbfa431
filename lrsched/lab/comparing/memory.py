"""How much memory a compiled program needs, how much there is, and what to say when that is not enough."""

from pathlib import Path
from typing import Any

_KEPT = 0.9  # of what is free, for the program; the rest is for everything else


def needed(program: Any) -> int:
    """The bytes that a compiled program holds at most, as XLA says; 0 where it does not."""
    found = program.memory_analysis()
    if found is None:
        return 0
    return found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes


def available(device: Any) -> int | None:
    """The bytes that are free for a device; None where nobody says."""
    known = device.memory_stats() or {}
    if "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    return _of_the_host()


def too_many(runs: int, program: Any, devices: list[Any]) -> str | None:
    """Why that many runs at a time, as many on each of the devices, are too many; None if they fit."""
    needs, free = needed(program), available(devices[0])
    if devices[0].platform == "cpu":  # which share the memory of the host
        needs *= len(devices)
    if free is None or needs <= _KEPT * free:
        return None
    return message(
        runs, int(runs * _KEPT * free / needs), len(devices), f"need {_gibibytes(needs)}, and {_gibibytes(free)} are free"
    )


def message(runs: int, fewer: int, devices: int, why: str) -> str:
    """What to do about it: try fewer, as many on each device."""
    fewer = max(fewer // devices, 1) * devices
    if fewer >= runs:
        each = "one run" if devices == 1 else "one run on each device"
        return f"{each} of train(schedule, key) is too large: it would {why}"
    return f"compare(batch_size=...): {runs} runs at a time {why}; try batch_size={fewer}, which does the same in more rounds"


def _of_the_host() -> int | None:
    """What Linux could still give, and what is left of the limit of a container."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # another system, or no limit, which reads "max"
        pass
    return min(found, default=None)


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
