"""The cost of `import lrsched` in a program that has imported optax, and what else it imports.

Python compiles the sources at the first import, and keeps the bytecode. The first import here is not counted.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from benchmarks.timing import Row

HEAVY = ("matplotlib", "sklearn", "rich", "IPython")
PROGRAM = f"""
import sys, time
import optax
begin = time.perf_counter()
import lrsched
print(time.perf_counter() - begin, *(name for name in {HEAVY} if name in sys.modules))
"""


def rows(repeats: int) -> list[Row]:
    """The time in a separate process, and how many heavy modules were imported."""
    with tempfile.TemporaryDirectory() as folder:  # for the bytecode, even where Python should write none
        given = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        _, *runs = (
            subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=given)
            for _ in range(1 + max(9, repeats // 10))
        )
    words = [run.stdout.split() for run in runs]
    milliseconds = statistics.median(1e3 * float(one[0]) for one in words)
    heavy = sorted({name for one in words for name in one[1:]})
    return [
        Row("import lrsched after import optax", milliseconds, 60.0, f"median of {len(runs)} processes", "ms"),
        Row("heavy modules that it imports", len(heavy), 0, f"of {', '.join(HEAVY)}", ""),
    ]
