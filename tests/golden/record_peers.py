"""Records what optax, transformers, timm and Keras do, for tests that then need none of the last three.

    python -m pip install torch transformers timm keras jax optax
    python tests/golden/record_peers.py                   # writes tests/golden/{optax,transformers,timm,keras}.json anew
    python tests/golden/record_peers.py --check --seed 1  # fresh arguments, the frameworks and our dialects side by side

Every file holds the versions, the seed, the hash of this script, the signatures, and one record per line:

    call, arguments      of the framework, with base_lr for its optimizer
    values               at the steps 0, 1, …, or after each of the metrics
    metrics              what a plateau observed
    length               the number of epochs that `create_scheduler` gives beside the scheduler
    error                of optax alone: how far its float32 is from its float64, relative to the largest value

All are computed in float64, as far as the framework lets them (a cosine of Keras is a float32), and kept to 13 digits.
"""

import argparse
import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import math
import os
import sys
import warnings
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parent
SEED = 0
SETS = 6  # per schedule
Record = dict[str, Any]


def short(x: Any) -> float:
    return float(f"{float(x):.13g}")


def rate(r: Random) -> float:
    return short(10 ** r.uniform(-5, 0))


def fraction(r: Random) -> float:
    return round(r.random(), 3)


def maybe(r: Random, **arguments: Any) -> Record:
    """Some of these arguments; the others have their defaults."""
    return {name: value for name, value in arguments.items() if r.random() < 0.5}


def losses(r: Random) -> list[float]:
    level = 2.0
    found = []
    for _ in range(40):
        level *= r.choice([1.0, 1.0, 1.0, 0.9, 1.05])
        found.append(round(level, 4))
    return found


# optax


def optax_sets(r: Random) -> list[tuple[str, Record]]:
    n, w = r.randrange(1, 25), r.randrange(10)
    boundaries = [[step, round(r.uniform(0.1, 2.0), 3)] for step in sorted(r.sample(range(1, 25), r.randrange(5)))]
    cosine = {"init_value": rate(r), "peak_value": rate(r), "warmup_steps": w, "decay_steps": w + n}
    cosine |= maybe(r, end_value=rate(r), exponent=round(r.uniform(0.5, 3), 2))
    exponential = {"transition_steps": n, "decay_rate": round(r.uniform(0.2, 1.8), 3)}
    exponential |= maybe(r, transition_begin=r.randrange(-3, 10), staircase=True, end_value=rate(r))
    cycle = {"transition_steps": n + 9, "peak_value": rate(r)}
    cycle |= maybe(r, pct_start=round(r.uniform(0.1, 0.5), 3), div_factor=round(r.uniform(2, 30), 2), final_div_factor=100.0)
    return [
        ("constant_schedule", {"value": rate(r)}),
        (
            "linear_schedule",
            {"init_value": rate(r), "end_value": rate(r), "transition_steps": n, **maybe(r, transition_begin=w)},
        ),
        (
            "polynomial_schedule",
            {"init_value": rate(r), "end_value": rate(r), "power": round(r.uniform(0.5, 3), 2), "transition_steps": n}
            | maybe(r, transition_begin=r.randrange(-3, 10)),
        ),
        ("piecewise_constant_schedule", {"init_value": rate(r), "boundaries_and_scales": boundaries}),
        (
            "piecewise_interpolate_schedule",
            {"interpolate_type": r.choice(["linear", "cosine"]), "init_value": rate(r), "boundaries_and_scales": boundaries},
        ),
        ("exponential_decay", {"init_value": rate(r), **exponential}),
        (
            "cosine_decay_schedule",
            {"init_value": rate(r), "decay_steps": n, **maybe(r, alpha=fraction(r), exponent=round(r.uniform(0.5, 3), 2))},
        ),
        ("linear_onecycle_schedule", cycle | maybe(r, pct_final=round(r.uniform(0.6, 0.9), 3))),
        ("cosine_onecycle_schedule", cycle),
        ("warmup_constant_schedule", {"init_value": rate(r), "peak_value": rate(r), "warmup_steps": w}),
        ("warmup_cosine_decay_schedule", cosine),
        ("warmup_exponential_decay_schedule", {"init_value": rate(r), "peak_value": rate(r), "warmup_steps": w, **exponential}),
        ("sgdr_schedule", {"cosine_kwargs": [cosine, {**cosine, "peak_value": rate(r)}, cosine]}),
        (
            "join_schedules",
            {
                "schedules": [
                    ["linear_schedule", {"init_value": 0.0, "end_value": rate(r), "transition_steps": w}],
                    ["exponential_decay", {"init_value": rate(r), "transition_steps": n, "decay_rate": 0.5}],
                    ["cosine_decay_schedule", {"init_value": rate(r), "decay_steps": n}],
                ],
                "boundaries": [w, w + r.randrange(10)],
            },
        ),
        (
            "reduce_on_plateau",
            {"patience": r.randrange(1, 5), **r.choice([{"rtol": 0.01}, {"rtol": 0.0, "atol": 0.05}])}
            | maybe(r, factor=fraction(r) * 0.9 + 0.05, cooldown=r.randrange(4), accumulation_size=2, min_scale=0.02),
        ),
    ]


