"""Rates that differ by layer: depths and factors by function, by tree, and for stacked layers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls

PARAMS: Any = {
    "embed": jnp.ones((2, 3)),
    "blocks": {"attention": {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones(3)}, "norm": jnp.ones((3, 2))},
    "head": {"kernel": jnp.ones((2, 2))},
}
DEPTHS: Any = {"embed": 4, "blocks": np.array([3, 2, 1]), "head": 0}
STACKED = np.array([0.125, 0.25, 0.5])
RATE = ls.Linear(0.5, 0.0, 4)


def by_path(path):
    return DEPTHS[path.split("/")[0]]


def updated(optimizer: Any, params: Any = PARAMS, run=lambda f: f) -> Any:
    """The second update, at three quarters of the first rate."""
    _, state = optimizer.update(params, optimizer.init(params), params)
    return run(optimizer.update)(params, state, params)[0]


def expected(path, x, rate=0.375) -> Any:
    factors = {"embed": 0.0625, "blocks": STACKED.reshape(-1, *(1,) * (x.ndim - 1)), "head": 1.0}
    return np.broadcast_to(-rate * factors[path[0].key], x.shape)


def is_as_expected(updates):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        updates,
        jax.tree_util.tree_map_with_path(expected, PARAMS),
    )


WAYS = {
    "function": {"decay": 0.5, "depth_of": by_path},
    "dict": {"decay": 0.5, "depth_of": DEPTHS},
    "jax array": {"decay": 0.5, "depth_of": {**DEPTHS, "blocks": jnp.array([3, 2, 1])}},
    "the longest path wins": {
        "decay": 0.5,
        "depth_of": {"": 4, "blocks": np.array([3, 2, 1]), "head": 7, "head/kernel": 0},
    },
    "factors": {"factors": {"embed": 0.0625, "blocks": STACKED, "head": 1}},
    "factors by function": {"factors": lambda path: {"embed": 0.0625, "blocks": STACKED, "head": 1}[path.split("/")[0]]},
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("run", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_every_way_to_say_it(name, run):
    optimizer = ls.layerwise(RATE, **WAYS[name])
    is_as_expected(updated(optimizer, run=run))


def test_one_number_is_for_all():
    updates = updated(ls.layerwise(RATE, 0.5, 1))
    assert all(np.all(np.asarray(x) == np.float32(-0.1875)) for x in jax.tree.leaves(updates))
    np.testing.assert_allclose(updated(ls.layerwise(RATE, factors=[0.5]), [jnp.ones(2)])[0], -0.1875)
    np.testing.assert_allclose(updated(ls.layerwise(RATE, 0.5, {"": 1}), jnp.ones(2)), -0.1875)


def test_a_prefix_is_of_whole_parts():
    params: Any = {"blocks_1": jnp.ones(1), "blocks_10": jnp.ones(1), "blocks": [jnp.ones(1)] * 11}
    depths = {"blocks_1": 1, "blocks_10": 2, "blocks": 3, "blocks/1": 4, "blocks/10": 5}
    updates = updated(ls.layerwise(1.0, 0.5, depths), params)
    np.testing.assert_allclose(updates["blocks_1"], -0.5)
    np.testing.assert_allclose(updates["blocks_10"], -0.25)
    np.testing.assert_allclose(updates["blocks"], [[-(0.5**d)] for d in (3, 4, *[3] * 8, 5)])


def test_layers_that_flax_stacks():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.Dense(2)(x), None

    stacked = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()
    params = stacked.init(jax.random.key(0), jnp.ones((1, 2)), None)
    updates = updated(ls.layerwise(1.0, factors={"params": STACKED}), params)
    jax.tree.map(lambda u, p: np.testing.assert_allclose(u, -p * STACKED.reshape(-1, *(1,) * (p.ndim - 1))), updates, params)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_updates_keep_their_types(dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
    updates = updated(ls.layerwise(RATE, 0.5, DEPTHS), params, jax.jit)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {np.dtype(dtype)}
    is_as_expected(jax.tree.map(lambda x: x.astype(jnp.float32), updates))


def test_what_is_masked_needs_no_entry_and_takes_one():
    labels = {"embed": "frozen", "blocks": "slow", "head": "fast"}
    groups: Any = {
        "frozen": optax.set_to_zero(),
        "slow": ls.layerwise(RATE, 0.5, DEPTHS),
        "fast": ls.layerwise(RATE, 0.5, DEPTHS),
    }
    updates = updated(optax.partition(groups, labels), run=jax.jit)
    is_as_expected({**updates, "embed": jnp.full((2, 3), -0.375 * 0.0625)})
    assert not updates["embed"].any()
    updates = updated(optax.masked(ls.layerwise(RATE, 0.5, {"head": 0}), {"embed": False, "blocks": False, "head": True}))
    np.testing.assert_allclose(updates["head"]["kernel"], -0.375)
    np.testing.assert_allclose(updates["embed"], 1.0)
    updates = updated(ls.layerwise(RATE, 0.5, {"a": 1}), {"a": jnp.ones(1), "b": None})
    np.testing.assert_allclose(updates["a"], -0.1875)


def test_mapped_and_traced():
    decays = jnp.array([0.5, 0.25])
    heads = jax.jit(jax.vmap(lambda decay: updated(ls.layerwise(1.0, decay, DEPTHS))["blocks"]["norm"]))(decays)
    np.testing.assert_allclose(heads[:, :, 0], [[-0.125, -0.25, -0.5], [-(0.25**3), -(0.25**2), -0.25]])
    factors = jax.jit(lambda f: updated(ls.layerwise(1.0, factors={"": f}), jnp.ones((3, 2))))(STACKED)
    np.testing.assert_allclose(factors, -np.stack([STACKED] * 2, 1))
    many = jax.vmap(lambda x: updated(ls.layerwise(1.0, 0.5, np.array([0, 1, 2])), x))(jnp.ones((4, 3, 2)))
    np.testing.assert_allclose(many[3, :, 1], [-1, -0.5, -0.25])


def test_the_rate_at_depth_0_is_read_and_replaced():
    optimizer: Any = optax.chain(optax.scale(2.0), ls.layerwise(RATE, 0.5, DEPTHS, live=True, flip_sign=False))
    updates, state = optimizer.update(PARAMS, optimizer.init(PARAMS))
    np.testing.assert_allclose(updates["embed"], 2 * 0.5 * 0.0625)
    assert ls.learning_rate(state) == 0.5
    updates, _ = optimizer.update(PARAMS, ls.replace_schedule(state, ls.Linear(1.0, 0.0, 4)))
    np.testing.assert_allclose(updates["embed"], 2 * 0.75 * 0.0625)


MADE: Any = {
    "no depths": ({"decay": 0.5}, TypeError, "expected factors, or decay and depth_of, got decay"),
    "no decay": ({"depth_of": DEPTHS}, TypeError, "expected factors, or decay and depth_of, got depth_of"),
    "nothing": ({}, TypeError, "got neither"),
    "both": ({"decay": 0.5, "factors": DEPTHS}, TypeError, "expected factors, or decay and depth_of, got decay and factors"),
    "decay": ({"decay": 0.0, "depth_of": DEPTHS}, ValueError, r"layerwise\(decay=0.0\): expected decay > 0"),
    "no number": ({"decay": 0.5, "depth_of": {"a": {"b": "c"}}}, TypeError, r"depth_of\['a/b'\]='c'\): expected a number"),
    "bool": ({"factors": {"a": True}}, TypeError, r"factors\['a'\]=True\): expected a number"),
    "nan": ({"decay": 0.5, "depth_of": {"a": np.nan}}, ValueError, r"=nan\): expected a finite number"),
    "negative": ({"factors": {"a": -1.0}}, ValueError, r"factors\['a'\]=-1.0\): expected factors\['a'\] >= 0"),
    "twice": ({"factors": {"a/b": 1, "a": {"b": 1}}}, ValueError, "expected one entry for each path"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_errors_when_it_is_made(name):
    arguments, error, text = MADE[name]
    with pytest.raises(error, match=text):
        ls.layerwise(RATE, **arguments)


MET: Any = {
    "uncovered": ({"embed": 1, "blocks": 2}, ValueError, "expected an entry for each parameter, got none for 'head/kernel'"),
    "unused": ({**DEPTHS, "haed": 1}, ValueError, "got 'haed', which covers none.*'head/kernel'"),
    "length": (
        {**DEPTHS, "blocks": np.ones(4)},
        ValueError,
        r"stacked in 'blocks/attention/bias', of the shape \(3,\), got the shape \(4,\)",
    ),
    "two axes": ({"": np.ones((3, 3))}, ValueError, r"of the shape \(3,\), got the shape \(3, 3\)"),
    "empty": ({}, ValueError, "expected an entry for each parameter"),
    "no number": (lambda _: None, TypeError, r"depth_of\['blocks/attention/bias'\]=None\): expected a number"),
    "scalar": ({"": np.ones(1)}, ValueError, r"of the shape \(3,\), got the shape \(1,\)"),
}


@pytest.mark.parametrize("name", MET)
def test_errors_when_it_meets_the_parameters(name):
    depth_of, error, text = MET[name]
    optimizer = ls.layerwise(RATE, 0.5, depth_of)
    with pytest.raises(error, match=text):
        optimizer.init(PARAMS)
    state = optimizer.init({})
    with pytest.raises(error, match=text):
        jax.jit(optimizer.update)(PARAMS, state)
