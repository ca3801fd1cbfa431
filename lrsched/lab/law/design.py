"""Optimizes the numbers of a schedule for the lowest predicted loss."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import math
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

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

_STARTS, _REFINED = 64, 3  # random starts of the search besides the schedule itself; the best starts are refined
_UNIT = 1e4  # scales the objective: a change of 1e-4 in the loss counts as 1

Make = Callable[[list[Any]], Schedule]


def optimized(law: FittedLaw, schedule: Any, free: Sequence[str] | None, steps: int | None) -> Schedule:
    """The schedule with its free numbers optimized for the lowest predicted loss at its last update."""
    if not isinstance(schedule, Schedule):
        raise TypeError(unexpected("optimize", "schedule", schedule, "a schedule", "for example a recipe, such as wsd"))
    if driven_parts(schedule):
        raise TypeError(unexpected("optimize", "schedule", schedule, "a schedule that is not driven"))
    if isinstance(free, str):
        raise TypeError(unexpected("optimize", "free", free, "a list of names", f"free=[{free!r}]"))
    if schedule.batch_shape:
        raise ValueError(unexpected("optimize", "schedule", schedule, "one schedule", "one of list(schedule) at a time"))
    end = float(schedule.length) if steps is None else float(steps)  # pyright: ignore[reportArgumentType]
    if not 1 < end < 2**31:
        raise ValueError(unexpected("optimize", "steps", steps, f"the number of updates, for {shown(schedule)} has no end"))
    last = np.array([math.ceil(end) - 1])
    at = points(last)
    highest = max(float(jnp.max(one.rates(np.arange(one.steps[-1] + 1)))) for one in law.curves)
    if (peak := float(jnp.max(schedule(at)))) > 1.001 * highest:
        expected = f"rates up to {highest:g}, the highest of the curves of the law"
        raise ValueError(f"optimize(schedule={shown(schedule)}): expected {expected}, got {peak:g}.")
    values, kinds, make = _numbers(schedule, free)
    start, parted = ravel_pytree([jnp.asarray(value, float) for value in values])
    bounds = [_bounds(value, kind, end, highest) for value, kind in zip(values, kinds, strict=True)]
    low, high = jnp.asarray(np.repeat(bounds, [value.size for value in values], axis=0).T, float)
    parameters = law.values.at[0].set(0.0)  # leaving out L0 keeps more digits

    def loss(x: jax.Array) -> jax.Array:  # x is scaled from 0 to 1 between the bounds
        return _UNIT * law.law(parameters, path(make(parted(low + (high - low) * x))(at), at, last))[0]

    slope = jax.jit(jax.value_and_grad(loss))
    first = jnp.clip((start - low) / (high - low), 0.0, 1.0)
    drawn = jnp.asarray(np.random.default_rng(0).uniform(size=(_STARTS, len(first))), float)
    screened = jax.jit(jax.vmap(loss))(drawn)
    tries = [
        optimize.minimize(
            lambda x: tuple(np.asarray(y, np.float64) for y in slope(jnp.asarray(x, float))),
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(first),
            options={"maxiter": 1000, "ftol": 1e-10, "gtol": 1e-4},
        )
        for x in (first, *drawn[jnp.argsort(screened)[:_REFINED]])
    ]
    best = low + (high - low) * jnp.asarray(min(tries, key=lambda one: one.fun).x, float)
    for share in np.linspace(1.0, 0.0, 101):  # moves back towards the start if the lengths add up to too much
        with contextlib.suppress(ValueError):
            found = parted(start + share * (best - start))
            return make([_rounded(x, kind) for x, kind in zip(found, kinds, strict=True)])
    return schedule


def _numbers(schedule: Schedule, free: Sequence[str] | None) -> tuple[list[np.ndarray], list[Spec], Make]:
    """The free numbers of a schedule, their specs, and a function that makes the schedule with other numbers."""
    call = _call(schedule)
    arguments = call.keywords
    names = ["ratios"] if free is None and "ratios" in arguments else list(free or [])
    if names and all(isinstance(arguments.get(name), (float, int, list)) for name in names):
        hints = typing.get_type_hints(inspect.unwrap(call.func), include_extras=True) | {"ratios": Ratios}
        values = [np.asarray(arguments[name], np.float64) for name in names]
        kinds = [spec_of(hints[name]) or Spec() for name in names]
        return values, kinds, lambda values: call(**dict(zip(names, values, strict=True)))
    leaves, structure = jax.tree_util.tree_flatten_with_path(schedule)
    fields = [[key.name for key in place if isinstance(key, jax.tree_util.GetAttrKey)][-1].rstrip("_") for place, _ in leaves]
    if not names or set(names) - set(fields):
        hint = f"names of {shown(schedule)} are {', '.join(dict.fromkeys([*arguments, *fields]))}"
        raise ValueError(unexpected("optimize", "free", free, "names of numbers that may move", hint))
    rows = [i for i, field in enumerate(fields) if field in names]
    kinds = list(specs(schedule))

    def changed(values: list[Any]) -> Schedule:
        found = dict(zip(rows, values, strict=True))
        return jax.tree.unflatten(structure, [found.get(i, leaf) for i, (_, leaf) in enumerate(leaves)])

    return [np.asarray(leaves[i][1], np.float64) for i in rows], [kinds[i] for i in rows], changed


def _call(schedule: Schedule) -> functools.partial[Schedule]:
    """The call of the recipe that made a schedule, with all arguments by name; empty without a recipe."""
    if not schedule._recipe:
        return functools.partial(lambda: schedule)
    tree: Any = ast.parse(schedule._recipe, mode="eval").body
    function = NAMES[ast.unparse(tree.func)]
    given = {one.arg: ast.literal_eval(one.value) for one in tree.keywords}
    bound = inspect.signature(function).bind(*map(ast.literal_eval, tree.args), **given)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    if arguments.get("ratios", 0) is None:  # monotone's straight line, as ratios that may move
        values = np.asarray(jax.tree.leaves(schedule)[-1])
        arguments |= {"points": None, "ratios": (values[1:] / values[:-1]).tolist()}
    return functools.partial(function, **arguments)


def _bounds(value: np.ndarray, kind: Spec, end: float, highest: float) -> tuple[float, float]:
    """The bounds of a number: its own; or the end for a length, the highest rate for a rate, else ten times the start."""
    low = max(kind.ge or 0.0, 0.0 if kind.gt is None else kind.gt + 1e-6)
    if kind.le is not None:
        return low, kind.le
    if kind.lt is not None:
        return low, kind.lt - 1e-6
    if kind.unit == "steps":
        return low, end
    return low, highest if np.all(value <= highest) else 10.0 * float(value.max())


def _rounded(x: jax.Array, kind: Spec) -> Any:
    """A number, or a list of numbers, as a person would write it: whole steps, or six digits."""
    return np.vectorize(lambda one: float(round(one)) if kind.unit == "steps" else float(f"{one:.6g}"))(x).tolist()
