"""Records what PyTorch, optax, transformers, timm and Keras do, for tests that need none of them (but for optax).

    python -m pip install torch==2.14.1 transformers timm keras
    python tests/golden/record.py [FILE ...]                    # computes tests/golden/FILE.json anew; by default all
    python tests/golden/record.py --check [--seed N] [FILE ...] # other numbers, the frameworks and our dialects side by side

To record one more call, write a line with its arguments into a file, and run this. `--check` changes every number of the
recorded arguments at random, and writes nothing. Each file begins with the versions, and with the SHA-256 of the scripts: a
test fails until changed scripts have recorded again. A line is one record. Of PyTorch:

    class, base_lr, arguments    a child of a sequence or chain is {"class", "arguments"}; a function, its name in functions.py;
                                 base_lr is what the tolerance refers to: of CyclicLR and OneCycleLR it is max_lr
    steps                        n for the steps 0, 1, .., n-1, or a list; with "fractional", times passed to step(t)
    metrics                      in place of steps: what a plateau observed
    rates, momenta               at each step (after construction, then after each step()), or after each metric
    note                         for the reader

No record is a sequence of sequences or chains that PyTorch runs otherwise than it documents.
objects.json holds live schedulers after the steps of the `past` (a count, or metrics or times): the `object` with its class and
attributes, the optimizer's `groups`, and `rates`, per group, now and after each of the next steps, or of the `metrics`.
tables.json is not recorded: its numbers are those of PyTorch's own tests (test/optim/test_lrscheduler.py, 01f9ef3), to 1e-5,
one record for each group of parameters; "asserted" is false where that test compares nothing.
Of the four others: call, arguments (base_lr for its optimizer), values (at the steps 0, 1, …, or after each of the metrics),
length (of timm, the number of epochs), and error (of optax, how far its float32 is from its float64).
"""

import argparse
import contextlib
import copy
import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import itertools
import json
import os
import sys
import types
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import check as ours
from functions import FUNCTIONS, Record, with_objects

HERE = Path(__file__).parent
REFUSALS = (ZeroDivisionError, ValueError, NotImplementedError)  # where PyTorch comes to no rate


def sgd(*rates: float) -> Any:
    """An SGD of PyTorch with a group for each rate; no scheduler minds that it makes no update."""
    torch: Any = importlib.import_module("torch")
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=rates[0], momentum=0.5)  # transformers reads the default too


# Schedulers of PyTorch


def build(spec: Record, optimizer: Any) -> Any:
    """The scheduler; children are constructed in order, each before the next, as a user would write them."""
    name, arguments = spec["class"], dict(spec["arguments"])
    module: Any = importlib.import_module("torch.optim.swa_utils" if name == "SWALR" else "torch.optim.lr_scheduler")
    for key in {"lr_lambda", "scale_fn"} & arguments.keys():
        arguments[key] = FUNCTIONS[arguments[key]]
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(child, optimizer) for child in arguments["schedulers"]]
    return getattr(module, name)(*([] if name == "ChainedScheduler" else [optimizer]), **arguments)


def of_torch(record: Record) -> Record:
    """The record with the rates and momenta of PyTorch at its steps, or after each of its metrics."""
    optimizer = sgd(record["base_lr"])
    (group,) = optimizer.param_groups
    found: Record = {"rates": [], "momenta": []}

    def note() -> None:
        found["rates"].append(float(group["lr"]))
        found["momenta"].append(float(group["momentum"]))

    if "metrics" in record:  # of a plateau, or of several schedulers that are stepped one after the other
        children = record["arguments"].get("schedulers", [record])
        schedulers = [build(child, optimizer) for child in children]
        for metric in record["metrics"]:
            for child, scheduler in zip(children, schedulers, strict=True):
                scheduler.step(*([metric] if child["class"] == "ReduceLROnPlateau" else []))
            note()
    else:
        scheduler, steps = build(record, optimizer), record["steps"]
        wanted = range(steps) if isinstance(steps, int) else steps
        for t in wanted if record.get("fractional") else range(max(wanted) + 1):
            if t > 0 or record.get("fractional"):
                scheduler.step(*([t] if record.get("fractional") else []))
            if t in wanted:
                note()
    if record["class"] not in ("CyclicLR", "OneCycleLR") or not record["arguments"].get("cycle_momentum", True):
        del found["momenta"]
    return record | found


