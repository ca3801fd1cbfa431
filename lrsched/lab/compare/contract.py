"""Checks before anything runs: `train(schedule, key)` is a pure function of both, and returns metrics."""

import pickle
import random
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]
from numpy.random import bit_generator

from lrsched.algebra.schedule import Schedule

Train = Callable[[Schedule, jax.Array], Any]

COLUMNS = ("schedule", "setting", "peak", "seed", "best", "diverged", "evaluation")  # these identify a run


def traced(train: Train, schedule_of: Callable[[Any], Schedule], numbers: Any, key: jax.Array) -> tuple[ClosedJaxpr, list[str]]:
    """One run as a program of the numbers of its schedule and of its key, and the names of its metrics."""
    plain: Any = getattr(train, "__wrapped__", train) if isinstance(train, jax.stages.Wrapped) else train
    before = _random_state()
    # NumPy's generators without a seed draw one with this function.
    entropy = mock.patch.object(bit_generator, "randbits", wraps=getattr(bit_generator, "randbits", None), create=True)
    try:
        with entropy as drawn:
            jaxpr, shapes = jax.make_jaxpr(
                lambda numbers, key: _metrics(plain(schedule_of(numbers), key)),
                return_shape=True,
            )(numbers, key)
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
    used = {id(variable) for equation in jaxpr.jaxpr.eqns for variable in equation.invars}
    used |= {id(variable) for variable in jaxpr.jaxpr.outvars}
    *of_schedule, of_key = (id(variable) in used for variable in jaxpr.jaxpr.invars)
    if of_schedule and not any(of_schedule):
        hint = "optax.adamw(schedule), or schedule(step) in a loop over the steps"
        raise ValueError(f"train(schedule, key): expected a rate from the schedule, got the same runs for all. Hint: {hint}.")
    if not of_key:
        hint = "draw the first parameters from it, as in jax.random.normal(key, shape), or the batches"
        raise ValueError(f"train(schedule, key): expected a use of the key, got the same run for every seed. Hint: {hint}.")
    return jaxpr, sorted(shapes)


def _random_state() -> bytes:
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002 - the one that train should not use


def _metrics(returned: Any) -> dict[str, jax.Array]:
    """The metrics of a run by name; a ValueError if these are none."""
    call = "train(schedule, key): expected it to return"
    metrics = {"loss": returned} if _is_real(returned) else returned
    is_real = isinstance(metrics, Mapping) and all(map(_is_real, metrics.values()))
    splits = {"loss", "validation", "test"}
    if not is_real or not ({"loss"} <= set(metrics) <= {"loss", "step", "learning_rate"} or set(metrics) >= splits):
        got = {name: _type(x) for name, x in metrics.items()} if isinstance(metrics, Mapping) else _type(metrics)
        hint = 'return {"loss": losses, "validation": scores, "test": score}, or only losses'
        raise ValueError(f"{call} losses, or a dict of real arrays with {sorted(splits)}, got {got}. Hint: {hint}.")
    if taken := [name for name in metrics if name in COLUMNS]:
        raise ValueError(f"{call} other names than {', '.join(COLUMNS)}, which say which run it is, got {taken}.")
    shapes = {name: np.shape(value) for name, value in metrics.items()}
    curve = shapes["loss"] if len(shapes["loss"]) == 1 and all(shapes["loss"]) else ("evaluations",)
    for name, shape in {"loss": curve, "validation": curve, "step": curve, "test": ()}.items():
        if shapes.get(name, shape) != shape:
            hint = "stack curves over the evaluations, as jax.lax.scan does; of the test split return one score"
            raise ValueError(f"{call} {name!r} of shape {shape}, got {shapes[name]}. Hint: {hint}.")
    return {name: jnp.asarray(value) for name, value in metrics.items()}


def _is_real(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array) and not jnp.iscomplexobj(value)


def _type(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else type(value).__name__
