"""The display of a schedule in a notebook."""

import base64
import importlib.util
import io
from xml.etree import ElementTree as ET

import jax
import numpy as np
from matplotlib import image
from matplotlib import pyplot as plt
from signatures import FEW

import lrsched as ls

PLATEAU, TOKENS = ls.reduce_on_plateau(), ls.Cosine(3e-4, 0.0, 1e9).on(ls.Counter("tokens"))
FACTS = [
    (ls.Piecewise([0, 30, 60, 90], [0.1, 0.03, 0.01, 0.003]), "starts at 0.1, peaks at 0.1 in step 0, ends at 0.003<"),
    (ls.Exponential(0.1, 0.5), "goes on for ever"),
    (ls.Linear(0.0, 0.1, 10) >> PLATEAU, "&#x27;value&#x27;; drawn over steps (before any observation of &#x27;value&#x27;)"),
    (TOKENS, "lasts 1e+09 tokens, starts at 0.0003, peaks at 0.0003 at 0, ends at 0<"),
    (TOKENS, "depends on the metric &#x27;tokens&#x27;; drawn over tokens<"),
    (ls.Cosine(np.linspace(0.1, 1, 60), 0.0, 100), "60 schedules, with peaks from 0.1 to 1<"),
    (ls.Constant(np.linspace(0.1, 1, 501)), "the first 500 of 501 schedules, with peaks from 0.1 to 0.9982<"),
    (ls.Exponential(1.0, 0.5).on(ls.Plateau(monitor="<script>alert(1)</script>")), "&lt;script"),
]


def bundle(s):
    return s._repr_mimebundle_(include=None, exclude=None)


def test_a_curve_the_formula_and_the_facts():
    found = bundle(ls.warmup_cosine(0.1, 10, 100))
    assert found["text/plain"] == "warmup_cosine(0.1, 10, 100)"
    assert found["text/latex"].startswith(r"$$\displaystyle s(t) = \begin{cases}")
    page = found["text/html"]
    formula = ET.fromstring(page[page.index("<math") : page.index("</math>") + 7])
    assert "".join(formula.itertext()).startswith("s(t)={0.1·t10if")
    assert "lasts 100 steps, starts at 0, peaks at 0.1 in step 10, ends at 0<" in page
    picture = base64.b64decode(page.split("base64,")[1].split('"')[0])
    assert np.ptp(image.imread(io.BytesIO(picture))[..., :3]) > 0.5  # something is drawn


def test_every_class_of_nodes_is_shown_with_its_facts(monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)  # what takes the time is the same for all
    before = plt.get_fignums()
    for s, words in [*FACTS, *((call.make(), "") for call in FEW)]:
        page = bundle(s)["text/html"]
        assert words in page
        assert "<img" in page
        assert "<script" not in page
    assert plt.get_fignums() == before


def test_without_a_picture_there_is_text():
    assert list(bundle(ls.Function(lambda _: {}[0]))) == ["text/plain"]
    seen = []
    jax.jit(lambda x: seen.append(bundle(ls.Constant(x))) or x)(1.0)
    assert list(seen[0]) == ["text/plain"]

    assert bundle(ls.Plateau(patience=3)) == {"text/plain": "Plateau(patience=3)"}
    assert "text/latex" not in bundle(ls.stack([ls.Constant(0.1), ls.Constant(0.2)]))


def test_without_the_extra_there_is_the_formula(monkeypatch):
    real, extra = importlib.util.find_spec, ("latex2mathml", "matplotlib")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in extra else real(name, *more))
    page = bundle(ls.Exponential(0.1, 0.5))["text/html"]
    assert "<img" not in page
    assert r"0.1 \cdot 0.5^{t}" in page
