"""States of optimizers go through orbax, flax and pickle, and a checkpoint knows its schedule."""

import functools
import json
import pickle
import subprocess
import sys
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest
from helpers import bits, relaxed
from signatures import CALLS

import lrsched as ls
from lrsched.training.live import packed

PARAMS: Any = {"a": jnp.ones(3), "b": jnp.ones((2, 2), jnp.bfloat16)}
SCHEDULE = ls.Linear(0.0, 0.1, 2.5) >> (
    0.1
    * ls.Cosine(1.0, 0.5, 10).repeat()
    * ls.reduce_on_plateau(factor=0.5, patience=0)
    * ls.Exponential(1.0, 0.5).on(ls.Counter("tokens"))
)


@pytest.fixture(autouse=True)
def promoting():
    with relaxed():  # optax and flax mix types
        yield


MAKERS = {
    "chain": lambda s, live: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=live)),
    "scheduled": lambda s, live: ls.scheduled(optax.adamw, live=live)(s, weight_decay=0.1 * s),
    "partition": lambda s, live: optax.partition(
        {"x": optax.adam(0.1), "y": ls.layerwise(s, 0.5, len, live=live)}, {"a": "x", "b": "y"}
    ),
}


@functools.cache
def compiled(optimizer: Any) -> Any:
    return jax.jit(optimizer.update)


def run(optimizer: Any, state: Any, n: int) -> Any:
    for i in range(n):
        _, state = compiled(optimizer)(PARAMS, state, PARAMS, value=float(i % 3), tokens=2**20)
    return state


@functools.cache
def trained(maker: str, live: bool) -> tuple[Any, Any]:
    """An optimizer, and its state after some updates."""
    optimizer = MAKERS[maker](SCHEDULE, live)
    return optimizer, run(optimizer, optimizer.init(PARAMS), 7)


def through_orbax(kind: Any, state: Any, folder: Any, *template: Any) -> Any:
    with kind() as checkpointer:
        checkpointer.save(folder / "state", state)
        getattr(checkpointer, "wait_until_finished", lambda: None)()
        return checkpointer.restore(folder / "state", *template)


def dicts(state: Any) -> Any:
    """Nested dicts, as msgpack gives them; `jax.device_get` gives nodes, as pickle does."""
    return flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))


FORMATS = {
    "orbax": lambda state, template, folder: through_orbax(ocp.StandardCheckpointer, state, folder, template),
    "orbax, without a template": lambda state, template, folder: ls.restore(
        template, through_orbax(ocp.PyTreeCheckpointer, state, folder)
    ),
    "flax": lambda state, template, _: flax.serialization.from_bytes(template, flax.serialization.to_bytes(state)),
    "flax, without a template": lambda state, template, _: ls.restore(template, dicts(state)),
    "pickle": lambda state, _, __: pickle.loads(pickle.dumps(state)),
    "pickle, restored": lambda state, template, _: ls.restore(template, pickle.loads(pickle.dumps(state))),
}


