"""The training program of resume.ipynb: it writes a checkpoint every ten updates, and goes on from one that it finds."""

import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

import lrsched as ls
from lrsched.lab.workloads import digits

DATA = digits.load()
SCHEDULE = ls.warmup_cosine(0.02, 20, 200) * ls.reduce_on_plateau(factor=0.7, patience=15, threshold=0.02, min_scale=0.3)


def loss_of(params: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross-entropy of a network with one hidden layer."""
    logits = jnp.tanh(images @ params["in"]) @ params["out"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def begin(optimizer: optax.GradientTransformation) -> dict[str, Any]:
    """A run before its first update."""
    a, b = jax.random.split(jax.random.key(0))
    params = {"in": jax.random.normal(a, (64, 32)) / 8, "out": jax.random.normal(b, (32, 10)) / 6}
    return {"params": params, "opt_state": optimizer.init(params), "update": jnp.int32(0)}


def train(
    schedule: ls.Schedule,
    updates: int,
    checkpoint: Path | None = None,
    on_change: Literal["raise", "keep", "replace"] = "raise",
    pause: float | None = None,
) -> tuple[dict[str, Any], list[tuple[int, float, float]]]:
    """Trains until so many updates; with a pause after each it prints them and writes checkpoints, as the program does."""
    found = checkpoint is not None and checkpoint.exists()
    saved = pickle.loads(checkpoint.read_bytes()) if checkpoint and found else None
    if saved:
        schedule = ls.resume(saved["schedule"], schedule, on_change)
    optimizer = optax.chain(optax.scale_by_adam(), ls.scale_by_learning_rate(schedule))
    run, curve = begin(optimizer), []
    if saved:
        run, curve = ls.restore(run, saved["run"]), list(saved["curve"])

    @jax.jit
    def update(run: dict[str, Any]) -> tuple[dict[str, Any], jax.Array]:
        rows = jax.random.randint(jax.random.fold_in(jax.random.key(1), run["update"]), (64,), 0, len(DATA.train.digits))
        images, labels = jnp.asarray(DATA.train.images)[rows], jnp.asarray(DATA.train.digits)[rows]
        loss, grads = jax.value_and_grad(loss_of)(run["params"], images, labels)
        updates, state = optimizer.update(grads, run["opt_state"], run["params"], value=loss)
        params = optax.apply_updates(run["params"], updates)
        return {"params": params, "opt_state": state, "update": run["update"] + 1}, loss

    for t in range(int(run["update"]), updates):
        run, loss = update(run)
        curve.append((t, float(ls.learning_rate(run["opt_state"])), float(loss)))
        if checkpoint and pause is not None:
            print("update", t, flush=True)
            time.sleep(pause)
            if t % 10 == 9:
                save(checkpoint, {"run": jax.device_get(run), "curve": curve, "schedule": ls.describe(schedule)})
    return run, curve


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes a new file and then replaces the old one, so that a kill leaves one of them whole."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        pickle.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    run, curve = train(SCHEDULE, 200, path, pause=0.005)
    path.with_suffix(".done").write_bytes(pickle.dumps((jax.device_get(run), curve)))
