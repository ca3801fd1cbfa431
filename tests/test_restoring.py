"""What was read from a checkpoint fits the program: what does not is named, and live schedules are the old or the new ones."""

import contextlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import bits, relaxed
from test_checkpoint import MAKERS, PARAMS, assert_equal, dicts

import lrsched as ls
from lrsched.training.holders import path_of


@pytest.fixture(autouse=True)
def promoting():
    with relaxed():  # optax and flax mix types
        yield


def test_restore_says_what_differs():
    def state(s: Any, live: bool = True, **params: Any) -> Any:
        return MAKERS["chain"](s, live).init({**PARAMS, **params})

    line = ls.Linear(0.0, 0.1, 10)
    mine = state(line)
    for found, message in (
        (state(ls.Cosine(0.0, 0.1, 10)), r"1/live: Cosine\(0.0, 0.1, 10\) in the checkpoint, Linear\(0.0, 0.1, 10\) in the"),
        (state(line, live=False), "1/live/start/high: not in the checkpoint"),
        (state(line, a=jnp.ones(4)), r"0/mu/a: float32\[4\] in the checkpoint, float32\[3\] in the template"),
        (state(line, a=jnp.ones(3, jnp.int32)), r"0/mu/a: int32\[3\] in the checkpoint, float32\[3\] in the template"),
        ({}, r"(?s)of the template, got another.* and \d+ more\nHint"),
    ):
        with pytest.raises(ValueError, match=message):
            ls.restore(mine, found)
    for wanted, found, message in (
        ({"a": {"b": 1.0}}, {"a": {"b": 5.0}, "a/b": 7.0}, "a/b: only in the checkpoint"),
        ({"a": jnp.ones(2)}, {"a": "hello"}, r"a: str in the checkpoint, float32\[2\] in the template$"),
        ({"a": "hello"}, {"a": jnp.ones(2)}, r"a: float32\[2\] in the checkpoint, str in the template"),
        ({"a": 1}, {"a": 1.5}, "a: float in the checkpoint, int in the template"),
        ({"a": 1}, {"a": "1"}, "a: str in the checkpoint, int in the template"),
        ({"a": jnp.ones(2)}, None, "a: not in the checkpoint"),
        (dict.fromkeys("abcdefg", 1), {"a": 1}, "g: not in the checkpoint\n"),
    ):
        with pytest.raises(ValueError, match=message):
            ls.restore(wanted, found)
    restored = ls.restore(jax.eval_shape(lambda: mine), jax.device_get(mine))
    assert_equal(restored, mine)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(restored))


def test_other_trees_are_restored_too():
    for tree in (
        {"a": None, "b": jnp.ones(2, jnp.bfloat16), "": ()},
        {0: jnp.ones(2), 1: (jnp.zeros(()),), 2: jax.random.key(0)},
        {"a/b": jnp.ones(1), "a": {"b": jnp.zeros(1)}},
        {"step": 2**40, "rate": 0.5, "name": "adam", "done": True, "big": np.array([2**40]), "wide": np.ones(2)},
        (),
        jnp.ones(2),
    ):
        restored = ls.restore(tree, jax.tree.map(lambda x: x, tree))
        assert jax.tree.structure(restored) == jax.tree.structure(tree)
        for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(tree), strict=True):
            assert type(a) is type(b)
            assert bool(jnp.all(a == b)) if isinstance(a, jax.Array) else np.array_equal(a, b)


def distinct(state: Any) -> Any:
    """The state with other numbers, each leaf its own."""
    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [jnp.full_like(x, 3 + i) for i, x in enumerate(leaves)])


def leaves(tree: Any) -> dict[str, Any]:
    return {"/".join(path_of(keys)): bits(jnp.asarray(x)) for keys, x in jax.tree_util.tree_leaves_with_path(tree)}


def replaced(state: Any, template: Any) -> dict[str, Any]:
    """The leaves of a state with the live schedules of another."""
    return {path: leaves(template if "/live/" in f"/{path}" else state)[path] for path in leaves(template)}


def rate(s: Any, live: bool = False) -> Any:
    return ls.scale_by_learning_rate(s, live=live).init(PARAMS)


