"""How exact the PyTorch dialect is: every class with every option, of 10^3 to 2^31 - 2 steps, against 60 digits."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from cases import DRIVEN
from helpers import bits
from meaning import meaning
from test_precision import errors
from torch_cases import TORCH

import lrsched as ls
from lrsched.dialects import torch

LENGTHS = (10**3, 10**5, 2**31 - 2)
CASES = TORCH | DRIVEN


def truth(case: Any, n: int, steps: Any) -> list[Any]:
    s = case.make(n)
    return [case.formula(n, int(t)) if case.formula else meaning(s, int(t)) for t in steps]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_eager_values(name, n):
    case = CASES[name]
    n = min(n, case.longest)
    steps = case.steps(n)
    steps = steps[steps <= max(n + n // 9, 10**4)]
    values = np.asarray(case.call(case.make(n), steps))
    assert np.max(errors(values, truth(case, n, steps), case.size)) <= 1
    at = dict(zip(steps.tolist(), values, strict=True))
    for step, known in case.known(n).items():
        assert step not in at or bits(at[step]) == bits(np.float32(known)), (step, at[step], known)


def test_every_class_and_every_option_has_a_case():
    schedules = [case.make(1000) for case in TORCH.values()]
    classes: list[Any] = [x for x in vars(torch).values() if isinstance(x, type) and issubclass(x, ls.Schedule)]
    assert {type(s) for s in schedules} == {*classes, ls.Driven} - {torch.Recurrence}  # driven: ReduceLROnPlateau
    for cls in classes:
        for field in dataclasses.fields(cls):
            wanted = {*(field.metadata.get("options") or ()), *((False, True) if field.name == "three_phase" else ())}
            if wanted:
                assert {getattr(s, field.name) for s in schedules if type(s) is cls} == wanted, (cls, field.name)
