"""Schedules in the state of an optimizer: read, replaced and observed in a running, compiled job."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import x64

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.dialects import torch
from lrsched.training.live import packed

GRADS = {"w": jnp.ones(3)}
WSD = ls.wsd(0.1, 10, 1000, 100)


def running(optimizer):
    """One compiled update, that may be traced once."""

    @jax.jit
    @chex.assert_max_traces(1)
    def update(state, **observations):
        updates, state = optimizer.update(GRADS, state, GRADS, **observations)
        return -updates["w"][0], state

    chex.clear_trace_counter()
    return update


def live(s) -> Any:
    return ls.scale_by_learning_rate(s, live=True)


def after(update, state, steps):
    value = jnp.nan
    for _ in range(steps):
        value, state = update(state)
    return float(value), state


@pytest.mark.parametrize(
    "s", [WSD, ls.one_cycle(0.1, 1001), ls.Piecewise([3, 7.5], [0.1, 0.2], "linear").repeat(), ls.step_decay(1.0, 100 / 3, 0.5)]
)
def test_a_live_schedule_has_the_values_of_the_schedule(s):
    update, state = running(live(s)), live(s).init(GRADS)
    for t in range(60):
        value, state = update(state)
        np.testing.assert_allclose(value, s(t), rtol=2e-6, atol=1e-9)
    assert ls.schedule(state) == s or "33." in str(s)


@pytest.mark.parametrize(
    "s",
    [
        torch.MultiStepLR(0.1, [30, 55]),
        torch.CosineAnnealingWarmRestarts(0.1, 10, 2),
        torch.CyclicLR(0.01, 0.1, 20, mode="triangular2"),
        torch.OneCycleLR(0.1, 50, three_phase=True),
        torch.SequentialLR([torch.LinearLR(0.1, 0.5, 0.8, 5), torch.ExponentialLR(0.1, 0.9)], [5]),
        torch.ChainedScheduler([torch.LinearLR(0.1, 0.5, 0.8, 5), torch.ExponentialLR(0.1, 0.9)]),
    ],
)
def test_a_dialect_is_live_like_the_algebra(s):
    update, state = running(live(s)), live(s).init(GRADS)
    assert ls.schedule(state) == s
    for t in range(60):
        value, state = update(state)
        np.testing.assert_allclose(value, s(t), rtol=2e-6, atol=1e-8)


def test_the_horizon_is_extended_the_rate_halved_and_a_cool_down_branched():
    optimizer = live(WSD)
    update, state = running(optimizer), optimizer.init(GRADS)
    value, state = after(update, state, 50)
    assert value == np.float32(0.1)

    longer = ls.replace_schedule(state, ls.wsd(0.1, 10, 5000, 100))
    halved = ls.replace_schedule(state, ls.wsd(0.05, 10, 1000, 100))
    branched = ls.replace_schedule(state, ls.wsd(0.1, 10, 150, 100))  # cools down from step 50 on
    for changed, expected in ((longer, 0.1), (halved, 0.05), (branched, 0.1 * 0.75), (state, 0.1)):
        value, _ = after(update, changed, 26)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    value, _ = after(update, branched, 101)
    assert value == 0.0
    assert ls.schedule(longer) == ls.wsd(0.1, 10, 5000, 100)
    assert ls.schedule(state) == WSD  # nothing is changed in place


@pytest.mark.parametrize("length", [2**31 - 1, 2**30 + 0.5, 33.4])
def test_lengths_stay_exact_and_compile_nothing(length):
    """Boundaries, whole and fractional, after whole ones, in every place that a length has."""

    def parts(n):
        return ls.Constant(1.0, n) >> ls.Constant(2.0)

    def shifted(n):
        return (ls.Constant(1.0, n) >> ls.Constant(2.0)).delay(n / 2).take(n * 2).drop(n / 4)

    for make, at in ((parts, 1), (shifted, 1.25)):
        optimizer = live(make(10))
        update, state = running(optimizer), optimizer.init(GRADS)
        _, state = after(update, state, 3)
        state = ls.replace_schedule(state, make(length))
        boundary = int(np.ceil(length * at))
        for step, expected in ((boundary - 1, 1.0), (boundary, 2.0)):
            if step < 2**31 - 1:
                value, _ = update(state._replace(step=jnp.int32(step)))
                assert value == expected, (make.__name__, step)


def test_a_stretched_length_stays_exact():
    s = (ls.Constant(1.0, 100_003) >> ls.Constant(2.0)).stretch(1563.0)
    optimizer = live((ls.Constant(1.0, 10) >> ls.Constant(2.0)).stretch(2.0))
    update, state = running(optimizer), ls.replace_schedule(optimizer.init(GRADS), s)
    for step, expected in ((100_003 * 1563 - 1, 1.0), (100_003 * 1563, 2.0)):
        assert update(state._replace(step=jnp.int32(step)))[0] == expected


@pytest.mark.parametrize(("length", "stretch"), [(2**24 + 1, 1.5), (107_374_182, 2), (200_000_003, 0.5)])
def test_growing_cycles_stay_exact(length, stretch):
    s = ls.Linear(0.0, 1.0, length).repeat(None if stretch > 1 else 8, stretch=stretch)
    optimizer = live(ls.Linear(0.0, 1.0, 10).repeat(None if stretch > 1 else 2, stretch=1.1))
    update, state = running(optimizer), ls.replace_schedule(optimizer.init(GRADS), s)
    boundaries = [length * sum(stretch**k for k in range(n)) for n in range(1, 9 if stretch > 1 else 8)]
    steps = [int(np.ceil(boundary)) + i for boundary in boundaries for i in (-1, 0)]
    for step in [step for step in steps if step < 2**31]:
        value, _ = update(state._replace(step=jnp.int32(step)))
        np.testing.assert_allclose(value, s(step), rtol=1e-6, atol=1e-7, err_msg=str(step))


@pytest.mark.parametrize(
    ("make", "boundary"),
    [
        (lambda n: torch.StepLR(1.0, n, 0.5), 2),
        (lambda n: torch.SequentialLR([torch.ConstantLR(1.0, 0.5, 2 * n), torch.StepLR(1.0, n, 0.25)], [n]), 2),
        (lambda n: torch.MultiStepLR(1.0, [n, 2 * n], 0.5), 2),
        (lambda n: torch.OneCycleLR(1.0, epochs=2, steps_per_epoch=n, anneal_strategy="linear"), 2),
        (lambda n: ls.step_decay(1.0, n, 0.5), 2),
    ],
)
def test_lengths_of_other_names_stay_exact(make, boundary):
    n = 1_000_000_007
    optimizer = live(make(10))
    update, state = running(optimizer), ls.replace_schedule(optimizer.init(GRADS), make(n))
    for step in (boundary * n - 2, boundary * n - 1, boundary * n):
        value, _ = update(state._replace(step=jnp.int32(step)))
        np.testing.assert_allclose(value, make(n)(step), rtol=1e-6, err_msg=str(step))


def test_what_is_given_comes_back():
    for s in (
        ls.Linear(0.0, 1e-3, 500) >> ls.Cosine(1e-3, 1e-5, 9_500),
        ls.Constant(0.1),
        ls.Linear(1.0, 0.0, 10).repeat(5, stretch=1.5, scale=0.3).stretch(3).staircase(2),
        ls.Choice((ls.Constant(1.0), ls.Piecewise([1, 2.5], [0.1, 0.2], "cosine")), 1),
        0.1 * ls.reduce_on_plateau(patience=3, cooldown=2, window=4) / (1 + ls.Time()),
        ls.Linear(1.0, 0.0, 10).on(ls.Since(ls.Plateau(patience=2))),
        ls.Cosine(1e-3, 0.0, 15e12).on(ls.Counter("tokens")),
    ):
        assert ls.schedule(live(s).init(GRADS)) == s


def test_with_x64():
    with x64():
        optimizer = live(ls.Linear(1.0, 0.0, 2**40 + 0.1))
        state = optimizer.init(GRADS)
        assert ls.schedule(state) == ls.Linear(1.0, 0.0, 2**40 + 0.1)
        _, state = jax.jit(optimizer.update)(GRADS, state, GRADS)
        assert ls.learning_rate(state).dtype == np.float64


def test_clocks_tick_between_updates():
    s = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=1)
    optimizer: Any = optax.chain(optax.clip(10.0), live(s))
    update, state = running(optimizer), optimizer.init(GRADS)
    observe = jax.jit(lambda state, loss: ls.observe(state, value=loss))
    rates = []
    for epoch in range(8):
        rate, state = after(lambda state: update(state, value=None), state, 3)
        rates.append(rate)
        state = observe(state, 1.0) if epoch % 2 else ls.observe(state, value=1.0)
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125], rtol=1e-6)
    kept = ls.observe(state, value=None)
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, state))


def test_a_schedule_that_is_not_live_is_given():
    s = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=0)
    optimizer = ls.scale_by_learning_rate(s)
    state = optimizer.init(GRADS)
    with pytest.raises(
        ValueError, match=r"expected the schedule of the state at .*, got none. Hint: make the transform with live=True"
    ):
        ls.observe(state, value=1.0)
    for other in (ls.Linear(1.0, 0.0, 10).on(ls.Counter("value")), s * s, ls.Constant(0.1)):
        with pytest.raises(ValueError, match="expected the state of"):
            ls.observe(state, other, value=1.0)
    for _ in range(3):
        state = ls.observe(state, s, value=1.0)
    _, state = optimizer.update(GRADS, state, value=None)
    np.testing.assert_allclose(ls.learning_rate(state), 0.025)


def test_every_hyperparameter_is_live():
    rate, momentum = ls.one_cycle(0.1, 100), ls.one_cycle_momentum(100)
    optimizer = ls.scheduled(optax.sgd, live=True)(rate, momentum=momentum)
    state, update = optimizer.init(GRADS), running(optimizer)
    _, state = update(state)
    assert (ls.schedule(state), ls.schedule(state, "momentum")) == (rate, momentum)
    state = ls.replace_schedule(state, ls.one_cycle_momentum(200), "momentum")
    _, state = update(state)
    np.testing.assert_allclose(ls.hyperparameters(state)["momentum"], ls.one_cycle_momentum(200)(1), rtol=1e-6)
    np.testing.assert_allclose(ls.hyperparameters(state)["learning_rate"], rate(1), rtol=1e-6)
    with pytest.raises(
        ValueError, match="live schedule of weight_decay in this state, got only those of learning_rate, momentum"
    ):
        ls.schedule(state, "weight_decay")


def test_a_sweep_starts_from_one_optimizer():
    optimizer = live(ls.warmup_cosine(0.1, 10, 100))
    sweep, points = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=[0, 20], steps=100)
    state = jax.vmap(optimizer.init)({"w": jnp.ones((4, 3))})
    state = ls.replace_schedule(state, sweep)
    assert ls.schedule(state).batch_shape == (4,)
    update = jax.jit(jax.vmap(optimizer.update))
    grads = {"w": jnp.ones((4, 3))}
    for _ in range(15):
        _, state = update(grads, state)
    expected = [ls.warmup_cosine(p, w, 100)(14) for p, w in zip(points["peak"], points["warmup_steps"], strict=True)]
    np.testing.assert_allclose(ls.learning_rate(state), expected, rtol=1e-6)


def test_another_structure_is_refused():
    state = live(WSD).init(GRADS)
    for other in (ls.Cosine(0.1, 0.0, 100), WSD * 2, 0.1, ls.stack([WSD, WSD])):
        with pytest.raises(
            ValueError,
            match=r"of the structure of the one in the state, got another:\n    state  Linear(.|\n)*only numbers can change",
        ):
            ls.replace_schedule(state, other)
    with pytest.raises(TypeError, match=r"\(new='fast'\): expected a schedule, a number or a function"):
        ls.replace_schedule(state, "fast")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"expected a live schedule of learning_rate in this state, got none. Hint: make the"):
        ls.replace_schedule(ls.scale_by_learning_rate(WSD).init(GRADS), WSD)
    constant = ls.replace_schedule(live(0.1).init(GRADS), 0.2)
    assert ls.schedule(constant) == ls.Constant(0.2)


def test_what_nobody_monitors_is_refused():
    state = live(0.1 * ls.reduce_on_plateau()).init(GRADS)
    with pytest.raises(TypeError, match=r"no clock in this state monitors 'loss' \(monitored: 'value'\)"):
        ls.observe(state, value=1.0, loss=1.0)
    with pytest.raises(TypeError, match=r"expected a scalar, got shape \(2,\)"):
        ls.observe(state, value=jnp.ones(2))
    with pytest.raises(TypeError, match=r"monitors 'value' \(monitored: nothing, as its schedules have no clocks"):
        ls.observe(live(WSD).init(GRADS), value=1.0)
    with pytest.raises(ValueError, match="expected a schedule in this state, got none"):
        ls.observe(optax.adam(0.1).init(GRADS), value=1.0)
    batch = jax.vmap(live(0.1 * ls.reduce_on_plateau()).init)({"w": jnp.ones((2, 3))})
    with pytest.raises(ValueError, match=r"got a batch of them. Hint: map it with jax\.vmap"):
        ls.observe(batch, value=1.0)
    jax.vmap(lambda state, loss: ls.observe(state, value=loss))(batch, jnp.ones(2))


def test_nan_in_a_compiled_job_is_bad_and_harmless():
    optimizer = live(0.1 * ls.reduce_on_plateau(factor=0.5, patience=1))
    update, state = running(optimizer), optimizer.init(GRADS)
    for loss in (1.0, np.nan, np.inf, np.nan):
        _, state = update(state, value=jnp.float32(loss))
    value, state = after(jax.jit(lambda state: (-optimizer.update(GRADS, state, value=None)[0]["w"][0], state)), state, 1)
    np.testing.assert_allclose(value, 0.05)


def test_groups_are_told_apart_and_observe_together():
    plateau = ls.reduce_on_plateau(factor=0.5, patience=0)
    optimizer: Any = optax.partition({"a": live(0.1 * plateau), "b": live(1.0 * plateau)}, {"x": "a", "y": "b"})
    state = optimizer.init({"x": jnp.ones(1), "y": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"expected one live schedule, got 2, at .*say which with at="):
        ls.schedule(state)
    assert ls.schedule(state, at="b") == 1.0 * plateau
    state = ls.replace_schedule(state, 2.0 * plateau, at="b")
    for _ in range(2):
        state = ls.observe(state, value=1.0)
    updates, _ = optimizer.update({"x": jnp.ones(1), "y": jnp.ones(1)}, state, value=None)
    np.testing.assert_allclose([updates["x"][0], updates["y"][0]], [-0.05, -1.0])


def test_a_schedule_can_be_replaced_inside_jit():
    optimizer = live(ls.Linear(0.1, 0.0, 100))

    @jax.jit
    def update(state, peak):
        state = ls.replace_schedule(state, ls.Linear(peak, 0.0, 100))
        return optimizer.update(GRADS, state)[1]

    np.testing.assert_allclose(ls.learning_rate(update(optimizer.init(GRADS), 0.5)), 0.5)


@ls.node
class Halving(ls.Clock):
    """A clock as a user writes one: with numbers of both kinds, in plain `jax.numpy`."""

    every: float = ls.leaf(gt=0, unit="steps", default=2)
    most: float = ls.leaf(default=3.5)

    def init(self) -> Any:
        return jnp.zeros((), jnp.int32)

    def tick(self, state: Any, steps: Any, observations: Any) -> Any:
        del observations
        return state + jnp.asarray(steps, jnp.int32)

    def read(self, state: Any) -> Any:
        return jnp.minimum(jnp.floor(state.astype(jnp.float32) / self.every), self.most)

    def report(self, state: Any) -> Any:
        return {"halvings": self.read(state), "most": self.most}


@pytest.mark.parametrize("make", [lambda s: s.reverse(), lambda s: s.repeat(), lambda s: 1 / s.clip(0.1, s), lambda s: s >> s])
def test_live_schedules_compose_outside_jit(make):
    s = ls.Linear(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.5, 20)
    np.testing.assert_allclose(make(packed(s))(np.arange(60)), make(s)(np.arange(60)), atol=1e-6)


@pytest.mark.parametrize("make", [lambda s: s, lambda s: s.delay(5), lambda s: s.drop(5), lambda s: s.stretch(2)])
def test_an_endless_live_schedule_is_endless_inside_jit(make):
    s = ls.Linear(0.0, 1.0, 10) >> ls.Constant(1.0)
    length = jax.jit(lambda s: numerics.to_float(make(s).length))(packed(s))
    assert np.isinf(length)


@pytest.mark.parametrize("live", [False, True])
def test_a_clock_of_a_user_computes_with_floats(live):
    s = ls.Exponential(1.0, 0.5).on(Halving())
    optimizer = ls.scale_by_learning_rate(s, live=live)
    state, update = optimizer.init({"w": jnp.ones(2)}), jax.jit(optimizer.update)
    used = []
    for _ in range(9):
        _, state = update({"w": jnp.ones(2)}, state)
        used.append(float(ls.learning_rate(state)))
    np.testing.assert_allclose(used, [0.5 ** min(k // 2, 3.5) for k in range(9)], rtol=1e-6)
    assert float(ls.readings(state, s)["halvings"]) == 3.5
    assert float(ls.next_learning_rate(state, s)) == pytest.approx(0.5**3.5)


@pytest.mark.parametrize("n", [1.5 - 1e-9, 1.5, 2.5, 2.5 + 1e-9])
def test_a_live_number_of_cycles_is_rounded_as_a_known_one(n):
    s, steps = ls.Linear(1.0, 0.0, 10).repeat(n), np.arange(0, 40, 5)
    np.testing.assert_allclose(jax.jit(lambda s: s(steps))(packed(s)), s(steps), atol=1e-6)
