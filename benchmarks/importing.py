"""The cost of `import lrsched` in a program that has imported optax, and what else it imports."""

import statistics
import subprocess
import sys

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
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        for _ in range(max(9, repeats // 10))
    ]
    words = [run.stdout.split() for run in runs]
    milliseconds = statistics.median(1e3 * float(one[0]) for one in words)
    heavy = sorted({name for one in words for name in one[1:]})
    return [
        Row("import lrsched after import optax", milliseconds, 60.0, f"median of {len(runs)} processes", "ms"),
        Row("heavy modules that it imports", len(heavy), 0, f"of {', '.join(HEAVY)}", ""),
    ]
