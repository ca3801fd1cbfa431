"""Checks before anything runs: `train(schedule, key)` is a pure function of both, and returns metrics."""

import hashlib
import pickle
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr  # pyright: ignore[reportPrivateImportUsage]
from numpy.random import bit_generator

from lrsched.algebra.schedule import Schedule

Train = Callable[[Schedule, jax.Array], Any]

COLUMNS = ("schedule", "setting", "peak", "seed", "best", "diverged", "evaluation")  # these identify a run
SPLITS = {"loss", "validation", "test"}

_EXAMPLE = """
    def train(schedule, key):
        params = ...  # drawn from key
        ...           # e.g. jax.lax.scan over the steps, with schedule(step) as the rate
        return {"loss": losses, "validation": scores, "test": score}  # or only losses"""


def traced(
    train: Train, schedule_of: Callable[[list[Any]], Schedule], numbers: list[Any], key: jax.Array
) -> tuple[ClosedJaxpr, list[str]]:
    """One run as a program of the numbers of its schedule and of its key, and the names of its metrics."""
    plain: Any = getattr(train, "__wrapped__", train) if isinstance(train, jax.stages.Wrapped) else train

    def metrics(numbers: list[Any], key: jax.Array) -> dict[str, jax.Array]:
        returned = plain(schedule_of(numbers), key)
        returned = {"loss": returned} if _is_numeric(returned) else returned
        _check_returned(returned)
        return {name: jnp.asarray(value) for name, value in returned.items()}

    before = _random_state()
    # NumPy's generators without a seed draw one with this function.
    entropy = mock.patch.object(bit_generator, "randbits", wraps=getattr(bit_generator, "randbits", None), create=True)
    try:
        with entropy as drawn:
            jaxpr, shapes = jax.make_jaxpr(metrics, return_shape=True)(numbers, key)
    except Exception as error:  # whatever a function of the user raises goes on, with a note
        error.add_note(
            "This happened in train(schedule, key), which lrsched.lab.compare calls with a schedule and a JAX key. The rate is"
            " schedule(step), or that of an optimizer such as optax.adamw(schedule). All runs are one compiled program: use"
            " jnp.where or jax.lax.cond instead of `if`, and jax.numpy instead of float(...), .item() and NumPy."
        )
        raise
    if drawn.called or before != _random_state():
        raise ValueError(
            "train(schedule, key): expected a pure function, got one that draws from NumPy's or Python's random numbers, which"
            " are equal in all runs. Hint: draw from the key, as in jax.random.normal(key, shape), and load data before."
        )
    _check_use(jaxpr)
    return jaxpr, sorted(shapes)


def fingerprint(jaxpr: ClosedJaxpr) -> str:
    """A hash of a program and of the data that it closes over, without addresses in memory."""
    found = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "0x", str(jaxpr)).encode())
    for constant in _constants(jaxpr):
        is_key = jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)
        values = np.asarray(jax.random.key_data(constant) if is_key else constant)
        found.update(f"{values.dtype}{values.shape}".encode() + values.tobytes())
    return found.hexdigest()


def _constants(part: Any) -> Iterator[Any]:
    """The arrays that a program, and the jitted functions and loops in it, close over."""
    if isinstance(part, ClosedJaxpr):
        yield from part.consts
        part = part.jaxpr
    if isinstance(part, Jaxpr):
        part = [list(equation.params.values()) for equation in part.eqns]
    if isinstance(part, (list, tuple)):
        for inner in part:
            yield from _constants(inner)


def _random_state() -> bytes:
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002 - the one that train should not use


def _check_use(jaxpr: ClosedJaxpr) -> None:
    used = {id(variable) for equation in jaxpr.jaxpr.eqns for variable in equation.invars}
    used |= {id(variable) for variable in jaxpr.jaxpr.outvars}
    *of_schedule, of_key = (id(variable) in used for variable in jaxpr.jaxpr.invars)
    if of_schedule and not any(of_schedule):
        hint = "optax.adamw(schedule), or schedule(step) in a loop over the steps"
        raise ValueError(f"train(schedule, key): expected a rate from the schedule, got the same runs for all. Hint: {hint}.")
    if not of_key:
        hint = "draw the first parameters from it, as in jax.random.normal(key, shape), or the batches"
        raise ValueError(f"train(schedule, key): expected a use of the key, got the same run for every seed. Hint: {hint}.")


def _check_returned(returned: Any) -> None:
    """Raises a ValueError unless these are the metrics of a run."""
    call = "train(schedule, key): expected it to return"
    is_numeric = isinstance(returned, Mapping) and all(map(_is_numeric, returned.values()))
    if not is_numeric or not ({"loss"} <= set(returned) <= {"loss", "step", "learning_rate"} or set(returned) >= SPLITS):
        got = {name: _type(value) for name, value in returned.items()} if isinstance(returned, Mapping) else _type(returned)
        raise ValueError(f"{call} losses, or a dict of numeric arrays with {sorted(SPLITS)}, got {got}. Hint:{_EXAMPLE}")
    if taken := [name for name in returned if name in COLUMNS]:
        raise ValueError(f"{call} other names than {', '.join(COLUMNS)}, which say which run it is, got {taken}.")
    shapes = {name: np.shape(value) for name, value in returned.items()}
    curve = shapes["loss"] if len(shapes["loss"]) == 1 and all(shapes["loss"]) else ("evaluations",)
    for name, shape in {"loss": curve, "validation": curve, "step": curve, "test": ()}.items():
        if shapes.get(name, shape) != shape:
            hint = "stack curves over the evaluations, as jax.lax.scan does; of the test split return one score"
            raise ValueError(f"{call} {name!r} of shape {shape}, got {shapes[name]}. Hint: {hint}.")


def _is_numeric(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array)


def _type(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else type(value).__name__
