"""The nodes that the operators and methods of schedules build.

The stars are on purpose: a new combinator needs no entry here.
"""

from lrsched.algebra.combinators import *  # noqa: F403
from lrsched.algebra.driven import Driven as Driven
from lrsched.algebra.pointwise import *  # noqa: F403
from lrsched.algebra.sequence import sequence as sequence
