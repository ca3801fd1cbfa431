"""`python comparing.py FOLDER [PROCESS PORT]` compares two schedules in rounds that the folder keeps, and prints every run.

It uses all devices that there are, with as many runs on each at a time; with a number and a port, those of two processes.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrsched as ls
from lrsched import lab

SCHEDULES = {"constant": ls.Constant(1.0), "plateau": ls.reduce_on_plateau(patience=3)}
PEAKS, SEEDS, AT_ONCE, STEPS = (0.01, 0.1, 0.5), 8, 2, 20_000


def train(schedule: Any, key: Any) -> dict[str, Any]:
    """Gradient descent on a noisy parabola, long enough to be killed in between."""

    def update(carry: Any, step: Any) -> Any:
        x, state = carry
        noise = jax.random.normal(jax.random.fold_in(key, step))
        x = x - ls.clocks.evaluate(schedule, state) * (x + noise)
        return (x, ls.clocks.tick(schedule, state, value=x**2)), None

    def evaluation(carry: Any, steps: Any) -> Any:
        carry, _ = jax.lax.scan(update, carry, steps)
        return carry, carry[0] ** 2

    start = jax.random.normal(key), ls.clocks.init(schedule)
    _, losses = jax.lax.scan(evaluation, start, jnp.arange(STEPS).reshape(10, -1))
    return {"loss": losses, "validation": -losses, "test": -losses[-1]}


def main(folder: str, process: str = "", port: str = "") -> None:
    """Prints the number of devices, and the bytes of every metric."""
    if port:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(devices.reshape(-1, 2), ("a", "b")) if len(devices) > 1 else None
    options: Any = {"peaks": PEAKS, "seeds": SEEDS, "batch_size": AT_ONCE * len(devices), "mesh": mesh, "folder": folder}
    found = lab.compare(train, SCHEDULES, show_progress=False, **options)
    print(len(devices), *(found.metrics[name].tobytes().hex() for name in sorted(found.metrics)))


if __name__ == "__main__":
    main(*sys.argv[1:])
