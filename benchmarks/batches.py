"""4,096 schedules with traced numbers at 4,096 steps each, against filling the result."""

import jax
import jax.numpy as jnp
import numpy as np

import lrsched as ls
from benchmarks.timing import Row, compare

SIZE = 4096
PEAKS = np.geomspace(1e-4, 1e-2, SIZE)
RATES = np.linspace(0.99, 0.9999, SIZE)
POWERS = np.linspace(0.5, 3.0, SIZE)
BATCHES = (
    ("Constant", ls.Constant(PEAKS), 1.5),
    ("Linear", ls.Linear(0.0, PEAKS, SIZE), 1.5),
    ("Cosine", ls.Cosine(PEAKS, 0.0, SIZE), 2.0),
    ("warmup_cosine", ls.grid(ls.warmup_cosine, peak=PEAKS, warmup_steps=100, steps=SIZE)[0], 2.0),
    ("OneMinusSqrt", ls.OneMinusSqrt(PEAKS, 0.0, SIZE), 3.0),
    ("InverseSqrt", ls.InverseSqrt(PEAKS, 100), 3.0),
    ("Polynomial to 0", ls.Polynomial(PEAKS, 0.0, SIZE, 1.5), 3.0),
    ("Polynomial of many powers", ls.Polynomial(PEAKS, 1e-5, SIZE, POWERS), 3.0),
    ("Geometric", ls.Geometric(PEAKS, 1e-6, SIZE), 3.0),
    ("Exponential", ls.Exponential(PEAKS, 0.999), 3.0),
    ("Exponential of many rates", ls.Exponential(PEAKS, RATES), 3.0),
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
        table.append(Row(title, found.ratio, goal, details, gpu_goal=1.5))
    return table
