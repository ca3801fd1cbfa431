"""Scikit-learn's 442 diabetes patients: a regression of the disease's progress within a year on ten measurements.

Least squares reach an R² of 0.58 on the validation split, and of 0.34 on the test split, which happens to be harder.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.lab.workloads.training import Params, Splits, Workload, bundled, dense, through_dense


@functools.cache
def load() -> Splits:
    """The patients, shuffled with a fixed seed, in splits of 242 for training, 100 for validation and 100 for the test.

    A split is a pair: inputs (n, 10) and targets (n,), each with mean 0 and variance 1 over the training split.
    """
    parts = (slice(0, 242), slice(242, 342), slice(342, None))
    data = []
    for values in bundled("diabetes", scaled=False):  # scikit-learn scales with the test patients, too
        mean, deviation = values[parts[0]].mean(axis=0), values[parts[0]].std(axis=0)
        data.append(((values - mean) / deviation).astype(np.float32))
    return Splits(*(tuple(values[part] for values in data) for part in parts))


def _measure(params: Params, split: tuple[np.ndarray, np.ndarray]) -> tuple[jax.Array, jax.Array]:
    outputs = through_dense(params, split[0])[:, 0]
    targets = jnp.asarray(split[1], outputs.dtype)
    loss = jnp.mean((outputs - targets) ** 2)
    return loss, 1.0 - loss / jnp.var(targets)


WORKLOAD = Workload(
    name="tabular",
    description="a network with two hidden layers predicts the progress of diabetes; momentum SGD with weight decay",
    score="R²",
    load=load,
    init=functools.partial(dense, (10, 32, 32, 1)),
    measure=_measure,
    optimizer=optax.chain(optax.add_decayed_weights(0.1), optax.trace(0.9)),
    rows=16,
    steps=500,
    peaks=tuple(0.0005 * 2.0**k for k in range(8)),
    batch_size=512,
)
