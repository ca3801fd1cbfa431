"""Three rings of tests by folder, strict promotion for our own code, and property tests with the same examples every time.

The core ring is what lies in this folder, with the examples of the docstrings; `deep/` and `system/` are the two others, with
what is marked as theirs in this folder.
"""

import os

import helpers
import hypothesis
import jax
import pytest

# Explaining a failure takes minutes where every example compiles.
PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile("lrsched", derandomize=True, deadline=None, max_examples=40, phases=PHASES)
hypothesis.settings.load_profile("lrsched")

os.environ.setdefault("MPLBACKEND", "Agg")  # pictures without a window
RINGS = ("deep", "system")
CORE = "not deep and not system"
collect_ignore = ["golden", "processes"]  # programs
# Of the system ring, files whose outcome cannot depend on the versions of JAX and optax: figures, files, texts, networks of
# the lab. `--oldest` leaves them out.
ONCE = tuple(f"test_{x}" for x in ("benchmarks", "contributing", "workloads"))


def pytest_addoption(parser):
    parser.addoption("--oldest", action="store_true", help="leave out what cannot depend on the versions of JAX and optax")


def ring_of(path):
    return path.parent.name if path.parent.name in RINGS else CORE


def pytest_configure(config):
    """Without `-m`, and without files that are named, the tests are those of the core ring."""
    if not config.option.markexpr and config.args_source is not config.ArgsSource.ARGS:
        config.option.markexpr = CORE


def pytest_ignore_collect(collection_path, config):
    """The files of the other rings are not even imported; those of the core ring have some tests of the others."""
    if config.getoption("oldest", False) and collection_path.stem in ONCE:
        return True
    other = config.option.markexpr in (CORE, *RINGS) and ring_of(collection_path) not in (CORE, config.option.markexpr)
    return True if other and collection_path.is_file() else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if ring_of(item.path) in RINGS:
            item.add_marker(ring_of(item.path))


@pytest.fixture(autouse=True, scope="module")
def _strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def relaxing():
    """For third parties that rely on implicit promotion."""
    with helpers.relaxed():
        yield
