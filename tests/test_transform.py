"""The transform does what optax does with a schedule, and its first state can be donated."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.serialization import from_bytes, to_bytes
from helpers import avals, bits

import lrsched as ls
from lrsched.dialects import optax as dialect
from lrsched.dialects.optax import as_stateful

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": (jnp.asarray([0.1, 0.2, -0.3]), jnp.float32(1.0))}
WARM = ls.warmup_cosine(0.1, 4, 12, end=0.01)
ADAM = optax.scale_by_adam()


def run(optimizer: Any, steps: int = 15, params: Any = PARAMS, **observed: Any) -> Any:
    """The updates of each step, and the last state."""
    update, state, history = jax.jit(optimizer.update), optimizer.init(params), []
    for t in range(steps):
        updates, state = update(jax.tree.map(lambda x, t=t: jnp.cos(x + t), params), state, params, **observed)
        params = optax.apply_updates(params, updates)
        history.append(updates)
    return history, state


def ours(*links: Any, schedule: Any = WARM) -> Any:
    return optax.chain(*links, ls.scale_by_learning_rate(schedule))


TWINS: dict[str, tuple[Any, Any]] = {
    "scale_by_schedule": (ours(), optax.scale_by_schedule(lambda t: -WARM(t))),
    "upwards": (ls.scale_by_learning_rate(WARM, flip_sign=False), optax.scale_by_learning_rate(WARM, flip_sign=False)),
    "sgd": (ours(), optax.sgd(WARM)),
    "adamw": (ours(ADAM, optax.add_decayed_weights(0.01)), optax.adamw(WARM, weight_decay=0.01)),
    "MultiSteps": (optax.MultiSteps(ours(ADAM), 3), optax.MultiSteps(optax.adam(WARM), 3)),
}


@pytest.mark.parametrize(("name", "type_"), [*((name, "float32") for name in TWINS), ("sgd", "bfloat16"), ("sgd", "float16")])
def test_updates_equal_those_of_optax(name, type_):
    params = jax.tree.map(lambda x: x.astype(type_), PARAMS)
    (mine, state), (theirs, _) = (run(optimizer, params=params) for optimizer in TWINS[name])
    assert [bits(x) for x in jax.tree.leaves(mine)] == [bits(x) for x in jax.tree.leaves(theirs)]
    assert ls.learning_rate(state).dtype == jnp.float32


def test_a_schedule_of_optax_is_followed_and_ours_are_ones_of_optax():
    theirs: Any = optax.warmup_cosine_decay_schedule(0.0, 0.1, 4, 12, 0.01)
    twins = run(ours(ADAM))[0], run(ours(ADAM, schedule=theirs))[0], run(optax.adam(theirs))[0]
    for others in twins[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8), twins[0], others)
    for make in (as_stateful, lambda f: f):
        _, state = run(optax.inject_hyperparams(optax.adamw)(make(theirs), b1=ls.Linear(0.8, 0.9, 10)), 4)
        np.testing.assert_allclose([ls.learning_rate(state), state.hyperparams["b1"]], [float(theirs(3)), 0.83], rtol=1e-6)


def test_an_immediate_plateau_scales_as_that_of_optax():
    numbers = {"factor": 0.5, "patience": 2, "rtol": 0.01, "atol": 0.05, "cooldown": 1, "accumulation_size": 2}
    s = dialect.reduce_on_plateau(**numbers)
    scale: Any = optax.scale
    stateful = optax.inject_hyperparams(scale)(as_stateful(s))
    ours: Any = (ls.scale_by_learning_rate(s, flip_sign=False), ls.scheduled(scale)(s), stateful)
    losses = 2 - np.log1p(np.arange(40, dtype=np.float32)) / 8

    def scales(transform: Any) -> Any:
        def update(state: Any, loss: Any) -> Any:
            updates, state = transform.update(jnp.float32(1), state, None, value=loss)
            return state, updates

        return jax.lax.scan(update, transform.init(jnp.float32(1)), losses)[1]

    theirs = scales(optax.contrib.reduce_on_plateau(**numbers))
    assert len(set(theirs.tolist())) > 3
    np.testing.assert_array_equal([ls.clocks.replay(s, losses), *map(scales, ours)], [theirs] * 4)


class Halved:
    """Of optax: half the rate after each loss that is no better, times a number that comes with the update."""

    def init(self):
        nothing = jnp.zeros(())
        return {"best": nothing + jnp.inf, "bad": jnp.int32(0), "twice": (nothing, nothing)}

    def update(self, state, *, value, **_):
        return {**state, "best": jnp.minimum(value, state["best"]), "bad": state["bad"] + (value >= state["best"])}

    def __call__(self, state, *, boost=1.0, **_):
        return 0.1 * 0.5 ** state["bad"] * boost


@pytest.mark.parametrize("theirs", [Halved(), optax.schedules.WrappedSchedule(optax.cosine_decay_schedule(0.1, 4))])  # pyright: ignore
def test_a_schedule_of_optax_with_a_state_is_followed(theirs):
    s, sgd = dialect.from_optax(theirs), optax.inject_hyperparams(optax.sgd)
    accumulated = ls.accumulate(optax.MultiSteps(ours(schedule=s), 1))
    metrics = [{"value": x, "boost": y} for x, y in zip([3.0, 2, 2, 2.5, 1, 1], [1.0, 2, 1, 3, 1, 1.5], strict=True)]

    def rates(optimizer: Any) -> Any:
        state, update, found = optimizer.init(PARAMS), jax.jit(optimizer.update), []
        for given in metrics:
            updates, state = update(PARAMS, from_bytes(state, to_bytes(state)), PARAMS, **given)
            found.append(updates["w"][0, 0])
        return found

    for optimizer in (ours(schedule=s), ls.scheduled(optax.sgd, live=True)(s), sgd(as_stateful(s)), accumulated):
        np.testing.assert_array_equal(rates(optimizer), rates(sgd(theirs)))
    state = ls.clocks.tick(s, ls.clocks.tick(s, ls.clocks.init(s), metrics[0]), metrics[0])
    assert ls.clocks.evaluate(s, state) == theirs(state.clocks[0].schedule)
    assert ls.resume(ls.describe(s), s) is s
    with pytest.raises(TypeError, match=r"\(steps=0\): expected no value without an update. Hint: give them to update"):
        ls.clocks.tick(s, state, steps=0, value=1.0)
    with pytest.raises(TypeError, match=r"scheduled\(sgd\)\(learning_rate=.*from_optax\(x\) translates"):
        ls.scheduled(optax.sgd)(theirs)


def test_the_state_of_optax_with_such_a_schedule_is_read_and_not_replaced():
    state = optax.inject_hyperparams(optax.sgd)(Halved()).init(PARAMS)  # pyright: ignore[reportArgumentType]
    assert ls.learning_rate(state) == np.float32(0.1)
    for ask in (ls.get_schedule, lambda x: ls.replace_schedule(x, 0.5), ls.next_learning_rate):
        with pytest.raises(ValueError, match=r"expected a live schedule of learning_rate|expected a schedule of this library"):
            ask(state)


# Each leaf of a first state is a buffer of its own, so that it can be donated

CLOCKS = {
    "steps": ls.Steps(),
    "plateau": ls.Plateau(window=3),
    "since best": ls.SinceBest("max"),
    "greedy": ls.Smoothed(ls.Greedy(), 3),
    "counter": ls.Counter("value"),
    "of optax": dialect.Stateful(Halved()),
    "since since": ls.Since(ls.Since(ls.Counter("value"))),
}
DRIVEN = {name: ls.Linear(0.1, 0.0, 10).on(clock) for name, clock in CLOCKS.items()}
# Equal numbers everywhere, and two clocks that begin alike.
ALIKE = ls.Constant(0.1, 10) >> ls.Linear(10.0, 10.0, 10) * ls.reduce_on_plateau() * ls.reduce_on_plateau()
KEY = jax.random.key(0)


def sharing(learning_rate: Any) -> Any:
    """A factory whose first state shares buffers, also with what is elsewhere, and holds a number of Python's type."""

    def init(params):
        return {"params": params, "key": KEY, "twice": [jnp.zeros(100)] * 2, "weak": jnp.asarray(0.0), "rate": learning_rate}

    def update(updates, state, _=None):
        return updates, {**state, "weak": jnp.asarray(1.0)}

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


