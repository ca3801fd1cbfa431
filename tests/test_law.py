"""`lrsched.lab.fit_law`: its formulas against a sum over every step, its fits on simulated curves, and its errors."""

# Some calls are wrong on purpose.
# pyright: reportArgumentType=false

import dataclasses
import html
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused

import lrsched as ls
from lrsched import lab
from lrsched.lab.law.laws import LAWS
from lrsched.lab.law.result import FittedLaw, Parameter

N = 3000
STEPS = np.arange(300, N, 50)
COMMON, POWER = {"L0": 2.0, "A": 0.6, "alpha": 0.45, "B": 300.0}, {"C": 2.2, "beta": 0.55, "gamma": 0.6}
TRUTH = {
    "multi-power": COMMON | POWER,
    "momentum": COMMON | {"memory": 150.0},
    "combined": COMMON | POWER | {"memory": 150.0, "odds": 1.5},
}
HALF = ls.Linear(0.0, 1e-3, 200) >> ls.Piecewise([0, 1300], [1e-3, 3e-4])
SCHEDULES = {
    "constant": ls.warmup_constant(1e-3, 200),
    "cosine": ls.warmup_cosine(1e-3, 200, N, end=1e-4),
    "half": HALF,
    "wsd": ls.wsd(1e-3, 200, N, 700),
    "cycles": ls.cosine_restarts(1e-3, 1e-4, 700),
}
RUNS = [SCHEDULES[name] for name in ("constant", "cosine", "half")]


def summed(p, schedule, steps):
    """The law in float64, over every step: η, S and the decrements as its docstring writes them."""
    rates = np.asarray(schedule(np.arange(N)), np.float64)
    area = np.cumsum(rates)
    found = []
    for t in steps:
        k = np.arange(1, t + 1)
        responses = {}
        if "memory" in p:
            responses["momentum"] = 1 - np.exp(-(t - k + 1) / p["memory"])
        if "C" in p:
            grown = p["C"] * np.maximum(rates[k], 1e-12) ** -p["gamma"] * (area[t] - area[k - 1])
            responses["multi-power"] = 1 - (1 + grown) ** -p["beta"]
        weights = {"momentum": 1, "multi-power": p.get("odds", 1)}
        response = sum(weights[key] * x for key, x in responses.items()) / sum(weights[key] for key in responses)
        drop = np.sum((rates[k - 1] - rates[k]) * response)
        found.append(p["L0"] + p["A"] * area[t] ** -p["alpha"] - p["B"] * drop)
    return np.array(found)


def known(name, curves=()):
    """A law with the true parameters."""
    return FittedLaw(LAWS[name], {key: Parameter(x, x, x) for key, x in TRUTH[name].items()}, tuple(curves))


def simulated(name, noise, seed=0, truth=None, alike=0.0):
    """Curves with noise, whose neighbours have a correlation of `alike`."""
    random = np.random.default_rng(seed)
    exact = [summed(truth or TRUTH[name], one, STEPS) for one in RUNS]
    return [(one, STEPS, x * np.exp(noise * correlated(random, x.size, alike))) for one, x in zip(RUNS, exact, strict=True)]


def correlated(random, size, alike):
    drawn = random.normal(size=size)
    drawn[1:] *= (1 - alike**2) ** 0.5
    return np.array(list(itertools.accumulate(drawn, lambda last, new: alike * last + new)))


@pytest.mark.parametrize("name", LAWS)
def test_predicts_what_its_formula_says(name):
    law = known(name)
    for schedule in (*SCHEDULES.values(), ls.warmup_linear(1e-3, 50, 600), ls.InverseSqrt(1e-3, 99.5)):
        exact = summed(TRUTH[name], schedule, STEPS)
        for later, error in (([], 2e-5), ([10**5], 1e-3), ([2 * 10**9], 1e-3)):  # the steps after it change little
            np.testing.assert_allclose(law.predict(schedule, [*STEPS, *later])[: len(STEPS)], exact, atol=error)
    rates = np.asarray(HALF(np.arange(N)))
    np.testing.assert_allclose(law.predict(rates, STEPS), law.predict(HALF, STEPS), atol=1e-6)
    assert law.predict(1e-3, 0) > law.predict(1e-3, 1)
    assert float(law.predict(lambda t: HALF(t), 2000)) == float(law.predict(HALF, [2000])[0])


