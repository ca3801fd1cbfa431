"""A schedule prints as its expression, and is read from its text and from JSON; hostile text is refused."""

import copy
import dataclasses
import functools
import json
import pickle
import re
import sys
from typing import Any

import flax.serialization
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT, refused
from hypothesis import given
from nested import schedules
from omegaconf import OmegaConf
from signatures import FEW, nodes, rising
from torch_cases import WITHOUT_FUNCTIONS

import lrsched as ls
from lrsched.algebra import written
from lrsched.algebra.shapes import Function
from lrsched.dialects import keras, optax, timm, torch, transformers
from lrsched.dialects.stateful import Stateful
from lrsched.training.live import packed

NAMES = {**vars(torch), **vars(ls), "rising": rising}
NAMES |= {"keras": keras, "optax": optax, "timm": timm, "transformers": transformers}
TORCH = [*WITHOUT_FUNCTIONS, torch.ReduceLROnPlateau(0.1, patience=1), WITHOUT_FUNCTIONS[-1].composed]
OTHERS = [  # batches, tables, and odd numbers
    ls.grid(ls.warmup_cosine, peak=[0.1, 1 / 3], warmup_steps=[0, 7], steps=100)[0],
    ls.stack([ls.Linear(0.0, 1.0, 10), ls.reduce_on_plateau()]),
    ls.stack([ls.Piecewise([0, 10], [1.0, 0.1]), ls.Piecewise([0, 20], [1.0, 0.2])]),
    ls.join([ls.Linear(0.0, 1.0, 10)] * 300, [10 * i for i in range(1, 300)]),
    ls.Constant(0.1, 0),
    ls.Linear(5e-324, -0.0, 1e20),
    ls.get_schedule(ls.scale_by_learning_rate(ls.Linear(0.1, 0.2, 1 / 3), live=True).init(jnp.ones(3))),
]

EVERY: Any = {**{str(call): call.make() for call in FEW}, **{repr(s)[:100]: s for s in [*TORCH, *OTHERS]}}


def read_json(text: str) -> ls.Schedule:
    return ls.from_dict(json.loads(text))


def through_json(s: ls.Schedule) -> ls.Schedule:
    return read_json(json.dumps(ls.to_dict(s), indent=2, allow_nan=False))


def has_function(s: Any) -> bool:
    return any(isinstance(one, Function) for one in nodes(s))


@pytest.mark.parametrize("name", EVERY)
def test_every_node_comes_back(name):
    """From its text, from JSON and pickle, and as the numbers of a state from flax; and a checkpoint knows it again."""
    s = EVERY[name]
    assert ls.resume(ls.describe(s), s) is s
    if not s.batch_shape and len(nodes(s)) < 100:
        state = packed(s)
        back = flax.serialization.from_bytes(state, flax.serialization.to_bytes(state))
        assert jax.tree.all(jax.tree.map(np.array_equal, back, state))
        assert ls.resume(ls.describe(ls.get_schedule(ls.scale_by_learning_rate(s, live=True).init(()))), s) is s
    assert eval(repr(s), NAMES) == s
    assert has_function(s) or ls.parse(repr(s)) == s
    assert pickle.loads(pickle.dumps(s)) == copy.deepcopy(s) == s
    assert has_function(s) or through_json(s) == s


def test_every_class_of_nodes_has_a_name():
    ours = {cls for cls in written.NAMES.values() if isinstance(cls, type) and cls.__module__.startswith("lrsched.")}
    made = {type(one) for s in EVERY.values() for one in nodes(s)} & ours
    bases = {base for cls in ours for base in cls.__mro__[1:]}
    assert ours - made - bases == {torch.LambdaLR, torch.MultiplicativeLR, Stateful}  # which hold functions
    assert all(written.NAMES[cls.__name__] is cls for cls in ours)


