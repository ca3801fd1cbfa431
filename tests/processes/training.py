"""One network trained on the digits, in a process of its own: `python training.py WAY [ARGUMENT ...]`.

`resumable FOLDER [PAUSE]` begins or resumes a run, prints its progress, so that a test can kill it there, and at the end writes
`FOLDER/result.npz`. The other ways print what the schedule did, as JSON: `one`, `sharded`, `mapped`, and
`processes PROCESS PORT` (two of them).
"""

import json
import pickle
import sys
import time
from pathlib import Path
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
RESUMABLE = SCHEDULE * ls.reduce_on_plateau(factor=0.5, patience=0, threshold=0.05, monitor="validation")
DATA = digits.load()
ORDER = np.random.default_rng(0).integers(0, len(DATA.train.digits), (UPDATES, BATCH))


def begin() -> Any:
    keys = jax.random.split(jax.random.key(0))
    return {"in": jax.random.normal(keys[0], (64, 32)) / 8, "out": jax.random.normal(keys[1], (32, 10)) / 6}


def loss_of(params: Any, images: Any, labels: Any) -> Any:
    logits = jnp.tanh(images @ params["in"]) @ params["out"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def make_update(schedule: Any, live: bool = False, mean: Any = lambda x: x) -> tuple[Any, Any]:
    optimizer: Any = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(schedule, live=live))

    def update(params: Any, state: Any, images: Any, labels: Any) -> Any:
        loss, grads = mean(jax.value_and_grad(loss_of)(params, images, labels))
        updates, state = optimizer.update(grads, state, params, value=loss, examples=BATCH)
        return optax.apply_updates(params, updates), state

    return optimizer, update


def trained(params: Any, state: Any, update: Any, put: Any = jnp.asarray) -> list[Any]:
    """What the schedule did at every update: the rate, the plateaus and the examples so far."""
    update, trace = jax.jit(update), []
    for batch in ORDER:
        params, state = update(params, state, put(DATA.train.images[batch]), put(DATA.train.digits[batch]))
        plateau, counter = state[-1].clocks
        trace.append([float(ls.learning_rate(state)).hex(), int(plateau.plateaus), *map(float, jax.tree.leaves(counter))])
    return trace


def one() -> Any:
    optimizer, update = make_update(SCHEDULE)
    return trained(begin(), optimizer.init(begin()), update)


def sharded() -> Any:
    """Parameters and batches are sharded."""
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


def processes(process: str, port: str) -> Any:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
    return sharded()


def mapped() -> Any:
    """Each device runs the update by itself, and observes the mean loss of all."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    optimizer, update = make_update(SCHEDULE, mean=lambda x: jax.lax.pmean(x, "data"))
    local = shard_map(update, mesh=mesh, in_specs=(P(), P(), P("data"), P("data")), out_specs=(P(), P()))
    return trained(begin(), optimizer.init(begin()), local)


EVERY = 8  # updates between two checkpoints


def resumable(folder: str, pause: str = "0") -> None:
    """Trains from the last checkpoint to the end."""
    optimizer, update = make_update(RESUMABLE, live=True)
    update, file = jax.jit(update), Path(folder) / "checkpoint.pickle"
    run: Any = {"params": begin(), "state": optimizer.init(begin()), "update": jnp.int32(0)}
    if file.exists():
        run = ls.restore(run, pickle.loads(file.read_bytes()))
        print("resumed", int(run["update"]), flush=True)
    params, state = run["params"], run["state"]
    for i in range(int(run["update"]), UPDATES):
        print("update", i, flush=True)
        params, state = update(params, state, DATA.train.images[ORDER[i]], DATA.train.digits[ORDER[i]])
        if (i + 1) % 12 == 0:  # between two updates, and before or after a checkpoint
            state = ls.observe(state, validation=loss_of(params, DATA.validation.images, DATA.validation.digits))
        if (i + 1) % EVERY == 0:
            print("writing", i + 1, flush=True)
            partial = file.with_suffix(".partial")  # replaces the last checkpoint once all of it is written
            partial.write_bytes(pickle.dumps(jax.device_get({"params": params, "state": state, "update": jnp.int32(i + 1)})))
            partial.replace(file)
        time.sleep(float(pause))
    arrays: Any = {jax.tree_util.keystr(path): x for path, x in jax.tree_util.tree_leaves_with_path((params, state))}
    np.savez(Path(folder) / "result.npz", plateaus=[clock.plateaus for clock in state[-1].clocks[::2]], **arrays)


WAYS: Any = {way.__name__: way for way in (one, sharded, mapped, processes, resumable)}


def main(way: str, *arguments: str) -> None:
    """Prints the number of devices, and what the schedule did."""
    print(json.dumps({"did": WAYS[way](*arguments), "devices": jax.device_count()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
