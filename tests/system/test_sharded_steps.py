"""Steps sharded over four devices give the values of those on one, sharded as the steps are."""

import json
import os

from helpers import said, started

PARTS = {"shapes": 20, "torch": 6, "calls": 24}  # of each table, one part is tried
EVERY = int(os.environ.get("LRSCHED_SHARDED", "0"))  # 1: all of each


def test_sharded_steps():
    walks = [started("sharding.py", table, 0, 1 if EVERY else part, devices=4) for table, part in PARTS.items()]
    for walk in walks:
        found = json.loads(said(walk).splitlines()[-1])
        assert found["tried"] >= 3
        assert found["wrong"] == []
