"""The state of schedules: clocks, and functions that run them by hand, outside optax."""

from lrsched.clocks.running import ScheduleState, bind, evaluate, init, replay, tick

__all__ = ["ScheduleState", "bind", "evaluate", "init", "replay", "tick"]
