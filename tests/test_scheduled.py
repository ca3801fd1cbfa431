"""`scheduled` takes every factory and every argument of optax, and its state is one that optax, flax and JAX take."""

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import avals, bits, refused, updated

import lrsched as ls

pytestmark = pytest.mark.usefixtures("relaxing")  # optax and flax mix types
PARAMS: Any = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
HALF_PARAMS = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
RATE, HALF, KEY = ls.Linear(0.1, 0.0, 10), ls.Linear(0.5, 0.0, 10), jax.random.key(0)
PLATEAU = ls.reduce_on_plateau(0.5, patience=0)
SCHEDULED = [
    (optax.adamw, {"learning_rate": RATE, "b1": HALF, "weight_decay": 0.1 * RATE}),
    (optax.sgd, {"learning_rate": RATE, "momentum": HALF, "nesterov": True}),
    (optax.adafactor, {"learning_rate": RATE, "min_dim_size_to_factor": 2, "decay_rate": 0.9}),
    (optax.add_decayed_weights, {"weight_decay": RATE}),
]
ADAM, ADAGRAD = {"b1": 0.8, "b2": 0.999, "weight_decay": 0.3}, {"initial_accumulator_value": 0.3}
TWINS = [(optax.adamw, ADAM, "standard"), (optax.adagrad, ADAGRAD, "standard"), (optax.lion, {"b1": 0.7}, "strict")]
SGD: Any = ls.scheduled(optax.sgd)(RATE, momentum=0.5)
FIRST = SGD.init(PARAMS)
jitted = jax.jit(SGD.update)


def used(state: Any) -> dict[str, float]:
    return {name: round(float(x), 6) for name, x in ls.hyperparameters(state).items()}


def recorded(optimizer: Any) -> dict[str, float]:
    """The hyperparameters in the first state, with which an update can be traced."""
    state = optimizer.init(PARAMS)
    jax.eval_shape(optimizer.update, PARAMS, state, PARAMS)
    return {name: round(float(x), 6) for name, x in state.hyperparams.items()}


def close(a: Any, b: Any, **tolerance: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(np.float32(x), np.float32(y), **tolerance), a, b)


@pytest.mark.parametrize(("factory", "arguments"), SCHEDULED, ids=lambda x: getattr(x, "__name__", ""))
def test_it_is_the_optimizer_made_anew_for_each_update(factory, arguments):
    optimizer: Any = ls.scheduled(factory)(**arguments)
    state = expected = theirs = None
    update = jax.jit(optimizer.update)
    for t in range(4):
        made: Any = factory(**{name: float(x(t)) if isinstance(x, ls.Schedule) else x for name, x in arguments.items()})
        state, theirs = (optimizer.init(PARAMS), made.init(PARAMS)) if state is None else (state, theirs)
        updates, state = update(PARAMS, state, PARAMS)
        expected, theirs = made.update(PARAMS, theirs, PARAMS)
        close(updates, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("factory", "arguments", "promotion"), TWINS, ids=lambda x: getattr(x, "__name__", ""))
def test_on_bfloat16_it_is_the_optimizer_of_optax(factory, arguments, promotion):
    with jax.numpy_dtype_promotion(promotion):
        expected, theirs = updated(factory(0.03, **arguments), HALF_PARAMS, 3)
        optimizer = ls.scheduled(factory)(0.03, **arguments)
        ours, state = updated(optimizer, HALF_PARAMS, 3)
        jaxpr = str(jax.make_jaxpr(optimizer.update)(HALF_PARAMS, state, HALF_PARAMS))
    assert [bits(x) for x in jax.tree.leaves(ours)] == [bits(x) for x in jax.tree.leaves(expected)]
    assert avals(state.inner_state) == avals(theirs)
    assert ":f32[2,3]" not in jaxpr  # nothing of the size of the parameters is widened
    assert ":bf16[2,3]" in jaxpr


def in_strings(rate: "optax.ScalarOrSchedule", size: "int" = 2, scale: "float | None" = None):
    assert isinstance(size, int)
    return optax.chain(optax.scale(1.0 if scale is None else scale), optax.sgd(rate))


class Optimizer:
    def __init__(self, rate: float, /, *, decay=0.0):
        inner = optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate))
        self.init, self.update = inner.init, inner.update


