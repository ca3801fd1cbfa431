r"""Formulas: their values are those of the schedules, and matplotlib can render them."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from matplotlib.mathtext import MathTextParser
from nested import schedules
from signatures import FEW, nodes
from test_texts import TORCH

import lrsched as ls
from lrsched.algebra.combinators import Repeat, driven_parts
from lrsched.algebra.shapes import Function, Noise
from lrsched.dialects import torch
from lrsched.views.formula import formula

CASES = re.compile(r"\\begin{cases} ((?:(?!\\begin{cases}).)*?) \\end{cases}")
WRITTEN = [
    (ls.Linear(0.0, 1e-3, 100), r"\begin{cases} 0.001 \cdot \frac{t}{100} & UNTIL 100 \\ 0.001 & REST \end{cases}"),
    (ls.Constant(3e-5), r"3 \cdot 10^{-5}"),
    (ls.Exponential(1e-5, 0.5), r"10^{-5} \cdot 0.5^{t}"),
    (2 * ls.Time() + 1, r"2 \cdot t + 1"),
    (-(1 + ls.Time()), r"-\left(1 + t\right)"),
    (ls.Constant(0.0) / ls.Linear(0, 0, 0), r"\text{undefined}"),
    (ls.step_decay(0.1, 30, 0.5), r"0.1 \cdot 0.5^{\left\lfloor \frac{t}{30} \right\rfloor}"),
    (ls.Exponential(1.0, 0.5).on(ls.Plateau(monitor="val_loss")), r"0.5^{p},\quad p = \text{plateaus of val\_loss}"),
]


def has_formula(s: Any) -> bool:
    """Whether it is one schedule, and every node in it has one, which is optional: without it `latex` raises."""
    schedules = [one for one in nodes(s) if isinstance(one, ls.Schedule)]
    return not s.batch_shape and all(formula.dispatch(type(one)) is not formula.dispatch(object) for one in schedules)


FUNCTIONS = torch.LambdaLR, torch.MultiplicativeLR
MADE: Any = {str(call): call.make() for call in FEW} | {repr(s): s for s in [*TORCH, *(f(0.1, abs) for f in FUNCTIONS)]}
MADE = {name: s for name, s in MADE.items() if has_formula(s)}
STEPS = [0, 1, 2, 3, 5, 7, 8, 11, 12, 16, 20, 24, 30, 33, 39, 40, 41, 100]
NAMES: dict[str, Any] = {name: getattr(math, name) for name in ("sqrt", "floor", "cos", "log", "pi", "inf")}
NAMES |= {"min": min, "max": max}
SYMBOLS = {
    r"\begin{cases}": "⟨", r"\end{cases}": "⟩", r"\text{if }": "", r"\text{otherwise}": "True",
    r"\left\lfloor": "floor(", r"\right\rfloor": ")", r"\left(": "(", r"\right)": ")", r"\;\mathrm{mod}\;": "%", r"\cdot": "*",
    r"\cos": "cos", r"\log": "log", r"\pi": "pi", r"\min": "min", r"\max": "max", r"\infty": "inf",
}  # fmt: skip
INNERMOST: list[tuple[str, Any]] = [
    (r"([pw])_{(\d+)}", r"\1_\2"),
    (r"\\frac{([^{}⟨⟩]*)}{([^{}⟨⟩]*)}", r"((\1)/(\2))"),
    (r"\\sqrt{([^{}⟨⟩]*)}", r"sqrt(\1)"),
    (r"\^{([^{}⟨⟩]*)}", r"**(\1)"),
    (r"⟨([^{}⟨⟩]*)⟩", lambda found: "(" + " else ".join(_case(row) for row in found[1].split(r"\\")) + " else 0)"),
]


def _case(row: str) -> str:
    value, condition = row.split("&")
    return f"({value.strip()}) if ({condition.strip()})"


def evaluated(text: str, names: dict[str, Any]) -> float:
    """The value of a formula, as Python computes it."""
    for symbol, meaning in SYMBOLS.items():
        text = text.replace(symbol, meaning)
    before = ""
    while text != before:
        before = text
        for pattern, python in INNERMOST:
            text = re.sub(pattern, python, text)
    with np.errstate(divide="ignore"):  # 0 ** -1 is infinite
        return eval(text.strip(), names)


def value_of(text: str, t: float) -> float:
    """The value of a formula at a step, with the definitions of names that follow it; clocks read 0."""
    text, *definitions = text.split(r",\quad ")
    names = {**NAMES, "t": np.float64(t)}
    for name, meaning in (definition.split(" = ", 1) for definition in definitions):
        name = re.sub(r"_{(\d+)}", r"_\1", name)
        names[name] = 0.0 if meaning.startswith(r"\text") else evaluated(meaning, names)
    return evaluated(text, names)


def is_arithmetic(s: Any) -> bool:
    """Whether there are only operations that the evaluation knows."""
    odd = [one for one in nodes(s) if isinstance(one, (Function, Noise, *FUNCTIONS))]
    growing = [one for one in nodes(s) if isinstance(one, Repeat) and one.stretch_ is not None]
    return not odd and not growing and "u_{" not in ls.latex(s) and r"\sum" not in ls.latex(s)


def assert_has_the_values(text: str, s: Any, steps: Any, tolerance: float) -> None:
    expected = np.asarray(s(np.array(steps)), np.float64)
    scale = max(1.0, float(np.abs(expected).max()))
    found = [value_of(text, t) for t in steps]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale / 10, err_msg=text)


@pytest.mark.parametrize("name", MADE)
def test_every_formula_is_that_of_the_schedule_and_is_rendered(name):
    s = MADE[name]
    text = ls.latex(s)
    if is_arithmetic(s):
        assert_has_the_values(text, ls.clocks.bind(s, ls.clocks.init(s)) if driven_parts(s) else s, STEPS, 2e-4)
    while CASES.search(text):  # matplotlib knows no environments: rows become a stack
        text = CASES.sub(lambda found: r"\left\{ \substack{" + found[1].replace(" & ", r" \quad ") + r"} \right.", text)
    width, height, *_ = MathTextParser("path").parse(f"${text}$")
    assert min(width, height) > 3


@given(schedules.filter(has_formula))
def test_generated_schedules_have_formulas(s):
    text = ls.latex(s)
    for opening, closing in ("{}", (r"\left", r"\right"), (r"\begin", r"\end")):
        assert text.count(opening) == text.count(closing)
    if is_arithmetic(s):
        assert_has_the_values(text, s, [0.0, 1.0, 6.0], 2e-2)


def test_most_nodes_have_formulas():
    assert len({type(one) for s in MADE.values() for one in nodes(s) if isinstance(one, ls.Schedule)}) >= 24


@pytest.mark.parametrize(("s", "text"), WRITTEN)
def test_some_as_a_person_would_write_them(s, text):
    assert ls.latex(s) == text.replace("UNTIL", r"\text{if } t <").replace("REST", r"\text{otherwise}")
