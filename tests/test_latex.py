r"""Formulas: they are those of the schedules, because evaluating them gives their values, and matplotlib can render them."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from matplotlib.mathtext import MathTextParser
from nested import schedules
from signatures import FEW, nodes
from test_codec import TORCH

import lrsched as ls
from lrsched.algebra.combinators import Repeat
from lrsched.algebra.driven import driven_parts
from lrsched.algebra.shapes import Function
from lrsched.dialects import torch
from lrsched.views.formula import formula
from lrsched.views.phases import one_phase, phases

MADE: dict[str, Any] = {f"{i} {call}": call.make() for i, call in enumerate(FEW)}
MADE |= {repr(s): s for s in [*TORCH, torch.LambdaLR(0.1, abs), torch.MultiplicativeLR(0.1, abs)]}
NODES_WITH_FORMULAS = 24


def has_formula(s: Any) -> bool:
    """Whether it is one schedule, and every shape in it has one, which is optional: without it `latex` raises."""
    shapes = [type(one) for one in nodes(s) if phases.dispatch(type(one)) is one_phase]
    return not s.batch_shape and all(formula.dispatch(shape) is not formula.dispatch(object) for shape in shapes)


MADE = {name: s for name, s in MADE.items() if has_formula(s)}
STEPS = [0, 1, 2, 3, 5, 7, 8, 11, 12, 16, 20, 24, 30, 33, 39, 40, 41, 100]


def split(text: str, separator: str) -> list[str]:
    """A text split where no environment, brace or bracket is open."""
    parts, depth, begin, i = [], 0, 0, 0
    while i < len(text):
        if text.startswith((r"\begin", "{", r"\left"), i):
            depth += 1
        elif text.startswith(("}", r"\right"), i) or text.startswith(r"\end", i):
            depth -= 1
        if depth == 0 and text.startswith(separator, i):
            parts.append(text[begin:i])
            begin = i + len(separator)
        i += 1
    return [*parts, text[begin:]]


def braced(text: str, at: int) -> int:
    """Where the brace that opens there is closed."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise AssertionError(text)


def environment(text: str) -> tuple[int, int] | None:
    """The first environment: where it begins and ends."""
    begin = text.find(r"\begin{cases}")
    if begin < 0:
        return None
    depth = 0
    for found in re.finditer(r"\\(begin|end)\{cases\}", text):
        depth += 1 if found[1] == "begin" else -1
        if depth == 0:
            return begin, found.end()
    raise AssertionError(text)


def rows(cases: str) -> list[list[str]]:
    """The rows of an environment: value and condition."""
    body = cases.removeprefix(r"\begin{cases} ").removesuffix(r" \end{cases}")
    return [split(row, " & ") for row in split(body, r" \\ ")]


def as_python(text: str) -> str:
    """The Python expression of a formula."""
    while (found := environment(text)) is not None:
        begin, end = found
        *cases, (last, otherwise) = rows(text[begin:end])
        assert otherwise == r"\text{otherwise}"
        code = f"({as_python(last)})"
        for value, when in reversed(cases):
            assert when.startswith(r"\text{if } ")
            code = f"(({as_python(value)}) if ({as_python(when.removeprefix(chr(92) + 'text{if } '))}) else {code})"
        text = text[:begin] + code + text[end:]
    for name, template in ((r"\frac", "(({})/({}))"), (r"\sqrt", "sqrt({})"), ("^", "**({})")):
        while (begin := text.find(name + "{")) >= 0:
            arguments, at = [], begin + len(name)
            for _ in range(template.count("{}")):
                end = braced(text, at)
                arguments.append(text[at + 1 : end])
                at = end + 1
            text = text[:begin] + template.format(*arguments) + text[at:]
    for old, new in (
        (r"\left\lfloor", "floor("), (r"\right\rfloor", ")"), (r"\left(", "("), (r"\right)", ")"), (r"\;\mathrm{mod}\;", "%"),
        (r"\cdot", "*"), (r"\cos", "cos"), (r"\pi", "pi"), (r"\min", "min"), (r"\max", "max"), (r"\infty", "inf"),
    ):  # fmt: skip
        text = text.replace(old, new)
    return text.strip()


NAMES = {name: getattr(math, name) for name in ("sqrt", "floor", "cos", "pi", "inf")} | {"min": min, "max": max}


def evaluated(text: str, t: float) -> float:
    text, *definitions = split(text, r",\quad ")
    names = {**NAMES, "t": float(t)}
    for name, meaning in (definition.split(" = ", 1) for definition in definitions):
        names[name.replace("_{", "_").replace("}", "")] = 0.0 if meaning.startswith(r"\text") else of(meaning, names)
    return of(text, names)