MIXED = {"learning_rate": ALIKE, "b1": 0.9, "b2": 0.9, "weight_decay": 0.1 * ALIKE}
TRANSFORMS: dict[str, Any] = {
    **{name: ls.scale_by_learning_rate(s, live=True) for name, s in DRIVEN.items()},
    "alike": ls.scale_by_learning_rate(ALIKE),
    "live scheduled": ls.scheduled(optax.adamw, live=True)(**MIXED),
    "sharing": ls.scheduled(sharing)(ALIKE),
    "layerwise": ls.layerwise(ALIKE, 0.5, len, live=True),
    "accumulate": ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(ALIKE), 2)),
    "stateful": optax.inject_hyperparams(optax.sgd)(as_stateful(ALIKE, live=True)),
    "chain": optax.chain(ADAM, ls.scale_by_learning_rate(ALIKE), ls.scale_by_learning_rate(ALIKE, live=True)),
    "partition": optax.partition(dict.fromkeys("xy", ls.scale_by_learning_rate(ALIKE)), {"w": "x", "b": "y"}),
}


def assert_no_buffer_twice(tree: Any) -> None:
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]
    assert len(set(pointers)) == len(pointers), tree


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_first_state_of_a_transform_is_donated(name):
    optimizer = TRANSFORMS[name]
    assert_no_buffer_twice(jax.jit(optimizer.init)(PARAMS))
    assert_no_buffer_twice(optimizer.init(PARAMS))
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, PARAMS, value=1.0)[1], donate_argnums=0)
    first, state = optimizer.init(PARAMS), update(update(optimizer.init(PARAMS)))
    assert avals(first) == avals(state)  # or the next update would be compiled again
    assert not any(x.is_deleted() for x in jax.tree.leaves((PARAMS, KEY)))
    assert all(np.all(np.isfinite(rate)) for rate in ls.learning_rates(state).values())


def test_the_arguments_are_not_donated_with_the_state():
    """A state is made of copies: the numbers of the schedule, and the count to start from, outlive it."""
    count, peak = jnp.int32(5), jnp.float32(0.5)
    s = ls.Linear(peak, 0.0, 10) * ls.reduce_on_plateau()
    optimizer = ls.scale_by_learning_rate(s, live=True, start=count)
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, value=1.0)[1], donate_argnums=0)
    state = update(ls.replace_schedule(optimizer.init(PARAMS), s))
    np.testing.assert_allclose([ls.learning_rate(state), peak, count], [0.25, 0.5, 5])