def matrices(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


FACTORIES: Any = {
    # the factory, its arguments, and what is recorded
    "keywords": (lambda rate, **others: optax.adamw(rate, **others), (RATE,),
                 {"b1": HALF, "eps": 0.25, "mu_dtype": jnp.bfloat16, "mask": matrices}, {"rate": 0.1, "b1": 0.5, "eps": 0.25}),
    "positions": (lambda *x: optax.sgd(*x), (RATE, 0.25), {}, {"x[0]": 0.1, "x[1]": 0.25}),
    "partial": (functools.partial(optax.adamw, b1=HALF, b2=0.25), (RATE,), {}, {"learning_rate": 0.1, "b1": 0.5, "b2": 0.25}),
    "partial by position": (functools.partial(optax.sgd, RATE), (HALF,), {}, {"learning_rate": 0.1, "momentum": 0.5}),
    "class": (Optimizer, (RATE,), {"decay": 0.25}, {"rate": 0.1, "decay": 0.25}),
    "strings": (in_strings, (1,), {"size": 3, "scale": HALF}, {"rate": 1.0, "scale": 0.5}),
    "a transform": (lambda tx, rate: optax.chain(tx, optax.sgd(rate)), (optax.scale_by_adam(), RATE), {}, {"rate": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize("name", FACTORIES)
def test_every_kind_of_factory(name):
    factory, args, kwargs, expected = FACTORIES[name]
    assert recorded(ls.scheduled(factory)(*args, **kwargs)) == expected


def test_lookahead_inside():
    params: Any = optax.LookaheadParams.init_synced(PARAMS)
    optimizer = ls.scheduled(lambda rate: optax.lookahead(optax.sgd(rate), 2, 0.5))(RATE)
    state = optimizer.init(params)
    for _ in range(3):
        _, state = optimizer.update(PARAMS, state, params)
    assert used(state) == {"rate": 0.08}


def test_observations_reach_every_clock_inside():
    accuracy = ls.reduce_on_plateau(0.5, "max", 0, monitor="accuracy")

    def factory(rate: Any, decay: Any) -> Any:
        inner = optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate), ls.scale_by_learning_rate(PLATEAU))
        return optax.MultiSteps(inner, 1)

    optimizer = ls.scheduled(factory)(0.1 * PLATEAU, accuracy)
    _, state = updated(optimizer, PARAMS, 4, value=1.0, accuracy=None, unknown=3)
    assert used(state._replace(inner_state=())) == {"rate": 0.025, "decay": 1.0}
    assert ls.learning_rate(state.inner_state) == 0.25
    with pytest.raises(TypeError, match=r"no clock monitors 'acuracy'.*did you mean accuracy="):
        optimizer.update(PARAMS, state, PARAMS, value=1.0, acuracy=1.0)


# The annotation, the default or else the value decides whether an argument is a hyperparameter

NUMBERS: Any = [0.5, np.float64(0.5), np.asarray(0.5, jnp.bfloat16)[()], jnp.float32(0.5)]
NUMBERS += [optax.linear_schedule(0.5, 0.0, 4), lambda _: 0.5, lambda count: jnp.array([0.5, 0.2])[count]]
OTHERS: Any = [5, True, None, "a", (0.1, 0.2), KEY, jax.random.PRNGKey(0), jnp.bfloat16, matrices]
OTHERS += [lambda tree: jax.tree.map(lambda _: "a", tree), lambda a, b: a + b]


def annotated(annotation: Any = None, default: Any = None) -> Any:
    """A factory whose argument `x` has this annotation and this default."""

    def factory(x=default):
        del x
        return optax.sgd(0.1)

    factory.__annotations__ = {"x": annotation} if annotation else {}
    return factory


@pytest.mark.parametrize("factory", [annotated(), annotated("ArrayLike | Callable[[Any], Any]")], ids=["nothing", "both"])
def test_where_anything_may_belong_the_value_decides(factory):
    for value in (*NUMBERS, *OTHERS):
        expected = {"x": 0.5} if any(value is x for x in NUMBERS) else {}
        assert recorded(ls.scheduled(factory)(value)) == expected, value
    assert recorded(ls.scheduled(factory, "x")(NUMBERS[-1])) == {}


FLOATS = ["float", float | None, "Optional[float]", "base.ScalarOrSchedule", optax.ScalarOrSchedule, optax.Schedule]
FUNCTIONS = ["int", "list[float]", "Callable[[jax.Array], jax.Array]", "Optional[Union[Any, Callable[[base.Params], Any]]]"]
CASES = [
    ([*map(annotated, FLOATS), annotated(default=0.1), annotated(jax.typing.ArrayLike, 0.1)], True, True),
    ([*map(annotated, ("Any", jax.typing.ArrayLike)), annotated(), annotated(default=3)], True, False),
    ([*map(annotated, FUNCTIONS), annotated(default=jnp.tanh)], False, False),
]


@pytest.mark.parametrize(("factories", "takes_callables", "takes_ints"), CASES, ids=["floats", "anything", "functions"])
def test_the_annotation_or_the_default_says_what_belongs_there(factories, takes_callables, takes_ints):
    for factory in factories:
        made: Any = ls.scheduled(factory)
        assert recorded(made(lambda x: 0.5 * x)) == ({"x": 0.0} if takes_callables else {}), factory.__annotations__
        assert recorded(made(3)) == ({"x": 3.0} if takes_ints else {}), factory.__annotations__
        assert (recorded(made(0.5)), recorded(made(RATE))) == ({"x": 0.5}, {"x": 0.1})
        assert not takes_ints or "x" in made(lambda t: 0.5 if t < 5 else 0.1).init(PARAMS).hyperparams, "it was traced"


def test_keys_go_to_the_factory_and_stay_in_the_state():
    ours, state = updated(ls.scheduled(optax.noisy_sgd)(RATE, key=KEY), PARAMS)
    expected, inner = updated(optax.noisy_sgd(0.1, key=KEY), PARAMS)
    close(ours, expected, rtol=1e-6)
    assert avals(state.inner_state) == avals(inner)


def test_static_arguments_and_the_type_are_as_in_optax():
    for dtype, expected in ((None, np.float32), (jnp.float32, np.float32), (jnp.bfloat16, jnp.bfloat16)):
        given: Any = []
        state: Any = ls.scheduled(lambda r, given=given: given.append(r) or optax.sgd(r), (), dtype)(RATE).init(PARAMS)
        assert (given[0].dtype, given[0].weak_type, state.hyperparams["r"].dtype) == (expected, dtype is None, expected)
    optimizer = ls.scheduled(optax.adamw, ("weight_decay", "eps"))(RATE, weight_decay=0.1, eps=1e-6, b1=0.5)
    assert recorded(optimizer) == {"learning_rate": 0.1, "b1": 0.5}


@pytest.mark.parametrize("make", [ls.scale_by_learning_rate, ls.scheduled(optax.sgd)])
def test_rates_are_mapped_and_differentiated(make):
    def after(rate):
        return updated(make(rate * ls.Linear(1.0, 0.0, 4)), PARAMS, 2)[0]["b"][0]

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(after)))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose([values, slopes], [[-0.075, -0.15], [-0.75, -0.75]], rtol=1e-6)


