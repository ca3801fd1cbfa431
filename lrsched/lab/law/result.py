"""A fitted law: its parameters, its curves and its predictions."""

import dataclasses
import functools
import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import unexpected
from lrsched.lab.law.curves import Curve, Rated, Run, as_rates, corners
from lrsched.lab.law.design import optimized
from lrsched.lab.law.laws import Law, mesh, path

_NUMBERS = 2**24  # in a matrix of steps and segments; beyond that, steps are predicted in parts
_BY_PRIOR = 0.7  # if an interval is wider than this share of the prior's, the prior decides the parameter


class Parameter(NamedTuple):
    """A parameter with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FittedLaw:
    """A law of the loss as a function of the schedule, with the parameters that fit some curves.

    Args:
        law: its formula.
        parameters: by name.
        curves: the recorded runs that the law was fitted to.
    """

    law: Law
    parameters: dict[str, Parameter]
    curves: tuple[Curve, ...]

    def predict(self, schedule: Rated, steps: ArrayLike) -> jax.Array:
        """The loss at some steps of a run. It can be jitted, and differentiated with respect to the numbers of the schedule.

        Up to step 16,383 the sum is over every step. Later steps use segments between the first 1,000 corners of the schedule.
        The corners of a function, an array or a traced schedule are unknown: 256 equal segments up to the last step are used
        instead, and shorter phases are not resolved.

        Args:
            schedule: a schedule or a batch of them, a function of the step, or an array with the rate of every update.
            steps: the number of an update, from 0, or an array of shape (n,); known while tracing.

        Returns:
            The losses in the shape of the steps, after the batch shape if there is one. They mean nothing before the first
            rate above 0.

        Raises:
            TypeError: if the schedule is driven, or the steps are traced.
            ValueError: if a step is below 0 or not whole, or an array of rates is too short.
        """
        if isinstance(steps, Tracer):
            hint = "close over them, as in jax.jit(lambda schedule: law.predict(schedule, steps))"
            raise TypeError(unexpected("predict", "steps", steps, "steps that are known while tracing", hint))
        asked = np.atleast_1d(np.asarray(steps, np.float64))
        if asked.ndim != 1 or not asked.size or not np.all((asked >= 0) & (asked < 2**31) & (asked % 1 == 0)):
            raise ValueError(unexpected("predict", "steps", steps, "whole numbers >= 0, at most one axis of them"))
        rates = as_rates("predict", schedule, int(asked.max()))
        at = mesh(asked, corners(rates))
        most = max(_NUMBERS // len(at), 1)

        def curve(rates: Any, /) -> jax.Array:
            whole = path(rates(at), at, asked)
            parts = (
                whole._replace(step=whole.step[i : i + most], area=whole.area[i : i + most]) for i in range(0, len(asked), most)
            )
            return jnp.concatenate([self.law(self.values, part) for part in parts])

        if isinstance(rates, Schedule):
            for _ in rates.batch_shape:
                curve = functools.partial(jax.lax.map, curve)  # needs less memory than vmap
        found = curve(rates)
        return found if np.ndim(steps) else found[..., 0]

    @property
    def values(self) -> jax.Array:
        """The values of the parameters, in the order of the law."""
        return jnp.asarray([one.value for one in self.parameters.values()], float)

    def optimize(self, schedule: Schedule, free: Sequence[str] | None = None, steps: int | None = None) -> Schedule:
        """The schedule with some of its numbers optimized, by gradient, for the lowest predicted loss at its end.

        Rates stay between 0 and the highest rate of the curves, because the law does not extrapolate to higher ones. Lengths
        stay between 0 and the end of the run, and are rounded to whole steps. Other numbers stay below ten times their start.

        Args:
            schedule: where to start: a recipe, such as `wsd(3e-4, 2160, 24_000, 4_000)`, or any other schedule.
            free: the names of the numbers to optimize: arguments of the recipe, such as ["decay_steps", "end"], or fields of
                the nodes, such as ["end"], which frees every number of that name. None: the ratios of `monotone`.
            steps: the number of updates of the run. None: the length of the schedule.

        Raises:
            TypeError: if `schedule` is not a schedule, or is driven, or `free` is not a list.
            ValueError: if `free` is empty or has an unknown name, if a rate is above those of the curves, or if the schedule is
                a batch, or has no end and `steps` is None.
        """
        return optimized(self, schedule, free, steps)

    def __str__(self) -> str:
        lines = [
            f"{self.law.name} law, fitted to {len(self.curves)} curves, {sum(len(one.steps) for one in self.curves)} points",
            textwrap.fill(f"L(t) = L0 + A·S(t)^-alpha - B·Σₖ (ηₖ₋₁ - ηₖ)·({self.law.formula})", 80),
            "parameter      value   95 % interval",
            *(f"{name:9} {one.value:10.4g}   {one.low:.4g} to {one.high:.4g}" for name, one in self.parameters.items()),
            "curve                                                     steps    MAE      R²",
        ]
        for one in self.curves:
            errors = one.losses - np.asarray(self.predict(one.rates, one.steps))
            r2 = 1.0 - np.mean(errors**2) / np.var(one.losses)
            lines.append(f"{one.name:56.56} {one.steps[-1]:6d}  {np.mean(np.abs(errors)):.4f}  {r2:.4f}")
        wide = {name: math.log(self.parameters[name].high / self.parameters[name].low) for name in self.law.priors}
        if guessed := [name for name, (_, width) in self.law.priors.items() if wide[name] > _BY_PRIOR * 2 * 1.96 * width]:
            lines.append(f"The curves hardly determine {', '.join(guessed)}: the prior does.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={one.value:.4g}" for name, one in self.parameters.items())
        return f"<FittedLaw {self.law.name}: {found}>"

    def plot(self, *curves: Run | tuple[Rated, ArrayLike, None]) -> np.ndarray:
        """Draws measured and predicted losses, the residuals, and the schedules, one below the other.

        Args:
            curves: more curves to draw, in the form that `fit_law` takes; `(schedule, steps, None)` if there are no losses.

        Returns:
            The three Axes, as an array.

        Raises:
            ImportError: if matplotlib is missing.
        """
        from lrsched.lab.law.picture import draw

        return draw(self, curves)
