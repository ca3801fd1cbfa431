"""The same training on one device, on eight, inside `shard_map` and in two processes: the same rates and plateaus."""

import functools
import json
import socket

import numpy as np
import pytest
from helpers import said, started


def start(way, devices, *arguments):
    return started("devices.py", way, *arguments, devices=devices)


def result(process):
    return json.loads(said(process).splitlines()[-1])


@functools.cache
def on_one(way):
    found = result(start(way, 1))
    assert found["devices"] == 1
    return found["did"]


def test_the_run_is_one_that_matters():
    trace = on_one("one")
    assert len({rate for rate, *_ in trace}) > 100
    assert len({plateaus for _, plateaus, *_ in trace}) > 3


@pytest.mark.parametrize("way", ["sharded", "shard_map"])
def test_eight_devices_do_as_one(way):
    found = result(start(way, 8))
    assert found["devices"] == 8
    assert found["did"] == on_one("one")


def test_two_processes_do_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start("processes", 4, i, port) for i in range(2)]
    try:
        for found in map(result, both):
            assert (found["devices"], found["here"]) == (8, 4)
            assert found["did"] == on_one("one")
    finally:
        for process in both:
            process.kill()


def test_a_sweep_on_eight_devices_is_the_sweep_on_one():
    found = result(start("sharded_sweep", 8))["did"]
    one = on_one("sweep")
    assert len(one["rates"]) == 16
    assert len({row[-1] for row in one["plateaus"]}) > 3
    assert found["rates"] == one["rates"]
    assert found["plateaus"] == one["plateaus"]
    np.testing.assert_allclose(found["losses"], one["losses"], rtol=1e-5)
