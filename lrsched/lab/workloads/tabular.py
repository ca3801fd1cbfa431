"""Scikit-learn's 442 diabetes patients: how far the disease went within a year, from ten measurements.

Least squares reach an R² of 0.58 on the validation split and of 0.34 on the test split, which happens to be the harder one.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads import bundled, dense
from lrsched.lab.workloads.training import Splits, Task


class Split(NamedTuple):
    """Inputs of shape (n, 10) and targets of shape (n,), each with mean 0 and variance 1 over the training split."""

    inputs: np.ndarray
    targets: np.ndarray


@functools.cache
def load() -> Splits:
    """The patients, shuffled with a fixed seed, in splits of 242 for training, 100 for validation and 100 for the test."""
    inputs, targets = bundled.arrays("diabetes", scaled=False)  # scaled by all patients, the test ones too, otherwise
    parts = (slice(0, 242), slice(242, 342), slice(342, None))
    inputs, targets = _standardised(inputs, parts[0]), _standardised(targets, parts[0])
    return Splits(*(Split(inputs[part], targets[part]) for part in parts))


def _standardised(values: np.ndarray, train: slice) -> np.ndarray:
    # By what the training split tells alone: the others are not known yet when it is learned.
    return ((values - values[train].mean(axis=0)) / values[train].std(axis=0)).astype(np.float32)


def task(batch_size: int = 16, hidden: int = 32, momentum: float = 0.9, decay: float = 0.1) -> Task:
    """A network with two hidden layers that momentum SGD trains, with weight decay. The score is R²."""

    def squares(params: dict[str, jax.Array], split: Split) -> jax.Array:
        outputs = dense.apply(params, split.inputs)[:, 0]
        return (outputs - jnp.asarray(split.targets, outputs.dtype)) ** 2

    def loss(params: dict[str, jax.Array], split: Split) -> jax.Array:
        return squares(params, split).mean()

    def score(params: dict[str, jax.Array], split: Split) -> tuple[jax.Array, jax.Array]:
        mean = loss(params, split)
        return mean, 1.0 - mean / jnp.asarray(np.var(split.targets), mean.dtype)

    optimizer = optax.chain(optax.add_decayed_weights(decay), optax.trace(momentum))
    return Task(load(), lambda key: dense.init(key, (10, hidden, hidden, 1)), loss, score, optimizer, batch_size)
