"""Moves numbers of a schedule to the least predicted loss."""

from __future__ import annotations

import ast
import inspect
import math
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy import optimize  # comes with JAX

from lrsched.algebra.arguments import spec_of
from lrsched.algebra.combinators import driven_parts
from lrsched.algebra.decays import Ratios
from lrsched.algebra.node import Spec, specs
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import NAMES, shown, unexpected
from lrsched.lab.law.laws import path, points

if TYPE_CHECKING:
    from lrsched.lab.law.result import FittedLaw

_STARTS, _REFINED = 64, 3  # where the search starts, beside the schedule itself; the best of them go on
_UNIT = 1e4  # of the objective: a change by 1e-4 of the loss counts as 1


class Free(NamedTuple):
    """A number that moves, or a list of them."""

    value: np.ndarray
    low: float
    high: float
    whole: bool  # of steps


def optimized(law: FittedLaw, schedule: Any, free: Sequence[str] | None, steps: int | None) -> Schedule:
    """The schedule with the numbers that are free moved to the least loss of its last update."""
    if not isinstance(schedule, Schedule) or driven_parts(schedule):
        raise TypeError(unexpected("optimize", "schedule", schedule, "a schedule that is not driven"))
    if schedule.batch_shape:
        raise ValueError(unexpected("optimize", "schedule", schedule, "one schedule", "one of unstack(schedule) at a time"))
    end = float(schedule.length) if steps is None else float(steps)  # pyright: ignore[reportArgumentType]
    if not 1 < end < 2**31:
        raise ValueError(unexpected("optimize", "steps", steps, f"the number of updates, for {shown(schedule)} has no end"))
    last = np.array([math.ceil(end) - 1])
    at, highest = points(last), law.highest
    if (peak := float(jnp.max(schedule(at)))) > 1.001 * highest:
        raise ValueError(
            f"optimize(schedule={shown(schedule)}): expected rates up to {highest:g}, the highest of the curves of the law, got"
            f" {peak:g}."
        )
    numbers, make = _numbers(schedule, free, end, highest)
    start, parted = ravel_pytree([jnp.asarray(one.value, float) for one in numbers])
    low, high = (
        np.concatenate([np.full(np.size(one.value), bound) for one, bound in zip(numbers, bounds, strict=True)])
        for bounds in ([one.low for one in numbers], [one.high for one in numbers])
    )
    unit = np.where(np.isfinite(high), high, np.maximum(start, 1.0)) - low
    parameters = law.values.at[0].set(0.0)  # without L0 there are more digits

    def loss(x: jax.Array) -> jax.Array:
        rates = make(parted(jnp.asarray(low, float) + jnp.asarray(unit, float) * x))(at)
        return _UNIT * law.law(parameters, path(rates, at, last))[0]

    slope = jax.jit(jax.value_and_grad(loss))
    first = (np.clip(np.asarray(start, np.float64), low, high) - low) / unit
    drawn = np.random.default_rng(0).uniform(size=(_STARTS, len(first))) * np.minimum((high - low) / unit, 2.0)
    losses = np.asarray(jax.jit(jax.vmap(loss))(jnp.asarray(drawn, float)))
    tries = [
        optimize.minimize(
            lambda x: tuple(np.asarray(y, np.float64) for y in slope(jnp.asarray(x, float))),
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(np.zeros(len(first)), (high - low) / unit, strict=True)),
            options={"maxiter": 1000, "ftol": 1e-10, "gtol": 1e-4},
        )
        for x in (first, *drawn[np.argsort(losses)[:_REFINED]])
    ]
    best = low + unit * min(tries, key=lambda one: one.fun).x
    for share in np.linspace(1.0, 0.0, 101):  # back towards the start if the lengths are too long together
        found = parted(start + jnp.asarray(share * (best - np.asarray(start)), float))
        try:
            return make([_rounded(x, one.whole) for x, one in zip(found, numbers, strict=True)])
        except ValueError:
            continue
    return schedule


Make = Callable[[list[Any]], Schedule]


def _numbers(schedule: Schedule, free: Sequence[str] | None, end: float, highest: float) -> tuple[list[Free], Make]:
    """The free numbers of a schedule, and the function that makes the schedule of others in their place."""
    function, arguments = _call(schedule)
    names = ["ratios"] if free is None and "ratios" in arguments else list(free or [])
    if function is not None and names and all(isinstance(arguments.get(name), (float, int, list)) for name in names):
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True) | {"ratios": Ratios}
        kept = [(np.asarray(arguments[name], np.float64), spec_of(hints[name]) or Spec()) for name in names]

        def call(values: list[Any]) -> Schedule:
            return function(**arguments | dict(zip(names, values, strict=True)))

        return [_free(value, spec, end, highest) for value, spec in kept], call
    leaves, structure = jax.tree_util.tree_flatten_with_path(schedule)
    fields = [_field(place) for place, _ in leaves]
    if not names or set(names) - set(fields):
        known = ", ".join(dict.fromkeys([*arguments, *fields]))
        hint = f"names of {shown(schedule)} are {known}"
        raise ValueError(unexpected("optimize", "free", free, "names of numbers that may move", hint))
    rows = [i for i, field in enumerate(fields) if field in names]
    numbers = [
        _free(np.asarray(leaves[i][1], np.float64), spec, end, highest) for i, spec in enumerate(specs(schedule)) if i in rows
    ]

    def changed(values: list[Any]) -> Schedule:
        found = dict(zip(rows, values, strict=True))
        return jax.tree.unflatten(structure, [found.get(i, leaf) for i, (_, leaf) in enumerate(leaves)])

    return numbers, changed


def _call(schedule: Schedule) -> tuple[Callable[..., Schedule] | None, dict[str, Any]]:
    """The recipe that made a schedule, and its arguments."""
    if not schedule._recipe:
        return None, {}
    tree: Any = ast.parse(schedule._recipe, mode="eval").body
    function = NAMES[ast.unparse(tree.func)]
    given = {one.arg: ast.literal_eval(one.value) for one in tree.keywords}
    bound = inspect.signature(function).bind(*map(ast.literal_eval, tree.args), **given)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    if arguments.get("ratios", 0) is None:  # the line of monotone, which may move
        values = np.asarray(jax.tree.leaves(schedule)[-1])
        arguments |= {"points": None, "ratios": (values[1:] / values[:-1]).tolist()}
    return function, arguments


def _free(value: np.ndarray, spec: Spec, end: float, highest: float) -> Free:
    """A number with its bounds: of a length the run, of a rate the highest of the law."""
    whole = spec.unit == "steps"
    low = max(spec.ge or 0.0, 0.0 if spec.gt is None else spec.gt + 1e-6)
    if spec.le is not None or spec.lt is not None:
        high = spec.le if spec.le is not None else float(spec.lt) - 1e-6  # pyright: ignore[reportArgumentType]
    else:
        high = end if whole else highest if np.all(value <= highest) else math.inf
    return Free(value, low, high, whole)


def _rounded(x: jax.Array, whole: bool) -> Any:
    """A number, or a list of them, as a person would write it: whole, or with six digits."""
    return np.vectorize(lambda one: float(round(one)) if whole else float(f"{one:.6g}"))(x).tolist()


def _field(place: tuple[Any, ...]) -> str:
    """The name of the field that a leaf of a tree is in."""
    return [key.name for key in place if isinstance(key, jax.tree_util.GetAttrKey)][-1].rstrip("_")
