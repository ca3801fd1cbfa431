"""The range test: its arguments and its result."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.node import checked, checked_flag
from lrsched.algebra.shapes import Geometric
from lrsched.algebra.written import unexpected
from lrsched.lab import progress
from lrsched.lab.plain import whole
from lrsched.lab.range_test.inputs import split, stacked
from lrsched.lab.range_test.result import RangeTest
from lrsched.lab.range_test.rules import LAST
from lrsched.lab.range_test.sweep import Factory, sweep, takes_key

_BELOW_1 = 1 - 2.0**-25  # as a float32 too: otherwise no loss has a weight


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
    smoothed loss is not finite, or is above `divergence` times the lowest one so far, if that is above 0. The compiled program
    ends there. It is compiled once for a `loss_fn`, an `optimizer` and the shapes of the data: other numbers compile nothing.

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
        start: the first rate, above 0.
        stop: the last rate, above `start`.
        steps: the number of rates, one for each update, at least 6.
        smoothing: the weight of the earlier losses, at least 0 (no smoothing) and below 1.
        divergence: above 1; with `math.inf` a run stops before `stop` only if its loss is not finite.
        seeds: None for one run, over the batches in their order. Or a number of runs, trained at once with `jax.vmap`: each has
            a random order of the batches and, where `params` is a function, its own parameters.
        seed: the seed of all keys, below 2**32. Run s has the key `k = jax.random.split(jax.random.key(seed), seeds)[s]`;
            without `seeds` it is `k = jax.random.key(seed)`. With `p, q, r = jax.random.split(k, 3)`, its parameters are
            `params(p)`, the order of its batches is `jax.random.permutation(q, n)`, and batch number j has the key
            `jax.random.fold_in(r, j)`.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `RangeTest`: `suggestions` are the rates that the rules of fastai suggest, `spread` their range over the seeds. If the
        loss does not fall, or has not begun to rise at the last rate, there are none, and `reasons` says why.

    Raises:
        TypeError: if `loss_fn` does not return one float or changes `params` in place, `optimizer` makes no optimizer, there is
            nothing to train, or the batches are neither arrays nor an iterable.
        ValueError: if a number is outside its bounds, there is no batch, their shapes do not agree, nothing differs between the
            seeds, the optimizer does not use its rate, or the loss is not finite before the first update.

    >>> import jax, jax.numpy as jnp
    >>> from lrsched import lab
    >>> def loss_fn(x, batch):
    ...     return jnp.sum((x - batch) ** 2)
    >>> result = lab.range_test(loss_fn, jnp.ones(3), jnp.zeros((1, 3)), start=1e-3, show_progress=False)
    >>> print(f"{result.suggestions['valley']:.2g}, diverged at {result.rates[-1]:.2g}")
    0.095, diverged at 7.6

    With dropout, and a running mean of the batches as the state:

    >>> def loss_fn(x, mean, batch, key):
    ...     kept = jax.random.bernoulli(key, 0.9, x.shape)
    ...     return jnp.sum((x * kept - batch + mean) ** 2), 0.9 * mean + 0.1 * batch
    >>> params, state = jnp.ones(3), jnp.zeros(3)
    >>> _ = lab.range_test(loss_fn, (params, state), jnp.zeros((1, 3)), has_state=True, show_progress=False)

    References:
        Smith, *Cyclical learning rates for training neural networks*, 2015 (arXiv 1506.01186). fastai 2.8, `Learner.lr_find`,
        has the same smoothing, end and rules; its rates `start · (stop / start)^(i / steps)` stay below `stop`.
    """
    start, stop = (float(checked("range_test", name, x, gt=0)) for name, x in (("start", start), ("stop", stop)))
    if not start < stop:
        raise ValueError(unexpected("range_test", "stop", stop, f"stop > start={start!r}", "the rates rise from start to stop"))
    smoothing = float(checked("range_test", "smoothing", smoothing, ge=0, lt=_BELOW_1))
    divergence = float(checked("range_test", "divergence", divergence, gt=1, infinite=True))
    steps, seed = whole("range_test", "steps", steps, LAST + 1), whole("range_test", "seed", seed, 0, lt=2**32)
    seeds = None if seeds is None else whole("range_test", "seeds", seeds, 1)
    has_state = checked_flag("range_test", "has_state", has_state)
    if not callable(loss_fn):
        raise TypeError(unexpected("range_test", "loss_fn", loss_fn, "a function of (params, batch)"))
    if not callable(optimizer):
        hint = "optax.adamw itself, or lambda rate: optax.adamw(rate, weight_decay=0.1)"
        expected = "a function from a learning rate to an optimizer"
        raise TypeError(unexpected("range_test", "optimizer", optimizer, expected, hint))
    # Modules of equinox can be called too, but are pytrees.
    init = params if callable(params) and jax.tree_util.treedef_is_leaf(jax.tree.structure(params)) else None
    model = None if init else split(params, has_state)
    batches, count = stacked(batches, steps)
    if seeds is not None and seeds > 1 and init is None and count == 1 and not takes_key(loss_fn):
        hint = "pass more batches, or a function of a key as params"
        raise ValueError(unexpected("range_test", "seeds", seeds, "runs that differ, not one batch and the same params", hint))
    ramp, number = Geometric(start, stop, steps - 1), jnp.result_type(float)
    numbers = ramp, np.asarray(smoothing, number), np.asarray(divergence, number), model, batches, np.uint32(seed)
    functions = {"loss_fn": loss_fn, "factory": optimizer, "init": init, "has_state": has_state}
    with progress.bar(show_progress) as bar:
        bar.phase(f"range test, {steps} rates", 0.0, 1.0)
        curves, made, going = jax.device_get(sweep(*numbers, **functions, steps=steps, seeds=seeds))
        bar.phase(f"range test, {steps} rates", 1.0, 1.0)
    if not np.all(np.isfinite(curves[..., 0])):
        raise ValueError(
            "range_test(loss_fn=...): expected a finite loss before the first update, got one that is not."
            " Hint: look at the parameters and at the first batch."
        )
    ends = np.atleast_1d(made).tolist()
    return RangeTest(
        rates=np.asarray(ramp(np.arange(max(ends)))),
        losses=curves[..., 0, : max(ends)],
        smoothed=curves[..., 1, : max(ends)],
        steps=steps,
        stops=tuple(None if goes else end - 1 for end, goes in zip(ends, np.atleast_1d(going), strict=True)),
    )
