"""A checkpoint restores a state and compares its schedule with the program's; errors name each part that does not fit."""

import functools
import json
import pickle
import re
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import bits, refused

import lrsched as ls
from lrsched.dialects import torch
from lrsched.training.parts import path_of

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"a": jnp.ones(3), "b": jnp.ones((2, 2), jnp.bfloat16)}
PLATEAU, LATER = ls.reduce_on_plateau(factor=0.5, patience=0), ls.reduce_on_plateau(factor=0.1, patience=7)
ADAM, TOKENS = optax.scale_by_adam(), ls.Exponential(1.0, 0.5).on(ls.Counter("tokens"))
COSINE, RAMP = ls.Cosine(0.1, 0.0, 100), ls.Linear(0.1, 0.0, 100)
SCHEDULE = ls.Linear(0.0, 0.1, 2.5) >> 0.1 * ls.Cosine(1.0, 0.5, 10).repeat() * PLATEAU * TOKENS
MAKERS = {
    "chain": lambda s, live: optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, live=live)),
    "scheduled": lambda s, live: ls.scheduled(optax.adamw, live=live)(s, weight_decay=0.1 * s),
    "partition": lambda s, live: optax.partition(
        {"x": optax.adam(0.1), "y": ls.layerwise(s, 0.5, len, live=live)}, {"a": "x", "b": "y"}
    ),
}
FORMATS = {
    "orbax": lambda state, template, folder: through_orbax(ocp.StandardCheckpointer, state, folder, template),
    "orbax, without a template": lambda state, template, folder: ls.restore(
        template, through_orbax(ocp.PyTreeCheckpointer, state, folder)
    ),
    "flax": lambda state, template, _: flax.serialization.from_bytes(template, flax.serialization.to_bytes(state)),
    "flax, without a template": lambda state, template, _: ls.restore(template, dicts(state)),
    "pickle": lambda state, template, _: ls.restore(template, pickle.loads(pickle.dumps(state))),
}


@functools.cache
def trained(maker: str, live: bool) -> Any:
    """A function that goes on training for two updates, the first state, and the state after some updates."""
    optimizer: Any = MAKERS[maker](SCHEDULE, live)
    update = jax.jit(lambda state, value: optimizer.update(PARAMS, state, PARAMS, value=value, tokens=2**20)[1])

    def on(state):
        return update(update(state, 1.0), 0.5)

    return on, optimizer.init(PARAMS), on(on(optimizer.init(PARAMS)))


def through_orbax(kind: Any, state: Any, folder: Any, *template: Any) -> Any:
    with kind() as checkpointer:
        checkpointer.save(folder / "state", state)
        getattr(checkpointer, "wait_until_finished", lambda: None)()
        return checkpointer.restore(folder / "state", *template)


def dicts(state: Any) -> Any:
    """Nested dicts, as msgpack gives them; `jax.device_get` gives nodes, as pickle does."""
    return flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))


def rate(s: Any, live: bool = False) -> Any:
    return ls.scale_by_learning_rate(s, live=live).init(PARAMS)


def distinct(state: Any) -> Any:
    """The state with other numbers, each leaf its own."""
    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [jnp.full_like(x, 3 + i) for i, x in enumerate(leaves)])


def leaves(tree: Any) -> dict[str, Any]:
    return {"/".join(path_of(keys)): bits(jnp.asarray(x)) for keys, x in jax.tree_util.tree_leaves_with_path(tree)}


