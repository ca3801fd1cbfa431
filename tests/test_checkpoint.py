"""States of optimizers go through orbax, flax and pickle; a checkpoint knows its schedule; what does not fit is named."""

import json
import pickle
import subprocess
import sys
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax.training.train_state import TrainState
from helpers import bits, relaxed
from signatures import CALLS

import lrsched as ls
from lrsched.live import packed

PARAMS: Any = {"a": jnp.ones(3), "b": jnp.ones((2, 2), jnp.bfloat16)}
SCHEDULE = ls.Linear(0.0, 0.1, 2.5) >> (
    0.1
    * ls.Cosine(1.0, 0.5, 10).repeat()
    * ls.reduce_on_plateau(factor=0.5, patience=0)
    * ls.Exponential(1.0, 0.5).on(ls.Counter("tokens"))
)
OTHER = ls.Linear(0.0, 0.1, 2.5) >> 0.1 * ls.reduce_on_plateau(factor=0.5, patience=0)


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


def run(optimizer: Any, state: Any, n: int) -> Any:
    update = jax.jit(optimizer.update)
    for i in range(n):
        _, state = update(PARAMS, state, PARAMS, value=float(i % 3), tokens=2**20)
    return state


def through_orbax(state: Any, template: Any, folder: Any) -> Any:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "state", template)


def through_orbax_without_template(state: Any, template: Any, folder: Any) -> Any:
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        return ls.restore(template, checkpointer.restore(folder / "state"))


FORMATS = {
    "orbax": through_orbax,
    "orbax, without a template": through_orbax_without_template,
    "flax": lambda state, template, _: flax.serialization.from_bytes(template, flax.serialization.to_bytes(state)),
    "flax, without a template": lambda state, template, _: ls.restore(
        template, flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))
    ),
    "pickle": lambda state, _, __: pickle.loads(pickle.dumps(state)),
    "pickle, restored": lambda state, template, _: ls.restore(template, pickle.loads(pickle.dumps(state))),
    "pickle, of numpy arrays": lambda state, template, _: ls.restore(
        template, pickle.loads(pickle.dumps(jax.device_get(state)))
    ),
}


def assert_equal(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert bits(x) == bits(y)


@pytest.mark.filterwarnings("ignore")  # orbax warns of what it is going to change
@pytest.mark.parametrize("through", FORMATS)
@pytest.mark.parametrize("live", [False, True], ids=["fixed", "live"])
@pytest.mark.parametrize("maker", MAKERS)
def test_a_state_comes_back_equal_and_goes_on(maker, live, through, tmp_path):
    optimizer = MAKERS[maker](SCHEDULE, live)
    state = run(optimizer, optimizer.init(PARAMS), 7)
    template = optimizer.init(PARAMS)
    restored = FORMATS[through](state, template, tmp_path)
    assert_equal(restored, state)
    assert_equal(run(optimizer, restored, 5), run(optimizer, state, 5))
    if live:
        name = "learning_rate"
        assert ls.schedule(restored, name) == ls.schedule(state, name)


def test_the_state_of_a_batch_comes_back(tmp_path):
    batch = ls.stack([SCHEDULE, SCHEDULE.clip(0.0, 0.05), OTHER])

    def begin(schedule):
        return MAKERS["chain"](schedule, True).init(PARAMS)

    state = jax.vmap(begin)(batch)
    for through in ("flax", "pickle, restored"):
        assert_equal(FORMATS[through](state, jax.vmap(begin)(batch), tmp_path), state)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_node_goes_through_flax(call):
    state = packed(call.make())
    assert_equal(flax.serialization.from_bytes(state, flax.serialization.to_bytes(state)), state)


def test_a_train_state_goes_through_flax():
    optimizer = MAKERS["chain"](SCHEDULE, True)
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=optimizer)
    state = state.replace(opt_state=run(optimizer, state.opt_state, 3))
    assert_equal(flax.serialization.from_bytes(state, flax.serialization.to_bytes(state)), state)


def test_without_flax_nothing_of_it_is_imported():
    code = "import sys, lrsched as ls; ls.scale_by_learning_rate(0.1, live=True).init(0.0); print('flax' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


