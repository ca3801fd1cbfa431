"""Optimizer factories whose hyperparameters follow schedules."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax

from lrsched import numerics
from lrsched.algebra import Schedule
from lrsched.interop import tell_flax_of_dict
from lrsched.node import shown
from lrsched.observations import Missing
from lrsched.shapes import Function
from lrsched.transform import Applied, one_schedule, updates_made

P = ParamSpec("P")


def scheduled(
    factory: Callable[P, optax.GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: jax.typing.DTypeLike | None = None,
    *,
    live: bool = False,
    start: Any = 0,
) -> Callable[P, optax.GradientTransformationExtraArgs]:
    """An optimizer factory whose numeric arguments take schedules.

    Update number t uses `schedule(t)` for each of them, as if the optimizer were made anew with these numbers. All schedules
    follow one count of updates and get the same observations. The state is that of `optax.inject_hyperparams`:
    `state.hyperparams["learning_rate"]` is the value that the last update used.

    Args:
        factory: returns an optax transformation, such as `optax.adamw`: a function, a class, a `functools.partial`, whose
            arguments count as given.
        static_args: names of arguments that go to the factory as they are, whatever they are.
        hyperparam_dtype: the dtype of the hyperparameters. By default they are float32 and act as Python floats do: they
            widen neither parameters nor states in bfloat16.
        live: whether the schedules are part of the state: see `scale_by_learning_rate`.
        start: the number of the first update of all schedules: see `scale_by_learning_rate`.

    Returns:
        The factory, for the same arguments. Each of them is one of three:

        - A schedule, or a callable in the place of a number, as an optax schedule: its value is computed in each update.
          Where the annotation and the default do not say whether a number belongs there, a callable counts as a schedule if
          it returns a real scalar for a step; `static_args` overrides that. `replace_schedule` changes a live schedule.
        - A float: it stays what it is until `state.hyperparams["weight_decay"] = x` or
          `optax.tree_utils.tree_set(state, weight_decay=x)` changes it. A write to one that follows a schedule raises.
        - Anything else, and what is left out, goes to the factory as it is: a size, a seed, a key, a mask. An int stays an int
          unless the factory's annotation or default says float; an unannotated int stays an int.

    Raises:
        TypeError: if the factory cannot be called, and for arguments that it does not take.
        ValueError: if a schedule is a batch, a number is NaN, or `static_args` names no argument.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> rate = ls.one_cycle(peak=0.1, steps=100)
    >>> optimizer = ls.scheduled(optax.adamw)(rate, b1=ls.one_cycle_momentum(steps=100), weight_decay=0.1 * rate)
    >>> params = jnp.ones(3)
    >>> updates, state = optimizer.update(params, optimizer.init(params), params)
    >>> for name, value in ls.hyperparameters(state).items():
    ...     print(name, value)
    b1 0.95
    learning_rate 0.004
    weight_decay 0.0004
    """
    if not callable(factory):
        raise TypeError(f"scheduled(factory=...) must make an optimizer, such as optax.adamw does, got {shown(factory)}")
    places = _Places(factory, static_args)
    made = updates_made(places.call, start)

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> optax.GradientTransformationExtraArgs:
        return _injected(places.filled(args, kwargs), live, made, hyperparam_dtype)

    return make


class _Call(NamedTuple):
    """A call of a factory: what each argument is, and the transformation for some values of the hyperparameters."""

    name: str
    schedules: dict[str, Any]  # ours, or stateful ones
    numbers: dict[str, Any]
    others: dict[str, Any]
    transform: Callable[[dict[str, Any]], optax.GradientTransformationExtraArgs]


def _injected(
    call: _Call, live: bool, start: Any, hyperparam_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    missing = Missing()
    schedules = {
        name: Applied(call.name, s, live, start, missing) if isinstance(s, Schedule) else s
        for name, s in call.schedules.items()
    }

    def recorded(value: Any) -> jax.Array:
        return jnp.array(value, numerics.float_type() if hyperparam_dtype is None else hyperparam_dtype)

    def transform(values: dict[str, jax.Array]) -> optax.GradientTransformationExtraArgs:
        return call.transform(values if hyperparam_dtype is not None else {k: _like_python(v) for k, v in values.items()})

    @functools.cache
    def structures() -> dict[str, Any]:
        return {name: jax.tree.structure(jax.eval_shape(s.init)) for name, s in schedules.items()}

    def init_fn(params: optax.Params) -> optax.InjectStatefulHyperparamsState:
        states = {name: s.init() for name, s in schedules.items()}
        values = {name: recorded(x) for name, x in call.numbers.items()}
        values |= {name: recorded(s(states[name])) for name, s in schedules.items()}
        inner = transform(values).init(params)
        count = jnp.zeros((), jnp.int32)
        state = optax.InjectStatefulHyperparamsState(count, Hyperparameters(values, schedules), states, inner)
        return _buffers_of_its_own(state, (params, call.others))

    def update_fn(updates: Any, state: Any, params: Any = None, **observations: Any) -> Any:
        _check_written(call, state, structures())
        states, before = state.hyperparams_states, state.hyperparams
        values = {name: recorded(_number_written(call.name, name, before[name])) for name in call.numbers}
        values |= {name: recorded(s(states[name], **observations)) for name, s in schedules.items()}
        states = {name: s.update(states[name], **observations) for name, s in schedules.items()}
        new, inner = transform(values).update(updates, state.inner_state, params, **observations)
        after = state._replace(
            count=optax.safe_increment(state.count),
            hyperparams=Hyperparameters(values, schedules) if isinstance(before, Hyperparameters) else values,
            hyperparams_states=states,
            inner_state=_typed_as(state.inner_state, inner),
        )
        return new, after

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]


# Arguments: which of them are schedules, and which are numbers.


class _Places:
    """The parameters of a factory, and what belongs into each of them."""

    def __init__(self, factory: Callable[..., Any], static_args: str | Iterable[str]) -> None:
        partial = isinstance(factory, functools.partial)
        self.factory = factory.func if partial else factory
        # A partial's own rules say how its arguments and those of the call go together.
        self.collect = functools.partial(_collected, *factory.args, **factory.keywords) if partial else _collected
        self.call = f"scheduled({getattr(self.factory, '__name__', None) or shown(self.factory)})"
        self.signature = _signature(self.factory)
        self.names = _annotations(self.factory, self.signature)
        self.static = {static_args} if isinstance(static_args, str) else set(static_args)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self.signature.parameters.values())
        unknown = sorted(self.static.difference(self.signature.parameters))
        if unknown and not takes_any:
            raise ValueError(
                f"{self.call}: expected static_args among {', '.join(self.signature.parameters)}, got {', '.join(unknown)}"
            )

    def filled(self, args: Any, kwargs: Any) -> _Call:
        """What a call gives."""
        args, kwargs = self.collect(*args, **kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.call}(...): {error}") from None
        for name, parameter in self.signature.parameters.items():
            if name not in bound.arguments and _is_schedule(parameter.default):
                bound.arguments[name] = parameter.default
        schedules, numbers, others, functions = {}, {}, {}, set()
        for name, value, parameter in _each(bound):
            if hasattr(value, "__jax_array__") and getattr(value, "shape", None) == ():
                value = jnp.asarray(value)  # a variable of flax or Keras is the number in it
            if {name, parameter.name} & self.static:
                others[name] = value
            elif self._follows(value, parameter):
                schedules[name] = self._schedule(name, value)
                functions |= {name} if self.names[parameter.name] - {"None"} == {"Schedule"} else set()
            elif self._is_number(value, parameter):
                numbers[name] = _not_nan(self.call, name, value)
            else:
                others[name] = value

        def transform(values: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
            given = {name: _constant(x) if name in functions else x for name, x in values.items()}
            made = _call_with(self.factory, bound, given)
            if not callable(getattr(made, "init", None)) or not callable(getattr(made, "update", None)):
                raise TypeError(f"{self.call}(...): expected an optax transformation from the factory, got {shown(made)}")
            return _with_extra_args(made)

        return _Call(self.call, schedules, numbers, others, transform)

    def _schedule(self, name: str, value: Any) -> Any:
        if not isinstance(value, Schedule) and _is_schedule(value):
            return value
        return one_schedule(self.call, name, value if isinstance(value, Schedule) else _function(value))

    def _follows(self, value: Any, parameter: inspect.Parameter) -> bool:
        """Whether an argument is a schedule: ours, a stateful one, or a callable in the place of a number."""
        if _is_schedule(value):
            return True
        if not callable(value) or isinstance(value, type):  # jnp.bfloat16 is a class
            return False
        names = self.names[parameter.name]
        if names & (_FLOATS | _ARRAYS) or _names_schedule(names):
            return "Callable" not in names or _is_function_of_the_step(value)
        if names - _ANYTHING:
            return False
        default = parameter.default
        if isinstance(default, (bool, str)) or (callable(default) and default is not parameter.empty):
            return False
        return isinstance(default, float) or _is_function_of_the_step(value)

    def _is_number(self, value: Any, parameter: inspect.Parameter) -> bool:
        """Whether an argument is a number that may change from update to update."""
        if isinstance(value, bool) or not isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)):
            return False
        if np.shape(value):
            return False
        dtype = getattr(value, "dtype", type(value))
        names = self.names[parameter.name]
        says_float = isinstance(parameter.default, float) or _names_schedule(names) or (names & _FLOATS and not names & _ARRAYS)
        return bool(jnp.issubdtype(dtype, jnp.floating) or (says_float and jnp.issubdtype(dtype, jnp.integer)))


_FLOATS = {"float", "Float", "floating", "Scalar", "Real"}
_ARRAYS = {"Array", "ArrayLike", "ndarray", "number", "Number", "Numeric", "ScalarLike"}  # a number of any type
_ANYTHING = {"Any", "object", "None", "TypeVar"}


def _names_schedule(names: set[str]) -> bool:
    return any(name.endswith("Schedule") for name in names)


def _is_schedule(x: Any) -> bool:
    """Whether something is a schedule, or has optax's protocol of a stateful one."""
    if isinstance(x, type):
        return False
    return isinstance(x, Schedule) or (callable(x) and hasattr(x, "init") and hasattr(x, "update"))


