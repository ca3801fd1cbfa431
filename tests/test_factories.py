"""`scheduled` takes every factory and every argument, and its state is one that optax, flax and JAX take."""

import copy
import functools
import inspect
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import bits, relaxed

import lrsched as ls
from lrsched.factories import Hyperparameters

PARAMS: Any = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
RATE = ls.Linear(0.1, 0.0, 10)
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def _relaxed():
    with relaxed():  # optax mixes types
        yield


def gradients(params, t=0.0):
    return jax.tree.map(lambda x: (0.3 * jnp.sin(x.astype(jnp.float32) * (t + 1))).astype(x.dtype), params)


def trained(optimizer: Any, params: Any = PARAMS, steps=6, **observations) -> Any:
    """The parameters and the state after a few updates in one compiled scan."""

    def body(carry, t):
        params, state = carry
        updates, state = optimizer.update(gradients(params, t), state, params, **observations)
        assert [x.dtype for x in jax.tree.leaves(updates)] == [x.dtype for x in jax.tree.leaves(params)]
        return (optax.apply_updates(params, updates), state), None

    start = (params, optimizer.init(params))
    return jax.jit(lambda x: jax.lax.scan(body, x, jnp.arange(float(steps)))[0])(start)


def avals(tree):
    return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in jax.tree.leaves(tree)]


def recorded(optimizer: Any, params: Any = PARAMS, steps=3) -> dict[str, float]:
    return {name: round(float(x), 6) for name, x in trained(optimizer, params, steps)[1].hyperparams.items()}


# Factories.


def by_keywords(learning_rate, **others):
    return optax.adamw(learning_rate, **others)


def by_position(*numbers):
    return optax.chain(optax.trace(numbers[1]), optax.scale(-numbers[0]))


def in_strings(rate: "optax.ScalarOrSchedule", size: "int" = 2, scale: "float | None" = None):
    assert isinstance(size, int)
    return optax.chain(optax.scale(1.0 if scale is None else scale), optax.sgd(rate))


class Transform(NamedTuple):
    init: Any
    update: Any


class Optimizer:
    def __init__(self, rate: float, /, *, decay=0.0):
        inner = optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate))
        self.init, self.update = inner.init, inner.update


def with_transform(inner, rate):
    return optax.chain(inner, optax.scale_by_learning_rate(rate))