# What differs, and what an error must say of it.
DIFFERENT = {
    "a clock less": (OTHER, "clocks"),
    "no clocks": (ls.Linear(0.0, 0.1, 2.5), "clocks"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("through", [name for name in FORMATS if name != "pickle"])
@pytest.mark.parametrize("live", [False, True], ids=["fixed", "live"])
@pytest.mark.parametrize("different", DIFFERENT)
def test_restoring_into_another_structure_names_the_part(different, live, through, tmp_path):
    other, part = DIFFERENT[different]
    state = MAKERS["chain"](SCHEDULE, live).init(PARAMS)
    template = MAKERS["chain"](other, live).init(PARAMS)
    with pytest.raises(ValueError, match=part):
        FORMATS[through](state, template, tmp_path)
    with pytest.raises(ValueError, match=r"another structure:\n(.*\n)*    1/clocks/1"):
        ls.restore(template, state)


def test_restore_says_what_differs():
    def state(s: Any, live: bool = True, params: Any = PARAMS) -> Any:
        return optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=live)).init(params)

    mine = state(ls.Linear(0.0, 0.1, 10))
    with pytest.raises(
        ValueError, match=r"1/schedule: Cosine\(0.0, 0.1, 10\) in the checkpoint, Linear\(0.0, 0.1, 10\) in the"
    ):
        ls.restore(mine, state(ls.Cosine(0.0, 0.1, 10)))  # the same names of numbers
    with pytest.raises(ValueError, match=r"1/schedule/start: not in the checkpoint"):
        ls.restore(mine, state(ls.Linear(0.0, 0.1, 10), live=False))
    with pytest.raises(ValueError, match=r"0/mu/a: float32\[4\] in the checkpoint, float32\[3\] in the template"):
        ls.restore(mine, state(ls.Linear(0.0, 0.1, 10), params={**PARAMS, "a": jnp.ones(4)}))
    with pytest.raises(ValueError, match=r"0/mu/a: int32\[3\] in the checkpoint, float32\[3\] in the template"):
        ls.restore(mine, state(ls.Linear(0.0, 0.1, 10), params={**PARAMS, "a": jnp.ones(3, jnp.int32)}))
    with pytest.raises(ValueError, match=r"(?s)another structure.* and \d+ more$"):
        ls.restore(mine, {})
    restored = ls.restore(jax.eval_shape(lambda: mine), jax.device_get(mine))
    assert_equal(restored, mine)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(restored))


@pytest.mark.parametrize(
    "tree",
    [
        {"a": None, "b": jnp.ones(2, jnp.bfloat16)},
        {0: jnp.ones(2), 1: (jnp.zeros(()),)},
        {"a/b": jnp.ones(1), "a": {"b": jnp.zeros(1)}},
        {"step": 2**40, "rate": 0.5, "name": "adam", "done": True},
        {"big": np.array([2**40]), "wide": np.ones(2)},
        {"key": jax.random.key(0)},
        (),
        jnp.ones(2),
    ],
    ids=str,
)
def test_other_trees_are_restored_too(tree):
    restored = ls.restore(tree, jax.tree.map(lambda x: x, tree))
    assert jax.tree.structure(restored) == jax.tree.structure(tree)
    for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(tree), strict=True):
        assert type(a) is type(b)
        assert bool(jnp.all(a == b)) if isinstance(a, jax.Array) else np.array_equal(a, b)


