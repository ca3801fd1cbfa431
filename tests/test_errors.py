"""A bad call is refused at once, by an error that names the call, the argument and the value."""

# The calls are wrong on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.algebra.combinators import Choice
from lrsched.algebra.driven import Driven
from lrsched.algebra.pointwise import Pointwise
from lrsched.dialects import keras, optax, timm, torch, transformers

INF, NAN = float("inf"), float("nan")
LINE = ls.Linear(0.0, 1.0, 10)
ENDLESS = ls.Exponential(1.0, 0.5)
DRIVEN = ENDLESS.on(ls.Plateau())
TOO_LARGE = "<= 1.7e+38."

# The call, and what its error must say.
VALUES = [
    (lambda: ls.Constant(NAN), "Constant(value=nan): expected a finite number"),
    (lambda: ls.Constant(INF), "Constant(value=inf): expected a finite number"),
    (lambda: ls.Constant(1.0, -1), "Constant(steps=-1): expected steps >= 0"),
    (lambda: ls.Constant(1.0, NAN), "Constant(steps=nan): expected steps >= 0"),
    (lambda: ls.Linear(NAN, 1.0, 10), "Linear(start=nan): expected a finite number"),
    (lambda: ls.Linear(0.0, -INF, 10), "Linear(stop=-inf): expected a finite number"),
    (lambda: ls.Linear(0.0, 1.0, -10), "Linear(steps=-10): expected steps >= 0"),
    (lambda: ls.Linear(0.0, 1.0, INF), "Linear(steps=inf): expected a finite number"),
    (lambda: ls.Linear(0.0, 1.0, [5, -1]), "Linear(steps=[5, -1]): expected steps >= 0"),
    (lambda: ls.Cosine(0.0, 1.0, -3.0), "Cosine(steps=-3.0): expected steps >= 0. Hint: a number of updates."),
    (lambda: ls.Cosine(0.0, 1.0, jnp.float32(-3)), "Cosine(steps=Array(-3"),
    (lambda: ls.Cosine(0.0, 1.0, NAN), "Cosine(steps=nan): expected a finite number"),
    (lambda: ls.Exponential(1.0, -0.5), "Exponential(rate=-0.5): expected rate >= 0"),
    (lambda: ls.Exponential(1.0, NAN), "Exponential(rate=nan): expected a finite number"),
    (lambda: ls.Piecewise([5, 3], [1.0, 2.0]), "Piecewise(steps=[5, 3]): expected steps that rise from 0 or later"),
    (
        lambda: ls.Piecewise([-1, 3], [1.0, 2.0]),
        "Piecewise(steps=[-1, 3]): expected steps that rise from 0 or later",
    ),
    (lambda: ls.Piecewise([0, INF], [1.0, 2.0]), "Piecewise(steps=[0, inf]): expected a list of finite numbers"),
    (lambda: ls.Piecewise([0, 3], [1.0]), "Piecewise(...): expected as many values as steps, got 2 steps and 1 values"),
    (lambda: ls.Piecewise([0, 3], [1.0, NAN]), "Piecewise(values=[1.0, nan]): expected a list of finite numbers"),
    (
        lambda: ls.Piecewise([0], [1.0], kind="cubic"),
        "Piecewise(kind='cubic'): expected 'constant' or 'linear' or 'cosine'",
    ),
    (lambda: ls.Constant(1e39), f"Constant(value=1e+39): expected a finite number, |value| {TOO_LARGE}"),
    (lambda: ls.Linear(0.0, 1.0, 10**50), TOO_LARGE),
    (
        lambda: ls.Polynomial(1.0, 0.0, 10, 0),
        "Polynomial(power=0): expected power > 0. Hint: the exponent; 1 is a straight line.",
    ),
    (lambda: ls.Polynomial(1.0, 0.0, 10, -2), "Polynomial(power=-2): expected power > 0"),
    (lambda: ls.OneMinusSqrt(1.0, 0.0, -1), "OneMinusSqrt(steps=-1): expected steps >= 0"),
    (lambda: ls.Geometric(0.0, 1.0, 10), "Geometric(start=0.0): expected start != 0"),
    (lambda: ls.Geometric(1.0, 0, 10), "Geometric(stop=0): expected stop != 0"),
    (lambda: ls.Geometric(1.0, -1.0, 10), "Geometric(stop=-1.0): expected the sign of start=1.0. Hint: no straight line on a"),
    (lambda: ls.InverseSqrt(1.0, 0), "InverseSqrt(timescale=0): expected timescale > 0. Hint: the number of updates until"),
    (lambda: ls.Function(np.sqrt, NAN), "Function(arguments[0]=nan): expected a finite number"),
    (lambda: LINE(NAN), "schedule(step=...): expected a number or an array of numbers, got nan."),
    (
        lambda: LINE(np.array([0.0, NAN])),
        "schedule(step=...): expected a number or an array of numbers, got array([ 0., nan]).",
    ),
    (lambda: LINE.take(-1), "take(steps=-1): expected steps >= 0"),
    (lambda: ENDLESS.take(INF), "take(steps=inf): expected a finite number"),
    (lambda: LINE.drop(-1), "drop(steps=-1): expected steps >= 0"),
    (lambda: LINE.delay(NAN), "delay(steps=nan): expected a finite number"),
    (lambda: LINE.stretch(0), "stretch(factor=0): expected factor > 0"),
    (lambda: LINE.stretch(-2), "stretch(factor=-2): expected factor > 0"),
    (lambda: LINE.staircase(0), "staircase(every=0): expected every > 0"),
    (lambda: LINE.repeat(0), "repeat(n=0): expected n >= 1"),
    (lambda: LINE.repeat(0.4), "repeat(n=0.4): expected n >= 1"),
    (lambda: LINE.repeat(INF), "repeat(n=inf): expected a finite number"),
    (lambda: LINE.repeat(2, stretch=0), "repeat(stretch=0): expected stretch > 0"),
    (lambda: LINE.repeat(stretch=0.5), "repeat(stretch=0.5): expected stretch >= 1. Hint: shrinking cycles come to an end"),
    (lambda: LINE.repeat(2, scale=NAN), "repeat(scale=nan): expected a finite number"),
    (
        lambda: ls.Constant(1.0, 0).repeat(),
        "repeat(schedule=Constant(1.0, 0)): expected a length above 0, to repeat for ever",
    ),
    (
        lambda: ENDLESS.repeat(2),
        "repeat(schedule=Exponential(1.0, 0.5)): expected a schedule with an end. Hint: give",
    ),
    (lambda: ENDLESS.reverse(), "reverse(schedule=Exponential(1.0, 0.5)): expected a schedule with an end"),
    (lambda: ENDLESS >> LINE, "only the last part of a sequence may be unbounded; write (Exponential(1.0, 0.5)).take(steps)"),
    (lambda: ls.Constant(0.1) >> LINE, "only the last part of a sequence may be unbounded; write Constant(0.1, steps)"),
    (lambda: 0.1 >> LINE, "only the last part of a sequence may be unbounded; write Constant(0.1, steps)"),
    (lambda: np.sqrt >> LINE, "only the last part of a sequence may be unbounded; write (Function(sqrt)).take(steps)"),
    (lambda: LINE >> LINE.repeat() >> LINE, "may be unbounded; write (Linear(0.0, 1.0, 10).repeat()).take(steps)"),
    (lambda: LINE.clip(0.9, 0.1), "clip(low=0.9, high=0.1): expected low <= high. Hint: swap the two."),
    (
        lambda: ls.join([LINE, LINE], []),
        "join(...): expected one boundary fewer than schedules, got 2 schedules and 0",
    ),
    (lambda: ls.minimum(LINE, NAN), "minimum(b=nan): expected a finite number"),
    (
        lambda: LINE.clip(NAN, 1.0),
        "clip(low=nan): expected a finite number",
    ),
    (lambda: LINE + NAN, "Constant(value=nan): expected a finite number"),
    (lambda: INF * LINE, "Constant(value=inf): expected a finite number"),
    (lambda: ls.cosine_restarts(1.0, 0.0, 10, n=NAN), "cosine_restarts(n=nan): expected a finite number"),
    (lambda: ls.reduce_on_plateau(threshold=-1), "reduce_on_plateau(threshold=-1): expected threshold >= 0"),
    (lambda: ls.multi_step(1.0, range(400), 10), TOO_LARGE),
    (lambda: ls.one_cycle(2.0**31, 5, final_div_factor=1e-300), TOO_LARGE),
    (lambda: ls.join([LINE, LINE, LINE], [5]), "got 3 schedules and 1 boundaries"),
    (lambda: ls.join([], []), "got 0 schedules and 0 boundaries"),
    (
        lambda: ls.join([LINE, LINE, LINE], [5, 3]),
        "join(boundaries=[5, 3]): expected boundaries that rise from 0 or later. Hint: sort them, and the",
    ),
    (lambda: ls.join([LINE, LINE], [-5]), "join(boundaries=[-5]): expected boundaries that rise from 0 or later"),
    (lambda: ls.Linear([0, 1], [0, 1, 2], 10), "Linear(...): expected batches of one shape, got (2,), (3,)"),
    (lambda: Choice((LINE, ENDLESS), -1), "Choice(index=-1): expected index >= 0"),
    (lambda: Pointwise("%", (LINE, LINE)), "Pointwise(operator='%'): expected '+' or"),
    (lambda: ls.Plateau(mode="down"), "Plateau(mode='down'): expected 'min' or 'max'"),
    (
        lambda: ls.Plateau(threshold_mode="both"),
        "Plateau(threshold_mode='both'): expected 'rel' or 'abs' or 'rel_signed'",
    ),
    (lambda: ls.Plateau(patience=-1), "Plateau(patience=-1): expected patience >= 0"),
    (lambda: ls.Plateau(threshold=-0.1), "Plateau(threshold=-0.1): expected threshold >= 0"),
    (lambda: ls.Plateau(cooldown=NAN), "Plateau(cooldown=nan): expected a finite number"),
    (lambda: ls.step_decay(NAN, 1, 0.1), "step_decay(start=nan): expected a finite number"),
    (lambda: ls.step_decay(1.0, 0, 0.1), "step_decay(every=0): expected every > 0"),
    (lambda: ls.step_decay(1.0, 30, -0.1), "step_decay(factor=-0.1): expected factor >= 0"),
    (
        lambda: ls.multi_step(1.0, [5, 3], 0.1),
        "multi_step(milestones=[5, 3]): expected milestones that rise from 0 or later. Hint: sort them",
    ),
    (lambda: ls.multi_step(1.0, [5], INF), "multi_step(factor=inf): expected a finite number"),
    (lambda: ls.warmup_cosine(NAN, 10, 100), "warmup_cosine(peak=nan): expected a finite number"),
    (lambda: ls.warmup_cosine(1.0, -10, 100), "warmup_cosine(warmup_steps=-10): expected warmup_steps >= 0"),
    (
        lambda: ls.warmup_cosine(1.0, 100, 1e-3),
        "warmup_cosine(steps=0.001): expected steps >= 1, or 0. Hint: write steps=round(0.001 * total_steps) for a ratio, or",
    ),
    (lambda: ls.one_cycle(1000, 1e-3), "one_cycle(steps=0.001): expected steps >= 1, or 0"),
    (lambda: LINE / 0, "Linear(0.0, 1.0, 10) / 0.0: expected a divisor other than 0."),
    (
        lambda: ls.grid(ls.Linear, start=[0], stop=np.ones((2, 2)), steps=1),
        "grid(...): expected one schedule at {'start': 0}, got a batch of shape (2, 2)",
    ),
    (lambda: ls.warmup_cosine(1.0, 200, 100), "warmup_cosine(warmup_steps=200.0, steps=100.0): expected warmup_steps <= steps"),
    (lambda: ls.warmup_linear(1.0, 200, 100), "warmup_linear(warmup_steps=200.0, steps=100.0): expected warmup_steps <= steps"),
    (lambda: ls.warmup_constant(1.0, -1), "warmup_constant(warmup_steps=-1): expected warmup_steps >= 0"),
    (
        lambda: ls.warmup_inverse_sqrt(1.0, 0),
        "warmup_inverse_sqrt(warmup_steps=0.0): expected warmup_steps > 0. Hint: with no warm-up, give",
    ),
    (lambda: ls.warmup_inverse_sqrt(1.0, 5, 0), "warmup_inverse_sqrt(timescale=0): expected timescale > 0"),
    (lambda: ls.noam(0, 10), "noam(dim=0): expected dim > 0"),
    (lambda: ls.noam(512, 0), "noam(warmup_steps=0): expected warmup_steps > 0"),
    (
        lambda: ls.wsd(1.0, 200, 100, 10),
        "wsd(warmup_steps=200.0, decay_steps=10.0, steps=100.0): expected warmup_steps + decay",
    ),
    (lambda: ls.wsd(1.0, 20, 100, 90), "wsd(warmup_steps=20.0, decay_steps=90.0, steps=100.0): expected"),
    (
        lambda: ls.wsd(1.0, 20, 100, 10, shape="sqrt"),
        "wsd(shape='sqrt'): expected 'linear' or 'cosine' or '1-sqrt' or 'geometric'",
    ),
    (
        lambda: ls.wsd(1.0, 20, 100, 10, shape="geometric"),
        "wsd(end=0.0): expected the sign of the peak",
    ),
    (lambda: ls.cosine_restarts(1.0, 0.0, 0), "cosine_restarts(steps=0.0): expected steps > 0. Hint: a cycle that repeats for"),
    (
        lambda: ls.cosine_restarts(1.0, 0.0, 10, stretch=0.5),
        "cosine_restarts(stretch=0.5): expected stretch >= 1. Hint: shrinking cycles come to an end",
    ),
    (lambda: ls.noam(1e-300, 4), TOO_LARGE),
    (lambda: ls.one_cycle_momentum(100, pct_start=2), "one_cycle_momentum(pct_start=2): expected pct_start >= 0 and <= 1"),
    (lambda: ls.one_cycle_momentum(100, anneal="cos"), "one_cycle_momentum(anneal='cos'): expected 'cosine' or 'linear'"),
    (lambda: ls.triangular(0.0, 1.0, -1), "triangular(up=-1): expected up >= 0"),
    (
        lambda: ls.triangular(0.0, 1.0, 4, mode="cosine"),
        "triangular(mode='cosine'): expected 'triangular' or 'triangular2' or 'exp_range'",
    ),
    (lambda: ls.triangular(0.0, 1.0, 4, gamma=0.9), "triangular(gamma=0.9): expected mode 'exp_range', got mode 'triangular'"),
    (lambda: ls.triangular(0.0, 1.0, 0), "expected a length above 0, to repeat for ever"),
    (lambda: ls.one_cycle(1.0, -5), "one_cycle(steps=-5): expected steps >= 0"),
    (lambda: ls.one_cycle(1.0, 100, pct_start=1.5), "one_cycle(pct_start=1.5): expected pct_start >= 0 and <= 1"),
    (
        lambda: ls.one_cycle(1.0, 100, pct_start=0.6, three_phase=True),
        "one_cycle(pct_start=0.6): expected pct_start",
    ),
    (lambda: ls.one_cycle(1.0, 100, div_factor=0), "one_cycle(div_factor=0): expected div_factor > 0"),
    (lambda: ls.one_cycle(1.0, 100, anneal="cos"), "one_cycle(anneal='cos'): expected 'cosine' or 'linear'"),
    (lambda: ls.reduce_on_plateau(factor=1.5), "reduce_on_plateau(factor=1.5): expected factor >= 0 and <= 1"),
    (lambda: ls.reduce_on_plateau(min_scale=-1), "reduce_on_plateau(min_scale=-1): expected min_scale >= 0 and <= 1"),
    (lambda: ls.reduce_on_plateau(patience=-1), "(patience=-1): expected patience >= 0"),
]