OPTAX_CORNERS = [
    ("linear_schedule", {"init_value": 0.5, "end_value": 1.0, "transition_steps": 0}),
    ("polynomial_schedule", {"init_value": 0.5, "end_value": 1.0, "power": 2.0, "transition_steps": -1, "transition_begin": 3}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 0, "decay_rate": 0.5, "end_value": 0.7}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 5, "decay_rate": 0.0}),
    ("piecewise_constant_schedule", {"init_value": 0.5, "boundaries_and_scales": [[0, 0.5], [7, 0.0]]}),
    ("piecewise_interpolate_schedule", {"interpolate_type": "linear", "init_value": 0.5, "boundaries_and_scales": [[0, 2.0]]}),
    ("warmup_constant_schedule", {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 0}),
    (
        "warmup_cosine_decay_schedule",
        {"init_value": 0.2, "peak_value": 0.0, "warmup_steps": 5, "decay_steps": 9, "end_value": 0.1},
    ),
]


def optax_arguments(call: str, arguments: Record, module: Any) -> Record:
    """With dictionaries of whole numbers, and schedules, which JSON does not hold."""
    arguments = dict(arguments)
    if "boundaries_and_scales" in arguments:
        arguments["boundaries_and_scales"] = dict(arguments["boundaries_and_scales"])
    if call == "join_schedules":
        arguments["schedules"] = [getattr(module, name)(**each) for name, each in arguments["schedules"]]
    return arguments


def optax_record(call: str, arguments: Record, r: Random) -> Record:
    import jax
    import jax.numpy as jnp
    import optax
    import optax.contrib

    def values(dtype: Any) -> list[float]:
        if call == "reduce_on_plateau":
            transform = optax.contrib.reduce_on_plateau(**arguments)
            state: Any = transform.init(jnp.zeros((), dtype))
            found = []
            for loss in metrics:
                _, state = transform.update(jnp.zeros((), dtype), state, value=jnp.asarray(loss, dtype))
                found.append(float(state.scale))
            return found
        schedule = getattr(optax.schedules, call)(**optax_arguments(call, arguments, optax.schedules))
        return [float(schedule(t)) for t in range(40)]

    metrics = losses(r)
    with jax.enable_x64(True):
        exact = values(jnp.float64)
    rounded = values(jnp.float32)
    error = max(abs(a - b) for a, b in zip(exact, rounded, strict=True)) / (max(map(abs, exact)) or 1.0)
    record = {"call": call, "arguments": arguments, "values": exact, "error": float(f"{error:.3g}")}
    return record | ({"metrics": metrics} if call == "reduce_on_plateau" else {})


# transformers


