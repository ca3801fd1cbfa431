"""States of optimizers go through orbax, flax and pickle; a checkpoint knows its schedule; what does not fit is named."""

import json
import pickle
import re
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
    with pytest.raises(ValueError, match=r"(?s)another structure.* and \d+ more$"):  # and no hint, as nothing fits
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


# A live schedule that is restored: the old one or the new one.

FIRST: Any = ls.scale_by_learning_rate(0.1).init(PARAMS)
_, _, RATE, OF_LIVE = FIRST._fields  # what the parts of a state are called

READ = {"nodes": jax.device_get, "dicts": lambda state: through_flax(state)}  # as pickle and as msgpack give them


def through_flax(state: Any) -> Any:
    return flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))


read = pytest.mark.parametrize("read", READ.values(), ids=READ)


def train_state(optimizer: Any) -> Any:
    return TrainState.create(apply_fn=None, params=PARAMS, tx=optimizer)


@read
def test_the_new_schedule_after_a_restore(read):
    old, new = ls.wsd(1e-2, 5, 100, 20), ls.wsd(1e-2, 5, 1000, 20)
    o, n = (ls.scale_by_learning_rate(s, live=True) for s in (old, new))
    state = run(o, o.init(PARAMS), 95)
    s = ls.resume(ls.describe(ls.schedule(state)), new, on_change="replace")
    restored = ls.restore(n.init(PARAMS), read(state), on_change="replace")
    assert ls.schedule(restored) == s == new
    np.testing.assert_allclose(ls.learning_rate(run(n, restored, 2)), 0.01, rtol=1e-6)
    np.testing.assert_allclose(ls.learning_rate(restored), ls.learning_rate(state))  # the rate that was used
    kept = ls.restore(n.init(PARAMS), read(state), on_change="keep")
    assert_equal(kept, state)
    np.testing.assert_allclose(ls.learning_rate(run(n, kept, 2)), old(96), rtol=1e-6)


LIVE = {
    **{name: lambda s, make=make: make(s, True).init(PARAMS) for name, make in MAKERS.items()},
    "train state": lambda s: train_state(MAKERS["chain"](s, True)),
    "batch": lambda s: jax.vmap(lambda c: MAKERS["chain"](c * s, True).init(PARAMS))(ls.stack([ls.Constant(1.0), 2 * s])),
}


@read
@pytest.mark.parametrize("make", LIVE.values(), ids=LIVE)
def test_every_live_schedule_that_differs_is_shown(make, read):
    old, new = (0.1 * ls.Cosine(1.0, 0.0, n) * ls.reduce_on_plateau(patience=n) for n in (100, 200))
    state, template = read(make(old)), make(new)
    many = 2 if make is LIVE["scheduled"] else 1
    with pytest.warns(UserWarning, match="the live schedule of the checkpoint") as caught:
        warned = ls.restore(template, state)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert 'restore(..., on_change="keep")' in text
    assert 'restore(..., on_change="replace")' in text
    for line in (r"  \S+/\S+", r"checkpoint  .*100\b.*", r"now         .*200\b.*", r" *\^+"):
        assert len(re.findall(rf"(?m)^ *{line}$", text)) == many
    with pytest.raises(ValueError, match=r"(?s)got another live schedule.*checkpoint  .*100.*now   .*200"):
        ls.restore(template, state, on_change="raise")
    assert_same_leaves(ls.restore(template, state, on_change="keep"), warned)
    assert_same_leaves(warned, make(old))
    assert_same_leaves(ls.restore(template, state, on_change="replace"), replaced(make(old), template))
    for words in ("warn", "raise", "keep", "replace"):  # of equal ones there is nothing to say
        assert_same_leaves(ls.restore(make(old), state, on_change=words), make(old))


def assert_same_leaves(a: Any, b: Any) -> None:
    """As `assert_equal`, for train states with optimizers of their own."""
    assert_equal(jax.tree.leaves(a), jax.tree.leaves(b))


