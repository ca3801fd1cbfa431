"""Checkpoints: what to write beside the arrays, and to check before a run goes on."""

from __future__ import annotations

import re
from typing import Literal

import jax

from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked_choice
from lrsched.algebra.pointwise import as_schedule
from lrsched.algebra.schedule import Schedule, ScheduleLike
from lrsched.algebra.written import unexpected
from lrsched.training.differences import side_by_side
from lrsched.training.live import packed, unpacked
from lrsched.views.expression import parse


def describe(schedule: ScheduleLike) -> str:
    """The text of a schedule for a checkpoint, as JSON can hold it: the expression that `repr` gives of its nodes.

    It belongs beside the arrays of every checkpoint; `resume` compares it with the schedule of the run that goes on. A function
    of your own is in it by its name alone: that it computes something else by then cannot be seen.

    Args:
        schedule: a schedule. Of a live one, `get_schedule(state)`.

    Raises:
        TypeError: if it is none.

    >>> import lrsched as ls
    >>> print(ls.describe(ls.Linear(0.1, 0.0, 100)))
    Linear(0.1, 0.0, 100)
    """
    made = as_schedule("describe", "schedule", schedule)
    text = repr(jax.tree.map(lambda x: x, made))  # without names of recipes, which may be others in a later version
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # the place of a function without a name, in this process


@explained
def resume(saved: str, schedule: ScheduleLike, on_change: Literal["raise", "keep", "replace"] = "raise") -> Schedule:
    """The schedule to go on with after a checkpoint, after a check that it is the one of the checkpoint.

    Call it before the optimizer is made, and make the optimizer of what it returns. A live schedule is also part of the
    arrays, so give `restore` the same word:

        s = ls.resume(saved["schedule"], s, on_change="replace")
        state = ls.restore(optimizer.init(params), saved["state"], on_change="replace")

    Args:
        saved: what `describe` gave, read again.
        schedule: the schedule of the program that goes on.
        on_change: what to do if it is another one: "raise", "keep" the one of the checkpoint, or "replace" it by this one.
            Numbers as a live state rounds them are equal, and functions of one name.

    Raises:
        TypeError: if it is not what `describe` gave, or no schedule.
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
    if not isinstance(saved, str):
        raise TypeError(unexpected("resume", "saved", saved, "the text that describe gave", "resume(saved, schedule)"))
    made = as_schedule("resume", "schedule", schedule)
    if on_change == "replace" or _is_same(saved, made):
        return made
    if on_change == "raise":
        lines = [
            "resume(...): expected the schedule of the checkpoint, got another:",
            *side_by_side(saved, describe(made)),
            'Hint: on_change="keep" goes on with that of the checkpoint, on_change="replace" with the new one.',
        ]
        raise ValueError("\n".join(lines))
    try:
        return parse(saved)
    except ValueError as error:
        raise ValueError(
            "resume(on_change='keep'): expected an expression that parse can read for the schedule of the checkpoint, got an"
            f" error: {error}\nHint: make that schedule in the program, as it was."
        ) from None


def _is_same(saved: str, now: Schedule) -> bool:
    live = unpacked(packed(now))  # what a live state would hold of it
    if saved in (describe(now), describe(live)):
        return True
    try:
        return parse(saved) in (now, live)
    except ValueError:  # a function, a class that is not defined: the text is all there is to compare
        return False
