"""`scheduled` takes every factory and every argument, and its state is one that optax, flax and JAX take."""

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import bits, relaxed

import lrsched as ls

PARAMS: Any = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
RATE = ls.Linear(0.1, 0.0, 10)
HALF, KEY = ls.Linear(0.5, 0.0, 10), jax.random.key(0)


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():  # optax mixes types
        yield


def updated(optimizer: Any, params: Any = PARAMS, steps=1, **observations) -> Any:
    """The last updates, and the state after them; the gradients are the parameters."""
    state, updates, update = optimizer.init(params), None, jax.jit(optimizer.update)
    for _ in range(steps):
        updates, state = update(params, state, params, **observations)
    return updates, state


def avals(tree):
    return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in jax.tree.leaves(tree)]


def recorded(optimizer: Any) -> dict[str, float]:
    """The hyperparameters in the first state, with which an update can be traced."""
    state = optimizer.init(PARAMS)
    jax.eval_shape(optimizer.update, PARAMS, state, PARAMS)
    return {name: round(float(x), 6) for name, x in state.hyperparams.items()}


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
    "variable": (optax.sgd, (nnx.Variable(jnp.float32(0.25)), RATE), {}, {"learning_rate": 0.25, "momentum": 0.1}),
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
        updates, state = optimizer.update(PARAMS, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(ls.hyperparameters(state)["rate"], RATE(2))
    assert not np.array_equal(params.fast["w"], params.slow["w"])


def test_what_is_observed_reaches_everything_inside():
    plateau = ls.reduce_on_plateau(0.5, patience=0)

    def factory(rate) -> Any:
        return optax.MultiSteps(optax.chain(optax.sgd(rate), ls.scale_by_learning_rate(plateau)), 1)

    _, state = updated(ls.scheduled(factory)(0.1 * plateau), steps=4, value=1.0)
    np.testing.assert_allclose([state.hyperparams["rate"], ls.learning_rate(state.inner_state)], [0.025, 0.25])


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
    ours, state = updated(ls.scheduled(optax.noisy_sgd)(RATE, key=KEY))
    expected, inner = updated(optax.noisy_sgd(0.1, key=KEY))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, expected)
    assert avals(state.inner_state) == avals(inner)


def test_static_arguments_and_the_type_are_as_in_optax():
    for dtype, expected in ((None, np.float32), (jnp.float32, np.float32), (jnp.bfloat16, jnp.bfloat16)):
        given: Any = []
        state: Any = ls.scheduled(lambda r, given=given: given.append(r) or optax.sgd(r), (), dtype)(RATE).init(PARAMS)
        assert (given[0].dtype, given[0].weak_type, state.hyperparams["r"].dtype) == (expected, dtype is None, expected)
    optimizer = ls.scheduled(optax.adamw, ("weight_decay", "eps"))(RATE, weight_decay=0.1, eps=1e-6, b1=0.5)
    assert recorded(optimizer) == {"learning_rate": 0.1, "b1": 0.5}
    with pytest.raises(ValueError, match=r"scheduled\(adamw\): expected static_args among learning_rate, .* got rate\.$"):
        ls.scheduled(optax.adamw, static_args="rate")


ADAM, ADAGRAD = {"b1": 0.8, "b2": 0.99, "weight_decay": 0.3}, {"initial_accumulator_value": 0.3}
TWINS = [(optax.adamw, ADAM, "standard"), (optax.adagrad, ADAGRAD, "standard"), (optax.lion, {"b1": 0.7}, "strict")]


@pytest.mark.parametrize(("factory", "arguments", "promotion"), TWINS)
def test_on_bfloat16_it_is_the_optimizer_of_optax(factory, arguments, promotion):
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    with jax.numpy_dtype_promotion(promotion):
        expected, theirs = updated(factory(0.03, **arguments), params, 3)
        optimizer = ls.scheduled(factory)(0.03, **arguments)
        ours, state = updated(optimizer, params, 3)
        jaxpr = str(jax.make_jaxpr(optimizer.update)(params, state, params))
    assert [bits(x) for x in jax.tree.leaves(ours)] == [bits(x) for x in jax.tree.leaves(expected)]
    assert avals(state.inner_state) == avals(theirs)
    assert ":f32[2,3]" not in jaxpr  # nothing of the size of the parameters is widened
    assert ":bf16[2,3]" in jaxpr


def aliasing(rate):
    """A transformation whose first state shares buffers and holds a number of Python's type."""

    def init(params):
        big = jnp.zeros(100)
        return {"params": params, "key": KEY, "twice": [big, big], "weak": jnp.asarray(0.0), "rate": rate}

    def update(updates, state, _=None):
        return updates, {**state, "weak": jnp.asarray(1.0), "rate": rate}

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("live", [False, True])
def test_a_first_state_can_be_donated_and_keeps_its_types(live):
    optimizer: Any = ls.scheduled(lambda r, m: optax.chain(aliasing(r), optax.trace(m)), live=live)(RATE, m=jnp.float32(0.9))
    first = optimizer.init(PARAMS)
    assert not any(getattr(x, "weak_type", False) for x in jax.tree.leaves(first))
    assert avals(jax.eval_shape(optimizer.update, PARAMS, first, PARAMS)[1]) == avals(first)
    update: Any = jax.jit(optimizer.update, donate_argnums=1)
    for init in (optimizer.init, optimizer.init, jax.jit(optimizer.init)):  # twice: the first deletes what it shares
        update(PARAMS, update(PARAMS, init(PARAMS), PARAMS)[1], PARAMS)
    assert not any(x.is_deleted() for x in jax.tree.leaves((PARAMS, KEY)))
    assert update._cache_size() == 1


