"""Steps sharded over four devices give the values of those on one, sharded as the steps are."""

import functools
import json
import os

import pytest
from helpers import said, started

PARTS = {"shapes": 10, "torch": 8, "calls": 16}  # of each table, one part is tried
EVERY = int(os.environ.get("LRSCHED_SHARDED", "0"))  # 1: all of each


@functools.cache
def walk(table):
    return started("sharding.py", table, 0, 1 if EVERY else PARTS[table], devices=4)


@pytest.mark.parametrize("table", PARTS)
def test_sharded_steps(table):
    for other in PARTS:
        walk(other)  # side by side
    found = json.loads(said(walk(table)).splitlines()[-1])
    assert found["tried"] >= 4
    assert found["wrong"] == []
