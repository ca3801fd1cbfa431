"""The learning-rate range test: train a little at rising rates, and see where the loss falls and where it diverges."""

from lrsched.lab.range_test.result import RangeTest as RangeTest
from lrsched.lab.range_test.run import range_test as range_test
