"""Nodes: frozen dataclasses that are pytrees, and check their numbers once, when a person builds them.

A field is a *number* (a leaf of the tree, of rank 0, or rank 1 for a table), a *child* (a node, or a tuple of nodes) or a
*choice* (a string) or *static* (a function), which belong to the structure. One rank more than declared is a batch; a node
holds either no batch at all or one of the same shape in every number, so that `jax.vmap` can map over the node as it is.

JAX rebuilds trees with things that are no numbers (tracers, axes, shapes, None), so rebuilding goes round the constructor:
checks and conversions run exactly once.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics

T = TypeVar("T")
_WIDTH = 110  # characters of a schedule that an error shows


def bounded(x: np.ndarray) -> Any:
    """Whether a number is finite, also as a number of the result type."""
    return np.abs(x) <= numerics.largest() / 2


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a number may be: its rank, its range, and what to say when it is outside."""

    rank: int = 0
    holds: Callable[[np.ndarray], Any] = bounded
    must: str = "be finite"
    mend: str = ""
    wide: bool = False  # computed with all of its digits in a trace
    whole: bool = False  # usually a count, so printed without ".0"
    name: str = ""  # what the argument is called, if not as the field
    optional: bool = False  # may be None
    several: bool = False  # a tuple of numbers, each of them a leaf
    what: str = ""  # what to give, if not just a number or a list of numbers

    def __post_init__(self) -> None:
        if self.whole:
            object.__setattr__(self, "wide", True)


NUMBER = Spec()
COUNT = Spec(
    holds=lambda x: (x >= 0) & bounded(x),
    must="be >= 0 and finite",
    mend="it is a number of steps, 0 for none at all",
    whole=True,
)
UNBOUNDED = dataclasses.replace(COUNT, holds=lambda x: x >= 0, must="be >= 0")
POSITIVE = Spec(holds=lambda x: (x > 0) & bounded(x), must="be > 0 and finite")
NON_NEGATIVE = Spec(holds=lambda x: (x >= 0) & bounded(x), must="be >= 0 and finite")
NOT_ZERO = Spec(holds=lambda x: (x != 0) & bounded(x), must="be finite and not 0")
CYCLES = Spec(
    holds=lambda x: bounded(x) & (np.round(x) >= 1),
    must="be at least 1 and finite",
    mend="it is the number of cycles; None repeats for ever",
    whole=True,
    optional=True,
)
TABLE = Spec(rank=1)
RISING = Spec(
    rank=1,
    holds=lambda x: bounded(x) & (np.diff(x, prepend=0.0, axis=-1) >= 0),
    must="rise, from 0 or later",
    mend="sort the steps, and move what lies before step 0 to step 0",
    whole=True,
)


