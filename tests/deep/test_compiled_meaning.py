"""Generated schedules have their meaning in compiled code. The laws of test_laws.py follow from it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nested import schedules, size
from test_laws import FAR, FRACTIONAL, WHOLE, float_type, in_both, moved, truth_of


def few(examples: int) -> Any:
    """Settings for so many examples, without shrinking, which would take minutes."""
    return settings(max_examples=examples, phases=[Phase.generate])


def assert_compiled(actual: Any, truth: Any, scale: float) -> None:
    """Equal within 8 units in the last place of the terms; in float64 compilers have coarser powers and logarithms."""
    assert actual.dtype == float_type()
    ulps = 8 if float_type() == np.float32 else 64
    np.testing.assert_allclose(actual, truth, rtol=0, atol=ulps * float(np.finfo(float_type()).eps) * max(scale, 1e-30))


def kinds_of_steps() -> list[Any]:
    """Whole and huge steps, and a matrix of fractional steps, each in one call and under `vmap`."""
    whole, fractional = WHOLE.astype(np.int32), FRACTIONAL.astype(float_type())
    together, mapped = lambda s, t: s(t), lambda s, t: jax.vmap(s)(t)
    return [(whole, together), (fractional, mapped), (whole, mapped), (fractional, together)]


@in_both
@few(20)
@given(s=schedules, kind=st.sampled_from(range(4)), is_known=st.booleans())
def test_a_compiled_value_is_the_meaning(precision, s, kind, is_known):
    with precision():
        steps, call = kinds_of_steps()[kind]
        steps = steps[steps <= 2**20] if steps.dtype.kind == "i" and not is_known else steps
        found = jax.jit(lambda t: call(s, t))(jnp.asarray(steps)) if is_known else jax.jit(call)(s, steps)
        assert_compiled(found, truth_of(s, steps), size(s))


@in_both
@few(6)
@given(s=schedules, move=st.sampled_from(list(FAR)))
def test_a_value_far_away_is_the_meaning(precision, s, move):
    far, steps, scale = moved(s, move)
    with precision():
        assert_compiled(jax.jit(lambda t: far(t))(steps), truth_of(far, steps), scale)
