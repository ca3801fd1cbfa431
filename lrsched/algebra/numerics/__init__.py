"""Numbers and time: the only place that knows about rounding.

A number that is *concrete* (of Python or NumPy, or a JAX array outside a trace) is computed with on the host, in float64. One
that is *traced* is a float32, or, where it counts time, a `Whole` of 32 bits or a `Double` of 48; with x64 on all are
float64. `+ - * / < >=` mean the same for each, so code in nodes is arithmetic. `kinds` says what numbers there are, `double`
has the wider ones, `arithmetic` the functions that are not operators, `time` makes times of steps, `progress` is how far
through a ramp it is, and `powers` and `cycles` are what rates and growing cycles need.
"""

from lrsched.algebra.numerics.arithmetic import ascending as ascending
from lrsched.algebra.numerics.arithmetic import at_least as at_least
from lrsched.algebra.numerics.arithmetic import both as both
from lrsched.algebra.numerics.arithmetic import ceil as ceil
from lrsched.algebra.numerics.arithmetic import clip as clip
from lrsched.algebra.numerics.arithmetic import divide as divide
from lrsched.algebra.numerics.arithmetic import equal as equal
from lrsched.algebra.numerics.arithmetic import floor_ratio as floor_ratio
from lrsched.algebra.numerics.arithmetic import kept_finite as kept_finite
from lrsched.algebra.numerics.arithmetic import maximum as maximum
from lrsched.algebra.numerics.arithmetic import minimum as minimum
from lrsched.algebra.numerics.arithmetic import next_entries as next_entries
from lrsched.algebra.numerics.arithmetic import opposite as opposite
from lrsched.algebra.numerics.arithmetic import parted as parted
from lrsched.algebra.numerics.arithmetic import pick as pick
from lrsched.algebra.numerics.arithmetic import pick_time as pick_time
from lrsched.algebra.numerics.arithmetic import power as power
from lrsched.algebra.numerics.arithmetic import ratio as ratio
from lrsched.algebra.numerics.arithmetic import real_if_traced as real_if_traced
from lrsched.algebra.numerics.arithmetic import result as result
from lrsched.algebra.numerics.arithmetic import root as root
from lrsched.algebra.numerics.arithmetic import rounded as rounded
from lrsched.algebra.numerics.arithmetic import row_of as row_of
from lrsched.algebra.numerics.arithmetic import saturated as saturated
from lrsched.algebra.numerics.arithmetic import snapped as snapped
from lrsched.algebra.numerics.arithmetic import table as table
from lrsched.algebra.numerics.arithmetic import where as where
from lrsched.algebra.numerics.cycles import growing_cycle as growing_cycle
from lrsched.algebra.numerics.double import Double as Double
from lrsched.algebra.numerics.double import Wide as Wide
from lrsched.algebra.numerics.double import double as double
from lrsched.algebra.numerics.kinds import Number as Number
from lrsched.algebra.numerics.kinds import array_of as array_of
from lrsched.algebra.numerics.kinds import as_float as as_float
from lrsched.algebra.numerics.kinds import float_type as float_type
from lrsched.algebra.numerics.kinds import host as host
from lrsched.algebra.numerics.kinds import is_concrete as is_concrete
from lrsched.algebra.numerics.kinds import is_number as is_number
from lrsched.algebra.numerics.kinds import is_real as is_real
from lrsched.algebra.numerics.kinds import largest as largest
from lrsched.algebra.numerics.kinds import real as real
from lrsched.algebra.numerics.kinds import stands_for_array as stands_for_array
from lrsched.algebra.numerics.kinds import wide as wide
from lrsched.algebra.numerics.powers import exponential as exponential
from lrsched.algebra.numerics.powers import grown as grown
from lrsched.algebra.numerics.progress import Progress as Progress
from lrsched.algebra.numerics.time import time_given as time_given
from lrsched.algebra.numerics.time import time_of as time_of
