"""`scheduled` takes every factory and every argument, and its state is one that optax, flax and JAX take."""

import copy
import functools
import inspect
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    "default": (lambda rate=RATE, m=0.5: optax.sgd(rate, m), (), {}, {"rate": 0.1}),
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
    with pytest.raises(ValueError, match=r"scheduled\(adamw\): expected static_args among learning_rate, .* got rate$"):
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


WRITTEN = r"replace_schedule\(state, new"
SGD: Any = ls.scheduled(optax.sgd)(RATE, momentum=0.5)
FIRST = SGD.init(PARAMS)
jitted = jax.jit(SGD.update)


def by_method(write):
    write(hyperparams := copy.copy(FIRST.hyperparams))
    return FIRST._replace(hyperparams=hyperparams)


@pytest.mark.parametrize("x", [0.25, 1, np.float32(0.25), jnp.asarray(0.25)], ids=["float", "int", "numpy", "weak"])
def test_a_number_that_is_written_is_used(x):
    for written in (
        by_method(lambda h: h.update(momentum=x)),
        optax.tree_utils.tree_set(FIRST, momentum=x),
        FIRST._replace(hyperparams=FIRST.hyperparams | {"momentum": x}),
    ):
        _, state = jitted(PARAMS, written, PARAMS)
        updates, state = jitted(PARAMS, state, PARAMS)
        np.testing.assert_allclose(updates["w"], -RATE(1) * (1 + float(x)) * PARAMS["w"], rtol=1e-6)
        assert (optax.tree_utils.tree_get(state, "momentum"), state.count) == (float(x), 2)
        assert jax.tree.structure(state) == jax.tree.structure(written)  # for a scan
        assert avals(state)[1] == avals(FIRST)[1]


@pytest.mark.parametrize("x", [0.2, 1, np.float32(0.2), jnp.float32(0.2)], ids=["float", "int", "numpy", "array"])
def test_a_write_over_a_schedule_raises(x):
    for write in (
        lambda h: h.__setitem__("learning_rate", x),
        lambda h: h.update(momentum=x, learning_rate=x),
        lambda h: h.__ior__({"learning_rate": x}),
    ):
        with pytest.raises(TypeError, match=WRITTEN):
            by_method(write)
    written: Any = [optax.tree_utils.tree_set(FIRST, learning_rate=x)]
    if not hasattr(x, "dtype"):  # an array in a copy cannot be told from the one that was there
        written += [FIRST._replace(hyperparams=FIRST.hyperparams | {"learning_rate": x})]
    for state in written:
        with pytest.raises(TypeError, match=WRITTEN):
            jitted(PARAMS, state, PARAMS)


def test_bad_values_are_told():
    with pytest.raises(ValueError, match=r"scheduled\(sgd\)\(learning_rate=\.\.\.\): expected a number, got nan"):
        ls.scheduled(optax.sgd)(float("nan"))
    with pytest.raises(TypeError, match=r"expected an optax transformation from the factory, got 1"):
        ls.scheduled(lambda _: 1)(0.1).init(PARAMS)  # pyright: ignore
    with pytest.raises(KeyError, match="among learning_rate, momentum, got momentun"):
        FIRST.hyperparams["momentun"] = 0.1
    with pytest.raises(TypeError, match=r"hyperparams\['momentum'\].*expected a number, got Linear.* Hint: give it to the fac"):
        FIRST.hyperparams["momentum"] = RATE
    with pytest.raises(TypeError, match=r"shape \(3,\)"):
        SGD.update(PARAMS, optax.tree_utils.tree_set(FIRST, momentum=jnp.ones(3)), PARAMS)


THROUGH: Any = [copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h)), jax.jit(lambda h: h)]
THROUGH += [lambda _: optax.tree_map_params(SGD, lambda x: x + 1.0, FIRST).hyperparams]  # pyright: ignore[reportAttributeAccessIssue]
THROUGH += [lambda h: flax.serialization.from_bytes(h, flax.serialization.to_bytes(h))]


@pytest.mark.parametrize("through", THROUGH, ids=["copy", "deepcopy", "pickle", "jit", "optax", "flax"])
def test_hyperparameters_go_through_unchanged(through):
    after = through(FIRST.hyperparams)
    assert type(after) is Hyperparameters
    assert (after, jax.tree.structure(after)) == (FIRST.hyperparams, jax.tree.structure(FIRST.hyperparams))


def test_an_nnx_optimizer_trains_with_it():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, SGD, wrt=nnx.Param)
    step = nnx.jit(lambda model, optimizer: optimizer.update(model, nnx.state(model, nnx.Param)))
    step(model, optimizer)
    step(model, optimizer)
    np.testing.assert_allclose(ls.learning_rate(optimizer), RATE(1), rtol=1e-6)


TYPED = """
import optax
import lrsched as ls
rate = ls.one_cycle(0.1, 100)
ls.scheduled(optax.adamw)(rate, b1=ls.one_cycle_momentum(100), weight_decay=0.1 * rate).init({})
ls.scheduled(optax.sgd, live=True)(1e-3, momentum=0.9, nesterov=True)
ls.scheduled(optax.adamw)(rate, wieght_decay=0.1)  # wrong
ls.scheduled(optax.adamw)(b1=0.9)  # wrong
ls.scheduled(optax.adamw)(rate, nesterov="yes")  # wrong
"""


def test_a_type_checker_knows_the_arguments(tmp_path):
    pyright = shutil.which("pyright") or shutil.which("pyright", path=Path(sys.executable).parent)
    if pyright is None or inspect.signature(optax.adamw).parameters["b1"].annotation is float:
        pytest.skip("needs pyright, of the extra `dev`, and an optax that does not annotate float, which a schedule is not")
    (tmp_path / "typed.py").write_text(TYPED)
    root = Path(ls.__file__).parents[1]
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{root}"]}}')
    command = [pyright, "-p", str(tmp_path), "--pythonpath", sys.executable]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    lines = TYPED.split("\n")
    errors = [int(line.split(":")[1]) for line in found.split("\n") if " - error:" in line]
    assert [lines[i - 1] for i in errors] == [line for line in lines if line.endswith("# wrong")], found
    assert 'No parameter named "wieght_decay"' in found
