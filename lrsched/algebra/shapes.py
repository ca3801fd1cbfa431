"""Schedules that are not made of others.

A ramp has two weights: one for its start, a function of the fraction left (q), and one for its end, a function of the fraction
done (p = 1 - q). Each is accurate on its own, so nothing cancels near an end, and both ends are exactly as given.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.node import choice, leaf, node, static, surely
from lrsched.algebra.noise import truncated_normal, uniform
from lrsched.algebra.numerics import Number, maximum, pick, pick_time, row_of, where
from lrsched.algebra.powers import Progress, exponential
from lrsched.algebra.schedule import Real, Schedule
from lrsched.algebra.written import NAMES, function_source, shown, unexpected


@node
class Ramp(Schedule):
    """The base of ramps: `start · (1 - w(p)) + end · w(p)`."""

    start: Number = leaf()
    end: Number = leaf()
    steps: Number = leaf(ge=0, unit="steps")

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        """`1 - w(p)` and `w(p)`, of p = progress.done and 1 - p = progress.left: from (1, 0) to (0, 1)."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method weights(progress).")

    def at(self, t: Real) -> Real:
        first, second = self.weights(Progress(t, self.steps))
        return self.start * first + self.end * second

    @property
    def length(self) -> Real:
        return self.steps


@node
class Linear(Ramp):
    """A straight line: `start + (end - start) · min(t / steps, 1)`.

    Args:
        start, end: the values at step 0, and from step `steps` on.
        steps: its length in steps, >= 0. With 0 it is `end` at once.

    >>> import lrsched as ls
    >>> print(ls.Linear(0.0, 1.0, 4)([0, 1, 2, 3, 4, 5]))
    [0.   0.25 0.5  0.75 1.   1.  ]
    """

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        return progress.left, progress.done


@node
class Cosine(Ramp):
    """Half a cosine wave: `end + (start - end) · ½(1 + cos(π · min(t / steps, 1)))`.

    Unlike PyTorch's `CosineAnnealingLR`, it does not rise again.

    Args:
        start, end, steps: as in `Linear`.

    >>> import lrsched as ls
    >>> print(ls.Cosine(1.0, 0.0, 4)([0, 2, 4, 5]))
    [1.  0.5 0.  0. ]

    References:
        Loshchilov and Hutter, *SGDR*, 2017 (arXiv 1608.03983), without the restarts.
    """

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        return progress.sine_squared()


@node
class Polynomial(Ramp):
    """A power of the fraction left: `end + (start - end) · (1 - min(t / steps, 1))^power`.

    Args:
        start, end, steps: as in `Linear`.
        power: the exponent, > 0: 1 for a straight line; above 1 it is steepest at the start, below 1 at the end.

    >>> import lrsched as ls
    >>> print(ls.Polynomial(1.0, 0.0, 4, power=2.0)([0, 2, 3, 4, 5]))
    [1.     0.25   0.0625 0.     0.    ]

    References:
        PyTorch's `PolynomialLR`, with `end` 0.
    """

    power: Number = leaf(gt=0, exact=True, hint="the exponent; 1 is a straight line")

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        return progress.power(self.power)


@node
class OneMinusSqrt(Ramp):
    """A root, steepest at its start: `start + (end - start) · √(min(t / steps, 1))`. The cool-down of WSD.

    Args:
        start, end, steps: as in `Linear`.

    >>> import lrsched as ls
    >>> print(ls.OneMinusSqrt(1.0, 0.0, 4)([0, 1, 4, 5]))
    [1.  0.5 0.  0. ]

    References:
        Hägele et al., *Scaling laws and compute-optimal training beyond fixed training durations*, 2024 (arXiv 2405.18392).
    """

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        root = numerics.root(progress.done)
        return numerics.divide(progress.left, 1.0 + root), root


