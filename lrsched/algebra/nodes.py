"""The nodes that the operators and methods of schedules build."""

from lrsched.algebra.combinators import Constant as Constant
from lrsched.algebra.combinators import Delay as Delay
from lrsched.algebra.combinators import Drop as Drop
from lrsched.algebra.combinators import Pointwise as Pointwise
from lrsched.algebra.combinators import Repeat as Repeat
from lrsched.algebra.combinators import Reverse as Reverse
from lrsched.algebra.combinators import Staircase as Staircase
from lrsched.algebra.combinators import Stretch as Stretch
from lrsched.algebra.combinators import Take as Take
from lrsched.algebra.combinators import Warp as Warp
from lrsched.algebra.combinators import as_schedule as as_schedule
from lrsched.algebra.combinators import clipped as clipped
from lrsched.algebra.combinators import operated as operated
from lrsched.algebra.driven import Driven as Driven
from lrsched.algebra.sequence import sequence as sequence
