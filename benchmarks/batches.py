"""4,096 schedules at 4,096 steps each, their numbers traced, against filling the result."""

import jax
import jax.numpy as jnp
import numpy as np

import lrsched as ls
from benchmarks.timing import Row, compare

SIZE = 4096
PEAKS = np.geomspace(1e-4, 1e-2, SIZE)
BATCHES = (
    ("Linear", ls.Linear(0.0, PEAKS, SIZE), 1.5),
    ("Cosine", ls.Cosine(PEAKS, 0.0, SIZE), 2.0),
    ("warmup_cosine", ls.grid(ls.warmup_cosine, peak=PEAKS, warmup_steps=100, steps=SIZE)[0], 2.0),
    ("Polynomial", ls.Polynomial(PEAKS, 0.0, SIZE, 1.5), 3.0),
    ("Exponential", ls.Exponential(PEAKS, 0.999), 3.0),
)


def rows(repeats: int) -> list[Row]:
    """Each batch, mapped over by `jax.vmap` as an argument of a jitted function."""
    steps = jnp.arange(SIZE, dtype=jnp.int32)
    fill = jax.jit(lambda peaks: jnp.broadcast_to(peaks[:, None], (SIZE, SIZE)))
    peaks = jnp.asarray(PEAKS, jnp.float32)
    table = []
    for name, batch, goal in BATCHES:
        arrays = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), batch)
        mapped = jax.jit(jax.vmap(lambda s, t: s(t), in_axes=(0, None)))
        found = compare(lambda f=mapped, s=arrays: f(s, steps), lambda: fill(peaks), min(repeats, 20))
        details = f"± {found.error:.3f}; {1e3 * found.ours:.1f} ms against {1e3 * found.theirs:.1f} ms"
        title = f"4,096 × 4,096 values of {name}, against filling the result"
        table.append(Row(title, found.ratio, goal, details, gpu_goal=1.1))
    return table