def assert_equal(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert leaves(a) == leaves(b)


@pytest.mark.filterwarnings("ignore")  # orbax warns of what it is going to change
@pytest.mark.parametrize("through", [pytest.param(x, marks=[pytest.mark.system] * x.startswith("orbax")) for x in FORMATS])
@pytest.mark.parametrize(("maker", "live"), [("chain", False), ("chain", True), ("scheduled", True), ("partition", True)])
def test_a_state_comes_back_equal_and_goes_on(maker, live, through, tmp_path):
    on, first, state = trained(maker, live)
    restored = FORMATS[through](state, first, tmp_path)
    assert_equal(restored, state)
    assert_equal(on(restored), on(state))


def decayed(t: Any) -> Any:
    return 1 / (1 + t)


def test_a_description_is_json_and_resumes():
    for s in (SCHEDULE, 0.1 * ls.Function(decayed), ls.warmup_cosine(1e-3, 10, 100), torch.StepLR(0.1, 30)):
        saved, other = json.loads(json.dumps(ls.describe(s))), s * 2
        assert "warmup" not in saved  # a recipe may be another one in a later version
        assert [ls.resume(saved, s, on_change) for on_change in ("raise", "keep", "replace")] == [s] * 3
        assert ls.resume(saved, other, "replace") is other
    assert ls.resume(saved, other, "keep") == s
    assert ls.resume("Linear(0, 1,10)", ls.Linear(0.0, 1.0, 10)).length == 10  # a text written by hand
    assert "0x" not in ls.describe(ls.Function(functools.partial(decayed)))  # the same in every process


def test_long_schedules_are_shown_where_they_differ():
    starts = np.arange(60) / 10
    other = np.where(np.isin(np.arange(60), (30, 31, 50)), 7.0, starts)
    long, changed = (ls.join([ls.Linear(x, 0.0, 10) for x in some], range(10, 600, 10)) for some in (starts, other))
    with pytest.raises(ValueError, match="the schedule of the checkpoint, got another") as raised:
        ls.resume(ls.describe(long), changed)
    _, saved, now, marks, _ = str(raised.value).split("\n")
    assert max(map(len, (saved, now))) < 140
    assert (saved[marks.index("^")], now[marks.index("^")], marks.split()) == ("3", "7", ["^^^", "^^^", "and", "more"])


def chain(s: Any = PLATEAU, live: bool = False, links: Any = (ADAM,), **params: Any) -> Any:
    return optax.chain(*links, ls.scale_by_learning_rate(s, live=live)).init({**PARAMS, **params})


def train_state(s: Any) -> Any:
    return TrainState.create(apply_fn=None, params=PARAMS, tx=MAKERS["chain"](s, True))


def replaced(state: Any, template: Any) -> dict[str, Any]:
    """The leaves of a state with the live schedules of another."""
    return {path: leaves(template if "/live/" in f"/{path}" else state)[path] for path in leaves(template)}


def test_a_restored_state_has_the_structure_of_the_template():
    x, y = jnp.ones(1), jnp.ones(2)
    arrays = {"a": None, "b": y, "": (), "e": {0: x}, "c/d": x, "c": {"d": jnp.zeros(1)}}
    numbers = {"step": 2**40, "rate": 0.5, "name": "adam", "done": True, "big": np.array([2**40]), "key": jax.random.key(0)}
    both, less = {"a": x, "b": y}, {"a": x}
    nested = {"a": jnp.zeros(1), "inner": both, "0": [both, both]}
    of_parameters, of_variables = {"mu": {"value": x, "b": y}}, {"mu": {"value": {"value": x}, "b": {"value": y}}}
    for template, loaded, added in (
        (arrays, dict(arrays), ()),
        (of_parameters, of_variables, ()),  # a parameter may be called value
        (of_variables, of_parameters, ()),
        (nested, {"inner": both, "0": [both, both]}, "a"),  # a name from the top means one part
        (nested, {"a": jnp.zeros(1), "inner": less, "0": [less, less]}, "b"),  # and any other all
    ):
        assert_equal(ls.restore(template, loaded, added=added), template)
    restored = ls.restore(numbers, dict(numbers))
    assert all(type(restored[name]) is type(x) and np.all(restored[name] == x) for name, x in numbers.items())
    many = [jnp.full(i + 1, float(i)) for i in range(12)]  # in the order of numbers, not of letters
    moved = {str(i): x + 100 for i, x in enumerate(many[2:])}
    assert_equal(ls.restore(many, moved, added=["0", "1"]), [*many[:2], *moved.values()])


def test_a_template_without_numbers_has_none_to_compare():
    state = chain(COSINE, True)
    shapes = jax.eval_shape(lambda: state)
    assert_equal(ls.restore(shapes, jax.device_get(state)), state)
    for words in ("raise", "replace"):
        with pytest.raises(ValueError, match=r"expected a value at 1/live/start/high, got none"):
            ls.restore(shapes, state, on_change=words)
    with pytest.raises(ValueError, match=r"expected a value at 1/clocks/0/best, got none"):
        ls.restore(jax.eval_shape(chain), chain(0.1), added="clocks")
    assert_equal(jax.jit(lambda template: ls.restore(template, state))(chain(COSINE, True)), state)


LIVE = {
    **{name: lambda s, make=make: make(s, True).init(PARAMS) for name, make in MAKERS.items()},
    "train state": train_state,
    "fields in a dict": lambda s: {"0": rate(s, True)._asdict()},
    "batch": lambda s: jax.vmap(lambda c: rate(c * s, True))(ls.stack([ls.Constant(1.0), ls.Constant(2.0)])),
}


def test_names_alone_say_that_their_numbers_differ():
    template = nnx.state(nnx.Optimizer(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), MAKERS["chain"](PLATEAU, True), wrt=nnx.Param))
    old = distinct(template)
    with pytest.warns(UserWarning, match=r"\n  opt_state/1/live: other numbers in the checkpoint than in the template\n"):
        assert leaves(ls.restore(template, nnx.to_pure_dict(old))) == leaves(old)
    assert leaves(ls.restore(template, old, on_change="replace")) == replaced(old, template)


