"""What recordings and tables name: the functions for `lr_lambda` and `scale_fn`, and other arguments that JSON does not hold.

PyTorch calls the functions with Python numbers, JAX traces them: they are arithmetic only, without `if` and without imports.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Record = dict[str, Any]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "one": lambda t: 1.0,  # noqa: ARG005
    "half": lambda t: 0.5,  # noqa: ARG005
    "0.9": lambda t: 0.9,  # noqa: ARG005
    "0.8": lambda t: 0.8,  # noqa: ARG005
    "0.95**t": lambda t: 0.95**t,
    "0.9**t": lambda t: 0.9**t,
    "0.8**t": lambda t: 0.8**t,
    "1/(1+t)": lambda t: 1 / (1 + t),
    "1/(1+t/10)": lambda t: 1 / (1 + 0.1 * t),
    "(1+t)**-0.5": lambda t: (1.0 + t) ** -0.5,
    "(1+t)/(2+t)": lambda t: (1 + t) / (2 + t),
    "1+1/(2+t)**2": lambda t: 1 + 1 / (2.0 + t) ** 2,
    "(t+1)/10": lambda t: (t + 1) / 10,
    "t//30": lambda t: t // 30,  # PyTorch's own example: 0 for the first 30 steps
    "0.5**(t//10)": lambda t: 0.5 ** (t // 10),
    "1/5**(t/100)": lambda t: 1 / 5 ** (t * 0.01),
    "1-t/20": lambda t: 1 - t / 20,  # crosses 0
}


def with_objects(call: str, arguments: Record, module: Any) -> Record:
    """The arguments with what JSON does not hold: keys that are numbers, schedules, and namespaces."""
    arguments = dict(arguments)
    if "boundaries_and_scales" in arguments:
        arguments["boundaries_and_scales"] = dict(arguments["boundaries_and_scales"])
    if call == "join_schedules":
        arguments["schedules"] = [getattr(module, name)(**each) for name, each in arguments["schedules"]]
    if "args" in arguments:
        arguments["args"] = SimpleNamespace(**arguments["args"])
    return arguments