def test_a_value_that_is_no_number_was_not_written():
    optimizer = ls.scheduled(optax.sgd)(ls.Linear(0.0, 0.5, 10) / ls.Linear(0.0, 1.0, 10))  # 0 / 0 at first
    state = jax.lax.fori_loop(0, 2, lambda _, state: optimizer.update(PARAMS, state)[1], optimizer.init(PARAMS))
    assert ls.learning_rate(state) == 0.5


def assigned(state: Any, name: str, x: Any) -> Any:
    state = copy.deepcopy(state)
    state.hyperparams[name] = x
    return state


@pytest.mark.parametrize("x", [0.25, 1, np.float32(0.25), jnp.asarray(0.25), jnp.float32(0.25)], ids=str)
def test_a_number_that_is_written_is_used_from_then_on(x):
    for name, factor in (("momentum", lambda rate: rate * (1 + float(x))), ("learning_rate", lambda _: float(x) * 1.5)):
        state = written = assigned(jitted(PARAMS, FIRST, PARAMS)[1], name, x)
        _, state = jitted(PARAMS, state._replace(inner_state=FIRST.inner_state), PARAMS)
        updates, state = jitted(PARAMS, state, PARAMS)
        np.testing.assert_allclose(updates["w"], -factor(float(RATE(2))) * PARAMS["w"], rtol=1e-6)
        assert (state.hyperparams[name], state.count) == (float(x), 3)
        assert jax.tree.structure(state) == jax.tree.structure(written)  # for a scan
        assert avals(state)[1] == avals(FIRST)[1]
    state = state._replace(hyperparams={**state.hyperparams, "learning_rate": np.float32(RATE(3))})
    for _ in range(2):  # it stays when the schedule comes by the same value, and leaves it again
        _, state = jitted(PARAMS, state, PARAMS)
        np.testing.assert_allclose(ls.learning_rate(state), RATE(3))


