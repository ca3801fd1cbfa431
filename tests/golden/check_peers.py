"""Our dialects of optax, transformers, timm and Keras beside what they do themselves."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from record_peers import optax_arguments

import lrsched as ls
from lrsched.dialects import keras, optax, timm, transformers

DIALECTS: dict[str, Any] = {"optax": optax, "transformers": transformers, "timm": timm, "keras": keras}
Record = dict[str, Any]


def made(peer: str, call: str, arguments: Record) -> ls.Schedule:
    """Our schedule of the arguments of a record."""
    arguments = optax_arguments(call, arguments, optax)
    if "args" in arguments:
        arguments["args"] = SimpleNamespace(**arguments["args"])
    found = getattr(DIALECTS[peer], call)(**arguments)
    return found[0] if call.startswith("create") else found


def values(record: Record, schedule: ls.Schedule) -> np.ndarray:
    """Ours, at the steps of a record or after each of its metrics."""
    if "metrics" in record:
        found = ls.replay(schedule, np.asarray([*record["metrics"], 0.0], np.float32))[1:]
    else:
        found = schedule(np.arange(len(record["values"])))
    return np.asarray(found, np.float64)


def agree(peer: str, record: Record, schedule: ls.Schedule) -> bool:
    """To 1e-6, and a hair of the largest where theirs are differences of that size; a cosine of Keras is a float32."""
    theirs = np.asarray(record["values"])
    hair = 1e-7 if peer == "keras" and record["call"].startswith("Cosine") else 1e-12
    return bool(np.all(np.abs(values(record, schedule) - theirs) <= 1e-6 * np.abs(theirs) + hair * np.max(np.abs(theirs))))


def check(peer: str, records: list[Record]) -> int:
    """How many of some fresh records differ; each is printed."""
    wrong = [r for r in records if not agree(peer, r, made(peer, r["call"], r["arguments"]))]
    for record in wrong:
        print(record)
    print(f"{peer}: {len(records) - len(wrong)} of {len(records)} agree")
    return len(wrong)
