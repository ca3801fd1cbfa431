"""The state of schedules: clocks, and functions that run them by hand, outside optax."""

import typing as _typing

from lrsched.clocks.running import ScheduleState, bind, evaluate, init, replay, tick

__all__ = ["ScheduleState", "bind", "evaluate", "init", "replay", "tick"]

if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        import importlib

        raise AttributeError(importlib.import_module("lrsched.views.names").missing_name(globals(), name), name=name)
