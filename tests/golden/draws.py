"""The parameter sets that are recorded: drawn at random for every class, and the corner cases by hand.

A set is a dictionary with "class", "base_lr", "arguments" and "steps" (a count n for 0, 1, .., n-1, or a list), or "metrics"
in place of the steps. Children of a sequence or a chain are {"class", "arguments"}; functions are names (functions.py).
Nothing here needs PyTorch.
"""

import math
import struct
from collections.abc import Callable
from random import Random
from typing import Any

Arguments = dict[str, Any]
Record = dict[str, Any]
Length = Callable[[Random], int]

SETS = 24  # random sets per class, next to the corner cases
MOST = 400  # longer traces keep only the steps around the boundaries


def short(x: float, digits: int = 6) -> float:
    """The number with a few significant digits, for files that one can read."""
    return float(f"{x:.{digits}g}")


def single(x: float) -> float:
    """The nearest float32, so that a metric is the same number for PyTorch and for us."""
    return struct.unpack("f", struct.pack("f", x))[0]


def rate(rng: Random) -> float:
    return short(10 ** rng.uniform(-4, 0))


def between(rng: Random, low: float, high: float) -> float:
    return short(rng.uniform(low, high), 4)


def any_length(rng: Random) -> int:
    """Mostly 1 to 40, some hundreds."""
    return rng.randint(100, 400) if rng.random() < 0.1 else rng.randint(1, 40)


def small_length(rng: Random) -> int:
    return rng.randint(1, 12)


def some(rng: Random, arguments: Arguments, optional: tuple[str, ...]) -> Arguments:
    """The arguments without some of the optional ones, so that the defaults are recorded too."""
    return {name: value for name, value in arguments.items() if name not in optional or rng.random() > 0.12}


def steps(rng: Random, count: int, boundary: int) -> int | list[int]:
    """All steps below the count if they are not too many, otherwise those around multiples of the boundary and a few more."""
    if count <= MOST:
        return count
    near = {m + d for m in range(0, count + 1, boundary) for d in (-2, -1, 0, 1, 2)}
    kept = near | {rng.randrange(count) for _ in range(40)}
    return sorted(t for t in kept if 0 <= t < count)


# The arguments of each class, drawn at random, and the length by which it repeats or ends.


def lambda_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr, length
    names = ["0.95**t", "0.8**t", "1/(1+t)", "1/(1+t/10)", "(1+t)**-0.5", "(t+1)/10", "0.5**(t//10)", "1-t/20"]
    return {"lr_lambda": rng.choice(names)}, 20


def multiplicative_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr, length
    return {"lr_lambda": rng.choice(["0.9", "one", "half", "(1+t)/(2+t)", "1+1/(2+t)**2", "(1+t)**-0.5", "1/(1+t/10)"])}, 20


def step_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    size = length(rng)
    return some(rng, {"step_size": size, "gamma": between(rng, 0.05, 1.1)}, ("gamma",)), size


