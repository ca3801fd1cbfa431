"""PyTorch and our dialect side by side. See record.py, which runs this."""

import functools
import importlib
from typing import Any

import numpy as np
from draws import DRAWS, Record, drawn
from functions import FUNCTIONS
from originals import expanded, recorded

RELATIVE, OF_BASE = 1e-6, 1e-8
OWN_RATES = ("OneCycleLR", "OneCycleMomentum", "CyclicLR", "CyclicMomentum")  # which take no base rate


def ours(name: str, arguments: dict[str, Any], base_lr: float) -> Any:
    """The schedule of our dialect for the same arguments."""
    dialect: Any = importlib.import_module("lrsched.dialects.torch")
    arguments = {key: FUNCTIONS[value] if key in ("lr_lambda", "scale_fn") else value for key, value in arguments.items()}
    if "schedulers" in arguments:
        children = [ours(child["class"], child["arguments"], base_lr) for child in arguments["schedulers"]]
        return getattr(dialect, name)(children, *([arguments["milestones"]] if name == "SequentialLR" else []))
    return getattr(dialect, name)(*([] if name in OWN_RATES else [base_lr]), **arguments)


@functools.cache
def _replay() -> Any:
    """Compiled once for all plateaus of a structure."""
    jax: Any = importlib.import_module("jax")
    ls: Any = importlib.import_module("lrsched")

    def run(schedule: Any, values: Any) -> Any:
        def observe(state: Any, metric: Any) -> tuple[Any, Any]:
            state = ls.tick(schedule, state, value=metric)
            return state, ls.evaluate(schedule, state)

        return jax.lax.scan(observe, ls.init(schedule), values)[1]

    return jax.jit(run)


def replayed(schedule: Any, metrics: list[float]) -> Any:
    """The value after each metric."""
    padded = np.resize(np.array(metrics, np.float32), -(-len(metrics) // 64) * 64)
    return np.asarray(_replay()(schedule, padded))[: len(metrics)]


def traces(record: Record) -> list[tuple[Any, Any, float]]:
    """Ours, theirs and the base rate, for the rates of a record and for its momenta."""
    name, arguments, base_lr = record["class"], record["arguments"], record["base_lr"]
    schedule = ours(name, arguments, base_lr)
    if "metrics" in record:
        return [(replayed(schedule, record["metrics"]), record["rates"], base_lr)]
    steps = np.array(expanded(record["steps"]))
    pairs = [(schedule(steps), record["rates"], base_lr)]
    if "momenta" in record:
        twin = ours(name.replace("LR", "Momentum"), arguments, base_lr)
        pairs.append((twin(steps), record["momenta"], 1.0))
    return pairs


def check(seed: int, sets: int) -> int:
    """Prints the largest differences of each class; 1 if one is beyond the tolerance."""
    print(f"seed {seed}; the largest differences: relative at 1% of the base rate and above, below that over the base rate")
    failed = False
    for name in DRAWS:
        relative, absolute, count, bad = 0.0, 0.0, 0, None
        for record in map(recorded, drawn(name, seed, sets)):
            for mine, theirs, base_lr in traces(record):
                mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs)
                difference = np.abs(mine - theirs)
                large = np.abs(theirs) >= OF_BASE / RELATIVE * abs(base_lr)
                relative = max(relative, float(np.max(difference[large] / np.abs(theirs[large]), initial=0.0)))
                absolute = max(absolute, float(np.max(difference[~large] / base_lr, initial=0.0)))
                count += theirs.size
                if not np.all(difference <= RELATIVE * np.abs(theirs) + OF_BASE * base_lr):  # a NaN of ours is no agreement
                    bad = record
        print(f"{name:28} {sets:4} sets {count:7} values   relative {relative:.1e}   of the base rate {absolute:.1e}")
        if bad is not None:
            failed = True
            print("    beyond the tolerance, for example:", {key: bad[key] for key in bad if key not in ("rates", "momenta")})
    return int(failed)
