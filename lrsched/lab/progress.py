"""A progress bar: in `with bar() as phase`, `phase(text, start, stop)` begins a phase, and `report(done, total)` moves it."""

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, TypeAlias

import jax

Phase: TypeAlias = Callable[[str, float, float], None]

_move: Callable[[float], None] | None = None  # the bar that is shown, to a share of its phase


def report(done: Any, total: Any) -> None:
    """Moves the progress bar to `done` of `total`; both may be traced. Without a bar it does nothing.

    Args:
        done: the updates made so far, or any other number that grows.
        total: its last value.

    >>> from lrsched import lab
    >>> lab.report(3, 10)
    """

    def on_host(done: Any, total: Any) -> None:
        if _move is not None:
            _move(float(done) / float(total))

    jax.debug.callback(on_host, done, total)


@contextlib.contextmanager
def bar(show: bool = True) -> Iterator[Phase]:
    """A bar on standard error; an invisible one if `show` is false, or without the package rich."""
    global _move
    if not show or not find_spec("rich"):
        yield lambda text, start, stop: None  # noqa: ARG005 - the signature of a phase
        return
    from rich.console import Console
    from rich.progress import Progress

    def phase(text: str, start: float, stop: float) -> None:
        global _move
        display.update(task, description=text, completed=start)
        _move = lambda share: display.update(task, completed=start + (stop - start) * share)  # noqa: E731

    with Progress(console=Console(stderr=True)) as display:
        task = display.add_task("", total=1.0)
        try:
            yield phase
        finally:
            _move = None