def optimizer(base_lr: float) -> Any:
    torch: Any = importlib.import_module("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.SGD([parameter], lr=base_lr)


def plateau_sets(r: Random) -> Record:
    return {"factor": round(r.uniform(0.1, 0.9), 2), "patience": r.randrange(4)} | maybe(r, cooldown=r.randrange(4))


def transformers_sets(r: Random) -> list[tuple[str, Record]]:
    w = r.randrange(10)
    steps = {"num_warmup_steps": w, "num_training_steps": w + r.randrange(25)}
    lowest = r.choice([{"min_lr": rate(r) * 0.1}, {"min_lr_rate": fraction(r)}])
    waves = maybe(r, num_cycles=r.choice([0.5, 1, 1.5, 2.25]))
    decay = {"num_decay_steps": r.randrange(1, 9), "decay_type": r.choice(["linear", "cosine", "1-sqrt"])}
    decay |= {"warmup_type": r.choice(["linear", "cosine", "1-sqrt"])} | maybe(r, min_lr_ratio=fraction(r)) | waves
    kwargs: list[tuple[str, Record, Record]] = [
        ("linear", steps, {}),
        ("cosine", steps, waves),
        ("cosine_with_restarts", steps, maybe(r, num_cycles=r.choice([2, 3]))),
        (
            "polynomial",
            steps | {"num_training_steps": w + 1 + r.randrange(25)},
            maybe(r, lr_end=1e-6, power=round(r.uniform(0.5, 3), 2)),
        ),
        ("constant", steps, {}),
        ("constant_with_warmup", steps, {}),
        ("inverse_sqrt", steps, maybe(r, timescale=r.randrange(1, 100))),
        ("reduce_lr_on_plateau", {}, plateau_sets(r) | maybe(r, mode="max", min_lr=1e-4, threshold_mode="abs")),
        ("cosine_with_min_lr", steps, lowest | waves),
        ("cosine_warmup_with_min_lr", steps, lowest | waves | maybe(r, warmup_lr_rate=fraction(r))),
        ("warmup_stable_decay", steps | {"num_training_steps": None}, decay | {"num_stable_steps": r.randrange(9)}),
        ("warmup_stable_decay", steps | {"num_training_steps": w + 9 + r.randrange(9)}, decay),
    ]
    return [
        ("get_scheduler", {"name": name, "base_lr": rate(r), **steps, "scheduler_specific_kwargs": specific})
        for name, steps, specific in kwargs
    ]


TRANSFORMERS_CORNERS = [
    (
        "get_scheduler",
        {"name": name, "base_lr": 0.5, "num_warmup_steps": w, "num_training_steps": n, "scheduler_specific_kwargs": k},
    )
    for name, k in [
        ("linear", {}),
        ("cosine", {}),
        ("cosine_with_restarts", {"num_cycles": 2}),
        ("cosine_warmup_with_min_lr", {"min_lr": 0.1}),
        ("cosine_warmup_with_min_lr", {"min_lr": 0.1, "warmup_lr_rate": 0.2}),
    ]
    for w, n in [(0, 10), (1, 10), (2, 10), (5, 5), (8, 5)]
]


def transformers_record(call: str, arguments: Record, r: Random) -> Record:
    optimization: Any = importlib.import_module("transformers.optimization")
    arguments = dict(arguments)
    steps = {name: arguments[name] for name in ("num_warmup_steps", "num_training_steps") if name in arguments}
    torch_optimizer = optimizer(arguments["base_lr"])
    scheduler: Any = getattr(optimization, call)(
        arguments["name"], torch_optimizer, **steps, scheduler_specific_kwargs=arguments["scheduler_specific_kwargs"]
    )
    found, metrics = [], losses(r)
    is_plateau = arguments["name"] == "reduce_lr_on_plateau"
    for k in range(40):
        if is_plateau:
            scheduler.step(metrics[k])
        found.append(torch_optimizer.param_groups[0]["lr"])
        if not is_plateau:
            torch_optimizer.step()
            scheduler.step()
    return {"call": call, "arguments": arguments, "values": found} | ({"metrics": metrics} if is_plateau else {})


# timm


def timm_sets(r: Random) -> list[tuple[str, Record]]:
    base = rate(r)
    low = maybe(r, lr_min=short(base * 0.05))
    cycles = maybe(r, cycle_mul=r.choice([1.0, 2.0, 1.5]), cycle_decay=fraction(r), cycle_limit=r.choice([1, 2, 3]))
    warmup = r.choice(
        [{}, {"warmup_t": r.randrange(6), "warmup_lr_init": short(base * 0.1), **maybe(r, warmup_prefix=r.random() < 0.5)}]
    )
    k = maybe(r, k_decay=round(r.uniform(0.5, 2), 2))
    step = {"decay_rate": fraction(r)}
    wsd = {"stable_fn": r.choice(["constant", "rsqrt", "power"]), "stable_timescale": round(r.uniform(1, 20), 1)}
    wsd |= {"decay_fn": r.choice(["linear", "1-sqrt", "cosine", "power", "exp"])}
    wsd |= maybe(r, stable_power=round(r.uniform(0.2, 2), 2), decay_power=round(r.uniform(0.2, 2), 2), decay_ratio=0.2) | low
    no_prefix = {name: value for name, value in warmup.items() if name != "warmup_prefix"}
    n = r.randrange(6, 13)
    calls: list[tuple[str, Record]] = [
        ("CosineLRScheduler", {"t_initial": n, **low, **cycles, **warmup, **k}),
        ("TanhLRScheduler", {"t_initial": n, **maybe(r, lb=-6.0, ub=2.5), **low, **cycles, **warmup}),
        ("PolyLRScheduler", {"t_initial": n, **maybe(r, power=round(r.uniform(0.5, 3), 2)), **low, **cycles, **warmup, **k}),
        ("StepLRScheduler", {"decay_t": r.randrange(1, 9), **step, **warmup}),
        ("MultiStepLRScheduler", {"decay_t": sorted(r.sample(range(20), r.randrange(5))), **step, **warmup}),
        (
            "PlateauLRScheduler",
            {**step, "patience_t": r.randrange(4), **low, **no_prefix, **maybe(r, mode="min", cooldown_t=2)},
        ),
        ("WSDLRScheduler", {"t_initial": n + 9, "decay_t": r.randrange(1, 9), **wsd, **no_prefix}),
    ]
    sched = r.choice(["cosine", "tanh", "step", "constant", "multistep", "poly", "wsd", "rsqrt", "none"])
    config: Record = {"sched": sched, "num_epochs": r.randrange(20, 30), "warmup_epochs": r.randrange(1, 5)}
    config |= maybe(r, min_lr=short(base * 0.05), decay_epochs=r.randrange(2, 9), decay_milestones=[5, 10], warmup_prefix=True)
    config |= maybe(r, cycle_mul=2.0, cycle_limit=2, cooldown_epochs=3, k_decay=1.5, decay_rate=0.5, stable_timescale=4)
    calls += [
        ("create_scheduler_v2", config),
        ("create_scheduler_v2", {**config, "step_on_epochs": False, "updates_per_epoch": 2}),
    ]
    return [(call, {"base_lr": base, **arguments}) for call, arguments in calls]


TIMM_CORNERS = [
    ("CosineLRScheduler", {"base_lr": 0.5, "t_initial": 10, "warmup_t": 12, "warmup_lr_init": 0.1}),
    ("TanhLRScheduler", {"base_lr": 0.5, "t_initial": 10, "warmup_t": 12, "warmup_lr_init": 0.1, "lr_min": 0.01}),
    ("MultiStepLRScheduler", {"base_lr": 0.5, "decay_t": [0, 1, 2, 9, 9], "decay_rate": 0.5}),
    ("WSDLRScheduler", {"base_lr": 0.1, "t_initial": 10, "decay_t": 5, "lr_min": 0.2, "warmup_t": 3}),
    *(
        ("create_scheduler_v2", {"base_lr": 0.5, "sched": sched, "num_epochs": 20, "warmup_epochs": 2})
        for sched in ("cosine", "tanh", "step", "constant", "multistep", "poly", "wsd", "rsqrt", "none")
    ),
    ("create_scheduler", {"base_lr": 0.5, "args": {"sched": "tanh", "epochs": 25, "lr_cycle_limit": 2, "lr_cycle_mul": 0.5}}),
    ("create_scheduler", {"base_lr": 0.5, "args": {"sched": "step", "sched_on_updates": True}, "updates_per_epoch": 1}),
]


def timm_record(call: str, arguments: Record, r: Random) -> Record:
    module: Any = importlib.import_module("timm.scheduler")
    given = {name: value for name, value in arguments.items() if name not in ("base_lr", "args")}
    torch_optimizer = optimizer(arguments["base_lr"])
    configured = [SimpleNamespace(**arguments["args"])] if "args" in arguments else []
    made: Any = getattr(module, call)(*configured, torch_optimizer, **given)
    scheduler: Any = made[0] if call.startswith("create") else made
    found, metrics = [], losses(r)
    is_plateau = call == "PlateauLRScheduler"
    for t in range(40):
        if is_plateau:
            scheduler.step(t + 1, metrics[t])
        elif arguments.get("sched") != "none":
            (scheduler.step if scheduler.t_in_epochs else scheduler.step_update)(t)
        found.append(torch_optimizer.param_groups[0]["lr"])
    record = {"call": call, "arguments": arguments, "values": found}
    return record | ({"metrics": metrics} if is_plateau else {}) | ({"length": made[1]} if call.startswith("create") else {})


# Keras


def keras_sets(r: Random) -> list[tuple[str, Record]]:
    n = r.randrange(1, 20)
    decay = {"initial_learning_rate": rate(r), "decay_steps": n}
    boundaries = sorted(r.sample(range(25), r.randrange(1, 5)))
    return [
        ("ExponentialDecay", {**decay, "decay_rate": fraction(r) + 0.1, **maybe(r, staircase=True)}),
        ("PiecewiseConstantDecay", {"boundaries": boundaries, "values": [rate(r) for _ in range(len(boundaries) + 1)]}),
        ("PolynomialDecay", {**decay, **maybe(r, end_learning_rate=rate(r), power=round(r.uniform(0.5, 3), 2), cycle=True)}),
        ("InverseTimeDecay", {**decay, "decay_rate": round(r.uniform(0, 3), 2), **maybe(r, staircase=True)}),
        (
            "CosineDecay",
            {
                **decay,
                **maybe(r, alpha=fraction(r)),
                **maybe(r, warmup_target=rate(r)),
                **maybe(r, warmup_steps=r.randrange(1, 9)),
            },
        ),
        (
            "CosineDecayRestarts",
            {"initial_learning_rate": rate(r), "first_decay_steps": r.randrange(3, 9)}
            | maybe(r, t_mul=r.choice([1.0, 1.5, 2.0]), m_mul=fraction(r), alpha=fraction(r)),
        ),
        ("ReduceLROnPlateau", {"base_lr": rate(r), **plateau_sets(r), **maybe(r, mode="max", min_delta=0.05, min_lr=1e-4)}),
    ]


KERAS_CORNERS = [
    ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 9, "warmup_steps": 5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.5, "decay_steps": 7, "power": 0.5, "cycle": True}),
    ("ReduceLROnPlateau", {"base_lr": 0.5, "patience": 0, "cooldown": 1, "min_lr": 0.9}),
    ("ReduceLROnPlateau", {"base_lr": 0.5, "factor": 0.5, "patience": 0, "cooldown": 2}),
    ("ReduceLROnPlateau", {"base_lr": 0.5, "factor": 0.5, "patience": 1, "cooldown": 1, "min_lr": 0.1}),
]