def replaced(state: Any, template: Any) -> Any:
    """The state with the live schedules of another."""

    def is_node(x: Any) -> bool:
        return isinstance(x, ls.Schedule)

    leaves = [jax.tree.leaves(tree, is_leaf=is_node) for tree in (state, template)]
    return [b if is_node(a) else a for a, b in zip(*leaves, strict=True)]


@pytest.mark.parametrize(
    ("old", "new", "differ"),
    [
        (ls.Constant(0.1), ls.Constant(float(np.nextafter(np.float32(0.1), 1, dtype=np.float32))), False),
        (ls.Constant(0.1), ls.Constant(0.1 * (1 + 1e-12)), False),
        (ls.Constant(0.1), ls.Constant(0.1 * (1 + 1e-6)), True),
        (ls.Constant(0.0), ls.Constant(1e-30), True),
        (ls.Constant(0.1, np.inf), ls.Constant(0.1, np.inf), False),
        (ls.Constant(0.1, np.inf), ls.Constant(0.1, 2**31), True),
        (ls.Linear(0.0, 1.0, 10**9), ls.Linear(0.0, 1.0, 10**9 + 1), True),
        (ls.Linear(0.0, 1.0, 100 / 3), ls.Linear(0.0, 1.0, float(np.float32(100 / 3))), False),
        (ls.Linear(0.0, 1.0, 33.25), ls.Linear(0.0, 1.0, 33.5), True),
        (ls.Piecewise([10, 20], [1.0, 2.0]), ls.Piecewise([10, 21], [1.0, 2.0]), True),
    ],
    ids=str,
)
def test_live_numbers_are_equal_within_float32_and_whole_steps_exactly(old, new, differ):
    o, n = (ls.scale_by_learning_rate(s, live=True).init(PARAMS) for s in (old, new))
    for state in (through_flax(o), jax.device_get(o)):
        if differ:
            with pytest.raises(ValueError, match="another live schedule"):
                ls.restore(n, state, on_change="raise")
        else:
            ls.restore(n, state, on_change="raise")


def test_a_template_without_numbers_has_none_to_compare():
    o, n = (ls.scale_by_learning_rate(s, live=True) for s in (ls.Linear(0.1, 0.0, 10), ls.Linear(0.1, 0.0, 20)))
    state, shapes = o.init(PARAMS), jax.eval_shape(n.init, PARAMS)
    for words in ("warn", "keep"):
        assert_equal(ls.restore(shapes, state, on_change=words), state)
    with pytest.raises(ValueError, match=r'"raise"\) cannot compare the schedule at \w+: .*jax.eval_shape'):
        ls.restore(shapes, state, on_change="raise")
    with pytest.raises(ValueError, match=r'"replace"\) takes \w+/start from the template, which has no value there'):
        ls.restore(shapes, state, on_change="replace")
    assert_equal(jax.jit(lambda template: ls.restore(template, state))(n.init(PARAMS)), state)
    fixed = ls.scale_by_learning_rate(0.1 * ls.reduce_on_plateau()).init(PARAMS)
    with pytest.raises(ValueError, match=r'added="clocks"\) takes clocks/0/best from the template, which has no value'):
        ls.restore(jax.eval_shape(lambda: fixed), ls.scale_by_learning_rate(0.1).init(PARAMS), added="clocks")


