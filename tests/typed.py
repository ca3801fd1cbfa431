# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# JAX and optax have no complete types of their own:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
"""A user's file under pyright's strict mode: common calls pass, and each mistake is an error."""

import jax
import jax.numpy as jnp
import optax
from test_live import KLAdaptive

import lrsched as ls


def calls() -> None:
    """Is not called."""
    s = ls.warmup_cosine(3e-4, 1000, 100_000) * ls.reduce_on_plateau(patience=5)
    joined = ls.Linear(0.0, 1e-3, 100) >> ls.Cosine(1e-3, 0.0, 900) >> 1e-5
    value: jax.Array = joined(3)
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=True))
    state = ls.replace_schedule(optimizer.init({"w": jnp.zeros(3)}), s)
    rate: jax.Array = ls.learning_rate(state)
    batch, _ = ls.grid(ls.wsd, peak=[1e-3, 1e-2], warmup_steps=10, steps=100, decay_steps=20)
    tree: dict[str, object] = ls.to_dict(batch)
    peak: float = ls.summary(s).peak
    ls.scheduled(optax.adamw)(learning_rate=joined, weight_decay=10 * joined)
    tokens = joined.on(ls.Counter("tokens"))
    ls.clocks.tick(tokens, ls.clocks.init(tokens), tokens=512)
    print(value, rate, tree, peak, jax.vmap(lambda one: one(jnp.arange(3)))(batch), ls.dialects.torch.StepLR(0.1, 30))


def mistakes(s: ls.Schedule) -> None:
    """Is not called."""
    ls.Linear("0", 1.0, 10)  # pyright: ignore[reportArgumentType]
    ls.Cosine(1.0, 0.0)  # pyright: ignore[reportCallIssue]
    ls.Cosine(1.0, 0.0, 10, T_max=10)  # pyright: ignore[reportCallIssue]
    ls.wsd(1e-3, 10, 100, 20, shape="root")  # pyright: ignore[reportArgumentType]
    ls.Plateau(mode="lowest")  # pyright: ignore[reportArgumentType]
    s.stretch("2")  # pyright: ignore[reportArgumentType]
    s.repat(3)  # pyright: ignore[reportAttributeAccessIssue]
    s.on("tokens")  # pyright: ignore[reportArgumentType]
    ls.scheduled(optax.adamw)(s, wieght_decay=0.1)  # pyright: ignore[reportCallIssue]
    ls.scheduled(optax.adamw)(b1=0.9)  # pyright: ignore[reportCallIssue]
    ls.scheduled(optax.adamw)(s, nesterov="yes")  # pyright: ignore[reportArgumentType]
    KLAdaptive(tarqet=0.02)  # pyright: ignore[reportCallIssue]
    ls.learning_rate()  # pyright: ignore[reportCallIssue]
    ls.step_deca(1.0, 30, 0.1)  # pyright: ignore[reportAttributeAccessIssue]
    print("s" >> s)  # pyright: ignore[reportOperatorIssue]