@pytest.mark.parametrize("read", [jax.device_get, dicts], ids=["nodes", "dicts"])
@pytest.mark.parametrize("name", LIVE)
def test_a_live_schedule_that_differs_is_shown_kept_or_replaced(name, read):
    old, template = (LIVE[name](0.1 * ls.Cosine(1.0, 0.0, n) * ls.reduce_on_plateau(patience=n)) for n in (100, 200))
    state = read(old)
    with pytest.warns(UserWarning, match="the live schedule of the checkpoint") as caught:
        assert leaves(ls.restore(template, state)) == leaves(old)
    assert [warning.filename for warning in caught] == [__file__]
    for line in (r"  \S*live", r"checkpoint  .*100\b.*", r"now         .*200\b.*", r" *\^+ +\^.*"):
        assert len(re.findall(rf"(?m)^ *{line}$", str(caught[0].message))) == (2 if name == "scheduled" else 1)
    assert re.search(r'on_change="keep" .*on_change="replace" .*continues with that', str(caught[0].message))
    with pytest.raises(ValueError, match=r"(?s)live schedule of the checkpoint, got another.*checkpoint  .*100.*now   .*200"):
        ls.restore(template, state, on_change="raise")
    assert leaves(ls.restore(template, state, on_change="keep")) == leaves(old)
    assert leaves(ls.restore(template, state, on_change="replace")) == replaced(old, template)
    assert leaves(ls.restore(old, state, on_change="raise")) == leaves(old)  # of equal ones there is nothing to say


