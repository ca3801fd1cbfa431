"""Schedules in the state of an optimizer: read, replaced and observed in a running, compiled job."""

import contextlib
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import live, refused, relaxed, x64
from hypothesis import given
from nested import schedules
from signatures import FEW, pure
from test_operators import edge

import lrsched as ls
from lrsched.algebra import numerics
from lrsched.dialects import torch
from lrsched.training.live import packed

GRADS = {"w": jnp.ones(3)}
WSD = ls.wsd(0.1, 10, 1000, 100)
HALVE = 0.1 * ls.reduce_on_plateau(factor=0.5, patience=1)
LENGTHS: Any = [
    (edge, [2**31 - 2, 2**30 + 0.5, 33.4], [1]),
    (lambda n: edge(n).delay(n / 2).take(n * 2).drop(n / 4), [2**30 + 0.5, 33.4], [1.25]),
    (lambda n: edge(n).stretch(1563.0), [100_003], [1563]),
    (lambda n: torch.OneCycleLR(1.0, epochs=2, steps_per_epoch=n, anneal_strategy="linear"), [10**9 + 7], [2]),
    (lambda n: ls.step_decay(1.0, n, 0.5), [1_000_000_007], [1, 2]),
    (lambda n: ls.wsd(0.1, 4, n, 5), [5000, 150, 1_000_000_007], [0.5, 1]),
]


class Job:
    """A compiled update, which may be traced once, and its state."""

    def __init__(self, optimizer, **observations):
        @jax.jit
        @chex.assert_max_traces(1)
        def update(state, observations):
            updates, state = optimizer.update(GRADS, state, GRADS, **observations)
            return -updates["w"][0], state

        chex.clear_trace_counter()
        self.update, self.state, self.observations = update, optimizer.init(GRADS), observations

    def run(self):
        value, self.state = self.update(self.state, self.observations)
        return float(value)

    def at(self, step):
        return self.update(self.state._replace(step=jnp.int32(step)), self.observations)[0]


def test_a_live_schedule_has_the_values_of_the_schedule():
    steps, chain = np.arange(60), torch.ChainedScheduler([torch.LinearLR(0.1, 0.5, 0.8, 5), torch.ExponentialLR(0.1, 0.9)])
    for s in (*(pure(call.make()) for call in FEW), torch.CyclicLR(0.01, 0.1, 20, mode="triangular2"), chain):
        np.testing.assert_allclose(packed(s)(steps), s(steps), rtol=2e-6, atol=1e-6, err_msg=repr(s))


@pytest.mark.parametrize(("make", "lengths", "boundaries"), LENGTHS)
def test_lengths_stay_exact_and_compile_nothing(make, lengths, boundaries):
    job = Job(live(make(10)))
    for n in lengths:
        job.state = ls.replace_schedule(job.state, make(n))
        for step in (int(np.ceil(n * times)) + i for times in boundaries for i in (-2, -1, 0)):
            np.testing.assert_allclose(job.at(step), make(n)(step), rtol=1e-6, atol=1e-7, err_msg=str(step))


@given(schedules)
def test_the_schedule_of_a_state_is_the_one_given(s):
    since, tokens = ls.Since(ls.Plateau(patience=2, window=4)), ls.Counter("tokens")
    driven = s * ls.Linear(1.0, 0.0, 10).on(since) + ls.Cosine(1.0, 0.0, 15e12).on(tokens)
    for precision in (contextlib.nullcontext, x64):
        with precision():
            assert ls.get_schedule(live(driven).init(GRADS)) == driven


def test_every_hyperparameter_is_live():
    rate, momentum, other = ls.one_cycle(0.1, 100), ls.one_cycle(0.8, 100, 0.3, 0.8, 1.0), ls.one_cycle(0.8, 200, 0.3, 0.8, 1.0)
    job = Job(ls.scheduled(optax.sgd, live=True)(rate, momentum=momentum))
    job.run()
    assert (ls.get_schedule(job.state), ls.get_schedule(job.state, "momentum")) == (rate, momentum)
    written = job.state._replace(hyperparams={**job.state.hyperparams, "momentum": jnp.float32(0.5)})
    job.state = ls.replace_schedule(written, other, "momentum")  # in place of the number, too
    job.run()
    found = ls.hyperparameters(job.state)
    np.testing.assert_allclose([found["momentum"], found["learning_rate"]], [other(1), rate(1)], rtol=1e-6)


