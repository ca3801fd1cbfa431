"""The training loop of every workload: updates with a scheduled rate, and evaluations in between."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.clocks.running import evaluate, init, tick
from lrsched.lab import progress

EVALUATIONS = 50  # of the validation split in a run, evenly spaced


class Splits(NamedTuple):
    """The data: each split a pytree of arrays that have one row an example, the same in every run."""

    train: Any
    validation: Any
    test: Any

    def rows(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {name: len(jax.tree.leaves(split)[0]) for name, split in self._asdict().items()}


class Task(NamedTuple):
    """What is trained, and on what."""

    splits: Splits
    init: Callable[[jax.Array], Any]  # key → parameters
    loss: Callable[[Any, Any], jax.Array]  # (parameters, rows) → their mean loss
    score: Callable[[Any, Any], tuple[jax.Array, jax.Array]]  # (parameters, split) → mean loss, and a score: higher is better
    optimizer: optax.GradientTransformation  # to the direction of an update, which the rate times it is subtracted
    batch_size: int  # rows that an update sees, drawn with replacement


def make_train(task: Task, steps: int) -> Callable[[Schedule, jax.Array], dict[str, jax.Array]]:
    """A pure function `train(schedule, key)` that makes `steps` updates, and evaluates 50 times in between.

    Update number t, from 0, is `parameters - schedule(t) · direction`. A clock of the schedule observes the validation loss, as
    `value`, after each evaluation. A run whose numbers overflow goes on with what is not a number.

    Args:
        task: what is trained.
        steps: the number of updates, at least 1.

    Returns:
        A function for `lrsched.lab.compare`. Its dict has, for each evaluation, "step", the updates made by then; "loss", the
        mean training loss since the evaluation before; "validation", the score, and "validation_loss"; "learning_rate", of the
        last update; and once "test", the score of the test split at the end.
    """
    ends = np.unique(np.linspace(0, steps, min(EVALUATIONS, steps) + 1).round().astype(np.int32))
    examples = task.splits.rows()["train"]

    def update(schedule: Schedule, key: jax.Array, step: jax.Array, carry: Any) -> Any:
        params, memory, state, total, _ = carry
        rows = jax.random.randint(jax.random.fold_in(key, step), (task.batch_size,), 0, examples)
        batch = jax.tree.map(lambda x: jnp.asarray(x)[rows], task.splits.train)
        loss, grads = jax.value_and_grad(task.loss)(params, batch)
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam relies on it
            direction, memory = task.optimizer.update(grads, memory, params)
        rate = jnp.asarray(evaluate(schedule, state), float)  # of the default type, which may be another than the schedule's
        params = jax.tree.map(lambda p, d: p - rate.astype(p.dtype) * d, params, direction)
        return params, memory, tick(schedule, state), total + loss, rate

    def train(schedule: Schedule, key: jax.Array) -> dict[str, jax.Array]:
        key_params, key_batches = jax.random.split(key)
        params = task.init(key_params)

        def until_evaluation(carry: Any, span: Any) -> Any:
            start, end = span
            body = functools.partial(update, schedule, key_batches)
            begin = (*carry, jnp.zeros(()), jnp.zeros(()))
            params, memory, state, total, rate = jax.lax.fori_loop(start, end, body, begin)
            loss, score = task.score(params, task.splits.validation)
            state = tick(schedule, state, steps=0, value=loss)
            progress.report(end, steps)
            row = {
                "step": end,
                "loss": total / (end - start).astype(total.dtype),
                "validation": score,
                "validation_loss": loss,
                "learning_rate": rate,
            }
            return (params, memory, state), row

        begin = params, task.optimizer.init(params), init(schedule)
        (params, *_), rows = jax.lax.scan(until_evaluation, begin, (ends[:-1], ends[1:]))
        return {**rows, "test": task.score(params, task.splits.test)[1]}

    return train
