"""Learning rates that differ by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.node import checked
from lrsched.algebra.numerics import Number
from lrsched.algebra.written import shown
from lrsched.training.transform import ScheduleLike, applied_as, scaled_by


def layerwise(
    schedule: ScheduleLike,
    decay: Number | None = None,
    depth_of: Any = None,
    *,
    factors: Any = None,
    flip_sign: bool = True,
    live: bool = False,
    start: Any = 0,
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by a learning rate that differs by layer: `-schedule(t) · decay ** depth`, or `-schedule(t) · factor`.

    It takes the place of `scale_by_learning_rate` in a chain, and `learning_rate` finds the rate at depth 0.

    The depth of a parameter is a number, 0 for the head, and one more with each layer below it. For layers that are stacked
    into one array, as `nn.scan` and `jax.vmap` make them, it is an array of shape (layers,), one depth for each entry of the
    leading axis. Depths come from one of two:

    - a callable, called with the path of each parameter, such as `"blocks/3/attention/kernel"`;
    - a dict or a pytree of depths, whose paths begin those of the parameters: `{"embed": 12, "blocks": jnp.arange(11, -1, -1),
      "head": 0}`. The longest one of whole parts wins; `""` begins every path. Lists and tuples are trees: an array has the
      depths of stacked layers, a list those of a list of layers.

    Args:
        schedule: the rate at depth 0, as in `scale_by_learning_rate`.
        decay: the factor from each layer to the one below it, above 0: 0.65 to 0.9 are usual.
        depth_of: the depths, in the place of factors.
        factors: the factors themselves, >= 0, by the same rules; without `decay` and `depth_of`.
        flip_sign, live, start: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if the schedule is no schedule, number or function, a depth or a factor is no number, or not exactly one of
            depths and factors is given.
        ValueError: if the schedule is a batch, the decay is not above 0, or a factor is below 0; in `init` and `update`, if no
            entry covers a parameter, an entry covers none, or an array does not have one number for each stacked layer.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> params = {"head": jnp.ones(1), "blocks": [jnp.ones(1), jnp.ones(1)]}
    >>> optimizer = ls.layerwise(0.1, 0.5, {"head": 0, "blocks": [2, 1]})
    >>> updates, state = optimizer.update(params, optimizer.init(params))
    >>> print(updates)
    {'blocks': [Array([-0.025], dtype=float32), Array([-0.05], dtype=float32)], 'head': Array([-0.1], dtype=float32)}

    References:
        Clark and others, *ELECTRA*, 2020, and Bao and others, *BEiT*, 2021, who fine-tune so.
    """
    applied = applied_as("layerwise", "schedule", schedule, live=live, start=start)
    factor_of = _factors(decay, depth_of, factors)
    inner = scaled_by(applied, flip_sign, lambda rate, updates: _scaled_by(rate, factor_of, updates))

    def init_fn(params: optax.Params) -> Any:
        if jax.tree.leaves(params):
            _each_factor(factor_of, params)
        return inner.init(params)

    return optax.GradientTransformationExtraArgs(init_fn, inner.update)


Entries = dict[str, Any] | Callable[[str], Any]


def _factors(decay: Any, depth_of: Any, factors: Any) -> Entries:
    """The factors by path, of depths or of factors."""
    if factors is not None:
        if decay is not None or depth_of is not None:
            raise TypeError("layerwise(...): expected factors, or decay and depth_of, got both")
        return _entries("factors", factors, ge=0)
    if decay is None or depth_of is None:
        missing = " and ".join(name for name, x in (("decay", decay), ("depth_of", depth_of)) if x is None)
        raise TypeError(f"layerwise(...): expected decay and depth_of, or factors, got no {missing}")
    decay = checked("layerwise", "decay", decay, gt=0)
    depths = _entries("depth_of", depth_of)
    if isinstance(depths, dict):
        return {path: numerics.power(decay, depth) for path, depth in depths.items()}
    return lambda path: numerics.power(decay, depths(path))


def _entries(argument: str, given: Any, **bounds: Any) -> Entries:
    """Checked numbers by path: a dict of them, or a function."""

    def number(path: str, value: Any) -> Any:
        value = checked("layerwise", f"{argument}[{path!r}]", value, **bounds)
        if np.ndim(value) > 1:
            raise ValueError(
                f"layerwise({argument}[{path!r}]=...): expected a number, or an array with one axis, got the shape"
                f" {np.shape(value)}"
            )
        return value

    if callable(given):
        return lambda path: number(path, given(path))
    entries: dict[str, Any] = {}
    for path, value in _by_path(given):
        if path in entries:
            raise ValueError(f"layerwise({argument}=...): expected one entry for {path!r}, got two")
        entries[path] = number(path, value)
    if not entries:
        raise ValueError(f"layerwise({argument}=...): expected an entry for each parameter, got {shown(given)}")
    return entries


def _is_masked(x: Any) -> bool:
    return isinstance(x, optax.MaskedNode)


def _by_path(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree with their paths; what `optax.masked` took out is a leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_masked)
    return [(jax.tree_util.keystr(path, simple=True, separator="/").strip("/"), x) for path, x in leaves]


def _beginnings(path: str) -> list[str]:
    """The paths that begin a path, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(len(parts), 0, -1)] + [""] * (path != "")


def _each_factor(factors: Entries, tree: Any) -> list[Any]:
    """The factor of each leaf of a tree, None for what is masked."""
    leaves = _by_path(tree)
    if not isinstance(factors, dict):
        return [None if _is_masked(x) else _fitting(factors(path), path, x) for path, x in leaves]
    covering = {path: [start for start in _beginnings(path) if start in factors] for path, _ in leaves}
    unused = sorted(set(factors).difference(*covering.values()))
    if unused:
        raise ValueError(
            f"layerwise(...): expected each entry to cover a parameter, got {', '.join(map(repr, unused))}, which covers none."
            f" Hint: the parameters are {shown(list(covering))}"
        )
    return [None if _is_masked(x) else _fitting(_longest(factors, covering[path], path), path, x) for path, x in leaves]


def _longest(factors: dict[str, Any], covering: list[str], path: str) -> Any:
    if not covering:
        raise ValueError(
            f"layerwise(...): expected an entry for each parameter, got none for {path!r}. Hint: there are"
            f" {shown(list(factors))}; one for '' covers all others"
        )
    return factors[covering[0]]


def _fitting(factor: Any, path: str, x: Any) -> Any:
    """A factor, once it is sure that an array of them fits the stacked layers."""
    if np.ndim(factor) and np.shape(x)[:1] != np.shape(factor):
        raise ValueError(
            f"layerwise(...): expected one number for each of the layers stacked in {path!r}, of the shape {np.shape(x)},"
            f" got {np.shape(factor)[0]}"
        )
    return factor


def _scaled_by(rate: jax.Array, factors: Entries, updates: Any) -> Any:
    leaves, structure = jax.tree.flatten(updates, is_leaf=_is_masked)

    def scaled(update: Any, factor: Any) -> Any:
        if factor is None:
            return update
        factor = numerics.real(factor)
        factor = jnp.reshape(factor, (*factor.shape, *(1,) * (np.ndim(update) - factor.ndim))) if factor.ndim else factor
        return (rate * factor).astype(update.dtype) * update

    new = [scaled(x, factor) for x, factor in zip(leaves, _each_factor(factors, updates), strict=True)]
    return jax.tree.unflatten(structure, new)
