"""Helpers of several test files."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls

TESTS = Path(__file__).parent
ROOT = TESTS.parent


def x64() -> Any:
    """A context in which JAX computes in float64; newer JAX moved it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax import experimental

    return experimental.enable_x64()  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def relaxed() -> Iterator[None]:
    """A context for third parties that rely on implicit promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def ulps(actual: Any, truth: Any, size: float = 0.0) -> float:
    """The largest distance to the truth, in units of the last place of the type that `actual` has, and of at least a size.

    Below the smallest normal number the unit no longer shrinks, because XLA flushes what is smaller to 0.
    """
    actual = np.asarray(actual)
    truth = np.asarray(truth, np.float64)
    assert actual.shape == truth.shape, (actual.shape, truth.shape)
    unit = np.maximum(np.spacing(np.maximum(np.abs(truth), size).astype(actual.dtype)), np.finfo(actual.dtype).tiny).astype(
        np.float64
    )
    return float(np.max(np.abs(actual.astype(np.float64) - truth) / unit, initial=0.0))


def bits(x: Any) -> Any:
    """The bytes of an array, its type and its shape: equal only for arrays that are equal bit for bit."""
    x = np.asarray(x)
    return x.dtype, x.shape, x.tobytes()


def started(program: str, *arguments: Any, devices: int = 1) -> "subprocess.Popen[str]":
    """A process of its own for a program of `tests/processes`, which has that many devices."""
    script = TESTS / "processes" / program
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    """The output of a process, after its end."""
    try:
        printed, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-3000:]
    return printed


def exits(capsys: Any, command: Any, *arguments: str) -> str:
    """What a command says as it ends with the code 2."""
    with pytest.raises(SystemExit, match=r"^2$"):
        command(list(arguments))
    return capsys.readouterr().err


class Variable:
    """Converts to an array, as variables of other libraries do."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __jax_array__(self) -> Any:
        return jnp.asarray(self.value)


def live(s: Any) -> Any:
    return ls.scale_by_learning_rate(s, live=True)


def avals(tree: Any) -> Any:
    """All that compilation depends on: the structure of a tree, and the shape and the type of each leaf."""
    return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in jax.tree.leaves(tree)]


def updated(optimizer: Any, params: Any, steps: int = 1, state: Any = None, **observed: Any) -> Any:
    """The updates of the last of so many steps, and the state after it; the gradients are the parameters."""
    update, updates = jax.jit(optimizer.update), None
    state = optimizer.init(params) if state is None else state
    for _ in range(steps):
        updates, state = update(params, state, params, **observed)
    return updates, state


WAYS = ("eager", "captured", "argument")


@jax.jit
def _argument(schedule: Any, steps: Any) -> Any:
    """Compiled once for all schedules of a structure."""
    return schedule(steps)


def as_argument(schedule: Any, steps: Any) -> Any:
    """The values of a schedule that a compiled function receives; always of a multiple of 64 steps, so as to compile less."""
    steps = np.asarray(steps)
    return _argument(schedule, np.resize(steps, -(-len(steps) // 64) * 64))[: len(steps)]


def called(schedules: dict[Any, Any], way: str, steps: Any) -> dict[Any, Any]:
    """The values of several schedules at the same steps, or of each at its own; captured ones are in one program."""
    at = steps if isinstance(steps, dict) else dict.fromkeys(schedules, np.asarray(steps))

    def together(at: Any) -> Any:
        return [s(t) for s, t in zip(schedules.values(), at, strict=True)]

    if way == "argument":
        return {name: as_argument(s, at[name]) for name, s in schedules.items()}
    found = {"eager": together, "captured": jax.jit(together)}[way]([at[name] for name in schedules])
    return dict(zip(schedules, found, strict=True))


def as_float32(numbers: Any) -> Any:
    """The numbers that a jitted function receives: rounded to float32."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32).astype(np.float64), numbers)


def refused(calls: Any, *errors: type[Exception], literal: bool = False) -> Any:
    """A test that each call raises an error, by default a Type- or ValueError, with a message: a pattern, or literal words."""

    @pytest.mark.parametrize(("call", "message"), calls)
    def test(call: Any, message: str) -> None:
        with pytest.raises(errors or (TypeError, ValueError), match=re.escape(message) if literal else message):
            call()

    return test