@read
def test_a_live_schedule_of_another_structure_is_replaced_where_the_clocks_fit(read):
    def make(s: Any, live: bool = True) -> Any:
        return MAKERS["chain"](s, live).init(PARAMS)

    plateau = ls.reduce_on_plateau(factor=0.5, patience=0)
    optimizer = MAKERS["chain"](0.1 * plateau, True)
    state = run(optimizer, optimizer.init(PARAMS), 5)
    new = ls.Cosine(0.1, 0.0, 100) * ls.reduce_on_plateau(factor=0.5, patience=9, threshold_mode="abs")
    with pytest.raises(ValueError, match=rf'(?s)1/{OF_LIVE}.*Hint: restore\(..., on_change="replace"\) accepts it\.$'):
        ls.restore(make(new), read(state))
    for before in (state, make(0.1 * plateau, live=False)):  # one that was not live has no schedule to keep
        restored = ls.restore(make(new), read(before), on_change="replace")
        assert ls.schedule(restored) == new
        assert_equal((restored[0], restored[1].step, restored[1].clocks), (before[0], before[1].step, before[1].clocks))
    with pytest.raises(ValueError, match=r"(?s)1/clocks/0/bad: only in the checkpoint.*Hint.*removed=\"1/clocks\""):
        ls.restore(make(ls.Cosine(0.1, 0.0, 100)), read(state), on_change="replace")
    if read is READ["nodes"]:  # the best loss is not the best score
        score = make(0.1 * ls.reduce_on_plateau(mode="max"))
        with pytest.raises(
            ValueError, match=r"1/clocks/0: the state of Plateau\(patience=0\) in the checkpoint, of Plateau\('max'"
        ):
            ls.restore(score, read(state), on_change="replace")
        restored = ls.restore(score, read(state), on_change="replace", added="clocks/0", removed="clocks/0")
        assert_equal(restored[1].clocks, score[1].clocks)


# Parts that are new, and parts that are left behind.

PLATEAU, LATER = ls.reduce_on_plateau(factor=0.5, patience=0), ls.reduce_on_plateau(factor=0.1, patience=7)
TOKENS = ls.Exponential(1.0, 0.5).on(ls.Counter("tokens"))


def links(*links: Any) -> Any:
    return optax.chain(*links)


def adam(s: Any, live: bool = False) -> Any:
    return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), ls.scale_by_learning_rate(s, live=live))


# From, to, the names, and where each of the parts that are not named comes from.
CHANGES: dict[str, tuple[Any, Any, dict[str, Any], dict[str, str]]] = {
    "optax's count": (
        optax.adamw(optax.linear_schedule(1.0, 0.0, 9)),
        adam(PLATEAU),
        {"added": "2", "removed": "2"},
        {"0": "0"},
    ),
    "by fields": (
        optax.adamw(optax.linear_schedule(1.0, 0.0, 9)),
        adam(PLATEAU),
        {"added": ["2/step", "clocks", RATE], "removed": ["2/count"]},
        {"0": "0"},
    ),
    "a clock": (adam(ls.Constant(0.1)), adam(0.1 * PLATEAU), {"added": "clocks"}, {"0": "0", "2/step": "2/step"}),
    "after": (adam(PLATEAU), adam(PLATEAU * LATER), {"added": "clocks/1"}, {"2/clocks/0": "2/clocks/0"}),
    "before": (adam(PLATEAU), adam(LATER * PLATEAU), {"added": "clocks/0"}, {"2/clocks/1": "2/clocks/0"}),
    "around": (adam(PLATEAU), adam(LATER * PLATEAU * LATER), {"added": ["clocks/0", "clocks/2"]}, {"2/clocks/1": "2/clocks/0"}),
    "another kind": (adam(PLATEAU), adam(TOKENS * PLATEAU), {"added": "2/clocks/0"}, {"2/clocks/1": "2/clocks/0"}),
    "less": (adam(LATER * PLATEAU), adam(PLATEAU), {"removed": "clocks/0"}, {"2/clocks/0": "2/clocks/1", "0": "0"}),
    "exchanged": (
        adam(TOKENS * PLATEAU),
        adam(PLATEAU * LATER),
        {"added": "clocks/1", "removed": "clocks/0"},
        {"2/clocks/0": "2/clocks/1"},
    ),
    "begun anew": (adam(PLATEAU), adam(PLATEAU), {"added": "clocks", "removed": "clocks"}, {"0": "0", "2/step": "2/step"}),
    "live": (
        adam(PLATEAU, True),
        adam(LATER * PLATEAU, True),
        {"added": "clocks/0", "on_change": "replace"},
        {"2/clocks/1": "2/clocks/0", "2/step": "2/step"},
    ),
    "live, named": (
        adam(PLATEAU, True),
        adam(LATER * PLATEAU, True),
        {"added": ["clocks/0", OF_LIVE], "removed": OF_LIVE},
        {"2/clocks/1": "2/clocks/0"},
    ),
    "no longer live": (adam(PLATEAU, True), adam(PLATEAU), {"removed": OF_LIVE}, {"2/clocks/0": "2/clocks/0"}),
    "a link": (
        links(optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU, live=True)),
        links(optax.trace(0.9), optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU, live=True)),
        {"added": "0"},
        {"1": "0", "2": "1"},
    ),
    "an empty link": (
        links(optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU)),
        links(optax.clip(1.0), optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU)),
        {"added": "0"},
        {"1": "0", "2": "1"},
    ),
    "an empty link less": (
        links(optax.clip(1.0), optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU)),
        links(optax.scale_by_adam(), ls.scale_by_learning_rate(PLATEAU)),
        {"removed": "0"},
        {"0": "1", "1": "2"},
    ),
    "groups": (
        optax.partition({"x": adam(PLATEAU), "y": adam(PLATEAU)}, {"a": "x", "b": "y"}),
        optax.partition({"x": adam(LATER * PLATEAU), "y": adam(LATER * PLATEAU)}, {"a": "x", "b": "y"}),
        {"added": "clocks/0"},
        {f"inner_states/{x}/inner_state/2/clocks/1": f"inner_states/{x}/inner_state/2/clocks/0" for x in "xy"},
    ),
}


