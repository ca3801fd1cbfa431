"""A progress bar that compiled programs can move.

`with bar():` shows it on standard error; `report(done, total)` inside moves it, also from a jitted and vmapped scan.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import jax

_bar: "Bar | None" = None


def report(done: Any, total: Any) -> None:
    """Moves the progress bar to `done` of `total`; both may be traced. Without a bar it does nothing.

    Args:
        done: the updates made so far, or any other number that grows.
        total: its last value.

    >>> from lrsched import lab
    >>> lab.report(3, 10)
    """
    jax.debug.callback(_on_host, done, total)


def _on_host(done: Any, total: Any) -> None:
    if _bar is not None:
        _bar.move(float(done) / float(total))


class Bar:
    """The state of the bar. Reports within a phase move it from `start` to `stop`."""

    def __init__(self, update: Callable[..., None]) -> None:
        self._update = update
        self._start, self._stop = 0.0, 0.0

    def phase(self, text: str, start: float, stop: float) -> None:
        self._start, self._stop = start, stop
        self._update(description=text, completed=start)

    def move(self, fraction: float) -> None:
        self._update(completed=self._start + (self._stop - self._start) * fraction)


@contextlib.contextmanager
def bar(show: bool = True) -> Iterator[Bar]:
    """A bar on standard error; an invisible one if `show` is false, or without the package rich."""
    global _bar
    outer = _bar
    with _display() if show and find_spec("rich") else contextlib.nullcontext(lambda **_: None) as update:
        _bar = Bar(update)
        try:
            yield _bar
        finally:
            _bar = outer


@contextlib.contextmanager
def _display() -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as display:
        yield functools.partial(display.update, display.add_task("", total=1.0))