def test_it_is_written_by_optax_and_by_nnx():
    assert used(optax.tree_utils.tree_set(FIRST, momentum=0.25))["momentum"] == 0.25
    with pytest.raises(ValueError, match=r"expected the state that init gave.* Hint: .*replace_schedule"):
        jitted(PARAMS, optax.tree_utils.tree_set(FIRST, learning_rate=0.25), PARAMS)
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, SGD, wrt=nnx.Param)
    step = nnx.jit(lambda model, optimizer: optimizer.update(model, nnx.state(model, nnx.Param)))
    step(model, optimizer)
    optimizer.opt_state.hyperparams["momentum"][...] = 0.25
    optimizer.opt_state.hyperparams["learning_rate"][...] = 0.125
    step(model, optimizer)
    assert used(optimizer) == {"learning_rate": 0.125, "momentum": 0.25}


ANY: Any = [({"a": RATE}, "{'a': .*}"), ((RATE, RATE), ".*"), (ls.Plateau(), r"Plateau\(\)")]
MISTAKES: Any = [
    (lambda: ls.scheduled(RATE), r"Hint: as in scheduled\(optax.adamw\)\(learning_rate=schedule\)."),  # pyright: ignore
    (lambda: ls.scheduled(optax.adamw, RATE), r"static_args=.*names of arguments. Hint: .*scheduled\(adamw\)\(learning_rate="),  # pyright: ignore
    (lambda: ls.scheduled(optax.adamw, learning_rate=RATE), r"factory=optax.adamw, then scheduled\(optax.adamw\)\(learning_r"),  # pyright: ignore
    (lambda: ls.scheduled(optax.adamw)(lr=RATE), r"\(lr=...\): expected learning_rate, .* Hint: write learning_rate for lr"),  # pyright: ignore
    (lambda: ls.scheduled(optax.adamw, live=3), r"scheduled\(live=3\): expected True or False"),  # pyright: ignore
    *((lambda x=x: ls.scheduled(optax.adamw)(x), rf"\(learning_rate={says}\): expected a number or a sch") for x, says in ANY),
    (lambda: SGD.update(PARAMS, PARAMS, FIRST), r"\(state=.*: expected the state that init gave. Hint: update\(updates, state"),
    (lambda: ls.scheduled(optax.adamw)(b1=RATE), r"\): expected learning_rate, got only b1. Hint: add learning_rate="),  # pyright: ignore
    (lambda: ls.scheduled(optax.sgd)(ls.Linear(0.0, np.ones(3), 10)), "=...\\): expected one schedule, got a batch"),
    (lambda: ls.scheduled(optax.adamw, static_args="rate"), "expected static_args among learning_rate, .* got rate"),
    (lambda: ls.scheduled(optax.adamw)("0.1"), r"\(learning_rate='0\.1'\): expected a number or a schedule"),  # pyright: ignore
    (lambda: ls.scheduled(lambda _: 1)(0.1).init(PARAMS), "an optax transformation from the factory, got 1"),  # pyright: ignore
    *((lambda name=name, x=x: SGD.update(PARAMS, assigned(FIRST, name, x), PARAMS), message) for name, x, message in (
        ("momentun", 0.1, "expected the hyperparameters learning_rate, momentum, got 'momentun'"),
        ("momentum", RATE, r"expected a number in hyperparams\['momentum'\], got Linear"),
        ("momentum", jnp.ones(3), r"shape \(3,\)"),
    )),
]  # fmt: skip
test_mistakes = refused(MISTAKES, TypeError, ValueError, KeyError)
