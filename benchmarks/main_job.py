"""The main job, `python -m lrsched`: 512 runs in one compiled program, against loops that train one run at a time.

Ours is all of `lrsched.lab.bakeoff.run` with the defaults of the command, after clearing JAX's caches, so that tracing and
compiling count. The loops train the same network, on a sample of the runs, and their time is scaled to 512. Both
sides may use all cores.
"""

import concurrent.futures
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from benchmarks import digits_optax, digits_torch, machine
from benchmarks.optional import absent
from benchmarks.timing import Row
from lrsched.lab import bakeoff
from lrsched.lab.workloads.digits import DENSE

CORES = machine.CORES  # as the command and the loops have them
STEPS, SEEDS = 1000, 8
NAMES = tuple(bakeoff.guide(STEPS))
RUNS = len(NAMES) * len(DENSE.peaks) * SEEDS
PEAK = DENSE.peaks[3]  # one that suits every schedule, so that accuracies can be compared
A_FEW = ("step", "cosine annealing", "reduce on plateau")

Train = Callable[[str, float, int, int], float]  # of a schedule's name, a peak, a seed, and a number of steps


class Loop(NamedTuple):
    """A peer of the main job."""

    name: str
    train: Train
    sample: tuple[str, ...]  # the schedules of the runs that are timed
    goal: float | None


class Sides(NamedTuple):
    """The seconds of both, and the accuracies that they reached."""

    ours: float
    theirs: float
    our_accuracy: float
    their_accuracy: float
    compiling: float  # the part of ours that JAX traces and compiles in


def rows(repeats: int) -> list[Row]:
    """Each peer in turn with the main job: once in a quick run, three times in a full one."""
    # In a process of its own, which has all cores: this one may keep to one of them.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context, machine.use_cores, (CORES,)) as pool:
        return pool.submit(measured_here, repeats).result()


def measured_here(repeats: int) -> list[Row]:
    """The rows, measured in this process."""
    quick = repeats < 20
    rounds, sample = (1, A_FEW) if quick else (3, NAMES)
    peers = [
        Loop("optax, each schedule built afresh and a jitted step", digits_optax.train, sample, 1 / 50),
        Loop("optax, each run one jitted scan, compiled afresh", digits_optax.train_scanned, sample, None),
    ]
    name = "PyTorch"
    if why := absent("torch"):
        missing = [Row(_title(name), None, 1 / 15, why)]
    else:
        missing = []
        peers.insert(0, Loop(name, digits_torch.on_its_fastest_device(), NAMES, 1 / 15))
    measured: dict[str, list[Sides]] = {peer.name: [] for peer in peers}
    mesh = bakeoff.several_devices(DENSE.batch_size)  # as the command does
    for _ in range(rounds):
        seconds, accuracy, compiling = _ours(mesh)
        for peer in peers:
            theirs, their_accuracy = _theirs(peer)
            measured[peer.name].append(Sides(seconds, theirs, accuracy, their_accuracy, compiling))
    return [*missing, *(_row(peer, measured[peer.name]) for peer in peers)]


def _title(peer: str) -> str:
    return f"the main job's {RUNS} runs, against a loop of {peer}"


def _ours(mesh: Mesh | None) -> tuple[float, float, float]:
    """The time of the main job, the mean accuracy at the end of its runs with that peak, and the time that compiling takes."""
    jax.clear_caches()
    gc.collect()
    begin = time.perf_counter()
    comparison = bakeoff.run(STEPS, SEEDS, DENSE.peaks, 0, mesh, show_progress=False)
    seconds = time.perf_counter() - begin
    accuracies = comparison.metrics["validation"][DENSE.peaks.index(PEAK) :: len(DENSE.peaks), :, -1]
    return seconds, float(np.mean(accuracies)), seconds - comparison.seconds["running"]


def _theirs(peer: Loop) -> tuple[float, float]:
    """The time of as many runs as the main job has, from that of the sample, and the mean accuracy at their end."""
    peer.train("constant", PEAK, 0, 50)  # what is compiled once for all runs, and what a library does at its first call
    begin = time.perf_counter()
    accuracies = [peer.train(name, PEAK, seed, STEPS) for seed, name in enumerate(peer.sample)]
    return (time.perf_counter() - begin) / len(peer.sample) * RUNS, statistics.mean(accuracies)


def _row(peer: Loop, rounds: list[Sides]) -> Row:
    ours, theirs, our_accuracy, their_accuracy, compiling = map(statistics.median, zip(*rounds, strict=True))
    if abs(our_accuracy - their_accuracy) > 0.03:
        raise RuntimeError(f"not the same training: accuracy {our_accuracy:.3f}, and with {peer.name} {their_accuracy:.3f}")
    ratio = statistics.median(one.ours / one.theirs for one in rounds)
    details = (
        f"{1 / ratio:.1f} times faster: {ours:.1f} s, {compiling:.1f} s of it before the first step, against {theirs:.0f} s"
        f" (sample of {len(peer.sample)} runs, scaled); accuracy {our_accuracy:.3f} and {their_accuracy:.3f}"
    )
    rest = theirs / (ours - compiling)
    reason = f"{compiling / ours:.0%} of our time is tracing and compiling; without that {rest:.0f} times faster"
    return Row(_title(peer.name), ratio, peer.goal, details, reason=reason)
