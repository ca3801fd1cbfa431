"""Laws of the loss as a function of the schedule: `L(t) = L0 + A·S(t)^-alpha - B·Σₖ (ηₖ₋₁ - ηₖ)·Gₖ(t)`.

S(t) is the sum of the rates of the updates 0 to t. The first two terms are the loss at a constant rate; the sum is the gain
from lower rates. It is delayed: Gₖ rises from 0 to 1 as training continues after decrement k. The laws differ in G.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SEGMENTS = 256  # the fewest between step 0 and the last; the requested steps are ends of segments, too
WITHIN = 64  # points per segment at which the schedule is evaluated
_MOST = 512  # the most requested steps that become ends of segments
_EVERY = SEGMENTS * WITHIN  # up to this step, a prediction sums over every step

Rates = Callable[[np.ndarray], jax.Array]  # steps → rates, elementwise


class Path(NamedTuple):
    """The data that a law needs: a schedule at n steps, and the decrements of its rate in m segments."""

    step: jax.Array  # (n,)
    area: jax.Array  # (n,) S(t), the sum of the rates up to the step
    drop: jax.Array  # (m,) the rate before the segment minus the rate at its end; negative if it rises
    drop_step: jax.Array  # (m,) the last step before the decrement: a mean, weighted by the decrements within the segment
    drop_area: jax.Array  # (m,) S at that step, averaged alike
    drop_rate: jax.Array  # (m,) the rate after the decrement, averaged alike but geometrically


@dataclasses.dataclass(frozen=True, eq=False)
class Law:
    """A law, defined by its G. All of its parameters are above 0.

    Args:
        name: its name.
        formula: G as text.
        priors: the median and the width of a log-normal distribution, for some of the parameters.
        response: G as a function of the sum of the rates after a decrement, the steps after it, the rate after it, and
            the parameters.
    """

    name: str
    formula: str
    priors: dict[str, tuple[float, float]]
    response: Callable[..., jax.Array]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return ("L0", "A", "alpha", "B", *(name for name in self.priors if name != "alpha"))

    @functools.partial(jax.jit, static_argnums=0)
    def __call__(self, parameters: Any, path: Path) -> jax.Array:
        """The loss at the n steps of a path."""
        constant, scale, alpha, gain, *others = parameters
        area = jnp.maximum(path.area[:, None] - path.drop_area[None], 0.0)
        steps = jnp.maximum(path.step[:, None] - path.drop_step[None], 0.0)
        drops = self.response(area, steps, path.drop_rate[None], *others) @ path.drop
        return constant + scale * path.area**-alpha - gain * drops


def _power(area: jax.Array, steps: jax.Array, rate: jax.Array, c: Any, beta: Any, gamma: Any) -> jax.Array:
    del steps
    return 1.0 - (1.0 + c * rate**-gamma * area) ** -beta


def _momentum(area: jax.Array, steps: jax.Array, rate: jax.Array, memory: Any) -> jax.Array:
    del area, rate
    return -jnp.expm1(-steps / memory)


def _combined(
    area: jax.Array, steps: jax.Array, rate: jax.Array, c: Any, beta: Any, gamma: Any, memory: Any, odds: Any
) -> jax.Array:
    return (odds * _power(area, steps, rate, c, beta, gamma) + _momentum(area, steps, rate, memory)) / (odds + 1.0)


# The medians of C, beta and gamma are those that Luo et al. published for three sizes of language models. The widths, and the
# other medians, were chosen by predicting each curve of the training split from the other two.
_ALPHA = {"alpha": (0.5, 0.3)}
_SHAPE = {"C": (2.05, 0.3), "beta": (0.59, 0.3), "gamma": (0.64, 0.3)}
_POWER, _MEMORY = "1 - (1 + C·ηₖ^-gamma·(S(t) - Sₖ₋₁))^-beta", "1 - exp(-(t - k + 1) / memory)"
LAWS = {
    law.name: law
    for law in (
        Law("multi-power", _POWER, _ALPHA | _SHAPE, _power),
        Law("momentum", _MEMORY, _ALPHA | {"memory": (1000.0, 1.5)}, _momentum),
        Law(
            "combined",
            f"(odds·({_POWER}) + {_MEMORY}) / (odds + 1)",
            _ALPHA | _SHAPE | {"memory": (1000.0, 1.0), "odds": (1.0, 0.6)},
            _combined,
        ),
    )
}


def points(steps: np.ndarray) -> np.ndarray:
    """The steps at which to evaluate a schedule to predict its losses at some steps: one row per segment, end to end."""
    return _rows(np.linspace(0, steps.max(), SEGMENTS + 1), steps)


def mesh(steps: np.ndarray, corners: np.ndarray | None) -> np.ndarray:
    """The points of a prediction: every step if there are few, else segments within the phases between the corners.

    The segments after the last corner grow. If the corners are known, no segment depends on the last step; segments after it
    are empty, so that arrays come in few shapes.
    """
    last = max(int(steps.max()), 1)
    if last < _EVERY:
        return np.minimum(np.arange(2 ** last.bit_length())[:, None] + np.arange(2), last).astype(np.int32)
    if corners is None:
        return points(steps)
    corners = np.unique([0.0, *np.ceil(corners[corners < 2**31])])
    count = int(np.clip(8000 // len(corners), 32, SEGMENTS))
    inside = corners[:-1, None] + np.diff(corners)[:, None] * np.arange(count) / count
    after = corners[-1] + np.geomspace(1, 2**31, 4 * SEGMENTS)
    return _rows([*inside.ravel(), *(corners[1:] - 1), corners[-1], *after], steps)  # a jump lies between two ends


def _rows(ends: Any, steps: np.ndarray) -> np.ndarray:
    """The points of the segments between given ends and the requested steps."""
    asked = np.unique(steps)
    last = max(asked[-1], 1)
    ends = np.sort(np.minimum(np.round([0, *ends, *asked[:: -(-len(asked) // _MOST)], last]), last)).astype(np.int64)
    return (ends[:-1, None] + np.diff(ends)[:, None] * np.arange(WITHIN + 1)[None] // WITHIN).astype(np.int32)


@jax.jit
def path(rates: jax.Array, points: Any, steps: Any) -> Path:
    """The path of the rates at some points. Sums are exact in segments of up to `WITHIN` steps, and for straight lines."""
    gaps = jnp.asarray(jnp.diff(points), float)  # of integers: float32 is not exact for late steps
    points, steps, rates = (jnp.asarray(x, float) for x in (points, steps, rates))
    before, after = rates[:, :-1], rates[:, 1:]
    areas = 0.5 * ((gaps + 1.0) * after + (gaps - 1.0) * before)  # sums over the updates after a point, up to the next
    totals = rates[0, 0] + jnp.concatenate([jnp.zeros(1), jnp.cumsum(areas.sum(axis=1))])
    weights = jnp.abs(before - after) + 1e-18  # tiny, but its square is above 0
    weights = weights / weights.sum(axis=1, keepdims=True)
    ends = jnp.concatenate([points[:, 0], points[-1:, -1]])
    return Path(
        step=steps,
        area=jnp.maximum(jnp.interp(steps, ends, totals), 1e-12),
        drop=rates[:, 0] - rates[:, -1],
        drop_step=(weights * points[:, :-1]).sum(axis=1),
        drop_area=(weights * (totals[:-1, None] + jnp.cumsum(areas, axis=1) - areas)).sum(axis=1),
        drop_rate=jnp.exp((weights * jnp.log(jnp.maximum(after, 1e-12))).sum(axis=1)),
    )