def assert_equal(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert bits(x) == bits(y)


@pytest.mark.filterwarnings("ignore")  # orbax warns of what it is going to change
@pytest.mark.parametrize(
    "through", [pytest.param(name, marks=[pytest.mark.system] if name.startswith("orbax") else []) for name in FORMATS]
)
@pytest.mark.parametrize(("maker", "live"), [("chain", False), ("chain", True), ("scheduled", True), ("partition", True)])
def test_a_state_comes_back_equal_and_goes_on(maker, live, through, tmp_path):
    optimizer, state = trained(maker, live)
    restored = FORMATS[through](state, optimizer.init(PARAMS), tmp_path)
    assert_equal(restored, state)
    assert_equal(run(optimizer, restored, 2), run(optimizer, state, 2))
    if live:
        assert ls.schedule(restored, "learning_rate") == ls.schedule(state, "learning_rate")


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_node_goes_through_flax(call):
    state = packed(call.make())
    assert_equal(flax.serialization.from_bytes(state, flax.serialization.to_bytes(state)), state)


def test_without_flax_nothing_of_it_is_imported():
    code = "import sys, lrsched as ls; ls.scale_by_learning_rate(0.1, live=True).init(0.0); print('flax' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_a_description_is_json_and_resumes():
    saved = json.loads(json.dumps(ls.describe(SCHEDULE)))
    for on_change in ("raise", "keep", "replace"):
        assert ls.resume(saved, SCHEDULE, on_change) == SCHEDULE


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_node_is_described_fixed_and_live(call):
    s = call.make()
    assert ls.resume(ls.describe(s), s) is s
    if not s.batch_shape:
        live = ls.scale_by_learning_rate(s, live=True).init(PARAMS)
        assert ls.resume(ls.describe(ls.schedule(live)), s) is s


def test_numbers_that_a_live_state_rounds_are_no_change():
    s = ls.Linear(1 / 3, 0.0, 1000 / 3)
    live = ls.scale_by_learning_rate(s, live=True).init(PARAMS)
    saved = ls.describe(ls.schedule(live))
    assert saved != ls.describe(s)
    assert ls.resume(saved, s) is s
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another"):
        ls.resume(ls.describe(s), ls.Linear(1 / 3 + 1e-12, 0.0, 1000 / 3))  # but a change in the program is one
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another"):
        ls.resume(saved, ls.Linear(0.3334, 0.0, 1000 / 3))


def test_another_schedule_is_noticed_kept_or_replaced():
    old, new = ls.warmup_cosine(1e-3, 10, 100), ls.warmup_cosine(1e-3, 10, 200)
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another") as raised:
        ls.resume(ls.describe(old), new)
    _, saved, now, marks, advice = str(raised.value).split("\n")
    assert saved.split(maxsplit=1) == ["checkpoint", repr(ls.expanded(old))]
    assert now.split(maxsplit=1) == ["now", repr(ls.expanded(new))]
    assert now[marks.index("^") : marks.rindex("^") + 1] == "190"
    assert 'on_change="keep"' in advice
    assert ls.resume(ls.describe(old), new, "keep") == old
    assert ls.resume(ls.describe(old), new, "replace") is new


def test_long_schedules_are_shown_where_they_differ():
    parts = [ls.Linear(i / 10, 0.0, 10) for i in range(60)]
    old, new = (
        ls.join(parts, range(10, 600, 10)),
        ls.join([*parts[:30], ls.Linear(7.0, 0.0, 10), *parts[31:]], range(10, 600, 10)),
    )
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another") as raised:
        ls.resume(ls.describe(old), new)
    _, saved, now, marks, _ = str(raised.value).split("\n")
    assert max(map(len, (saved, now))) < 140
    assert now[marks.index("^") : marks.rindex("^") + 1] == "7.0"
    assert saved[marks.index("^")] == "3"


def decayed(t: Any) -> Any:
    return 1 / (1 + t)


def test_functions_are_compared_by_name_and_cannot_be_kept():
    s = 0.1 * ls.Function(decayed)
    assert ls.resume(ls.describe(s), s) is s
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another"):
        ls.resume(ls.describe(s), 0.2 * ls.Function(decayed))
    with pytest.raises(ValueError, match=r"expected an expression .* the checkpoint, got an error: decayed is no number"):
        ls.resume(ls.describe(s), 0.2 * ls.Function(decayed), "keep")
    with pytest.raises(ValueError, match=r"for the schedule of the checkpoint"):
        ls.resume("what is this", s, "keep")


def test_an_object_without_a_name_is_the_same_in_every_process():
    class Inverse:
        __call__ = staticmethod(decayed)

    assert "0x" not in ls.describe(ls.Function(Inverse()))
    assert isinstance(ls.resume(ls.describe(ls.Function(Inverse())), ls.Function(Inverse())), ls.Schedule)


def test_what_is_no_schedule_or_description_is_refused():
    with pytest.raises(TypeError, match=r"describe\(schedule=0.1\): expected a schedule"):
        ls.describe(0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"resume\(schedule=.Linear.*\): expected a schedule"):
        ls.resume(SCHEDULE, ls.describe(SCHEDULE))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"resume\(saved=None\): expected the text that describe gave"):
        ls.resume(None, SCHEDULE)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"resume\(on_change='ignore'\): expected 'raise' or 'keep' or 'replace'"):
        ls.resume(ls.describe(SCHEDULE), SCHEDULE, "ignore")  # pyright: ignore[reportArgumentType]
