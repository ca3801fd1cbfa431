"""Every number of every public call, found by its signature: a new one is tested without an entry in a list.

`CALLS` holds each public shape, clock, recipe and function that makes a schedule, and each method and operator of
`Schedule`, so often that there is each of its modes and shapes, each number, and each number left out or a schedule instead.
"""

import functools
import inspect
import operator
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from nested import nodes

import lrsched as ls
from lrsched.algebra.node import Node
from lrsched.algebra.numerics import Number
from lrsched.algebra.sequence import Sequence


def rising(t, a, b):
    return a - a / (1 + abs(b) * t)


# Examples of numbers, by the name of the parameter. All are exact in float32.
ANY_NUMBER = 0.5
EXAMPLES = """
    lb -2 | lowest -1 | exponent -0.5 | atol 0.0625 | min_scale 0.125 | end 0.25 | pct_start 0.25 | a 0.75 | constant 0.75
    pct_final 0.75 | rate 0.875 | highest 1 | index 1 | patience 1 | ub 1 | high 1.25 | stretch 1.25 | peak 1.5 | cooldown 2
    reset 2 | warmup 2 | window 2 | power 2.5 | n 3 | seed 4 | up 5 | cooldown_steps 6 | down 6 | every 7 | anneal_steps 8
    div_factor 8 | warmup_steps 10 | decay_steps 12 | final_div_factor 16 | timescale 16 | steps 40 | dim 64
"""
NUMBERS = {name: float(number) for name, number in map(str.split, EXAMPLES.strip().replace("\n", "|").split("|"))}
LISTS = ("boundaries", "milestones", "steps", "values")  # parameters that are lists of numbers, where no annotation says so
POINTS = [5.0, 12.0, 20.0]  # the example of a list
RECEIVER = ls.Cosine(0.5, 2.0, 8) >> ls.Linear(2.0, 0.75, 16)  # whose methods are called; never 0, so that it can divide


def _curve(scale: float = 1.0) -> ls.Schedule:
    return ls.Polynomial(1.5 * scale, 0.5 * scale, 30, 1.5)


# Examples of other arguments.
THINGS: dict[str, Any] = {
    "branches": (RECEIVER, _curve()),
    "clock": ls.Plateau(patience=1),
    "fn": rising,
    "monitor": "value",
    "other": _curve(),
    "ratios": [0.75, 0.5],
    "schedule": RECEIVER,
    "schedules": [RECEIVER, _curve(), RECEIVER * 2.0, _curve(0.5)],
    "time": ls.Time() * 0.75 + 2.0,
}
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "neg": "-", "rshift": ">>", "matmul": "@"}

STEPS = np.array([0, 1, 2, 3, 5, 7, 8, 10, 11, 12, 16, 20, 24, 25, 30, 33, 39, 40, 41, 1000], np.int32)
# A metric under which every number of a clock matters, in each of its modes; each value twice, for the window of two. Then it
# falls at each observation, and rises.
PAIRS = [1.875, 0.875, 0.5, 1.375, 2, 2.4375, 2.5, 1.25, 1, 1.375, 1.625, 1.625, 2, 1.875, 2.875, 3.375, 3, 3.5, 3.375, 3.5]
PAIRS += [4.125, 3.75, 4.375, 4.25]
METRIC = np.concatenate([np.repeat(PAIRS, 2), -(1.75 ** np.arange(9)), 1.75 ** np.arange(3, 12)]).astype(np.float32)
SEVERAL = 5  # as many values of each number
GIVEN = object()  # among the options of a parameter: its number


class Parameter(NamedTuple):
    """A parameter of a call: an example of its number or numbers, by name, and all that it may be."""

    name: str
    numbers: dict[str, Any]
    options: tuple[Any, ...]


