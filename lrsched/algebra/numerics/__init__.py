"""Numbers and time: the only place that knows about rounding.

Code in nodes is arithmetic: `+ - * / < <= > >=`, and the functions of `arithmetic`, mean the same for every number. There are
three kinds. A *concrete* one (of Python or NumPy, or a JAX array outside a trace) is computed with on the host, in float64. A
traced *value* is a float32. A traced amount of *time*, or a rate, is `Extended`: a `Double` of 48 bits, or an int32. With x64
on, all that is traced is float64. `kinds` tells and converts them: `to_float64` what is concrete, `to_float` to a value,
`extended` to time. `double` has the extended numbers, `tables` reads the numbers that a person gives and looks numbers up,
`time` makes times of steps, `progress` is how far through a ramp it is, `powers` and `cycles` are for rates and growing
cycles, and `noise` draws numbers.
"""

from lrsched.algebra.numerics.arithmetic import LATEST as LATEST
from lrsched.algebra.numerics.arithmetic import ceil as ceil
from lrsched.algebra.numerics.arithmetic import clip as clip
from lrsched.algebra.numerics.arithmetic import divide as divide
from lrsched.algebra.numerics.arithmetic import floor_ratio as floor_ratio
from lrsched.algebra.numerics.arithmetic import maximum as maximum
from lrsched.algebra.numerics.arithmetic import minimum as minimum
from lrsched.algebra.numerics.arithmetic import parted as parted
from lrsched.algebra.numerics.arithmetic import ratio as ratio
from lrsched.algebra.numerics.arithmetic import result as result
from lrsched.algebra.numerics.arithmetic import root as root
from lrsched.algebra.numerics.arithmetic import rounded as rounded
from lrsched.algebra.numerics.arithmetic import saturated as saturated
from lrsched.algebra.numerics.arithmetic import snapped as snapped
from lrsched.algebra.numerics.arithmetic import where as where
from lrsched.algebra.numerics.cycles import growing_cycle as growing_cycle
from lrsched.algebra.numerics.double import Double as Double
from lrsched.algebra.numerics.double import Extended as Extended
from lrsched.algebra.numerics.double import double as double
from lrsched.algebra.numerics.kinds import Number as Number
from lrsched.algebra.numerics.kinds import array_of as array_of
from lrsched.algebra.numerics.kinds import as_value as as_value
from lrsched.algebra.numerics.kinds import extended as extended
from lrsched.algebra.numerics.kinds import float_type as float_type
from lrsched.algebra.numerics.kinds import is_concrete as is_concrete
from lrsched.algebra.numerics.kinds import is_number as is_number
from lrsched.algebra.numerics.kinds import is_real as is_real
from lrsched.algebra.numerics.kinds import largest as largest
from lrsched.algebra.numerics.kinds import to_float as to_float
from lrsched.algebra.numerics.kinds import to_float64 as to_float64
from lrsched.algebra.numerics.noise import truncated_normal as truncated_normal
from lrsched.algebra.numerics.noise import uniform as uniform
from lrsched.algebra.numerics.powers import exponential as exponential
from lrsched.algebra.numerics.powers import grown as grown
from lrsched.algebra.numerics.powers import power as power
from lrsched.algebra.numerics.progress import Progress as Progress
from lrsched.algebra.numerics.tables import ascending as ascending
from lrsched.algebra.numerics.tables import given as given
from lrsched.algebra.numerics.tables import pick as pick
from lrsched.algebra.numerics.tables import pick_time as pick_time
from lrsched.algebra.numerics.tables import row_of as row_of
from lrsched.algebra.numerics.tables import table as table
from lrsched.algebra.numerics.time import time_given as time_given
from lrsched.algebra.numerics.time import time_of as time_of
