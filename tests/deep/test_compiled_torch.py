"""The PyTorch dialect in compiled code: its traces, derivatives, numbers that are mapped over, and what has no closed form."""

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


LAST = 2**20 - 1
GROWING = dialect.MultiplicativeLR(0.5, FUNCTIONS["1+1/(2+t)**2"])
PRODUCTS = 0.5 * np.cumprod([1.0, *(1 + 1 / (2.0 + np.arange(1, LAST + 1)) ** 2)])


@pytest.mark.parametrize(
    ("scheduler", "steps", "truth"),
    [
        (GROWING, [[0, 1, 4095], [4096, 10**6, LAST]], PRODUCTS),
        (dialect.MultiplicativeLR(0.5, wavering), [0, 1, 10**6, LAST], 0.5 * (1 + np.arange(LAST + 1) % 2 / 3)),
        (dialect.MultiplicativeLR(0.5, lambda t: 0.99999), [1, 10**6], 0.5 * 0.99999 ** np.arange(LAST)),  # noqa: ARG005
        (dialect.ChainedScheduler([COSINE, STEP]), range(20), np.asarray(dialect.ChainedScheduler([COSINE, STEP])(STEPS))),
    ],
    ids=["product", "function of jax.numpy", "power", "chain"],
)
def test_what_is_walked_is_exact_to_its_last_step(scheduler, steps, truth):
    steps = np.array(steps)
    for found in (scheduler(steps), jax.jit(lambda t: scheduler(t))(steps)):
        np.testing.assert_allclose(found, truth[steps], rtol=1e-6)


def test_beyond_its_last_step_it_is_refused_or_held():
    with pytest.raises(ValueError, match=r"^MultiplicativeLR\(step=1048576\): expected a step below 1,048,576\. Hint: "):
        GROWING(LAST + 1)
    assert jax.jit(lambda t: GROWING(t))(2**30) == GROWING(LAST)


def test_what_is_walked_passes_gradients():
    """To a base rate by a product of one; to any number of a chain, backwards if the step is known."""
    slope = jax.jit(jax.grad(lambda rate, t: dialect.MultiplicativeLR(rate, GROWING.lr_lambda)(t)))
    np.testing.assert_allclose([slope(0.5, t) for t in (0, 7, LAST)], 2 * PRODUCTS[[0, 7, LAST]], rtol=1e-6)

    def rate(gamma, t):
        return dialect.ChainedScheduler([COSINE, dialect.StepLR(0.5, 4, gamma)])(t)

    expected = (rate(0.5 + 1e-3, 9) - rate(0.5 - 1e-3, 9)) / 2e-3
    for found in (jax.grad(lambda gamma: rate(gamma, 9))(0.5), jax.jit(jax.jacfwd(rate))(0.5, 9)):
        np.testing.assert_allclose(found, expected, rtol=1e-3)