def leaves(tree: Any, under: str = "") -> dict[str, Any]:
    """The leaves of a tree by their paths below one of them."""
    paths = {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}
    return {path.removeprefix(under): bits(x) for path, x in paths.items() if path.startswith(f"{under}/") or path == under}


@pytest.fixture(scope="module")
def trained() -> Any:
    states: dict[int, Any] = {}

    def train(optimizer: Any) -> Any:
        if id(optimizer) not in states:
            with relaxed():
                states[id(optimizer)] = run(optimizer, optimizer.init(PARAMS), 5)
        return states[id(optimizer)]

    return train


@pytest.mark.filterwarnings("ignore:.*another one")  # of a live schedule, which is another matter
@pytest.mark.parametrize("change", CHANGES)
@read
def test_parts_are_added_and_removed(change, read, trained):
    old, new, names, moved = CHANGES[change]
    before, template = trained(old), new.init(PARAMS)
    restored = ls.restore(template, read(before), **names)
    assert jax.tree.structure(restored) == jax.tree.structure(template)
    for to, origin in moved.items():
        assert leaves(restored, to) == leaves(before, origin) != {}
        assert leaves(restored, to) != leaves(template, to)
    # The error of a plain restore says what would be accepted, and it is.
    if change == "begun anew":
        return
    with pytest.raises(ValueError, match="another structure") as raised:
        ls.restore(template, read(before))
    hint = re.search(r"Hint: restore\(\.\.\., (.*)\) accepts it", str(raised.value))
    assert hint is not None, str(raised.value)
    said = eval(f"dict({hint[1]})")
    accepted = ls.restore(template, read(before), **said)
    if "look alike: name the" not in str(raised.value) and change != "by fields" and "on_change" not in said:
        assert_equal(accepted, restored)
    run(new, restored, 1)


@read
def test_a_train_state_gets_a_clock(read):
    old, new = (train_state(MAKERS["chain"](s, True)) for s in (PLATEAU, LATER * PLATEAU))
    old = old.replace(opt_state=run(old.tx, old.opt_state, 5), step=5)
    restored = ls.restore(new, read(old), on_change="replace", added="clocks/0")
    assert restored.step == 5
    assert_equal(restored.opt_state[1].clocks, (new.opt_state[1].clocks[0], old.opt_state[1].clocks[0]))
    assert_equal(restored.opt_state[0], old.opt_state[0])
    assert ls.schedule(restored) == LATER * PLATEAU


