"""Division as a GPU does it, on a CPU: by a reciprocal that is rounded first, so that 41 / 41 is not 1.

Imported as a plugin it lets any test run so: `PYTHONPATH=tests/processes python -m pytest -n0 -p inexact_division tests/...`.
As a program it prints each end that is not exactly what it is to be.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import mlir
from jaxlib.mlir.dialects import stablehlo

import lrsched as ls

_prepared = mlir.lower_fun(
    lambda a, b: [*jnp.broadcast_arrays(a, b), jnp.ones(jnp.broadcast_shapes(a.shape, b.shape), b.dtype)]
)


def _lower(context: Any, a: Any, b: Any) -> Any:
    a, b, one = _prepared(context.replace(avals_out=None), a, b)
    if not jnp.issubdtype(context.avals_in[0].dtype, jnp.floating):
        return [stablehlo.divide(a, b)]
    # Without the barrier the compiler would turn the product with a reciprocal into a quotient.
    return [stablehlo.multiply(a, stablehlo.optimization_barrier([stablehlo.divide(one, b)]))]


mlir.register_lowering(jax.lax.div_p, _lower)


def _ends() -> Any:
    """A name, values, and the exact values that they should have."""
    value = jax.jit(lambda s, t: s(t))
    for n in (41, 82, 990):
        time, stretched = ls.Time(), ls.Time().take(1).stretch(n)
        for name, s in {"known": 1 - time.take(n) / n, "stretched": 1 - stretched}.items():
            yield f"{name} {n}", [jax.jit(s)(n), jax.jit(s)(jnp.arange(2 * n))[n]], 0.0
        yield f"twice {n}", [jax.jit(time / n)(k * n) for k in (1, 2, 3)], [1.0, 2.0, 3.0]
        ramps = (ls.Linear(0.3, 0.7, n), ls.Cosine(0.3, 0.7, n), ls.Polynomial(0.3, 0.7, n, 2.5), ls.Geometric(0.3, 0.7, n))
        moved = [m for s in ramps for m in (s, s.stretch(3), s.repeat(2), s.repeat(2, stretch=2.0), s.staircase(1))]
        ends = [np.asarray([0, np.ceil(m.length)], np.int32) for m in moved]
        known = jax.jit(lambda steps, moved=moved: [m(t) for m, t in zip(moved, steps, strict=True)])(ends)
        for m, t, found in zip(moved, ends, known, strict=True):
            yield f"{m}", [found, value(m, t)], [0.3, 0.7]
    yield "inverse square root", jax.jit(ls.InverseSqrt(0.3, 41))(0), 0.3


if __name__ == "__main__":
    divided = jax.jit(lambda a, b: a / b)(np.float32(41), np.float32(41))
    print(f"41 / 41 = {divided}")
    for name, found, expected in _ends():
        if not np.array_equal(found, np.broadcast_to(np.float32(expected), np.shape(found))):
            print(name, found, expected)
