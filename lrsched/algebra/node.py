"""Nodes: frozen dataclasses that are pytrees, and check their numbers once, when a person builds them.

A field is a *number* (a leaf of the tree, of rank 0, or rank 1 for a table), a *child* (a node, or a tuple of nodes) or a
*choice* (a string) or *static* (a function), which belong to the structure. One rank more than declared is a batch; a node
holds either no batch at all or one of the same shape in every number, so that `jax.vmap` can map over the node as it is.

JAX rebuilds trees with tracers, axes, shapes and None, so rebuilding bypasses the constructor: checks run exactly once.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.foreign import explained
from lrsched.algebra.written import NAMES, mimebundle, source, unexpected

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a number of a node may be, and how it is computed with. It is finite, unless said otherwise."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    nonzero: bool = False
    integer: bool = False
    rising: bool = False  # a table whose entries do not fall, from 0 or later
    infinite: bool = False  # may be infinite
    optional: bool = False  # may be None
    rank: int = 0  # 1: a table
    several: bool = False  # a tuple of numbers, each of them a leaf
    unit: str = ""  # of an amount, such as "steps": it is `exact`, counts as 0 below 0 in a trace, and prints without ".0"
    exact: bool = False  # kept and computed with all of its digits in a trace, at a cost; other numbers are float32 there
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self.exact or bool(self.unit))

    def _bounds(self, x: np.ndarray) -> Iterator[tuple[str, bool]]:
        """Each bound as an error says it, and whether it holds."""
        for name, sign in {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}.items():
            if (bound := getattr(self, name)) is not None:
                yield f"{sign} {bound:g}", bool(np.all(getattr(operator, name)(x, bound)))
        if self.nonzero:
            yield "!= 0", bool(np.all(x != 0))
        if self.integer:
            yield "whole", bool(np.all(x == np.round(x)))
        if self.rising:
            yield "a list of numbers that rise from 0 or later", bool(np.all(np.diff(x, prepend=0.0, axis=-1) >= 0))

    def holds(self, x: np.ndarray) -> bool:
        """Whether a number that is known is within the bounds."""
        return all(holds for _, holds in self._bounds(x))

    def checked(self, call: str, name: str, value: Any) -> Any:
        """The value as it is kept: a Python float, a NumPy float64 array (of a batch or a table) or a JAX float array.

        Raises a TypeError or a ValueError that names the call and the argument. A traced value is not validated.
        """
        if value is None and self.optional:
            return None
        if self.several and isinstance(value, tuple):
            one = dataclasses.replace(self, several=False)
            return tuple(one.checked(call, f"{name}[{i}]", x) for i, x in enumerate(value))
        kept, kind = _as_float(value), "a list of {}numbers" if self.rank else "a {}number"
        kept = kept if self.exact else numerics.as_value(kept)
        unit = self.unit and f"a number of {'updates' if self.unit == 'steps' else self.unit}"
        hint = "" if self.rising else self.hint or unit  # how to order entries is no hint on their types
        if kept is None or np.ndim(kept) < self.rank or np.size(kept) == 0:
            raise TypeError(unexpected(call, name, value, kind.format(""), hint))
        if numerics.is_concrete(kept):
            known = np.asarray(numerics.to_float64(kept), np.float64)
            if not self.infinite and not is_finite(known):
                expected = kind.format("finite ")
                if np.all(np.isfinite(known)):
                    expected = f"|{name}| <= {numerics.largest() / 2:.1e}"
                    hint = f"the largest {np.dtype(numerics.float_type())} with room to compute"
                raise ValueError(unexpected(call, name, value, expected, hint))
            if not self.holds(known):
                bounds = " and ".join(text for text, _ in self._bounds(known))
                if self.rising:
                    raise ValueError(unexpected(call, name, value, bounds, self.hint or "sort them"))
                raise ValueError(unexpected(call, name, value, f"{name} {bounds}", hint))
        return kept


def checked(call: str, name: str, value: Any, **bounds: Any) -> Any:
    """An argument as a node keeps it, if it is within some bounds, those of `Spec`."""
    return Spec(**bounds).checked(call, name, value)


def checked_choice(call: str, name: str, value: object, options: Collection[str]) -> None:
    """Raises an error if an argument is none of a few strings, or with no options, if it is no string."""
    if not options and not isinstance(value, str):
        raise TypeError(unexpected(call, name, value, "a string"))
    if options and value not in options:
        raise ValueError(unexpected(call, name, value, " or ".join(map(repr, options))))


def surely(condition: Callable[..., Any], *numbers: Any) -> bool:
    """Whether a condition holds, anywhere in a batch, of numbers that are all known. Traced numbers are not validated."""
    return numerics.is_concrete(*numbers) and bool(np.any(condition(*map(numerics.to_float64, numbers))))


def is_finite(x: Any) -> bool:
    """Whether a number is finite, also as a number of the result type, with room to compute."""
    return bool(np.all(np.abs(x) <= numerics.largest() / 2))


def leaf(*, default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field of a node that holds a number: a leaf of the tree, which `jax.vmap` and gradients reach.

    Args:
        default: its default.
        bounds: what it may be, any finite number unless said otherwise: `ge`, `gt`, `le` and `lt` are bounds, `unit="steps"`
            says that it is an amount of time, and `hint` is the end of its errors; the others are the fields of `Spec`.

    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf(ge=0, unit="steps", default=10)
    >>> Ago(steps=3.5), Ago().steps
    (Ago(3.5), 10.0)
    """
    return dataclasses.field(default=default, metadata={"spec": Spec(**bounds)})


