"""The range test: its arguments, and the compiled program, which trains at rates that rise."""

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked, checked_flag
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Function, Geometric
from lrsched.algebra.written import unexpected
from lrsched.lab import progress
from lrsched.lab.plain import whole
from lrsched.lab.range_test.result import RangeTest
from lrsched.lab.range_test.rules import LAST, smooth, stop_of

Factory: TypeAlias = Callable[[Any], optax.GradientTransformation | optax.MultiSteps]


@explained
def range_test(
    loss_fn: Callable[..., Any],
    params: Any,
    batches: Any,
    optimizer: Factory = optax.sgd,
    *,
    has_state: bool = False,
    start: float = 1e-7,
    stop: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.98,
    divergence: float = 4.0,
    seeds: int | None = None,
    seed: int = 0,
    show_progress: bool = True,
) -> RangeTest:
    """Trains at rates that rise until the loss diverges: `start · (stop / start)^(i / (steps - 1))` at step i.

    The losses l are smoothed: `Σ smoothing^(i-k) · lₖ / Σ smoothing^(i-k)`, over k ≤ i. A run stops after the first step whose
    smoothed loss is not finite, or is above `divergence` times the lowest one so far, if that is above 0. The program is
    compiled once for a `loss_fn`, an `optimizer` and the shapes of the data: other numbers compile nothing. It makes all steps;
    those after the stop are left out.

    Args:
        loss_fn: a pure function of (params, batch) that returns the loss, one float. If it has a parameter `key`, for dropout,
            it gets a new key for each batch. As with `jax.jit`, what it closes over is read once: pass data as batches.
        params: the parameters to start from, any pytree. Its float arrays are trained; everything else is passed on unchanged.
            Or a function of a key that makes such a pytree.
        batches: a pytree of arrays with the batches along the first axis, (n, ...), which are used in turn, again and again.
            Or an iterable of batches of one shape, of which at most `steps` are used.
        optimizer: a function from a learning rate, which is a schedule, to an optax optimizer: `optax.adam`, or
            `lambda rate: optax.adamw(rate, weight_decay=0.1)`. It receives `value`, `grad` and `value_fn` if it takes them.
            With `optax.MultiSteps` a step is one update, from several batches, and its loss is their mean.
        has_state: whether the model has a state that is not trained, such as the statistics of batch normalization. Then
            `params` is a pair (params, state), and `loss_fn` a function of (params, state, batch) that returns (loss, state).
        start, stop: the first and the last rate, `0 < start < stop`.
        steps: the number of rates, one for each update, at least 6.
        smoothing: the weight of the earlier losses, at least 0 (no smoothing) and below 1.
        divergence: above 1; with `math.inf` a run stops before `stop` only if its loss is not finite.
        seeds: None for one run, over the batches in their order. Or a number of runs, trained at once with `jax.vmap`: each has
            a random order of the batches and, where `params` is a function, its own parameters.
        seed: the seed of all keys, below 2**32. The key k of a run is `jax.random.key(seed)`, or one of
            `jax.random.split(jax.random.key(seed), seeds)`. With `p, q, r = jax.random.split(k, 3)`, its parameters are
            `params(p)`, the order of its batches `jax.random.permutation(q, n)`, and the key of batch number j
            `jax.random.fold_in(r, j)`.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `RangeTest`: `suggestions` are the rates that the rules of fastai suggest, `spread` their range over the seeds. If the
        loss does not fall, or has not begun to rise at the last rate, there are none, and `reasons` says why.

    Raises:
        TypeError: if an argument has the wrong type, or `loss_fn` does not return one float or changes `params` in place.
        ValueError: if a number is outside its bounds, there is no batch, their shapes do not agree, nothing differs between the
            seeds, the optimizer does not use its rate, or the loss is not finite before the first update.

    >>> import jax, jax.numpy as jnp
    >>> from lrsched import lab
    >>> def loss_fn(x, batch):
    ...     return jnp.sum((x - batch) ** 2)
    >>> result = lab.range_test(loss_fn, jnp.ones(3), jnp.zeros((1, 3)), start=1e-3, show_progress=False)
    >>> print(f"{result.suggestions['valley']:.2g}, diverged at {result.rates[-1]:.2g}")
    0.095, diverged at 7.6

    References:
        Smith, *Cyclical learning rates for training neural networks*, 2015 (arXiv 1506.01186). fastai 2.8, `Learner.lr_find`,
        has the same smoothing, end and rules; its rates `start · (stop / start)^(i / steps)` stay below `stop`.
    """
    start, stop = (float(checked("range_test", name, x, gt=0)) for name, x in (("start", start), ("stop", stop)))
    if not start < stop:
        raise ValueError(unexpected("range_test", "stop", stop, f"stop > start={start!r}", "the rates rise from start to stop"))
    smoothing = float(checked("range_test", "smoothing", smoothing, ge=0, lt=1))
    divergence = float(checked("range_test", "divergence", divergence, gt=1, infinite=True))
    steps, seed = whole("range_test", "steps", steps, LAST + 1), whole("range_test", "seed", seed, 0, lt=2**32)
    seeds = None if seeds is None else whole("range_test", "seeds", seeds, 1)
    _check_loss_fn(loss_fn, checked_flag("range_test", "has_state", has_state))
    ramp = Geometric(start, stop, steps - 1)
    _optimizer(optimizer, ramp)  # here only for its checks
    # Modules of equinox can be called too, but are pytrees.
    init = params if callable(params) and jax.tree_util.treedef_is_leaf(jax.tree.structure(params)) else None
    model = None if init else _split(params, has_state)
    batches, count = _stacked(batches, steps)
    if seeds is not None and seeds > 1 and init is None and count == 1 and not _takes_key(loss_fn):
        hint = "pass more batches, or a function of a key as params"
        raise ValueError(unexpected("range_test", "seeds", seeds, "runs that differ, not one batch and the same params", hint))
    functions = {"loss_fn": loss_fn, "factory": optimizer, "init": init, "has_state": has_state}
    with progress.bar(show_progress) as phase:
        phase(f"range test, {steps} rates", 0.0, 1.0)
        losses = np.asarray(_sweep(ramp, model, batches, np.uint32(seed), **functions, steps=steps, seeds=seeds))
    if not np.all(np.isfinite(losses[..., 0])):
        raise ValueError(
            "range_test(loss_fn=...): expected a finite loss before the first update, got one that is not."
            " Hint: look at the parameters and at the first batch."
        )
    smoothed = smooth(losses, smoothing)
    stops = tuple(stop_of(run, divergence) for run in np.atleast_2d(smoothed))
    ends = np.asarray([steps if last is None else last + 1 for last in stops])
    is_after = (np.arange(steps) >= ends[:, None]).reshape(losses.shape)
    losses, smoothed = (np.where(is_after, np.nan, x)[..., : ends.max()] for x in (losses, smoothed))
    return RangeTest(np.asarray(ramp(np.arange(ends.max()))), losses, smoothed, steps, stops)


