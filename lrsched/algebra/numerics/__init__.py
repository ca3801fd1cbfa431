"""Exact step arithmetic, and the two ways of doing it.

Every function here works on two kinds of numbers. What is *concrete* (Python and NumPy numbers, JAX arrays outside a
trace) is computed on the host in float64; what is *traced* becomes JAX operations in the default float type. So the same
code gives exact lengths, fast and exact eager calls, and compiled ones, and folds whatever is constant while it traces.
This package is the only place that knows about rounding: `kinds` says what numbers there are, `amounts` and `spans` compute
with amounts of time in a trace, `folding` with any numbers, `powers` with logarithms and exponentials, `wide` with numbers of
64 bits, `cycles` finds cycles that grow, `progress` is how far through a ramp it is, `moment` the time that a schedule is asked
about, and `meshes` puts values where steps are sharded.
"""

from lrsched.algebra.numerics.amounts import as_span as as_span
from lrsched.algebra.numerics.amounts import kept_exactly as kept_exactly
from lrsched.algebra.numerics.folding import add as add
from lrsched.algebra.numerics.folding import ascending as ascending
from lrsched.algebra.numerics.folding import both as both
from lrsched.algebra.numerics.folding import ceil_ratio as ceil_ratio
from lrsched.algebra.numerics.folding import divide as divide
from lrsched.algebra.numerics.folding import equal as equal
from lrsched.algebra.numerics.folding import inverse_root as inverse_root
from lrsched.algebra.numerics.folding import kept_finite as kept_finite
from lrsched.algebra.numerics.folding import maximum as maximum
from lrsched.algebra.numerics.folding import minimum as minimum
from lrsched.algebra.numerics.folding import multiply as multiply
from lrsched.algebra.numerics.folding import negative as negative
from lrsched.algebra.numerics.folding import opposite as opposite
from lrsched.algebra.numerics.folding import parted as parted
from lrsched.algebra.numerics.folding import pick as pick
from lrsched.algebra.numerics.folding import power as power
from lrsched.algebra.numerics.folding import result as result
from lrsched.algebra.numerics.folding import root as root
from lrsched.algebra.numerics.folding import rounded as rounded
from lrsched.algebra.numerics.folding import saturated as saturated
from lrsched.algebra.numerics.folding import subtract as subtract
from lrsched.algebra.numerics.folding import table as table
from lrsched.algebra.numerics.folding import where as where
from lrsched.algebra.numerics.kinds import Number as Number
from lrsched.algebra.numerics.kinds import Span as Span
from lrsched.algebra.numerics.kinds import array_of as array_of
from lrsched.algebra.numerics.kinds import float_type as float_type
from lrsched.algebra.numerics.kinds import host as host
from lrsched.algebra.numerics.kinds import is_concrete as is_concrete
from lrsched.algebra.numerics.kinds import is_number as is_number
from lrsched.algebra.numerics.kinds import is_real as is_real
from lrsched.algebra.numerics.kinds import largest as largest
from lrsched.algebra.numerics.kinds import last_tick as last_tick
from lrsched.algebra.numerics.kinds import real as real
from lrsched.algebra.numerics.kinds import rough as rough
from lrsched.algebra.numerics.kinds import stands_for_array as stands_for_array
from lrsched.algebra.numerics.meshes import put_like as put_like
from lrsched.algebra.numerics.meshes import sharded_like as sharded_like
from lrsched.algebra.numerics.moment import Moment as Moment
from lrsched.algebra.numerics.moment import moment as moment
from lrsched.algebra.numerics.moment import sum_of_cycles as sum_of_cycles
from lrsched.algebra.numerics.moment import time_given as time_given
from lrsched.algebra.numerics.moment import time_of_parts as time_of_parts
from lrsched.algebra.numerics.moment import where_moment as where_moment
from lrsched.algebra.numerics.powers import grown as grown
from lrsched.algebra.numerics.progress import Progress as Progress
