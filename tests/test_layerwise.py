"""Rates that differ by layer: depths and factors by function, by tree, and for stacked layers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import refused
from helpers import updated as after

import lrsched as ls

PARAMS: Any = {
    "embed": jnp.ones((2, 3)),
    "blocks": {"attention": {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones(3)}, "norm": jnp.ones((3, 2))},
    "head": {"kernel": jnp.ones((2, 2))},
}
DEPTHS: Any = {"embed": 4, "blocks": np.array([3, 2, 1]), "head": 0}
STACKED = np.array([0.125, 0.25, 0.5])
FACTORS = {"embed": 0.0625, "blocks": STACKED, "head": 1}
RATE = ls.Linear(0.5, 0.0, 4)
WAYS: dict[str, Any] = {
    "function": {"decay": 0.5, "depth_of": lambda path: DEPTHS[path.split("/")[0]]},
    "dict": {"decay": 0.5, "depth_of": DEPTHS},
    "the longest path wins": {"decay": 0.5, "depth_of": {"": 4, "blocks": np.array([3, 2, 1]), "head": 7, "head/kernel": 0}},
    "factors": {"factors": FACTORS},
    "factors by function": {"factors": lambda path: FACTORS[path.split("/")[0]]},
}


def updated(optimizer: Any, params: Any = PARAMS) -> Any:
    """The second update, at three quarters of the first rate."""
    return after(optimizer, params, 2)[0]


def is_as_expected(updates: Any) -> None:
    def check(path, x, u):
        factor = np.reshape(FACTORS[path[0].key], (-1, *(1,) * (x.ndim - 1)))
        np.testing.assert_allclose(np.float32(u), np.broadcast_to(-0.375 * factor, x.shape), rtol=1e-6)

    jax.tree_util.tree_map_with_path(check, PARAMS, updates)


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_say_it(name):
    for type_ in ("float32", "bfloat16"):
        updates = updated(ls.layerwise(RATE, **WAYS[name]), jax.tree.map(lambda x, type_=type_: x.astype(type_), PARAMS))
        assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype(type_)}
        is_as_expected(updates)


def test_one_number_is_for_all_and_a_prefix_of_whole_parts():
    assert all(np.all(np.asarray(x) == np.float32(-0.1875)) for x in jax.tree.leaves(updated(ls.layerwise(RATE, 0.5, 1))))
    np.testing.assert_allclose(updated(ls.layerwise(RATE, factors=[0.5]), [jnp.ones(2)])[0], -0.1875)
    np.testing.assert_allclose(updated(ls.layerwise(RATE, 0.5, {"": 1}, flip_sign=False), jnp.ones(2)), 0.1875)
    params: Any = {"blocks_1": jnp.ones(1), "blocks_10": jnp.ones(1), "blocks": [jnp.ones(1)] * 11}
    depths = {"blocks_1": 1, "blocks_10": 2, "blocks": 3, "blocks/1": 4}
    updates = updated(ls.layerwise(1.0, 0.5, depths), params)
    np.testing.assert_allclose([updates["blocks_1"], updates["blocks_10"]], [[-0.5], [-0.25]])
    np.testing.assert_allclose(updates["blocks"], [[-(0.5**d)] for d in (3, 4, *[3] * 9)])


def test_masked_parameters_may_have_an_entry():
    layers = ls.layerwise(RATE, 0.5, DEPTHS)
    groups: Any = {"frozen": optax.set_to_zero(), "slow": layers, "fast": layers}
    updates = updated(optax.partition(groups, {"embed": "frozen", "blocks": "slow", "head": "fast"}))
    is_as_expected({**updates, "embed": jnp.full((2, 3), -0.375 * 0.0625)})
    assert not updates["embed"].any()
    updates = updated(optax.masked(ls.layerwise(RATE, 0.5, {"head": 0}), {"embed": False, "blocks": False, "head": True}))
    np.testing.assert_allclose(updates["head"]["kernel"], -0.375)
    np.testing.assert_allclose(updated(ls.layerwise(RATE, 0.5, {"a": 1}), {"a": jnp.ones(1), "b": None})["a"], -0.1875)


def test_mapped_and_traced():
    decays = jnp.array([0.5, 0.25])
    heads = jax.jit(jax.vmap(lambda decay: updated(ls.layerwise(1.0, decay, DEPTHS))["blocks"]["norm"]))(decays)
    np.testing.assert_allclose(heads[:, :, 0], [[-0.125, -0.25, -0.5], [-(0.25**3), -(0.25**2), -0.25]])
    factors = jax.jit(lambda f: updated(ls.layerwise(1.0, factors={"": f}), jnp.ones((3, 2))))(STACKED)
    np.testing.assert_allclose(factors, -np.stack([STACKED] * 2, 1))
    many = jax.vmap(lambda x: updated(ls.layerwise(1.0, 0.5, np.array([0, 1, 2])), x))(jnp.ones((4, 3, 2)))
    np.testing.assert_allclose(many[3, :, 1], [-1, -0.5, -0.25])


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"decay": 0.5}, "expected factors, or decay and depth_of, got decay"),
    ({"decay": 0.5, "depth_of": {"a": {"b": "c"}}}, r"depth_of\['a/b'\]='c'\): expected a number"),
    ({"factors": {"a": -1.0}}, r"factors\['a'\]=-1.0\): expected factors\['a'\] >= 0"),
    ({"factors": {"a/b": 1, "a": {"b": 1}}}, "expected one entry for each path"),
    ({"factors": {"embed": 1, "blocks": 2}}, "for each entry, got none for 'head/kernel'"),
    ({"factors": {**FACTORS, "haed": 1}}, "for each entry, got none for 'haed'.*'head/kernel'"),
    ({"factors": {**FACTORS, "blocks": np.ones(4)}}, r"in 'blocks/attention/bias', of the shape \(3,\), got the shape"),
    ({"decay": 1.9, "depth_of": 0}, r"\(decay=1.9\): expected decay > 0 and <= 1. Hint: 0.65 to 0.9 are usual"),
    ({"factors": 1, "live": "yes"}, r"layerwise\(live='yes'\): expected True or False"),
    ({"factors": 1, "flip_sign": 3}, r"layerwise\(flip_sign=3\): expected True or False"),
    ({"decay": 0.5, "depth_of": lambda _: None}, r"depth_of\['blocks/attention/bias'\]=None\): expected a number"),
]
test_mistakes = refused(
    [(lambda arguments=arguments: ls.layerwise(RATE, **arguments).init(PARAMS), message) for arguments, message in MISTAKES]
)
