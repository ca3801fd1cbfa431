"""Learning rates that differ by layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.node import checked
from lrsched.algebra.numerics import Number
from lrsched.algebra.powers import power
from lrsched.algebra.written import shown, unexpected
from lrsched.training.parts import Tree, by_path
from lrsched.training.transform import ScheduleLike, applied_as, scaled_by


@explained
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

    It takes the place of `scale_by_learning_rate` in a chain, and `learning_rate` reads the rate at depth 0.

    The depth of a parameter is a number: 0 for the head, and one more for each layer below it. For layers that `nn.scan` or
    `jax.vmap` stacked into one array, it is an array of shape (layers,). Give depths as a function of a parameter's path, such
    as `"blocks/3/attention/kernel"`, or as a pytree of the first parts of paths,
    `{"embed": 12, "blocks": jnp.arange(11, -1, -1), "head": 0}`: the longest match counts, and `""` matches every path.

    Args:
        schedule: the rate at depth 0, as in `scale_by_learning_rate`.
        decay: the factor from each layer to the one below it, > 0 and <= 1; usually 0.65 to 0.9.
        depth_of: the depths, with `decay`.
        factors: the factors themselves, >= 0, in the same form, instead of `decay` and `depth_of`.
        flip_sign, live, start: as in `scale_by_learning_rate`.

    Raises:
        TypeError: if a depth or a factor is not a number, or not exactly one of depths and factors is given.
        ValueError: if the schedule is a batch, the decay is not above 0 and at most 1, or a factor is below 0; from `init` and
            `update`, if a parameter has no entry, an entry has no parameter, or an array does not fit the stacked layers.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> params = {"head": jnp.ones(1), "blocks": [jnp.ones(1), jnp.ones(1)]}
    >>> optimizer = ls.layerwise(0.1, 0.5, {"head": 0, "blocks": [2, 1]})
    >>> print(optimizer.update(params, optimizer.init(params))[0])
    {'blocks': [Array([-0.025], dtype=float32), Array([-0.05], dtype=float32)], 'head': Array([-0.1], dtype=float32)}

    References:
        Clark and others, *ELECTRA*, 2020; Bao and others, *BEiT*, 2021.
    """
    applied = applied_as("layerwise", schedule, live, start)
    given = {name: x for name, x in (("decay", decay), ("depth_of", depth_of), ("factors", factors)) if x is not None}
    if given.keys() not in ({"factors"}, {"decay", "depth_of"}):
        raise TypeError(f"layerwise(...): expected factors, or decay and depth_of, got {' and '.join(given) or 'neither'}.")
    hint = "0.65 to 0.9 are usual; factors may be above 1"
    base = None if decay is None else checked("layerwise", "decay", decay, gt=0, le=1, hint=hint)
    argument, bounds = ("factors", {"ge": 0}) if base is None else ("depth_of", {})
    wanted = given[argument]

    def factor(path: str, entry: object) -> Number:
        value = checked("layerwise", f"{argument}[{path!r}]", entry, **bounds)
        return value if base is None else power(base, value)

    leaves = [] if callable(wanted) else _by_path(wanted)
    entries = {path: factor(path, x) for path, x in leaves}
    if len(entries) < len(leaves):
        raise ValueError(unexpected("layerwise", argument, wanted, "one entry for each path"))

    def with_factors(tree: Tree) -> list[tuple[Tree, jax.Array | None]]:
        """The leaves of a tree, and for each a factor in a shape that fits, or None if it is masked."""
        leaves = _by_path(tree)
        paths = {path: not _is_masked(x) for path, x in leaves}
        known = {path: factor(path, wanted(path)) for path in paths if paths[path]} if callable(wanted) else entries
        covering = {path: [entry for entry in _prefixes(path) if entry in known] for path in paths}
        unused = known.keys() - set[str]().union(*covering.values())
        if alone := [*(path for path in paths if paths[path] and not covering[path]), *sorted(unused)]:
            raise ValueError(
                "layerwise(...): expected an entry for each parameter, and a parameter for each entry, got none for"
                f" {', '.join(map(repr, alone))}. Hint: the parameters are {shown([*paths])}; '' covers all others."
            )
        return [(x, None if _is_masked(x) else _fitting(known[covering[path][0]], path, x)) for path, x in leaves]

    def scale(rate: jax.Array, updates: optax.Updates) -> optax.Updates:
        new = [x if f is None else (rate * f).astype(x.dtype) * x for x, f in with_factors(updates)]
        return jax.tree.unflatten(jax.tree.structure(updates, is_leaf=_is_masked), new)

    def init_fn(params: optax.Params) -> optax.OptState:
        if jax.tree.leaves(params):
            with_factors(params)
        return inner.init(params)

    inner = scaled_by(applied, flip_sign, scale)
    return optax.GradientTransformationExtraArgs(init_fn, inner.update)


def _is_masked(x: object) -> bool:
    return isinstance(x, optax.MaskedNode)


def _prefixes(path: str) -> list[str]:
    """The first parts of a path, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(len(parts), -1, -1)]


def _by_path(tree: Tree) -> list[tuple[str, Tree]]:
    """The leaves of a tree with their paths; those that `optax.masked` took out count as leaves."""
    return [("/".join(path).strip("/"), x) for path, x in by_path(tree, _is_masked).items()]


def _fitting(factor: Number, path: str, x: Number) -> jax.Array:
    """A factor in the shape of the leaf that it scales; an array has one factor for each stacked layer."""
    there, got = np.shape(x), np.shape(factor)
    if got and got != there[:1]:
        raise ValueError(f"layerwise(...): expected a number per layer in {path!r}, of the shape {there}, got the shape {got}.")
    factor = jnp.asarray(numerics.to_float(factor))
    return factor.reshape(*factor.shape, *(1,) * (np.ndim(x) - 1)) if factor.ndim else factor
