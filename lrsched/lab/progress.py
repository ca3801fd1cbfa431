"""A progress bar that compiled programs can move.

`with bar():` shows one on standard error; `report(done, total)`, called anywhere inside (in a jitted and vmapped scan too),
moves it. Without a bar a report does nothing, so a training function can always make them.
"""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import jax

_bar: "Bar | None" = None


def report(done: Any, total: Any) -> None:
    """Says that `done` of `total` is done; both may be traced."""
    jax.debug.callback(_on_host, done, total)


def _on_host(done: Any, total: Any) -> None:
    if _bar is not None:
        _bar.move(float(done) / float(total))


class Bar:
    """Where the bar is; `phase` begins a part of the work, within which reports move it from `start` to `stop`."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._task = None if display is None else display.add_task("", total=1.0)
        self._start, self._stop = 0.0, 0.0

    def phase(self, text: str, start: float, stop: float) -> None:
        """From now on it says `text`, and stands at `start`."""
        self._start, self._stop = start, stop
        self._update(description=text, completed=start)

    def move(self, fraction: float) -> None:
        """That fraction of the phase is done."""
        self._update(completed=self._start + (self._stop - self._start) * fraction)

    def _update(self, **changes: Any) -> None:
        if self._display is not None:
            self._display.update(self._task, **changes)


@contextlib.contextmanager
def bar(show: bool = True) -> Iterator[Bar]:
    """A bar for a while, on standard error; one that nobody sees if `show` is false, or without rich, which draws it."""
    global _bar
    outer = _bar
    with contextlib.ExitStack() as stack:
        _bar = Bar(stack.enter_context(_display()) if show and find_spec("rich") else None)
        try:
            yield _bar
        finally:
            _bar = outer


def _display() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.description:<24}")
    columns = (text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
