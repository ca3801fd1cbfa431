"""The Python of the README and of the pages runs, and each row of the table of what optax cannot do is true.

A row without a judgement here fails, and so does a judgement without a row.
"""

import contextlib
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import ROOT, relaxed

import lrsched as ls

FILES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.md"))]
PAGES = {path.name: path.read_text() for path in FILES}
SECTION = PAGES["beside_optax.md"]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch):
    """Each block of the README by itself, and the blocks of another page one after the other."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with relaxed():
        for block in blocks(PAGES[page]):
            names = {"__name__": "__page__"} if page == "README.md" or not names else names
            exec(compile(block, page, "exec"), names)


def test_links_of_pages_lead_somewhere():
    for page in [*FILES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)


def table() -> dict[str, list[tuple[str, str]]]:
    """For each wish the code of optax and ours, each with the text that says what it does."""
    _, _, *lines = re.findall(r"^\| (.*) \|$", SECTION, re.MULTILINE)
    rows = [line.split(" | ") for line in lines]
    assert len({wish for wish, *_ in rows}) == len(rows)
    return {wish: [tuple(cell.split("`", 2)[1:]) for cell in cells] for wish, *cells in rows}


ROWS = table()


@pytest.fixture(scope="module")
def names():
    """What the table's code may use: the imports of the README, and the definitions below the table."""
    defined: dict[str, Any] = {"jax": jax, "jnp": jnp, "optax": optax, "ls": ls}
    exec("\n".join(blocks(SECTION)), defined)
    return defined


def outcome(code: str, names: dict[str, Any]) -> Any:
    """The value of an expression, or the exception that it raises. Only optax needs implicit promotion."""
    with relaxed() if re.search("optax|theirs", code) else contextlib.nullcontext():
        try:
            return eval(code, names)
        except Exception as error:
            return error


def equals(expected: float) -> Callable[[Any], Any]:
    return lambda x: np.array_equal(*np.broadcast_arrays(np.asarray(x, np.float32), np.float32(expected)), equal_nan=True)


def close_to(expected: Any, rtol: float = 1e-5) -> Callable[[Any], Any]:
    return lambda x: np.allclose(np.asarray(x, np.float32), expected, rtol=rtol, atol=0)


def raises(*errors: type[Exception]) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, errors)


def is_wrong_for_two_steps() -> bool:
    with relaxed():
        values = optax.cosine_onecycle_schedule(100, 1.0)(jnp.array([10, 60]))
    return not np.allclose(values, ls.one_cycle(1.0, 100)([10, 60]), rtol=0.1)


def reduces_when_it_falls_only(schedule: Any) -> Any:
    return ls.clocks.replay(schedule, np.arange(100.0))[-1] == 1 > ls.clocks.replay(schedule, -np.arange(100.0))[-1]


UNPICKLABLE = AttributeError, TypeError, pickle.PicklingError  # which one, depends on the Python
STEPS = np.arange(100)
DELAYED = np.maximum(STEPS / 2 - 5, 0)
PRODUCT = np.maximum(1e-3 * (1 - DELAYED / 10) * (1 + np.cos(np.pi * DELAYED / 100)) / 2, 1e-4)
TAIL_OF_COSINE = math.sin(math.pi / 2 * 1e-5) ** 2
SLOPE = -(1 - 1 / 25) * math.pi / 2 * math.sin(math.pi / 3) * 10 / (0.3 * 30)  # of a cosine from 1 / 25 to 1 in 30 steps

# For each wish: whether the outcome of optax is the failure that the table claims, and whether ours is right.
JUDGEMENTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "map over a length": (raises(jax.errors.TracerBoolConversionError), close_to([0.5, 0.75])),
    "pass a jitted function an equal schedule, built anew": (equals(2), equals(1)),
    "change a number in a running job": (raises(TypeError), equals(1)),
    "read the learning rate": (lambda x: x is None, equals(1e-3)),
    "keep it with bfloat16 parameters": (equals(np.nan), lambda x: x.dtype == jnp.bfloat16 and close_to(-1e-3, 1e-2)(x)),
    "pickle a schedule": (raises(*UNPICKLABLE), lambda x: x == ls.Linear(1e-3, 0.0, 10)),
    "print a schedule": (lambda x: x.startswith("<function polynomial_sch"), lambda x: x == "Linear(0.001, 0.0, 10)"),
    "compare two schedules": (lambda x: x is False, lambda x: x is True),
    "multiply, clip, delay, stretch": (raises(TypeError), lambda s: close_to(PRODUCT)(s(STEPS))),
    "find the shapes that everyone writes by hand": (lambda x: x == [], lambda x: all(np.all(s(STEPS[1:]) >= 0) for s in x)),
    "get past the end of a polynomial": (equals(np.nan), equals(0)),
    "reach the end of a line exactly": (lambda x: x < 0, equals(0)),
    "come close to the end of a long cosine": (equals(0), close_to(TAIL_OF_COSINE)),
    "sweep the warm-up down to none": (equals(0), equals(1e-3)),
    "get an error for a forgotten boundary": (equals(2), raises(ValueError)),
    "differentiate through a join": (equals(np.nan), equals(0.5)),
    "differentiate with respect to `pct_start`": (equals(0), close_to(SLOPE)),
    "evaluate many steps at once": (
        lambda x: isinstance(x, TypeError) and is_wrong_for_two_steps(),
        close_to([ls.one_cycle(1.0, 100)(t) for t in range(100)]),
    ),
    "evaluate one step outside `jit`": (lambda x: 5 <= x <= 20, equals(1)),
    "notice that a loss is stuck at −1": (equals(1), lambda x: np.all(np.abs(x) < 1)),
    "count patience as PyTorch does": (close_to(0.1), equals(-1)),
    "monitor an accuracy": (raises(TypeError), reduces_when_it_falls_only),
    "pass the metric only now and then": (raises(TypeError), equals(-1)),
}


# The values of these calls of optax depend on how XLA compiles them: on other devices they may be 0.
ON_CPU = {"get past the end of a polynomial", "reach the end of a line exactly"}


def test_each_row_has_its_judgement():
    assert list(ROWS) == list(JUDGEMENTS)


@pytest.mark.parametrize("wish", JUDGEMENTS)
def test_a_row_is_true(wish, names):
    sides = list(zip(ROWS[wish], JUDGEMENTS[wish], strict=True))
    for (code, claim), holds in sides[1:] if wish in ON_CPU and jax.default_backend() != "cpu" else sides:
        result = outcome(code, names)
        assert ("raises" in claim) == isinstance(result, Exception), (code, result)
        if isinstance(result, Exception):
            assert re.findall(r"`(\w+Error)`", claim) in ([], [type(result).__name__]), (code, result)
        assert holds(result), (code, result)