def test_other_trees_that_do_not_fit_are_refused():
    for wanted, found, message in (
        ({"a": {"b": 1.0}}, {"a": {"b": 5.0}, "a/b": 7.0}, "a/b: only in the checkpoint"),
        ({"a": jnp.ones(2)}, {"a": "hello"}, r"a: str in the checkpoint, float32\[2\] in the template"),
        ({"a": "hello"}, {"a": jnp.ones(2)}, r"a: float32\[2\] in the checkpoint, str in the template"),
        ({"a": 1}, {"a": 1.5}, "a: float in the checkpoint, int in the template"),
        ({"a": 1}, {"a": "1"}, "a: str in the checkpoint, int in the template"),
        ({"a": jnp.ones(2)}, None, "a: not in the checkpoint"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            ls.restore(wanted, found)


def test_a_description_is_json_and_resumes():
    for schedules in (SCHEDULE, {"learning_rate": SCHEDULE, "momentum": ls.one_cycle_momentum(100)}):
        saved = json.loads(json.dumps(ls.describe(schedules)))
        for on_change in ("raise", "keep", "replace"):
            assert ls.resume(saved, schedules, on_change) == schedules


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
    with pytest.raises(ValueError, match="another schedule"):
        ls.resume(ls.describe(s), ls.Linear(1 / 3 + 1e-12, 0.0, 1000 / 3))  # but a change in the program is one
    with pytest.raises(ValueError, match="another schedule"):
        ls.resume(saved, ls.Linear(0.3334, 0.0, 1000 / 3))


def test_another_schedule_is_noticed_kept_or_replaced():
    old, new = ls.warmup_cosine(1e-3, 10, 100), ls.warmup_cosine(1e-3, 10, 200)
    with pytest.raises(ValueError, match="another schedule than that of the checkpoint") as raised:
        ls.resume(ls.describe(old), new)
    _, saved, now, marks, advice = str(raised.value).split("\n")
    assert saved.split(maxsplit=1) == ["checkpoint", repr(old)]
    assert now.split(maxsplit=1) == ["now", repr(new)]
    assert now[marks.index("^") : marks.rindex("^") + 1] == "190"
    assert 'on_change="keep"' in advice
    assert ls.resume(ls.describe(old), new, "keep") == old
    assert ls.resume(ls.describe(old), new, "replace") is new


def test_several_schedules_are_compared_by_name():
    old = {"learning_rate": ls.Constant(0.1), "momentum": ls.Constant(0.9), "b2": ls.Constant(0.99)}
    new = {"learning_rate": ls.Constant(0.1), "momentum": ls.Constant(0.8), "decay": ls.Constant(0.01)}
    with pytest.raises(ValueError, match=r"(?s)momentum.*0\.9.*0\.8.*b2.*no schedule.*decay.*no schedule") as raised:
        ls.resume(ls.describe(old), new)
    assert "learning_rate" not in str(raised.value)
    assert ls.resume(ls.describe(old), new, "keep") == old
    assert ls.resume(ls.describe(old), new, "replace") == new


def test_long_schedules_are_shown_where_they_differ():
    parts = [ls.Linear(i / 10, 0.0, 10) for i in range(60)]
    old, new = (
        ls.join(parts, range(10, 600, 10)),
        ls.join([*parts[:30], ls.Linear(7.0, 0.0, 10), *parts[31:]], range(10, 600, 10)),
    )
    with pytest.raises(ValueError, match="another schedule") as raised:
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
    with pytest.raises(ValueError, match="another schedule"):
        ls.resume(ls.describe(s), 0.2 * ls.Function(decayed))
    with pytest.raises(ValueError, match=r'on_change="keep"\) cannot read the schedule of the checkpoint: Function'):
        ls.resume(ls.describe(s), 0.2 * ls.Function(decayed), "keep")
    with pytest.raises(ValueError, match=r"cannot read the schedule of momentum"):
        ls.resume({"momentum": "what is this"}, {"momentum": s}, "keep")


def test_an_object_without_a_name_is_the_same_in_every_process():
    class Inverse:
        def __call__(self, t: Any) -> Any:
            return 1 / (1 + t)

    first, second = Inverse(), Inverse()
    assert "0x" not in ls.describe(ls.Function(first))
    assert isinstance(ls.resume(ls.describe(ls.Function(first)), ls.Function(second)), ls.Schedule)


def test_what_is_no_schedule_or_description_is_refused():
    with pytest.raises(TypeError, match=r"describe\(schedules=...\) must be a schedule, or a dict"):
        ls.describe(0.1)  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(TypeError, match=r"resume\(saved=...\) must be what describe\(schedule\) gave, a string, got None"):
        ls.resume(None, SCHEDULE)
    with pytest.raises(TypeError, match=r"resume\(saved=...\) must be what describe\(schedules\) gave, a dict of strings"):
        ls.resume("Linear(0.0, 1.0, 2)", {"learning_rate": SCHEDULE})
    with pytest.raises(ValueError, match=r"resume\(on_change=...\) must be"):
        ls.resume(ls.describe(SCHEDULE), SCHEDULE, "ignore")  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_live_replacement_after_a_resume():
    old, new = ls.warmup_cosine(1e-3, 10, 100), ls.warmup_cosine(1e-3, 10, 200)
    state = ls.scale_by_learning_rate(old, live=True).init(PARAMS)
    schedule = ls.resume(ls.describe(ls.schedule(state)), new, "replace")
    assert ls.schedule(ls.replace_schedule(state, schedule)) == new
    np.testing.assert_array_equal(ls.schedule(state)(50), old(50))