# Live schedulers of PyTorch

NAMES = {fn: name for name, fn in FUNCTIONS.items()}
KEPT = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr", "momentum", "base_momentum", "max_momentum")
NEXT = 20  # steps of each into the future


def live(record: Record) -> Any:
    """The scheduler after its past."""
    scheduler = build(record, sgd(*record["base_lr"]))
    for x in [None] * record["past"] if isinstance(record["past"], int) else record["past"]:
        scheduler.step(*([] if x is None else [x]))
    return scheduler


def is_past_end(scheduler: Any) -> bool:
    """Whether it is, or holds, a one-cycle that extrapolates: PyTorch raises at the step after."""
    if hasattr(scheduler, "total_steps"):
        return scheduler.last_epoch >= scheduler.total_steps
    return any(map(is_past_end, getattr(scheduler, "_schedulers", [])))


def future(scheduler: Any, metrics: list[float] | None) -> list[list[float]]:
    """The rates of each group now and after the next steps; the scheduler itself stays where it is."""
    scheduler, rates = copy.deepcopy(scheduler), []
    given = [[]] * NEXT if metrics is None else [[metric] for metric in metrics]
    with contextlib.suppress(*REFUSALS):
        for following in [*given, None]:
            if is_past_end(scheduler):
                break
            rates.append([float(group["lr"]) for group in scheduler.optimizer.param_groups])
            if following is not None:
                scheduler.step(*following)
    return [list(row) for row in zip(*rates, strict=True)]


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
    """A scheduler as its class and attributes, but for the optimizer and what can be computed from the rest."""
    attributes = {
        name: encoded(value)
        for name, value in vars(scheduler).items()
        if name != "optimizer" and not isinstance(value, (functools.partial, types.MethodType))
        if not (isinstance(value, types.FunctionType) and value not in NAMES)  # static methods
    }
    return {"class": type(scheduler).__name__, "module": type(scheduler).__module__, "attributes": attributes}


def of_object(record: Record) -> Record:
    scheduler = live(record)
    rates = future(scheduler, record.get("metrics"))
    groups = [{key: group[key] for key in KEPT if key in group} for group in scheduler.optimizer.param_groups]
    return record | {"object": described(scheduler), "groups": groups, "rates": [[short(x, 12) for x in row] for row in rates]}


# The four others


def of_optax(record: Record) -> Record:
    import jax
    import jax.numpy as jnp
    import optax
    import optax.contrib

    def values(dtype: Any) -> list[float]:
        if "metrics" in record:
            transform = optax.contrib.reduce_on_plateau(**record["arguments"])
            state: Any = transform.init(jnp.zeros((), dtype))
            found = []
            for loss in record["metrics"]:
                _, state = transform.update(jnp.zeros((), dtype), state, value=jnp.asarray(loss, dtype))
                found.append(float(state.scale))
            return found
        arguments = with_objects(record["call"], record["arguments"], optax.schedules)
        schedule = getattr(optax.schedules, record["call"])(**arguments)
        return [float(schedule(t)) for t in range(40)]

    with jax.enable_x64(True):
        exact = values(jnp.float64)
    error = max(abs(a - b) for a, b in zip(exact, values(jnp.float32), strict=True)) / (max(map(abs, exact)) or 1.0)
    return {"values": exact, "error": short(error, 3)}