def test_nodes_of_ones_own_have_their_names():
    @ls.node
    class Mine(ls.Schedule):
        value: float = ls.leaf()

    s = 2 * Mine(1.0)
    assert ls.parse(repr(s)) == through_json(s) == s

    @ls.node
    class Linear(ls.Clock):
        pass

    assert ls.parse("Linear(0, 1, 2)") == ls.Linear(0, 1, 2)
    with pytest.raises(ValueError, match="expected one class of nodes called Linear, got two"):
        ls.to_dict(ls.Time().on(Linear()))


@given(schedules)
def test_nested_schedules_come_back(s):
    if has_function(s):
        with pytest.raises(ValueError, match="expected no functions, which JSON cannot hold, got inverse_time in a Function"):
            ls.to_dict(s)
        with pytest.raises(ValueError, match="got the name inverse_time"):
            ls.parse(repr(s))
        return
    back = through_json(s)
    assert back == s == ls.parse(repr(s))
    assert (jax.tree.structure(back), repr(back)) == (jax.tree.structure(s), repr(s))


TEXTS = """
    Constant(0.1) | Constant(0.1, 0) | Cosine(1.0, 0.0, 2.5) | Linear([0.0, 1.0], [1.0, 1.0], [5, 10])
    Piecewise([0, 10], [1.0, 0.1]) | Piecewise([0, 10], [1.0, 0.1], 'linear')
    Linear(0.0, 0.001, 500) >> Cosine(0.001, 1e-05, 9500) | Linear(0.0, 1.0, 5) >> Linear(1.0, 0.0, 5) * 2.0 >> Time()
    (Linear(0.0, 1.0, 5) >> Time()) * 2.0 | Time() - Time() - Time() | Time() - (Time() - Time())
    Time() / (Time() * Time()) / Time() | Time() + Time() * Time() | (Time() + Time()) * -Time() | -(Time() + 1.0) | --Time()
    1.0 - Time() | Time() * Constant(-2.0) | Time() * -2.0 | 1.0 + Constant(2.0, 5) | Time() @ (Time() @ Time())
    Time() @ Time() @ Time() | Time() * 2.0 @ (Time() / 2.0) | minimum(Time(), 3.0)
    (Time() + 1.0).take(5).drop(2).delay(3).stretch(2).staircase(4).reverse() | Linear(0.0, 1.0, 5).repeat()
    Linear(0.0, 1.0, 5).repeat(3, stretch=2.0, scale=0.5) | (Linear(0.0, 1.0, 5) >> Constant(1.0, 0)).repeat(3)
    Exponential(1.0, 0.5).on(Plateau()) | Exponential(1.0, 0.5).on(Plateau('max', 3, 0.5, cooldown=2, monitor='score'))
    Linear(0.0, 1.0, 5).on(Steps()) | Linear(0.0, 1.0, 5).on(Since(Counter('tokens')))
    warmup_cosine(0.0003, 1000, 100000) | warmup_cosine(0.0003, 1000, steps=100000, end=1e-05) | noam(512.0, 4000).drop(1)
    0.1 * reduce_on_plateau(factor=0.5, monitor='loss') | ReduceLROnPlateau(0.1, patience=5) | multi_step(0.1, [30, 60], 0.1)
    -one_cycle(0.1, 100, anneal='linear', three_phase=True) * 2.0 | keras.CosineDecay(0.1, 100, alpha=0.1)
    wsd(1.0, 0, 100, 20) >> warmup_cosine(1.0, 10, 100) >> Constant(0.1) | timm.MultiStepLRScheduler(0.1, [30, 60], warmup_t=5)
    transformers.get_scheduler('cosine', 0.001, 100, num_training_steps=1000) * 0.5
    optax.piecewise_constant_schedule(0.1, {30: 0.1, 60: 0.5}) | monotone(1.0, 30, 5, points=4)
"""


@pytest.mark.parametrize("text", [text.strip() for line in TEXTS.strip().split("\n") for text in line.split(" | ")])
def test_prints_as_written(text):
    """A recipe as its call, until it is expanded."""
    s = eval(text, NAMES)
    assert repr(s) == text
    assert ls.parse(text) == s
    expanded = ls.expanded(s)
    assert (expanded, hash(expanded), jax.tree.structure(expanded)) == (s, hash(s), jax.tree.structure(s))
    assert not re.search("warmup|reduce|multi|mono|noam|one_cycle|LR|wsd|keras|optax|transformers", repr(expanded))


