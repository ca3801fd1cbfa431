"""Training and steps on several devices and in two processes: the same as on one."""

import json
import socket

from helpers import said, started


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
