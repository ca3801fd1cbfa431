"""Schedules are read back from text, and text that is none is refused at once, with the place that is wrong."""

import time

import jax
import pytest
from hypothesis import given
from nested import schedules
from signatures import CALLS

import lrsched as ls
from lrsched.algebra.shapes import Function
from lrsched.dialects.torch import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR

HOSTILE = {
    "__import__('os').system('true')": "__import__ makes no schedule",
    "().__class__.__base__.__subclasses__()": "no part of a schedule|none",
    "Linear(0, 1, 2).__class__(0, 1, 2)": "__class__ is no method",
    "Linear.at(0)": "Linear is no number",
    "Function(print)": "print is no number",
    "(lambda: Linear(0, 1, 2))()": "no part of a schedule",
    "[Linear(0, 1, 2) for x in (1, 2)]": "no part of a schedule",
    "Linear(0, 1, 2) if True else 3": "no part of a schedule",
    "Linear(*[0, 1, 2])": "one by one",
    "Linear(**{'start': 0})": "one by one",
    "9 ** 9 ** 9 ** 9 * Time()": "expected a number that a float can hold, got a larger one",
    "[0] * 1000000000": "can't multiply sequence",
    "'a' * 1000000000": "can't multiply sequence",
    "1 << 1000000000": "there are the operators",
    "(x := Linear(0, 1, 2))": "no part of a schedule",
    "f'{Linear(0, 1, 2)}'": "no part of a schedule",
    "Linear(0, 1, 2); Linear(0, 1, 2)": "invalid syntax",
    "import os": "invalid syntax",
    "b'bytes'": "no part of a schedule",
    "...": "no part of a schedule",
    "1j * Time()": "no part of a schedule",
    "": "invalid syntax",
    "\0": "null|no expression",
    "Linear(0, 1, float('12'))": "float makes no schedule",
    "Cosine('a', [], None)": "expected a number",
    "Linear(0, 1, float('nan'))": "expected a finite number",
    "Linear(0, 1, 1e999)": "expected a finite number",
    "Linear(0, 1, steps=1, steps=2)": "each once",
    "Linear('\u2028', \u2028 Foo())": "invalid non-printable|Foo makes no schedule",
    "Linear('\x1c \x85', \x0c Foo())": "Foo makes no schedule",
    "Linear(0,\r Foo())": "Foo makes no schedule",
    "Linear('\ud800', 0, 1)": "surrogates not allowed",
    f"Linear(0x{'f' * 10_000}, 0, 1)": "expected a number that a float can hold",
    "1 >> 2": "unsupported operand",
    "True * Time()": "unsupported operand",
    "1 / 0 * Time()": "division by zero",
    "1if True else Time()": "no part of a schedule",
    "True": "expected the expression of a schedule",
    "Plateau()": "expected the expression of a schedule",
    "(1).take(3)": "take is a method of schedules",
}
HUGE = {
    "brackets": "(" * 100_000 + "1" + ")" * 100_000,
    "signs": "-" * 500_000 + "Time()",
    "a sum": "Time()" + " + 1" * 200_000,
    "methods": "Time()" + ".take(1)" * 100_000,
    "lists": "[" * 150 + "]" * 150,
    "parts": " >> ".join(["Linear(0, 1, 1)"] * 2900),
    "joined": f"join([{'Time().take(1), ' * 30_000}], [{', '.join(map(str, range(1, 30_000)))}])",
    "warps": " @ ".join(["Time()"] * 2000),
    "links": " + ".join(["Time()"] * 2000),
    "products": "*".join(["0x" + "f" * 4000] * 200) + " * Time()",
    "digits": "9" * 900_000 + " * Time()",
    "too long": " " * 2_000_000,
    "a long name": "x" * 900_000,
}


@given(schedules)
def test_what_repr_gives_is_read(s):
    if any(isinstance(node, Function) for node in jax.tree.leaves(s, is_leaf=lambda x: isinstance(x, Function))):
        with pytest.raises(ValueError, match="inverse_time is no number"):
            ls.parse(repr(s))
    else:
        assert ls.parse(repr(s)) == s


def test_every_public_call_is_read_from_its_repr():
    for call in CALLS:
        s = call.make()
        assert "fn" in call.fixed or ls.parse(repr(s)) == s


@pytest.mark.parametrize(
    "s",
    [
        OneCycleLR(0.1, 100),
        CosineAnnealingLR(0.1, 20),
        ReduceLROnPlateau(0.1, patience=3),
        SequentialLR([CosineAnnealingLR(0.1, 20), OneCycleLR(0.1, 100)], [7]),
        ls.stack([ls.Linear(0.0, 1.0, 10), ls.Linear(0.0, 1 / 3, 7.3)]),
        ls.stack([ls.Linear(0.0, 1.0, 10), ls.Exponential(0.1, 0.5)]),
        ls.join([ls.Linear(0.0, 1.0, 10)] * 300, [10 * i for i in range(1, 300)]),
        ls.Constant(0.1, 0),
        ls.Linear(5e-324, -0.0, 1e20),
    ],
    ids=lambda s: repr(s)[:40],
)
def test_others_are_read(s):
    assert ls.parse(repr(s)) == s


def test_what_a_person_writes_is_read():
    text = " warmup_cosine(1e-3, warmup_steps=10,\n    steps=100).clip(low=1e-5, high=1) * +2 "
    assert ls.parse(text) == ls.warmup_cosine(1e-3, 10, 100).clip(1e-5, 1) * 2
    assert ls.parse("ls.Linear(3e-4, 0, 10**5) >> lrsched.Constant(2**-3)") == ls.Linear(3e-4, 0, 100_000) >> 0.125
    assert ls.parse("1e-3") == ls.Constant(1e-3)
    driven = ls.parse("Linear(0, 1, 10).then(Constant(1)).on(Steps())")
    assert driven == (ls.Linear(0, 1, 10) >> ls.Constant(1)).on(ls.Steps())


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ValueError, match=HOSTILE[text]):
        ls.parse(text)


@pytest.mark.parametrize("what", HUGE)
def test_what_is_huge_is_refused_soon(what):
    begin = time.process_time()
    with pytest.raises(ValueError, match=r".") as raised:
        ls.parse(HUGE[what])
    assert len(str(raised.value)) < 600
    assert time.process_time() - begin < 20  # that it ends, on the slowest of machines


def test_the_mistake_is_pointed_at():
    with pytest.raises(ValueError, match="did you mean Cosine") as raised:
        ls.parse("Linear(0, 1e-3, 100) >> Cosin(1e-3, 0, 900)")
    _, line, carets = str(raised.value).split("\n")
    assert line[carets.index("^") : carets.index("^") + carets.count("^")] == "Cosin"
    with pytest.raises(ValueError, match=r"Cosine\(steps=-9.0\): expected steps >= 0") as raised:
        ls.parse(f"Linear(0, 'é', 3) >> {'1 * ' * 100} Cosine(1e-3, 0, -9)".replace("'é'", "1"))
    _, line, carets = str(raised.value).split("\n")
    assert line[carets.index("^") : carets.index("^") + carets.count("^")] == "Cosine(1e-3, 0, -9)"


def test_functions_of_ones_own_are_not_read():
    with pytest.raises(ValueError, match="abs is no number"):
        ls.parse(repr(LambdaLR(0.1, abs)))
    with pytest.raises(TypeError, match=r"parse\(text=3\): expected a string"):
        ls.parse(3)  # pyright: ignore[reportArgumentType]
