"""Experiments over schedules: compare them on a model of your own."""

from lrsched.lab.compare.compare import compare as compare
from lrsched.lab.compare.result import Comparison as Comparison
from lrsched.lab.progress import report as report
from lrsched.lab.range_test import range_test as range_test
from lrsched.lab.ranging.result import RangeTest as RangeTest
