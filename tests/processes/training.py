"""A training run that can be killed at any time: `python training.py FOLDER pickle|orbax [PAUSE]` begins it or goes on.

It trains a network on the digits with a live schedule: a plateau observes the loss of every update, another one a validation
loss now and then. It prints what it does, for who wants to kill it in time, and at last writes `FOLDER/result.npz`.
"""

import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrsched as ls
from lrsched.lab.workloads import digits

UPDATES = 240
EVERY = 8  # updates between two checkpoints
SCHEDULE = ls.Linear(0.0, 0.03, 20) >> ls.Cosine(0.03, 0.001, UPDATES - 20) * ls.reduce_on_plateau(
    factor=0.8, patience=4, cooldown=3, threshold=0.05
) * ls.reduce_on_plateau(factor=0.5, patience=0, threshold=0.05, monitor="validation")
DATA = digits.load()


def loss_of(params: Any, images: Any, labels: Any) -> Any:
    hidden = jnp.tanh(images @ params["in"] + params["bias"])
    return optax.softmax_cross_entropy_with_integer_labels(hidden @ params["out"], labels).mean()


def begin(optimizer: Any) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0))
    params = {
        "in": jax.random.normal(keys[0], (64, 32)) / 8,
        "bias": jnp.zeros(32),
        "out": jax.random.normal(keys[1], (32, 10)) / 6,
    }
    return {
        "params": params,
        "opt_state": optimizer.init(params),
        "update": jnp.zeros((), jnp.int32),
        "rates": jnp.zeros(UPDATES),
        "plateaus": jnp.zeros((UPDATES, 2), jnp.int32),
    }


def make_update(optimizer: Any) -> Any:
    @jax.jit
    def update(run: dict[str, Any]) -> dict[str, Any]:
        key = jax.random.fold_in(jax.random.key(1), run["update"])
        batch = jax.random.randint(key, (64,), 0, len(DATA.train.digits))
        images, labels = jnp.asarray(DATA.train.images)[batch], jnp.asarray(DATA.train.digits)[batch]
        loss, grads = jax.value_and_grad(loss_of)(run["params"], images, labels)
        updates, state = optimizer.update(grads, run["opt_state"], run["params"], value=loss)
        clocks = state[-1].clocks
        return {
            "params": optax.apply_updates(run["params"], updates),
            "opt_state": state,
            "update": run["update"] + 1,
            "rates": run["rates"].at[run["update"]].set(ls.learning_rate(state)),
            "plateaus": run["plateaus"].at[run["update"]].set(jnp.stack([clock.plateaus for clock in clocks])),
        }

    return update


class Pickle:
    """A checkpoint in one file, which another replaces in one go once all of it is written."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoint.pickle"

    def save(self, update: int, run: Any, description: str) -> None:
        content = pickle.dumps({"run": jax.device_get(run), "schedule": description})
        with self.file.with_suffix(".partial").open("wb") as file:
            for part in range(4):
                quarter = len(content) // 4 + 1
                file.write(content[part * quarter : (part + 1) * quarter])
                file.flush()
                print("writing", update, flush=True)
                time.sleep(0.01)  # so that a kill can come in the middle
            os.fsync(file.fileno())
        self.file.with_suffix(".partial").replace(self.file)

    def load(self, template: Any) -> Any:
        if not self.file.exists():
            return None
        content = pickle.loads(self.file.read_bytes())
        return ls.restore(template, content["run"]), content["schedule"]

    def close(self) -> None:
        pass


class Orbax:
    """Checkpoints that orbax writes in the background."""

    def __init__(self, folder: Path) -> None:
        import orbax.checkpoint as ocp

        self.args: Any = ocp.args
        self.manager: Any = ocp.CheckpointManager(folder / "orbax", options=ocp.CheckpointManagerOptions(max_to_keep=2))

    def save(self, update: int, run: Any, description: str) -> None:
        print("writing", update, flush=True)
        args = self.args.Composite(run=self.args.StandardSave(run), schedule=self.args.JsonSave({"schedule": description}))
        self.manager.save(update, args=args)

    def load(self, template: Any) -> Any:
        if self.manager.latest_step() is None:
            return None
        args = self.args.Composite(run=self.args.StandardRestore(template), schedule=self.args.JsonRestore())
        content = self.manager.restore(self.manager.latest_step(), args=args)
        return content["run"], content["schedule"]["schedule"]

    def close(self) -> None:
        self.manager.wait_until_finished()
        self.manager.close()


def main(folder: Path, kind: str, pause: float) -> None:
    """Trains from the last checkpoint to the end."""
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(SCHEDULE, live=True))
    run, update = begin(optimizer), make_update(optimizer)
    checkpoints = {"pickle": Pickle, "orbax": Orbax}[kind](folder.resolve())
    if (found := checkpoints.load(run)) is not None:
        run, description = found
        ls.resume(description, SCHEDULE)
        print("resumed", int(run["update"]), flush=True)
    for i in range(int(run["update"]), UPDATES):
        print("update", i, flush=True)
        run = update(run)
        if (i + 1) % 12 == 0:  # between two updates, and before or after a checkpoint
            validation = loss_of(run["params"], DATA.validation.images, DATA.validation.digits)
            run["opt_state"] = ls.observe(run["opt_state"], validation=validation)
        if (i + 1) % EVERY == 0:
            checkpoints.save(i + 1, run, ls.describe(ls.schedule(run["opt_state"])))
        time.sleep(pause)
    checkpoints.close()
    arrays: dict[str, Any] = {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(run)}
    np.savez(folder / "result.npz", **arrays)
    print("done", json.dumps({"plateaus": run["plateaus"][-1].tolist()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
