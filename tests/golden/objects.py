"""Records live schedulers of PyTorch, their attributes and what they do next, for the tests of `from_torch`.

    python tests/golden/objects.py                                # writes tests/golden/objects.json anew
    python tests/golden/objects.py --check [--seed N] [--sets M]  # from_torch on live schedulers, next to PyTorch's own steps

Recording needs torch; checking needs the dependencies of this project as well. The file holds PyTorch's version, the hash of
the scripts, and one record per line:

    object     class, module, attributes: all of `__dict__` but the optimizer and what can be computed from the rest; a function
               is {"function": its name in functions.py}, a Counter {"Counter": [[key, count], ..]}, a child an object
    groups     the optimizer's parameter groups, without what no scheduler reads
    base_lr    per group, what the tolerance refers to
    rates      per group, now and after each of the next steps; it ends where PyTorch raises or a one-cycle is past its end
    arguments  of a cyclic or one-cycle policy, which keeps them in other forms
    metrics    what a plateau observes at those steps
    promised   true where the rates are what its documentation promises and PyTorch itself does something else (nested)
    note       for the reader
"""

import argparse
import copy
import functools
import hashlib
import importlib
import sys
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from corners import CORNERS
from draws import DRAWS, Record, drawn, short
from functions import FUNCTIONS
from originals import build, differs, is_nested, promised, torch_version
from record import text

HERE = Path(__file__).parent
SCRIPTS = ("objects.py", "draws.py", "corners.py", "originals.py", "functions.py")
SEED = 1
NEXT = 20  # steps of each into the future
SETS = 3  # random sets of each class
NAMES = {fn: name for name, fn in FUNCTIONS.items()}
STEPS_PAST = (0, 3, 11)
KEPT = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr", "momentum", "base_momentum", "max_momentum")
LONG = ("CyclicLR", "OneCycleLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts")  # at a random step as well