def _collected(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _signature(factory: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except ValueError:  # some builtins have none
        return inspect.signature(_collected)


def _each(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any, inspect.Parameter]]:
    """Each argument with its name and its parameter; those in `*args` are `args[0]`, `args[1]`, …"""
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{i}]", x, parameter) for i, x in enumerate(value))
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, x, parameter) for key, x in value.items())
        else:
            yield name, value, parameter


def _call_with(factory: Callable[..., Any], bound: inspect.BoundArguments, values: dict[str, Any]) -> Any:
    """The factory called with some of its arguments replaced."""
    arguments: dict[str, Any] = {}
    for name, value, parameter in _each(bound):
        new = values.get(name, value)
        if parameter.kind is parameter.VAR_POSITIONAL:
            arguments[parameter.name] = (*arguments.get(parameter.name, ()), new)
        elif parameter.kind is parameter.VAR_KEYWORD:
            arguments.setdefault(parameter.name, {})[name] = new
        else:
            arguments[name] = new
    full = inspect.BoundArguments(bound.signature, arguments)  # pyright: ignore[reportArgumentType] - any dict is ordered
    return factory(*full.args, **full.kwargs)


def _with_extra_args(made: Any) -> optax.GradientTransformationExtraArgs:
    """What a factory made, also where it is optax.MultiSteps or another object with the two methods."""
    if isinstance(made, optax.GradientTransformationExtraArgs):
        return made
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(made.update).parameters.values()):
        return optax.GradientTransformationExtraArgs(made.init, made.update)
    return optax.with_extra_args_support(made)


