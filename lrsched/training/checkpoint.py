"""Checkpoints: what to write beside the arrays, and to check before a run goes on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from lrsched.algebra.node import checked_choice
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.written import unexpected
from lrsched.training.differences import side_by_side
from lrsched.training.live import packed, unpacked
from lrsched.views.expression import parse
from lrsched.views.text import expanded

S = TypeVar("S", Schedule, Mapping[str, Schedule])


@overload
def describe(schedules: Schedule) -> str: ...
@overload
def describe(schedules: Mapping[str, Schedule]) -> dict[str, str]: ...
def describe(schedules: Schedule | Mapping[str, Schedule]) -> str | dict[str, str]:
    """The text of a schedule for a checkpoint, as JSON can hold it: the expression that `repr(expanded(s))` gives.

    It belongs beside the arrays of every checkpoint; `resume` compares it with the schedule of the run that goes on. A function
    of your own is in it by its name alone: that it computes something else by then cannot be seen.

    Args:
        schedules: a schedule, or several by name, such as those of `scheduled`. Of a live one, `schedule(state)`.

    Returns:
        A string, or a dict of strings by name.

    Raises:
        TypeError: if it is neither.

    >>> import json
    >>> import lrsched as ls
    >>> print(json.dumps(ls.describe(ls.Linear(0.1, 0.0, 100))))
    "Linear(0.1, 0.0, 100)"
    """
    if isinstance(schedules, Schedule):
        return described(schedules)
    if not isinstance(schedules, Mapping) or not all(isinstance(s, Schedule) for s in schedules.values()):
        raise TypeError(unexpected("describe", "schedules", schedules, "a schedule, or a dict of schedules by name"))
    return {name: described(schedule) for name, schedule in schedules.items()}


def described(schedule: Schedule) -> str:
    """The text of a schedule, the same in every process."""
    text = repr(expanded(schedule))  # a recipe may be another in a later version
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # of an object without a name, which is elsewhere in every process


def resume(saved: Any, schedules: S, on_change: Literal["raise", "keep", "replace"] = "raise") -> S:
    """The schedule to go on with after a checkpoint, after a check that it is the one of the checkpoint.

    Call it before the optimizer is made, and make the optimizer of what it returns. A live schedule is also part of the
    arrays, so give `restore` the same word:

        s = ls.resume(saved["schedule"], s, on_change="replace")
        state = ls.restore(optimizer.init(params), saved["state"], on_change="replace")

    Args:
        saved: what `describe` gave, read again.
        schedules: the schedule of the program that goes on, or several by name.
        on_change: what to do if it is another one: "raise", "keep" the one of the checkpoint, or "replace" it by this one.
            Numbers as a live state rounds them are equal, and functions of one name.

    Returns:
        A schedule, or a dict of schedules by name.

    Raises:
        TypeError: if it is not what `describe` gave, or not of what it is.
        ValueError: if it is another schedule, shown beside the saved one; or if the saved one is to be kept but cannot be read,
            because it holds a function, or a class that is not defined.

    >>> import lrsched as ls
    >>> saved = ls.describe(ls.Linear(0.1, 0.0, 100))
    >>> print(ls.resume(saved, ls.Linear(0.1, 0.0, 200), on_change="keep"))
    Linear(0.1, 0.0, 100)
    >>> ls.resume(saved, ls.Linear(0.1, 0.0, 200))
    Traceback (most recent call last):
    ValueError: resume(...): expected the schedule of the checkpoint, got another:
        checkpoint  Linear(0.1, 0.0, 100)
        now         Linear(0.1, 0.0, 200)
                                     ^^^
    Hint: on_change="keep" goes on with that of the checkpoint, on_change="replace" with the new one.
    """
    checked_choice("resume", "on_change", on_change, ("raise", "keep", "replace"))
    several = isinstance(schedules, Mapping)
    now: Mapping[str, Schedule] = schedules if several else {"": schedules}
    if not all(isinstance(schedule, Schedule) for schedule in now.values()):
        hint = "resume(saved, schedules), what describe gave comes first"
        raise TypeError(unexpected("resume", "schedules", schedules, "a schedule, or a dict of schedules by name", hint))
    texts, then = describe(now), saved if several else {"": saved}
    if not isinstance(then, Mapping) or not all(isinstance(text, str) for text in then.values()):
        kind = "a dict of strings" if several else "a string"
        raise TypeError(unexpected("resume", "saved", saved, f"what describe gave, {kind}"))
    changed = [name for name in {**then, **now} if not (name in then and name in now and _is_same(then[name], now[name]))]
    if changed and on_change == "raise":
        lines = ["resume(...): expected the schedule of the checkpoint, got another:"]
        for name in changed:
            lines += side_by_side(then.get(name, "no schedule"), texts.get(name, "no schedule"), name)
        advice = 'Hint: on_change="keep" goes on with that of the checkpoint, on_change="replace" with the new one.'
        raise ValueError("\n".join([*lines, advice]))
    kept: Any = dict(now)
    if on_change == "keep":
        kept = {name: _read(name, text) if name in changed else now[name] for name, text in then.items()}
    return kept if several else kept[""]


def _is_same(saved: str, now: Schedule) -> bool:
    live = unpacked(packed(now))  # what a live state would hold of it
    if saved in (described(now), described(live)):
        return True
    try:
        return parse(saved) in (now, live)
    except ValueError:  # a function, a class that is not defined: the text is all there is to compare
        return False


def _read(name: str, text: str) -> Schedule:
    try:
        return parse(text)
    except ValueError as error:
        what = f"the schedule of {name or 'the checkpoint'}"
        raise ValueError(
            f"resume(on_change='keep'): expected an expression that parse can read for {what}, got an error: {error}"
            "\nHint: make that schedule in the program, as it was."
        ) from None
