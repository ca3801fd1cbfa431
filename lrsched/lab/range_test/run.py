"""The range test: its arguments and its result."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.node import checked, checked_flag
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Geometric
from lrsched.algebra.written import unexpected
from lrsched.lab import progress
from lrsched.lab.plain import whole
from lrsched.lab.range_test.result import RangeTest
from lrsched.lab.range_test.rules import LAST, smooth, stop_of
from lrsched.lab.range_test.sweep import Factory, is_array, split, sweep, takes_key


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
    _check_optimizer(optimizer, ramp)
    # Modules of equinox can be called too, but are pytrees.
    init = params if callable(params) and jax.tree_util.treedef_is_leaf(jax.tree.structure(params)) else None
    model = None if init else split(params, has_state)
    batches, count = _stacked(batches, steps)
    if seeds is not None and seeds > 1 and init is None and count == 1 and not takes_key(loss_fn):
        hint = "pass more batches, or a function of a key as params"
        raise ValueError(unexpected("range_test", "seeds", seeds, "runs that differ, not one batch and the same params", hint))
    functions = {"loss_fn": loss_fn, "factory": optimizer, "init": init, "has_state": has_state}
    with progress.bar(show_progress) as phase:
        phase(f"range test, {steps} rates", 0.0, 1.0)
        losses = np.array(sweep(ramp, model, batches, np.uint32(seed), **functions, steps=steps, seeds=seeds))
        phase(f"range test, {steps} rates", 1.0, 1.0)
    if not np.all(np.isfinite(losses[..., 0])):
        raise ValueError(
            "range_test(loss_fn=...): expected a finite loss before the first update, got one that is not."
            " Hint: look at the parameters and at the first batch."
        )
    smoothed = smooth(losses, smoothing)
    stops = [stop_of(run, divergence) for run in np.atleast_2d(smoothed)]
    ends = [steps if last is None else last + 1 for last in stops]
    for end, *curves in zip(ends, np.atleast_2d(losses), np.atleast_2d(smoothed), strict=True):
        for curve in curves:
            curve[end:] = np.nan
    end = max(ends)
    return RangeTest(np.asarray(ramp(np.arange(end))), losses[..., :end], smoothed[..., :end], steps, tuple(stops))


def _check_loss_fn(loss_fn: Any, has_state: bool) -> None:
    """Raises a TypeError if it does not take these arguments; or is a model, which may be a function, too."""
    names = ("params", "state", "batch") if has_state else ("params", "batch")
    try:
        inspect.signature(loss_fn).bind(*names, **({"key": None} if takes_key(loss_fn) else {}))
        is_function = not any(map(is_array, jax.tree.leaves(loss_fn)))
    except TypeError:
        is_function = False
    if not is_function:
        hint = "the order is range_test(loss_fn, params, batches); with has_state=True, loss_fn takes a state as well"
        raise TypeError(unexpected("range_test", "loss_fn", loss_fn, f"a function of ({', '.join(names)})", hint))


def _check_optimizer(optimizer: Any, ramp: Schedule) -> None:
    made = optimizer(ramp) if callable(optimizer) else None
    if not isinstance(made, (optax.GradientTransformation, optax.MultiSteps)):
        hint = "optax.adamw itself, or lambda rate: optax.adamw(rate, weight_decay=0.1)"
        expected = "a function from a learning rate to an optimizer"
        raise TypeError(unexpected("range_test", "optimizer", optimizer, expected, hint))


def _stacked(batches: Any, most: int) -> tuple[Any, int]:
    """The batches along the first axis of their arrays, and their number; the first `most` of an iterable."""
    is_listed = isinstance(batches, Iterable) and not isinstance(batches, (tuple, Mapping)) and not is_array(batches)
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
    if not leaves or not all(is_array(x) and np.ndim(x) for x in leaves):
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
