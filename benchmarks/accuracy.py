"""How exact values are: in units of the last place of a float32, against 60 digits, with the numbers captured.

The truth is `meaning` of the tests, which is written from the definitions and knows nothing of the library's arithmetic.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrsched as ls
from benchmarks.timing import Row

LENGTHS = (10**3, 10**5, 2**31 - 2)
POWERS = {"Polynomial", "Geometric", "Exponential"}


def rows(repeats: int) -> list[Row]:
    """The largest error of each shape and recipe, at steps near every boundary and in between."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from meaning import meaning, mp  # pyright: ignore[reportMissingImports]

    between = 20 if repeats < 20 else 200
    table = []
    for name, make in _cases().items():
        worst = {"eager": 0.0, "captured": 0.0}
        for n in LENGTHS:
            schedule = make(n)
            near = [b + i for b in (0, n // 10, n) for i in range(-3, 4)]
            steps = np.unique(np.clip([*near, *np.linspace(0, n, between).astype(np.int64)], 0, 2**31 - 1)).astype(np.int32)
            truth = [meaning(schedule, int(t)) for t in steps]
            found = {"eager": schedule(steps), "captured": jax.jit(lambda t, s=schedule: s(t))(jnp.asarray(steps))}
            for mode, values in found.items():
                worst[mode] = max(worst[mode], _worst(np.asarray(values), truth, mp))
        goal = 8.0 if name in POWERS else 4.0
        details = f"eager {worst['eager']:.2f}, captured {worst['captured']:.2f}; 10³, 10⁵ and 2³¹ − 2 steps"
        table.append(Row(f"largest error of {name}", max(worst.values()), goal, details, "ulp"))
    return table


def _worst(values: Any, truth: list[Any], mp: Any) -> float:
    errors = []
    for value, true in zip(values, truth, strict=True):
        unit = float(np.spacing(np.float32(max(abs(true), np.finfo(np.float32).tiny))))
        errors.append(float(abs(mp.mpf(float(value)) - true)) / unit)
    return max(errors)


def _cases() -> dict[str, Any]:
    return {
        "Linear": lambda n: ls.Linear(0.0, 1e-3, n),
        "Cosine": lambda n: ls.Cosine(1e-3, 0.0, n),
        "Cosine above 0": lambda n: ls.Cosine(1e-3, 1e-5, n),
        "Polynomial": lambda n: ls.Polynomial(1e-3, 1e-5, n, 1.5),
        "OneMinusSqrt": lambda n: ls.OneMinusSqrt(1e-3, 0.0, n),
        "Geometric": lambda n: ls.Geometric(1e-3, 1e-6, n),
        "Exponential": lambda n: ls.Exponential(1e-3, 1e-6 ** (1 / n)),
        "InverseSqrt": lambda n: ls.InverseSqrt(1e-3, n // 10),
        "warmup_cosine": lambda n: ls.warmup_cosine(1e-3, n // 10, n),
        "warmup_linear": lambda n: ls.warmup_linear(1e-3, n // 10, n),
        "wsd": lambda n: ls.wsd(1e-3, n // 10, n, n // 5, shape="1-sqrt"),
        "one_cycle": lambda n: ls.one_cycle(1e-2, n),
        "cosine_restarts": lambda n: ls.cosine_restarts(1e-3, 1e-5, n // 10, stretch=2),
        "triangular": lambda n: ls.triangular(1e-4, 1e-2, n // 10),
        "step_decay": lambda n: ls.step_decay(0.1, n // 10, 0.5),
        "512 parts": lambda n: _many(n),
    }


def _many(n: int) -> ls.Schedule:
    each = n / 512
    return ls.join([ls.Cosine(1.0 + k, 2.0 + k, each) for k in range(512)], [each * (k + 1) for k in range(511)])
