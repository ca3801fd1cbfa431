"""What a schedule costs in a training step: adamw on a small network, many steps in one compiled scan.

Both sides are the same chain but for its last link, `lrsched.scale_by_learning_rate` with a captured schedule against
`optax.scale_by_learning_rate` with a number.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import lrsched as ls
from benchmarks.timing import Row, compare

SIZES = (64, 256, 256, 10)
BATCH = 128
STEPS = 200  # a scan


def rows(repeats: int) -> list[Row]:
    """A pure and a driven schedule against a constant rate, and the constant rate against itself."""
    cosine = ls.warmup_cosine(peak=1e-3, warmup_steps=100, steps=10_000)
    driven = cosine * ls.reduce_on_plateau(factor=0.5, patience=10)
    constant = optax.scale_by_learning_rate(1e-3)
    baseline = _training(constant)
    sides = [
        ("warmup_cosine in a training step", ls.scale_by_learning_rate(cosine), 1.01),
        ("warmup_cosine * reduce_on_plateau in a training step", ls.scale_by_learning_rate(driven), 1.03),
        ("constant rate against itself (how exact the others are)", constant, None),
    ]
    table = []
    for name, link, goal in sides:
        found = compare(_training(link), baseline, repeats)
        ours, theirs = (f"{1e6 * seconds / STEPS:.0f}" for seconds in (found.ours, found.theirs))
        details = f"± {found.error:.3f}; {ours} µs against {theirs} µs a step, {repeats} × {STEPS} steps"
        table.append(Row(name, found.ratio, goal, details))
    return table


def _training(link: optax.GradientTransformation) -> Callable[[], Any]:
    """A call that trains for STEPS steps from the same start."""
    optimizer = optax.with_extra_args_support(optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), link))
    keys = jax.random.split(jax.random.key(0), len(SIZES) + 1)
    layers = zip(keys, SIZES[:-1], SIZES[1:], strict=False)
    params = [(jax.random.normal(key, (m, n)) * (2 / m) ** 0.5, jnp.zeros(n)) for key, m, n in layers]
    x = jax.random.normal(keys[-2], (BATCH, SIZES[0]))
    y = jax.random.randint(keys[-1], (BATCH,), 0, SIZES[-1])

    def loss_of(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        for weights, bias in params[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ weights + bias, y).mean()

    @jax.jit
    def train(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            loss, grads = jax.value_and_grad(loss_of)(params, x, y)
            updates, state = optimizer.update(grads, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, state), length=STEPS)

    state = optimizer.init(params)
    return lambda: train(params, state, x, y)
