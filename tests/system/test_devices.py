"""The same training on one device, on eight, inside `shard_map` and in two processes: the same rates and plateaus."""

import json
import socket

import numpy as np
from helpers import said, started


def start(way, devices, *arguments):
    return started("devices.py", way, *arguments, devices=devices)


def result(process):
    return json.loads(said(process).splitlines()[-1])


def test_eight_devices_and_two_processes_do_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one, *eight = start("one", 1), start("sharded", 8), start("shard_map", 8)
    both = [start("processes", 4, i, port) for i in range(2)]
    try:
        trace = result(one)["did"]
        assert len({rate for rate, *_ in trace}) > 100
        assert len({plateaus for _, plateaus, *_ in trace}) > 3
        for found in map(result, [*eight, *both]):
            assert (found["devices"], found["did"]) == (8, trace)
    finally:
        for process in (one, *eight, *both):
            process.kill()


def test_a_sweep_on_eight_devices_is_the_sweep_on_one():
    processes = start("sharded_sweep", 8), start("sweep", 1)
    found, one = (result(process)["did"] for process in processes)
    assert len(one["rates"]) == 16
    assert len({row[-1] for row in one["plateaus"]}) > 3
    assert (found["rates"], found["plateaus"]) == (one["rates"], one["plateaus"])
    np.testing.assert_allclose(found["losses"], one["losses"], rtol=1e-5)
