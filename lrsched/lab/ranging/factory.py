"""Optimizers made by a factory, at the rates of a schedule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import shown

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

    at = with_schedule
    if not _works(with_schedule, trained) and _works(with_numbers, trained):
        at = with_numbers
    if _works(at, trained) and not _depends(call, factory, schedule, trained, by_numbers=at is with_numbers):
        raise ValueError(
            f"{call}(optimizer=...) makes an optimizer that does not use its learning rate, so that every rate would do the"
            " same: pass it on, as in lambda rate: optax.adamw(rate, weight_decay=0.1)"
        )
    return at  # if neither works, let the error be that of training


def _update(at: Callable[[Any], Optimizer], trained: Any) -> Any:
    optimizer = at(jnp.zeros((), jnp.int32))
    zero = jnp.zeros((), jnp.result_type(float))
    extra = {"value": zero, "grad": trained, "value_fn": lambda _: zero}
    return optimizer.update(trained, optimizer.init(trained), trained, **extra)


def _works(at: Callable[[Any], Optimizer], trained: Any) -> bool:
    try:
        return jax.tree.structure(jax.eval_shape(lambda x: _update(at, x)[0], trained)) == jax.tree.structure(trained)
    except Exception:  # whatever a factory, or what it made, raises at what it did not expect
        return False


def _depends(call: str, factory: Factory, schedule: Schedule, trained: Any, by_numbers: bool) -> bool:
    """Whether any number of the schedule takes part in an update."""

    def update(schedule: Schedule, trained: Any) -> Any:
        def at(step: Any) -> Optimizer:
            return _checked(call, factory(schedule(step) if by_numbers else schedule))

        return _update(at, trained)

    program = jax.make_jaxpr(update)(schedule, trained).jaxpr
    used = {id(x) for equation in program.eqns for x in equation.invars} | {id(x) for x in program.outvars}
    return any(id(x) in used for x in program.invars[: len(jax.tree.leaves(schedule))])


def _checked(call: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"{call}(optimizer=...) must return an optax optimizer for a learning rate, as optax.adamw does, or"
            f" lambda rate: optax.adamw(rate, weight_decay=0.1), got {shown(optimizer)}"
        )
    return optax.with_extra_args_support(optimizer)