@pytest.mark.deep
def test_a_prediction_can_be_jitted_differentiated_and_batched():
    law = known("multi-power")
    end = jax.jit(lambda peak, cool: law.predict(ls.wsd(peak, 200, N, cool), N - 1))
    slope = jax.grad(end, argnums=1)(1e-3, 700.0)
    assert abs(float(slope) - float(end(1e-3, 750.0) - end(1e-3, 650.0)) / 100) < 0.05 * abs(float(slope))
    batch = ls.stack([ls.warmup_cosine(1e-3, 200, N), ls.warmup_cosine(1e-3, 100, N)])
    assert law.predict(batch, STEPS).shape == (2, len(STEPS))
    np.testing.assert_allclose(law.predict(batch, STEPS)[1], law.predict(batch[1], STEPS), rtol=1e-6)
    flat = jax.grad(lambda end: law.predict(ls.warmup_cosine(1e-3, 200, N, end=end), N - 1))(0.0)
    assert jnp.isfinite(flat)


POINTS = np.arange(10)
FALLING = 3.0 - 0.1 * POINTS
DRIVEN = 1e-3 * ls.reduce_on_plateau()
REFUSED = [
    (lambda: lab.fit_law([(HALF, POINTS, FALLING)], "cubic"), "fit_law(law='cubic'): expected 'multi-power' or"),
    (lambda: lab.fit_law((HALF, POINTS, FALLING)), "expected a list of (schedule, steps, losses)"),
    (lambda: lab.fit_law([(POINTS, FALLING, HALF)]), "expected a list of (schedule, steps, losses)"),
    (lambda: lab.fit_law([(HALF, FALLING, POINTS)]), "Hint: sort them; a curve is (schedule, steps, losses)"),
    (lambda: lab.fit_law([(1e-3, POINTS, FALLING[1:])]), "arrays of one length, got shapes (10,) and (9,)"),
    (lambda: lab.fit_law([(1e-3, POINTS[::-1], FALLING)]), "whole numbers that rise, from 0 or later. Hint: sort"),
    (lambda: lab.fit_law([(1e-3, POINTS, FALLING * np.nan)]), "fit_law(losses=nan): expected finite losses > 0"),
    (lambda: lab.fit_law([(1e-3, POINTS, FALLING[::-1])]), "expected losses that fall, got 2.1 to 3"),
    (lambda: lab.fit_law([(0.0, POINTS, FALLING)]), "expected rates >= 0, and above 0 at some step, got 0 to 0"),
    (lambda: lab.fit_law([([1e-3] * 9, POINTS, FALLING)]), "the rate of every update from 0 to 9, got an array of"),
    (lambda: lab.fit_law([(DRIVEN, POINTS, FALLING)]), "a schedule that is not driven. Hint: lrsched.clocks.bind"),
    (lambda: lab.fit_law([(ls.Linear(0.0, 1.0, 90), POINTS, FALLING)]), "3 points after the highest rate, got 1"),
    (lambda: lab.fit_law([(ls.Cosine(1.0, 0.0, 9), POINTS[:6], FALLING[:6])]), "than the 7 parameters of the mult"),
    (lambda: lab.fit_law([(1e-3, POINTS, FALLING)]), "constant rates do not identify B, C, beta, gamma. Hint: "),
    (lambda: known("momentum").predict(HALF, [0.5]), "predict(steps=[0.5]): expected whole numbers >= 0"),
    (lambda: jax.jit(lambda t: known("momentum").predict(HALF, t))(5), "steps that are known while tracing. Hint"),
    (lambda: known("momentum").optimize(1e-3), "optimize(schedule=0.001): expected a schedule"),
    (lambda: known("momentum").optimize(HALF, "values"), "a list of names. Hint: free=['values']"),
    (lambda: known("momentum").optimize(ls.InverseSqrt(1e-3, 9), ["start"]), "has no end"),
    (lambda: ls.monotone(1.0, 10, points=1), "monotone(points=1): expected points >= 2 and whole"),
    (lambda: ls.monotone(1.0, 10, points=3, ratios=[0.5]), "expected one number, or ratios in its place"),
    (lambda: ls.monotone(1.0, 10, ratios=[0.5, 1.5]), "expected ratios >= 0 and <= 1"),
]
test_refuses = refused(REFUSED, literal=True)