DECAY, TRACE = optax.add_decayed_weights(1e-4), optax.trace(0.9)
ADAMW = optax.adamw(optax.linear_schedule(1.0, 0.0, 9)).init(PARAMS)
BOTH, NEW = {"added": "clocks/1", "removed": "clocks/0"}, {"added": "clocks/0", "on_change": "replace"}
# The old state, the template, the arguments, and the origins of parts that move: the template, or elsewhere in the checkpoint.
CHANGES: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "adamw": (ADAMW, chain(links=(ADAM, DECAY)), {"added": ["2/step", "clocks", "used"], "removed": "2/count"}, "2=template"),
    "other": (rate(TOKENS * PLATEAU), rate(PLATEAU * LATER), BOTH, "clocks/0=clocks/1 clocks/1=template"),
    "live": (rate(PLATEAU, True), rate(LATER * PLATEAU, True), NEW, "live=template clocks/0=template clocks/1=clocks/0"),
    "train state": (train_state(0.1), train_state(PLATEAU), NEW, "opt_state/1/clocks=template opt_state/1/live=template"),
    "no longer live": (rate(PLATEAU, True), rate(PLATEAU), {"removed": "live"}, ""),
    "a link": (chain(links=(DECAY,)), chain(links=(TRACE,)), {"added": "0", "removed": "0"}, "0=template"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_parts_are_added_and_removed(change):
    old, template, names, moved = CHANGES[change]
    before = distinct(old)
    origins = dict(each.split("=") for each in moved.split())
    for read in (jax.device_get, dicts):
        restored = ls.restore(template, read(before), **names)
        assert jax.tree.structure(restored) == jax.tree.structure(template)
        for path, x in leaves(restored).items():
            part = next((part for part in origins if path.startswith(f"{part}/")), "")
            origin = origins.get(part, "")
            assert x == (leaves(template)[path] if origin == "template" else leaves(before)[origin + path.removeprefix(part)])
    with pytest.raises(ValueError, match=r"(?s)of the structure of the template, got another:.*\nHint: added="):
        ls.restore(template, before)


THIRD = ls.Constant(1 / 3)
TWO, LIVE_COSINE, FUNCTION = chain(PLATEAU * LATER), chain(COSINE, True), ls.describe(0.1 * ls.Function(decayed))
REFUSED: list[tuple[Any, str]] = [
    (lambda: ls.resume(ls.describe(ls.get_schedule(rate(THIRD, True))), ls.Constant(1 / 3 + 1e-12)), "checkpoint, got another"),
    (lambda: ls.resume(None, SCHEDULE), r"resume\(saved=None\): expected the text that describe gave"),  # pyright: ignore
    (lambda: ls.resume(FUNCTION, 0.2 * ls.Function(decayed)), "the schedule of the checkpoint, got another"),
    (lambda: ls.resume(FUNCTION, SCHEDULE, "keep"), "an expression for parse, got an error: .* got the name decayed"),
    (lambda: ls.restore(LIVE_COSINE, chain(RAMP, True)), r"1/live: Linear\(0.1, .* in the checkpoint, Cosine\(0.1, 0.0, 100\)"),
    (lambda: ls.restore(dict.fromkeys("abcdefghijkl", 1), {}), r"(?s)of the template, got another.* and \d+ more\nHint"),
    (lambda: ls.restore(chain(), chain(a=jnp.ones(4))), r"0/mu/a: float32\[4\] in the checkpoint, float32\[3\] in the temp"),
    (lambda: ls.restore(LIVE_COSINE, chain(COSINE)), "\n    1/live: not in the checkpoint, which was made without live=True\n"),
    (lambda: ls.restore(chain(COSINE), LIVE_COSINE), "\n    1/live: only in the checkpoint, which was made with live=True\n"),
    (lambda: ls.restore({"a": jnp.ones(2)}, None), "a: not in the checkpoint"),
    (lambda: ls.restore(TWO, chain()), r"1/clocks/1: not in the checkpoint(.*\n)*Hint: added="),
    (lambda: ls.restore(TWO, chain(), added="clocks/2"), r"\(added='clocks/2'\): expected the name of a part of the template"),
    (lambda: ls.restore(TWO, chain(), added=["clocks/1", "0"]), "0/mu/a: on both sides, but not in one place"),
    (lambda: ls.restore(TWO, chain(), added=3), r"\(added=3\): expected names of parts, such as 'clocks/0'"),  # pyright: ignore
    (lambda: ls.restore(TWO, chain(), "ignore"), r"restore\(on_change='ignore'\): expected 'warn' or"),  # pyright: ignore
]
test_mistakes = refused(REFUSED)
