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


_prepared = mlir.lower_fun(lambda a, b: [*jnp.broadcast_arrays(a, b), jnp.ones(jnp.broadcast_shapes(a.shape, b.shape), b.dtype)])


def _lower(context: Any, a: Any, b: Any) -> Any:
    a, b, one = _prepared(context.replace(avals_out=None), a, b)
    if not jnp.issubdtype(context.avals_in[0].dtype, jnp.floating):
        return [stablehlo.divide(a, b)]
    # Or the compiler would take the product with a reciprocal for a quotient.
    return [stablehlo.multiply(a, stablehlo.optimization_barrier([stablehlo.divide(one, b)]))]


mlir.register_lowering(jax.lax.div_p, _lower)
