"""What a workload is: a task, and the runs in which the schedules differ measurably."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lrsched.algebra.schedule import Schedule
from lrsched.lab.workloads import training
from lrsched.lab.workloads.training import Task


@dataclasses.dataclass(frozen=True)
class Workload:
    """A task with the lengths and peak rates that suit it.

    `compare(workload.make_train(), schedules, peaks=workload.peaks, seeds=20, batch_size=workload.batch_size)` compares
    schedules of `workload.steps` steps on it.

    Args:
        name: what it is called for.
        description: what is trained on what, in one line.
        score: what "validation" and "test" say; higher is better.
        source: a function that says where the data come from, with its version.
        task: a function that loads the data, and says what is trained. It is called when it is needed.
        steps: the updates of a run.
        peaks: rates, from too low to too high for every schedule.
        batch_size: the runs at a time that are fastest on a CPU.

    >>> from lrsched.lab.workloads import WORKLOADS
    >>> workload = WORKLOADS["tabular"]
    >>> workload.score, workload.steps
    ('R²', 500)
    """

    name: str
    description: str
    score: str
    source: Callable[[], str]
    task: Callable[[], Task]
    steps: int
    peaks: tuple[float, ...]
    batch_size: int

    def make_train(self, steps: int | None = None) -> Callable[[Schedule, jax.Array], dict[str, jax.Array]]:
        """The pure `train(schedule, key)` of a run with that many updates, by default its own number."""
        return training.make_train(self.task(), self.steps if steps is None else steps)

    def data(self) -> dict[str, Any]:
        """Which data they are, for what is written down: source, rows of each split, and a hash of all splits."""
        splits = self.task().splits
        digest = hashlib.sha256()
        for array in map(np.ascontiguousarray, jax.tree.leaves(splits)):
            digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        return {"source": self.source(), "rows": splits.rows(), "sha256": digest.hexdigest()}