def test_rates_are_mapped_and_differentiated():
    def after(rate):
        optimizer = ls.scheduled(optax.sgd)(rate * ls.Constant(1.0), momentum=0.9)
        return optax.apply_updates(PARAMS, updated(optimizer)[0])["b"][0]  # pyright: ignore

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(after)))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose([values, slopes], [[0.9, 0.8], [-1.0, -1.0]], rtol=1e-6)


SGD: Any = ls.scheduled(optax.sgd)(RATE, momentum=0.5)
FIRST = SGD.init(PARAMS)
jitted = jax.jit(SGD.update)


def assigned(state, name, x):
    state = copy.deepcopy(state)
    state.hyperparams[name] = x
    return state


WRITES: Any = {
    "assigned": assigned,
    "replaced": lambda state, name, x: state._replace(hyperparams={**state.hyperparams, name: x}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("x", [0.25, 1, np.float32(0.25), jnp.asarray(0.25), jnp.float32(0.25)], ids=str)
def test_a_number_that_is_written_is_used_from_then_on(write, x):
    for name, factor in (("momentum", lambda rate: rate * (1 + float(x))), ("learning_rate", lambda _: float(x) * 1.5)):
        state = written = write(jitted(PARAMS, FIRST, PARAMS)[1], name, x)
        state = state._replace(inner_state=FIRST.inner_state)
        _, state = jitted(PARAMS, state, PARAMS)
        updates, state = jitted(PARAMS, state, PARAMS)
        np.testing.assert_allclose(updates["w"], -factor(float(RATE(2))) * PARAMS["w"], rtol=1e-6)
        assert (optax.tree_utils.tree_get(state.hyperparams, name), state.count) == (float(x), 3)
        assert jax.tree.structure(state) == jax.tree.structure(written)  # for a scan
        assert avals(state)[1] == avals(FIRST)[1]
    again = write(state, "learning_rate", 0.5)
    assert ls.learning_rate(jitted(PARAMS, again, PARAMS)[1]) == 0.5


def test_a_number_stays_in_the_place_of_a_schedule_until_that_is_replaced():
    stairs = ls.Piecewise([0, 2, 4], [0.5, 0.25, 0.125])
    optimizer: Any = ls.scheduled(optax.sgd, live=True)(stairs)
    state, update = optimizer.init(PARAMS), jax.jit(optimizer.update)
    state.hyperparams["learning_rate"] = 0.25
    for _ in range(5):  # it stays when the schedule comes by the same value, and leaves it again
        _, state = update(PARAMS, state, PARAMS)
        assert ls.learning_rate(state) == 0.25
    state = ls.replace_schedule(state, stairs)
    assert ls.learning_rate(update(PARAMS, state, PARAMS)[1]) == 0.125


def test_optax_sets_a_number_and_not_a_schedule():
    assert ls.hyperparameters(optax.tree_utils.tree_set(FIRST, momentum=0.25))["momentum"] == 0.25
    with pytest.raises(ValueError, match=r"expected the state that init gave.* Hint: .*replace_schedule"):
        jitted(PARAMS, optax.tree_utils.tree_set(FIRST, learning_rate=0.25), PARAMS)


def test_bad_values_are_told():
    with pytest.raises(ValueError, match=r"scheduled\(sgd\)\(learning_rate=nan\): expected a number"):
        ls.scheduled(optax.sgd)(float("nan"))
    with pytest.raises(TypeError, match=r"scheduled\(adamw\)\(learning_rate='0\.1'\): expected a number or a schedule"):
        ls.scheduled(optax.adamw)("0.1")  # pyright: ignore
    with pytest.raises(TypeError, match=r"expected an optax transformation from the factory, got 1"):
        ls.scheduled(lambda _: 1)(0.1).init(PARAMS)  # pyright: ignore
    for name, x, kind, told in (
        ("momentun", 0.1, KeyError, "expected the hyperparameters learning_rate, momentum, got 'momentun'"),
        ("momentum", RATE, TypeError, r"expected a number in hyperparams\['momentum'\], got Linear"),
        ("learning_rate", "0.1", TypeError, r"expected a number in hyperparams\['learning_rate'\], got '0.1'"),
        ("momentum", jnp.ones(3), TypeError, r"shape \(3,\)"),
    ):
        with pytest.raises(kind, match=told):
            SGD.update(PARAMS, assigned(FIRST, name, x), PARAMS)


def test_an_nnx_optimizer_trains_with_it():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, SGD, wrt=nnx.Param)
    step = nnx.jit(lambda model, optimizer: optimizer.update(model, nnx.state(model, nnx.Param)))
    step(model, optimizer)
    step(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), RATE(1), rtol=1e-6)
    optimizer.opt_state.hyperparams["momentum"][...] = 0.25
    optimizer.opt_state.hyperparams["learning_rate"][...] = 0.125
    step(model, optimizer)
    step(model, optimizer)
    assert {name: float(x) for name, x in ls.hyperparameters(optimizer).items()} == {"learning_rate": 0.125, "momentum": 0.25}