@node
class Logarithmic(Ramp):
    """A straight line in the logarithm of time: `start + (end - start) · log(1 + min(t, steps)) / log(1 + steps)`.

    Args:
        start, end, steps: as in `Linear`.

    >>> import lrsched as ls
    >>> print(ls.Logarithmic(0.0, 1.0, 63)([0, 1, 7, 63, 64]))
    [0.         0.16666667 0.5        1.         1.        ]

    References:
        DeepSpeed's `WarmupLR` of N steps is by default a `Logarithmic` of N - 1 steps.
    """

    def weights(self, progress: Progress) -> tuple[Real, Real]:
        return progress.logarithm()


@node
class CosineWave(Schedule):
    """An endless cosine wave: `end + (start - end) · ½(1 + cos(π · t / steps))`.

    Args:
        start, end: the values at step 0, and at step `steps`.
        steps: the length of half a wave, > 0. For c waves in n steps, `n / (2 * c)`.

    >>> import lrsched as ls
    >>> print(ls.CosineWave(1.0, 0.0, 4)([0, 2, 4, 6, 8]))
    [1.  0.5 0.  0.5 1. ]

    References:
        PyTorch's `CosineAnnealingLR`; transformers' `cosine`.
    """

    start: Number = leaf()
    end: Number = leaf()
    steps: Number = leaf(gt=0, unit="steps")

    def at(self, t: Real) -> Real:
        t = maximum(t, 0.0)
        in_wave = t - 2.0 * self.steps * numerics.floor_ratio(t, 2.0 * self.steps)
        from_bottom = maximum(in_wave - self.steps, self.steps - in_wave)
        second, first = Progress(from_bottom, self.steps).sine_squared()
        return self.start * first + self.end * second


@node
class Geometric(Schedule):
    """A straight line on a logarithmic scale: `start^(1-p) · end^p` with `p = min(t / steps, 1)`.

    Args:
        start, end, steps: as in `Linear`; the values are not 0 and have the same sign. (If traced ones do not, `end` decides.)

    >>> import lrsched as ls
    >>> print(ls.Geometric(1.0, 0.01, 4)([0, 2, 4, 5]))
    [1.   0.1  0.01 0.01]

    References:
        The sweep of a learning-rate range test: Smith, *Cyclical learning rates*, 2015 (arXiv 1506.01186).
    """

    start: Number = leaf(nonzero=True, exact=True, hint="no straight line on a logarithmic scale reaches 0")
    end: Number = leaf(nonzero=True, exact=True, hint="no straight line on a logarithmic scale reaches 0")
    steps: Number = leaf(ge=0, unit="steps")

    def _check(self) -> None:
        if surely(lambda a, b: np.sign(a) != np.sign(b), self.start, self.end):
            expected, hint = f"the sign of start={shown(self.start)}", "no straight line on a logarithmic scale goes through 0"
            raise ValueError(unexpected("Geometric", "end", self.end, expected, hint))

    def at(self, t: Real) -> Real:
        return Progress(t, self.steps).geometric(self.start, self.end)

    @property
    def length(self) -> Real:
        return self.steps


@node
class Exponential(Schedule):
    """A constant ratio from step to step: `start · factor^t`. Its length is infinite.

    Args:
        start: the value at step 0.
        factor: the factor per step, >= 0. For a factor f over n steps, `Exponential(start, f).stretch(n)`.

    >>> import lrsched as ls
    >>> print(ls.Exponential(8.0, 0.5)([0, 1, 2, 3]))
    [8. 4. 2. 1.]
    """

    start: Number = leaf()
    factor: Number = leaf(ge=0, exact=True, hint="the factor from one step to the next, 0.99 for 1 % less")

    def at(self, t: Real) -> Real:
        return exponential(self.start, self.factor, t)


