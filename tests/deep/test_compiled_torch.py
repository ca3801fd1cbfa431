"""The PyTorch dialect in compiled code: its traces, derivatives, numbers that are mapped over, and what walks step by step."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check import close, ours
from functions import FUNCTIONS
from test_torch import FILES, STEPS, records
from torch_cases import COSINE, EXAMPLES, STEP

from lrsched.dialects import torch as dialect

# Restarts, and a chain that is walked, take long to compile: test_gradients.py and the last tests here have one such case each.
SLOW = (dialect.CosineAnnealingWarmRestarts, dialect.ChainedScheduler)
DIFFERENTIATED = [s for s in EXAMPLES if not isinstance(s, SLOW)]


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "ReduceLROnPlateau"], ids=lambda path: path.stem)
def test_trajectories_are_those_of_pytorch_in_compiled_code(path):
    """Of a few records; a chain in place rounds at every step."""
    for record in [record for record in records(path) if not record.get("fractional")][:3]:
        schedule = ours(record["class"], record["arguments"], record["base_lr"])
        steps = jnp.arange(len(record["rates"])) if isinstance(record["steps"], int) else jnp.asarray(record["steps"])
        assert close(jax.jit(lambda t, s=schedule: s(t))(steps), record["rates"], record["base_lr"], 4e-6), record


def rebuilt(schedule: Any, numbers: Iterator[Any]) -> Any:
    """The schedule, constructed anew with other numbers."""
    arguments = {}
    for field in dataclasses.fields(schedule):
        value = getattr(schedule, field.name)
        if isinstance(value, tuple):
            value = [rebuilt(child, numbers) for child in value]
        elif field.metadata.get("spec") is not None and value is not None:
            value = next(numbers)
        arguments[field.name] = value
    return type(schedule)(**arguments)


@pytest.mark.parametrize("schedule", DIFFERENTIATED, ids=repr)
def test_every_number_maps_and_changes_without_a_trace(schedule):
    leaves, tree = jax.tree.flatten(schedule)
    assert leaves

    traces = []

    @jax.jit
    def many(rows):
        traces.append(rows)
        return jax.vmap(lambda row: rebuilt(schedule, iter(row))(STEPS))(rows)

    for changed, leaf in enumerate(leaves):
        whole = np.all(np.asarray(leaf) == np.round(leaf)) and np.all(np.asarray(leaf) >= 1)
        factors = (1, 2, 3) if whole else (1, 0.5, 0.75)
        rows = [[np.asarray(x) * (k if i == changed else 1.0) for i, x in enumerate(leaves)] for k in factors]
        found = many([np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)])
        loop = [tree.unflatten([float(x) if np.ndim(x) == 0 else x for x in row])(STEPS) for row in rows]
        np.testing.assert_allclose(found, loop, rtol=1e-5, atol=1e-6, err_msg=f"leaf {changed}")
    assert len(traces) == 1


def wavering(t):
    return jnp.where(t % 2 == 0, 0.75, 4 / 3)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        # The last steps that are walked beforehand, and a few after.
        (dialect.MultiplicativeLR(0.5, wavering), [0, 1, 2, 50, 1001, 131070, 131071, 131072, 131073, 131090]),
        (dialect.ChainedScheduler([COSINE, STEP]), [0, 1, 2, 7, 8, 9, 20]),
    ],
)
def test_what_walks_is_as_exact_in_compiled_code(scheduler, steps):
    steps = np.asarray(steps)
    np.testing.assert_allclose(jax.jit(lambda t: scheduler(t))(steps), scheduler(steps), rtol=1e-6)


def test_what_walks_passes_gradients_to_its_base_rate():
    slope = jax.jit(jax.grad(lambda rate, t: dialect.MultiplicativeLR(rate, wavering)(t)))
    for t in (0, 7, 131075):
        np.testing.assert_allclose(slope(0.5, t), dialect.MultiplicativeLR(1.0, wavering)(t), rtol=1e-5)


def test_a_chain_is_walked_to_any_step():
    half = dialect.MultiplicativeLR(1.0, FUNCTIONS["1+1/(2+t)**2"])
    late = [0, 70_000, 65_535, 65_536, 131_072]
    truth = np.cumprod([1.0, *(1 + 1 / (2.0 + np.arange(1, 131_073)) ** 2)])
    np.testing.assert_allclose(half(late), truth[late], rtol=1e-6)
    np.testing.assert_allclose(half(np.reshape(late[:4], (2, 2))), np.reshape(truth[late[:4]], (2, 2)), rtol=1e-6)