class Call(NamedTuple):
    """A public call with all given that is no number, and an example of each number."""

    name: str  # as an error should say it
    label: str
    function: Callable[..., Any]
    fixed: dict[str, Any]
    numbers: dict[str, Any]  # where `x[0]`, `x[1]`, … are the entries of the tuple `x`
    may_be_none: tuple[str, ...]

    def __str__(self) -> str:
        shown = (f"{name}={x!r}" if isinstance(x, (str, bool, type(None))) else name for name, x in self.fixed.items())
        return f"{self.label}({', '.join(shown)})"

    def make(self, **changes: Any) -> Any:
        """The schedule that it makes of the example numbers, but for those given here."""
        arguments = dict(self.fixed)
        for name, x in {**self.numbers, **changes}.items():
            whole, entry, _ = name.partition("[")
            arguments[whole] = (*arguments.get(whole, ()), x) if entry else x
        return self.function(**arguments)


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        hint, example = hints.get(name), NUMBERS.get(name, ANY_NUMBER)
        if hint is bool:
            yield Parameter(name, {}, (False, True))
        elif typing.get_origin(hint) is typing.Literal:
            yield Parameter(name, {}, typing.get_args(hint))
        elif _is_number(hint):
            kinds = typing.get_args(hint)
            none, curve = [None] * (type(None) in kinds), [_curve(example)] * (ls.Schedule in kinds)
            yield Parameter(name, {name: example}, (GIVEN, *none, *curve))
        elif typing.get_origin(hint) is tuple and _is_number(typing.get_args(hint)[0]):
            yield Parameter(name, {f"{name}[0]": example, f"{name}[1]": example}, (GIVEN,))
        elif name in LISTS:
            yield Parameter(name, {name: POINTS}, (GIVEN,))
        elif name not in ("self", "numbers"):
            is_known = name in THINGS
            assert is_known or parameter.default is not parameter.empty, f"expected an example of {name} in LISTS or in THINGS"
            yield Parameter(name, {}, (THINGS[name],) if is_known else ())


def _hints(function: Any) -> dict[str, Any]:
    found = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    return {name: hint for name, hint in found.items() if name != "numbers"}  # of Function


def _is_number(hint: Any) -> bool:
    """Whether an annotation is `Number`, perhaps with alternatives."""
    return all(kind in typing.get_args(hint) for kind in typing.get_args(Number))


def _calls(name: str, described: Any, function: Callable[..., Any], label: str = "", singly: bool = False) -> Iterator[Call]:
    """Calls of the function, with every option that the parameters of the described one have at least once.

    So all the numbers that may be None are given at once, and left out at once; with `singly`, each also by itself.
    """
    parameters = _parameters(described)
    free = [parameter for parameter in parameters if parameter.options]
    rounds = max((len(parameter.options) for parameter in free), default=1)
    combinations = [tuple(parameter.options[i % len(parameter.options)] for parameter in free) for i in range(rounds)]
    if singly:
        optional = [parameter for parameter in free if None in parameter.options]
        combinations += [tuple(None if p is one else p.options[0] for p in free) for one in optional if len(optional) > 1]
    for options in combinations:
        chosen = list(zip(free, options, strict=True))
        fixed = {parameter.name: option for parameter, option in chosen if option is not GIVEN}
        given = [parameter for parameter, option in chosen if option is GIVEN]
        numbers = {key: x for parameter in given for key, x in parameter.numbers.items()}
        may_be_none = tuple(parameter.name for parameter in given if None in parameter.options)
        if fixed.get("mode") != "exp_range":
            numbers.pop("gamma", None)  # which has no meaning in other modes
        yield Call(name, label or name, function, fixed, numbers, may_be_none)


_READERS = (ls.clocks.bind, ls.expanded, ls.resume)  # of any schedule, a number among them


def _public() -> Iterator[Call]:
    for name, thing in vars(ls).items():
        is_node = isinstance(thing, type) and issubclass(thing, Node) and thing not in (ls.Schedule, ls.Clock)
        if is_node and issubclass(thing, ls.Clock):
            yield from _calls(name, thing, functools.partial(_on_clock, thing))
        elif is_node or (_makes_a_schedule(thing) and _takes_a_number(thing) and thing not in _READERS):
            yield from _calls(name, thing, thing)