def choice(*options: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that holds one of a few strings, part of the structure; no options: any string."""
    return dataclasses.field(default=default, metadata={"options": options})


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """A field that holds something hashable that belongs to the structure: a function, whether to do something."""
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
        The class. Its constructor checks and converts numbers; what JAX rebuilds is not checked. `parse` and `from_json` know
        it by its name, unless a class of lrsched has that name.

    >>> import jax
    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf()
    >>> jax.tree.leaves(Ago(3))
    [3.0]
    """
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

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    cls._numbers = tuple((f, f.metadata["spec"]) for f in fields if "spec" in f.metadata)  # pyright: ignore
    cls._choices = tuple((f.name, f.metadata["options"]) for f in fields if f.metadata.get("options") is not None)  # pyright: ignore
    cls._children = tuple(f for f in fields if "child" in f.metadata)  # pyright: ignore
    if not _is_ours(NAMES.get(cls.__name__)) or _is_ours(cls):
        NAMES[cls.__name__] = cls
    return cls


def _is_ours(x: Any) -> bool:
    return getattr(x, "__module__", "").startswith("lrsched.")


def argument(field: dataclasses.Field[Any]) -> str:
    """What the argument of a field is called: as the field, but for the underscore of one that would hide a method."""
    return field.name.rstrip("_")


class Node:
    """The base of all nodes: construction, equality, and the expression that makes one."""

    _call: ClassVar[str] = ""  # what a person calls to make one, if not the class
    _recipe: ClassVar[str] = ""  # of an instance, the call of the recipe that made it; whatever changes it makes another
    _numbers: ClassVar[tuple[tuple[dataclasses.Field[Any], Spec], ...]] = ()
    _choices: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = ()
    _children: ClassVar[tuple[dataclasses.Field[Any], ...]] = ()

    @property
    def _maker(self) -> str:
        """The call that errors name."""
        return self._call or type(self).__name__

    def __post_init__(self) -> None:
        for field, spec in self._numbers:
            self.__dict__[field.name] = spec.checked(self._maker, argument(field), getattr(self, field.name))
        for name, options in self._choices:
            checked_choice(self._maker, name, getattr(self, name), options)
        self._check()
        self._spread_batch()

    def _check(self) -> None:
        """Checks what concerns several fields; called once the fields are numbers."""

    def _nodes(self) -> Iterator["Node"]:
        for field in self._children:
            value = getattr(self, field.name)
            yield from value if isinstance(value, tuple) else (value,)

    def _batches(self) -> Iterator[tuple[int, ...]]:
        """The shape of the batch in each of its numbers."""
        for field, spec in self._numbers:
            value = getattr(self, field.name)
            for x in value if isinstance(value, tuple) else () if value is None else (value,):
                yield () if type(x) is float else np.shape(x)[: np.ndim(x) - spec.rank]

    def _all_batches(self) -> Iterator[tuple[int, ...]]:
        yield from self._batches()
        for one in self._nodes():
            yield from one._all_batches()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the batch in every number, () for a single one."""
        return next(self._all_batches(), ())  # they are the same in all

    def _spread_batch(self) -> None:
        """Gives every number the batch shape of those that have one."""
        shapes = {*self._batches(), *(one.batch_shape for one in self._nodes())} - {()}
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


def each_number(node: T, function: Callable[[Any, Spec], Any]) -> T:
    """A node with a function of each number, and its spec, in the place of the number."""

    def changed(value: Any, spec: Spec | None) -> Any:
        if isinstance(value, tuple):
            return tuple(changed(x, spec) for x in value)
        if spec is None:
            return each_number(value, function)
        return None if value is None else function(value, spec)

    new = object.__new__(type(node))
    for field in dataclasses.fields(node):  # pyright: ignore[reportArgumentType]
        value, is_structure = getattr(node, field.name), "options" in field.metadata
        new.__dict__[field.name] = value if is_structure else changed(value, field.metadata.get("spec"))
    return new


def _as_float(value: Any) -> Any:
    """A Python float, a NumPy float64 array, a JAX float array or an `Extended`; None for anything that is no number."""
    value = numerics.array_of(value)
    if type(value) is float or isinstance(value, numerics.Extended):
        return value
    if isinstance(value, (list, tuple)):
        entries = [_as_float(x) for x in value]
        if any(x is None for x in entries) or len(set(map(np.shape, entries))) > 1:
            return None
        if not numerics.is_concrete(*entries):
            return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), numerics.table(entries))
        value = np.array([numerics.to_float64(x) for x in entries], np.float64)
    if isinstance(value, jax.Array):
        traced, floating = not numerics.is_concrete(value), jnp.issubdtype(value.dtype, jnp.floating)
        if floating and (traced or value.ndim):
            return value
        if traced and numerics.is_real(value.dtype):
            return jax.lax.convert_element_type(value, numerics.float_type())
    try:
        given = np.array(value)
        if not numerics.is_real(given.dtype) and not (given.dtype == object and all(isinstance(x, int) for x in given.flat)):
            return None
        kept = given.astype(np.float64)
    except (ValueError, TypeError, OverflowError):  # such as an integer beyond any float
        return None
    kept.setflags(write=False)
    return kept if kept.ndim else float(kept)


def _spread(batch: tuple[int, ...], number: Any, spec: Spec) -> Any:
    """A number with the shape of a batch, if it has none."""

    def spread(x):
        return (jnp if isinstance(x, jax.Array) else np).broadcast_to(x, (*batch, *np.shape(x)))

    return jax.tree.map(spread, number) if np.ndim(number) == spec.rank else number  # a `Double` is two


def _key(leaf: Any) -> Any:
    """What equal numbers have in common. A traced one equals itself only, so that JAX can compare functions by it."""
    if not numerics.is_concrete(leaf):
        return id(leaf) if isinstance(leaf, jax.core.Tracer) else leaf
    array = np.asarray(leaf, np.float64) + 0.0  # -0.0 equals 0.0
    return array.shape, array.tobytes()