def _not_nan(call: str, name: str, value: Any) -> Any:
    if numerics.is_concrete(value) and np.isnan(float(value)):
        raise ValueError(f"{call}({name}=...): expected a number, got nan")
    return value


# Annotations: the names in them, but for those inside of Callable[...], list[...] and the like.


def _annotations(factory: Callable[..., Any], signature: inspect.Signature) -> dict[str, set[str]]:
    """For each parameter, the names in its annotation, as it is written and as it evaluates."""
    try:
        evaluated = inspect.signature(factory, eval_str=True)
    except Exception:  # an annotation may name what is only there for type checkers
        evaluated = signature
    return {
        name: _names(parameter.annotation) | _names(evaluated.parameters[name].annotation)
        for name, parameter in signature.parameters.items()
    }


def _names(annotation: Any) -> set[str]:
    """The names of the members of a type."""
    if annotation is inspect.Parameter.empty:
        return set()
    if annotation is None or annotation is type(None):
        return {"None"}
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _names_in_text(annotation)
    if annotation == optax.Schedule:
        return {"Schedule"}
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_names, typing.get_args(annotation)))
    if origin is typing.Annotated:
        return _names(typing.get_args(annotation)[0])
    if isinstance(annotation, typing.TypeVar):
        return {"TypeVar"}
    name = getattr(origin or annotation, "__name__", str(annotation)).split("[")[0]
    meaning = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)  # NewType, type X = ...
    return {name} if meaning is None else {name} | _names(meaning)


