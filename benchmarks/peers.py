"""Schedulers of torch, timm and transformers: the cost of one step and of a whole table, and their exactness.

These schedulers set a float in an optimizer. In JAX a training loop is compiled together with its schedule, so a step of ours
is measured in a compiled loop, including its overhead; a call outside jit, which makes a JAX array, is in the details.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrsched as ls
from benchmarks import exactness
from benchmarks.optional import absent
from benchmarks.peer_schedulers import COSINES, LOW, OTHERS, RATE, Peer, Stepped, cosine, of_timm, of_torch, one_cycle, restarts
from benchmarks.timing import Row, compare

LOOP = 1000  # steps of a compiled loop
CALLS = 20  # a block


def rows(repeats: int) -> list[Row]:
    """A step of each, a table of each cosine, and the largest errors, over 10⁵ steps or, in a quick run, 10³."""
    steps = 10**3 if repeats < 20 else 10**5
    return [
        *(_step(peer, repeats) for peer in (*COSINES, *OTHERS)),
        *(_table(peer, steps, min(repeats, 5)) for peer in COSINES),
        *(_error(case, steps) for case in _exactness(steps)),
    ]


def _step(peer: Peer, repeats: int) -> Row:
    name = f"a step of a schedule in a loop, against {peer.name}"
    if why := absent(*peer.needs):
        return Row(name, None, 1.0, why)
    length = 10 * max(LOOP, CALLS) * (repeats + 1)  # PyTorch's one-cycle raises when it is over
    theirs, schedule = peer.theirs(length), peer.ours(length)
    numbers, counter = itertools.count(1), itertools.count(1)

    @jax.jit
    def loop(first: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(first, first + LOOP, lambda t, total: total + schedule(t), jnp.zeros(()))

    def their_loop() -> None:
        for _ in range(LOOP):
            theirs.step(next(numbers))

    found = compare(lambda: loop(jnp.int32(0)), their_loop, repeats)
    call = compare(lambda: schedule(next(counter)), lambda: theirs.step(next(numbers)), repeats, CALLS)
    ours, others = 1e6 * found.ours / LOOP, 1e6 * found.theirs / LOOP
    details = f"± {found.error:.3f}; {ours:.2f} µs against {others:.2f} µs; a call outside jit {1e6 * call.ours:.0f} µs"
    return Row(name, found.ratio, 1.0, details)


def _table(peer: Peer, steps: int, repeats: int) -> Row:
    name = f"a table of {steps:,} rates, against {peer.name}"
    if why := absent(*peer.needs):
        return Row(name, None, 1.0, why)
    times, schedule = np.arange(steps), peer.ours(steps)
    found = compare(lambda: schedule(times), lambda: peer.theirs(steps).rates(steps), repeats)
    details = f"{1e3 * found.ours:.2f} ms in one call, outside jit, against {1e3 * found.theirs:.1f} ms in as many steps"
    return Row(name, found.ratio, 1.0, details)


class Case(NamedTuple):
    """A schedule, what it is in optax, and who else has it."""

    name: str
    ours: ls.Schedule
    optax: optax.Schedule | None
    theirs: dict[str, tuple[tuple[str, ...], Callable[[], Stepped]]]  # by name: what has to be installed, and how to make it
    goal: float


def _exactness(n: int) -> list[Case]:
    torch, timm = ("torch",), ("torch", "timm.scheduler")
    gamma = 1e-6 ** (1 / n)
    restarting = {"T_0": 1, "T_mult": 3, "eta_min": LOW}
    return [
        Case(
            "a cosine to 0",
            cosine(n),
            optax.cosine_decay_schedule(RATE, n),
            {peer.name: (peer.needs, lambda peer=peer: peer.theirs(n)) for peer in COSINES},
            goal=4.0,
        ),
        Case(
            "an exponential decay",
            ls.Exponential(RATE, gamma),
            optax.exponential_decay(RATE, 1, gamma),
            {"PyTorch's": (torch, lambda: of_torch("ExponentialLR", gamma=gamma))},
            goal=8.0,
        ),
        Case(
            "one-cycle",
            one_cycle(n),
            None,
            {"PyTorch's": (torch, lambda: of_torch("OneCycleLR", max_lr=RATE, total_steps=n, cycle_momentum=False))},
            goal=4.0,
        ),
        Case(
            "warm restarts, each 3 times longer",
            restarts(n),
            None,
            {
                "PyTorch's step()": (torch, lambda: of_torch("CosineAnnealingWarmRestarts", **restarting)),
                "PyTorch's step(t)": (torch, lambda: of_torch("CosineAnnealingWarmRestarts", numbered=True, **restarting)),
                "timm's": (timm, lambda: of_timm(t_initial=1, cycle_mul=3.0, cycle_limit=100, lr_min=LOW)),
            },
            goal=4.0,
        ),
    ]


def _error(case: Case, steps: int) -> Row:
    exactness.find_tests()
    from meaning import meaning

    # Near the ends and the middle, where the cycles of 3ᵏ steps begin, and in between.
    near = [b + i for b in (0, steps // 10, steps // 2, steps, *((3**k - 1) // 2 for k in range(12))) for i in range(-2, 3)]
    times = np.unique([*(t for t in near if 0 <= t < steps), *np.linspace(0, steps - 1, 100).astype(np.int64)])
    truth = [meaning(case.ours, int(t)) for t in times]
    captured = jax.jit(lambda t: case.ours(t))(jnp.asarray(times))
    figure = max(_worst(values, truth) for values in (case.ours(times), captured))
    others = []
    if case.optax is not None:
        others.append(f"optax's {_worst(jax.jit(case.optax)(jnp.asarray(times)), truth):.2g}")
    for name, (needs, make) in case.theirs.items():
        if why := absent(*needs):
            others.append(f"{name} not measured: {why}")
        else:
            others.append(f"{name} {_worst(np.asarray(make().rates(steps))[times], truth):.2g}")
    return Row(f"largest error of {case.name} over {steps:,} steps", figure, case.goal, "; ".join(others), "ulp")


def _worst(values: Any, truth: list[Any]) -> float:
    """The largest error in units of the last place of a float32."""
    pairs = zip(np.asarray(values).tolist(), truth, strict=True)
    return max(float(abs(value - true)) / float(np.spacing(np.float32(true))) for value, true in pairs)