@node
class InverseSqrt(Schedule):
    """The inverse square root of time: `start / √(1 + t / timescale)`. Its length is infinite.

    Args:
        start: the value at step 0.
        timescale: the number of steps after which it has fallen to `start / √2`, > 0. A traced one counts as at least 1e-12.

    >>> import lrsched as ls
    >>> print(ls.InverseSqrt(1.0, 100)([0, 300, 9900]))
    [1.  0.5 0.1]

    References:
        Zhai et al., *Scaling vision transformers*, 2021 (arXiv 2106.04560).
    """

    start: Number = leaf()
    timescale: Number = leaf(gt=0, unit="steps", hint="the number of updates until the value has fallen to start / √2")

    def at(self, t: Real) -> Real:
        # 2**31 / least fits into a float32; the derivative with respect to a traced timescale divides twice.
        least = 1e-28 if numerics.is_concrete(self.timescale) else 1e-12
        passed = numerics.divide(numerics.as_value(maximum(t, 0.0)), maximum(self.timescale, least))
        return self.start / numerics.root(1.0 + passed)


WAYS: dict[str, Ramp] = {  # shapes of a table between two points, and of a cool-down
    "linear": Linear(0.0, 1.0, 1.0),
    "cosine": Cosine(0.0, 1.0, 1.0),
    "1-sqrt": OneMinusSqrt(0.0, 1.0, 1.0),
}


@node
class Piecewise(Schedule):
    """A table of values: `values[k]` from `steps[k]` on, or a ramp from each point to the next.

    Before the first step in the table it has the first value.

    Args:
        steps: a list of K rising steps >= 0; where two are equal the value jumps to the later one.
        values: a list of K values.
        kind: "constant", or "linear" or "cosine" ramps.

    >>> import lrsched as ls
    >>> print(ls.Piecewise([0, 10, 20], [1.0, 0.5, 0.1])([9, 10, 19, 20]))
    [1.  0.5 0.5 0.1]
    >>> print(ls.Piecewise([0, 10, 20], [0.0, 1.0, 0.5], kind="linear")([5, 10, 15]))
    [0.5  1.   0.75]
    """

    steps: Real = leaf(rank=1, rising=True, unit="steps", hint="sort them, and move what lies before step 0 to step 0")
    values: Real = leaf(rank=1)
    kind: Literal["constant", "linear", "cosine"] = choice("constant", "linear", "cosine", default="constant")

    def _check(self) -> None:
        steps, values = np.shape(self.steps)[-1], np.shape(self.values)[-1]
        if steps != values:
            raise ValueError(f"Piecewise(...): expected as many values as steps, got {steps} steps and {values} values.")

    def at(self, t: Real) -> Real:
        t = maximum(t, 0.0)
        if self.kind == "constant" or np.shape(self.steps) == (1,):
            return pick(self.values, row_of(self.steps, t))
        row = row_of(self.steps[:-1], t)
        (begin, start), (stop, end) = ((pick_time(self.steps, k), pick(self.values, k)) for k in (row, row + 1))
        progress = Progress(t - begin, stop - begin)
        first, second = WAYS[self.kind].weights(progress)
        return where(t >= self.steps[0], start * first + end * second, start)

    @property
    def length(self) -> Real:
        return self.steps[..., -1][()]


@node
class Time(Schedule):
    """The step itself: `t`, as in `schedule @ (2 * Time())`.

    >>> import lrsched as ls
    >>> print((ls.Linear(0.0, 1.0, 10) @ (ls.Time() / 2))(10))
    0.5
    """

    def at(self, t: Real) -> Real:
        return t


@node
class Noise(Schedule):
    """A random number at every step that depends only on the seed and the step, as in `s * (1 + Noise(0.1))`.

    The same seed and step give the same number everywhere, inside `jax.jit` and outside. A fractional step has the number
    of the whole step before it. A batch of seeds is a batch of independent draws.

    Args:
        limit: the largest size, >= 0: every number is between `-limit` and `limit`.
        seed: a whole number from 0 to 2**24 - 1, which a float32 can hold.
        kind: "uniform", or "normal" for a standard normal distribution that is truncated at the limit.

    >>> import lrsched as ls
    >>> print(ls.Noise(0.1)([0, 1, 2, 2.5]))
    [0.03627778 0.04430873 0.0689244  0.0689244 ]

    References:
        timm's schedulers multiply by `1 + Noise(0.67, seed, "normal")`, with other draws.
    """

    limit: Number = leaf(ge=0)
    seed: Number = leaf(ge=0, lt=2**24, integer=True, unit="seeds", hint="for example seed=0, or seed % 2**24", default=0.0)
    kind: Literal["uniform", "normal"] = choice("uniform", "normal", default="uniform")

    def at(self, t: Real) -> Real:
        unit = uniform(numerics.rounded(self.seed), t)
        return self.limit * unit if self.kind == "uniform" else truncated_normal(self.limit, unit)


