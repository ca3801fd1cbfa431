"""Parts of every workload: its description, the training loop, dense networks, and scikit-learn's data."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.schedule import Schedule
from lrsched.clocks.running import evaluate, init, tick
from lrsched.lab import progress

EVALUATIONS = 50  # of the validation split in a run, evenly spaced

Params: TypeAlias = dict[str, jax.Array]


class Splits(NamedTuple):
    """The data: each split is a pytree of arrays with a row for each example."""

    train: Any
    validation: Any
    test: Any


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model, its data and its optimizer, with the lengths and peak rates that suit them.

    `compare(workload.make_train(), schedules, peaks=workload.peaks, seeds=20, batch_size=workload.batch_size)` compares
    schedules of `workload.steps` steps on it.

    Args:
        name: its name on the command line.
        description: the model and the data, in one line.
        score: the meaning of "validation" and "test"; higher is better.
        load: a function that loads the data.
        init: a function of a key that returns the parameters.
        measure: a function of parameters and rows that returns their mean loss and their score.
        optimizer: an update subtracts its output times the rate.
        rows: the examples in an update, drawn with replacement.
        steps: the updates of a run.
        peaks: rates, from too low to too high for every schedule.
        batch_size: the runs at a time that are fastest on a CPU.

    >>> from lrsched.lab.workloads import WORKLOADS
    >>> workload = WORKLOADS["tabular"]
    >>> workload.score, workload.steps
    ('R²', 500)
    """

    name: str
    description: str
    score: str
    load: Callable[[], Splits]
    init: Callable[[jax.Array], Any]
    measure: Callable[[Any, Any], tuple[jax.Array, jax.Array]]
    optimizer: optax.GradientTransformation
    rows: int
    steps: int
    peaks: tuple[float, ...]
    batch_size: int

    def make_train(self, steps: int | None = None) -> Callable[[Schedule, jax.Array], dict[str, jax.Array]]:
        """A pure function `train(schedule, key)` for `lrsched.lab.compare`, by default of `self.steps` updates.

        Update t is `parameters - schedule(t) · direction`. After each of 50 evaluations the clocks of the schedule observe the
        validation loss, as `value`. The metrics of each evaluation are "step", the number of updates before it; "loss", the
        mean training loss since the last one; "validation", the score, and "validation_loss"; "learning_rate", of the last
        update; and, once, "test", the score of the test split at the end.
        """
        steps, splits = self.steps if steps is None else steps, self.load()
        ends = np.unique(np.linspace(0, steps, min(EVALUATIONS, steps) + 1).round().astype(np.int32))
        examples = len(jax.tree.leaves(splits.train)[0])

        def update(schedule: Schedule, key: jax.Array, step: jax.Array, carry: Any) -> Any:
            params, memory, state, total, _ = carry
            rows = jax.random.randint(jax.random.fold_in(key, step), (self.rows,), 0, examples)
            batch = jax.tree.map(lambda x: jnp.asarray(x)[rows], splits.train)
            (loss, _), grads = jax.value_and_grad(self.measure, has_aux=True)(params, batch)
            with jax.numpy_dtype_promotion("standard"):  # optax's Adam relies on it
                direction, memory = self.optimizer.update(grads, memory, params)
            rate = jnp.asarray(evaluate(schedule, state), float)  # of the default type, perhaps not that of the schedule
            params = jax.tree.map(lambda p, d: p - rate.astype(p.dtype) * d, params, direction)
            return params, memory, tick(schedule, state), total + loss, rate

        def train(schedule: Schedule, key: jax.Array) -> dict[str, jax.Array]:
            key_params, key_batches = jax.random.split(key)

            def until_evaluation(carry: Any, span: Any) -> Any:
                start, end = span
                body = functools.partial(update, schedule, key_batches)
                begin = (*carry, jnp.zeros(()), jnp.zeros(()))
                params, memory, state, total, rate = jax.lax.fori_loop(start, end, body, begin)
                loss, score = self.measure(params, splits.validation)
                state = tick(schedule, state, steps=0, value=loss)
                progress.report(end, steps)
                row = {"step": end, "loss": total / (end - start).astype(total.dtype), "validation": score}
                return (params, memory, state), row | {"validation_loss": loss, "learning_rate": rate}

            params = self.init(key_params)
            begin = params, self.optimizer.init(params), init(schedule)
            (params, *_), rows = jax.lax.scan(until_evaluation, begin, (ends[:-1], ends[1:]))
            return {**rows, "test": self.measure(params, splits.test)[1]}

        return train


def bundled(name: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The inputs and targets of a data set in scikit-learn, shuffled with a fixed seed."""
    from sklearn import datasets

    load: Any = getattr(datasets, f"load_{name}")
    inputs, targets = map(np.asarray, load(return_X_y=True, **options))
    order = np.random.default_rng(0).permutation(len(targets))
    return inputs[order], targets[order]


def draw(key: jax.Array, shapes: Mapping[str, tuple[int, ...]], gains: Mapping[str, float]) -> Params:
    """Normal weights by name, with the variance `gain / inputs`; `inputs` is the product of all axes but the last.

    Signals keep the variance 1 with a gain of 1, or of 2 before a relu. Weights without a gain are 0.
    """
    sizes = {name: math.prod(shapes[name]) for name in gains}
    # One draw for all layers: with a key for each, XLA takes twenty times as long to compile on a CPU.
    parts = jnp.split(jax.random.normal(key, (sum(sizes.values()),)), np.cumsum([*sizes.values()])[:-1])
    scales = {name: math.sqrt(gain / math.prod(shapes[name][:-1])) for name, gain in gains.items()}
    weights = {name: part.reshape(shapes[name]) * scales[name] for name, part in zip(gains, parts, strict=True)}
    return {name: weights.get(name, jnp.zeros(shape)) for name, shape in shapes.items()}


def dense(sizes: Sequence[int], key: jax.Array) -> Params:
    """Weights and biases of dense layers of these sizes: inputs first, outputs last."""
    layers = range(1, len(sizes))
    shapes = {f"w{k}": (sizes[k - 1], sizes[k]) for k in layers} | {f"b{k}": (sizes[k],) for k in layers}
    return draw(key, shapes, {f"w{k}": 2.0 if k < layers[-1] else 1.0 for k in layers})


def through_dense(params: Params, inputs: Any) -> jax.Array:
    """The outputs of dense layers with relu in between, one row for each row of inputs."""
    last = len(params) // 2
    values = jnp.asarray(inputs, params["w1"].dtype)
    for k in range(1, last + 1):
        values = values @ params[f"w{k}"] + params[f"b{k}"][None]
        values = jax.nn.relu(values) if k < last else values
    return values
