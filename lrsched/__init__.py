"""A pure-functional schedule algebra in JAX: a schedule is a pure function from the step to a value.

- Shapes: Constant, Linear, Cosine, Polynomial, OneMinusSqrt, Logarithmic, Geometric, CosineWave, Exponential,
  InverseSqrt, Piecewise, Time, Noise, Function, Choice.
- Operators and methods: Schedule, join, minimum, maximum, Driven.
- Recipes: step_decay, multi_step, warmup_constant, warmup_linear, warmup_cosine, warmup_inverse_sqrt, noam, wsd,
  infinite, rex, tanh_decay, inverse_time, power_decay, monotone, cosine_restarts, triangular, one_cycle,
  reduce_on_plateau.
- Clocks: Clock, Steps, Plateau, SinceBest, Greedy, Smoothed, Counter, Since; `lrsched.clocks` runs them by hand.
- Optax: scale_by_learning_rate, scheduled, layerwise, accumulate.
- States and checkpoints: learning_rate, learning_rates, next_learning_rate, hyperparameters, readings, get_schedule,
  replace_schedule, observe, describe, resume, restore.
- Views: plot, summary, latex, parse, expanded, to_dict, from_dict.
- Batches and nodes: grid, stack, node, leaf.
- `lrsched.lab`: comparisons, range tests, predicted loss curves.
- `lrsched.dialects`: the schedules of PyTorch, optax, transformers, timm and Keras.
"""

import typing as _typing

from lrsched.algebra.batch import grid, stack
from lrsched.algebra.combinators import Choice, Driven
from lrsched.algebra.decays import infinite, inverse_time, monotone, power_decay, rex, tanh_decay
from lrsched.algebra.node import leaf, node
from lrsched.algebra.pointwise import Constant, maximum, minimum
from lrsched.algebra.recipes import (
    cosine_restarts,
    multi_step,
    noam,
    one_cycle,
    step_decay,
    triangular,
    warmup_constant,
    warmup_cosine,
    warmup_inverse_sqrt,
    warmup_linear,
    wsd,
)
from lrsched.algebra.schedule import Schedule
from lrsched.algebra.sequence import join
from lrsched.algebra.shapes import (
    Cosine,
    CosineWave,
    Exponential,
    Function,
    Geometric,
    InverseSqrt,
    Linear,
    Logarithmic,
    Noise,
    OneMinusSqrt,
    Piecewise,
    Polynomial,
    Time,
)
from lrsched.clocks.clock import Clock, Counter, Since, Steps
from lrsched.clocks.metrics import Greedy, Plateau, SinceBest, Smoothed, reduce_on_plateau
from lrsched.training.checkpoint import describe, restore, resume
from lrsched.training.factories import scheduled
from lrsched.training.layerwise import layerwise
from lrsched.training.states import (
    get_schedule,
    hyperparameters,
    learning_rate,
    learning_rates,
    next_learning_rate,
    observe,
    readings,
    replace_schedule,
)
from lrsched.training.transform import accumulate, scale_by_learning_rate
from lrsched.views.codec import from_dict, to_dict
from lrsched.views.expression import parse
from lrsched.views.latex import latex
from lrsched.views.plotting import plot
from lrsched.views.summary import summary
from lrsched.views.text import expanded

__version__ = "0.1.0"

# fmt: off
__all__ = [  # noqa: RUF022 - in groups, as in the docstring
    # Shapes
    "Constant", "Linear", "Cosine", "Polynomial", "OneMinusSqrt", "Logarithmic", "Geometric", "CosineWave", "Exponential",
    "InverseSqrt", "Piecewise", "Time", "Noise", "Function", "Choice",
    # Operators and methods
    "Schedule", "join", "minimum", "maximum", "Driven",
    # Recipes
    "step_decay", "multi_step", "warmup_constant", "warmup_linear", "warmup_cosine", "warmup_inverse_sqrt", "noam", "wsd",
    "infinite", "rex", "tanh_decay", "inverse_time", "power_decay", "monotone", "cosine_restarts", "triangular", "one_cycle",
    "reduce_on_plateau",
    # Clocks
    "Clock", "Steps", "Plateau", "SinceBest", "Greedy", "Smoothed", "Counter", "Since",
    # Optax
    "scale_by_learning_rate", "scheduled", "layerwise", "accumulate",
    # States and checkpoints
    "learning_rate", "learning_rates", "next_learning_rate", "hyperparameters", "readings", "get_schedule", "replace_schedule",
    "observe", "describe", "resume", "restore",
    # Views
    "plot", "summary", "latex", "parse", "expanded", "to_dict", "from_dict",
    # Batches and nodes
    "grid", "stack", "node", "leaf",
]
# fmt: on

if _typing.TYPE_CHECKING:
    from lrsched import clocks as clocks
    from lrsched import dialects as dialects
    from lrsched import lab as lab
else:  # hidden from type checkers, to which any name would be an attribute

    def __getattr__(name: str) -> object:
        import importlib

        if name in ("dialects", "lab"):  # imported on first use
            return importlib.import_module(f"lrsched.{name}")
        raise AttributeError(importlib.import_module("lrsched.views.names").missing_name(globals(), name), name=name)
