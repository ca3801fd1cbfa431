"""The rules of the range test, beside a plain version of each and on curves whose answer is known by hand."""

import itertools
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from lrsched.lab.ranging import suggestions


def rates_of(n):
    return np.geomspace(1e-6, 1.0, n)


def plainly(rates, losses, steps):
    """The rules in words of one loop each: functions that raise a ValueError where a rule has nothing to say."""
    points = list(zip(rates, losses, strict=True))[steps // 10 : -5]
    points = list(itertools.takewhile(lambda point: not math.isnan(point[1]), points))
    rates, losses = [rate for rate, _ in points], [loss for _, loss in points]
    n = len(points)

    def minimum():
        return rates[min(range(n), key=losses.__getitem__)] / 10

    def steep():
        def slope(i):
            return (losses[i + 1] - losses[i]) / (math.log(rates[i + 1]) - math.log(rates[i]))

        return rates[min(range(n - 1), key=slope)]

    def valley():
        longest = []  # strictly falling subsequence that ends at each point
        for i in range(n):
            longest.append(1 + max((longest[j] for j in range(i) if losses[j] > losses[i]), default=0))
        end = longest.index(max(longest))
        if longest[end] == 1:
            return rates[0]
        third = longest[end] / 3
        number = end - longest[end] + math.floor(third) + math.floor(third / 2)
        if number < 0:
            raise ValueError("two points at the start")
        return rates[number]

    def slide():
        if n < 16:
            raise ValueError("too few points")
        inner = [(after - before) / 2 for before, after in zip(losses, losses[2:], strict=False)]
        slopes = [losses[1] - losses[0], *inner, losses[-1] - losses[-2]]
        differ = [abs(slopes[left + 15] - slopes[left]) > 0.005 for left in range(n - 15)]
        settled = [left for left, differs in enumerate(differ) if not differs]
        return rates[min(settled[-1] + 1, n - 16) if settled else 0]

    return {"minimum": minimum, "steep": steep, "valley": valley, "slide": slide}


WHOLE = st.integers(-3, 3).map(float)  # many ties
REAL = st.floats(-1e3, 1e3, allow_subnormal=False)


@hypothesis.settings(max_examples=200)
@hypothesis.given(st.data(), st.integers(8, 60), st.integers(0, 20), st.sampled_from([WHOLE, REAL]))
def test_each_is_the_rule_in_plain_words(data, n, missing, values):
    losses = np.asarray(data.draw(st.lists(values, min_size=n, max_size=n)))
    if data.draw(st.booleans()):
        losses[data.draw(st.integers(0, n - 1)) :] = np.nan
    rates, steps = rates_of(n), n + missing
    rates *= np.linspace(1.0, 1.5, n) ** 2  # no two equally far apart: no ties between slopes but at 0
    found = suggestions.suggestions(rates, losses, steps)
    for name, rule in plainly(rates, losses, steps).items():
        try:
            expected = rule()
        except ValueError:
            expected = math.nan
        np.testing.assert_equal(found[name], expected, err_msg=name)


@hypothesis.given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_the_valley_is_the_longest_of_all_subsequences(losses):
    n, rates = len(losses), np.arange(1.0, len(losses) + 1)
    falling = [
        chosen
        for size in range(1, n + 1)
        for chosen in itertools.combinations(range(n), size)
        if all(losses[i] > losses[j] for i, j in itertools.pairwise(chosen))
    ]
    longest = max(map(len, falling))
    end = min(chosen[-1] for chosen in falling if len(chosen) == longest)
    length = longest if longest > 1 else 0
    index = end - length + length // 3 + length // 6
    np.testing.assert_equal(suggestions.valley(rates, np.asarray(losses, float)), index + 1.0 if index >= 0 else math.nan)


def test_steep_is_where_a_sigmoid_in_the_logarithm_has_its_middle():
    rates = rates_of(61)  # ten points a decade
    losses = 1 / (1 + np.exp(3 * (np.log10(rates) + 3)))
    assert suggestions.steep(rates, losses) in (rates[29], rates[30])  # the two slopes beside 1e-3 are equal


def test_slide_stops_where_the_curve_is_straight_again():
    # Straight up to point 40, then ever steeper. The slopes of points 15 apart differ while the right one is beyond 40.
    losses = -0.01 * np.arange(60.0)
    losses[40:] += np.arange(20.0) ** 2
    slopes = np.gradient(losses)
    first = next(i for i in range(60) if abs(slopes[i] - slopes[0]) > 0.005)  # the first right point that differs
    assert suggestions.slide(np.arange(60.0), losses) == first - 15 == 25.0


def test_the_curve_ends_before_its_first_loss_that_is_no_number():
    losses = np.linspace(3.0, 1.0, 40)
    losses[[30, 33]] = np.inf, np.nan
    assert suggestions.suggestions(rates_of(40), losses, 40)["minimum"] == pytest.approx(rates_of(40)[29] / 10)
