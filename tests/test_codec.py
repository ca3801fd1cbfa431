"""Schedules go to JSON and come back equal, to the last bit; hostile text is refused soon, with the place that is wrong."""

import contextlib
import json
import struct
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nested import schedules
from signatures import CALLS, FEW, nodes
from torch_cases import WITHOUT_FUNCTIONS

import lrsched as ls
from lrsched.algebra.node import leaf, node
from lrsched.algebra.shapes import Function
from lrsched.algebra.written import NAMES
from lrsched.dialects import torch

TORCH = [
    *WITHOUT_FUNCTIONS,
    torch.ReduceLROnPlateau(0.1, patience=1),
    torch.Recurrence(0.1, ls.Constant(0.5), ls.Constant(1.0)),
]


def has_function(s: Any) -> bool:
    return any(isinstance(one, Function) for one in nodes(s))


def test_a_repeat_has_the_names_of_its_arguments():
    tree = ls.to_dict(ls.Linear(0.0, 1.0, 4).repeat(3, stretch=2.0, scale=0.5))["schedule"]
    assert [tree[name] for name in ("n", "stretch", "scale")] == [3.0, 2.0, 0.5]


@given(schedules)
def test_what_is_written_comes_back(s):
    if has_function(s):
        with pytest.raises(ValueError, match="expected no functions, which JSON cannot hold, got inverse_time in a Function"):
            ls.to_json(s)
        return
    back = ls.from_json(ls.to_json(s))
    assert back == s
    assert jax.tree.structure(back) == jax.tree.structure(s)
    assert repr(back) == repr(s)
    assert ls.from_dict(json.loads(json.dumps(ls.to_dict(s), indent=2))) == s


@pytest.mark.parametrize("s", [*(call.make() for call in FEW if "fn" not in call.fixed), *TORCH], ids=lambda s: repr(s)[:50])
def test_every_node_comes_back(s):
    assert ls.from_json(ls.to_json(s)) == s


def test_every_class_of_nodes_has_a_name():
    ours = {cls for cls in NAMES.values() if isinstance(cls, type) and cls.__module__.startswith("lrsched.")}
    made = {type(one) for call in CALLS for one in nodes(call.make())} | {type(one) for s in TORCH for one in nodes(s)}
    assert made <= ours
    bases = {base for cls in ours for base in cls.__mro__[1:]}
    assert ours - made - bases == {torch.LambdaLR, torch.MultiplicativeLR}  # which hold a function
    assert all(NAMES[cls.__name__] is cls for cls in ours)


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e38, min_value=-1e38))
def test_every_float_comes_back_bit_for_bit(x):
    back: Any = ls.from_json(ls.to_json(ls.Constant(x)))
    assert struct.pack("d", back.value) == struct.pack("d", x)


def test_batches_tables_and_infinite_lengths_come_back():
    for s in (
        ls.grid(ls.warmup_cosine, peak=[0.1, 1 / 3], warmup_steps=[0, 7], steps=100)[0],
        ls.stack([ls.Linear(0.0, 1.0, 10), ls.reduce_on_plateau()]),
        ls.stack([ls.Piecewise([0, 10], [1.0, 0.1]), ls.Piecewise([0, 20], [1.0, 0.2])]),
        ls.Constant(0.1, 0),
        jax.device_put(ls.Linear(0.1, 0.2, 1 / 3)),
        ls.Linear(jnp.arange(3.0), 0.0, 10),
        ls.schedule(ls.scale_by_learning_rate(ls.Linear(0.1, 0.2, 1 / 3), live=True).init(jnp.ones(3))),
    ):
        assert ls.from_json(ls.to_json(s)) == s
        np.testing.assert_array_equal(ls.from_json(ls.to_json(s)).batch_shape, s.batch_shape)


def test_a_person_may_write_less():
    assert ls.from_json('{"lrsched": 1, "schedule": {"node": "Constant", "value": 1}}') == ls.Constant(1.0)
    text = '{"schedule": {"node": "Driven", "schedule": {"node": "Exponential", "start": 1, "rate": 0.5}, "clock":'
    assert ls.from_json(text + ' {"node": "Plateau", "patience": 3}}, "lrsched": 1}') == ls.Exponential(1, 0.5).on(
        ls.Plateau(patience=3)
    )


