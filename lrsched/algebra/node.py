"""Nodes: frozen dataclasses that are pytrees.

A field is a *number* (a leaf of the tree, of rank 0, or rank 1 for a table), a *child* (a node, or a tuple of nodes), or a
*choice* (a string) or *static* (a function), which belong to the structure. Numbers of a higher rank are a batch. Then all
numbers of the node have the batch shape, so that `jax.vmap` maps over the node.

The constructor validates. JAX rebuilds nodes without it, with tracers, axes, shapes or None in place of numbers.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.double import MOST
from lrsched.algebra.foreign import explained
from lrsched.algebra.written import NAMES, mimebundle, source, unexpected

T = TypeVar("T")

_BOUNDS: dict[str, tuple[str, Callable[..., Any]]] = {  # the text in errors, and the test
    "ge": (">= {:.10g}", np.greater_equal),
    "gt": ("> {:.10g}", np.greater),
    "le": ("<= {:.10g}", np.less_equal),
    "lt": ("< {:.10g}", np.less),
    "nonzero": ("!= 0", lambda x, _: x != 0),
    "integer": ("whole", lambda x, _: x == np.round(x)),
    "rising": ("that rise from 0 or later", lambda x, _: np.diff(x, prepend=0.0, axis=-1) >= 0),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """The bounds of a number in a node, and its precision. The number is finite, unless `infinite`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    nonzero: bool = False
    integer: bool = False
    rising: bool = False  # a table with entries >= 0 that do not fall
    infinite: bool = False  # may be infinite
    optional: bool = False  # may be None
    rank: int = 0  # 1: a table
    several: bool = False  # a tuple of numbers, each of them a leaf
    unit: str = ""  # such as "steps": the number is `exact`, prints without ".0", and counts as 0 if traced and below 0
    exact: bool = False  # keeps all of its digits in a trace, where other numbers are float32
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self.exact or bool(self.unit))

    def _bounds(self) -> dict[str, Any]:
        return {name: x for name in _BOUNDS if (x := getattr(self, name)) is not None and x is not False}

    def holds(self, x: np.ndarray) -> bool:
        """Whether a known number is within the bounds."""
        return all(np.all(_BOUNDS[name][1](x, bound)) for name, bound in self._bounds().items())

    def checked(self, call: str, name: str, value: Any) -> Any:
        """The number as a float, a float64 array or a traced float array; or an error that names the argument."""
        if value is None and self.optional:
            return None
        if self.several and isinstance(value, tuple):
            one = dataclasses.replace(self, several=False)
            return tuple(one.checked(call, f"{name}[{i}]", x) for i, x in enumerate(value))
        kept, hint = numerics.given(value), self.hint
        if isinstance(kept, jax.Array) and not jnp.issubdtype(kept.dtype, jnp.floating):
            kept = numerics.to_float(kept)
        kept = kept if self.exact else numerics.as_value(kept)
        if self.integer and kept is not None and not numerics.is_concrete(kept):
            kept = numerics.rounded(kept)
        if self.unit and not hint:
            hint = "sort them" if self.rising else f"a number of {'updates' if self.unit == 'steps' else self.unit}"
        if kept is None or np.ndim(kept) < self.rank or np.size(kept) == 0:
            expected = "a list of numbers" if self.rank else "a number"
            hint = "" if self.rank else hint
            if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", value, re.IGNORECASE):
                hint = f"float({value!r}); YAML reads 3e-4 as text, and 3.0e-4 as a number"
            raise TypeError(unexpected(call, name, value, expected, hint))
        if numerics.is_concrete(kept):
            known = np.asarray(numerics.to_float64(kept), np.float64)
            most = MOST if self.unit else numerics.largest() / 2  # leaves room to compute
            if not self.infinite and not np.all(np.abs(known) <= most):
                expected = f"{'a list of finite numbers' if self.rank else 'a finite number'}, |{name}| <= {most:.1e}"
                raise ValueError(unexpected(call, name, value, expected, hint))
            if not self.holds(known):
                expected = " and ".join(_BOUNDS[key][0].format(bound) for key, bound in self._bounds().items())
                raise ValueError(unexpected(call, name, value, f"{name} {expected}", hint))
        return kept


