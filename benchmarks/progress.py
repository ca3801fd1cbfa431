"""What is being measured, while it takes its time."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_say: Callable[[str], None] | None = None


def measuring(what: str) -> None:
    """Says what is measured next. Nothing is shown outside `shown`, or where nobody looks."""
    if _say is not None:
        _say(what)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Shows what is measured: in a line of the terminal where rich is installed, else in lines of stderr."""
    global _say
    with _bar() as _say:
        try:
            yield
        finally:
            _say = None


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str], None]]:
    try:
        from rich import console, progress
    except ImportError:
        yield _plain
        return
    terminal = console.Console(stderr=True)
    if not terminal.is_terminal:
        yield _plain
        return
    # No thread that draws: it would take turns with what is timed.
    columns: list[Any] = [progress.TextColumn("{task.description}"), progress.TimeElapsedColumn()]
    with progress.Progress(*columns, console=terminal, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("")
        yield lambda what: bar.update(task, description=what, refresh=True)


def _plain(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)
