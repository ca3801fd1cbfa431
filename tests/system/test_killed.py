"""Runs that are killed with SIGKILL, at random and in the middle of writing, end as the run that was not: bit for bit.

`LRSCHED_KILLS=20 python -m pytest tests/system/test_killed.py` kills twenty times.
"""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, TESTS

TRAINING = TESTS / "processes" / "training.py"
KILLS = int(os.environ.get("LRSCHED_KILLS", "1"))
SEED = int(os.environ.get("LRSCHED_SEED", "0"))
UPDATES, EVERY, PARTS = 240, 8, 4
WAYS = [("pickle", "update"), ("orbax", "writing"), ("pickle", "writing"), ("orbax", "update")]


def start(folder, kind, pause):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(TRAINING), str(folder), kind, str(pause)]
    errors = (folder / "errors.txt").open("w")
    with errors:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)


def killed(folder, kind, event, at):
    """Runs until it says that it does something at an update, kills it there, and says what it had said."""
    process = start(folder, kind, 0.004)
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line.split())
            if said[-1][0] == event and int(said[-1][1]) >= at:
                break
        else:
            pytest.fail(f"it ended too early: {(folder / 'errors.txt').read_text()[-2000:]}")
    finally:
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout.read().splitlines()]
        process.stdout.close()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "result.npz").exists()
    return said


def finished(folder, kind):
    """Runs to the end: what it said, and what it came to."""
    process = start(folder, kind, 0.0)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, (folder / "errors.txt").read_text()[-2000:]
    with np.load(folder / "result.npz") as result:
        return [line.split() for line in said.splitlines()], dict(result)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    result = finished(tmp_path_factory.mktemp("undisturbed"), "pickle")[1]
    assert len(np.unique(result["['rates']"])) > 200  # it is a run that matters
    assert min(np.ptp(result["['plateaus']"], axis=0)) > 1
    return result


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_if_nothing_had_been(number, undisturbed, tmp_path):
    kind, event = WAYS[number % len(WAYS)]
    at = random.Random(SEED * 1000 + number).randrange(EVERY, UPDATES - 20)
    before = killed(tmp_path, kind, event, at)
    last = [int(words[1]) for words in before if words[0] == "update"][-1]
    in_the_middle = event == before[-1][0] == "writing" and before.count(before[-1]) < PARTS
    if kind == "pickle" and in_the_middle:
        assert (tmp_path / "checkpoint.partial").exists()
    after, result = finished(tmp_path, kind)
    resumed = [int(words[1]) for words in after if words[0] == "resumed"]
    # It goes on from a checkpoint, not from the start. What orbax had not finished to write does not count.
    assert len(resumed) == 1 or (kind == "orbax" and at < 4 * EVERY)
    assert all(update % EVERY == 0 and update <= last + 1 for update in resumed)
    assert set(result) == set(undisturbed)
    for name, array in result.items():
        assert array.dtype == undisturbed[name].dtype
        assert array.tobytes() == undisturbed[name].tobytes(), name
