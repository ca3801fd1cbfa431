"""Whatever holds an optimizer state: read, replaced and observed, or refused; never left as it was."""

import dataclasses
from types import SimpleNamespace
from typing import Any, NamedTuple

import chex
import equinox as eqx
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import relaxed

import lrsched as ls

PARAMS = {"w": jnp.ones(3)}
S = ls.Linear(0.1, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0)
NEW = ls.Linear(0.8, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0)
OPTIMIZER: Any = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(S, live=True))


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():
        yield


@dataclasses.dataclass
class Plain:
    opt_state: Any
    name: str = "run"
    epoch: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass(frozen=True)
class Frozen:
    opt_state: Any

    def __post_init__(self):
        assert not hasattr(self, "made")
        object.__setattr__(self, "made", True)


@dataclasses.dataclass(slots=True)
class Slots:
    opt_state: Any


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    opt_state: Any


class Ordinary:
    def __init__(self, opt_state):
        self.opt_state, self.model, self.me = opt_state, lambda x: x, self


class Guarded(Ordinary):
    """Refuses to be written to once it is made."""

    def __init__(self, opt_state):
        object.__setattr__(self, "opt_state", opt_state)

    def __setattr__(self, name, value):
        raise AttributeError(name)


class WithProperty:
    def __init__(self, opt_state):
        self._kept = opt_state

    @property
    def opt_state(self):
        return self._kept


class Agent(eqx.Module):
    opt_state: Any
    critic: Any = eqx.field(default_factory=lambda: jnp.ones(2))

    def get_value(self, observation):
        return observation


class Other(NamedTuple):
    optimizer_state: Any
    step: int


class Module(eqx.Module):
    opt_state: Any
    activation: Any = eqx.field(static=True, default=jnp.tanh)


@flax.struct.dataclass
class Struct:
    opt_state: Any


@chex.dataclass
class Chex:
    opt_state: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Registered:
    opt_state: Any


HOLDERS = {
    "dict": lambda x: {"opt_state": x, "step": 3},
    "tuple": lambda x: (PARAMS, x),
    "namedtuple": lambda x: Other(x, 3),
    "a dict of two": lambda x: {"a": {"opt_state": x}, "b": optax.sgd(0.1).init(PARAMS)},
    "namespace": lambda x: SimpleNamespace(opt_state=x, step=3),
    "namespace, another name": lambda x: SimpleNamespace(adam=(1, {"state": x})),
    **{kind.__name__: kind for kind in (Plain, Frozen, Slots, FrozenSlots, Ordinary, Guarded, WithProperty)},
    **{kind.__name__: lambda x, kind=kind: kind(opt_state=x) for kind in (Module, Agent, Struct, Chex, Registered)},
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_holder_is_read_replaced_and_observed(name):
    holder = HOLDERS[name](OPTIMIZER.init(PARAMS))
    np.testing.assert_allclose(ls.learning_rate(holder), 0.1)
    assert ls.schedule(holder) == S
    replaced = ls.replace_schedule(holder, NEW)
    assert type(replaced) is type(holder)
    assert (ls.schedule(replaced), ls.schedule(holder)) == (NEW, S)  # the old one is as it was
    observed = ls.observe(ls.observe(replaced, value=1.0), value=1.0)
    np.testing.assert_allclose([ls.next_learning_rate(x) for x in (observed, replaced, holder)], [0.4, 0.8, 0.1], rtol=1e-6)
    assert ls.readings(observed)["value/plateaus"] == 1


def test_the_other_attributes_stay():
    holder = Ordinary(OPTIMIZER.init(PARAMS))
    made = ls.replace_schedule(holder, NEW)
    assert made is not holder
    assert made.model is holder.model
    plain = Plain(OPTIMIZER.init(PARAMS), "mine")
    plain.epoch = 7
    assert (ls.observe(plain, value=1.0).epoch, ls.observe(plain, value=1.0).name) == (7, "mine")


def test_what_cannot_be_rebuilt_is_refused():
    class Single:
        """Its copy is itself."""

        def __init__(self, opt_state):
            self.opt_state = opt_state

        def __copy__(self):
            return self

    class Uncopied(Ordinary):
        def __copy__(self):
            raise RuntimeError("one of a kind")

    for holder in (Single(OPTIMIZER.init(PARAMS)), Uncopied(OPTIMIZER.init(PARAMS))):
        np.testing.assert_allclose(ls.learning_rate(holder), 0.1)
        for change in (lambda x: ls.replace_schedule(x, NEW), lambda x: ls.observe(x, value=1.0)):
            with pytest.raises(TypeError, match=r"container that can be rebuilt.* Hint: pass its opt_state"):
                change(holder)
        assert ls.schedule(holder) == S  # as it was
    for nothing in (SimpleNamespace(opt_state=None), SimpleNamespace(), object(), 3, lambda: OPTIMIZER.init(PARAMS)):
        with pytest.raises(ValueError, match="expected a schedule in this state, got none"):
            ls.observe(nothing, value=1.0)
        with pytest.raises(ValueError, match="expected a live schedule"):
            ls.replace_schedule(nothing, NEW)


def test_inside_jit_with_traced_numbers():
    @jax.jit
    def change(holder, peak, loss):
        number = ls.scale_by_learning_rate(0.1, live=True).init(PARAMS)
        schedule = ls.Linear(peak, 0.0, 10) * ls.reduce_on_plateau(factor=0.5, patience=0)
        holder = ls.observe(ls.observe(ls.replace_schedule(holder, schedule), value=loss), value=loss)
        return holder, ls.next_learning_rate(ls.replace_schedule(number, peak))

    for kind in (Module, Struct, Registered, HOLDERS["dict"]):
        holder, rate = change(
            kind(opt_state=OPTIMIZER.init(PARAMS)) if isinstance(kind, type) else kind(OPTIMIZER.init(PARAMS)), 0.8, 1.0
        )
        np.testing.assert_allclose([ls.next_learning_rate(holder), rate], [0.4, 0.8], rtol=1e-6)


def nnx_optimizer():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)


