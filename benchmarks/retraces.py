"""How often a jitted function is traced again when the numbers of its schedule change."""

import jax
import jax.numpy as jnp
import numpy as np

import lrsched as ls
from benchmarks.timing import Row

CHANGES = 1000


def rows(repeats: int) -> list[Row]:
    """Traces beyond the first, over a thousand schedules of one structure."""
    del repeats
    traces = 0

    @jax.jit
    def step(schedule: ls.Schedule, t: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return schedule(t)

    rng = np.random.default_rng(0)
    for _ in range(CHANGES):
        warmup, rest = rng.integers(0, 10**6, 2)
        step(ls.warmup_cosine(rng.uniform(), int(warmup), int(warmup + rest)), jnp.int32(rng.integers(0, 10**6)))
    return [Row("retraces over 1,000 changes of hyperparameters", traces - 1, 0, f"{traces} trace in all", "")]