def leaf(spec: Spec = NUMBER, *, default: Any = dataclasses.MISSING, **changes: Any) -> Any:
    """A field of a node that holds a number, a leaf of the tree: what `jax.vmap` and gradients reach.

    Args:
        spec: what the number may be: any finite number unless said otherwise.
        default: its default.
        changes: changes of the spec, such as `must` and `mend`, texts of its errors.

    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf(default=10)
    >>> Ago(steps=3.0), Ago().steps
    (Ago(3.0), 10.0)
    """
    return dataclasses.field(default=default, metadata={"spec": dataclasses.replace(spec, **changes)})


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
        The class. Its constructor checks and converts numbers; what JAX rebuilds is not checked.

    >>> import jax
    >>> import lrsched as ls
    >>> @ls.node
    ... class Ago(ls.Clock):
    ...     steps: float = ls.leaf()
    >>> jax.tree.leaves(Ago(3))
    [3.0]
    """
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    inner = tuple(f.name for f in fields if "options" not in f.metadata)
    outer = tuple(f.name for f in fields if "options" in f.metadata)
    keys = tuple(map(jax.tree_util.GetAttrKey, inner))

    def flatten(x: Any) -> Any:
        return [getattr(x, name) for name in inner], tuple(getattr(x, name) for name in outer)

    def flatten_with_keys(x: Any) -> Any:
        children, structure = flatten(x)
        return list(zip(keys, children, strict=True)), structure

    def unflatten(structure: Any, children: Any) -> Any:
        x = object.__new__(cls)
        x.__dict__.update(zip(inner, children, strict=True))
        x.__dict__.update(zip(outer, structure, strict=True))
        return x

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    cls._numbers = tuple((f, f.metadata["spec"]) for f in fields if "spec" in f.metadata)  # pyright: ignore
    cls._children = tuple(f for f in fields if "child" in f.metadata)  # pyright: ignore
    return cls


class Node:
    """The base of all nodes: construction, equality, and the expression that makes one."""

    _call: ClassVar[str] = ""  # what a person calls to make one, if not the class
    _numbers: ClassVar[tuple[tuple[dataclasses.Field[Any], Spec], ...]] = ()
    _children: ClassVar[tuple[dataclasses.Field[Any], ...]] = ()

    def __post_init__(self) -> None:
        call = self._call or type(self).__name__
        for field, spec in self._numbers:
            name, value = spec.name or field.name, getattr(self, field.name)
            self.__dict__[field.name] = (
                tuple(checked(call, f"{name}[{i}]", x, spec) for i, x in enumerate(value))
                if spec.several
                else checked(call, name, value, spec)
            )
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            options, value = field.metadata.get("options"), getattr(self, field.name)
            if options == () and not isinstance(value, str):
                raise TypeError(f"{call}({field.name}=...) must be a string, got {shown(value)} ({type(value).__name__})")
            if options and value not in options:
                expected = " or ".join(map(repr, options))
                raise ValueError(f"{call}({field.name}=...) must be {expected}, got {value!r}")
        self._check()
        self._spread_batch()

    def _check(self) -> None:
        """Checks what concerns several fields; called once the fields are numbers."""

    def _nodes(self) -> Iterator["Node"]:
        for field in self._children:
            value = getattr(self, field.name)
            yield from value if isinstance(value, tuple) else (value,)

    def _ranked(self) -> Iterator[tuple[Any, int]]:
        """Its numbers, and the ranks that they would have without a batch."""
        for field, spec in self._numbers:
            value = getattr(self, field.name)
            for x in value if spec.several else (value,):
                if x is not None:
                    yield x, spec.rank

    def _batch(self) -> tuple[int, ...] | None:
        """The batch shape by the first number found, None if there is none."""
        for value, rank in self._ranked():
            return () if isinstance(value, float) else tuple(np.shape(value)[: np.ndim(value) - rank])
        for one in self._nodes():
            if (shape := one._batch()) is not None:
                return shape
        return None

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the batch in every number, () for a single one."""
        return self._batch() or ()

    def _spread_batch(self) -> None:
        """Gives every number the batch shape of those that have one."""
        shapes = [tuple(np.shape(x)[: np.ndim(x) - rank]) for x, rank in self._ranked()]
        shapes = {shape for shape in [*shapes, *(one.batch_shape for one in self._nodes())] if shape}
        if not shapes:
            return
        if len(shapes) > 1:
            found = ", ".join(map(str, sorted(shapes)))
            raise ValueError(f"{type(self).__name__}(...) mixes batches of the shapes {found}: they must be the same")
        (batch,) = shapes
        for field, spec in self._numbers:
            value = getattr(self, field.name)
            spread = [
                _repeat(x, batch) if x is not None and np.ndim(x) == spec.rank else x
                for x in (value if spec.several else (value,))
            ]
            self.__dict__[field.name] = tuple(spread) if spec.several else spread[0]
        for field in self._children:
            value = getattr(self, field.name)
            ones = tuple(
                one if one.batch_shape else jax.tree.map(lambda x: _repeat(x, batch), one)
                for one in (value if isinstance(value, tuple) else (value,))
            )
            self.__dict__[field.name] = ones if isinstance(value, tuple) else ones[0]

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Node):
            return NotImplemented
        (mine, structure), (others, other_structure) = jax.tree.flatten(self), jax.tree.flatten(other)
        return structure == other_structure and all(map(_same, mine, others))

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        return hash((structure, *map(_hashed, leaves)))

    def __repr__(self) -> str:
        return source(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return mimebundle(self)


def each_number(node: Any, function: Callable[[Any, Spec], Any]) -> Any:
    """A node with a function of each number, and its spec, in the place of the number."""
    changed = object.__new__(type(node))
    for field in dataclasses.fields(node):
        value, spec = getattr(node, field.name), field.metadata.get("spec")
        if value is not None and spec is not None:
            value = tuple(function(x, spec) for x in value) if spec.several else function(value, spec)
        elif "child" in field.metadata:
            several = isinstance(value, tuple)
            value = tuple(each_number(x, function) for x in value) if several else each_number(value, function)
        changed.__dict__[field.name] = value
    return changed


def checked(call: str, name: str, value: Any, spec: Spec) -> Any:
    """The value as it is kept: a Python float, a NumPy float64 array (of a batch or a table) or a JAX float array.

    Raises a TypeError or a ValueError that names the call and the argument. What is traced is not checked.
    """
    if value is None and spec.optional:
        return None
    kept = _as_float(value)
    kept = kept.high + kept.low if isinstance(kept, numerics.Double) and not spec.wide else kept
    if kept is None or np.ndim(kept) < spec.rank or np.size(kept) == 0:
        what = spec.what or ("a number" if spec.rank == 0 else "a list of numbers")
        raise TypeError(f"{call}({name}=...) must be {what}, got {shown(value)} ({type(value).__name__})")
    if spec.wide and not numerics.is_concrete(kept):
        return numerics.wide(kept)
    known = np.asarray(numerics.host(kept), np.float64) if numerics.is_concrete(kept) else None
    if known is not None and not np.all(spec.holds(known)):
        mend = f": {spec.mend}" if spec.mend else ""
        if np.all(np.isfinite(known)) and not np.all(bounded(known)):
            mend = f": a {np.dtype(numerics.float_type())} holds no more than {numerics.largest() / 2:.1e} with room to compute"
        raise ValueError(f"{call}({name}=...) must {spec.must}, got {shown(value)}{mend}")
    return kept


def checked_clock(call: str, clock: Any) -> None:
    """Raises a TypeError if something is no clock, or is of a class that is no node."""
    if not isinstance(clock, Node) or not all(hasattr(clock, name) for name in ("init", "tick", "read")):
        raise TypeError(f"{call}(clock=...) must be a clock, such as Plateau(patience=5), got {shown(clock)}")
    if "_numbers" not in vars(type(clock)):
        raise TypeError(f"{type(clock).__name__} is not a node: decorate the class with lrsched.node")


def _as_float(value: Any) -> Any:
    """A Python float, a NumPy float64 array or a JAX float array; None for what is no number."""
    value = numerics.array_of(value)
    if isinstance(value, numerics.Double):
        return value
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jnp.floating):
            return float(value) if value.ndim == 0 and numerics.is_concrete(value) else value
        if not jnp.issubdtype(value.dtype, jnp.integer):
            return None
        if isinstance(value, jax.core.Tracer):
            return jax.lax.convert_element_type(value, numerics.float_type())
    if isinstance(value, (list, tuple)):
        return _as_table(value)
    return _as_known(value)


