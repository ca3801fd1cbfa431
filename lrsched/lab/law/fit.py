"""Fits a law to recorded curves: least squares of log residuals, with a prior where the curves say little."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize  # comes with JAX

from lrsched.algebra.written import unexpected
from lrsched.lab.law.curves import Curve, Run, recorded
from lrsched.lab.law.laws import LAWS, Law, Path, path, points
from lrsched.lab.law.result import FittedLaw, Parameter

_DELTA = 1e-3  # log residuals above it count by their size, not its square; or above the noise, where that is larger
_ALIKE = 10.0  # neighbouring points, whose residuals count as one beside the prior
_STARTS, _REFINED = 256, 3  # where the search starts; the best of them go on


def fit_law(curves: Sequence[Run], law: str = "multi-power") -> FittedLaw:
    """Fits a law of the loss as a function of the schedule: `L(t) = L0 + A·S(t)^-alpha - B·Σₖ (ηₖ₋₁ - ηₖ)·G`.

    S(t) is the sum of the rates of the updates 0 to t, and ηₖ the rate of update k. In the "multi-power" law
    `G = 1 - (1 + C·ηₖ^-gamma·(S(t) - Sₖ₋₁))^-beta`, in the "momentum" law `G = 1 - exp(-(t - k + 1) / memory)`. Two or three
    runs are enough, such as a cosine, a constant rate, and a rate that falls in the middle of the run. The law does not
    extrapolate to other peaks, batch sizes or models.

    The fit minimizes the sum of `huber(log(loss) - log(L(t)))`. The exponents, C and the memory have a weak log-normal prior;
    `print(law)` names the parameters that it decides. Points during the warm-up are left out: the law does not hold there.

    Args:
        curves: (schedule, steps, losses) for each run: a schedule, a function of the step or an array with the rate of every
            update from 0 on; the numbers of the updates, rising, at which a loss was recorded; and the losses, above 0. A mean
            over many batches says more than the loss of one.
        law: "multi-power" or "momentum".

    Returns:
        A `FittedLaw`: `print(law)` shows the parameters with intervals, `law.predict` the curve of any schedule, and
        `law.optimize` improves one.

    Raises:
        TypeError: if a schedule is none, or driven, or the curves are no list of triples.
        ValueError: if there are fewer points than parameters, a number is not finite, steps do not rise, a rate is below 0 or
            0 until the first point, a loss does not fall, or no rate falls while losses are recorded.

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
    if not isinstance(curves, (list, tuple)) or not all(isinstance(one, (list, tuple)) and len(one) == 3 for one in curves):
        raise TypeError(unexpected("fit_law", "curves", curves, "a list of (schedule, steps, losses)"))
    kept = [recorded(*one) for one in curves]
    _check_together(found, kept)
    most = max(len(one.steps) for one in kept)

    def filled(x: np.ndarray) -> np.ndarray:  # all curves as one array: the last point again, as often as it takes
        return np.pad(x, (0, most - len(x)), mode="edge")

    segments = max(len(points(one.steps)) for one in kept)
    at = [points(one.steps, segments) for one in kept]
    rates = jnp.stack([jnp.asarray(one.rates(x), float) for one, x in zip(kept, at, strict=True)])
    paths = jax.jit(jax.vmap(path))(rates, np.stack(at), np.stack([filled(one.steps) for one in kept]))
    logs = jnp.asarray(np.log(np.stack([filled(one.losses) for one in kept])), float)
    known = np.arange(most) < np.array([[len(one.steps)] for one in kept])
    parameters, residuals = _least(found, paths, logs, known)
    return FittedLaw(
        found, parameters, tuple(dataclasses.replace(one, residuals=r) for one, r in zip(kept, residuals, strict=True))
    )


def _check_together(law: Law, curves: list[Curve]) -> None:
    """Raises an error if the parameters cannot be found from some curves."""
    if (points := sum(len(one.steps) for one in curves)) <= (least := len(law.parameters)):
        expected = f"more points after the warm-ups than the {least} parameters of the {law.name} law"
        raise ValueError(f"fit_law(curves=[...]): expected {expected}, got {points}.")
    if not any(one.decays for one in curves):
        lost = ", ".join(law.parameters[3:])
        raise ValueError(
            f"fit_law(curves=[...]): expected a rate that falls in one run at least; constant rates do not identify {lost}."
            " Hint: add a run with a cosine, or one whose rate falls in the middle."
        )


@functools.partial(jax.jit, static_argnums=0)
def _errors(law: Law, logged: jax.Array, paths: Path, logs: jax.Array) -> jax.Array:
    """The log residuals of parameters that are given by their logarithms, of shape (curves, n)."""
    return logs - jnp.log(jnp.maximum(jax.vmap(functools.partial(law, jnp.exp(logged)))(paths), 1e-6))


