"""What `train(schedule, key)` has to be, checked before anything runs: a pure function of both that returns its metrics."""

import dataclasses
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun  # pyright: ignore[reportPrivateImportUsage]

from lrsched.algebra.schedule import Schedule

Train = Callable[[Schedule, jax.Array], Mapping[str, Any]]

COLUMNS = ("schedule", "peak", "seed", "best", "diverged", "evaluation")  # that say which run it is
AXES = {"loss": 1, "validation": 1, "test": 0}  # of the metrics that there must be

_EXAMPLE = """
    def train(schedule, key):
        params = ...  # drawn from key
        ...           # e.g. jax.lax.scan over the steps, with schedule(step) as the rate
        return {"loss": losses, "validation": scores, "test": score}"""
_ON_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """One run, traced: a function of the schedule and the key that no longer calls `train`, and the metrics it returns."""

    jaxpr: ClosedJaxpr
    metrics: dict[str, jax.ShapeDtypeStruct]

    def __call__(self, schedule: Schedule, key: jax.Array) -> dict[str, jax.Array]:
        """The run, without calling the `train` that it was traced from."""
        flat = jaxpr_as_fun(self.jaxpr)(*jax.tree.leaves((schedule, key)))
        return dict(zip(sorted(self.metrics), flat, strict=True))

    def fingerprint(self) -> str:
        """What tells it from the trace of any other function, or of the same one with other data."""
        found = hashlib.sha256(self.text.encode())
        for constant in _constants(self.jaxpr):
            found.update(_bytes(constant))
        return found.hexdigest()

    @property
    def text(self) -> str:
        """The program, without the addresses in memory of the functions that it calls."""
        return re.sub(r"0x[0-9a-f]+", "0x", str(self.jaxpr))


def traced(train: Train, schedule: Schedule, key: jax.Array) -> Traced:
    """Traces one run, twice, and checks what can be seen of it.

    Raises:
        TypeError: if `train` cannot be called with a schedule and a key, or needs the values of what is traced.
        ValueError: if it is not pure, does not use the schedule or the key, or does not return the metrics.
    """
    _check_arguments(train)
    first, second = _trace(train, schedule, key), _trace(train, schedule, key)
    if first.text != second.text or not _same(list(_constants(first.jaxpr)), list(_constants(second.jaxpr))):
        raise ValueError(
            "train(schedule, key) is not pure: traced twice, it gave two different programs. What draws from NumPy's or"
            " Python's random numbers, reads a clock, or changes something outside such as an attribute, gives every run of a"
            " compiled program the same value; draw from the key instead, as in jax.random.normal(key, shape), pass on what"
            " changes as the carry of jax.lax.scan, and load data before, not in the first call"
        )
    _check_use(first.jaxpr, len(jax.tree.leaves(schedule)))
    return first


def _check_arguments(train: Any) -> None:
    why = None
    try:
        signature = inspect.signature(train)
        signature.bind(None, None)
        if list(signature.parameters)[:2] == ["key", "schedule"]:
            why = "the schedule comes first"
    except TypeError as error:
        why = str(error)
    except ValueError:  # some callables have no signature
        pass
    if why:
        raise TypeError(f"compare(train=...) must be a function of (schedule, key), got {train!r}: {why}. Such as{_EXAMPLE}")


def _trace(train: Train, schedule: Schedule, key: jax.Array) -> Traced:
    # What is jitted would be traced once and remembered.
    plain: Any = getattr(train, "__wrapped__", train) if isinstance(train, jax.stages.Wrapped) else train
    wrong: list[str | None] = []

    def afresh(schedule: Schedule, key: jax.Array) -> Any:  # a function of its own each time, for the same reason
        returned = plain(schedule, key)
        wrong.append(_wrong(returned))
        return {} if wrong[-1] else {name: jnp.asarray(value) for name, value in returned.items()}

    try:
        jaxpr, shapes = jax.make_jaxpr(afresh, return_shape=True)(schedule, key)
    except jax.errors.UnexpectedTracerError as error:
        raise ValueError(
            "train(schedule, key) is not pure: it keeps what it computed somewhere outside, in an attribute, a list or a"
            f" global, and finds it there when it is called again. Make it anew in each call, and return it:{_EXAMPLE}"
        ) from error
    except _ON_VALUES as error:
        raise TypeError(
            "train(schedule, key) needs the value of something that has none yet, for all runs are one compiled program. In"
            " place of `if` on a loss use jnp.where or jax.lax.cond, in place of float(...), .item() and NumPy those of"
            " jax.numpy, and for a loop that runs until something happens jax.lax.while_loop; the error above says where"
        ) from error
    except Exception as error:  # whatever train raises goes on its way, with a note on where it was called
        error.add_note(
            "This happened in train(schedule, key), which lrsched.lab.compare calls with a schedule and a JAX key, in this"
            " order. The rate is schedule(step), or that of an optimizer such as optax.adamw(schedule)."
        )
        raise
    if wrong[-1]:
        raise ValueError(f"train(schedule, key) must return {wrong[-1]}")
    return Traced(jaxpr, shapes)