def in_module():
    model, optimizer = nnx_optimizer()

    class Trainer(nnx.Module):
        def __init__(self):
            self.model, self.optimizer = model, optimizer

    return optimizer, Trainer()


NNX = {
    "optimizer": lambda: (lambda o: (o, o))(nnx_optimizer()[1]),
    "its opt_state": lambda: (lambda o: (o, o.opt_state))(nnx_optimizer()[1]),
    "in a namespace": lambda: (lambda o: (o, SimpleNamespace(optimizer=o)))(nnx_optimizer()[1]),
    "in a dict": lambda: (lambda o: (o, {"optimizer": o, "model": 1}))(nnx_optimizer()[1]),
    "in a module": in_module,
    "nnx.state": lambda: (lambda o: (o, nnx.state(o)))(nnx_optimizer()[1]),
    "nnx.state of all": lambda: (lambda o: (o, nnx.state({"optimizer": o})))(nnx_optimizer()[1]),
}


@pytest.mark.parametrize("name", NNX)
def test_variables_of_nnx_change_in_place(name):
    optimizer, holder = NNX[name]()
    np.testing.assert_allclose(ls.learning_rate(holder), 0.1)
    assert list(ls.learning_rates(holder).values()) == [np.float32(0.1)]
    assert ls.replace_schedule(holder, NEW) is holder
    assert ls.schedule(optimizer) == NEW
    given = NEW if "nnx.state" in name else None  # a state has no structure: the schedule gives it
    for _ in range(2):
        assert ls.observe(holder, given, value=1.0) is holder
    np.testing.assert_allclose([ls.next_learning_rate(holder, given), ls.next_learning_rate(optimizer)], 0.4, rtol=1e-6)
    assert ls.readings(holder, given)["value/plateaus"] == 1
    if given is not None:
        for ask in (ls.schedule, lambda x: ls.observe(x, value=1.0)):
            with pytest.raises(ValueError, match="names and numbers"):
                ask(holder)
        with pytest.raises(ValueError, match="of the structure of the one in the state"):
            ls.replace_schedule(holder, ls.Linear(1.0, 0.0, 10))
        with pytest.raises(ValueError, match="that of another schedule"):
            ls.observe(holder, ls.reduce_on_plateau(), value=1.0)


def test_names_and_arrays_alone():
    """What orbax gives without a template: it is rebuilt like any pytree."""
    from flax.serialization import to_state_dict

    names = jax.tree.map(np.asarray, to_state_dict(OPTIMIZER.init(PARAMS)))
    names = ls.observe(ls.replace_schedule(names, NEW), NEW, value=1.0)
    np.testing.assert_allclose(ls.next_learning_rate(ls.observe(names, NEW, value=1.0), NEW), 0.4, rtol=1e-6)


def test_an_observation_is_needed():
    state = OPTIMIZER.init(PARAMS)
    for call in (lambda: ls.observe(state), lambda: ls.observe(state, None)):
        with pytest.raises(TypeError, match=r"expected an observation, got none. Hint: observe\(state, value="):
            call()
    for wrong in (0.7, jnp.float32(0.7)):
        with pytest.raises(TypeError, match="expected observations as a mapping"):
            ls.observe(state, wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="that of another schedule"):
        ls.observe(state, ls.reduce_on_plateau(), value=1.0)
