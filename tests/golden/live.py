"""from_torch on live schedulers, next to what PyTorch does with them. See objects.py, which runs this."""

import importlib
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from check import OF_BASE, RELATIVE
from corners import CORNERS
from draws import DRAWS, Record, drawn
from objects import NEXT, advance, deviation, future, future_metrics, made, optimizer_of, pasts

TORCHS = (ZeroDivisionError, ValueError, NotImplementedError)  # what PyTorch raises where it comes to no rate


def followed(scheduler: Any, group: int, count: int, metrics: list[float] | None = None) -> Any:
    """Our rates now and after each of the next steps, or metrics."""
    jax: Any = importlib.import_module("jax")
    ls: Any = importlib.import_module("lrsched")
    dialect: Any = importlib.import_module("lrsched.dialects.torch")
    schedule = dialect.from_torch(scheduler, group)
    if metrics is None:
        return np.asarray(schedule(np.arange(count)), np.float64)
    state = dialect.state_from_torch(scheduler, group)

    def observe(state: Any, metric: Any) -> tuple[Any, Any]:
        state = ls.tick(schedule, state, value=metric)
        return state, ls.evaluate(schedule, state)

    later = jax.jit(lambda state, values: jax.lax.scan(observe, state, values)[1])(state, np.array(metrics, np.float32))
    return np.concatenate([[ls.evaluate(schedule, state)], later]).astype(np.float64)


def agrees(mine: Any, theirs: Any, base_lr: float) -> bool:
    """Within the tolerance of the recordings; a NaN of ours is no agreement."""
    theirs = np.asarray(theirs)
    return bool(np.all(np.abs(mine - theirs) <= RELATIVE * np.abs(theirs) + OF_BASE * base_lr))


def stepped(record: Record, past: list[Any]) -> Any:
    """A live scheduler after the steps of the past."""
    scheduler = made(record)
    advance(scheduler, record, past)
    return scheduler


def compared(scheduler: Any, record: Record, count: int) -> tuple[Any, Any]:
    """Our rates and theirs after so many steps of a record; raises what from_torch refuses."""
    metrics = future_metrics(record, count) if "metrics" in record else None
    theirs = np.array([rates[0] for rates in future(scheduler, metrics)])
    if metrics is not None:
        metrics = metrics[: len(theirs) - 1]
    return followed(scheduler, 0, len(theirs), metrics), theirs


def check_random(seed: int, sets: int) -> bool:
    print(
        f"seed {seed}, {NEXT} steps ahead; the largest differences: relative at 1% of the base rate and above, below that over"
    )
    print("the base rate")
    passed = True
    for name in DRAWS:
        rng = Random(f"{seed} {name}")
        relative, absolute, values, objects = 0.0, 0.0, 0, 0
        for record in drawn(name, seed, sets):
            for past in pasts(record, rng):
                try:
                    scheduler = stepped(record, past)
                except TORCHS:
                    continue
                mine, theirs = compared(scheduler, record, len(past))
                difference, large = np.abs(mine - theirs), np.abs(theirs) >= OF_BASE / RELATIVE * record["base_lr"]
                relative = max(relative, float(np.max(difference[large] / np.abs(theirs[large]), initial=0.0)))
                absolute = max(absolute, float(np.max(difference[~large] / record["base_lr"], initial=0.0)))
                values, objects = values + theirs.size, objects + 1
                if not agrees(mine, theirs, record["base_lr"]):
                    passed = False
                    print("    beyond the tolerance:", {k: record[k] for k in record if k != "steps"}, "after", len(past))
        print(f"{name:28} {objects:4} objects {values:6} values   relative {relative:.1e}   of the base rate {absolute:.1e}")
    return passed


def check_corners() -> bool:
    """The corner cases at several steps each."""
    counts, refused = Counter[str](), Counter[str]()
    for record in CORNERS:
        record = {key: value for key, value in record.items() if key != "fractional"}
        for count in (0, 1, 4, 9):
            try:
                scheduler = stepped(record, record["metrics"][:count] if "metrics" in record else [None] * count)
            except TORCHS:
                counts["raise in PyTorch"] += 1
                continue
            try:
                mine, theirs = compared(scheduler, record, count)
            except ValueError as error:
                counts["refused"] += 1
                refused[re.sub(r"the rate .* is at [^:]*", "…", str(error))] += 1
                continue
            if agrees(mine, theirs, record["base_lr"]):
                counts["agree"] += 1
            elif (other := deviation(record, count)) is not None and agrees(mine, other[: len(mine)], record["base_lr"]):
                counts["are as PyTorch documents and not as it does"] += 1
            else:
                counts["BEYOND THE TOLERANCE"] += 1
                print("    beyond the tolerance:", record, "after", count, mine, theirs)
    print("corner cases:", ", ".join(f"{number} {what}" for what, number in counts.items()))
    for text, number in refused.items():
        print(f"    {number} refused: {text}")
    return not counts["BEYOND THE TOLERANCE"]


def _by_hand(scheduler: Any, rate: float) -> Any:
    scheduler.optimizer.param_groups[0]["lr"] = rate
    return scheduler


def refusals() -> dict[str, Callable[[], Any]]:
    """Calls that are refused, by what is wrong with them."""
    schedulers: Any = importlib.import_module("torch.optim.lr_scheduler")
    from_torch = importlib.import_module("lrsched.dialects.torch").from_torch
    subclass = type("Mine", (schedulers.StepLR,), {})
    return {
        "a subclass": lambda: from_torch(subclass(optimizer_of(0.1), 3)),
        "no scheduler": lambda: from_torch(optimizer_of(0.1)),
        "an if": lambda: from_torch(schedulers.LambdaLR(optimizer_of(0.1), lambda t: 1.0 if t < 5 else 0.1)),
        "a group too many": lambda: from_torch(schedulers.StepLR(optimizer_of(0.1, 0.2), 3), 2),
        "in place, by hand": lambda: from_torch(_by_hand(schedulers.ExponentialLR(optimizer_of(0.1), 0.9), 0.5)),
        "closed form, by hand": lambda: from_torch(_by_hand(schedulers.LambdaLR(optimizer_of(0.1), lambda t: 0.9**t), 0.5)),
    }


def check_refusals() -> bool:
    passed = True
    for what, call in refusals().items():
        try:
            print(f"{what}: not refused but", call())
            passed = False
        except (TypeError, ValueError) as error:
            print(f"{what}: {type(error).__name__}: {error}")
    return passed


def check_swa() -> bool:
    """The documented use: made at the start, stepped where another scheduler has ended."""
    torch: Any = importlib.import_module("torch")
    optimizer = optimizer_of(0.1)
    optimizer.step()
    first = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    second = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=8)
    for _ in range(30):
        first.step()
    passed = True
    for count in (0, 3, 7, 8, 12):
        while second.last_epoch < count:
            second.step()
        theirs = np.array([rates[0] for rates in future(second)])
        passed = passed and agrees(followed(second, 0, len(theirs)), theirs, 0.1)
    print("SWALR after another scheduler:", "agrees" if passed else "BEYOND THE TOLERANCE")
    return passed


def check(seed: int, sets: int) -> int:
    """1 if something is beyond the tolerance or not refused."""
    return int(not all([check_random(seed, sets), check_corners(), check_refusals(), check_swa()]))
