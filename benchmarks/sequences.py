"""Schedules of many parts: the size of the program, the time to compile it, and its speed."""

import functools
import operator
import statistics
import time

import jax
import jax.numpy as jnp
import optax

import lrsched as ls
from benchmarks.timing import Row, compare

EACH = 1000  # steps of a part
COUNTS = (2, 8, 32, 128, 512, 4096)


def rows(repeats: int) -> list[Row]:
    """The size of the program, the time to compile it and the time of one step, and of many steps beside optax."""
    programs, compiling, schedules = {}, {}, {}
    for n in COUNTS:
        schedules[n] = _ours(n)
        programs[n], compiling[n] = _compiled(schedules[n])
    sizes = {n: jax.jit(schedule).lower(jnp.int32(0)).as_text().count(" = ") for n, schedule in schedules.items()}
    table = [
        Row(
            f"operations of {n} parts, against those of 32",
            sizes[n] / sizes[32],
            1.0 if n > 32 else None,
            f"{sizes[n]} operations",
        )
        for n in COUNTS
    ]
    table += [
        Row(
            f"compiling {n} parts, against 32",
            compiling[n] / compiling[32],
            1.25 if n > 32 else None,
            f"{1e3 * compiling[n]:.0f} ms against {1e3 * compiling[32]:.0f} ms, from tracing on",
            limit=10.0,  # of three compilations a side, which is too few for less
        )
        for n in COUNTS
        if n != 32
    ]
    step = jnp.int32(1500)
    for n, against, goal in ((8, 32, 1.0), (4096, 2, 1.5)):
        found = compare(lambda n=n: programs[n](step), lambda n=against: programs[n](step), 10 * repeats)
        details = f"± {found.error:.3f}; {1e6 * found.ours:.1f} µs against {1e6 * found.theirs:.1f} µs"
        table.append(Row(f"one step of {n} parts, against {against} parts", found.ratio, goal, details))
    for n, goal in ((8, None), (32, None), (512, 0.01)):
        steps = jnp.arange(10**6, dtype=jnp.int32) % (n * EACH)
        ours, theirs = jax.jit(lambda t, n=n: schedules[n](t)), jax.jit(_theirs(n))
        found = compare(lambda f=ours, t=steps: f(t), lambda f=theirs, t=steps: f(t), max(3, repeats // 20))
        details = f"{1e3 * found.ours:.1f} ms against {1e3 * found.theirs:.1f} ms: {1 / found.ratio:.0f} times faster"
        table.append(Row(f"10⁶ steps of {n} parts, against optax.join_schedules", found.ratio, goal, details))
    # A compiler that fuses the search for a cycle into the next one would take seconds for three of them.
    cycles, call = ls.cosine_restarts(1.0, 0.0, 10, stretch=2.0), jax.jit(lambda s, t: s(t))
    for n in (2, 3, 8):
        product = functools.reduce(operator.mul, [cycles] * n)
        found = compare(lambda s=product: call(s, step), lambda: call(cycles, step), 10 * repeats)
        details = f"{1e6 * found.ours:.0f} µs against {1e6 * found.theirs:.0f} µs for one"
        table.append(Row(f"a product of {n} growing repeats, traced, against {n} of them", found.ratio / n, 1.5, details))
    return table


def _ours(n: int) -> ls.Schedule:
    parts = [ls.Linear(k, k + 1, EACH) if k % 2 == 0 else ls.Cosine(k, k + 1, EACH) for k in range(n)]
    return functools.reduce(ls.Schedule.then, parts)


def _theirs(n: int) -> optax.Schedule:
    parts = [
        optax.linear_schedule(k, k + 1, EACH) if k % 2 == 0 else optax.cosine_decay_schedule(k, EACH, (k + 1) / k)
        for k in range(n)
    ]
    return optax.join_schedules(parts, [EACH * (k + 1) for k in range(n - 1)])


def _compiled(schedule: ls.Schedule) -> tuple[jax.stages.Compiled, float]:
    programs, times = [], []
    for _ in range(3):
        begin = time.perf_counter()
        programs.append(jax.jit(lambda t: schedule(t)).lower(jnp.int32(0)).compile())
        times.append(time.perf_counter() - begin)
    return programs[0], statistics.median(times)
