"""Optimizer states are read and changed in every wrapper and container, by group; and a schedule starts at their count."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.serialization import to_state_dict
from helpers import updated

import lrsched as ls
from lrsched.dialects.optax import as_stateful

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"w": jnp.ones(3), "b": jnp.ones(2)}
LABELS = {"w": "a", "b": "b"}
RATE, PLATEAU = ls.Linear(0.1, 0.0, 10), ls.reduce_on_plateau(factor=0.5, patience=0)
S, NEW = RATE * PLATEAU, ls.Linear(0.8, 0.0, 10) * PLATEAU


def ours(s: Any = S, **options: Any) -> Any:
    return optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(s, **options))


LIVE: Any = ls.scale_by_learning_rate(S, live=True)
WRAPPERS = {
    "alone": LIVE,
    "chain": optax.chain(optax.clip(1.0), optax.chain(ours(live=True)), optax.identity()),
    "masked": optax.masked(optax.chain(optax.apply_if_finite(LIVE, 2)), {"w": True, "b": False}),
    "partition": optax.partition({"a": LIVE, "b": optax.set_to_zero()}, LABELS),
    "MultiSteps": optax.MultiSteps(LIVE, 1),
    "scheduled": ls.scheduled(optax.adamw, live=True)(S, weight_decay=0.1),
    "layerwise": ls.layerwise(S, 0.5, len, live=True),
}


def held(decorate: Any, base: type = object) -> Any:
    """A class with one field."""
    return decorate(type("Held", (base,), {"__annotations__": {"opt_state": Any}, "__module__": __name__}))


class Ordinary:
    def __init__(self, opt_state):
        self.opt_state, self.model, self.me = opt_state, lambda x: x, self


HOLDERS = {
    "dict of two": lambda x: {"a": {"opt_state": x}, "b": optax.sgd(0.1).init(PARAMS)},
    "namespace": lambda x: SimpleNamespace(adam=(1, {"state": x}), step=3),
    "frozen dataclass": held(dataclasses.dataclass(frozen=True, slots=True)),
    "object": Ordinary,
    "equinox": held(lambda cls: cls, eqx.Module),
}


@pytest.mark.parametrize("name", [*WRAPPERS, *HOLDERS])
def test_a_state_is_read_replaced_and_observed(name):
    optimizer = WRAPPERS.get(name, WRAPPERS["chain"])
    state = HOLDERS.get(name, lambda x: x)(optimizer.init(PARAMS))
    np.testing.assert_allclose(ls.learning_rate(state), 0.1)
    replaced = ls.replace_schedule(state, NEW)
    assert type(replaced) is type(state)
    assert getattr(replaced, "model", None) is getattr(state, "model", None)  # the other attributes stay
    assert (ls.get_schedule(replaced), ls.get_schedule(state)) == (NEW, S)  # the old one is as it was
    observed = ls.observe(ls.observe(ls.observe(replaced, value=1.0), value=1.0), value=None)
    np.testing.assert_allclose([ls.next_learning_rate(x) for x in (observed, replaced, state)], [0.4, 0.8, 0.1], rtol=1e-6)
    assert ls.readings(observed)["value/plateaus"] == 1
    if name in ("chain", "dict of two", "equinox"):
        other = jax.jit(lambda state, peak: ls.replace_schedule(state, ls.Linear(peak, 0.0, 10) * PLATEAU))(state, 0.8)
        twice = jax.jit(lambda state, loss: ls.observe(ls.observe(state, value=loss), value=loss))(other, 1.0)
        np.testing.assert_allclose(ls.next_learning_rate(twice), 0.4, rtol=1e-6)
    if name in WRAPPERS:
        assert jax.tree.structure(observed) == jax.tree.structure(state)
        _, now = updated(optimizer, PARAMS, 2, observed, value=None)
        np.testing.assert_allclose([ls.learning_rate(now), ls.hyperparameters(now)["learning_rate"]], 0.36, rtol=1e-6)


def test_a_container_that_cannot_be_rebuilt_is_refused():
    for name, copy in (("Single", lambda self: self), ("Uncopied", lambda _: 1 / 0)):
        holder = type(name, (Ordinary,), {"__copy__": copy})(LIVE.init(PARAMS))
        for change in (lambda x: ls.replace_schedule(x, NEW), lambda x: ls.observe(x, value=1.0)):
            with pytest.raises(TypeError, match=r"container that can be rebuilt.* Hint: pass its opt_state"):
                change(holder)
        assert ls.get_schedule(holder) == S  # as it was
    with pytest.raises(TypeError, match=r"expected an observation, got none. Hint: observe\(state, value="):
        ls.observe(LIVE.init(PARAMS))
    asked = {"a schedule": lambda x: ls.observe(x, value=1.0), "a live schedule": lambda x: ls.replace_schedule(x, NEW)}
    asked |= {"a rate": ls.learning_rate, "clocks": ls.readings}
    for nothing in (SimpleNamespace(opt_state=None), object(), lambda: LIVE.init(PARAMS), optax.adam(0.1).init(PARAMS), ()):
        for what, ask in asked.items():
            with pytest.raises(ValueError, match=f"expected {what} .*in this state, got none"):
                ask(nothing)
    for wrong, hint in ((S, "makes one, which comes before the schedule"), (LIVE, "makes one."), (3, "makes one."), (None, "")):
        for ask in (*asked.values(), ls.get_schedule, ls.hyperparameters, ls.learning_rates, ls.next_learning_rate):
            with pytest.raises(TypeError, match=rf"\(state=.*\): expected the state of an optimizer. Hint: .*{hint}"):
                ask(wrong)
    for ask in (ls.learning_rate, ls.learning_rates, ls.next_learning_rate):
        with pytest.raises(TypeError, match=r"learning_rates?\(schedule='b1'\): expected a schedule"):
            ask(LIVE.init(PARAMS), "b1")  # pyright: ignore[reportArgumentType]


# flax.nnx: variables, which change in place, and states of names and numbers


def nnx_optimizer(transform: Any) -> Any:
    return nnx.Optimizer(nnx.Linear(3, 1, rngs=nnx.Rngs(0)), transform, wrt=nnx.Param)


class Trainer(nnx.Module):
    def __init__(self, optimizer):
        self.optimizer = optimizer


NNX = {"itself": lambda o: o, "in a module": Trainer, "nnx.state": nnx.state}


@pytest.mark.parametrize("name", NNX)
def test_variables_of_nnx_change_in_place(name):
    optimizer = nnx_optimizer(ours(live=True))
    holder = NNX[name](optimizer)
    assert list(ls.learning_rates(holder).values()) == [np.float32(0.1)] == [ls.learning_rate(holder)]
    assert ls.replace_schedule(holder, NEW) is holder
    assert ls.get_schedule(optimizer) == NEW
    given = NEW if "nnx.state" in name else None  # a state has no structure: the schedule gives it
    for _ in range(2):
        assert ls.observe(holder, given, value=1.0) is holder
    np.testing.assert_allclose([ls.next_learning_rate(holder, given), ls.next_learning_rate(optimizer)], 0.4, rtol=1e-6)
    assert ls.readings(holder, given)["value/plateaus"] == 1
    if given is not None:
        for ask in (ls.get_schedule, lambda x: ls.observe(x, value=1.0)):
            with pytest.raises(ValueError, match="names and numbers"):
                ask(holder)
        with pytest.raises(ValueError, match="of the structure of the one in the state"):
            ls.replace_schedule(holder, RATE)


def test_states_of_names_and_arrays():
    """What nnx.state keeps, and orbax gives without a template."""
    names = jax.tree.map(np.asarray, to_state_dict(LIVE.init(PARAMS)))
    names = ls.observe(ls.replace_schedule(names, NEW), NEW, value=1.0)
    np.testing.assert_allclose(ls.next_learning_rate(ls.observe(names, NEW, value=1.0), NEW), 0.4, rtol=1e-6)
    for transform in (ours(RATE), ls.scheduled(optax.adamw)(RATE, weight_decay=0.01), optax.adamw(RATE)):
        optimizer = nnx_optimizer(transform)
        for holder in (optimizer, nnx.state(optimizer)):
            assert ls.learning_rates(holder, RATE) == {"learning_rate": RATE(0)}


def test_a_group_that_keeps_only_a_count():
    _, state = updated(optax.partition({"a": optax.adamw(RATE), "b": ours(0.5)}, LABELS), PARAMS, 3)
    with pytest.raises(ValueError, match=r"expected one rate, got 2, at .*_states/a/.*_states/b/.*say which with at="):
        ls.learning_rate(state)
    assert ls.learning_rate(state, RATE, at="a") == ls.learning_rate(state, RATE) == RATE(2)  # the one that needs it
    assert ls.next_learning_rate(state, RATE, at="a") == RATE(3)
    assert [ls.learning_rate(state, at=at) for at in ("b", "inner_states/b")] == [0.5, 0.5]
    for ask in (lambda state: ls.learning_rate(state, at="a"), ls.learning_rates):
        with pytest.raises(ValueError, match=r"only a count of updates\. Hint: write learning_rates?\(state, schedule\)"):
            ask(state)
    for schedules in (RATE, {"a": RATE}):
        assert ls.learning_rates(state, schedules) == {"a": RATE(2), "b": 0.5}
    with pytest.raises(ValueError, match="expected labels among a, b, got c"):
        ls.learning_rates(state, {"c": RATE})


def test_nested_groups_are_read_replaced_and_observed():
    def factory(learning_rate: Any) -> Any:
        inner = ls.scheduled(optax.adamw, live=True)(0.5 * PLATEAU, weight_decay=0.01)
        return optax.chain(inner, optax.scale(learning_rate))

    groups: Any = {"a": ls.scheduled(factory, live=True)(ls.Constant(0.25)), "b": ours(PLATEAU, live=True)}
    state: Any = {"x": optax.partition(groups, LABELS).init(PARAMS), "z": ours(0.125, live=True).init(PARAMS)}
    rates = ls.learning_rates(state)
    assert (rates["x/b"], rates["z"]) == (ls.learning_rate(state, at="x/b"), ls.learning_rate(state, at="z")) == (1.0, 0.125)
    inside, outside = sorted((key for key in rates if "/a/" in key), key=len, reverse=True)
    assert (ls.learning_rate(state, at=inside), ls.learning_rate(state, at=outside)) == (0.5, 0.25)
    state = ls.replace_schedule(state, 0.75 * PLATEAU, at=inside)
    for _ in range(2):
        state = ls.observe(state, value=1.0, at="x/b")
    found = [float(ls.next_learning_rate(state, at=at)) for at in (inside, outside, "x/b", "z")]
    assert found == [0.75, 0.25, 0.5, 0.125]
    assert ls.readings(state)["x/b/value/plateaus"] == ls.readings(state, at="x/b")["value/plateaus"] == 1
    with pytest.raises(ValueError, match="expected one rate, got 3"):
        ls.learning_rate(state, at="x")
    with pytest.raises(ValueError, match=r"expected one value of learning_rate, got 4, at x/"):
        ls.hyperparameters(state)


def labelled(*labels: Any) -> Any:
    """The state of groups with these labels, and their rates."""
    groups: Any = {label: ours(0.5**i) for i, label in enumerate(labels)}
    state = optax.partition(groups, dict(zip(PARAMS, labels, strict=True))).init(PARAMS)
    return state, {label: 0.5**i for i, label in enumerate(labels)}


HALF, INJECTED = ls.scale_by_learning_rate(0.5), optax.inject_hyperparams(optax.adamw)(0.25)
NAMED: Any = {"embed": {"count": jnp.ones(3)}, "hyperparams": {"learning_rate": jnp.ones(3)}}  # what only looks like rates
RATES = [
    *(labelled(*labels) for labels in (("decay", "no_decay"), ("1", "0"), ("x.y", "y"), (0, 10), ("state", "inner_state"))),
    (HALF.init(PARAMS), {"learning_rate": 0.5}),
    (optax.chain(HALF, ls.scale_by_learning_rate(0.25)).init(PARAMS), {"0": 0.5, "1": 0.25}),
    (optax.partition({"a": INJECTED, "b": HALF}, LABELS).init(PARAMS), {"a": 0.25, "b": 0.5}),
    (optax.chain(optax.scale_by_schedule(RATE), HALF).init(PARAMS), {"learning_rate": 0.5}),  # of one chain
    (
        {"opt_state": ours(0.5).init(NAMED), "metrics": {"count": jnp.int32(0)}, "hyperparams": {"learning_rate": 1.0}},
        {"learning_rate": 0.5},
    ),
]


@pytest.mark.parametrize(("state", "rates"), RATES, ids=[",".join(map(str, rates)) for _, rates in RATES])
def test_rates_have_labels_that_are_matched_whole(state, rates):
    assert ls.learning_rates(state) == {str(label): rate for label, rate in rates.items()}
    for label, rate in rates.items():
        assert ls.learning_rate(state, at=label if len(rates) > 1 else None) == rate
    with pytest.raises(ValueError, match=r"at='inn'\): expected a label or the keys of a path"):
        ls.learning_rate(state, at="inn")


def test_readings_of_every_clock():
    stop, greedy = ls.Since(ls.Counter("stop")), ls.Smoothed(ls.Greedy(patience=0, monitor="kl"), 2)
    clocks = [ls.Counter("tokens"), ls.Plateau(patience=5), ls.SinceBest(monitor="loss"), greedy, stop, ls.Steps()]
    clocks += [ls.Plateau(patience=0)]  # of one name: they have numbers
    s = ls.Constant(1.0)
    for clock in clocks:
        s = s * ls.Linear(1.0, 0.0, 1e6).on(clock)
    state = ls.clocks.init(s)
    for value in (3.0, 2.0, 2.5):
        state = ls.clocks.tick(s, state, tokens=2**30 + 1, value=value, loss=value, kl=value, stop=1)
    expected = {"tokens": 3 * (2**30 + 1), "value/plateaus": 0, "value/bad": 1, "value/best": 2.0}
    expected |= {"loss/since_best": 1, "loss/best": 2.0, "stop": 3, "stop/since": 2, "Steps": 3}
    expected |= {"kl/reductions": -3, "kl/best": 2.25}  # of means that fall
    expected |= {"value/plateaus/2": 1, "value/bad/2": 0, "value/best/2": 2.0}
    assert {name: float(x) for name, x in ls.readings(state, s).items()} == expected
    assert set(ls.readings(ls.scale_by_learning_rate(s, live=True).init(PARAMS))) == set(expected)
    in_jit = jax.jit(lambda state: ls.readings(state, s))(state)
    np.testing.assert_allclose([in_jit[name] for name in expected], list(expected.values()), rtol=1e-6)


def test_the_state_of_another_transform_is_refused():
    with pytest.raises(KeyError):  # since it would do nothing
        optax.tree_utils.tree_set(LIVE.init(PARAMS), learning_rate=0.5)
    pure, live, other = (ls.scale_by_learning_rate(s, live=live) for s, live in ((RATE, False), (RATE, True), (S, True)))
    for mine, theirs, message in (
        (live, other, r"live=True\): expected the state that init gave for Linear.*, got one with live=Linear.* Hint:"),
        (ls.scale_by_learning_rate(S), pure, r"for Linear.*, got one with live=\(\) and clocks=\(\)\. Hint:"),
        (pure, ls.scale_by_learning_rate(S), r"got one with live=\(\) and clocks=\(PlateauState"),
        (live, pure, r"got one with live=\(\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mine.update(PARAMS, theirs.init(PARAMS), value=None)


OLD = {
    "injected": optax.inject_hyperparams(optax.adamw)(RATE),
    "adam": optax.adam(0.1),
    "partition": optax.partition({"a": optax.adamw(RATE), "b": optax.sgd(RATE)}, LABELS),
    "ours": ours(RATE),
    "cyclic counts": optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau(patience=3, accumulation_size=4)),
    "scheduled": ls.scheduled(optax.adamw)(RATE),
}


@pytest.mark.parametrize("name", OLD)
def test_a_schedule_starts_at_the_count_of_another_optimizer(name):
    _, old = updated(OLD[name], PARAMS, 6, value=1.0)
    for start in (old, to_state_dict(old), {"opt_state": old}):
        state: Any = ls.scale_by_learning_rate(RATE, start=start).init(PARAMS)
        assert state.step == 6


def test_a_start_may_be_a_number_or_traced_and_is_checked_where_it_is_known():
    for start in (7, np.int64(7), jnp.int32(7)):
        injected = optax.inject_hyperparams(optax.sgd)(as_stateful(RATE, start=start))
        for optimizer in (ls.scale_by_learning_rate(S, start=start), ls.scheduled(optax.sgd, start=start)(RATE), injected):
            assert ls.learning_rate(optimizer.init(PARAMS)) == RATE(7)
    first, later = optax.adam(0.1).init(PARAMS), updated(optax.adam(RATE), PARAMS, 2)[1]
    in_jit: Any = jax.jit(lambda s: ls.scale_by_learning_rate(RATE, start=s).init(PARAMS))(later)
    assert in_jit.step == 2
    wrongs: Any = ((-1, ""), (2**31, ""), (1.5, ""), ("7", ""), (optax.sgd(0.1).init(PARAMS), "got counts: none"))
    for wrong, message in (*wrongs, ((first, later), r"got counts: 0, 2. Hint: pass the part of the state")):
        with pytest.raises((TypeError, ValueError), match=rf"scale_by_learning_rate\(start=.*{message}"):
            ls.scale_by_learning_rate(RATE, start=wrong)


def test_clocks_start_as_after_updates_without_observations():
    steps = ls.Constant(1.0, 4) >> ls.Linear(1.0, 0.0, 10).on(ls.Steps())
    s = steps * PLATEAU * ls.Linear(1.0, 0.0, 9).on(ls.Since(ls.Plateau()))
    slow = ls.clocks.init(s)
    for step in range(10):
        if step in (0, 3, 4, 9):
            assert jax.tree.all(jax.tree.map(np.array_equal, ls.clocks.init(s, step), slow))
        slow = ls.clocks.tick(s, slow)
    for init in (ls.clocks.init, jax.jit(ls.clocks.init)):
        assert ls.clocks.evaluate(s, init(s, 9)) == 0.5
    assert ls.clocks.init(PLATEAU, 2**31 - 1).step == 2**31 - 1  # nothing to run
