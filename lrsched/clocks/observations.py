"""Observations: numbers by name, checked for misspelt names, and gathered over the small batches of one update."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from lrsched.algebra import numerics
from lrsched.algebra.written import unexpected
from lrsched.clocks.clock import Clock, as_number, count_of, counted, no_count, zero

Observations: TypeAlias = Mapping[str, Any]  # scalars by name, or None if not observed; or `Gathered`


def merged(call: str, mapping: Observations | None, named: Observations) -> dict[str, Any]:
    """Merges observations from a mapping and keywords. A TypeError if it is not a mapping, or a name is in both."""
    mapping = {} if mapping is None else mapping
    if not isinstance(mapping, Mapping):
        hint = "pass value=<number>, or {'value': <number>}"
        raise TypeError(unexpected(call, "observations", mapping, "a mapping from names to numbers", hint))
    if twice := sorted(name for name in set(mapping) & set(named) if not isinstance(mapping[name], Gathered)):
        raise TypeError(f"{call}(...): expected each observation once, got {', '.join(twice)} in the mapping and by keyword.")
    return {**named, **mapping}


def monitored_by(clocks: Iterable[Clock]) -> list[str]:
    """The names that any of the clocks monitors, sorted."""
    return sorted({name for clock in clocks for name in clock.monitors})


def check_spelling(call: str, monitored: Iterable[str], observations: Observations) -> None:
    """Raises a TypeError if a monitored name is missing and another name looks like a misspelling of it."""
    monitored = set(monitored)
    for missing in sorted(monitored - set(observations)):
        for name in observations:
            if name not in monitored and _is_misspelt(name, missing):
                raise TypeError(
                    f"{call}(...): no clock monitors {name!r} (monitored: {_listed(monitored)})."
                    f" Hint: did you mean {missing}=...?"
                )


def check_monitored(call: str, monitored: Iterable[str], observations: Observations, every: bool = False) -> None:
    """Raises a TypeError if a name is misspelt, or if names are given and none is monitored, or with `every`, one is not."""
    monitored = set(monitored)
    check_spelling(call, monitored, observations)
    unknown = [name for name in observations if name not in monitored]
    if unknown and (every or (monitored and len(unknown) == len(observations))):
        name = min(monitored, default="")
        recorded = f"write observations={{{name!r}: ...}}, or give this schedule's clock that name with monitor="
        hint = recorded if call in ("replay", "plot") else f"pass {name}=<number>, or {name}=None where there is none yet"
        hint = f" Hint: {hint}." if monitored else ""
        raise TypeError(f"{call}(...): no clock monitors {_listed(unknown)} (monitored: {_listed(monitored) or 'none'}).{hint}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _is_misspelt(name: str, meant: str) -> bool:
    """Whether names differ in case or separators, by one missing or extra letter, or by two letters that are swapped.

    One letter replaced by another may mean a different metric (`mse`, `mae`; `loss_a`, `loss_b`), and so may an extra first
    letter (`vloss`), a number (`loss2`) or a plural (`grads`).
    """
    if re.sub(r"[\W_]", "", name.lower()) == re.sub(r"[\W_]", "", meant.lower()):
        return name != meant
    short, long = sorted((name.lower(), meant.lower()), key=len)
    if len(short) < 3 or (long == f"{short}s" and not short.endswith("s")):
        return False
    swapped = (short[:i] + short[i : i + 2][::-1] + short[i + 2 :] for i in range(len(short)) if short[i : i + 2].isalpha())
    shortened = (long[:i] + long[i + 1 :] for i in range(1, len(long)) if long[i].isalpha())
    return long in swapped or short in shortened


def warn_of_missing(call: str, monitored: Iterable[str], observations: Observations, warned: set[str]) -> None:
    """Warns once about each monitored name that an update does not get. A name with the value None is not missing."""
    check_spelling(call, monitored, observations)
    for name in set(monitored) - set(observations) - warned:
        warned.add(name)
        others = sorted(set(observations) - set(monitored))
        got = f" (it got {', '.join(map(repr, others))})" if others else ""
        meant = f', or make the clock with monitor="{others[0]}"' if len(others) == 1 else ""
        warnings.warn(
            f"{call}(...): update was not given {name!r}{got}, so the clock that monitors it stands still, and its schedule"
            f" with it. Hint: pass {name}=<number> to update, or {name}=None if it comes between updates (lrsched.observe)"
            f"{meant}",
            stacklevel=users_level(),
        )


def users_level() -> int:
    """The `stacklevel` at which the caller's warning points to the user's line: the first frame outside the libraries."""
    libraries = ("lrsched", "optax", "jax", "flax", "equinox", "functools", "contextlib")
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in libraries:
        level, frame = level + 1, frame.f_back
    return level


# Gathering: the observations since the last update, for clocks that see one number per update.


WAYS = {"mean": jnp.add, "sum": jnp.add, "max": jnp.maximum, "count": counted}  # the ways to combine two totals


class Gathered(NamedTuple):
    """The observations of one name since the last update: their number, and a total for each way to combine them."""

    seen: jax.Array
    totals: dict[str, Any]

    @classmethod
    def nothing(cls, ways: Iterable[str]) -> Gathered:
        first = {way: jnp.full((), -jnp.inf if way == "max" else 0.0, numerics.float_type()) for way in ways}
        return cls(zero(), {way: no_count() if way == "count" else x for way, x in first.items()})

    def plus(self, name: str, value: Any) -> Gathered:
        """With one more observation, or all those of another `Gathered`."""
        if not isinstance(value, Gathered):
            call = f"accumulate({name}=...)"
            number = jnp.asarray(numerics.to_float(as_number(call, value)))
            value = Gathered(jnp.int32(1), {way: count_of(call, value) if way == "count" else number for way in self.totals})
        totals = {way: WAYS[way](total, value.totals[way]) for way, total in self.totals.items()}
        return Gathered(self.seen + value.seen, totals)

    def combined(self, how: str) -> Any:
        total = self.totals[how]
        return total / numerics.to_float(jnp.maximum(self.seen, 1)) if how == "mean" else total