TYPES = [
    (lambda: ls.Constant("a"), "Constant(value='a'): expected a number"),
    (lambda: ls.Constant(None), "Constant(value=None): expected a number"),
    (lambda: ls.Constant(1j), "Constant(value=1j): expected a number"),
    (lambda: ls.Constant(True), "Constant(value=True): expected a number"),
    (lambda: ls.Constant(LINE), "Constant(value=Linear(0.0, 1.0, 10)): expected a number"),
    (lambda: ls.Linear(0.0, 1.0, "10"), "Linear(steps='10'): expected a number"),
    (lambda: ls.Linear(0.0, 1.0, []), "Linear(steps=[]): expected a number"),
    (lambda: ls.Linear(0.0, 1.0, [[1], [2, 3]]), "Linear(steps=[[1], [2, 3]]): expected a number"),
    (lambda: ls.Linear(0.0, 10**400, 10), "): expected a number."),
    (lambda: ls.Piecewise(3, 1.0), "Piecewise(steps=3): expected a list of numbers"),
    (lambda: ls.Piecewise([0, True], [1.0, 2.0]), "Piecewise(steps=[0, True]): expected a list of numbers"),
    (lambda: ls.join([LINE, LINE], "a"), "join(boundaries='a'): expected a list of numbers"),
    (lambda: ls.Piecewise([], []), "Piecewise(steps=[]): expected a list of numbers"),
    (lambda: ls.multi_step(1.0, 5, 0.1), "multi_step(milestones=5): expected a list of numbers"),
    (lambda: LINE.take(LINE), "take(steps=Linear(0.0, 1.0, 10)): expected a number"),
    (lambda: LINE.take(None), "take(steps=None): expected a number"),
    (lambda: LINE.then("a"), "then(other='a'): expected a schedule, a number or a function of the step"),
    (
        lambda: LINE**2,
        "schedule ** 2: expected an operator of schedules, got **. Hint: write s * s, or Function(lambda t: s(t) ** 2)",
    ),
    (lambda: LINE >> ls.Linear, "unsupported operand"),
    (
        lambda: ls.scale_by_learning_rate("sqrt"),
        "(schedule='sqrt'): expected a schedule, a number or a function of the step",
    ),
    (
        lambda: ls.evaluate(LINE, {"w": np.zeros((99, 99))}),
        "evaluate(...): expected the state that init(schedule) makes, got {'w'",
    ),
    (lambda: LINE.warp("2"), "warp(time='2'): expected a schedule, a number or a function"),
    (lambda: ls.join([LINE, None], [5]), "join(schedules=None): expected a schedule, a number or a function"),
    (lambda: ls.join([LINE, LINE], ["5"]), "join(boundaries=['5']): expected a list of numbers"),
    (lambda: ls.minimum(LINE, "a"), "minimum(b='a'): expected a schedule, a number or a function of the step"),
    (lambda: ls.maximum(None, LINE), "maximum(a=None): expected a schedule, a number or a function"),
    (lambda: LINE.clip(0.0, "a"), "clip(high='a'): expected a schedule, a number or a function"),
    (lambda: LINE.on(3), "on(clock=3): expected a clock, such as Plateau(patience=5)"),
    (lambda: Driven("0.5", ls.Plateau()), "on(schedule='0.5'): expected a schedule, a number or a function"),
    (lambda: ls.Function(3), "Function(fn=3): expected a function of time"),
    (lambda: ls.Function(np.sqrt, "a"), "Function(arguments[0]='a'): expected a number"),
    (lambda: ls.Function(lambda _: None)(3), "expected a real number, got None (NoneType)"),
    (lambda: ls.Function(lambda _: np.ones(3))(3), "expected a function elementwise over times, for shape (), got (3,)"),
    (lambda: DRIVEN(3), "in an optax chain, scale_by_learning_rate(s) runs the clocks; by hand, use evaluate(s, state)"),
    (lambda: (LINE * DRIVEN)([1, 2]), "depends on what its clock has observed"),
    (lambda: jax.jit(LINE >> DRIVEN)(3), "depends on what its clock has observed"),
    (
        lambda: DRIVEN @ ls.Time(),
        "warp(schedule=Exponential(1.0, 0.5).on(Plateau())): expected a schedule that is not",
    ),
    (
        lambda: LINE @ DRIVEN,
        "warp(schedule=Exponential(1.0, 0.5).on(Plateau())): expected a schedule that is not",
    ),
    (
        lambda: (LINE * DRIVEN).stretch(2),
        "stretch(schedule=Linear(0.0, 1.0, 10) * Exponential(1.0, 0.5).on(Plateau())): expected",
    ),
    (lambda: DRIVEN.take(5).reverse(), "reverse bends time; do it before"),
    (lambda: DRIVEN.take(5).repeat(), "repeat bends time; do it before"),
    (lambda: DRIVEN.drop(1), "drop bends time; do it before"),
    (lambda: DRIVEN.staircase(2), "staircase bends time; do it before"),
    (lambda: DRIVEN.on(ls.Steps()), "on bends time; do it before"),
    (lambda: LINE("5"), "schedule(step=...): expected a number or an array of numbers, got '5'"),
    (lambda: LINE([[1], [2, 3]]), "schedule(step=...): expected a number or an array of numbers, got [[1], [2, 3]]."),
    (lambda: LINE(None), "schedule(step=...): expected a number or an array of numbers, got None"),
    (lambda: LINE(True), "schedule(step=...): expected a number or an array of numbers, got True"),
    (lambda: LINE(np.array([True])), "schedule(step=...): expected"),
    (lambda: LINE(1j), "schedule(step=...): expected"),
    (lambda: LINE(LINE), "schedule(step=...): expected a number or an array of numbers, got Linear(0.0, 1.0, 10)"),
    (lambda: jax.jit(LINE)(True), "schedule(step=...): expected"),
    (lambda: ls.grid(ls.Linear, start=[0], stop=["a"], steps=1), "Linear(stop='a'): expected a number"),
]


