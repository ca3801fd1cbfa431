"""A fitted law: its parameters, its curves and its predictions."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import unexpected
from lrsched.lab.law.curves import Curve, Rated, Run, as_rates
from lrsched.lab.law.laws import Law, points, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BY_PRIOR = 0.7  # of the width of a prior: with a wider interval, a parameter is decided by it


class Parameter(NamedTuple):
    """A parameter with its 95 % interval, and how wide that is beside the prior's: 0 without one, 1 if nothing was learned."""

    value: float
    low: float
    high: float
    of_prior: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FittedLaw:
    """A law of the loss as a function of the schedule, with the parameters that fit some curves.

    Args:
        law: its formula.
        parameters: by name.
        curves: the recorded runs that it was fitted to.
    """

    law: Law
    parameters: dict[str, Parameter]
    curves: tuple[Curve, ...]

    def predict(self, schedule: Rated, steps: ArrayLike) -> jax.Array:
        """The loss at some steps of a run with a schedule. It can be jitted and differentiated by the numbers of the schedule.

        Args:
            schedule: a schedule or a batch of them, a function of the step, or an array with the rate of every update.
            steps: the number of an update from 0 on, or an array of them, of shape (n,); known while tracing.

        Returns:
            The losses: of the shape of the steps; for a batch, of batch shape + that. Before the first rate above 0 they have
            no meaning.

        Raises:
            TypeError: if the schedule is driven, or the steps are traced.
            ValueError: if a step is below 0 or no whole number, or an array of rates is too short.
        """
        if isinstance(steps, Tracer):
            hint = "close over them, as in jax.jit(lambda schedule: law.predict(schedule, steps))"
            raise TypeError(unexpected("predict", "steps", steps, "steps that are known while tracing", hint))
        asked = np.atleast_1d(np.asarray(steps, np.float64))
        if asked.ndim != 1 or not asked.size or not np.all((asked >= 0) & (asked < 2**31) & (asked % 1 == 0)):
            raise ValueError(unexpected("predict", "steps", steps, "whole numbers >= 0, at most one axis of them"))
        rates = as_rates("predict", schedule, int(asked.max()))
        at = points(asked)

        def curve(rates: Any) -> jax.Array:
            return predicted(self.law, self.values, rates(at), at, asked)

        if isinstance(rates, Schedule):
            for _ in rates.batch_shape:
                curve = jax.vmap(curve)
        found = curve(rates)
        return found if np.ndim(steps) else found[..., 0]

    @property
    def values(self) -> jax.Array:
        """The parameters alone, in their order."""
        return jnp.asarray([one.value for one in self.parameters.values()], float)

    def optimize(self, schedule: Schedule, free: Sequence[str] | None = None, steps: int | None = None) -> Schedule:
        """The schedule with some of its numbers moved, by gradient, to the least predicted loss at its end.

        A rate stays between 0 and the highest rate of the curves, for the law does not extrapolate to higher ones; a length
        stays between 0 and the end of the run. Lengths of the result are whole.

        Args:
            schedule: where to start: a recipe, such as `wsd(3e-4, 2160, 24_000, 4_000)`, or any other schedule.
            free: the names of the numbers that move: arguments of the recipe, such as ["decay_steps", "end"], or fields of the
                nodes, such as ["stop"], which moves every number of that name. None: the ratios of `monotone`.
            steps: the number of updates of the run. None: the length of the schedule.

        Raises:
            TypeError: if it is no schedule, or a driven one.
            ValueError: if nothing or an unknown name is free, or the schedule is a batch, or has no end and `steps` is None.
        """
        from lrsched.lab.law.design import optimized

        return optimized(self, schedule, free, steps)

    @property
    def highest(self) -> float:
        """The highest rate of the curves."""
        return max(float(np.max(one.rates(np.arange(one.steps[-1] + 1)))) for one in self.curves)

    def __str__(self) -> str:
        lines = [
            f"{self.law.name} law, fitted to {len(self.curves)} curves, {sum(len(one.steps) for one in self.curves)} points",
            f"L(t) = L0 + A·S(t)^-alpha - B·Σₖ (ηₖ₋₁ - ηₖ)·({self.law.formula})",
            "parameter      value   95 % interval",
            *(f"{name:9} {one.value:10.4g}   {one.low:.4g} to {one.high:.4g}" for name, one in self.parameters.items()),
            "curve                                                     steps    MAE      R²",
        ]
        for one in self.curves:
            errors = one.losses - one.predicted
            r2 = 1.0 - np.mean(errors**2) / np.var(one.losses)
            lines.append(f"{one.name:56.56} {one.steps[-1]:6d}  {np.mean(np.abs(errors)):.4f}  {r2:.4f}")
        if guessed := [name for name, one in self.parameters.items() if one.of_prior > _BY_PRIOR]:
            lines.append(f"The curves hardly determine {', '.join(guessed)}: the prior does.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={one.value:.4g}" for name, one in self.parameters.items())
        return f"<FittedLaw {self.law.name}: {found}>"

    def plot(self, *curves: Run | tuple[Rated, ArrayLike, None]) -> "Figure":
        """Draws measured and predicted losses, the residuals, and the schedules, each below the other.

        Args:
            curves: more of them, as `fit_law` takes them, such as those of a test; or a schedule and steps alone, without
                losses, as `(schedule, steps, None)`. The curves of the fit are drawn too.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: if matplotlib is missing.
        """
        from lrsched.lab.law.picture import draw

        return draw(self, curves)