def test_expressions_of_people_are_read():
    text = " warmup_cosine(1e-3, warmup_steps=10,\n    steps=100).clip(low=1e-5, high=1) * +2 "
    assert ls.parse(text) == ls.warmup_cosine(1e-3, 10, 100).clip(1e-5, 1) * 2
    assert ls.parse("ls.Linear(3e-4, 0, 10**5) >> lrsched.Constant(2**-3)") == ls.Linear(3e-4, 0, 100_000) >> 0.125
    assert ls.parse("Linear(0, 1, round(0.3 * 500)) >> int(2e3) // 3") == ls.Linear(0, 1, 150) >> 666
    assert ls.parse("1e-3") == ls.Constant(1e-3)
    for prefix in ("ls.dialects.torch.", "lrsched.dialects.torch.", "torch.optim.lr_scheduler."):
        assert ls.parse(f"{prefix}StepLR(0.1, 30)") == torch.StepLR(0.1, 30)
    assert ls.parse("tf.keras.optimizers.schedules.CosineDecay(0.1, 100)") == keras.CosineDecay(0.1, 100)
    text = '{"schedule": {"node": "Driven", "schedule": {"node": "Exponential", "start": 1, "factor": 0.5}, "clock":'
    driven = ls.Exponential(1, 0.5).on(ls.Plateau(patience=3))
    assert read_json(text + ' {"node": "Plateau", "patience": 3}}, "lrsched": 1}') == driven