def of(text: str, names: dict[str, Any]) -> float:
    return eval(as_python(re.sub(r"\b([pw])_\{(\d+)\}", r"\1_\2", text)), names)


def is_arithmetic(s: Any) -> bool:
    """Whether there are only operations that the evaluation knows."""
    odd = [one for one in nodes(s) if isinstance(one, (Function, torch.Recurrence, torch.LambdaLR, torch.MultiplicativeLR))]
    growing = [one for one in nodes(s) if isinstance(one, Repeat) and one.stretch_ is not None]
    return not odd and not growing and "u_{" not in ls.latex(s) and r"\sum" not in ls.latex(s)


@pytest.mark.parametrize("name", [name for name, s in MADE.items() if is_arithmetic(s)])
def test_the_formula_is_that_of_the_schedule(name):
    s = MADE[name]
    text = ls.latex(s)
    pure = ls.bind(s, ls.init(s)) if driven_parts(s) else s
    expected = np.asarray(pure(np.array(STEPS)), np.float64)
    actual = [evaluated(text, t) for t in STEPS]
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5 * max(1.0, float(np.abs(expected).max())), err_msg=text)


def rendered(text: str) -> tuple[float, ...]:
    """The size of a formula as matplotlib renders it, which knows no environments: rows become a stack."""
    while (found := environment(text)) is not None:
        begin, end = found
        lines = [" \\quad ".join(row) for row in rows(text[begin:end])]
        text = text[:begin] + r"\left\{ \substack{" + r" \\ ".join(lines) + r"} \right." + text[end:]
    return MathTextParser("path").parse(f"${text}$")[:2]


@pytest.mark.parametrize("name", MADE)
def test_matplotlib_renders_it(name):
    width, height = rendered(ls.latex(MADE[name]))
    assert width > 3
    assert height > 3


@given(schedules.filter(has_formula))
def test_generated_schedules_have_formulas(s):
    text = ls.latex(s)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert text.count(r"\begin") == text.count(r"\end")
    if is_arithmetic(s):
        expected = np.asarray(s(np.array([0.0, 1.0, 6.0])), np.float64)
        actual = [evaluated(ls.latex(s), t) for t in (0, 1, 6)]
        np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=2e-3 * max(1.0, float(np.abs(expected).max())))


def test_nodes_and_clocks_have_formulas():
    made = {type(one): one for s in MADE.values() for one in nodes(s)}
    assert sum(issubclass(cls, ls.Schedule) for cls in made) >= NODES_WITH_FORMULAS
    assert all(cls.__name__ not in one.unit for cls, one in made.items() if issubclass(cls, ls.Clock))


@pytest.mark.parametrize(
    ("s", "text"),
    [
        (ls.Linear(0.0, 1e-3, 100), r"\begin{cases} 0.001 \cdot \frac{t}{100} & UNTIL 100 \\ 0.001 & REST \end{cases}"),
        (ls.Linear(1.0, 0.1, 100), r"\begin{cases} 1 - 0.9 \cdot \frac{t}{100} & UNTIL 100 \\ 0.1 & REST \end{cases}"),
        (ls.Constant(3e-5), r"3 \cdot 10^{-5}"),
        (ls.Exponential(1e-5, 0.5), r"10^{-5} \cdot 0.5^{t}"),
        (2 * ls.Time() + 1, r"2 \cdot t + 1"),
        (1 - ls.Time(), r"1 - t"),
        (-(1 + ls.Time()), r"-\left(1 + t\right)"),
        (1 / (ls.Constant(0.0) + ls.Constant(0.0)), r"3.40282 \cdot 10^{38}"),  # as the value saturates
        (ls.Constant(0.0) / ls.Linear(0, 0, 0), r"\text{undefined}"),
        (ls.step_decay(0.1, 30, 0.5), r"0.1 \cdot 0.5^{\left\lfloor \frac{t}{30} \right\rfloor}"),
        (ls.Exponential(1.0, 0.5).on(ls.Plateau(monitor="val_loss")), r"0.5^{p},\quad p = \text{plateaus of val\_loss}"),
    ],
)
def test_some_as_a_person_would_write_them(s, text):
    assert ls.latex(s) == text.replace("UNTIL", r"\text{if } t <").replace("REST", r"\text{otherwise}")


def test_what_is_no_schedule():
    with pytest.raises(TypeError, match=r"latex\(schedule=0.1\): expected a schedule"):
        ls.latex(0.1)  # pyright: ignore[reportArgumentType]