def _constants(part: Any) -> Iterator[Any]:
    """The arrays that a program closes over, data sets for example, and those of the jitted functions and loops in it."""
    if isinstance(part, ClosedJaxpr):
        yield from part.consts
        part = part.jaxpr
    if isinstance(part, Jaxpr):
        for equation in part.eqns:
            yield from _constants(list(equation.params.values()))
    elif isinstance(part, (list, tuple)):
        for inner in part:
            yield from _constants(inner)


def _same(a: list[Any], b: list[Any]) -> bool:
    """Whether two lists of constants are equal."""
    if any(isinstance(x, Tracer) for x in (*a, *b)):  # kept from the trace before
        return False
    return len(a) == len(b) and all(x is y or _bytes(x) == _bytes(y) for x, y in zip(a, b, strict=True))


def _bytes(constant: Any) -> bytes:
    if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
        constant = jax.random.key_data(constant)
    values = np.asarray(constant)
    return f"{values.dtype}{values.shape}".encode() + values.tobytes()


def _check_use(jaxpr: ClosedJaxpr, leaves: int) -> None:
    used = {id(variable) for equation in jaxpr.jaxpr.eqns for variable in equation.invars}
    used |= {id(variable) for variable in jaxpr.jaxpr.outvars}
    *of_schedule, of_key = (id(variable) in used for variable in jaxpr.jaxpr.invars)
    if leaves and not any(of_schedule):
        raise ValueError(
            "train(schedule, key) does not use its schedule, so that every schedule would give the same runs: take the rate"
            " from it, as in optax.adamw(schedule), or schedule(step) in a loop over the steps"
        )
    if not of_key:
        raise ValueError(
            "train(schedule, key) does not use its key, so that every seed would give the same run: draw the first parameters"
            " from it, as in jax.random.normal(key, shape), or the batches"
        )


def _wrong(returned: Any) -> str | None:
    """What must be returned instead; None if all is well."""
    described = {name: _type(value) for name, value in returned.items()} if isinstance(returned, Mapping) else _type(returned)
    whole = isinstance(returned, Mapping) and all(map(_is_numeric, returned.values()))
    if not whole or not all(name in returned for name in AXES):
        return f"a dict of numeric arrays with {', '.join(map(repr, AXES))}; got {described}. Such as{_EXAMPLE}"
    if taken := [name for name in returned if name in COLUMNS]:
        return f"its metrics under other names than {', '.join(map(repr, taken))}, which say which run a row of the result is"
    for name, axes in AXES.items():
        shape = np.shape(returned[name])
        if len(shape) != axes or 0 in shape:
            expected = "one number an evaluation" if axes else "one number"
            hint = "stack them over the evaluations, as jax.lax.scan does" if axes else "take the mean, or the last"
            return f"{expected} as {name!r}; got shape {shape}: {hint}"
    for name in ("validation", "step"):
        if name in returned and np.shape(returned[name]) != np.shape(returned["loss"]):
            shapes = f"{np.shape(returned[name])} and {np.shape(returned['loss'])}"
            return f"as many of {name!r} as of 'loss', one an evaluation; got shapes {shapes}"
    return None


def _is_numeric(value: Any) -> bool:
    if not isinstance(value, (bool, int, float)) and not (hasattr(value, "dtype") and hasattr(value, "shape")):
        return False
    kind = jnp.result_type(value)
    return any(jnp.issubdtype(kind, real) for real in (jnp.floating, jnp.integer, jnp.bool_))


def _type(value: Any) -> str:
    if value is None:
        return "nothing, as without `return`"
    return f"{jnp.result_type(value)}{list(np.shape(value))}" if _is_numeric(value) else type(value).__name__
