"""A bad call is refused at once, by an error that names the call, the argument and the value, and gives a hint."""

# The calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import inspect
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax as optimizers
import pytest
from signatures import POINTS, arguments

import lrsched as ls
from lrsched.algebra.arguments import spec_of
from lrsched.dialects import keras, optax, timm, torch, transformers
from lrsched.dialects.optax import as_stateful

INF, NAN = math.inf, math.nan
BAD = (NAN, INF, -INF, "a", None, True, 1j)


def test_every_bad_number_is_refused_by_name():
    for call, name in arguments():
        is_operator = call.label.startswith("__")
        for bad in BAD:
            if (bad is None and name in call.may_be_none) or (bad == INF and (call.name, name) == ("Constant", "steps")):
                continue
            with pytest.raises(ValueError if type(bad) is float else TypeError) as raised:
                call.make(**{name: [POINTS[0], bad, POINTS[2]] if isinstance(call.numbers[name], list) else bad})
            words = [repr(bad)] if is_operator else [repr(bad), call.name, name.partition("[")[0]]
            if not is_operator or raised.type is ValueError:  # others are worded by Python itself
                assert [word for word in words if word not in str(raised.value)] == [], f"{call}: {raised.value}"


LINE = ls.Linear(0.0, 1.0, 10)
ENDLESS = ls.Exponential(1.0, 0.5)
DRIVEN = ENDLESS.on(ls.Plateau())
CALLS = [  # and fragments of the error: the call with the value, what was expected, the hint
    (lambda: ls.Cosine(0.0, 1.0, -3), "Cosine(steps=-3): expected steps >= 0", "Hint: a number of updates."),
    (lambda: ls.Cosine(0.0, 1.0, jnp.float32(-3)), "Cosine(steps=Array(-3"),
    (lambda: ls.Linear(0.0, 1.0, [[1], [2, 3]]), "Linear(steps=[[1], [2, 3]])", "a number"),
    (lambda: ls.Linear(0.0, 10**400, 10), "expected a number."),
    (lambda: ls.wsd("1E-3", 1, 9, 1), "Hint: float('1E-3'); YAML reads 3e-4 as text, and 3.0e-4 as a number."),  # pyright: ignore
    (lambda: ls.wsd(".5", 1, 9, 1), "Hint: float('.5'); YAML"),
    *((lambda x=x: ls.Linear(x, 0, 9), f"Linear(start={x!r}): expected a number.") for x in ("e", "E-", "...", "-", "")),
    (lambda: ls.Linear(1.0, 0.0, 1e31), "Linear(steps=1e+31)", "a finite number, |steps| <= 1.0e+30"),
    (lambda: ls.Constant(1e39), "Constant(value=1e+39)", "a finite number, |value| <= 1.7e+38"),
    (lambda: ls.Piecewise([5, 3], [1.0, 2.0]), "Piecewise(steps=[5, 3])", "that rise from 0 or later", "sort them"),
    (lambda: ls.Piecewise([], []), "Piecewise(steps=[])", "a list of numbers"),
    (lambda: ls.Piecewise([0, 3], [1.0]), "Piecewise(...): expected as many values as steps", "got 2 steps and 1 values"),
    (lambda: ls.Piecewise([0], [1.0], kind="cubic"), "Piecewise(kind='cubic')", "'constant' or 'linear' or 'cosine'"),
    (lambda: ls.Polynomial(1.0, 0.0, 10, 0), "Polynomial(power=0)", "power > 0", "1 is a straight line"),
    (lambda: ls.Geometric(1.0, -1.0, 10), "Geometric(end=-1.0)", "the sign of start=1.0", "logarithmic scale"),
    (lambda: ls.Function(3), "Function(fn=3)", "a function of time"),
    (lambda: ls.Function(lambda _: None)(3), "expected a real number, got None (NoneType)"),
    (lambda: ls.Function(lambda _: np.ones(3))(3), "elementwise over times, for shape (), got (3,)"),
    (lambda: LINE.repeat(stretch=0.5), "repeat(stretch=0.5)", "stretch >= 1", "shrinking cycles come to an end"),
    (lambda: LINE.repeat(2.5), "repeat(n=2.5): expected n >= 1 and whole. Hint: the number of cycles"),
    (lambda: ls.Constant(1.0, 0).repeat(), "repeat(schedule=Constant(1.0, 0))", "a length above 0"),
    (lambda: ENDLESS.repeat(2), "repeat(schedule=Exponential(1.0, 0.5))", "a schedule with an end", "Hint: give"),
    (lambda: ENDLESS >> LINE, "only the last part of a sequence may be unbounded", "write (Exponential(1.0, 0.5)).take(steps)"),
    (lambda: 0.1 >> LINE, "write Constant(0.1, steps)"),
    (lambda: ls.Constant(-1.0) ** 0.5, "(-1.0) ** 0.5: expected a base > 0, or a whole exponent >= 0."),
    (lambda: ls.Noise(0.1, 1.5), "Noise(seed=1.5)", "seed >= 0 and < 16777216 and whole", "for example seed=0"),
    (lambda: ls.Greedy(highest=-1, lowest=[-2, 0]), "Greedy(lowest=array([-2.,  0.])): expected lowest <= highest"),
    (lambda: ls.one_cycle(1.0, 100, pct_final=0.2), "one_cycle(pct_final=0.2)", "pct_final >= pct_start=0.3"),
    (lambda: LINE / 0, "Linear(0.0, 1.0, 10) / 0.0", "a divisor other than 0"),
    (lambda: max(LINE, 0.1), "a schedule is not less than another: minimum(s, r)"),
    (lambda: LINE.clip(0.9, 0.1), "clip(low=0.9, high=0.1)", "low <= high", "swap the two"),
    (lambda: LINE.then("a"), "then(other='a')", "a schedule, a number or a function of the step", "parse(text) reads"),
    (lambda: ls.join([LINE, LINE, LINE], [5]), "join(...)", "one boundary fewer", "got 3 schedules and 1"),
    (lambda: ls.join([LINE, LINE, LINE], [5, 3]), "join(boundaries=[5, 3])", "that rise", "Hint: sort them"),
    (lambda: LINE.then(as_stateful(LINE)), "then(other=Applied(", "state is in clocks"),
    (lambda: LINE.then(optimizers.adam(0.1)), "then(other=Gradient", "an optimizer takes a schedule, as in optax.adamw"),
    (lambda: LINE.then(ls.grid(ls.Constant, value=[1.0, 2.0])), "then(other=(Constant(", "batch, points = grid(...)"),
    (lambda: as_stateful(LINE)(3), "as_stateful(state=3): expected the state that init gave", "of optax.inject_hyperparams"),
    (
        lambda: ls.clocks.replay(ls.reduce_on_plateau(), {"loss": [1.0]}),
        "no clock monitors 'loss'",
        "write observations={'value': ...}",
    ),
    (
        lambda: ls.clocks.replay(ls.reduce_on_plateau(), [1.0, "a"]),
        "replay(observations['value']=[1.0, 'a']): expected numbers.",
    ),
    (lambda: ls.reduce_on_plateau(factor=1.5), "reduce_on_plateau(factor=1.5)", "factor >= 0 and <= 1"),
    (
        lambda: ls.reduce_on_plateau(cooldown=1.5),
        "reduce_on_plateau(cooldown=1.5): expected cooldown >= 0 and whole. Hint: a number of",
    ),
    *(
        (lambda name=name: ls.Plateau(**{name: 2.5}), f"Plateau({name}=2.5): expected {name} >= ", "and whole")
        for name in ("patience", "cooldown", "window")
    ),
    (lambda: ls.Greedy(warmup=2.5), "Greedy(warmup=2.5): expected warmup >= 0 and whole"),
    (lambda: ls.node(3), "node(cls=3): expected a subclass of Clock or Schedule."),
    (lambda: ls.node(int), "node(cls=<class 'int'>): expected a subclass"),
    (lambda: ls.warmup_cosine(1.0, 200, 100), "warmup_cosine(warmup_steps=200.0, steps=100.0)", "warmup_steps <= steps"),
    (lambda: ls.wsd(1.0, 20, 100, 90), "wsd(warmup_steps=20.0, decay_steps=90.0, steps=100.0)", "+ decay_steps <= steps"),
    (lambda: ls.wsd(1.0, 20, 100, 10, shape="geometric"), "wsd(...): Geometric(end=0.0): expected end != 0", "scale reaches 0"),
    (lambda: ls.infinite(1.0, 0.5, 9, 9, 99), "infinite(anneal_steps=None, end=None): expected steps, anneal_steps and"),
    (lambda: ls.tanh_decay(1.0, 0.5, 9, ub=-8), "tanh_decay(lb=-7.0): expected lb < ub, got ub=-8.0"),
    (lambda: ls.triangular(0.0, 1.0, 4, gamma=0.9), "triangular(gamma=0.9)", "mode 'exp_range', got mode 'triangular'"),
    (lambda: ls.one_cycle(1.0, 100, pct_start=0.6, three_phase=True), "one_cycle(pct_start=0.6): expected pct_start"),
    (lambda: ls.one_cycle(1.0, 10, three_phase="no"), "one_cycle(three_phase='no')", "True or False"),
    (lambda: ls.one_cycle(2.0**31, 5, final_div_factor=1e-300), "one_cycle(...): ", "<= 1.7e+38"),
    *(
        (lambda use=use: use(LINE, ls.Plateau()), "Plateau(", "a schedule, a number or a function", "Hint: a clock drives")
        for use in (lambda s, x: s * x, lambda s, x: x + s, lambda s, x: s >> x, lambda s, x: s.then(x), ls.maximum)
    ),
    *(
        (lambda use=use: use(LINE), "=reduce_on_plateau): expected a", "Hint: call it: reduce_on_plateau().")
        for use in (
            lambda s: s * ls.reduce_on_plateau,
            lambda s: ls.reduce_on_plateau >> s,
            lambda s: ls.join([s, ls.reduce_on_plateau], [5]),
            lambda _: ls.Function(ls.reduce_on_plateau),
            lambda _: ls.scale_by_learning_rate(ls.reduce_on_plateau),
            lambda _: ls.scheduled(optimizers.adamw)(ls.reduce_on_plateau),
            lambda _: ls.scheduled(optimizers.sgd)(0.1, momentum=ls.reduce_on_plateau),
        )
    ),
    *(
        (lambda f=f: LINE * f, "): expected a function of time, got one with ", "Hint: call it, if it makes such a function.")
        for f in (optimizers.linear_schedule, lambda: 0.1, lambda t, a: t * a)
    ),
    (lambda: LINE * optax.linear_schedule, "Function(fn=optax.linear_schedule)", "call it: optax.linear_schedule()"),
    (lambda: DRIVEN(3), "on what its clock has observed", "scale_by_learning_rate(s) runs the clocks", "evaluate(s, state)"),
    (lambda: LINE.on(ls.reduce_on_plateau()), "on(clock=reduce_on_plateau()): expected a clock, such as Plateau(patience=5)."),
    (lambda: ls.Schedule(abs), "Schedule(...): expected a class of nodes, got Schedule. Hint: decorate", "Function(f) makes"),
    (lambda: ls.Choice([], 0), "Choice(branches=()): expected a list of at least one schedule"),
    (lambda: DRIVEN.drop(1), "drop needs values at other times: call it before"),
    (lambda: LINE(np.array([0.0, NAN])), "schedule(step=...)", "got array([ 0., nan])."),
    (lambda: ls.grid(ls.Linear, start=[0], end=np.ones((2, 2)), steps=1), "grid(...): expected one schedule at {'start': 0}"),
    *(
        (lambda x=x: LINE(x), "schedule(step=...): expected a number or an array of numbers")
        for x in ("5", None, True, 1j, NAN, LINE, [[1], [2, 3]])
    ),
    # The error names the function that the user called, not an inner one.
    (lambda: ls.resume(LINE, ls.describe(LINE)), "resume(saved=Linear(0.0, 1.0, 10)): ", "Hint: resume(saved, schedule)."),
    (lambda: ls.resume("", [LINE, LINE]), "resume(schedule=[Linear", "expected a schedule, a number or a function"),
    (lambda: ls.plot(DRIVEN, observations=[1.0], every=0), "plot(every=0): expected every >= 1"),
    *((lambda x=x: ls.plot(LINE, observations=x), "plot(observations=...): expected at least one") for x in ([], {"a": []})),
    (lambda: ls.plot(LINE, ax=3), "plot(ax=3): expected the Axes of matplotlib", "Hint: figure, ax = plt.subplots()."),
    (lambda: ls.plot(LINE, log="log"), "plot(log='log'): expected True or False"),
    (lambda: ls.plot(LINE, labels=3), "plot(labels=3): expected a list of names"),
    (lambda: ls.get_schedule({}, LINE), "get_schedule(name=Linear(0.0, 1.0, 10)): expected a string"),
    (lambda: ls.scale_by_learning_rate(0.1, live="yes"), "scale_by_learning_rate(live='yes'): expected True or False"),
    (lambda: ls.scale_by_learning_rate(0.1, flip_sign=3), "scale_by_learning_rate(flip_sign=3): expected True or False"),
    (lambda: ls.reduce_on_plateau(monitor=3), "reduce_on_plateau(monitor=3): expected a string"),
    (lambda: ls.clocks.evaluate(LINE, None), "evaluate(state=None): expected the state that init(schedule) makes"),
    (lambda: ls.stack(3), "stack(schedules=3): expected a list of schedules"),
]
# Recipes and dialects refuse counts between 0 and 1: they are ratios, or arguments in the wrong order.
RATIOS = [
    (lambda: ls.warmup_cosine(1e-3, 0.1, 1000), "warmup_cosine(warmup_steps=0.1)", "warmup_steps=round(0.1 * total_steps)"),
    (lambda: ls.warmup_cosine(0.0, 1e-3, 100, 1000), "warmup_cosine(warmup_steps=0.001)", "check the order of the arguments"),
    (lambda: keras.PiecewiseConstantDecay([0.3, 9], [1, 0.5, 0.1]), "PiecewiseConstantDecay(boundaries=[0.3, 9.0])", "round("),
    (lambda: ls.join([1.0, 0.5, 0.1], [0.25, 9]), "join(boundaries=[0.25, 9.0])", "round(0.25 * total_steps)"),
    (lambda: ls.warmup_cosine(1e-3, np.array([5, 0.1]), 1000), "warmup_cosine(warmup_steps=[5.0, 0.1])"),
    (lambda: optax.piecewise_constant_schedule(1.0, {0.3: 0.5}), "piecewise_constant_schedule(boundaries=[0.3])", "round(0.3"),
    (lambda: timm.create_scheduler_v2(0.1, decay_milestones=[0.3]), "create_scheduler_v2(decay_milestones=[0.3])", "of epochs"),
    (lambda: torch.CosineAnnealingLR(0.1, 0.5), "CosineAnnealingLR(T_max=0.5)", "T_max=round(0.5 * total_steps)"),
]
CALLS += [(call, f"{says}: expected ", " >= 1", "Hint: ", *hint) for call, says, *hint in RATIOS]