def keras_record(call: str, arguments: Record, r: Random) -> Record:
    jax: Any = importlib.import_module("jax")
    keras: Any = importlib.import_module("keras")
    keras.config.set_floatx("float64")
    if call != "ReduceLROnPlateau":
        schedule = getattr(keras.optimizers.schedules, call)(**arguments)
        config = keras.optimizers.schedules.serialize(schedule)
        with jax.enable_x64(True):
            return {"call": call, "arguments": arguments, "config": config, "values": [float(schedule(t)) for t in range(40)]}
    callback = keras.callbacks.ReduceLROnPlateau(**{name: value for name, value in arguments.items() if name != "base_lr"})
    rates, metrics = SimpleNamespace(learning_rate=arguments["base_lr"]), losses(r)  # an optimizer would round to float32
    callback.set_model(SimpleNamespace(optimizer=rates))
    callback.on_train_begin()
    found = []
    for epoch, loss in enumerate(metrics):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        found.append(rates.learning_rate)
    return {"call": call, "arguments": arguments, "values": found, "metrics": metrics}


PEERS: dict[str, Any] = {
    "optax": (optax_sets, OPTAX_CORNERS, optax_record, ("optax", "jax")),
    "transformers": (transformers_sets, TRANSFORMERS_CORNERS, transformers_record, ("transformers", "torch")),
    "timm": (timm_sets, TIMM_CORNERS, timm_record, ("timm", "torch")),
    "keras": (keras_sets, KERAS_CORNERS, keras_record, ("keras", "jax")),
}


