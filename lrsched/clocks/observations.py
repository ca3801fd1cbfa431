"""What clocks are given: numbers by name, checked for misspelt names, and gathered over the small batches of one update."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from lrsched.algebra import numerics
from lrsched.algebra.written import shown
from lrsched.clocks.clock import Clock
from lrsched.clocks.counts import as_number, count_of, counted, no_count


def merged(call: str, mapping: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Observations given as one mapping and by keyword, in one dict.

    Raises a TypeError for what is no mapping, and for a name that is given in both ways.
    """
    if mapping is None:
        return dict(named)
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


def check_spelling(call: str, monitored: Iterable[str], observations: Mapping[str, Any]) -> None:
    """Raises a TypeError if a monitored name is missing, and what was given instead looks like a misspelling of it."""
    monitored = set(monitored)
    for missing in sorted(monitored - set(observations)):
        for name in observations:
            if name not in monitored and _is_misspelt(name, missing):
                raise TypeError(
                    f"{call}(...): no clock monitors {name!r} (monitored: {_listed(monitored)})."
                    f" Hint: did you mean {missing}=...?"
                )


def check_monitored(call: str, monitored: Iterable[str], observations: Mapping[str, Any]) -> None:
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
    if words == others or "".join(words) == "".join(others):
        return name != meant
    if len(words) != len(others):
        return False
    differing = [(a, b) for a, b in zip(words, others, strict=True) if a != b]
    if len(differing) != 1:
        return False
    a, b = differing[0]
    plural = any(x == f"{y}s" and not y.endswith("s") for x, y in ((a, b), (b, a)))
    shortest = 5 if len(a) == len(b) and sorted(a) != sorted(b) else 3  # mse and mae are two metrics
    return a[0] == b[0] and min(len(a), len(b)) >= shortest and not plural and not (a + b).isdigit() and _is_one_edit_away(a, b)


def _words(name: str) -> list[str]:
    return re.findall(r"[0-9]+|[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) or [name]


def _is_one_edit_away(a: str, b: str) -> bool:
    """Whether one letter was left out, put in, replaced, or exchanged with the next."""
    if len(a) > len(b):
        a, b = b, a
    i = next((i for i in range(len(a)) if a[i] != b[i]), len(a))
    if len(a) < len(b):
        return a[i:] == b[i + 1 :]
    return a[i + 1 :] == b[i + 1 :] or (a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :])


class Missing:
    """Warns once, for one transform, of each monitored name that an update is not given."""

    def __init__(self) -> None:
        self._warned = set[str]()

    def check(self, call: str, monitored: Iterable[str], observations: Mapping[str, Any]) -> None:
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


_LIBRARIES = ("lrsched", "optax", "jax", "flax", "equinox", "functools", "contextlib")


def _users_level() -> int:
    """The stacklevel of the line that called into libraries, seen from who calls this."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _LIBRARIES:
        level, frame = level + 1, frame.f_back
    return level


# Gathering: the observations since the last update, for clocks that see one number for each update.


class Gathered(NamedTuple):
    """What was observed under one name since the last update: how often, and one number for each way of combining."""

    seen: Any  # int32
    totals: dict[str, Any]  # by way: floats, and for "count" a `Counted`

    def combined(self, how: str) -> Any:
        """The one number that stands for all of them."""
        total = self.totals[how]
        return total / numerics.real(jnp.maximum(self.seen, 1)) if how == "mean" else total


def nothing_gathered(ways: Iterable[str]) -> Gathered:
    """The start: nothing was observed."""
    first = {"mean": lambda: _float(0.0), "sum": lambda: _float(0.0), "max": lambda: _float(-jnp.inf), "count": no_count}
    return Gathered(jnp.zeros((), jnp.int32), {way: first[way]() for way in ways})


def gather(name: str, gathered: Gathered, value: Any) -> Gathered:
    """With one more observation."""
    if isinstance(value, Gathered):  # by an accumulation around this one
        return _joined(gathered, value)
    call = f"accumulate({name}=...)"
    number = jnp.asarray(numerics.real(as_number(call, value)))
    add = {
        "mean": lambda total: total + number,
        "sum": lambda total: total + number,
        "max": lambda total: jnp.maximum(total, number),
        "count": lambda total: counted(total, count_of(call, value)),
    }
    return Gathered(gathered.seen + 1, {way: add[way](total) for way, total in gathered.totals.items()})


def _joined(a: Gathered, b: Gathered) -> Gathered:
    join = {"mean": jnp.add, "sum": jnp.add, "max": jnp.maximum, "count": counted}
    return Gathered(a.seen + b.seen, {way: join[way](total, b.totals[way]) for way, total in a.totals.items()})


def _float(x: float) -> Any:
    return jnp.full((), x, numerics.float_type())