def train_state(s: Any) -> Any:
    return TrainState.create(apply_fn=None, params=PARAMS, tx=MAKERS["chain"](s, True))


read = pytest.mark.parametrize("read", [jax.device_get, dicts], ids=["nodes", "dicts"])


@read
def test_the_new_schedule_after_a_restore(read):
    old, new = ls.wsd(1e-2, 5, 100, 20), ls.wsd(1e-2, 5, 1000, 20)
    state, template = rate(old, True)._replace(step=jnp.array(96), used=jnp.float32(0.002)), rate(new, True)
    s = ls.resume(ls.describe(ls.schedule(state)), new, on_change="replace")
    restored = ls.restore(template, read(state), on_change="replace")
    assert ls.schedule(restored) == s == new
    assert (restored.step, restored.used) == (96, jnp.float32(0.002))  # the rate that was used
    np.testing.assert_allclose(ls.next_learning_rate(restored), 0.01, rtol=1e-6)
    assert_equal(ls.restore(template, read(state), on_change="keep"), state)


LIVE = {
    **{name: lambda s, make=make: make(s, True).init(PARAMS) for name, make in MAKERS.items()},
    "train state": train_state,
    "batch": lambda s: jax.vmap(lambda c: rate(c * s, True))(ls.stack([ls.Constant(1.0), ls.Constant(2.0)])),
}


@read
@pytest.mark.parametrize("make", LIVE.values(), ids=LIVE)
def test_every_live_schedule_that_differs_is_shown(make, read):
    old, template = (make(0.1 * ls.Cosine(1.0, 0.0, n) * ls.reduce_on_plateau(patience=n)) for n in (100, 200))
    state, many = read(old), 2 if make is LIVE["scheduled"] else 1
    with pytest.warns(UserWarning, match="the live schedule of the checkpoint") as caught:
        assert leaves(ls.restore(template, state)) == leaves(old)
    assert [warning.filename for warning in caught] == [__file__]
    for line in (r"  \S*live", r"checkpoint  .*100\b.*", r"now         .*200\b.*", r" *\^+"):
        assert len(re.findall(rf"(?m)^ *{line}$", str(caught[0].message))) == many
    assert re.search(r'restore\(..., on_change="keep"\).*restore\(..., on_change="replace"\)', str(caught[0].message))
    with pytest.raises(
        ValueError, match=r"(?s)expected the live schedule of the checkpoint, got another.*checkpoint  .*100.*now   .*200"
    ):
        ls.restore(template, state, on_change="raise")
    assert leaves(ls.restore(template, state, on_change="keep")) == leaves(old)
    assert leaves(ls.restore(template, state, on_change="replace")) == replaced(old, template)
    for words in ("warn", "raise", "replace"):  # of equal ones there is nothing to say
        assert leaves(ls.restore(old, state, on_change=words)) == leaves(old)


def test_a_live_schedule_of_which_only_names_are_left():
    def state(s: Any) -> Any:
        return nnx.state(nnx.Optimizer(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), MAKERS["chain"](s, True), wrt=nnx.Param))

    template = state(PLATEAU)
    old = distinct(template)
    for saved in (old, nnx.to_pure_dict(old), jax.device_get(old)):
        with pytest.warns(UserWarning, match=r"\n  opt_state/1/live: other numbers in the checkpoint than in the template\n"):
            assert leaves(ls.restore(template, saved)) == leaves(old)
        with pytest.raises(ValueError, match="expected the live schedule of the checkpoint, got another"):
            ls.restore(template, saved, on_change="raise")
        assert leaves(ls.restore(template, saved, on_change="keep")) == leaves(old)
        assert leaves(ls.restore(template, saved, on_change="replace")) == replaced(old, template)
    ls.restore(template, nnx.to_pure_dict(template), on_change="raise")
    with pytest.raises(ValueError, match=r"\n    opt_state/1/live/\S+ only in the checkpoint\n(.*\n)*Hint.*replace"):
        ls.restore(template, state(0.1 * PLATEAU))


