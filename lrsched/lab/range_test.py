"""The learning-rate range test: train a little at ever higher rates, and see from where to where the loss falls."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra.node import checked
from lrsched.algebra.shapes import Geometric
from lrsched.algebra.written import shown
from lrsched.lab import progress
from lrsched.lab.plain import whole
from lrsched.lab.ranging.batches import stacked
from lrsched.lab.ranging.factory import Factory
from lrsched.lab.ranging.result import RangeTest
from lrsched.lab.ranging.sweep import Loss, checked_model, draw, sweep

_BELOW_1 = 1 - 2.0**-25  # as a float32 too: otherwise no loss has a weight
_FEWEST = 6  # as in fastai, whose rules leave out the last five


def range_test(
    loss_fn: Loss,
    params: Any,
    batches: Any,
    optimizer: Factory = optax.sgd,
    *,
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

    The losses l are smoothed as `Σ smoothing^(i-k) · lₖ / Σ smoothing^(i-k)`, over k ≤ i. A run stops after the first step
    whose smoothed loss is above `divergence` times the least before it, where that is above 0 (losses may be negative), or is
    not finite. All of it is one compiled program, which actually ends there. Another `start`, `stop`, `smoothing`,
    `divergence`, `seed`, or values of parameters or batches, compile nothing, as long as `loss_fn` and `optimizer` are the
    same objects.

    Nothing that is passed in is changed.

    Args:
        loss_fn: a pure function of (params, batch) that returns the loss, one float. As with `jax.jit`, what it closes over is
            read once: pass data as batches.
        params: the parameters to start from, any pytree: its arrays of floats are trained, everything else is passed on as it
            is. Or a function of a key that makes such a pytree.
        batches: a pytree of arrays with the batches along the first axis, (n, ...); step i takes batch i modulo n. Or a list,
            an iterator or another iterable of batches of one shape, of which at most `steps` are taken. What is random in the
            loss, such as dropout, takes a key from the batch.
        optimizer: a function from a learning rate to an optax optimizer: `optax.adam`, or
            `lambda rate: optax.adamw(rate, weight_decay=0.1)`. It is called once with a schedule or, if it works with numbers
            only, with the rate of each step. What it makes must move the parameters at every step (no
            `optax.MultiSteps`), and receives `value`, `grad` and `value_fn` if it takes them.
        start: the first rate, above 0.
        stop: the last rate, above `start`.
        steps: how many rates, one for each update, at least 6.
        smoothing: how much of the mean is kept at each step, at least 0 (no smoothing) and below 1.
        divergence: above 1; `math.inf` goes on to `stop` unless the loss is no longer finite.
        seeds: None for one run, over the batches in their order; or how many to train at once with `jax.vmap`, each over a
            random order of the batches and, where `params` is a function, from parameters of its own.
        seed: what all keys are derived from, below 2**32. Seed number s has the key
            `k = jax.random.split(jax.random.key(seed), seeds)[s]`, and a run without seeds `k = jax.random.key(seed)`; with
            `p, q = jax.random.split(k)`, its parameters are `params(p)`, and the order of its batches is
            `jax.random.permutation(q, n)`.
        show_progress: whether to show a progress bar, on standard error.

    Returns:
        A `RangeTest`: `suggestions` are the rates that the rules of fastai suggest, `spread` how far they vary between seeds.

    Raises:
        TypeError: if `loss_fn` does not return one float, `optimizer` is no such function, there is nothing to train, or the
            batches are neither arrays nor an iterable.
        ValueError: if a number is outside its bounds, there is no batch, their shapes do not agree, the seeds have nothing that
            differs, the optimizer does not use its rate, or the loss is not finite before the first update.

    >>> import jax.numpy as jnp
    >>> from lrsched import lab
    >>> def loss_fn(x, batch):
    ...     return jnp.sum((x - batch) ** 2)
    >>> result = lab.range_test(loss_fn, jnp.ones(3), jnp.zeros((1, 3)), start=1e-3, show_progress=False)
    >>> print(f"{result.suggestions['valley']:.2g}, diverged at {result.rates[result.stopped]:.2g}")
    0.095, diverged at 7.6

    References:
        Smith, *Cyclical learning rates for training neural networks*, 2015 (arXiv 1506.01186), for the test. fastai 2.8,
        `Learner.lr_find`, for smoothing, the end and the rules; its rates are `start · (stop / start)^(i / steps)`, which stay
        below `stop`, and it goes on after a NaN.
    """
    start, stop = (float(checked("range_test", name, x, gt=0)) for name, x in (("start", start), ("stop", stop)))
    if not start < stop:
        raise ValueError(f"range_test(stop=...) must be above start={start!r}, got {stop!r}: the rates rise from start to stop")
    smoothing = float(checked("range_test", "smoothing", smoothing, ge=0, lt=_BELOW_1))
    divergence = float(checked("range_test", "divergence", divergence, gt=1, infinite=True))
    steps, seed = whole("range_test", "steps", steps, _FEWEST), whole("range_test", "seed", seed, 0)
    seeds = None if seeds is None else whole("range_test", "seeds", seeds, 1)
    for name, value in (("loss_fn", loss_fn), ("optimizer", optimizer)):
        _check_function(name, value)
    init = params if _is_function(params) else None
    model = None if init is not None else checked_model(params)
    batches, count = stacked("range_test", batches, steps)
    if seeds is not None and seeds > 1 and init is None and count == 1:
        raise ValueError(
            f"range_test(seeds={seeds}) would train {seeds} times the same, on one batch from the same parameters: pass more"
            " batches, or a function of a key as params"
        )
    ramp = Geometric(start, stop, steps - 1)
    number = jnp.result_type(float)
    with progress.bar(show_progress) as bar:
        bar.phase(f"range test, {steps} rates", 0.0, 1.0)
        curves, made, going = jax.device_get(
            sweep(
                ramp,
                np.asarray(smoothing, number),
                np.asarray(divergence, number),
                model,
                batches,
                *draw(np.uint32(seed), seeds, count),
                loss_fn=loss_fn,
                optimizer=optimizer,
                init=init,
                steps=steps,
                seeds=seeds,
                reports=show_progress,
            )
        )
        bar.phase(f"range test, {steps} rates", 1.0, 1.0)
    first = np.atleast_2d(curves.losses)[:, 0]
    if not np.all(np.isfinite(first)):
        raise ValueError(
            f"range_test(loss_fn=...) must give a finite loss before the first update, got {first[~np.isfinite(first)][0]}:"
            " look at the parameters and at the first batch"
        )
    end = int(np.max(made))
    stops = [None if goes else int(n) - 1 for n, goes in zip(np.atleast_1d(made), np.atleast_1d(going), strict=True)]
    return RangeTest(
        rates=np.asarray(ramp(np.arange(end))),
        losses=curves.losses[..., :end],
        smoothed=curves.smoothed[..., :end],
        steps=steps,
        stops=tuple(stops),
    )


def _is_function(params: Any) -> bool:
    """Whether it makes parameters: modules of equinox can be called too, but are pytrees."""
    return callable(params) and jax.tree_util.treedef_is_leaf(jax.tree.structure(params))


def _check_function(name: str, value: Any) -> None:
    expected = "a function of (params, batch)" if name == "loss_fn" else "a function from a learning rate to an optimizer"
    hint = "" if name == "loss_fn" else ": pass optax.adamw itself, or lambda rate: optax.adamw(rate, weight_decay=0.1)"
    if not callable(value):
        raise TypeError(f"range_test({name}=...) must be {expected}, got {shown(value)}{hint}")
    try:
        hash(value)
    except TypeError:
        wrapped = "lambda params, batch: f(params, batch)" if name == "loss_fn" else "lambda rate: f(rate)"
        raise TypeError(
            f"range_test({name}=...) must be hashable, as functions are, to be compiled once; wrap it, as {wrapped}, got"
            f" {shown(value)}"
        ) from None