def signatures(peer: str) -> dict[str, list[list[Any]]]:
    """The arguments of everything that the framework has, in order, each with its default."""
    if peer == "optax":
        import optax
        import optax.contrib

        names = {
            name: getattr(optax.schedules, name) for name in dir(optax.schedules) if name.islower() and "inject" not in name
        }
        names |= {"reduce_on_plateau": optax.contrib.reduce_on_plateau}
    elif peer == "transformers":
        optimization: Any = importlib.import_module("transformers.optimization")
        names = {name: getattr(optimization, name) for name in dir(optimization) if name.startswith("get_")}
    elif peer == "timm":
        scheduler: Any = importlib.import_module("timm.scheduler")
        names = {name: getattr(scheduler, name) for name in dir(scheduler) if name.endswith("LRScheduler") or "create" in name}
    else:
        keras: Any = importlib.import_module("keras")
        names = {name: getattr(keras.optimizers.schedules, name) for name in dir(keras.optimizers.schedules)}
        names |= {"ReduceLROnPlateau": keras.callbacks.ReduceLROnPlateau}
    return {name: parameters(value) for name, value in names.items() if callable(value) and not name.startswith("_")}


def parameters(function: Any) -> list[list[Any]]:
    empty = inspect.Parameter.empty
    found = inspect.signature(function).parameters.items()
    return [[name, "required" if p.default is empty else p.default] for name, p in found]


