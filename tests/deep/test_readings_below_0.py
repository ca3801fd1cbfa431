"""A clock whose reading goes up and down: the values of every shape and operator at times below 0."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from meaning import RAMPS, value
from signatures import FEW, pure

import lrsched as ls
from lrsched.algebra.node import node
from lrsched.training.live import packed

DOWN, TIME, RAMP = ls.Exponential(2.0, 0.5), ls.Time(), ls.Linear(1.0, 0.0, 2)


@node
class UpAndDown(ls.Clock):
    """Reads its state."""

    def init(self):
        return jnp.zeros(())

    def read(self, state):
        return state


SCHEDULES = [
    *{pure(call.make()): None for call in FEW if call.name != "Function"},  # its example is singular there
    *(kind(4.0, 1.0, 2, *way.examples[0]) for kind, way in RAMPS.items()),
    TIME.take(2),
    RAMP.drop(1),
    TIME.stretch(2).drop(3),
    DOWN.drop(2).stretch(2),
    DOWN.delay(0),
    TIME.take(1) >> DOWN,
    TIME.take(0) >> DOWN,
    ls.join([TIME, *map(ls.Constant, range(39))], range(1, 40)),
]
MANY = len(SCHEDULES) - 1  # the last one is slow to compile where it is live
READINGS = np.array([-6, -2.5, -2, -1, -0.5, 0, 0.5, 1, 1.5, 5.5, 12, 41])


def truth(schedule, readings):
    return [float(value(schedule, Fraction(t))) for t in readings.tolist()]


def at(schedule, readings):
    s = schedule.on(UpAndDown())
    return jax.vmap(lambda reading: ls.clocks.evaluate(s, ls.clocks.init(s)._replace(clocks=(reading,))))(readings)


@jax.jit
def read(schedules, readings):
    return jax.tree.map(lambda s: at(s, readings), schedules, is_leaf=lambda x: isinstance(x, ls.Schedule))


def test_a_reading_below_0():
    single, whole = READINGS.astype(np.float32), READINGS[READINGS % 1 == 0].astype(np.int32)
    known = jax.jit(lambda readings: [at(schedule, readings) for schedule in SCHEDULES])
    live = read([packed(s) for s in SCHEDULES[:MANY]], single)
    for readings, found in ((READINGS, live), (READINGS, known(single)), (whole, known(whole))):
        for schedule, values in zip(SCHEDULES, found, strict=False):
            np.testing.assert_allclose(values, truth(schedule, readings), rtol=2e-6, atol=1e-6, err_msg=repr(schedule))
    for schedule in SCHEDULES:
        s = schedule.on(UpAndDown())
        eager = [ls.clocks.evaluate(s, ls.clocks.init(s)._replace(clocks=(reading,))) for reading in READINGS]
        np.testing.assert_allclose(eager, truth(schedule, READINGS), rtol=1e-6, atol=1e-7, err_msg=repr(schedule))
        np.testing.assert_array_equal(schedule(READINGS), schedule(np.maximum(READINGS, 0)))  # steps below 0 count as 0


def test_a_power_of_0_below_0_is_the_largest_number():
    readings = np.asarray([-2.0, 0.0, 1.0], np.float32)
    largest = np.finfo(np.float32).max
    for start, first in ((1.0, largest), (-1e-3, -largest), (0.0, 0.0)):
        np.testing.assert_array_equal(read(ls.Exponential(start, 0.0), readings), [first, np.float32(start), 0.0])