def test_live_numbers_are_compared_exactly():
    for old, new, differ in (
        (ls.Constant(0.1), ls.Constant(0.3 / 3), False),
        (ls.Constant(0.1), ls.Constant(float(np.nextafter(np.float32(0.1), 1, dtype=np.float32))), True),
        (ls.Constant(0.1), ls.Constant(0.1 * (1 + 1e-6)), True),
        (ls.Constant(0.0), ls.Constant(1e-30), True),
        (ls.Linear(0.0, 1.0, 10**9), ls.Linear(0.0, 1.0, 10**9 + 1), True),
        (ls.Linear(0.0, 1.0, 33.25), ls.Linear(0.0, 1.0, 33.5), True),
    ):
        with pytest.raises(ValueError, match="the live schedule of the checkpoint") if differ else contextlib.nullcontext():
            ls.restore(rate(new, True), dicts(rate(old, True)), on_change="raise")


def test_a_template_without_numbers_has_none_to_compare():
    state, other = (rate(ls.Linear(0.1, 0.0, n), True) for n in (10, 20))
    shapes = jax.eval_shape(lambda: other)
    for words in ("warn", "keep"):
        assert_equal(ls.restore(shapes, state, on_change=words), state)
    for words in ("raise", "replace"):
        with pytest.raises(ValueError, match=r"expected a value at live/start/high, got none"):
            ls.restore(shapes, state, on_change=words)
    with pytest.raises(ValueError, match=r"expected a value at clocks/0/best, got none"):
        ls.restore(jax.eval_shape(lambda: rate(PLATEAU)), rate(0.1), added="clocks")
    assert_equal(jax.jit(lambda template: ls.restore(template, state))(other), state)


PLATEAU, LATER = ls.reduce_on_plateau(factor=0.5, patience=0), ls.reduce_on_plateau(factor=0.1, patience=7)
TOKENS = ls.Exponential(1.0, 0.5).on(ls.Counter("tokens"))
ADAM, DECAY, COSINE = optax.scale_by_adam(), optax.add_decayed_weights(1e-4), ls.Cosine(0.1, 0.0, 100)
ADAMW = optax.adamw(optax.linear_schedule(1.0, 0.0, 9)).init(PARAMS)


def chain(*links: Any) -> Any:
    return optax.chain(*links, ls.scale_by_learning_rate(PLATEAU)).init(PARAMS)


# From, to, the names, and where parts come from that are not in the same place: the template, or elsewhere in the checkpoint.
BOTH, NEW = {"added": "clocks/1", "removed": "clocks/0"}, {"added": "clocks/0", "on_change": "replace"}
CHANGES: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "adamw": (ADAMW, chain(ADAM, DECAY), {"added": ["2/step", "clocks", "used"], "removed": "2/count"}, "2=template"),
    "first": (rate(0.1), rate(PLATEAU), {"added": "clocks"}, "clocks=template"),
    "after": (rate(PLATEAU), rate(PLATEAU * LATER), {"added": "clocks/1"}, "clocks/1=template"),
    "before": (rate(PLATEAU), rate(LATER * PLATEAU), {"added": "clocks/0"}, "clocks/0=template clocks/1=clocks/0"),
    "less": (rate(TOKENS * PLATEAU), rate(PLATEAU), {"removed": "clocks/0"}, "clocks/0=clocks/1"),
    "other": (rate(TOKENS * PLATEAU), rate(PLATEAU * LATER), BOTH, "clocks/0=clocks/1 clocks/1=template"),
    "anew": (rate(PLATEAU), rate(PLATEAU), {"added": "clocks", "removed": "clocks"}, "clocks=template"),
    "live": (rate(PLATEAU, True), rate(LATER * PLATEAU, True), NEW, "live=template clocks/0=template clocks/1=clocks/0"),
    "another live": (rate(PLATEAU, True), rate(COSINE * LATER, True), {"on_change": "replace"}, "live=template"),
    "named": (rate(PLATEAU, True), rate(COSINE * LATER, True), {"added": "live", "removed": "live"}, "live=template"),
    "now live": (rate(PLATEAU), rate(PLATEAU, True), {"on_change": "replace"}, "live=template"),
    "train state": (train_state(0.1), train_state(PLATEAU), NEW, "opt_state/1/clocks=template opt_state/1/live=template"),
    "no longer live": (rate(PLATEAU, True), rate(PLATEAU), {"removed": "live"}, ""),
    "a link": (chain(ADAM), chain(optax.trace(0.9), ADAM), {"added": "0"}, "0=template 1=0 2=1"),
    "an empty link": (chain(ADAM), chain(optax.clip(1.0), ADAM), {"added": "0"}, "1=0 2=1"),
    "another link": (chain(DECAY), chain(optax.trace(0.9)), {"added": "0", "removed": "0"}, "0=template"),
}


