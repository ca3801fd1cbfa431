"""Runs that are killed with SIGKILL, at random and in the middle of writing, end as the run that was not: bit for bit.

`LRSCHED_KILLS=20 python -m pytest tests/system/test_killed.py` kills twenty times.
"""

import os
import random

import jax
import numpy as np
import pytest
from helpers import bits, said, started

KILLS = int(os.environ.get("LRSCHED_KILLS", "1"))
SEED = int(os.environ.get("LRSCHED_SEED", "0"))
UPDATES, EVERY = 120, 8
WAYS = [("pickle", "update"), ("orbax", "writing"), ("pickle", "writing"), ("orbax", "update")]


def words(text):
    return [line.split() for line in text.splitlines()]


def killed(folder, kind, event, at):
    """Runs until it says that it does something at an update, kills it there, and gives the last update that it began."""
    process = started("training.py", "resumable", folder, kind, 0.004)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.split()[0] == event and int(line.split()[1]) >= at:
            break
    process.kill()
    rest, errors = process.communicate()
    assert process.returncode == -9, errors[-2000:]
    assert not (folder / "result.npz").exists()
    return [int(number) for what, number in words("".join(lines) + rest) if what == "update"][-1]


def finished(folder, kind):
    """Runs to the end: what it said, and what it came to."""
    printed = said(started("training.py", "resumable", folder, kind))
    with np.load(folder / "result.npz") as result:
        return words(printed), dict(result)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    result = finished(tmp_path_factory.mktemp("undisturbed"), "pickle")[1]
    assert min(result["plateaus"]) > 1  # it is a run that matters
    return result


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_if_nothing_had_been(number, undisturbed, tmp_path):
    kind, event = WAYS[number % len(WAYS)]
    at = random.Random(SEED * 1000 + number).randrange(EVERY, UPDATES - 20)
    last = killed(tmp_path, kind, event, at)
    after, result = finished(tmp_path, kind)
    resumed = [int(line[1]) for line in after if line[0] == "resumed"]
    # It goes on from a checkpoint, not from the start. What orbax had not finished to write does not count.
    assert len(resumed) == 1 or (kind == "orbax" and at < 4 * EVERY)
    assert all(update % EVERY == 0 and update <= last + 1 for update in resumed)
    assert jax.tree.map(bits, result) == jax.tree.map(bits, undisturbed)
