"""Optimizers made by a factory, at the rates of a schedule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra import Schedule
from lrsched.node import shown

Factory = Callable[[Any], optax.GradientTransformation]
Optimizer = optax.GradientTransformationExtraArgs


def optimizer_at(call: str, factory: Factory, schedule: Schedule, trained: Any) -> Callable[[Any], Optimizer]:
    """A function from the step to the optimizer there: the same at all of them if the factory takes a schedule.

    Most do: optax calls a rate that can be called with its own count. One that computes with its rate, as
    `lambda rate: optax.scale(-rate)`, is called again at each step, with a number. That cannot be the rule for all, because
    others, such as `optax.inject_hyperparams`, keep the number that they were first called with.

    Args:
        call: the function that an error names.
        factory: from a rate to an optimizer.
        schedule: the rates.
        trained: what the optimizer will train, or its shapes.
    """

    def with_schedule(_: Any) -> Optimizer:
        return _checked(call, factory(schedule))

    def with_numbers(step: Any) -> Optimizer:
        return _checked(call, factory(schedule(step)))

    if not _works(with_schedule, trained) and _works(with_numbers, trained):
        return with_numbers
    return with_schedule  # if neither works, let the error be that of training


def _works(at: Callable[[Any], Optimizer], trained: Any) -> bool:
    def update(trained: Any) -> Any:
        optimizer = at(jnp.zeros((), jnp.int32))
        zero = jnp.zeros((), jnp.result_type(float))
        told = {"value": zero, "grad": trained, "value_fn": lambda _: zero}
        return optimizer.update(trained, optimizer.init(trained), trained, **told)[0]

    try:
        return jax.tree.structure(jax.eval_shape(update, trained)) == jax.tree.structure(trained)
    except Exception:  # whatever a factory, or what it made, raises at what it did not expect
        return False


def _checked(call: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"{call}(optimizer=...) must return an optax optimizer for a learning rate, as optax.adamw does, or"
            f" lambda rate: optax.adamw(rate, weight_decay=0.1), got {shown(optimizer)}"
        )
    return optax.with_extra_args_support(optimizer)