def _as_table(values: Any) -> Any:
    """A list of numbers, or of lists of them, as `_as_float` makes it of an array."""
    values = jax.tree.map(numerics.array_of, list(values), is_leaf=numerics.stands_for_array)
    entries = jax.tree.leaves(values)
    if any(isinstance(x, (bool, np.bool_)) for x in entries):
        return None
    if any(isinstance(x, jax.core.Tracer) for x in entries):
        entries = [_as_float(x) for x in values]
        if any(x is None for x in entries):
            return None
        live = any(isinstance(x, numerics.Double) for x in entries)
        return numerics.table(entries) if live else jnp.stack([numerics.real(x) for x in entries])
    # Their types may have no common one, as bfloat16 and float16 have none.
    return _as_known(jax.tree.map(lambda x: numerics.host(x) if hasattr(x, "dtype") and numerics.is_number(x) else x, values))


def _as_known(value: Any) -> Any:
    """What is known, as a Python float or a NumPy float64 array; None for what is no number."""
    try:
        kept = np.array(value)
        if not numerics.is_real(kept.dtype) and not (kept.dtype == object and all(isinstance(x, int) for x in kept.flat)):
            return None
        kept = kept.astype(np.float64)
    except (ValueError, TypeError, OverflowError):  # a ragged list, an integer beyond any float
        return None
    if kept.ndim == 0:
        return float(kept)
    kept.setflags(write=False)
    return kept


def is_empty(values: Any) -> bool:
    """Whether a list or an array has no entries."""
    return not values if isinstance(values, (list, tuple)) else np.size(values) == 0


def shown(value: Any) -> str:
    """A value as an error shows it: not all of it, where it is a whole model."""
    text = " ".join(repr(value).split("\n"))
    return text if len(text) <= 100 else f"{text[:97]}..."


