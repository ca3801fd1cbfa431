"""The workloads, by name."""

import platform
from importlib import metadata

from lrsched.lab.workloads import chars, digits, tabular
from lrsched.lab.workloads.workload import Workload


def _scikit_learn() -> str:
    return f"scikit-learn {metadata.version('scikit-learn')}"


def _python() -> str:
    return f"the standard library of {platform.python_implementation()} {platform.python_version()}"


def _doubled(least: float, count: int) -> tuple[float, ...]:
    return tuple(least * 2.0**k for k in range(count))


_ALL = (
    Workload(
        name="digits",
        description="a network with two convolutions tells handwritten digits apart; momentum SGD",
        score="accuracy",
        source=_scikit_learn,
        task=digits.convolutional_task,
        steps=1000,
        peaks=_doubled(0.0025, 7),
        batch_size=16,
    ),
    Workload(
        name="chars",
        description="a transformer predicts the next character of Python's standard library; AdamW",
        score="minus the bits per character",
        source=_python,
        task=chars.task,
        steps=1000,
        peaks=_doubled(0.001, 7),
        batch_size=8,
    ),
    Workload(
        name="tabular",
        description="a network with two hidden layers predicts how diabetes progresses; momentum SGD with weight decay",
        score="R²",
        source=_scikit_learn,
        task=tabular.task,
        steps=500,
        peaks=_doubled(0.0005, 8),
        batch_size=512,
    ),
)
WORKLOADS = {workload.name: workload for workload in _ALL}
