"""Strict promotion for our own code, and property tests that give the same examples every time."""

import hypothesis
import jax
import pytest

# Explaining a failure takes minutes where every example compiles.
PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile("lrsched", derandomize=True, deadline=None, max_examples=40, phases=PHASES)
hypothesis.settings.load_profile("lrsched")


@pytest.fixture(autouse=True, scope="module")
def _strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def pytest_terminal_summary(terminalreporter):
    """Shows what tests recorded as `shown`."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "shown":
                    terminalreporter.write_line(text)