_slopes = jax.jit(jax.jacfwd(_errors, argnums=1), static_argnums=0)
_screened = jax.jit(jax.vmap(_errors, in_axes=(None, 0, None, None)), static_argnums=0)


def _least(law: Law, paths: Path, logs: jax.Array, known: np.ndarray) -> tuple[dict[str, Parameter], list[np.ndarray]]:
    """The parameters with the least objective, and the log residuals of each curve."""
    noise = np.median(np.abs(np.diff(logs, 2)[known[:, 2:]])) / (0.6745 * 6**0.5)  # of second differences, if it is normal
    delta, count = max(_DELTA, float(noise)), int(known.sum())
    rows = [law.parameters.index(name) for name in law.priors]
    medians, widths = map(np.array, zip(*law.priors.values(), strict=True))
    prior = np.zeros((len(rows), len(law.parameters)))
    prior[range(len(rows)), rows] = 1.0 / widths

    def residuals(logged: np.ndarray) -> np.ndarray:
        errors = np.asarray(_errors(law, jnp.asarray(logged, float), paths, logs), np.float64)[known]
        return np.concatenate([errors / delta, _ALIKE**0.5 * (logged[rows] - np.log(medians)) / widths])

    def slopes(logged: np.ndarray) -> np.ndarray:
        found = np.asarray(_slopes(law, jnp.asarray(logged, float), paths, logs), np.float64)[known]
        return np.concatenate([found / delta, _ALIKE**0.5 * prior])

    def huber(z: np.ndarray) -> np.ndarray:  # of the squares, with two derivatives; the prior is a square throughout
        far, root = (z > 1.0) & (np.arange(len(z)) < count), np.sqrt(np.maximum(z, 1.0))
        return np.stack([np.where(far, 2 * root - 1, z), np.where(far, 1 / root, 1.0), np.where(far, -0.5 / root**3, 0.0)])

    starts = _starts(law, paths, np.asarray(logs), known)
    first = np.abs(np.asarray(_screened(law, jnp.asarray(starts, float), paths, logs))[:, known]).mean(axis=1)
    tries = [
        optimize.least_squares(residuals, starts[i], slopes, loss=huber, max_nfev=200)  # pyright: ignore[reportArgumentType]
        for i in np.argsort(np.nan_to_num(first, nan=np.inf))[:_REFINED]
    ]
    best = min(tries, key=lambda one: one.cost).x
    at, data = residuals(best)[:count], slopes(best)[:count]
    # The covariance of an M-estimator, in which the prior says how the truth is spread.
    bounded = np.clip(at, -1.0, 1.0)
    variance = (bounded**2).sum() / max(count - len(best), 1) * _inflation(bounded, known)
    squares = data.T @ data / _ALIKE
    spread = prior.T @ prior + 1e-6 * np.eye(len(best))  # a constant near 0, for one, has an endless interval
    inverse = np.linalg.inv(squares * max(np.mean(np.abs(at) < 1.0), 0.2) + spread)
    deviations = np.sqrt(np.diag(inverse @ (squares * variance / _ALIKE + spread) @ inverse))
    found = {}
    for name, x, deviation in zip(law.parameters, best, deviations, strict=True):
        with np.errstate(over="ignore"):
            low, value, high = np.exp(x + 1.96 * deviation * np.array([-1.0, 0.0, 1.0])).tolist()
        found[name] = Parameter(value, low, high, deviation / law.priors[name][1] if name in law.priors else 0.0)
    return found, np.split(at * delta, np.cumsum(known.sum(axis=1))[:-1])


def _starts(law: Law, paths: Path, logs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The logarithms of parameters, at random: of the priors, and such that the first curve starts where it does."""
    random = np.random.default_rng(0)
    least, first, area = np.exp(logs[known].min()), np.exp(logs[0, 0]), float(paths.area[0, 0])
    constant = least * random.uniform(0.5, 0.99, _STARTS)
    drawn = {name: median * np.exp(width * random.normal(size=_STARTS)) for name, (median, width) in law.priors.items()}
    scale = (first - constant) * area ** drawn["alpha"]
    gain = least * 10 ** random.uniform(-2.5, -0.5, _STARTS) / float(jnp.abs(paths.drop).sum(axis=1).max())
    return np.log(np.stack([({"L0": constant, "A": scale, "B": gain} | drawn)[name] for name in law.parameters], axis=1))


def _inflation(values: np.ndarray, known: np.ndarray) -> float:
    """How many neighbouring residuals say as much as an independent one: `(1 + r) / (1 - r)`, r their autocorrelation."""
    grid = np.zeros(known.shape)
    grid[known] = values
    both = known[:, 1:] & known[:, :-1]
    r = np.clip((grid[:, 1:] * grid[:, :-1])[both].mean() / max((values**2).mean(), 1e-30), 0.0, 0.98)
    return float((1.0 + r) / (1.0 - r))
