"""Ten million steps at once, against converting the same int32 array to float32 and scaling it: a plain copy."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

import lrsched as ls
from benchmarks.timing import Row, compare
from lrsched.algebra import shapes

STEPS = 10**7
POINTS = [STEPS // 4 * k for k in range(5)]
HEIGHTS = [0.0, 1e-3, 5e-4, 8e-4, 1e-5]


def _other_ramps() -> Iterator[tuple[Any, list[float]]]:
    """Every ramp but Linear and Cosine, which have their own goals, with 1.5 for each further number."""
    for kind in vars(shapes).values():
        if isinstance(kind, type) and issubclass(kind, shapes.Ramp) and kind not in (shapes.Ramp, ls.Linear, ls.Cosine):
            yield kind, [1.5] * (len(dataclasses.fields(kind)) - 3)


SHAPES = (
    ("Constant", ls.Constant(1e-3), 1.5),
    ("Linear", ls.Linear(0.0, 1e-3, STEPS), 1.5),
    ("a staircase of Linear", ls.Linear(0.0, 1e-3, STEPS).staircase(1000), 1.5),
    ("Time", ls.Time(), 1.5),
    ("a constant Piecewise", ls.Piecewise(POINTS, HEIGHTS), 1.5),
    ("a linear Piecewise", ls.Piecewise(POINTS, HEIGHTS, kind="linear"), 1.5),
    ("a cosine Piecewise", ls.Piecewise(POINTS, HEIGHTS, kind="cosine"), 2.0),
    ("Cosine", ls.Cosine(1e-3, 1e-5, STEPS), 2.0),
    ("warmup_cosine", ls.warmup_cosine(1e-3, 1000, STEPS), 2.0),
    ("one_cycle", ls.one_cycle(1e-3, STEPS), 2.0),
    ("cosine_restarts", ls.cosine_restarts(1e-3, 1e-5, STEPS // 10), 2.0),
    *((kind.__name__, kind(1e-3, 1e-5, STEPS, *more), 3.0) for kind, more in _other_ramps()),
    ("InverseSqrt", ls.InverseSqrt(1e-3, 1000), 3.0),
    ("Polynomial to 0", ls.Polynomial(1e-3, 0.0, STEPS, 1.5), 3.0),
    ("Polynomial of power 0.9", ls.Polynomial(1e-3, 1e-5, STEPS, 0.9), 3.0),
    ("Geometric", ls.Geometric(1e-3, 1e-6, STEPS), 3.0),
    ("Exponential", ls.Exponential(1e-3, 1 - 1e-6), 3.0),
)


def rows(repeats: int) -> list[Row]:
    """Each shape, captured by a jitted function."""
    steps = jnp.arange(STEPS, dtype=jnp.int32)
    copy = jax.jit(lambda t: t.astype(jnp.float32) * 1e-3)
    table = []
    for name, schedule, goal in SHAPES:
        captured = jax.jit(lambda t, s=schedule: s(t))
        found = compare(lambda f=captured: f(steps), lambda: copy(steps), min(repeats, 20))
        details = f"± {found.error:.3f}; {1e3 * found.ours:.1f} ms against {1e3 * found.theirs:.1f} ms"
        title = f"10⁷ steps of {name}, against a copy"
        table.append(Row(title, found.ratio, goal, details, gpu_goal=1.1))
    return table