def script_hash() -> str:
    """Of everything that decides what is recorded."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SCRIPTS)).hexdigest()


def optimizer_of(*rates: float) -> Any:
    """An optimizer with a group for each rate, that has made an update."""
    torch: Any = importlib.import_module("torch")
    groups = []
    for rate in rates:
        parameter = torch.nn.Parameter(torch.zeros(1))
        parameter.grad = torch.zeros(1)
        groups.append({"params": [parameter], "lr": rate})
    return torch.optim.SGD(groups, momentum=0.5)


def made(record: Record) -> Any:
    """The scheduler of a record before its first step."""
    optimizer = optimizer_of(*record.get("groups", [record["base_lr"]]))
    scheduler = build(record, optimizer)
    optimizer.step()
    return scheduler


def advance(scheduler: Any, record: Record, past: list[Any]) -> None:
    """Steps, with `past` for each a metric or a time, or None."""
    given = "metrics" in record or record.get("fractional")
    for x in past:
        scheduler.optimizer.step()
        scheduler.step(*([x] if given and x is not None else []))


def rates_now(scheduler: Any) -> list[float]:
    return [float(group["lr"]) for group in scheduler.optimizer.param_groups]


def future(scheduler: Any, metrics: list[float] | None = None) -> list[list[float]]:
    """The rates now and after the next steps, per step and group; the scheduler itself stays where it is."""
    scheduler = copy.deepcopy(scheduler)
    rates = [rates_now(scheduler)]
    for k in range(NEXT):
        try:
            scheduler.step(*([] if metrics is None else [metrics[k]]))
        except (ZeroDivisionError, ValueError, NotImplementedError):
            break
        if is_past_end(scheduler):
            break
        rates.append(rates_now(scheduler))
    return rates


def is_past_end(scheduler: Any) -> bool:
    """Whether it is, or holds, a one-cycle that extrapolates: PyTorch raises at the step after."""
    if hasattr(scheduler, "total_steps"):
        return scheduler.last_epoch >= scheduler.total_steps
    return any(map(is_past_end, getattr(scheduler, "_schedulers", [])))


def encoded(value: Any) -> Any:
    """An attribute as JSON; raises for what is none."""
    if isinstance(value, Counter):
        return {"Counter": sorted(value.items())}
    if isinstance(value, types.FunctionType):
        return {"function": NAMES[value]}
    if isinstance(value, (list, tuple)):
        return [described(x) if hasattr(x, "optimizer") else encoded(x) for x in value]
    if isinstance(value, dict):
        return {key: encoded(x) for key, x in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot record {value!r}")


def described(scheduler: Any) -> Record:
    """A scheduler as its class and attributes."""
    attributes = {
        name: encoded(value)
        for name, value in vars(scheduler).items()
        if name != "optimizer" and not isinstance(value, (functools.partial, types.MethodType))
        if not (isinstance(value, types.FunctionType) and value not in NAMES)  # static methods
    }
    return {"class": type(scheduler).__name__, "module": type(scheduler).__module__, "attributes": attributes}


def recorded(record: Record, past: list[Any]) -> Record:
    """The record of a scheduler after the steps of the past."""
    scheduler = made(record)
    advance(scheduler, record, past)
    metrics = future_metrics(record, len(past)) if "metrics" in record else None
    rates = future(scheduler, metrics)
    result: Record = {"object": described(scheduler)}
    result["groups"] = [{key: group[key] for key in KEPT if key in group} for group in scheduler.optimizer.param_groups]
    result["base_lr"] = record.get("groups", [record["base_lr"]])
    if record["class"] in ("CyclicLR", "OneCycleLR"):
        result["arguments"] = record["arguments"]
    if metrics is not None:
        result["metrics"] = metrics[: len(rates) - 1]
    if (other := deviation(record, len(past))) is not None:
        rates, result["promised"] = [[x] for x in other], True
    result["rates"] = [[short(x, 12) for x in group] for group in zip(*rates, strict=True)]
    return result | ({"note": record["note"]} if "note" in record else {})


def future_metrics(record: Record, count: int) -> list[float]:
    """The metrics after the first ones, from their start again at the end."""
    metrics = record["metrics"]
    return [metrics[(count + k) % len(metrics)] for k in range(NEXT)]


def deviation(record: Record, count: int) -> list[float] | None:
    """The promised rates of a sequence of sequences or chains, where PyTorch does something else."""
    if not is_nested(record):
        return None
    rates = promised(record, record["base_lr"], count + NEXT + 1)
    scheduler = made(record)
    advance(scheduler, record, [None] * count)
    actual = [x for (x,) in future(scheduler)]
    if rates is None or (len(actual) > NEXT and not differs(actual, rates[count:], record["base_lr"])):
        return None
    return rates[count:]


def pasts(record: Record, rng: Random) -> Iterator[list[Any]]:
    """What came before: nothing, some steps, for warm restarts times, for a plateau metrics."""
    if "metrics" in record:
        yield from (record["metrics"][:count] for count in (0, rng.randint(1, 8), rng.randint(9, 19)))
    elif record.get("fractional"):
        times = [t for t in record["steps"] if t]
        yield from ([rng.choice(times), *[None] * count] for count in (0, 2, 7))
    else:
        last = record["arguments"].get("total_steps", 10**9) - 1
        more = (rng.randint(12, 120),) if record["class"] in LONG else (rng.randint(12, 40),)
        yield from ([None] * count for count in (*STEPS_PAST, *more) if count <= last)


# By hand: two groups, warm restarts after times, what is nested.
def _of(name: str, *groups: float, **arguments: Any) -> Record:
    return {"class": name, "base_lr": groups[0], "groups": list(groups), "arguments": arguments}


GROUPS = [
    _of("StepLR", 0.1, 0.02, step_size=4),
    _of("SWALR", 0.1, 0.02, swa_lr=[0.05, 0.001], anneal_epochs=5),
    _of("CyclicLR", 0.1, 0.02, base_lr=[0.1, 0.2], max_lr=[0.4, 1.0], step_size_up=3, mode="triangular2"),
    _of("OneCycleLR", 0.1, 0.02, max_lr=[1.0, 0.3], total_steps=25, pct_start=0.37, div_factor=7.0, final_div_factor=123.0),
    _of("ChainedScheduler", 0.1, 0.02, schedulers=[_of("LinearLR", 0.1), _of("CosineAnnealingLR", 0.1, T_max=7)]),
    _of("SequentialLR", 0.1, 0.02, schedulers=[_of("LinearLR", 0.1), _of("ExponentialLR", 0.1, gamma=0.9)], milestones=[5]),
    _of("ReduceLROnPlateau", 0.1, 0.02, factor=0.5, patience=1, min_lr=[0.03, 0.001]) | {"metrics": [1.0] * 20},
]
NESTED = [
    _of("SequentialLR", 1.0, milestones=[9], schedulers=[
        _of("SequentialLR", 1.0, milestones=[4], schedulers=[_of("LambdaLR", 1.0, lr_lambda="0.9**t"), _of("LinearLR", 1.0)]),
        _of("ExponentialLR", 1.0, gamma=0.5),
    ]),
    _of("ChainedScheduler", 1.0, schedulers=[
        _of("SequentialLR", 1.0, milestones=[4], schedulers=[_of("LinearLR", 1.0), _of("ExponentialLR", 1.0, gamma=0.9)]),
        _of("ChainedScheduler", 1.0, schedulers=[_of("StepLR", 1.0, step_size=3), _of("ConstantLR", 1.0)]),
    ]),
]  # fmt: skip


def cases() -> Iterator[tuple[Record, list[Any]]]:
    for name in DRAWS:
        rng = Random(f"{SEED} {name}")
        for record in drawn(name, SEED, SETS):
            yield from ((record, past) for past in pasts(record, rng))
    rng = Random(SEED)
    for record in GROUPS:
        yield record, record["metrics"][:5] if "metrics" in record else [None] * 7
    yield from ((record, [None] * count) for record in NESTED for count in (0, 2, 6, 12))
    chosen = [record for record in CORNERS if record["class"] not in ("SequentialLR", "ChainedScheduler", "ReduceLROnPlateau")]
    for record in chosen:
        if isinstance(record["steps"], int) and record["steps"] > 2:
            yield record, [None] * 2
    simple = [record for record in CORNERS if record["class"] in ("SequentialLR", "ChainedScheduler") and not is_nested(record)]
    for record in rng.sample(simple, 16):
        yield record, [None] * rng.choice([1, 3, 5, 8])


def write() -> None:
    records = []
    for record, past in cases():
        try:
            records.append(recorded(record, past))
        except (ZeroDivisionError, ValueError, NotImplementedError):  # PyTorch came not as far as that
            continue
    path = HERE / "objects.json"
    path.write_text(text({"torch": torch_version(), "sha256": script_hash()}, records), encoding="utf-8")
    print(f"{path.name}: {len(records)} records, {path.stat().st_size} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare live schedulers with what from_torch makes of them")
    parser.add_argument("--seed", type=int, help="of the fresh sets; by default a new one, which is printed")
    parser.add_argument("--sets", type=int, default=10, help="fresh sets per class")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "The epoch parameter in `scheduler.step")
    warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # nested sequences do it
    warnings.filterwarnings("ignore", "Seems like `optimizer.step")  # of a copy
    if not options.check:
        write()
        return 0
    from live import check

    return check(options.seed if options.seed is not None else Random().randrange(2**31), options.sets)


if __name__ == "__main__":
    sys.exit(main())
