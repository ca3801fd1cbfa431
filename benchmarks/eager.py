"""`schedule(step)` outside jit, as a person calls it in a notebook or a logging loop."""

import functools

import jax
import optax

import lrsched as ls
from benchmarks.timing import Row, compare, median


def rows(repeats: int) -> list[Row]:
    """The time of a call, and beside that of optax's."""
    parts = [ls.Linear(k, k + 1, 1000) for k in range(512)]
    many = functools.reduce(ls.Schedule.then, parts)
    pairs = [
        ("warmup_cosine", ls.warmup_cosine(1e-3, 1000, 10**5), optax.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 10**5)),
        (
            "512 parts",
            many,
            optax.join_schedules(
                [optax.linear_schedule(k, k + 1, 1000) for k in range(512)], [1000 * (k + 1) for k in range(511)]
            ),
        ),
    ]
    table = []
    for name, ours, theirs in pairs:
        seconds = median(lambda s=ours: s(777), 20 * repeats)
        table.append(Row(f"a call of {name} outside jit", 1e6 * seconds, 30.0, f"{20 * repeats} calls", "µs"))
        found = compare(lambda s=ours: s(777), lambda s=theirs: jax.numpy.asarray(s(777)), repeats)
        details = f"{1e6 * found.ours:.0f} µs against {1e6 * found.theirs:.0f} µs: {1 / found.ratio:.1f} times faster"
        table.append(Row(f"a call of {name} outside jit, against optax", found.ratio, 0.2, details))
    return table