@pytest.mark.parametrize("fn", [lambda t: 1.0 if t < 5 else 0.5, lambda t: math.exp(-t)])
@pytest.mark.parametrize("make", [ls.Function, lambda fn: torch.LambdaLR(0.1, fn)])
def test_a_function_that_takes_no_arrays_says_what_to_write(make, fn):
    schedule = make(fn)
    for call in (lambda: schedule([1, 7]), lambda: jax.jit(schedule)(7)):
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        text = "".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
        assert "write jax.numpy.where(t < 5, a, b)" in text
        assert type(schedule).__name__ in text
    assert schedule(7) is not None  # one known step is no matter


def test_no_recipe_takes_a_count_between_0_and_1():
    found = 0
    for call, name in arguments():
        hints = typing.get_type_hints(call.function, include_extras=True) if inspect.isfunction(call.function) else {}
        if (spec := spec_of(hints.get(name))) is not None and spec.unit:
            given, found = [0.5, *POINTS[1:]] if isinstance(call.numbers[name], list) else 0.5, found + 1
            with pytest.raises(ValueError, match=rf"{call.name}\({name}=.*: expected {name} >= (1|0 and whole).* Hint: "):
                call.make(**{name: given})
    assert found > 20


def test_counts_that_are_no_ratios_or_not_known_or_a_peers_ratios_are_fine():
    assert ls.warmup_cosine(1e-3, 0, 1000)(0) == np.float32(1e-3)
    assert ls.wsd(1e-3, 1, 10.5, 2.5).length == 10.5
    assert jax.jit(lambda n: ls.warmup_cosine(1.0, n, 1000)(1))(0.1) < 1
    assert jax.jit(lambda n: LINE.repeat(n).length)(2.6) == 30
    assert len(ls.grid(ls.reduce_on_plateau, patience=[1, 2], cooldown=np.arange(2))[0]) == 4
    assert transformers.get_scheduler("linear", 1.0, 0.1, 1000)(50) == 0.5
    assert timm.create_scheduler_v2(0.1, "wsd", 10, decay_epochs=0.2)[0].length == 10
    assert ls.Linear(0.0, 1.0, 0.5)(1) == 1  # a node is any function of time


@pytest.mark.parametrize("error", CALLS, ids=[words for _, words, *_ in CALLS])
def test_an_error_says_what_it_is_about(error):
    call, *fragments = error
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert [words for words in fragments if words not in str(raised.value)] == [], raised.value