@node
class Function(Schedule):
    """Any function of time: `fn(t, *arguments)`. Its length is infinite.

    Args:
        fn: a function of the time in steps and of the arguments, elementwise over arrays, so written with operators and
            `jax.numpy`. It belongs to the structure: another function compiles again, so pass a `def`, not a new `lambda` each
            time. It should be finite, with a finite derivative, at every `t >= 0`.
        arguments: numbers, each of them a leaf like the numbers of any other schedule.

    Raises:
        TypeError: if fn cannot be called with these arguments; on a call, if it does not return a number.

    >>> import jax.numpy as jnp
    >>> import lrsched as ls
    >>> def inverse_time(t, start, decay):
    ...     return start / (1 + decay * t)
    >>> s = ls.Function(inverse_time, 0.1, 0.01)
    >>> print(s([0, 100]), s)
    [0.1  0.05] Function(inverse_time, 0.1, 0.01)
    """

    fn: Callable[..., Any] = static()
    arguments: tuple[Number, ...] = leaf(several=True)

    def __init__(self, fn: Callable[..., Any], *numbers: Number, arguments: tuple[Number, ...] = ()) -> None:
        if not isinstance(arguments, (tuple, list)):
            raise TypeError(unexpected("Function", "arguments", arguments, "a tuple of numbers"))
        self.__dict__.update(fn=fn, arguments=(*numbers, *arguments))  # arguments come by keyword from dataclasses.replace
        self.__post_init__()

    def _check(self) -> None:
        if not callable(self.fn):
            raise TypeError(unexpected("Function", "fn", self.fn, "a function of time"))
        for name, maker in NAMES.items():
            if self.fn is maker:
                raise TypeError(f"Function(fn={name}): expected a function of time. Hint: call it: {name}().")
        if hasattr(getattr(self.fn, "func", self.fn), "__wrapped__"):
            return  # its signature may be that of the function inside, which a wrapper can give more arguments
        with contextlib.suppress(ValueError):  # of a function without a signature
            signature = inspect.signature(self.fn, follow_wrapped=False)
            try:
                signature.bind(0.0, *self.arguments)
            except TypeError as error:
                text = f"Function(fn={function_source(self.fn)}): expected a function of time, got one with {error}"
                raise TypeError(f"{text}. Hint: call it, if it makes such a function.") from None

    def at(self, t: Real) -> Real:
        time = numerics.as_value(t)
        try:
            value = numerics.array_of(self.fn(time, *self.arguments))
        except (TypeError, ValueError) as error:
            text = (
                f"{shown(self)}: expected a function that takes arrays of times, and traced ones, got a {type(error).__name__}."
                " Hint: instead of `a if t < 5 else b` write jax.numpy.where(t < 5, a, b), jax.numpy.minimum for min, and"
                " jax.numpy.exp for math.exp."
            )
            error.add_note(text)
            raise
        if not numerics.is_number(value) and np.dtype(bool) != getattr(value, "dtype", type(value)):
            raise TypeError(f"{shown(self)}: expected a real number, got {shown(value)} ({type(value).__name__}).")
        if jnp.shape(value) not in ((), np.shape(time)):
            expected = f"a function elementwise over times, for shape {np.shape(time)}"
            raise TypeError(f"{shown(self)}: expected {expected}, got {np.shape(value)}.")
        return numerics.to_float64(value) if numerics.is_concrete(value) else numerics.to_float(value)
