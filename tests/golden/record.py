"""Records what the schedulers of PyTorch do, for tests that then need no PyTorch.

    python tests/golden/record.py                            # writes tests/golden/<class>.json anew
    python tests/golden/record.py --check [--seed N] [--sets M]   # fresh random sets, PyTorch and our dialect side by side

Recording needs torch and numpy; checking needs the dependencies of this project as well. Every file holds PyTorch's version,
the seed, the hash of the scripts, and one record per line:

    class, base_lr, arguments    as in draws.py; base_lr is what the tolerance refers to, and for CyclicLR and OneCycleLR max_lr
    steps                        n for the steps 0, 1, .., n-1, or a list; with "fractional", times passed to step(t)
    metrics                      in place of steps: what a plateau observed
    rates                        at each step (after construction, then after each step()), or after each metric
    momenta                      likewise, where the class changes the momentum
    raises                       what PyTorch raised after the last rate
    promised                     what its documentation promises for steps 0 to 23, where PyTorch does something else (nested)
    note                         for the reader

A rate of ours agrees if |ours - rate| <= 1e-6 |rate| + 1e-8 base_lr. Most of PyTorch's schedulers multiply the last rate, so
theirs drift (1e-12 at most in these files); where such a rate is near 0 or crosses it, what is left of it is relative to the
base rate. That is what the second term is for.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from corners import CORNERS
from draws import DRAWS, SETS, Record, drawn
from originals import recorded, torch_version

HERE = Path(__file__).parent
SCRIPTS = ("record.py", "draws.py", "corners.py", "originals.py", "functions.py")
SEED = 0


def script_hash() -> str:
    """Of everything that decides what is recorded."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SCRIPTS)).hexdigest()


def text(head: dict[str, Any], records: list[Record]) -> str:
    """JSON with one record per line."""
    lines = [json.dumps(record, separators=(",", ":"), ensure_ascii=False) for record in records]
    start = "\n".join(f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items())
    return "{\n" + start + '\n"records": [\n' + ",\n".join(lines) + "\n]\n}\n"


def write() -> None:
    head = {"torch": torch_version(), "seed": SEED, "sha256": script_hash()}
    for name in DRAWS:
        sets = drawn(name, SEED, SETS) + [record for record in CORNERS if record["class"] == name]
        path = HERE / f"{name}.json"
        path.write_text(text(head, [recorded(record) for record in sets]), encoding="utf-8")
        print(f"{path.name}: {len(sets)} records, {path.stat().st_size} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare PyTorch with our dialect on fresh random sets")
    parser.add_argument("--seed", type=int, help="of the fresh sets; by default a new one, which is printed")
    parser.add_argument("--sets", type=int, default=20, help="fresh sets per class")
    options = parser.parse_args()
    if not options.check:
        write()
        return 0
    from check import check

    return check(options.seed if options.seed is not None else Random().randrange(2**31), options.sets)


if __name__ == "__main__":
    sys.exit(main())