def of_transformers(record: Record) -> Record:
    optimization: Any = importlib.import_module("transformers.optimization")
    arguments = dict(record["arguments"])
    optimizer, name = sgd(arguments.pop("base_lr")), arguments.pop("name")
    return stepped(optimizer, getattr(optimization, record["call"])(name, optimizer, **arguments).step, record)


def of_timm(record: Record) -> Record:
    arguments = with_objects(record["call"], record["arguments"], None)
    optimizer, configured = sgd(arguments.pop("base_lr")), [arguments.pop("args")] if "args" in arguments else []
    made: Any = getattr(importlib.import_module("timm.scheduler"), record["call"])(*configured, optimizer, **arguments)
    scheduler, more = (made[0], {"length": made[1]}) if record["call"].startswith("create") else (made, {})
    if arguments.get("sched") == "none":
        return stepped(optimizer, lambda: None, record) | more
    step = scheduler.step if scheduler.t_in_epochs else scheduler.step_update
    if "metrics" not in record:
        step(0)
    steps = itertools.count(1)
    return stepped(optimizer, lambda *metric: step(next(steps), *metric), record) | more


def stepped(optimizer: Any, step: Any, record: Record) -> Record:
    """The rates of an optimizer before each step, or after each with a metric."""
    found = []
    for k in range(40):
        if "metrics" in record:
            step(record["metrics"][k])
        found.append(optimizer.param_groups[0]["lr"])
        if "metrics" not in record:
            step()
    return {"values": found}


def of_keras(record: Record) -> Record:
    jax: Any = importlib.import_module("jax")
    keras: Any = importlib.import_module("keras")
    keras.config.set_floatx("float64")
    arguments = dict(record["arguments"])
    if "metrics" not in record:
        schedule = getattr(keras.optimizers.schedules, record["call"])(**arguments)
        config = keras.optimizers.schedules.serialize(schedule)
        with jax.enable_x64(True):
            return {"config": config, "values": [float(schedule(t)) for t in range(40)]}
    rates = types.SimpleNamespace(learning_rate=arguments.pop("base_lr"))  # an optimizer would round to float32
    callback = keras.callbacks.ReduceLROnPlateau(**arguments)
    callback.set_model(types.SimpleNamespace(optimizer=rates))
    callback.on_train_begin()
    found = []
    for epoch, loss in enumerate(record["metrics"]):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        found.append(rates.learning_rate)
    return {"values": found}


# What each is called by: its run, its packages, the module of its functions, and which of them
PEERS: dict[str, Any] = {
    "optax": (of_optax, ("optax", "jax"), "optax.schedules", lambda x: x.islower() and "inject" not in x),
    "transformers": (
        of_transformers,
        ("transformers", "torch"),
        "transformers.optimization",
        lambda x: x.startswith(("get_", "GreedyLR")),
    ),
    "timm": (of_timm, ("timm", "torch"), "timm.scheduler", lambda x: x.endswith("LRScheduler") or "create" in x),
    "keras": (of_keras, ("keras", "jax"), "keras.optimizers.schedules", lambda x: x[0] != "_"),
}
PLATEAUS = {"optax": {"reduce_on_plateau": "optax.contrib"}, "keras": {"ReduceLROnPlateau": "keras.callbacks"}}


def signatures(peer: str) -> Record:
    """The arguments of everything that the framework has, in order, each with its default."""
    _, _, home, is_one = PEERS[peer]
    found = {name: value for name, value in vars(importlib.import_module(home)).items() if is_one(name) and callable(value)}
    functions = dict(sorted(found.items()))
    for name, module in PLATEAUS.get(peer, {}).items():
        functions[name] = getattr(importlib.import_module(module), name)
    empty = inspect.Parameter.empty
    return {
        name: [[key, "required" if p.default is empty else p.default] for key, p in inspect.signature(fn).parameters.items()]
        for name, fn in functions.items()
    }


# All of them


def short(x: float, digits: int = 13) -> float:
    return float(f"{float(x):.{digits}g}")


