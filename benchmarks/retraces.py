"""How often anything is traced or compiled again when the numbers of a schedule change."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrsched as ls
from benchmarks.timing import Row

CHANGES = 1000
_COUNTED = {
    "/jax/core/compile/jaxpr_trace_duration": "traces",
    "/jax/core/compile/backend_compile_duration": "compilations",
}


def rows(repeats: int) -> list[Row]:
    """Traces and compilations during a thousand changes, after a first step of each kind; and during a few of optax's."""
    del repeats
    theirs = _row("20 changes of a schedule of optax", _rebuilt, 20, None)  # first: it shows that counted events are reported
    if not theirs.figure:
        raise RuntimeError("JAX no longer reports what it traces and compiles: see _COUNTED")
    ways = {
        "Python numbers": _passed(lambda x: x),
        "arrays": _passed(lambda x: jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), x)),
        "a live schedule": _replaced(),
    }
    table = [_row(f"{CHANGES:,} changes of {name}", step, CHANGES, 0) for name, step in ways.items()]
    return [*table, theirs]


def _row(name: str, step: Callable[[ls.Schedule], Any], changes: int, goal: int | None) -> Row:
    draw = _draws()
    step(draw())
    with _counts() as counts:
        for _ in range(changes):
            step(draw())
    details = ", ".join(f"{count} {what}" for what, count in counts.items())
    return Row(f"retraces and recompilations over {name}", sum(counts.values()), goal, details, "")


def _rebuilt(schedule: ls.Schedule) -> Any:
    """A step with a schedule of optax, which is a new function for other numbers."""
    peak = float(ls.clocks.evaluate(schedule, ls.clocks.init(schedule)._replace(step=jnp.int32(10**5))))
    closure = optax.warmup_cosine_decay_schedule(0.0, peak, 100, 1000)
    return jax.jit(lambda count: closure(count))(np.int32(5))


def _draws() -> Callable[[], ls.Schedule]:
    rng = np.random.default_rng(0)

    def draw() -> ls.Schedule:
        warmup, rest = rng.integers(0, 10**6, 2)
        return ls.warmup_cosine(rng.uniform(), int(warmup), int(warmup + rest)) * ls.reduce_on_plateau(rng.uniform())

    return draw


def _passed(given: Callable[[ls.Schedule], Any]) -> Callable[[ls.Schedule], Any]:
    """A step that takes the schedule as an argument."""
    step = jax.jit(lambda schedule, state: ls.clocks.tick(schedule, state, value=ls.clocks.evaluate(schedule, state)))
    state = ls.clocks.init(_draws()())
    return lambda schedule: step(given(schedule), state)


def _replaced() -> Callable[[ls.Schedule], Any]:
    """A step of an optimizer in whose state the schedule is replaced."""
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(_draws()(), live=True))
    params = jnp.ones(4)
    update = jax.jit(lambda state: optimizer.update(params, state, params, value=jnp.float32(1.0))[1])
    state = update(optimizer.init(params))
    return lambda schedule: update(ls.replace_schedule(state, schedule))


@contextlib.contextmanager
def _counts() -> Iterator[dict[str, int]]:
    """What JAX itself reports, of any function."""
    counts = dict.fromkeys(_COUNTED.values(), 0)
    open_ = True

    def count(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs, kwargs
        if open_ and event in _COUNTED:
            counts[_COUNTED[event]] += 1

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        yield counts
    finally:
        open_ = False  # JAX offers no way to take a listener back
