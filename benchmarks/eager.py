"""`schedule(step)` outside jit, as in a notebook or a logging loop: several calls in a row.

The two sides alternate in blocks of calls. If they alternated call by call, each would find the processor's caches filled by
the other, and ours, which is short, would take several times as long as in a real program.
"""

import functools
from typing import NamedTuple

import optax

import lrsched as ls
from benchmarks.timing import Row, compare, median

CALLS = 20  # a block
ABSOLUTE = ("warmup_cosine", "512 parts")


class Pair(NamedTuple):
    """Two schedules of equal values, and the step that both are called at, where there is something to calculate."""

    name: str
    step: int
    ours: ls.Schedule
    theirs: optax.Schedule
    reason: str = ""
    limit: float | None = None


def rows(repeats: int) -> list[Row]:
    """The time of a call, and beside that of optax's."""
    table = []
    for name, step, our_schedule, their_schedule, reason, limit in _pairs():
        ours, theirs = functools.partial(our_schedule, step), functools.partial(their_schedule, step)
        if name in ABSOLUTE:
            seconds = median(ours, CALLS * repeats)
            table.append(Row(f"a call of {name} outside jit", 1e6 * seconds, 30.0, f"{CALLS * repeats} calls", "µs"))
        blocks = min(repeats, 5) if name == "512 parts" else max(repeats, 25)  # optax evaluates all of them
        found = compare(ours, theirs, blocks, CALLS)
        details = (
            f"± {found.error:.3f}; {1e6 * found.ours:.0f} µs against {1e6 * found.theirs:.0f} µs: {1 / found.ratio:.1f} times"
            f" as fast; {blocks} blocks of {CALLS} calls"
        )
        title = f"a call of {name} outside jit, against optax"
        table.append(Row(title, found.ratio, 0.2, details, reason=reason, limit=limit))
    return table


def _pairs() -> list[Pair]:
    parts = [ls.Linear(k, k + 1, 1000) for k in range(512)]
    their_parts = [optax.linear_schedule(k, k + 1, 1000) for k in range(512)]
    cycle = {"init_value": 0.0, "peak_value": 1e-3, "warmup_steps": 10, "decay_steps": 500}
    return [
        Pair(
            "warmup_cosine",
            50_000,
            ls.warmup_cosine(1e-3, 1000, 10**5),
            optax.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 10**5),
            reason="half of our time is JAX making the array",
        ),
        Pair(
            "512 parts",
            300_777,
            functools.reduce(ls.Schedule.then, parts),
            optax.join_schedules(their_parts, [1000 * (k + 1) for k in range(511)]),
        ),
        Pair(
            "one_cycle",
            6000,
            ls.one_cycle(1e-3, 10**4),
            optax.cosine_onecycle_schedule(10**4, 1e-3),
        ),
        Pair(
            "an exponential decay",
            1500,
            ls.Exponential(1e-3, 0.5).stretch(1000),
            optax.exponential_decay(1e-3, 1000, 0.5),
            reason="optax makes three compiled calls, as long as two of jnp.asarray, and ours ends with one jnp.asarray",
            limit=2.5,
        ),
        Pair(
            "a piecewise constant",
            1500,
            ls.multi_step(1e-3, milestones=[500, 1000, 2000], factor=0.1),
            optax.piecewise_constant_schedule(1e-3, dict.fromkeys((500, 1000, 2000), 0.1)),
            reason="ours searches its table with NumPy, while other shapes need only a few Python floats",
            limit=1.0,
        ),
        Pair(
            "warm restarts",
            777,
            (ls.Linear(0.0, 1e-3, 10) >> ls.Cosine(1e-3, 0.0, 490)).repeat(4),
            optax.sgdr_schedule(4 * [cycle]),
        ),
    ]