def _on_clock(cls: type[ls.Clock], **arguments: Any) -> ls.Schedule:
    return ls.Exponential(1.0, 0.5).on(cls(**arguments))


def _makes_a_schedule(function: Any) -> bool:
    return inspect.isfunction(function) and inspect.signature(function).return_annotation in (ls.Schedule, "Schedule")


def _takes_a_number(function: Callable[..., Any]) -> bool:
    return any(_is_number(hint) or name in LISTS for name, hint in _hints(function).items())


def _methods() -> Iterator[Call]:
    for name, method in vars(ls.Schedule).items():
        if _makes_a_schedule(method) and name.startswith("__") and name != "__getitem__":
            bare = name.strip("_")
            plain = bare if bare in OPERATORS else bare.removeprefix("r")
            operate = functools.partial(_operated, getattr(operator, plain), plain != bare)
            yield from _calls(OPERATORS[plain], method, operate, label=name)
        elif _makes_a_schedule(method) and not name.startswith("__"):
            yield from _calls(name, method, getattr(RECEIVER, name), singly=True)


def _operated(operate: Callable[..., Any], is_reflected: bool, **others: Any) -> Any:
    """What an operator gives of the receiver and another operand, if there is one."""
    return operate(*others.values(), RECEIVER) if is_reflected else operate(RECEIVER, *others.values())


def accepts(call: Call, **numbers: Any) -> bool:
    """Whether a call takes these numbers."""
    try:
        call.make(**numbers)
    except ValueError:
        return False
    return True


CALLS: list[Call] = [*_public(), *_methods()]


def arguments() -> Iterator[tuple[Call, str]]:
    """Every number of every call."""
    for call in CALLS:
        for name in call.numbers:
            yield call, name


def several(call: Call, name: str) -> np.ndarray:
    """Values that the call takes for a number, `SEVERAL` of them, exact in float32."""
    given = np.asarray(call.numbers[name], np.float64)
    taken = [given * k for k in (1.0, 0.5, 2.0, -1.0, 0.0, 1.5) if accepts(call, **{name: (given * k).tolist()})]
    assert len(taken) > 1, f"{call} refuses most numbers for {name}. Hint: change NUMBERS in signatures.py"
    return np.stack((taken * 3)[:SEVERAL])


def pure(schedule: Any) -> ls.Schedule:
    """The schedule, without its clock where it is driven as a whole."""
    return schedule.schedule if isinstance(schedule, ls.Driven) else schedule


def boundaries(schedule: Any) -> list[float]:
    """The finite lengths in a schedule, and the steps at which a part follows another, rising."""
    found = {node.length for node in nodes(schedule) if isinstance(node, ls.Schedule)}
    for node in nodes(schedule):
        if isinstance(node, Sequence):
            found.update(np.cumsum([part.length for part in node.parts]).tolist())
    return sorted(float(step) for step in found if np.isfinite(step))


def structure(schedule: Any) -> Any:
    """What schedules have in common that one compiled program does for."""
    return jax.tree.structure(schedule), tuple(np.shape(x) for x in jax.tree.leaves(schedule))


def _kind(node: Any) -> Any:
    """The class of a node with its options, and which of its numbers and children, and how many, it has."""
    return type(node), str(jax.tree.structure(node, is_leaf=lambda x: isinstance(x, ls.Schedule) and x is not node))


def _few() -> Iterator[Call]:
    seen: set[Any] = set()
    for call in CALLS:
        kinds = set(map(_kind, nodes(call.make())))
        if not kinds <= seen:
            seen |= kinds
            yield call


FEW = list(_few())  # as many calls as it takes to have every class of nodes with all that may be given to it
