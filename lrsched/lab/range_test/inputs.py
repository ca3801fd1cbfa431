"""Parameters, batches and optimizers as the compiled program takes them."""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import unexpected

Factory: TypeAlias = Callable[[Any], optax.GradientTransformation | optax.MultiSteps]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A leaf that is no array, such as the activation function of an equinox module."""

    value: Any


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def split(params: Any, has_state: bool) -> tuple[Any, Any, Any]:
    """The arrays of floats, to be trained; the rest, with None in place of the others in both; and the state of the model."""
    state = None
    if has_state:
        if not isinstance(params, tuple) or len(params) != 2:
            raise TypeError(unexpected("range_test", "params", params, "a pair (params, state), as has_state=True"))
        params, state = params
    leaves, structure = jax.tree.flatten(params)
    leaves = [jnp.asarray(x, jnp.result_type(float)) if type(x) is float else x for x in leaves]
    trained = [x if is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact) else None for x in leaves]
    if all(x is None for x in trained):
        expected = "a pytree with arrays of floats to train, or a function of a key that makes one"
        raise TypeError(unexpected("range_test", "params", params, expected))
    rest = [None if x is own else x if is_array(x) else Static(x) for x, own in zip(leaves, trained, strict=True)]
    return structure.unflatten(trained), structure.unflatten(rest), state


def combine(trained: Any, rest: Any) -> Any:
    """The parameters that `split` divided."""

    def either(trained: Any, rest: Any) -> Any:
        return rest.value if isinstance(rest, Static) else rest if trained is None else trained

    return jax.tree.map(either, trained, rest, is_leaf=lambda x: x is None)


def stacked(batches: Any, most: int) -> tuple[Any, int]:
    """The batches along the first axis of their arrays, and how many there are; of an iterable the first `most`."""

    def copied(x: Any) -> Any:
        return x if isinstance(x, jax.Array) else np.array(x)

    if isinstance(batches, Iterable) and not isinstance(batches, (tuple, Mapping)) and not is_array(batches):
        # Copied as they come: a loader may fill the same buffer again.
        taken = [jax.tree.map(copied, batch) for batch in itertools.islice(batches, most)]
        if not taken:
            hint = "an iterator that was used up gives none, so make it anew"
            raise ValueError(unexpected("range_test", "batches", batches, "at least one batch", hint))
        shapes = dict.fromkeys(str(jax.tree.map(np.shape, batch)) for batch in taken)
        if len(shapes) > 1:
            hint = "drop the last one, if it is what was left over"
            raise ValueError(f"range_test(batches=...): expected batches of one shape, got {', '.join(shapes)}. Hint: {hint}.")
        batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), *taken)
    leaves = jax.tree.leaves(batches)
    if not leaves or not all(is_array(x) and np.ndim(x) for x in leaves):
        expected = "arrays of shape (batches, ...), or an iterable of batches"
        raise TypeError(unexpected("range_test", "batches", batches, expected, "a single batch goes into a list"))
    counts = {len(x) for x in leaves}
    if len(counts) > 1 or 0 in counts:
        shapes = ", ".join(str(np.shape(x)) for x in leaves)
        raise ValueError(
            f"range_test(batches=...): expected as many batches in each array, at least one, got shapes {shapes}."
            " Hint: x.reshape(batches, size, ...), or a list of batches."
        )
    return batches, counts.pop()


def takes_key(loss_fn: Callable[..., Any]) -> bool:
    return "key" in inspect.signature(loss_fn).parameters


def checked_loss(loss: Any) -> jax.Array:
    if not isinstance(loss, float) and not (is_array(loss) and loss.shape == () and jnp.issubdtype(loss.dtype, jnp.floating)):
        got = f"{loss.dtype} of shape {loss.shape}" if is_array(loss) else type(loss).__name__
        hint = "take the mean; return (loss, state) with has_state=True only"
        raise TypeError(f"range_test(loss_fn=...): expected it to return one float, got {got}. Hint: {hint}.")
    return jnp.asarray(loss)


def checked_optimizer(factory: Factory, ramp: Schedule, trained: Any) -> optax.GradientTransformationExtraArgs:
    """The optimizer at the rates of the ramp, for what has these shapes."""

    def made(ramp: Schedule) -> optax.GradientTransformationExtraArgs:
        optimizer = factory(ramp)
        if isinstance(optimizer, optax.MultiSteps):  # its own `gradient_transformation` takes no `value`
            init, update = optimizer.init, optimizer.update
            return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]
        if not isinstance(optimizer, optax.GradientTransformation):
            hint = "optax.adamw, or lambda rate: optax.adamw(rate, weight_decay=0.1)"
            raise TypeError(unexpected("range_test", "optimizer", factory, "a function from a rate to an optimizer", hint))
        return optax.with_extra_args_support(optimizer)

    def update(ramp: Schedule, trained: Any) -> Any:
        optimizer, zero = made(ramp), jnp.zeros((), jnp.result_type(float))
        extra = {"value": zero, "grad": trained, "value_fn": lambda _: zero}
        return optimizer.update(trained, optimizer.init(trained), trained, **extra)[0]

    program, updates = jax.make_jaxpr(update, return_shape=True)(ramp, trained)
    used = {id(x) for equation in program.jaxpr.eqns for x in equation.invars} | {id(x) for x in program.jaxpr.outvars}
    rates = program.jaxpr.invars[: len(jax.tree.leaves(ramp))]
    if jax.tree.structure(updates) != jax.tree.structure(trained) or not any(id(x) in used for x in rates):
        hint = "the rate is a schedule: lambda rate: optax.adamw(rate), or optax.scale_by_learning_rate(rate)"
        raise ValueError(unexpected("range_test", "optimizer", factory, "an optimizer that uses its rate", hint))
    return made(ramp)
