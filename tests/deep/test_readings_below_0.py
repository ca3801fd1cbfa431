"""A clock whose reading goes up and down: what every shape and operator is at a time before 0."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from meaning import RAMPS, meaning

import lrsched as ls
from lrsched.algebra.node import node
from lrsched.training.live import packed

DOWN, TIME, RAMP = ls.Exponential(2.0, 0.5), ls.Time(), ls.Linear(1.0, 0.0, 2)
TABLE = [0.0, 0.0, 1.0], [5.0, 1.0, 2.0]


@node
class UpAndDown(ls.Clock):
    """Reads the sum of what it observed."""

    @property
    def monitors(self):
        return ("value",)

    def init(self):
        return jnp.zeros(())

    def tick(self, state, steps, observations):
        del steps
        return state + observations.get("value", 0.0)

    def read(self, state):
        return state


def cubic(t):
    return t * t * t + 1


def table(t):
    return 1.0 if t < 1 else 2.0


def down(t):
    return 2 * 0.5**t


def ramp(t):
    return 1 - min(max(t, 0), 2) / 2


def of_ramp(s):
    return s, lambda t: float(meaning(s, t))


# Each with plain mathematics of the reading t.
MEANING = {
    "constant": (ls.Constant(3.0), lambda _: 3.0),
    "time": (TIME, lambda t: t),
    "function": (ls.Function(cubic), cubic),
    "exponential": (DOWN, down),
    "linear": (RAMP, ramp),
    **{kind.__name__: of_ramp(kind(4.0, 1.0, 2, *way.examples[0])) for kind, way in RAMPS.items()},
    "inverse sqrt": (ls.InverseSqrt(1.0, 1.0), lambda t: 1 / math.sqrt(1 + max(t, 0))),
    "piecewise": (ls.Piecewise(*TABLE), table),
    "piecewise lines": (ls.Piecewise(*TABLE, kind="linear"), lambda t: 1 + min(max(t, 0), 1)),
    "pointwise": (-TIME * DOWN + 1, lambda t: 1 - t * down(t)),
    "clip": (TIME.clip(-2, 1), lambda t: min(max(t, -2), 1)),
    "take": (TIME.take(2), lambda t: min(t, 2)),
    "drop": (TIME.drop(2), lambda t: t + 2),
    "drop of a ramp": (RAMP.drop(1), lambda t: ramp(t + 1)),
    "drop of slower": (TIME.stretch(2).drop(3), lambda t: (t + 3) / 2),
    "slower drop": (DOWN.drop(2).stretch(2), lambda t: down(t / 2 + 2)),
    "delay": (TIME.delay(1), lambda t: max(t - 1, 0)),
    "delay of nothing": (DOWN.delay(0), lambda t: down(max(t, 0))),
    "stretch": (DOWN.stretch(2), lambda t: down(t / 2)),
    "staircase": (TIME.staircase(2), lambda t: max(t, 0) // 2 * 2),
    "reverse": (TIME.take(2).reverse(), lambda t: max(2 - max(t, 0), 0)),
    "warp": (RAMP @ (1 - TIME), lambda t: ramp(1 - t)),
    "warp of more": (DOWN @ (TIME + 1), lambda t: down(max(t + 1, 0))),
    "repeat": (TIME.take(2).repeat(), lambda t: max(t, 0) % 2),
    "repeat that grows": (TIME.take(1).repeat(stretch=2), lambda t: max(t, 0) if t < 1 else (t - 1) / 2 % 1),
    "sequence": (TIME.take(1) >> DOWN, lambda t: t if t < 1 else down(t - 1)),
    "sequence after nothing": (TIME.take(0) >> DOWN, lambda t: t if t < 0 else down(t)),
    "sequence of many": (ls.join([TIME, *map(ls.Constant, range(39))], range(1, 40)), lambda t: t if t < 1 else t // 1 - 1),
    "choice": (ls.Choice((RAMP, DOWN), 1), down),
}
READINGS = np.arange(-6, 7) / 2


def at(schedule, readings):
    s = schedule.on(UpAndDown())
    return jax.vmap(lambda reading: ls.evaluate(s, ls.init(s)._replace(clocks=(reading,))))(readings)


@jax.jit
def read(schedules, readings):
    return jax.tree.map(lambda s: at(s, readings), schedules, is_leaf=lambda x: isinstance(x, ls.Schedule))


def test_a_reading_below_0():
    schedules, single = {name: schedule for name, (schedule, _) in MEANING.items()}, READINGS.astype(np.float32)
    known = jax.jit(lambda readings: {name: at(schedule, readings) for name, schedule in schedules.items()})
    whole = READINGS[::2].astype(np.int32)
    live = {name: packed(s) for name, s in schedules.items() if name != "sequence of many"}  # which takes long to compile
    for readings, found in ((READINGS, read(live, single)), (READINGS, known(single)), (whole, known(whole))):
        for name, values in found.items():
            truth = [MEANING[name][1](t) for t in readings.tolist()]
            np.testing.assert_allclose(values, truth, rtol=1e-6, atol=1e-6, err_msg=name)
    for name, (schedule, formula) in MEANING.items():
        s = schedule.on(UpAndDown())
        eager = [ls.evaluate(s, ls.init(s)._replace(clocks=(reading,))) for reading in READINGS]
        np.testing.assert_allclose(eager, [formula(t) for t in READINGS.tolist()], rtol=1e-6, atol=1e-7, err_msg=name)
        np.testing.assert_array_equal(schedule(READINGS), schedule(np.maximum(READINGS, 0)))  # steps stand at 0


def test_a_controller_goes_down_and_up():
    s, changes = 0.1 * ls.Exponential(1.0, 0.5).on(UpAndDown()), np.asarray([1, -1, -1, -1, 2, 1, 0], np.float32)
    np.testing.assert_allclose(ls.replay(s, changes), [0.1, 0.05, 0.1, 0.2, 0.4, 0.1, 0.05], rtol=1e-6)


def test_a_power_of_0_below_0_is_the_largest_number():
    readings = np.asarray([-2.0, 0.0, 1.0], np.float32)
    largest = np.finfo(np.float32).max
    for start, first in ((1.0, largest), (-1e-3, -largest), (0.0, 0.0)):
        np.testing.assert_array_equal(read(ls.Exponential(start, 0.0), readings), [first, np.float32(start), 0.0])


def test_slopes_below_0_are_finite():
    def value(schedule, reading):
        return read(schedule, reading[None])[0]

    small, nothing = ls.Exponential(2.0, 1e-30), ls.Exponential(1.0, 0.0)
    for schedule, slope in ((DOWN, math.log(0.5) * 16), (small, None), (nothing, None), (TIME, 1.0)):
        numbers, reading = jax.grad(value, argnums=(0, 1))(schedule, jnp.float32(-3.0))
        assert all(np.isfinite(x) for x in jax.tree.leaves((numbers, reading)))
        assert slope is None or abs(reading - slope) < 1e-5 * abs(slope)
    numbers = jax.grad(value)(DOWN, jnp.float32(-3.0))
    np.testing.assert_allclose([numbers.start, numbers.rate], [8.0, -3 * 2 * 0.5**-4], rtol=1e-5)