def drawn(peer: str, seed: int) -> list[Record]:
    sets, corners, run, _ = PEERS[peer]
    calls = [one for k in range(SETS) for one in sets(Random(f"{seed} {peer} {k}"))]
    records = [run(call, arguments, Random(f"{seed} {i}")) for i, (call, arguments) in enumerate([*calls, *corners])]
    for one in records:
        one["values"] = [short(value) for value in one["values"]]
        assert all(map(math.isfinite, one["values"])), one
    return records


def record(peer: str) -> None:
    records, packages = drawn(peer, SEED), PEERS[peer][-1]
    head = {
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "seed": SEED,
        "sha256": script_hash(),
        "signatures": signatures(peer),
    }
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in records)
    start = "\n".join(f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items())
    path = HERE / f"{peer}.json"
    path.write_text("{\n" + start + '\n"records": [\n' + lines + "\n]\n}\n", encoding="utf-8")
    print(f"{path.name}: {len(records)} records, {path.stat().st_size} bytes")


@functools.cache
def script_hash() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def main() -> int:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", default=list(PEERS))
    parser.add_argument("--check", action="store_true", help="compare the frameworks with our dialects on fresh arguments")
    parser.add_argument("--seed", type=int, help="of the fresh arguments; by default a new one, which is printed")
    options = parser.parse_args()
    if not options.check:
        for peer in options.peers:
            record(peer)
        return 0
    from check_peers import check

    seed = options.seed if options.seed is not None else Random().randrange(2**31)
    print(f"seed {seed}")
    return min(sum(check(peer, drawn(peer, seed)) for peer in options.peers), 1)


if __name__ == "__main__":
    sys.exit(main())