@pytest.mark.parametrize(("call", "message"), VALUES, ids=[message for _, message in VALUES])
def test_a_bad_value_is_a_value_error(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(("call", "message"), TYPES, ids=[message for _, message in TYPES])
def test_a_bad_type_is_a_type_error(call, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ls.Linear(0.0, 1.0),
        lambda: ls.Linear(0.0, 1.0, 10, power=2),
        lambda: LINE.repeat(times=3),
        lambda: ls.Plateau(paitence=3),
        lambda: ls.warmup_cosine(1.0, 10, 100, final=0.1),
        lambda: ls.plot(LINE, step=3),
    ],
)
def test_a_misspelt_argument_is_not_swallowed(call):
    with pytest.raises(TypeError):
        call()


# A count between 0 and 1 is a ratio, or an argument in the wrong place, in recipes and in dialects.
RATIOS = [
    (lambda: ls.warmup_cosine(1e-3, 0.1, 1000), "warmup_cosine(warmup_steps=0.1)", "warmup_steps=round(0.1 * total_steps)"),
    (lambda: ls.warmup_cosine(0.0, 1e-3, 100, 1000), "warmup_cosine(warmup_steps=0.001)", "check the order of the arguments"),
    (lambda: ls.warmup_linear(1e-3, 0.1, 1000), "warmup_linear(warmup_steps=0.1)", ""),
    (lambda: ls.warmup_constant(1e-3, 0.1), "warmup_constant(warmup_steps=0.1)", ""),
    (lambda: ls.warmup_inverse_sqrt(1e-3, 0.1), "warmup_inverse_sqrt(warmup_steps=0.1)", ""),
    (lambda: ls.noam(512, 0.1), "noam(warmup_steps=0.1)", ""),
    (lambda: ls.wsd(1e-3, 10, 1000, 0.2), "wsd(decay_steps=0.2)", "decay_steps=round(0.2 * total_steps)"),
    (lambda: ls.one_cycle_momentum(0.85, 0.95), "one_cycle_momentum(steps=0.85)", ""),
    (lambda: ls.step_decay(1.0, 0.3, 0.1), "step_decay(every=0.3)", ""),
    (lambda: ls.multi_step(1.0, [0.5, 0.8], 0.1), "multi_step(milestones=array([0.5, 0.8]))", "round(0.5 * total_steps)"),
    (lambda: ls.triangular(0.0, 1.0, 0.5), "triangular(up=0.5)", ""),
    (lambda: ls.cosine_restarts(1.0, 0.0, 0.1), "cosine_restarts(steps=0.1)", ""),
    (lambda: ls.reduce_on_plateau(patience=0.5), "reduce_on_plateau(patience=0.5)", "a number of observations"),
    (lambda: ls.warmup_cosine(1e-3, np.array([5, 0.1]), 1000), "warmup_cosine(warmup_steps=array([5. , 0.1]))", ""),
    (lambda: torch.CosineAnnealingLR(0.1, 0.5), "CosineAnnealingLR(T_max=0.5)", "T_max=round(0.5 * total_steps)"),
    (lambda: optax.warmup_cosine_decay_schedule(0.0, 1e-3, 0.1, 1000), "warmup_cosine_decay_schedule(warmup_steps=0.1)", ""),
    (lambda: keras.CosineDecay(0.1, decay_steps=0.5), "CosineDecay(decay_steps=0.5)", ""),
    (lambda: timm.CosineLRScheduler(0.1, 100, warmup_t=0.1), "CosineLRScheduler(warmup_t=0.1)", ""),
    (lambda: timm.create_scheduler_v2(0.1, warmup_epochs=0.1), "create_scheduler_v2(warmup_epochs=0.1)", ""),
    (
        lambda: transformers.get_linear_schedule_with_warmup(0.1, 0.1, 1000),
        "get_linear_schedule_with_warmup(num_warmup_steps=0.1)",
        "",
    ),
]


