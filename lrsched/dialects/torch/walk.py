"""Rates without a closed form, computed step by step."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.algebra import numerics
from lrsched.algebra.double import BoundedInt
from lrsched.algebra.node import child, node
from lrsched.algebra.schedule import Real, Schedule
from lrsched.dialects.torch.scheduler import Change, Scheduler

_FEW, _TABLE, _BLOCK = 2**12, 2**20, 2**10  # steps


@node
class InPlace(Schedule):
    """The rate of a scheduler without a closed form, changed step by step from the base rate on.

    The first 1,048,576 steps are computed on the host in float64, and looked up. Later steps, and all steps if numbers are
    traced, are each computed from the one before in 48 bits, so the time of a call grows with the step. A user's function
    returns float32 there, so its rounding errors accumulate.

    Args:
        scheduler: a scheduler of this dialect.

    >>> from lrsched.dialects.torch import ChainedScheduler, CosineAnnealingLR, StepLR
    >>> print(ChainedScheduler([CosineAnnealingLR(1.0, T_max=4), StepLR(1.0, step_size=2)]).composed([0, 2, 4, 6]))
    [1.   0.05 0.   0.05]

    References:
        PyTorch's `LRScheduler.step`.
    """

    scheduler: Scheduler = child()

    @property
    def composed(self) -> Schedule:
        """Itself, for `expanded`."""
        return self

    def at(self, t: Real) -> Real:
        if self.scheduler.sets:
            return self.scheduler.change(t).offset
        step = _whole(t)
        if numerics.is_concrete(*jax.tree.leaves(self)):
            few, known = (numerics.is_concrete(step) and np.all(step < count) for count in (_FEW, _TABLE))
            with contextlib.suppress(jax.errors.JAXTypeError):  # raised by a function that uses a traced number
                table = _table(self.scheduler, _FEW if few else _TABLE, numerics.largest())
                if known:
                    return table[step]
                late = _walked(self.scheduler, step, _TABLE, table[-1])
                return jnp.where(step < _TABLE, numerics.pick(table, jnp.minimum(step, _TABLE - 1)), late)
        return _reversible(self.scheduler, step)


def _whole(t: Real) -> Any:
    """The whole part of a time, as an int32."""
    t = numerics.clip(numerics.floor(t), 0.0, 2.0**31 - 1)
    if numerics.is_concrete(t):
        return np.asarray(numerics.to_float64(t), np.int32)
    return t.value if isinstance(t, BoundedInt) else sum(x.astype(jnp.int32) for x in jax.tree.leaves(t))


@functools.lru_cache(8)
def _table(scheduler: Scheduler, count: int, most: float) -> np.ndarray:
    """The rates of the first steps, in float64, even for functions that use `jax.numpy`."""
    library: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")  # in older versions
    steps, start = np.arange(float(count)), float(numerics.to_float64(scheduler.base))
    with jax.ensure_compile_time_eval(), library.enable_x64(True), np.errstate(all="ignore"):
        scale, offset = (np.broadcast_to(np.asarray(x, np.float64), count).tolist() for x in scheduler.change(steps))
    changes = zip(scale, offset, strict=True)
    rates = itertools.accumulate(changes, lambda rate, change: change[0] * rate + change[1], initial=start)
    return np.clip([*rates][1:], -most, most)


def _reversible(scheduler: Scheduler, steps: Any) -> Any:
    """The rates at steps, with forward-mode derivatives, since JAX cannot reverse a loop with a traced end."""
    leaves, structure = jax.tree.flatten(scheduler)
    traced = [x for x in leaves if not numerics.is_concrete(x)]
    if not traced:  # a user's function holds a traced number, for which there is no rule
        return _walked(scheduler, steps, 0, scheduler.base)

    def walked(numbers: list[jax.Array], steps: jax.Array) -> Any:
        rest = iter(numbers)
        filled = jax.tree.unflatten(structure, [x if numerics.is_concrete(x) else next(rest) for x in leaves])
        return _walked(filled, steps, 0, filled.base)

    rates = jax.custom_jvp(walked)

    @rates.defjvp
    def moved(primals: Any, tangents: Any) -> Any:
        slopes = jax.jacfwd(walked)(*primals)
        return walked(*primals), sum(jnp.tensordot(x, dx, np.ndim(dx)) for x, dx in zip(slopes, tangents[0], strict=True))

    return rates([*map(jnp.copy, traced)], steps)  # copies: for a batch JAX would pass on NumPy arrays, and then fail


def _walked(scheduler: Scheduler, steps: Any, begin: int, rate: Real) -> Any:
    """The rates at steps from `begin` on, after a given rate, in blocks whose changes are computed at once."""

    def block(i: Any, state: tuple[Real, Any]) -> tuple[Real, Any]:
        rate, values = state
        t, _ = numerics.time_of(begin + i * _BLOCK + np.arange(_BLOCK, dtype=np.int32))
        wide = map(numerics.as_double, scheduler.change(t))
        changes = Change(*(jax.tree.map(lambda x: jnp.broadcast_to(x, (_BLOCK,)), x) for x in wide))
        rate = numerics.on_axes_of(changes, rate)
        rate, rates = jax.lax.scan(lambda rate, change: (change.scale * rate + change.offset,) * 2, rate, changes)
        row = steps - begin - i * _BLOCK
        found = numerics.to_float(rates)[jnp.clip(row, 0, _BLOCK - 1)]
        return rate, jnp.where((row >= 0) & (row < _BLOCK), found, values)

    blocks = (jnp.max(steps, initial=0) - begin) // _BLOCK + 1
    changes = scheduler.change(numerics.time_of(np.int32(begin))[0])
    rate = numerics.on_axes_of(changes, jax.tree.map(jnp.asarray, numerics.as_double(rate)))
    values = numerics.on_axes_of((rate, steps), jnp.zeros(np.shape(steps), numerics.float_type()))
    return jax.lax.fori_loop(0, blocks, block, (rate, values))[1]
