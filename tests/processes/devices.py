"""The same training on one device and on several: `python devices.py WAY [PROCESS PORT]` prints what the schedule did, as JSON.

The ways: `one`, `sharded`, `shard_map`, `processes` (two of them), and `sweep` and `sharded_sweep`, which train with many
schedules at once.
"""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import lrsched as ls
from lrsched.lab.workloads import digits

if hasattr(jax, "shard_map"):
    shard_map: Any = jax.shard_map
else:
    from jax.experimental.shard_map import shard_map  # pyright: ignore

UPDATES, BATCH = 120, 64
SCHEDULE = ls.Linear(0.0, 0.03, 20) >> ls.Cosine(0.03, 0.001, UPDATES - 20) * ls.reduce_on_plateau(
    factor=0.8, patience=4, cooldown=3, threshold=0.05
) * ls.Exponential(1.0, 0.5).stretch(4000).on(ls.Counter("examples"))
SWEEP, _ = ls.grid(lambda peak, factor: peak * ls.reduce_on_plateau(factor=factor, patience=3, threshold=0.02),
                   peak=[1e-3, 3e-3, 1e-2, 3e-2], factor=[0.3, 0.5, 0.7, 0.9])  # fmt: skip
DATA = digits.load().train
ORDER = np.random.default_rng(0).integers(0, len(DATA.digits), (UPDATES, BATCH))


def begin() -> Any:
    keys = jax.random.split(jax.random.key(0))
    return {"in": jax.random.normal(keys[0], (64, 32)) / 8, "out": jax.random.normal(keys[1], (32, 10)) / 6}


def loss_of(params: Any, images: Any, labels: Any) -> Any:
    logits = jnp.tanh(images @ params["in"]) @ params["out"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def make_update(schedule: Any, mean: Any = lambda x: x) -> tuple[Any, Any]:
    optimizer: Any = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(schedule))

    def update(params: Any, state: Any, images: Any, labels: Any) -> Any:
        loss, grads = mean(jax.value_and_grad(loss_of)(params, images, labels))
        updates, state = optimizer.update(grads, state, params, value=loss, examples=BATCH)
        return optax.apply_updates(params, updates), state

    return optimizer, update


def trained(params: Any, state: Any, update: Any, put: Any = jnp.asarray) -> list[Any]:
    """What the schedule did at every update: the rate, the plateaus and the examples so far."""
    update, trace = jax.jit(update), []
    for batch in ORDER:
        params, state = update(params, state, put(DATA.images[batch]), put(DATA.digits[batch]))
        plateau, counter = state[-1].clocks
        trace.append([float(ls.learning_rate(state)).hex(), int(plateau.plateaus), *map(float, jax.tree.leaves(counter))])
    return trace


def one() -> Any:
    optimizer, update = make_update(SCHEDULE)
    return trained(begin(), optimizer.init(begin()), update)


def sharded() -> Any:
    """Parameters and batches are sharded, and the compiler does the rest."""
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    layout = {"in": P(None, "model"), "out": P("model", None)}
    optimizer, update = make_update(SCHEDULE)
    params = {name: placed(np.asarray(x), NamedSharding(mesh, layout[name])) for name, x in begin().items()}
    whole = NamedSharding(mesh, P())
    state = jax.tree.map(lambda x: placed(np.asarray(x), whole) if x.ndim == 0 else x, jax.jit(optimizer.init)(params))
    return trained(params, state, update, lambda x: placed(x, NamedSharding(mesh, P("data"))))


def placed(array: Any, sharding: Any) -> Any:
    """An array of which each process holds its part."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def mapped() -> Any:
    """Each device runs the update by itself, and observes the mean loss of all."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    optimizer, update = make_update(SCHEDULE, lambda x: jax.lax.pmean(x, "data"))
    local = shard_map(update, mesh=mesh, in_specs=(P(), P(), P("data"), P("data")), out_specs=(P(), P()))
    params = begin()
    return trained(params, optimizer.init(params), local)


def sweep(devices: int) -> Any:
    """A vmapped sweep: each schedule's rates, plateaus and last loss."""

    def train(schedule: Any) -> Any:
        optimizer: Any = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(schedule))

        def update(carry: Any, batch: Any) -> Any:
            params, state = carry
            images, labels = jnp.asarray(DATA.images)[batch], jnp.asarray(DATA.digits)[batch]
            loss, grads = jax.value_and_grad(loss_of)(params, images, labels)
            updates, state = optimizer.update(grads, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), (ls.learning_rate(state), state[-1].clocks[0].plateaus, loss)

        return jax.lax.scan(update, (begin(), optimizer.init(begin())), jnp.asarray(ORDER))[1]

    mesh = Mesh(np.array(jax.devices()[:devices]), ("sweep",))
    schedules = jax.device_put(SWEEP, NamedSharding(mesh, P("sweep")))
    rates, plateaus, losses = jax.jit(jax.vmap(train))(schedules)
    assert len(rates.sharding.device_set) == devices
    return {
        "rates": [[float(x).hex() for x in row] for row in np.asarray(rates)],
        "plateaus": np.asarray(plateaus).tolist(),
        "losses": np.asarray(losses, np.float64).tolist(),
    }


def main(way: str, process: str = "", port: str = "") -> None:
    """Prints the number of devices, and what the schedule did."""
    if way == "processes":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
    ways = {"one": one, "sharded": sharded, "processes": sharded, "shard_map": mapped}
    did = sweep(8 if way == "sharded_sweep" else 1) if way.endswith("sweep") else ways[way]()
    print(json.dumps({"devices": jax.device_count(), "here": jax.local_device_count(), "did": did}))


if __name__ == "__main__":
    main(*sys.argv[1:])