@pytest.mark.deep
@pytest.mark.parametrize("name", LAWS)
def test_a_fit_finds_the_parameters_of_simulated_curves(name):
    law = lab.fit_law(simulated(name, 1e-3), name)
    for other in SCHEDULES.values():
        np.testing.assert_allclose(law.predict(other, STEPS), summed(TRUTH[name], other, STEPS), rtol=4e-3)
    text = str(law)
    assert f"{name} law, fitted to 3 curves, 162 points" in text
    assert max(map(len, text.splitlines())) <= 80
    assert law._repr_html_() == f"<pre>{html.escape(text)}</pre>"
    assert "warmup_cosine(0.001, 200, 3000, end=0.0001)" in text
    assert ("The curves hardly determine" in text) == (name != "momentum")
    axes = law.plot((HALF, STEPS, None), (SCHEDULES["wsd"], STEPS, summed(TRUTH[name], SCHEDULES["wsd"], STEPS)))
    assert [ax.get_ylabel() for ax in axes] == ["loss", "residual", "rate"]


def coverage(name, seeds, law):
    """How often the 95 % intervals contain the truth, drawn from the priors, with noise that is alike as in measured curves."""
    inside = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        truth = TRUTH[name] | {key: median * np.exp(width * random.normal()) for key, (median, width) in law.priors.items()}
        found = lab.fit_law(simulated(name, 3e-3, seed, truth, 0.8), name).parameters
        inside.append([found[key].low <= truth[key] <= found[key].high for key in truth])
    return np.mean(inside)


@pytest.mark.deep
@pytest.mark.parametrize("name", LAWS)
def test_intervals_hold_the_truth_as_often_as_they_say(name, monkeypatch):
    priors = {key: (median / 8 if key == "memory" else median, width) for key, (median, width) in LAWS[name].priors.items()}
    monkeypatch.setitem(LAWS, name, dataclasses.replace(LAWS[name], priors=priors))  # with a short memory, for short runs
    assert coverage(name, 8, LAWS[name]) >= 0.85


@pytest.mark.deep
def test_optimizes_the_numbers_that_are_free():
    law = lab.fit_law(simulated("multi-power", 1e-3))
    start = ls.wsd(1e-3, 200, N, 100)
    best = law.optimize(start, ["decay_steps", "end"])
    assert repr(best).startswith("wsd(peak=0.001, warmup_steps=200, steps=3000, decay_steps=")
    ends = {s: float(law.predict(s, N - 1)) for s in (start, best, law.optimize(ls.monotone(1e-3, N, 200, points=12)))}
    assert list(ends.values()) == sorted(ends.values(), reverse=True)
    grid = [float(law.predict(ls.wsd(1e-3, 200, N, n, end=e), N - 1)) for n in range(200, 2800, 200) for e in (0.0, 1e-5, 1e-4)]
    assert ends[best] <= min(grid) + 1e-4
    table = list(ends)[-1]
    assert np.all(np.diff(np.asarray(table(np.arange(200, N)))) <= 1e-9)
    assert ls.parse(repr(table)) == table
    assert law.optimize(ls.Linear(0, 1e-3, 200) >> ls.Cosine(1e-3, 1e-3, N - 200), ["end"], N).length == N
    with pytest.raises(ValueError, match=r"names of wsd.* are peak, warmup_steps, steps"):
        law.optimize(start, ["tail"])
    with pytest.raises(ValueError, match=r"expected rates up to 0.001, the highest of the curves"):
        law.optimize(ls.Linear(0.1, 0.0, 99), ["start"])
