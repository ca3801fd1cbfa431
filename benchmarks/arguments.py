"""A schedule passed as an argument at each call of a jitted step, against one captured by the step."""

import jax
import jax.numpy as jnp

import lrsched as ls
from benchmarks.timing import Row, compare


def rows(repeats: int) -> list[Row]:
    """One call of a step of about 0.2 ms. Passing the schedule costs about 10 µs, so the ratio is higher for shorter steps."""
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
        more = f"{1e6 * (found.ours - found.theirs):.0f} µs more a call"
        details = f"± {found.error:.3f}; {more}: {1e6 * found.ours:.0f} µs against {1e6 * found.theirs:.0f} µs"
        table.append(Row(f"a schedule passed to each call, {name}, against captured", found.ratio, 1.1, details))
    return table