def checked(call: str, name: str, value: Any, **bounds: Any) -> Any:
    """An argument as a number for a node, checked against bounds, the fields of `Spec`."""
    return Spec(**bounds).checked(call, name, value)


def checked_choice(call: str, name: str, value: object, options: Collection[str]) -> None:
    """Raises an error if an argument is not one of the options, or, without options, not a string."""
    if not isinstance(value, str) or (options and value not in options):
        kind = ValueError if options else TypeError
        raise kind(unexpected(call, name, value, " or ".join(map(repr, options)) or "a string"))


def checked_flag(call: str, name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(unexpected(call, name, value, "True or False"))
    return bool(value)


def surely(condition: Callable[..., Any], *numbers: Any) -> bool:
    """Whether all numbers are known, and a condition holds for them, or for any member of a batch."""
    return numerics.is_concrete(*numbers) and bool(np.any(condition(*map(numerics.to_float64, numbers))))


def leaf(*, default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field of a node that holds a finite number: a leaf of the tree, for `jax.vmap` and gradients.

    Args:
        default: its default.
        bounds: `ge`, `gt`, `le` and `lt` are bounds, `unit="steps"` means an amount of time, `hint` goes at the end of errors;
            `lrsched.algebra.node.Spec` has the others.

    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf(ge=0, unit="steps", default=10)
    >>> Ago(steps=3.5), Ago().steps
    (Ago(3.5), 10.0)
    """
    return dataclasses.field(default=default, metadata={"spec": Spec(**bounds)})


def choice(*options: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that holds one of the options, or any string if there are none; it belongs to the structure."""
    return dataclasses.field(default=default, metadata={"options": options})


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """A field that holds something hashable that belongs to the structure, such as a function or a bool."""
    return dataclasses.field(default=default, metadata={"options": None})


def child() -> Any:
    """A field that holds a node, or a tuple of nodes."""
    return dataclasses.field(metadata={"child": True})


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(leaf, choice, static, child))
def node(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass and a pytree: its numbers are leaves, and strings belong to the structure.

    Args:
        cls: a subclass of `Clock`, whose numbers are fields made with `leaf`; see `help(lrsched.Clock)`.

    Returns:
        The class; its constructor validates numbers. `parse` and `from_dict` find it by name, unless lrsched uses that
        name.

    Raises:
        TypeError: if it is not such a class.

    >>> import jax
    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf()
    >>> jax.tree.leaves(Ago(3))
    [3.0]
    """
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise TypeError(unexpected("node", "cls", cls, "a subclass of Clock or Schedule"))
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    cls.__init__ = explained(cls.__init__, cls.__name__)
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    inner = tuple(f.name for f in fields if "options" not in f.metadata)
    outer = tuple(f.name for f in fields if "options" in f.metadata)
    keys = tuple(map(jax.tree_util.GetAttrKey, inner))

    def flatten(x):
        return [getattr(x, name) for name in inner], tuple(getattr(x, name) for name in outer)

    def flatten_with_keys(x):
        return list(zip(keys, flatten(x)[0], strict=True)), flatten(x)[1]

    def unflatten(structure, children):
        x = object.__new__(cls)
        x.__dict__.update(zip((*inner, *outer), (*children, *structure), strict=True))
        return x

    # OmegaConf reads annotations: with these it takes a node into a list, as Hydra does, and gives it back.
    cls.__annotations__ = {name: x if "ClassVar" in str(x) else Any for name, x in cls.__annotations__.items()}
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    cls._numbers = tuple((f, f.metadata["spec"]) for f in fields if "spec" in f.metadata)  # pyright: ignore
    cls._children = tuple(f.name for f in fields if "child" in f.metadata)  # pyright: ignore
    if not _is_ours(NAMES.get(cls.__name__)) or _is_ours(cls):
        NAMES[cls.__name__] = cls
    return cls


def _is_ours(x: Any) -> bool:
    return getattr(x, "__module__", "").startswith("lrsched.")


def argument(field: dataclasses.Field[Any]) -> str:
    """The name of a field's argument: a field that would hide a method ends with an underscore."""
    return field.name.rstrip("_")


class Node:
    """The base of all nodes: construction, equality, text."""

    _call: ClassVar[str] = ""  # the method that makes the node, if it is not made by calling the class
    _recipe: ClassVar[str] = ""  # set on an instance: the call of the recipe that made it
    _numbers: ClassVar[tuple[tuple[dataclasses.Field[Any], Spec], ...]] = ()
    _children: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *_args: Any, **_fields: Any) -> None:  # `node` gives each class its own
        name, hint = type(self).__name__, "decorate your own class with lrsched.node; Function(f) makes a schedule of f"
        raise TypeError(f"{name}(...): expected a class of nodes, got {name}. Hint: {hint}.")

    @property
    def _maker(self) -> str:
        return self._call or type(self).__name__

    def __post_init__(self) -> None:
        for field, spec in self._numbers:
            self.__dict__[field.name] = spec.checked(self._maker, argument(field), getattr(self, field.name))
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            if (options := field.metadata.get("options")) is not None:
                checked_choice(self._maker, field.name, getattr(self, field.name), options)
            elif isinstance(field.default, bool):
                self.__dict__[field.name] = checked_flag(self._maker, field.name, getattr(self, field.name))
        self._check()
        self._spread_batch()

    def _check(self) -> None:
        """Validates fields together, after each has been validated alone."""

    def _nodes(self) -> Iterator["Node"]:
        for name in self._children:
            value = getattr(self, name)
            yield from value if isinstance(value, tuple) else (value,)

    def _batches(self) -> set[tuple[int, ...]]:
        shapes = {one.batch_shape for one in self._nodes()}
        for field, spec in self._numbers:
            numbers = jax.tree.leaves(getattr(self, field.name), is_leaf=_is_extended)
            shapes |= {np.shape(x)[: np.ndim(x) - spec.rank] for x in numbers}
        return shapes - {()}

    @functools.cached_property
    def batch_shape(self) -> tuple[int, ...]:
        """The batch shape of every number, () for a single schedule."""
        return next(iter(self._batches()), ())

    def _spread_batch(self) -> None:
        """Gives every number the batch shape of those that have one."""
        shapes = self._batches()
        if len(shapes) > 1:
            found = ", ".join(map(str, sorted(shapes)))
            raise ValueError(f"{self._maker}(...): expected batches of one shape, got {found}. Hint: arrays of one length.")
        for batch in shapes:
            self.__dict__.update(vars(each_number(self, functools.partial(_spread, batch))))

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Node):
            return NotImplemented
        (mine, structure), (others, other_structure) = jax.tree.flatten(self), jax.tree.flatten(other)
        return structure == other_structure and list(map(_key, mine)) == list(map(_key, others))

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        return hash((structure, *map(_key, leaves)))

    def __repr__(self) -> str:
        return self._recipe or source(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        del include, exclude
        return mimebundle(self)


def specs(node: Any) -> Iterator[Spec]:
    """The specs of the numbers of a node, in the order of the leaves."""
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if "spec" in field.metadata:
            yield from [field.metadata["spec"]] * len(jax.tree.leaves(value, is_leaf=_is_extended))
        elif "child" in field.metadata:
            for one in value if isinstance(value, tuple) else (value,):
                yield from specs(one)


def each_number(node: T, function: Callable[[Any, Spec], Any]) -> T:
    """A node with `function(number, spec)` in place of each number."""
    numbers, structure = jax.tree.flatten(node, is_leaf=_is_extended)
    return jax.tree.unflatten(structure, map(function, numbers, specs(node)))


def _is_extended(x: object) -> bool:
    return isinstance(x, numerics.Extended)


def _spread(batch: tuple[int, ...], number: Any, spec: Spec) -> Any:
    """A number, broadcast to the batch shape if it has none."""

    def spread(x):
        return (jnp if isinstance(x, jax.Array) else np).broadcast_to(x, (*batch, *np.shape(x)))

    return jax.tree.map(spread, number) if np.ndim(number) == spec.rank else number  # a `Double` has two leaves


def _key(leaf: Any) -> Any:
    """A key that equal numbers share. A traced number equals only itself, so that JAX can compare functions that hold it."""
    if not numerics.is_concrete(leaf):
        return id(leaf) if isinstance(leaf, jax.core.Tracer) else leaf
    array = np.asarray(leaf, np.float64) + 0.0  # -0.0 equals 0.0
    return array.shape, array.tobytes()