HALF = ls.Linear(1.0, 0.0, 4)  # 0.5 at the third update
FACTORIES = {
    "keywords": (by_keywords, (RATE,), {"b1": HALF, "eps": 0.25}, {"learning_rate": 0.08, "b1": 0.5, "eps": 0.25}),
    "positions": (by_position, (RATE, 0.25), {}, {"numbers[0]": 0.08, "numbers[1]": 0.25}),
    "partial": (functools.partial(optax.adamw, b1=HALF, b2=0.25), (RATE,), {}, {"learning_rate": 0.08, "b1": 0.5, "b2": 0.25}),
    "partial by position": (functools.partial(optax.sgd, RATE), (HALF,), {}, {"learning_rate": 0.08, "momentum": 0.5}),
    "lambda": (lambda rate, m=0.5: optax.sgd(rate, m), (RATE,), {"m": HALF}, {"rate": 0.08, "m": 0.5}),
    "default": (lambda rate=RATE, m=0.5: optax.sgd(rate, m), (), {}, {"rate": 0.08}),
    "class": (Optimizer, (RATE,), {"decay": 0.25}, {"rate": 0.08, "decay": 0.25}),
    "strings": (in_strings, (1,), {"size": 3, "scale": HALF}, {"rate": 1.0, "scale": 0.5}),
    "a transform": (with_transform, (optax.scale_by_adam(), RATE), {}, {"rate": 0.08}),
    "MultiSteps": (lambda rate: optax.MultiSteps(optax.adam(rate), 2), (RATE,), {}, {"rate": 0.08}),
    "a schedule inside": (optax.scale_by_schedule, (RATE,), {}, {"step_size_fn": 0.08}),
    "variable": (optax.sgd, (nnx.Variable(jnp.float32(0.25)),), {"momentum": RATE}, {"learning_rate": 0.25, "momentum": 0.08}),
    "dtype, mask": (
        by_keywords,
        (RATE,),
        {"mu_dtype": jnp.bfloat16, "mask": lambda params: jax.tree.map(lambda x: x.ndim > 1, params)},
        {"learning_rate": 0.08},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FACTORIES)
def test_every_kind_of_factory(name):
    factory, args, kwargs, expected = FACTORIES[name]
    assert recorded(ls.scheduled(factory)(*args, **kwargs)) == expected


def test_it_trains_with_what_it_records():
    params, _ = trained(ls.scheduled(functools.partial(by_keywords, b1=0.5))(RATE, weight_decay=0.25), steps=1)
    expected, _ = trained(optax.adamw(0.1, b1=0.5, weight_decay=0.25), steps=1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, expected)
    assert trained(ls.scheduled(optax.sgd)(RATE), steps=3)[1].count == 3


def test_lookahead_inside():
    params: Any = optax.LookaheadParams.init_synced(PARAMS)
    optimizer = ls.scheduled(lambda rate: optax.lookahead(optax.sgd(rate), 2, 0.5))(RATE)
    state = optimizer.init(params)
    for t in range(3):
        updates, state = optimizer.update(gradients(PARAMS, t), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(ls.hyperparameters(state)["rate"], RATE(2))
    assert not np.array_equal(params.fast["w"], params.slow["w"])


def test_what_is_observed_reaches_everything_inside():
    inside = ls.reduce_on_plateau(0.5, patience=0)

    def factory(rate) -> Any:
        return optax.MultiSteps(optax.chain(optax.sgd(rate), ls.scale_by_learning_rate(inside)), 1)

    optimizer = ls.scheduled(factory)(0.1 * ls.reduce_on_plateau(0.5, patience=1))
    _, state = trained(optimizer, steps=3, value=1.0)
    np.testing.assert_allclose(state.hyperparams["rate"], 0.1)
    np.testing.assert_allclose(ls.learning_rate(state.inner_state), 0.5)
    _, state = trained(optimizer, steps=4, value=1.0)
    np.testing.assert_allclose(state.hyperparams["rate"], 0.05)


# Arguments.

TABLE = jnp.array([0.1, 0.2, 0.3, 0.4])
MASK = {"w": True, "b": False}


def unannotated(x, size=2, flag=False, rate=0.1, function=jnp.tanh):
    del flag, function, size
    return optax.sgd(rate if callable(x) or isinstance(x, (int, str, tuple, type(None))) else x)


ARGUMENTS = {
    # what is recorded of (value, where it is given)
    "int": (5, None),
    "float": (0.5, 0.5),
    "numpy": (np.float64(0.5), 0.5),
    "bfloat16": (jnp.bfloat16(0.5), 0.5),
    "ml_dtypes": (np.asarray(0.5, jnp.bfloat16)[()], 0.5),
    "array": (jnp.float32(0.5), 0.5),
    "None": (None, None),
    "string": ("a", None),
    "tuple": ((0.1, 0.2), None),
    "optax": (optax.linear_schedule(1.0, 0.0, 4), 0.5),
    "step": (lambda t: 1.0 - 0.25 * t, 0.5),
    "constant": (lambda _: 0.5, 0.5),
    "table of counts": (lambda count: TABLE[count], 0.3),
    "mask": (lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree), None),
    "preconditioner": (lambda tree: jax.tree.map(lambda x: 2.0 * x, tree), None),
    "norm": (optax.global_norm, None),
    "labels": (lambda tree: jax.tree.map(lambda _: "a", tree), None),
    "dtype": (jnp.bfloat16, None),
    "several arguments": (lambda a, b: a + b, None),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_without_annotation(name):
    value, expected = ARGUMENTS[name]
    assert recorded(ls.scheduled(unannotated)(value)) == ({} if expected is None else {"x": expected})


def annotated(annotation, default=None):
    """A factory whose argument `x` has this annotation, and that asserts nothing about it."""

    def factory(x=default):
        del x
        return optax.sgd(0.1)

    factory.__annotations__ = {} if annotation is None else {"x": annotation}
    return factory


Rate = float | None


def scalar(x):  # of a step or of a scalar: nothing says which
    return 0.5 * x


@pytest.mark.parametrize(
    ("annotation", "takes_callables", "takes_ints"),
    [
        ("float", True, True),
        (float | None, True, True),
        ("Optional[float]", True, True),
        ("base.ScalarOrSchedule", True, True),
        ("Rate", True, True),
        (optax.ScalarOrSchedule, True, True),
        (optax.Schedule, True, True),
        ("jax.typing.ArrayLike", True, False),
        (jax.typing.ArrayLike, True, False),
        ("typing.Annotated[float, 'a rate']", True, True),
        ("int", False, False),
        ("Callable[[jax.Array], jax.Array]", False, False),
        ("Optional[Union[Any, Callable[[base.Params], Any]]]", False, False),
        ("bool", False, False),
        ("list[float]", False, False),
        ("Any", True, False),
        (None, True, False),
    ],
    ids=str,
)
def test_the_annotation_says_what_belongs_there(annotation, takes_callables, takes_ints):
    factory = ls.scheduled(annotated(annotation))
    assert ("x" in factory(scalar).init(PARAMS).hyperparams) == takes_callables  # pyright: ignore
    assert ("x" in factory(3).init(PARAMS).hyperparams) == takes_ints  # pyright: ignore
    assert "x" in factory(0.5).init(PARAMS).hyperparams  # pyright: ignore
    assert "x" in factory(RATE).init(PARAMS).hyperparams  # pyright: ignore


def test_where_both_a_number_and_a_function_belong_the_function_decides():
    factory: Any = ls.scheduled(annotated("float | Callable[[optax.Params], optax.Params]"))
    assert "x" in factory(scalar).init(PARAMS).hyperparams
    assert "x" not in factory(lambda tree: jax.tree.map(lambda x: 2.0 * x, tree)).init(PARAMS).hyperparams


def test_the_default_says_what_belongs_there():
    for default, takes_callables, takes_ints in (
        (0.1, True, True),
        (3, True, False),
        (True, False, False),
        (scalar, False, False),
    ):
        factory: Any = ls.scheduled(annotated(None, default))
        assert ("x" in factory(scalar).init(PARAMS).hyperparams) == takes_callables
        assert ("x" in factory(3).init(PARAMS).hyperparams) == takes_ints


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        (optax.noisy_sgd, {"key": jax.random.key(0)}),
        (optax.noisy_sgd, {"key": 0}),
        (optax.contrib.dpsgd, {"l2_norm_clip": 1.0, "noise_multiplier": 0.5, "seed": 0}),
    ],
    ids=["noisy_sgd, key", "noisy_sgd, seed", "dpsgd"],
)
@pytest.mark.filterwarnings("ignore:.seed. is deprecated")
def test_keys_go_to_the_factory_and_stay_in_the_state(factory, arguments):
    params = PARAMS if factory is optax.noisy_sgd else {"b": jnp.ones(3)}
    optimizer: Any = ls.scheduled(factory)(RATE, **arguments)
    theirs: Any = factory(RATE(0), **arguments)
    grads = gradients(params) if factory is optax.noisy_sgd else {"b": jnp.ones((2, 3))}
    ours, state = optimizer.update(grads, optimizer.init(params), params)
    expected, inner = theirs.update(grads, theirs.init(params), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, expected)
    assert [x.dtype for x in jax.tree.leaves(state.inner_state)] == [x.dtype for x in jax.tree.leaves(inner)]