def test_nodes_of_ones_own_have_their_names():
    @node
    class Mine(ls.Schedule):
        value: float = leaf()

    s = 2 * Mine(1.0)
    assert ls.parse(repr(s)) == ls.from_json(ls.to_json(s)) == s

    @node
    class Linear(ls.Clock):
        pass

    assert ls.parse("Linear(0, 1, 2)") == ls.Linear(0, 1, 2)
    with pytest.raises(ValueError, match="expected one class of nodes called Linear, got two"):
        ls.to_json(ls.Time().on(Linear()))


def test_what_cannot_be_written_is_refused():
    with pytest.raises(TypeError, match=r"to_json\(schedule=0.1\): expected a schedule"):
        ls.to_json(0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"got abs in a LambdaLR"):
        ls.to_json(torch.LambdaLR(0.1, abs))
    with pytest.raises(ValueError, match=r"expected known numbers, got .*, which is traced"):
        jax.jit(lambda x: ls.to_json(ls.Constant(x)) and x)(1.0)


def whole(schedule: str) -> str:
    return f'{{"lrsched": 1, "schedule": {schedule}}}'


LINEAR = '{"node": "Linear", "start": 0, "stop": 1, "steps": 10}'
HOSTILE = {
    "": "expected JSON",
    "{": "expected JSON",
    "null": "expected",
    "[]": r"expected .* got \[\]",
    '"Linear(0, 1, 2)"': "expected",
    LINEAR: "expected .* got {'node': 'Linear', ",
    whole(LINEAR)[:-1]: "expected JSON",
    whole(LINEAR) + "x": "Extra data",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": 2'): "expected version 1 of the form, got version 2",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": true'): "got version True",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": "1"'): "got version '1'",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": 1, "lrsched": 1'): "'schedule': {.*}, and one of them twice",
    whole(LINEAR).replace('"lrsched": 1', '"lrsched": 1, "more": 1'): "expected",
    whole(LINEAR.replace('"start": 0', '"start": 0, "start": 1')): "and one of them twice",
    whole(LINEAR.replace("Linear", "Linea")): "expected the name of a class of nodes at schedule.node, got 'Linea'",
    whole(LINEAR.replace("Linear", "Node")): "expected the name of a class",
    whole(LINEAR.replace("Linear", "warmup_cosine")): "expected the name of a class",
    whole(LINEAR.replace("Linear", "Moved")): "expected a Moved with schedule",
    whole(LINEAR.replace("Linear", "__import__")): "expected the name of a class",
    whole(LINEAR.replace('"Linear"', '["Linear"]')): "expected a node",
    whole(LINEAR.replace('"start": 0, ', "")): "a Linear with start, stop, steps at schedule, got {'steps': 10.0, ",
    whole(LINEAR.replace("start", "strt")): "expected a Linear with start, stop, steps at schedule, got {'steps': 10.0, ",
    whole(LINEAR.replace("start", "__class__")): "got {'__class__': 0.0, ",
    whole(
        LINEAR.replace("10", "-10")
    ): r"expected a valid Linear at schedule, got an error: Linear\(steps=-10.0\): expected steps >= 0",
    whole(LINEAR.replace("10", "NaN")): "expected a finite number",
    whole(LINEAR.replace("10", "-Infinity")): "expected a finite number",
    whole(LINEAR.replace("10", '"nan"')): r"steps='nan'.: expected a number",
    whole(LINEAR.replace("10", '"inf"')): "expected a finite number",
    whole(LINEAR.replace("10", "1e999")): "expected a finite number",
    whole(LINEAR.replace("10", "9" * 5000)): "expected a finite number",
    whole(LINEAR.replace("10", "9" * 300)): "<= 1.7e",
    whole(LINEAR.replace("10", "true")): "steps=True.: expected a number",
    whole(LINEAR.replace("10", "null")): "=None.: expected a number",
    whole(LINEAR.replace("10", "{}")): "expected a number",
    whole(LINEAR.replace("10", "[]")): "expected a number",
    whole(LINEAR.replace("10", "[[1, 2], [3]]")): "expected a number",
    whole(LINEAR.replace("10", "[" * 50 + "]" * 50)): "expected a number",
    whole('{"node": "Plateau"}'): "expected a schedule at schedule, got a Plateau",
    whole(f'{{"node": "Sequence", "parts": {LINEAR}}}'): "expected a list of nodes at schedule.parts, got {'node'",
    whole('{"node": "Sequence", "parts": []}'): "expected at least one part",
    whole('{"node": "Sequence", "parts": [{"node": "Plateau"}]}'): r"parts=Plateau\(\).: expected a schedule",
    whole('{"node": "Sequence", "parts": [3]}'): r"expected a node, .*, at schedule.parts\[0\], got 3",
    whole(f'{{"node": "Take", "schedule": [{LINEAR}], "steps": 3}}'): "expected a node",
    whole(
        '{"node": "Take", "schedule": {"node": "Plateau"}, "steps": 3}'
    ): r"take\(schedule=Plateau\(\)\): expected a schedule",
    whole(f'{{"node": "Pointwise", "operator": "**", "parts": [{LINEAR}, {LINEAR}]}}'): "expected a valid Pointwise",
    whole(f'{{"node": "Pointwise", "operator": "+", "parts": [{LINEAR}]}}'): "expected a valid Pointwise",
    whole(f'{{"node": "Pointwise", "operator": ["+"], "parts": [{LINEAR}]}}'): "expected a string or a boolean",
    whole('{"node": "Function", "fn": "print", "arguments": []}'): "expected a valid Function",
    whole('{"node": "Function", "fn": {"node": "Time"}, "arguments": []}'): "expected a string or a boolean",
    whole('{"node": "LambdaLR", "base_lr": 1, "lr_lambda": "print"}'): "expected a valid LambdaLR",
    whole('{"node": "OneCycleLR", "max_lr": 1, "total_steps": 10, "cycle_momentum": "yes"}'): "expected a string or a boolean",
    whole(
        '{"node": "Driven", "schedule": {"node": "Time"}, "clock": {"node": "Time"}}'
    ): r"on\(clock=Time\(\)\): expected a clock",
}
TAKE = '{"node": "Take", "steps": 1, "schedule": '
HUGE = {
    "levels": whole(TAKE * 200_000 + LINEAR + "}" * 200_000),
    "a million levels": '{"a":' * 1_000_000,
    "3000 levels": whole(TAKE * 3000 + LINEAR + "}" * 3000),
    "lists": "[" * 1_000_000,
    "a list": whole(LINEAR.replace("10", "[" + "1," * 1_000_000 + "{}]")),
    "digits": whole(LINEAR.replace("10", "9" * 1_000_000)),
    "a name": whole(LINEAR.replace("Linear", "x" * 1_000_000)),
    "a field": whole(LINEAR.replace("start", "x" * 1_000_000)),
    "fields": whole("{" + ",".join(f'"{i}": 1' for i in range(100_000)) + "}"),
    "the same field": whole("{" + ",".join('"a": 1' for i in range(100_000)) + "}"),
    "too long": " " * 20_000_000,
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_clear_error(text):
    with pytest.raises(ValueError, match=HOSTILE[text]) as raised:
        ls.from_json(text)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("what", HUGE)
def test_what_is_huge_is_refused_soon(what):
    begin = time.process_time()
    with pytest.raises(ValueError, match=r".") as raised:
        ls.from_json(HUGE[what])
    assert len(str(raised.value)) < 500
    assert time.process_time() - begin < 20  # that it ends, on the slowest of machines


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_other_tree_is_refused(tree):
    for one in (tree, {"lrsched": 1, "schedule": tree}, {"lrsched": 1, "schedule": {"node": "Linear", "start": tree}}):
        with pytest.raises(ValueError, match="from_dict"):
            ls.from_dict(one)
    with pytest.raises(TypeError, match=r"from_json\(text=.*\): expected a string"):
        ls.from_json(b"{}")  # pyright: ignore[reportArgumentType]


@given(st.data())
def test_mutated_text_is_read_or_refused(data):
    text = ls.to_json(data.draw(schedules.filter(lambda s: not has_function(s))))
    place = data.draw(st.integers(0, len(text) - 1))
    text = (
        text[:place]
        + data.draw(st.sampled_from(["", "0", "-", "{", "]", "null", '"', "1e9", "[1,2]", "x"]))
        + text[place + 1 :]
    )
    with contextlib.suppress(ValueError):
        ls.from_json(text)
