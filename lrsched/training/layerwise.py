"""Learning rates that differ by layer."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.node import checked
from lrsched.algebra.numerics import Number
from lrsched.algebra.written import shown, unexpected
from lrsched.training.holders import Tree, path_of
from lrsched.training.transform import ScheduleLike, applied_as, scaled_by


def layerwise(
    schedule: ScheduleLike,
    decay: Number | None = None,
    depth_of: Tree = None,
    *,
    factors: Tree = None,
    flip_sign: bool = True,
    live: bool = False,
    start: Tree = 0,
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by a learning rate that differs by layer: `-schedule(t) · decay ** depth`, or `-schedule(t) · factor`.

    It takes the place of `scale_by_learning_rate` in a chain, and `learning_rate` finds the rate at depth 0.

    The depth of a parameter is a number, 0 for the head, and one more with each layer below it; for layers that `nn.scan` or
    `jax.vmap` stacked into one array, it is an array of shape (layers,). Depths come from a function of the path of each
    parameter, such as `"blocks/3/attention/kernel"`, or from a pytree whose paths begin those of the parameters:
    `{"embed": 12, "blocks": jnp.arange(11, -1, -1), "head": 0}`. The longest one of whole parts wins; `""` begins every path.

    Args:
        schedule: the rate at depth 0, as in `scale_by_learning_rate`.
        decay: the factor from each layer to the one below it, above 0: 0.65 to 0.9 are usual.
        depth_of: the depths, in the place of factors.
        factors: the factors themselves, >= 0, by the same rules; without `decay` and `depth_of`.
        flip_sign, live, start: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if the schedule, a depth or a factor is none, or not exactly one of depths and factors is given.
        ValueError: if the schedule is a batch, the decay is not above 0, or a factor is below 0; in `init` and `update`, if no
            entry covers a parameter, an entry covers none, or an array does not have one number for each stacked layer.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> params = {"head": jnp.ones(1), "blocks": [jnp.ones(1), jnp.ones(1)]}
    >>> optimizer = ls.layerwise(0.1, 0.5, {"head": 0, "blocks": [2, 1]})
    >>> print(optimizer.update(params, optimizer.init(params))[0])
    {'blocks': [Array([-0.025], dtype=float32), Array([-0.05], dtype=float32)], 'head': Array([-0.1], dtype=float32)}

    References:
        Clark and others, *ELECTRA*, 2020, and Bao and others, *BEiT*, 2021, who fine-tune so.
    """
    applied = applied_as("layerwise", schedule, live, start)
    if factors is not None and (decay is not None or depth_of is not None):
        raise TypeError("layerwise(...): expected factors, or decay and depth_of, got both.")
    if factors is None and (decay is None or depth_of is None):
        missing = " and ".join(name for name, x in (("decay", decay), ("depth_of", depth_of)) if x is None)
        raise TypeError(f"layerwise(...): expected decay and depth_of, or factors, got no {missing}.")
    base = None if decay is None else checked("layerwise", "decay", decay, gt=0)
    argument, given, bounds = ("factors", factors, {"ge": 0}) if base is None else ("depth_of", depth_of, {})

    def factor(path: str, entry: object) -> Number:
        value = checked("layerwise", f"{argument}[{path!r}]", entry, **bounds)
        if np.ndim(value) > 1:
            raise ValueError(
                f"layerwise({argument}[{path!r}]=...): expected a number, or an array with one axis, got the shape"
                f" {np.shape(value)}."
            )
        return value if base is None else numerics.power(base, value)

    factor_of = (lambda path: factor(path, given(path))) if callable(given) else _entries(argument, given, factor)

    def scale(rate: jax.Array, updates: optax.Updates) -> optax.Updates:
        new = [x if f is None else (rate * f).astype(x.dtype) * x for x, f in _with_factors(updates, factor_of)]
        return jax.tree.unflatten(jax.tree.structure(updates, is_leaf=_is_masked), new)

    def init_fn(params: optax.Params) -> optax.OptState:
        if jax.tree.leaves(params):
            _with_factors(params, factor_of)
        return inner.init(params)

    inner = scaled_by(applied, flip_sign, scale)
    return optax.GradientTransformationExtraArgs(init_fn, inner.update)


def _is_masked(x: object) -> bool:
    return isinstance(x, optax.MaskedNode)


def _by_path(tree: Tree) -> list[tuple[str, Tree]]:
    """The leaves of a tree with their paths; what `optax.masked` took out is a leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_masked)
    return [("/".join(path_of(keys)).strip("/"), x) for keys, x in leaves]


def _entries(argument: str, given: Tree, factor: Callable[[str, object], Number]) -> dict[str, Number]:
    """The factors by path, of a tree of what they are made of."""
    entries: dict[str, Number] = {}
    for path, value in _by_path(given):
        if path in entries:
            raise ValueError(f"layerwise({argument}=...): expected one entry for {path!r}, got two.")
        entries[path] = factor(path, value)
    if not entries:
        raise ValueError(unexpected("layerwise", argument, given, "an entry for each parameter"))
    return entries


def _with_factors(tree: Tree, factor_of: dict[str, Number] | Callable[[str], Number]) -> list[tuple[Tree, jax.Array | None]]:
    """The leaves of a tree, and the factor of each in a shape that fits, None for what is masked."""
    leaves = _by_path(tree)
    if isinstance(factor_of, dict):
        entries, covering = factor_of, {path: _covering(factor_of, path) for path, _ in leaves}
        if unused := sorted(set(entries).difference(*covering.values())):
            raise ValueError(
                f"layerwise(...): expected each entry to cover a parameter, got {', '.join(map(repr, unused))}, which covers"
                f" none. Hint: the parameters are {shown(list(covering))}."
            )
        if bare := [path for path, x in leaves if not covering[path] and not _is_masked(x)]:
            raise ValueError(
                f"layerwise(...): expected an entry for each parameter, got none for {bare[0]!r}. Hint: there are"
                f" {shown(list(entries))}; one for '' covers all others."
            )
        factor_of = lambda path: entries[covering[path][-1]]  # noqa: E731
    return [(x, None if _is_masked(x) else _fitting(factor_of(path), path, x)) for path, x in leaves]


def _covering(entries: dict[str, Number], path: str) -> list[str]:
    """The entries that begin a path, the longest last."""
    return sorted((entry for entry in entries if not entry or f"{path}/".startswith(f"{entry}/")), key=len)


def _fitting(factor: Number, path: str, x: Number) -> jax.Array:
    """A factor in the shape of what it scales; an array has one for each of the stacked layers."""
    if np.ndim(factor) and np.shape(x)[:1] != np.shape(factor):
        raise ValueError(
            f"layerwise(...): expected one number for each of the layers stacked in {path!r}, of the shape {np.shape(x)},"
            f" got {np.shape(factor)[0]}."
        )
    factor = jnp.asarray(numerics.to_float(factor))
    return factor.reshape(*factor.shape, *(1,) * (np.ndim(x) - 1)) if factor.ndim else factor