def test_static_arguments_and_the_type_are_as_in_optax():
    optimizer: Any = ls.scheduled(by_keywords, static_args=("weight_decay", "eps"))(RATE, weight_decay=0.1, eps=1e-6, b1=0.5)
    assert set(optimizer.init(PARAMS).hyperparams) == {"learning_rate", "b1"}
    given = []
    for dtype in (None, jnp.float32):
        ls.scheduled(lambda rate: given.append(rate) or optax.sgd(rate), (), dtype)(RATE).init(PARAMS)
    assert [(x.dtype, x.weak_type) for x in given] == [(np.float32, True), (np.float32, False)]
    optimizer = ls.scheduled(optax.adamw, "weight_decay", jnp.bfloat16)(RATE, b1=0.5)
    params, state = trained(optimizer)
    assert {x.dtype for x in state.hyperparams.values()} == {np.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype(jnp.float32)}
    with pytest.raises(ValueError, match=r"scheduled\(adamw\): expected static_args among learning_rate, .* got rate$"):
        ls.scheduled(optax.adamw, static_args="rate")


def test_bad_values_are_told():
    with pytest.raises(ValueError, match=r"scheduled\(sgd\)\(learning_rate=\.\.\.\): expected a number, got nan"):
        ls.scheduled(optax.sgd)(float("nan"))
    with pytest.raises(TypeError, match=r"expected an optax transformation from the factory, got 0"):
        ls.scheduled(int)(0.1).init(PARAMS)  # pyright: ignore