def _names_in_text(text: str) -> set[str]:
    try:
        return _names_in_code(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        return {text}


def _names_in_code(code: ast.expr) -> set[str]:
    match code:
        case ast.BinOp(left=left, right=right):
            return _names_in_code(left) | _names_in_code(right)
        case ast.Subscript(value=value, slice=inside):
            members = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            head = _names_in_code(value)
            if head & {"Optional", "Union"}:
                return set().union(*map(_names_in_code, members))
            return _names_in_code(members[0]) if "Annotated" in head else head
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return {name}
        case ast.Constant(value=str(text)):
            return _names_in_text(text)
    return {ast.unparse(code)}


# Callables: which of them are functions of the step.


def _gives_real_scalar(fn: Callable[..., Any], dtype: Any) -> bool:
    try:
        with jax.numpy_dtype_promotion("standard"):
            value: Any = jax.eval_shape(fn, jax.ShapeDtypeStruct((), dtype))
    except Exception:  # whatever a function raises on what is not for it
        return False
    if not isinstance(value, jax.ShapeDtypeStruct) or value.shape:
        return False
    return jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)


def _is_function_of_the_step(fn: Callable[..., Any]) -> bool:
    """Whether a function gives a real scalar for a step, and computes nothing with a tree, as one of parameters would."""
    if not _gives_real_scalar(fn, jnp.int32) and not _gives_real_scalar(fn, jnp.float32):
        return False
    computed = []

    def on_tree(tree: Any) -> int:
        computed.extend(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(fn(tree)))
        return 0

    try:
        jax.eval_shape(on_tree, {"w": jax.ShapeDtypeStruct((2,), jnp.float32)})
    except Exception:
        return True
    return not any(computed)


@dataclasses.dataclass(frozen=True)
class OfCount:
    """A function of a whole number of steps, such as one that indexes a table, as a function of time."""

    fn: Callable[[Any], Any]

    def __call__(self, time: Any) -> Any:
        """The value at a time."""
        return self.fn(jnp.asarray(time).astype(jnp.int32))


def _function(fn: Callable[..., Any]) -> Function:
    only_counts = not _gives_real_scalar(fn, jnp.float32) and _gives_real_scalar(fn, jnp.int32)
    return Function(OfCount(fn) if only_counts else fn)


# The state: values that can be written, types, and buffers.


