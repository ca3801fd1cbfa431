"""Training and steps on several devices and in two processes: the same as on one."""

import json
import os
import socket

from helpers import said, started

EVERY = int(os.environ.get("LRSCHED_SHARDED", "0"))  # 1: every schedule on sharded steps


def start(way, devices, *arguments):
    return started("training.py", way, *arguments, devices=devices)


def result(process):
    return json.loads(said(process).splitlines()[-1])


def test_eight_devices_and_two_processes_do_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one, *eight = start("one", 1), start("sharded", 8), start("mapped", 8)
    both = [start("processes", 4, i, port) for i in range(2)]
    try:
        trace = result(one)["did"]
        assert len({rate for rate, *_ in trace}) > 100
        assert len({plateaus for _, plateaus, *_ in trace}) > 3
        for found in map(result, [*eight, *both]):
            assert found == {"devices": 8, "did": trace}
    finally:
        for process in (one, *eight, *both):
            process.kill()


def test_steps_sharded_over_four_devices():
    """They give the values of those on one, sharded as the steps are."""
    halves = [started("sharding.py", 1 if EVERY else 16, half, devices=4) for half in (0, 1)]
    for found in map(result, halves):
        assert found["tried"] >= 8
        assert found["wrong"] == []
