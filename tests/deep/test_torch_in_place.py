"""The schedulers of PyTorch that have no closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions import FUNCTIONS
from torch_cases import COSINE, STEP

from lrsched.dialects import torch as dialect


def wavering(t):
    return jnp.where(t % 2 == 0, 0.75, 4 / 3)


LAST = 2**20 - 1
CHAIN = dialect.ChainedScheduler([COSINE, STEP])
GROWING = dialect.MultiplicativeLR(0.5, FUNCTIONS["1+1/(2+t)**2"])
PRODUCTS = 0.5 * np.cumprod([1.0, *(1 + 1 / (2.0 + np.arange(1, LAST + 1)) ** 2)])


@pytest.mark.parametrize(
    ("scheduler", "steps", "truth"),
    [
        (GROWING, [[0, 1, 4095], [4096, 10**6, LAST]], PRODUCTS),
        (dialect.MultiplicativeLR(0.5, wavering), [0, 1, 10**6, LAST], 0.5 * (1 + np.arange(LAST + 1) % 2 / 3)),
        (dialect.MultiplicativeLR(0.5, lambda t: 0.99999), [1, 10**6], 0.5 * 0.99999 ** np.arange(LAST)),  # noqa: ARG005
        (CHAIN, range(20), np.asarray(CHAIN(np.arange(20)))),
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
