"""Fits a law to recorded curves: robust least squares of log residuals, with a prior."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, stats  # comes with JAX

from lrsched.algebra.foreign import explained
from lrsched.algebra.written import unexpected
from lrsched.lab.law.curves import Run, recorded
from lrsched.lab.law.laws import LAWS, Law, Path, path, points
from lrsched.lab.law.result import FittedLaw, Parameter

_DELTA = 1e-3  # log residuals above this (or above the noise, if larger) count linearly, not squared
_ALIKE = 10.0  # so many neighbouring points weigh as much as one against the prior, since residuals are correlated
_STARTS, _REFINED = 256, 3  # random starts of the search; the best are refined


@explained
def fit_law(curves: Sequence[Run], law: str = "multi-power") -> FittedLaw:
    """Fits a law of the loss as a function of the schedule: `L(t) = L0 + A·S(t)^-alpha - B·Σₖ (ηₖ₋₁ - ηₖ)·G`.

    S(t) is the sum of the rates of the updates 0 to t, and ηₖ the rate of update k. In the "multi-power" law
    `G = 1 - (1 + C·ηₖ^-gamma·(S(t) - Sₖ₋₁))^-beta`, in the "momentum" law `G = 1 - exp(-(t - k + 1) / memory)`, and in the
    "combined" law a mean of both, with weights odds : 1. Two or three runs are enough, such as a cosine, a constant rate, and
    a rate that falls in the middle of the run. The law does not extrapolate to other peaks, batch sizes or models.

    The fit minimizes the sum of `huber(log(loss) - log(L(t)))`. The exponents, C and the memory have weak log-normal priors.
    `print(law)` names the parameters that the prior decides. Points in the warm-up are left out, because the law does not
    hold there. The intervals allow for correlated noise.

    Args:
        curves: (schedule, steps, losses) for each run: a schedule, a function of the step or an array with the rate of every
            update from 0 on; the numbers of the updates at which a loss was recorded, rising; and the losses, above 0. The
            mean over many batches is better than the loss of one batch.
        law: "multi-power", "momentum" or "combined".

    Returns:
        A `FittedLaw`: `print(law)` shows the parameters with 95 % intervals, `law.predict` predicts a loss curve, and
        `law.optimize` improves a schedule.

    Raises:
        TypeError: if `curves` is not a list of triples, or a schedule is not a schedule or is driven.
        ValueError: if there are fewer points than parameters, a number is not finite, steps do not rise, a rate is below 0, all
            rates are 0, the losses of a run do not fall, or no rate falls while losses are recorded.

    >>> import numpy as np
    >>> import lrsched as ls
    >>> from lrsched import lab
    >>> steps = np.arange(100, 2000, 20)
    >>> def curve(schedule):
    ...     rates = np.asarray(schedule(np.arange(2000)))
    ...     return schedule, steps, 2 + 0.5 * np.cumsum(rates)[steps] ** -0.5 - 20 * (0.01 - rates[steps])
    >>> law = lab.fit_law([curve(ls.Constant(0.01)), curve(ls.Cosine(0.01, 0.0, 2000))], "momentum")
    >>> print(round(float(law.predict(ls.Linear(0.01, 0.0, 2000), 1900)), 2))
    1.97

    References:
        Luo et al., *A multi-power law for loss curve prediction across learning rate schedules*, 2025 (arXiv 2503.12811);
        Tissue et al., *Scaling law with learning rate annealing*, 2024 (arXiv 2408.11029), whose λ is exp(-1 / memory), and
        whose C is B·(1 - λ).
    """
    if law not in LAWS:
        raise ValueError(unexpected("fit_law", "law", law, " or ".join(map(repr, LAWS))))
    found = LAWS[law]
    triples = isinstance(curves, (list, tuple)) and all(isinstance(one, (list, tuple)) and len(one) == 3 for one in curves)
    if not triples or any(callable(number) for one in curves for number in one[1:]):  # such as a schedule in last place
        raise TypeError(unexpected("fit_law", "curves", curves, "a list of (schedule, steps, losses)"))
    kept = [recorded(*one) for one in curves]
    if (count := sum(len(one.steps) for one in kept)) <= (least := len(found.parameters)):
        expected = f"more points after the warm-ups than the {least} parameters of the {law} law"
        raise ValueError(f"fit_law(curves=[...]): expected {expected}, got {count}.")
    at = [points(one.steps) for one in kept]
    paths = [path(jnp.asarray(one.rates(x), float), x, one.steps) for one, x in zip(kept, at, strict=True)]
    if all(jnp.maximum(one.drop, 0.0).sum() <= 1e-5 * one.drop_rate.max() for one in paths):
        lost = ", ".join(found.parameters[3:])
        raise ValueError(
            f"fit_law(curves=[...]): expected a rate that falls in one run at least; constant rates do not identify {lost}."
            " Hint: add a run with a cosine, or one whose rate falls in the middle."
        )
    return FittedLaw(found, _least(found, paths, [np.log(one.losses) for one in kept]), tuple(kept))


@functools.partial(jax.jit, static_argnums=0)
def _logs(law: Law, logged: jax.Array, paths: list[Path]) -> jax.Array:
    """The logarithms of the losses at all points, from the logarithms of the parameters."""
    return jnp.log(jnp.maximum(jnp.concatenate([law(jnp.exp(logged), one) for one in paths]), 1e-6))


_slopes = jax.jit(jax.jacfwd(_logs, argnums=1), static_argnums=0)
_screened = jax.jit(jax.vmap(_logs, in_axes=(None, 0, None)), static_argnums=0)


def _least(law: Law, paths: list[Path], curves: list[np.ndarray]) -> dict[str, Parameter]:
    """The parameters that minimize the objective, given the paths and the log losses of some curves."""
    logs, ends = np.concatenate(curves), np.cumsum([len(one) for one in curves])[:-1]
    noise = np.median(np.abs(np.concatenate([np.diff(one, 2) for one in curves]))) / (0.6745 * 6**0.5)  # its scale, if normal
    scale, bound, count = max(_DELTA, float(noise)) * _ALIKE**0.5, _ALIKE**-0.5, len(logs)
    rows = [law.parameters.index(name) for name in law.priors]
    medians, widths = np.array(list(law.priors.values())).T
    prior = np.zeros((len(rows), len(law.parameters)))
    prior[range(len(rows)), rows] = 1.0 / widths

    def residuals(logged: np.ndarray) -> np.ndarray:
        errors = logs - np.asarray(_logs(law, jnp.asarray(logged, float), paths), np.float64)
        return np.concatenate([errors / scale, (logged[rows] - np.log(medians)) / widths])

    def slopes(logged: np.ndarray) -> np.ndarray:
        found = np.asarray(_slopes(law, jnp.asarray(logged, float), paths), np.float64)
        return np.concatenate([-found / scale, prior])

    def huber(z: np.ndarray) -> np.ndarray:  # of squares, with two derivatives; prior terms stay squared
        far, root = (z > 1.0) & (np.arange(len(z)) < count), np.sqrt(np.maximum(z, 1.0))
        return np.stack([np.where(far, 2 * root - 1, z), np.where(far, 1 / root, 1.0), np.where(far, -0.5 / root**3, 0.0)])

    starts = _starts(law, paths, curves)
    first = np.abs(logs - np.asarray(_screened(law, jnp.asarray(starts, float), paths))).mean(axis=1)
    best = min(
        (
            optimize.least_squares(residuals, starts[i], slopes, loss=huber, f_scale=bound, max_nfev=200)  # pyright: ignore[reportArgumentType]
            for i in np.argsort(np.nan_to_num(first, nan=np.inf))[:_REFINED]
        ),
        key=lambda one: one.cost,
    ).x
    # The covariance of an M-estimator, with the true parameters distributed like the prior.
    at, data = residuals(best)[:count], slopes(best)[:count]
    bounded = np.clip(at, -bound, bound)
    freedom = max(count / _inflation(np.split(bounded, ends)) - len(best), 1.0)
    variance = (bounded**2).sum() / freedom * (stats.t.ppf(0.975, freedom) / 1.96) ** 2
    squares = data.T @ data
    spread = prior.T @ prior + 1e-6 * np.eye(len(best))  # keeps it invertible, as for L0 near 0, whose interval is infinite
    inverse = np.linalg.inv(squares * max(np.mean(np.abs(at) < bound), 0.2) + spread)
    deviations = np.sqrt(np.diag(inverse @ (squares * variance + spread) @ inverse))
    with np.errstate(over="ignore"):
        intervals = np.exp(best + 1.96 * deviations * np.array([[0.0], [-1.0], [1.0]]))
    return {name: Parameter(*three) for name, three in zip(law.parameters, intervals.T.tolist(), strict=True)}


def _starts(law: Law, paths: list[Path], curves: list[np.ndarray]) -> np.ndarray:
    """Logarithms of random parameters, drawn from the priors and scaled so that the first curve starts at its measured loss."""
    random = np.random.default_rng(0)
    least, first, area = np.exp(np.min(np.concatenate(curves))), np.exp(curves[0][0]), float(paths[0].area[0])
    constant = least * random.uniform(0.5, 0.99, _STARTS)
    drawn = {name: median * np.exp(width * random.normal(size=_STARTS)) for name, (median, width) in law.priors.items()}
    scale = (first - constant) * area ** drawn["alpha"]
    gain = least * 10 ** random.uniform(-2.5, -0.5, _STARTS) / max(float(jnp.abs(one.drop).sum()) for one in paths)
    return np.log(np.stack([({"L0": constant, "A": scale, "B": gain} | drawn)[name] for name in law.parameters], axis=1))


def _inflation(curves: list[np.ndarray]) -> float:
    """How many residuals weigh as much as one independent residual: `(1 + r) / (1 - r)` with their autocorrelation r."""
    alike, squares = (sum(float(x[k:] @ x[: len(x) - k]) for x in curves) for k in (1, 0))
    r = float(np.clip(alike / max(squares, 1e-30), 0.0, 0.98))
    return (1.0 + r) / (1.0 - r)
