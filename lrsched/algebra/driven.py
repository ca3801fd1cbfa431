"""Schedules whose time is the reading of a clock."""

from __future__ import annotations

from typing import Any

import jax

from lrsched.algebra.node import Node, child, node
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.written import shown, unexpected


@node
class Driven(Schedule):
    """A schedule whose time is the reading of a clock, not the step: `schedule.on(clock)`.

    It cannot be called, since its value depends on observations: `lrsched.clocks.evaluate(s, state)` is its value, and
    `lrsched.clocks.bind(s, state)` an ordinary schedule.

    A reading may be negative. At such a time `Time()` is t, `Function(f)` is f(t) and `Exponential(a, r)` is a · r^t. All other
    shapes, `repeat`, `staircase`, `reverse`, `delay` and warps have their value at 0. Operators, `take`, `stretch` and `drop`
    pass the time on, and a sequence passes it to its first part.

    Args:
        schedule: the schedule, which must not be driven itself.
        clock: a `lrsched.Clock`, such as `Plateau()`.

    >>> import lrsched as ls
    >>> s = ls.Driven(ls.Linear(0.0, 1.0, 10), ls.Steps())
    >>> print(ls.clocks.evaluate(s, ls.clocks.tick(s, ls.clocks.init(s))))
    0.1
    """

    _call = "on"

    schedule: Schedule = child()
    clock: Any = child()

    def _check(self) -> None:
        checked_clock("on", self.clock)

    def at(self, t: Real) -> Real:
        del t
        raise TypeError(
            f"schedule(step): expected a schedule of the step alone, got {shown(self)}, which depends on what its clock has"
            " observed. Hint: in an optax chain, scale_by_learning_rate(s) runs the clocks; by hand, lrsched.clocks.init,"
            " tick and evaluate(s, state) do."
        )


def checked_clock(call: str, clock: object) -> None:
    """Raises a TypeError for anything but a clock whose class is a node."""
    if not isinstance(clock, Node) or not all(hasattr(clock, name) for name in ("init", "tick", "read")):
        raise TypeError(unexpected(call, "clock", clock, "a clock, such as Plateau(patience=5)"))
    if "_numbers" not in vars(type(clock)):
        name = type(clock).__name__
        raise TypeError(f"{call}(clock={name}(...)): expected a node. Hint: decorate the class with lrsched.node.")


def driven_parts(schedule: Schedule) -> list[Driven]:
    """The driven parts of a schedule, in the order of the tree."""
    leaves = jax.tree.leaves(schedule, is_leaf=lambda x: isinstance(x, Driven))
    return [leaf for leaf in leaves if isinstance(leaf, Driven)]
