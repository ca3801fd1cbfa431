"""Experiments over schedules: compare them on a model of your own."""

from lrsched.lab.compare import compare as compare
from lrsched.lab.comparing.result import Comparison as Comparison
from lrsched.lab.progress import report as report
from lrsched.lab.range_test import RangeTest as RangeTest
from lrsched.lab.range_test import range_test as range_test
