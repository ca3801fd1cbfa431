"""Runs the schedulers of PyTorch itself."""

import importlib
import math
import warnings
from typing import Any

from draws import Record
from functions import FUNCTIONS

CARRYING = ("MultiplicativeLR", "SWALR")  # a later child of these goes on from the rate at which it finds the optimizer


def torch_version() -> str:
    return importlib.import_module("torch").__version__


def new_optimizer(base_lr: float) -> Any:
    """An SGD with momentum that has made an update, so that no scheduler warns about the order of steps."""
    torch: Any = importlib.import_module("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.SGD([parameter], lr=base_lr, momentum=0.5)


def build(spec: Record, optimizer: Any) -> Any:
    """The scheduler; children are constructed in order, each before the next, as a user would write them."""
    name, arguments = spec["class"], dict(spec["arguments"])
    module: Any = importlib.import_module("torch.optim.swa_utils" if name == "SWALR" else "torch.optim.lr_scheduler")
    for key in {"lr_lambda", "scale_fn"} & arguments.keys():
        arguments[key] = FUNCTIONS[arguments[key]]
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(child, optimizer) for child in arguments["schedulers"]]
    if name == "ChainedScheduler":
        return module.ChainedScheduler(**arguments)
    return getattr(module, name)(optimizer, **arguments)


def expanded(steps: int | list[Any]) -> list[Any]:
    return list(range(steps)) if isinstance(steps, int) else steps


def run(record: Record) -> dict[str, Any]:
    """The rates and momenta at the steps of a record, or after each of its metrics.

    Ends early, with the message, where PyTorch raises; `steps` then says how far it came.
    """
    optimizer = new_optimizer(record["base_lr"])
    group = optimizer.param_groups[0]
    rates, momenta, error = [], [], None

    def note() -> None:
        rates.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter in `scheduler.step")
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", module="torch")  # nested sequences do it
        try:
            if "metrics" in record:
                follow_metrics(record, optimizer, note)
            elif record.get("fractional"):
                follow_times(record, optimizer, note)
            else:
                follow_steps(record, optimizer, note)
        except (ZeroDivisionError, ValueError, NotImplementedError) as refusal:
            error = f"{type(refusal).__name__}: {refusal}".rstrip(": ")
    return {"rates": rates, "momenta": momenta, "error": error}


def follow_steps(record: Record, optimizer: Any, note: Any) -> None:
    scheduler, wanted = build(record, optimizer), expanded(record["steps"])
    kept = set(wanted)
    for t in range(max(wanted) + 1):
        if t > 0:
            optimizer.step()
            scheduler.step()
        if t in kept:
            note()


def follow_times(record: Record, optimizer: Any, note: Any) -> None:
    scheduler = build(record, optimizer)
    for t in record["steps"]:
        optimizer.step()
        scheduler.step(t)
        note()


def follow_metrics(record: Record, optimizer: Any, note: Any) -> None:
    """A plateau, or a list of schedulers with plateaus among them that are stepped one after the other."""
    children = record["arguments"].get("schedulers", [record])
    schedulers = [build(child, optimizer) for child in children]
    for metric in record["metrics"]:
        optimizer.step()
        for child, scheduler in zip(children, schedulers, strict=True):
            scheduler.step(*([metric] if child["class"] == "ReduceLROnPlateau" else []))
        note()


def promised(spec: Record, base_lr: float, count: int) -> list[float] | None:
    """What the documentation promises of a nested sequence: each child, alone, on its own time from its milestone on.

    None if it cannot be put together so, because a later child goes on from the incoming rate.
    """
    if spec["class"] != "SequentialLR":
        return run({**spec, "base_lr": base_lr, "steps": count})["rates"]
    children, milestones = spec["arguments"]["schedulers"], spec["arguments"]["milestones"]
    if any(child["class"] in CARRYING for child in children[1:]):
        return None
    rates: list[float] = []
    for child, start, stop in zip(children, [0, *milestones], [*milestones, count], strict=True):
        length = max(0, min(stop, count) - start)
        part = promised(child, base_lr, length) if length else []
        if part is None:
            return None
        rates += part
    return rates


def differs(values: list[float], others: list[float], base_lr: float) -> bool:
    """Whether any two differ by more than the tolerance of the recordings."""
    pairs = zip(values, others, strict=True)
    return any(not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-8 * base_lr) for a, b in pairs)


def recorded(record: Record) -> Record:
    """The record with what PyTorch did; shorter where PyTorch raised."""
    result = run(record)
    record = {**record, "rates": result["rates"]}
    if result["error"]:
        record |= {"raises": result["error"]}
        if "steps" in record:
            steps = record["steps"]
            record["steps"] = len(result["rates"]) if isinstance(steps, int) else steps[: len(result["rates"])]
    if record["class"] in ("CyclicLR", "OneCycleLR") and record["arguments"].get("cycle_momentum", True):
        record["momenta"] = result["momenta"]
    return record | deviation(record)


def is_nested(record: Record) -> bool:
    children = record["arguments"].get("schedulers", [])
    return record["class"] == "SequentialLR" and any("schedulers" in child["arguments"] for child in children)


def deviation(record: Record) -> Record:
    """What was promised instead, if a sequence holds sequences or chains and went another way."""
    if not is_nested(record):
        return {}
    rates = promised(record, record["base_lr"], 24)
    if rates is None or (len(record["rates"]) == len(rates) and not differs(record["rates"], rates, record["base_lr"])):
        return {}
    return {"promised": rates}
