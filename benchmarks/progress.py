"""Shows which benchmark is running."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_say: Callable[[str, str], None] | None = None


def measuring(name: str, part: str = "") -> None:
    """Says which benchmark is run, and which part of it, on a terminal only. Nothing is shown outside `shown`."""
    if _say is not None:
        _say(name, part)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Shows what is measured: in a line of the terminal where rich is installed, else each benchmark in a line of stderr."""
    global _say
    with _bar() as _say:
        try:
            yield
        finally:
            _say = None


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, str], None]]:
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
        yield lambda name, part: bar.update(task, description=f"{name}: {part}" if part else name, refresh=True)


def _plain(name: str, part: str) -> None:
    if not part:
        print(f"… {name}", file=sys.stderr, flush=True)
