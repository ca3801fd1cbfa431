"""Tidy columns of a comparison: one row a run, or one an evaluation of a run."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrsched.lab.comparing.result import Comparison


def of_runs(comparison: "Comparison") -> dict[str, np.ndarray]:
    """One value a run; of a metric with a value an evaluation, the last."""
    evaluations = comparison.metrics["loss"].shape[-1]
    last = {
        name: values if values.ndim == 3 else values[..., -1]
        for name, values in comparison.metrics.items()
        if values.ndim == 3 or values.shape[3:] == (evaluations,)
    }
    return {name: values.reshape(-1) for name, values in (_which(comparison) | last).items()}


def of_evaluations(comparison: "Comparison") -> dict[str, np.ndarray]:
    """One value an evaluation of a run, of the metrics that have one."""
    shape = comparison.metrics["loss"].shape
    runs = {name: np.broadcast_to(values[..., None], shape) for name, values in _which(comparison).items()}
    curves = {name: values for name, values in comparison.metrics.items() if values.shape == shape}
    evaluation = np.broadcast_to(np.arange(1, shape[-1] + 1), shape)
    return {name: values.reshape(-1) for name, values in (runs | {"evaluation": evaluation} | curves).items()}


def _which(comparison: "Comparison") -> dict[str, np.ndarray]:
    """Which run it is, each of shape (S, P, N)."""
    shape = comparison.diverged.shape
    best = np.zeros(shape, bool)
    best[np.arange(shape[0]), list(comparison.best.values())] = True
    names, peaks, seeds = np.asarray(list(comparison.schedules)), np.asarray(comparison.peaks), np.arange(comparison.seeds)
    return {
        "schedule": np.broadcast_to(names[:, None, None], shape),
        "peak": np.broadcast_to(peaks[:, None], shape),
        "seed": np.broadcast_to(seeds, shape),
        "best": best,
        "diverged": comparison.diverged,
    }
