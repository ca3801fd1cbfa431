"""The transform does what optax does with a schedule, and its first state can be donated."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import bits

import lrsched as ls
from lrsched.dialects import optax as dialect

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": (jnp.asarray([0.1, 0.2, -0.3]), jnp.float32(1.0))}
WARM = ls.warmup_cosine(0.1, 4, 12, end=0.01)
ADAM, CLIP = optax.scale_by_adam(), optax.clip(0.1)


def run(optimizer: Any, steps: int = 15, params: Any = PARAMS, **observed: Any) -> Any:
    """The updates of each step, and the last state."""
    update, state, history = jax.jit(optimizer.update), optimizer.init(params), []
    for t in range(steps):
        updates, state = update(jax.tree.map(lambda x, t=t: jnp.cos(x + t), params), state, params, **observed)
        params = optax.apply_updates(params, updates)
        history.append(updates)
    return history, state


def assert_equal_bits(ours: Any, theirs: Any) -> None:
    assert [bits(x) for x in jax.tree.leaves(ours)] == [bits(x) for x in jax.tree.leaves(theirs)]


def ours(*links: Any, schedule: Any = WARM) -> Any:
    return optax.chain(*links, ls.scale_by_learning_rate(schedule))


TWINS: dict[str, tuple[Any, Any]] = {
    "scale_by_schedule": (ours(), optax.scale_by_schedule(lambda t: -WARM(t))),
    "upwards": (ls.scale_by_learning_rate(WARM, flip_sign=False), optax.scale_by_learning_rate(WARM, flip_sign=False)),
    "sgd": (ours(), optax.sgd(WARM)),
    "adamw": (ours(ADAM, optax.add_decayed_weights(0.01)), optax.adamw(WARM, weight_decay=0.01)),
    "MultiSteps": (optax.MultiSteps(ours(ADAM), 3), optax.MultiSteps(optax.adam(WARM), 3)),
    "a number": (ls.scale_by_learning_rate(0.03), optax.sgd(0.03)),
}


@pytest.mark.parametrize("name", TWINS)
def test_updates_equal_those_of_optax(name):
    mine, twin = TWINS[name]
    assert_equal_bits(run(mine)[0], run(twin)[0])


def test_a_schedule_of_optax_is_followed_and_ours_are_ones_of_optax():
    theirs: Any = optax.warmup_cosine_decay_schedule(0.0, 0.1, 4, 12, 0.01)
    twins = run(ours(ADAM))[0], run(ours(ADAM, schedule=theirs))[0], run(optax.adam(theirs))[0]
    for others in twins[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8), twins[0], others)
    for make in (ls.as_stateful, lambda f: f):
        _, state = run(optax.inject_hyperparams(optax.adamw)(make(theirs), b1=ls.Linear(0.8, 0.9, 10)), 4)
        np.testing.assert_allclose([ls.learning_rate(state), state.hyperparams["b1"]], [float(theirs(3)), 0.83], rtol=1e-6)


@pytest.mark.parametrize("type_", ["bfloat16", "float16"])
def test_updates_keep_their_own_type(type_):
    params = jax.tree.map(lambda x: x.astype(type_), PARAMS)
    mine, state = run(ours(), 6, params)
    assert_equal_bits(mine, run(optax.sgd(WARM), 6, params)[0])
    assert ls.learning_rate(state).dtype == jnp.float32


def test_numbers_are_lifted():
    for number in (0.5, np.float64(0.5), jnp.float32(0.5), nnx.Variable(jnp.float32(0.5))):
        assert ls.learning_rate(ls.scale_by_learning_rate(number).init(PARAMS)) == 0.5
    rates = jax.vmap(lambda x: ls.learning_rate(ls.scale_by_learning_rate(x).init({})))(jnp.asarray([0.1, 0.2]))
    np.testing.assert_allclose(rates, [0.1, 0.2])
    some: Any = {"a": jnp.ones(2), "b": None}  # what is not there is not updated
    updates, _ = ls.scale_by_learning_rate(2.0).update(some, ls.scale_by_learning_rate(2.0).init(some))
    assert jax.tree.map(lambda x: x.tolist(), updates) == {"a": [-2, -2], "b": None}


def test_each_metric_reaches_its_own_clock_through_a_chain():
    other = ls.reduce_on_plateau(0.1, patience=0, monitor="score", mode="max")
    s = WARM * ls.reduce_on_plateau(0.5, patience=1) * other
    optimizer = optax.chain(CLIP, ours(ADAM, schedule=s))
    _, state = run(optimizer, 10, value=jnp.float32(1.0), score=None)
    np.testing.assert_allclose(ls.learning_rate(state), WARM(9) * 0.5**4, rtol=1e-6)
    first = optimizer.init(PARAMS)
    assert jax.tree.structure(first) == jax.tree.structure(state)
    signature = [[(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)] for tree in (first, state)]
    assert signature[0] == signature[1]
    _, state = run(optax.MultiSteps(ls.scale_by_learning_rate(other), 2), 6, score=jnp.float32(1.0))
    np.testing.assert_allclose(ls.learning_rate(state), 0.1)  # alone it observes one small batch of each update


def test_a_traced_schedule_trains():
    @jax.jit
    def train(s):
        optimizer = ours(ADAM, schedule=s)

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.tree.map(jnp.cos, params), state, params)
            return (optax.apply_updates(params, updates), state), ls.learning_rate(state)

        return jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), length=15)[1]

    np.testing.assert_allclose(jax.vmap(train)(ls.stack([WARM, WARM * 2]))[1], 2 * WARM(np.arange(15)), rtol=1e-6, atol=1e-9)


def test_what_cannot_be_a_rate_is_refused():
    wrongs: Any = ("0.1", None, [0.1, "a"], object())
    for wrong in wrongs:
        with pytest.raises(TypeError):
            ls.scale_by_learning_rate(wrong)
    for batch in (ls.stack([WARM, WARM]), np.array([0.1, 0.2])):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            ls.scale_by_learning_rate(batch)
    with pytest.raises(ValueError, match=r"=nan\): expected a finite number"):
        ls.scale_by_learning_rate(float("nan"))


def test_an_immediate_plateau_scales_as_that_of_optax():
    numbers = {"factor": 0.5, "patience": 2, "rtol": 0.01, "atol": 0.05, "cooldown": 1, "accumulation_size": 2}
    s = dialect.reduce_on_plateau(**numbers)
    scale: Any = optax.scale
    stateful = optax.inject_hyperparams(scale)(ls.as_stateful(s))
    ours: Any = (ls.scale_by_learning_rate(s, flip_sign=False), ls.scheduled(scale)(s), stateful)
    losses = 2 - np.log1p(np.arange(40, dtype=np.float32)) / 8

    def scales(transform: Any) -> Any:
        def update(state: Any, loss: Any) -> Any:
            updates, state = transform.update(jnp.float32(1), state, None, value=loss)
            return state, updates

        return jax.lax.scan(update, transform.init(jnp.float32(1)), losses)[1]

    theirs = scales(optax.contrib.reduce_on_plateau(**numbers))
    assert len(set(theirs.tolist())) > 3
    np.testing.assert_array_equal([ls.replay(s, losses), *map(scales, ours)], [theirs] * 4)


# Each leaf of a first state is a buffer of its own, so that it can be donated

CLOCKS = {
    "steps": ls.Steps(),
    "plateau": ls.Plateau(window=3),
    "since best": ls.SinceBest("max"),
    "greedy": ls.Smoothed(ls.Greedy(), 3),
    "counter": ls.Counter("value"),
    "since since": ls.Since(ls.Since(ls.Counter("value"))),
}
DRIVEN = {name: ls.Linear(0.1, 0.0, 10).on(clock) for name, clock in CLOCKS.items()}
# Equal numbers everywhere, and two clocks that begin alike.
ALIKE = ls.Constant(0.1, 10) >> ls.Linear(10.0, 10.0, 10) * ls.reduce_on_plateau() * ls.reduce_on_plateau()
MIXED = {"learning_rate": ALIKE, "b1": 0.9, "b2": 0.9, "weight_decay": 0.1 * ALIKE}
TRANSFORMS: dict[str, Any] = {
    **{name: ls.scale_by_learning_rate(s, live=True) for name, s in DRIVEN.items()},
    "alike": ls.scale_by_learning_rate(ALIKE),
    "started": ls.scale_by_learning_rate(ALIKE, start=7),
    "live scheduled": ls.scheduled(optax.adamw, live=True)(**MIXED),
    "layerwise": ls.layerwise(ALIKE, 0.5, len, live=True),
    "accumulate": ls.accumulate(optax.MultiSteps(ls.scale_by_learning_rate(ALIKE), 2)),
    "stateful": optax.inject_hyperparams(optax.sgd)(ls.as_stateful(ALIKE, live=True)),
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
    state = update(update(optimizer.init(PARAMS)))
    assert all(np.all(np.isfinite(rate)) for rate in ls.learning_rates(state).values())


@pytest.mark.parametrize("name", DRIVEN)
def test_a_first_state_of_clocks_is_donated(name):
    s = DRIVEN[name]
    first = ls.init(s)
    for state in (CLOCKS[name].init(), first, ls.init(s, step=5), ls.tick(s, first, value=1.0), ls.tick(s, first, steps=0)):
        assert_no_buffer_twice(state)
    tick = jax.jit(lambda state: ls.tick(s, state, value=1.0), donate_argnums=0)
    assert int(tick(tick(first)).step) == 2


def test_what_was_given_is_not_donated_with_the_state():
    """A state is made of copies: the numbers of the schedule, and the count to start from, outlive it."""
    count, peak = jnp.int32(5), jnp.float32(0.5)
    s = ls.Linear(peak, 0.0, 10) * ls.reduce_on_plateau()
    optimizer = ls.scale_by_learning_rate(s, live=True, start=count)
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, value=1.0)[1], donate_argnums=0)
    state = update(ls.replace_schedule(optimizer.init(PARAMS), s))
    np.testing.assert_allclose([ls.learning_rate(state), peak, count], [0.25, 0.5, 5])


def test_containers_of_equinox_and_flax_are_donated():
    @eqx.filter_jit(donate="all")
    def step(params, state):
        updates, state = TRANSFORMS["live scheduled"].update(params, state, params, value=1.0)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.copy, PARAMS)
    step(*step(params, TRANSFORMS["live scheduled"].init(params)))

    @nnx.jit(donate_argnums=(0, 1))
    def nnx_step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda model: jnp.sum(model(jnp.ones((1, 3)))))(model), value=1.0)

    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, ls.scale_by_learning_rate(ALIKE, live=True), wrt=nnx.Param)
    for _ in range(2):
        nnx_step(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), 0.1)
