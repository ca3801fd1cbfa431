"""Experiments: range tests, comparisons of schedules on a model of your own, and predicted loss curves."""

from lrsched.lab import workloads as workloads
from lrsched.lab.compare.compare import compare as compare
from lrsched.lab.compare.result import Comparison as Comparison
from lrsched.lab.law.fit import fit_law as fit_law
from lrsched.lab.law.result import FittedLaw as FittedLaw
from lrsched.lab.progress import report as report
from lrsched.lab.range_test.result import RangeTest as RangeTest
from lrsched.lab.range_test.run import range_test as range_test
from lrsched.views.names import explain_names as _explain_names

_explain_names(globals())