def multi_step_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    milestones = [length(rng) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.3:
        milestones.append(rng.choice(milestones))
    return some(rng, {"milestones": milestones, "gamma": between(rng, 0.05, 1.1)}, ("gamma",)), max(milestones)


def constant_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    arguments = {"factor": between(rng, 0.01, 1.0), "total_iters": length(rng)}
    return some(rng, arguments, ("factor", "total_iters")), arguments["total_iters"]


def linear_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    end = rng.choice([0.0, 1.0, between(rng, 0.0, 1.0), between(rng, 0.0, 1.0)])
    arguments = {"start_factor": between(rng, 0.01, 1.0), "end_factor": end, "total_iters": length(rng)}
    return some(rng, arguments, tuple(arguments)), arguments["total_iters"]


def exponential_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr, length
    return {"gamma": rng.choice([between(rng, 0.5, 1.0), between(rng, 0.9, 1.0), between(rng, 1.0, 1.05)])}, 30


def polynomial_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    arguments = {"total_iters": length(rng), "power": rng.choice([1.0, 2.0, 0.5, between(rng, 0.3, 4.0)])}
    return some(rng, arguments, tuple(arguments)), arguments["total_iters"]


def floor_rate(rng: Random, base_lr: float) -> float:
    """An eta_min: 0, below the base rate, or now and then above it."""
    return rng.choice([0.0, short(base_lr * rng.uniform(0, 0.5), 4), short(base_lr * rng.uniform(0.5, 1.5), 4)])


def cosine_annealing_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    period = length(rng)
    return some(rng, {"T_max": period, "eta_min": floor_rate(rng, base_lr)}, ("eta_min",)), 2 * period


def warm_restarts(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    first, ratio = length(rng), rng.choice([1, 1, 2, 2, 3, 4, 5])
    arguments = {"T_0": first, "T_mult": ratio, "eta_min": floor_rate(rng, base_lr)}
    return some(rng, arguments, ("eta_min",)), first * (1 if ratio == 1 else 1 + ratio)


def cyclic_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    up, down = length(rng), rng.choice([None, length(rng), length(rng)])
    arguments: Arguments = {"base_lr": base_lr, "max_lr": short(base_lr * rng.uniform(1.5, 10)), "step_size_up": up}
    arguments |= {} if down is None else {"step_size_down": down}
    if rng.random() < 0.25:
        arguments["scale_fn"] = rng.choice(["1/(1+t)", "0.95**t", "1/5**(t/100)", "half"])
        arguments["scale_mode"] = rng.choice(["cycle", "iterations"])
    else:
        arguments["mode"] = rng.choice(["triangular", "triangular2", "exp_range"])
        arguments |= {"gamma": between(rng, 0.9, 1.0)} if arguments["mode"] == "exp_range" else {}
    momenta = {"base_momentum": between(rng, 0.5, 0.85), "max_momentum": between(rng, 0.85, 0.99)}
    return arguments | some(rng, momenta, tuple(momenta)), up + (up if down is None else down)


def one_cycle_lr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    """Always defined in PyTorch, which divides by 0 where `pct_start * total_steps` is 1."""
    total, start = length(rng), rng.choice([0.3, 0.25, between(rng, 0.02, 0.98)])
    if float(start * total) == 1.0:
        total += 1
    arguments = {
        "max_lr": base_lr,
        "total_steps": total,
        "pct_start": start,
        "anneal_strategy": rng.choice(["cos", "linear"]),
        "base_momentum": between(rng, 0.5, 0.85),
        "max_momentum": between(rng, 0.85, 0.99),
        "div_factor": between(rng, 2, 50),
        "final_div_factor": short(10 ** rng.uniform(0, 5), 4),
        "three_phase": rng.random() < 0.5,
    }
    optional = ("anneal_strategy", "base_momentum", "max_momentum", "div_factor", "final_div_factor", "three_phase")
    return some(rng, arguments, optional), total


def swalr(rng: Random, base_lr: float, length: Length) -> tuple[Arguments, int]:
    del base_lr
    arguments = {"swa_lr": rate(rng), "anneal_epochs": length(rng), "anneal_strategy": rng.choice(["cos", "linear"])}
    return some(rng, arguments, ("anneal_epochs", "anneal_strategy")), arguments["anneal_epochs"]


ARGUMENTS: dict[str, Callable[[Random, float, Length], tuple[Arguments, int]]] = {
    "LambdaLR": lambda_lr,
    "MultiplicativeLR": multiplicative_lr,
    "StepLR": step_lr,
    "MultiStepLR": multi_step_lr,
    "ConstantLR": constant_lr,
    "LinearLR": linear_lr,
    "ExponentialLR": exponential_lr,
    "PolynomialLR": polynomial_lr,
    "CosineAnnealingLR": cosine_annealing_lr,
    "CosineAnnealingWarmRestarts": warm_restarts,
    "CyclicLR": cyclic_lr,
    "OneCycleLR": one_cycle_lr,
    "SWALR": swalr,
}

# Those that may follow one another: the two others set the optimizer's initial rate, see CORNERS["SequentialLR"].
CHILDREN = [name for name in ARGUMENTS if name not in ("CyclicLR", "OneCycleLR")]


def draw_plain(rng: Random, name: str) -> Record:
    base_lr = rate(rng)
    arguments, length = ARGUMENTS[name](rng, base_lr, any_length)
    count = arguments["total_steps"] if name == "OneCycleLR" else 3 * length + rng.randint(2, 5)
    if name == "CyclicLR":
        base_lr = arguments["max_lr"]  # the tolerance is relative to the largest rate
    return {"class": name, "base_lr": base_lr, "arguments": arguments, "steps": steps(rng, count, max(1, length))}


def exact_cycle(t: float, first: int, ratio: int) -> int:
    """The number of the warm restart that holds t, by repeated multiplication."""
    n, start, length = 0, 0, first
    while t >= start + length:
        n, start, length = n + 1, start + length, length * ratio
    return n


def torch_cycle(t: float, first: int, ratio: int) -> int:
    """The same as PyTorch's `step(t)` finds it, by a logarithm: too low by one where that rounds down, as for 1, 3, t = 121."""
    return int(math.log(t / first * (ratio - 1) + 1, ratio)) if t >= first else 0


def draw_warm_restarts(rng: Random) -> Record:
    """Whole steps by `step()`, or fractional epochs by `step(t)`, without those that PyTorch puts into a wrong cycle.

    The fractions are eighths, the same number in float32: a step of 0.1 is not, and moves the rate by more than 1e-6.
    """
    record = draw_plain(rng, "CosineAnnealingWarmRestarts")
    if rng.random() < 0.4:
        first, ratio = record["arguments"]["T_0"], record["arguments"]["T_mult"]
        last = min(3 * first * (1 if ratio == 1 else 1 + ratio), 2000)
        times = {rng.randrange(8 * last) / 8 for _ in range(60)} | {t / 8 for t in range(4)}
        near = [float(first * sum(ratio**k for k in range(n))) for n in range(5)]
        times |= {t + d / 8 for t in near for d in (-1, 0, 1)}
        record["steps"] = sorted(
            t for t in times if 0 <= t <= last and (ratio == 1 or exact_cycle(t, first, ratio) == torch_cycle(t, first, ratio))
        )
        record["fractional"] = True
    return record


def child(rng: Random, base_lr: float, names: list[str]) -> tuple[Record, int]:
    name = rng.choice(names)
    arguments, length = ARGUMENTS[name](rng, base_lr, small_length)
    return {"class": name, "arguments": arguments}, length


def children_of(rng: Random, base_lr: float, number: int, later: list[str]) -> list[tuple[Record, int]]:
    """The first of CHILDREN, the others of `later`; one SWALR at most.

    PyTorch keeps `swa_lr` in the optimizer's group, so that of two SWALRs the first anneals to the rate of the second.
    """
    children: list[tuple[Record, int]] = []
    while len(children) < number:
        drawn_child = child(rng, base_lr, later if children else CHILDREN)
        names = [record["class"] for record, _ in [*children, drawn_child]]
        if names.count("SWALR") <= 1:
            children.append(drawn_child)
    return children


def draw_sequential(rng: Random) -> Record:
    base_lr, number = rate(rng), rng.choice([2, 2, 3])
    # CyclicLR has a rate of its own; as the first child it would give it to the others.
    children = children_of(rng, base_lr, number, [*CHILDREN, "CyclicLR"])
    milestones = [rng.choice([1, rng.randint(1, 25)])]
    milestones += [milestones[0] + rng.choice([1, rng.randint(1, 25)]) for _ in range(number - 2)]
    arguments = {"schedulers": [record for record, _ in children], "milestones": milestones}
    return {"class": "SequentialLR", "base_lr": base_lr, "arguments": arguments, "steps": milestones[-1] + 45}


def draw_chained(rng: Random) -> Record:
    base_lr, number = rate(rng), rng.choice([2, 2, 3])
    children = children_of(rng, base_lr, number, CHILDREN)
    count = min(3 * max(length for _, length in children) + 3, 80)
    arguments = {"schedulers": [record for record, _ in children]}
    return {"class": "ChainedScheduler", "base_lr": base_lr, "arguments": arguments, "steps": count}


def metrics(rng: Random) -> list[float]:
    """A random walk, noise, a noisy descent or ascent, or a constant; at times with a NaN or an infinity."""
    count, kind = rng.randint(20, 70), rng.choice(["walk", "noise", "descent", "ascent", "constant"])
    level = rng.choice([-2.0, 0.0, 1.0, 4.0])
    if kind == "walk":
        values = [level]
        while len(values) < count:
            values.append(values[-1] + rng.choice([-0.125, 0.0, 0.125]))
    elif kind == "noise":
        values = [level + rng.randint(-6, 6) / 8 for _ in range(count)]
    elif kind == "constant":
        values = [level] * count
    else:
        sign = -1 if kind == "ascent" else 1
        values = [single(level + sign * (2.0 * 0.9**k + rng.gauss(0, 0.05))) for k in range(count)]
    for _ in range(rng.choice([0, 0, 1, 3])):
        values[rng.randrange(count)] = rng.choice([math.nan, math.inf, -math.inf])
    return values


def draw_plateau(rng: Random) -> Record:
    """Without sets in which a comparison is decided by rounding (see `is_decided`)."""
    while True:
        base_lr = rate(rng)
        arguments = {
            "mode": rng.choice(["min", "max"]),
            "factor": between(rng, 0.05, 0.95),
            "patience": rng.choice([0, 1, 2, 3, 5]),
            "threshold": rng.choice([0.0, 1e-4, 0.0625, 0.1]),
            "threshold_mode": rng.choice(["rel", "abs"]),
            "cooldown": rng.choice([0, 0, 1, 2, 4]),
            "min_lr": rng.choice([0.0, short(base_lr * rng.uniform(0.001, 0.5), 4)]),
            "eps": rng.choice([1e-8, 0.0, short(base_lr * rng.uniform(0.001, 0.2), 4)]),
        }
        kept = some(rng, arguments, ("mode", "factor", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"))
        record = {"class": "ReduceLROnPlateau", "base_lr": base_lr, "arguments": kept, "metrics": metrics(rng)}
        if is_decided(record):
            return record


def is_decided(record: Record) -> bool:
    """Whether every comparison of a metric or of a rate comes out the same in float32.

    It does where the two sides differ by more than rounding, or are equal and exact: eighths and a threshold in sixteenths.
    """
    defaults = {"mode": "min", "factor": 0.1, "patience": 10, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0}
    get = {**defaults, "min_lr": 0.0, "eps": 1e-8, **record["arguments"]}
    sign, threshold = (1 if get["mode"] == "min" else -1), get["threshold"]
    best, bad, left, lr = sign * math.inf, 0, 0, record["base_lr"]
    for value in record["metrics"]:
        bound = best * (1 - sign * threshold) if get["threshold_mode"] == "rel" else best - sign * threshold
        if math.isfinite(bound) and math.isfinite(value) and abs(value - bound) <= 1e-5 * max(abs(value), abs(bound)):
            exact = value == bound and (value == 0 or (16 * threshold == int(16 * threshold) and 8 * value == int(8 * value)))
            if not exact:
                return False
        better = sign * value < sign * bound
        best, bad = (value, 0) if better else (best, bad + 1)
        left, bad = (left - 1, 0) if left > 0 else (left, bad)
        if bad > get["patience"]:
            drop = lr - max(lr * get["factor"], get["min_lr"])
            if abs(drop - get["eps"]) <= 1e-3 * get["eps"]:
                return False
            lr, left, bad = (lr - drop if drop > get["eps"] else lr), get["cooldown"], 0
    return True


DRAWS: dict[str, Callable[[Random], Record]] = {
    **{name: (lambda rng, name=name: draw_plain(rng, name)) for name in ARGUMENTS},
    "CosineAnnealingWarmRestarts": draw_warm_restarts,
    "SequentialLR": draw_sequential,
    "ChainedScheduler": draw_chained,
    "ReduceLROnPlateau": draw_plateau,
}


def drawn(name: str, seed: int, sets: int) -> list[Record]:
    rng = Random(f"{seed} {name}")
    return [DRAWS[name](rng) for _ in range(sets)]