class Hyperparameters(dict[str, Any]):
    """The values of the hyperparameters by name. A write to one that follows a schedule raises."""

    def __init__(self, values: Any = (), scheduled: Iterable[str] = ()) -> None:
        super().__init__(values)
        self.scheduled = frozenset(scheduled)
        tell_flax_of_dict(Hyperparameters, lambda old, values: Hyperparameters(values, old.scheduled))

    def __setitem__(self, name: str, value: Any) -> None:
        """Writes a number."""
        if name not in self:
            raise KeyError(f"expected a hyperparameter among {', '.join(self)}, got {name}")
        if name in self.scheduled:
            raise TypeError(f"hyperparams[{name!r}] = ...: {_HINT.format(name=name)}")
        super().__setitem__(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Writes several numbers."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def copy(self) -> Hyperparameters:
        """The same in another dict."""
        return Hyperparameters(self, self.scheduled)

    def __ior__(self, other: Any) -> Hyperparameters:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.update(other)
        return self

    def __or__(self, other: Any) -> Hyperparameters:  # pyright: ignore[reportIncompatibleMethodOverride]
        new = self.copy()
        new.update(other)
        return new

    def __reduce__(self) -> Any:
        return Hyperparameters, (dict(self), self.scheduled)


def _flatten(x: Hyperparameters) -> Any:
    names = tuple(sorted(x))
    return [x[name] for name in names], (names, x.scheduled)


jax.tree_util.register_pytree_with_keys(
    Hyperparameters,
    lambda x: ([(jax.tree_util.DictKey(name), x[name]) for name in sorted(x)], _flatten(x)[1]),
    lambda structure, values: Hyperparameters(zip(structure[0], values, strict=True), structure[1]),
    _flatten,
)

_HINT = (
    "this hyperparameter follows a schedule, which would overwrite the value. Hint: make the optimizer with live=True, and use"
    ' lrsched.replace_schedule(state, new, "{name}")'
)


def _check_written(call: _Call, state: Any, structures: dict[str, Any]) -> None:
    """Raises an error if something in the state was replaced that has no effect."""
    wanted = sorted(call.schedules.keys() | call.numbers.keys())
    if sorted(state.hyperparams) != wanted:
        raise ValueError(
            f"{call.name}: expected the hyperparameters {', '.join(wanted)} in the state, got {', '.join(state.hyperparams)}"
        )
    for name in call.schedules:
        # A number that somebody wrote has Python's type, not that of an array; tree_set also writes it over the clocks.
        value = state.hyperparams[name]
        written = isinstance(value, (int, float)) or getattr(value, "weak_type", False)
        if written or jax.tree.structure(state.hyperparams_states[name]) != structures[name]:
            raise TypeError(f"{call.name}: a number was written to {name} in the state; {_HINT.format(name=name)}")


def _number_written(call: str, name: str, value: Any) -> Any:
    if isinstance(value, Schedule) or callable(value):
        raise TypeError(
            f"{call}: expected a number in hyperparams[{name!r}], got {shown(value)}."
            f" Hint: give the schedule to the factory, {call}({name}=...)"
        )
    if np.shape(value):
        raise ValueError(f"{call}: expected a scalar in hyperparams[{name!r}], got the shape {np.shape(value)}")
    return value


@functools.partial(jax.jit, inline=True)
def _like_python(value: jax.Array) -> jax.Array:
    """A scalar that takes the type of the array it meets, as a Python float does; XLA removes it."""
    return jnp.asarray(0.0).at[()].set(value)


def _is_weak(x: Any) -> bool:
    return getattr(x, "weak_type", False)


def _typed_as(old: Any, new: Any) -> Any:
    """A state with the types of the one before it. What has them already is not touched."""

    def typed(a: Any, b: Any) -> Any:
        if not hasattr(a, "dtype") or not hasattr(b, "dtype"):
            return b
        same = a.dtype == b.dtype and (_is_weak(a) or not _is_weak(b))
        return b if same or jnp.issubdtype(a.dtype, jax.dtypes.extended) else jnp.asarray(b, a.dtype)

    return jax.tree.map(typed, old, new) if jax.tree.structure(old) == jax.tree.structure(new) else new


_SMALL = 16  # entries: a count, a key


def _buffers_of_its_own(state: Any, elsewhere: Any) -> Any:
    """A first state that can be donated: no leaf shares its buffer with another, or with what is elsewhere."""
    taken = {id(x) for x in jax.tree.leaves(elsewhere)}

    def own(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        x = jax.lax.convert_element_type(x, x.dtype) if _is_weak(x) else x
        x = jnp.copy(x) if x.size <= _SMALL or id(x) in taken else x
        taken.add(id(x))
        return x

    return jax.tree.map(own, state)