# Types, memory and buffers.


TWINS = [
    (optax.adamw, {"b1": 0.8, "b2": 0.99, "weight_decay": 0.3}),
    (optax.lion, {"b1": 0.7}),
    (optax.lamb, {"weight_decay": 0.3}),
    (optax.novograd, {"b1": 0.7}),
    (optax.adagrad, {"initial_accumulator_value": 0.3}),
    (optax.sm3, {"momentum": 0.7}),
]
STRICT = [(optax.lion, {"b1": 0.7}), (optax.sgd, {"momentum": 0.7})]  # what optax itself can do under strict promotion


@pytest.mark.parametrize(
    ("factory", "arguments", "promotion"), [*((*twin, "standard") for twin in TWINS), *((*twin, "strict") for twin in STRICT)]
)
def test_on_bfloat16_it_is_the_optimizer_of_optax(factory, arguments, promotion):
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    with jax.numpy_dtype_promotion(promotion):
        expected, theirs = trained(factory(0.03, **arguments), params)
        after, state = trained(ls.scheduled(factory)(0.03, **arguments), params)
    assert [bits(x) for x in jax.tree.leaves(after)] == [bits(x) for x in jax.tree.leaves(expected)]
    assert avals(state.inner_state) == avals(theirs)


def test_nothing_of_the_size_of_the_parameters_is_widened():
    params = {"w": jnp.ones((8, 128), jnp.bfloat16)}
    optimizer = ls.scheduled(optax.adamw)(RATE, b1=0.9, weight_decay=0.1 * RATE)
    jaxpr = str(jax.make_jaxpr(optimizer.update)(params, optimizer.init(params), params))
    assert "bf16[8,128]" in jaxpr
    assert "f32[8,128]" not in jaxpr.replace("bf16[8,128]", "")


STATES = {
    "adamw": lambda: ls.scheduled(optax.adamw)(RATE, b1=jnp.float32(0.9), weight_decay=0.1),
    "live": lambda: ls.scheduled(optax.adamw, live=True)(RATE, b1=0.9, weight_decay=0.1 * RATE),
    "key": lambda: ls.scheduled(optax.noisy_sgd)(RATE, key=KEY),
    "closure": lambda: ls.scheduled(lambda rate: optax.chain(optax.add_noise(0.1, 0.5, KEY), optax.sgd(rate)))(RATE),
    "aliases": lambda: ls.scheduled(aliasing)(RATE),
    "schedule-free": lambda: ls.scheduled(optax.contrib.schedule_free_sgd)(0.1),
}


def aliasing(rate):
    """A transformation whose first state holds the parameters, one array twice, and a number of Python's type."""

    def init(params):
        twice = jnp.zeros(100)
        return {"params": params, "a": twice, "b": twice, "weak": jnp.asarray(0.0), "rate": rate}

    def update(updates, state, params=None):
        del params
        return jax.tree.map(lambda u: -rate * u, updates), {**state, "weak": jnp.asarray(1.0), "rate": rate}

    return optax.GradientTransformation(init, update)


@pytest.mark.parametrize("name", STATES)
def test_a_first_state_can_be_donated_and_keeps_its_types(name):
    optimizer = STATES[name]()
    first = optimizer.init(PARAMS)
    assert not any(getattr(x, "weak_type", False) for x in jax.tree.leaves(first))
    assert avals(trained(optimizer)[1]) == avals(first)
    update = jax.jit(optimizer.update, donate_argnums=1)
    for init in (optimizer.init, optimizer.init, jax.jit(optimizer.init)):  # twice: the first deletes what it shares
        _, state = update(gradients(PARAMS), init(PARAMS), PARAMS)
        update(gradients(PARAMS), state, PARAMS)
    assert not any(x.is_deleted() for x in jax.tree.leaves((PARAMS, KEY)))
    assert jax.tree.structure(jax.eval_shape(optimizer.init, PARAMS)) == jax.tree.structure(first)