def _check_loss_fn(loss_fn: Any, has_state: bool) -> None:
    """Raises a TypeError if it does not take these arguments; or is a model, which may be a function, too."""
    names = ("params", "state", "batch") if has_state else ("params", "batch")
    try:
        inspect.signature(loss_fn).bind(*names, **({"key": None} if _takes_key(loss_fn) else {}))
        is_function = not any(map(_is_array, jax.tree.leaves(loss_fn)))
    except TypeError:
        is_function = False
    if not is_function:
        hint = "the order is range_test(loss_fn, params, batches); a random key is named key; has_state=True adds a state"
        raise TypeError(unexpected("range_test", "loss_fn", loss_fn, f"a function of ({', '.join(names)})", hint))


def _stacked(batches: Any, most: int) -> tuple[Any, int]:
    """The batches along the first axis of their arrays, and their number; the first `most` of an iterable."""
    is_listed = isinstance(batches, Iterable) and not isinstance(batches, (tuple, Mapping)) and not _is_array(batches)
    if is_listed:
        # Copied one by one: a loader may reuse its buffer.
        taken = [jax.tree.map(jnp.array, batch) for batch in itertools.islice(batches, most)]
        if not taken:
            hint = "an iterator gives its batches only once, so make it anew"
            raise ValueError(unexpected("range_test", "batches", batches, "at least one batch", hint))
        shapes = dict.fromkeys(str(jax.tree.map(np.shape, batch)) for batch in taken)
        if len(shapes) > 1:
            hint = "drop the last batch, if it is smaller"
            raise ValueError(f"range_test(batches=...): expected batches of one shape, got {', '.join(shapes)}. Hint: {hint}.")
        batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), *taken)
    leaves = jax.tree.leaves(batches)
    if not leaves or not all(_is_array(x) and np.ndim(x) for x in leaves):
        expected = "arrays of shape (batches, ...), or an iterable of batches"
        raise TypeError(unexpected("range_test", "batches", batches, expected, "put a single batch into a list"))
    counts, axes = {len(x) for x in leaves}, {np.ndim(x) for x in leaves}
    is_one_batch = not is_listed and 1 in axes and len(axes) > 1  # inputs and targets of examples, such as (32, 8) and (32,)
    if len(counts) > 1 or 0 in counts or is_one_batch:
        expected = "arrays of shape (batches, size, ...), with the same number of batches, at least one"
        shapes = ", ".join(str(np.shape(x)) for x in leaves)
        hint = "x.reshape(batches, size, ...), or a list of batches, such as [batch]"
        raise ValueError(f"range_test(batches=...): expected {expected}, got shapes {shapes}. Hint: {hint}.")
    return batches, counts.pop()