@read
def test_names_that_do_not_fit_are_refused(read, trained):
    one, two = adam(PLATEAU), adam(PLATEAU * LATER)
    state, template = read(trained(one)), two.init(PARAMS)
    alike = r"2/clocks/0, 2/clocks/1 look alike: name the one that is new\."
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, rf'(?s)2/clocks/1/bad: not in the checkpoint.*Hint: restore\(\.\.\., added="2/clocks/1"\).*{alike}'),
        (
            {"added": "clocks/2"},
            r"(?s)added='clocks/2'\) names no part of the template; .*2/clocks/1/bad.*Hint.*\"2/clocks/1\"",
        ),
        ({"added": "clock"}, r"added='clock'\) names no part of the template"),
        ({"added": "clocks/1", "removed": "cloc"}, r"removed='cloc'\) names no part of the checkpoint, and all parts fit"),
        ({"added": "clocks"}, r"(?s)2/clocks/0/bad: named in added=..., and in the checkpoint too.*Hint.*\"2/clocks/1\""),
        ({"added": ["clocks/1", "step"]}, r"2/step: named in added=..., and in the checkpoint too"),
        ({"added": "clocks/1", "removed": "nu"}, r"0/nu/a: named in removed=..., and in the template too"),
        ({"added": "clocks/1", "removed": "count"}, r"0/count: named in removed"),
        ({"added": "2"}, r"2/step: named in added"),
    ]
    for names, message in refused:
        with pytest.raises(ValueError, match=message):
            ls.restore(template, state, **names)
    for names in (3, [3], "", None):
        with pytest.raises(TypeError, match=r"restore\(added=...\) must be the name of a part, such as 'clocks/0', or a list"):
            ls.restore(template, state, added=names)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"restore\(on_change=...\) must be"):
        ls.restore(template, state, on_change="ignore")  # pyright: ignore[reportArgumentType]


def test_a_name_from_the_top_means_one_part_and_any_other_all():
    inner = {"a": jnp.ones(1), "b": jnp.ones(2)}
    tree = {"a": jnp.zeros(1), "inner": inner, "0": [inner, inner]}
    without = {"inner": inner, "0": [inner, inner]}
    assert_equal(ls.restore(tree, without, added="a"), tree)
    assert_equal(ls.restore(tree, {**tree, "inner": {"a": jnp.ones(1)}}, added="inner/b"), tree)
    less = {**tree, "inner": {"a": jnp.ones(1)}, "0": [{"a": jnp.ones(1)}] * 2}
    assert_equal(ls.restore(tree, less, added="b"), tree)
    # An element of a list moves the others up; a key of a dict that looks like a number does not.
    lists, dicts = [jnp.zeros(1), jnp.ones(1)], {"0": jnp.zeros(1), "1": jnp.ones(1)}
    assert_equal(ls.restore(lists, [jnp.full(1, 7.0)], added="0"), [jnp.zeros(1), jnp.full(1, 7.0)])
    assert_equal(ls.restore(lists, {"0": jnp.full(1, 7.0)}, added="0"), [jnp.zeros(1), jnp.full(1, 7.0)])
    with pytest.raises(ValueError, match="0: named in added"):
        ls.restore(dicts, {"0": jnp.full(1, 7.0)}, added="0")
    assert_equal(ls.restore(dicts, {"1": jnp.full(1, 7.0)}, added="0"), {"0": jnp.zeros(1), "1": jnp.full(1, 7.0)})
    many = [jnp.full(i + 1, float(i)) for i in range(12)]  # by their numbers, not by their letters
    less = [x + 100 for x in many[2:]]
    assert_equal(ls.restore(many, less, added=["0", "1"]), [*many[:2], *less])
    with pytest.raises(ValueError, match=r'Hint: restore\(\.\.\., added=\["0", "1"\]\)'):
        ls.restore(many, less)


def test_live_replacement_after_a_resume():
    old, new = ls.warmup_cosine(1e-3, 10, 100), ls.warmup_cosine(1e-3, 10, 200)
    state = ls.scale_by_learning_rate(old, live=True).init(PARAMS)
    schedule = ls.resume(ls.describe(ls.schedule(state)), new, "replace")
    assert ls.schedule(ls.replace_schedule(state, schedule)) == new
    np.testing.assert_array_equal(ls.schedule(state)(50), old(50))