def test_rates_are_mapped_and_differentiated():
    @jax.vmap
    def after(rate):
        optimizer = ls.scheduled(optax.sgd)(rate * ls.Linear(1.0, 0.0, 10), momentum=0.9)
        return optax.apply_updates(PARAMS, optimizer.update(PARAMS, optimizer.init(PARAMS))[0])

    values: Any = jax.jit(after)(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(values["b"], [[0.9] * 3, [0.8] * 3], rtol=1e-6)
    gradient = jax.grad(lambda r: one_step(ls.scheduled(optax.sgd)(r * ls.Constant(1.0)))["b"][0])
    np.testing.assert_allclose(gradient(0.1), -1.0)


def one_step(optimizer: Any) -> Any:
    return optimizer.update(PARAMS, optimizer.init(PARAMS))[0]


# Writes.

WRITTEN = r"hyperparameter follows a schedule.*replace_schedule\(state, new, \"learning_rate\"\)"


@pytest.fixture(scope="module")
def optimizer() -> Any:
    with relaxed():
        return ls.scheduled(optax.sgd)(RATE, momentum=0.5)


@pytest.mark.parametrize("jit", [False, True])
def test_a_number_that_is_written_is_used(optimizer, jit):
    update = jax.jit(optimizer.update) if jit else optimizer.update
    theirs: Any = optax.inject_hyperparams(optax.sgd)(RATE, momentum=0.5)

    def by_item(state, x):
        state = state._replace(hyperparams=copy.copy(state.hyperparams))
        state.hyperparams["momentum"] = x
        return state

    for write in (
        by_item,
        lambda state, x: optax.tree_utils.tree_set(state, momentum=x),
        lambda state, x: state._replace(hyperparams=state.hyperparams | {"momentum": x}),
        lambda state, x: state._replace(hyperparams={**state.hyperparams, "momentum": x}),
    ):
        for x in (0.25, 1, np.float32(0.25), jnp.asarray(0.25)):
            ours, expected, states = {}, {}, [optimizer.init(PARAMS), theirs.init(PARAMS)]
            for _ in range(2):
                written = write(states[0], x)
                ours, states[0] = update(PARAMS, written, PARAMS)
                assert jax.tree.structure(states[0]) == jax.tree.structure(written)  # for a scan
                expected, states[1] = theirs.update(PARAMS, write(states[1], x), PARAMS)
            np.testing.assert_allclose(ours["w"], expected["w"], rtol=1e-6)
            assert states[0].hyperparams["momentum"] == float(x)
            assert states[0].hyperparams["momentum"].dtype == jnp.float32
            assert avals(states[0])[1] == avals(optimizer.init(PARAMS))[1]


def test_a_write_over_a_schedule_raises(optimizer):
    state = optimizer.init(PARAMS)
    for write in (
        lambda h: h.__setitem__("learning_rate", 0.2),
        lambda h: h.update(momentum=0.2, learning_rate=0.2),
        lambda h: h | {"learning_rate": 0.2},
        lambda h: h.__ior__({"learning_rate": jnp.float32(0.2)}),
        lambda h: jax.tree.map(lambda x: x, h).__setitem__("learning_rate", 0.2),
    ):
        with pytest.raises(TypeError, match=WRITTEN):
            write(copy.copy(state.hyperparams))
    with pytest.raises(KeyError, match="among learning_rate, momentum, got momentun"):
        state.hyperparams["momentun"] = 0.1


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("value", [0.2, 1, np.float32(0.2), jnp.asarray(0.2)], ids=["float", "int", "numpy", "array"])
def test_a_write_over_a_schedule_by_tree_set_raises(optimizer, jit, value):
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state = optax.tree_utils.tree_set(optimizer.init(PARAMS), learning_rate=value)
    with pytest.raises(TypeError, match=WRITTEN):
        update(PARAMS, state, PARAMS)


def test_a_number_in_the_state_that_cannot_be_used_raises(optimizer):
    state = optimizer.init(PARAMS)
    for wrong, error, text in (
        ({"momentum": RATE}, TypeError, r"expected a number in hyperparams\['momentum'\], got Linear.*momentum=\.\.\."),
        ({"momentum": jnp.ones(3)}, ValueError, r"expected a scalar in hyperparams\['momentum'\], got the shape \(3,\)"),
        ({"learning_rate": 0.2}, TypeError, WRITTEN),
        ({"momentun": 0.2}, ValueError, "expected the hyperparameters learning_rate, momentum in the state, got .*momentun"),
    ):
        with pytest.raises(error, match=text):
            optimizer.update(PARAMS, state._replace(hyperparams={**state.hyperparams, **wrong}), PARAMS)


# Containers.


@pytest.mark.parametrize(
    "through",
    [
        copy.copy,
        copy.deepcopy,
        lambda h: pickle.loads(pickle.dumps(h)),
        lambda h: jax.tree.map(lambda x: x, h),
        lambda h: h.copy(),
        lambda h: flax.serialization.from_bytes(h, flax.serialization.to_bytes(h)),
        lambda h: flax.serialization.from_state_dict(h, flax.serialization.to_state_dict(h)),
        lambda h: jax.jit(lambda x: x)(h),
    ],
    ids=["copy", "deepcopy", "pickle", "tree.map", "dict.copy", "flax bytes", "flax dict", "jit"],
)
def test_hyperparameters_go_through_unchanged(optimizer, through):
    before = optimizer.init(PARAMS).hyperparams
    after = through(before)
    assert type(after) is Hyperparameters
    assert jax.tree.structure(after) == jax.tree.structure(before)
    assert after == before


def test_optax_finds_its_way_in_the_state(optimizer):
    state = optimizer.init(PARAMS)
    assert optax.tree_utils.tree_get(state, "momentum") == 0.5
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert ".hyperparams['learning_rate']" in paths
    doubled: Any = optax.tree_map_params(optimizer, lambda x: x + 1.0, state)
    assert jax.tree.structure(doubled) == jax.tree.structure(state)
    assert doubled.hyperparams == state.hyperparams
    assert jax.tree.structure(jax.device_get(state)) == jax.tree.structure(state)


def test_an_nnx_optimizer_trains_with_it():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, ls.scheduled(optax.sgd)(RATE, momentum=0.5), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 2)))))(model))

    for _ in range(3):
        step(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), RATE(2), rtol=1e-6)


