"""Optimizer factories whose hyperparameters follow schedules."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrsched.algebra import numerics
from lrsched.algebra.foreign import bound, explained
from lrsched.algebra.node import Node, checked_flag
from lrsched.algebra.pointwise import as_schedule, is_stateful
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import NAMES, shown, unexpected
from lrsched.training.parts import AppliedState, Tree
from lrsched.training.transform import applied_as, typed_as

P = ParamSpec("P")


@explained
def scheduled(
    factory: Callable[P, optax.GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: jax.typing.DTypeLike | None = None,
    *,
    live: bool = False,
    start: Tree = 0,
) -> Callable[P, optax.GradientTransformationExtraArgs]:
    """An optimizer factory whose numeric arguments may be schedules.

    Update number t uses `schedule(t)` for each of them, as if the optimizer had been made with these numbers. As in
    `optax.inject_hyperparams`, `state.hyperparams["learning_rate"]` is the value that the last update used.

    Args:
        factory: returns an optax transformation, such as `optax.adamw`: a function, a class, a `functools.partial`.
        static_args: names of arguments that go to the factory unchanged.
        hyperparam_dtype: the dtype of the hyperparameters. By default they are float32 and promote like Python floats, so
            bfloat16 parameters and states stay bfloat16.
        live, start: as in `scale_by_learning_rate`, for all schedules.

    Returns:
        The factory, with the same arguments. Schedules and floats are hyperparameters. So are ints and functions of the update
        count, if the annotation or the default of the argument calls for a float. Without either, a function counts as a
        schedule if it returns a real scalar for a count: name it in `static_args` if it is not one, and write `Function(fn)`
        for a schedule that is not recognized. Everything else, such as a size, a key or a mask, goes to the factory unchanged.

        After `state.hyperparams["weight_decay"] = x` the number x is used, even in place of a schedule, until you write another
        number or `replace_schedule` changes the schedule.

    Raises:
        TypeError: if the factory cannot be called, or does not take these arguments.
        ValueError: if a schedule is a batch, a number is NaN, or `static_args` names no argument.

    >>> import jax.numpy as jnp, optax
    >>> import lrsched as ls
    >>> rate = ls.one_cycle(peak=0.1, steps=100)
    >>> optimizer = ls.scheduled(optax.adamw)(rate, b1=1.0 - rate, weight_decay=0.1 * rate)
    >>> params = jnp.ones(3)
    >>> updates, state = optimizer.update(params, optimizer.init(params), params)
    >>> for name, value in ls.hyperparameters(state).items():
    ...     print(name, value)
    b1 0.996
    learning_rate 0.004
    weight_decay 0.0004
    """
    if not callable(factory) or isinstance(factory, Schedule):
        hint = "as in scheduled(optax.adamw)(learning_rate=schedule)"
        raise TypeError(unexpected("scheduled", "factory", factory, "a function that makes an optimizer", hint))
    partial = functools.partial(factory)  # a partial of a partial is flattened
    signature = inspect.signature(partial.func)
    parameters = signature.parameters
    call = f"scheduled({getattr(partial.func, '__name__', None) or shown(partial.func)})"
    names = (static_args,) if isinstance(static_args, str) else static_args
    if isinstance(names, Schedule) or not isinstance(names, Iterable):
        hint = f"the arguments of the optimizer go into a call of their own: {call}(learning_rate=schedule)"
        raise TypeError(unexpected("scheduled", "static_args", names, "names of arguments", hint))
    static, live = set(names), checked_flag("scheduled", "live", live)
    if (unknown := sorted(static.difference(parameters))) and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise ValueError(f"{call}: expected static_args among {', '.join(parameters)}, got {', '.join(unknown)}.")

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> optax.GradientTransformationExtraArgs:
        given_to = bound(call, signature, (*partial.args, *args), partial.keywords | kwargs)
        given = _by_name(given_to)
        places = {name: parameters.get(name, _EXTRA) for name in given if name.split("[")[0] not in static}
        schedules, numbers = _schedules_and_numbers(call, given, places)
        warned = set[str]()  # shared, so that the hyperparameters together warn once
        applied = {name: applied_as(call, one, live, start, name, warned) for name, one in schedules.items()}

        def transform(values: dict[str, jax.Array]) -> optax.GradientTransformationExtraArgs:
            values = {name: _like_python(x) for name, x in values.items()} if hyperparam_dtype is None else values
            now = list((given | values).items())
            made: Any = partial.func(*(x for _, x in now[: len(given_to.args)]), **dict(now[len(given_to.args) :]))
            if not hasattr(made, "init") or not hasattr(made, "update"):
                raise TypeError(f"{call}(...): expected an optax transformation from the factory, got {shown(made)}.")
            if isinstance(made, optax.MultiSteps):  # its own gradient_transformation() drops the observations
                made = optax.GradientTransformationExtraArgs(made.init, made.update)  # pyright: ignore[reportArgumentType]
            return optax.with_extra_args_support(made)

        def recorded(value: numerics.Number) -> jax.Array:
            return jnp.array(value, numerics.float_type() if hyperparam_dtype is None else hyperparam_dtype).reshape(())

        def init_fn(params: optax.Params) -> optax.InjectStatefulHyperparamsState:
            states = {name: one.init() for name, one in applied.items()}
            values: dict[str, Any] = {name: recorded(x) for name, x in numbers.items()}
            values |= {name: recorded(state.used) for name, state in states.items()}
            count = jnp.zeros((), jnp.int32)
            state = optax.InjectStatefulHyperparamsState(count, values, states, transform(values).init(params))
            return _buffers_of_its_own(state, (params, given))

        def update_fn(
            updates: optax.Updates, state: Any, params: optax.Params | None = None, **extra: Any
        ) -> tuple[optax.Updates, optax.InjectStatefulHyperparamsState]:
            if not hasattr(state, "hyperparams_states"):
                hint = "update(updates, state, params)"
                raise TypeError(unexpected(call, "state", state, "the state that init gave", hint))
            states, before = state.hyperparams_states, state.hyperparams
            names = sorted({*numbers, *applied})
            if strange := sorted(before.keys() ^ set(names)):
                raise KeyError(f"{call}: expected the hyperparameters {', '.join(names)}, got {strange[0]!r}.")
            if wrong := [name for name in names if not numerics.is_number(before[name])]:
                raise TypeError(f"{call}: expected a number in hyperparams[{wrong[0]!r}], got {shown(before[wrong[0]])}.")
            values, after = {name: recorded(before[name]) for name in numbers}, dict[str, AppliedState]()
            for name, one in applied.items():
                new = one.update(states[name], **extra)
                # If the number differs from the value used before, the user has written it. An infinite `used` records that.
                now, last = recorded(before[name]), recorded(states[name].used)
                is_written = (now != last) & ~(jnp.isnan(now) & jnp.isnan(last))
                values[name] = jnp.where(is_written, now, recorded(new.used))
                after[name] = new._replace(used=jnp.where(is_written, jnp.full_like(new.used, jnp.inf), new.used))
            updates, inner = transform(values).update(updates, state.inner_state, params, **extra)
            count, inner = optax.safe_increment(state.count), typed_as(state.inner_state, inner)
            return updates, state._replace(count=count, hyperparams=values, hyperparams_states=after, inner_state=inner)

        return optax.GradientTransformationExtraArgs(init_fn, update_fn)  # pyright: ignore[reportArgumentType]

    return make


@functools.partial(jax.jit, inline=True)
def _like_python(value: jax.Array) -> jax.Array:
    """A weakly typed scalar, which takes the type of the array it meets, like a Python float; XLA removes it."""
    return jnp.asarray(0.0).at[()].set(value)


# Arguments: which of them are schedules, and which are numbers.

_EXTRA = inspect.Parameter("extra", inspect.Parameter.KEYWORD_ONLY)  # an argument in `*args` or `**kwargs`
_BRACKETS = re.compile(r"(\w*)\[([^][]*)\]")
_FLOAT = re.compile(r"(?!.*\b(int|Callable)\b).*\b(float|Float|\w*Schedule)\b")
_ARRAY = re.compile(r"\b(float|Float|Scalar|Array|ArrayLike|ndarray|number|Number|Numeric|\w*Schedule)\b")
_ANYTHING = re.compile(r"(\b(_empty|typing|Any|object|None|NoneType)\b|\W)*")


def _by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """The arguments of a call by name, positional ones first; those in `*args` are `args[0]`, `args[1]`, …"""
    names: list[str] = []
    for name, value in bound.arguments.items():
        several = bound.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{name}[{i}]" for i in range(len(value))] if several else [name]
    return dict(zip(names, bound.args, strict=False)) | bound.kwargs


def _schedules_and_numbers(
    call: str, given: Mapping[str, Any], places: Mapping[str, inspect.Parameter]
) -> tuple[dict[str, Schedule], dict[str, numerics.Number]]:
    """The arguments that are schedules, and those that are numbers which may change between updates."""
    schedules, numbers = dict[str, Schedule](), dict[str, numerics.Number]()
    for name, place in places.items():
        value: Any = numerics.array_of(given[name])
        wants_float = _wants_float(place)
        if isinstance(value, Schedule):
            schedules[name] = value
        elif numerics.is_number(value) and np.shape(value) == ():
            if numerics.is_concrete(value) and np.isnan(float(value)):
                raise ValueError(unexpected(call, name, value, "a number"))
            if wants_float or jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.floating):
                numbers[name] = value
        elif wants_float and (isinstance(value, (str, list, tuple, dict, Node)) or numerics.is_number(value)):
            groups = not isinstance(value, (str, Node))
            hint = "for groups of parameters, one optimizer each in optax.partition" * groups
            raise TypeError(unexpected(call, name, value, "a number or a schedule", hint))
        elif wants_float is not False and any(value is maker for maker in NAMES.values()):
            ours = value.__name__
            raise TypeError(f"{call}({name}={ours}): expected a number or a schedule. Hint: call it: {ours}().")
        elif callable(value) and not isinstance(value, type):  # jnp.bfloat16 is a class
            wants_float = _is_function_of_the_count(value) if wants_float is None else wants_float
            value = Function(value).fn if wants_float else value  # checks its signature
            made = as_schedule(call, name, value) if is_stateful(value) else Function(OfCount(value))
            schedules |= {name: made} if wants_float else {}
    return schedules, numbers


def _wants_float(place: inspect.Parameter) -> bool | None:
    """Whether the argument is a float, by its default or annotation; None if they do not say."""
    annotation, default = place.annotation, place.default
    text = (annotation.__name__ if isinstance(annotation, type) else str(annotation)).replace(str(optax.Schedule), "Schedule")
    while (less := _BRACKETS.sub(lambda m: m[2] if m[1] in ("Optional", "Union") else m[1], text)) != text:
        text = less  # without the contents of brackets, except those of unions
    if isinstance(default, float) or _FLOAT.match(text):
        return True
    is_function = callable(default) and default is not place.empty
    return None if not is_function and (_ARRAY.search(text) or _ANYTHING.fullmatch(text)) else False


def _is_function_of_the_count(fn: Callable[..., Any]) -> bool:
    try:
        with jax.numpy_dtype_promotion("standard"):
            value: Any = jax.eval_shape(fn, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception:  # a function of other arguments may raise anything
        return False
    return isinstance(value, jax.ShapeDtypeStruct) and value.shape == () and numerics.is_real(value.dtype)


@dataclasses.dataclass(frozen=True)
class OfCount:
    """A function of the update count (an int32, as in optax) as a function of time."""

    fn: Callable[[Any], Any]

    def __call__(self, time: Any) -> Any:
        return self.fn(jnp.asarray(time).astype(jnp.int32))


def _buffers_of_its_own(state: Tree, elsewhere: Tree) -> Tree:
    """A first state that can be donated: no leaf shares its buffer with another leaf, or with `elsewhere`."""
    taken = {id(x) for x in jax.tree.leaves(elsewhere)}

    def own(x: Any) -> Any:
        # The factory may also hold a small array, such as a count or a key.
        x = jnp.copy(x) if isinstance(x, jax.Array) and (x.size <= 16 or id(x) in taken) else x
        taken.add(id(x))
        return x

    return jax.tree.map(own, typed_as(state, state))
