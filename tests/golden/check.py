"""Our schedules for recorded arguments, and whether they agree with the recorded values of the frameworks."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from functions import FUNCTIONS, Record, with_objects

import lrsched as ls
from lrsched.clocks.observations import monitored_by
from lrsched.clocks.running import clocks_of
from lrsched.dialects import keras, optax, timm, torch, transformers


@functools.cache
def recording(name: str) -> Record:
    """The content of a file of recordings."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


# PyTorch

RELATIVE, OF_BASE = 1e-6, 1e-8
OWN_RATES = ("OneCycleLR", "CyclicLR")  # which take no base rate


def ours(name: str, arguments: Record, base_lr: float) -> Any:
    """The schedule of our dialect for the same arguments."""
    arguments = {key: FUNCTIONS[value] if key in ("lr_lambda", "scale_fn") else value for key, value in arguments.items()}
    if "schedulers" in arguments:
        children = [ours(child["class"], child["arguments"], base_lr) for child in arguments["schedulers"]]
        return getattr(torch, name)(**arguments | {"schedulers": children})
    return getattr(torch, name)(*([] if name in OWN_RATES else [base_lr]), **arguments)


@jax.jit
def _observed(schedule: Any, state: Any, metrics: Any) -> Any:
    """The value after each metric; compiled once for all schedules of a structure."""
    names = monitored_by(clocks_of(schedule))

    def observe(state: Any, metric: Any) -> tuple[Any, Any]:
        state = ls.clocks.tick(schedule, state, dict.fromkeys(names, metric))
        return state, ls.clocks.evaluate(schedule, state)

    return jax.lax.scan(observe, state, metrics)[1]


def after(schedule: Any, state: Any, metrics: list[float]) -> np.ndarray:
    padded = np.resize(np.array(metrics, np.float32), -(-len(metrics) // 64) * 64)
    return np.asarray(_observed(schedule, state, padded))[: len(metrics)]


def traces(record: Record) -> list[tuple[Any, Any, float]]:
    """Ours, theirs and the base rate, for the rates of a record and for its momenta."""
    name, arguments, base_lr = record["class"], record["arguments"], record["base_lr"]
    schedule = ours(name, arguments, base_lr)
    if "metrics" in record:
        return [(after(schedule, ls.clocks.init(schedule), record["metrics"]), record["rates"], base_lr)]
    steps = np.arange(record["steps"]) if isinstance(record["steps"], int) else np.array(record["steps"])
    pairs = [(schedule(steps), record["rates"], base_lr)]
    if "momenta" in record:
        pairs.append((schedule.momentum(steps), record["momenta"], 1.0))
    return pairs


def followed(scheduler: Any, group: int, count: int, metrics: list[float] | None = None) -> np.ndarray:
    """The rates of `from_torch(scheduler)`: now, and after each of the next steps or metrics."""
    schedule = torch.from_torch(scheduler, group)
    if metrics is None:
        return np.asarray(schedule(np.arange(count)), np.float64)
    state = torch.state_from_torch(scheduler, group)
    return np.append(ls.clocks.evaluate(schedule, state), after(schedule, state, metrics)).astype(np.float64)


def close(mine: Any, theirs: Any, base_lr: float, relative: float = RELATIVE) -> bool:
    """Most schedulers of PyTorch multiply the last rate, so their rates drift: near 0 the tolerance is of the base rate."""
    mine, theirs = np.asarray(mine, np.float64)[: len(theirs)], np.asarray(theirs)
    return bool(np.all(np.abs(mine - theirs) <= relative * np.abs(theirs) + OF_BASE * base_lr))


# optax, transformers, timm, Keras

DIALECTS: dict[str, Any] = {"optax": optax, "transformers": transformers, "timm": timm, "keras": keras}


def made(peer: str, call: str, arguments: Record) -> ls.Schedule:
    """Our schedule of the arguments of a record."""
    found = getattr(DIALECTS[peer], call)(**with_objects(call, arguments, DIALECTS[peer]))
    return found[0] if call.startswith("create") else found


def values(record: Record, schedule: ls.Schedule) -> np.ndarray:
    """Ours, at the steps of a record or after each of its metrics."""
    if "metrics" in record:
        return after(schedule, ls.clocks.init(schedule), record["metrics"]).astype(np.float64)
    return np.asarray(schedule(np.arange(len(record["values"]))), np.float64)


def agree(peer: str, record: Record, schedule: ls.Schedule) -> bool:
    """To 1e-6 relative, and 1e-12 of the largest value; 1e-7 for a cosine of Keras, which is a float32."""
    mine, theirs = values(record, schedule), np.asarray(record["values"])
    largest = np.max(np.abs(theirs))
    if peer == "timm" and "cycle_mul" in str(record["arguments"]):
        # timm rounds a logarithm, and so may begin a cycle one step late: at a jump either side is right.
        before = np.asarray(schedule(np.maximum(np.arange(len(theirs)) - 2.0**-20, 0.0)), np.float64)
        is_late = (np.abs(mine - before) > 1e-3 * largest) & (np.abs(theirs - before) <= 1e-5 * largest)
        mine = np.where(is_late, theirs, mine)
    hair = 1e-7 if peer == "keras" and record["call"].startswith("Cosine") else 1e-12
    return bool(np.all(np.abs(mine - theirs) <= 1e-6 * np.abs(theirs) + hair * largest))