# Type checkers.

TYPED = """
import optax
import lrsched as ls

rate = ls.one_cycle(0.1, 100)
ls.scheduled(optax.adamw)(rate, b1=ls.one_cycle_momentum(100), weight_decay=0.1 * rate).init({})
ls.scheduled(optax.sgd, live=True)(1e-3, momentum=0.9, nesterov=True)
ls.init(0.1 * rate)
(1 - rate * 2).take(3)(4)
ls.scheduled(optax.adamw)(rate, wieght_decay=0.1)  # wrong
ls.scheduled(optax.adamw)(b1=0.9)  # wrong
ls.scheduled(optax.adamw)(rate, nesterov="yes")  # wrong
"""


def test_a_type_checker_knows_the_arguments(tmp_path):
    pyright = shutil.which("pyright") or shutil.which("pyright", path=Path(sys.executable).parent)
    if pyright is None:
        pytest.skip("pyright is not installed: it is in the extra `dev`")
    if inspect.signature(optax.adamw).parameters["b1"].annotation is float:
        pytest.skip("this optax annotates float, which a schedule is not")
    (tmp_path / "typed.py").write_text(TYPED)
    root = Path(ls.__file__).parents[1]
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{root}"]}}')
    command = [pyright, "-p", str(tmp_path), "--pythonpath", sys.executable]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    lines = TYPED.split("\n")
    errors = [int(line.split(":")[1]) for line in found.split("\n") if " - error:" in line]
    assert [lines[i - 1] for i in errors] == [line for line in lines if line.endswith("# wrong")], found
    assert 'No parameter named "wieght_decay"' in found