def side_by_side(saved: str, now: str, name: str = "", heads: tuple[str, str] = ("checkpoint", "now")) -> list[str]:
    """Two texts one above the other, and marks under the words of the second from where they part to where they meet."""
    shorter = min(len(saved), len(now))
    first = next((i for i in range(shorter) if saved[i] != now[i]), shorter)
    after = next((i for i in range(shorter - first) if saved[-1 - i] != now[-1 - i]), shorter - first)
    last = len(now) - after
    while first > 0 and _in_a_word(now[first - 1]):
        first -= 1
    while last < len(now) and _in_a_word(now[last]):
        last += 1
    begin = max(0, first - _WIDTH // 2) if max(len(saved), len(now)) > _WIDTH else 0
    before = "..." if begin else ""

    def window(text: str) -> str:
        return before + text[begin : begin + _WIDTH] + ("..." if len(text) > begin + _WIDTH else "")

    width = max(map(len, heads))
    first_head, second_head = (f"    {head:{width}}  " for head in heads)
    marks = " " * (len(second_head) + len(before) + first - begin) + "^" * max(1, min(last, begin + _WIDTH) - first)
    return [*([f"  {name}"] if name else []), first_head + window(saved), second_head + window(now), marks]


def _in_a_word(character: str) -> bool:
    return character.isalnum() or character in "._-"


def _repeat(value: Any, batch: tuple[int, ...]) -> Any:
    if isinstance(value, numerics.Double):
        return jax.tree.map(lambda x: _repeat(x, batch), value)
    xp = jnp if isinstance(value, jax.Array) else np
    return xp.broadcast_to(value, (*batch, *np.shape(value)))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b
    if numerics.is_concrete(a, b):
        return np.array_equal(np.asarray(a, np.float64), np.asarray(b, np.float64))
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return a is b
    return a is b or bool(a == b)


def _hashed(leaf: Any) -> Any:
    if isinstance(leaf, jax.core.Tracer):
        return id(leaf)  # so that JAX can take the schedule for a function within a trace
    if isinstance(leaf, float) or not numerics.is_concrete(leaf):
        return leaf
    array = np.asarray(leaf, np.float64) + 0.0  # -0.0 equals 0.0
    return float(array) if array.ndim == 0 else (array.shape, array.tobytes())


@functools.singledispatch
def source(x: Any) -> str:
    """The expression that makes a node: by default its constructor call, without the arguments that equal their defaults."""
    return f"{type(x).__name__}({arguments_source(x, dataclasses.fields(x))})"


def arguments_source(x: Any, fields: Iterable[dataclasses.Field[Any]], by_name: bool = False) -> str:
    """The arguments of a call from which the fields of a node came; `by_name`: those behind one with a default by keyword."""
    arguments, positional = [], True
    for field in fields:
        value, spec = getattr(x, field.name), field.metadata.get("spec")
        if isinstance(value, (str, float, bool, type(None))) and value == field.default:
            positional = False
            continue
        if callable(value) and not isinstance(value, Node):
            text = function_source(value)
        else:
            text = _tuple_source(value) if isinstance(value, tuple) else number_source(value, spec is not None and spec.whole)
        arguments.append(text if positional else f"{(spec and spec.name) or field.name}={text}")
        positional = positional and not (by_name and field.default is not dataclasses.MISSING)
    return ", ".join(arguments)


@functools.singledispatch
def mimebundle(x: Any) -> dict[str, str]:
    """What a notebook shows of a node, by its type: by default its text."""
    return {"text/plain": repr(x)}


def function_source(fn: Any) -> str:
    """The name of a function."""
    return getattr(fn, "__name__", None) or repr(fn)


def _tuple_source(nodes: tuple[Any, ...]) -> str:
    return f"({', '.join(map(repr, nodes))}{',' if len(nodes) == 1 else ''})"


def number_source(value: Any, whole: bool = False) -> str:
    """A number so that evaluating the text gives it back exactly; whole numbers of steps without ".0"."""
    if isinstance(value, numerics.Double):
        value = numerics.host(value) if numerics.is_concrete(value) else value.high
    if isinstance(value, jax.core.Tracer):
        return str(value.aval)
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        value = np.asarray(value, np.float64).tolist()
    if isinstance(value, list):
        return f"[{', '.join(number_source(x, whole) for x in value)}]"
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, float) and whole and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
