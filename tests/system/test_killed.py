"""Runs that are killed with SIGKILL end as one that was not killed, and several devices and processes do as one: bit for bit.

`LRSCHED_KILLS=20 python -m pytest tests/system/test_killed.py` kills twenty times.
"""

import json
import os
import random
import socket

import jax
import numpy as np
import pytest
from helpers import bits, said, started

KILLS = int(os.environ.get("LRSCHED_KILLS", "1"))
SEED = int(os.environ.get("LRSCHED_SEED", "0"))
UPDATES, EVERY = 120, 8


def killed(folder, event, at):
    """Runs until an event at an update or later, kills it there, and returns the update that it was at."""
    last = 0
    with started("training.py", "resumable", folder, 0.004) as process:
        assert process.stdout is not None
        for what, number in map(str.split, process.stdout):
            last = int(number)
            if what == event and last >= at:
                break
        process.kill()
    assert process.returncode == -9
    assert not (folder / "result.npz").exists()
    return last


def finished(folder):
    """Runs to the end: the updates at which it was resumed, and its result."""
    printed = said(started("training.py", "resumable", folder)).splitlines()
    with np.load(folder / "result.npz") as result:
        return [int(line.split()[1]) for line in printed if line.startswith("resumed")], dict(result)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    resumed, result = finished(tmp_path_factory.mktemp("undisturbed"))
    assert resumed == []
    assert min(result["plateaus"]) > 1  # so that the clocks matter
    return result


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_if_nothing_had_been(number, undisturbed, tmp_path):
    at = random.Random(SEED * 1000 + number).randrange(2 * EVERY, UPDATES - 20)
    last = killed(tmp_path, ("update", "writing")[number % 2], at)
    (resumed,), result = finished(tmp_path)
    assert resumed % EVERY == 0
    assert resumed >= last - EVERY  # from the last checkpoint that was written
    assert jax.tree.map(bits, result) == jax.tree.map(bits, undisturbed)


def start(way, devices, *arguments):
    return started("training.py", way, *arguments, devices=devices)


def test_eight_devices_and_two_processes_do_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one, *others = start("one", 1), start("sharded", 8), start("mapped", 8), *(start("processes", 4, i, port) for i in range(2))
    try:
        found, *rest = [json.loads(said(process).splitlines()[-1]) for process in (one, *others)]
    finally:
        for process in (one, *others):
            process.kill()
    trace = found["did"]
    assert len({rate for rate, *_ in trace}) > 100
    assert len({plateaus for _, plateaus, *_ in trace}) > 3
    assert rest == [{"devices": 8, "did": trace}] * 4


def test_steps_sharded_over_four_devices():
    """They give the values of those on one, sharded as the steps are."""
    assert said(started("sharding.py", devices=4)) == ""