@functools.partial(jax.jit, static_argnames=("loss_fn", "factory", "init", "has_state", "steps", "seeds"))
def _sweep(
    ramp: Schedule,
    model: tuple[Any, Any, Any] | None,
    batches: Any,
    seed: jax.Array,
    *,
    loss_fn: Callable[..., Any],
    factory: Factory,
    init: Callable[[jax.Array], Any] | None,
    has_state: bool,
    steps: int,
    seeds: int | None,
) -> jax.Array:
    """The loss before each update, of shape (steps,) or (seeds, steps). Numbers are arguments, so others compile nothing."""
    count = len(jax.tree.leaves(batches)[0])
    optimizer = _optimizer(factory, ramp)

    def run(key: jax.Array) -> jax.Array:
        of_params, of_order, of_batches = jax.random.split(key, 3)
        trained, rest, state = _split(init(of_params), has_state) if init else model  # pyright: ignore[reportGeneralTypeIssues]
        order = jnp.arange(count) if seeds is None else jax.random.permutation(of_order, count)

        def train(so_far: Any) -> Any:
            """Trains on one batch; the last number is whether the optimizer only accumulates its gradients."""
            (trained, state, memory, seen), total, n, _ = so_far
            batch = jax.tree.map(lambda x: x[order[seen % count]], batches)

            def loss_of(trained: Any) -> tuple[jax.Array, Any]:
                given = _combine(trained, rest), state, batch, jax.random.fold_in(of_batches, seen)
                return _checked_loss(loss_fn, has_state, *given)

            (loss, state), grads = jax.value_and_grad(loss_of, has_aux=True)(trained)
            extra = {"value": loss, "grad": grads, "value_fn": lambda trained: loss_of(trained)[0]}
            updates, after = optimizer.update(grads, memory, trained, **extra)
            waits = [x > y for x, y in zip(_accumulated(after), _accumulated(memory), strict=True)]
            carry = optax.apply_updates(trained, updates), state, after, seen + 1
            return carry, total + loss.astype(float), n + 1, jnp.any(jnp.asarray(waits, bool))

        def step(carry: Any, i: jax.Array) -> tuple[Any, jax.Array]:
            """One update, and the mean loss of its batches."""
            progress.report(i + 1, steps)
            zero = jnp.zeros(())
            carry, total, n, _ = jax.lax.while_loop(lambda so_far: so_far[-1], train, (carry, zero, zero, True))
            return carry, total / n

        begin = trained, state, optimizer.init(trained), jnp.zeros((), jnp.int32)
        return jax.lax.scan(step, begin, jnp.arange(steps))[1]

    return run(jax.random.key(seed)) if seeds is None else jax.vmap(run)(jax.random.split(jax.random.key(seed), seeds))


def _accumulated(memory: Any) -> list[Any]:
    """The number of batches that each `optax.MultiSteps` in the state of an optimizer has for its next update."""
    leaves = jax.tree.leaves(memory, is_leaf=lambda x: isinstance(x, optax.MultiStepsState))
    return [x.mini_step for x in leaves if isinstance(x, optax.MultiStepsState)]


