"""A schedule passed as an argument to a jitted step at each call, against one that the step captured."""

import jax
import jax.numpy as jnp

import lrsched as ls
from benchmarks.timing import Row, compare


def rows(repeats: int) -> list[Row]:
    """One call of a small step: the cost is that of handing over its numbers."""
    schedule = ls.warmup_cosine(1e-3, 100, 10_000)
    arrays = jax.tree.map(jnp.float32, schedule)
    weights = jnp.ones((256, 256))

    def step(schedule: ls.Schedule, weights: jax.Array, t: jax.Array) -> jax.Array:
        return weights - schedule(t) * jnp.tanh(weights @ weights)

    passed, captured = jax.jit(step), jax.jit(lambda weights, t: step(schedule, weights, t))
    t = jnp.int32(500)
    table = []
    for name, given in (("as Python numbers", schedule), ("as arrays", arrays)):
        found = compare(lambda s=given: passed(s, weights, t), lambda: captured(weights, t), 10 * repeats)
        details = f"± {found.error:.3f}; {1e6 * found.ours:.0f} µs against {1e6 * found.theirs:.0f} µs a call"
        table.append(Row(f"a schedule passed to each call, {name}, against captured", found.ratio, 1.1, details))
    return table
