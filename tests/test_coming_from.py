"""The pages "Coming from …": in each row of a table the calls of the framework and of the algebra are equal."""

import importlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched.algebra.combinators import driven_parts

PAGES = Path(__file__).parents[1] / "notebooks"
DIALECTS = {"pytorch": "torch", "optax": "optax", "hugging_face": "transformers", "timm": "timm", "keras": "keras"}
LIVE = {"from_torch", "state_from_torch", "from_optax", "as_stateful", "from_timm", "create_scheduler", "deserialize"}
IN_PROSE = LIVE | {"InPlace"}
STEPS = np.arange(0, 1210, 37)  # of optax, which takes one at a time
METRICS = [3.0, 2.0, 2.0, 2.0, 2.0, 1.9999, 1.5, np.nan, 1.6, 1.7, 1.4, 1.2, 1.3, 1.2, 1.1999, 1.2, 1.1, *[1.1] * 9]  # above 0


def rows(page: str) -> list[list[str]]:
    """The cells of every table of a page, as code."""
    text = (PAGES / f"coming_from_{page}.md").read_text()
    return [line[1:-1].split("` | `") for line in re.findall(r"^\| (`.*`) \|$", text, re.MULTILINE)]


def values(schedule: Any) -> np.ndarray:
    """At all steps and past the end, or at the metrics; `create_scheduler_v2` gives a number of epochs as well."""
    schedule = schedule[0] if isinstance(schedule, tuple) else schedule
    if isinstance(schedule, ls.Schedule) and driven_parts(schedule):
        return np.asarray(ls.clocks.replay(schedule, np.asarray([*METRICS, 0.0], np.float32)))[1:]
    return np.asarray(schedule(np.arange(1210)) if isinstance(schedule, ls.Schedule) else [schedule(t) for t in STEPS])


@pytest.mark.usefixtures("relaxing")
@pytest.mark.parametrize("page", DIALECTS)
def test_columns_are_equal_and_every_name_has_its_row(page):
    """The last column but one is the dialect's, with the rate in place of the optimizer."""
    dialect: Any = importlib.import_module(f"lrsched.dialects.{DIALECTS[page]}")
    names = vars(dialect) | {"optimizer": 0.1, "optax": dialect}
    for *theirs, ours in rows(page):
        found = values(eval(ours, {"ls": ls, "math": math}))
        assert np.ptp(found) > 0.01 or "onstant" in theirs[0], "it moves"
        for call in theirs[-1:] if page == "pytorch" else theirs:
            np.testing.assert_allclose(values(eval(call, dict(names))), found, rtol=1e-6, atol=1e-9, err_msg=call)
        if page == "optax" and "plateau" not in ours:
            np.testing.assert_allclose(values(eval(theirs[0], {"optax": optax})), found[STEPS], rtol=1e-4, atol=1e-6)
    # Every name of a dialect has its row.
    public = {name for name, x in vars(dialect).items() if name[0] != "_" and f"{x}".startswith(("<function", "<class"))}
    made_here = {name for name in public if getattr(dialect, name).__module__.startswith(dialect.__name__)}
    called = set(re.findall(r"\w+(?=\()", str(rows(page))))
    assert made_here - IN_PROSE <= called
