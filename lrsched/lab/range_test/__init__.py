"""The learning-rate range test: train a little at ever higher rates, and see from where to where the loss falls."""

from lrsched.lab.range_test.result import RangeTest as RangeTest
from lrsched.lab.range_test.run import range_test as range_test
