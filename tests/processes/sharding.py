"""Schedules on steps sharded over four devices: `python sharding.py` prints each value or sharding that is wrong."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import as_float32
from signatures import FEW, pure

import lrsched as ls
from lrsched.dialects import torch
from lrsched.training.live import packed

shard_map: Any = getattr(jax, "shard_map", None)
N = 600
BY_CONTEXT = not hasattr(jax.sharding, "auto_axes")  # JAX 0.6 maps over sharded arrays only inside of a mesh's context
LAYOUTS = ((1, P("x")), (2, P("x", "y")), (2, P(None, ("x", "y"))), (2, P("y")))
SCHEDULES = {  # first the schedules that look numbers up in tables, but for the first two
    "constant": ls.Constant(0.5),  # which no step enters
    "sum of constants": ls.maximum(ls.Constant(0.5), 2.0) + 1.0,
    "batch": ls.stack([ls.Piecewise([0, 2, k], [1.0, 0.1, 0.2]) for k in (3, 4, 5)]),
    "table of many": ls.Piecewise(range(40), [float(k) for k in range(40)]),
    "lines of many": ls.Piecewise(range(0, 80, 2), [float(k) for k in range(40)], kind="linear"),
    "parts alike": ls.join([ls.Linear(0.0, 1.0 + k, 10) for k in range(40)], range(10, 400, 10)),
    "stretched table": ls.Piecewise([0, 2, 5], [1.0, 0.1, 0.2], kind="linear").stretch(3),
    "growing tables": ls.Piecewise([0, 2, 5], [1.0, 0.1, 0.2]).repeat(stretch=1.5),
    "chain": torch.ChainedScheduler([torch.CosineAnnealingLR(0.3, 300), torch.StepLR(0.3, 120, 0.5)]),
    **{str(call): pure(call.make()) for call in FEW[::6]},
}


def placed(mesh: Any, layout: int) -> Any:
    rank, spec = LAYOUTS[layout % len(LAYOUTS)]
    steps = np.linspace(0, N + 16, 16).astype(np.int32).reshape((16,) if rank == 1 else (4, 4))
    return jax.device_put(steps, NamedSharding(mesh, spec))


def by_hand(call: Any, t: Any, specs: Any) -> Any:
    """Each device by itself."""
    return jax.jit(shard_map(call, mesh=t.sharding.mesh, in_specs=specs, out_specs=t.sharding.spec))


# Each gets a schedule and steps.
WAYS: dict[str, Any] = {
    "known": lambda s, t: jax.jit(lambda t: s(t))(t),
    "eager": lambda s, t: s(t),
    "traced": jax.jit(lambda s, t: s(t)),
    "live": lambda s, t: WAYS["traced"](packed(s), t),
    "mapped": jax.jit(lambda s, t: jax.vmap(s)(t)),
    "known, mapped": lambda s, t: jax.jit(jax.vmap(s))(t),
    "by hand": lambda s, t: by_hand(lambda s, t: s(t), t, (P(), t.sharding.spec))(s, t),
    "slope": lambda s, t: jax.jit(lambda t: jax.jvp(s, (t,), (jnp.ones_like(t),))[0])(t.astype(np.float32)),
}
if BY_CONTEXT:  # nor does it map over steps with explicit axes
    del WAYS["mapped"], WAYS["known, mapped"], WAYS["by hand"]
OF_STEPS = ("mapped", "known, mapped", "by hand", "slope")  # not of a batch of schedules
OF_TRACED = ("traced", "live", "mapped", "by hand")  # of many parts they take minutes to compile, sharded or not


def mistakes(k: int, name: str, schedule: Any, mesh: Any) -> Iterator[str]:
    """What is wrong on a mesh, for every way of calling, each with another layout."""
    batch = schedule.batch_shape
    for i, (way, call) in enumerate(WAYS.items()):
        if (batch and way in OF_STEPS) or (name == "parts alike" and way in OF_TRACED):
            continue
        steps = placed(mesh, k + i)
        case = f"{name}, {way}, {steps.sharding.spec}"
        exact = as_float32(schedule) if way in OF_TRACED else schedule
        truth = np.asarray(exact(np.asarray(steps)))
        found = call(schedule, steps)
        if not np.allclose(np.asarray(found), truth, rtol=1e-5, atol=1e-6):
            yield f"{case}: {np.asarray(found)} and not {truth}"
        if not found.sharding.is_equivalent_to(NamedSharding(mesh, P(*[None] * len(batch), *steps.sharding.spec)), found.ndim):
            yield f"{case}: sharded as {found.sharding}"


def check_a_replaced_schedule() -> None:
    """It stays on all devices; otherwise the next step would be compiled again."""
    everywhere = NamedSharding(jax.make_mesh((4,), ("x",)), P())
    state = jax.device_put(ls.scale_by_learning_rate(ls.Linear(0.1, 0.0, 10), live=True).init(0.0), everywhere)
    assert all(x.sharding == everywhere for x in jax.tree.leaves(ls.replace_schedule(state, ls.Linear(0.2, 0.0, 10))))


def main() -> None:
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Explicit,) * 2)
    use: Any = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh  # pyright: ignore
    check_a_replaced_schedule()
    for k, (name, schedule) in enumerate(SCHEDULES.items()):
        with use(mesh) if k % 2 == 1 or BY_CONTEXT else contextlib.nullcontext():
            for mistake in mistakes(k, name, schedule, mesh):
                print(mistake)


if __name__ == "__main__":
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        main()
