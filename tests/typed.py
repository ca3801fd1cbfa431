"""A clock of a user, which a type checker accepts."""

import jax.numpy as jnp

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