def test_a_sweep_starts_from_one_optimizer_and_a_batch_is_observed_under_vmap():
    optimizer, grads = live(ls.warmup_cosine(0.1, 10, 100)), {"w": jnp.ones((4, 3))}
    sweep, _ = ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=[0, 20], steps=100)
    state = ls.replace_schedule(jax.vmap(optimizer.init)(grads), sweep)
    assert ls.get_schedule(state) == sweep
    update = jax.jit(jax.vmap(optimizer.update))
    for _ in range(15):
        _, state = update(grads, state)
    np.testing.assert_allclose(ls.learning_rate(state), sweep(14), rtol=1e-6)
    np.testing.assert_allclose(ls.next_learning_rate(state), sweep(15), rtol=1e-6)
    batch = jax.vmap(live(HALVE).init)({"w": jnp.ones((2, 3))})
    for _ in range(3):
        batch = jax.vmap(lambda state, loss: ls.observe(state, value=loss))(batch, jnp.asarray([1.0, jnp.nan]))
    np.testing.assert_allclose(ls.next_learning_rate(batch), [0.05, 0.05])


PURE, GIVEN, DRIVEN = live(WSD).init(GRADS), ls.scale_by_learning_rate(HALVE).init(GRADS), live(HALVE).init(GRADS)
ANOTHER = r"of the one in the state, got another:\n    state  Linear(.|\n)*numbers"
MISTAKES: list[tuple[Any, str]] = [
    *((lambda s=s: ls.replace_schedule(PURE, s), ANOTHER) for s in (WSD * 2, 0.1, ls.stack([WSD, WSD]))),
    (lambda: ls.replace_schedule(PURE, "fast"), r"\(new='fast'\): expected a schedule, a number or a function"),  # pyright: ignore
    (lambda: ls.replace_schedule(GIVEN, HALVE), r"expected a live schedule of learning_rate in this state, got none\."),
    (lambda: ls.get_schedule(PURE, "momentum"), "of momentum in this state, got only those of learning_rate"),
    (lambda: ls.observe(GIVEN, value=1.0), r"expected the schedule of the state at .*, got none. Hint: .* live=True"),
    (lambda: ls.observe(GIVEN, HALVE * HALVE, value=1.0), "expected the state of"),
    (lambda: ls.observe(jax.vmap(lambda _: DRIVEN)(jnp.ones(2)), value=1.0), r"a batch of them. Hint: map it with jax\.vmap"),
    (lambda: ls.observe(DRIVEN, value=1.0, loss=1.0), r"no clock monitors 'loss' \(monitored: 'value'\)"),
    (lambda: ls.observe(PURE, value=1.0), r"observe\(...\): no clock monitors 'value' \(monitored: none\)"),
]
test_mistakes = refused(MISTAKES)


@ls.node
class KLAdaptive(ls.Clock):
    """As in the docstring of `Clock`."""

    target: float = ls.leaf(default=0.01)
    low: float = ls.leaf(default=-14)
    high: float = ls.leaf(default=8)
    monitor = "kl"

    def init(self):
        return jnp.zeros((), jnp.int32)

    def tick(self, state, steps, observations):
        del steps
        kl = observations.get("kl")
        if kl is None:
            return state
        change = jnp.where(kl > 2 * self.target, -1, jnp.where(kl < self.target / 2, 1, 0))
        return jnp.clip(state + change, self.low, self.high).astype(jnp.int32)

    def read(self, state):
        return state


@pytest.mark.parametrize("live", [False, True])
def test_a_clock_of_a_user_computes_with_floats(live):
    s = ls.Exponential(1.0, 0.5).on(KLAdaptive(target=0.02, low=-2))
    job = Job(ls.scale_by_learning_rate(s, live=live), kl=jnp.float32(0.05))
    with relaxed():
        np.testing.assert_allclose([job.run() for _ in range(4)], [1.0, 2.0, 4.0, 4.0])
        np.testing.assert_allclose(ls.next_learning_rate(job.state, s), 4.0)


def test_live_schedules_compose():
    s, steps = ls.Linear(0.0, 1.0, 10) >> ls.Cosine(1.0, 0.5, 20), np.arange(60)
    for make in (lambda s: s.reverse(), lambda s: s.repeat(), lambda s: 1 / s.clip(0.1, s), lambda s: s >> s):
        np.testing.assert_allclose(make(packed(s))(steps), make(s)(steps), atol=1e-6)
    endless = s >> ls.Constant(1.0)
    for make in (lambda s: s.delay(5), lambda s: s.drop(5), lambda s: s.stretch(2)):
        assert np.isinf(jax.jit(lambda s, make=make: numerics.to_float(make(s).length))(packed(endless)))
    numbers, structure = jax.tree.flatten(ls.Linear(1.0, 0.0, 10).repeat(3))
    for n in (1.5 - 1e-9, 1.5, 2.5):
        cycles = jax.tree.unflatten(structure, [*numbers[:-1], n])
        np.testing.assert_allclose(jax.jit(lambda s: s(steps))(packed(cycles)), cycles(steps), atol=1e-6)