def recorded(name: str, record: Record) -> Record:
    if name not in PEERS:
        return of_object(record) if name == "objects" else of_torch(record)
    found = PEERS[name][0](record)
    return record | found | {"values": [short(x) for x in found["values"]]}


def digest() -> str:
    """The SHA-256 of what makes a recording: of this file, and of `functions.py`."""
    texts = ((HERE / name).read_text(encoding="utf-8") for name in ("functions.py", "record.py"))
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def write(name: str, records: list[Record]) -> None:
    """JSON with one record a line."""
    packages = PEERS[name][1] if name in PEERS else ("torch",)
    versions = {package: importlib.metadata.version(package) for package in packages}
    head: Record = {"versions": versions, "scripts": digest()} | ({"signatures": signatures(name)} if name in PEERS else {})
    lines = [json.dumps(recorded(name, record), separators=(",", ":"), ensure_ascii=False) for record in records]
    start = "\n".join(f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items())
    (HERE / f"{name}.json").write_text("{\n" + start + '\n"records": [\n' + ",\n".join(lines) + "\n]\n}\n", encoding="utf-8")
    print(f"{name}.json: {len(records)} records")


def moved(x: Any, factor: float, count: int) -> Any:
    """Arguments with every number moved: what is smaller than another stays so, and 0 and 1 are what they are."""
    if isinstance(x, dict):
        return {key: moved(value, factor, count) for key, value in x.items()}
    if isinstance(x, list):
        return [moved(value, factor, count) for value in x]
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        return x
    return x + count * (x > 1) if isinstance(x, int) else x * factor


def agrees(name: str, record: Record) -> bool:
    """Whether our schedule does what the framework does."""
    if name in PEERS:
        return ours.agree(name, recorded(name, record), ours.made(name, record["call"], record["arguments"]))
    if name != "objects":
        return all(ours.close(*each) for each in ours.traces(of_torch(record)))
    scheduler, metrics = live(record), record.get("metrics")
    theirs = future(scheduler, metrics)[0]
    mine = ours.followed(scheduler, 0, len(theirs), metrics)
    return ours.close(mine, theirs, record["base_lr"][0])


def check(name: str, records: list[Record], seed: int) -> int:
    """How many records with other numbers differ from ours; each is printed."""
    refused, wrong = 0, []
    random = Random(f"{seed} {name}")
    for record in records:
        # A chain or a sequence works on one base rate; PyTorch puts some fractions into a wrong cycle; a one-cycle has an end.
        factor = 1.0 if "schedulers" in record["arguments"] else random.uniform(0.7, 1.0)
        is_fixed = record.get("fractional") or (name not in PEERS and record["class"].startswith("OneCycle"))
        changes = factor, 0 if is_fixed else random.randrange(4)
        record = record | {key: moved(record[key], *changes) for key in ("arguments", "base_lr") if key in record}
        try:
            if not agrees(name, record):
                wrong.append({key: record[key] for key in ("class", "call", "arguments", "base_lr", "past") if key in record})
        except REFUSALS:
            refused += 1
    counts = f"{len(records)} records, {len(wrong)} differ, {refused} are refused by the framework or by ours"
    print(f"{name}: {counts}", *wrong, sep="\n")
    return len(wrong)


def main() -> int:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    warnings.simplefilter("ignore")
    names = sorted(path.stem for path in HERE.glob("*.json") if path.stem != "tables")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names, metavar="FILE", help="of " + ", ".join(names))
    parser.add_argument("--check", action="store_true", help="compare the frameworks with our dialects on other numbers")
    parser.add_argument("--seed", type=int, help="of the other numbers; by default a new one, which is printed")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(2**31)
    print(f"seed {seed}" if options.check else "recording")
    wrong = 0
    for name in options.names:
        records = json.loads((HERE / f"{name}.json").read_text())["records"]
        if options.check:
            wrong += check(name, records, seed)
        else:
            write(name, records)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
