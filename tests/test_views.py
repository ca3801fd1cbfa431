"""What is shown of a schedule: its summary and warnings, in a notebook, and by `python -m lrsched show`."""

import base64
import html
import importlib.util
import io
import math
import os
import re
import subprocess
import sys
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from matplotlib import image
from matplotlib import pyplot as plt
from nested import schedules
from signatures import FEW

import lrsched as ls
from lrsched import __main__ as shell
from lrsched.views.show import HEIGHT, WIDTH, curve

mpl.use("Agg")

WHOLE = ls.Linear(0.1, 1.0, 10) >> ls.Constant(1.0, 30) >> ls.Cosine(1.0, 0.1, 60)
RAMP, INF = ls.Linear(0, 1, 10), math.inf
PHASES = [
    (WHOLE, [(0, 10, "Linear"), (10, 40, "Constant"), (40, 100, "Cosine"), (100, INF, "held")]),
    (WHOLE.take(20), [(0, 10, "Linear"), (10, 20, "Constant"), (20, INF, "held")]),
    (WHOLE.drop(20), [(0, 20, "Constant"), (20, 80, "Cosine"), (80, INF, "held")]),
    (RAMP.delay(5).stretch(3), [(0, 15, "held"), (15, 45, "Linear"), (45, INF, "held")]),
    (RAMP >> ls.Exponential(1, 0.9), [(0, 10, "Linear"), (10, INF, "Exponential")]),
    (RAMP * ls.Cosine(1, 0, 20), [(0, 10, "Linear * Cosine"), (10, 20, "held * Cosine"), (20, INF, "held")]),
    (
        RAMP >> ls.reduce_on_plateau().take(90),
        [(0, 10, "Linear"), (10, 100, "Exponential(1.0, 0.1).clip(0.0, 1.0) on Plateau"), (100, INF, "held")],
    ),
    (ls.Linear(0.0, 1e-3, 1000).on(ls.Counter("tokens")) * 0.5, [(0, 1000, "Linear"), (1000, INF, "held")]),
    (ls.Cosine(1, 0, 5).repeat(3), [(0, 15, "Cosine(1.0, 0.0, 5).repeat(3)"), (15, INF, "held")]),
]


@pytest.mark.parametrize(("s", "expected"), PHASES, ids=lambda x: repr(x)[:40])
def test_the_phases(s, expected):
    assert [(phase.start, phase.stop, phase.shape) for phase in ls.summary(s).phases] == expected


