# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What a type checker accepts, and what it does not: each line that is to be an error says so, and CI's pyright checks it."""

import jax.numpy as jnp
import optax

import lrsched as ls


@ls.node
class KLAdaptive(ls.Clock):
    """As in the docstring of `Clock`."""

    target: float = ls.leaf(default=0.01)
    low: float = ls.leaf(default=-14)
    high: float = ls.leaf(default=8)
    monitor = "kl"

    def init(self):
        return jnp.zeros((), jnp.int32)

    def tick(self, state, steps, observations):
        del steps
        kl = observations.get("kl")
        if kl is None:
            return state
        change = jnp.where(kl > 2 * self.target, -1, jnp.where(kl < self.target / 2, 1, 0))
        return jnp.clip(state + change, self.low, self.high).astype(jnp.int32)

    def read(self, state):
        return state


def uses() -> None:
    """Is not called: some of it raises, as it should."""
    rate = ls.one_cycle(0.1, 100)
    ls.scheduled(optax.adamw)(rate, b1=ls.one_cycle_momentum(100), weight_decay=0.1 * rate).init({})
    ls.scheduled(optax.sgd, live=True)(1e-3, momentum=0.9, nesterov=True)
    ls.scheduled(optax.adamw)(rate, wieght_decay=0.1)  # pyright: ignore[reportCallIssue]
    ls.scheduled(optax.adamw)(b1=0.9)  # pyright: ignore[reportCallIssue]
    ls.scheduled(optax.adamw)(rate, nesterov="yes")  # pyright: ignore[reportArgumentType]
    ls.Exponential(3e-4, 1.5).on(KLAdaptive(target=0.02))
    KLAdaptive(tarqet=0.02)  # pyright: ignore[reportCallIssue]