@pytest.mark.parametrize(("call", "says", "hint"), RATIOS, ids=[says for _, says, _ in RATIOS])
def test_a_count_between_0_and_1_is_refused(call, says, hint):
    with pytest.raises(ValueError, match=re.escape(says) + r": expected \w+ >= 1, or 0\. Hint: .*" + re.escape(hint)):
        call()


def test_counts_that_are_no_ratios_or_not_known_or_a_peers_ratios_are_fine():
    assert ls.warmup_cosine(1e-3, 0, 1000)(0) == np.float32(1e-3)
    assert ls.wsd(1e-3, 1, 10.5, 2.5).length == 10.5
    assert jax.jit(lambda n: ls.warmup_cosine(1.0, n, 1000)(1))(0.1) < 1
    assert transformers.get_scheduler("linear", 1.0, 0.1, 1000)(50) == 0.5
    assert timm.create_scheduler_v2(0.1, "wsd", 10, decay_epochs=0.2)[0].length == 10
    assert ls.Linear(0.0, 1.0, 0.5)(1) == 1  # a node is any function of time


# The error speaks of what was called, and not of what that called.
OUTER = [
    (lambda: ls.resume(LINE, ls.describe(LINE)), "resume(schedule='Linear(0.0, 1.0, 10)'): expected a schedule"),
    (lambda: ls.plot_replay(DRIVEN, [1.0], every=0), "plot_replay(every=0): expected every >= 1"),
    (lambda: ls.plot_replay(None, [1.0]), "plot_replay(schedule=None): expected a schedule"),
    (lambda: ls.reduce_on_plateau(monitor=3), "reduce_on_plateau(monitor=3): expected a string"),
    (lambda: ls.evaluate(LINE, None), "evaluate(...): expected the state that init(schedule) makes, got None"),
    (lambda: ls.join(3, []), "join(schedules=3): expected a list of schedules"),
    (lambda: ls.stack(3), "stack(schedules=3): expected a list of schedules"),
]