def test_the_values_of_a_summary():
    found = ls.summary(WHOLE)
    np.testing.assert_allclose([p.first for p in found.phases], [0.1, 1.0, 1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose([p.last for p in found.phases], [1.0, 1.0, 0.1, 0.1], rtol=1e-6)
    values = np.asarray(WHOLE(np.arange(100)), np.float64)
    assert (found.steps, found.peak, found.peak_step) == (100, values.max(), 10)
    np.testing.assert_allclose([found.final, found.mean, found.lowest], [values[-1], values.mean(), values.min()])
    first, held = ls.summary(1 / ls.Linear(0.0, 1.0, 10)).phases  # a value beside a huge one is not taken for 0
    assert (first.last, held.first) == (1.0, 1.0)
    assert ls.summary(ls.Geometric(1e-10, 1.0, 100)).phases[0].first == pytest.approx(1e-10)
    assert ls.summary(0.1 * ls.Cosine(1.0, 0.0, 100)).phases[0].last == 0.0
    assert ls.summary(ls.Cosine(1.0, 0.0, 10).repeat(50, stretch=2)).steps == 2**31 - 1  # no more than there can be


def test_it_prints_a_table():
    assert str(ls.summary(ls.Linear(0, 1e-3, 100) >> ls.Cosine(1e-3, 0, 900))).splitlines()[1:] == [
        "from  to    shape   values",
        "0     100   Linear  0 → 0.001",
        "100   1000  Cosine  0.001 → 0",
        "1000        held    0",
        "peak 0.001 at step 100, final 3.046e-09, mean 0.0005 over 1000 steps",
    ]
    text = str(ls.summary(0.1 * RAMP * ls.reduce_on_plateau()))
    assert text.endswith(
        "\npeak 0.1 at step 10, final 0.1, mean 0.05769 over 13 steps (before any change of plateaus of value)"
    )
    text = str(ls.summary(ls.Linear(0.0, 1e-3, 1000).on(ls.Counter("tokens")) * 0.5))
    assert text.endswith("\npeak 0.0005 at 1000, final 0.0005, mean 0.0002998 over 1250 tokens")


# A schedule that looks like a mistake, the warning, and one that does not.
WARNINGS: dict[str, tuple[Any, str, Any]] = {
    "a bare constant": (
        ls.Constant(1.0, 0) >> ls.Linear(1.0, 0.1, 9),
        r"Constant\(1.0, 0\) before >> lasts 0 steps",
        ls.Constant(1.0, 5) >> ls.Linear(1.0, 0.1, 9),
    ),
    "a part cut off": (WHOLE.take(20), r"Cosine, which begins at step 40, is never reached, since .take\(20\)", WHOLE.take(60)),
    "a jump": (
        ls.Linear(0.1, 0.2, 10) >> ls.Cosine(1.0, 0.1, 9),
        r"a jump at step 10, from 0.2 to 1 \(×5\)",
        ls.Cosine(1.0, 0.1, 9).repeat(3),
    ),
    "below zero": (ls.Linear(1.0, -0.5, 10), r"the value falls to -0.35, below 0", ls.Linear(1.0, -0.5, 10).clip(0.0, 1.0)),
    "a peak between steps": (
        ls.Linear(0.1, 1.0, 10.5) >> ls.Cosine(1.0, 0.1, 20),
        r"the peak of 1 is at step 10.5, between two",
        ls.Linear(0.1, 1.0, 10) >> ls.Cosine(1.0, 0.1, 20.5),
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_looks_like_a_mistake_is_said_and_nothing_else(name):
    wrong, message, right = WARNINGS[name]
    assert re.search(message, "\n".join(ls.summary(wrong).warnings))
    assert ls.summary(right).warnings == ()


def test_a_run_may_end_before_its_plan():
    (warning,) = ls.summary(WHOLE, steps=30).warnings
    assert "Cosine begins at step 40 and is never reached in 30 steps" in warning
    assert (ls.summary(WHOLE, steps=300).steps, ls.summary(WHOLE, steps=100).warnings) == (300, ())


def tops(text: str) -> list[int]:
    """How high the drawing is in each column, in characters from below; 0 if nothing is there."""
    rows = [line.partition("│")[2].ljust(WIDTH, "⠀") for line in text.splitlines()[:HEIGHT]]
    return [max([HEIGHT - i for i, row in enumerate(rows) if row[k] not in "⠀ "], default=0) for k in range(WIDTH)]


@given(schedules)
def test_any_schedule_is_summed_up_and_drawn(s):
    found = ls.summary(s)
    assert (found.phases[0].start, found.phases[-1].stop) == (0, INF)
    for before, after in zip(found.phases, found.phases[1:], strict=False):
        assert before.start < before.stop == after.start
    assert found.lowest - 1e-6 <= found.mean <= found.peak + 1e-6
    text = curve(found)
    assert len(text.splitlines()) == HEIGHT + 2
    assert min(tops(text)) > 0  # no gaps


def bundle(s: Any) -> Any:
    return s._repr_mimebundle_(include=None, exclude=None)


@pytest.mark.parametrize("call", FEW, ids=str)
def test_every_node_is_shown(call):
    assert str(ls.summary(call.make())).count("\n") >= 3
    assert "<img" in bundle(call.make())["text/html"]
    assert not plt.get_fignums()


def test_summary_errors():
    with pytest.raises(TypeError, match=r"summary\(schedule=0.1\): expected a schedule"):
        ls.summary(0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"expected one schedule, got a batch of shape \(2,\)"):
        ls.summary(ls.stack([WHOLE, WHOLE]))
    for steps in (0, 2.5, 2**31):
        with pytest.raises(ValueError, match=r"summary\(steps=.*\): expected a whole number of updates"):
            ls.summary(WHOLE, steps=steps)  # pyright: ignore[reportArgumentType]


# In a notebook


def test_a_curve_the_formula_and_the_facts():
    s = ls.warmup_cosine(0.1, 10, 100)
    found = bundle(s)
    assert found["text/plain"] == repr(s)
    assert html.escape(f"s(t) = {ls.latex(s)}") in found["text/html"]
    picture = base64.b64decode(found["text/html"].split("base64,")[1].split('"')[0])
    assert np.ptp(image.imread(io.BytesIO(picture))[..., :3]) > 0.5  # something is drawn
    assert bundle(ls.Exponential(0.1, 0.5))["text/latex"] == r"$$\displaystyle s(t) = 0.1 \cdot 0.5^{t}$$"


FACTS: list[Any] = [
    (ls.warmup_cosine(0.1, 10, 100), ["lasts 100 steps, starts at 0, peaks at 0.1 in step 10, ends at 0"]),
    (ls.multi_step(0.1, [30, 60], 0.1), ["starts at 0.1, peaks at 0.1 in step 0, ends at 0.001"]),
    (ls.Exponential(0.1, 0.5), ["goes on for ever"]),
    (ls.grid(ls.warmup_cosine, peak=[0.1, 0.2], warmup_steps=[0, 10], steps=100)[0], ["4 schedules, with peaks from 0.1 to"]),
    (RAMP >> 0.1 * ls.reduce_on_plateau(), ["waits for observations of value; shown over: step (before any change of plat"]),
    (
        ls.Cosine(3e-4, 0.0, 1e9).on(ls.Counter("tokens")),
        ["lasts 1e+09 tokens, starts at 0.0003, peaks at 0.0003 at 0, ends at 0", "observations of tokens; shown over: tokens"],
    ),
    (ls.Exponential(1.0, 0.5).on(ls.Plateau(monitor="<script>alert(1)</script>")), ["&lt;script"]),
]


@pytest.mark.parametrize(("s", "facts"), FACTS, ids=lambda x: repr(x)[:40])
def test_the_facts_are_those_of_the_schedule(s, facts):
    page = bundle(s)["text/html"]
    assert "<img" in page
    assert "<script" not in page
    assert all(fact in page for fact in facts)


def test_what_cannot_be_drawn_is_text():
    assert list(bundle(ls.Function(lambda _: {}[0]))) == ["text/plain"]
    seen = []
    jax.jit(lambda x: seen.append(bundle(ls.Constant(x))) or x)(1.0)
    assert list(seen[0]) == ["text/plain"]
    assert bundle(ls.Plateau(patience=3)) == {"text/plain": "Plateau(patience=3)"}


# In a shell

EXPRESSION = "Linear(0, 1e-3, 100) >> Cosine(1e-3, 0, 900)"


def test_show_draws_and_sums_up(tmp_path, capsys):
    assert shell.main(["show", EXPRESSION]) == 0
    out = capsys.readouterr().out
    assert str(ls.summary(ls.parse(EXPRESSION))) in out
    assert out.splitlines()[0].startswith("0.001 │")
    assert out.splitlines()[HEIGHT + 1].split() == ["0", "999"]
    assert shell.main(["show", EXPRESSION, "--json"]) == 0
    assert ls.from_json(capsys.readouterr().out) == ls.parse(EXPRESSION)
    path = tmp_path / "curve.png"
    assert shell.main(["show", "1e-3", "--steps", "50", "--png", str(path)]) == 0
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    out = capsys.readouterr().out
    assert "over 50 steps" in out
    assert f"wrote {path}" in out


def test_the_curve_is_where_the_values_are():
    for s in (ls.Cosine(2.0, 1.0, 500), ls.Linear(-1.0, 1.0, 72)):
        found = ls.summary(s)
        low, high = min(0.0, found.lowest), found.peak
        steps = np.linspace(0, found.steps - 1, WIDTH * 50).reshape(WIDTH, -1)
        best = np.asarray(s(np.clip(steps, 0, found.steps - 1))).max(axis=1)
        expected = (best - low) / (high - low) * HEIGHT
        assert np.max(np.abs(np.array(tops(curve(found))) - expected)) <= 1.1
    text = curve(ls.summary(RAMP >> ls.Cosine(1, 0, 10**6)))  # a short warm-up is seen, as a line from 0 up
    assert all(line.partition("│")[2][0] != "⠀" for line in text.splitlines()[:HEIGHT])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Linear(0, 1e-3, 100) >> Cosin(1e-3, 0, 900)"], "did you mean Cosine?\n    Linear(0, 1e-3, 100) >> Cosin(1e-3"),
        (["Linear(0, 1, -3)"], "(steps=-3.0): expected steps >= 0"),
        (["Time()", "--steps", "0"], "expected a whole number, at least 1"),
        (["Time()", "--png", "curve.nonsense"], "argument --png: expected a file to write, got 'curve.nonsense'"),
        ([], "the following arguments are required: expression"),
    ],
)
def test_a_mistake_is_pointed_at_and_the_exit_code_is_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as raised:
        shell.main(["show", *arguments])
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_without_matplotlib_only_pictures_are_missing(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else real(name, *more))
    page = bundle(ls.Exponential(0.1, 0.5))["text/html"]
    assert "<img" not in page
    assert r"0.1 \cdot 0.5^{t}" in page
    assert shell.main(["show", EXPRESSION]) == 0
    with pytest.raises(SystemExit):
        shell.main(["show", EXPRESSION, "--png", "curve.png"])
    assert "python -m pip install 'lrsched-jax[plot]'" in capsys.readouterr().err


def test_as_a_process_in_plain_characters():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "lrsched", "show", EXPRESSION]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"****" in done.stdout
    assert b"peak 0.001 at step 100" in done.stdout
