"""Experiments: range tests, comparisons of schedules on a model of your own, and predicted loss curves."""

import importlib

from lrsched.lab.compare.compare import compare as compare
from lrsched.lab.compare.result import Comparison as Comparison
from lrsched.lab.law.fit import fit_law as fit_law
from lrsched.lab.law.result import FittedLaw as FittedLaw
from lrsched.lab.progress import report as report
from lrsched.lab.range_test import RangeTest as RangeTest
from lrsched.lab.range_test import range_test as range_test


def __getattr__(name: str) -> object:
    """Imports the workloads at their first use."""
    if name != "workloads":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.workloads")
