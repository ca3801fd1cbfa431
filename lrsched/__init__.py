"""A pure-functional schedule algebra in JAX."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from lrsched.algebra.batch import grid as grid
from lrsched.algebra.batch import stack as stack
from lrsched.algebra.batch import unstack as unstack
from lrsched.algebra.combinators import Choice as Choice
from lrsched.algebra.driven import Driven as Driven
from lrsched.algebra.node import leaf as leaf
from lrsched.algebra.node import node as node
from lrsched.algebra.pointwise import Constant as Constant
from lrsched.algebra.pointwise import maximum as maximum
from lrsched.algebra.pointwise import minimum as minimum
from lrsched.algebra.recipes import cosine_restarts as cosine_restarts
from lrsched.algebra.recipes import monotone as monotone
from lrsched.algebra.recipes import multi_step as multi_step
from lrsched.algebra.recipes import noam as noam
from lrsched.algebra.recipes import one_cycle as one_cycle
from lrsched.algebra.recipes import one_cycle_momentum as one_cycle_momentum
from lrsched.algebra.recipes import step_decay as step_decay
from lrsched.algebra.recipes import triangular as triangular
from lrsched.algebra.recipes import warmup_constant as warmup_constant
from lrsched.algebra.recipes import warmup_cosine as warmup_cosine
from lrsched.algebra.recipes import warmup_inverse_sqrt as warmup_inverse_sqrt
from lrsched.algebra.recipes import warmup_linear as warmup_linear
from lrsched.algebra.recipes import wsd as wsd
from lrsched.algebra.schedule import Schedule as Schedule
from lrsched.algebra.sequence import join as join
from lrsched.algebra.shapes import Cosine as Cosine
from lrsched.algebra.shapes import CosineWave as CosineWave
from lrsched.algebra.shapes import Exponential as Exponential
from lrsched.algebra.shapes import Function as Function
from lrsched.algebra.shapes import Geometric as Geometric
from lrsched.algebra.shapes import InverseSqrt as InverseSqrt
from lrsched.algebra.shapes import Linear as Linear
from lrsched.algebra.shapes import Logarithmic as Logarithmic
from lrsched.algebra.shapes import Noise as Noise
from lrsched.algebra.shapes import OneMinusSqrt as OneMinusSqrt
from lrsched.algebra.shapes import Piecewise as Piecewise
from lrsched.algebra.shapes import Polynomial as Polynomial
from lrsched.algebra.shapes import Time as Time
from lrsched.clocks.clock import Clock as Clock
from lrsched.clocks.clock import Counter as Counter
from lrsched.clocks.clock import Since as Since
from lrsched.clocks.clock import Steps as Steps
from lrsched.clocks.metrics import Greedy as Greedy
from lrsched.clocks.metrics import Plateau as Plateau
from lrsched.clocks.metrics import SinceBest as SinceBest
from lrsched.clocks.metrics import Smoothed as Smoothed
from lrsched.clocks.recipes import reduce_on_plateau as reduce_on_plateau
from lrsched.clocks.running import ScheduleState as ScheduleState
from lrsched.clocks.running import bind as bind
from lrsched.clocks.running import evaluate as evaluate
from lrsched.clocks.running import init as init
from lrsched.clocks.running import replay as replay
from lrsched.clocks.running import tick as tick
from lrsched.training.accumulation import accumulate as accumulate
from lrsched.training.checkpoint import describe as describe
from lrsched.training.checkpoint import resume as resume
from lrsched.training.factories import scheduled as scheduled
from lrsched.training.layerwise import layerwise as layerwise
from lrsched.training.restoring import restore as restore
from lrsched.training.states import hyperparameters as hyperparameters
from lrsched.training.states import learning_rate as learning_rate
from lrsched.training.states import learning_rates as learning_rates
from lrsched.training.states import next_learning_rate as next_learning_rate
from lrsched.training.states import observe as observe
from lrsched.training.states import readings as readings
from lrsched.training.states import replace_schedule as replace_schedule
from lrsched.training.states import schedule as schedule
from lrsched.training.transform import as_stateful as as_stateful
from lrsched.training.transform import scale_by_learning_rate as scale_by_learning_rate
from lrsched.views.codec import from_dict as from_dict
from lrsched.views.codec import from_json as from_json
from lrsched.views.codec import to_dict as to_dict
from lrsched.views.codec import to_json as to_json
from lrsched.views.expression import parse as parse
from lrsched.views.latex import latex as latex
from lrsched.views.plotting import plot as plot
from lrsched.views.plotting import plot_replay as plot_replay
from lrsched.views.summary import Summary as Summary
from lrsched.views.summary import summary as summary
from lrsched.views.text import expanded as expanded

if not _TYPE_CHECKING:  # for a type checker any name would be an attribute

    def __getattr__(name: str) -> object:
        from lrsched.views.names import missing_name

        raise AttributeError(missing_name(name, [public for public in globals() if not public.startswith("_")]))