@pytest.mark.parametrize(("call", "message"), OUTER, ids=[message for _, message in OUTER])
def test_an_error_names_what_was_called(call, message):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        call()


def test_a_repeat_without_length_is_fine_where_it_ends():
    assert ls.Constant(1.0, 0).repeat(3)(5) == 1


def test_what_is_traced_is_not_checked():
    def call(x):
        return ls.Linear(0.0, x, x)(3) + ls.Piecewise([x, -x], [x, x])(3) + (ls.Linear(0.0, 1.0, x).repeat(stretch=x))(7)

    assert jax.jit(call)(-5.0).shape == ()


def _stepped(t):
    return 1.0 if t < 5 else 0.5


def _decayed(t):
    return math.exp(-t)


@pytest.mark.parametrize("fn", [_stepped, _decayed])
@pytest.mark.parametrize("make", [ls.Function, lambda fn: torch.LambdaLR(0.1, fn)])
def test_a_function_that_takes_no_arrays_says_what_to_write(make, fn):
    schedule = make(fn)
    for call in (lambda: schedule([1, 7]), lambda: jax.jit(schedule)(7)):
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert any("write jax.numpy.where(t < 5, a, b)" in note for note in raised.value.__notes__)
    assert schedule(7) is not None  # one known step is no matter