@read
@pytest.mark.parametrize("change", CHANGES)
def test_parts_are_added_and_removed(change, read):
    old, template, names, moved = CHANGES[change]
    before = distinct(old)
    restored = ls.restore(template, read(before), **names)
    assert jax.tree.structure(restored) == jax.tree.structure(template)
    origins = dict(each.split("=") for each in moved.split())
    for path, x in leaves(restored).items():
        part = next((part for part in origins if path.startswith(f"{part}/")), "")
        origin = origins.get(part, "")
        assert x == (leaves(template)[path] if origin == "template" else leaves(before)[origin + path.removeprefix(part)])
    if change != "anew":
        with pytest.raises(ValueError, match=r"(?s)of the structure of the template, got another:.*\nHint: added="):
            ls.restore(template, read(before))


@read
def test_names_that_do_not_fit_are_refused(read):
    state, template = read(chain(ADAM)), optax.chain(ADAM, ls.scale_by_learning_rate(PLATEAU * LATER)).init(PARAMS)
    word: Any = "ignore"
    refused: list[tuple[Any, str]] = [
        ({}, r"1/clocks/1/bad: not in the checkpoint(.*\n)*Hint: added="),
        ({"added": "clocks/2"}, r"\(added='clocks/2'\): expected the name of a part of the template"),
        ({"added": "clocks/1", "removed": "cloc"}, r"\(removed='cloc'\): expected the name of a part of the checkpoint"),
        ({"added": "clocks"}, r"1/clocks/0/bad: on both sides, but not in one place when the named parts are left out"),
        ({"added": "step"}, r"1/step: on both sides"),
        ({"added": ["clocks/1", "0"]}, r"1/clocks/0/bad: on both sides"),
        ({"added": "clocks/1", "removed": "nu"}, r"0/nu/a: on both sides"),
        *(({"added": x}, r"restore\(added=.*\): expected names of parts, such as 'clocks/0'") for x in (3, [3], "", None)),
        ({"on_change": word}, r"restore\(on_change='ignore'\): expected 'warn' or"),
    ]
    for names, message in refused:
        with pytest.raises((TypeError, ValueError), match=message):
            ls.restore(template, state, **names)
    with pytest.raises(ValueError, match=r"clocks/0/bad: only in the checkpoint(.*\n)*Hint"):
        ls.restore(rate(COSINE, True), read(rate(PLATEAU, True)), on_change="replace")
    with pytest.raises(ValueError, match="clocks/1/bad: not in the checkpoint"):
        ls.restore(rate(PLATEAU * LATER), read(rate(0.1)), added="clocks/0")


def test_a_name_from_the_top_means_one_part_and_any_other_all():
    inner = {"a": jnp.ones(1), "b": jnp.ones(2)}
    tree = {"a": jnp.zeros(1), "inner": inner, "0": [inner, inner]}
    assert_equal(ls.restore(tree, {"inner": inner, "0": [inner, inner]}, added="a"), tree)
    assert_equal(
        ls.restore(tree, {"a": jnp.zeros(1), "inner": {"a": jnp.ones(1)}, "0": [{"a": jnp.ones(1)}] * 2}, added="b"), tree
    )
    many = [jnp.full(i + 1, float(i)) for i in range(12)]  # in the order of numbers, not of letters
    less = {str(i): x + 100 for i, x in enumerate(many[2:])}
    assert_equal(ls.restore(many, less, added=["0", "1"]), [*many[:2], *less.values()])
