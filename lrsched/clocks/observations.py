"""What clocks are given: numbers by name, checked for misspelt names, and gathered over the small batches of one update."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from lrsched.algebra import numerics
from lrsched.algebra.written import shown
from lrsched.clocks.clock import Clock
from lrsched.clocks.counts import as_number, count_of, counted, no_count

Observations: TypeAlias = Mapping[str, Any]  # scalars by name, None for what was not observed; or `Gathered`


def merged(call: str, mapping: Observations | None, named: Observations) -> dict[str, Any]:
    """Observations given as one mapping and by keyword, in one dict.

    Raises a TypeError for what is no mapping, and for a name that is given in both ways.
    """
    mapping = {} if mapping is None else mapping
    if not isinstance(mapping, Mapping):
        raise TypeError(
            f"{call}(...): expected observations as a mapping from names to numbers, got {shown(mapping)}"
            f" ({type(mapping).__name__}). Hint: pass value=<number>, or {{'value': <number>}}"
        )
    if twice := sorted(name for name in set(mapping) & set(named) if not isinstance(mapping[name], Gathered)):
        raise TypeError(f"{call}(...): expected each observation once, got {', '.join(twice)} in the mapping and by keyword")
    return {**named, **mapping}


def monitored_by(clocks: Iterable[Clock]) -> list[str]:
    """The names that some clock monitors, sorted."""
    return sorted({name for clock in clocks for name in clock.monitors})


# Names.


def check_spelling(call: str, monitored: Iterable[str], observations: Observations) -> None:
    """Raises a TypeError if a monitored name is missing, and what was given instead looks like a misspelling of it."""
    monitored = set(monitored)
    for missing in sorted(monitored - set(observations)):
        for name in observations:
            if name not in monitored and _is_misspelt(name, missing):
                raise TypeError(
                    f"{call}(...): no clock monitors {name!r} (monitored: {_listed(monitored)})."
                    f" Hint: did you mean {missing}=...?"
                )


def check_monitored(call: str, monitored: Iterable[str], observations: Observations) -> None:
    """Raises a TypeError if observations were given, and none of them is monitored. (Without clocks anything goes.)"""
    monitored = set(monitored)
    check_spelling(call, monitored, observations)
    if monitored and observations and not monitored & set(observations):
        raise TypeError(
            f"{call}(...): no clock monitors {_listed(observations)} (monitored: {_listed(monitored)})."
            f" Hint: pass {min(monitored)}=<number>, or {min(monitored)}=None where there is none yet"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _is_misspelt(name: str, meant: str) -> bool:
    """Whether a name is one letter, or its case or its underscores, away from another.

    Names that differ in a number, in a short word, in a first letter or as singular and plural (`loss_1`, `loss_2`; `mse`,
    `mae`; `vloss`, `loss`; `grad`, `grads`) are taken for different metrics.
    """
    words, others = _words(name), _words(meant)
    if "".join(words) == "".join(others):
        return name != meant
    differing = [(a, b) for a, b in zip(words, others, strict=False) if a != b]
    if len(words) != len(others) or len(differing) != 1:
        return False
    short, long = sorted(differing[0], key=len)
    if short[0] != long[0] or short.isdigit() or len(short) < 3:
        return False
    if len(short) < len(long):  # a letter more
        is_plural = long == f"{short}s" and not short.endswith("s")
        return not is_plural and any(short == long[:i] + long[i + 1 :] for i in range(len(long)))
    letters = [(a, b) for a, b in zip(short, long, strict=True) if a != b]
    is_swapped = len(letters) == 2 and letters[0] == letters[1][::-1]
    return is_swapped or (len(letters) == 1 and len(short) >= 5)  # mse and mae are two metrics


def _words(name: str) -> list[str]:
    return re.findall(r"[0-9]+|[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) or [name]


class Missing:
    """Warns once, for one transform, of each monitored name that an update is not given."""

    def __init__(self) -> None:
        self._warned = set[str]()

    def check(self, call: str, monitored: Iterable[str], observations: Observations) -> None:
        """Raises a TypeError for a probable misspelling, and warns of what is missing. A None is missing on purpose."""
        check_spelling(call, monitored, observations)
        for name in set(monitored) - set(observations) - self._warned:
            self._warned.add(name)
            warnings.warn(
                f"{call}(...): update was not given {name!r}, so the clock that monitors it stands still, and its schedule"
                f" with it. Hint: pass {name}=<number> to update, or {name}=None if it comes between updates (lrsched.observe)",
                UserWarning,
                stacklevel=_users_level(),
            )


def _users_level() -> int:
    """The stacklevel of the line that called into libraries, seen from who calls this."""
    libraries = ("lrsched", "optax", "jax", "flax", "equinox", "functools", "contextlib")
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in libraries:
        level, frame = level + 1, frame.f_back
    return level


# Gathering: the observations since the last update, for clocks that see one number for each update.


class Gathered(NamedTuple):
    """What was observed under one name since the last update: how often, and one number for each way of combining."""

    seen: jax.Array
    totals: dict[str, Any]

    def combined(self, how: str) -> Any:
        """The one number that stands for all of them."""
        total = self.totals[how]
        return total / numerics.to_float(jnp.maximum(self.seen, 1)) if how == "mean" else total


# The ways of combining: two totals, and the total of nothing.
WAYS = {"mean": (jnp.add, 0.0), "sum": (jnp.add, 0.0), "max": (jnp.maximum, -jnp.inf), "count": (counted, None)}


def nothing_gathered(ways: Iterable[str]) -> Gathered:
    """The start: nothing was observed."""
    first = {way: WAYS[way][1] for way in ways}
    totals = {way: no_count() if x is None else jnp.full((), x, numerics.float_type()) for way, x in first.items()}
    return Gathered(jnp.zeros((), jnp.int32), totals)


def gather(name: str, gathered: Gathered, value: Any) -> Gathered:
    """With one more observation, or with those that an accumulation around this one has gathered."""
    if not isinstance(value, Gathered):
        call = f"accumulate({name}=...)"
        number = jnp.asarray(numerics.to_float(as_number(call, value)))
        value = Gathered(jnp.int32(1), {way: count_of(call, value) if way == "count" else number for way in gathered.totals})
    totals = {way: WAYS[way][0](total, value.totals[way]) for way, total in gathered.totals.items()}
    return Gathered(gathered.seen + value.seen, totals)