def _optimizer(factory: Factory, ramp: Schedule) -> optax.GradientTransformationExtraArgs:
    """The optimizer at the rates of a ramp, or an error if it is none; its update raises one if it does not use them."""
    used, given = [], ("range_test", "optimizer", factory)

    def rate(t: Any) -> Any:
        used.append(t)
        return ramp(t)

    def update(grads: Any, memory: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        updates, memory = made.update(grads, memory, params, **extra)
        if not used or jax.tree.structure(updates) != jax.tree.structure(params):
            hint = "the rate is a schedule: lambda rate: optax.adamw(rate), or optax.scale_by_learning_rate(rate)"
            raise ValueError(unexpected(*given, "an optimizer that uses its rate", hint))
        return updates, memory

    made: Any = factory(Function(rate)) if callable(factory) else None
    if not isinstance(made, (optax.GradientTransformation, optax.MultiSteps)):
        hint = "optax.adamw itself, or lambda rate: optax.adamw(rate, weight_decay=0.1)"
        raise TypeError(unexpected(*given, "a function from a learning rate to an optimizer", hint))
    # `MultiSteps.update` takes `value`, unlike the update of its `gradient_transformation()`.
    made = made if isinstance(made, optax.MultiSteps) else optax.with_extra_args_support(made)
    return optax.GradientTransformationExtraArgs(made.init, update)  # pyright: ignore[reportArgumentType]


def _takes_key(loss_fn: Callable[..., Any]) -> bool:
    return "key" in inspect.signature(loss_fn).parameters


def _checked_loss(
    loss_fn: Callable[..., Any], has_state: bool, params: Any, state: Any, batch: Any, key: jax.Array
) -> tuple[jax.Array, Any]:
    """The loss and the next state of the model."""
    before = [*map(id, jax.tree.leaves(params))]
    states = [jax.tree.map(lambda x: x, state)] if has_state else []  # rebuilt, because variables of flax know their trace
    try:
        found = loss_fn(params, *states, batch, **({"key": key} if _takes_key(loss_fn) else {}))
    except Exception as error:  # whatever a function of the user raises goes on, with a note
        shapes = jax.tree.map(jnp.shape, batch)
        error.add_note(f"This happened in loss_fn of range_test(loss_fn, params, batches), with a batch of shape {shapes}.")
        raise
    call = "range_test(loss_fn=...): expected"
    if [*map(id, jax.tree.leaves(params))] != before:
        hint = "has_state=True with params=nnx.split(model, nnx.Param, ...)[1:]"
        raise TypeError(f"{call} a pure function, got one that changes params. Hint: {hint}.")
    if has_state and jax.tree.structure(found) != (structure := jax.tree.structure((0.0, state))):
        raise TypeError(f"{call} it to return (loss, state) as has_state=True: {structure}, got {jax.tree.structure(found)}.")
    loss, after = found if has_state else (found, None)
    if (shapes := _shapes(state)) != (got := _shapes(after)) and has_state:
        raise TypeError(f"{call} it to return a state with arrays of the same shapes, {shapes}, got {got}.")
    if not isinstance(loss, float) and not (_is_array(loss) and loss.shape == () and jnp.issubdtype(loss.dtype, jnp.floating)):
        got = f"{loss.dtype} of shape {loss.shape}" if _is_array(loss) else type(loss).__name__
        raise TypeError(f"{call} it to return one float, got {got}. Hint: take the mean; with a state use has_state=True.")
    return jnp.asarray(loss), after


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [*map(np.shape, jax.tree.leaves(tree))]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Static:
    """A leaf that is no array, such as the activation function of an equinox module."""

    value: Any


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _split(params: Any, has_state: bool) -> tuple[Any, Any, Any]:
    """The float arrays, which are trained; everything else (both with None for the other); and the state of the model."""
    state = None
    if has_state:
        if not isinstance(params, tuple) or len(params) != 2:
            raise TypeError(unexpected("range_test", "params", params, "a pair (params, state), as has_state=True"))
        params, state = params

    def is_trained(x: Any) -> bool:
        return type(x) is float or (_is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact))

    trained = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)) if is_trained(x) else None, params)
    rest = jax.tree.map(lambda x: None if is_trained(x) else x if _is_array(x) else _Static(x), params)
    if not jax.tree.leaves(trained):
        expected = "a pytree with arrays of floats to train, or a function of a key that makes one"
        raise TypeError(unexpected("range_test", "params", params, expected))
    return trained, rest, state


def _combine(trained: Any, rest: Any) -> Any:
    """The parameters that `split` divided."""

    def either(trained: Any, rest: Any) -> Any:
        return rest.value if isinstance(rest, _Static) else rest if trained is None else trained

    return jax.tree.map(either, trained, rest, is_leaf=lambda x: x is None)