def deep():
    """A schedule of more levels than Python's limit of calls lets anyone write."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return functools.reduce(lambda one, _: one.stretch(1.5), range(1500), ls.Time())
    finally:
        sys.setrecursionlimit(limit)


test_mistakes = refused(
    [
        (lambda: ls.to_dict(torch.LambdaLR(0.1, abs)), "got abs in a LambdaLR"),
        (lambda: ls.to_dict(deep()), "a few hundred levels"),
        (lambda: jax.jit(lambda x: ls.to_dict(ls.Constant(x)) and x)(1.0), r"expected known numbers, got .*, which is traced"),
        (lambda: ls.parse(3), r"\(text=.*\): expected a string. Hint: Constant"),  # pyright: ignore[reportArgumentType]
        (lambda: ls.from_dict("{}"), r"got '{}'. Hint: from_dict\(json.loads"),  # pyright: ignore[reportArgumentType]
    ]
)
NO_EXPRESSION = {
    "__import__('os').system('true')": "unknown name __import__",
    "Linear(0, 1, 2).__class__(0, 1, 2)": "unknown method __class__",
    "Function(print)": "got the name print. Hint: functions and",
    "Linear(*[0, 1, 2])": "one by one",
    "Linear(0, 1, steps=1, steps=2)": "each once",
    "[Linear(0, 1, 2) for x in (1, 2)]": "expected numbers, .* got other Python code",
    "9 ** 9 ** 9 ** 9 * Time()": "expected a number that a float can hold",
    "1 << 1000000000": "expected one of the operators",
    "Linear(0, 1, round(Time()))": "must be a string or a real number, not 'Time'",
    "": "expected an expression",
    "WSD(.1, 0, 100)": "unknown name WSD; did you mean wsd",
    "linear_schedule(.1, 0, 100)": r"Hint: lrsched.dialects.optax.linear_schedule\.",
    "+".join(["Constant(1)"] * 900): "expected at most 150 levels of operators, got 900",
    "optax.piecewise_constant_schedule(1, {[1]: 2})": "unhashable|cannot use 'list'",
    "Linear(0, 1, 9).clamp(0, 1)": r"unknown method clamp. Hint: schedule.clip\(low, high\)",
    "\0": "null|no expression",
    "1 / 0 * Time()": "division by zero",
    "Linear(0, 1, float('nan'))": "expected a finite number",
    "Plateau()": "expected the expression of a schedule",
    "(1).take(3)": "take is a method of schedules",
    "clpi(Time(), 0)": r"unknown name clpi. Hint: schedule.clip\(...\)",
    "Time().clpi(0)": "unknown method clpi; did you mean clip",
    "max(Time(), 1)": r"unknown name max. Hint: maximum\(schedule, other\)",
    "Linear(0, 1, inf)": r'got the name inf. Hint: float\("inf"\)',
    "warmup_cosine": r"got the name warmup_cosine. Hint: warmup_cosine\(...\)",
    "Linear(0, 1, round(2.567, 2))": r"round\(...\): expected number, got too many positional arguments",
    "Linear(0, 1, int('a'))": "could not convert string to float: 'a'",
    '{"schedule": {"node": "Time"}}': r"from_dict\(json.loads\(text\)\) reads JSON",
}


def whole(schedule: str) -> str:
    return f'{{"lrsched": 1, "schedule": {schedule}}}'


LINEAR = '{"node": "Linear", "start": 0, "end": 1, "steps": 10}'
NO_JSON = {
    LINEAR: "expected .* got {'end': 1, 'node': 'Linear', ",
    whole(LINEAR.replace("10", "NaN")): "expected a finite number",
    whole(f'{{"node": "Pointwise", "operator": ["+"], "parts": [{LINEAR}]}}'): "a valid Pointwise at schedule",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": 2'): "expected version 1 .*, got version 2",
    whole(LINEAR.replace("Linear", "Moved")): "expected the name of a class of nodes",
    whole('{"node": "Drop", "schedule": 1}'): "expected a Drop with schedule, steps",
    whole(LINEAR.replace('"start": 0, ', "")): "a Linear with start, end, steps at schedule, got {'end': 1, 'steps': 10",
    whole(LINEAR.replace("10", "-10")): r"a valid Linear at schedule, got an error: Linear\(steps=-10\): expected steps >= 0",
    whole('{"node": "Sequence", "parts": []}'): "expected at least one part",
    whole('{"node": "Plateau"}'): "expected a schedule at schedule, got a Plateau",
    whole(f'{{"node": "Sequence", "parts": {LINEAR}}}'): "expected a list of nodes at schedule.parts, got {'end': 1, 'node'",
    whole(f'{{"node": "Pointwise", "operator": "+", "parts": [{LINEAR}]}}'): "expected a valid Pointwise",
    whole('{"node": "Function", "fn": "print", "arguments": []}'): "expected a valid Function",
    whole('{"node": "Sequence", "parts": [3]}'): r"expected a node, .*, at schedule.parts\[0\], got 3",
}


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [*((ls.parse, *item) for item in NO_EXPRESSION.items()), *((read_json, *item) for item in NO_JSON.items())],
)
def test_hostile_text_is_one_clear_error(read, text, message):
    with pytest.raises(ValueError, match=message) as raised:
        read(text)
    assert len(str(raised.value)) < 600


def test_huge_text_is_refused():
    take = '{"node": "Take", "steps": 1, "schedule": '
    for read, text in (
        (ls.parse, "(" * 100_000 + "1" + ")" * 100_000),
        (ls.parse, "Time()" + " + 1" * 200_000),
        (ls.parse, " >> ".join(["Linear(0, 1, 1)"] * 2900)),
        (read_json, whole(take * 900 + LINEAR + "}" * 900)),
        (read_json, whole(LINEAR.replace("10", "9" * 400))),
    ):
        with pytest.raises(ValueError, match=r"expected|nested") as raised:
            read(text)
        assert len(str(raised.value)) < 600


def test_the_mistake_is_pointed_at():
    for text, message, place in (
        ("Linear(0, 1e-3, 100) >> Cosin(1e-3, 0, 900)", "did you mean Cosine", "Cosin"),
        (f"Linear(0, 1, 3) >> {'1 * ' * 100} Cosine(1e-3, 0, -9)", "expected steps >= 0", "Cosine(1e-3, 0, -9)"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            ls.parse(text)
        _, line, carets = str(raised.value).split("\n")
        assert line[carets.index("^") : carets.index("^") + carets.count("^")] == place


def test_a_change_of_a_recipe_prints_what_it_is():
    s = ls.warmup_cosine(1.0, 10, 100)
    for other in (
        jax.tree.map(lambda x: 2 * x, s >> 0.1),
        dataclasses.replace(s, parts=s.parts[::-1]),  # pyright: ignore
        ls.stack([s, s]),
        jax.jit(lambda s: s)(s),
        ls.warmup_cosine(jnp.array([0.1, 0.2]), 10, 100),  # float32, which text is not
    ):
        assert "warmup_cosine" not in repr(other)
        assert ls.parse(repr(other)) == other
    assert repr(pickle.loads(pickle.dumps(s))) == repr(copy.copy(s)) == repr(s)
    milestones = [30, 60]
    s = ls.multi_step(0.1, milestones, 0.1)
    milestones[0] = 20
    for same in (s, *(ls.multi_step(0.1, steps, 0.1) for steps in (np.array([30, 60]), range(30, 90, 30), [30.0, 60.0]))):
        assert repr(same) == "multi_step(0.1, [30, 60], 0.1)"


def test_counts_that_were_traced_are_whole():
    s = jax.jit(lambda n: ls.Linear(0.0, 1.0, 10).repeat(n) * ls.Time().on(ls.Plateau(patience=n, threshold=0.5)))(2.6)
    known = ls.Linear(0.0, 1.0, 10).repeat(3) * ls.Time().on(ls.Plateau(patience=3, threshold=0.5))
    assert ls.parse(repr(s)) == through_json(s) == s == known


def test_traced_and_donated_numbers_print_their_type():
    seen = []
    jax.jit(lambda s: seen.append(repr(s)) or s(0))(ls.Linear(0.0, 1.0, 10))
    assert seen == ["Linear(~float32[], ~float32[], ~float32[])"]
    s = jax.device_put(ls.Constant(0.1))
    jax.tree.leaves(s)[0].delete()
    assert repr(s) == 'Constant(~float32[], float("inf"))'
    s = packed(ls.Linear(0.1, 0.0, 10))
    jax.tree.map(lambda x: x.delete(), s)
    assert repr(s) == "Linear(float32[], float32[], float32[])"


def test_hydra_and_omegaconf():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "notebooks/configuration.md").read_text(), re.DOTALL)
    made = [hydra.utils.instantiate(OmegaConf.select(OmegaConf.create(block), "schedule")) for block in blocks]
    assert [repr(s).partition("(")[0] for s in made] == ["warmup_cosine", "Linear"]
    assert all(ls.from_dict(OmegaConf.create(ls.to_dict(s))) == s for s in made)


def halved(t, start):
    return start * 0.5**t


LINE, WARM = ls.Linear(0.0, 1.0, 5), ls.warmup_cosine(1.0, 2, 5)
DRIVEN = ls.Exponential(1.0, 0.5).on(ls.Smoothed(ls.Plateau(), 3))
IN_LISTS = [
    ls.join([LINE, WARM, DRIVEN], [5, 9]),
    ls.stack([LINE, WARM]) * ls.stack([LINE, 2 * LINE]),
    ls.Piecewise([0, 5], [1.0, 2.0], "linear") >> ls.Constant(1.0),
    ls.cosine_restarts(1.0, 0.0, 3, 2, stretch=1.5),
    ls.Function(halved, 0.1),
    torch.SequentialLR([torch.LinearLR(0.1), torch.StepLR(0.1, 3)], [4]),
]


@pytest.mark.parametrize("s", IN_LISTS, ids=str)
def test_a_list_of_omegaconf_holds_schedules(s):
    """As Hydra passes lists, unless `_convert_` says otherwise."""
    held = OmegaConf.create([], flags={"allow_objects": True})
    held.append(s)
    held.append(s)
    assert ls.stack(held) == ls.stack([s, s])  # pyright: ignore[reportArgumentType]
    if not s.batch_shape:
        assert ls.join(held, OmegaConf.create([7])) == ls.join([s, s], [7])  # pyright: ignore[reportArgumentType]
